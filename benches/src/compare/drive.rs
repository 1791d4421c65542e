//! Timing of work on one thread, or on several threads that start together.

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::case::Sample;
use crate::clock::{Clock, processor_time};

/// The work of one thread.
pub(crate) type Part<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Measures `work`, which consists of `ops` operations, on this thread.
pub(crate) fn alone(ops: u64, work: impl FnOnce()) -> Sample {
    let (clock, used) = (Clock::start(), processor_time());
    work();
    let wall = clock.elapsed();
    sample(ops, wall, processor_time().saturating_sub(used))
}

/// Measures `parts`, which together consist of `ops` operations, each on its own thread.
///
/// The clock starts when all threads are waiting at the start, and stops when the last one has finished.
pub(crate) fn together(ops: u64, parts: Vec<Part<'_>>) -> Sample {
    let gate = Gate::default();
    let clock = Clock::start();
    #[expect(clippy::disallowed_methods, reason = "the peers are measured in ordinary threads")]
    let (wall, used) = thread::scope(|scope| {
        let count = parts.len();
        let spawn = |part: Part<'_>| {
            gate.pass();
            part();
            clock.elapsed()
        };
        let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || spawn(part))).collect();
        gate.wait_for(count);
        let (start, used) = (clock.elapsed(), processor_time());
        gate.open();
        let ends = threads.into_iter().map(|thread| thread.join().expect("no part panics"));
        let end = ends.max().unwrap_or(start);
        (end.saturating_sub(start), processor_time().saturating_sub(used))
    });
    sample(ops, wall, used)
}

/// Returns the time per operation.
#[expect(clippy::cast_precision_loss, reason = "what is lost is far below what is measured")]
pub(crate) fn sample(ops: u64, wall: Duration, cpu: Duration) -> Sample {
    let each = |time: Duration| time.as_secs_f64() * 1e9 / ops as f64;
    Sample { value: each(wall), cpu: each(cpu) }
}

/// Blocks threads until all have started.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
    is_open: bool,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("nothing panics under the lock");
        state.waiting += 1;
        self.changed.notify_all();
        while !state.is_open {
            state = self.changed.wait(state).expect("nothing panics under the lock");
        }
    }

    fn wait_for(&self, count: usize) {
        let mut state = self.state.lock().expect("nothing panics under the lock");
        while state.waiting < count {
            state = self.changed.wait(state).expect("nothing panics under the lock");
        }
    }

    fn open(&self) {
        self.state.lock().expect("nothing panics under the lock").is_open = true;
        self.changed.notify_all();
    }
}
