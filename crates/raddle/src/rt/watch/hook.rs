//! Who hears of what the watch found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::report::Report;
use crate::rt::abandoned::drop_payload;
use crate::rt::fork::{ForkSafe, Rank};
use crate::rt::{doing, os};

type Hook = Arc<dyn Fn(&Report) + Send + Sync>;

static HOOK: ForkSafe<Option<Hook>> = ForkSafe::new(Rank::Leaf, None);

/// Has `hook` called for everything that the watch finds, in place of a text on standard error.
///
/// The hook runs in the thread that finds out, which waits or has just taken a lock: it should hand the report to a
/// log or a channel and return, and must not wait for locks that the program's threads hold. What it does itself is
/// not watched. A panic in the hook is caught and written to standard error. After the hook, the watch does
/// what its [`Action`](crate::watch::Action) says; where that ends the program, it does so as soon as the hook returns.
///
/// ```
/// use raddle::watch;
/// watch::set_hook(|report| eprintln!("{:?}\n{report}", report.finding));
/// watch::reset_hook();
/// ```
pub fn set_hook(hook: impl Fn(&Report) + Send + Sync + 'static) {
    replace(Some(Arc::new(hook)));
}

/// Goes back to the default: a text on standard error.
pub fn reset_hook() {
    replace(None);
}

fn replace(hook: Option<Hook>) {
    let before = std::mem::replace(&mut *HOOK.lock(), hook);
    dropped(before); // after the lock is released: it is the user's code
}

/// Drops a hook, or a reference to it.
fn dropped(hook: Option<Hook>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(hook))) {
        os::write_error("raddle: the destructor of a hook of the watch panicked\n");
        drop_payload(payload, |_| ());
    }
}

/// Tells the hook; says whether there is one.
pub(super) fn tell(report: &Report) -> bool {
    let hook = HOOK.lock().clone();
    let told = hook.is_some();
    if let Some(hook) = &hook
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| doing::telling(|| hook(report))))
    {
        os::write_error(&format!("raddle: the hook of the watch itself panicked; it was told:\n{report}"));
        drop_payload(payload, |_| ());
    }
    dropped(hook); // it may have been replaced meanwhile
    told
}

/// Tells the hook or writes to standard error, and says what follows from it.
pub(super) fn say(report: &Report, what_follows: &str) {
    if !doing::is_telling() && !tell(report) {
        os::write_error(&format!("{report}{what_follows}\n"));
    }
}
