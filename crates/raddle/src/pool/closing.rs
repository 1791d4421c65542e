//! The end of a pool.

use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::{Duration, Instant};

use super::after::{After, Step};
use super::error::OwnWorkerError;
use super::executor::ThreadPoolExecutor;
use super::shared::POOL;
use super::state::Mode;
use super::worker::carry_out;
use crate::future;
use crate::rt::{self, Kind, Op};

/// What becomes of the tasks that wait when a pool is shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShutdownMode {
    /// They are run.
    #[default]
    Drain,
    /// They are cancelled; those that run go on to their end.
    CancelPending,
}

impl ThreadPoolExecutor {
    /// Accepts no more tasks and waits until the workers are gone. Shutting down again is allowed, and can still
    /// cancel what waits.
    ///
    /// # Errors
    /// [`OwnWorkerError`], without any effect, in a worker of this pool: it would wait for itself.
    #[track_caller]
    pub fn shutdown(&self, how: ShutdownMode) -> Result<(), OwnWorkerError> {
        self.shutdown_until(how, None, Op::new(&*self.shared, POOL, Kind::Wait).does("shuts down")).map(drop)
    }

    /// Accepts no more tasks; says whether the workers are gone already.
    ///
    /// It does not wait, and so can be called in a task.
    #[track_caller]
    pub fn try_shutdown(&self, how: ShutdownMode) -> bool {
        rt::point(Op::new(&*self.shared, POOL, Kind::Write).does("shuts down"));
        if self.shared.is_an_ancestors() {
            return true;
        }
        self.close(how);
        self.shared.state.lock().alive == 0
    }

    /// Accepts no more tasks and waits at most `timeout` until the workers are gone; says whether they are.
    ///
    /// # Errors
    /// As for [`shutdown`](Self::shutdown).
    #[track_caller]
    pub fn shutdown_timeout(&self, how: ShutdownMode, timeout: Duration) -> Result<bool, OwnWorkerError> {
        self.shutdown_until(
            how,
            rt::deadline(timeout),
            Op::new(&*self.shared, POOL, Kind::Wait).does("shuts down"),
        )
    }

    fn close(&self, how: ShutdownMode) {
        let mut after = After::default();
        let mut state = self.shared.gather();
        if how == ShutdownMode::CancelPending {
            let mut waiting = Vec::new();
            state.lanes.clear(&mut waiting);
            after.steps.extend(waiting.into_iter().map(Step::Cancel));
        }
        if let Mode::Open = state.mode {
            state.close(Mode::ShutDown, &mut after);
        } else {
            state.conclude(&mut after);
        }
        self.shared.note(&mut state);
        drop(state);
        carry_out(&self.shared, after);
    }

    fn shutdown_until(
        &self,
        how: ShutdownMode,
        deadline: Option<Instant>,
        op: Op,
    ) -> Result<bool, OwnWorkerError> {
        if self.shared.is_an_ancestors() {
            return Ok(true);
        }
        if future::home() == self.shared.home {
            return Err(OwnWorkerError);
        }
        rt::point(op);
        self.close(how);
        let mut state = self.shared.state.lock();
        if state.alive == 0 {
            return Ok(true);
        }
        let waiter = state.joiners.enqueue(0);
        drop(state);
        if waiter.wait(op, deadline).is_some() {
            return Ok(true);
        }
        let mut state = self.shared.state.lock();
        Ok(!state.joiners.remove(&waiter))
    }
}

/// A clone is another handle to the same pool. Dropping a handle shuts the pool down only if it is the last one.
impl Clone for ThreadPoolExecutor {
    fn clone(&self) -> Self {
        let shared = self.shared.clone(); // aborts if there are too many
        // Relaxed, as in `Arc`: the new handle reaches another thread by something that synchronizes.
        shared.handles.fetch_add(1, Relaxed);
        shared.cloned.store(true, Relaxed);
        Self { shared }
    }
}

impl Drop for ThreadPoolExecutor {
    /// Shuts the pool down if this is its last handle, and waits for its tasks.
    fn drop(&mut self) {
        if self.shared.is_an_ancestors() {
            // Its state may be inconsistent since the fork: it is leaked.
            return std::mem::forget(self.shared.clone());
        }
        // A handle is made from an existing one, so a handle that was never cloned is the only one. That a clone was made
        // is known here: making it happens before this.
        if self.shared.cloned.load(Relaxed) {
            rt::point(Op::new(&*self.shared, POOL, Kind::Write).does("drops a handle of"));
            // As in `Arc`: what was done by the other handles happens before the shutdown.
            if self.shared.handles.fetch_sub(1, AcqRel) != 1 {
                return;
            }
        }
        if self.shutdown(ShutdownMode::Drain).is_err() {
            self.try_shutdown(ShutdownMode::Drain);
        }
    }
}
