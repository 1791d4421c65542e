//! The lock below `Lock`, `RLock` and `Mutex`: one word, no owner, and a number by which the watch knows it.
//!
//! The three-state mutex of Ulrich Drepper, "Futexes Are Tricky" (2011), section 6: 0 free, 1 held, 2 held and somebody
//! may sleep. There is no owner check, which is what lets another thread release it.
//!
//! Whoever asks at the right moment goes before those who sleep, which is quick, and unfair to these. Two more states
//! end that when it lasts too long: 3 held and somebody starves, and 4 free, but only for who has waited in vain.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use crate::host::{self, Mark, Spin, Wait};

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;
const STARVING: u32 = 3;
const RESERVED: u32 = 4;

/// Who has waited for so long lets nobody go before any more.
const PATIENCE: Duration = Duration::from_millis(1);

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
        self.barge() || self.take_reserved()
    }

    /// Takes the lock if it is free for everybody.
    #[inline]
    fn barge(&self) -> bool {
        host::atom(&self.word);
        self.grab()
    }

    /// Takes the lock if it is free for who has waited. Nobody may be left who has, so that who does not wait may, too.
    #[inline]
    fn take_reserved(&self) -> bool {
        host::atom(&self.word);
        self.word.load(Relaxed) == RESERVED
            && self.word.compare_exchange(RESERVED, CONTENDED, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock if it is free, and says nothing to whoever observes: for when nobody does.
    #[inline]
    pub(crate) fn grab(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
    }

    /// Acquires, waiting until `deadline` at most; `None`: for ever.
    #[inline]
    pub(crate) fn acquire(&self, deadline: Option<Instant>) -> bool {
        self.barge() || self.acquire_slowly(deadline)
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
        if before > HELD {
            self.pass_on(before);
        }
        before != FREE && before != RESERVED
    }

    /// The lock is free now, and was `before`.
    fn pass_on(&self, before: u32) {
        if before == STARVING {
            // If somebody was quicker, this comes to nothing once more. Relaxed: the exchange has released.
            let _ = self.word.compare_exchange(FREE, RESERVED, Relaxed, Relaxed);
        }
        host::wake(&self.word, 1);
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
        !matches!(self.word.load(Relaxed), FREE | RESERVED)
    }

    #[cold]
    fn acquire_slowly(&self, deadline: Option<Instant>) -> bool {
        let mut spin = Spin::for_lock();
        loop {
            host::atom(&self.word);
            let seen = self.word.load(Relaxed);
            if seen == FREE && self.barge() {
                return true;
            }
            if seen >= CONTENDED || !spin.again() {
                break;
            }
        }
        self.acquire_asleep(deadline)
    }

    fn acquire_asleep(&self, deadline: Option<Instant>) -> bool {
        let mut since = None;
        loop {
            host::atom(&self.word);
            let seen = self.word.load(Relaxed);
            let free = matches!(seen, FREE | RESERVED);
            let starves = !free && since.is_some_and(|since| host::now().duration_since(since) >= PATIENCE);
            let then = if starves || seen == STARVING { STARVING } else { CONTENDED };
            if self.word.compare_exchange(seen, then, Acquire, Relaxed).is_err() {
                continue;
            }
            if free {
                return true;
            }
            since = since.or_else(|| Some(host::now()));
            host::awaits(&self.mark);
            // A thread that gives up leaves the word as it is: one wake too many, never one too few.
            if host::wait(&self.word, then, deadline) == Wait::TimedOut {
                return self.try_acquire();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lock that was let go of while somebody starved.
    fn reserved() -> RawLock {
        let lock = RawLock::new();
        assert!(lock.acquire(None));
        lock.word.store(STARVING, Relaxed);
        assert!(lock.is_held());
        assert!(lock.let_go());
        lock
    }

    #[test]
    fn nobody_goes_before_who_starves() {
        let lock = reserved();
        assert!(!lock.is_held());
        assert!(!lock.grab());
        assert!(lock.acquire(None));
        assert!(lock.is_held());
        assert!(lock.let_go());
        assert!(lock.grab());
    }

    #[test]
    fn a_lock_is_not_reserved_for_ever_for_who_gave_up() {
        let lock = reserved();
        assert!(lock.try_acquire());
        assert!(!lock.try_acquire());
        assert!(lock.let_go());
        assert!(lock.grab());
    }

    #[test]
    fn a_free_lock_is_not_let_go_of() {
        assert!(!RawLock::new().let_go());
        assert!(!reserved().let_go());
    }
}
