//! The one place where a closure that borrows is handed to a thread that does not know of the borrow.

/// Forgets what `task` borrows.
///
/// # Safety
/// Before anything that `task` borrows ends, the result must have been called or dropped, and that call or
/// drop must be over. A scope guarantees it by not returning before.
#[expect(unsafe_code, reason = "scopes lend what they borrow to threads and wait for them")]
pub(crate) unsafe fn erase<'a>(task: Box<dyn FnOnce() + Send + 'a>) -> Box<dyn FnOnce() + Send> {
    // SAFETY: the two types differ in a lifetime only, which has no run-time form; the caller keeps the borrow.
    unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + 'a>, Box<dyn FnOnce() + Send + 'static>>(task) }
}
