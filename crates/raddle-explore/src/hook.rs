//! The panic hook: a panic of an explored thread is for the report, not for standard error.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, Once, PoisonError};

/// Where in the sources: file, line, column.
pub(crate) type Source = (String, u32, u32);

thread_local! {
    /// The calling thread is being explored.
    static EXPLORED: Cell<bool> = const { Cell::new(false) };
    /// Where the calling thread panicked last.
    static LAST: RefCell<Option<Source>> = const { RefCell::new(None) };
    /// The calling thread drops its locals, where a panic is the end of the process.
    static ENDS: Cell<bool> = const { Cell::new(false) };
}

/// Has panics of the calling thread kept quiet from now on.
pub(crate) fn enter() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !keeps_quiet(info) {
                before(info);
            }
        }));
    });
    EXPLORED.set(true);
    ENDS.set(false);
    LAST.set(None);
}

/// From now on the calling thread drops its locals.
pub(crate) fn ends() {
    ENDS.set(true);
}

pub(crate) fn leave() {
    EXPLORED.set(false);
}

fn keeps_quiet(info: &PanicHookInfo<'_>) -> bool {
    // Where the thread's locals are gone it is being taken down, and not explored any more.
    let explored = EXPLORED.try_with(Cell::get).unwrap_or(false);
    if explored {
        let at = info.location().map(|at| (at.file().to_owned(), at.line(), at.column()));
        if let Some(at) = &at {
            let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
            recent.truncate(MANY - 1);
            recent.push_front((text(info.payload()), at.clone()));
        }
        let _ = LAST.try_with(|last| last.replace(at));
    }
    explored && !ENDS.get()
}

/// Where this module keeps what it knows of the calling thread.
pub(crate) fn locals() -> [Range<usize>; 3] {
    [EXPLORED.with(range_of), LAST.with(range_of), ENDS.with(range_of)]
}

/// The addresses of a value.
pub(crate) fn range_of<T>(value: &T) -> Range<usize> {
    let start = std::ptr::from_ref(value).addr();
    start..start + size_of::<T>()
}

/// The latest panics of explored threads, the last one first: what a pool's task panicked with goes on in the thread
/// of its scope, where no panic hook is called.
static RECENT: Mutex<VecDeque<(String, Source)>> = Mutex::new(VecDeque::new());

/// So many are kept.
const MANY: usize = 32;

/// The message of the panic that the calling thread has just had, and where it was, in whichever thread it began.
pub(crate) fn last_panic(payload: &(dyn Any + Send)) -> (String, Option<Source>) {
    let text = text(payload);
    let elsewhere = || {
        let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|(message, _)| *message == text).map(|(_, at)| at.clone())
    };
    let at = LAST.take().or_else(elsewhere);
    (text, at)
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}
