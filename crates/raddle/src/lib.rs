//! Python's threading toolkit for Rust: threads, locks, conditions, semaphores, events, barriers, timers, queues, and
//! thread pools with futures.
//!
//! In production these types run on plain OS threads. In a test, the crate `raddle-explore` runs the same code under every
//! relevant interleaving and reports the one that fails. In debug builds, a [watch] reports deadlocks.
//!
//! The [guide](_guide) introduces the toolkit in chapters, with tables for users of Python, std, crossbeam, `parking_lot` and
//! rayon.
//!
//! # Example
//!
//! A producer and a consumer, connected by a bounded queue and stopped by an event:
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
//!             queue.put(sent).unwrap(); // blocks while the queue is full
//!             sent += 1;
//!         }
//!         queue.shutdown(); // the consumer's loop ends when the queue is empty
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
//! # Overview
//!
//! | Python | raddle |
//! |---|---|
//! | `Thread(target, name, daemon)`, `start`, `join` | [`Thread`], [`JoinHandle`]; [`thread::scope`] for threads that borrow |
//! | `current_thread`, `enumerate`, `excepthook`, … | the functions of [`thread`] |
//! | `Lock` | [`Lock`]; with data, [`Mutex`] |
//! | `RLock` | [`RLock`]; with data, [`ReentrantMutex`] |
//! | `Condition` | [`Condition`], with any of the four |
//! | `Semaphore`, `BoundedSemaphore` | [`Semaphore`], [`BoundedSemaphore`] |
//! | `Event`, `Barrier`, `Timer` | [`Event`], [`Barrier`], [`Timer`] |
//! | `Queue`, `LifoQueue`, `PriorityQueue`, `SimpleQueue` | [`Queue`], [`LifoQueue`], [`PriorityQueue`], [`SimpleQueue`] |
//! | `ThreadPoolExecutor`, `Future`, `wait`, `as_completed` | [`ThreadPoolExecutor`], [`Future`], [`wait()`], [`as_completed`] |
//!
//! # Timeouts
//!
//! A blocking operation has up to four forms:
//!
//! | form | blocks |
//! |---|---|
//! | plain | until it succeeds |
//! | `try_…` | never |
//! | `…_timeout` | for at most a [`Duration`](std::time::Duration) |
//! | `…_deadline` | until an [`Instant`](std::time::Instant), which several waits can share |
//!
//! A timeout never panics. One beyond the range of the clock means no timeout.
//!
//! # Errors
//!
//! Misuse that Python reports at run time does not compile where possible. All other errors are small types that return
//! what could not be stored, run or delivered.
//!
//! # The end of the program
//!
//! As in Python, a non-daemon thread keeps the program alive: when `main` returns or panics, or a thread calls
//! [`std::process::exit`], the process waits for non-daemon threads, for unfinished tasks of pools and for pending timers. It abandons
//! daemon threads. This needs no code in `main`; see [`_guide::ending`].
//!
//! # Deadlocks
//!
//! In debug builds, the [watch] is on. It reports a cycle of threads that wait for each other's locks, a thread that waits for a
//! mutex that it holds itself, and a program in which every thread waits without a timeout: which thread waits for which
//! object, which thread holds it, and on which lines. Then it ends the program with status 101. It reports nothing where
//! a deadline, a timer, a signal handler or a thread that raddle did not start may still end the wait.
//! `RADDLE_WATCH=1` turns it on and `RADDLE_WATCH=0` off in any build; see [`_guide::deadlocks`].
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
//! # Exploration and recordings
//!
//! Every operation that is visible to other threads passes through [`rt`], where a scheduler can take the place of the operating
//! system at run time, and where [`trace`] records what happened.
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
mod semaphore;
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
pub use held::Held;
pub use lock::{Lock, LockGuard, NotHeldError};
pub use mutex::{Mutex, MutexGuard};
pub use pool::{Priority, ShutdownMode, ThreadPoolExecutor};
pub use queue::{LifoQueue, PriorityQueue, Queue, SimpleQueue};
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use rlock::{NotOwnerError, RLock, RLockGuard};
pub use semaphore::{BoundedSemaphore, NoPermitsError, Permit, PermitError, Semaphore};
pub use shared::Shared;
pub use thread::{JoinHandle, Thread};
pub use timer::Timer;
