//! Is it a deadlock, and what is to be done about it?

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::holds;
use super::report::{self, Finding, Report, ThreadState, View};
use super::settings::{self, Action};
use super::wait_table::{Key, Said, Table, Waiting, table};
use crate::rt::fork::{ForkSafe, Rank};
use crate::rt::lock_id::NO_LOCK;
use crate::rt::op::{Kind, Op};
use crate::rt::place::Place;
use crate::rt::program::Program;
use crate::rt::thread_record::ThreadRecord;
use crate::rt::{current, current_op, flags, scheduler};
use crate::sys::os;

/// The status with which a deadlocked program ends: that of a panic.
const FAILURE: i32 = 101;

const ENDS: &str = "The program ends with status 101; RADDLE_WATCH=0 turns this check off.";
const GOES_ON: &str = "Nothing is done about it; RADDLE_WATCH=0 turns this check off.";
const PERHAPS: &str = "It is not certain, so nothing is done about it; RADDLE_WATCH=0 turns this check off.";

/// What was found, and what is to be done about it.
pub(crate) struct Found {
    report: Report,
    remedy: Remedy,
}

enum Remedy {
    Nothing(&'static str),
    Panic,
    End,
}

impl Found {
    /// Says it, and does what is to be done.
    pub(crate) fn act(self) {
        match self.remedy {
            Remedy::Nothing(what_follows) => report::say(&self.report, what_follows),
            Remedy::Panic => {
                report::tell(&self.report);
                panic!("{}", self.report);
            }
            Remedy::End => {
                report::say(&self.report, ENDS);
                os::end_process(FAILURE);
            }
        }
    }
}

impl Waiting {
    /// Whether a panic can end it and lets others go on: it waits for the very lock that it said it would take.
    fn can_be_ended(&self) -> bool {
        let is_it = |op: Op| holds::get(self.lock).is_some_and(|hold| hold.object == op.object);
        self.may_panic && self.op.is_some_and(is_it)
    }
}

/// What the thread finds that waits at `key`, now that a slice of its wait has run out.
pub(crate) fn judge(table: &mut Table, key: Key, program: &Program) -> Option<Found> {
    let found = Chain::of(table, key, program).and_then(|chain| {
        if chain.certain { deadlock(table, key, &chain, program) } else { suspicion(table, &chain, program) }
    });
    found.or_else(|| every_thread(table, key, program))
}

/// Threads that wait for each other, whatever else goes on in the program.
fn deadlock(table: &mut Table, me: Key, chain: &Chain, program: &Program) -> Option<Found> {
    if all_said(table, &chain.threads, |said| said.in_cycle) {
        return None;
    }
    let can_be_ended = |key: &Key| table.get(*key).is_some_and(Waiting::can_be_ended);
    let remedy = remedy(can_be_ended(&me), chain.threads.iter().any(can_be_ended))?;
    say(table, &chain.threads, |said| said.in_cycle = true);
    let (finding, headline) = match chain.shape {
        Shape::Own => (Finding::OwnLock, "raddle: deadlock: a thread waits for a lock that it holds itself"),
        _ => (Finding::Cycle, "raddle: deadlock: threads wait for each other in a circle"),
    };
    Some(Found { report: chain_report(table, chain, program, finding, headline.into()), remedy })
}

/// The same, where another thread's release could help, for longer than that usually takes.
fn suspicion(table: &mut Table, chain: &Chain, program: &Program) -> Option<Found> {
    let (now, patience) = (os::now(), settings::suspect_after());
    let waiting = || chain.threads.iter().filter_map(|key| table.get(*key));
    let old = waiting().all(|waiting| now.saturating_duration_since(waiting.since) >= patience);
    let said = waiting().all(|waiting| waiting.said.in_suspicion || waiting.said.in_all);
    if !old || said {
        return None;
    }
    say(table, &chain.threads, |said| said.in_suspicion = true);
    let what = match chain.shape {
        Shape::Own => {
            "a thread waits for a lock that it took itself and that only another thread can release"
        }
        Shape::Cycle => "threads wait for each other in a circle that only another thread can break",
        Shape::Ended => "a thread waits for a lock whose holder has ended",
    };
    let headline = format!("raddle: suspicion: for more than {patience:.0?}, {what}");
    let report = chain_report(table, chain, program, Finding::Suspicion, headline);
    Some(Found { report, remedy: Remedy::Nothing(PERHAPS) })
}

/// All threads of the process are proven at one moment: no code runs that could wake any of them, except for signal
/// handlers.
fn every_thread(table: &mut Table, me: Key, program: &Program) -> Option<Found> {
    if table.all().all(|waiting| waiting.said.in_all) || !table.nobody_can_go_on() {
        return None;
    }
    let interesting = || table.all().filter(|waiting| waiting.is_of_interest());
    if interesting().any(|waiting| ends_otherwise(waiting, program)) {
        match os::signal_handlers() {
            Some(handlers) if handlers.is_empty() => {}
            handlers => return unless_a_signal_comes(table, program, &handlers.unwrap_or_default()),
        }
    }
    let mine = table.get(me).is_some_and(Waiting::can_be_ended);
    // At the end of the program, only the thread that waits for it sees all others proven.
    let others = table.get(me).is_some_and(|waiting| waiting.op.is_some());
    let remedy = remedy(mine, others && table.all().any(Waiting::can_be_ended))?;
    // After a panic in one of them, what becomes of the others is a new question.
    let answered = !matches!(remedy, Remedy::Panic);
    table.all_mut().for_each(|waiting| waiting.said.in_all = answered);
    let threads = all_threads(table, program);
    let headline = "raddle: deadlock: every thread of the program waits for ever";
    Some(Found { report: Report::new(Finding::EveryThread, headline, threads), remedy })
}

/// All threads of the process are proven, but a signal handler may run, and one of them waits for what a handler could
/// bring about. Reported once, since
/// a program that waits for signals comes here again and again.
fn unless_a_signal_comes(table: &mut Table, program: &Program, handlers: &[i32]) -> Option<Found> {
    let (now, patience) = (os::now(), settings::suspect_after());
    let is_old = |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= patience;
    if table.signals_suspected || !table.all().filter(|waiting| waiting.is_of_interest()).all(is_old) {
        return None;
    }
    table.signals_suspected = true;
    let signals: Vec<_> = handlers.iter().map(|signal| signal_name(*signal)).collect();
    let headline = format!(
        "raddle: suspicion: for more than {patience:.0?}, every thread of the program waits, and only the handler of \
         a signal ({}) could wake one",
        signals.join(", ")
    );
    Some(Found {
        report: Report::new(Finding::Suspicion, headline, all_threads(table, program)),
        remedy: Remedy::Nothing(PERHAPS),
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

fn all_threads(table: &Table, program: &Program) -> Vec<ThreadState> {
    let view = View::of(program);
    let threads = table.all().filter(|waiting| waiting.is_of_interest());
    threads.map(|waiting| view.waiting(waiting)).collect()
}

/// What to do about a deadlock; `None`: one of the other threads, where a panic helps, will come to it.
fn remedy(panic_helps_here: bool, panic_helps: bool) -> Option<Remedy> {
    match settings::action() {
        Action::Report => Some(Remedy::Nothing(GOES_ON)),
        Action::Panic if panic_helps_here => Some(Remedy::Panic),
        Action::Panic if panic_helps => None,
        Action::Panic | Action::End => Some(Remedy::End),
    }
}

fn all_said(table: &Table, keys: &[Key], is_said: fn(&Said) -> bool) -> bool {
    keys.iter().filter_map(|key| table.get(*key)).all(|waiting| is_said(&waiting.said))
}

fn say(table: &mut Table, keys: &[Key], set: fn(&mut Said)) {
    for key in keys {
        if let Some(waiting) = table.get_mut(*key) {
            set(&mut waiting.said);
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

/// Threads, each waiting without limit for the next one.
pub(crate) struct Chain {
    pub(crate) threads: Vec<Key>,
    pub(crate) shape: Shape,
    /// None but they themselves could end it.
    pub(crate) certain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One thread, waiting for itself.
    Own,
    /// The last waits for the first.
    Cycle,
    /// One thread, waiting for a lock whose holder is over.
    Ended,
}

/// What a waiting thread waits for.
enum Next {
    Thread { ident: u64, certain: bool },
    Over,
    Unknown,
}

impl Chain {
    /// The chain that begins with the wait `first`, if it comes back to it or leads nowhere.
    pub(crate) fn of(table: &Table, first: Key, program: &Program) -> Option<Self> {
        let (mut threads, mut certain, mut at) = (vec![first], true, table.get(first)?);
        loop {
            let (ident, sure) = match next(at, program) {
                Next::Thread { ident, certain } => (ident, certain),
                Next::Over if threads.len() == 1 => {
                    return Some(Self { threads, shape: Shape::Ended, certain: false });
                }
                Next::Over | Next::Unknown => return None,
            };
            certain &= sure;
            if ident == first.1 {
                let shape = if threads.len() == 1 { Shape::Own } else { Shape::Cycle };
                return Some(Self { threads, shape, certain });
            }
            let (key, waiting) = table.of_thread(ident)?;
            if threads.contains(&key) {
                return None; // a cycle further on, which its own threads will find
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
    let joined = waiting.op.as_ref().and_then(|op| joined(op, program));
    joined.map_or(Next::Unknown, |thread| Next::Thread { ident: thread.ident, certain: true })
}

/// Whether something else than the progress of another thread could end the wait: it is neither for a lock that only its
/// holder can release nor for the end of a thread.
pub(crate) fn ends_otherwise(waiting: &Waiting, program: &Program) -> bool {
    let owned = |lock| holds::get(lock).is_some_and(|hold| hold.owned);
    let ends = waiting.op.as_ref().is_none_or(|op| joined(op, program).is_some());
    !ends && (waiting.lock == NO_LOCK || !owned(waiting.lock))
}

fn holder(lock: u32) -> Next {
    let Some(hold) = holds::get(lock) else { return Next::Unknown };
    let certain = hold.owned;
    if !certain && holds::is_handed_over(lock) {
        return Next::Unknown;
    }
    // Who calls `exit` is over for others, but runs on to the end of the program, and may still release.
    if hold.by.finished() { Next::Over } else { Next::Thread { ident: hold.by.ident, certain } }
}

/// The thread whose end the step waits for.
fn joined(op: &Op, program: &Program) -> Option<Arc<ThreadRecord>> {
    if op.kind != Kind::Join {
        return None;
    }
    program.threads().into_iter().find(|thread| Arc::as_ptr(thread) as usize == op.object.address)
}

/// The lines of which it has been said: many pools may come to wait for themselves on the same ones.
static SAID: ForkSafe<BTreeSet<BTreeSet<Place>>> = ForkSafe::new(Rank::Leaf, BTreeSet::new());

const FOLLOWS: &str =
    "One wait ends with FutureError::Deadlock and the pool goes on; this is said once for these lines.";

fn watches() -> bool {
    !flags::quiet() && scheduler::current().is_none() && flags::watching()
}

/// What is to be said of the pool, all of whose workers wait for it; `None`: nothing.
pub(crate) fn detect_pool_deadlock(pool: u64) -> Option<Report> {
    if !watches() {
        return None;
    }
    let (me, view, known) =
        (current::record(), View::of(scheduler::default_program()), scheduler::default_program().threads());
    let about_to = Waiting::new(me.clone(), current_op::get().map(|doing| doing.op), None);
    let table = table();
    let workers = known.iter().filter(|thread| thread.group.load(Relaxed) == pool);
    let states = workers.filter_map(|thread| match table.of_thread(thread.ident) {
        None if thread.ident != me.ident => Some(view.thread(thread, None)),
        found => {
            let waiting = found.map_or(&about_to, |(_, waiting)| waiting);
            waiting.is_for_a_result().then(|| view.waiting(waiting))
        }
    });
    let headline = "raddle: deadlock: all workers of a pool wait for tasks of the same pool";
    Some(Report::new(Finding::Pool, headline, states.collect()))
}

impl Waiting {
    /// Not that of a worker without a task, which is about to leave.
    fn is_for_a_result(&self) -> bool {
        self.op.is_none_or(|op| op.kind != Kind::Get)
    }
}

/// One of the waits has been ended.
pub(crate) fn report_pool_deadlock(report: &Report) {
    let lines = report.threads.iter().filter_map(|thread| thread.waits.as_ref()?.at).collect();
    if SAID.lock().insert(lines) {
        report::say(report, FOLLOWS);
    }
}

/// The calling thread runs a task that is about to wait for itself.
pub(crate) fn report_own_task() {
    if watches() {
        let me = current::record();
        let waiting = Waiting::new(me, current_op::get().map(|doing| doing.op), None);
        let threads = vec![View::of(scheduler::default_program()).waiting(&waiting)];
        let headline = "raddle: deadlock: a task of a pool waits for its own result";
        report_pool_deadlock(&Report::new(Finding::Pool, headline, threads));
    }
}
