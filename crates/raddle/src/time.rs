//! The clock that raddle's timeouts use.
//!
//! In production this is the clock of the operating system: [`now`] is [`Instant::now`] and [`sleep`] is
//! [`std::thread::sleep`]. Under an explorer it is the clock of the execution. That clock is virtual. It advances when a
//! sleep ends or a wait times out, which an explorer may let happen between any two steps, and while a thread polls it. A
//! sleep takes no real time. A program that reads the time through this module can therefore be explored, and its tests are
//! deterministic.
//!
//! # Examples
//! ```
//! use raddle::time;
//! use std::time::Duration;
//!
//! let start = time::now();
//! time::sleep(Duration::from_millis(2));
//! assert!(time::now() - start >= Duration::from_millis(2));
//! ```

use std::time::{Duration, Instant};

use crate::rt::{self, Kind, Op};

/// Returns the current time of the clock.
///
/// # Examples
/// ```
/// use raddle::{Event, time};
/// use std::time::Duration;
///
/// let event = Event::new();
/// let deadline = time::now() + Duration::from_millis(1); // one deadline for several waits
/// assert!(!event.wait_deadline(deadline));
/// assert!(time::now() >= deadline);
/// ```
#[inline]
#[must_use = "reading the clock has no effect"]
#[track_caller]
pub fn now() -> Instant {
    static CLOCK: u8 = 0;
    rt::point(Op::new(&CLOCK, "clock", Kind::Clock));
    rt::now()
}

/// Blocks the calling thread for at least `duration`.
///
/// For a duration beyond the range of the clock, this blocks for centuries instead of panicking.
/// [`thread::sleep`](crate::thread::sleep) is the same function under Python's name.
///
/// # Examples
/// ```
/// use raddle::time;
/// use std::time::Duration;
///
/// let start = time::now();
/// time::sleep(Duration::from_millis(1));
/// assert!(time::now() - start >= Duration::from_millis(1));
/// ```
#[track_caller]
pub fn sleep(duration: Duration) {
    let forever = Duration::from_secs(u32::MAX.into());
    let until = rt::deadline(duration).unwrap_or_else(|| rt::now() + forever);
    rt::sleep_until(Op::new(&until, "clock", Kind::Sleep), until);
}

/// Blocks the calling thread until the clock shows `deadline`, and not at all if that time has passed.
///
/// A loop that sleeps until a deadline keeps its rhythm, whereas one that sleeps for a duration adds its own run time to
/// each round.
///
/// # Examples
/// ```
/// use raddle::time;
/// use std::time::Duration;
///
/// let period = Duration::from_millis(1);
/// let start = time::now();
/// let mut next = start;
/// for _ in 0..3 {
///     next += period;
///     time::sleep_until(next);
/// }
/// assert!(time::now() - start >= 3 * period);
/// ```
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    rt::sleep_until(Op::new(&deadline, "clock", Kind::Sleep), deadline);
}
