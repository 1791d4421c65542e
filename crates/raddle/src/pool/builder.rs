//! A pool's settings.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::BuildError;
use super::lanes::Lanes;
use super::shared::{Initializer, Shared};
use super::state::{Mode, State};
use crate::future;
use crate::raw::WaitQueue;
use crate::rt;
use crate::sys::os;

/// The settings of a pool that is not there yet.
///
/// [`builder`](crate::ThreadPoolExecutor::builder) begins it, [`build`](ThreadPoolBuilder::build) ends it.
#[must_use = "there is no pool until `build`"]
#[derive(Default)]
pub struct ThreadPoolBuilder {
    max_workers: Option<usize>,
    prefix: Option<String>,
    queue_limit: Option<usize>,
    initializer: Option<Initializer>,
    daemon: bool,
    stack_size: Option<usize>,
}

impl ThreadPoolBuilder {
    /// At most this many workers at a time; otherwise as many as there are processors and four more, at most 32.
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.max_workers = Some(workers);
        self
    }

    /// The workers are named `prefix_0`, `prefix_1`, …; otherwise the prefix is `ThreadPoolExecutor-N`.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// At most this many tasks wait for which no worker is free, or can be started; otherwise there is no limit.
    ///
    /// Beyond that, `submit` waits and `try_submit` gives the task back. With 0, no task waits: one is
    /// accepted when a worker is there for it.
    pub fn queue_limit(mut self, tasks: usize) -> Self {
        self.queue_limit = Some(tasks);
        self
    }

    /// Has every worker call `initializer` before its first task.
    ///
    /// If it panics, the pool is broken: what waits and what is submitted later fails with
    /// [`FutureError::Broken`](crate::future::FutureError::Broken), which carries the panic's message.
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(initializer));
        self
    }

    /// Lets the program end although tasks of the pool are unfinished; otherwise it waits for them.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Room for each worker's stack, in bytes; the operating system rounds up.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    pub(super) fn into_shared(self) -> Result<Shared, BuildError> {
        let max = self.max_workers.unwrap_or_else(default_workers);
        if max == 0 {
            return Err(BuildError::NoWorkers);
        }
        let prefix = self.prefix.unwrap_or_else(default_prefix);
        if prefix.contains('\0') {
            return Err(BuildError::NulInName);
        }
        let daemon_heirs = self.daemon || rt::daemon_heirs();
        let state = empty(max, self.queue_limit, self.daemon);
        Ok(Shared::new(future::new_home(), prefix, self.initializer, self.stack_size, daemon_heirs, state))
    }
}

// The pool calls the initializer and survives its panics; until then, nothing is changed by halves.
impl UnwindSafe for ThreadPoolBuilder {}
impl RefUnwindSafe for ThreadPoolBuilder {}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("thread_name_prefix", &self.prefix)
            .field("queue_limit", &self.queue_limit)
            .field("daemon", &self.daemon)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

fn empty(max: usize, limit: Option<usize>, daemon: bool) -> State {
    State {
        mode: Mode::Open,
        lanes: Lanes::new(),
        door: VecDeque::new(),
        limit,
        max,
        workers: 0,
        alive: 0,
        starting: 0,
        waking: 0,
        looking: 0,
        busy: 0,
        idle: Vec::new(),
        blocked: Vec::new(),
        joiners: WaitQueue::new(),
        daemon,
        obligation: None,
        swept_at: future::dead(),
        inbox_open: false,
        short: None,
    }
}

/// Python's default: tasks often wait for input or output, so there are more workers than processors.
fn default_workers() -> usize {
    (os::processors() + 4).min(32)
}

/// Pools without a name are numbered, each program from 0.
fn default_prefix() -> String {
    struct Pools(AtomicU64);
    let pools = rt::with_program(|program| program.services().get(|| Pools(AtomicU64::new(0))));
    format!("ThreadPoolExecutor-{}", pools.0.fetch_add(1, Relaxed))
}
