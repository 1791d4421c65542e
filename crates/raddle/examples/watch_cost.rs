//! The cost of the watch: each operation with the watch off, on, and on with lock orders checked.
//!
//! ```text
//! cargo run --release --example watch_cost
//! ```
//!
//! Only the ratios within one run are meaningful. Contended: two threads acquire and release one mutex without a pause;
//! the watch makes the time between two acquisitions longer, so they collide less often. Hand-over: two threads wake
//! each other in turn, and the watch adds little to that.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use raddle::watch::{self, Watch};
use raddle::{Lock, Mutex, RLock, Semaphore, thread, time};

type Case = (&'static str, fn() -> f64);

const CASES: &[Case] = &[
    ("Mutex: lock and release", free_mutex),
    ("Lock: lock and release", free_lock),
    ("RLock: lock and release", free_rlock),
    ("Mutex within a Mutex", nested),
    ("Mutex, two threads", contended),
    ("Semaphore, hand-over", hand_over),
];

fn main() -> ExitCode {
    if watch::is_on() {
        eprintln!("the watch is on already: use --release, and do not set RADDLE_WATCH");
        return ExitCode::FAILURE;
    }
    let off = measured();
    Watch::new().start();
    let on = measured();
    Watch::new().lock_order(true).start();
    let order = measured();
    println!("{:28}{:>10}{:>18}{:>18}", "nanoseconds each", "off", "on", "with lock order");
    for (n, (name, _)) in CASES.iter().enumerate() {
        let ratio = |time: f64| format!("{time:.0} ({:.1}x)", time / off[n]);
        println!("{name:28}{:>10.1}{:>18}{:>18}", off[n], ratio(on[n]), ratio(order[n]));
    }
    ExitCode::SUCCESS
}

/// The best of five rounds of each case.
fn measured() -> Vec<f64> {
    let best = |case: fn() -> f64| (0..5).map(|_| case()).fold(f64::INFINITY, f64::min);
    CASES.iter().map(|(_, case)| best(*case)).collect()
}

/// Nanoseconds for one call of `body`.
fn each(times: u32, mut body: impl FnMut()) -> f64 {
    let start = time::now();
    for _ in 0..times {
        body();
    }
    (time::now() - start).as_secs_f64() * 1e9 / f64::from(times)
}

fn free_mutex() -> f64 {
    let mutex = Mutex::new(0_u64);
    each(200_000, || *black_box(&mutex).lock() += 1)
}

fn free_lock() -> f64 {
    let lock = Lock::new();
    each(200_000, || drop(black_box(&lock).lock()))
}

fn free_rlock() -> f64 {
    let lock = RLock::new();
    each(200_000, || drop(black_box(&lock).lock()))
}

fn nested() -> f64 {
    let (outer, inner) = (Mutex::new(0_u64), Mutex::new(0_u64));
    each(200_000, || *black_box(&outer).lock() += *black_box(&inner).lock())
}

fn contended() -> f64 {
    let (mutex, stop) = (Mutex::new(0_u64), AtomicBool::new(false));
    thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(Relaxed) {
                *mutex.lock() += 1;
            }
        });
        let time = each(50_000, || *mutex.lock() += 1);
        stop.store(true, Relaxed);
        time
    })
}

fn hand_over() -> f64 {
    const TURNS: u32 = 2_000;
    let (there, back) = (Semaphore::new(0), Semaphore::new(0));
    thread::scope(|s| {
        s.spawn(|| {
            for _ in 0..TURNS {
                there.acquire().forget();
                back.release();
            }
        });
        each(TURNS, || {
            there.release();
            back.acquire().forget();
        })
    })
}
