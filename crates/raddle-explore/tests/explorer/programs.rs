//! Programs with a known bug each: the bug is found, and the number of classes is the known one.

use std::time::Duration;

use raddle_explore::{Explorer, Outcome, Strategy};

use crate::corpus::{LARGE, PROGRAMS, dining, twostage_of};

#[test]
fn every_program_has_its_classes_and_none_is_run_twice() {
    for program in PROGRAMS {
        let survey = Explorer::new().strategy(Strategy::Dpor).survey(program.run);
        let seen = (survey.classes, survey.executions, survey.exhausted);
        assert_eq!(seen, (program.classes, program.classes, true), "{}", program.name);
        assert!(survey.failures > 0, "{}", program.name);
    }
}

#[test]
fn every_strategy_finds_every_bug() {
    use Strategy::{Dpor, Pct, Portfolio, Pos, Random, Surw};
    for program in PROGRAMS {
        for strategy in [Dpor, Portfolio, Pos, Random, Surw, Pct] {
            let outcome = Explorer::new().strategy(strategy).run(program.run);
            assert!(matches!(outcome, Outcome::Failed(_)), "{} by {strategy:?}: {outcome:?}", program.name);
        }
    }
}

#[test]
fn portfolio_finds_bugs_of_programs_too_large_for_reduction() {
    for (&(writers, published), seeds) in LARGE.iter().zip([20, 3]) {
        let executions = |strategy| {
            let found = (0..seeds).map(|seed| {
                let explorer = Explorer::new().strategy(strategy).seed(seed).shrink(false);
                let explorer = explorer.max_time(Duration::from_hours(1));
                explorer.run(move || twostage_of(writers)).expect_failure().execution()
            });
            found.sum::<u64>()
        };
        let (best, portfolio) = (executions(Strategy::Surw), executions(Strategy::Portfolio));
        assert!(
            portfolio <= 3 * best,
            "{writers} writers: {portfolio}, where the best strategy alone needs {best}"
        );
        #[expect(clippy::cast_precision_loss, reason = "the counts are small")]
        let mean = portfolio as f64 / seeds as f64;
        assert!(mean <= 3.0 * published, "{writers} writers: {mean}, and {published} as published");
    }
}

#[test]
fn philosophers_have_two_to_the_n_minus_one_classes() {
    for philosophers in 2..=7 {
        let explorer = Explorer::new().strategy(Strategy::Dpor).max_time(Duration::from_hours(1));
        let survey = explorer.survey(move || dining(philosophers));
        assert_eq!(survey.classes, (1 << philosophers) - 1);
        assert_eq!(survey.failures, 1, "all have their left fork, and wait for the right one");
    }
}

#[test]
fn lock_waiter_could_have_acquired_first() {
    use raddle::{Mutex, Shared, Thread};
    use std::sync::Arc;
    let survey = Explorer::new().strategy(Strategy::Dpor).survey(|| {
        let parts = Arc::new((Shared::new(0), Mutex::new(())));
        let other = {
            let parts = parts.clone();
            Thread::spawn(move || {
                parts.0.set(1);
                drop(parts.1.lock());
            })
        };
        {
            let _held = parts.1.lock();
            parts.0.get();
        }
        other.join().unwrap();
    });
    assert_eq!((survey.classes, survey.exhausted), (3, true));
}

#[test]
fn report_shows_threads_operations_and_values() {
    let lost = || {
        let value = std::sync::Arc::new(raddle::Shared::new(0));
        let add = |value: std::sync::Arc<raddle::Shared<i32>>| {
            raddle::Thread::spawn(move || value.set(value.get() + 1))
        };
        let threads = [add(value.clone()), add(value.clone())];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(value.get(), 2, "an update was lost");
    };
    let Outcome::Failed(report) = Explorer::new().run(lost) else { panic!("the lost update was not found") };
    let text = report.to_string();
    assert!(report.execution() < 10, "{text}");
    assert!(text.contains("an update was lost") && text.contains("preempted: "), "{text}");
    assert!(text.contains("writes Shared 1: 0 → 1") && text.contains("writes Shared 1: 1 → 1"), "{text}");
}

#[test]
fn deadlock_report_names_holders_and_objects() {
    let Outcome::Failed(report) = Explorer::new().run(|| dining(3)) else {
        panic!("the deadlock was not found")
    };
    let text = report.to_string();
    assert_eq!(text.matches("held by thread").count(), 3, "{text}");
    assert!(text.starts_with("deadlock"), "{text}");
}
