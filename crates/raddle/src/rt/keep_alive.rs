//! How threads end, and what keeps the program from ending.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::fork::forks;
use super::program::Program;
use super::scheduler::{self, with_program};
use super::thread_record::{AWAITED, FINISHED, HeldToken, ThreadRecord};
use super::wake::{atom, commutative_change, wake};

/// The program does not end before this is redeemed.
pub(crate) struct KeepAliveToken {
    /// In which process it was given, by its forks and one; in a forked child it has been forgotten.
    process: NonZero<u32>,
    /// Whose it is; `None`: the ordinary program's.
    program: Option<Weak<Program>>,
}

impl KeepAliveToken {
    /// One that the calling thread's program has taken on already.
    pub(crate) fn given() -> Self {
        Self { process: process(), program: scheduler::program() }
    }

    /// The program may end without this. To be called once.
    pub(crate) fn redeem(&self) {
        if self.process == process() {
            match &self.program {
                None => discharge(scheduler::default_program()),
                Some(program) => program.upgrade().iter().for_each(|program| discharge(program)),
            }
        }
    }
}

fn process() -> NonZero<u32> {
    NonZero::<u32>::MIN.saturating_add(forks())
}

/// While this lives, the program does not end; a thread that runs under it gives it up with `exit`.
pub(crate) struct KeepAlive {
    standing: AtomicBool,
    pledge: KeepAliveToken,
}

impl KeepAlive {
    pub(crate) fn new(pledge: KeepAliveToken) -> Self {
        Self { standing: AtomicBool::new(true), pledge }
    }

    /// The program may end without this.
    pub(crate) fn end(&self) {
        if self.standing.swap(false, Ordering::Relaxed) {
            self.pledge.redeem();
        }
    }
}

fn discharge(program: &Program) {
    if program.release_token() {
        wake(program.word(), u32::MAX);
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.end();
    }
}

impl HeldToken for KeepAlive {
    fn abandon(&self) {
        self.end();
    }
}

/// The thread is over, its locals dropped: joiners may go on, and the program need not wait for it.
pub(crate) fn thread_is_over(record: &Arc<ThreadRecord>) {
    if record.internal {
        record.lend_name(None);
    }
    let registry = with_program(|program| {
        program.remove(record);
        program.registry()
    });
    if !record.internal {
        commutative_change(registry);
    }
    atom(&record.state);
    if record.state.swap(FINISHED, Ordering::AcqRel) == AWAITED {
        wake(&record.state, u32::MAX);
    }
    record.take_tokens().iter().for_each(|duty| duty.abandon());
}
