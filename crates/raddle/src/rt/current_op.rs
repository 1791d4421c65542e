//! What the calling thread is about to do: noted by the thread itself, and looked at when it comes to wait.

use std::cell::Cell;

use super::lock_id::{Mark, NO_LOCK};
use super::op::Op;
use super::{flags, scheduler};

/// The last step that the thread said it would take.
#[derive(Clone, Copy)]
pub(crate) struct Doing {
    pub(crate) op: Op,
    /// It gives up at some moment, or does not wait at all.
    pub(crate) limited: bool,
}

// None of these has a destructor, so they can be asked until the very end of the thread.
thread_local! {
    static DOING: Cell<Option<Doing>> = const { Cell::new(None) };
    static AWAITS: Cell<u32> = const { Cell::new(NO_LOCK) };
    static FIRM: Cell<u32> = const { Cell::new(0) };
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn doing() -> Option<Doing> {
    DOING.get()
}

pub(crate) fn set_doing(op: Op, limited: bool) {
    DOING.set(Some(Doing { op, limited }));
}

/// Says that the next wait of the calling thread is for the lock with this mark.
#[inline]
pub(crate) fn awaits(mark: &Mark) {
    if !flags::quiet() && flags::watching() && scheduler::current().is_none() {
        AWAITS.set(mark.number());
    }
}

/// The lock that the wait which begins now is for.
pub(crate) fn take_awaited() -> u32 {
    AWAITS.replace(NO_LOCK)
}

/// While this lives, the watch does not end a wait of the calling thread by a panic: what it waits for must be had.
#[must_use = "it ends when this is dropped"]
pub(crate) struct Firm;

/// Bars the watch from ending a wait of the calling thread by a panic.
pub(crate) fn firm() -> Firm {
    FIRM.set(FIRM.get() + 1);
    Firm
}

impl Drop for Firm {
    fn drop(&mut self) {
        FIRM.set(FIRM.get() - 1);
    }
}

/// Whether a panic may end the calling thread's waits: a second one would abort the process.
pub(crate) fn may_panic() -> bool {
    FIRM.get() == 0 && !std::thread::panicking()
}

/// Whether the calling thread is inside a hook of the watch, whose waits are nobody's business.
pub(crate) fn is_telling() -> bool {
    TELLING.get()
}

/// Runs `hook` as one of the watch's.
pub(crate) fn telling<R>(hook: impl FnOnce() -> R) -> R {
    struct Told;
    impl Drop for Told {
        fn drop(&mut self) {
            TELLING.set(false);
        }
    }
    TELLING.set(true);
    let _told = Told;
    hook()
}
