//! The account of every message.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where every message that was received has gone.
///
/// ```
/// use raddle_ingest::Account;
///
/// let account = Account { received: 10, stored: 8, rejected: 2, unstored: 0 };
/// assert!(account.balances());
/// assert_eq!(account.to_string(), "received 10 = stored 8 + rejected 2");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages that the source has received.
    pub received: u64,
    /// Those stored as messages, committed.
    pub stored: u64,
    /// Those stored among the rejected, committed.
    pub rejected: u64,
    /// Those that the sink would not take before the end, written to the spill file instead.
    pub unstored: u64,
}

impl Account {
    /// Whether every message received is in the database: `received = stored + rejected`.
    pub fn balances(&self) -> bool {
        self.received == self.stored + self.rejected
    }

    /// Messages received of which nothing is known any more; anything but zero is a failure.
    pub fn lost(&self) -> u64 {
        self.received.saturating_sub(self.stored + self.rejected + self.unstored)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {} = stored {} + rejected {}", self.received, self.stored, self.rejected)?;
        if self.unstored > 0 {
            write!(f, " + unstored {}", self.unstored)?;
        }
        if self.lost() > 0 {
            write!(f, " + lost {}", self.lost())?;
        }
        Ok(())
    }
}

/// The account while it is being kept, by several threads.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) received: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) unstored: AtomicU64,
}

impl Counts {
    /// The account at this moment. What was received is read last, so that it never seems less than its parts.
    pub(crate) fn account(&self) -> Account {
        let stored = self.stored.load(Ordering::Acquire);
        let rejected = self.rejected.load(Ordering::Acquire);
        let unstored = self.unstored.load(Ordering::Acquire);
        Account { received: self.received.load(Ordering::Acquire), stored, rejected, unstored }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_says_what_is_missing() {
        let account = Account { received: 10, stored: 5, rejected: 1, unstored: 3 };
        assert!(!account.balances());
        assert_eq!(account.lost(), 1);
        assert_eq!(account.to_string(), "received 10 = stored 5 + rejected 1 + unstored 3 + lost 1");
    }
}
