//! Who hears of a panic that nobody asked about.

use std::any::Any;
use std::fmt;
use std::io::{self, Write as _};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::rt::{self, Abandoned, ForkSafe, Rank};

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
/// another future whose result was never looked at, a timer's function, a done-callback; and the destructor of a result,
/// closure or payload that nobody took and that the toolkit drops, wherever that is: the thread that drops a handle or
/// cancels does not panic. The hook runs on the thread that finds out. A panic inside the hook is caught and written to
/// standard error.
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
    dropped(before); // after the lock is released: it is the user's code
}

/// Drops a hook, or a reference to it.
fn dropped(hook: Option<Hook>) {
    drop_guarded("the destructor of an excepthook", hook);
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

/// Runs the user's `code`; a panic is reported and harms nobody.
pub(crate) fn guarded(what: &str, code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        report_call(&format!("{what} in thread \"{}\"", rt::record().name()), &*payload);
        dispose(payload);
    }
}

/// Drops a value of the user's that nobody takes; a panic of its destructor is reported and harms nobody.
#[inline]
pub(crate) fn drop_guarded<T>(what: &str, value: T) {
    if std::mem::needs_drop::<T>() {
        guarded(what, || drop(value));
    }
}

/// A value of the user's in something that may be dropped in any thread: a panic of its destructor is reported there.
pub(crate) struct Careful<T>(Option<T>);

impl<T> Careful<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Careful<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> DerefMut for Careful<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Careful<T> {
    fn drop(&mut self) {
        drop_guarded("the destructor of something that is no longer used", self.0.take());
    }
}

/// Drops what a panic carried. Its destructor may panic as well, which is reported.
pub(crate) fn dispose(payload: Box<dyn Any + Send>) {
    let what = "the destructor of what a panic carried";
    rt::drop_payload(payload, |payload| {
        report_call(&format!("{what} in thread \"{}\"", rt::record().name()), payload);
    });
}

/// What a panic carried, for whoever takes it; [disposed](dispose) of if nobody does.
pub(crate) struct Payload(Option<Box<dyn Any + Send>>);

impl Payload {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        Self(Some(payload))
    }

    pub(crate) fn take(&mut self) -> Option<Box<dyn Any + Send>> {
        self.0.take()
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if let Some(payload) = self.take() {
            dispose(payload);
        }
    }
}

fn tell(panic: &UnhandledPanic<'_>) {
    if panic.payload.is::<Abandoned>() {
        return; // a scheduler's doing, not the program's
    }
    rt::unhandled(&panic.to_string(), panic.payload);
    let hook = HOOK.lock().clone();
    match hook {
        None if rt::explored() => {} // the report of the exploration tells it
        None => say(&format!("raddle: {panic}\n")),
        Some(hook) => {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook(panic))) {
                say(&format!("raddle: the excepthook itself panicked; it was told: {panic}\n"));
                rt::drop_payload(payload, |_| ()); // to tell the hook would be in vain
            }
            dropped(Some(hook)); // it may have been replaced meanwhile
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
