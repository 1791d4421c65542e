//! The interface of a timer service, and the peers of `Timer`.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The interface of a timer service.
pub(super) trait Timers: 'static {
    /// Cancels a timer.
    type Handle;

    /// The number of timers per sample.
    const MANY: u64 = 40_000;

    /// Starts the service.
    fn start() -> Self;

    /// Schedules `task` after `delay`.
    fn schedule(&self, delay: Duration, task: impl FnOnce() + Send + 'static) -> Self::Handle;

    fn cancel(&self, handle: Self::Handle);
}

/// The crate `timer`, which runs the tasks in its service thread.
pub(super) struct Crate(timer::Timer);

impl Timers for Crate {
    type Handle = timer::Guard;

    fn start() -> Self {
        Self(timer::Timer::new())
    }

    fn schedule(&self, delay: Duration, task: impl FnOnce() + Send + 'static) -> timer::Guard {
        let delay = chrono::TimeDelta::from_std(delay).expect("it is short");
        let mut task = Some(task);
        self.0.schedule_with_delay(delay, move || task.take().into_iter().for_each(|task| task()))
    }

    fn cancel(&self, handle: timer::Guard) {
        drop(handle);
    }
}

/// A sleeping task per timer, in a runtime with one thread.
pub(super) struct Tokio(tokio::runtime::Runtime);

impl Timers for Tokio {
    type Handle = tokio::task::JoinHandle<()>;

    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Self(builder.worker_threads(1).enable_time().build().expect("the thread starts"))
    }

    fn schedule(&self, delay: Duration, task: impl FnOnce() + Send + 'static) -> Self::Handle {
        self.0.spawn(async move {
            tokio::time::sleep(delay).await;
            task();
        })
    }

    fn cancel(&self, handle: Self::Handle) {
        handle.abort();
    }
}

/// A thread per timer that waits with a timeout, as Python's `Timer` does.
pub(super) struct Threads;

pub(super) struct Waiting {
    word: Arc<(Mutex<bool>, Condvar)>,
    thread: JoinHandle<()>,
}

impl Timers for Threads {
    type Handle = Waiting;
    const MANY: u64 = 160;

    fn start() -> Self {
        Self
    }

    #[expect(clippy::disallowed_methods, reason = "a peer has ordinary threads")]
    fn schedule(&self, delay: Duration, task: impl FnOnce() + Send + 'static) -> Waiting {
        let word = Arc::new((Mutex::new(false), Condvar::new()));
        let heard = word.clone();
        let thread = thread::spawn(move || {
            let (is_cancelled, changed) = &*heard;
            if changed.wait_while_for(&mut is_cancelled.lock(), |it| !*it, delay).timed_out() {
                task();
            }
        });
        Waiting { word, thread }
    }

    fn cancel(&self, handle: Waiting) {
        let (is_cancelled, changed) = &*handle.word;
        *is_cancelled.lock() = true;
        changed.notify_all();
        handle.thread.join().expect("the task does not panic");
    }
}
