//! What partial-order reduction finds is what depth-first search finds, and that is what an independent model says: for
//! random programs over the whole toolkit. `--example oracle` does the same for many more.

#[path = "mod.rs"]
mod oracle;

use oracle::compare::{Effort, Verdict, compare, minimise};
use oracle::generate::generate;
use oracle::program::{How, Op, Program, Role};

const EFFORT: Effort = Effort { executions: 150, states: 20_000, mix: true };

/// So many programs are compared.
const PROGRAMS: u64 = 300;

/// What the explorer is known not to do right.
fn is_left_out(program: &Program) -> bool {
    let mut left_out = program.has(Role::Daemon) || program.has(Role::Timer);
    program.each(|instr| left_out |= instr.op == Op::Yield || matches!(instr.how, How::Timeout(_)));
    left_out
}

#[test]
fn random_programs_have_the_same_outcomes_by_every_search() {
    let (mut telling, mut by_model, mut schedules) = (0, 0, 0);
    for seed in 0..PROGRAMS {
        let program = generate(seed);
        if is_left_out(&program) {
            continue;
        }
        match compare(&program, EFFORT) {
            Verdict::Different(found) => {
                let (program, found) = minimise(&program, found, EFFORT);
                panic!("seed {seed}: {}: {}\n{program}", found.kind, found.detail);
            }
            Verdict::Same { outcomes, modelled, executions } => {
                telling += u32::from(outcomes > 1);
                by_model += u32::from(modelled);
                schedules += executions;
            }
            Verdict::TooLarge | Verdict::Bounded => {}
        }
    }
    assert!(telling > 30 && by_model > 80 && schedules > 2000, "{telling} {by_model} {schedules}");
}

#[test]
fn program_parses_from_its_text() {
    for seed in 0..1000 {
        let program = generate(seed);
        assert_eq!(program.to_string().parse(), Ok(program.clone()), "{program}");
    }
}
