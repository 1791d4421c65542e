//! Incorrect predicates of primitives: the explorer relies on them at the grain of operations, so it has to detect
//! them.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use raddle::Thread;
use raddle::rt::{self, Kind, LockId, Op};
use raddle_explore::Grain;

use super::toys::{ToyLock, found};

/// A lock with a predicate that is always `says`: incorrect in one way if the lock is free, in the other if it is
/// held.
fn behind_a_gate(held: bool, says: bool) {
    let lock = Arc::new(ToyLock::default());
    if held {
        lock.acquire(false);
    }
    let other = Thread::spawn({
        let lock = lock.clone();
        move || {
            rt::point_until(Op::new(&*lock, "ToyLock", Kind::Acquire), None, &lock.0, || says);
            lock.acquire(false);
            rt::acquired(Op::new(&*lock, "ToyLock", Kind::Acquire), None, &LockId::new());
        }
    });
    if held {
        rt::releasing(Op::new(&*lock, "ToyLock", Kind::Release), &LockId::new());
        lock.release();
    }
    other.join().unwrap();
}

#[test]
fn predicate_that_is_true_for_a_blocking_step_is_reported() {
    assert!(
        found(Grain::Operations, |broken| behind_a_gate(broken, true)).contains("predicate returned true")
    );
}

#[test]
fn predicate_that_is_false_for_an_enabled_step_is_reported() {
    // A step whose predicate is false is never taken, so this thread blocks forever.
    assert!(found(Grain::Operations, |broken| behind_a_gate(false, !broken)).starts_with("deadlock"));
}

#[test]
fn unannounced_change_of_a_predicates_word_is_reported() {
    let scenario = |broken: bool| {
        let word = Arc::new(AtomicU32::new(0));
        let other = Thread::spawn({
            let word = word.clone();
            move || {
                let wait = Op::new(&*word, "ToyEvent", Kind::Wait);
                rt::point_until(wait, None, &word, || word.load(SeqCst) == 1);
            }
        });
        rt::point(Op::new(&*word, "ToyEvent", Kind::Write));
        if !broken {
            rt::atom(&word);
        }
        word.store(1, SeqCst);
        other.join().unwrap();
    };
    assert!(found(Grain::Operations, scenario).contains("predicate returned false"));
}
