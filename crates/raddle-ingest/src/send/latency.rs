//! The distribution of latencies.

use std::time::Duration;

/// Parts of each power of two: a value is known to about 3 %.
const PARTS: u64 = 32;

/// The values below are counted exactly, in microseconds.
const EXACT: u64 = 2 * PARTS;

/// How long messages took to be acknowledged.
///
/// ```
/// use raddle_ingest::Latency;
/// use std::time::Duration;
///
/// let mut latency = Latency::default();
/// latency.add(Duration::from_micros(40), 99);
/// latency.add(Duration::from_millis(7), 1);
/// assert_eq!(latency.quantile(0.5), Duration::from_micros(40));
/// assert_eq!(latency.quantile(1.0), Duration::from_millis(7));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Latency {
    /// Adds `messages` messages that took this time.
    pub fn add(&mut self, time: Duration, messages: u64) {
        let index = index(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += messages;
        self.total += messages;
        self.max = self.max.max(time);
    }

    /// Adds the messages of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// Returns the number of messages.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Returns the longest time.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// Returns the time within which the part `quantile`, from 0 to 1, of the messages was acknowledged, to about 3 %.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a count of messages, of which a part is wanted"
    )]
    pub fn quantile(&self, quantile: f64) -> Duration {
        let wanted = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= wanted {
                return Duration::from_micros(highest(index)).min(self.max);
            }
        }
        self.max
    }
}

/// Returns the index of the count of a value.
fn index(value: u64) -> usize {
    let index = if value < EXACT {
        value
    } else {
        let shift = u64::from(value.ilog2()) - u64::from(PARTS.ilog2());
        // From the second power on, each has `PARTS` counts.
        shift * PARTS + (value >> shift)
    };
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// Returns the highest value of an index.
fn highest(index: usize) -> u64 {
    let index = index as u64;
    if index < EXACT {
        return index;
    }
    let shift = index / PARTS - 1;
    let part = index - shift * PARTS;
    part.saturating_add(1)
        .checked_shl(u32::try_from(shift).unwrap_or(u32::MAX))
        .map_or(u64::MAX, |value| value.wrapping_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_known_to_three_percent() {
        let mut last = 0;
        for value in (0..200).chain((0..58).flat_map(|power| [(64 << power) - 1, 64 << power, 97 << power])) {
            let highest = highest(index(value));
            assert!(highest >= value && highest - value <= value / PARTS, "{value}: {highest}");
            assert_eq!(index(highest), index(value));
            assert!(highest == u64::MAX || index(highest + 1) == index(value) + 1, "{value}");
            last = last.max(index(value));
        }
        assert!(last < 2000, "{last}");
    }

    #[test]
    fn merged_latencies_have_the_quantiles_of_all() {
        let (mut latency, mut other) = (Latency::default(), Latency::default());
        assert_eq!(latency.quantile(0.5), Duration::ZERO);
        latency.add(Duration::from_micros(10), 50);
        other.add(Duration::from_micros(20), 49);
        other.add(Duration::from_secs(100), 1);
        latency.merge(&other);
        assert_eq!((latency.count(), latency.max()), (100, Duration::from_secs(100)));
        assert_eq!(latency.quantile(0.5), Duration::from_micros(10));
        assert_eq!(latency.quantile(0.51), Duration::from_micros(20));
        assert_eq!(latency.quantile(0.99), Duration::from_micros(20));
        assert_eq!(latency.quantile(1.0), Duration::from_secs(100));
    }
}
