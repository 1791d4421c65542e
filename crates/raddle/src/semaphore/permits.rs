//! A count of permits and the line of those who wait for some: what both kinds of semaphore are made of.
//!
//! While nobody is in line the count is in a word, and permits are taken and given back by one compare-and-swap each.
//! A thread that finds too few of them for a moment takes the count out of the word, under the lock, and lines up in the same hold.
//! From then on the count is the lock's business, until the line is empty and the word gets it back.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Instant;

use crate::raw::{Guard, Guarded, WaitQueue, Waiter};
use crate::rt::{self, Op};
use crate::sys::spin::Spin;

#[derive(Debug)]
pub(super) struct Permits {
    /// The free permits, or [`AWAY`].
    word: AtomicU32,
    state: Guarded<State>,
}

// No code of the user's runs while the state is changed.
impl UnwindSafe for Permits {}
impl RefUnwindSafe for Permits {}

#[derive(Debug)]
struct State {
    /// The free permits, while the word is away.
    free: usize,
    line: WaitQueue,
}

/// The count is in the state: there is a line, or it does not fit into the word. It changes under the lock alone.
const AWAY: u32 = u32::MAX;
/// The verdict of a waiter that has its permits.
const GRANTED: u32 = 0;

/// Tells observers how many permits a step is about, if it is more than one.
fn tell(op: &Op, count: usize) {
    if count != 1 {
        rt::value(op, || format!("{count} permits"));
    }
}

impl Permits {
    #[expect(clippy::cast_possible_truncation, reason = "it is looked at before")]
    pub(super) const fn new(free: usize) -> Self {
        let word = if free < AWAY as usize { free as u32 } else { AWAY };
        Self { word: AtomicU32::new(word), state: Guarded::new(State { free, line: WaitQueue::new() }) }
    }

    pub(super) fn free(&self) -> usize {
        match self.word.load(Acquire) {
            AWAY => {
                let state = self.state.lock();
                self.count(&state)
            }
            free => free as usize,
        }
    }

    /// Whether `count` permits are free and no thread waits for some.
    fn would_grant(&self, count: usize) -> bool {
        match self.word.load(Acquire) {
            AWAY => {
                let state = self.state.lock();
                state.line.is_empty() && self.count(&state) >= count
            }
            free => free as usize >= count,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        rt::sees_arrivals();
        self.state.lock().line.len()
    }

    /// Takes `count` permits at once; false if they are not free, or somebody is in line or observes.
    #[inline]
    pub(super) fn grab(&self, count: usize) -> bool {
        self.try_change(|free| free.checked_sub(count))
    }

    /// Gives `count` permits back at once; false if there would be too many, or somebody is in line or observes.
    #[inline]
    pub(super) fn let_go(&self, count: usize, bound: usize) -> bool {
        self.try_change(|free| free.checked_add(count).filter(|free| *free <= bound))
    }

    /// Takes `count` permits if they are free and nobody is in line before.
    pub(super) fn try_take(&self, op: Op, count: usize) -> bool {
        rt::point(op);
        let taken = self.change(|free| free.checked_sub(count)).unwrap_or_else(|| {
            let mut state = self.locked();
            let taken = state.take(count);
            self.put_back(&state);
            taken
        });
        rt::value(&op, || if taken { "acquired" } else { "not acquired" }.to_owned());
        taken
    }

    /// Takes `count` permits, in line behind those who came before.
    ///
    /// It does not line up at once: a line outlives what it came from, since permits go from thread to thread, each of
    /// which has to be given a processor first, as long as it does not become empty.
    pub(super) fn take(&self, op: Op, count: usize, deadline: Option<Instant>) -> bool {
        // Until its permit is there, a thread that waits for one keeps no other from anything: whether it came before
        // or after the release makes no difference.
        let declared = count <= 1 && !rt::arrivals();
        if declared {
            rt::point_until(op, deadline, &self.word, || self.would_grant(count));
        } else {
            rt::point(op);
        }
        tell(&op, count);
        let take = || self.change(|free| free.checked_sub(count)) == Some(true);
        let mut spin = Spin::new();
        take() || spin.until(take) || self.take_in_line(spin, op, count, deadline, declared)
    }

    fn take_in_line(
        &self,
        spin: Spin,
        op: Op,
        count: usize,
        deadline: Option<Instant>,
        declared: bool,
    ) -> bool {
        let waiter = {
            let mut state = self.locked();
            if state.take(count) {
                self.put_back(&state);
                return true;
            }
            state.line.enqueue(count)
        };
        let told =
            if declared { waiter.park(spin, deadline) } else { waiter.wait_spinning(spin, op, deadline) };
        told.is_some() || self.was_granted(&waiter)
    }

    /// Gives `count` permits back, unless there would be more than `bound`.
    pub(super) fn give(&self, op: Op, count: usize, bound: usize) -> bool {
        rt::point(op);
        tell(&op, count);
        let more = |free: usize| free.checked_add(count).filter(|free| *free <= bound);
        self.change(more).unwrap_or_else(|| self.give_in_line(count, bound))
    }

    fn give_in_line(&self, count: usize, bound: usize) -> bool {
        let mut state = self.locked();
        let more = state.free.checked_add(count).filter(|free| *free <= bound);
        if let Some(free) = more {
            state.free = free;
        }
        self.serve(state);
        more.is_some()
    }

    /// Has the count in the word become what `change` says; false if it says nothing. `None`: the count is away, or
    /// what it would become does not fit.
    ///
    /// Acquire and release: what was done before permits were given back is seen by who takes them.
    fn change(&self, change: impl Fn(usize) -> Option<usize>) -> Option<bool> {
        rt::atom(&self.word);
        let mut seen = self.word.load(Relaxed);
        loop {
            if seen == AWAY {
                return None;
            }
            let Some(free) = change(seen as usize) else { return Some(false) };
            let free = u32::try_from(free).ok().filter(|free| *free != AWAY)?;
            rt::atom(&self.word);
            match self.word.compare_exchange_weak(seen, free, AcqRel, Relaxed) {
                Ok(_) => return Some(true),
                Err(now) => seen = now,
            }
        }
    }

    /// Has the count in the word become what `change` says, in one attempt and if nobody observes.
    #[inline]
    fn try_change(&self, change: impl Fn(usize) -> Option<usize>) -> bool {
        let seen = self.word.load(Relaxed);
        let fits = |free: usize| u32::try_from(free).ok().filter(|free| *free != AWAY);
        rt::quiet()
            && seen != AWAY
            && change(seen as usize)
                .and_then(fits)
                .is_some_and(|free| self.word.compare_exchange(seen, free, AcqRel, Relaxed).is_ok())
    }

    /// Locks the state, with the count in it.
    fn locked(&self) -> Guard<'_, State> {
        let mut state = self.state.lock();
        rt::atom(&self.word);
        match self.word.swap(AWAY, Acquire) {
            AWAY => {}
            free => state.free = free as usize,
        }
        state
    }

    /// The count, wherever it is.
    fn count(&self, state: &State) -> usize {
        match self.word.load(Acquire) {
            AWAY => state.free,
            free => free as usize,
        }
    }

    /// The word gets the count back, if nobody is in line. Release: as if permits had been given back.
    fn put_back(&self, state: &State) {
        if state.line.is_empty()
            && let Ok(free) = u32::try_from(state.free)
        {
            rt::atom(&self.word);
            self.word.store(free, Release);
        }
    }

    /// Lets those go who are served.
    fn serve(&self, mut state: Guard<'_, State>) {
        let granted = state.serve();
        self.put_back(&state);
        drop(state);
        for waiter in &granted {
            waiter.notify(GRANTED);
        }
    }

    /// Takes the waiter out of line, unless it was granted its permits before.
    fn was_granted(&self, waiter: &Arc<Waiter>) -> bool {
        let mut state = self.locked();
        let granted = !state.line.remove(waiter);
        // It may have been the one that asked for more than there is, with others behind it.
        self.serve(state);
        granted
    }
}

impl State {
    fn take(&mut self, count: usize) -> bool {
        let free = self.line.is_empty() && self.free >= count;
        if free {
            self.free -= count;
        }
        free
    }

    fn serve(&mut self) -> Vec<Arc<Waiter>> {
        let mut granted = Vec::new();
        while let Some(first) = self.line.front().filter(|first| first.request <= self.free) {
            self.free -= first.request;
            granted.extend(self.line.dequeue());
        }
        granted
    }
}
