//! Locks, uncontended and contended.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::sleep;
use crate::compare::case::{Case, Goal, Sample, Scale, Unit};
use crate::compare::drive::{Part, alone, together};

pub(super) fn cases() -> Vec<Case> {
    vec![
        peers(Case::new("lock/uncontended-lock", "to acquire and release it", Goal::Ratio(1.0)).raddle(
            "raddle Lock",
            |scale| {
                let lock = raddle::Lock::new();
                uncontended(scale, || drop(black_box(lock.lock())))
            },
        )),
        peers(Case::new("lock/uncontended-mutex", "to add 1 under it", Goal::Ratio(1.0)).raddle(
            "raddle Mutex",
            |scale| {
                let mutex = raddle::Mutex::new(0_u64);
                uncontended(scale, || *black_box(&mutex).lock() += 1)
            },
        )),
        contended("lock/2-threads", 2),
        contended("lock/8-threads", 8),
        fairness(),
        reentrant(),
    ]
}

fn peers(case: Case) -> Case {
    case.peer("std Mutex", |scale| {
        let mutex = std::sync::Mutex::new(0_u64);
        uncontended(scale, || *black_box(&mutex).lock().expect("nothing panics") += 1)
    })
    .peer("parking_lot Mutex", |scale| {
        let mutex = parking_lot::Mutex::new(0_u64);
        uncontended(scale, || *black_box(&mutex).lock() += 1)
    })
}

fn uncontended(scale: Scale, step: impl Fn()) -> Sample {
    let ops = scale.ops(4_000_000);
    alone(ops, || (0..ops).for_each(|_| step()))
}

fn reentrant() -> Case {
    Case::new("lock/reentrant", "a second level and back", Goal::Ratio(1.0))
        .raddle("raddle ReentrantMutex", |scale| {
            let mutex = raddle::ReentrantMutex::new(0_u64);
            let _outer = mutex.lock();
            uncontended(scale, || drop(black_box(black_box(&mutex).lock())))
        })
        .extra("raddle RLock", |scale| {
            let lock = raddle::RLock::new();
            let _outer = lock.lock();
            uncontended(scale, || drop(black_box(black_box(&lock).lock())))
        })
        .peer("parking_lot ReentrantMutex", |scale| {
            let mutex = parking_lot::ReentrantMutex::new(0_u64);
            let _outer = mutex.lock();
            uncontended(scale, || drop(black_box(black_box(&mutex).lock())))
        })
}

fn contended(name: &str, threads: u64) -> Case {
    Case::new(name, "to add 1 under it, all threads at once", Goal::Ratio(0.9))
        .raddle("raddle Mutex", move |scale| {
            let mutex = raddle::Mutex::new(0_u64);
            let sample = fight(scale, threads, || *mutex.lock() += 1);
            check(scale, mutex.into_inner(), sample)
        })
        .peer("std Mutex", move |scale| {
            let mutex = std::sync::Mutex::new(0_u64);
            let sample = fight(scale, threads, || *mutex.lock().expect("nothing panics") += 1);
            check(scale, mutex.into_inner().expect("nothing panics"), sample)
        })
        .peer("parking_lot Mutex", move |scale| {
            let mutex = parking_lot::Mutex::new(0_u64);
            let sample = fight(scale, threads, || *mutex.lock() += 1);
            check(scale, mutex.into_inner(), sample)
        })
}

/// The operations of all threads together.
fn fights(scale: Scale) -> u64 {
    scale.ops(3_200_000)
}

fn fight(scale: Scale, threads: u64, step: impl Fn() + Sync) -> Sample {
    let ops = fights(scale);
    let step = &step;
    let part = |_| -> Part<'_> { Box::new(move || (0..ops / threads).for_each(|_| step())) };
    together(ops, (0..threads).map(part).collect())
}

fn check(scale: Scale, total: u64, sample: Sample) -> Sample {
    assert_eq!(total, fights(scale), "an update was lost");
    sample
}

fn fairness() -> Case {
    let what = "how often the thread served least had the lock, of a fair share; 8 threads, 100 ms";
    Case::new("lock/fairness", what, Goal::Least(0.5))
        .unit(Unit::Share)
        .raddle("raddle Mutex", |scale| {
            let mutex = raddle::Mutex::new(());
            share(scale, || drop(black_box(mutex.lock())))
        })
        .peer("std Mutex", |scale| {
            let mutex = std::sync::Mutex::new(());
            share(scale, || drop(black_box(mutex.lock().expect("nothing panics"))))
        })
        .peer("parking_lot Mutex", |scale| {
            let mutex = parking_lot::Mutex::new(());
            share(scale, || drop(black_box(mutex.lock())))
        })
}

/// The operations of the least served of 8 threads, as a fraction of the mean.
#[expect(clippy::cast_precision_loss, reason = "far below what is measured")]
fn share(scale: Scale, step: impl Fn() + Sync) -> Sample {
    let is_over = AtomicBool::new(false);
    let counts = [const { AtomicU64::new(0) }; 8];
    let (is_over, step) = (&is_over, &step);
    let threads = counts.iter().map(|count| -> Part<'_> {
        Box::new(move || {
            while !is_over.load(Ordering::Relaxed) {
                step();
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let clock: Part<'_> = Box::new(move || {
        sleep(Duration::from_millis(scale.millis(100)));
        is_over.store(true, Ordering::Relaxed);
    });
    let used = together(1, threads.chain([clock]).collect()).cpu;
    let counts = counts.map(|count| count.load(Ordering::Relaxed) as f64);
    let total: f64 = counts.iter().sum();
    let least = counts.iter().copied().fold(f64::INFINITY, f64::min);
    Sample { value: least * 8.0 / total, cpu: used / total }
}
