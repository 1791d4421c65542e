//! `raddle.check`: Python code under the explorer.
//!
//! A Python thread is a task of `raddle-explore`, and stands in its steps without the interpreter. The interpreter calls
//! [`hook`] before each instruction of observed code, which finds out from the operands on the stack what the instruction
//! accesses. `raddle._observing` chooses which code is observed, `raddle._instructions` knows the instructions of each version,
//! and `raddle._touches` what C code does with its arguments.

mod access;
mod code;
mod frame;
pub(crate) mod hashing;
mod hook;
mod locations;
pub(crate) mod member;
mod names;
mod rules;
mod stacks;
pub(crate) mod state;
pub(crate) mod tables;
mod thread;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use raddle::rt;
use raddle_explore::{Explorer, Outcome, Report, Strategy, Survey, Time};

use crate::call;
use crate::ending::{self, Protection};
use crate::text::Text;
use crate::unwinding::Abandoned;
pub(crate) use hook::{own_object, shown, shown_item};
use locations::Locations;
use member::{MAIN, Member, is_explored};
use stacks::KeptStacks;
use state::State;

/// How a program is explored.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Settings {
    strategy: String,
    executions: u64,
    seconds: f64,
    steps: usize,
    seed: u64,
    time: String,
    grain: String,
    shrink: bool,
    survey: bool,
    independent: bool,
    /// The token of a schedule, and the names of its steps.
    replay: Option<Text>,
    names: BTreeSet<u32>,
}

impl Settings {
    fn explorer(&self) -> PyResult<Explorer> {
        let strategy = match &*self.strategy {
            "portfolio" => Strategy::Portfolio,
            "dpor" => Strategy::Dpor,
            "surw" => Strategy::Surw,
            "pos" => Strategy::Pos,
            "pct" => Strategy::Pct,
            "random" => Strategy::Random,
            "depth" => Strategy::Depth,
            other => {
                let names = "portfolio, dpor, surw, pos, pct, random or depth";
                return Err(PyValueError::new_err(format!("there is no strategy {other:?}: choose {names}")));
            }
        };
        let time = match &*self.time {
            "explored" => Time::Explored,
            "quiescent" => Time::Quiescent,
            other => {
                let text = format!("there is no treatment of time {other:?}: choose explored or quiescent");
                return Err(PyValueError::new_err(text));
            }
        };
        Ok(Explorer::new()
            .strategy(strategy)
            .seed(self.seed)
            .max_steps(self.steps)
            .time(time)
            .shrink(self.shrink)
            .allow_independent(self.independent))
    }
}

/// How often an exploration begins again with more steps.
const MAX_EXPLORATIONS: u32 = 1000;

/// Explores `program`, and calls `begin` before each execution. Returns what was found as a dictionary.
#[pyfunction]
fn explore(
    py: Python<'_>,
    program: Py<PyAny>,
    begin: Py<PyAny>,
    settings: Settings,
) -> PyResult<Bound<'_, PyDict>> {
    ending::protect_thread();
    let explorer = settings.explorer()?;
    let by_interpreter_lock = match &*settings.grain {
        "free" => false,
        "gil" => true,
        other => {
            return Err(PyValueError::new_err(format!("there is no grain {other:?}: choose free or gil")));
        }
    };
    let cancelled = Arc::new(AtomicBool::new(false));
    let locations = Locations::new(cancelled.clone(), settings.names.clone());
    if let Some(other) = state::replace(Some(State::new(locations, by_interpreter_lock))) {
        state::replace(Some(other));
        return Err(PyValueError::new_err(
            "another check is running in this process: run them one after the other",
        ));
    }
    let stacks = KeptStacks::new(py);
    let found = explored(py, &settings, &explorer, &cancelled, &program, &begin);
    drop(stacks);
    let state = state::replace(None);
    let found = found?;
    if let Some(state) = state {
        found.set_item("names", state.locations.hashes())?;
        found.set_item("unseen", state.unseen.iter().collect::<Vec<_>>())?;
        found.set_item("vanished", state.locations.vanished())?;
    }
    Ok(found)
}

fn explored<'py>(
    py: Python<'py>,
    settings: &Settings,
    explorer: &Explorer,
    cancelled: &Arc<AtomicBool>,
    program: &Py<PyAny>,
    begin: &Py<PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let (mut executions, mut explorations) = (0, 0);
    let mut seconds = settings.seconds;
    loop {
        explorations += 1;
        state::with(|state| state.locations.next_exploration());
        let run = {
            let (program, begin) = (program.clone_ref(py), begin.clone_ref(py));
            move || execute(&program, &begin)
        };
        let left = settings.executions.saturating_sub(executions).max(1);
        let explorer = explorer.clone().max_executions(left).max_time(duration(seconds));
        let start = std::time::SystemTime::now();
        let end = py.detach(|| match &settings.replay {
            Some(Text(token)) => explorer.try_replay(token, run).map(End::Outcome),
            None if settings.survey => Ok(End::Survey(explorer.cancelled_by(cancelled.clone()).survey(run))),
            None => Ok(End::Outcome(explorer.cancelled_by(cancelled.clone()).run(run))),
        });
        seconds -= start.elapsed().map_or(0.0, |elapsed| elapsed.as_secs_f64());
        let end = end.map_err(PyValueError::new_err)?;
        let grown = state::with(|state| state.locations.grown).unwrap_or_default();
        executions += end.executions();
        let begins_again =
            grown && settings.replay.is_none() && !end.is_failure() && explorations < MAX_EXPLORATIONS;
        if begins_again && seconds > 0.0 && executions < settings.executions {
            continue;
        }
        let found = end.described(py)?;
        if matches!(end, End::Outcome(Outcome::Inconclusive { .. })) {
            found.set_item("executions", executions)?; // of all explorations
        }
        found.set_item("explorations", explorations)?;
        found.set_item("grown", grown)?;
        return Ok(found);
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// Runs the program once.
fn execute(program: &Py<PyAny>, begin: &Py<PyAny>) {
    // What runs here, finalizers of the last execution included, is no part of the program.
    let prepare = |py: Python<'_>| {
        drop(state::with(State::begin));
        thread::reset_clock();
        if let Err(error) = begin.bind(py).call0() {
            error.display(py);
        }
        program.clone_ref(py)
    };
    let _protection = Protection::new();
    let function = rt::unobserved(|| Python::attach(prepare));
    let _main = Member::new(MAIN);
    call::at_root(function);
}

/// The end of one exploration.
enum End {
    Outcome(Outcome),
    Survey(Survey),
}

impl End {
    fn is_failure(&self) -> bool {
        matches!(self, Self::Outcome(Outcome::Failed(_)))
    }

    fn executions(&self) -> u64 {
        match self {
            Self::Outcome(
                Outcome::Exhausted { executions, .. } | Outcome::Inconclusive { executions, .. },
            ) => *executions,
            Self::Outcome(Outcome::Failed(report)) => report.execution(),
            Self::Survey(survey) => survey.executions,
        }
    }

    fn described<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        found.set_item("executions", self.executions())?;
        match self {
            Self::Outcome(Outcome::Exhausted { classes, independent, .. }) => {
                found.set_item("outcome", "exhausted")?;
                found.set_item("classes", classes)?;
                found.set_item("independent", independent)?;
            }
            Self::Outcome(Outcome::Inconclusive { .. }) => found.set_item("outcome", "inconclusive")?,
            Self::Outcome(Outcome::Failed(report)) => {
                found.set_item("outcome", "failed")?;
                describe(report, &found)?;
            }
            Self::Survey(survey) => {
                let outcome = if survey.exhausted { "exhausted" } else { "inconclusive" };
                found.set_item("outcome", outcome)?;
                found.set_item("classes", survey.classes)?;
                found.set_item("independent", survey.independent)?;
                found.set_item("failures", survey.failures)?;
                if let Some(report) = &survey.first {
                    describe(report, &found)?;
                }
            }
        }
        Ok(found)
    }
}

fn describe(report: &Report, found: &Bound<'_, PyDict>) -> PyResult<()> {
    found.set_item("token", report.token())?;
    found.set_item("preemptions", report.preemptions())?;
    found.set_item("kind", report.kind())?;
    found.set_item("title", report.title())?;
    found.set_item("text", report.to_string())?;
    found.set_item("json", report.to_json())?;
    found.set_item("html", report.to_html())
}

/// States that the exploration cannot see something, so that it is inconclusive. If it `concerns_others`, it does not matter
/// before the program starts its first thread.
#[pyfunction]
#[pyo3(signature = (what, concerns_others=false))]
fn unseen(what: Text, concerns_others: bool) {
    if is_explored() {
        state::with(|state| (state::has_started() || !concerns_others) && state.unseen.insert(what.0));
    }
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("Abandoned", module.py().get_type::<Abandoned>())?;
    module.add_class::<thread::ExploredThread>()?;
    module.add_function(wrap_pyfunction!(explore, module)?)?;
    module.add_function(wrap_pyfunction!(unseen, module)?)?;
    module.add_function(wrap_pyfunction!(access::classified, module)?)?;
    module.add_function(wrap_pyfunction!(access::own, module)?)?;
    module.add_function(wrap_pyfunction!(frame::probe, module)?)?;
    module.add_function(wrap_pyfunction!(hook::on_instruction, module)?)?;
    module.add_function(wrap_pyfunction!(hook::on_unwind, module)?)?;
    module.add_function(wrap_pyfunction!(tables::set_tables, module)?)?;
    module.add_function(wrap_pyfunction!(tables::set_harmless, module)?)?;
    module.add_function(wrap_pyfunction!(state::set_code, module)?)?;
    module.add_function(wrap_pyfunction!(state::set_opaque, module)?)?;
    module.add_function(wrap_pyfunction!(state::next_number, module)?)?;
    module.add_function(wrap_pyfunction!(thread::spawn, module)?)?;
    module.add_function(wrap_pyfunction!(thread::ident, module)?)?;
    module.add_function(wrap_pyfunction!(thread::seconds, module)?)?;
    module.add_function(wrap_pyfunction!(thread::sleep, module)?)?;
    module.add_function(wrap_pyfunction!(thread::pause, module)?)?;
    module.add_function(wrap_pyfunction!(hook::touch, module)?)
}
