//! How timers are started.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::Timer;
use super::service::{self, Shared};
use super::task::{Again, Call, Due, Job, Once, Start};
use crate::rt::{self, Kind, Place};
use crate::thread::{ProgramEnding, SpawnError, Spawned};

impl Timer {
    /// Runs `function` once, `delay` from now: never earlier, and as little later as the machine allows.
    ///
    /// A delay beyond what the clock can tell, such as [`Duration::MAX`], means never; the timer is pending all the
    /// same and can be cancelled. If the program is ending and would not wait for the timer, it is a daemon.
    ///
    /// # Panics
    /// If the operating system cannot start the service thread, which the first timer of a program needs; the
    /// [builder](Timer::builder) returns that as an error.
    ///
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let (say, said) = std::sync::mpsc::channel();
    /// Timer::after(Duration::from_millis(10), move || say.send("hello, world").unwrap());
    /// assert_eq!(said.recv()?, "hello, world");
    /// # Ok::<(), std::sync::mpsc::RecvError>(())
    /// ```
    #[track_caller]
    pub fn after(delay: Duration, function: impl FnOnce() + Send + 'static) -> Timer {
        or_panic(Timer::builder().once(rt::deadline(delay).into(), function, Ending::AsDaemon))
    }

    /// Runs `function` once, as soon as the clock shows `moment`; at once if it has passed.
    ///
    /// # Panics
    /// As [`after`](Timer::after).
    #[track_caller]
    pub fn at(moment: Instant, function: impl FnOnce() + Send + 'static) -> Timer {
        or_panic(Timer::builder().once(Due::At(moment), function, Ending::AsDaemon))
    }

    /// Runs `function` again and again, first one `period` from now, until the timer is cancelled.
    ///
    /// The ticks lie on a grid, one period apart, however long the function takes, and it never runs twice at
    /// once. Ticks that pass while it runs, or before a late run begins, are not made up for in a burst: the next
    /// run is at the next tick of the grid, and [`missed`](Timer::missed) counts them. A period of zero runs the
    /// function again as soon as it has run. Unlike a timer that runs once, this one is a daemon unless the
    /// builder says otherwise.
    ///
    /// # Panics
    /// As [`after`](Timer::after).
    ///
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let (tick, ticks) = std::sync::mpsc::channel();
    /// let clock = Timer::every(Duration::from_millis(2), move || tick.send(()).unwrap());
    /// assert_eq!(ticks.iter().take(3).count(), 3);
    /// assert!(clock.cancel());
    /// clock.wait()?; // from here on it is not running
    /// assert!(clock.runs() >= 3);
    /// # Ok::<(), raddle::thread::SelfJoinError>(())
    /// ```
    #[track_caller]
    pub fn every(period: Duration, function: impl FnMut() + Send + 'static) -> Timer {
        or_panic(Timer::builder().again(period, function, Ending::AsDaemon))
    }

    /// Begins a timer with a name or a daemon flag of its own, or whose start may fail.
    pub fn builder() -> TimerBuilder {
        TimerBuilder { name: None, daemon: None }
    }
}

/// A timer that is not started yet.
///
/// ```
/// use raddle::{Timer, thread};
/// use std::time::Duration;
///
/// let (say, said) = std::sync::mpsc::channel();
/// let alarm = Timer::builder()
///     .name("alarm")
///     .daemon(true)
///     .after(Duration::from_millis(5), move || say.send(thread::current().name()).unwrap())?;
/// assert_eq!(alarm.name(), "alarm");
/// assert_eq!(said.recv()?, "alarm");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it starts nothing until `after`, `at` or `every`"]
pub struct TimerBuilder {
    name: Option<Box<str>>,
    daemon: Option<bool>,
}

/// What becomes of a timer for which the program would have to wait, and does not because it is ending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    AsDaemon,
    Refused,
}

impl TimerBuilder {
    /// Names the timer, and the thread that runs its function while it does. Otherwise `Timer-N`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into());
        self
    }

    /// Whether the program may end before the timer is over. Otherwise inherited from the thread that starts it;
    /// a repeating timer is a daemon.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Starts a timer that runs `function` once, `delay` from now; see [`Timer::after`].
    ///
    /// # Errors
    /// Returns a [`SpawnError`], which gives the function back, if the operating system has no thread or memory for the
    /// timer service, or if the program is ending and the timer is not a daemon.
    #[track_caller]
    pub fn after<F>(self, delay: Duration, function: F) -> Result<Timer, SpawnError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.once(rt::deadline(delay).into(), function, Ending::Refused)
    }

    /// Starts a timer that runs `function` once, when the clock shows `moment`; see [`Timer::at`].
    ///
    /// # Errors
    /// As [`after`](TimerBuilder::after).
    #[track_caller]
    pub fn at<F>(self, moment: Instant, function: F) -> Result<Timer, SpawnError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.once(Due::At(moment), function, Ending::Refused)
    }

    /// Starts a timer that runs `function` once each `period`; see [`Timer::every`].
    ///
    /// # Errors
    /// As [`after`](TimerBuilder::after).
    #[track_caller]
    pub fn every<F>(self, period: Duration, function: F) -> Result<Timer, SpawnError<F>>
    where
        F: FnMut() + Send + 'static,
    {
        self.again(period, function, Ending::Refused)
    }

    #[track_caller]
    fn once<F>(self, due: Due, function: F, ending: Ending) -> Result<Timer, SpawnError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let daemon = self.daemon.unwrap_or_else(rt::daemon_default);
        match self.prepare(daemon, None, ending) {
            Ok((timers, start)) => Ok(begin(timers, start, due, Once::new(function))),
            Err((name, error)) => Err(SpawnError::new(Spawned::Timer, name, error, function)),
        }
    }

    #[track_caller]
    fn again<F>(self, period: Duration, function: F, ending: Ending) -> Result<Timer, SpawnError<F>>
    where
        F: FnMut() + Send + 'static,
    {
        let due = rt::deadline(period).into();
        let daemon = self.daemon.unwrap_or(true);
        match self.prepare(daemon, Some(period), ending) {
            Ok((timers, start)) => Ok(begin(timers, start, due, Again::new(function))),
            Err((name, error)) => Err(SpawnError::new(Spawned::Timer, name, error, function)),
        }
    }

    /// Sees to everything that can fail.
    #[track_caller]
    fn prepare(self, daemon: bool, period: Option<Duration>, ending: Ending) -> Prepared {
        let timers = Shared::of_program();
        if let Err(error) = service::ensure(&timers) {
            return Err((self.name, error));
        }
        let keep_alive = if daemon { None } else { rt::keep_alive_token() };
        let unbound = !daemon && keep_alive.is_none();
        if unbound && ending == Ending::Refused {
            return Err((self.name, ProgramEnding.into()));
        }
        let at = Place::caller();
        Ok((timers, Start { name: self.name, daemon: daemon || unbound, period, keep_alive, at }))
    }
}

type Prepared = Result<(Shared, Start), (Option<Box<str>>, io::Error)>;

fn begin<C: Call + 'static>(timers: Shared, start: Start, due: Due, call: C) -> Timer {
    let job: Arc<Job> = Arc::new(Job::new(start, call));
    rt::point(job.op(Kind::Start));
    let key = timers.insert(job.clone(), due);
    Timer::new(timers, job, key)
}

#[track_caller]
fn or_panic<F>(started: Result<Timer, SpawnError<F>>) -> Timer {
    match started {
        Ok(timer) => timer,
        Err(error) => panic!("{error}"),
    }
}
