//! The programs, written for shuttle.

use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
use shuttle::thread;

use crate::explore::case::{Goal, Program};

pub(super) fn choose(program: Program, goal: Goal) -> fn() {
    match (program, goal) {
        (Program::LostUpdate, Goal::CoverRepaired) => updates_under_a_mutex,
        (Program::LostUpdate, _) => lost_update,
        (Program::Philosophers, Goal::CoverRepaired) => || philosophers(true),
        (Program::Philosophers, _) => || philosophers(false),
        (Program::Buffer, Goal::CoverRepaired) => || buffer(Condvar::notify_all),
        (Program::Buffer, _) => || buffer(Condvar::notify_one),
    }
}

fn lost_update() {
    let x = Arc::new(AtomicU32::new(0));
    let update = |x: &AtomicU32| x.store(x.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    let other = thread::spawn({
        let x = x.clone();
        move || update(&x)
    });
    update(&x);
    other.join().unwrap();
    assert_eq!(x.load(Ordering::SeqCst), 2);
}

fn updates_under_a_mutex() {
    let x = Arc::new(Mutex::new(0));
    let update = |x: &Mutex<u32>| *x.lock().unwrap() += 1;
    let other = thread::spawn({
        let x = x.clone();
        move || update(&x)
    });
    update(&x);
    other.join().unwrap();
    assert_eq!(*x.lock().unwrap(), 2);
}

fn philosophers(is_repaired: bool) {
    let forks: Arc<[Mutex<()>; 3]> = Arc::default();
    let dine = move |forks: &[Mutex<()>; 3], place: usize| {
        let (mut first, mut second) = (place, (place + 1) % 3);
        if is_repaired && place == 2 {
            (first, second) = (second, first);
        }
        let _first = forks[first].lock().unwrap();
        let _second = forks[second].lock().unwrap();
    };
    let others = [0, 1].map(|place| {
        let forks = forks.clone();
        thread::spawn(move || dine(&forks, place))
    });
    dine(&forks, 2);
    for other in others {
        other.join().unwrap();
    }
}

#[derive(Default)]
struct Buffer {
    items: Mutex<u32>,
    changed: Condvar,
}

impl Buffer {
    fn wait_while(&self, unfit: u32) -> MutexGuard<'_, u32> {
        let mut items = self.items.lock().unwrap();
        while *items == unfit {
            items = self.changed.wait(items).unwrap();
        }
        items
    }
}

fn buffer(notify: fn(&Condvar)) {
    let buffer = Arc::new(Buffer::default());
    let consumers = [(); 2].map(|()| {
        let buffer = buffer.clone();
        thread::spawn(move || {
            let mut items = buffer.wait_while(0);
            *items -= 1;
            notify(&buffer.changed);
        })
    });
    for _ in 0..2 {
        let mut items = buffer.wait_while(1);
        *items += 1;
        notify(&buffer.changed);
    }
    for consumer in consumers {
        consumer.join().unwrap();
    }
}
