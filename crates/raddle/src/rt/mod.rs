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

mod abandoned;
mod current;
mod doing;
mod ending;
mod enter;
mod exit;
mod flags;
mod fork;
mod hints;
mod locals;
mod locking;
mod mark;
mod memory;
mod op;
mod os;
mod place;
mod program;
mod record;
mod scheduler;
mod seam;
mod settings;
mod show;
mod slot;
mod spin;
mod starting;
mod trace;
mod under;
mod waking;
pub(crate) mod watch;

pub use abandoned::Abandoned;
pub(crate) use abandoned::drop_payload;
pub(crate) use current::{adopt, daemon_heirs, here, ident, is_me, record};
pub(crate) use doing::{awaits, firm};
pub(crate) use ending::{Obligation, Pledge};
pub use enter::{Entered, enter};
pub(crate) use exit::{never_return, oblige, pledge};
pub(crate) use flags::{quiet, watch_on, watching};
pub(crate) use fork::{ForkSafe, Rank, forks};
pub(crate) use hints::{prefetch, prefetch_to_write};
pub use locals::LocalsImage;
pub(crate) use locking::{gave_lock, lend_lock, took_lock, took_shared_lock};
pub(crate) use mark::Mark;
pub use memory::Memory;
pub use op::{Kind, Object, Op};
pub use os::Wait;
pub use place::Place;
pub use program::Program;
pub(crate) use record::{AWAITED, Duty, RUNNING, Record};
pub use scheduler::Scheduler;
pub(crate) use seam::{
    arrivals, explored, nanoseconds, on_sigquit, panicked, processors, returned, sees_arrivals,
    set_timer_slack, unhandled, watched, write_error,
};
pub use seam::{
    deadline, gave, idle_deadline, is_observed, lend, now, on_foreign_step, point, point_until, sleep_until,
    spawn, took, wait, yield_now,
};
pub use settings::Action;
pub(crate) use settings::{set_action, set_lock_order, set_suspect_after};
pub(crate) use show::Show;
pub(crate) use spin::{Spin, pause};
pub use trace::{Recording, Step, Visible, name, note};
pub(crate) use trace::{made, ordered, value};
pub(crate) use under::with_program;
pub use waking::{atom, signal, tally, wake};
