//! Pools whose workers all wait for the pool's own tasks. The pool finds that out itself, watch or not, and ends one
//! of the waits with an error, which is better than any report; the watch only says who waited for what.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use super::describe::View;
use super::hook;
use super::report::{Finding, Report};
use super::table::{Waiting, table};
use crate::rt::fork::{ForkSafe, Rank};
use crate::rt::op::Kind;
use crate::rt::place::Place;
use crate::rt::{current, doing, flags, under};

/// The lines of which it has been said: many pools may come to wait for themselves on the same ones.
static SAID: ForkSafe<BTreeSet<BTreeSet<Place>>> = ForkSafe::new(Rank::Leaf, BTreeSet::new());

const FOLLOWS: &str =
    "One wait ends with FutureError::Deadlock and the pool goes on; this is said once for these lines.";

fn watches() -> bool {
    !flags::quiet() && under::scheduler().is_none() && flags::watching()
}

/// What is to be said of the pool, all of whose workers wait for it; `None`: nothing.
pub(crate) fn stuck_pool(pool: u64) -> Option<Report> {
    if !watches() {
        return None;
    }
    let (me, view, known) = (current::record(), View::of(under::ordinary()), under::ordinary().threads());
    let about_to = Waiting::new(me.clone(), doing::doing().map(|doing| doing.op), None);
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
pub(crate) fn say_of_pool(report: &Report) {
    let lines = report.threads.iter().filter_map(|thread| thread.waits.as_ref()?.at).collect();
    if SAID.lock().insert(lines) {
        hook::say(report, FOLLOWS);
    }
}

/// The calling thread runs a task that is about to wait for itself.
pub(crate) fn say_of_own_task() {
    if watches() {
        let me = current::record();
        let waiting = Waiting::new(me, doing::doing().map(|doing| doing.op), None);
        let threads = vec![View::of(under::ordinary()).waiting(&waiting)];
        let headline = "raddle: deadlock: a task of a pool waits for its own result";
        say_of_pool(&Report::new(Finding::Pool, headline, threads));
    }
}
