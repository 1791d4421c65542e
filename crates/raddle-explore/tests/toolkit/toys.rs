//! Primitives with one planted bug each: the explorer must find every one, and must not report the correct variants.
//!
//! They are written on the seam as raddle's own primitives are, and take a flag: broken or not.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use raddle::Thread;
use raddle::rt::{self, Wait, WaitOutcome};

use raddle_explore::{Explorer, Grain, Outcome};

use super::watchdog::Watchdog;

/// Asserts that the explorer finds the bug, and reports nothing without it. Returns the report.
pub(crate) fn found(grain: Grain, scenario: fn(bool)) -> String {
    let _watchdog = Watchdog::new();
    let explorer = || Explorer::new().grain(grain).max_executions(2_000).max_time(Duration::from_hours(1));
    let report = match explorer().run(move || scenario(true)) {
        Outcome::Failed(report) => report,
        outcome => panic!("the planted mistake was not found: {outcome:?}"),
    };
    println!("found in execution {}", report.execution());
    let mended = explorer().run(move || scenario(false));
    println!("mended: {mended:?}");
    if let Outcome::Failed(report) = mended {
        panic!("without the mistake: {report}");
    }
    report.to_string()
}

fn step(word: &AtomicU32) -> &AtomicU32 {
    rt::atom(word);
    word
}

/// The three-state lock: 0 free, 1 held, 2 held with waiters.
#[derive(Default)]
pub(crate) struct ToyLock(pub(crate) AtomicU32);

impl ToyLock {
    /// Broken: a woken waiter acquires it as 1, which forgets the other waiters.
    pub(crate) fn acquire(&self, broken: bool) {
        if step(&self.0).compare_exchange(0, 1, SeqCst, SeqCst).is_ok() {
            return;
        }
        while step(&self.0).swap(2, SeqCst) != 0 {
            rt::wait(&self.0, 2, &Wait::unreported());
            if broken && step(&self.0).compare_exchange(0, 1, SeqCst, SeqCst).is_ok() {
                return;
            }
        }
    }

    pub(crate) fn release(&self) {
        if step(&self.0).swap(0, SeqCst) == 2 {
            rt::wake(&self.0, 1);
        }
    }
}

#[test]
fn lock_that_does_not_wake_its_waiters_deadlocks() {
    let scenario = |broken: bool| {
        let lock = Arc::new(ToyLock::default());
        lock.acquire(broken);
        let others = [(); 2].map(|()| {
            let lock = lock.clone();
            Thread::spawn(move || {
                lock.acquire(broken);
                lock.release();
            })
        });
        lock.release();
        for other in others {
            other.join().unwrap();
        }
    };
    assert!(found(Grain::Atoms, scenario).starts_with("deadlock"));
}

/// An event with a second word that is signalled when it is set.
#[derive(Default)]
struct ToyEvent {
    set: AtomicU32,
    bell: AtomicU32,
}

impl ToyEvent {
    /// Broken: reads the flag first and the word later, and parks without rechecking the flag.
    fn wait(&self, broken: bool) {
        loop {
            let before = step(&self.bell).load(SeqCst);
            if step(&self.set).load(SeqCst) == 1 {
                return;
            }
            let bell = if broken { step(&self.bell).load(SeqCst) } else { before };
            rt::wait(&self.bell, bell, &Wait::unreported());
        }
    }

    fn set(&self) {
        step(&self.set).store(1, SeqCst);
        step(&self.bell).fetch_add(1, SeqCst);
        rt::wake(&self.bell, u32::MAX);
    }
}

#[test]
fn event_that_parks_without_rechecking_loses_a_wakeup() {
    let scenario = |broken: bool| {
        let event = Arc::new(ToyEvent::default());
        let waiter = Thread::spawn({
            let event = event.clone();
            move || event.wait(broken)
        });
        event.set();
        waiter.join().unwrap();
    };
    assert!(found(Grain::Atoms, scenario).starts_with("deadlock"));
}

/// A condition that counts its notifications.
#[derive(Default)]
struct ToyCondition(AtomicU32);

impl ToyCondition {
    /// Broken: releases the lock before it enqueues as a waiter.
    fn wait(&self, lock: &ToyLock, broken: bool) {
        let mut seen = step(&self.0).load(SeqCst);
        lock.release();
        if broken {
            seen = step(&self.0).load(SeqCst);
        }
        rt::wait(&self.0, seen, &Wait::unreported());
        lock.acquire(false);
    }

    fn notify(&self) {
        step(&self.0).fetch_add(1, SeqCst);
        rt::wake(&self.0, 1);
    }
}

#[test]
fn condition_that_releases_before_it_enqueues_loses_a_wakeup() {
    let scenario = |broken: bool| {
        let parts = Arc::new((ToyLock::default(), ToyCondition::default(), AtomicU32::new(0)));
        let waiter = Thread::spawn({
            let parts = parts.clone();
            move || {
                let (lock, ready, items) = &*parts;
                lock.acquire(false);
                while items.load(SeqCst) == 0 {
                    ready.wait(lock, broken);
                }
                lock.release();
            }
        });
        let (lock, ready, items) = &*parts;
        lock.acquire(false);
        items.store(1, SeqCst);
        ready.notify();
        lock.release();
        waiter.join().unwrap();
    };
    assert!(found(Grain::Atoms, scenario).starts_with("deadlock"));
}

/// A permit that is handed over: 0 no waiter, 1 a waiter, 2 handed over.
#[derive(Default)]
struct ToyHand(AtomicU32);

impl ToyHand {
    /// Broken: does not check for a hand-over after a timeout.
    fn take(&self, broken: bool) -> bool {
        let wait = Wait::unreported().with_deadline(rt::deadline(Duration::from_secs(1)));
        step(&self.0).store(1, SeqCst);
        loop {
            match rt::wait(&self.0, 1, &wait) {
                WaitOutcome::TimedOut if broken => return false,
                WaitOutcome::TimedOut => {
                    return step(&self.0).compare_exchange(1, 0, SeqCst, SeqCst).is_err();
                }
                _ if step(&self.0).load(SeqCst) == 2 => return true,
                _ => {}
            }
        }
    }

    fn give(&self) -> bool {
        let given = step(&self.0).compare_exchange(1, 2, SeqCst, SeqCst).is_ok();
        if given {
            rt::wake(&self.0, 1);
        }
        given
    }
}

fn a_permit_is_handed_over(broken: bool) {
    let hand = Arc::new(ToyHand::default());
    let taker = Thread::spawn({
        let hand = hand.clone();
        move || hand.take(broken)
    });
    let given = hand.give();
    assert_eq!(taker.join().unwrap(), given, "given and taken");
}

#[test]
fn timeout_that_drops_a_granted_permit_is_found() {
    let report = found(Grain::Atoms, a_permit_is_handed_over);
    assert!(report.contains("given and taken"), "{report}");
}

#[test]
fn wait_that_trusts_spurious_wakeups_is_found() {
    let scenario = |broken: bool| {
        let word = Arc::new(AtomicU32::new(0));
        let waiter = Thread::spawn({
            let word = word.clone();
            move || {
                while step(&word).load(SeqCst) == 0 {
                    rt::wait(&word, 0, &Wait::unreported());
                    if broken {
                        break;
                    }
                }
                assert_eq!(word.load(SeqCst), 1, "woken without a reason");
            }
        });
        step(&word).store(1, SeqCst);
        rt::wake(&word, 1);
        waiter.join().unwrap();
    };
    assert!(found(Grain::Atoms, scenario).contains("woken without a reason"));
}

/// Under exploration there are no signals, so the function of the wait is not called, and the wait is an ordinary one.
#[test]
fn interruptible_wait_is_not_interrupted() {
    let scenario = |broken: bool| {
        let word = Arc::new(AtomicU32::new(0));
        let waiter = Thread::spawn({
            let word = word.clone();
            move || {
                let wait = Wait::unreported().interruptible(&|| panic!("it is called"));
                while step(&word).load(SeqCst) == 0 {
                    assert_ne!(rt::wait(&word, 0, &wait), WaitOutcome::Interrupted);
                }
            }
        });
        if !broken {
            step(&word).store(1, SeqCst);
            rt::wake(&word, 1);
        }
        waiter.join().unwrap();
    };
    assert!(found(Grain::Atoms, scenario).starts_with("deadlock"));
}

#[test]
fn endless_loop_is_a_livelock() {
    let scenario = |broken: bool| {
        let stop = Arc::new(AtomicU32::new(0));
        let other = Thread::spawn({
            let stop = stop.clone();
            move || stop.store(u32::from(!broken), SeqCst)
        });
        while step(&stop).load(SeqCst) == 0 {
            rt::yield_now();
        }
        other.join().unwrap();
    };
    assert!(found(Grain::Atoms, scenario).starts_with("livelock"));
}
