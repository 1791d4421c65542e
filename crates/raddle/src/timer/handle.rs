//! A timer as its user holds it.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::schedule::Key;
use super::service::Shared;
use super::task::Job;
use crate::rt::{self, Kind, Op};
use crate::thread::SelfJoinError;

/// A function that runs later, or again and again, on a thread of the toolkit's; [`cancel`](Timer::cancel)
/// prevents it.
///
/// Python's `Timer(interval, function)` with `start()` done: [`after`](Timer::after) a delay, [`at`](Timer::at) a
/// moment, [`every`](Timer::every) so often, and a [`builder`](Timer::builder) for a name and the daemon flag.
/// See the [module](crate::timer) for which thread runs the function, and what that means.
///
/// This is a handle: clones mean the same timer, and dropping it cancels nothing, as in Python.
///
/// # End of the program
/// As in Python, a timer is not a daemon unless the thread that starts it is one, and a pending timer that is not
/// a daemon keeps the program alive until its function has run, or it is cancelled. A repeating timer, which would
/// keep the program alive for ever, is a daemon unless the [builder](crate::timer::TimerBuilder::daemon) says
/// otherwise. Threads that the function starts inherit the timer's daemon flag. A timer whose function calls
/// [`std::process::exit`] is over.
///
/// # Forked children
/// A child does not have the timers of its parent: there they never run, count as finished and cannot be cancelled. Timers
/// that the child starts are its own.
///
/// # A panic
/// in the function is reported through the [excepthook](crate::thread::set_excepthook). It ends the timer, also a
/// repeating one: what the function had half done to its state would meet it at the next run. Other timers notice
/// nothing.
///
/// # Memory ordering
/// What a thread did before it started the timer happens before the function runs; what the function did happens
/// before the return of a `wait`, and before its own next run.
///
/// ```
/// use raddle::{Event, Timer};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let answered = Arc::new(Event::new());
/// let alarm = Timer::after(Duration::from_secs(30), { let answered = answered.clone(); move || answered.set() });
/// assert!(alarm.cancel());      // in time: the function never runs
/// assert!(!alarm.cancel());     // nothing left to cancel, and no error
/// assert!(!answered.is_set());
///
/// let soon = Timer::after(Duration::from_millis(5), { let answered = answered.clone(); move || answered.set() });
/// soon.wait()?;
/// assert!(answered.is_set() && !soon.cancel());
/// println!("it began {:?} late", soon.lateness().unwrap());
/// # Ok::<(), raddle::thread::SelfJoinError>(())
/// ```
#[derive(Clone)]
pub struct Timer {
    timers: Shared,
    job: Arc<Job>,
    key: Key,
}

impl Timer {
    pub(super) fn new(timers: Shared, job: Arc<Job>, key: Key) -> Self {
        Self { timers, job, key }
    }

    /// Cancels the timer; true: its function will not start after this, and would have without.
    ///
    /// False: it has run, is running, or was cancelled before. Of any number of calls at most one says true, and
    /// a timer that runs once either runs or has one. While a repeating timer's function runs, which may itself be
    /// the caller, the run goes on to its end and is the last one. The function is dropped before this returns,
    /// or by the thread that is running it.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        rt::point(Op::new(&*self.job, "Timer", Kind::Write).with_verb("cancels"));
        !self.timers.are_an_ancestors() && self.timers.cancel(self.key)
    }

    /// Says whether the timer is over: the function is not running, and will not run (again).
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        rt::point(Op::new(&*self.job, "Timer", Kind::Read));
        self.is_over()
    }

    /// Waits until the timer is over: until the function has run or the timer was cancelled, and the function
    /// was dropped. A repeating timer is over when it was cancelled and the last run has ended.
    ///
    /// # Errors
    /// [`SelfJoinError`] if the timer's own function asks.
    #[track_caller]
    pub fn wait(&self) -> Result<(), SelfJoinError> {
        if self.job.is_own() {
            return Err(SelfJoinError);
        }
        self.wait_until(None);
        Ok(())
    }

    /// Waits until the timer is over, `timeout` at most; says whether it is. Inside its own function it is not,
    /// and waiting will not change that, so the answer is no, at once.
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(rt::deadline(timeout))
    }

    /// Waits until the timer is over, until `deadline` at most; says whether it is.
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if self.job.is_own() {
            return false;
        }
        let op = Op::new(&*self.job, "Timer", Kind::Await);
        rt::point_until(op, deadline, self.job.word(), || self.is_over());
        self.is_over() || self.job.wait_until(deadline)
    }

    fn is_over(&self) -> bool {
        self.job.is_over() || (self.timers.are_an_ancestors() && !self.job.is_own())
    }

    /// How much later than due the function began when it last did; `None`: it never did. It never begins early.
    #[track_caller]
    pub fn lateness(&self) -> Option<Duration> {
        rt::point(Op::new(&*self.job, "Timer", Kind::Read));
        self.job.lateness()
    }

    /// How often the function has begun to run.
    #[track_caller]
    pub fn runs(&self) -> u64 {
        rt::point(Op::new(&*self.job, "Timer", Kind::Read));
        self.job.runs()
    }

    /// How many ticks of a repeating timer passed while its function was running, or late to begin. They are not
    /// made up for.
    #[track_caller]
    pub fn missed(&self) -> u64 {
        rt::point(Op::new(&*self.job, "Timer", Kind::Read));
        self.job.missed()
    }

    /// The timer's name: given, or `Timer-N`. Inside the function it is the thread's name.
    pub fn name(&self) -> String {
        self.job.name()
    }

    /// Whether the program may end before the timer is over.
    pub fn is_daemon(&self) -> bool {
        self.job.daemon
    }

    /// How many timers of this program have still to run: they wait for their time, or for a thread.
    #[track_caller]
    pub fn pending() -> usize {
        let timers = Shared::of_program();
        rt::point(Op::new(&*timers, "timers", Kind::Read));
        timers.pending()
    }
}

// A panic of the function ends the timer, and is the timer's own.
impl UnwindSafe for Timer {}
impl RefUnwindSafe for Timer {}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.job, "Timer", Kind::Read));
        f.debug_struct("Timer")
            .field("name", &self.name())
            .field("daemon", &self.is_daemon())
            .field("period", &self.job.period())
            .field("runs", &self.job.runs())
            .field("finished", &self.is_over())
            .finish_non_exhaustive()
    }
}
