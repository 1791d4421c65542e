//! Vector clocks.

/// For each task, one more than the index of its last event that happened before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VectorClock(Vec<u32>);

impl VectorClock {
    pub(crate) fn has_seen(&self, thread: usize, event: usize) -> bool {
        self.0.get(thread).is_some_and(|&seen| seen as usize > event)
    }

    pub(crate) fn sees(&mut self, thread: usize, event: usize) {
        if self.0.len() <= thread {
            self.0.resize(thread + 1, 0);
        }
        let seen = u32::try_from(event + 1).expect("an execution has a limited number of steps");
        self.0[thread] = self.0[thread].max(seen);
    }

    pub(crate) fn join(&mut self, other: &VectorClock) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, others) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_clock_contains_both_clocks() {
        let (mut a, mut b) = (VectorClock::default(), VectorClock::default());
        a.sees(0, 4);
        b.sees(2, 7);
        b.join(&a);
        assert!(b.has_seen(0, 4) && b.has_seen(0, 3) && b.has_seen(2, 7));
        assert!(!b.has_seen(0, 5) && !b.has_seen(1, 0) && !a.has_seen(2, 0));
    }
}
