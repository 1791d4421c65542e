//! The seam between the toolkit and the operating system.
//!
//! Everything in raddle that blocks, reads the clock or starts a thread does it here. The shape is the
//! kernel's own primitive, the futex: [`wait`] parks a thread while a word holds an expected value, [`wake`]
//! wakes some that are parked there. Every lock, queue and event is a word and a rule for going on.
//!
//! A [`Scheduler`] can take the operating system's place at run time, thread by thread, in the same binary:
//! it sees each [`point`] before the step is taken and decides who goes on. Two more observers share the one
//! flag that turns all this on: the watch, which reports a program that hangs, and the [trace](crate::trace).
//!
//! This module is for those who write schedulers or primitives of their own; programs need the rest of the crate.
//!
//! ```
//! use raddle::rt::{self, Wait};
//! use std::sync::atomic::AtomicU32;
//!
//! let word = AtomicU32::new(7);
//! assert_eq!(rt::wait(&word, 6, None), Wait::Changed); // it is not 6: nothing to wait for
//! ```

pub(crate) mod current;
pub(crate) mod current_op;
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
mod wake;

pub use crate::sys::os::Wait;
pub use current::{Entered, enter};
pub(crate) use current::{adopt, daemon_heirs, ident, is_me, record, thread_address};
pub(crate) use current_op::no_panic_scope;
pub(crate) use exit::{block_forever, keep_alive, keep_alive_token};
pub(crate) use flags::quiet;
pub(crate) use fork::{ForkSafe, Rank, forks};
pub(crate) use keep_alive::{KeepAlive, KeepAliveToken};
pub use locals::LocalsImage;
pub(crate) use lock_id::LockId;
pub use op::{Kind, Memory, Object, Op};
pub use place::Place;
pub use program::Program;
pub use scheduler::{Abandoned, Scheduler};
pub(crate) use scheduler::{drop_payload, with_program};
pub use seam::{
    acquired, deadline, idle_deadline, is_observed, now, on_foreign_step, point, point_until, releasing,
    releasing_for_wait, sleep_until, spawn, wait, yield_now,
};
pub(crate) use seam::{
    acquired_lock, acquired_shared_lock, enqueue_is_step, explored, panicked, reads_waiters, releasing_lock,
    releasing_lock_for_wait, returned, unhandled, wait_for_lock, watched,
};
pub(crate) use show::Show;
pub(crate) use thread_record::{AWAITED, HeldToken, RUNNING, ThreadRecord};
pub use trace::{Recording, Step, Visible, name, note};
pub(crate) use trace::{created, ordered, value};
pub use wake::{atom, commutative_change, signal, wake};
