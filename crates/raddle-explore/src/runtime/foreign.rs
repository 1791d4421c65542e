//! Foreign threads: threads that the program under exploration starts without raddle.
//!
//! Their steps are not explored, so the program may not depend on them. A foreign thread that calls into the toolkit is
//! attributed to an exploration by the timer slack that it inherits from the thread which started it; see
//! [`os_threads`](super::os_threads).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use raddle::rt::{self, Op, Place};

use super::objects::Objects;
use super::os_threads::started_by;
use super::panic_hook;
use super::record::Failure;

/// A step of a foreign thread.
#[derive(Clone, Debug)]
pub(crate) struct ForeignStep {
    pub(super) address: usize,
    pub(super) size: usize,
    at: Place,
    verb: &'static str,
    thread: Option<String>,
}

/// Receives the steps of an exploration's foreign threads.
pub(crate) trait ForeignListener: Send + Sync {
    fn foreign_step(&self, step: ForeignStep);

    /// A foreign thread called `exit`. Returns whether the process is to end unsuccessfully.
    fn foreign_exit(&self, failure: Failure) -> bool;
}

type Listeners = HashMap<u32, Weak<dyn ForeignListener>>;

/// The explorations, by the numbers of their OS threads.
static LISTENERS: Mutex<Option<Listeners>> = Mutex::new(None);

fn listeners() -> MutexGuard<'static, Option<Listeners>> {
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reports the steps of foreign threads that descend from the OS threads `number` to `listener`.
pub(crate) fn listen(number: u32, listener: &Arc<impl ForeignListener + 'static>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rt::on_foreign_step(on_step);
        rt::on_foreign_exit(on_exit);
    });
    let listener: Weak<dyn ForeignListener> = Arc::<_>::downgrade(listener) as _;
    let mut all = listeners();
    let all = all.get_or_insert_default();
    all.retain(|_, listener| listener.strong_count() > 0);
    all.insert(number, listener);
}

/// The exploration from which the calling thread descends.
fn exploration() -> Option<Arc<dyn ForeignListener>> {
    started_by().and_then(|number| listeners().as_ref()?.get(&number)?.upgrade())
}

/// The name of the calling thread, if it has one of its own.
fn thread_name() -> Option<String> {
    std::thread::current().name().filter(|name| *name != "explored").map(str::to_owned)
}

/// A thread without a scheduler has called `exit`.
fn on_exit() -> bool {
    exploration().is_some_and(|listener| {
        let name = thread_name().map_or_else(String::new, |name| format!(" {name:?}"));
        listener.foreign_exit(Failure::Other {
            kind: "exit",
            title: format!("a thread{name} that raddle did not spawn called exit"),
            message: "`exit` ends the whole process, with all other tests in it".to_owned(),
            thread: None,
            at: panic_hook::position_of_exit(),
        })
    })
}

/// A thread without a scheduler is about to take a step.
fn on_step(op: &Op) {
    if let Some(listener) = exploration() {
        let thread = thread_name();
        let (address, size) = (op.object.address, op.object.size);
        listener.foreign_step(ForeignStep { address, size, at: op.at, verb: op.kind.verb(), thread });
    }
}

impl ForeignStep {
    /// The number of the object that the step accesses, if it is one of `objects`.
    pub(crate) fn touches(&self, objects: &Objects) -> Option<u32> {
        objects.known(self.address, self.size)
    }

    pub(crate) fn failure(&self, what: &str) -> Failure {
        let name = self.thread.as_ref().map_or_else(String::new, |name| format!(" {name:?}"));
        Failure::Other {
            kind: "foreign thread",
            title: format!("a thread{name} that raddle did not spawn {} a {what} of the program", self.verb),
            message:
                "the steps of this thread are not explored; spawn it with raddle's `Thread`, scope or pool"
                    .to_owned(),
            thread: None,
            at: Some(self.at.into()),
        }
    }
}
