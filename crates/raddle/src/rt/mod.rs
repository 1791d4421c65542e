//! The runtime interface of the toolkit: for authors of primitives, schedulers and bindings.
//!
//! Programs do not need this module. **It is exempt from semantic versioning**: its items may change in any release, so
//! depend on an exact version of the crate if you use it.
//!
//! Everything in raddle that blocks, reads the clock or starts a thread does so through the functions of this module.
//! While nothing observes the process, each of them is a relaxed load, a predicted branch, and the call to the operating
//! system. Three observers can be attached at run time, in the same binary:
//!
//! - a [`Scheduler`] replaces the operating system for the threads that [enter] it: it decides which thread runs
//!   next, and it owns the clock. `raddle-explore` is one;
//! - the [watch](crate::watch) detects deadlocks;
//! - a [recording](crate::trace) collects what each thread does.
//!
//! # Operations
//!
//! An *operation* is a step of a thread that other threads can observe: to acquire a lock, to put an item, to read a
//! flag. A primitive reports it with [`point`] *before* it performs it, as an [`Op`]: the [`Kind`], the [`Object`] and the
//! [`Place`] in the program. A scheduler may run other threads at that moment, and it derives from kinds and objects
//! which orders of operations are worth exploring. [`point_until`] adds the condition under which the operation can
//! succeed, so that a scheduler does not run a thread only to see it block.
//!
//! # Words, wait and wake
//!
//! A thread blocks on a *word*, an [`AtomicU32`](std::sync::atomic::AtomicU32) of the primitive. [`wait`] parks the thread
//! if the word still holds an expected value, and [`wake`] wakes threads that are parked on it. This is the interface of
//! the futex, and it has the futex's rules: change the word before you wake, check the word after you wake up, and expect
//! spurious wake-ups. On Linux the calls map to the system call; elsewhere `parking_lot_core` provides them.
//!
//! A [`Wait`] describes the wait to the observers: the operation that blocks, its deadline, the lock that it is for, and
//! whether a signal can end it.
//!
//! Accesses to atomics inside a primitive are reported by [`atom`] and [`signal`]. Only a
//! [fine-grained](Scheduler::fine_grained) scheduler treats them as steps: it explores the primitive itself rather than
//! the program that uses it.
//!
//! # Locks
//!
//! A lock also reports that it [has been acquired](acquired) and is about to [be released](releasing), with a [`LockId`]
//! that is part of it, and [waits](Wait::with_lock) with that identifier. From this the watch and the scheduler know which
//! thread holds which lock, and since which line.
//!
//! # Bindings
//!
//! A binding for another language names the lines of that language by [`Place::intern`], and performs its operations
//! [on their behalf](on_behalf_of). Within [`interruptible`], a signal ends its waits. A panic that it carries through frames of that language is an [`Unwinding`].
//!
//! # Schedulers
//!
//! A scheduler implements [`Scheduler`] and has threads [`enter`] it. Threads that such a thread starts with raddle enter
//! it as well. It has a [`Program`] of its own, so that its threads, timers and keep-alive tokens are separate from those of
//! the process.
//!
//! # Examples
//!
//! A complete mutex. It works on plain threads, the watch detects its deadlocks, and the explorer explores it: the
//! example `rt_mutex` of `raddle-explore` does.
//!
//! ```
//! use raddle::rt::{self, Kind, LockId, Op, Wait};
//! use std::cell::UnsafeCell;
//! use std::ops::{Deref, DerefMut};
//! use std::sync::atomic::AtomicU32;
//! use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
//!
//! const FREE: u32 = 0;
//! const HELD: u32 = 1;
//! const CONTENDED: u32 = 2; // held, and a thread may be parked
//!
//! pub struct Mutex<T> {
//!     word: AtomicU32,
//!     id: LockId,
//!     value: UnsafeCell<T>,
//! }
//!
//! // SAFETY: only the thread that holds the lock accesses the value.
//! unsafe impl<T: Send> Sync for Mutex<T> {}
//!
//! pub struct Guard<'a, T> {
//!     mutex: &'a Mutex<T>,
//!     acquire: Op,
//! }
//!
//! impl<T> Mutex<T> {
//!     pub const fn new(value: T) -> Self {
//!         Self { word: AtomicU32::new(FREE), id: LockId::new(), value: UnsafeCell::new(value) }
//!     }
//!
//!     #[track_caller]
//!     pub fn lock(&self) -> Guard<'_, T> {
//!         let acquire = Op::new(self, "Mutex", Kind::Acquire);
//!         rt::point_until(acquire, None, &self.word, || self.word.load(Relaxed) == FREE);
//!         rt::atom(&self.word);
//!         if self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_err() {
//!             self.lock_contended(&acquire);
//!         }
//!         rt::acquired(acquire, None, &self.id);
//!         Guard { mutex: self, acquire }
//!     }
//!
//!     #[cold]
//!     fn lock_contended(&self, acquire: &Op) {
//!         let wait = Wait::new(acquire).with_lock(&self.id);
//!         loop {
//!             rt::atom(&self.word);
//!             if self.word.swap(CONTENDED, Acquire) == FREE {
//!                 return;
//!             }
//!             rt::wait(&self.word, CONTENDED, &wait);
//!         }
//!     }
//! }
//!
//! impl<T> Drop for Guard<'_, T> {
//!     fn drop(&mut self) {
//!         rt::releasing(self.acquire.with_kind(Kind::Release), &self.mutex.id);
//!         rt::atom(&self.mutex.word);
//!         if self.mutex.word.swap(FREE, Release) == CONTENDED {
//!             rt::wake(&self.mutex.word, 1);
//!         }
//!     }
//! }
//!
//! impl<T> Deref for Guard<'_, T> {
//!     type Target = T;
//!     fn deref(&self) -> &T {
//!         // SAFETY: this thread holds the lock.
//!         unsafe { &*self.mutex.value.get() }
//!     }
//! }
//!
//! impl<T> DerefMut for Guard<'_, T> {
//!     fn deref_mut(&mut self) -> &mut T {
//!         // SAFETY: this thread holds the lock.
//!         unsafe { &mut *self.mutex.value.get() }
//!     }
//! }
//!
//! // The watch detects that a thread waits for a lock that it holds.
//! use raddle::{Thread, watch::{Action, Watch}};
//! Watch::new().action(Action::Panic).start();
//! let deadlock = Thread::spawn(|| {
//!     let mutex = Mutex::new(0);
//!     let _first = mutex.lock();
//!     let _second = mutex.lock();
//! });
//! assert!(deadlock.join().unwrap_err().to_string().contains("lock that it holds"));
//! ```

pub(crate) mod binding;
pub(crate) mod current;
mod exit;
pub(crate) mod flags;
pub(crate) mod fork;
mod keep_alive;
mod locals;
pub(crate) mod lock_id;
pub(crate) mod op;
pub(crate) mod place;
pub(crate) mod program;
pub(crate) mod scheduler;
mod seam;
mod show;
mod spawn;
pub(crate) mod thread_record;
mod trace;
pub(crate) mod wait;
mod wake;

pub use crate::sys::os::WaitOutcome;
pub use binding::{
    Unwinding, behalf, interruptible, is_unwinding, on_behalf_of, unobserved, until_interrupted,
};
pub use current::{Entered, enter, name_foreign, on_foreign_exit};
pub(crate) use current::{adopt, daemon_default, ident, is_me, record, thread_address};
pub(crate) use exit::{block_forever, keep_alive, keep_alive_token};
pub(crate) use flags::quiet;
pub(crate) use fork::{ForkSafe, Rank, forks};
pub(crate) use keep_alive::{KeepAlive, KeepAliveToken};
pub use locals::LocalsImage;
pub use lock_id::LockId;
pub use op::{Effect, Kind, Memory, Object, Op};
pub use place::Place;
pub use program::Program;
pub use scheduler::{Abandoned, Scheduler};
pub(crate) use scheduler::{drop_payload, on_unwind, step_then_release, with_program};
pub use seam::{
    accesses, acquired, acquired_transferable, deadline, idle_deadline, is_observed, now, on_foreign_step,
    point, point_until, point_with, releasing, releasing_for_wait, sleep_until, spawn, tried, wait,
    yield_now,
};
pub(crate) use seam::{
    deadline_at, enqueue_is_step, explored, forget_holder, panicked, reads_waiters, returned, unhandled,
    watched,
};
pub(crate) use show::Show;
pub(crate) use thread_record::{AWAITED, HeldToken, RUNNING, ThreadRecord};
pub use trace::{Recording, Step, Visible, name, note, value};
pub(crate) use trace::{created, named, ordered};
pub use wait::Wait;
pub use wake::{atom, commutative_change, signal, wake};
