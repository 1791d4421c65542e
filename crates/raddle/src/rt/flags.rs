//! The global flag word: zero means that nothing observes the process, and operations go to the operating system.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::watch::settings;

// Above the bits of the watch and the recordings, the word counts the threads under a scheduler.
static FLAGS: AtomicU32 = AtomicU32::new(UNDECIDED);

const UNDECIDED: u32 = 1;
const WATCH: u32 = 2;
const TRACE: u32 = 4;
const EXPLORED: u32 = 8;

/// The number of threads under a fine-grained scheduler.
static FINE: AtomicU32 = AtomicU32::new(0);

/// Returns whether nothing observes the process. One relaxed load and a branch: the whole cost in production.
#[inline]
pub(crate) fn quiet() -> bool {
    FLAGS.load(Ordering::Relaxed) == 0
}

pub(crate) fn watching() -> bool {
    let flags = FLAGS.load(Ordering::Relaxed);
    if flags & UNDECIDED == 0 { flags & WATCH != 0 } else { decide() }
}

pub(crate) fn tracing() -> bool {
    FLAGS.load(Ordering::Relaxed) & TRACE != 0
}

pub(crate) fn exploring() -> bool {
    FLAGS.load(Ordering::Relaxed) >= EXPLORED
}

pub(crate) fn fine() -> bool {
    FINE.load(Ordering::Relaxed) != 0
}

/// Decides whether the watch is on, if that is undecided. Until then no operation is quiet, so every kind of operation has to get
/// here.
pub(crate) fn settle() {
    watching();
}

/// Decides, once, whether the watch is on: in debug builds, unless the environment overrides it.
#[cold]
fn decide() -> bool {
    let watch = settings::environment().on.unwrap_or(cfg!(debug_assertions));
    if watch {
        FLAGS.fetch_or(WATCH, Ordering::Relaxed);
    }
    FLAGS.fetch_and(!UNDECIDED, Ordering::Relaxed);
    watch
}

/// Turns the watch on, unless the environment has turned it off. It is never turned off again, because a gap would make
/// its records wrong.
pub(crate) fn watch_on() {
    if !watching() && settings::environment().on != Some(false) {
        FLAGS.fetch_or(WATCH, Ordering::Relaxed);
    }
}

pub(crate) fn set_tracing(on: bool) {
    if on {
        FLAGS.fetch_or(TRACE, Ordering::Relaxed);
    } else {
        FLAGS.fetch_and(!TRACE, Ordering::Relaxed);
    }
}

pub(crate) fn raise(fine: bool) {
    FLAGS.fetch_add(EXPLORED, Ordering::Relaxed);
    FINE.fetch_add(u32::from(fine), Ordering::Relaxed);
}

pub(crate) fn lower(fine: bool) {
    FLAGS.fetch_sub(EXPLORED, Ordering::Relaxed);
    FINE.fetch_sub(u32::from(fine), Ordering::Relaxed);
}
