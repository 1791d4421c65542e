//! The programs, written for loom.
//!
//! They use `std::sync::Arc`, since loom would also explore the order of operations on its own `Arc`.

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex, MutexGuard};
use loom::thread;

use super::watch::{OnFailure, Watch};
use crate::explore::case::{Goal, Main, Program};

pub(super) fn choose(
    program: Program,
    main: Main,
    goal: Goal,
) -> impl Fn(&OnFailure) + Copy + Send + Sync + 'static {
    let is_repaired = goal == Goal::CoverRepaired;
    move |on_failure| match (program, is_repaired) {
        (Program::LostUpdate, true) => updates_under_a_mutex(main, on_failure),
        (Program::LostUpdate, false) => lost_update(main, on_failure),
        (Program::Philosophers, is_repaired) => philosophers(main, is_repaired, on_failure),
        (Program::Buffer, true) => buffer(main, Buffer::notify_all, on_failure),
        (Program::Buffer, false) => buffer(main, Buffer::notify_one, on_failure),
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

fn lost_update(main: Main, on_failure: &OnFailure) {
    let x = Arc::new(AtomicU32::new(0));
    let update = |x: &AtomicU32| x.store(x.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    let part = || {
        let x = x.clone();
        move || update(&x)
    };
    play(main, part(), [part()]);
    on_failure.check(x.load(Ordering::SeqCst) == 2);
}

fn updates_under_a_mutex(main: Main, on_failure: &OnFailure) {
    let x = Arc::new(Mutex::new(0));
    let update = |x: &Mutex<u32>| *x.lock().unwrap() += 1;
    let part = || {
        let x = x.clone();
        move || update(&x)
    };
    play(main, part(), [part()]);
    on_failure.check(*x.lock().unwrap() == 2);
}

struct Table {
    forks: [Mutex<()>; 3],
    watch: Watch,
}

impl Table {
    /// Acquires both forks. A thread with its first fork counts as waiting: if all threads have one, none gets a second.
    fn dine(&self, (first, second): (usize, usize)) {
        let held = self.forks[first].lock().unwrap();
        if self.watch.waits() {
            drop(held);
            drop(self.forks[second].lock().unwrap());
            return;
        }
        let _second = self.forks[second].lock().unwrap();
        self.watch.goes_on();
    }
}

fn philosophers(main: Main, is_repaired: bool, on_failure: &OnFailure) {
    let forks = [(); 3].map(|()| Mutex::new(()));
    let table = Arc::new(Table { forks, watch: Watch::new(3, on_failure) });
    let dine = |first, second| {
        let table = table.clone();
        move || table.dine((first, second))
    };
    let last = if is_repaired { dine(0, 2) } else { dine(2, 0) };
    play(main, last, [dine(0, 1), dine(1, 2)]);
}

struct Buffer {
    items: Mutex<u32>,
    changed: Condvar,
    watch: Watch,
}

impl Buffer {
    /// Returns `None` after a failure: the thread must terminate.
    fn wait_while(&self, unfit: u32) -> Option<MutexGuard<'_, u32>> {
        let mut items = self.items.lock().unwrap();
        while *items == unfit {
            if self.watch.waits() {
                self.changed.notify_all();
                return None;
            }
            items = self.changed.wait(items).unwrap();
            if self.watch.is_over() {
                return None;
            }
        }
        Some(items)
    }

    fn notify_one(&self) {
        self.changed.notify_one();
        self.watch.goes_on();
    }

    fn notify_all(&self) {
        self.changed.notify_all();
        self.watch.all_go_on();
    }

    /// The last step of a thread.
    fn end(&self) {
        if self.watch.ends() {
            self.changed.notify_all();
        }
    }
}

fn buffer(main: Main, notify: fn(&Buffer), on_failure: &OnFailure) {
    let (items, changed) = (Mutex::new(0), Condvar::new());
    let buffer = Arc::new(Buffer { items, changed, watch: Watch::new(3, on_failure) });
    let consumers = [(); 2].map(|()| {
        let buffer = buffer.clone();
        move || consume(&buffer, notify)
    });
    play(main, move || produce(&buffer, notify), consumers);
}

fn consume(buffer: &Buffer, notify: fn(&Buffer)) {
    let Some(mut items) = buffer.wait_while(0) else { return };
    *items -= 1;
    notify(buffer);
    buffer.end();
}

fn produce(buffer: &Buffer, notify: fn(&Buffer)) {
    for _ in 0..2 {
        let Some(mut items) = buffer.wait_while(1) else { return };
        *items += 1;
        notify(buffer);
    }
    buffer.end();
}
