//! The lock below `Lock`, `RLock` and `Mutex`: one word, no owner, and a number by which the watch knows it.
//!
//! The three-state mutex of Ulrich Drepper, "Futexes Are Tricky" (2011), section 6: 0 free, 1 held, 2 held
//! and somebody may sleep. There is no owner check, which is what lets another thread release it.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

use crate::host::{self, Mark, Spin, Wait};

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

#[derive(Debug)]
pub(crate) struct RawLock {
    word: AtomicU32,
    /// Used by the watch alone.
    mark: Mark,
}

impl RawLock {
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU32::new(FREE), mark: Mark::new() }
    }

    #[inline]
    pub(crate) fn try_acquire(&self) -> bool {
        host::atom(&self.word);
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock if it is free, and says nothing to whoever observes: for when nobody does.
    #[inline]
    pub(crate) fn grab(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    /// Acquires, waiting until `deadline` at most; `None`: for ever.
    #[inline]
    pub(crate) fn acquire(&self, deadline: Option<Instant>) -> bool {
        self.try_acquire() || self.acquire_slowly(deadline)
    }

    /// Releases; says whether it was held.
    #[inline]
    pub(crate) fn release(&self) -> bool {
        host::atom(&self.word);
        self.let_go()
    }

    /// The same without a word to whoever observes: for when nobody does.
    #[inline]
    pub(crate) fn let_go(&self) -> bool {
        let before = self.word.swap(FREE, Release);
        if before == CONTENDED {
            host::wake(&self.word, 1);
        }
        before != FREE
    }

    /// The word by which others see that it is let go of.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    #[inline]
    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.word.load(Relaxed) != FREE
    }

    #[cold]
    fn acquire_slowly(&self, deadline: Option<Instant>) -> bool {
        let mut spin = Spin::for_lock();
        loop {
            host::atom(&self.word);
            let seen = self.word.load(Relaxed);
            if seen == FREE && self.try_acquire() {
                return true;
            }
            if seen == CONTENDED || !spin.again() {
                break;
            }
        }
        loop {
            host::atom(&self.word);
            if self.word.swap(CONTENDED, Acquire) == FREE {
                return true;
            }
            host::awaits(&self.mark);
            // A thread that gives up leaves the word at CONTENDED: one wake too many, never one too few.
            if host::wait(&self.word, CONTENDED, deadline) == Wait::TimedOut {
                return self.try_acquire();
            }
        }
    }
}
