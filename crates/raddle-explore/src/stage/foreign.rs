//! Threads that the program under exploration starts past the toolkit: their steps are not explored, so that nothing
//! may depend on them.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use raddle::rt::{self, Op};

use super::failure::{Failure, Place};
use super::pulse::Pulse;
use super::state::State;
use crate::crew::started_by;

/// A step of such a thread.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    address: usize,
    size: usize,
    at: Place,
    verb: &'static str,
    thread: Option<String>,
}

/// More of them are not remembered.
const MANY: usize = 1_000;

/// The explorations by the numbers of their crews.
static EXPLORATIONS: Mutex<Option<HashMap<u32, Weak<Pulse>>>> = Mutex::new(None);

fn explorations() -> MutexGuard<'static, Option<HashMap<u32, Weak<Pulse>>>> {
    EXPLORATIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on, steps of threads that were started by a thread of this crew, past the toolkit, count for the exploration.
pub(crate) fn listen(crew: u32, pulse: &Arc<Pulse>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| rt::on_foreign_step(step));
    let mut all = explorations();
    let all = all.get_or_insert_default();
    all.retain(|_, pulse| pulse.strong_count() > 0);
    all.insert(crew, Arc::downgrade(pulse));
}

/// A thread that no explored program has started.
#[derive(Clone, Copy)]
struct Ordinary;

/// A thread that no scheduler has taken is about to take a step.
fn step(op: &Op) {
    thread_local!(static STARTED_BY: Cell<Option<Result<u32, Ordinary>>> = const { Cell::new(None) });
    let crew = STARTED_BY.get().unwrap_or_else(|| started_by().ok_or(Ordinary));
    STARTED_BY.set(Some(crew));
    let pulse = crew.ok().and_then(|crew| explorations().as_ref()?.get(&crew)?.upgrade());
    if let Some(pulse) = pulse {
        let thread = std::thread::current().name().filter(|name| *name != "explored").map(str::to_owned);
        let (address, size) = (op.object.address, op.object.size);
        pulse.meets(Foreign { address, size, at: op.at, verb: op.kind.verb(), thread });
    }
}

impl Pulse {
    fn meets(&self, foreign: Foreign) {
        if let Some(stage) = self.stage() {
            let mut now = stage.lock();
            let known = now.objects.known(foreign.address, foreign.size);
            match known {
                Some(object) if !now.over => now.is_touched_by(&foreign, object),
                _ if now.foreign.len() < MANY => now.foreign.push(foreign.clone()),
                _ => {}
            }
        }
        let mut all = self.foreign();
        if all.len() < MANY {
            all.push(foreign);
        }
    }
}

impl State {
    /// An explored thread declares an object, which a thread that is not explored may have touched before.
    pub(super) fn meets_again(&mut self, object: u32, address: usize, size: usize) {
        let same = |foreign: &&Foreign| (foreign.address, foreign.size) == (address, size);
        if let Some(foreign) = self.foreign.iter().find(same).cloned() {
            self.is_touched_by(&foreign, object);
        }
    }

    fn is_touched_by(&mut self, foreign: &Foreign, object: u32) {
        self.fail(foreign.failure(self.objects.what(object)));
    }
}

impl Foreign {
    /// Whether it touched one of the objects.
    pub(crate) fn touches(&self, objects: &super::Objects) -> Option<u32> {
        objects.known(self.address, self.size)
    }

    pub(crate) fn failure(&self, what: &str) -> Failure {
        let name = self.thread.as_ref().map_or_else(String::new, |name| format!(" {name:?}"));
        Failure::Other {
            kind: "foreign thread",
            title: format!("a thread{name} that raddle did not start {} a {what} of the program", self.verb),
            message:
                "its steps are not explored, so that nothing found here would hold. Start it with raddle's \
                      Thread, scope or pool"
                    .to_owned(),
            thread: None,
            at: Some((self.at.file().to_owned(), self.at.line(), self.at.column())),
        }
    }
}
