//! `Barrier`: threads wait for each other. The rules are Python's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::{Barrier, BrokenBarrierError, Event, JoinHandle, Mutex, Thread, thread, time};

use crate::support::{finish, repeat, until, within_limit};

const SHORT: Duration = Duration::from_millis(3);

fn past() -> std::time::Instant {
    time::now().checked_sub(Duration::from_secs(1)).unwrap()
}

/// Starts `count` threads that wait at the barrier, and returns once all of them wait.
fn waiting(
    barrier: &Arc<Barrier<'static>>,
    count: usize,
) -> Vec<JoinHandle<Result<usize, BrokenBarrierError>>> {
    let threads = (0..count)
        .map(|_| {
            let barrier = barrier.clone();
            Thread::spawn(move || barrier.wait())
        })
        .collect();
    until(|| barrier.n_waiting() == count);
    threads
}

fn all_broken(threads: Vec<JoinHandle<Result<usize, BrokenBarrierError>>>) {
    assert!(threads.into_iter().map(finish).all(|result| result == Err(BrokenBarrierError)));
}

/// Runs one round with `parties` threads, and checks that each has its own index.
fn a_round_works(barrier: &Arc<Barrier<'static>>) {
    let others = waiting(barrier, barrier.parties() - 1);
    let mut indices = vec![barrier.wait().unwrap()];
    indices.extend(others.into_iter().map(|thread| finish(thread).unwrap()));
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..barrier.parties()));
    assert_eq!(barrier.n_waiting(), 0);
}

#[test]
fn each_thread_gets_its_own_index() {
    repeat(50, || a_round_works(&Arc::new(Barrier::new(4))));
}

#[test]
fn index_is_the_order_of_arrival() {
    within_limit(|| {
        let barrier = Arc::new(Barrier::new(4));
        let mut threads = Vec::new();
        for n in 0..3 {
            let come = barrier.clone();
            threads.push(Thread::spawn(move || come.wait()));
            until(|| barrier.n_waiting() == n + 1);
        }
        assert_eq!(barrier.wait(), Ok(3));
        let indices: Vec<_> = threads.into_iter().map(|thread| finish(thread).unwrap()).collect();
        assert_eq!(indices, [0, 1, 2]);
    });
}

#[test]
fn barrier_for_one_thread_never_blocks() {
    let acted = AtomicUsize::new(0);
    let barrier = Barrier::new(1).action(|| {
        acted.fetch_add(1, Relaxed);
    });
    assert_eq!(
        (barrier.wait(), barrier.wait_timeout(Duration::ZERO), barrier.wait_deadline(past())),
        (Ok(0), Ok(0), Ok(0))
    );
    drop(barrier);
    assert_eq!(acted.into_inner(), 3);
}

#[test]
fn barrier_for_zero_threads_panics() {
    assert!(catch_unwind(|| drop(Barrier::new(0))).is_err());
}

#[test]
fn no_thread_continues_before_all_have_arrived() {
    const ROUNDS: usize = 10_000;
    within_limit(|| {
        let (barrier, come, sum) = (Barrier::new(4), AtomicUsize::new(0), AtomicUsize::new(0));
        let party = || {
            for round in 1..=ROUNDS {
                come.fetch_add(1, Relaxed);
                sum.fetch_add(barrier.wait().unwrap(), Relaxed);
                let all = come.load(Relaxed);
                assert!((4 * round..4 * round + 4).contains(&all), "{all} in round {round}");
            }
        };
        thread::scope(|s| (0..4).for_each(|_| drop(s.spawn(party))));
        assert_eq!(sum.into_inner(), ROUNDS * (1 + 2 + 3));
        assert!(!barrier.is_broken());
    });
}

#[test]
fn action_runs_once_per_round_before_any_thread_continues() {
    within_limit(|| {
        let (acted, come) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let barrier = Barrier::new(3).action(|| {
            let rounds = acted.fetch_add(1, Relaxed) + 1;
            assert_eq!(come.load(Relaxed), 3 * rounds, "not all have come");
        });
        let next = Barrier::new(3); // so that no thread arrives again while others still read the state
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    for round in 1..=500 {
                        come.fetch_add(1, Relaxed);
                        barrier.wait().unwrap();
                        assert_eq!(acted.load(Relaxed), round);
                        next.wait().unwrap();
                    }
                });
            }
        });
    });
}

#[test]
fn last_thread_runs_the_action() {
    within_limit(|| {
        let actor = Arc::new(Mutex::new(None));
        let barrier = Arc::new(Barrier::new(3).action({
            let actor = actor.clone();
            move || *actor.lock() = Some(thread::ident())
        }));
        let others = waiting(&barrier, 2);
        assert_eq!(barrier.wait(), Ok(2));
        assert_eq!(*actor.lock(), Some(thread::ident()));
        assert!(others.into_iter().all(|thread| finish(thread).is_ok()));
    });
}

/// `CPython`'s own tests do not catch a violation of this.
#[test]
fn panicking_action_breaks_the_barrier() {
    within_limit(|| {
        let barrier = Arc::new(Barrier::new(3).action(|| std::panic::resume_unwind(Box::new("the action"))));
        let others = waiting(&barrier, 2);
        let payload = catch_unwind(AssertUnwindSafe(|| barrier.wait())).unwrap_err();
        assert_eq!(
            payload.downcast_ref(),
            Some(&"the action"),
            "the thread that ran the action gets its panic"
        );
        all_broken(others);
        assert!(barrier.is_broken());
        assert_eq!(barrier.n_waiting(), 0);
        assert_eq!(
            (barrier.wait(), barrier.wait_timeout(SHORT)),
            (Err(BrokenBarrierError), Err(BrokenBarrierError))
        );
        barrier.reset();
        assert!(!barrier.is_broken());
    });
}

/// `CPython`'s own tests do not catch a violation of this either.
#[test]
fn timeout_breaks_the_barrier_for_all() {
    within_limit(|| {
        let barrier = Arc::new(Barrier::new(4));
        for limit in [Duration::ZERO, SHORT] {
            let others = waiting(&barrier, 2);
            let start = time::now();
            assert_eq!(barrier.wait_timeout(limit), Err(BrokenBarrierError));
            assert!(time::now() - start >= limit);
            all_broken(others);
            assert!(barrier.is_broken() && barrier.n_waiting() == 0);
            assert_eq!(barrier.wait(), Err(BrokenBarrierError));
            barrier.reset();
        }
        let others = waiting(&barrier, 2);
        assert_eq!(barrier.wait_deadline(past()), Err(BrokenBarrierError));
        all_broken(others);
        barrier.reset();
        a_round_works(&barrier);
    });
}

#[test]
fn timeout_of_the_barrier_applies_to_plain_waits() {
    within_limit(|| {
        let barrier = Arc::new(Barrier::new(2).timeout(SHORT));
        assert_eq!(barrier.wait(), Err(BrokenBarrierError));
        assert!(barrier.is_broken());
        barrier.reset();
        let other = Thread::spawn({
            let barrier = barrier.clone();
            move || barrier.wait_timeout(Duration::MAX)
        });
        until(|| barrier.n_waiting() == 1);
        thread::sleep(SHORT * 2); // which would have been too long for the default
        assert_eq!(barrier.wait(), Ok(1));
        assert_eq!(finish(other), Ok(0));
        let huge = Arc::new(Barrier::new(2).timeout(Duration::MAX));
        a_round_works(&huge);
    });
}

#[test]
fn abort_lasts_until_reset() {
    within_limit(|| {
        let barrier = Arc::new(Barrier::new(3));
        let others = waiting(&barrier, 2);
        barrier.abort();
        all_broken(others);
        assert!(barrier.is_broken());
        for _ in 0..3 {
            assert_eq!(barrier.wait(), Err(BrokenBarrierError));
        }
        barrier.abort();
        barrier.reset();
        assert!(!barrier.is_broken());
        a_round_works(&barrier);
        assert!(BrokenBarrierError.to_string().contains("reset"));
    });
}

#[test]
fn reset_breaks_the_current_round_only() {
    within_limit(|| {
        let barrier = Arc::new(Barrier::new(3));
        barrier.reset(); // without waiters
        a_round_works(&barrier);
        let others = waiting(&barrier, 2);
        barrier.reset();
        assert!(!barrier.is_broken());
        all_broken(others);
        a_round_works(&barrier);
    });
}

#[test]
fn n_waiting_counts_only_while_a_round_fills() {
    within_limit(|| {
        let (acting, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let barrier = Arc::new(Barrier::new(3).action({
            let (acting, go) = (acting.clone(), go.clone());
            move || {
                acting.set();
                go.wait();
            }
        }));
        assert_eq!((barrier.n_waiting(), barrier.parties()), (0, 3));
        let mut threads = waiting(&barrier, 2);
        assert!(format!("{barrier:?}").contains("waiting: 2"), "{barrier:?}");
        threads.push(Thread::spawn({
            let barrier = barrier.clone();
            move || barrier.wait()
        }));
        acting.wait();
        assert_eq!(barrier.n_waiting(), 0, "the round is complete");
        go.set();
        assert!(threads.into_iter().all(|thread| finish(thread).is_ok()));
        assert_eq!(barrier.n_waiting(), 0);
    });
}

/// A round during its action, which waits for `go`: the thread that runs the action, and the two others.
struct Acting {
    barrier: Arc<Barrier<'static>>,
    go: Arc<Event>,
    actor: JoinHandle<std::thread::Result<Result<usize, BrokenBarrierError>>>,
    others: Vec<JoinHandle<Result<usize, BrokenBarrierError>>>,
}

impl Acting {
    /// The action panics if `fails`; only the first round's does either.
    fn begin(fails: bool) -> Self {
        let (acting, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let first = AtomicBool::new(true);
        let action = {
            let (acting, go) = (acting.clone(), go.clone());
            move || {
                if first.swap(false, Relaxed) {
                    acting.set();
                    go.wait();
                    if fails {
                        std::panic::resume_unwind(Box::new("the action"));
                    }
                }
            }
        };
        let barrier = Arc::new(Barrier::new(3).action(action));
        let others = waiting(&barrier, 2);
        let actor = Thread::spawn({
            let barrier = barrier.clone();
            move || catch_unwind(AssertUnwindSafe(|| barrier.wait()))
        });
        acting.wait();
        Self { barrier, go, actor, others }
    }
}

#[test]
fn thread_arriving_during_the_action_belongs_to_the_next_round() {
    within_limit(|| {
        let round = Acting::begin(false);
        let next: Vec<_> = (0..3)
            .map(|_| {
                let barrier = round.barrier.clone();
                Thread::spawn(move || barrier.wait())
            })
            .collect();
        assert_eq!(round.barrier.n_waiting(), 0);
        round.go.set();
        assert_eq!(finish(round.actor).unwrap(), Ok(2));
        let indices = |threads: Vec<JoinHandle<Result<usize, BrokenBarrierError>>>| {
            let mut indices: Vec<usize> = threads.into_iter().map(|thread| finish(thread).unwrap()).collect();
            indices.sort_unstable();
            indices
        };
        assert_eq!((indices(round.others), indices(next)), (vec![0, 1], vec![0, 1, 2]));
    });
}

#[test]
fn thread_arriving_during_a_failing_action_gets_an_error() {
    within_limit(|| {
        let round = Acting::begin(true);
        let late = Thread::spawn({
            let barrier = round.barrier.clone();
            move || barrier.wait_timeout(SHORT)
        });
        round.go.set();
        assert!(finish(round.actor).is_err());
        all_broken(round.others);
        assert_eq!(finish(late), Err(BrokenBarrierError));
        assert!(round.barrier.is_broken());
    });
}

/// The round is complete when the action begins, so the limits of its parties do not matter any more.
#[test]
fn no_wait_times_out_during_the_action() {
    /// Returns whether the action began in time, which a busy machine may prevent.
    fn attempt(limit: Duration) -> bool {
        let deadline = Mutex::new(None::<std::time::Instant>);
        let barrier = Barrier::new(2).action(|| {
            let passed = deadline.lock().expect("the other one has come") + SHORT;
            thread::sleep(passed.saturating_duration_since(time::now()));
        });
        thread::scope(|s| {
            let other = s.spawn(|| {
                let limit = time::now() + limit;
                *deadline.lock() = Some(limit);
                barrier.wait_deadline(limit)
            });
            until(|| barrier.n_waiting() == 1 || barrier.is_broken());
            match barrier.wait() {
                Ok(index) => {
                    assert_eq!((index, other.join().unwrap(), barrier.is_broken()), (1, Ok(0), false));
                }
                Err(BrokenBarrierError) => return false,
            }
            true
        })
    }
    within_limit(|| assert!((4..15).any(|doublings| attempt(Duration::from_millis(1 << doublings)))));
}

#[test]
fn abort_during_the_action_breaks_its_round() {
    within_limit(|| {
        for fails in [false, true] {
            let round = Acting::begin(fails);
            round.barrier.abort();
            all_broken(round.others); // though the action still runs
            round.go.set();
            let outcome = finish(round.actor);
            if fails {
                assert!(outcome.is_err());
            } else {
                assert_eq!(outcome.unwrap(), Err(BrokenBarrierError));
            }
            assert!(round.barrier.is_broken());
            round.barrier.reset();
            a_round_works(&round.barrier);
        }
    });
}

#[test]
fn reset_during_the_action_breaks_its_round_only() {
    within_limit(|| {
        let round = Acting::begin(false);
        round.barrier.reset();
        all_broken(round.others);
        assert!(!round.barrier.is_broken());
        round.go.set();
        assert_eq!(finish(round.actor).unwrap(), Err(BrokenBarrierError));
        a_round_works(&round.barrier);
    });
}

#[test]
fn action_can_abort_or_reset_its_own_barrier() {
    within_limit(|| {
        for abort in [true, false] {
            let slot: Arc<Mutex<Option<Arc<Barrier<'static>>>>> = Arc::new(Mutex::new(None));
            let barrier = Arc::new(Barrier::new(2).action({
                let slot = slot.clone();
                move || {
                    if let Some(barrier) = slot.lock().take() {
                        if abort { barrier.abort() } else { barrier.reset() }
                    }
                }
            }));
            *slot.lock() = Some(barrier.clone());
            let others = waiting(&barrier, 1);
            assert_eq!(barrier.wait(), Err(BrokenBarrierError));
            all_broken(others);
            assert_eq!(barrier.is_broken(), abort);
            barrier.reset();
            a_round_works(&barrier);
        }
    });
}

/// The last arrival and a timeout coincide: either all waits succeed or all fail.
#[test]
fn late_timeout_breaks_the_round_for_all_or_none() {
    repeat(300, || {
        let barrier = Barrier::new(3);
        let results: Vec<_> = thread::scope(|s| {
            let limits = [Duration::from_micros(80), Duration::MAX, Duration::MAX];
            let barrier = &barrier;
            let parties: Vec<_> =
                limits.into_iter().map(|limit| s.spawn(move || barrier.wait_timeout(limit))).collect();
            parties.into_iter().map(|party| party.join().unwrap()).collect()
        });
        let passed = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!((passed, barrier.is_broken()), if passed == 0 { (0, true) } else { (3, false) });
    });
}

/// Aborts and resets at arbitrary moments leave no thread waiting.
#[test]
fn no_thread_is_left_waiting() {
    within_limit(|| {
        let (barrier, left) = (Barrier::new(3).action(thread::yield_now), AtomicUsize::new(4));
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    let passed = (0..300).filter(|_| barrier.wait().is_ok()).count();
                    left.fetch_sub(1, Relaxed);
                    passed
                });
            }
            // The last ones may be too few for a round, until this breaks it.
            while left.load(Relaxed) > 0 {
                barrier.abort();
                thread::yield_now();
                barrier.reset();
                (0..20).for_each(|_| thread::yield_now());
            }
        });
        assert_eq!(barrier.n_waiting(), 0);
    });
}

#[test]
fn arrivals_happen_before_the_returns() {
    repeat(100, || {
        let (before, acted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let barrier = Barrier::new(3).action(|| acted.store(before.load(Relaxed), Relaxed));
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    before.fetch_add(1, Relaxed);
                    barrier.wait().unwrap();
                    assert_eq!(acted.load(Relaxed), 3);
                });
            }
        });
    });
}

#[test]
fn barrier_can_be_a_static() {
    static GATE: Barrier<'static> = Barrier::new(1);
    assert_eq!(GATE.wait(), Ok(0));
}
