//! Compares the outcomes of different searches over one program, and minimizes a program with a difference.

use std::collections::BTreeSet;

use raddle_explore::{Grain, Strategy};

use super::program::{Instr, Op, Program, Role};
use super::run::{Found, Outcome, explore, explore_at};
use super::{model, traces};

/// The effort for one program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Executions after which depth-first search gives up.
    pub(crate) executions: u64,
    /// States after which the model gives up.
    pub(crate) states: usize,
    /// Whether the portfolio is compared, too.
    pub(crate) portfolio: bool,
    /// Whether the classes of schedules are counted, too.
    pub(crate) classes: bool,
    /// Random executions at the grain of atoms. Their outcomes must be among those at the grain of operations.
    pub(crate) fine: u64,
}

/// The result of a comparison.
#[derive(Debug)]
pub(crate) enum Verdict {
    Same {
        executions: u64,
        outcomes: usize,
        modelled: bool,
    },
    /// The program has more schedules than the effort allows.
    TooLarge,
    /// A bound of the explorer left schedules out, and the outcome says so.
    Bounded,
    Different(Difference),
}

/// Two searches disagree.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// The kind of difference, by which differences of other programs are recognized.
    pub(crate) kind: &'static str,
    pub(crate) detail: String,
}

fn difference(kind: &'static str, detail: impl Into<String>) -> Verdict {
    Verdict::Different(Difference { kind, detail: detail.into() })
}

fn first_not_in<'a>(some: &'a BTreeSet<Outcome>, others: &BTreeSet<Outcome>) -> Option<&'a Outcome> {
    some.iter().find(|outcome| !others.contains(outcome))
}

/// Compares the outcomes by depth-first search, partial-order reduction, the portfolio, and the model.
pub(crate) fn compare(program: &Program, effort: Effort) -> Verdict {
    let all = explore(program, Strategy::Depth, effort.executions);
    if all.outcomes.iter().any(|outcome| outcome.end == "not repeatable") {
        return difference("not repeatable", "by depth-first search");
    }
    if all.bounded {
        return Verdict::Bounded;
    }
    if !all.exhausted {
        return Verdict::TooLarge;
    }
    let modelled = match model::covers(program).then(|| model::outcomes(program, effort.states)).flatten() {
        Some(modelled) => {
            if let Some(outcome) = first_not_in(&modelled, &all.outcomes) {
                return difference("depth-first search misses an outcome", outcome.to_string());
            }
            if let Some(outcome) = first_not_in(&all.outcomes, &modelled) {
                return difference("depth-first search has an outcome too many", outcome.to_string());
            }
            true
        }
        None => false,
    };
    if let Some(found) = reduced(program, &all, Strategy::Dpor, effort) {
        return found;
    }
    if effort.portfolio
        && let Some(found) = reduced(program, &all, Strategy::Portfolio, effort)
    {
        return found;
    }
    if let Some(found) = finer(program, &all, effort.fine) {
        return found;
    }
    Verdict::Same { executions: all.executions, outcomes: all.outcomes.len(), modelled }
}

/// Compares the outcomes at the grain of operations with those of random executions at the grain of atoms, where other
/// threads run inside the operations.
///
/// Three differences are none: the end of the main thread can come before a daemon has noted the result of its last
/// operation, the clock can advance past the deadline of a wait that succeeds, and a lock that is handed over can neither be
/// acquired nor released before its new holder has run.
fn finer(program: &Program, all: &Found, executions: u64) -> Option<Verdict> {
    let mut left_out = program.has(Role::Daemon);
    program.each(|instr| left_out |= instr.op == Op::Now);
    for body in &program.bodies {
        let mut held = 0;
        for instr in &body.code {
            match instr.op {
                Op::Acquire => held += 1,
                Op::Release => held -= 1,
                _ => {}
            }
            left_out |= held < 0; // releases what another thread holds
        }
    }
    if left_out {
        return None;
    }
    [Strategy::Random, Strategy::Pct, Strategy::Pos].into_iter().find_map(|strategy| {
        let fine = explore_at(Grain::Atoms, program, strategy, executions / 3);
        let outcome = first_not_in(&fine.outcomes, &all.outcomes)?;
        Some(difference("an operation is not one step", format!("by {strategy}: {outcome}")))
    })
}

fn reduced(program: &Program, all: &Found, strategy: Strategy, effort: Effort) -> Option<Verdict> {
    let portfolio = strategy == Strategy::Portfolio;
    let found = explore(program, strategy, 4 * all.executions + 100);
    let missed = first_not_in(&all.outcomes, &found.outcomes);
    if let Some(outcome) = first_not_in(&found.outcomes, &all.outcomes) {
        let kind = if portfolio {
            "the portfolio has an outcome too many"
        } else {
            "reduction has an outcome too many"
        };
        return Some(difference(kind, outcome.to_string()));
    }
    if let (true, Some(outcome)) = (found.exhausted, missed) {
        let kind = if portfolio { "the portfolio misses an outcome" } else { "reduction misses an outcome" };
        return Some(difference(kind, outcome.to_string()));
    }
    if !found.exhausted {
        let kind = match (portfolio, found.bounded) {
            (_, true) => "reduction meets a bound that depth-first search does not",
            (true, _) => "the portfolio does not finish",
            (false, _) => "reduction does not finish",
        };
        let detail = format!("{} executions, {} depth first", found.executions, all.executions);
        return Some(difference(kind, detail));
    }
    if !portfolio && found.executions > all.executions {
        let detail = format!("{} executions, {} depth first", found.executions, all.executions);
        return Some(difference("reduction runs more than depth-first search", detail));
    }
    if effort.classes && !portfolio && traces::covers(program) {
        let classes = traces::count(program);
        if found.classes != classes as u64 {
            let detail = format!("{}, and there are {classes}", found.classes);
            return Some(difference("reduction counts other classes than there are", detail));
        }
    }
    None
}

/// A minimal program with the same kind of difference.
pub(crate) fn minimise(program: &Program, found: Difference, effort: Effort) -> (Program, Difference) {
    let (mut program, mut found) = (program.clone(), found);
    loop {
        let smaller = smaller(&program).into_iter().find_map(|smaller| match compare(&smaller, effort) {
            Verdict::Different(difference) if difference.kind == found.kind => Some((smaller, difference)),
            _ => None,
        });
        match smaller {
            Some(less) => (program, found) = less,
            None => return (program, found),
        }
    }
}

/// The programs with one instruction less, or with a block replaced by its body.
fn smaller(program: &Program) -> Vec<Program> {
    let mut programs = Vec::new();
    for body in 0..program.bodies.len() {
        for code in shorter(&program.bodies[body].code) {
            let mut smaller = program.clone();
            smaller.bodies[body].code = code;
            programs.push(smaller);
        }
    }
    programs
}

fn shorter(code: &[Instr]) -> Vec<Vec<Instr>> {
    let mut all = Vec::new();
    for at in 0..code.len() {
        let mut without = code.to_vec();
        let removed = without.remove(at);
        all.push(without.clone());
        if !removed.body.is_empty() {
            let mut opened = without.clone();
            opened.splice(at..at, removed.body.iter().cloned());
            all.push(opened);
        }
        for body in shorter(&removed.body) {
            let mut inner = without.clone();
            inner.insert(at, Instr { body, ..removed.clone() });
            all.push(inner);
        }
    }
    all
}
