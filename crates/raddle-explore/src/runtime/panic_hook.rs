//! The panic hook: a panic of an explored thread appears in the report, not on standard error.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, Once, PoisonError};

use raddle::rt::{self, Place};

/// A source position, of which the file need not live as long as the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceLocation {
    pub(crate) file: String,
    pub(crate) line: u32,
    /// 0 if it is unknown.
    pub(crate) column: u32,
    pub(crate) function: Option<String>,
}

impl From<Place> for SourceLocation {
    fn from(at: Place) -> Self {
        let function = at.function().map(str::to_owned);
        Self { file: at.file().to_owned(), line: at.line(), column: at.column(), function }
    }
}

/// As a [`Place`] is shown.
impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if self.column != 0 {
            write!(f, ":{}", self.column)?;
        }
        self.function.iter().try_for_each(|function| write!(f, ", in {function}"))
    }
}

/// Receives the message and the position of a panic.
type BeforeAbort = Box<dyn FnOnce(String, Option<SourceLocation>)>;

thread_local! {
    /// The calling thread runs a task.
    static EXPLORED: Cell<bool> = const { Cell::new(false) };
    /// The position of the calling thread's last panic.
    static LAST: RefCell<Option<SourceLocation>> = const { RefCell::new(None) };
    /// The calling thread drops its thread-locals, where a panic aborts the process; this is called before that.
    static BEFORE_ABORT: RefCell<Option<BeforeAbort>> = const { RefCell::new(None) };
}

/// Silences panics of the calling thread.
pub(crate) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !is_silent(info) {
                before(info);
            }
        }));
    });
    EXPLORED.set(true);
    BEFORE_ABORT.set(None);
    LAST.set(None);
}

/// Calls `before_abort` before a panic in a destructor of the calling thread's thread-locals aborts the process.
pub(crate) fn before_abort(call: impl FnOnce(String, Option<SourceLocation>) + 'static) {
    BEFORE_ABORT.set(Some(Box::new(call)));
}

pub(crate) fn restore() {
    EXPLORED.set(false);
    let _ = BEFORE_ABORT.try_with(RefCell::take);
}

fn is_silent(info: &PanicHookInfo<'_>) -> bool {
    // A thread whose thread-locals have been destroyed is not explored any more.
    let explored = EXPLORED.try_with(Cell::get).unwrap_or(false);
    if explored {
        let at = position(info);
        if let Some(at) = &at {
            let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
            recent.truncate(MAX_RECENT - 1);
            recent.push_front((text(info.payload()), at.clone()));
        }
        let _ = LAST.try_with(|last| last.replace(at));
    }
    let before_abort = BEFORE_ABORT.try_with(|last| last.borrow_mut().take()).ok().flatten();
    if let Some(before_abort) = before_abort {
        before_abort(text(info.payload()), position(info));
        return false;
    }
    explored
}

/// The addresses of this module's thread-locals in the calling thread.
pub(crate) fn locals() -> [Range<usize>; 3] {
    [EXPLORED.with(range_of), LAST.with(range_of), BEFORE_ABORT.with(range_of)]
}

/// The addresses of a value.
pub(crate) fn range_of<T>(value: &T) -> Range<usize> {
    let start = std::ptr::from_ref(value).addr();
    start..start + size_of::<T>()
}

/// The latest panics of explored threads, the last one first. The panic of a pool's task is resumed in the thread of
/// its scope, where no panic hook is called.
static RECENT: Mutex<VecDeque<(String, SourceLocation)>> = Mutex::new(VecDeque::new());

/// The number of panics to keep.
const MAX_RECENT: usize = 32;

/// The position of the latest panic with the message of this payload, in any thread.
pub(crate) fn position_of(payload: &(dyn Any + Send)) -> Option<SourceLocation> {
    let text = text(payload);
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    recent.iter().find(|(message, _)| *message == text).map(|(_, at)| at.clone())
}

/// The position of a panic: that on behalf of which the thread acts, if there is one.
fn position(info: &PanicHookInfo<'_>) -> Option<SourceLocation> {
    let rust = || {
        let at = info.location()?;
        Some(SourceLocation {
            file: at.file().to_owned(),
            line: at.line(),
            column: at.column(),
            function: None,
        })
    };
    rt::behalf().map(SourceLocation::from).or_else(rust)
}

/// The line on which the calling thread called `exit`, if its backtrace shows it.
pub(crate) fn position_of_exit() -> Option<SourceLocation> {
    if let Some(at) = rt::behalf() {
        return Some(at.into());
    }
    let stack = std::backtrace::Backtrace::force_capture().to_string();
    let mut lines = stack.lines().map(str::trim_start);
    lines.find(|line| line.ends_with("std::process::exit"))?;
    // Next comes the position of that frame, and then the caller: its function, and "at FILE:LINE:COLUMN".
    let place = lines.skip_while(|line| line.starts_with("at ")).find_map(|line| line.strip_prefix("at "))?;
    let (place, column) = place.trim_end().rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    let (line, column) = (line.parse().ok()?, column.parse().ok()?);
    Some(SourceLocation { file: file.trim_start_matches("./").to_owned(), line, column, function: None })
}

/// Returns the message and the position of the panic that the calling thread has just caught. The panic may have begun in another thread.
pub(crate) fn last_panic(payload: &(dyn Any + Send)) -> (String, Option<SourceLocation>) {
    (text(payload), LAST.take().or_else(|| position_of(payload)))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic whose payload is not a string".to_owned())
}
