//! What the watch does, as the program wants it; the environment has the last word.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::rt::fork::{ForkSafe, Rank};
use crate::sys::os;

/// What the watch does about a deadlock, once it has said so.
///
/// ```
/// use raddle::watch::{Action, Watch};
/// Watch::new().action(Action::Report).start();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Nothing.
    Report,
    /// Panics in one of the threads that wait for each other's locks; the panic's message is the report. The locks
    /// which that thread holds come free as it unwinds, so the others go on. Where no thread waits for a lock that it
    /// asked for, a panic would help nobody: then as [`End`](Action::End), and so when all threads wait while
    /// the program ends.
    Panic,
    /// Ends the program with status 101, that of a panic, and waits for nobody: nobody would come.
    End,
}

/// The variable by which whoever runs the program decides.
pub(crate) const VARIABLE: &str = "RADDLE_WATCH";

static ACTION: AtomicU8 = AtomicU8::new(Action::End as u8);
static SUSPECT_AFTER: AtomicU64 = AtomicU64::new(10_000);
static LOCK_ORDER: AtomicBool = AtomicBool::new(false);

pub(crate) fn action() -> Action {
    match ACTION.load(Relaxed) {
        action if action == Action::Report as u8 => Action::Report,
        action if action == Action::Panic as u8 => Action::Panic,
        _ => Action::End,
    }
}

/// How old a deadlock must be which is not certain.
pub(crate) fn suspect_after() -> Duration {
    Duration::from_millis(SUSPECT_AFTER.load(Relaxed))
}

/// Whether the order in which locks are taken is watched.
pub(crate) fn lock_order() -> bool {
    LOCK_ORDER.load(Relaxed)
}

pub(crate) fn set_action(action: Action) {
    if environment().action.is_none() {
        ACTION.store(action as u8, Relaxed);
    }
}

pub(crate) fn set_suspect_after(time: Duration) {
    SUSPECT_AFTER.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Relaxed);
}

pub(crate) fn set_lock_order(on: bool) {
    LOCK_ORDER.store(on || environment().lock_order, Relaxed);
}

/// What the environment asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `None`: what the build or the program wants.
    pub(crate) on: Option<bool>,
    action: Option<Action>,
    lock_order: bool,
}

/// What the environment asked for when it was first looked at.
pub(crate) fn environment() -> Asked {
    static ASKED: ForkSafe<Option<Asked>> = ForkSafe::new(Rank::Leaf, None);
    *ASKED.lock().get_or_insert_with(|| {
        let asked = read();
        if let Some(action) = asked.action {
            ACTION.store(action as u8, Relaxed);
        }
        if asked.lock_order {
            LOCK_ORDER.store(true, Relaxed);
        }
        asked
    })
}

fn read() -> Asked {
    let Some(value) = std::env::var_os(VARIABLE) else { return Asked::default() };
    let asked = value.to_str().and_then(Asked::parse);
    asked.unwrap_or_else(|| {
        os::write_error(&format!(
            "raddle: {VARIABLE}=\"{}\" is not understood and changes nothing: it is 0 (the watch is off), 1 (on), \
             or some of report, panic, end (what to do) and order (watch the order of locks), with commas between\n",
            value.display()
        ));
        Asked::default()
    })
}

impl Asked {
    fn parse(value: &str) -> Option<Self> {
        let on = Self { on: Some(true), ..Self::default() };
        match value.trim() {
            "" => return Some(Self::default()),
            "0" | "false" | "off" => return Some(Self { on: Some(false), ..on }),
            _ => {}
        }
        value.split(',').try_fold(on, |asked, word| {
            let action = match word.trim() {
                "1" | "true" | "on" => return Some(asked),
                "order" => return Some(Self { lock_order: true, ..asked }),
                "report" => Action::Report,
                "panic" => Action::Panic,
                "end" => Action::End,
                _ => return None,
            };
            asked.action.is_none().then_some(Self { action: Some(action), ..asked })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_helped_is_suspected_after_ten_seconds() {
        assert_eq!(suspect_after(), Duration::from_secs(10));
    }

    #[test]
    fn the_variable_is_understood_or_not() {
        let on = Asked { on: Some(true), ..Asked::default() };
        let of = |value| Asked::parse(value);
        assert_eq!(of(""), Some(Asked::default()));
        assert_eq!((of("1"), of(" on"), of("true")), (Some(on), Some(on), Some(on)));
        assert_eq!(of("0"), Some(Asked { on: Some(false), ..on }));
        assert_eq!(of("panic"), Some(Asked { action: Some(Action::Panic), ..on }));
        let both = Asked { action: Some(Action::Report), lock_order: true, ..on };
        assert_eq!((of("report,order"), of("1, order, report")), (Some(both), Some(both)));
        for wrong in ["2", "yes", "Report", "0,order", "report,end", "panic,", ","] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
