//! Atomics with the names and methods of the standard library, whose accesses are visible to explorers and recordings.
//!
//! Each type wraps the standard one and costs one more branch per access while nothing observes the program. Use these types where a
//! test explores the program's interleavings, or where a [recording](crate::trace::Recording) is to show the values. Elsewhere, use
//! the standard types.
//!
//! # Memory ordering
//! Each access has the ordering requested. An explorer runs one thread at a time and explores the behaviors of sequentially
//! consistent accesses; it does not explore what weaker orderings allow beyond that. Its detection of data races takes each
//! access and each [`fence`] as it is, by the rules of C++20: a `Relaxed` access does not synchronize.
//!
//! # Examples
//! ```
//! use raddle::atomic::{AtomicUsize, Ordering};
//!
//! let hits = AtomicUsize::new(0);
//! assert_eq!(hits.fetch_add(1, Ordering::Relaxed), 0);
//! assert_eq!(hits.load(Ordering::Relaxed), 1);
//! ```

use std::fmt;
use std::sync::atomic;
pub use std::sync::atomic::Ordering;

use crate::rt::{self, Kind, Memory, Op};

/// Defines an atomic type with the methods that all types have, and the methods `$more`. The examples use the values `$old` and
/// `$new`.
macro_rules! atomic {
    ($name:ident $(<$target:ident>)?, $value:ty, $old:literal, $new:literal, $($more:ident),*) => {
        #[doc = concat!("[`std::sync::atomic::", stringify!($name), "`], visible to explorers and recordings.")]
        #[repr(transparent)]
        pub struct $name$(<$target>)?(atomic::$name$(<$target>)?);

        impl$(<$target>)? $name$(<$target>)? {
            /// Creates an atomic that holds `value`.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::", stringify!($name), ";")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
            #[doc = concat!("assert_eq!(value.into_inner(), ", $old, ");")]
            /// ```
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            /// Loads the value.
            ///
            /// # Panics
            /// Panics if `order` is `Release` or `AcqRel`.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::{", stringify!($name), ", Ordering};")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
            #[doc = concat!("assert_eq!(value.load(Ordering::Relaxed), ", $old, ");")]
            /// ```
            #[inline]
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                let op = Op::new(self, stringify!($name), Kind::Read);
                rt::point(op);
                let value = self.0.load(order);
                rt::ordered(&op, Memory::Load(order), || format!("{value:?}"));
                value
            }

            /// Stores `value`.
            ///
            /// # Panics
            /// Panics if `order` is `Acquire` or `AcqRel`.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::{", stringify!($name), ", Ordering};")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
            #[doc = concat!("value.store(", $new, ", Ordering::Relaxed);")]
            #[doc = concat!("assert_eq!(value.into_inner(), ", $new, ");")]
            /// ```
            #[inline]
            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                let op = Op::new(self, stringify!($name), Kind::Write);
                rt::point(op);
                rt::ordered(&op, Memory::Store(order), || {
                    format!("{:?} → {value:?}", self.0.load(Ordering::Relaxed))
                });
                self.0.store(value, order);
            }

            /// Stores `value` and returns the previous value.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::{", stringify!($name), ", Ordering};")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
            #[doc = concat!("assert_eq!(value.swap(", $new, ", Ordering::Relaxed), ", $old, ");")]
            /// ```
            #[inline]
            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.changes(order, || self.0.swap(value, order))
            }

            /// Stores `new` if the value is `current`, and returns the previous value.
            ///
            /// # Errors
            /// Returns the value if it is not `current`.
            ///
            /// # Panics
            /// Panics if `failure` is `Release` or `AcqRel`.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::{", stringify!($name), ", Ordering};")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
            #[doc = concat!("let set = || value.compare_exchange(", $old, ", ", $new, ", Ordering::AcqRel, Ordering::Relaxed);")]
            #[doc = concat!("assert_eq!((set(), set()), (Ok(", $old, "), Err(", $new, ")));")]
            /// ```
            #[inline]
            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.tries(success, failure, || self.0.compare_exchange(current, new, success, failure))
            }

            /// Like [`compare_exchange`](Self::compare_exchange), but may fail spuriously.
            ///
            /// # Errors
            /// Returns the value if it is not `current`, or spuriously.
            ///
            /// # Panics
            /// Panics if `failure` is `Release` or `AcqRel`.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::{", stringify!($name), ", Ordering};")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
            #[doc = concat!("while value.compare_exchange_weak(", $old, ", ", $new, ", Ordering::AcqRel, Ordering::Relaxed).is_err() {}")]
            #[doc = concat!("assert_eq!(value.into_inner(), ", $new, ");")]
            /// ```
            #[inline]
            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.tries(success, failure, || self.0.compare_exchange_weak(current, new, success, failure))
            }

            /// Replaces the value by what `f` returns for it, retrying if another thread changes it first. Returns the
            /// previous value.
            ///
            /// The whole update is one step for observers.
            ///
            /// # Errors
            /// Returns the value if `f` returns `None`.
            ///
            /// # Panics
            /// Panics if `fetch` is `Release` or `AcqRel`.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::{", stringify!($name), ", Ordering};")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
            /// let update = |new| value.fetch_update(Ordering::AcqRel, Ordering::Acquire, |_| new);
            #[doc = concat!("assert_eq!(update(Some(", $new, ")), Ok(", $old, "));")]
            #[doc = concat!("assert_eq!(update(None), Err(", $new, "));")]
            /// ```
            #[inline]
            #[track_caller]
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                self.tries(both(set, fetch), fetch, || self.0.fetch_update(set, fetch, f))
            }

            /// The newer name of [`fetch_update`](Self::fetch_update).
            ///
            /// # Errors
            /// As [`fetch_update`](Self::fetch_update).
            ///
            /// # Panics
            /// As [`fetch_update`](Self::fetch_update).
            #[inline]
            #[track_caller]
            pub fn try_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                self.fetch_update(set, fetch, f)
            }

            /// Replaces the value by what `f` returns for it, and returns the previous value.
            ///
            /// # Panics
            /// As [`fetch_update`](Self::fetch_update).
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::{", stringify!($name), ", Ordering};")]
            ///
            #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
            #[doc = concat!("assert_eq!(value.update(Ordering::AcqRel, Ordering::Acquire, |_| ", $new, "), ", $old, ");")]
            /// ```
            #[inline]
            #[track_caller]
            pub fn update(&self, set: Ordering, fetch: Ordering, mut f: impl FnMut($value) -> $value) -> $value {
                self.changes(both(set, fetch), || {
                    self.0.fetch_update(set, fetch, |value| Some(f(value))).unwrap_or_else(|value| value)
                })
            }

            /// Returns a pointer to the value. Accesses through the pointer are not visible to observers.
            pub const fn as_ptr(&self) -> *mut $value {
                self.0.as_ptr()
            }

            $(atomic!(@ $more, $name, $value, $old, $new);)*

            /// Returns the value by reference. This is not a step for observers, since the borrow is exclusive.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::", stringify!($name), ";")]
            ///
            #[doc = concat!("let mut value = ", stringify!($name), "::new(", $old, ");")]
            #[doc = concat!("*value.get_mut() = ", $new, ";")]
            #[doc = concat!("assert_eq!(value.into_inner(), ", $new, ");")]
            /// ```
            pub fn get_mut(&mut self) -> &mut $value {
                self.0.get_mut()
            }

            /// Consumes the atomic and returns the value.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use raddle::atomic::", stringify!($name), ";")]
            ///
            #[doc = concat!("assert_eq!(", stringify!($name), "::new(", $old, ").into_inner(), ", $old, ");")]
            /// ```
            pub fn into_inner(self) -> $value {
                self.0.into_inner()
            }

            #[inline]
            #[track_caller]
            fn changes(&self, order: Ordering, change: impl FnOnce() -> $value) -> $value {
                let op = Op::new(self, stringify!($name), Kind::Write);
                rt::point(op);
                let before = change();
                rt::ordered(&op, Memory::Update(order), || {
                    format!("{before:?} → {:?}", self.0.load(Ordering::Relaxed))
                });
                before
            }

            #[inline]
            #[track_caller]
            fn tries(
                &self,
                success: Ordering,
                failure: Ordering,
                change: impl FnOnce() -> Result<$value, $value>,
            ) -> Result<$value, $value> {
                let op = Op::new(self, stringify!($name), Kind::Write);
                rt::point(op);
                let outcome = change();
                let memory = match outcome {
                    Ok(_) => Memory::Update(success),
                    Err(_) => Memory::Load(failure),
                };
                rt::ordered(&op, memory, || match outcome {
                    Ok(before) => format!("{before:?} → {:?}", self.0.load(Ordering::Relaxed)),
                    Err(found) => format!("{found:?}, unchanged"),
                });
                outcome
            }
        }

        impl$(<$target>)? From<$value> for $name$(<$target>)? {
            fn from(value: $value) -> Self {
                Self::new(value)
            }
        }

        impl$(<$target>)? Default for $name$(<$target>)? {
            fn default() -> Self {
                Self(atomic::$name::default())
            }
        }

        impl$(<$target>)? fmt::Debug for $name$(<$target>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.load(Ordering::Relaxed).fmt(f)
            }
        }
    };
    (@ $method:ident, $name:ident, $value:ty, $old:literal, $new:literal) => {
        #[doc = concat!("Performs `", stringify!($method), "` of the standard library, and returns the previous value.")]
        ///
        /// # Examples
        /// ```
        #[doc = concat!("use raddle::atomic::{", stringify!($name), ", Ordering};")]
        ///
        #[doc = concat!("let value = ", stringify!($name), "::new(", $old, ");")]
        #[doc = concat!("assert_eq!(value.", stringify!($method), "(", $new, ", Ordering::Relaxed), ", $old, ");")]
        /// ```
        #[inline]
        #[track_caller]
        pub fn $method(&self, value: $value, order: Ordering) -> $value {
            self.changes(order, || self.0.$method(value, order))
        }
    };
}

/// Returns the ordering of an update that loads with the ordering `fetch` and then stores with the ordering `set`.
const fn both(set: Ordering, fetch: Ordering) -> Ordering {
    use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
    match (set, fetch) {
        (Release, Acquire | SeqCst) => AcqRel,
        (Relaxed, Acquire | SeqCst) => Acquire,
        _ => set,
    }
}

macro_rules! integers {
    ($($name:ident $value:ty),*) => {
        $(atomic!(
            $name, $value, "5", "3", fetch_add, fetch_sub, fetch_and, fetch_nand, fetch_or, fetch_xor, fetch_max, fetch_min
        );)*
    };
}

atomic!(AtomicBool, bool, "true", "false", fetch_and, fetch_nand, fetch_or, fetch_xor);
atomic!(AtomicPtr<T>, *mut T, "std::ptr::null_mut::<u8>()", "std::ptr::dangling_mut::<u8>()",);
integers!(AtomicI8 i8, AtomicI16 i16, AtomicI32 i32, AtomicIsize isize, AtomicU8 u8, AtomicU16 u16, AtomicU32 u32, AtomicUsize usize);
#[cfg(target_has_atomic = "64")]
integers!(AtomicI64 i64, AtomicU64 u64);

impl AtomicBool {
    /// Inverts the value, and returns the previous value.
    ///
    /// # Examples
    /// ```
    /// use raddle::atomic::{AtomicBool, Ordering};
    ///
    /// let value = AtomicBool::new(true);
    /// assert!(value.fetch_not(Ordering::Relaxed));
    /// assert!(!value.load(Ordering::Relaxed));
    /// ```
    #[inline]
    #[track_caller]
    pub fn fetch_not(&self, order: Ordering) -> bool {
        self.changes(order, || self.0.fetch_not(order))
    }
}

/// Defines the methods that change the address of a pointer.
macro_rules! pointer {
    ($($method:ident $doc:literal,)*) => {
        impl<T> AtomicPtr<T> {
            $(
                #[doc = $doc]
                ///
                /// # Examples
                /// ```
                /// use raddle::atomic::{AtomicPtr, Ordering};
                ///
                /// let place = std::ptr::null_mut::<u16>();
                /// let value = AtomicPtr::new(place);
                #[doc = concat!("assert_eq!(value.", stringify!($method), "(2, Ordering::Relaxed), place);")]
                /// ```
                #[inline]
                #[track_caller]
                pub fn $method(&self, value: usize, order: Ordering) -> *mut T {
                    self.changes(order, || self.0.$method(value, order))
                }
            )*
        }
    };
}

pointer! {
    fetch_ptr_add "Adds `value` times the size of `T` to the address, and returns the previous pointer.",
    fetch_ptr_sub "Subtracts `value` times the size of `T` from the address, and returns the previous pointer.",
    fetch_byte_add "Adds `value` bytes to the address, and returns the previous pointer.",
    fetch_byte_sub "Subtracts `value` bytes from the address, and returns the previous pointer.",
    fetch_and "Performs a bitwise \"and\" on the address, and returns the previous pointer.",
    fetch_or "Performs a bitwise \"or\" on the address, and returns the previous pointer.",
    fetch_xor "Performs a bitwise \"xor\" on the address, and returns the previous pointer.",
}

impl<T> fmt::Pointer for AtomicPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load(Ordering::Relaxed).fmt(f)
    }
}

/// The object of all fences. Two fences do not conflict.
static FENCE: u8 = 0;

/// [`std::sync::atomic::fence`], visible to explorers. Together with atomic accesses it orders memory between threads.
///
/// # Panics
/// Panics if `order` is `Relaxed`.
///
/// # Examples
/// ```
/// use raddle::atomic::{AtomicBool, Ordering, fence};
/// use raddle::{Shared, Thread};
/// use std::sync::Arc;
///
/// let both = Arc::new((Shared::new(0), AtomicBool::new(false)));
/// let theirs = both.clone();
/// let writer = Thread::spawn(move || {
///     theirs.0.set(1);
///     fence(Ordering::Release);
///     theirs.1.store(true, Ordering::Relaxed);
/// });
/// if both.1.load(Ordering::Relaxed) {
///     fence(Ordering::Acquire);
///     assert_eq!(both.0.get(), 1);
/// }
/// writer.join()?;
/// # Ok::<(), raddle::thread::JoinError>(())
/// ```
#[inline]
#[track_caller]
pub fn fence(order: Ordering) {
    let op = Op::new(&FENCE, "fence", Kind::Read);
    rt::point(op);
    atomic::fence(order);
    rt::ordered(&op, Memory::Fence(order), || format!("{order:?}"));
}

/// [`std::sync::atomic::compiler_fence`], visible to explorers as a step that orders nothing between threads.
///
/// # Panics
/// Panics if `order` is `Relaxed`.
///
/// # Examples
/// ```
/// use raddle::atomic::{Ordering, compiler_fence};
///
/// compiler_fence(Ordering::SeqCst); // the compiler moves no access across this line
/// ```
#[inline]
#[track_caller]
pub fn compiler_fence(order: Ordering) {
    let op = Op::new(&FENCE, "compiler fence", Kind::Read);
    rt::point(op);
    atomic::compiler_fence(order);
    rt::value(&op, || format!("{order:?}"));
}
