//! Who holds which lock, and since which line.
//!
//! In shards, because every lock that is taken or released while the watch is on comes here. Few are held at a time,
//! so a shard is a sorted vector, which keeps its memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard};

use crate::rt::fork::{ForkSafe, Rank};
use crate::rt::lock_id::NO_LOCK;
use crate::rt::op::{Object, Op};
use crate::rt::place::Place;
use crate::rt::thread_record::ThreadRecord;

/// One lock, held. A lock that is dropped while it is held leaves its hold behind, which nothing ever finds: its
/// number is no other lock's.
#[derive(Clone)]
pub(crate) struct Hold {
    pub(crate) object: Object,
    pub(crate) by: Arc<ThreadRecord>,
    pub(crate) at: Place,
    /// Whether no thread but the holder can release it. Guards of a `Mutex` stay on their thread, and an `RLock` checks
    /// which thread releases it; a `Lock` may be released by any thread.
    pub(crate) owned: bool,
}

type Shard = Vec<(u32, Hold)>;

const SHARDS: usize = 64;
/// More than this, in a shard or among those handed over, and the oldest is forgotten: it has been dropped most likely.
const MANY: usize = 4096;

static HOLDS: [ForkSafe<Shard>; SHARDS] = [const { ForkSafe::new(Rank::Holds, Vec::new()) }; SHARDS];

/// The locks that another thread than the holder has released before: with those, threads hand over turns.
static HANDED_OVER: ForkSafe<BTreeSet<u32>> = ForkSafe::new(Rank::Leaf, BTreeSet::new());

fn shard(lock: u32) -> MutexGuard<'static, Shard> {
    HOLDS[lock as usize % SHARDS].lock()
}

fn place(shard: &Shard, lock: u32) -> Result<usize, usize> {
    shard.binary_search_by_key(&lock, |(held, _)| *held)
}

pub(crate) fn on_acquire(lock: u32, thread: &Arc<ThreadRecord>, op: &Op, owned: bool) {
    if lock == NO_LOCK {
        return;
    }
    let hold = Hold { object: op.object, by: thread.clone(), at: op.at, owned };
    let mut shard = shard(lock);
    match place(&shard, lock) {
        Err(place) => {
            shard.insert(place, (lock, hold));
            let forgotten = (shard.len() > MANY).then(|| shard.remove(0));
            drop(shard);
            drop(forgotten);
        }
        Ok(place) => {
            let before = std::mem::replace(&mut shard[place].1, hold);
            drop(shard);
            drop(before); // after the shard is let go
        }
    }
}

pub(crate) fn on_release(lock: u32, by: u64) {
    let mut shard = shard(lock);
    let Ok(place) = place(&shard, lock) else { return };
    let (_, hold) = shard.remove(place);
    drop(shard);
    if hold.by.ident != by {
        let mut handed_over = HANDED_OVER.lock();
        handed_over.insert(lock);
        if handed_over.len() > MANY {
            handed_over.pop_first();
        }
    }
}

pub(crate) fn get(lock: u32) -> Option<Hold> {
    let shard = shard(lock);
    place(&shard, lock).ok().map(|place| shard[place].1.clone())
}

pub(crate) fn is_held_by(lock: u32, thread: u64) -> bool {
    let shard = shard(lock);
    place(&shard, lock).is_ok_and(|place| shard[place].1.by.ident == thread)
}

pub(crate) fn is_handed_over(lock: u32) -> bool {
    HANDED_OVER.lock().contains(&lock)
}

/// All of them, by their holders' idents.
pub(crate) fn by_thread() -> BTreeMap<u64, Vec<Hold>> {
    let mut all = BTreeMap::<u64, Vec<Hold>>::new();
    for shard in &HOLDS {
        let holds = shard.lock().clone();
        for (_, hold) in holds {
            all.entry(hold.by.ident).or_default().push(hold);
        }
    }
    all
}
