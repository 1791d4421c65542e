//! The handle of a timer.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::schedule::TimerKey;
use super::service::ServiceRef;
use super::task::TimerTask;
use crate::rt::{self, Kind, Op, Wait};
use crate::thread::SelfJoinError;

/// A function that runs later, or repeatedly, on a thread of raddle's.
///
/// This is Python's `Timer(interval, function)`, already started: [`after`](Timer::after) a delay, [`at`](Timer::at) a
/// moment, or [`every`](Timer::every) period. The [`builder`](Timer::builder) sets a name and the daemon flag.
/// [`cancel`](Timer::cancel) prevents the function from running. The [module](crate::timer) describes the threads that
/// run the functions.
///
/// The type is a handle. Clones refer to the same timer, and dropping the last of them does not cancel it.
///
/// # The end of the program
/// A pending timer that is not a daemon keeps the program alive, as a thread does; see
/// [the end of the program](crate::thread#the-end-of-the-program). A timer inherits the daemon flag of the thread that
/// starts it, except that a repeating timer is a daemon by default. Threads that the function starts inherit the
/// timer's flag. A timer whose function calls [`std::process::exit`] has finished.
///
/// # Forked children
/// A child does not have the timers of its parent. There they never run, count as finished and cannot be cancelled.
///
/// # Panics in the function
/// A panic of the function is reported to the [excepthook](crate::thread::set_excepthook) and finishes the timer. A
/// repeating timer does not run again, because the panic may have left the function's state inconsistent. Other timers
/// are not affected.
///
/// # Memory ordering
/// Everything that a thread did before it started the timer happens before the function runs. Everything that the function
/// did happens before a `wait` returns and before the function runs again.
///
/// # Examples
/// ```
/// use raddle::{Event, Timer};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let answered = Arc::new(Event::new());
/// let set = |event: &Arc<Event>| { let event = event.clone(); move || event.set() };
///
/// let alarm = Timer::after(Duration::from_secs(30), set(&answered));
/// assert!(alarm.cancel()); // in time: the function never runs
/// assert!(!answered.is_set());
///
/// let soon = Timer::after(Duration::from_millis(5), set(&answered));
/// soon.wait()?;
/// assert!(answered.is_set());
/// assert!(!soon.cancel()); // too late
/// # Ok::<(), raddle::thread::SelfJoinError>(())
/// ```
#[derive(Clone)]
pub struct Timer {
    service: ServiceRef,
    task: Arc<TimerTask>,
    key: TimerKey,
}

impl Timer {
    pub(super) fn new(service: ServiceRef, task: Arc<TimerTask>, key: TimerKey) -> Self {
        Self { service, task, key }
    }

    /// Cancels the timer, and returns whether that prevented its function from running.
    ///
    /// Returns `false` if the timer has finished or was cancelled before, and for a timer that runs once also while its
    /// function is running. Of any number of calls, at most one returns `true`.
    ///
    /// A repeating timer can be cancelled while its function is running, also by the function itself. That run completes
    /// and is the last one.
    ///
    /// The function is dropped before this returns, or by the thread that is running it.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let alarm = Timer::after(Duration::from_secs(30), || panic!("too late"));
    /// assert!(alarm.cancel());
    /// assert!(!alarm.cancel()); // nothing is left to cancel
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        rt::point(Op::new(&*self.task, "Timer", Kind::Write).with_verb("cancels"));
        !self.service.is_inherited() && self.service.cancel(self.key)
    }

    /// Returns whether the timer has finished: its function is not running and will not run again.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let alarm = Timer::after(Duration::from_secs(30), || ());
    /// assert!(!alarm.is_finished());
    /// alarm.cancel();
    /// assert!(alarm.is_finished());
    /// ```
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        rt::point(Op::new(&*self.task, "Timer", Kind::Read));
        self.has_finished()
    }

    /// Blocks until the timer has finished and its function has been dropped.
    ///
    /// A timer finishes when its function has run or it is cancelled. A repeating timer finishes when it is cancelled and
    /// the last run has ended.
    ///
    /// # Errors
    /// Returns [`SelfJoinError`] if the timer's own function waits for it.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let soon = Timer::after(Duration::from_millis(1), || ());
    /// soon.wait()?;
    /// assert_eq!(soon.runs(), 1);
    /// # Ok::<(), raddle::thread::SelfJoinError>(())
    /// ```
    #[track_caller]
    pub fn wait(&self) -> Result<(), SelfJoinError> {
        if self.task.is_own() {
            return Err(SelfJoinError);
        }
        self.wait_until(None);
        Ok(())
    }

    /// Blocks until the timer has finished, for at most `timeout`, and returns whether it has.
    ///
    /// Returns `false` at once if the timer's own function waits for it.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let alarm = Timer::after(Duration::from_secs(30), || ());
    /// assert!(!alarm.wait_timeout(Duration::from_millis(1)));
    /// alarm.cancel();
    /// assert!(alarm.wait_timeout(Duration::from_millis(1)));
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(rt::deadline(timeout))
    }

    /// Blocks until the timer has finished, until `deadline` at the latest, and returns whether it has.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Timer, time};
    /// use std::time::Duration;
    ///
    /// let timers = [1, 2].map(|ms| Timer::after(Duration::from_millis(ms), || ()));
    /// let deadline = time::now() + Duration::from_secs(60); // shared by both waits
    /// assert!(timers.iter().all(|timer| timer.wait_deadline(deadline)));
    /// ```
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if self.task.is_own() {
            return false;
        }
        let op = Op::new(&*self.task, "Timer", Kind::Await);
        rt::point_until(op, deadline, self.task.state(), || self.has_finished());
        self.has_finished() || self.task.wait_until(&Wait::new(&op).with_deadline(deadline))
    }

    fn has_finished(&self) -> bool {
        self.task.is_finished() || (self.service.is_inherited() && !self.task.is_own())
    }

    /// Returns by how much the last run began later than it was due, or `None` if the function has never run.
    ///
    /// A run never begins early.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let soon = Timer::after(Duration::from_millis(1), || ());
    /// soon.wait()?;
    /// println!("late by {:?}", soon.lateness().expect("it has run"));
    /// # Ok::<(), raddle::thread::SelfJoinError>(())
    /// ```
    #[track_caller]
    pub fn lateness(&self) -> Option<Duration> {
        rt::point(Op::new(&*self.task, "Timer", Kind::Read));
        self.task.lateness()
    }

    /// Returns how many runs of the function have begun.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Semaphore, Timer};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let ticks = Arc::new(Semaphore::new(0));
    /// let clock = Timer::every(Duration::from_millis(1), {
    ///     let ticks = ticks.clone();
    ///     move || ticks.release()
    /// });
    /// ticks.acquire_many(3).forget();
    /// assert!(clock.runs() >= 3);
    /// clock.cancel();
    /// ```
    #[track_caller]
    pub fn runs(&self) -> u64 {
        rt::point(Op::new(&*self.task, "Timer", Kind::Read));
        self.task.runs()
    }

    /// Returns how many ticks of a repeating timer passed while its function was running or late to begin.
    ///
    /// Missed ticks are not made up for.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Timer, time};
    /// use std::time::Duration;
    ///
    /// let ms = Duration::from_millis;
    /// let clock = Timer::every(ms(1), move || time::sleep(ms(5))); // slower than its period
    /// while clock.missed() == 0 {
    ///     time::sleep(ms(1));
    /// }
    /// clock.cancel();
    /// ```
    #[track_caller]
    pub fn missed(&self) -> u64 {
        rt::point(Op::new(&*self.task, "Timer", Kind::Read));
        self.task.missed()
    }

    /// Returns the timer's name: the one given to the builder, or `Timer-N`.
    ///
    /// The thread that runs the function has this name meanwhile.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let alarm = Timer::builder().name("alarm").after(Duration::from_millis(1), || ())?;
    /// assert_eq!(alarm.name(), "alarm");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(&self) -> String {
        self.task.name()
    }

    /// Returns whether the program may end before the timer has finished.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let clock = Timer::every(Duration::from_secs(30), || ());
    /// assert!(clock.is_daemon()); // the default of a repeating timer
    /// ```
    pub fn is_daemon(&self) -> bool {
        self.task.daemon
    }

    /// Returns how many timers of the program have still to run: they are not due, or wait for a thread.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let alarm = Timer::after(Duration::from_secs(30), || ());
    /// assert!(Timer::pending() >= 1);
    /// alarm.cancel();
    /// ```
    #[track_caller]
    pub fn pending() -> usize {
        let service = ServiceRef::of_program();
        rt::point(Op::new(&*service, "timers", Kind::Read));
        service.pending()
    }
}

// A panic of the function finishes the timer, and no handle can see the function's state.
impl UnwindSafe for Timer {}
impl RefUnwindSafe for Timer {}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.task, "Timer", Kind::Read));
        f.debug_struct("Timer")
            .field("name", &self.name())
            .field("daemon", &self.is_daemon())
            .field("period", &self.task.period())
            .field("runs", &self.task.runs())
            .field("finished", &self.has_finished())
            .finish_non_exhaustive()
    }
}
