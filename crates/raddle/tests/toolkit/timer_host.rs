//! Timers under a scheduler of the test: their waits, and failed starts of threads.
#![allow(clippy::disallowed_methods, reason = "a scheduler uses the operating system directly")]

use std::collections::HashMap;
use std::io;
use std::panic::catch_unwind;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use raddle::rt::{self, Op, Program, Scheduler, Wait, WaitOutcome};
use raddle::time;
use raddle::{Timer, thread};

use crate::support::until;

const HOUR: Duration = Duration::from_hours(1);

/// A simple scheduler that counts operations and can refuse to start threads.
struct TestScheduler {
    me: Weak<TestScheduler>,
    program: Arc<Program>,
    /// The number of threads that it will refuse to start.
    refuse: AtomicU32,
    started: AtomicU32,
    ended: AtomicU32,
    wakes: AtomicU32,
    /// The time by which its clock is ahead of the real one.
    ahead: Mutex<Duration>,
    /// The deadline of the last wait of each thread, and the number of its waits.
    waits: Mutex<HashMap<String, (Option<Instant>, u32)>>,
    parked: Condvar,
}

impl TestScheduler {
    fn new() -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            program: Arc::default(),
            refuse: AtomicU32::new(0),
            started: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            wakes: AtomicU32::new(0),
            ahead: Mutex::default(),
            waits: Mutex::default(),
            parked: Condvar::new(),
        })
    }

    /// Advances the clock.
    fn advance(&self, time: Duration) {
        *self.ahead.lock().unwrap() += time;
        let _waits = self.waits.lock().unwrap();
        self.parked.notify_all();
    }

    /// Returns the deadline of the last wait of the service thread, and the number of its waits.
    fn service(&self) -> (Option<Instant>, u32) {
        self.waits.lock().unwrap().get("timer service").copied().unwrap_or_default()
    }
}

impl Scheduler for TestScheduler {
    fn wait(&self, word: &AtomicU32, expected: u32, wait: &Wait<'_>) -> WaitOutcome {
        let deadline = wait.deadline();
        let name = thread::current().name();
        let mut waits = self.waits.lock().unwrap();
        let entry = waits.entry(name).or_default();
        *entry = (deadline, entry.1 + 1);
        if word.load(SeqCst) != expected {
            return WaitOutcome::Changed;
        }
        let Some(deadline) = deadline else {
            drop(self.parked.wait(waits).unwrap());
            return WaitOutcome::Woken;
        };
        let left = deadline.saturating_duration_since(self.now());
        let (_waits, outcome) = self.parked.wait_timeout(waits, left).unwrap();
        if outcome.timed_out() { WaitOutcome::TimedOut } else { WaitOutcome::Woken }
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
        let _waits = self.waits.lock().unwrap();
        self.wakes.fetch_add(1, SeqCst);
        self.parked.notify_all();
        0 // not known
    }

    fn point(&self, _: &Op) {}

    fn now(&self) -> Instant {
        Instant::now() + *self.ahead.lock().unwrap()
    }

    fn sleep_until(&self, until: Instant) {
        std::thread::sleep(until.saturating_duration_since(self.now()));
    }

    fn yield_now(&self) {
        std::thread::yield_now();
    }

    fn spawn(&self, _: &str, _: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        if self.refuse.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.started.fetch_add(1, SeqCst);
        let me = self.me.upgrade().expect("it is in use");
        std::thread::Builder::new().spawn(move || {
            let entered = rt::enter(me.clone());
            body();
            drop(entered);
            me.ended.fetch_add(1, SeqCst);
        })?;
        Ok(())
    }

    fn program(&self) -> &Arc<Program> {
        &self.program
    }
}

#[test]
fn failed_start_of_the_service_gives_the_function_back() {
    let scheduler = TestScheduler::new();
    let _entered = rt::enter(scheduler.clone());
    scheduler.refuse.store(2, SeqCst);
    let error = Timer::builder().name("tea").after(HOUR, || 42_u8.to_string().clear());
    let error = error.expect_err("no thread");
    assert!(error.to_string().starts_with("failed to start timer \"tea\": "), "{error}");
    assert_eq!(error.io_error().kind(), io::ErrorKind::WouldBlock);
    error.into_inner()();
    let panic = catch_unwind(|| Timer::every(HOUR, || ())).expect_err("no thread");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.starts_with("failed to start timer: "), "{text}");
    assert_eq!((scheduler.started.load(SeqCst), Timer::pending()), (0, 0));
    let timer = Timer::after(Duration::ZERO, || ());
    assert!(timer.wait_timeout(crate::support::LIMIT), "the next one tries again");
}

#[test]
fn due_timer_waits_for_a_thread() {
    let scheduler = TestScheduler::new();
    let _entered = rt::enter(scheduler.clone());
    let first = Timer::after(HOUR, || ()); // starts the service
    scheduler.refuse.store(3, SeqCst);
    let alone = Timer::after(Duration::ZERO, || ());
    assert!(alone.wait_timeout(crate::support::LIMIT) && alone.runs() == 1, "it is tried again");
    assert_eq!(scheduler.refuse.load(SeqCst), 0, "it ran before the last refusal");
    scheduler.refuse.store(u32::MAX, SeqCst); // from now on, there is a single runner
    let timers: Vec<Timer> = (0..100).map(|_| Timer::after(Duration::ZERO, || ())).collect();
    for timer in timers {
        assert!(timer.wait_timeout(crate::support::LIMIT) && timer.runs() == 1);
    }
    assert!(first.cancel());
}

#[test]
fn service_parks_without_deadline_only_while_nothing_is_pending() {
    let scheduler = TestScheduler::new();
    let _entered = rt::enter(scheduler.clone());
    let far = Timer::after(Duration::MAX, || ());
    until(|| scheduler.service().0.is_some());
    assert!(far.cancel());
    let begun = time::now();
    let soon = Timer::after(Duration::from_millis(1), || ());
    assert!(soon.wait_timeout(crate::support::LIMIT));
    until(|| scheduler.service().0.is_none());
    let later = Timer::after(HOUR, || ());
    until(|| scheduler.service().0.is_some_and(|limit| limit >= begun + HOUR));
    assert!(later.cancel());
}

#[test]
fn service_is_woken_only_for_an_earlier_timer() {
    let scheduler = TestScheduler::new();
    let _entered = rt::enter(scheduler.clone());
    let first = Timer::after(HOUR, || ());
    until(|| scheduler.service().0.is_some());
    let (wakes, (limit, waits)) = (scheduler.wakes.load(SeqCst), scheduler.service());
    let later: Vec<Timer> = (1..=1_000).map(|i| Timer::after(HOUR * (1 + i % 7), || ())).collect();
    assert!(later.iter().all(Timer::cancel));
    assert_eq!((scheduler.wakes.load(SeqCst), scheduler.service()), (wakes, (limit, waits)));
    let sooner = Timer::after(HOUR / 2, || ());
    until(|| scheduler.service().0 < limit);
    assert_eq!(scheduler.wakes.load(SeqCst), wakes + 1);
    assert!(first.cancel() && sooner.cancel());
}

#[test]
fn programs_do_not_share_timers() {
    let names = || {
        let scheduler = TestScheduler::new();
        let _entered = rt::enter(scheduler.clone());
        let timers = [Timer::after(HOUR, || ()), Timer::after(HOUR, || ())];
        assert_eq!((Timer::pending(), scheduler.started.load(SeqCst)), (2, 1));
        let names = timers.each_ref().map(Timer::name);
        assert!(timers.iter().all(Timer::cancel));
        names
    };
    assert_eq!(
        (names(), names()),
        (["Timer-1", "Timer-2"].map(Into::into), ["Timer-1", "Timer-2"].map(Into::into))
    );
}

#[test]
fn idle_runner_is_reused_and_then_terminates() {
    let scheduler = TestScheduler::new();
    let _entered = rt::enter(scheduler.clone());
    let run = || assert!(Timer::after(Duration::ZERO, || ()).wait_timeout(crate::support::LIMIT));
    run();
    let idle = || scheduler.waits.lock().unwrap().get("timer runner").is_some_and(|wait| wait.0.is_some());
    until(idle);
    assert_eq!((scheduler.started.load(SeqCst), scheduler.ended.load(SeqCst)), (2, 0));
    scheduler.waits.lock().unwrap().remove("timer runner");
    run();
    until(idle);
    assert_eq!(scheduler.started.load(SeqCst), 2, "the runner was there already");
    scheduler.advance(Duration::from_secs(10));
    until(|| scheduler.ended.load(SeqCst) == 1);
    run();
    assert_eq!(scheduler.started.load(SeqCst), 3);
}

#[test]
fn timers_follow_the_clock_of_the_scheduler() {
    let scheduler = TestScheduler::new();
    let _entered = rt::enter(scheduler.clone());
    let timer = Timer::after(HOUR, || ());
    let never = Timer::after(Duration::MAX, || ());
    until(|| scheduler.service().0.is_some());
    assert!(!timer.is_finished());
    scheduler.advance(HOUR * 2);
    assert!(timer.wait_timeout(crate::support::LIMIT));
    assert!(timer.lateness().is_some_and(|late| late >= HOUR), "it was an hour late");
    assert!(!never.is_finished() && never.cancel());
}
