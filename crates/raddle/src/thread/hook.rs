//! Panics that no caller can observe: the excepthook, and guards against panicking destructors.

use std::any::Any;
use std::fmt;
use std::io::{self, Write as _};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::nesting::run_nested;
use crate::rt::{self, Abandoned, ForkSafe, Rank};

type Hook = Arc<dyn Fn(&UnhandledPanic<'_>) + Send + Sync>;

static HOOK: ForkSafe<Option<Hook>> = ForkSafe::new(Rank::Leaf, None);

/// An event that no caller can observe, as the excepthook gets it; see [`set_excepthook`].
///
/// It is one of:
///
/// - a panic of a thread that was not joined, or of a task whose result was never retrieved;
/// - a panic of a callback, a timer's function or a destructor, which have no result;
/// - a task that a pool rejected, if the reason was never retrieved from its future;
/// - a timer or a pool that is delayed because the operating system has no thread for it.
///
/// The [`Display`](fmt::Display) form is a line for a log.
#[non_exhaustive]
pub struct UnhandledPanic<'a> {
    /// The source of the event, such as `thread "poller"`, `a task of thread "db_0"` or `timer "Timer-3"`.
    pub what: &'a str,
    /// The panic's payload, or a `String` with the reason.
    pub payload: &'a (dyn Any + Send),
    event: &'static str,
}

impl UnhandledPanic<'_> {
    /// Returns the message of the panic, or the reason.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, thread};
    /// use std::sync::mpsc;
    ///
    /// let (sender, messages) = mpsc::channel();
    /// thread::set_excepthook(move |panic| sender.send(panic.message().to_owned()).unwrap());
    /// drop(Thread::spawn(|| panic!("page {}", 3)));
    /// assert_eq!(messages.recv()?, "page 3");
    /// thread::reset_excepthook();
    /// # Ok::<(), mpsc::RecvError>(())
    /// ```
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
        write!(f, "{} {}: {}", self.what, self.event, self.message())
    }
}

/// Sets the function that is called for each panic that no caller can observe, instead of a line on standard error.
///
/// [`UnhandledPanic`] lists the events. They include the panics of destructors of values that were never taken: the
/// thread that drops a handle or cancels a task does not panic. The hook runs on the thread that detects the event. A
/// panic of the hook itself is caught and written to standard error.
///
/// The hook belongs to the process. Under a scheduler, setting it is not a step, and it outlives the execution.
///
/// # Examples
/// ```
/// use raddle::{Thread, thread};
/// use std::sync::mpsc;
///
/// let (sender, reports) = mpsc::channel();
/// thread::set_excepthook(move |panic| sender.send(panic.to_string()).unwrap());
/// drop(Thread::new(|| panic!("out of paper")).name("printer").start()?);
/// assert_eq!(
///     reports.recv()?,
///     "thread \"printer\" panicked and its result was never retrieved: out of paper"
/// );
/// thread::reset_excepthook();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_excepthook(hook: impl Fn(&UnhandledPanic<'_>) + Send + Sync + 'static) {
    replace(Some(Arc::new(hook)));
}

/// Restores the default: one line on standard error for each event.
///
/// # Examples
/// ```
/// use raddle::thread;
///
/// thread::set_excepthook(|_| std::process::abort());
/// thread::reset_excepthook();
/// ```
pub fn reset_excepthook() {
    replace(None);
}

fn replace(hook: Option<Hook>) {
    let old = std::mem::replace(&mut *HOOK.lock(), hook);
    drop_hook(old); // after the lock is released, because it runs the user's code
}

fn drop_hook(hook: Option<Hook>) {
    drop_guarded("the destructor of an excepthook", hook);
}

/// Reports a panic that can no longer be retrieved.
pub(crate) fn report(what: &str, payload: &(dyn Any + Send)) {
    notify(&UnhandledPanic { what, payload, event: "panicked and its result was never retrieved" });
}

/// Reports a panic of code that has no result.
pub(crate) fn report_call(what: &str, payload: &(dyn Any + Send)) {
    notify(&UnhandledPanic { what, payload, event: "panicked" });
}

/// Reports a rejected task whose result can no longer be retrieved.
pub(crate) fn report_refusal(reason: &str) {
    notify(&UnhandledPanic {
        what: "a task",
        payload: &reason.to_owned(),
        event: "was rejected and its result was never retrieved",
    });
}

/// Reports that `what` is delayed because the operating system has no thread for it. The start is retried.
pub(crate) fn report_shortage(what: &str, error: &io::Error) {
    let payload = &format!("failed to start a thread: {error}; retrying");
    notify(&UnhandledPanic { what, payload, event: "is delayed" });
}

/// Runs `code` of the user and reports its panic.
pub(crate) fn guarded(what: &str, code: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(code)) {
        report_and_dispose(what, payload);
    }
}

#[cold]
fn report_and_dispose(what: &str, payload: Box<dyn Any + Send>) {
    report_call(&format!("{what} in thread \"{}\"", rt::record().name()), &*payload);
    dispose(payload);
}

/// Drops a value of the user and reports a panic of its destructor.
#[inline]
pub(crate) fn drop_guarded<T>(what: &str, value: T) {
    if std::mem::needs_drop::<T>() {
        guarded(what, || drop(value));
    }
}

/// A value of the user whose destructor may panic, in an object that any thread may drop. The panic is reported.
pub(crate) struct Careful<T>(Option<T>);

impl<T> Careful<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Careful<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only the destructor takes the value")
    }
}

impl<T> DerefMut for Careful<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("only the destructor takes the value")
    }
}

impl<T> Drop for Careful<T> {
    fn drop(&mut self) {
        drop_guarded("the destructor of an unused value", self.0.take());
    }
}

/// Drops the payload of a panic and reports a panic of its destructor.
pub(crate) fn dispose(payload: Box<dyn Any + Send>) {
    let what = "the destructor of a panic's payload";
    // A payload may own the future of another panic.
    run_nested(move || {
        rt::drop_payload(payload, |payload| {
            report_call(&format!("{what} in thread \"{}\"", rt::record().name()), payload);
        });
    });
}

/// The payload of a panic. If it is not taken, it is [disposed](dispose) of.
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

fn notify(panic: &UnhandledPanic<'_>) {
    if panic.payload.is::<Abandoned>() {
        return; // a scheduler unwound the thread
    }
    rt::unhandled(&panic.to_string(), panic.payload);
    let hook = HOOK.lock().clone();
    match hook {
        None if rt::explored() => {} // the explorer's report has it
        None => write_error(&format!("raddle: {panic}\n")),
        Some(hook) => {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook(panic))) {
                write_error(&format!("raddle: the excepthook panicked while handling: {panic}\n"));
                rt::drop_payload(payload, |_| ()); // the hook might panic again
            }
            drop_hook(Some(hook)); // the last reference, if another hook was set meanwhile
        }
    }
}

/// Writes `text` in one call, so that lines of several threads do not mix. Unlike `eprint!`, it does not panic if standard
/// error is closed, because it runs in destructors.
fn write_error(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Returns the message of a panic.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "the payload is not a string"
    }
}
