//! Timers: never early, exactly once, cancelled exactly.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use raddle::thread::{self, SelfJoinError};
use raddle::time::now;
use raddle::{Event, Mutex, Thread, Timer};

use crate::support::{alone, finish, repeat, until, within_limit};

const NEVER: Duration = Duration::MAX;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn wait_for(timer: &Timer) {
    timer.wait().expect("not called by its own function");
}

fn wait_for_all(timers: &[Timer]) {
    timers.iter().for_each(wait_for);
}

/// Counts the calls and the destructors of its functions.
#[derive(Clone, Default)]
struct CallCount {
    calls: Arc<AtomicUsize>,
    held: Arc<()>,
}

impl CallCount {
    fn function(&self) -> impl Fn() + Send + 'static {
        let this = self.clone();
        move || {
            let this = &this; // so that it captures the whole value
            this.calls.fetch_add(1, SeqCst);
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    /// Returns the number of functions that have not been dropped.
    fn functions(&self) -> usize {
        Arc::strong_count(&self.held) - 1
    }
}

#[test]
fn timer_runs_once_and_never_early() {
    within_limit(|| {
        let timers: Vec<_> = (0..300)
            .map(|i: u32| {
                let delay = Duration::from_micros(u64::from(i.wrapping_mul(7919) % 20_000));
                let (began, due) = (Arc::new(OnceLock::new()), now() + delay);
                let set = began.clone();
                (Timer::after(delay, move || set.set(now()).expect("it runs once")), began, due)
            })
            .collect();
        for (timer, began, due) in timers {
            wait_for(&timer);
            assert!(*began.get().expect("it has run") >= due);
            assert!(timer.is_finished() && timer.runs() == 1 && timer.missed() == 0);
            assert!(timer.lateness().is_some() && !timer.cancel());
        }
    });
}

#[test]
fn overdue_timer_runs_at_once() {
    within_limit(|| {
        let count = CallCount::default();
        let past = now().checked_sub(Duration::from_secs(5)).expect("the machine is up for a while");
        let late = Timer::at(past, count.function());
        wait_for(&late);
        assert!(late.lateness().is_some_and(|late| late >= Duration::from_secs(5)));
        wait_for(&Timer::after(Duration::ZERO, count.function()));
        assert_eq!((count.calls(), count.functions()), (2, 0));
    });
}

/// When a timer's function runs, nothing that was due before can be cancelled any more.
#[test]
fn timers_start_by_due_time() {
    within_limit(|| while !in_order_of_due_times() {});
}

/// Returns `false` if the machine was too busy to start all timers before the first was due.
fn in_order_of_due_times() -> bool {
    const COUNT: usize = 120;
    let (all, ready) = (Arc::new(OnceLock::<Vec<Timer>>::new()), Arc::new(Event::new()));
    let (start, overtaken) = (now() + ms(300), Arc::new(AtomicUsize::new(0)));
    let timers: Vec<Timer> = (0..COUNT)
        .map(|i| {
            // Twelve at each of ten moments; the later half of the moments is started first.
            let slot = (i + COUNT / 2) % COUNT / 12;
            let (all, ready, overtaken) = (all.clone(), ready.clone(), overtaken.clone());
            Timer::at(start + ms(slot as u64), move || {
                ready.wait();
                let all = all.get().expect("set before ready");
                let rank = |j: usize| ((j + COUNT / 2) % COUNT / 12, j);
                let earlier = (0..COUNT).filter(|j| rank(*j) < rank(i));
                overtaken.fetch_add(earlier.filter(|j| all[*j].cancel()).count(), SeqCst);
            })
        })
        .collect();
    let in_time = now() < start;
    assert!(all.set(timers).is_ok());
    ready.set();
    wait_for_all(all.get().expect("just set"));
    assert!(!in_time || overtaken.load(SeqCst) == 0, "a timer was still pending when a later one ran");
    in_time
}

#[test]
fn cancelled_timer_never_runs_and_drops_its_function() {
    within_limit(|| {
        let count = CallCount::default();
        let timer = Timer::after(ms(20), count.function());
        assert_eq!((count.functions(), timer.is_finished(), timer.lateness()), (1, false, None));
        assert!(timer.cancel());
        assert_eq!((count.functions(), timer.is_finished(), timer.runs()), (0, true, 0));
        wait_for(&timer);
        assert!(!timer.cancel() && !timer.clone().cancel());
        wait_for(&Timer::after(ms(60), || ())); // long after the first was due
        assert_eq!((count.calls(), timer.runs(), timer.lateness()), (0, 0, None));
    });
}

#[test]
fn timer_runs_or_is_cancelled_never_both() {
    let (count, round) = (CallCount::default(), AtomicUsize::new(0));
    repeat(3_000, move || {
        let before = count.calls();
        let delay = Duration::from_micros(round.fetch_add(1, SeqCst) as u64 % 150);
        let timer = Timer::after(delay, count.function());
        let rival = timer.clone();
        let rival = Thread::new(move || usize::from(rival.cancel())).start().expect("a thread");
        thread::yield_now();
        let cancels = usize::from(timer.cancel()) + finish(rival);
        wait_for(&timer);
        let runs = count.calls() - before;
        assert_eq!(runs + cancels, 1, "{runs} runs, {cancels} cancels");
        assert_eq!((count.functions(), timer.runs()), (0, runs as u64));
    });
}

#[test]
fn dropping_the_handle_does_not_cancel() {
    within_limit(|| {
        let count = CallCount::default();
        drop(Timer::after(ms(5), count.function()));
        until(|| count.calls() == 1 && count.functions() == 0);
    });
}

#[test]
fn timer_beyond_the_clock_is_pending_and_can_be_cancelled() {
    within_limit(|| {
        let count = CallCount::default();
        let repeating = Timer::every(NEVER, count.function());
        let once = Timer::after(NEVER, count.function());
        wait_for(&Timer::after(ms(2), || ()));
        for timer in [once, repeating] {
            assert!(!timer.is_finished() && !timer.wait_timeout(Duration::ZERO));
            assert!(!timer.wait_deadline(now()) && timer.cancel() && timer.is_finished());
        }
        assert_eq!((count.calls(), count.functions()), (0, 0));
    });
}

#[test]
fn repeating_timer_keeps_to_its_grid_and_never_overlaps() {
    within_limit(|| {
        let (period, me) = (ms(2), Arc::new(OnceLock::<Timer>::new()));
        let (running, runs) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
        let (start, own, count) = (now(), me.clone(), runs.clone());
        let timer = Timer::every(period, move || {
            assert!(!running.swap(true, SeqCst), "two runs at once");
            let run = count.fetch_add(1, SeqCst) + 1;
            until(|| own.get().is_some());
            let timer = own.get().expect("just seen");
            let ticks = run as u64 + timer.missed();
            assert!(now() >= start + period * u32::try_from(ticks).expect("few"), "tick {ticks} is early");
            let long = now() + if run % 5 == 0 { period * 3 } else { Duration::ZERO };
            until(|| now() >= long);
            running.store(false, SeqCst);
        });
        assert!(me.set(timer.clone()).is_ok());
        until(|| timer.runs() >= 12);
        assert!(timer.cancel() && !timer.cancel());
        wait_for(&timer);
        let counted = runs.load(SeqCst);
        assert_eq!(timer.runs(), counted as u64, "it panicked");
        assert!(timer.missed() >= 4, "two runs of three periods each");
        wait_for(&Timer::after(period * 5, || ()));
        assert_eq!(runs.load(SeqCst), counted, "it ran after it had finished");
    });
}

#[test]
fn period_of_zero_runs_without_pause() {
    within_limit(|| {
        let count = CallCount::default();
        let timer = Timer::every(Duration::ZERO, count.function());
        until(|| timer.runs() >= 1_000);
        assert!(timer.cancel());
        wait_for(&timer);
        assert_eq!((timer.runs(), timer.missed(), count.functions()), (count.calls() as u64, 0, 0));
    });
}

#[test]
fn function_may_cancel_its_own_timer() {
    within_limit(|| {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let own = |repeats: bool| {
            let (me, answers) = (Arc::new(OnceLock::<Timer>::new()), answers.clone());
            let function = {
                let me = me.clone();
                move || {
                    until(|| me.get().is_some());
                    let timer = me.get().expect("just seen");
                    answers.lock().push((repeats, timer.cancel(), timer.is_finished()));
                    answers.lock().push((repeats, timer.cancel(), timer.wait_timeout(NEVER)));
                    assert_eq!(timer.wait(), Err(SelfJoinError));
                }
            };
            let timer = if repeats { Timer::every(ms(1), function) } else { Timer::after(ms(1), function) };
            assert!(me.set(timer.clone()).is_ok());
            wait_for(&timer);
            assert_eq!(timer.runs(), 1);
        };
        own(false);
        own(true);
        let expected =
            [(false, false, false), (false, false, false), (true, true, false), (true, false, false)];
        assert_eq!(*answers.lock(), expected);
    });
}

#[test]
fn panic_is_reported_and_finishes_the_timer() {
    alone("timer::panic_is_reported_and_finishes_the_timer", || {
        within_limit(|| {
            let reports = Arc::new(Mutex::new(Vec::new()));
            let log = reports.clone();
            thread::set_excepthook(move |panic| {
                log.lock().push((panic.what.to_owned(), panic.message().to_owned()));
            });
            let (once, again) = (Timer::builder().name("once"), Timer::builder().name("again"));
            let once = once.after(ms(1), || panic!("out of paper")).expect("it starts");
            let again = again.every(ms(1), || panic!("again")).expect("it starts");
            for timer in [once, again] {
                wait_for(&timer);
                assert!(timer.runs() == 1 && timer.is_finished() && !timer.cancel());
            }
            thread::reset_excepthook();
            let mut reports = std::mem::take(&mut *reports.lock());
            reports.sort();
            let said = |name: &str, message: &str| (format!("timer \"{name}\""), message.to_owned());
            assert_eq!(reports, [said("again", "again"), said("once", "out of paper")]);
            wait_for(&Timer::after(ms(1), || ()));
        });
    });
}
