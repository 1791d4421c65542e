//! Keep-alive tokens, which delay the exit of the program, and the termination of threads.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::fork::forks;
use super::program::Program;
use super::scheduler::{self, with_program};
use super::thread_record::{AWAITED, FINISHED, HeldToken, ThreadRecord};
use super::wake::{atom, commutative_change, wake};

/// A token that keeps the program from ending until it is released. It is not released by a drop.
pub(crate) struct KeepAliveToken {
    /// The process that issued it, as a number of forks plus one. In a forked child the token is void.
    process: NonZero<u32>,
    /// The program that issued it; `None` for the default one.
    program: Option<Weak<Program>>,
}

impl KeepAliveToken {
    /// Returns a token that the program of the calling thread has counted already.
    pub(crate) fn counted() -> Self {
        Self { process: process(), program: scheduler::program() }
    }

    /// Releases the token. Call it once.
    pub(crate) fn release(&self) {
        if self.process == process() {
            match &self.program {
                None => release(scheduler::default_program()),
                Some(program) => program.upgrade().iter().for_each(|program| release(program)),
            }
        }
    }
}

fn process() -> NonZero<u32> {
    NonZero::<u32>::MIN.saturating_add(forks())
}

/// Keeps the program from ending while it lives. If its thread calls `exit`, it is released.
pub(crate) struct KeepAlive {
    active: AtomicBool,
    token: KeepAliveToken,
}

impl KeepAlive {
    pub(crate) fn new(token: KeepAliveToken) -> Self {
        Self { active: AtomicBool::new(true), token }
    }

    /// Releases the token.
    fn release(&self) {
        if self.active.swap(false, Ordering::Relaxed) {
            self.token.release();
        }
    }
}

fn release(program: &Program) {
    if program.release_token() {
        wake(program.word(), u32::MAX);
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.release();
    }
}

impl HeldToken for KeepAlive {
    fn abandon(&self) {
        self.release();
    }
}

/// Marks a thread as terminated, once its locals are dropped: wakes its joiners and releases its tokens.
pub(crate) fn terminate(record: &Arc<ThreadRecord>) {
    if record.internal {
        record.set_alias(None);
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
    record.take_tokens().iter().for_each(|token| token.abandon());
}
