//! Memory for the stacks of Python's threads, while a program is explored.
//!
//! The interpreter maps a block of memory for the stack of each thread, and unmaps it when the thread ends. An exploration
//! starts threads in each execution, so their blocks are kept for the next one. They are unmapped when the exploration ends.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, OnceLock, TryLockError};

use pyo3::prelude::*;

type Allocate = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void, *mut c_void, usize);

/// The interpreter's `PyObjectArenaAllocator`.
#[repr(C)]
struct Allocator {
    context: *mut c_void,
    allocate: Allocate,
    free: Free,
}

unsafe extern "C" {
    fn PyObject_GetArenaAllocator(allocator: *mut Allocator);
    fn PyObject_SetArenaAllocator(allocator: *mut Allocator);
}

/// The allocator of the interpreter.
struct Original(Allocator);

// SAFETY: the context is passed to the allocator's functions, as the interpreter itself does on any thread.
unsafe impl Send for Original {}
// SAFETY: as above.
unsafe impl Sync for Original {}

static ORIGINAL: OnceLock<Original> = OnceLock::new();

/// A free block of the original allocator.
struct Block(NonNull<c_void>);

// SAFETY: nothing refers to a free block.
unsafe impl Send for Block {}

static FREE: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// The size of the first block of a thread's stack.
const SIZE: usize = 16 * 1024;

const MOST: usize = 64;

/// Calls `f` with the free blocks. Does not wait for them, as a fork may have left them locked.
fn with_free<R>(f: impl FnOnce(&mut Vec<Block>) -> R) -> Option<R> {
    match FREE.try_lock() {
        Ok(mut free) => Some(f(&mut free)),
        Err(TryLockError::Poisoned(free)) => Some(f(&mut free.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

unsafe extern "C" fn allocate(_: *mut c_void, size: usize) -> *mut c_void {
    if size == SIZE
        && let Some(Block(block)) = with_free(Vec::pop).flatten()
    {
        return block.as_ptr();
    }
    match ORIGINAL.get() {
        // SAFETY: the arguments are those of the caller, with the context of this allocator.
        Some(Original(original)) => unsafe { (original.allocate)(original.context, size) },
        None => ptr::null_mut(),
    }
}

unsafe extern "C" fn free(_: *mut c_void, block: *mut c_void, size: usize) {
    let keep = |free: &mut Vec<Block>| {
        let block = NonNull::new(block).filter(|_| size == SIZE && free.len() < MOST);
        free.extend(block.map(Block));
        block.is_some()
    };
    if with_free(keep) != Some(true)
        && let Some(Original(original)) = ORIGINAL.get()
    {
        // SAFETY: the original allocator has allocated all blocks, also those that were kept.
        unsafe { (original.free)(original.context, block, size) };
    }
}

fn is_same(one: &Allocator, other: &Allocator) -> bool {
    ptr::eq(one.context, other.context)
        && ptr::fn_addr_eq(one.allocate, other.allocate)
        && ptr::fn_addr_eq(one.free, other.free)
}

fn ours() -> Allocator {
    Allocator { context: ptr::null_mut(), allocate, free }
}

fn current(_: Python<'_>) -> Allocator {
    let mut current = ours();
    // SAFETY: the argument is a valid place for the allocator, and the thread is attached.
    unsafe { PyObject_GetArenaAllocator(&raw mut current) };
    current
}

/// Keeps blocks until it is dropped, unless somebody else has replaced the allocator.
pub(super) struct KeptStacks<'py> {
    py: Python<'py>,
    /// It is dropped by the thread that is attached.
    not_send: PhantomData<*const ()>,
}

impl<'py> KeptStacks<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        let current = current(py);
        if !is_same(&current, &ours()) {
            let original = &ORIGINAL.get_or_init(|| Original(current)).0;
            let mut now = self::current(py);
            // Another interpreter may be allocating meanwhile, and use a mixture of both: neither needs a context.
            if is_same(original, &now) && original.context.is_null() {
                now = ours();
                // SAFETY: this allocator has the same blocks as the original one, so either frees those of the other.
                unsafe { PyObject_SetArenaAllocator(&raw mut now) };
            }
        }
        Self { py, not_send: PhantomData }
    }
}

impl Drop for KeptStacks<'_> {
    fn drop(&mut self) {
        let Some(Original(original)) = ORIGINAL.get() else { return };
        if is_same(&current(self.py), &ours()) {
            let mut original = Allocator { ..*original };
            // SAFETY: as in `new`.
            unsafe { PyObject_SetArenaAllocator(&raw mut original) };
        }
        for Block(block) in with_free(std::mem::take).unwrap_or_default() {
            // SAFETY: the original allocator has allocated it, and nothing refers to it.
            unsafe { (original.free)(original.context, block.as_ptr(), SIZE) };
        }
    }
}
