//! Partial-order reduction has the same outcomes as depth-first search and as an independent model, for random
//! programs over the whole toolkit, and executions that interleave the inside of operations have no others. `--example
//! oracle` compares many more.

#[path = "mod.rs"]
mod oracle;

use oracle::compare::{Effort, Verdict, compare, minimise};
use oracle::generate::generate;
use oracle::program::Program;
use oracle::run::{explore, explore_at};
use oracle::traces;
use raddle_explore::{Grain, Strategy};

const EFFORT: Effort = Effort { executions: 150, states: 20_000, portfolio: true, classes: false, fine: 60 };

/// The number of programs to compare.
const PROGRAMS: u64 = 300;

#[test]
fn random_programs_have_the_same_outcomes_by_every_search() {
    let (mut telling, mut by_model, mut schedules) = (0, 0, 0);
    for seed in 0..PROGRAMS {
        let program = generate(seed);
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
    assert!(telling > 60 && by_model > 150 && schedules > 2000, "{telling} {by_model} {schedules}");
}

/// Programs for which two searches once disagreed.
const CORPUS: &str = include_str!("corpus.txt");

#[test]
fn programs_that_once_differed_agree() {
    let effort = Effort { executions: 2_000, states: 100_000, ..EFFORT };
    let mut programs = 0;
    for text in CORPUS.split("\n\n") {
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        if lines.is_empty() {
            continue;
        }
        let program: Program = lines.join("\n").parse().unwrap_or_else(|error| panic!("{error}: {text}"));
        programs += 1;
        match compare(&program, effort) {
            Verdict::Same { .. } => {}
            verdict => panic!("{verdict:?}\n{program}"),
        }
    }
    assert!(programs > 50, "{programs}");
}

/// The main task waits in a scope, on the thread of the search, while another task finds that none of them can be unwound.
#[test]
fn search_continues_after_an_execution_in_which_no_task_can_be_unwound() {
    let text = "quiescent panics-allowed
main: start 1; start 2; join 2 block; with-rlock 1 1ms { wait block }; join 1 block
scoped: with-lock 1 3ms { notify 1; wait block }
scoped: with-lock 1 try { with-lock 1 block { notify 1 } }; with-mutex 0 block { notify 1 }";
    let program: Program = text.parse().expect("it is a program");
    let (sender, receiver) = std::sync::mpsc::channel();
    let search = raddle::Thread::new(move || {
        for strategy in [Strategy::Random, Strategy::Pct, Strategy::Pos] {
            let found = explore_at(Grain::Atoms, &program, strategy, 100);
            let _ = sender.send((found.executions, found.outcomes));
        }
    });
    drop(search.daemon(true).start().expect("a thread"));
    for _ in 0..3 {
        let found = receiver.recv_timeout(std::time::Duration::from_mins(5));
        let (executions, outcomes) = found.expect("the search has stopped");
        assert_eq!(executions, 100);
        assert!(outcomes.iter().all(|outcome| outcome.end == "deadlock"), "{outcomes:?}");
    }
}

#[test]
fn program_parses_from_its_text() {
    for seed in 0..1000 {
        let program = generate(seed);
        assert_eq!(program.to_string().parse(), Ok(program.clone()), "{program}");
    }
}

/// Main starts the threads and joins them.
fn threads(role: &str, codes: &[&str]) -> Program {
    let each = |does: &dyn Fn(usize) -> String| (1..=codes.len()).map(does).collect::<String>();
    let starts = each(&|number| format!("start {number}; "));
    let joins =
        if role == "thread" { each(&|number| format!("join {number} block; ")) } else { String::new() };
    let bodies = each(&|number| format!("\n{role}: {}", codes[number - 1]));
    let text = format!("explored\nmain: {starts}{joins}{bodies}");
    text.parse().unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Each philosopher acquires the left fork and then the right one.
fn philosophers(number: usize) -> Vec<String> {
    let right = |left| (left + 1) % number;
    (0..number)
        .map(|left| format!("with-lock {left} block {{ with-lock {} block {{ }} }}", right(left)))
        .collect()
}

#[test]
fn reduction_runs_each_class_of_schedules_once() {
    let philosophers: Vec<_> = (2..=4).map(philosophers).collect();
    let philosophers: Vec<Vec<&str>> =
        philosophers.iter().map(|codes| codes.iter().map(String::as_str).collect()).collect();
    let programs: &[(&[&str], usize)] = &[
        (&["set 0 1", "get 0"], 2),
        (&["set 0 1", "get 0", "get 0"], 4),
        (&["set 0 1", "get 0", "get 0", "get 0"], 8),
        (&["set 0 1", "get 0", "get 0", "get 0", "get 0"], 16),
        (&["set 0 1; get 0", "set 0 2; get 0"], 4),
        (&["set 0 1; get 0", "set 0 2; get 0", "set 0 3; get 0"], 36),
        (&["set 0 1; get 1", "set 1 1; get 0"], 3),
        (&["set 0 1; set 1 1", "get 1; get 0", "get 1"], 0),
        (&["load 0; store 0 1", "load 0; store 0 1", "load 0"], 0),
        (&["acquire 0 block; get 0; set 0 1; release 0", "acquire 0 block; get 0; release 0"], 2),
        (&["with-lock 0 block { set 0 1 }; get 1", "with-lock 0 block { get 0 }; set 1 1"], 0),
        (&["set 0 1; with-lock 0 block { }", "with-lock 0 block { get 0 }"], 3),
        (&["sem-acquire 0 1 block; sem-acquire 0 1 block", "set 0 1; sem-release 0 1"], 0),
        (&["sem-acquire 0 1 block; sem-release 0 1", "sem-acquire 0 1 block; sem-release 0 1"], 2),
        (&["event-set 0; get 0", "set 0 1; event-is-set 0"], 0),
        (&["set 0 1", "alive 1"], 2),
        (&philosophers[0], 3),
        (&philosophers[1], 7),
        (&philosophers[2], 15),
    ];
    let mut wrong = Vec::new();
    for (codes, expected) in programs {
        for role in ["thread", "scoped"] {
            let program = threads(role, codes);
            assert!(traces::covers(&program), "{program}");
            let classes = traces::count(&program);
            if *expected > 0 {
                assert_eq!(classes, *expected, "the model itself: {program}");
            }
            let found = explore(&program, Strategy::Dpor, 10_000);
            assert!(found.exhausted, "{program}");
            if found.classes != classes as u64 {
                wrong.push(format!("{} classes and not {classes}: {program}", found.classes));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
