//! The pace of a connection: a rate, and bursts with pauses between them.

use std::time::{Duration, Instant};

use super::messages::{SendOptions, share};

/// Determines how many messages a connection may send, and when.
#[derive(Debug)]
pub(crate) struct Pace {
    begin: Instant,
    /// The time from one message to the next.
    interval: Duration,
    /// Messages that were sent for the first time.
    done: u64,
    /// Messages per burst; `u64::MAX` for a single burst.
    burst: u64,
    /// Messages that are left of the present burst.
    left: u64,
    pause: Duration,
    /// The end of the pause.
    resume: Option<Instant>,
}

/// The messages that a connection may send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// So many messages, at least one.
    Messages(u64),
    /// Nothing before this time.
    Until(Instant),
}

impl Pace {
    pub(crate) fn new(options: &SendOptions, connection: u64, begin: Instant) -> Self {
        let burst = match options.burst {
            0 => u64::MAX,
            burst => share(burst, options.connections, connection).max(1),
        };
        let interval = match options.rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs(options.connections.max(1)) / u32::try_from(rate).unwrap_or(u32::MAX),
        };
        Self { begin, interval, done: 0, burst, left: burst, pause: options.pause, resume: None }
    }

    /// Returns the messages that may be sent at the time `now`.
    pub(crate) fn allowance(&mut self, now: Instant) -> Allowance {
        if self.left == 0 {
            let resume = *self.resume.get_or_insert(now + self.pause);
            if now < resume {
                return Allowance::Until(resume);
            }
            // The rate counts from the end of the pause: the time of a pause is not made up for.
            (self.begin, self.done, self.left, self.resume) = (now, 0, self.burst, None);
        }
        if self.interval.is_zero() {
            return Allowance::Messages(self.left);
        }
        // The first message is due at once.
        let due = (now - self.begin).as_nanos() / self.interval.as_nanos() + 1;
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        match due.saturating_sub(self.done).min(self.left) {
            0 => {
                let next = self.interval.as_nanos() * u128::from(self.done);
                Allowance::Until(self.begin + Duration::from_nanos(u64::try_from(next).unwrap_or(u64::MAX)))
            }
            count => Allowance::Messages(count),
        }
    }

    /// Records that messages were sent.
    pub(crate) fn sent(&mut self, messages: u64) {
        self.done += messages;
        self.left = self.left.saturating_sub(messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(options: &SendOptions) -> (Pace, Instant) {
        let begin = raddle::time::now();
        (Pace::new(options, 1, begin), begin)
    }

    #[test]
    fn rate_is_divided_among_the_connections() {
        let options = SendOptions { rate: 100, connections: 10, ..SendOptions::default() };
        let (mut pace, begin) = pace(&options);
        assert_eq!(pace.allowance(begin), Allowance::Messages(1));
        pace.sent(1);
        assert_eq!(pace.allowance(begin), Allowance::Until(begin + Duration::from_millis(100)));
        let later = begin + Duration::from_millis(950);
        assert_eq!(pace.allowance(later), Allowance::Messages(9));
        pace.sent(9);
        assert_eq!(pace.allowance(later), Allowance::Until(begin + Duration::from_secs(1)));
    }

    #[test]
    fn bursts_are_followed_by_pauses() {
        let options = SendOptions { burst: 20, connections: 2, ..SendOptions::default() };
        let (mut pace, begin) = pace(&options);
        assert_eq!(pace.allowance(begin), Allowance::Messages(10));
        pace.sent(10);
        let resume = begin + Duration::from_millis(100);
        assert_eq!(pace.allowance(begin), Allowance::Until(resume));
        assert_eq!(pace.allowance(begin + Duration::from_millis(50)), Allowance::Until(resume));
        assert_eq!(pace.allowance(resume), Allowance::Messages(10));
        pace.sent(4);
        assert_eq!(pace.allowance(resume), Allowance::Messages(6));
    }

    #[test]
    fn rate_within_bursts_does_not_make_up_for_pauses() {
        let options = SendOptions { rate: 10, burst: 2, connections: 1, ..SendOptions::default() };
        let (mut pace, begin) = pace(&options);
        let second = begin + Duration::from_millis(100);
        pace.sent(1);
        assert_eq!(pace.allowance(second), Allowance::Messages(1));
        pace.sent(1);
        let resume = second + Duration::from_millis(100);
        assert_eq!(pace.allowance(second), Allowance::Until(resume));
        assert_eq!(pace.allowance(resume), Allowance::Messages(1));
        pace.sent(1);
        assert_eq!(pace.allowance(resume), Allowance::Until(resume + Duration::from_millis(100)));
    }
}
