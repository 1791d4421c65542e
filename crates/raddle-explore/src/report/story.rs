//! An execution that failed, told in words.

use std::collections::HashMap;

use raddle::host::{Kind, Op, is_own};

use crate::search::{Execution, Race};
use crate::stage::{Failure, Place, Row, Waits};

/// Where in the sources: file, line, column.
pub(super) type Source = (String, u32, u32);

/// What went wrong.
pub(super) struct Verdict {
    pub(super) kind: &'static str,
    /// In one sentence.
    pub(super) title: String,
    pub(super) message: String,
    pub(super) at: Option<Source>,
    pub(super) thread: Option<usize>,
}

/// One step.
pub(super) struct Step<'a> {
    pub(super) row: &'a Row,
    pub(super) verb: &'static str,
    /// What was done, the object's name included.
    pub(super) text: String,
    pub(super) value: Option<String>,
    pub(super) at: Option<Place>,
    pub(super) pair: bool,
}

/// Gives names to what an execution did.
pub(super) struct Story<'a> {
    execution: &'a Execution,
    pair: Option<Race>,
    /// Which thread the object stands for.
    threads: HashMap<u32, usize>,
}

impl<'a> Story<'a> {
    pub(super) fn new(execution: &'a Execution, pair: Option<Race>) -> Self {
        let started = |row: &Row| Some((row.object?, row.starts?));
        Self { execution, pair, threads: execution.rows.iter().filter_map(started).collect() }
    }

    /// The steps up to the failure; what others did after it explains nothing.
    pub(super) fn steps(&self) -> Vec<Step<'a>> {
        let before = |row: &&Row| row.event < self.execution.failed_at;
        self.execution.rows.iter().filter(before).map(|row| self.step(row)).collect()
    }

    fn step(&self, row: &'a Row) -> Step<'a> {
        let verb = row.kind.map_or("yields", Kind::verb);
        let drop = row.at.is_some_and(is_own);
        let text = match row.object.filter(|_| row.kind != Some(Kind::Sleep)) {
            Some(object) if drop && row.taken_at.is_some() => {
                format!("{verb} {}, taken at", self.object(object))
            }
            Some(object) => format!("{verb} {}", self.object(object)),
            None if row.ends_program => "ends the program".to_owned(),
            None => verb.to_owned(),
        };
        let value = (!row.values.is_empty()).then(|| row.values.join("; "));
        let pair = self.pair.is_some_and(|race| race.first == row.event || race.second == Some(row.event));
        let at = if drop { row.taken_at } else { row.at };
        Step { row, verb, text, value, at, pair }
    }

    pub(super) fn thread(&self, thread: usize) -> &'a str {
        &self.execution.actors[thread].name
    }

    /// The object's name: its own, the thread's, or its kind and a number.
    pub(super) fn object(&self, object: u32) -> String {
        let (what, ordinal) = self.execution.objects.kin(object);
        match (self.execution.label(object), self.threads.get(&object)) {
            (Some(label), _) => label.to_owned(),
            (None, Some(thread)) => format!("thread \"{}\"", self.thread(*thread)),
            (None, None) => format!("{what} {}", ordinal + 1),
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        let verdict = |kind, title: &str, message: String| Verdict {
            kind,
            title: title.to_owned(),
            message,
            at: None,
            thread: None,
        };
        match &self.execution.failure {
            Some(Failure::Panic { thread, message, at }) => Verdict {
                kind: "panic",
                title: format!("thread \"{}\" panicked", self.thread(*thread)),
                message: message.clone(),
                at: at.clone(),
                thread: Some(*thread),
            },
            Some(Failure::Deadlock) => match self.lost_wake_up() {
                Some(lost) => verdict("deadlock", "a wake-up was lost, and no thread can go on", lost),
                None => verdict("deadlock", "deadlock: no thread can go on", String::new()),
            },
            Some(Failure::ThreadsLeft) => {
                let lost = self.lost_wake_up().unwrap_or_default();
                verdict(
                    "threads left",
                    "the closure has returned, but threads are left that wait for ever",
                    lost,
                )
            }
            Some(Failure::TooLong) => {
                let steps = self.execution.events.len();
                let message =
                    format!("stopped after {steps} steps: a livelock, or a limit of steps that is too low");
                verdict("livelock", "it goes on and on", message)
            }
            Some(Failure::Race { cell, first, second }) => self.race(*cell, *first, *second),
            Some(Failure::Outside { thread, state }) => Verdict {
                kind: "blocked outside",
                title: format!("thread \"{}\" is stuck outside the toolkit", self.thread(*thread)),
                message: state.clone(),
                at: None,
                thread: Some(*thread),
            },
            Some(failure) => verdict(kind_of(failure), title_of(failure), String::new()),
            None => verdict("none", "nothing went wrong", String::new()),
        }
    }

    fn race(&self, cell: u32, first: usize, second: usize) -> Verdict {
        let access = |event: usize| {
            let event = &self.execution.events[event];
            let op = event.op.map(|op| format!("{} it, at {}", op.kind.verb(), op.at)).unwrap_or_default();
            format!("thread \"{}\" {op}", self.thread(event.thread))
        };
        Verdict {
            kind: "data race",
            title: format!(
                "data race on {}: nothing orders two accesses, and one of them writes",
                self.object(cell)
            ),
            message: format!("{}\n{}", access(first), access(second)),
            at: self.execution.events[second].op.map(|op| source(op.at)),
            thread: Some(self.execution.events[second].thread),
        }
    }

    /// A thread waits for a notification that came before it waited.
    fn lost_wake_up(&self) -> Option<String> {
        self.waits().iter().filter(|wait| wait.kind == Kind::Wait).find_map(|wait| {
            let of_it = |row: &&Row| row.object == Some(wait.object);
            let notified = self.execution.rows.iter().filter(of_it).rfind(|row| row.kind == Some(Kind::Notify))?;
            let began = self.execution.rows.iter().filter(of_it).rfind(|row| row.thread == wait.thread)?;
            (notified.event < began.event).then(|| {
                let (by, at) = (self.thread(notified.thread), notified.at.map(ToString::to_string).unwrap_or_default());
                let (who, object) = (self.thread(wait.thread), self.object(wait.object));
                format!("{object} was notified by thread \"{by}\", at {at}, before thread \"{who}\" waited for it, at {}", wait.at)
            })
        })
    }

    /// Who waits at the end, if that is what went wrong.
    pub(super) fn waits(&self) -> &'a [Waits] {
        match self.execution.failure {
            Some(Failure::Deadlock | Failure::ThreadsLeft) => &self.execution.waits,
            _ => &[],
        }
    }

    /// The second step of the deciding pair, if it was still to be taken: whose it is, and what it was to do.
    pub(super) fn to_come(&self) -> Option<(usize, String, Op)> {
        let race = self.pair.filter(|race| race.second.is_none())?;
        let pending = self.execution.pending.iter().find(|pending| pending.thread == race.thread)?;
        let op = pending.op?;
        Some((
            race.thread,
            format!("{} {}", op.kind.verb(), self.object(pending.accesses.first()?.object)),
            op,
        ))
    }

    /// Threads of which each waits for what the next one holds.
    pub(super) fn cycle(&self) -> Option<Vec<usize>> {
        let next =
            |thread: usize| self.waits().iter().find(|wait| wait.thread == thread)?.held.map(|hold| hold.by);
        self.waits().iter().find_map(|wait| {
            let mut cycle = vec![wait.thread];
            while let Some(holder) = next(*cycle.last()?) {
                if let Some(start) = cycle.iter().position(|thread| *thread == holder) {
                    return Some(cycle.split_off(start));
                }
                cycle.push(holder);
            }
            None
        })
    }
}

fn kind_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::Strange => "not repeatable",
        Failure::TooMany => "too many threads",
        _ => "a broken primitive",
    }
}

fn title_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::Strange => {
            "after the same choices the program did something else: it depends on what the explorer cannot see, \
             such as the real clock, random numbers, addresses, thread-locals or threads of its own"
        }
        Failure::TooMany => {
            "more than 128 threads of the program are alive at the same time, which is the limit"
        }
        Failure::SaidYes => "a primitive's predicate said yes, and its step waited all the same",
        _ => {
            "a primitive's predicate said no for ever: its word has changed, but nobody said so by `atom` or `signal`"
        }
    }
}

pub(super) fn source(at: Place) -> Source {
    (at.file().to_owned(), at.line(), at.column())
}
