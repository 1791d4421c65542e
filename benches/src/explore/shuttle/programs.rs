//! The programs, written for shuttle.

use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
use shuttle::thread;

use crate::explore::case::{Goal, Main, Program};

pub(super) fn choose(program: Program, main: Main, goal: Goal) -> impl Fn() + Copy + Send + Sync + 'static {
    let is_repaired = goal == Goal::CoverRepaired;
    move || match (program, is_repaired) {
        (Program::LostUpdate, true) => updates_under_a_mutex(main),
        (Program::LostUpdate, false) => lost_update(main),
        (Program::Philosophers, is_repaired) => philosophers(main, is_repaired),
        (Program::Buffer, true) => buffer(main, Condvar::notify_all),
        (Program::Buffer, false) => buffer(main, Condvar::notify_one),
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
        Main::Joins => (None, Some(thread::spawn(first))),
    };
    let others: Vec<_> = others.into_iter().map(thread::spawn).collect();
    if let Some(own) = own {
        own();
    }
    for thread in started.into_iter().chain(others) {
        thread.join().unwrap();
    }
}

fn lost_update(main: Main) {
    let x = Arc::new(AtomicU32::new(0));
    let update = |x: &AtomicU32| x.store(x.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    let part = || {
        let x = x.clone();
        move || update(&x)
    };
    play(main, part(), [part()]);
    assert_eq!(x.load(Ordering::SeqCst), 2);
}

fn updates_under_a_mutex(main: Main) {
    let x = Arc::new(Mutex::new(0));
    let update = |x: &Mutex<u32>| *x.lock().unwrap() += 1;
    let part = || {
        let x = x.clone();
        move || update(&x)
    };
    play(main, part(), [part()]);
    assert_eq!(*x.lock().unwrap(), 2);
}

fn philosophers(main: Main, is_repaired: bool) {
    let forks: Arc<[Mutex<()>; 3]> = Arc::default();
    let dine = |first: usize, second: usize| {
        let forks = forks.clone();
        move || {
            let _first = forks[first].lock().unwrap();
            let _second = forks[second].lock().unwrap();
        }
    };
    let last = if is_repaired { dine(0, 2) } else { dine(2, 0) };
    play(main, last, [dine(0, 1), dine(1, 2)]);
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

fn buffer(main: Main, notify: fn(&Condvar)) {
    let buffer = Arc::new(Buffer::default());
    let consumers = [(); 2].map(|()| {
        let buffer = buffer.clone();
        move || {
            let mut items = buffer.wait_while(0);
            *items -= 1;
            notify(&buffer.changed);
        }
    });
    let produce = move || {
        for _ in 0..2 {
            let mut items = buffer.wait_while(1);
            *items += 1;
            notify(&buffer.changed);
        }
    };
    play(main, produce, consumers);
}
