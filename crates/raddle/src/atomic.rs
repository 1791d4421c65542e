//! Atomics with the names and methods of the standard library's, whose every access an explorer can see.
//!
//! They are the standard atomics and cost, unobserved, one branch more. Take them where a test explores the program's
//! schedules, or a [recording](crate::trace::Recording) is to show the values; elsewhere the standard ones do as well.
//!
//! # Memory ordering
//! The ordering requested is the one used. An explorer runs one thread at a time and explores what sequentially consistent
//! accesses can do; what weaker orderings could do beyond that, it does not explore. Its detection of data races counts
//! each access and each [`fence`] as what it is, by the rules of C++20: a `Relaxed` access does not synchronise.
//!
//! ```
//! use raddle::atomic::{AtomicUsize, Ordering};
//! let hits = AtomicUsize::new(0);
//! assert_eq!(hits.fetch_add(1, Ordering::Relaxed), 0);
//! assert_eq!(hits.load(Ordering::Relaxed), 1);
//! ```

use std::fmt;
use std::sync::atomic;
pub use std::sync::atomic::Ordering;

use crate::rt::{self, Kind, Memory, Op};

/// One atomic type: what all of them have, and then what `$more` adds.
macro_rules! atomic {
    ($name:ident $(<$target:ident>)?, $value:ty, $($more:ident),*) => {
        #[doc = concat!("[`std::sync::atomic::", stringify!($name), "`], seen by explorers and recordings.")]
        #[repr(transparent)]
        pub struct $name$(<$target>)?(atomic::$name$(<$target>)?);

        impl$(<$target>)? $name$(<$target>)? {
            /// An atomic that holds `value`.
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            /// Loads the value.
            ///
            /// # Panics
            /// If `order` is `Release` or `AcqRel`.
            #[inline]
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                let op = Op::new(self, stringify!($name), Kind::Read);
                rt::point(op);
                let value = self.0.load(order);
                rt::ordered(&op, Memory::Load(order), || format!("{value:?}"));
                value
            }

            /// Stores a value.
            ///
            /// # Panics
            /// If `order` is `Acquire` or `AcqRel`.
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

            /// Stores a value and returns the one before.
            #[inline]
            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.changes(order, || self.0.swap(value, order))
            }

            /// Stores `new` if the value is `current`; returns the one before, as `Err` if it was another.
            ///
            /// # Errors
            /// The value, if it is not `current`.
            ///
            /// # Panics
            /// If `failure` is `Release` or `AcqRel`.
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

            /// Like [`compare_exchange`](Self::compare_exchange), and may fail without a reason.
            ///
            /// # Errors
            /// The value, if it was not `current`, or without a reason.
            ///
            /// # Panics
            /// If `failure` is `Release` or `AcqRel`.
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

            /// Stores what `f` makes of the value, and looks again whenever another thread came first; returns the
            /// value before. One step for observers.
            ///
            /// # Errors
            /// The value, if `f` returns `None`.
            ///
            /// # Panics
            /// If `fetch` is `Release` or `AcqRel`.
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

            /// [`fetch_update`](Self::fetch_update) under its newer name.
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

            /// Like [`fetch_update`](Self::fetch_update), with an `f` that always has a new value.
            ///
            /// # Panics
            /// As [`fetch_update`](Self::fetch_update).
            #[inline]
            #[track_caller]
            pub fn update(&self, set: Ordering, fetch: Ordering, mut f: impl FnMut($value) -> $value) -> $value {
                self.changes(both(set, fetch), || {
                    self.0.fetch_update(set, fetch, |value| Some(f(value))).unwrap_or_else(|value| value)
                })
            }

            /// A pointer to the value. What is done through it is no step, and no explorer sees it.
            pub const fn as_ptr(&self) -> *mut $value {
                self.0.as_ptr()
            }

            $(atomic!(@ $more, $value);)*

            /// The value, without a step: nobody else can see the atomic.
            pub fn get_mut(&mut self) -> &mut $value {
                self.0.get_mut()
            }

            /// The value.
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
                    Err(found) => format!("{found:?}, as it was"),
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
    (@ $method:ident, $value:ty) => {
        #[doc = concat!("As the method `", stringify!($method), "` of the standard library; returns the value before.")]
        #[inline]
        #[track_caller]
        pub fn $method(&self, value: $value, order: Ordering) -> $value {
            self.changes(order, || self.0.$method(value, order))
        }
    };
}

/// What an update orders that loads with one ordering and then stores with another.
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
            $name, $value, fetch_add, fetch_sub, fetch_and, fetch_nand, fetch_or, fetch_xor, fetch_max, fetch_min
        );)*
    };
}

atomic!(AtomicBool, bool, fetch_and, fetch_nand, fetch_or, fetch_xor);
atomic!(AtomicPtr<T>, *mut T,);
integers!(AtomicI8 i8, AtomicI16 i16, AtomicI32 i32, AtomicIsize isize, AtomicU8 u8, AtomicU16 u16, AtomicU32 u32, AtomicUsize usize);
#[cfg(target_has_atomic = "64")]
integers!(AtomicI64 i64, AtomicU64 u64);

impl AtomicBool {
    /// Stores the opposite, and returns the value before.
    #[inline]
    #[track_caller]
    pub fn fetch_not(&self, order: Ordering) -> bool {
        self.changes(order, || self.0.fetch_not(order))
    }
}

/// What a pointer has of integers.
macro_rules! pointer {
    ($($method:ident $doc:literal,)*) => {
        impl<T> AtomicPtr<T> {
            $(
                #[doc = $doc]
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
    fetch_ptr_add "Adds so many times the size of `T` to the address; returns the pointer before.",
    fetch_ptr_sub "Subtracts so many times the size of `T` from the address; returns the pointer before.",
    fetch_byte_add "Adds so many bytes to the address; returns the pointer before.",
    fetch_byte_sub "Subtracts so many bytes from the address; returns the pointer before.",
    fetch_and "Bitwise \"and\" with the address; returns the pointer before.",
    fetch_or "Bitwise \"or\" with the address; returns the pointer before.",
    fetch_xor "Bitwise \"xor\" with the address; returns the pointer before.",
}

impl<T> fmt::Pointer for AtomicPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load(Ordering::Relaxed).fmt(f)
    }
}

/// What fences are steps of: no two of them conflict.
static FENCE: u8 = 0;

/// [`std::sync::atomic::fence`], seen by explorers: together with atomic accesses it orders memory between threads.
///
/// # Panics
/// If `order` is `Relaxed`.
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

/// [`std::sync::atomic::compiler_fence`], seen by explorers as a step that orders nothing between threads.
///
/// # Panics
/// If `order` is `Relaxed`.
#[inline]
#[track_caller]
pub fn compiler_fence(order: Ordering) {
    let op = Op::new(&FENCE, "compiler fence", Kind::Read);
    rt::point(op);
    atomic::compiler_fence(order);
    rt::value(&op, || format!("{order:?}"));
}
