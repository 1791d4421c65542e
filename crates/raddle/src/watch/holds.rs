//! Held locks: which thread holds which lock, and where it acquired it.
//!
//! The table is divided into shards, because every acquisition and release passes through it while the watch is on. Few
//! locks are held at a time, so a shard is a sorted vector, which keeps its allocation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};

use crate::rt::fork::{ForkSafe, Rank};
use crate::rt::lock_id::NO_LOCK;
use crate::rt::op::{Object, Op};
use crate::rt::place::Place;
use crate::rt::thread_record::ThreadRecord;

/// A held lock.
///
/// A lock that is dropped while it is held leaves its entry behind. No other lock gets its number, so the entry is never
/// mistaken for another lock's.
#[derive(Clone)]
pub(super) struct Hold {
    pub(super) object: Object,
    pub(super) by: Arc<ThreadRecord>,
    pub(super) at: Place,
    /// Whether only the holder can release it. The guard of a `Mutex` stays on its thread, and an `RLock` checks which
    /// thread releases it, but a `Lock` may be released by any thread.
    pub(super) owned: bool,
}

type Shard = Vec<(u32, Hold)>;

const SHARDS: usize = 64;
/// The capacity of a shard, and of the set of transferred locks. Beyond it the oldest entry is dropped: its lock has most
/// likely been dropped while it was held.
const CAPACITY: usize = 4096;

static HOLDS: [ForkSafe<Shard>; SHARDS] = [const { ForkSafe::new(Rank::Holds, Vec::new()) }; SHARDS];

/// Locks that have been released by another thread than their holder before: programs use them to hand over turns.
static TRANSFERRED: ForkSafe<BTreeSet<u32>> = ForkSafe::new(Rank::Leaf, BTreeSet::new());

fn shard(lock: u32) -> MutexGuard<'static, Shard> {
    HOLDS[lock as usize % SHARDS].lock()
}

fn position(shard: &Shard, lock: u32) -> Result<usize, usize> {
    shard.binary_search_by_key(&lock, |(held, _)| *held)
}

/// Adds a lock that `thread` has acquired.
pub(super) fn on_acquire(lock: u32, thread: &Arc<ThreadRecord>, op: &Op, owned: bool) {
    if lock == NO_LOCK {
        return;
    }
    let hold = Hold { object: op.object, by: thread.clone(), at: op.at, owned };
    let mut shard = shard(lock);
    let removed = match position(&shard, lock) {
        Err(index) => {
            shard.insert(index, (lock, hold));
            (shard.len() > CAPACITY).then(|| shard.remove(0).1)
        }
        Ok(index) => Some(std::mem::replace(&mut shard[index].1, hold)),
    };
    drop(shard);
    drop(removed); // after the lock is released: it may own the record of a thread
}

/// Removes a lock that the thread `by` releases.
pub(super) fn on_release(lock: u32, by: u64) {
    let mut shard = shard(lock);
    let Ok(index) = position(&shard, lock) else { return };
    let (_, hold) = shard.remove(index);
    drop(shard);
    if hold.by.ident != by {
        let mut transferred = TRANSFERRED.lock();
        transferred.insert(lock);
        if transferred.len() > CAPACITY {
            transferred.pop_first();
        }
    }
}

pub(super) fn get(lock: u32) -> Option<Hold> {
    let shard = shard(lock);
    position(&shard, lock).ok().map(|index| shard[index].1.clone())
}

pub(super) fn is_held_by(lock: u32, thread: u64) -> bool {
    let shard = shard(lock);
    position(&shard, lock).is_ok_and(|index| shard[index].1.by.ident == thread)
}

/// Returns whether another thread than the holder has released the lock before.
pub(super) fn is_transferred(lock: u32) -> bool {
    TRANSFERRED.lock().contains(&lock)
}

/// Returns all held locks, by the identifiers of their holders.
pub(super) fn by_thread() -> BTreeMap<u64, Vec<Hold>> {
    let mut all = BTreeMap::<u64, Vec<Hold>>::new();
    for shard in &HOLDS {
        let holds = shard.lock().clone();
        for (_, hold) in holds {
            all.entry(hold.by.ident).or_default().push(hold);
        }
    }
    all
}
