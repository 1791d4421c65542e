//! How the program ends: it waits for what it is obliged to, and abandons daemons.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::fork::{ForkSafe, Rank};
use super::keep_alive::{KeepAlive, KeepAliveToken, thread_is_over};
use super::program::Program;
use super::seam::wait;
use super::thread_record::ThreadRecord;
use super::{current, scheduler};
use crate::sys::os;
use crate::watch::waiting::ExitWait;

/// Keeps the calling thread's program from ending while the guard lives; `None` if it is ending already.
pub(crate) fn keep_alive() -> Option<KeepAlive> {
    keep_alive_token().map(KeepAlive::new)
}

/// The same, to be redeemed by whoever knows that nobody else does so.
pub(crate) fn keep_alive_token() -> Option<KeepAliveToken> {
    if scheduler::current().is_none() {
        wait_at_exit();
        current::survives_forks();
    }
    scheduler::with_program(Program::add_token).then(KeepAliveToken::given)
}

/// Has the C library call [`at_exit`] when `main` returned or somebody called `exit`. A forked child inherits that.
fn wait_at_exit() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    static REGISTRATION: ForkSafe<()> = ForkSafe::new(Rank::Start, ());
    if REGISTERED.load(Ordering::Acquire) {
        return;
    }
    let _one_at_a_time = REGISTRATION.lock();
    if !REGISTERED.load(Ordering::Relaxed) {
        os::at_exit(at_exit);
        REGISTERED.store(true, Ordering::Release);
    }
}

/// How often the ending program looks for threads that called `exit` themselves and will never finish.
const LOOK: Duration = Duration::from_millis(50);

extern "C" fn at_exit() {
    // Where the C library has not done so with its locals, the thread that calls `exit` ends here.
    current::end_for_others();
    let program = scheduler::default_program();
    // Who waits here, for the watch: the thread's own record has ended.
    let leaving = ThreadRecord::new("the end of the program", false, true);
    leaving.set_native_id(os::native_id());
    let wait = ExitWait::begin(program, &leaving);
    while let Err(seen) = program.close() {
        wait.wait(seen, LOOK);
        program.threads().iter().filter(|thread| called_exit(thread)).for_each(thread_is_over);
    }
}

/// Keeps the calling thread for ever and ends it for all others: it waits for a thread that called `exit`.
pub(crate) fn block_forever() -> ! {
    current::end_for_others();
    let nothing = AtomicU32::new(0);
    loop {
        wait(&nothing, 0, None);
    }
}

/// The standard library parks every thread that calls `exit` after the first one.
fn called_exit(thread: &Arc<ThreadRecord>) -> bool {
    thread.native_id().is_some_and(os::waits_in_exit)
}
