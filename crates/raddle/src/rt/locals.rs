//! Detecting changes to thread-locals.
//!
//! A scheduler that reuses a thread of the operating system for several threads of a program must know whether the program
//! has used thread-locals: they must be dropped when their thread terminates, and be fresh in the next one.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use super::{binding, current, scheduler};
use crate::sys::spin;

/// A copy of the thread-locals of the calling thread.
///
/// It contains all thread-local memory of the program and of the libraries that it is linked with, including locals
/// without a destructor and those of other languages. It leaves out the locals of the C library and of this module, and
/// the counter of [`RandomState`](std::hash::RandomState).
///
/// # Examples
/// ```
/// use raddle::rt::LocalsImage;
/// use std::cell::Cell;
///
/// thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });
///
/// if let Some(before) = LocalsImage::capture(&[]) {
///     assert!(before.is_unchanged());
///     COUNT.set(1);
///     assert!(!before.is_unchanged());
/// }
/// ```
pub struct LocalsImage {
    image: image::Image,
    /// It belongs to the thread that captured it.
    not_send: PhantomData<*const ()>,
}

impl LocalsImage {
    /// Captures the thread-locals of the calling thread, without the address ranges `besides`.
    ///
    /// Returns `None` on platforms where thread-locals cannot be located.
    ///
    /// # Examples
    /// See [`LocalsImage`].
    pub fn capture(besides: &[Range<usize>]) -> Option<Self> {
        let mut besides = besides.to_vec();
        // In this order: a local that is touched first is destroyed last, and the drop of the record is an operation.
        besides.push(scheduler::local());
        besides.extend(current::locals());
        // They differ under a scheduler or are restored by it, and no program sees them.
        besides.extend([spin::local(), binding::local()]);
        Some(Self { image: image::take(&besides)?, not_send: PhantomData })
    }

    /// Returns whether no thread-local has changed since the capture.
    ///
    /// The comparison is bit by bit and does not follow pointers, so capture the image before the program runs.
    ///
    /// # Examples
    /// See [`LocalsImage`].
    pub fn is_unchanged(&self) -> bool {
        image::is_unchanged(&self.image)
    }
}

impl fmt::Debug for LocalsImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalsImage").finish_non_exhaustive()
    }
}

#[cfg(all(target_os = "linux", any(target_env = "gnu", target_env = "musl")))]
mod image {
    use std::ffi::{CStr, c_int, c_void};
    use std::hash::RandomState;
    use std::ops::Range;

    pub(crate) struct Image {
        found: Found,
        /// Addresses in this thread's blocks of locals, with their contents: whole words where possible.
        words: Vec<(usize, usize)>,
        bytes: Vec<(usize, u8)>,
        /// The values of the keys of `pthread_setspecific`.
        keys: [usize; KEYS],
    }

    /// The number of keys compared. They are assigned from the lowest, and few programs use more than a few.
    const KEYS: usize = 32;

    const WORD: usize = size_of::<usize>();

    /// The calling thread's blocks of locals, one for each module that has any.
    #[derive(Default, PartialEq)]
    struct Found {
        /// The numbers of modules loaded and unloaded so far.
        changes: (u64, u64),
        /// The number of modules for which this thread has no block, because it has touched none of their locals.
        untouched: usize,
        blocks: Vec<Range<usize>>,
    }

    pub(crate) fn take(besides: &[Range<usize>]) -> Option<Image> {
        let _ = RandomState::new(); // from here on it only counts
        let found = find();
        let (mut words, mut bytes) = (Vec::new(), Vec::new());
        for block in &found.blocks {
            let mut at = block.start;
            while at < block.end {
                let word = at..at + WORD;
                let apart = |range: &Range<usize>| range.end <= word.start || word.end <= range.start;
                if at.is_multiple_of(WORD) && word.end <= block.end && besides.iter().all(apart) {
                    words.push((at, read_word(at)));
                    at += WORD;
                } else {
                    if !besides.iter().any(|range| range.contains(&at)) {
                        bytes.push((at, read_byte(at)));
                    }
                    at += 1;
                }
            }
        }
        let _ = RandomState::new();
        words.retain(|&(at, word)| read_word(at) == word); // without that counter
        let any = !words.is_empty() || !bytes.is_empty();
        any.then(|| Image { found, words, bytes, keys: keys() })
    }

    pub(crate) fn is_unchanged(image: &Image) -> bool {
        // First: if no module was loaded or unloaded, each block is where it was.
        (if image.found.untouched == 0 { changes() == image.found.changes } else { find() == image.found })
            && image.words.iter().all(|&(at, word)| read_word(at) == word)
            && image.bytes.iter().all(|&(at, byte)| read_byte(at) == byte)
            && image.keys == keys()
    }

    /// Reads a word of one of the calling thread's blocks.
    fn read_word(at: usize) -> usize {
        debug_assert!(at.is_multiple_of(WORD));
        // SAFETY: callers pass aligned addresses inside blocks that the C library has made for the calling thread, which
        // live as long as the thread or, for a module that was unloaded, are not read any more. No reference to a local
        // is being written through at this moment, since the calling thread is here. A padding byte may be
        // uninitialized; any value will do for it, and a volatile read of memory that is unknown to the compiler yields
        // one.
        unsafe { std::ptr::with_exposed_provenance::<usize>(at).read_volatile() }
    }

    /// Reads a byte of one of the calling thread's blocks.
    fn read_byte(at: usize) -> u8 {
        // SAFETY: as in `read_word`; every address is aligned for a byte.
        unsafe { std::ptr::with_exposed_provenance::<u8>(at).read_volatile() }
    }

    fn keys() -> [usize; KEYS] {
        std::array::from_fn(|key| {
            let key = libc::pthread_key_t::try_from(key).expect("a key is a small number");
            // SAFETY: the call only reads the calling thread's table of values, which has more than `KEYS` entries. For a
            // key that was not created, the supported C libraries return null.
            unsafe { libc::pthread_getspecific(key) }.addr()
        })
    }

    fn find() -> Found {
        extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
            // SAFETY: the C library passes a description that lives for this call, and the pointer that `find` gave it.
            let (info, found) = unsafe { (&*info, &mut *found.cast::<Found>()) };
            found.changes = (info.dlpi_adds, info.dlpi_subs);
            // SAFETY: the description has so many headers from there on, which stay as long as the module is loaded.
            let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
            let Some(locals) = headers.iter().find(|header| header.p_type == libc::PT_TLS) else { return 0 };
            // SAFETY: a module's name is a C string that stays as long as the module is loaded.
            let name = if info.dlpi_name.is_null() { c"" } else { unsafe { CStr::from_ptr(info.dlpi_name) } };
            if is_c_library(name) {
                return 0;
            }
            if info.dlpi_tls_data.is_null() {
                found.untouched += 1;
            } else {
                let start = info.dlpi_tls_data.expose_provenance();
                let size = usize::try_from(locals.p_memsz).expect("a block fits into memory");
                found.blocks.push(start..start + size);
            }
            0
        }
        let mut found = Found::default();
        // SAFETY: the callback has the right type, does not unwind but by a bug, and gets the only pointer to `found`.
        unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut found).cast()) };
        found
    }

    fn changes() -> (u64, u64) {
        extern "C" fn note(info: *mut libc::dl_phdr_info, _: usize, changes: *mut c_void) -> c_int {
            // SAFETY: the C library passes a description that lives for this call, and the pointer that it was given.
            unsafe { *changes.cast() = ((*info).dlpi_adds, (*info).dlpi_subs) };
            1 // the same for every module
        }
        let mut changes = (0_u64, 0_u64);
        // SAFETY: the callback has the right type, does not unwind, and gets the only pointer to `changes`.
        unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut changes).cast()) };
        changes
    }

    /// Its locals are `errno`, caches of memory and the like, and no state of the program.
    fn is_c_library(name: &CStr) -> bool {
        let path = name.to_bytes();
        let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        [&b"libc.so"[..], b"libc-", b"libc.musl", b"ld-", b"ld64.", b"libpthread"]
            .iter()
            .any(|start| file.starts_with(start))
    }
}

#[cfg(not(all(target_os = "linux", any(target_env = "gnu", target_env = "musl"))))]
mod image {
    use std::convert::Infallible;
    use std::ops::Range;

    pub(crate) struct Image(Infallible);

    pub(crate) fn take(_: &[Range<usize>]) -> Option<Image> {
        None
    }

    pub(crate) fn is_unchanged(image: &Image) -> bool {
        match image.0 {}
    }
}
