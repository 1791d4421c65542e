//! The programs, written for raddle.

use std::sync::Arc;

use raddle::{Condition, Mutex, MutexGuard, Shared, Thread};

use crate::explore::case::{Goal, Program};

pub(super) fn choose(program: Program, goal: Goal) -> fn() {
    match (program, goal) {
        (Program::LostUpdate, Goal::CoverRepaired) => updates_under_a_mutex,
        (Program::LostUpdate, _) => lost_update,
        (Program::Philosophers, Goal::CoverRepaired) => || philosophers(true),
        (Program::Philosophers, _) => || philosophers(false),
        (Program::Buffer, Goal::CoverRepaired) => || {
            buffer(|changed, items| {
                changed.notify_all(items);
            });
        },
        (Program::Buffer, _) => || buffer(|changed, items| changed.notify_one(items)),
    }
}

fn lost_update() {
    let x = Arc::new(Shared::new(0));
    let update = |x: &Shared<u32>| x.set(x.get() + 1);
    let other = Thread::spawn({
        let x = x.clone();
        move || update(&x)
    });
    update(&x);
    other.join().unwrap();
    assert_eq!(x.get(), 2);
}

fn updates_under_a_mutex() {
    let x = Arc::new(Mutex::new(0));
    let update = |x: &Mutex<u32>| *x.lock() += 1;
    let other = Thread::spawn({
        let x = x.clone();
        move || update(&x)
    });
    update(&x);
    other.join().unwrap();
    assert_eq!(*x.lock(), 2);
}

fn philosophers(is_repaired: bool) {
    let forks: Arc<[Mutex<()>; 3]> = Arc::default();
    let dine = move |forks: &[Mutex<()>; 3], place: usize| {
        let (mut first, mut second) = (place, (place + 1) % 3);
        if is_repaired && place == 2 {
            (first, second) = (second, first);
        }
        let _first = forks[first].lock();
        let _second = forks[second].lock();
    };
    let others = [0, 1].map(|place| {
        let forks = forks.clone();
        Thread::spawn(move || dine(&forks, place))
    });
    dine(&forks, 2);
    for other in others {
        other.join().unwrap();
    }
}

#[derive(Default)]
struct Buffer {
    items: Mutex<u32>,
    changed: Condition,
}

impl Buffer {
    fn wait_while(&self, unfit: u32) -> MutexGuard<'_, u32> {
        let mut items = self.items.lock();
        while *items == unfit {
            self.changed.wait(&mut items);
        }
        items
    }
}

fn buffer(notify: fn(&Condition, &MutexGuard<'_, u32>)) {
    let buffer = Arc::new(Buffer::default());
    let consumers = [(); 2].map(|()| {
        let buffer = buffer.clone();
        Thread::spawn(move || {
            let mut items = buffer.wait_while(0);
            *items -= 1;
            notify(&buffer.changed, &items);
        })
    });
    for _ in 0..2 {
        let mut items = buffer.wait_while(1);
        *items += 1;
        notify(&buffer.changed, &items);
    }
    for consumer in consumers {
        consumer.join().unwrap();
    }
}
