//! The three ways in which a queue stores its items. The put and the get of each are in one file.
//!
//! | flavor | items | for |
//! |---|---|---|
//! | [`Locked`] | behind one lock | orders that have to look at all items |
//! | [`TwoLock`] | behind a lock for puts and one for gets | first in, first out; a high limit, none, or large items |
//! | [`Ring`] | in slots with a lock each | first in, first out; a limit for which slots can be allocated |
//!
//! Each flavor has
//!
//! - a *fast path* for each verb: it never blocks, accesses no wait queue, and fails if a lock is held or a thread
//!   waits. A get is *eager* if it has failed before: then even a few items are worth some contention;
//! - a *full path*, which hands items over to waiters and enqueues the calling thread as one.

mod common;
mod locked;
mod ring;
mod two_lock;

pub(super) use common::{Observed, Unobserved};
pub(super) use locked::Locked;
pub(super) use ring::Ring;
pub(super) use two_lock::TwoLock;
