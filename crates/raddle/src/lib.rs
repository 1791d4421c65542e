//! Python's `threading`, `queue` and `concurrent.futures` for Rust, with systematic tests for concurrent programs.
//!
//! raddle provides threads, thread pools with futures, locks, re-entrant locks, conditions, semaphores, events, timers,
//! barriers and queues. In production they run on plain operating system threads. In a test, the crate `raddle-explore`
//! runs the same binary under every relevant interleaving and reports the one that fails. In debug builds, a program that
//! deadlocks reports which thread waits for which lock, and on which lines.
//!
//! # Examples
//!
//! A producer and a consumer with a bounded queue:
//!
//! ```
//! use raddle::{Event, Queue, Thread};
//! use std::sync::Arc;
//!
//! let queue = Arc::new(Queue::bounded(10));
//! let stop = Arc::new(Event::new());
//!
//! let producer = Thread::new({
//!     let (queue, stop) = (queue.clone(), stop.clone());
//!     move || {
//!         let mut sent = 0;
//!         while !stop.is_set() {
//!             queue.put(sent).expect("only this thread shuts the queue down");
//!             sent += 1;
//!         }
//!         queue.shutdown(); // the consumer's loop ends once the queue is empty
//!         sent
//!     }
//! });
//! let consumer = Thread::new({
//!     let queue = queue.clone();
//!     move || queue.iter().count()
//! });
//!
//! let (producer, consumer) = (producer.name("producer").start()?, consumer.name("consumer").start()?);
//! stop.set();
//! assert_eq!(producer.join()?, consumer.join()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The [guide](_guide) has chapters on testing, deadlocks, pools, queues and timers, and tables for readers who know
//! Python, std, crossbeam, `parking_lot`, rayon, loom or shuttle.
//!
//! # Overview
//!
//! | Purpose | Types |
//! |---|---|
//! | Threads | [`Thread`], [`JoinHandle`], and [`thread::scope`] for threads that borrow |
//! | Exclusive access to data | [`Mutex`], [`ReentrantMutex`] |
//! | Exclusive access without data | [`Lock`], [`RLock`] |
//! | Waiting for a state of data | [`Condition`], with any of the four |
//! | Limited resources | [`Semaphore`], [`BoundedSemaphore`] |
//! | Notifications | [`Event`], [`Barrier`] |
//! | Passing items between threads | [`Queue`], [`LifoQueue`], [`PriorityQueue`], [`SimpleQueue`] |
//! | Running tasks | [`ThreadPoolExecutor`], [`Future`], [`wait()`], [`as_completed`] |
//! | Time | [`Timer`], [`time`] |
//! | Atomics and shared cells that can be explored | [`atomic`], [`Shared`] |
//! | Diagnosis | [`watch`], [`trace`] |
//!
//! The [prelude] exports the types that most programs use. Error types live in the modules of their types.
//!
//! # Blocking
//!
//! Each blocking operation comes in up to four forms:
//!
//! | Form | Blocks |
//! |---|---|
//! | `acquire`, `get`, `join` | until it succeeds |
//! | `try_acquire` | not at all |
//! | `acquire_timeout` | for at most a [`Duration`](std::time::Duration) |
//! | `acquire_deadline` | until an [`Instant`](std::time::Instant), which several waits can share |
//!
//! A timeout beyond the range of the clock means forever.
//!
//! # Program exit
//!
//! A thread that is not a daemon keeps the program alive, as in Python. When `main` returns or panics, or a thread calls
//! [`std::process::exit`], the process waits for non-daemon threads, for unfinished tasks of pools and for pending timers.
//! Daemon threads are abandoned. `main` needs no code for this.
//!
//! # Deadlocks
//!
//! In debug builds the [watch] is on. When threads wait for each other's locks, when a thread waits for a mutex that it
//! holds, or when every thread of the process is blocked, it writes to standard error for which object each thread waits,
//! which thread holds it, and on which lines, and ends the program with status 101. `RADDLE_WATCH=1` turns it on in any
//! build, and `RADDLE_WATCH=0` turns it off.
//!
//! # Signal handlers
//!
//! Do not call raddle in a signal handler. A handler interrupts its thread at an arbitrary point, possibly
//! while that thread holds a lock that the call needs: even [`Event::set`] may then block forever. POSIX allows
//! very few functions in a handler; `write` is one of them. Let the handler write a byte to a pipe, and let a
//! thread read the pipe and do the rest. The crate `signal-hook` does the same with less code: its
//! `iterator::Signals` blocks a thread until a signal arrives.
//!
//! ```
//! use raddle::{Event, Thread};
//! use std::io::{self, Read};
//! use std::os::fd::IntoRawFd;
//! use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
//!
//! static STOP: Event = Event::new();
//! static PIPE: AtomicI32 = AtomicI32::new(-1);
//!
//! extern "C" fn on_sigterm(_: libc::c_int) {
//!     // SAFETY: `write` may be called in a handler, and the byte outlives the call.
//!     unsafe { libc::write(PIPE.load(Relaxed), [0_u8].as_ptr().cast(), 1) };
//! }
//!
//! let (mut signals, pipe) = io::pipe()?;
//! PIPE.store(pipe.into_raw_fd(), Relaxed);
//! let handler = on_sigterm as extern "C" fn(libc::c_int);
//! // SAFETY: the handler makes one system call, which may be made in a handler.
//! unsafe { libc::signal(libc::SIGTERM, handler as usize) };
//! Thread::new(move || {
//!     while signals.read_exact(&mut [0]).is_ok() {
//!         STOP.set(); // an ordinary thread, which may call anything
//!     }
//! })
//! .daemon(true)
//! .start()?;
//!
//! # // SAFETY: there is a handler for this signal.
//! # unsafe { libc::raise(libc::SIGTERM) };
//! STOP.wait(); // until SIGTERM arrives
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Exploration
//!
//! Every operation that other threads can observe passes through [`rt`], where a scheduler can replace the operating
//! system at run time. `raddle-explore` is such a scheduler, and it needs no special build. Outside a test, the check
//! whether there is a scheduler costs a predicted branch.
#![deny(unsafe_code)]

pub mod _guide;
pub mod atomic;
mod barrier;
mod condition;
mod erase;
mod event;
pub mod future;
mod held;
mod lock;
mod mutex;
pub mod pool;
pub mod prelude;
pub mod queue;
mod raw;
mod reentrant;
mod rlock;
pub mod rt;
pub mod semaphore;
mod shared;
mod sys;
pub mod thread;
pub mod time;
pub mod timer;
pub mod trace;
pub mod watch;

pub use barrier::{Barrier, BrokenBarrierError};
pub use condition::Condition;
pub use event::Event;
pub use future::{
    Future, Promise, ReturnWhen, as_completed, as_completed_timeout, wait, wait_deadline, wait_timeout,
};
pub use held::{Held, Unguarded};
pub use lock::{Lock, LockGuard, NotHeldError};
pub use mutex::{Mutex, MutexGuard};
pub use pool::{Priority, ShutdownMode, ThreadPoolExecutor};
pub use queue::{LifoQueue, PriorityQueue, Queue, SimpleQueue};
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use rlock::{NotOwnerError, RLock, RLockGuard, SavedLevels};
pub use semaphore::{BoundedSemaphore, NoPermitsError, Permit, PermitError, Semaphore};
pub use shared::Shared;
pub use thread::{JoinHandle, Thread};
pub use timer::Timer;
