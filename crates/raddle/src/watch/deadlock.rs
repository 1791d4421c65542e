//! Detection of deadlocks, and the actions against them.
//!
//! A thread calls [`detect`] each time a slice of an unlimited wait runs out. It follows the chain of waits from its own
//! (`Chain`) and then checks whether any thread of the process can still run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::holds;
use super::report::{self, Finding, Report, ThreadState, View};
use super::settings::{self, Action};
use super::wait_table::{Cause, Key, Reported, Table, Waiting, table};
use crate::rt::fork::{ForkSafe, Rank};
use crate::rt::lock_id::NO_LOCK;
use crate::rt::op::{Kind, Op};
use crate::rt::place::Place;
use crate::rt::program::Program;
use crate::rt::thread_record::ThreadRecord;
use crate::rt::{current, flags, scheduler};
use crate::sys::os;

/// The status with which a deadlocked program ends: that of a panic.
const FAILURE: i32 = 101;

const ENDS: &str = "The program ends with status 101; RADDLE_WATCH=0 turns this check off.";
const CONTINUES: &str = "No action is taken; RADDLE_WATCH=0 turns this check off.";
const UNCERTAIN: &str = "This is not certain, so no action is taken; RADDLE_WATCH=0 turns this check off.";
const RESOLVED: &str =
    "One wait returns FutureError::Deadlock and the pool continues; reported once for these lines.";

/// A detected problem and its remedy.
pub(super) struct Found {
    report: Report,
    remedy: Remedy,
}

enum Remedy {
    /// Report only, with this consequence.
    Nothing(&'static str),
    Panic,
    End,
}

impl Found {
    /// Reports the problem and applies the remedy.
    pub(super) fn act(self) {
        match self.remedy {
            Remedy::Nothing(consequence) => report::emit(&self.report, consequence),
            Remedy::Panic => {
                report::call_hook(&self.report);
                panic!("{}", self.report);
            }
            Remedy::End => {
                report::emit(&self.report, ENDS);
                report::call_bindings(settings::function_before_end());
                os::end_process(FAILURE);
            }
        }
    }
}

impl Waiting {
    /// Returns whether a panic can end the wait and help others: it is for a lock that is held.
    fn can_panic(&self) -> bool {
        self.may_panic && holds::get(self.lock).is_some()
    }

    /// Returns whether the thread waits for the result of a task. A worker without a task is about to terminate.
    fn is_for_result(&self) -> bool {
        self.op().is_none_or(|op| op.kind != Kind::Get)
    }
}

/// Looks for a deadlock that the wait at `key` is part of. A slice of that wait has just run out.
pub(super) fn detect(table: &mut Table, key: Key, program: &Program) -> Option<Found> {
    let found = Chain::of(table, key, program).and_then(|chain| {
        if chain.certain { deadlock(table, key, &chain, program) } else { suspicion(table, &chain, program) }
    });
    found.or_else(|| every_thread(table, key, program))
}

/// Reports threads that wait for each other and that no other thread can wake.
fn deadlock(table: &mut Table, me: Key, chain: &Chain, program: &Program) -> Option<Found> {
    if all_reported(table, &chain.threads, |reported| reported.in_cycle) {
        return None;
    }
    let can_panic = |key: &Key| table.get(*key).is_some_and(Waiting::can_panic);
    let remedy = remedy(can_panic(&me), chain.threads.iter().any(can_panic))?;
    set_reported(table, &chain.threads, |reported| reported.in_cycle = true);
    let (finding, headline) = match chain.shape {
        Shape::Own => (Finding::OwnLock, "raddle: deadlock: a thread waits for a lock that it holds"),
        _ => (Finding::Cycle, "raddle: deadlock: threads wait for each other in a cycle"),
    };
    Some(Found { report: chain_report(table, chain, program, finding, headline.into()), remedy })
}

/// Reports threads that wait for each other for a long time, if another thread might still release a lock.
fn suspicion(table: &mut Table, chain: &Chain, program: &Program) -> Option<Found> {
    let (now, suspect_after) = (os::now(), settings::suspect_after());
    let waiting = || chain.threads.iter().filter_map(|key| table.get(*key));
    let old = waiting().all(|waiting| now.saturating_duration_since(waiting.since) >= suspect_after);
    let reported = waiting().all(|waiting| waiting.reported.in_suspicion || waiting.reported.in_all);
    if !old || reported {
        return None;
    }
    set_reported(table, &chain.threads, |reported| reported.in_suspicion = true);
    let problem = match chain.shape {
        Shape::Own => "a thread has waited for a lock that it acquired and only another thread can release",
        Shape::Cycle => "threads have waited for each other in a cycle that only another thread can break",
        Shape::Terminated => "a thread has waited for a lock whose holder has terminated",
    };
    let headline = format!("raddle: suspected deadlock: for more than {suspect_after:.0?}, {problem}");
    let report = chain_report(table, chain, program, Finding::Suspicion, headline);
    Some(Found { report, remedy: Remedy::Nothing(UNCERTAIN) })
}

/// Reports that all threads of the process are proven at one moment: except for signal handlers, no code runs that could
/// wake one.
fn every_thread(table: &mut Table, me: Key, program: &Program) -> Option<Found> {
    if table.all().all(|waiting| waiting.reported.in_all) || !table.all_threads_are_proven() {
        return None;
    }
    let relevant = || table.all().filter(|waiting| waiting.is_relevant());
    if relevant().any(|waiting| can_end_otherwise(waiting, program)) {
        let handlers = os::signal_handlers();
        let handlers = handlers.map(|mut all| {
            all.retain(|signal| !settings::is_exempt(*signal));
            all
        });
        if handlers.as_ref().is_none_or(|handlers| !handlers.is_empty()) {
            return unless_signal(table, program, &handlers.unwrap_or_default());
        }
    }
    let mine = table.get(me).is_some_and(Waiting::can_panic);
    // At the end of the program, only the thread that waits for it sees all others proven.
    let others = table.get(me).is_some_and(|waiting| !matches!(waiting.cause, Cause::ProgramEnd));
    let remedy = remedy(mine, others && table.all().any(Waiting::can_panic))?;
    // After a panic in one of them, the others are examined again.
    let reported = !matches!(remedy, Remedy::Panic);
    table.all_mut().for_each(|waiting| waiting.reported.in_all = reported);
    let threads = all_threads(table, program);
    let headline = "raddle: deadlock: every thread of the program is blocked";
    Some(Found { report: Report::new(Finding::EveryThread, headline, threads), remedy })
}

/// Like [`every_thread`], while a signal handler may still wake a thread. Reported once, because a program that waits for
/// signals gets here again and again.
fn unless_signal(table: &mut Table, program: &Program, handlers: &[i32]) -> Option<Found> {
    let (now, suspect_after) = (os::now(), settings::suspect_after());
    let is_old = |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= suspect_after;
    if table.signals_suspected || !table.all().filter(|waiting| waiting.is_relevant()).all(is_old) {
        return None;
    }
    table.signals_suspected = true;
    let signals: Vec<_> = handlers.iter().map(|signal| signal_name(*signal)).collect();
    let headline = format!(
        "raddle: suspected deadlock: for more than {suspect_after:.0?}, every thread of the program has been \
         blocked, and only a signal handler ({}) can wake one",
        signals.join(", ")
    );
    Some(Found {
        report: Report::new(Finding::Suspicion, headline, all_threads(table, program)),
        remedy: Remedy::Nothing(UNCERTAIN),
    })
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGCHLD => "SIGCHLD",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

/// Returns the states of all threads in the order in which they were started, the toolkit's own threads last.
fn all_threads(table: &Table, program: &Program) -> Vec<ThreadState> {
    let view = View::of(program);
    let mut threads: Vec<_> = table.all().filter(|waiting| waiting.is_relevant()).collect();
    threads.sort_by_key(|waiting| (waiting.thread.internal, waiting.thread.ident));
    threads.into_iter().map(|waiting| view.waiting(waiting)).collect()
}

/// Returns the remedy for a deadlock, or `None` if another of the threads will apply it: one where a panic helps.
fn remedy(panic_helps_here: bool, panic_helps: bool) -> Option<Remedy> {
    match settings::action() {
        Action::Report => Some(Remedy::Nothing(CONTINUES)),
        Action::Panic if panic_helps_here => Some(Remedy::Panic),
        Action::Panic if panic_helps => None,
        Action::Panic | Action::End => Some(Remedy::End),
    }
}

fn all_reported(table: &Table, keys: &[Key], is_reported: fn(&Reported) -> bool) -> bool {
    keys.iter().filter_map(|key| table.get(*key)).all(|waiting| is_reported(&waiting.reported))
}

fn set_reported(table: &mut Table, keys: &[Key], set: fn(&mut Reported)) {
    for key in keys {
        if let Some(waiting) = table.get_mut(*key) {
            set(&mut waiting.reported);
        }
    }
}

fn chain_report(
    table: &Table,
    chain: &Chain,
    program: &Program,
    finding: Finding,
    headline: String,
) -> Report {
    let view = View::of(program);
    let waiting = chain.threads.iter().filter_map(|key| table.get(*key));
    Report::new(finding, headline, waiting.map(|waiting| view.waiting(waiting)).collect())
}

/// Threads that wait without a deadline, each for the next.
///
/// The chain is followed while the table of waits is locked. A waiting thread cannot leave its wait meanwhile, so it
/// neither acquires nor releases anything. Its locks stay held, unless another thread releases a `Lock`.
struct Chain {
    threads: Vec<Key>,
    shape: Shape,
    /// Whether only the threads of the chain could end it.
    certain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One thread that waits for itself.
    Own,
    /// The last thread waits for the first.
    Cycle,
    /// One thread that waits for a lock whose holder has terminated.
    Terminated,
}

/// The thread that a waiting thread depends on.
enum Next {
    Thread { ident: u64, certain: bool },
    Terminated,
    Unknown,
}

impl Chain {
    /// Returns the chain that begins with the wait `first`, if it leads back to it or to a terminated holder.
    fn of(table: &Table, first: Key, program: &Program) -> Option<Self> {
        let (mut threads, mut certain, mut at) = (vec![first], true, table.get(first)?);
        loop {
            let (ident, sure) = match next(at, program) {
                Next::Thread { ident, certain } => (ident, certain),
                Next::Terminated if threads.len() == 1 => {
                    return Some(Self { threads, shape: Shape::Terminated, certain: false });
                }
                Next::Terminated | Next::Unknown => return None,
            };
            certain &= sure;
            if ident == first.1 {
                let shape = if threads.len() == 1 { Shape::Own } else { Shape::Cycle };
                return Some(Self { threads, shape, certain });
            }
            let (key, waiting) = table.of_thread(ident)?;
            if threads.contains(&key) {
                return None; // a cycle that does not include the first thread: its own threads detect it
            }
            threads.push(key);
            at = waiting;
        }
    }
}

fn next(waiting: &Waiting, program: &Program) -> Next {
    if waiting.until.is_some() {
        return Next::Unknown;
    }
    if waiting.lock != NO_LOCK {
        return holder(waiting.lock);
    }
    let joined = waiting.op().and_then(|op| joined(op, program));
    joined.map_or(Next::Unknown, |thread| Next::Thread { ident: thread.ident, certain: true })
}

/// Returns whether something other than the progress of another thread could end the wait. It could not if the wait is
/// for a lock that only its holder can release, or for the termination of a thread.
fn can_end_otherwise(waiting: &Waiting, program: &Program) -> bool {
    let owned = |lock| holds::get(lock).is_some_and(|hold| hold.owned);
    let joins = match &waiting.cause {
        Cause::Operation(op) => joined(op, program).is_some(),
        Cause::Unreported => false,
        Cause::ProgramEnd => true,
    };
    !joins && (waiting.lock == NO_LOCK || !owned(waiting.lock))
}

fn holder(lock: u32) -> Next {
    let Some(hold) = holds::get(lock) else { return Next::Unknown };
    let certain = hold.owned;
    if !certain && holds::is_transferred(lock) {
        return Next::Unknown;
    }
    // A thread that calls `exit` has terminated for others, but runs exit handlers and may still release the lock.
    if hold.by.finished() { Next::Terminated } else { Next::Thread { ident: hold.by.ident, certain } }
}

/// Returns the thread whose termination the operation waits for.
fn joined(op: &Op, program: &Program) -> Option<Arc<ThreadRecord>> {
    if op.kind != Kind::Join {
        return None;
    }
    program.threads().into_iter().find(|thread| Arc::as_ptr(thread) as usize == op.object.address)
}

/// The lines of the pool deadlocks that have been reported: many pools may deadlock on the same ones.
static REPORTED_POOLS: ForkSafe<BTreeSet<BTreeSet<Place>>> = ForkSafe::new(Rank::Leaf, BTreeSet::new());

fn is_watched() -> bool {
    !flags::quiet() && scheduler::current().is_none() && flags::watching()
}

/// Returns a report of a pool whose workers all wait for tasks of the pool, or `None` if the watch is off.
///
/// The pool detects this itself and makes one of the waits fail, whether or not the watch is on. `waits` are the waits that its
/// workers have announced to it, some of which have not begun yet: the identifier of the thread, and the operation.
pub(crate) fn detect_pool_deadlock(pool: u64, waits: &[(u64, Op)]) -> Option<Report> {
    if !is_watched() {
        return None;
    }
    let program = scheduler::default_program();
    let (view, known) = (View::of(program), program.threads());
    let table = table();
    let workers = known.iter().filter(|thread| thread.group.load(Relaxed) == pool);
    let states = workers.filter_map(|thread| {
        if let Some((_, waiting)) = table.of_thread(thread.ident) {
            return waiting.is_for_result().then(|| view.waiting(waiting));
        }
        let (_, op) = waits.iter().find(|(ident, _)| *ident == thread.ident)?;
        Some(view.waiting(&Waiting::new(thread.clone(), Some(*op), None)))
    });
    let headline = "raddle: deadlock: all workers of a pool wait for tasks of the same pool";
    Some(Report::new(Finding::Pool, headline, states.collect()))
}

/// Reports a pool deadlock, once one of the waits has been ended.
pub(crate) fn report_pool_deadlock(report: &Report) {
    let lines = report.threads.iter().filter_map(|thread| thread.waits.as_ref()?.at).collect();
    if REPORTED_POOLS.lock().insert(lines) {
        report::emit(report, RESOLVED);
    }
}

/// Reports that the calling thread runs a task that is about to wait for its own result, in the operation `op`.
pub(crate) fn report_own_task(op: &Op) {
    if is_watched() {
        let waiting = Waiting::new(current::record(), Some(op.on_behalf()), None);
        let threads = vec![View::of(scheduler::default_program()).waiting(&waiting)];
        let headline = "raddle: deadlock: a task of a pool waits for its own result";
        report_pool_deadlock(&Report::new(Finding::Pool, headline, threads));
    }
}
