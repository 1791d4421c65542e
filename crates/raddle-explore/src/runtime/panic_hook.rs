//! The panic hook: a panic of an explored thread is for the report, not for standard error.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{Location, PanicHookInfo};
use std::sync::{Mutex, Once, PoisonError};

/// Where in the sources: file, line, column.
pub(crate) type SourceLocation = (String, u32, u32);

/// Is told the message of a panic, and where it was.
type LastWord = Box<dyn FnOnce(String, Option<SourceLocation>)>;

thread_local! {
    /// The calling thread is being explored.
    static EXPLORED: Cell<bool> = const { Cell::new(false) };
    /// Where the calling thread panicked last.
    static LAST: RefCell<Option<SourceLocation>> = const { RefCell::new(None) };
    /// The calling thread drops its locals, where a panic is the end of the process: what is to be done before that.
    static LAST_WORD: RefCell<Option<LastWord>> = const { RefCell::new(None) };
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
    LAST_WORD.set(None);
    LAST.set(None);
}

/// From now on the calling thread drops its locals. A panic there ends the process, and before that `last_word` is
/// called.
pub(crate) fn ends(last_word: impl FnOnce(String, Option<SourceLocation>) + 'static) {
    LAST_WORD.set(Some(Box::new(last_word)));
}

pub(crate) fn leave() {
    EXPLORED.set(false);
    let _ = LAST_WORD.try_with(RefCell::take);
}

fn keeps_quiet(info: &PanicHookInfo<'_>) -> bool {
    // Where the thread's locals are gone it is being taken down, and not explored any more.
    let explored = EXPLORED.try_with(Cell::get).unwrap_or(false);
    if explored {
        let at = info.location().map(source);
        if let Some(at) = &at {
            let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
            recent.truncate(MANY - 1);
            recent.push_front((text(info.payload()), at.clone()));
        }
        let _ = LAST.try_with(|last| last.replace(at));
    }
    let last_word = LAST_WORD.try_with(|last| last.borrow_mut().take()).ok().flatten();
    if let Some(last_word) = last_word {
        last_word(text(info.payload()), info.location().map(source));
        return false;
    }
    explored
}

/// Where this module keeps what it knows of the calling thread.
pub(crate) fn locals() -> [Range<usize>; 3] {
    [EXPLORED.with(range_of), LAST.with(range_of), LAST_WORD.with(range_of)]
}

/// The addresses of a value.
pub(crate) fn range_of<T>(value: &T) -> Range<usize> {
    let start = std::ptr::from_ref(value).addr();
    start..start + size_of::<T>()
}

/// The latest panics of explored threads, the last one first: what a pool's task panicked with goes on in the thread
/// of its scope, where no panic hook is called.
static RECENT: Mutex<VecDeque<(String, SourceLocation)>> = Mutex::new(VecDeque::new());

/// So many are kept.
const MANY: usize = 32;

/// Where the latest panic with this payload's message was, of whichever thread.
pub(crate) fn place_of(payload: &(dyn Any + Send)) -> Option<SourceLocation> {
    let text = text(payload);
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    recent.iter().find(|(message, _)| *message == text).map(|(_, at)| at.clone())
}

fn source(at: &Location<'_>) -> SourceLocation {
    (at.file().to_owned(), at.line(), at.column())
}

/// The line on which the calling thread called `exit`, as far as its stack shows that.
pub(crate) fn place_of_exit() -> Option<SourceLocation> {
    let stack = std::backtrace::Backtrace::force_capture().to_string();
    let mut lines = stack.lines().map(str::trim_start);
    lines.find(|line| line.ends_with("std::process::exit"))?;
    // What comes next is the place of that frame, and then the caller's: its function, and "at FILE:LINE:COLUMN".
    let place = lines.skip_while(|line| line.starts_with("at ")).find_map(|line| line.strip_prefix("at "))?;
    let (place, column) = place.trim_end().rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file.trim_start_matches("./").to_owned(), line.parse().ok()?, column.parse().ok()?))
}

/// The message of the panic that the calling thread has just had, and where it was, in whichever thread it began.
pub(crate) fn last_panic(payload: &(dyn Any + Send)) -> (String, Option<SourceLocation>) {
    (text(payload), LAST.take().or_else(|| place_of(payload)))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic whose payload is not a string".to_owned())
}
