//! What the calling thread is about to do: noted by the thread itself, and looked at when it comes to wait.

use std::cell::Cell;

use super::op::Op;

/// The last step that the thread said it would take.
#[derive(Clone, Copy)]
pub(crate) struct CurrentOp {
    pub(crate) op: Op,
    /// It gives up at some moment, or does not wait at all.
    pub(crate) limited: bool,
}

// None of these has a destructor, so they can be asked until the very end of the thread.
thread_local! {
    static CURRENT: Cell<Option<CurrentOp>> = const { Cell::new(None) };
    static NO_PANIC: Cell<u32> = const { Cell::new(0) };
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn get() -> Option<CurrentOp> {
    CURRENT.get()
}

pub(crate) fn set(op: Op, limited: bool) {
    CURRENT.set(Some(CurrentOp { op, limited }));
}

/// While this lives, the watch does not end a wait of the calling thread by a panic: what it waits for must be had.
#[must_use = "it ends when this is dropped"]
pub(crate) struct NoPanicScope;

/// Bars the watch from ending a wait of the calling thread by a panic.
pub(crate) fn no_panic_scope() -> NoPanicScope {
    NO_PANIC.set(NO_PANIC.get() + 1);
    NoPanicScope
}

impl Drop for NoPanicScope {
    fn drop(&mut self) {
        NO_PANIC.set(NO_PANIC.get() - 1);
    }
}

/// Whether a panic may end the calling thread's waits: a second one would abort the process.
pub(crate) fn may_panic() -> bool {
    NO_PANIC.get() == 0 && !std::thread::panicking()
}

/// Whether the calling thread is inside a hook of the watch, whose waits are nobody's business.
pub(crate) fn in_hook() -> bool {
    IN_HOOK.get()
}

/// Runs `hook` as one of the watch's.
pub(crate) fn run_hook<R>(hook: impl FnOnce() -> R) -> R {
    struct Told;
    impl Drop for Told {
        fn drop(&mut self) {
            IN_HOOK.set(false);
        }
    }
    IN_HOOK.set(true);
    let _told = Told;
    hook()
}
