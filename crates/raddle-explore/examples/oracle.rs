//! Compares the explorer's searches with each other and with a model, on random programs.
//!
//! ```text
//! cargo run --release -p raddle-explore --example oracle -- [--programs N] [--seed N] [--executions N] [--fine N] [--show FILE]
//! ```
#[path = "../tests/oracle/mod.rs"]
mod oracle;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oracle::compare::{Difference, Effort, Verdict, compare, minimise};
use oracle::generate::generate;
use oracle::program::{OPS, Op, Program};
use oracle::run::explore;
use raddle::{Thread, thread};
use raddle_explore::Strategy;

/// The counts of the comparison.
#[derive(Debug, Default)]
struct Tally {
    same: u64,
    modelled: u64,
    outcomes: u64,
    executions: u64,
    too_large: u64,
    bounded: u64,
    features: BTreeMap<Op, u64>,
    /// For each kind of difference, the number of programs that had it, and those that were printed.
    different: BTreeMap<&'static str, u64>,
}

struct Options {
    programs: u64,
    seed: u64,
    show: Option<String>,
    workers: u64,
    minimised: u64,
}

fn options() -> Options {
    let mut options = Options { programs: 1000, seed: 0, show: None, workers: 2, minimised: 10 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        let number = || value.parse().unwrap_or_else(|_| panic!("{word} needs a number, not {value}"));
        match word.as_str() {
            "--programs" => options.programs = number(),
            "--seed" => options.seed = number(),
            "--workers" => options.workers = number(),
            "--minimise" => options.minimised = number(),
            "--executions" => EXECUTIONS.store(number(), Relaxed),
            "--fine" => FINE.store(number(), Relaxed),
            "--classes" => CLASSES.store(value == "yes", Relaxed),
            "--show" => options.show = Some(value),
            _ => panic!(
                "no such option: {word}; there are --programs, --seed, --workers, --minimise,
                 --executions, --fine, --classes and --show"
            ),
        }
    }
    options
}

/// Whether classes are counted.
static CLASSES: AtomicBool = AtomicBool::new(false);

/// A program that depth-first search does not exhaust within so many executions is left out.
static EXECUTIONS: AtomicU64 = AtomicU64::new(2_000);

/// The number of random executions at the grain of atoms.
static FINE: AtomicU64 = AtomicU64::new(300);

fn effort(seed: u64) -> Effort {
    Effort {
        executions: EXECUTIONS.load(Relaxed),
        states: 100_000,
        portfolio: seed.is_multiple_of(8),
        classes: CLASSES.load(Relaxed),
        fine: FINE.load(Relaxed),
    }
}

fn main() -> ExitCode {
    let options = options();
    if let Some(path) = &options.show {
        show(&std::fs::read_to_string(path).expect("the file can be read"));
        return ExitCode::SUCCESS;
    }
    let (next, tally) = (Arc::new(AtomicU64::new(options.seed)), Arc::new(Mutex::new(Tally::default())));
    let end = options.seed + options.programs;
    let workers: Vec<_> = (0..options.workers)
        .map(|_| {
            let (next, tally, minimised) = (next.clone(), tally.clone(), options.minimised);
            Thread::spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= end {
                        return;
                    }
                    one(seed, &tally, minimised);
                }
            })
        })
        .collect();
    while workers.iter().any(|worker| !worker.is_finished()) {
        thread::sleep(Duration::from_millis(200));
        let done = next.load(Relaxed).min(end) - options.seed;
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        eprint!("\r{done} of {}: {} different  ", options.programs, tally.different.values().sum::<u64>());
    }
    for worker in workers {
        worker.join().expect("a worker does not panic");
    }
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    report(&tally);
    if tally.different.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, tally: &Mutex<Tally>, minimised: u64) {
    let program = generate(seed);
    let verdict = compare(&program, effort(seed));
    let mut count = tally.lock().unwrap_or_else(PoisonError::into_inner);
    match verdict {
        Verdict::Same { executions, outcomes, modelled } => {
            count.same += 1;
            count.modelled += u64::from(modelled);
            count.executions += executions;
            count.outcomes += outcomes as u64;
            let mut ops = Vec::new();
            program.each(|instr| ops.push(instr.op));
            ops.sort_unstable();
            ops.dedup();
            for op in ops {
                *count.features.entry(op).or_default() += 1;
            }
        }
        Verdict::TooLarge => count.too_large += 1,
        Verdict::Bounded => count.bounded += 1,
        Verdict::Different(found) => {
            let times = count.different.entry(found.kind).or_default();
            *times += 1;
            let printed = *times <= minimised;
            drop(count);
            if printed {
                tell(seed, &program, found);
            }
        }
    }
}

fn tell(seed: u64, program: &Program, found: Difference) {
    let (program, found) = minimise(program, found, effort(seed));
    println!("\nseed {seed}: {}\n{}\n{program}", found.kind, found.detail);
}

fn report(tally: &Tally) {
    println!("\nthe same: {} programs, {} of them also by the model", tally.same, tally.modelled);
    println!("depth first: {} executions, {} outcomes", tally.executions, tally.outcomes);
    println!("left out: {} too large, {} with a bound", tally.too_large, tally.bounded);
    let name = |op: &Op| OPS.iter().find(|(it, ..)| it == op).map_or("", |(_, name, ..)| *name);
    let features: Vec<_> = tally.features.iter().map(|(op, count)| format!("{} {count}", name(op))).collect();
    println!("programs with each operation: {}", features.join(", "));
    for (kind, count) in &tally.different {
        println!("DIFFERENT, {kind}: {count}");
    }
}

/// Prints the outcomes of the program in a file by each search.
fn show(text: &str) {
    let program: Program = text.parse().expect("the file holds a program");
    println!("{program}");
    for strategy in [Strategy::Depth, Strategy::Dpor, Strategy::Portfolio] {
        let found = explore(&program, strategy, 20_000);
        let (executions, classes, exhausted) = (found.executions, found.classes, found.exhausted);
        println!("\n{strategy}: {executions} executions, {classes} classes, exhausted: {exhausted}");
        for outcome in &found.outcomes {
            println!("  {outcome}");
        }
    }
    if oracle::traces::covers(&program) {
        println!("\nmodel: {} classes", oracle::traces::count(&program));
    }
    if oracle::model::covers(&program) {
        println!("\nmodel:");
        for outcome in oracle::model::outcomes(&program, 1_000_000).unwrap_or_default() {
            println!("  {outcome}");
        }
    }
}
