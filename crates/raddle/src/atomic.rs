//! Atomics with the names and methods of the standard library's, whose every access an explorer can see.
//!
//! They are the standard atomics and cost, unobserved, one branch more. Take them where a test explores the program's
//! schedules, or a [recording](crate::trace::Recording) is to show the values; elsewhere the standard ones do as well.
//!
//! # Memory ordering
//! The ordering asked for is the one used. An explorer runs one thread at a time and so shows what sequentially
//! consistent accesses can do; what weaker orders could do beyond that, it does not show.
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

use crate::host::{self, Kind, Op};

/// One atomic type: what all of them have, and then what `$more` adds.
macro_rules! atomic {
    ($name:ident, $value:ty, $($more:ident),*) => {
        #[doc = concat!("[`std::sync::atomic::", stringify!($name), "`], seen by explorers and recordings.")]
        #[derive(Default)]
        #[repr(transparent)]
        pub struct $name(atomic::$name);

        impl $name {
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
                host::point(op);
                let value = self.0.load(order);
                host::value(&op, || format!("{value:?}"));
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
                host::point(op);
                host::value(&op, || format!("{:?} → {value:?}", self.0.load(Ordering::Relaxed)));
                self.0.store(value, order);
            }

            /// Stores a value and returns the one before.
            #[inline]
            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.changes(|| self.0.swap(value, order))
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
                self.tries(|| self.0.compare_exchange(current, new, success, failure))
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
                self.tries(|| self.0.compare_exchange_weak(current, new, success, failure))
            }

            /// Stores what `f` makes of the value, looking again whenever another thread came first; returns the
            /// value before. One step for who observes.
            ///
            /// # Errors
            /// The value, if `f` says `None`.
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
                self.tries(|| self.0.fetch_update(set, fetch, f))
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
            fn changes(&self, change: impl FnOnce() -> $value) -> $value {
                let op = Op::new(self, stringify!($name), Kind::Write);
                host::point(op);
                let before = change();
                host::value(&op, || format!("{before:?} → {:?}", self.0.load(Ordering::Relaxed)));
                before
            }

            #[inline]
            #[track_caller]
            fn tries(&self, change: impl FnOnce() -> Result<$value, $value>) -> Result<$value, $value> {
                let op = Op::new(self, stringify!($name), Kind::Write);
                host::point(op);
                let outcome = change();
                host::value(&op, || match outcome {
                    Ok(before) => format!("{before:?} → {:?}", self.0.load(Ordering::Relaxed)),
                    Err(found) => format!("{found:?}, as it was"),
                });
                outcome
            }
        }

        impl From<$value> for $name {
            fn from(value: $value) -> Self {
                Self::new(value)
            }
        }

        impl fmt::Debug for $name {
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
            self.changes(|| self.0.$method(value, order))
        }
    };
}

macro_rules! integers {
    ($($name:ident $value:ty),*) => {
        $(atomic!(
            $name, $value, fetch_add, fetch_sub, fetch_and, fetch_nand, fetch_or, fetch_xor, fetch_max, fetch_min
        );)*
    };
}

atomic!(AtomicBool, bool, fetch_and, fetch_nand, fetch_or, fetch_xor);
integers!(AtomicI8 i8, AtomicI16 i16, AtomicI32 i32, AtomicIsize isize, AtomicU8 u8, AtomicU16 u16, AtomicU32 u32, AtomicUsize usize);
#[cfg(target_has_atomic = "64")]
integers!(AtomicI64 i64, AtomicU64 u64);
