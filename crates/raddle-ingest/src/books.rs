//! The books: the outcome of every message, per source.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::Arc;

use raddle::Mutex;

/// Counts the outcomes of the messages of a source, or of all sources.
///
/// At any moment, `received = stored + rejected + duplicate + shed + unstored + queued + in_flight`.
///
/// ```
/// use raddle_ingest::Account;
///
/// let mut account = Account::default();
/// (account.received, account.stored, account.rejected, account.shed) = (10, 7, 2, 1);
/// assert_eq!(account.lost(), 0);
/// assert_eq!(account.to_string(), "received 10 = stored 7 + rejected 2 + shed 1");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// Messages received by the source.
    pub received: u64,
    /// Messages committed to the sink as text.
    pub stored: u64,
    /// Messages committed to the sink as rejected, by the source or by the database.
    pub rejected: u64,
    /// Messages that the sink had already, by their sender and number.
    pub duplicate: u64,
    /// Messages refused: the queue was full, or they were out of sequence. A sender over an acknowledged protocol has
    /// been notified.
    pub shed: u64,
    /// Messages written to a file, since the sink failed until the end.
    pub unstored: u64,
    /// Messages in the queue.
    pub queued: u64,
    /// Messages that the writer is storing.
    pub in_flight: u64,
}

impl Account {
    /// Returns the number of received messages that are in none of the other counts. It is zero unless the writer has
    /// failed.
    pub fn lost(&self) -> u64 {
        let Self { received, stored, rejected, duplicate, shed, unstored, queued, in_flight } = *self;
        received.saturating_sub(stored + rejected + duplicate + shed + unstored + queued + in_flight)
    }
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.rejected += other.rejected;
        self.duplicate += other.duplicate;
        self.shed += other.shed;
        self.unstored += other.unstored;
        self.queued += other.queued;
        self.in_flight += other.in_flight;
    }
}

impl Sum for Account {
    fn sum<I: Iterator<Item = Self>>(accounts: I) -> Self {
        accounts.fold(Self::default(), |mut total, account| {
            total += account;
            total
        })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {} = stored {} + rejected {}", self.received, self.stored, self.rejected)?;
        let others = [
            ("duplicate", self.duplicate),
            ("shed", self.shed),
            ("unstored", self.unstored),
            ("queued", self.queued),
            ("in flight", self.in_flight),
            ("lost", self.lost()),
        ];
        others
            .iter()
            .filter(|(_, count)| *count > 0)
            .try_for_each(|(name, count)| write!(f, " + {name} {count}"))
    }
}

/// The number of a source in the [`Books`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u16);

impl SourceId {
    /// The source of a listener that receives no messages.
    pub(crate) const NONE: Self = Self(u16::MAX);

    #[cfg(test)]
    pub(crate) const FIRST: Self = Self(0);
}

/// The accounts of all sources. Clones share them.
///
/// Every message is in exactly one count of its source at any moment: an account is updated under a lock, and read under the same lock.
#[derive(Clone, Debug, Default)]
pub struct Books(Arc<Mutex<Accounts>>);

impl Books {
    /// Creates books without sources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens an account for the source of this name, or returns its existing one.
    pub fn open(&self, name: &str) -> SourceId {
        let mut accounts = self.0.lock();
        let index = accounts.sources.iter().position(|(known, _)| **known == *name).unwrap_or_else(|| {
            accounts.sources.push((name.into(), Account::default()));
            accounts.sources.len() - 1
        });
        SourceId(u16::try_from(index).expect("fewer than 65,536 sources"))
    }

    /// Returns the name of a source.
    pub fn name(&self, source: SourceId) -> Arc<str> {
        self.0.lock().sources[usize::from(source.0)].0.clone()
    }

    /// Returns the accounts of all sources, at one moment.
    pub fn accounts(&self) -> Vec<(Arc<str>, Account)> {
        self.0.lock().sources.clone()
    }

    /// Returns the sum of all accounts, at one moment.
    pub fn total(&self) -> Account {
        self.0.lock().sources.iter().map(|(_, account)| *account).sum()
    }

    /// Updates accounts, as one step for every reader.
    pub(crate) fn update<R>(&self, update: impl FnOnce(&mut Accounts) -> R) -> R {
        update(&mut self.0.lock())
    }
}

/// The accounts while they are updated.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    sources: Vec<(Arc<str>, Account)>,
}

impl Accounts {
    pub(crate) fn of(&mut self, source: SourceId) -> &mut Account {
        &mut self.sources[usize::from(source.0)].1
    }

    /// Records that the writer has terminated: the messages in flight are lost.
    pub(crate) fn lose_in_flight(&mut self) {
        for (_, account) in &mut self.sources {
            account.in_flight = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_every_count() {
        let account = Account {
            received: 40,
            stored: 5,
            rejected: 1,
            duplicate: 2,
            shed: 3,
            unstored: 4,
            queued: 6,
            in_flight: 7,
        };
        assert_eq!(account.lost(), 12);
        assert_eq!(
            account.to_string(),
            "received 40 = stored 5 + rejected 1 + duplicate 2 + shed 3 + unstored 4 + queued 6 + in flight 7 + lost 12"
        );
    }

    #[test]
    fn source_has_one_account() {
        let books = Books::new();
        let (tcp, udp) = (books.open("tcp"), books.open("udp"));
        assert_ne!(tcp, udp);
        assert_eq!(books.open("tcp"), tcp);
        books.update(|accounts| accounts.of(udp).received += 2);
        books.update(|accounts| accounts.of(tcp).received += 1);
        assert_eq!(books.total().received, 3);
        assert_eq!(books.accounts()[1], ("udp".into(), Account { received: 2, ..Account::default() }));
        assert_eq!(&*books.name(tcp), "tcp");
    }
}
