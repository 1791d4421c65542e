//! The one thread that waits for the timers of a program, however many there are.

use std::io;
use std::sync::Weak;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::runner;
use super::timers::{Plan, Retry, Shared};
use crate::rt::{self, Record};
use crate::sys::os;
use crate::thread;

/// States of [`Timers::service`](super::timers::Timers).
const NONE: u32 = 0;
const STARTING: u32 = 1;
const RUNS: u32 = 2;

/// Starts the service of the calling thread's program unless it runs.
pub(crate) fn start_service() -> io::Result<()> {
    ensure(&Shared::of_program())
}

/// Has the service, which must run, try again for `what`, for which the system had no thread.
pub(crate) fn retry_for(what: Weak<dyn Retry>) {
    Shared::of_program().retry_for(what);
}

/// Starts the service unless it runs.
pub(super) fn ensure(timers: &Shared) -> io::Result<()> {
    while look(&timers.service) != RUNS {
        rt::atom(&timers.service);
        if timers.service.compare_exchange(NONE, STARTING, Acquire, Acquire).is_ok() {
            let started = start(timers);
            rt::atom(&timers.service);
            timers.service.store(if started.is_ok() { RUNS } else { NONE }, Release);
            rt::wake(&timers.service, u32::MAX);
            return started;
        }
        // Another thread starts it; should that fail, this one tries.
        rt::wait(&timers.service, STARTING, None);
    }
    Ok(())
}

fn look(word: &AtomicU32) -> u32 {
    rt::atom(word);
    word.load(Acquire)
}

fn start(timers: &Shared) -> io::Result<()> {
    let record = Record::new("timer service", true, true);
    let timers = timers.clone();
    thread::launch(&record, None, Box::new(move || serve(&timers)))
}

fn serve(timers: &Shared) {
    // As punctual as the kernel can be; runners go back to what is usual.
    let slack = os::set_timer_slack(1);
    loop {
        timers.retry();
        let plan = timers.plan();
        if carry_out(timers, &plan, slack) {
            timers.sleep(&plan);
        }
    }
}

/// Calls and starts runners; false: a thread could not be started, so that the plan has to be made again.
fn carry_out(timers: &Shared, plan: &Plan, slack: Option<u64>) -> bool {
    plan.orders.call.iter().for_each(|runner| runner.notify(0));
    let errors: Vec<_> = (0..plan.orders.start).filter_map(|_| runner::start(timers, slack).err()).collect();
    for error in &errors {
        if let Some(job) = timers.not_started() {
            thread::report_shortage(&format!("timer \"{}\"", job.name()), error);
        }
    }
    errors.is_empty()
}
