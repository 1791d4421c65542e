//! Which accesses of a cell are ordered by the rules of C++20, and which are a data race.

use std::sync::Arc;

use raddle::atomic::{AtomicPtr, AtomicU8, Ordering, compiler_fence, fence};
use raddle::{Mutex, Queue, Shared, Thread, thread};
use raddle_explore::{Explorer, Outcome};

use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

/// Whether some schedule of the threads has a data race.
fn races(threads: &[fn(&Parts)]) -> bool {
    let threads = threads.to_vec();
    let outcome = Explorer::new().races(true).shrink(false).run(move || {
        let parts = Arc::new(Parts::default());
        let threads: Vec<_> = threads
            .iter()
            .map(|run| {
                let (run, parts) = (*run, parts.clone());
                Thread::spawn(move || run(&parts))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    match outcome {
        Outcome::Exhausted { .. } => false,
        Outcome::Failed(report) if report.kind() == "data race" => true,
        outcome => panic!("{outcome:?}"),
    }
}

#[derive(Default)]
struct Parts {
    data: Shared<i32>,
    flag: AtomicU8,
    other: AtomicU8,
    pointer: AtomicPtr<i32>,
}

/// Asserts of each pair of threads, given with its name, whether it has a data race.
macro_rules! cases {
    ($($race:literal: $($thread:expr),+;)*) => {
        $(
            let threads: &[fn(&Parts)] = &[$($thread),+];
            assert_eq!(races(threads), $race, "{}", stringify!($($thread),+));
        )*
    };
}

#[test]
fn release_store_synchronizes_with_acquire_load() {
    macro_rules! message {
        ($($race:literal: $store:expr, $load:expr;)*) => {
            cases! {
                $($race: |it| { it.data.set(1); it.flag.store(1, $store); },
                    |it| if it.flag.load($load) == 1 { it.data.get(); };)*
            }
        };
    }
    message! {
        true: Relaxed, Relaxed;
        true: Relaxed, Acquire;
        true: Relaxed, SeqCst;
        true: Release, Relaxed;
        true: SeqCst, Relaxed;
        false: Release, Acquire;
        false: Release, SeqCst;
        false: SeqCst, Acquire;
        false: SeqCst, SeqCst;
    }
}

#[test]
fn read_modify_write_orders_as_its_ordering_says() {
    macro_rules! swap {
        ($($race:literal: $write:expr, $read:expr;)*) => {
            cases! {
                $($race: |it| { it.data.set(1); it.flag.swap(1, $write); },
                    |it| if it.flag.fetch_add(0, $read) == 1 { it.data.get(); };)*
            }
        };
    }
    swap! {
        true: Relaxed, Relaxed;
        true: Acquire, AcqRel;
        true: AcqRel, Release;
        true: AcqRel, Relaxed;
        false: Release, Acquire;
        false: AcqRel, AcqRel;
        false: SeqCst, Acquire;
    }
}

#[test]
fn compare_exchange_orders_by_its_result() {
    macro_rules! failed {
        ($($race:literal: $success:expr, $failure:expr;)*) => {
            cases! {
                $($race: |it| { it.data.set(1); it.flag.store(1, Release); },
                    |it| if it.flag.compare_exchange(7, 8, $success, $failure) == Err(1) { it.data.get(); };)*
            }
        };
    }
    macro_rules! succeeded {
        ($($race:literal: $success:expr, $failure:expr;)*) => {
            cases! {
                $($race: |it| { it.data.set(1); it.flag.store(1, Release); },
                    |it| if it.flag.compare_exchange_weak(1, 2, $success, $failure).is_ok() { it.data.get(); };)*
            }
        };
    }
    failed! {
        true: AcqRel, Relaxed;
        true: SeqCst, Relaxed;
        false: Relaxed, Acquire;
        false: Release, SeqCst;
    }
    succeeded! {
        true: Relaxed, Acquire;
        true: Release, SeqCst;
        false: Acquire, Relaxed;
        false: SeqCst, Relaxed;
    }
    // An update loads before it stores.
    cases! {
        false: |it| { it.data.set(1); it.flag.store(1, Release); },
            |it| if it.flag.fetch_update(Relaxed, Acquire, |seen| Some(seen + 1)) == Ok(1) { it.data.get(); };
        true: |it| { it.data.set(1); it.flag.store(1, Release); },
            |it| if it.flag.fetch_update(Release, Relaxed, |seen| Some(seen + 1)) == Ok(1) { it.data.get(); };
        true: |it| { it.data.set(1); it.flag.store(1, Release); },
            |it| if it.flag.try_update(AcqRel, Relaxed, |_| None) == Err(1) { it.data.get(); };
        false: |it| { it.data.set(1); it.flag.update(Release, Relaxed, |seen| seen + 1); },
            |it| if it.flag.load(Acquire) == 1 { it.data.get(); };
    }
}

#[test]
fn release_sequence_is_continued_by_read_modify_writes_alone() {
    cases! {
        false: |it| { it.data.set(1); it.flag.store(1, Release); },
            |it| { it.flag.fetch_add(2, Relaxed); },
            |it| if it.flag.load(Acquire) == 3 { it.data.get(); };
        true: |it| { it.data.set(1); it.flag.store(1, Release); },
            |it| if it.flag.load(Relaxed) == 1 { it.flag.store(3, Relaxed); },
            |it| if it.flag.load(Acquire) == 3 { it.data.get(); };
        true: |it| { it.data.set(1); it.flag.store(1, Release); it.flag.store(3, Relaxed); },
            |it| if it.flag.load(Acquire) == 3 { it.data.get(); };
        // It carries what both threads have released.
        false: |it| { it.data.set(1); it.flag.fetch_or(1, Release); },
            |it| { it.flag.fetch_or(2, Release); },
            |it| if it.flag.load(Acquire) == 3 { it.data.get(); };
    }
}

#[test]
fn fences_make_relaxed_accesses_synchronize() {
    cases! {
        false: |it| { it.data.set(1); fence(Release); it.flag.store(1, Relaxed); },
            |it| if it.flag.load(Relaxed) == 1 { fence(Acquire); it.data.get(); };
        false: |it| { it.data.set(1); fence(AcqRel); it.flag.store(1, Relaxed); },
            |it| if it.flag.load(Acquire) == 1 { it.data.get(); };
        false: |it| { it.data.set(1); it.flag.store(1, Release); },
            |it| if it.flag.load(Relaxed) == 1 { fence(SeqCst); it.data.get(); };
        false: |it| { it.data.set(1); fence(Release); it.flag.fetch_add(1, Relaxed); },
            |it| if it.flag.swap(0, Relaxed) == 1 { fence(Acquire); it.data.get(); };
        // On the wrong side of the access.
        true: |it| { it.data.set(1); it.flag.store(1, Relaxed); fence(Release); },
            |it| if it.flag.load(Relaxed) == 1 { fence(Acquire); it.data.get(); };
        true: |it| { it.data.set(1); fence(Release); it.flag.store(1, Relaxed); },
            |it| { fence(Acquire); if it.flag.load(Relaxed) == 1 { it.data.get(); } };
        // Of the wrong kind.
        true: |it| { it.data.set(1); fence(Acquire); it.flag.store(1, Relaxed); },
            |it| if it.flag.load(Relaxed) == 1 { fence(Acquire); it.data.get(); };
        true: |it| { it.data.set(1); fence(Release); it.flag.store(1, Relaxed); },
            |it| if it.flag.load(Relaxed) == 1 { fence(Release); it.data.get(); };
        true: |it| { it.data.set(1); compiler_fence(SeqCst); it.flag.store(1, Relaxed); },
            |it| if it.flag.load(Relaxed) == 1 { compiler_fence(SeqCst); it.data.get(); };
        // The fence does not order what comes after it.
        true: |it| { fence(Release); it.data.set(1); it.flag.store(1, Relaxed); },
            |it| if it.flag.load(Acquire) == 1 { it.data.get(); };
        // Two fences without an atomic access that reads from another one.
        true: |it| { it.data.set(1); fence(SeqCst); },
            |it| { fence(SeqCst); it.data.get(); };
    }
}

#[test]
fn mutual_exclusion_by_atomics_is_recognized() {
    cases! {
        false: |it| if it.flag.swap(1, Acquire) == 0 { it.data.set(it.data.get() + 1); it.flag.store(0, Release); },
            |it| if it.flag.swap(1, Acquire) == 0 { it.data.set(it.data.get() + 1); it.flag.store(0, Release); };
        true: |it| if it.flag.swap(1, Acquire) == 0 { it.data.set(it.data.get() + 1); it.flag.store(0, Relaxed); },
            |it| if it.flag.swap(1, Acquire) == 0 { it.data.set(it.data.get() + 1); it.flag.store(0, Relaxed); };
        // Dekker's algorithm: not both threads can be inside.
        false: |it| {
                it.flag.store(1, Relaxed);
                fence(SeqCst);
                if it.other.load(Relaxed) == 0 { it.data.set(1); }
            },
            |it| {
                it.other.store(1, Relaxed);
                fence(SeqCst);
                if it.flag.load(Relaxed) == 0 { it.data.set(2); }
            };
    }
}

#[test]
fn pointer_is_published_by_release_and_acquire() {
    cases! {
        false: |it| { it.data.set(1); it.pointer.store(std::ptr::dangling_mut(), Release); },
            |it| if !it.pointer.load(Acquire).is_null() { it.data.get(); };
        true: |it| { it.data.set(1); it.pointer.swap(std::ptr::dangling_mut(), Relaxed); },
            |it| if !it.pointer.load(Acquire).is_null() { it.data.get(); };
        true: |it| { it.data.set(1); it.pointer.fetch_byte_add(1, Release); },
            |it| if !it.pointer.fetch_ptr_sub(0, Relaxed).is_null() { it.data.get(); };
    }
}

#[test]
fn relaxed_accesses_themselves_do_not_race_and_are_explored() {
    cases! {
        false: |it| it.flag.store(1, Relaxed), |it| { it.flag.load(Relaxed); }, |it| { it.flag.fetch_add(1, Relaxed); };
    }
    let report = Explorer::new()
        .run(|| {
            let pointer = Arc::new(AtomicPtr::<u8>::default());
            let other = pointer.clone();
            let thread = Thread::spawn(move || other.store(std::ptr::dangling_mut(), Relaxed));
            let seen = pointer.load(Relaxed);
            thread.join().unwrap();
            assert!(seen.is_null());
        })
        .expect_failure();
    assert_eq!(report.kind(), "panic");
}

/// Runs the program with data races as failures, and expects none.
fn quiet(program: impl Fn() + Send + Sync + 'static) {
    Explorer::new().races(true).run(program).assert_exhausted();
}

#[test]
fn accesses_ordered_by_the_toolkit_do_not_race() {
    quiet(|| {
        let data = Arc::new((Shared::new(0), Mutex::new(())));
        data.0.set(1);
        let theirs = data.clone();
        let other = Thread::spawn(move || {
            let _held = theirs.1.lock();
            theirs.0.set(theirs.0.get() + 1);
        });
        {
            let _held = data.1.lock();
            data.0.set(data.0.get() + 1);
        }
        other.join().unwrap();
        assert_eq!(data.0.get(), 3);
    });
    quiet(|| {
        let data = [Shared::new(0), Shared::new(0)];
        thread::scope(|scope| {
            scope.spawn(|| data[0].set(1));
            scope.spawn(|| data[1].set(1));
        });
        assert_eq!(data[0].get() + data[1].get(), 2);
    });
    quiet(|| {
        let parts = Arc::new((Shared::new(0), Queue::unbounded()));
        let theirs = parts.clone();
        drop(Thread::spawn(move || {
            theirs.0.set(1);
            theirs.1.put(()).unwrap();
        }));
        parts.1.get().unwrap();
        assert_eq!(parts.0.get(), 1);
    });
}
