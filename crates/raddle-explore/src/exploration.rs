//! One exploration, from its first execution to its outcome.

use std::io::Write as _;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::crew::{has_kept_nothing, note_locals, stay_for_good};
use crate::explorer::Explorer;
use crate::outcome::{Outcome, Survey};
use crate::report::{Found, Report};
use crate::search::{Execution, Follow, Lab, Portfolio, Program};
use crate::shrink::Shrinker;
use crate::stage::{Failure, Foreign, Rules, listen, own_locals};
use crate::strategy::Strategy;
use crate::stuck;
use crate::token::{Token, mark};

/// What is explored, and how.
#[derive(Clone)]
pub(crate) struct Exploration {
    options: Explorer,
    lab: Lab,
    /// The test's name, if the calling thread has one.
    name: Option<String>,
}

/// How often whoever waits for an exploration looks whether it goes on.
const LOOK: Duration = Duration::from_millis(100);

impl Exploration {
    pub(crate) fn new(options: Explorer, program: Program) -> Self {
        let name = std::thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        Self { options, lab: Lab::new(program), name }
    }

    pub(crate) fn run(self) -> Outcome {
        let allowed = self.options.allow_independent;
        let survey = self.watched(|exploration| Ok(exploration.search(true)));
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
        self.watched(|exploration| Ok(exploration.search(false)))
    }

    /// Runs the schedule of the token alone.
    pub(crate) fn replay(self, token: &Token) -> Outcome {
        let given = token.clone();
        let survey = self.watched(move |exploration| exploration.follow(&given));
        match survey.first {
            Some(report) => Outcome::Failed(report),
            None => Outcome::Inconclusive { executions: 1 },
        }
    }

    /// Has a thread of the crew do the work, and sees to it that it goes on.
    #[expect(clippy::disallowed_methods, reason = "the time that passes outside is real")]
    fn watched(self, work: impl Fn(&Self) -> Result<Survey, String> + Clone + Send + 'static) -> Survey {
        let (sender, receiver) = channel();
        listen(self.lab.crew.number(), &self.lab.pulse);
        let (mine, again) = (self.clone(), work.clone());
        let job = move || {
            note_locals(&own_locals());
            let survey = work(&mine);
            let clean = !mine.lab.has_spoiled_its_thread();
            drop(mine); // and with it, perhaps, what the program's closure owns
            let _ = sender.send(survey);
            if !clean {
                stay_for_good();
            }
            has_kept_nothing()
        };
        self.lab.crew.run(Box::new(job)).expect("a thread for the explorer");
        let (strategy, rules, name) = (self.options.strategy, self.options.rules, self.name.clone());
        self.lab.pulse.set_teller(move |stage| {
            // To standard error, past what captures a test's output.
            let report = report_of(Execution::of(&mut stage.lock()), strategy, rules, name.clone(), true);
            let _ = writeln!(std::io::stderr(), "raddle: {report}");
        });
        let (mut beats, mut since) = (0, Instant::now());
        let mut watch = stuck::Watch::new(self.name.is_some());
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(Ok(survey)) => {
                    self.lab.crew.dismiss();
                    return survey;
                }
                Ok(Err(error)) => panic!("{error}"),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the explorer itself has failed; this is a bug in it")
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.lab.pulse.is_lost() {
                return Self { lab: self.lab.apart(), ..self }.watched(again);
            }
            let now = self.lab.pulse.beats();
            if now != beats {
                (beats, since) = (now, Instant::now());
                watch.goes_on();
            }
            let blocked = now == beats && watch.sees_blocked_for_good(&self.lab.pulse);
            let stuck = blocked || since.elapsed() >= self.options.stuck_after;
            if stuck && let Some(execution) = stuck::look(&self.lab.pulse, since.elapsed()) {
                return self.failed(execution, self.options.strategy, false);
            }
        }
    }

    /// One execution after the other. That the program does not do the same after the same choices is a failure.
    fn search(&self, stop: bool) -> Survey {
        let Some((mut survey, strange)) = self.search_all(stop) else {
            return self.with_arrivals().search(stop);
        };
        if let Some(choices) = strange
            && survey.first.is_none()
        {
            survey.first = Some(self.not_repeatable(&choices));
            survey.failures += 1;
        }
        survey
    }

    /// The same, with each thread that begins to wait for a permit as a step of its own.
    fn with_arrivals(&self) -> Self {
        let mut with = self.clone();
        with.options.rules.arrivals = true;
        with
    }

    /// What was found, and choices after which the program did not repeat itself. `None`: the program looks at how many threads
    /// wait, and the search has to begin again with [arrivals](Self::with_arrivals).
    #[expect(clippy::disallowed_methods, reason = "the time that the search takes is real")]
    fn search_all(&self, stop: bool) -> Option<(Survey, Option<Vec<usize>>)> {
        let lab = &self.lab;
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
        {
            let (execution, strategy) = portfolio.perform(lab, options.rules);
            if execution.sees_arrivals && !options.rules.arrivals {
                return None;
            }
            survey.executions += 1;
            bounded |= execution.bounded;
            several |= execution.has_several_threads();
            interleaved = interleaved || execution.interleaves();
            options.observer.iter().for_each(|observer| observer.see(&execution));
            if portfolio.diverged() {
                return Some((survey, Some(execution.choices)));
            }
            if execution.failure.is_some() {
                survey.failures += 1;
                if survey.first.is_none() && options.observer.is_none() {
                    let seen = (survey.executions, portfolio.classes());
                    survey.first = Some(self.explained(execution, seen, strategy, until));
                }
                if stop {
                    break;
                }
                continue;
            }
            first.get_or_insert(execution);
        }
        survey.classes = portfolio.classes();
        // More than one class is more than one order in which something was done.
        survey.independent = several && !interleaved && survey.classes <= 1;
        survey.exhausted = portfolio.is_exhausted() && portfolio.is_complete() && !bounded;
        let strange = first.filter(|first| survey.failures == 0 && !self.is_repeated(first));
        let strange = strange.map(|first| first.choices);
        Some((survey, strange))
    }

    /// Whether the program, run once more, does again what it did first: else nothing that was seen holds for the
    /// next time.
    fn is_repeated(&self, first: &Execution) -> bool {
        let follow = Follow::new(first.choices.clone());
        let (again, policy) = self.lab.perform(self.options.rules, follow);
        let (steps, seen) = (first.events.len(), again.events.len());
        !policy.strayed && steps == seen && mark(first, steps) == mark(&again, steps)
    }

    /// The report of a failure: its schedule made simple, and run once more to see all that it does.
    fn explained(
        &self,
        mut failed: Execution,
        seen: (u64, u64),
        strategy: Strategy,
        until: Option<Instant>,
    ) -> Box<Report> {
        let rules = self.options.rules;
        let shrunk_from = failed.preemptions;
        let note = self.foreign_part(&mut failed);
        let (shown, pair) = if self.options.shrink {
            let mut shrinker = Shrinker::new(&self.lab, rules, until);
            let simple = shrinker.fewest_preemptions(failed);
            let pair = shrinker.deciding_pair(&simple);
            (self.shown(simple), pair)
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
        Box::new(report.noting(note).publish())
    }

    /// Looks, if threads were blocked at the end, for one that the program started past the toolkit: it may be the one
    /// that they wait for. If it touches one of the program's objects now, that is the failure.
    #[expect(clippy::disallowed_methods, reason = "that thread runs in real time")]
    fn foreign_part(&self, failed: &mut Execution) -> Option<String> {
        let blocked = matches!(failed.failure, Some(Failure::Deadlock | Failure::ThreadsLeft));
        if !blocked || !stuck::has_foreign_threads() {
            return None;
        }
        let touched = (0..FOREIGN_LOOKS).find_map(|_| {
            std::thread::sleep(Duration::from_millis(1));
            let touch = |it: &Foreign| Some((it.clone(), it.touches(&failed.objects)?));
            self.lab.pulse.foreign().iter().find_map(touch)
        });
        if let Some((foreign, object)) = touched {
            failed.failure = Some(foreign.failure(failed.objects.what(object)));
        }
        Some(FOREIGN.to_owned())
    }

    /// The same execution with all that a report shows; the one given, if the program does something else now.
    fn shown(&self, failed: Execution) -> Execution {
        let rules = Rules { record: true, ..self.options.rules };
        let (shown, _) = self.lab.perform(rules, Follow::new(failed.choices.clone()));
        let same = shown.failure.as_ref().zip(failed.failure.as_ref()).is_some_and(|(a, b)| a.is_like(b));
        if same { shown } else { failed }
    }

    /// The report of a failure as it is.
    fn failed(&self, execution: Execution, strategy: Strategy, exact: bool) -> Survey {
        let report = report_of(execution, strategy, self.options.rules, self.name.clone(), exact);
        Survey { executions: 1, failures: 1, first: Some(Box::new(report)), ..Survey::default() }
    }

    /// The report of a program that does not repeat itself after these choices: up to the first step that differs, if
    /// it differs again.
    fn not_repeatable(&self, choices: &[usize]) -> Box<Report> {
        let rules = Rules { record: true, ..self.options.rules };
        let run = || self.lab.perform(rules, Follow::new(choices.to_vec())).0;
        let mut execution = run();
        let differs = (0..REPETITIONS).find_map(|_| difference(&execution, &run()));
        execution.failed_at = differs.as_ref().map_or(execution.events.len(), |(step, ..)| *step);
        execution.failure = Some(Failure::Strange { differs });
        let survey = self.failed(execution, self.options.strategy, true);
        survey.first.expect("a failure has a report")
    }

    fn follow(&self, token: &Token) -> Result<Survey, String> {
        let rules = Rules { record: true, ..self.options.rules };
        let (mut execution, mut policy) = self.lab.perform(rules, Follow::new(token.choices.clone()));
        if execution.sees_arrivals {
            let rules = Rules { arrivals: true, ..rules };
            (execution, policy) = self.lab.perform(rules, Follow::new(token.choices.clone()));
        }
        let changed = policy.strayed || mark(&execution, token.steps) != token.mark;
        if execution.failure.is_none() {
            return if changed {
                Err(format!("the token {} {CHANGED}", token.shown()))
            } else {
                Ok(Survey::default())
            };
        }
        let mut survey = self.failed(execution, self.options.strategy, true);
        let warning = changed.then(|| format!("the token {CHANGED}. What follows is what it does now."));
        survey.first = survey.first.map(|report| Box::new(report.replayed().warning(warning)));
        Ok(survey)
    }
}

/// The first step in which two executions after the same choices differ, and what each did there.
fn difference(one: &Execution, other: &Execution) -> Option<(usize, String, String)> {
    let step = |execution: &Execution, place: usize| {
        let event = execution.events.get(place)?;
        let doing = event.op.map(|op| (op.kind, op.object.what, op.at.file(), op.at.line(), op.at.column()));
        Some((event.thread, doing))
    };
    let most = one.events.len().max(other.events.len());
    let place = (0..most).find(|&place| step(one, place) != step(other, place))?;
    let words = |execution: &Execution| match execution.events.get(place) {
        None => "the execution was over".to_owned(),
        Some(event) => {
            let does = event
                .op
                .map_or_else(String::new, |op| format!(" {} a {}, at {}", op.verb(), op.object.what, op.at));
            format!("thread \"{}\"{does}", execution.actors[event.thread].name)
        }
    };
    Some((place, words(one), words(other)))
}

/// So often a program that did not repeat itself is run again, to see where it differs.
const REPETITIONS: usize = 20;

/// The report of a failure that was found in the first execution, or to which that does not matter.
fn report_of(
    execution: Execution,
    strategy: Strategy,
    rules: Rules,
    name: Option<String>,
    exact: bool,
) -> Report {
    let preemptions = execution.preemptions;
    let found = Found {
        execution: None,
        replayed: false,
        classes: 0,
        strategy,
        preemptions,
        shrunk_from: preemptions,
    };
    let token = Token::new(&execution, rules);
    let note = (!exact).then(|| LOST_THREAD.to_owned());
    Report::new(execution, found, None, token).of_program(name).noting(note).publish()
}

/// So many milliseconds a thread that is not explored has to touch one of the program's objects.
const FOREIGN_LOOKS: usize = 50;
const FOREIGN: &str = "a thread that raddle did not start is alive, and may take part in this: its steps are not explored. Start it \
                       with raddle's Thread, scope or pool";
const LOST_THREAD: &str = "that thread could not be ended, and stays; the token leads to where it is stuck";
const CHANGED: &str = "is of another program, or the program has changed since: after the same choices it does something \
                       else now";
