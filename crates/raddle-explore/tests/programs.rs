//! Programs with a mistake each: it is found, and there are just as many classes of schedules as there must be.

#[path = "support/programs.rs"]
#[expect(dead_code, reason = "the figures are for reading")]
mod programs;

use programs::{PROGRAMS, dining};
use raddle_explore::{Explorer, Outcome, Strategy};

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
fn every_strategy_finds_every_mistake() {
    use Strategy::{Dpor, Mix, Pct, Pos, Random, Surw};
    for program in PROGRAMS {
        for strategy in [Dpor, Mix, Pos, Random, Surw, Pct] {
            let outcome = Explorer::new().strategy(strategy).run(program.run);
            assert!(matches!(outcome, Outcome::Failed(_)), "{} by {strategy:?}: {outcome:?}", program.name);
        }
    }
}

#[test]
fn philosophers_have_two_to_their_number_minus_one() {
    for philosophers in 2..=7 {
        let survey = Explorer::new().strategy(Strategy::Dpor).survey(move || dining(philosophers));
        assert_eq!(survey.classes, (1 << philosophers) - 1);
        assert_eq!(survey.failures, 1, "all have their left fork, and wait for the right one");
    }
}
