//! Threads: starting, naming, waiting for them, and seeing which there are.
//!
//! [`Thread`] prepares and starts one, [`scope`] starts threads that borrow. The functions here
//! are those of Python's `threading` module.
//!
//! # The end of the program
//!
//! The program ends once every thread that is not a daemon is over, its thread-locals dropped, whether `main` returned,
//! panicked, or some thread called [`std::process::exit`]. Details that matter when it is a thread other than `main`:
//!
//! - Who calls `exit` is over for all others: a `join` of it gives [`JoinError::Exited`], and so does that of a
//!   thread which waits in a [`scope`] for it. Its guards are never dropped, so a lock that it holds stays held: let
//!   go of locks before `exit`, or threads that wait for them keep the program from ending.
//! - The exit status is that of the first `exit`, or of `main` if that ended before. The standard library parks for
//!   ever whoever comes second; such threads count as over, within some 50 ms. A thread that waits in `pause(2)` by
//!   itself does not, except for the main thread, where that cannot be told from the end of `main`.
//! - Handlers that were given to C's `atexit` before the first thread was started run after the last one is over.
//!
//! # Forked children
//!
//! A child that was created by `fork` has one thread: the one that called it, which is the [`main_thread`] of the child.
//! Much as in Python:
//!
//! - Every other thread of the parent counts as terminated: [`enumerate`] does not list it, and a `join` returns, with
//!   [`JoinError::Exited`] if the thread had not left its result yet. A [`scope`] does not wait for it either.
//! - The child waits for the threads that it started itself, not for those of its parent. One that only exits never blocks.
//! - No lock of the toolkit's own is left held: threads can be started, timers and pools created, and the watch works.
//! - Timers of the parent do not run in the child; its pools accept no tasks there and say so. The futures of their
//!   tasks are abandoned.
//! - No thread of the parent is left in a wait queue: permits, items, room and notifications go to threads that exist. A
//!   party that waits at a barrier in the parent has not arrived in the child.
//! - A lock that the forking thread holds is still held by it in the child. One that another thread holds is
//!   held forever, as is the inside of an object, such as a queue, that another thread is just changing. So do not
//!   share those with a child while other threads use them, or hold a lock around both their use and `fork`.
//!
//! This holds for `fork` of the C library, which runs the handlers that `pthread_atfork` has installed. After `vfork`,
//! `_Fork` or a bare `clone`, a child may only call `exec` or `_exit`. In an exploration, do not fork.

mod hook;
mod join;
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
pub use scope::{Scope, ScopedBuilder, ScopedJoinHandle, scope};
pub(crate) use start::{ProgramEnding, Spawned, launch};
pub use start::{SpawnError, Thread};

/// The calling thread. One that raddle did not start gets a stand-in, so this always has an answer.
///
/// ```
/// use raddle::{Thread, thread};
/// let name = Thread::new(|| thread::current().name()).name("worker").start()?.join()?;
/// assert_eq!(name, "worker");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn current() -> ThreadHandle {
    ThreadHandle(rt::record())
}

/// The calling thread's number in this process, never used again.
pub fn ident() -> u64 {
    rt::ident()
}

/// The thread in which the program began.
pub fn main_thread() -> ThreadHandle {
    rt::with_program(|program| ThreadHandle(program.main()))
}

/// The threads alive: main, and then those that raddle started or met, in the order in which it did.
///
/// To an explorer this is a step, and threads that start and end elsewhere come before or after it. The order among
/// threads that different threads start at the same time is not explored, nor are the numbers in their default names.
#[track_caller]
pub fn enumerate() -> Vec<ThreadHandle> {
    main_thread();
    let at = Place::caller();
    let object = rt::with_program(rt::Program::registry);
    rt::point(Op::at(object, Kind::Read, at));
    let threads = rt::with_program(rt::Program::threads);
    threads.into_iter().filter(|record| !record.internal).map(ThreadHandle).collect()
}

/// How many threads [`enumerate`] would list.
#[track_caller]
pub fn active_count() -> usize {
    enumerate().len()
}

/// Blocks the calling thread for at least `duration`; the same as [`time::sleep`].
#[track_caller]
pub fn sleep(duration: Duration) {
    time::sleep(duration);
}

/// Lets other threads go first, if any are ready.
pub fn yield_now() {
    rt::yield_now();
}
