//! Waiting for one future.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Instant;

use super::crew::{self, CAN_FAIL, Crew};
use super::error::FutureError;
use super::listen::{Listener, Watch};
use super::state::{ASLEEP, Core, settled};
use crate::raw::Waiter;
use crate::rt::{self, Op, Wait};
use crate::sys::spin::Spin;
use crate::thread::drop_guarded;
use crate::watch::say_of_own_task;

impl<T, W: ?Sized> Core<T, W> {
    /// Waits until the phase is `reached`.
    pub(crate) fn wait(
        self: &Arc<Self>,
        op: Op,
        deadline: Option<Instant>,
        reached: fn(u32) -> bool,
    ) -> Result<(), FutureError> {
        self.give_up_if_an_ancestors();
        if deadline.is_none()
            && !self.is(settled)
            && let Some(crew) = crew::of(self.home)
        {
            return self.wait_for_own_pool(&*crew, op);
        }
        rt::point_until(op, deadline, &self.word, || self.is(reached));
        if self.sleep(deadline, reached) { Ok(()) } else { Err(FutureError::TimedOut) }
    }

    /// Settles the future as abandoned if only a thread of an ancestor of this process would.
    pub(super) fn give_up_if_an_ancestors(self: &Arc<Self>) {
        let runs_here = || crew::of(self.home).is_some_and(|crew| crew.runs(self.address()));
        if crew::is_an_ancestors(self.home)
            && !self.is(settled)
            && !runs_here()
            && let Ok(callbacks) = self.settle(Err(FutureError::Abandoned))
        {
            drop_guarded("the destructor of a done-callback", callbacks); // they belong to the ancestor as well
        }
    }

    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).cast::<()>() as usize
    }

    fn sleep(&self, deadline: Option<Instant>, reached: fn(u32) -> bool) -> bool {
        let mut spin = Spin::new();
        loop {
            rt::atom(&self.word);
            let seen = self.word.load(Acquire);
            if reached(seen) {
                return true;
            }
            if spin.again() {
                continue;
            }
            if seen & ASLEEP == 0 {
                self.will_sleep(reached);
                continue;
            }
            if rt::wait(&self.word, seen, deadline) == Wait::TimedOut {
                return self.is(reached);
            }
        }
    }

    /// Has whoever settles the future wake this thread. The word is settled by a plain store under this lock.
    fn will_sleep(&self, reached: fn(u32) -> bool) {
        let _settling = self.inner.lock();
        if !self.is(reached) {
            self.word.fetch_or(ASLEEP, Relaxed);
        }
    }

    /// Waits in a way that the pool can end, when it sees that no worker is left to bring the result.
    fn wait_for_own_pool(self: &Arc<Self>, crew: &dyn Crew, op: Op) -> Result<(), FutureError> {
        rt::point(op);
        if crew.runs(self.address()) {
            say_of_own_task();
            return Err(FutureError::Deadlock);
        }
        let waiter = Waiter::new(CAN_FAIL);
        let watch: Arc<dyn Watch> = waiter.clone();
        if self.listen(Listener::Watch(watch.clone(), 0), settled).is_err() {
            return Ok(());
        }
        crew.block(&waiter, self.address());
        waiter.wait(op, None);
        crew.unblock(&waiter);
        if self.is(settled) {
            return Ok(());
        }
        self.deafen(&watch);
        Err(FutureError::Deadlock)
    }
}
