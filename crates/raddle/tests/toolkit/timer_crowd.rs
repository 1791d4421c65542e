//! Many simultaneous timers, with short and with slow functions.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use raddle::{Event, Mutex, Timer, thread, time};

use crate::support::{repeat, until, within_limit};

fn wait_for_all(timers: &[Timer]) {
    for timer in timers {
        timer.wait().expect("not called by its own function");
    }
}

#[test]
fn ten_thousand_simultaneous_timers_run_on_few_threads() {
    within_limit(|| {
        let (threads, calls) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(AtomicUsize::new(0)));
        let due = time::now() + Duration::from_millis(50);
        let timers: Vec<Timer> = (0..10_000)
            .map(|_| {
                let (threads, calls) = (threads.clone(), calls.clone());
                Timer::at(due, move || {
                    threads.lock().insert(thread::ident());
                    calls.fetch_add(1, SeqCst);
                })
            })
            .collect();
        wait_for_all(&timers);
        assert_eq!((calls.load(SeqCst), Arc::strong_count(&calls)), (10_000, 1));
        assert!(threads.lock().len() < 1_000, "nearly a thread for each timer");
    });
}

#[test]
fn slow_functions_do_not_block_others() {
    repeat(5, || {
        let (gate, begun) = (Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        let timers: Vec<Timer> = (0..40)
            .map(|_| {
                let (gate, begun) = (gate.clone(), begun.clone());
                Timer::after(Duration::ZERO, move || {
                    begun.fetch_add(1, SeqCst);
                    gate.wait();
                })
            })
            .collect();
        until(|| begun.load(SeqCst) == 40); // all of them run at once
        wait_for_all(&[Timer::after(Duration::from_millis(1), || ())]); // while they do
        assert!(timers.iter().all(|timer| !timer.is_finished() && timer.runs() == 1));
        gate.set();
        wait_for_all(&timers);
    });
}

/// Started and cancelled by many threads at once, some due soon, some late.
#[test]
fn each_of_many_concurrent_timers_runs_or_is_cancelled() {
    within_limit(|| {
        let runs = Arc::new(AtomicUsize::new(0));
        let cancels: usize = thread::scope(|s| {
            let threads = [1_u64, 2, 3, 4].map(|seed| {
                let runs = &runs;
                s.spawn(move || {
                    let start = |i: u64| {
                        let delay = Duration::from_micros(i.wrapping_mul(seed * 2_654_435_761) % 1_000);
                        let runs = runs.clone();
                        Timer::after(delay, move || _ = runs.fetch_add(1, SeqCst))
                    };
                    let timers: Vec<Timer> = (0..2_000).map(start).collect();
                    let cancels = timers.iter().rev().filter(|timer| timer.cancel()).count();
                    wait_for_all(&timers);
                    cancels
                })
            });
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!((runs.load(SeqCst) + cancels, Arc::strong_count(&runs)), (8_000, 1));
    });
}
