//! Two threads that wait for each other in turn and share a processor, while others may be idle.
//!
//! Neither gets anywhere by waiting actively: each has to give the processor away. Systems leave such threads where they
//! are for long, since neither of them ever sleeps. So one of them has itself moved. If that was no good, because all
//! processors have enough to do, the next attempt is a long time off.

use std::cell::Cell;

use super::current::ident;
use super::elsewhere;

/// So many waits in a row that are over after one yield are no chance.
const ROW: u32 = 16;
/// Attempts to move are at most so many such waits apart.
const RARELY: u32 = 1 << 16;

thread_local! {
    static WAITS: Waits = const { Waits::new() };
}

/// The calling thread's wait has come to its `number`th yield.
pub(super) fn yields(number: u32) {
    WAITS.with(|waits| waits.yields.set(number));
}

/// Whether the calling thread, which begins to wait, had better yield at once: pauses would only keep the other one
/// from the processor. It may find itself on another one.
pub(super) fn shares_a_processor() -> bool {
    WAITS.with(|waits| match waits.next(|| u32::try_from(ident() % u64::from(u32::MAX)).unwrap_or(0)) {
        Place::Apart => false,
        Place::Shared => true,
        Place::Wrong => {
            elsewhere::move_on();
            false
        }
    })
}

#[derive(Debug, PartialEq)]
enum Place {
    /// Each has a processor, as far as one can tell.
    Apart,
    Shared,
    /// It is time to go elsewhere.
    Wrong,
}

/// The waits of one thread.
struct Waits {
    /// How many yields the last one took, as far as it has got.
    yields: Cell<u32>,
    /// How many in a row were over after one yield.
    row: Cell<u32>,
    /// How many were not, since one of the limits below was changed.
    others: Cell<u32>,
    /// A row as long as this, and up to twice as long, is time to go elsewhere.
    patience: Cell<u32>,
    /// Which of these it is this time; 0: not chosen yet. Two threads must not move at the same time.
    limit: Cell<u32>,
}

impl Waits {
    const fn new() -> Self {
        Self {
            yields: Cell::new(0),
            row: Cell::new(0),
            others: Cell::new(0),
            patience: Cell::new(ROW),
            limit: Cell::new(0),
        }
    }

    /// What the last wait tells about the place where the thread is; `seed` is the thread's own.
    fn next(&self, seed: impl Fn() -> u32) -> Place {
        if self.yields.replace(0) != 1 {
            self.row.set(0);
            self.forget();
            return Place::Apart;
        }
        let row = self.row.get() + 1;
        self.row.set(row);
        if row < ROW {
            return Place::Apart;
        }
        if self.limit.get() == 0 {
            self.choose(seed());
        }
        if row >= self.limit.get() {
            self.row.set(0);
            self.change((2 * self.patience.get()).min(RARELY));
            return Place::Wrong;
        }
        // Now and then it finds out whether that is still so.
        if row.is_multiple_of(4 * ROW) { Place::Apart } else { Place::Shared }
    }

    /// A thread that has been well off for long may soon try again.
    fn forget(&self) {
        self.others.set(self.others.get() + 1);
        if self.others.get() >= self.patience.get() && self.patience.get() > ROW {
            self.change(self.patience.get() / 2);
        }
    }

    fn change(&self, patience: u32) {
        self.patience.set(patience);
        self.limit.set(0);
        self.others.set(0);
    }

    fn choose(&self, seed: u32) {
        let patience = self.patience.get();
        let spread = (seed ^ patience).wrapping_mul(0x9E37_79B9) >> 16; // Fibonacci hashing: Knuth, TAOCP 6.4
        self.limit.set(patience + spread % patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many waits after `yields` yields each it takes until the thread has to move.
    fn moves_after(waits: &Waits, seed: u32, yields: u32) -> Option<u32> {
        (1..=4 * RARELY).find(|_| {
            waits.yields.set(yields);
            waits.next(|| seed) == Place::Wrong
        })
    }

    #[test]
    fn a_thread_that_shares_a_processor_moves_soon_and_then_more_and_more_rarely() {
        let waits = Waits::new();
        let mut patience = ROW;
        for _ in 0..20 {
            let after = moves_after(&waits, 7, 1).unwrap();
            assert!((patience..2 * patience).contains(&after), "{after} of {patience}");
            patience = (2 * patience).min(RARELY);
        }
    }

    #[test]
    fn a_thread_that_does_not_stays_where_it_is() {
        assert_eq!(moves_after(&Waits::new(), 7, 0), None);
        assert_eq!(moves_after(&Waits::new(), 7, 2), None);
    }

    #[test]
    fn what_did_not_help_once_may_help_later() {
        let waits = Waits::new();
        for _ in 0..8 {
            moves_after(&waits, 7, 1);
        }
        assert!(moves_after(&waits, 7, 1).unwrap() > 100 * ROW);
        assert_eq!(moves_after(&waits, 7, 0), None);
        assert!(moves_after(&waits, 7, 1).unwrap() < 2 * ROW);
    }

    #[test]
    fn pauses_are_left_out_after_a_row_and_tried_now_and_then() {
        let waits = Waits::new();
        waits.patience.set(RARELY);
        let places: Vec<_> = (0..1000)
            .map(|_| {
                waits.yields.set(1);
                waits.next(|| 7)
            })
            .collect();
        assert!(places[..15].iter().all(|place| *place == Place::Apart));
        let apart = places[15..].iter().filter(|place| **place == Place::Apart).count();
        assert_eq!((apart, places.contains(&Place::Wrong)), (15, false));
    }

    #[test]
    fn two_threads_rarely_move_after_the_same_number_of_waits() {
        let after = |seed| moves_after(&Waits::new(), seed, 1);
        let same = (0..1000).filter(|seed| after(*seed) == after(*seed + 1)).count();
        assert!(same < 200, "{same} of 1000");
    }
}
