//! Program exit: the process waits until all keep-alive tokens are released, and abandons daemons.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::fork::{ForkSafe, Rank};
use super::keep_alive::{KeepAlive, KeepAliveToken, terminate};
use super::program::Program;
use super::seam::wait;
use super::thread_record::ThreadRecord;
use super::wait::Wait;
use super::{current, scheduler};
use crate::sys::os;
use crate::watch::waiting::ExitWait;

/// Keeps the calling thread's program from ending while the guard lives; `None` if it is ending already.
pub(crate) fn keep_alive() -> Option<KeepAlive> {
    keep_alive_token().map(KeepAlive::new)
}

/// Like [`keep_alive`], with a token that its owner releases explicitly.
pub(crate) fn keep_alive_token() -> Option<KeepAliveToken> {
    if scheduler::current().is_none() {
        wait_at_exit();
        current::survives_forks();
    }
    scheduler::with_program(Program::add_token).then(KeepAliveToken::counted)
}

/// Registers [`at_exit`] with the C library, once. A forked child inherits the registration.
fn wait_at_exit() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    static REGISTRATION: ForkSafe<()> = ForkSafe::new(Rank::Start, ());
    if REGISTERED.load(Ordering::Acquire) {
        return;
    }
    let _registration = REGISTRATION.lock();
    if !REGISTERED.load(Ordering::Relaxed) {
        os::at_exit(at_exit);
        REGISTERED.store(true, Ordering::Release);
    }
}

/// How often the ending program looks for threads that called `exit` themselves and will never terminate.
const POLL: Duration = Duration::from_millis(50);

extern "C" fn at_exit() {
    // The thread that calls `exit` terminates here, unless the C library has dropped its locals already.
    current::terminate_for_others();
    let program = scheduler::default_program();
    // The record of the thread has terminated, so the watch needs another one for this wait.
    let exiting = ThreadRecord::new("the end of the program", false, true);
    exiting.set_native_id(os::native_id());
    let wait = ExitWait::begin(program, &exiting);
    while let Err(seen) = program.close() {
        wait.wait(seen, POLL);
        program.threads().iter().filter(|thread| called_exit(thread)).for_each(terminate);
    }
}

/// Blocks the calling thread forever and marks it as terminated for others: another thread has called `exit`.
pub(crate) fn block_forever() -> ! {
    current::terminate_for_others();
    let word = AtomicU32::new(0);
    loop {
        wait(&word, 0, &Wait::unreported());
    }
}

/// Returns whether the thread has called `exit` after another one did: the standard library parks such threads.
fn called_exit(thread: &Arc<ThreadRecord>) -> bool {
    thread.native_id().is_some_and(os::waits_in_exit)
}
