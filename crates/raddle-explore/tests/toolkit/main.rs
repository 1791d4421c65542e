//! The primitives of the toolkit, as they ship, under every relevant schedule.
//!
//! A scenario is written once and run in three ways: explored with an operation as a step, explored with each atomic
//! access as a step, and on OS threads. See [`every`].

mod every;
mod watchdog;

mod barriers;
mod conditions;
mod events;
mod futures;
mod gates;
mod locks;
mod looks;
mod pools;
mod queues;
mod rlocks;
mod semaphores;
mod threads;
mod timers;
mod toys;

use std::time::Duration;

use raddle::{Thread, thread};

/// A timeout that may expire at any moment: a choice of the explorer, and short on OS threads.
const SOON: Duration = Duration::from_micros(50);

/// Lets the clock advance. With quiescent time, all other threads are blocked by then.
fn pause() {
    thread::sleep(SOON);
}

/// Runs `task(0)`, `task(1)`, … on so many threads, including the calling one, and joins them.
fn together<F: FnOnce() + Send + 'static>(threads: usize, task: impl Fn(usize) -> F) {
    let others: Vec<_> = (1..threads).map(|number| Thread::spawn(task(number))).collect();
    task(0)();
    for other in others {
        other.join().unwrap();
    }
}
