//! Timers: functions that run later, any number of them on one service thread.
//!
//! [`Timer`] is all that most programs need. This page describes the threads behind it.
//!
//! - **Service thread.** One thread waits for all timers of the program. The first timer starts it. It parks until the next
//!   timer is due, and is woken early only for a timer that is due earlier.
//! - **Runners.** The service thread never runs a function. It passes a due timer to an idle runner, or to a new one while
//!   there are fewer runners than twice the processors. Beyond that, one more runner is started whenever all of them have
//!   been busy for a millisecond and few functions have begun meanwhile. Slow functions therefore delay the others by a few
//!   milliseconds only. A runner that has been idle for three seconds terminates.
//! - **Order.** Timers are passed to runners in the order of their due times, and in the order of their starts if those
//!   are equal. Once a timer's function runs, no timer that is due before it can be cancelled any more. Because several
//!   functions run concurrently, their effects have no order.
//! - **Shortage.** If the operating system cannot start a runner, due timers wait for one that exists, and the start is
//!   retried every ten milliseconds. No timer is lost; [`lateness`](Timer::lateness) says by how much it was late. If
//!   there is no runner at all, the [excepthook](crate::thread::set_excepthook) is called once until there is one again.
//! - **Identity.** While a function runs, [`thread::current`](crate::thread::current) has the timer's name and daemon flag.
//!   The `ident` and the thread-locals are those of the runner, which runs functions of other timers before and after.
//!   [`thread::enumerate`](crate::thread::enumerate) lists neither the service thread nor the runners.
//!
//! Starting or cancelling a timer costs a lock and an operation on a binary heap. The function of a cancelled timer is
//! dropped at once. Heap entries of cancelled timers are removed before they are more than half of the heap.
//!
//! Under a scheduler, the idle time of these threads is not explored: runners do not terminate, and up to 64 of them are
//! started without delay.
//!
//! # Examples
//! ```
//! use raddle::Timer;
//! use std::time::Duration;
//!
//! let timers = [3, 1, 2].map(|ms| Timer::after(Duration::from_millis(ms), || ()));
//! for timer in &timers {
//!     timer.wait()?; // one service thread waits for all of them
//! }
//! assert!(timers.iter().all(|timer| timer.runs() == 1));
//! # Ok::<(), raddle::thread::SelfJoinError>(())
//! ```

mod builder;
mod handle;
mod schedule;
mod service;
mod task;

pub use builder::TimerBuilder;
pub use handle::Timer;
pub(crate) use service::{Retry, retry_for, start_service};
