//! Erasure of a closure's lifetime, for scopes that lend borrowed data to other threads.

/// Extends the lifetime of `task` to `'static`.
///
/// # Safety
/// The result must have been called or dropped, and that call or drop must have returned, before any borrow of `task`
/// ends. A scope ensures this by not returning earlier.
#[expect(unsafe_code, reason = "scopes lend what they borrow to threads and wait for them")]
pub(crate) unsafe fn erase<'a>(task: Box<dyn FnOnce() + Send + 'a>) -> Box<dyn FnOnce() + Send> {
    // SAFETY: the two types differ only in a lifetime, which does not affect layout. The caller upholds the lifetime.
    unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + 'a>, Box<dyn FnOnce() + Send + 'static>>(task) }
}
