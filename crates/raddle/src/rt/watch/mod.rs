//! The watch, as the seam uses it; [`raddle::watch`](crate::watch) tells its users what it does.
//!
//! While it is on, each wait has a place in a table. A wait without limit sleeps in slices. A slice that ran out
//! *proves* that the thread was not woken, unless somebody woke its word in the meantime; a later wake takes the
//! proof back. When all threads of the process are proven at one moment, no code runs that could wake any of them, except
//! for signal handlers: while the program has some, this is a suspicion only.
//! Whoever waits with a limit, sleeps, or waits for something outside raddle is never proven, so the watch does not
//! cry wolf.
//!
//! At the end of each slice the thread also asks whether it waits for itself by way of others (`chain`).

mod chain;
mod describe;
mod dump;
mod entry;
mod holds;
mod hook;
mod judge;
mod order;
mod pool;
mod report;
mod state;
mod table;
mod taking;

pub use dump::{Dump, dump};
pub(super) use entry::{Leaving, sleep_until, wait, waking};
pub use hook::{reset_hook, set_hook};
pub(crate) use pool::{say_of_own_task, say_of_pool, stuck_pool};
pub use report::{Finding, Order, Report};
pub use state::{HoldState, Holder, ThreadState, WaitState};
pub(super) use taking::{gave, took};
