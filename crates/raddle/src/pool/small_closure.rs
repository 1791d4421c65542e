//! A closure whose types are forgotten and whose result nobody wants, kept in place if it is small.
//!
//! A box would be allocated in one thread and freed in another, which costs more than all else that is done for it.
#![allow(unsafe_code)]

use std::mem::{ManuallyDrop, MaybeUninit};

/// As large as what many closures capture: a reference, a number, and one more.
type Room = MaybeUninit<[usize; 3]>;

/// It is run or dropped, once.
pub(super) struct Chore {
    /// A value of the type that `kind` was made for, until it is run or dropped.
    room: Room,
    kind: &'static Kind,
}

/// What can be done with the closure in a room. Each moves it out, so that it can be done once.
struct Kind {
    run: unsafe fn(&mut Room),
    discard: unsafe fn(&mut Room),
}

impl Chore {
    #[inline]
    pub(super) fn new<F: FnOnce() + Send + 'static>(closure: F) -> Self {
        if fits::<F>() {
            Self::keep(closure)
        } else {
            let boxed: Box<dyn FnOnce() + Send> = Box::new(closure);
            Self::keep(boxed)
        }
    }

    /// The closure may go to another thread, and stay for as long as it likes: hence the bounds.
    fn keep<F: FnOnce() + Send + 'static>(closure: F) -> Self {
        assert!(fits::<F>());
        let mut room = Room::uninit();
        // SAFETY: the room is as large as an `F` at least, and aligned for one, as just checked.
        unsafe { room.as_mut_ptr().cast::<F>().write(closure) };
        Self { room, kind: const { &Kind { run: run::<F>, discard: discard::<F> } } }
    }

    #[inline]
    pub(super) fn run(self) {
        let mut this = ManuallyDrop::new(self); // so that the closure is not dropped, too
        // SAFETY: the room holds the closure that the kind was made for, and nobody can look at it again.
        unsafe { (this.kind.run)(&mut this.room) }
    }
}

impl Drop for Chore {
    fn drop(&mut self) {
        // SAFETY: as for `run`, which does not come here.
        unsafe { (self.kind.discard)(&mut self.room) }
    }
}

const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Room>() && align_of::<F>() <= align_of::<Room>()
}

/// # Safety
/// There is an `F` in the room, and nobody will use it again.
unsafe fn run<F: FnOnce()>(room: &mut Room) {
    // SAFETY: there is one, and this moves it out.
    let closure = unsafe { room.as_mut_ptr().cast::<F>().read() };
    closure();
}

/// # Safety
/// As for `run`.
unsafe fn discard<F>(room: &mut Room) {
    // SAFETY: there is one, and this moves it out.
    drop(unsafe { room.as_mut_ptr().cast::<F>().read() });
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::Chore;

    /// Captures `payload`, and adds `run` to a sum when it is run, and 1 when what it captured is dropped.
    fn chore<T: Send + 'static>(sum: &Arc<AtomicUsize>, run: usize, payload: T) -> Chore {
        struct Dropped<T>(Arc<AtomicUsize>, T);
        impl<T> Drop for Dropped<T> {
            fn drop(&mut self) {
                assert_eq!((&raw const self.1).addr() % align_of::<T>(), 0);
                self.0.fetch_add(1, Relaxed);
            }
        }
        let captured = Dropped(sum.clone(), payload);
        Chore::new(move || {
            captured.0.fetch_add(run, Relaxed);
        })
    }

    fn runs_and_drops<T: Copy + Send + 'static>(payload: T) {
        let sum = Arc::new(AtomicUsize::new(0));
        chore(&sum, 10, payload).run();
        assert_eq!(sum.load(Relaxed), 11);
        drop(chore(&sum, 10, payload));
        assert_eq!(sum.load(Relaxed), 12);
        assert_eq!(Arc::strong_count(&sum), 1);
    }

    #[test]
    fn whatever_its_size_it_is_run_or_dropped_once() {
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
    fn one_that_captures_nothing_is_run() {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        Chore::new(|| RUNS.store(1, Relaxed)).run();
        assert_eq!(RUNS.load(Relaxed), 1);
    }

    #[test]
    fn what_a_panic_leaves_is_dropped_once() {
        let captured = Arc::new(());
        let inner = captured.clone();
        let chore = Chore::new(move || panic!("{inner:?}"));
        catch_unwind(AssertUnwindSafe(|| chore.run())).unwrap_err();
        assert_eq!(Arc::strong_count(&captured), 1);
    }
}
