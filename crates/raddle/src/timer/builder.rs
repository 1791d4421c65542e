//! Starting timers.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::Timer;
use super::service::{self, ServiceRef};
use super::task::{Due, OnceFn, RepeatingFn, TimerFn, TimerSettings, TimerTask};
use crate::rt::{self, Kind, Place};
use crate::thread::{ProgramEnding, SpawnError, Spawned};

impl Timer {
    /// Starts a timer that runs `function` once, after `delay`.
    ///
    /// The function never runs early. With a delay beyond the range of the clock, such as [`Duration::MAX`], it never
    /// runs; the timer is pending and can be cancelled. If the program is ending and would not wait for the timer, the
    /// timer is a daemon.
    ///
    /// # Panics
    /// Panics if the operating system cannot start the service thread, which the first timer of a program needs. The
    /// [builder](Timer::builder) returns an error instead.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// let (sender, messages) = mpsc::channel();
    /// Timer::after(Duration::from_millis(10), move || sender.send("hello, world").unwrap());
    /// assert_eq!(messages.recv()?, "hello, world");
    /// # Ok::<(), mpsc::RecvError>(())
    /// ```
    #[track_caller]
    pub fn after(delay: Duration, function: impl FnOnce() + Send + 'static) -> Timer {
        unwrap(Timer::builder().start_once(rt::deadline(delay).into(), function, AtProgramEnd::RunAsDaemon))
    }

    /// Starts a timer that runs `function` once, at `moment`, or at once if that has passed.
    ///
    /// # Panics
    /// As [`after`](Timer::after).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Timer, time};
    /// use std::time::Duration;
    ///
    /// let moment = time::now() + Duration::from_millis(1);
    /// let timer = Timer::at(moment, move || assert!(time::now() >= moment));
    /// timer.wait()?;
    /// # Ok::<(), raddle::thread::SelfJoinError>(())
    /// ```
    #[track_caller]
    pub fn at(moment: Instant, function: impl FnOnce() + Send + 'static) -> Timer {
        unwrap(Timer::builder().start_once(Due::At(moment), function, AtProgramEnd::RunAsDaemon))
    }

    /// Starts a timer that runs `function` every `period`, the first time after one period, until it is cancelled.
    ///
    /// The ticks lie on a grid, one period apart, regardless of how long the function takes. The function never runs twice at
    /// the same time. Ticks that pass while it runs, or before a late run begins, are skipped and counted by
    /// [`missed`](Timer::missed); the next run is at the next tick. With a period of zero, the function runs again as soon as
    /// it has returned. Unlike a timer that runs once, a repeating timer is a daemon by default.
    ///
    /// # Panics
    /// As [`after`](Timer::after).
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// let (sender, ticks) = mpsc::channel();
    /// let clock = Timer::every(Duration::from_millis(2), move || sender.send(()).unwrap());
    /// assert_eq!(ticks.iter().take(3).count(), 3);
    /// assert!(clock.cancel());
    /// clock.wait()?; // the last run has ended
    /// assert!(clock.runs() >= 3);
    /// # Ok::<(), raddle::thread::SelfJoinError>(())
    /// ```
    #[track_caller]
    pub fn every(period: Duration, function: impl FnMut() + Send + 'static) -> Timer {
        unwrap(Timer::builder().start_repeating(period, function, AtProgramEnd::RunAsDaemon))
    }

    /// Returns a builder for a timer with a name or a daemon flag, or whose start may fail.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// let alarm = Timer::builder().name("alarm").daemon(true).after(Duration::from_millis(1), || ())?;
    /// assert!(alarm.is_daemon());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn builder() -> TimerBuilder {
        TimerBuilder { name: None, daemon: None }
    }
}

/// The settings of a timer that has not been started; see [`Timer::builder`].
///
/// # Examples
/// ```
/// use raddle::{Timer, thread};
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let (sender, names) = mpsc::channel();
/// Timer::builder()
///     .name("alarm")
///     .daemon(true)
///     .after(Duration::from_millis(1), move || sender.send(thread::current().name()).unwrap())?;
/// assert_eq!(names.recv()?, "alarm");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder starts nothing until `after`, `at` or `every` is called"]
pub struct TimerBuilder {
    name: Option<Box<str>>,
    daemon: Option<bool>,
}

/// The treatment of a timer that is not a daemon when the program is ending and would not wait for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtProgramEnd {
    RunAsDaemon,
    Fail,
}

impl TimerBuilder {
    /// Sets the name of the timer, which its thread has while the function runs. The default is `Timer-N`.
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
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into());
        self
    }

    /// Sets whether the program may end before the timer has finished.
    ///
    /// The default is inherited from the thread that starts the timer. A repeating timer is a daemon by default.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// // The program ends although this timer is pending for an hour.
    /// let hour = Duration::from_secs(3600);
    /// assert!(Timer::builder().daemon(true).after(hour, || ())?.is_daemon());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Starts a timer that runs `function` once, after `delay`; see [`Timer::after`].
    ///
    /// # Errors
    /// Returns a [`SpawnError`], which gives the function back, if the operating system has no thread or memory for the
    /// timer service, or if the program is ending and the timer is not a daemon.
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// match Timer::builder().after(Duration::from_millis(1), || println!("hello")) {
    ///     Ok(timer) => timer.wait()?,
    ///     Err(error) => error.into_inner()(), // no thread available: run it here
    /// }
    /// # Ok::<(), raddle::thread::SelfJoinError>(())
    /// ```
    #[track_caller]
    pub fn after<F>(self, delay: Duration, function: F) -> Result<Timer, SpawnError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.start_once(rt::deadline(delay).into(), function, AtProgramEnd::Fail)
    }

    /// Starts a timer that runs `function` once, at `moment`; see [`Timer::at`].
    ///
    /// # Errors
    /// As [`after`](TimerBuilder::after).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Timer, time};
    ///
    /// let timer = Timer::builder().name("now").at(time::now(), || ())?;
    /// timer.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn at<F>(self, moment: Instant, function: F) -> Result<Timer, SpawnError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.start_once(Due::At(moment), function, AtProgramEnd::Fail)
    }

    /// Starts a timer that runs `function` every `period`; see [`Timer::every`].
    ///
    /// # Errors
    /// As [`after`](TimerBuilder::after).
    ///
    /// # Examples
    /// ```
    /// use raddle::Timer;
    /// use std::time::Duration;
    ///
    /// // Not a daemon: the program runs until the timer is cancelled.
    /// let clock = Timer::builder().daemon(false).every(Duration::from_millis(1), || ())?;
    /// assert!(clock.cancel());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn every<F>(self, period: Duration, function: F) -> Result<Timer, SpawnError<F>>
    where
        F: FnMut() + Send + 'static,
    {
        self.start_repeating(period, function, AtProgramEnd::Fail)
    }

    #[track_caller]
    fn start_once<F>(self, due: Due, function: F, at_end: AtProgramEnd) -> Result<Timer, SpawnError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let daemon = self.daemon.unwrap_or_else(rt::daemon_default);
        match self.prepare(daemon, None, at_end) {
            Ok((service, settings)) => Ok(start(service, settings, due, OnceFn::new(function))),
            Err((name, error)) => Err(SpawnError::new(Spawned::Timer, name, error, function)),
        }
    }

    #[track_caller]
    fn start_repeating<F>(
        self,
        period: Duration,
        function: F,
        at_end: AtProgramEnd,
    ) -> Result<Timer, SpawnError<F>>
    where
        F: FnMut() + Send + 'static,
    {
        let due = rt::deadline(period).into();
        let daemon = self.daemon.unwrap_or(true);
        match self.prepare(daemon, Some(period), at_end) {
            Ok((service, settings)) => Ok(start(service, settings, due, RepeatingFn::new(function))),
            Err((name, error)) => Err(SpawnError::new(Spawned::Timer, name, error, function)),
        }
    }

    /// Performs everything that can fail.
    #[track_caller]
    fn prepare(self, daemon: bool, period: Option<Duration>, at_end: AtProgramEnd) -> Prepared {
        let service = ServiceRef::of_program();
        if let Err(error) = service::ensure_started(&service) {
            return Err((self.name, error));
        }
        let keep_alive = if daemon { None } else { rt::keep_alive_token() };
        let ending = !daemon && keep_alive.is_none();
        if ending && at_end == AtProgramEnd::Fail {
            return Err((self.name, ProgramEnding.into()));
        }
        let daemon = daemon || ending;
        let at = Place::caller().on_behalf();
        Ok((service, TimerSettings { name: self.name, daemon, period, keep_alive, at }))
    }
}

/// A timer that is ready to be started, or its name and the error.
type Prepared = Result<(ServiceRef, TimerSettings), (Option<Box<str>>, io::Error)>;

fn start<F: TimerFn + 'static>(service: ServiceRef, settings: TimerSettings, due: Due, function: F) -> Timer {
    let task: Arc<TimerTask> = Arc::new(TimerTask::new(settings, function));
    rt::point(task.op(Kind::Start));
    let key = service.insert(task.clone(), due);
    Timer::new(service, task, key)
}

#[track_caller]
fn unwrap<F>(started: Result<Timer, SpawnError<F>>) -> Timer {
    match started {
        Ok(timer) => timer,
        Err(error) => panic!("{error}"),
    }
}
