//! What an execution did, in numbers: what a search needs to know of it.

use raddle::host::Op;

use super::objects::Access;

/// A set of threads of one execution.
pub(crate) type Threads = u128;

/// More threads than this no execution can have.
pub(crate) const MANY: usize = Threads::BITS as usize;

pub(crate) fn one(thread: usize) -> Threads {
    1 << thread
}

/// The threads in a set, lowest first.
pub(crate) fn each(mut threads: Threads) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = threads.trailing_zeros() as usize;
        threads &= threads.wrapping_sub(1);
        (first < MANY).then_some(first)
    })
}

/// One step of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) thread: usize,
    pub(crate) op: Option<Op>,
    /// What it said that it would touch, and then what else it touched.
    pub(crate) access: Option<Access>,
    pub(crate) more: Vec<Access>,
    /// The event that let it happen.
    pub(crate) opened_by: Option<u32>,
    /// Who could have gone on instead, itself included.
    pub(crate) enabled: Threads,
    /// It may also have happened without what it waited for.
    pub(crate) limited: bool,
    /// It let go of what somebody held.
    pub(crate) gave: bool,
    /// It happened because nothing else could: all that came before it had to.
    pub(crate) last_resort: bool,
}

impl Event {
    pub(crate) fn accesses(&self) -> impl Iterator<Item = Access> {
        self.access.into_iter().chain(self.more.iter().copied())
    }

    pub(crate) fn touches(&mut self, access: Access) {
        if self.access != Some(access) && !self.more.contains(&access) {
            self.more.push(access);
        }
    }
}

/// A step that was still to be taken when it all ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) thread: usize,
    pub(crate) op: Option<Op>,
    pub(crate) access: Access,
    pub(crate) opened_by: Option<u32>,
    pub(crate) limited: bool,
}
