//! The threads that run the functions: each runs one after the other, and ends when it has been idle for long.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::job::{Job, Settling};
use super::schedule::Claim;
use super::slab::Key;
use super::timers::Shared;
use crate::rt::{self, Duty, Record};
use crate::sys::os;
use crate::thread;

const NAME: &str = "timer runner";

/// Starts a runner, which the crew counts already. `slack`: how late its own timed waits may end.
pub(super) fn start(timers: &Shared, slack: Option<u64>) -> io::Result<()> {
    let record = Record::new(NAME, true, true);
    let timers = timers.clone();
    thread::launch(
        &record,
        None,
        Box::new(move || {
            if let Some(slack) = slack {
                os::set_timer_slack(slack);
            }
            work(&timers);
        }),
    )
}

fn work(timers: &Shared) {
    let record = rt::record();
    timers.arrived();
    loop {
        while let Some(claim) = timers.claim() {
            run(timers, claim, &record);
            if timers.are_an_ancestors() {
                return; // the function has forked, and this is the child: its only thread has nothing left to do
            }
        }
        if !timers.rest() {
            return;
        }
    }
}

/// Runs the function as a thread of its own would: under the timer's name, with its daemon flag.
fn run(timers: &Shared, claim: Claim, record: &Record) {
    let Claim { key, job, due } = claim;
    appear(record, Some(&job.name()), job.daemon);
    record.set_duty(Arc::new(Shift { timers: timers.clone(), key, job: job.clone() }));
    job.begins(due);
    let outcome = catch_unwind(AssertUnwindSafe(|| job.call.call()));
    if timers.are_an_ancestors() {
        return report(&job, outcome);
    }
    let next = if outcome.is_ok() { job.next(due) } else { None };
    report(&job, outcome);
    rt::point(job.op(rt::Kind::End).does("has run"));
    if !timers.ran(key, next) {
        let _settling = Settling(&job);
        report(&job, catch_unwind(AssertUnwindSafe(|| job.call.discard())));
    }
    record.drop_duty();
    appear(record, None, true);
}

/// What the calling runner is taken for, and what threads that are started from here on inherit.
fn appear(record: &Record, name: Option<&str>, daemon: bool) {
    record.lend_name(name);
    record.daemon.store(daemon, Relaxed);
    record.daemon_heirs.store(daemon, Relaxed);
}

fn report(job: &Job, outcome: Result<(), Box<dyn Any + Send>>) {
    if let Err(payload) = outcome {
        thread::report_call(&format!("timer \"{}\"", job.name()), &*payload);
        thread::dispose(payload);
    }
}

/// One run of a timer's function, which never ends if the function calls `exit`.
struct Shift {
    timers: Shared,
    key: Key,
    job: Arc<Job>,
}

impl Duty for Shift {
    fn abandon(&self) {
        self.timers.lost(self.key);
        self.job.settle();
    }
}
