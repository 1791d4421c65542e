//! Threads: starting and joining them, and listing those that are alive.
//!
//! [`Thread`] prepares and starts a thread, [`scope`] starts threads that borrow. The functions of this module are those
//! of Python's `threading` module.
//!
//! # The end of the program
//!
//! The program ends when every thread that is not a daemon has terminated and its thread-locals have been dropped. This
//! holds whether `main` returns, `main` panics, or a thread calls [`std::process::exit`]. The details matter when a
//! thread other than `main` calls `exit`:
//!
//! - To other threads, the calling thread has terminated. A `join` of it returns [`JoinError::Exited`], and so does a
//!   `join` of a thread that is blocked in a [`scope`] because of it.
//! - Its guards are never dropped, so the locks that it holds stay held. Release them before `exit`; otherwise a
//!   thread that waits for one keeps the program from ending.
//! - The first call of `exit` determines the exit status, or `main` if that ended before. The standard library blocks
//!   every later caller forever. raddle detects such a thread within about 50 ms and counts it as terminated. A
//!   thread that calls `pause(2)` itself is not mistaken for one, except for the main thread.
//! - Handlers that were registered with C's `atexit` before the first thread was started run after the last thread has
//!   terminated.
//!
//! # Forked children
//!
//! A child created by `fork` has one thread, the one that called it. That thread is the [`main_thread`] of the child. As
//! in Python:
//!
//! - Every other thread of the parent counts as terminated. [`enumerate`] does not list it, a [`scope`] does not wait
//!   for it, and a `join` returns [`JoinError::Exited`] unless the thread had stored its result before the fork.
//! - The child waits for its own threads at its end, not for those of the parent.
//! - No internal lock is left held. The child can start threads and timers and create pools, and the watch works.
//! - Timers of the parent do not run in the child. Its pools reject tasks there with an error that says why, and the
//!   futures of their tasks are abandoned.
//! - Wait queues contain no thread of the parent, so permits, items and notifications go to threads that exist. A thread
//!   that waits at a barrier in the parent has not arrived at it in the child.
//! - A lock held by the forking thread is held by it in the child, too. A lock held by another thread stays held
//!   forever, and an object that another thread was changing stays half changed. Do not share such objects with a child
//!   unless a lock is held around both their use and the `fork`.
//!
//! This holds for `fork` of the C library, which runs the handlers installed by `pthread_atfork`. After `vfork`, `_Fork`
//! or a bare `clone`, a child may only call `exec` or `_exit`. Do not fork under a scheduler.

mod hook;
mod join;
mod nesting;
mod scope;
mod start;

use std::time::Duration;

use crate::rt::{self, Kind, Op, Place};
use crate::time;

pub(crate) use hook::{
    Careful, Payload, dispose, drop_guarded, guarded, message, report, report_call, report_refusal,
    report_shortage,
};
pub use hook::{UnhandledPanic, reset_excepthook, set_excepthook};
pub use join::{JoinError, JoinHandle, JoinTimeoutError, SelfJoinError, ThreadHandle, ThreadPanic};
pub(crate) use nesting::{run_nested, run_unnested};
pub use scope::{Scope, ScopedBuilder, ScopedJoinHandle, scope};
pub(crate) use start::{ProgramEnding, Spawned, launch};
pub use start::{SpawnError, Thread};

/// Returns a handle of the calling thread.
///
/// A thread that raddle did not start is registered on the first call.
///
/// # Examples
/// ```
/// use raddle::{Thread, thread};
///
/// let name = Thread::new(|| thread::current().name()).name("worker").start()?.join()?;
/// assert_eq!(name, "worker");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn current() -> ThreadHandle {
    ThreadHandle(rt::record())
}

/// Returns the calling thread's number in this process, which is never reused.
///
/// # Examples
/// ```
/// use raddle::thread;
///
/// assert_eq!(thread::ident(), thread::current().ident());
/// ```
pub fn ident() -> u64 {
    rt::ident()
}

/// Returns a handle of the thread in which the program started.
///
/// # Examples
/// ```
/// use raddle::{Thread, thread};
///
/// assert_eq!(Thread::spawn(thread::main_thread).join()?, thread::main_thread());
/// # Ok::<(), raddle::thread::JoinError>(())
/// ```
pub fn main_thread() -> ThreadHandle {
    rt::with_program(|program| ThreadHandle(program.main()))
}

/// Returns the threads that are alive: the main thread, then the others in the order in which they were started.
///
/// It lists threads that raddle started and those that have called it.
///
/// Under a scheduler this is a step, so starts and terminations of other threads come before or after it. The order of
/// threads that were started concurrently is not explored, and neither are the numbers in their default names.
///
/// # Examples
/// ```
/// use raddle::{Event, Thread, thread};
/// use std::sync::Arc;
///
/// let stop = Arc::new(Event::new());
/// let worker = Thread::spawn({ let stop = stop.clone(); move || stop.wait() });
/// assert!(thread::enumerate().contains(worker.thread()));
/// stop.set();
/// # worker.join()?;
/// # Ok::<(), raddle::thread::JoinError>(())
/// ```
#[track_caller]
pub fn enumerate() -> Vec<ThreadHandle> {
    main_thread();
    let at = Place::caller();
    let object = rt::with_program(rt::Program::registry);
    rt::point(Op::at(object, Kind::Read, at));
    let threads = rt::with_program(rt::Program::threads);
    threads.into_iter().filter(|record| !record.internal).map(ThreadHandle).collect()
}

/// Returns the number of threads that [`enumerate`] would list.
///
/// # Examples
/// ```
/// use raddle::thread;
///
/// assert!(thread::active_count() >= 1); // at least the main thread
/// ```
#[track_caller]
pub fn active_count() -> usize {
    enumerate().len()
}

/// Blocks the calling thread for at least `duration`.
///
/// This is [`time::sleep`].
///
/// # Examples
/// ```
/// use raddle::{thread, time};
/// use std::time::Duration;
///
/// let start = time::now();
/// thread::sleep(Duration::from_millis(1));
/// assert!(time::now() - start >= Duration::from_millis(1));
/// ```
#[track_caller]
pub fn sleep(duration: Duration) {
    time::sleep(duration);
}

/// Offers the rest of the time slice to other threads.
///
/// # Examples
/// ```
/// use raddle::{Thread, thread};
///
/// let worker = Thread::spawn(|| ());
/// while !worker.is_finished() {
///     thread::yield_now(); // `worker.wait()` would park instead of spinning
/// }
/// ```
pub fn yield_now() {
    rt::yield_now();
}
