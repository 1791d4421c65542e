//! The primitives under every schedule that matters, in the very form in which they ship.
//!
//! [`stage`] takes the operating system's place at the seam `raddle::host`: real threads, one at a time, a virtual
//! clock, and a choice before every step of who goes next. [`search`] goes through the choices: every schedule
//! with at most so many preemptions, then random ones. At the fine grain every atomic access inside a primitive is
//! a step and threads really park; at the coarse grain an operation is a step, threads stay before steps whose
//! predicates say no, and the predicates themselves are put to the test.
//!
//! A step is one of: a point, an atomic, a wake, the look before parking, the move of the clock to the next
//! deadline, a wake without a reason. Memory is sequentially consistent here: what weaker orders could do is not seen.
//!
//! The environment variable `RADDLE_SCHEDULES` adds to the number of preemptions, and multiplies the random runs by
//! ten for each: 1 takes minutes, 2 hours. A failure prints the choices that led to it and what the threads did.

mod actor;
mod actors;
mod course;
mod crew;
mod report;
mod seam;
mod search;
mod stage;

mod barriers;
mod conditions;
mod events;
mod futures;
mod locks;
mod pools;
mod queues;
mod rlocks;
mod semaphores;
mod threads;
mod timers;
mod toys;

use std::time::Duration;

use raddle::{Thread, thread};

/// A limit that may pass at any moment, since time is a choice here.
const SOON: Duration = Duration::from_millis(1);

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
