//! The steps and the failure of an execution, in words.

use std::collections::HashMap;

use raddle::rt::{Kind, Op, Place};

use crate::runtime::{BlockedTask, Failure, Hold, SourceLocation, StepRecord, Trace};
use crate::search::Race;

/// The failure.
pub(super) struct Headline {
    pub(super) kind: &'static str,
    /// In one sentence.
    pub(super) title: String,
    pub(super) message: String,
    pub(super) at: Option<SourceLocation>,
    pub(super) thread: Option<usize>,
}

/// One step.
pub(super) struct Step<'a> {
    pub(super) record: &'a StepRecord,
    pub(super) verb: &'static str,
    /// The operation, with the name of its object.
    pub(super) text: String,
    pub(super) value: Option<String>,
    pub(super) at: Option<Place>,
    /// The meaning of `at`, if it is not the line of the step.
    pub(super) hint: Option<&'static str>,
    /// The threads that it woke.
    pub(super) wakes: Option<String>,
    pub(super) pair: bool,
}

/// An execution whose objects and threads have names.
pub(super) struct Story<'a> {
    trace: &'a Trace,
    pair: Option<Race>,
    /// The thread that an object stands for.
    threads: HashMap<u32, usize>,
}

impl<'a> Story<'a> {
    pub(super) fn new(trace: &'a Trace, pair: Option<Race>) -> Self {
        // A start declares the object of the new thread. A thread of the toolkit declares its own when it terminates.
        let thread = |record: &StepRecord| match record.kind? {
            Kind::Start => Some((record.object?, record.starts?)),
            Kind::Terminate if record.ends => Some((record.object?, record.thread)),
            _ => None,
        };
        Self { trace, pair, threads: trace.records.iter().filter_map(thread).collect() }
    }

    /// The steps before the failure.
    pub(super) fn steps(&self) -> Vec<Step<'a>> {
        let before = |record: &&StepRecord| record.event < self.trace.failed_at;
        self.trace.records.iter().filter(before).map(|record| self.step(record)).collect()
    }

    fn step(&self, record: &'a StepRecord) -> Step<'a> {
        let own = record.at.is_some_and(Place::is_internal);
        let began = self.began(record);
        let verb = match record.verb {
            None if record.ends_program => "ends the program",
            None => "yields",
            Some(_) if self.blocks(record) => "blocks on",
            Some(_) if record.back => "wakes up and reacquires",
            Some(_) if began.is_some() && record.kind == Some(Kind::Wait) && !record.timed_out => {
                "is woken from"
            }
            Some(verb) => verb,
        };
        let object = record.object.filter(|_| {
            !matches!(record.kind, Some(Kind::Sleep | Kind::Clock)) && !self.is_end_of_thread(record)
        });
        let text = match object {
            Some(object) => format!("{verb} {}", self.object(object)),
            None => verb.to_owned(),
        };
        let (at, hint) = match (own, record.taken_at, record.made_at) {
            (false, ..) => (record.at, None),
            (true, Some(taken), _) => (Some(taken), Some("acquired at")),
            (true, None, Some(made)) => (Some(made), Some("created at")),
            (true, None, None) => (None, None),
        };
        // A thread that had to wait has declared its item when it began to wait.
        let item = if record.values.is_empty() && record.kind == Some(Kind::Put) { began } else { None };
        let values: Vec<&str> = item.unwrap_or(record).values.iter().map(String::as_str).collect();
        let mut value = Some(values.join("; ")).filter(|value| !value.is_empty());
        if record.kind == Some(Kind::TryAcquire) && value.is_none() {
            let acquired = record.acquired.unwrap_or(!record.acquires.is_empty());
            value = Some(if acquired { "acquired" } else { "not acquired" }.to_owned());
        }
        let wakes = self.wakes(record);
        let pair =
            self.pair.is_some_and(|race| race.first == record.event || race.second == Some(record.event));
        Step { record, verb, text, value, at, hint, wakes, pair }
    }

    /// The row in which the thread began to wait for the step `record`, if that was a step of its own.
    fn began(&self, record: &StepRecord) -> Option<&'a StepRecord> {
        if !record.conditional {
            return None;
        }
        let records = &self.trace.records;
        let before =
            records.iter().rfind(|other| other.thread == record.thread && other.event < record.event)?;
        (!before.conditional && before.is_same_operation(record)).then_some(before)
    }

    /// Whether the thread blocked in this step.
    fn blocks(&self, record: &StepRecord) -> bool {
        if record.conditional || !matches!(record.kind, Some(Kind::Acquire | Kind::Get | Kind::Put)) {
            return false;
        }
        let mut later = self
            .trace
            .records
            .iter()
            .filter(|other| other.thread == record.thread && other.event > record.event);
        match later.next() {
            Some(next) => next.conditional && next.is_same_operation(record),
            None => self.trace.waits.iter().any(|wait| {
                wait.thread == record.thread
                    && Some(wait.object) == record.object
                    && Some(wait.at) == record.at
            }),
        }
    }

    fn is_end_of_thread(&self, record: &StepRecord) -> bool {
        record.kind == Some(Kind::Terminate)
            && record.object.and_then(|object| self.threads.get(&object)) == Some(&record.thread)
    }

    /// The waiters that the step woke. Left out for locks, where every waiter may try.
    fn wakes(&self, record: &StepRecord) -> Option<String> {
        let names: Vec<_> =
            record.wakes.iter().map(|thread| format!("\"{}\"", self.thread(*thread))).collect();
        match (record.kind?, names.is_empty()) {
            (Kind::Notify, true) => Some("no thread waits".to_owned()),
            (Kind::Notify | Kind::Write | Kind::Put | Kind::Get | Kind::Wait, false) => {
                Some(format!("wakes {}", names.join(", ")))
            }
            (Kind::Release, false) if !self.is_lock(record.object?) => {
                Some(format!("wakes {}", names.join(", ")))
            }
            _ => None,
        }
    }

    /// Whether one thread at a time can hold the object.
    pub(super) fn is_lock(&self, object: u32) -> bool {
        self.trace.records.iter().any(|record| record.acquires.contains(&object))
    }

    pub(super) fn thread(&self, thread: usize) -> &'a str {
        &self.trace.tasks[thread].name
    }

    /// Whether the object stands for a thread.
    pub(super) fn is_thread(&self, object: u32) -> bool {
        self.threads.contains_key(&object)
    }

    /// The object's name: its own, the thread's, or its kind and a number.
    pub(super) fn object(&self, object: u32) -> String {
        let (what, ordinal) = self.trace.objects.key(object);
        match (self.trace.label(object), self.threads.get(&object)) {
            (Some(label), _) => label.to_owned(),
            (None, Some(thread)) => format!("thread \"{}\"", self.thread(*thread)),
            (None, None) => format!("{what} {}", ordinal + 1),
        }
    }

    pub(super) fn headline(&self) -> Headline {
        let headline = |kind, title: &str, message: String| Headline {
            kind,
            title: title.to_owned(),
            message,
            at: None,
            thread: None,
        };
        match &self.trace.failure {
            Some(Failure::Panic { thread, message, at }) => Headline {
                kind: "panic",
                title: format!("thread \"{}\" panicked", self.thread(*thread)),
                message: message.clone(),
                at: at.clone(),
                thread: Some(*thread),
            },
            Some(Failure::Deadlock) => {
                let (title, message) = self.blocked("deadlock: ", "no thread can make progress");
                headline("deadlock", &title, message)
            }
            Some(Failure::ThreadsLeft) => {
                let (title, message) = self.blocked(
                    "",
                    "the closure has returned, and the remaining threads can never make progress",
                );
                headline("threads left", &title, message)
            }
            Some(Failure::StepLimit) => {
                let steps = self.trace.events.len();
                let message =
                    format!("stopped after {steps} steps; raise `Explorer::max_steps` to allow more");
                headline("livelock", "livelock: the execution does not terminate", message)
            }
            Some(Failure::Race { cell, first, second }) => self.race(*cell, *first, *second),
            Some(Failure::NotRepeatable { differs }) => {
                headline("not repeatable", NOT_REPEATABLE, strange(differs.as_ref()))
            }
            Some(Failure::BlockedOutside { thread, state }) => Headline {
                kind: "blocked outside",
                title: format!("thread \"{}\" is blocked outside the toolkit", self.thread(*thread)),
                message: state.clone(),
                at: None,
                thread: Some(*thread),
            },
            Some(Failure::Other { kind, title, message, thread, at }) => Headline {
                kind,
                title: title.clone(),
                message: message.clone(),
                at: at.clone(),
                thread: *thread,
            },
            Some(failure) => headline(kind_of(failure), title_of(failure), String::new()),
            None => headline("none", "no failure", String::new()),
        }
    }

    fn race(&self, cell: u32, first: usize, second: usize) -> Headline {
        let access = |event: usize| {
            let event = &self.trace.events[event];
            let op = event.op.map(|op| format!("{} it, at {}", op.verb(), op.at)).unwrap_or_default();
            format!("thread \"{}\" {op}", self.thread(event.thread))
        };
        Headline {
            kind: "data race",
            title: format!("data race on {}: two conflicting accesses are unordered", self.object(cell)),
            message: format!("{}\n{}", access(first), access(second)),
            at: self.trace.events[second].op.map(|op| op.at.into()),
            thread: Some(self.trace.events[second].thread),
        }
    }

    /// A title and a message for threads that can never make progress. The last notification that one of them needs may
    /// have been sent before the thread waited, or may have woken another thread.
    fn blocked(&self, kind: &str, what: &str) -> (String, String) {
        let title = format!("{kind}{what}");
        let waits = self.waits().iter().filter(|wait| wait.kind == Kind::Wait);
        for wait in waits {
            let of_it = |record: &&StepRecord| record.object == Some(wait.object);
            let records = &self.trace.records;
            let Some(notified) =
                records.iter().filter(of_it).rfind(|record| record.kind == Some(Kind::Notify))
            else {
                continue;
            };
            let Some(began) = records.iter().filter(of_it).rfind(|record| record.thread == wait.thread)
            else {
                continue;
            };
            let (by, at) =
                (self.thread(notified.thread), notified.at.map(|at| at.to_string()).unwrap_or_default());
            let (waiter, object) = (self.thread(wait.thread), self.object(wait.object));
            let woken: Vec<_> =
                notified.wakes.iter().map(|thread| format!("\"{}\"", self.thread(*thread))).collect();
            if !woken.is_empty() {
                let woken = woken.join(", ");
                return (
                    title,
                    format!(
                        "the last notification of {object}, by thread \"{by}\" at {at}, woke {woken}\n\
                         thread \"{waiter}\" waits for another notification, at {}",
                        wait.at
                    ),
                );
            }
            if notified.event < began.event {
                return (
                    format!("{kind}a wake-up was lost, and {what}"),
                    format!(
                        "thread \"{by}\" notified {object} at {at}, when no thread was waiting for it\n\
                         thread \"{waiter}\" began to wait afterwards, at {}",
                        wait.at
                    ),
                );
            }
        }
        (title, String::new())
    }

    /// The threads that hold the object which a thread waits for at the end: the holder of a lock, or the threads that
    /// acquired permits of a semaphore, as far as permits and releases can be matched.
    pub(super) fn holders(&self, wait: &BlockedTask) -> Vec<Hold> {
        if let Some(hold) = wait.held {
            return vec![hold];
        }
        if wait.kind != Kind::Acquire {
            return Vec::new();
        }
        let mut holds: Vec<Hold> = Vec::new();
        for record in self.trace.records.iter().filter(|record| record.object == Some(wait.object)) {
            match (record.kind, record.at) {
                (Some(Kind::Acquire), Some(at)) if !record.timed_out && !self.blocks(record) => {
                    holds.push(Hold { by: record.thread, since: at });
                }
                (Some(Kind::TryAcquire), Some(at)) if record.acquired == Some(true) => {
                    holds.push(Hold { by: record.thread, since: at });
                }
                (Some(Kind::Release), _) => {
                    let own = holds.iter().rposition(|hold| hold.by == record.thread);
                    if let Some(place) = own.or((!holds.is_empty()).then_some(0)) {
                        holds.remove(place);
                    }
                }
                _ => {}
            }
        }
        holds
    }

    /// The threads that are blocked at the end, if that is the failure.
    pub(super) fn waits(&self) -> &'a [BlockedTask] {
        match self.trace.failure {
            Some(Failure::Deadlock | Failure::ThreadsLeft) => &self.trace.waits,
            _ => &[],
        }
    }

    /// The second step of the deciding pair, if the execution ended before it: its thread and its operation.
    pub(super) fn to_come(&self) -> Option<(usize, String, Op)> {
        let race = self.pair.filter(|race| race.second.is_none())?;
        let pending = self.trace.pending.iter().find(|pending| pending.thread == race.thread)?;
        let op = pending.op?;
        Some((race.thread, format!("{} {}", op.verb(), self.object(pending.accesses.first()?.object)), op))
    }

    /// A cycle of threads, each of which waits for an object that the next one holds.
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

/// Extends `way` from its last thread by depth-first search. Returns whether that closes a cycle; `way` is the cycle
/// then.
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

/// The line on which a thread is blocked. A thread of the toolkit has none; the line that created the object is shown
/// instead.
pub(super) fn position_of(wait: &BlockedTask) -> (Place, &'static str) {
    match wait.made_at {
        Some(made) if wait.at.is_internal() => (made, "created at"),
        _ => (wait.at, "at"),
    }
}

/// Returns the verb for a thread that is blocked at the end.
pub(super) fn waits_for(wait: &BlockedTask) -> &'static str {
    match wait.kind {
        Kind::Acquire | Kind::Get | Kind::Put => "blocks on",
        _ => wait.verb,
    }
}

const NOT_REPEATABLE: &str = "the program is not repeatable: after the same choices it took different steps";

fn strange(differs: Option<&(usize, String, String)>) -> String {
    let step = differs.map(|(step, once, again)| {
        format!("the first difference is step {}:\n  in one execution:      {once}\n  in another execution:  {again}\n", step + 1)
    });
    step.unwrap_or_default()
        + "the program depends on something that the explorer does not control: a `static` or a captured value that keeps \
           its state from one execution to the next, the real clock, random numbers, addresses, or threads that raddle did \
           not spawn; create all state inside the closure, and use `raddle::time` and seeded random numbers"
}

fn kind_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::TooManyTasks => "too many threads",
        _ => "incorrect primitive",
    }
}

fn title_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::TooManyTasks => {
            "more than 128 threads of the program are alive at the same time; 128 is the limit"
        }
        Failure::FalselyEnabled => "incorrect primitive: its predicate returned true, but the step blocked",
        _ => {
            "incorrect primitive: its predicate returned false although the step would succeed; the change of its word was \
             not announced by `atom` or `signal`"
        }
    }
}
