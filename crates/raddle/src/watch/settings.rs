//! The settings of the watch. The environment overrides the program.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::rt::fork::{ForkSafe, Rank};
use crate::sys::os;

/// The action of the watch after it has reported a deadlock.
///
/// # Examples
/// ```
/// use raddle::watch::{Action, Watch};
///
/// Watch::new().action(Action::Report).start();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Takes no action.
    Report,
    /// Panics in one of the deadlocked threads, with the report as the message.
    ///
    /// The thread unwinds and releases its locks, so the others continue. If no thread is blocked in an acquire of its
    /// own, a panic would not help, and the action is [`End`](Action::End). The same holds while the program ends.
    Panic,
    /// Ends the program at once with status 101, that of a panic.
    End,
}

/// The environment variable.
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

/// Returns how long threads must have waited for each other before an uncertain deadlock is reported.
pub(crate) fn suspect_after() -> Duration {
    Duration::from_millis(SUSPECT_AFTER.load(Relaxed))
}

/// Returns whether lock orders are checked.
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

/// The signals whose handlers wake no thread, one bit for each.
static EXEMPT: AtomicU64 = AtomicU64::new(0);

/// Declares that the handlers of these signals wake no thread, so that they do not keep a deadlock from being certain.
///
/// For a binding: the runtime of another language has handlers of its own, for example one that makes Ctrl-C an exception.
/// A further call replaces the list.
///
/// # Examples
/// ```
/// raddle::watch::exempt_signals(&[2]); // SIGINT
/// # raddle::watch::exempt_signals(&[]);
/// ```
pub fn exempt_signals(signals: &[i32]) {
    EXEMPT.store(signals.iter().fold(0, |bits, signal| bits | bit(*signal)), Relaxed);
}

pub(crate) fn is_exempt(signal: i32) -> bool {
    EXEMPT.load(Relaxed) & bit(signal) != 0
}

/// Returns 0 for a number that is no signal.
fn bit(signal: i32) -> u64 {
    u32::try_from(signal).ok().and_then(|signal| 1_u64.checked_shl(signal.checked_sub(1)?)).unwrap_or(0)
}

/// What a binding does before the watch ends the program.
static BEFORE_END: ForkSafe<Option<fn()>> = ForkSafe::new(Rank::Leaf, None);

/// Sets a function that is called after the report of a deadlock and before the watch ends the program, which it does without
/// exit handlers.
///
/// For a binding: it writes out what the runtime of its language has buffered. The function runs on a deadlocked thread. Its own
/// waits are not watched, and it must not wait for the program. A further call replaces the function.
///
/// # Panics
/// A panic of the function is caught and reported on standard error.
///
/// # Examples
/// ```
/// raddle::watch::before_end(|| println!("deadlocked"));
/// ```
pub fn before_end(function: fn()) {
    *BEFORE_END.lock() = Some(function);
}

pub(crate) fn function_before_end() -> Option<fn()> {
    *BEFORE_END.lock()
}

/// What a binding does after a dump.
static AFTER_DUMP: ForkSafe<Option<fn()>> = ForkSafe::new(Rank::Leaf, None);

/// Sets a function that is called after each dump of [`dump_on_sigquit`](super::dump_on_sigquit), on the thread that writes them.
///
/// For a binding: it writes the stacks of its language. A further call replaces the function.
///
/// # Panics
/// A panic of the function is caught and reported on standard error.
///
/// # Examples
/// ```
/// raddle::watch::after_dump(|| eprintln!("end of the dump"));
/// ```
pub fn after_dump(function: fn()) {
    *AFTER_DUMP.lock() = Some(function);
}

pub(crate) fn function_after_dump() -> Option<fn()> {
    *AFTER_DUMP.lock()
}

/// The settings in the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FromEnvironment {
    /// Whether the watch is on; `None` if the environment does not set it.
    pub(crate) on: Option<bool>,
    action: Option<Action>,
    lock_order: bool,
}

/// Returns the settings in the environment, which is read once.
pub(crate) fn environment() -> FromEnvironment {
    static ENVIRONMENT: ForkSafe<Option<FromEnvironment>> = ForkSafe::new(Rank::Leaf, None);
    *ENVIRONMENT.lock().get_or_insert_with(|| {
        let settings = read();
        if let Some(action) = settings.action {
            ACTION.store(action as u8, Relaxed);
        }
        if settings.lock_order {
            LOCK_ORDER.store(true, Relaxed);
        }
        settings
    })
}

fn read() -> FromEnvironment {
    let Some(value) = std::env::var_os(VARIABLE) else { return FromEnvironment::default() };
    let settings = value.to_str().and_then(FromEnvironment::parse);
    settings.unwrap_or_else(|| {
        os::write_error(&format!(
            "raddle: {VARIABLE}=\"{}\" is ignored: use 0 (off), 1 (on), or a list, separated by commas, of report, \
             panic or end (the action) and order (check lock orders)\n",
            value.display()
        ));
        FromEnvironment::default()
    })
}

impl FromEnvironment {
    fn parse(value: &str) -> Option<Self> {
        let on = Self { on: Some(true), ..Self::default() };
        match value.trim() {
            "" => return Some(Self::default()),
            "0" | "false" | "off" => return Some(Self { on: Some(false), ..on }),
            _ => {}
        }
        value.split(',').try_fold(on, |settings, word| {
            let action = match word.trim() {
                "1" | "true" | "on" => return Some(settings),
                "order" => return Some(Self { lock_order: true, ..settings }),
                "report" => Action::Report,
                "panic" => Action::Panic,
                "end" => Action::End,
                _ => return None,
            };
            settings.action.is_none().then_some(Self { action: Some(action), ..settings })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uncertain_deadlock_is_reported_after_ten_seconds() {
        assert_eq!(suspect_after(), Duration::from_secs(10));
    }

    #[test]
    fn exempt_signals_are_those_of_the_last_call() {
        exempt_signals(&[2, 64, 0, -1, 65]);
        assert_eq!([1, 2, 63, 64, 65, 0].map(is_exempt), [false, true, false, true, false, false]);
        exempt_signals(&[]);
        assert!(!is_exempt(2));
    }

    #[test]
    fn variable_is_parsed() {
        let on = FromEnvironment { on: Some(true), ..FromEnvironment::default() };
        let of = |value| FromEnvironment::parse(value);
        assert_eq!(of(""), Some(FromEnvironment::default()));
        assert_eq!((of("1"), of(" on"), of("true")), (Some(on), Some(on), Some(on)));
        assert_eq!(of("0"), Some(FromEnvironment { on: Some(false), ..on }));
        assert_eq!(of("panic"), Some(FromEnvironment { action: Some(Action::Panic), ..on }));
        let both = FromEnvironment { action: Some(Action::Report), lock_order: true, ..on };
        assert_eq!((of("report,order"), of("1, order, report")), (Some(both), Some(both)));
        for wrong in ["2", "yes", "Report", "0,order", "report,end", "panic,", ","] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
