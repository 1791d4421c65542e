//! What those outside see of an exploration: that it goes on, and where it stands.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Foreign, Stage};

/// Says on standard error why an execution has failed that is the last one.
type Teller = Box<dyn Fn(&Stage) + Send>;

/// Shows from outside whether an exploration goes on.
pub(crate) struct Pulse {
    beats: AtomicU64,
    stage: Mutex<Weak<Stage>>,
    abandoned: AtomicBool,
    lost: AtomicBool,
    /// What threads did that the program started past the toolkit.
    foreign: Mutex<Vec<Foreign>>,
    /// The process that explores.
    process: u32,
    teller: Mutex<Option<Teller>>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            beats: AtomicU64::new(0),
            stage: Mutex::default(),
            lost: AtomicBool::new(false),
            foreign: Mutex::default(),
            abandoned: AtomicBool::new(false),
            process: std::process::id(),
            teller: Mutex::default(),
        }
    }

    pub(super) fn process(&self) -> u32 {
        self.process
    }

    /// Has `teller` called when an explored program ends the process.
    pub(crate) fn set_teller(&self, teller: impl Fn(&Stage) + Send + 'static) {
        *self.teller.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(teller));
    }

    pub(super) fn tell(&self, stage: &Stage) {
        let teller = self.teller.lock().unwrap_or_else(PoisonError::into_inner);
        teller.iter().for_each(|teller| teller(stage));
    }

    /// A thread has come to its next step.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Relaxed);
    }

    /// How many steps were taken.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Relaxed)
    }

    /// Nobody waits for the outcome of the search any more.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Relaxed)
    }

    /// The thread that runs the search played the program's main thread, and cannot be unwound.
    pub(super) fn lose(&self) {
        self.lost.store(true, Relaxed);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }

    pub(crate) fn foreign(&self) -> MutexGuard<'_, Vec<Foreign>> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shows(&self, stage: &Weak<Stage>) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage.clone();
    }

    /// The execution that runs.
    pub(crate) fn stage(&self) -> Option<Arc<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}
