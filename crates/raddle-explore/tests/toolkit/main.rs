//! The primitives of the toolkit under every schedule that matters, in the very form in which they ship.
//!
//! A scenario is written once and runs both ways: [`every`] has it explored, with an operation as a step and with
//! each atomic access as one, and then runs it on threads of the operating system.

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

/// A limit that may pass at any moment: under the explorer since time is a choice there, elsewhere since it is short.
const SOON: Duration = Duration::from_micros(50);

/// Lets the clock move; where it is patient, everybody else has gone as far as possible by then.
fn pause() {
    thread::sleep(SOON);
}

/// Runs what `task` makes, numbered from 0, on so many threads, the calling one included; all are over after it.
fn together<F: FnOnce() + Send + 'static>(threads: usize, task: impl Fn(usize) -> F) {
    let others: Vec<_> = (1..threads).map(|number| Thread::spawn(task(number))).collect();
    task(0)();
    for other in others {
        other.join().unwrap();
    }
}
