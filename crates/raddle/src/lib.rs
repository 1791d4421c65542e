//! The whole of Python's threading toolkit, for Rust.
//!
//! Threads that outlive `main`, daemon threads, join with a time limit, thread pools with futures, locks,
//! re-entrant locks, conditions, semaphores, events, timers, barriers and queues: one crate, Python's names, Rust's
//! safety. What Python makes an error at run time, Rust makes impossible to write wherever it can; the rest is an
//! [`Err`] which says what to do and gives back what could not be stored, run or delivered.
//!
//! # A first program
//!
//! A bounded queue takes a burst, a slower thread empties it, an event ends it, and nothing is lost:
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
//!             queue.put(sent).expect("nobody else shuts the queue down");
//!             sent += 1;
//!         }
//!         queue.shutdown(); // no more will come: the consumer's loop ends when the queue is empty
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
//! # What there is
//!
//! | Python | raddle |
//! |---|---|
//! | `Thread(target, name, daemon)`, `start`, `join` | [`Thread`], [`JoinHandle`]; [`thread::scope`] for threads that borrow |
//! | `current_thread`, `enumerate`, `excepthook`, … | the functions of [`thread`] |
//! | `Lock` | [`Lock`]; with data in it, [`Mutex`] |
//! | `RLock` | [`RLock`]; with data in it, [`ReentrantMutex`] |
//! | `Condition` | [`Condition`], with any of the four |
//! | `Semaphore`, `BoundedSemaphore` | [`Semaphore`], [`BoundedSemaphore`] |
//! | `Event`, `Barrier`, `Timer` | [`Event`], [`Barrier`], [`Timer`] |
//! | `Queue`, `LifoQueue`, `PriorityQueue`, `SimpleQueue` | [`Queue`], [`LifoQueue`], [`PriorityQueue`], [`SimpleQueue`] |
//! | `ThreadPoolExecutor`, `Future`, `wait`, `as_completed` | [`ThreadPoolExecutor`], [`Future`], [`wait()`], [`as_completed`] |
//!
//! Everything that can wait comes in up to four forms: plain (for ever), `try_…` (never), `…_timeout` with a
//! [`Duration`](std::time::Duration), and, where several waits share one limit, `…_deadline` with an
//! [`Instant`](std::time::Instant). A time limit is never a panic, and one that lies beyond the clock means for ever.
//!
//! # The end of the program
//!
//! As in Python, a thread that is not a daemon keeps the program alive: when `main` returns, panics, or somebody
//! calls [`std::process::exit`], the process waits for it, for unfinished tasks of pools and for pending timers,
//! and abandons daemons. There is nothing to write in `main`.
//!
//! # When it hangs
//!
//! In debug builds the *watch* is on. When threads wait for each other's locks in a circle, when one waits for a mutex
//! that it holds itself, or when every thread of the process waits without limit, it writes to standard error who
//! waits for which object, who holds it, and on which lines, and ends the program with status 101. It keeps silent
//! wherever a deadline, a timer, a signal handler, or a thread that raddle did not start may still help. [`watch`] has the details:
//! other actions, a dump of all threads on demand, and warnings of locks that are taken in contradicting orders.
//! `RADDLE_WATCH=1` turns it on and `RADDLE_WATCH=0` off in any build.
//!
//! # Signal handlers
//!
//! Do not call anything of raddle in a signal handler. A handler interrupts its thread at an arbitrary point, possibly
//! while that thread holds a lock that the call needs: even [`Event::set`] may then block forever. POSIX allows
//! very few functions in a handler; `write` is one of them. So let the handler write a byte to a pipe, and let a
//! thread read the pipe and do the rest. The crate `signal-hook` does the same with less code: its
//! `iterator::Signals` is a thread's blocking iterator over the signals that arrive.
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
//!         STOP.set(); // an ordinary thread, which may do anything
//!     }
//! })
//! .daemon(true)
//! .start()?;
//!
//! # // SAFETY: there is a handler for this signal.
//! # unsafe { libc::raise(libc::SIGTERM) };
//! STOP.wait(); // until somebody sends SIGTERM
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When it is explored or recorded
//!
//! Every step that other threads can see passes through [`rt`], where a scheduler can take the operating system's
//! place at run time, and where [`trace`] records what happened.
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

/// The program that opens the README, kept in working order.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
