//! `Barrier`.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use raddle::{Barrier, BrokenBarrierError, Thread};

use super::every::{every, every_patiently};
use super::{SOON, pause, together};

type Turn = Result<usize, BrokenBarrierError>;

/// Two threads meet with a timeout each, while a third one runs `meanwhile`.
fn meet(barrier: &Arc<Barrier<'static>>, meanwhile: impl FnOnce(&Barrier<'static>)) -> [Turn; 2] {
    let parties = [(); 2].map(|()| {
        let barrier = barrier.clone();
        Thread::spawn(move || barrier.wait_timeout(SOON))
    });
    meanwhile(barrier);
    let mut turns = parties.map(|party| party.join().unwrap());
    turns.sort_by_key(|turn| turn.unwrap_or(2));
    turns
}

const MET: [Turn; 2] = [Ok(0), Ok(1)];
const BROKE: [Turn; 2] = [Err(BrokenBarrierError), Err(BrokenBarrierError)];

#[test]
fn timeout_and_last_arrival_have_one_outcome_for_both_threads() {
    let scenario = || {
        let barrier = Arc::new(Barrier::new(2));
        let met = meet(&barrier, |_| {});
        assert!(met == MET || met == BROKE, "{met:?}");
        (met == MET, barrier.is_broken(), barrier.n_waiting())
    };
    assert_eq!(every(scenario), BTreeSet::from([(true, false, 0), (false, true, 0)]));
}

#[test]
fn abort_and_last_arrival_have_one_outcome_for_both_threads() {
    let scenario = || {
        let barrier = Arc::new(Barrier::new(2));
        let met = meet(&barrier, Barrier::abort);
        assert!(met == MET || met == BROKE, "{met:?}");
        (met == MET, barrier.is_broken())
    };
    assert_eq!(every(scenario), BTreeSet::from([(true, true), (false, true)]));
}

#[test]
fn reset_breaks_the_round_only_for_its_waiters() {
    let scenario = || {
        let barrier = Arc::new(Barrier::new(2));
        let met = meet(&barrier, Barrier::reset);
        assert!(met == MET || met == BROKE, "{met:?}");
        met == MET
    };
    assert_eq!(every(scenario), BTreeSet::from([false, true]));
}

#[test]
fn action_runs_once_before_any_thread_proceeds() {
    let scenario = || {
        let acted = Arc::new(AtomicUsize::new(0));
        let barrier = {
            let acted = acted.clone();
            Arc::new(Barrier::new(2).action(move || {
                acted.fetch_add(1, SeqCst);
            }))
        };
        let met = meet(&barrier, |_| {});
        assert!(met == MET || met == BROKE, "{met:?}");
        (met == MET, acted.load(SeqCst))
    };
    assert_eq!(every(scenario), BTreeSet::from([(true, 1), (false, 0)]));
}

#[test]
fn abort_during_the_action_breaks_the_barrier() {
    let scenario = || {
        let (barrier, started) = (Arc::new(Barrier::new(2).action(pause)), Arc::new(AtomicUsize::new(0)));
        let parties = [(); 2].map(|()| {
            let (barrier, started) = (barrier.clone(), started.clone());
            Thread::spawn(move || {
                started.fetch_add(1, SeqCst);
                barrier.wait()
            })
        });
        barrier.abort();
        let turns = parties.map(|party| party.join().unwrap());
        assert!(turns == MET || turns == [Ok(1), Ok(0)] || turns == BROKE, "{turns:?}");
        (turns != BROKE, barrier.is_broken())
    };
    assert_eq!(every(scenario), BTreeSet::from([(true, true), (false, true)]));
}

#[test]
fn panic_of_the_action_breaks_the_barrier_for_all() {
    let scenario = || {
        let barrier = Arc::new(Barrier::new(2).action(|| std::panic::resume_unwind(Box::new("no"))));
        let other = {
            let barrier = barrier.clone();
            Thread::spawn(move || catch_unwind(AssertUnwindSafe(|| barrier.wait())).ok())
        };
        let mine = catch_unwind(AssertUnwindSafe(|| barrier.wait())).ok();
        let mut turns = [mine, other.join().unwrap()];
        turns.sort_by_key(Option::is_some);
        assert_eq!(turns, [None, Some(Err(BrokenBarrierError))]);
        barrier.is_broken()
    };
    assert_eq!(every(scenario), BTreeSet::from([true]));
}

#[test]
fn rounds_of_a_barrier_do_not_mix() {
    let scenario = || {
        let barrier = Arc::new(Barrier::new(2));
        let sums = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        together(2, |_| {
            let (barrier, sums) = (barrier.clone(), sums.clone());
            move || {
                for sum in &sums {
                    sum.fetch_add(1 + barrier.wait().unwrap(), SeqCst);
                }
            }
        });
        sums.map(|sum| sum.load(SeqCst))
    };
    assert_eq!(every(scenario), BTreeSet::from([[3, 3]]));
}

#[test]
fn arrival_during_the_action_belongs_to_the_next_round() {
    let scenario = || {
        let barrier = Arc::new(Barrier::new(1).action(pause));
        together(2, |_| {
            let barrier = barrier.clone();
            move || assert_eq!(barrier.wait(), Ok(0))
        });
        barrier.n_waiting()
    };
    assert_eq!(every(scenario), BTreeSet::from([0]));
}

#[test]
fn waiting_parties_are_counted() {
    let scenario = || {
        let barrier = Arc::new(Barrier::new(3));
        let party = {
            let barrier = barrier.clone();
            Thread::spawn(move || barrier.wait())
        };
        pause();
        let waiting = barrier.n_waiting();
        barrier.reset();
        (waiting, party.join().unwrap().is_err(), barrier.is_broken())
    };
    assert_eq!(every_patiently(scenario), BTreeSet::from([(1, true, false)]));
}
