//! One exploration, from its first execution to its outcome.
//!
//! The search runs on a thread of its own. The calling thread waits for it and watches its progress, so that an
//! exploration ends even if the program blocks in something that the explorer does not control.

use std::io::Write as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::options::{Deadlines, Ended, Options, Rules, Strategy};
use crate::outcome::{Outcome, Survey};
use crate::report::{Found, Report, Token, fingerprint};
use crate::runtime::{
    Failure, ForeignStep, Program, Runner, StallDetector, Trace, has_foreign_threads, listen,
    locals_are_unchanged, remember_locals, report_stalled,
};
use crate::search::{Portfolio, Replay, Shrinker};

/// A program and how it is explored.
#[derive(Clone)]
pub(crate) struct Exploration {
    options: Options,
    runner: Runner,
    /// The name of the test, if the calling thread has a name.
    name: Option<String>,
}

/// The interval at which progress is checked.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// A thread that the machine gives hardly any time may take so many times longer for a step.
const BUSY_FACTOR: u32 = 10;

impl Exploration {
    pub(crate) fn new(options: Options, program: Program) -> Self {
        let name = std::thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        Self { options, runner: Runner::new(program), name }
    }

    pub(crate) fn run(self) -> Outcome {
        let allowed = self.options.allow_independent;
        let survey = self.search_all_schedules(true);
        match survey.first {
            Some(report) => Outcome::Failed(report),
            None if survey.exhausted => {
                let independent = survey.independent && !allowed;
                Outcome::Exhausted { classes: survey.classes, executions: survey.executions, independent }
            }
            None => Outcome::Inconclusive { executions: survey.executions },
        }
    }

    pub(crate) fn survey(self) -> Survey {
        self.search_all_schedules(false)
    }

    fn search_all_schedules(self, stop: bool) -> Survey {
        let survey = self.supervised(move |exploration| Ok(exploration.search(stop)));
        survey.unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Runs the schedule of the token, and no other.
    ///
    /// # Errors
    /// Returns a description if the program does not fail and the token does not belong to it.
    pub(crate) fn replay(self, token: &Token) -> Result<Outcome, String> {
        let given = token.clone();
        let survey = self.supervised(move |exploration| exploration.replay_token(&given))?;
        Ok(match survey.first {
            Some(report) => Outcome::Failed(report),
            None => Outcome::Inconclusive { executions: 1 },
        })
    }

    /// Runs `work` on an OS thread for explored tasks, and reports the execution if it makes no progress.
    #[expect(clippy::disallowed_methods, reason = "progress is measured in real time")]
    fn supervised(
        self,
        work: impl Fn(&Self) -> Result<Survey, String> + Clone + Send + 'static,
    ) -> Result<Survey, String> {
        let (sender, receiver) = channel();
        listen(self.runner.os_threads.number(), &self.runner.monitor);
        let (mine, again) = (self.clone(), work.clone());
        let job = move || {
            remember_locals();
            let survey = work(&mine);
            let left_locals = mine.runner.left_locals();
            drop(mine); // may drop the values that the program's closure owns
            let _ = sender.send(survey);
            match left_locals {
                Some(ended) => {
                    ended.until_terminated();
                    false
                }
                None => locals_are_unchanged(),
            }
        };
        self.runner.os_threads.run(Box::new(job)).expect("a thread for the search");
        let (strategy, rules, name) = (self.options.strategy, self.options.rules, self.name.clone());
        self.runner.monitor.set_reporter(move |execution| {
            // Written to standard error directly, since the process ends before captured output is shown.
            let report = report_of(Trace::of(&mut execution.lock()), strategy, rules, name.clone(), true);
            let _ = writeln!(std::io::stderr(), "raddle: {report}");
        });
        let (mut steps, mut since) = (0, Instant::now());
        let mut stalls = StallDetector::new(self.name.is_some());
        loop {
            match receiver.recv_timeout(PROGRESS_INTERVAL) {
                Ok(survey) => {
                    self.runner.os_threads.release();
                    return survey;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("internal error of the explorer: the search thread has panicked")
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.runner.monitor.has_lost_search_thread() {
                return Self { runner: self.runner.on_separate_threads(), ..self }.supervised(again);
            }
            let now = self.runner.monitor.steps_taken();
            if now != steps {
                (steps, since) = (now, Instant::now());
                stalls.has_progressed();
            }
            let blocked = now == steps && stalls.sees_blocked_for_good(&self.runner.monitor);
            let starved = now == steps && stalls.sees_starved(&self.runner.monitor, since.elapsed());
            let limit = self.options.stuck_after.saturating_mul(if starved { BUSY_FACTOR } else { 1 });
            let stuck = blocked || since.elapsed() >= limit;
            if stuck && let Some(trace) = report_stalled(&self.runner.monitor, since.elapsed()) {
                return Ok(self.failed(trace, self.options.strategy, false));
            }
        }
    }

    /// Runs the whole search. A program that is not repeatable is a failure.
    fn search(&self, stop: bool) -> Survey {
        let (mut survey, not_repeated) = match self.search_all(stop) {
            Ok(found) => found,
            Err(rules) => return self.with(rules).search(stop),
        };
        if let Some(choices) = not_repeated
            && survey.first.is_none()
        {
            survey.first = Some(self.not_repeatable(&choices));
            survey.failures += 1;
        }
        survey
    }

    fn with(&self, rules: Rules) -> Self {
        let mut with = self.clone();
        with.options.rules = rules;
        with
    }

    /// Returns the result, and choices after which the program did not repeat itself.
    ///
    /// # Errors
    /// Returns other rules if the program [requires](required_by) them: the search must begin again with these.
    #[expect(clippy::disallowed_methods, reason = "the search is limited in real time")]
    fn search_all(&self, stop: bool) -> Result<(Survey, Option<Vec<usize>>), Rules> {
        let runner = &self.runner;
        let options = &self.options;
        let bound = options.preemption_bound.unwrap_or(usize::MAX);
        let mut portfolio = Portfolio::new(options.strategy, options.seed, bound, options.max_executions);
        let (mut survey, mut bounded, began) = (Survey::default(), false, Instant::now());
        let until = began.checked_add(options.max_time);
        let (mut several, mut interleaved) = (false, options.rules.fine());
        let mut first = None;
        while !portfolio.is_exhausted()
            && survey.executions < options.max_executions
            && began.elapsed() < options.max_time
            && !options.is_cancelled()
        {
            let (trace, strategy) = portfolio.run(runner, options.rules);
            let required = required_by(&trace, options.rules);
            if required != options.rules {
                return Err(required);
            }
            survey.executions += 1;
            bounded |= trace.bounded;
            several |= trace.has_several_threads();
            interleaved = interleaved || trace.interleaves();
            options.observer.iter().for_each(|observer| observer.see(end_of(&trace)));
            if portfolio.diverged() && !options.is_cancelled() {
                return Ok((survey, Some(trace.choices)));
            }
            if trace.failure.is_some() {
                survey.failures += 1;
                if survey.first.is_none() && options.observer.is_none() {
                    let seen = (survey.executions, portfolio.classes());
                    survey.first = Some(self.explained(trace, seen, strategy, until));
                }
                if stop {
                    break;
                }
                continue;
            }
            first.get_or_insert(trace);
        }
        survey.classes = portfolio.classes();
        // With more than one class, two steps were run in either order.
        survey.independent = several && !interleaved && survey.classes <= 1;
        survey.exhausted = portfolio.is_exhausted() && portfolio.is_complete() && !bounded;
        if options.is_cancelled() {
            survey.exhausted = false;
            return Ok((survey, None));
        }
        let not_repeated = first.filter(|first| survey.failures == 0 && !self.is_repeated(first));
        Ok((survey, not_repeated.map(|first| first.choices)))
    }

    /// Whether the program, run once more, takes the same steps as in its first execution. Otherwise no result of the
    /// search holds for the next execution.
    fn is_repeated(&self, first: &Trace) -> bool {
        let replay = Replay::new(first.choices.clone());
        let (again, policy) = self.runner.run(self.options.rules, replay);
        let (steps, seen) = (first.events.len(), again.events.len());
        !policy.diverged && steps == seen && fingerprint(first, steps) == fingerprint(&again, steps)
    }

    /// Simplifies the schedule of a failure, and records it for the report.
    fn explained(
        &self,
        mut failed: Trace,
        seen: (u64, u64),
        strategy: Strategy,
        until: Option<Instant>,
    ) -> Box<Report> {
        let rules = self.options.rules;
        let shrunk_from = failed.preemptions;
        let note = self.note_on_foreign_threads(&mut failed);
        let mut recurs = true;
        let (shown, pair) = if self.options.shrink {
            let mut shrinker = Shrinker::new(&self.runner, rules, until);
            let simple = shrinker.fewest_preemptions(failed);
            let pair = shrinker.deciding_pair(&simple);
            let shown = self.recorded(&simple);
            recurs = shown.is_some();
            (shown.unwrap_or(simple), pair)
        } else {
            (failed, None)
        };
        let found = Found {
            execution: Some(seen.0),
            replayed: false,
            classes: seen.1,
            strategy,
            preemptions: shown.preemptions,
            shrunk_from,
        };
        let token = Token::new(&shown, rules);
        let report = Report::new(shown, found, pair, token).of_program(self.name.clone());
        let note = note.or_else(|| (!recurs).then(|| DOES_NOT_RECUR.to_owned()));
        Box::new(report.noting(note).publish())
    }

    /// After a deadlock: waits a moment for a foreign thread to access one of the program's objects. If one does, that is
    /// the failure.
    #[expect(clippy::disallowed_methods, reason = "a foreign thread runs in real time")]
    fn note_on_foreign_threads(&self, failed: &mut Trace) -> Option<String> {
        let blocked = matches!(failed.failure, Some(Failure::Deadlock | Failure::ThreadsLeft));
        let touch = |step: &ForeignStep| Some((step.clone(), step.touches(&failed.objects)?));
        let look = || self.runner.monitor.foreign().iter().find_map(touch);
        if !blocked {
            return None;
        }
        let touched = match look() {
            None if !has_foreign_threads() => return None,
            None => (0..FOREIGN_LOOKS).find_map(|_| {
                std::thread::sleep(Duration::from_millis(1));
                look()
            }),
            touched => touched,
        };
        if let Some((foreign, object)) = touched {
            failed.failure = Some(foreign.failure(failed.objects.what(object)));
        }
        Some(FOREIGN.to_owned())
    }

    /// The same execution with the records for a report. Returns `None` if the failure does not recur.
    fn recorded(&self, failed: &Trace) -> Option<Trace> {
        let rules = Rules { record: true, ..self.options.rules };
        let (shown, _) = self.runner.run(rules, Replay::new(failed.choices.clone()));
        let same = shown.failure.as_ref().zip(failed.failure.as_ref()).is_some_and(|(a, b)| a.is_like(b));
        same.then_some(shown)
    }

    /// The report of a failure that is not simplified.
    fn failed(&self, trace: Trace, strategy: Strategy, exact: bool) -> Survey {
        let report = report_of(trace, strategy, self.options.rules, self.name.clone(), exact);
        Survey { executions: 1, failures: 1, first: Some(Box::new(report)), ..Survey::default() }
    }

    /// The report of a program that does not repeat itself after these choices, up to the first step that differs
    /// when it is run again.
    fn not_repeatable(&self, choices: &[usize]) -> Box<Report> {
        let rules = Rules { record: true, ..self.options.rules };
        let run = || self.runner.run(rules, Replay::new(choices.to_vec())).0;
        let mut trace = run();
        let differs = (0..REPETITIONS).find_map(|_| difference(&trace, &run()));
        trace.failed_at = differs.as_ref().map_or(trace.events.len(), |(step, ..)| *step);
        trace.failure = Some(Failure::NotRepeatable { differs });
        let survey = self.failed(trace, self.options.strategy, true);
        survey.first.expect("a failure has a report")
    }

    fn replay_token(&self, token: &Token) -> Result<Survey, String> {
        let rules = Rules { record: true, ..self.options.rules };
        let run = |rules| {
            let (trace, policy) = self.runner.run(rules, Replay::new(token.choices.clone()));
            let changed = policy.diverged || fingerprint(&trace, token.steps) != token.fingerprint;
            (trace, changed)
        };
        let (mut trace, mut changed) = run(rules);
        let required = required_by(&trace, rules);
        if required != rules {
            (trace, changed) = run(required);
        }
        // By other rules than those of its search, the program may not get to the steps by which it requires them.
        for rules in stricter(rules) {
            if !changed {
                break;
            }
            let (other, differs) = run(rules);
            if !differs {
                (trace, changed) = (other, false);
            }
        }
        if trace.failure.is_none() {
            return if changed {
                Err(format!("the token {} {CHANGED}", token.shown()))
            } else {
                Ok(Survey::default())
            };
        }
        let mut survey = self.failed(trace, self.options.strategy, true);
        let warning = changed.then(|| format!("the token {CHANGED}; this report shows what it does now"));
        survey.first = survey.first.map(|report| Box::new(report.replayed().warning(warning)));
        Ok(survey)
    }
}

/// Returns the rules that a program requires by the steps that it takes. If it reads the number of waiters, enqueueing
/// as one is a step of its own. If it reads the clock, so is computing a deadline. Both would multiply the schedules of other
/// programs.
fn required_by(trace: &Trace, rules: Rules) -> Rules {
    let arrivals = rules.arrivals || trace.reads_waiters;
    let deadlines = rules.deadlines.max(trace.deadlines);
    Rules { arrivals, deadlines, ..rules }
}

/// The rules that some program may [require](required_by), as far as their steps differ.
fn stricter(rules: Rules) -> [Rules; 3] {
    let with = |arrivals, deadlines| Rules { arrivals, deadlines, ..rules };
    [with(true, rules.deadlines), with(rules.arrivals, Deadlines::Step), with(true, Deadlines::Step)]
}

/// How an execution ended, for an observer.
fn end_of(trace: &Trace) -> Ended {
    let failure = trace.failure.as_ref().map(|failure| match failure {
        Failure::Panic { .. } => "panic",
        Failure::Deadlock => "deadlock",
        Failure::ThreadsLeft => "threads left",
        Failure::Race { .. } => "data race",
        Failure::StepLimit => "livelock",
        _ => "another failure",
    });
    Ended { failure, redundant: trace.redundant, bounded: trace.bounded }
}

/// The first step in which two executions after the same choices differ, and that step of each of them.
fn difference(one: &Trace, other: &Trace) -> Option<(usize, String, String)> {
    let step = |trace: &Trace, place: usize| {
        let event = trace.events.get(place)?;
        let doing =
            event.op.map(|op| (op.kind, op.object.type_name, op.at.file(), op.at.line(), op.at.column()));
        Some((event.thread, doing))
    };
    let most = one.events.len().max(other.events.len());
    let place = (0..most).find(|&place| step(one, place) != step(other, place))?;
    let words = |trace: &Trace| match trace.events.get(place) {
        None => "the execution has ended".to_owned(),
        Some(event) => {
            let does = event.op.map_or_else(String::new, |op| {
                format!(" {} a {}, at {}", op.verb(), op.object.type_name, op.at)
            });
            format!("thread \"{}\"{does}", trace.tasks[event.thread].name)
        }
    };
    Some((place, words(one), words(other)))
}

/// How often a program that did not repeat itself is run again to find the step that differs.
const REPETITIONS: usize = 20;

/// The report of a failure that no search has found, or whose search does not matter.
fn report_of(trace: Trace, strategy: Strategy, rules: Rules, name: Option<String>, exact: bool) -> Report {
    let preemptions = trace.preemptions;
    let found = Found {
        execution: None,
        replayed: false,
        classes: 0,
        strategy,
        preemptions,
        shrunk_from: preemptions,
    };
    let token = Token::new(&trace, rules);
    let note = (!exact).then(|| LOST_THREAD.to_owned());
    Report::new(trace, found, None, token).of_program(name).noting(note).publish()
}

/// For so many milliseconds, a foreign thread may access one of the program's objects after a deadlock.
const FOREIGN_LOOKS: usize = 50;
const FOREIGN: &str = "a thread that raddle did not spawn is alive and may take part in this; its steps are not explored: \
                       spawn it with raddle's `Thread`, scope or pool";
const LOST_THREAD: &str = "the blocked thread could not be unwound and stays alive; the token replays the schedule up to the \
                           step after which it blocks";
const DOES_NOT_RECUR: &str = "this failure did not recur when the same schedule was run again, so its steps are not known, and the token may \
                              not replay it; the program depends on an earlier execution, on time or on chance: a `static` or a \
                              captured value keeps its state, for example; create all state inside the closure";
const CHANGED: &str = "is of another program, or the program has changed since it was made: after the same choices, the program \
                       takes different steps";
