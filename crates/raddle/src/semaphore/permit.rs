//! Permits that give themselves back.

use std::fmt;

use super::permits::Permits;
use crate::rt::{Kind, Op};

/// Holds permits of a semaphore; dropping it, on a panic too and in any thread, gives them back.
#[must_use = "the permits are given back when this is dropped"]
pub struct Permit<'a> {
    permits: &'a Permits,
    /// Which kind of semaphore they are of.
    what: &'static str,
    count: usize,
    bound: usize,
}

impl<'a> Permit<'a> {
    pub(super) fn new(permits: &'a Permits, what: &'static str, count: usize, bound: usize) -> Self {
        Self { permits, what, count, bound }
    }

    /// How many permits this holds.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            // Refused only if somebody released a permit without holding one: then this one is back already.
            if !self.permits.let_go(self.count, self.bound) {
                let op = Op::new(self.permits, self.what, Kind::Give);
                self.permits.give(op, self.count, self.bound);
            }
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count).finish_non_exhaustive()
    }
}
