//! The account of all messages.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what became of the received messages.
///
/// ```
/// use raddle_ingest::old::Account;
///
/// let account = Account { received: 10, stored: 8, rejected: 2, unstored: 0 };
/// assert!(account.balances());
/// assert_eq!(account.to_string(), "received 10 = stored 8 + rejected 2");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages received by the source.
    pub received: u64,
    /// Messages committed to the sink as text.
    pub stored: u64,
    /// Messages committed to the sink as rejected.
    pub rejected: u64,
    /// Messages written to the spill file, since the sink failed until the end.
    pub unstored: u64,
}

impl Account {
    /// Returns whether every received message is in the database: `received = stored + rejected`.
    pub fn balances(&self) -> bool {
        self.received == self.stored + self.rejected
    }

    /// Returns the number of received messages that are in none of the other counts. Any but zero is a failure.
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

/// The account in progress, updated by several threads.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) received: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) unstored: AtomicU64,
}

impl Counts {
    /// Returns the present account. `received` is loaded last, so that it is never less than the sum of the others.
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
    fn account_names_unstored_and_lost_messages() {
        let account = Account { received: 10, stored: 5, rejected: 1, unstored: 3 };
        assert!(!account.balances());
        assert_eq!(account.lost(), 1);
        assert_eq!(account.to_string(), "received 10 = stored 5 + rejected 1 + unstored 3 + lost 1");
    }
}
