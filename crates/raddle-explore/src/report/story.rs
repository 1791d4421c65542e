//! An execution that failed, told in words.

use std::collections::HashMap;

use raddle::rt::{Kind, Op};

use crate::search::{Execution, Race};
use crate::stage::{Failure, Hold, Place, Row, Waits};

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
    /// What `at` is, if it is not the line of the step.
    pub(super) hint: Option<&'static str>,
    /// Whom it woke.
    pub(super) wakes: Option<String>,
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
        // Whoever starts a thread names its object; a pool's worker names its own when it terminates.
        let thread = |row: &Row| match row.kind? {
            Kind::Start => Some((row.object?, row.starts?)),
            Kind::End if row.verb == Some(Kind::End.verb()) => Some((row.object?, row.thread)),
            _ => None,
        };
        Self { execution, pair, threads: execution.rows.iter().filter_map(thread).collect() }
    }

    /// The steps up to the failure; what others did after it explains nothing.
    pub(super) fn steps(&self) -> Vec<Step<'a>> {
        let before = |row: &&Row| row.event < self.execution.failed_at;
        self.execution.rows.iter().filter(before).map(|row| self.step(row)).collect()
    }

    fn step(&self, row: &'a Row) -> Step<'a> {
        let own = row.at.is_some_and(Place::is_internal);
        let began = self.began(row);
        let verb = match row.verb {
            None if row.ends_program => "ends the program",
            None => "yields",
            Some(_) if self.blocks(row) => "blocks on",
            Some(_) if row.back => "wakes up and reacquires",
            Some(_) if began.is_some() && row.kind == Some(Kind::Wait) && !row.timed_out => "is woken from",
            Some(verb) => verb,
        };
        let object = row.object.filter(|_| row.kind != Some(Kind::Sleep) && !self.is_end_of_thread(row));
        let text = match object {
            Some(object) => format!("{verb} {}", self.object(object)),
            None => verb.to_owned(),
        };
        let (at, hint) = match (own, row.taken_at, row.made_at) {
            (false, ..) => (row.at, None),
            (true, Some(taken), _) => (Some(taken), Some("acquired at")),
            (true, None, Some(made)) => (Some(made), Some("created at")),
            (true, None, None) => (None, None),
        };
        // A thread that had to wait told its item when it began to.
        let told = if row.values.is_empty() && row.kind == Some(Kind::Put) { began } else { None };
        let values = &told.unwrap_or(row).values;
        let mut value = (!values.is_empty()).then(|| values.join("; "));
        if row.kind == Some(Kind::TryTake) && value.is_none() {
            value = Some(if row.takes.is_empty() { "not acquired" } else { ACQUIRED }.to_owned());
        }
        let wakes = self.wakes(row);
        let pair = self.pair.is_some_and(|race| race.first == row.event || race.second == Some(row.event));
        Step { row, verb, text, value, at, hint, wakes, pair }
    }

    /// The row in which the thread began to wait for what `row` does, if that was a step of its own.
    fn began(&self, row: &Row) -> Option<&'a Row> {
        if !row.gated {
            return None;
        }
        let rows = &self.execution.rows;
        let before = rows.iter().rfind(|other| other.thread == row.thread && other.event < row.event)?;
        (!before.gated && before.is_same_operation(row)).then_some(before)
    }

    /// Whether the step came to nothing but that the thread waits for what it asked for.
    fn blocks(&self, row: &Row) -> bool {
        if row.gated || !matches!(row.kind, Some(Kind::Take | Kind::Get | Kind::Put)) {
            return false;
        }
        let mut later =
            self.execution.rows.iter().filter(|other| other.thread == row.thread && other.event > row.event);
        match later.next() {
            Some(next) => next.gated && next.is_same_operation(row),
            None => self.execution.waits.iter().any(|wait| {
                wait.thread == row.thread && Some(wait.object) == row.object && Some(wait.at) == row.at
            }),
        }
    }

    fn is_end_of_thread(&self, row: &Row) -> bool {
        row.kind == Some(Kind::End)
            && row.object.and_then(|object| self.threads.get(&object)) == Some(&row.thread)
    }

    /// Which waiting threads the step woke, where that is worth a word: to release a lock lets all who want it try.
    fn wakes(&self, row: &Row) -> Option<String> {
        let names: Vec<_> = row.wakes.iter().map(|thread| format!("\"{}\"", self.thread(*thread))).collect();
        match (row.kind?, names.is_empty()) {
            (Kind::Notify, true) => Some("no thread waits".to_owned()),
            (Kind::Notify | Kind::Write | Kind::Put | Kind::Get | Kind::Wait, false) => {
                Some(format!("wakes {}", names.join(", ")))
            }
            (Kind::Give, false) if !self.is_lock(row.object?) => Some(format!("wakes {}", names.join(", "))),
            _ => None,
        }
    }

    /// Whether one thread at a time can hold the object.
    pub(super) fn is_lock(&self, object: u32) -> bool {
        self.execution.rows.iter().any(|row| row.takes.contains(&object))
    }

    pub(super) fn thread(&self, thread: usize) -> &'a str {
        &self.execution.actors[thread].name
    }

    /// Whether the object stands for a thread.
    pub(super) fn is_thread(&self, object: u32) -> bool {
        self.threads.contains_key(&object)
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
            Some(Failure::Deadlock) => {
                let (title, message) = self.blocked("deadlock: ", "no thread can make progress");
                verdict("deadlock", &title, message)
            }
            Some(Failure::ThreadsLeft) => {
                let (title, message) = self
                    .blocked("", "the closure has returned, and the threads that are left can never proceed");
                verdict("threads left", &title, message)
            }
            Some(Failure::TooLong) => {
                let steps = self.execution.events.len();
                let message = format!("stopped after {steps} steps; `Explorer::max_steps` allows more");
                verdict("livelock", "livelock: the execution does not end", message)
            }
            Some(Failure::Race { cell, first, second }) => self.race(*cell, *first, *second),
            Some(Failure::Strange { differs }) => {
                verdict("not repeatable", NOT_REPEATABLE, strange(differs.as_ref()))
            }
            Some(Failure::Outside { thread, state }) => Verdict {
                kind: "blocked outside",
                title: format!("thread \"{}\" is blocked outside the toolkit", self.thread(*thread)),
                message: state.clone(),
                at: None,
                thread: Some(*thread),
            },
            Some(Failure::Other { kind, title, message, thread, at }) => Verdict {
                kind,
                title: title.clone(),
                message: message.clone(),
                at: at.clone(),
                thread: *thread,
            },
            Some(failure) => verdict(kind_of(failure), title_of(failure), String::new()),
            None => verdict("none", "nothing went wrong", String::new()),
        }
    }

    fn race(&self, cell: u32, first: usize, second: usize) -> Verdict {
        let access = |event: usize| {
            let event = &self.execution.events[event];
            let op = event.op.map(|op| format!("{} it, at {}", op.verb(), op.at)).unwrap_or_default();
            format!("thread \"{}\" {op}", self.thread(event.thread))
        };
        Verdict {
            kind: "data race",
            title: format!(
                "data race on {}: nothing orders two accesses, at least one of which writes",
                self.object(cell)
            ),
            message: format!("{}\n{}", access(first), access(second)),
            at: self.execution.events[second].op.map(|op| source(op.at)),
            thread: Some(self.execution.events[second].thread),
        }
    }

    /// A title and a message for threads that can never proceed: the last notification of what one of them waits for
    /// may have come too early, or woken another thread.
    fn blocked(&self, kind: &str, what: &str) -> (String, String) {
        let title = format!("{kind}{what}");
        let waits = self.waits().iter().filter(|wait| wait.kind == Kind::Wait);
        for wait in waits {
            let of_it = |row: &&Row| row.object == Some(wait.object);
            let rows = &self.execution.rows;
            let Some(notified) = rows.iter().filter(of_it).rfind(|row| row.kind == Some(Kind::Notify)) else {
                continue;
            };
            let Some(began) = rows.iter().filter(of_it).rfind(|row| row.thread == wait.thread) else {
                continue;
            };
            let (by, at) =
                (self.thread(notified.thread), notified.at.map(|at| at.to_string()).unwrap_or_default());
            let (who, object) = (self.thread(wait.thread), self.object(wait.object));
            let woken: Vec<_> =
                notified.wakes.iter().map(|thread| format!("\"{}\"", self.thread(*thread))).collect();
            if !woken.is_empty() {
                let woken = woken.join(", ");
                return (
                    title,
                    format!(
                        "the last notification of {object}, by thread \"{by}\" at {at}, woke {woken}\n\
                         thread \"{who}\" waits for another one, at {}",
                        wait.at
                    ),
                );
            }
            if notified.event < began.event {
                return (
                    format!("{kind}a wake-up was lost, and {what}"),
                    format!(
                        "{object} was notified by thread \"{by}\", at {at}, when no thread waited for it\n\
                         thread \"{who}\" began to wait afterwards, at {}",
                        wait.at
                    ),
                );
            }
        }
        (title, String::new())
    }

    /// Which threads hold an object that the thread waits for at the end: a lock's holder, or those that acquired
    /// permits of a semaphore and have not released them, as far as that can be matched.
    pub(super) fn holders(&self, wait: &Waits) -> Vec<Hold> {
        if let Some(hold) = wait.held {
            return vec![hold];
        }
        if wait.kind != Kind::Take {
            return Vec::new();
        }
        let mut holds: Vec<Hold> = Vec::new();
        for row in self.execution.rows.iter().filter(|row| row.object == Some(wait.object)) {
            match (row.kind, row.at) {
                (Some(Kind::Take), Some(at)) if !row.timed_out && !self.blocks(row) => {
                    holds.push(Hold { by: row.thread, since: at });
                }
                (Some(Kind::TryTake), Some(at)) if row.values.iter().any(|value| value == ACQUIRED) => {
                    holds.push(Hold { by: row.thread, since: at });
                }
                (Some(Kind::Give), _) => {
                    let own = holds.iter().rposition(|hold| hold.by == row.thread);
                    if let Some(place) = own.or((!holds.is_empty()).then_some(0)) {
                        holds.remove(place);
                    }
                }
                _ => {}
            }
        }
        holds
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
        Some((race.thread, format!("{} {}", op.verb(), self.object(pending.accesses.first()?.object)), op))
    }

    /// Threads of which each waits for what the next one holds.
    pub(super) fn cycle(&self) -> Option<Vec<usize>> {
        let next = |thread: usize| {
            let waits = self.waits().iter().filter(move |wait| wait.thread == thread);
            waits.flat_map(|wait| self.holders(wait)).map(|hold| hold.by)
        };
        self.waits().iter().find_map(|wait| {
            let mut way = vec![wait.thread];
            lead(&mut way, &next).then_some(way)
        })
    }
}

/// Goes on from the last thread of `way`; true: it leads back to a thread of it, with which `way` begins then.
fn lead<N: Iterator<Item = usize>>(way: &mut Vec<usize>, next: &impl Fn(usize) -> N) -> bool {
    let Some(last) = way.last().copied() else { return false };
    for holder in next(last) {
        if let Some(start) = way.iter().position(|thread| *thread == holder) {
            way.drain(..start);
            return true;
        }
        way.push(holder);
        if lead(way, next) {
            return true;
        }
        way.pop();
    }
    false
}

/// The line on which a thread is blocked; one of the toolkit's own threads has none, and is told with the line that
/// made what it waits for.
pub(super) fn place_of(wait: &Waits) -> (Place, &'static str) {
    match wait.made_at {
        Some(made) if wait.at.is_internal() => (made, "created at"),
        _ => (wait.at, "at"),
    }
}

/// What a thread that is blocked at the end does.
pub(super) fn waits_for(wait: &Waits) -> &'static str {
    match wait.kind {
        Kind::Take | Kind::Get | Kind::Put => "blocks on",
        _ => wait.verb,
    }
}

/// What a try that succeeded tells.
const ACQUIRED: &str = "acquired";

const NOT_REPEATABLE: &str = "the program is not repeatable: after the same choices it took other steps";

fn strange(differs: Option<&(usize, String, String)>) -> String {
    let step = differs.map(|(step, once, again)| {
        format!("the first difference is step {}:\n  in one execution:      {once}\n  in another execution:  {again}\n", step + 1)
    });
    step.unwrap_or_default()
        + "it may depend on what the explorer cannot see, such as the real clock, random numbers, addresses, thread-locals \
           or threads of its own"
}

fn kind_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::TooMany => "too many threads",
        _ => "a broken primitive",
    }
}

fn title_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::TooMany => {
            "more than 128 threads of the program are alive at the same time, which is the limit"
        }
        Failure::SaidYes => "a primitive's predicate said yes, and its step waited all the same",
        _ => {
            "a primitive's predicate said no for ever: its word has changed, but nobody said so by `atom` or `signal`"
        }
    }
}

fn source(at: Place) -> Source {
    (at.file().to_owned(), at.line(), at.column())
}
