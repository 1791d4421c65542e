//! Recordings of what each thread does, and reports of values and names to observers.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::fork::{ForkSafe, Rank, locked};
use super::op::{Kind, Memory, Object, Op};
use super::place::Place;
use super::scheduler::drop_payload;
use super::thread_record::ThreadRecord;
use super::{binding, current, flags, scheduler};
use crate::sys::os;

/// A recorded operation.
///
/// # Examples
/// ```
/// use raddle::{Event, trace};
///
/// let recording = trace::Recording::start();
/// Event::new().set();
/// let steps = recording.finish();
/// assert_eq!(steps[0].object.type_name, "Event");
/// assert_eq!(steps[0].at.file(), file!());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The time since the recording started.
    pub when: Duration,
    /// The name of the thread.
    pub thread: Arc<str>,
    /// The kind of the operation.
    pub kind: Kind,
    /// The object of the operation.
    pub object: Object,
    /// The place of the operation.
    pub at: Place,
    /// The value that was read or stored, or the text of a note.
    pub value: Option<String>,
}

type Log = Arc<Mutex<Vec<Step>>>;

/// Locked before any of the logs, so that no fork leaves a log locked.
static LOGS: ForkSafe<Vec<(Instant, Log)>> = ForkSafe::new(Rank::Trace, Vec::new());

/// Collects the operations of all threads from [`start`](Recording::start) to [`finish`](Recording::finish).
///
/// Several recordings can be active at the same time.
#[derive(Debug)]
#[must_use = "nothing is recorded after this is dropped"]
pub struct Recording {
    log: Log,
}

impl Recording {
    /// Starts a recording.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Mutex, trace};
    ///
    /// let recording = trace::Recording::start();
    /// *Mutex::new(0).lock() += 1;
    /// let verbs: Vec<_> = recording.finish().iter().map(|step| step.kind.verb()).collect();
    /// assert_eq!(verbs, ["acquires", "releases"]);
    /// ```
    pub fn start() -> Self {
        let log = Log::default();
        let mut logs = LOGS.lock();
        logs.push((os::now(), log.clone()));
        flags::set_tracing(true);
        Self { log }
    }

    /// Ends the recording and returns its steps, oldest first.
    ///
    /// # Examples
    /// ```
    /// let recording = raddle::trace::Recording::start();
    /// assert!(recording.finish().is_empty());
    /// ```
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

/// Adds a note to recordings and to the reports of an explorer: the value of a local variable, for example.
///
/// The value is formatted only while something records.
///
/// # Examples
/// ```
/// use raddle::trace;
///
/// let recording = trace::Recording::start();
/// trace::note("balance", 42);
/// assert_eq!(recording.finish()[0].value.as_deref(), Some("42"));
/// ```
#[track_caller]
pub fn note(label: &'static str, value: impl fmt::Display) {
    if !flags::quiet() {
        let op = Op::at(Object::new(0, 0, label), Kind::Write, Place::caller());
        saw(&op, || value.to_string());
    }
}

/// Sets the name by which explorers show `object` in their reports, instead of a number.
///
/// The name applies as long as the object is not moved, so set it once the object is in its final position.
///
/// # Examples
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

/// Sets the text by which explorers show `object`, which is called only if an explorer runs.
pub(crate) fn named(object: Object, name: impl FnOnce() -> String) {
    if !flags::quiet()
        && let Some(scheduler) = scheduler::current()
    {
        scheduler.named(&object, &name());
    }
}

/// Reports where `object` was created, for operations that the toolkit performs on it by itself.
#[inline]
pub(crate) fn created(object: Object, at: Place) {
    if !flags::quiet()
        && let Some(scheduler) = scheduler::current()
    {
        scheduler.created(&object, at.on_behalf());
    }
}

/// An object whose operations observers see: a lock, a queue, a cell.
///
/// The bound keeps [`name`] from being called with a pointer to the object instead of the object.
pub trait Visible {}

/// Reports the value that `op` read or stored, for reports. `value` is called only if an observer keeps it.
///
/// # Examples
/// ```
/// use raddle::rt::{self, Kind, Op};
/// use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
///
/// let counter = AtomicU32::new(0);
/// let op = Op::new(&counter, "Counter", Kind::Load);
/// rt::point(op);
/// let seen = counter.load(SeqCst);
/// rt::value(&op, || seen.to_string());
/// ```
pub fn value(op: &Op, value: impl Fn() -> String) {
    if !flags::quiet() {
        saw(op, value);
    }
}

/// Like [`value`], for an atomic access or a fence. The observer also receives the memory ordering.
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
    if binding::is_unobserved() {
        return;
    }
    let op = &op.on_behalf();
    if let Some(scheduler) = scheduler::current() {
        return scheduler.value(op, &value);
    }
    if flags::tracing() {
        add(&current::record(), op, Some(&shown(value)));
    }
}

/// Returns the text of a value. A panic of the program's code that formats it must not end the operation, which may have
/// removed an item.
fn shown(value: impl Fn() -> String) -> String {
    catch_unwind(AssertUnwindSafe(value)).unwrap_or_else(|payload| {
        drop_payload(payload, |_| ());
        "<its text panicked>".to_owned()
    })
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
