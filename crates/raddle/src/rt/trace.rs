//! The trace: what each thread did, in the order in which it happened, for whoever asked to record it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::fork::{ForkSafe, Rank, locked};
use super::op::{Kind, Memory, Object, Op};
use super::place::Place;
use super::thread_record::ThreadRecord;
use super::{current, flags, scheduler};
use crate::sys::os;

/// One recorded step of one thread.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// Time since the recording began.
    pub when: Duration,
    /// Name of the thread.
    pub thread: Arc<str>,
    /// What it did.
    pub kind: Kind,
    /// To which object.
    pub object: Object,
    /// On which line.
    pub at: Place,
    /// The value that was seen or stored, or the note, if the step has one.
    pub value: Option<String>,
}

type Log = Arc<Mutex<Vec<Step>>>;

/// Locked also by who wants one of the logs, so that no fork leaves a log locked.
static LOGS: ForkSafe<Vec<(Instant, Log)>> = ForkSafe::new(Rank::Trace, Vec::new());

/// Collects the steps of all threads from [`start`](Recording::start) to [`finish`](Recording::finish).
#[derive(Debug)]
#[must_use = "nothing is recorded after this is dropped"]
pub struct Recording {
    log: Log,
}

impl Recording {
    /// Begins to record.
    pub fn start() -> Self {
        let log = Log::default();
        let mut logs = LOGS.lock();
        logs.push((os::now(), log.clone()));
        flags::set_tracing(true);
        Self { log }
    }

    /// Ends the recording and returns the steps, oldest first.
    pub fn finish(self) -> Vec<Step> {
        let _logs = LOGS.lock();
        std::mem::take(&mut *locked(&self.log))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut logs = LOGS.lock();
        logs.retain(|(_, log)| !Arc::ptr_eq(log, &self.log));
        flags::set_tracing(!logs.is_empty());
    }
}

/// Adds a note of the calling thread's own to the recordings, and to an explorer's report: the value of a local
/// variable, say.
///
/// The value is written out only while something records.
#[track_caller]
pub fn note(label: &'static str, value: impl fmt::Display) {
    if !flags::quiet() {
        let op = Op::at(Object::new(0, 0, label), Kind::Write, Place::caller());
        saw(&op, || value.to_string());
    }
}

/// Has explorers call `object` by `name` in their reports, instead of by a number: "the lock `accounts`".
///
/// The name holds for as long as the object stays where it is, so give it once the object has found its place.
///
/// ```
/// use raddle::{Mutex, trace};
/// use std::sync::Arc;
///
/// let accounts = Arc::new(Mutex::new([100, 0]));
/// trace::name(&*accounts, "accounts");
/// ```
pub fn name<T: Visible + ?Sized>(object: &T, name: &str) {
    if let Some(scheduler) = scheduler::current() {
        scheduler.named(&Object::of(object, "object"), name);
    }
}

/// Says on which line `object` was made, for steps that the toolkit takes on it by itself.
#[inline]
pub(crate) fn created(object: Object, at: Place) {
    if !flags::quiet()
        && let Some(scheduler) = scheduler::current()
    {
        scheduler.created(&object, at);
    }
}

/// An object of raddle's whose steps others see: a lock, a queue, a cell.
///
/// It keeps [`name`] from being given a pointer to the object instead of the object.
pub trait Visible {}

/// Records a step together with the value that it saw or stored.
pub(crate) fn value(op: &Op, value: impl Fn() -> String) {
    if !flags::quiet() {
        saw(op, value);
    }
}

/// Like [`value`], for an atomic access or a fence, of which the observer also learns what it orders.
#[inline]
pub(crate) fn ordered(op: &Op, memory: Memory, value: impl Fn() -> String) {
    if !flags::quiet() {
        orders(memory);
        saw(op, value);
    }
}

#[cold]
fn orders(memory: Memory) {
    if let Some(scheduler) = scheduler::current() {
        scheduler.ordering(memory);
    }
}

#[cold]
fn saw(op: &Op, value: impl Fn() -> String) {
    if let Some(scheduler) = scheduler::current() {
        return scheduler.value(op, &value);
    }
    if flags::tracing() {
        add(&current::record(), op, Some(&value()));
    }
}

pub(crate) fn step(thread: &ThreadRecord, op: &Op) {
    add(thread, op, None);
}

fn add(thread: &ThreadRecord, op: &Op, value: Option<&str>) {
    let (thread, logs) = (thread.name(), LOGS.lock());
    let now = os::now(); // under the lock, so that the order of the steps is that of their times
    for (start, log) in &*logs {
        locked(log).push(Step {
            when: now.saturating_duration_since(*start),
            thread: thread.clone(),
            kind: op.kind,
            object: op.object,
            at: op.at,
            value: value.map(str::to_owned),
        });
    }
}
