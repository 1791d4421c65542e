//! Sets of tasks.

/// A set of the tasks of one execution. A task keeps its number after it has terminated, so numbers are unbounded. A
/// set of numbers below 128 does not allocate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TaskSet {
    low: u128,
    /// The numbers from 128 on, 64 in a word. The last word is not 0.
    high: Vec<u64>,
}

const LOW: usize = u128::BITS as usize;
const WORD: usize = u64::BITS as usize;

/// The maximal number of threads alive at the same time.
pub(crate) const MAX_ALIVE: usize = 128;

impl TaskSet {
    pub(crate) fn contains(&self, thread: usize) -> bool {
        match thread.checked_sub(LOW) {
            None => self.low & (1 << thread) != 0,
            Some(at) => self.high.get(at / WORD).is_some_and(|word| word & (1 << (at % WORD)) != 0),
        }
    }

    pub(crate) fn insert(&mut self, thread: usize) {
        match thread.checked_sub(LOW) {
            None => self.low |= 1 << thread,
            Some(at) => {
                if self.high.len() <= at / WORD {
                    self.high.resize(at / WORD + 1, 0);
                }
                self.high[at / WORD] |= 1 << (at % WORD);
            }
        }
    }

    pub(crate) fn remove(&mut self, thread: usize) {
        match thread.checked_sub(LOW) {
            None => self.low &= !(1 << thread),
            Some(at) => {
                self.high.iter_mut().skip(at / WORD).take(1).for_each(|word| *word &= !(1 << (at % WORD)));
                self.trim();
            }
        }
    }

    /// Removes the tasks that are not in `other`.
    pub(crate) fn retain_in(&mut self, other: &TaskSet) {
        self.low &= other.low;
        self.high.truncate(other.high.len());
        self.high.iter_mut().zip(&other.high).for_each(|(mine, others)| *mine &= others);
        self.trim();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.low == 0 && self.high.is_empty()
    }

    /// The lowest number.
    pub(crate) fn first(&self) -> Option<usize> {
        self.iter().next()
    }

    /// The numbers in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        let low = bits(self.low);
        let high = self.high.iter().enumerate();
        low.chain(high.flat_map(|(at, word)| bits((*word).into()).map(move |bit| LOW + at * WORD + bit)))
    }

    fn trim(&mut self) {
        while self.high.last() == Some(&0) {
            self.high.pop();
        }
    }
}

fn bits(mut word: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = word.trailing_zeros() as usize;
        word &= word.wrapping_sub(1);
        (first < LOW).then_some(first)
    })
}

impl FromIterator<usize> for TaskSet {
    fn from_iter<I: IntoIterator<Item = usize>>(threads: I) -> Self {
        let mut set = Self::default();
        set.extend(threads);
        set
    }
}

impl Extend<usize> for TaskSet {
    fn extend<I: IntoIterator<Item = usize>>(&mut self, threads: I) {
        threads.into_iter().for_each(|thread| self.insert(thread));
    }
}

/// The set of one task.
pub(crate) fn singleton(thread: usize) -> TaskSet {
    TaskSet::from_iter([thread])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_set_holds_any_number() {
        let numbers = [0, 5, 127, 128, 191, 192, 5_000];
        let mut set: TaskSet = numbers.into_iter().collect();
        assert!(set.iter().eq(numbers), "{:?}", set.iter().collect::<Vec<_>>());
        assert!(numbers.iter().all(|&number| set.contains(number)));
        assert!([1, 126, 129, 4_999, 5_001, 9_999].iter().all(|&number| !set.contains(number)));
        set.retain_in(&TaskSet::from_iter([5, 192, 300]));
        assert!(set.iter().eq([5, 192]));
        set.remove(192);
        assert_eq!(set, singleton(5), "equal sets have the same words");
        set.remove(9_999);
        set.remove(5);
        assert!(set.is_empty() && set.first().is_none());
    }
}
