//! What a pool's handle and its workers share.

use std::mem;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::inbox::Inbox;
use super::state::State;
use crate::future::FutureError;
use crate::raw::{Guard, Guarded};
use crate::rt;
use crate::sys::spin::Spin;
use crate::thread::drop_guarded;

pub(super) const POOL: &str = "ThreadPoolExecutor";
/// What a submitter does, in words.
pub(super) const SUBMITS: &str = "submits a task to";

pub(super) type Initializer = Box<dyn Fn() + Send + Sync>;

/// What changes with each task is in cache lines of its own, apart from what every submitter reads.
pub(super) struct Shared {
    /// The pool's number, by which futures and workers know theirs.
    pub(super) home: u64,
    /// The process that has the workers, by its forks.
    process: u32,
    pub(super) prefix: String,
    /// How many handles of the pool there are; the last one shuts it down.
    pub(super) handles: AtomicUsize,
    /// There has been more than one handle.
    pub(super) cloned: AtomicBool,
    /// How many workers have been named.
    pub(super) named: AtomicU64,
    pub(super) initializer: Option<Initializer>,
    pub(super) stack_size: Option<usize>,
    /// Whether threads that tasks start are daemons, unless they say otherwise.
    pub(super) daemon_heirs: bool,
    pub(super) inbox: Inbox,
    pub(super) state: Apart<Guarded<State>>,
    hints: Apart<Hints>,
    /// Submitters may have to wait for room.
    limited: bool,
    /// There may be more workers; if not, nobody need know who is about to be free.
    growing: AtomicBool,
}

struct Hints {
    /// Workers that settle a future and will look for a task right after. Who waits for a result and then
    /// submits the next task thus finds the same worker free, though it may not have reached the lock.
    finishing: AtomicUsize,
    /// How many tasks wait in lanes, for workers that look for one.
    waiting: AtomicUsize,
}

/// In cache lines of its own.
#[repr(align(128))]
pub(super) struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Shared {
    pub(super) fn new(
        home: u64,
        prefix: String,
        initializer: Option<Initializer>,
        stack_size: Option<usize>,
        daemon_heirs: bool,
        state: State,
    ) -> Self {
        let limited = state.limit.is_some();
        Self {
            home,
            process: rt::forks(),
            prefix,
            handles: AtomicUsize::new(1),
            cloned: AtomicBool::new(false),
            named: AtomicU64::new(0),
            initializer,
            stack_size,
            daemon_heirs,
            inbox: Inbox::closed(),
            state: Apart(Guarded::new(state)),
            hints: Apart(Hints { finishing: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }),
            limited,
            growing: AtomicBool::new(true),
        }
    }

    /// Whether the pool was inherited by a fork. Its workers are in the parent, and so may be a holder of its locks, which
    /// therefore must not be acquired.
    #[inline]
    pub(super) fn is_an_ancestors(&self) -> bool {
        self.process != rt::forks()
    }

    /// The state, with the inbox closed and all its tasks in their lane until [`note`](Shared::note).
    pub(super) fn gather(&self) -> Guard<'_, State> {
        let mut state = self.state.lock();
        self.close_inbox(&mut state);
        state
    }

    /// From now on, all tasks are in their lanes.
    pub(super) fn close_inbox(&self, state: &mut State) {
        if mem::take(&mut state.inbox_open) {
            state.lanes.append(self.inbox.close());
        }
    }

    /// Whether the next task of a worker, which has none, is there or may be about to come, with the inbox open.
    pub(super) fn finds_task(&self, state: &mut State, patience: &mut Spin) -> bool {
        if !state.inbox_open || !state.looks_after_inbox() {
            return false;
        }
        if state.lanes.usual_is_empty() && self.inbox.may_have_tasks() {
            state.lanes.refill(|lane| self.inbox.swap(lane));
        }
        !state.lanes.is_empty() || patience.may()
    }

    pub(super) fn finishing(&self) -> usize {
        self.hints.finishing.load(Relaxed)
    }

    /// The calling worker is about to be free, which counts until [`finished`](Shared::finished); false: no matter.
    pub(super) fn begins_to_finish(&self) -> bool {
        // Relaxed: settling the future, which follows, releases it to whoever sees the future done.
        self.growing.load(Relaxed) && {
            self.hints.finishing.fetch_add(1, Relaxed);
            true
        }
    }

    pub(super) fn finished(&self) {
        self.hints.finishing.fetch_sub(1, Relaxed);
    }

    /// Whether submitters may have to wait for room.
    pub(super) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Waits actively until a task may be there; false: patience ran out before.
    pub(super) fn look_for_task(&self, patience: &mut Spin) -> bool {
        patience.until(|| self.inbox.may_have_tasks() || self.hints.waiting.load(Relaxed) > 0)
    }

    /// Notes what others look at without the lock. To be called at the end of each hold of it.
    #[inline]
    pub(super) fn note(&self, state: &mut State) {
        let waiting = state.lanes.len();
        if self.hints.waiting.load(Relaxed) != waiting {
            self.hints.waiting.store(waiting, Relaxed);
        }
        self.note_growth(state);
        if !state.inbox_open && state.looks_after_inbox() {
            state.inbox_open = true;
            self.inbox.open();
        }
    }

    /// Notes whether there may be more workers, whenever that may have changed.
    fn note_growth(&self, state: &State) {
        let growing = state.workers < state.max;
        if self.growing.load(Relaxed) != growing {
            self.growing.store(growing, Relaxed);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Workers hold this until all is done; without any, nobody is left to run what waits.
        let mut left = Vec::new();
        left.extend(self.inbox.close());
        self.state.0.get_mut().lanes.clear(&mut left);
        for task in left {
            task.refuse(FutureError::Abandoned);
        }
        drop_guarded("the destructor of a pool's initializer", self.initializer.take());
    }
}
