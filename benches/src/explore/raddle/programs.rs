//! The programs, written for raddle.

use std::sync::Arc;

use raddle::{Condition, Mutex, MutexGuard, Shared, Thread};

use crate::explore::case::{Goal, Main, Program};

pub(super) fn choose(program: Program, main: Main, goal: Goal) -> impl Fn() + Copy + Send + Sync + 'static {
    let is_repaired = goal == Goal::CoverRepaired;
    move || match (program, is_repaired) {
        (Program::LostUpdate, true) => updates_under_a_mutex(main),
        (Program::LostUpdate, false) => lost_update(main),
        (Program::Philosophers, is_repaired) => philosophers(main, is_repaired),
        (Program::Buffer, true) => buffer(main, |changed, items| {
            changed.notify_all(items);
        }),
        (Program::Buffer, false) => buffer(main, |changed, items| changed.notify_one(items)),
    }
}

/// Runs `first` on the main thread, or on a thread that is spawned before the others.
fn play(
    main: Main,
    first: impl FnOnce() + Send + 'static,
    others: impl IntoIterator<Item = impl FnOnce() + Send + 'static>,
) {
    let (own, started) = match main {
        Main::TakesPart => (Some(first), None),
        Main::Joins => (None, Some(Thread::spawn(first))),
    };
    let others: Vec<_> = others.into_iter().map(Thread::spawn).collect();
    if let Some(own) = own {
        own();
    }
    for thread in started.into_iter().chain(others) {
        thread.join().unwrap();
    }
}

fn lost_update(main: Main) {
    let x = Arc::new(Shared::new(0));
    let update = |x: &Shared<u32>| x.set(x.get() + 1);
    let part = || {
        let x = x.clone();
        move || update(&x)
    };
    play(main, part(), [part()]);
    assert_eq!(x.get(), 2);
}

fn updates_under_a_mutex(main: Main) {
    let x = Arc::new(Mutex::new(0));
    let update = |x: &Mutex<u32>| *x.lock() += 1;
    let part = || {
        let x = x.clone();
        move || update(&x)
    };
    play(main, part(), [part()]);
    assert_eq!(*x.lock(), 2);
}

fn philosophers(main: Main, is_repaired: bool) {
    let forks: Arc<[Mutex<()>; 3]> = Arc::default();
    let dine = |first: usize, second: usize| {
        let forks = forks.clone();
        move || {
            let _first = forks[first].lock();
            let _second = forks[second].lock();
        }
    };
    let last = if is_repaired { dine(0, 2) } else { dine(2, 0) };
    play(main, last, [dine(0, 1), dine(1, 2)]);
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

fn buffer(main: Main, notify: fn(&Condition, &MutexGuard<'_, u32>)) {
    let buffer = Arc::new(Buffer::default());
    let consumers = [(); 2].map(|()| {
        let buffer = buffer.clone();
        move || {
            let mut items = buffer.wait_while(0);
            *items -= 1;
            notify(&buffer.changed, &items);
        }
    });
    let produce = move || {
        for _ in 0..2 {
            let mut items = buffer.wait_while(1);
            *items += 1;
            notify(&buffer.changed, &items);
        }
    };
    play(main, produce, consumers);
}
