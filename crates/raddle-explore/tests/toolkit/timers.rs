//! `Timer`: the service and its runners are threads of the execution, and terminate with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use raddle::{Event, Shared, Thread, ThreadPoolExecutor, Timer, thread};
use raddle_explore::{Explorer, Outcome, Strategy, Time};

use super::every::every;
use super::{SOON, pause};

#[test]
fn timer_fires_or_is_cancelled_never_both() {
    let scenario = || {
        let ran = Arc::new(Shared::new(0));
        let timer = {
            let ran = ran.clone();
            Timer::after(SOON, move || ran.set(ran.get() + 1))
        };
        let cancelled = timer.cancel();
        timer.wait().unwrap();
        (cancelled, ran.get())
    };
    assert_eq!(every(scenario), BTreeSet::from([(true, 0), (false, 1)]));
}

#[test]
fn at_most_one_of_two_cancels_succeeds() {
    let scenario = || {
        let timer = Timer::after(SOON, || {});
        let other = {
            let timer = timer.clone();
            Thread::spawn(move || timer.cancel())
        };
        let yes = usize::from(timer.cancel()) + usize::from(other.join().unwrap());
        timer.wait().unwrap();
        u64::try_from(yes).unwrap() + timer.runs()
    };
    assert_eq!(every(scenario), BTreeSet::from([1]));
}

#[test]
fn timer_never_fires_early() {
    let scenario = || {
        let began = raddle::time::now();
        let timer = Timer::after(2 * SOON, || {});
        pause();
        timer.wait().unwrap();
        raddle::time::now() - began >= 2 * SOON
    };
    assert_eq!(every(scenario), BTreeSet::from([true]));
}

/// The idle timeout of the toolkit's own threads is not a timeout of the program.
#[test]
fn repeating_timer_is_explored_without_a_failure() {
    let outcome = Explorer::new().max_executions(2_000).run(|| {
        let runs = Arc::new(Shared::new(0));
        let timer = {
            let runs = runs.clone();
            Timer::every(Duration::from_millis(1), move || runs.set(runs.get() + 1))
        };
        thread::sleep(Duration::from_millis(10));
        timer.cancel();
        timer.wait().unwrap();
        assert_eq!(runs.get(), timer.runs());
    });
    let outcome = outcome.assert_no_failure();
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}

/// More functions than processors wait for one that is due last: as many runners are started as timers are due, on any
/// machine, without measuring slow functions.
#[test]
fn blocking_timer_functions_do_not_delay_a_later_timer() {
    let program = || {
        let event = Arc::new(Event::new());
        let wait = |event: &Arc<Event>| {
            let event = event.clone();
            move || event.wait()
        };
        let waiting: Vec<_> = (0..20).map(|_| Timer::after(SOON, wait(&event))).collect();
        let last = Timer::after(2 * SOON, move || event.set());
        last.wait().unwrap();
        for timer in waiting {
            timer.wait().unwrap();
        }
    };
    let outcome = Explorer::new().max_executions(50).time(Time::Quiescent).run(program);
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}

/// A timer with a deadline beyond the clock never fires, and no thread wakes to check it.
#[test]
fn timer_beyond_the_clock_does_not_hide_a_deadlock() {
    let report = Explorer::new()
        .run(|| {
            let event = Arc::new(Event::new());
            let late = event.clone();
            let _timer = Timer::after(Duration::MAX, move || late.set());
            event.wait();
        })
        .expect_failure();
    assert_eq!(report.kind(), "deadlock");
}

/// The toolkit's own records do not read the clock: a sleep elsewhere stays independent of them.
#[test]
fn map_does_not_depend_on_the_clock() {
    let classes = |sleeps: bool| {
        let outcome = Explorer::new().strategy(Strategy::Dpor).run(move || {
            let sleeper = sleeps.then(|| Thread::spawn(|| thread::sleep(SOON)));
            let pool = ThreadPoolExecutor::new(1);
            assert_eq!(pool.workers(), 0);
            assert_eq!(pool.map([1], |n: i32| n).map(Result::unwrap).sum::<i32>(), 1);
            drop(pool);
            if let Some(sleeper) = sleeper {
                sleeper.join().unwrap();
            }
        });
        let Outcome::Exhausted { classes, .. } = outcome else { panic!("{outcome:?}") };
        classes
    };
    assert_eq!(classes(true), classes(false));
}
