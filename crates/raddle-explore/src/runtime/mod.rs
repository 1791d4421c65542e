//! The scheduler under exploration: runs a program once, on real threads of which one runs at a time.
//!
//! # One execution
//!
//! An [`Execution`] implements [`raddle::rt::Scheduler`]. Every thread of the program is a *task* and runs on a thread of
//! the operating system of its own. A task calls into the scheduler before every operation; this is its next *step*. There it
//! waits for the *run token*. The task that holds the token takes its step and runs up to its next one. Then it evaluates
//! which tasks are *enabled*, has a [`Policy`] choose one of them, and passes the token on.
//!
//! | file | concept |
//! |---|---|
//! | `execution` | one execution: its begin, its end, and the part that is visible from outside |
//! | `run_token` | how a task waits for the token and passes it on |
//! | `scheduler` | the effect of each call of raddle's primitives under exploration |
//! | `state` | which tasks are enabled, and the effect of a step |
//! | `task`, `objects`, `record` | the data of an execution |
//! | `data_races`, `vector_clock` | accesses that no order separates |
//! | `unwinding` | how the tasks of an execution that has ended terminate |
//! | `os_threads`, `panic_hook` | threads of the operating system, and their thread-locals |
//! | `foreign`, `watchdog` | threads and waits that the scheduler does not control |
//!
//! # Invariants
//!
//! - At most one task runs between two steps, so the state of the program is sequentially consistent.
//! - The enabled tasks, and their order, depend on earlier choices alone. The same holds for the other inputs of a policy.
//! - An execution ends after at most [`Rules::max_steps`](crate::options::Rules) steps, and every task is unwound then.
mod data_races;
mod execution;
mod fast_map;
mod foreign;
mod objects;
mod os_threads;
mod panic_hook;
mod policy;
mod record;
mod run_token;
mod scheduler;
mod state;
mod task;
mod task_set;
mod trace;
mod unwinding;
mod vector_clock;
mod watchdog;

pub(crate) use execution::{Program, Runner};
pub(crate) use fast_map::FastMap;
pub(crate) use foreign::{ForeignStep, listen};
pub(crate) use objects::{Access, CLOCK, Mode, ObjectKey, Objects};
pub(crate) use os_threads::{locals_are_unchanged, remember_locals};
pub(crate) use panic_hook::SourceLocation;
pub(crate) use policy::{Policy, View};
pub(crate) use record::{BlockedTask, Event, Failure, Hold, StepRecord};
pub(crate) use task::Task;
pub(crate) use task_set::{TaskSet, singleton};
pub(crate) use trace::Trace;
pub(crate) use vector_clock::VectorClock;
pub(crate) use watchdog::{StallDetector, has_foreign_threads, report_stalled};
