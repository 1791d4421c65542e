//! Who hears of a panic that nobody asked about.

use std::any::Any;
use std::fmt;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::host::{self, Abandoned, ForkSafe, Rank};

type Hook = Arc<dyn Fn(&UnhandledPanic<'_>) + Send + Sync>;

static HOOK: ForkSafe<Option<Hook>> = ForkSafe::new(Rank::Leaf, None);

/// A panic that ended a thread nobody joined, or a task whose future nobody looked at; a task refused by a
/// pool, with the reason, whose future nobody looked at; or a timer or pool that is held up because the operating system
/// has no thread for it.
pub struct UnhandledPanic<'a> {
    /// What panicked or is held up: `thread "poller"`, `a task of thread "db_0"`, `timer "Timer-3"`.
    pub what: &'a str,
    /// What the panic carried; otherwise a `String` with the reason.
    pub payload: &'a (dyn Any + Send),
    happened: &'static str,
}

impl UnhandledPanic<'_> {
    /// The panic's message, if it carried a text.
    pub fn message(&self) -> &str {
        message(self.payload)
    }
}

impl fmt::Debug for UnhandledPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnhandledPanic")
            .field("what", &self.what)
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for UnhandledPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.what, self.happened, self.message())
    }
}

/// Has `hook` called for every panic that nobody asks about, in place of a line on standard error.
///
/// That is: a thread whose [`JoinHandle`](crate::JoinHandle) was dropped without a join, a pool's task or
/// another future whose result was never looked at, a timer's function, a done-callback. The hook runs on the
/// thread that finds out. A panic inside the hook is caught and written to standard error.
///
/// The hook belongs to the process. To an explorer, setting it is no step, and it outlives the execution.
///
/// ```
/// use raddle::{Thread, thread};
/// use std::sync::mpsc;
///
/// let (report, reports) = mpsc::channel();
/// thread::set_excepthook(move |panic| report.send(panic.to_string()).unwrap());
/// drop(Thread::new(|| panic!("out of paper")).name("printer").start()?);
/// assert_eq!(
///     reports.recv()?,
///     "thread \"printer\" panicked and nobody asked for its result: out of paper"
/// );
/// thread::reset_excepthook();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_excepthook(hook: impl Fn(&UnhandledPanic<'_>) + Send + Sync + 'static) {
    replace(Some(Arc::new(hook)));
}

/// Goes back to the default: one line on standard error.
pub fn reset_excepthook() {
    replace(None);
}

fn replace(hook: Option<Hook>) {
    let before = std::mem::replace(&mut *HOOK.lock(), hook);
    drop(before); // after the lock is let go: it is the user's code
}

/// Reports a panic that nobody will ask about.
pub(crate) fn report(what: &str, payload: &(dyn Any + Send)) {
    tell(&UnhandledPanic { what, payload, happened: "panicked and nobody asked for its result" });
}

/// Reports a panic of code that has no result to ask for.
pub(crate) fn report_call(what: &str, payload: &(dyn Any + Send)) {
    tell(&UnhandledPanic { what, payload, happened: "panicked" });
}

/// Reports a task that was refused, which nobody will ask about.
pub(crate) fn report_refusal(reason: &str) {
    tell(&UnhandledPanic {
        what: "a task",
        payload: &reason.to_owned(),
        happened: "was refused and nobody asked for its result",
    });
}

/// Reports that `what` is held up because the system has no thread for it; that is tried again.
pub(crate) fn report_shortage(what: &str, error: &io::Error) {
    let payload = &format!("no thread could be started, which is tried again: {error}");
    tell(&UnhandledPanic { what, payload, happened: "is held up" });
}

fn tell(panic: &UnhandledPanic<'_>) {
    if panic.payload.is::<Abandoned>() {
        return; // a scheduler's doing, not the program's
    }
    let hook = HOOK.lock().clone();
    match hook {
        None if host::explored() => {} // the report of the exploration tells it
        None => say(&format!("raddle: {panic}\n")),
        Some(hook) => {
            if catch_unwind(AssertUnwindSafe(|| hook(panic))).is_err() {
                say(&format!("raddle: the excepthook itself panicked; it was told: {panic}\n"));
            }
        }
    }
}

/// In one piece, so that it stands on a line of its own; and unlike `eprint`, this does not panic where nobody
/// can be told: it runs in destructors.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The text that a panic carried.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a panic without a text"
    }
}
