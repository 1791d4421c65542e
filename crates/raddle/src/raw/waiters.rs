//! Threads that wait in line: who came first is let go first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Instant;

use crate::rt::{self, Op, Spin, Wait};

/// One waiting thread, with a word of its own to sleep on and what it was told when it was let go.
#[derive(Debug)]
pub(crate) struct Waiter<A = usize> {
    /// 0 waiting, 1 waiting and perhaps asleep, otherwise the verdict plus 2.
    word: AtomicU32,
    /// What it asks for: a number of permits, an index, items; the primitive's own business.
    pub(crate) asks: A,
}

const WAITING: u32 = 0;
const ASLEEP: u32 = 1;
const VERDICTS: u32 = 2;

impl<A> Waiter<A> {
    pub(crate) fn new(asks: A) -> Arc<Self> {
        Arc::new(Self { word: AtomicU32::new(WAITING), asks })
    }

    /// Lets the thread go with a verdict. Release: what was done before is seen after.
    pub(crate) fn tell(&self, verdict: u32) {
        rt::signal(&self.word);
        if self.word.swap(verdict + VERDICTS, Release) == ASLEEP {
            rt::wake(&self.word, 1);
        }
    }

    /// Like [`tell`](Waiter::tell), unless the thread has been told already; says whether it had not.
    pub(crate) fn tell_unless_told(&self, verdict: u32) -> bool {
        rt::signal(&self.word);
        let told = |word| if word < VERDICTS { Some(verdict + VERDICTS) } else { None };
        let before = self.word.fetch_update(Release, Acquire, told);
        if before == Ok(ASLEEP) {
            rt::wake(&self.word, 1);
        }
        before.is_ok()
    }

    /// The verdict, if there is one.
    pub(crate) fn told(&self) -> Option<u32> {
        self.word.load(Acquire).checked_sub(VERDICTS)
    }

    /// Sleeps until told; `None`: the deadline passed first. Then the caller takes the waiter out of its
    /// line, under the line's lock, and asks [`told`](Waiter::told) again.
    pub(crate) fn sleep(&self, op: Op, deadline: Option<Instant>) -> Option<u32> {
        self.sleep_with(Spin::new(), op, deadline)
    }

    /// The same with that much patience before it parks.
    pub(crate) fn sleep_with(&self, spin: Spin, op: Op, deadline: Option<Instant>) -> Option<u32> {
        rt::point_until(op, deadline, &self.word, || self.told().is_some());
        self.park(spin, deadline)
    }

    /// The same for a thread that has declared its wait already.
    pub(crate) fn park(&self, mut spin: Spin, deadline: Option<Instant>) -> Option<u32> {
        loop {
            rt::signal(&self.word);
            if let Some(verdict) = self.told() {
                return Some(verdict);
            }
            if spin.again() {
                continue;
            }
            rt::signal(&self.word);
            let _ = self.word.compare_exchange(WAITING, ASLEEP, Acquire, Acquire);
            if rt::wait(&self.word, ASLEEP, deadline) == Wait::TimedOut {
                return self.told();
            }
        }
    }
}

/// Waiters in the order in which they came.
///
/// A forked child inherits the wait queues of its parent, but none of the threads in them: there they are empty. So
/// nothing is ever given to a thread that does not exist.
#[derive(Debug)]
pub(crate) struct Line<A = usize> {
    /// Those of the process that `process` says.
    waiters: VecDeque<Arc<Waiter<A>>>,
    /// By its forks.
    process: u32,
}

impl<A> Line<A> {
    pub(crate) const fn new() -> Self {
        Self { waiters: VecDeque::new(), process: 0 }
    }

    /// Those of this process.
    #[inline]
    fn waiters(&self) -> Option<&VecDeque<Arc<Waiter<A>>>> {
        (self.process == rt::forks()).then_some(&self.waiters)
    }

    #[inline]
    fn waiters_mut(&mut self) -> &mut VecDeque<Arc<Waiter<A>>> {
        if self.process != rt::forks() {
            self.inherit();
        }
        &mut self.waiters
    }

    /// Forgets the waiters of the parent. What they hold out, such as an item, is on stacks that nobody will unwind: it is
    /// leaked, like those.
    #[cold]
    fn inherit(&mut self) {
        std::mem::forget(std::mem::take(&mut self.waiters));
        self.process = rt::forks();
    }

    pub(crate) fn join(&mut self, asks: A) -> Arc<Waiter<A>> {
        let waiter = Waiter::new(asks);
        self.waiters_mut().push_back(waiter.clone());
        waiter
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Waiter<A>>> {
        self.waiters().into_iter().flatten()
    }

    pub(crate) fn first(&self) -> Option<&Arc<Waiter<A>>> {
        self.waiters()?.front()
    }

    pub(crate) fn pop(&mut self) -> Option<Arc<Waiter<A>>> {
        self.waiters_mut().pop_front()
    }

    /// Takes a waiter out who gave up; says whether it was still in line.
    pub(crate) fn leave(&mut self, waiter: &Arc<Waiter<A>>) -> bool {
        let waiters = self.waiters_mut();
        match waiters.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            Some(place) => waiters.remove(place).is_some(),
            None => false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters().map_or(0, VecDeque::len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the first `count` out, to be told after the line's lock is let go.
    pub(crate) fn take_first(&mut self, count: usize) -> VecDeque<Arc<Waiter<A>>> {
        let waiters = self.waiters_mut();
        if count >= waiters.len() {
            return std::mem::take(waiters);
        }
        waiters.drain(..count).collect()
    }
}
