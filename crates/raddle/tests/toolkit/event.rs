//! `Event`: a flag that threads wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::{Barrier, Event, thread, time};

use crate::support::{repeat, until, within_limit};

const SHORT: Duration = Duration::from_millis(3);

fn past() -> std::time::Instant {
    time::now().checked_sub(Duration::from_secs(1)).unwrap()
}

#[test]
fn wait_returns_at_once_while_the_event_is_set() {
    let event = Event::default();
    assert!(!event.is_set());
    event.set();
    event.set();
    event.wait();
    assert!(event.is_set() && event.wait_timeout(Duration::ZERO) && event.wait_timeout(Duration::MAX));
    assert!(event.wait_deadline(past()));
    event.clear();
    assert!(!event.is_set() && !event.wait_timeout(Duration::ZERO) && !event.wait_deadline(past()));
    assert!(format!("{event:?}").contains("set: false"), "{event:?}");
}

#[test]
fn wait_times_out() {
    let (event, start) = (Event::new(), time::now());
    assert!(!event.wait_timeout(SHORT) && !event.wait_deadline(time::now() + SHORT));
    assert!(time::now() - start >= SHORT * 2);
}

#[test]
fn set_releases_all_waiters() {
    repeat(20, || {
        let (event, gone) = (Event::new(), AtomicUsize::new(0));
        thread::scope(|s| {
            for n in 0..12 {
                let (event, gone) = (&event, &gone);
                s.spawn(move || {
                    match n % 3 {
                        0 => event.wait(),
                        1 => assert!(event.wait_timeout(crate::support::LIMIT)),
                        _ => assert!(event.wait_deadline(time::now() + crate::support::LIMIT)),
                    }
                    gone.fetch_add(1, Relaxed);
                });
            }
            event.set();
        });
        assert_eq!(gone.into_inner(), 12);
    });
}

/// A set event that is cleared at once still releases all threads that waited.
#[test]
#[cfg(target_os = "linux")]
fn set_followed_by_clear_releases_all_waiters() {
    repeat(20, || {
        let event = Arc::new(Event::new());
        let waiting: Vec<_> = (0..8)
            .map(|n| {
                let event = event.clone();
                raddle::Thread::spawn(move || {
                    if n % 2 == 0 { event.wait() } else { assert!(event.wait_timeout(crate::support::LIMIT)) }
                })
            })
            .collect();
        until(|| waiting.iter().all(|thread| sleeps(thread.thread().native_id())));
        event.set();
        event.clear();
        waiting.into_iter().for_each(crate::support::finish);
        assert!(!event.is_set());
    });
}

/// Returns whether the thread sleeps in the kernel.
fn sleeps(native_id: Option<u64>) -> bool {
    let state = |id: u64| std::fs::read_to_string(format!("/proc/self/task/{id}/stat"));
    native_id
        .and_then(|id| state(id).ok())
        .is_some_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")))
}

#[test]
fn no_round_of_set_and_clear_is_missed() {
    within_limit(|| {
        let (there, back) = (Event::new(), Event::new());
        thread::scope(|s| {
            s.spawn(|| {
                for _ in 0..500 {
                    there.wait();
                    there.clear();
                    back.set();
                }
            });
            for _ in 0..500 {
                there.set();
                back.wait();
                back.clear();
            }
        });
    });
}

#[test]
fn set_happens_before_the_waits_that_it_ends() {
    repeat(200, || {
        let (event, value) = (Event::new(), AtomicU32::new(0));
        thread::scope(|s| {
            s.spawn(|| {
                value.store(1, Relaxed);
                event.set();
            });
            s.spawn(|| {
                event.wait();
                assert_eq!(value.load(Relaxed), 1);
            });
            while !event.is_set() {
                thread::yield_now();
            }
            assert_eq!(value.load(Relaxed), 1);
        });
    });
}

/// The usual protocol for work: the producer stores it, then sets the event; the consumer clears the event, then looks for
/// work. After the last `clear`, the work stored before each earlier `set` must be visible, even if the event was set
/// already.
#[test]
fn set_of_a_set_event_publishes_too() {
    // The watch of debug builds orders all accesses; without it, a violation occurred once in some ten thousand
    // rounds.
    const ROUNDS: u32 = if cfg!(debug_assertions) { 500 } else { 40_000 };
    within_limit(|| {
        let (event, work, rounds, mut missed) = (Event::new(), AtomicU32::new(0), Barrier::new(2), 0);
        thread::scope(|s| {
            s.spawn(|| {
                for round in 1..=ROUNDS {
                    rounds.wait().unwrap();
                    work.store(round, Relaxed);
                    event.set();
                    rounds.wait().unwrap();
                }
            });
            for round in 1..=ROUNDS {
                event.set();
                rounds.wait().unwrap();
                event.clear();
                let seen = work.load(Relaxed);
                rounds.wait().unwrap();
                missed += u32::from(seen != round && !event.is_set());
            }
        });
        assert_eq!(missed, 0, "work that no thread will look for");
    });
}

#[test]
fn timeouts_race_with_set() {
    repeat(300, || {
        let event = Event::new();
        thread::scope(|s| {
            let waits = s.spawn(|| event.wait_timeout(Duration::from_micros(60)));
            s.spawn(|| event.set());
            let _either = waits.join().unwrap();
        });
        assert!(event.wait_timeout(Duration::ZERO));
    });
}

#[test]
fn event_can_be_a_static() {
    static GO: Event = Event::new();
    GO.set();
    GO.wait();
}
