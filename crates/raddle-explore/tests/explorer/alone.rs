//! Explorations leave nothing behind, and do not disturb each other or ordinary threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use raddle::{Lock, Queue, Shared, Thread, thread};
use raddle_explore::{Explorer, Outcome, Strategy};

fn lost_update() {
    let value = Arc::new(Shared::new(0));
    let other = value.clone();
    let add = |value: &Shared<i32>| value.set(value.get() + 1);
    let thread = Thread::spawn(move || add(&other));
    add(&value);
    thread.join().unwrap();
    assert_eq!(value.get(), 2);
}

fn deadlock() {
    let lock = Arc::new(Lock::new());
    lock.acquire();
    let other = lock.clone();
    drop(Thread::spawn(move || drop(other.lock())));
    lock.acquire();
}

#[test]
fn concurrent_explorations_see_the_same_as_one_alone() {
    let alone = Explorer::new().strategy(Strategy::Dpor).survey(lost_update);
    let busy = Arc::new(AtomicBool::new(true));
    // Ordinary threads beside them, with the same types.
    let queue = Arc::new(Queue::bounded(4));
    let producer = {
        let (queue, busy) = (queue.clone(), busy.clone());
        Thread::spawn(move || {
            let mut sent = 0_u64;
            while busy.load(Relaxed) {
                queue.put(sent).unwrap();
                sent += 1;
            }
            queue.shutdown();
            sent
        })
    };
    let consumer = Thread::spawn(move || queue.iter().count() as u64);
    let explorers: Vec<_> = (0..4)
        .map(|_| {
            Thread::spawn(|| {
                (0..20)
                    .map(|_| Explorer::new().strategy(Strategy::Dpor).survey(lost_update))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    for explorer in explorers {
        for survey in explorer.join().unwrap() {
            let counts =
                |survey: &raddle_explore::Survey| (survey.classes, survey.executions, survey.failures);
            assert_eq!(counts(&survey), counts(&alone));
        }
    }
    busy.store(false, Relaxed);
    assert_eq!(producer.join().unwrap(), consumer.join().unwrap(), "every item came through");
    assert!(thread::enumerate().iter().all(|thread| !thread.name().starts_with("Thread-1 (add")));
}

#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Resident memory, in kilobytes.
#[cfg(target_os = "linux")]
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs the ignored test of that name in a process of its own; returns its status and what it wrote to standard error.
pub(crate) fn in_a_process(test: &str) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--ignored"]).output().unwrap();
    let started = String::from_utf8_lossy(&output.stdout).contains("running 1 test");
    assert!(started, "there is no ignored test {test}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn hundred_thousand_explorations_leak_nothing() {
    let (status, text) = in_a_process("alone::leaks_nothing");
    assert_eq!(status, Some(0), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by another test, in a process of its own"]
fn leaks_nothing() {
    let explore = |times: usize| {
        for _ in 0..times {
            let outcome = Explorer::new().strategy(Strategy::Dpor).run(|| {
                let value = Arc::new(Shared::new(0));
                let other = value.clone();
                let thread = Thread::spawn(move || other.get());
                thread.join().unwrap();
            });
            assert!(matches!(outcome, Outcome::Exhausted { classes: 1, .. }));
        }
        for _ in 0..times / 100 {
            Explorer::new().run(lost_update).expect_failure();
            Explorer::new().run(deadlock).expect_failure();
        }
    };
    explore(1_000);
    let before = (threads(), memory());
    explore(100_000);
    let after = (threads(), memory());
    assert!(after.0 <= before.0 + 32, "threads: {} before, {} after", before.0, after.0);
    assert!(after.1 <= before.1 + 16 * 1024, "kilobytes: {} before, {} after", before.1, after.1);
}
