//! Functions that run later: any number of timers on one service thread.
//!
//! A [`Timer`] is all that most programs need. What happens behind it:
//!
//! - One thread, the service, waits for all timers of the program. It is started by the first timer, sleeps until the
//!   next one is due, and is woken early only for one that is due sooner. With no timer pending it sleeps without limit.
//! - Functions never run on the service thread. A due timer is handed to a runner: an idle one if there is one, or
//!   a new thread while there are fewer than twice the processors. When all are busy, and for a millisecond fewer
//!   functions begin than there are runners, one more is started, so that slow functions, however many, hold the
//!   others up by little. A runner that has been idle for three seconds ends.
//!   Under an explorer, time that passes while these threads are idle is not explored: runners stay, and a due timer
//!   gets a new one as long as there are fewer than 64.
//! - Timers are handed out in the order of their due times, equal ones in the order in which they were started:
//!   when a timer's function runs, no timer that is due before it can still be cancelled. As several functions may
//!   run at once, what they *do* can happen in any order.
//! - If the operating system refuses a thread, the timers that are due stay in line: the runners that exist take them
//!   as they come free, and the service tries again every ten milliseconds. Nothing is lost, it comes later, and
//!   [`lateness`](Timer::lateness) tells by how much. If there is no runner at all, the
//!   [excepthook](crate::thread::set_excepthook) hears of it, once until there is one again.
//! - Inside a function, [`thread::current`](crate::thread::current) has the timer's name and daemon flag; but the
//!   thread is lent: `ident`, thread-locals and the end of the thread are those of a runner that runs other timers'
//!   functions before and after. [`enumerate`](crate::thread::enumerate) lists neither service nor runners.
//!
//! Starting and cancelling cost a lock and a place in a heap. A cancelled timer's function is dropped at once, and what
//! it leaves in the heap is cleared away before it is more than half of it.

mod builder;
mod handle;
mod schedule;
mod service;
mod task;

pub use builder::TimerBuilder;
pub use handle::Timer;
pub(crate) use service::{Retry, retry_for, start_service};
