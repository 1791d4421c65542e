//! A closure with its type erased and without a result, stored in place if it is small.
//!
//! A box would be allocated by the submitting thread and freed by a worker, which costs more than the rest of the
//! submission.
#![allow(unsafe_code)]

use std::mem::{ManuallyDrop, MaybeUninit};

/// Storage for a closure. Three words are enough for the captures of many closures, such as a reference and two
/// numbers.
type Storage = MaybeUninit<[usize; 3]>;

/// A closure of any type without a result. It is run or dropped, once.
pub(super) struct SmallClosure {
    /// A value of the type that `vtable` was made for, until it is run or dropped.
    storage: Storage,
    vtable: &'static ClosureVtable,
}

/// The operations on the closure in a storage. Each moves the closure out, so only one may be called, once.
struct ClosureVtable {
    run: unsafe fn(&mut Storage),
    discard: unsafe fn(&mut Storage),
}

impl SmallClosure {
    #[inline]
    pub(super) fn new<F: FnOnce() + Send + 'static>(closure: F) -> Self {
        if fits::<F>() {
            Self::keep(closure)
        } else {
            let boxed: Box<dyn FnOnce() + Send> = Box::new(closure);
            Self::keep(boxed)
        }
    }

    /// Stores the closure. The bounds allow another thread to run it at any time.
    fn keep<F: FnOnce() + Send + 'static>(closure: F) -> Self {
        assert!(fits::<F>());
        let mut storage = Storage::uninit();
        // SAFETY: the storage is large enough for an `F` and aligned for it, as just checked.
        unsafe { storage.as_mut_ptr().cast::<F>().write(closure) };
        Self { storage, vtable: const { &ClosureVtable { run: run::<F>, discard: discard::<F> } } }
    }

    #[inline]
    pub(super) fn run(self) {
        let mut this = ManuallyDrop::new(self); // so that the closure is not dropped as well
        // SAFETY: the storage holds a closure of the type that the vtable was made for, and `self` is consumed, so it is not
        // used again.
        unsafe { (this.vtable.run)(&mut this.storage) }
    }
}

impl Drop for SmallClosure {
    fn drop(&mut self) {
        // SAFETY: as in `run`, which prevents this destructor; the storage is not used after a destructor.
        unsafe { (self.vtable.discard)(&mut self.storage) }
    }
}

const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Storage>() && align_of::<F>() <= align_of::<Storage>()
}

/// # Safety
/// The storage holds an `F`, which is not used again.
unsafe fn run<F: FnOnce()>(storage: &mut Storage) {
    // SAFETY: the caller promises that there is an `F`, which this moves out.
    let closure = unsafe { storage.as_mut_ptr().cast::<F>().read() };
    closure();
}

/// # Safety
/// As `run`.
unsafe fn discard<F>(storage: &mut Storage) {
    // SAFETY: the caller promises that there is an `F`, which this moves out.
    drop(unsafe { storage.as_mut_ptr().cast::<F>().read() });
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::SmallClosure;

    /// Captures `payload`. Adds `run` to a sum when it is run, and 1 when its captures are dropped.
    fn closure<T: Send + 'static>(sum: &Arc<AtomicUsize>, run: usize, payload: T) -> SmallClosure {
        struct Dropped<T>(Arc<AtomicUsize>, T);
        impl<T> Drop for Dropped<T> {
            fn drop(&mut self) {
                assert_eq!((&raw const self.1).addr() % align_of::<T>(), 0);
                self.0.fetch_add(1, Relaxed);
            }
        }
        let captured = Dropped(sum.clone(), payload);
        SmallClosure::new(move || {
            captured.0.fetch_add(run, Relaxed);
        })
    }

    fn runs_and_drops<T: Copy + Send + 'static>(payload: T) {
        let sum = Arc::new(AtomicUsize::new(0));
        closure(&sum, 10, payload).run();
        assert_eq!(sum.load(Relaxed), 11);
        drop(closure(&sum, 10, payload));
        assert_eq!(sum.load(Relaxed), 12);
        assert_eq!(Arc::strong_count(&sum), 1);
    }

    #[test]
    fn closure_of_any_size_is_run_or_dropped_once() {
        #[repr(align(64))]
        #[derive(Clone, Copy)]
        struct Wide;
        runs_and_drops(());
        runs_and_drops(1_u16);
        runs_and_drops([1_usize; 2]);
        runs_and_drops([1_usize; 3]);
        runs_and_drops([1_u8; 1000]);
        runs_and_drops(1_u128);
        runs_and_drops(Wide);
    }

    #[test]
    fn closure_without_captures_is_run() {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        SmallClosure::new(|| RUNS.store(1, Relaxed)).run();
        assert_eq!(RUNS.load(Relaxed), 1);
    }

    #[test]
    fn captures_are_dropped_once_after_a_panic() {
        let captured = Arc::new(());
        let inner = captured.clone();
        let closure = SmallClosure::new(move || panic!("{inner:?}"));
        catch_unwind(AssertUnwindSafe(|| closure.run())).unwrap_err();
        assert_eq!(Arc::strong_count(&captured), 1);
    }
}
