//! The toolkit does not change its host program: affinity, priorities, signals, limits and timer slack of threads that it
//! did not start, and affinity and priorities of those that it did.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use raddle::{
    Barrier, Condition, Event, Lock, Mutex, Queue, RLock, Semaphore, Shared, Thread, ThreadPoolExecutor,
    Timer, thread,
};
use support::{finish, within_limit};

/// The state of the calling thread and its process in the operating system.
fn state() -> BTreeMap<String, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let status = read("/proc/thread-self/status");
    let wanted =
        ["Cpus_allowed", "Mems_allowed", "SigBlk", "SigIgn", "SigCgt", "Umask", "Seccomp", "NoNewPrivs"];
    let mut state: BTreeMap<_, _> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| wanted.contains(name))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    // After the name in parentheses: priority and nice value, real-time priority and policy.
    let stat = read("/proc/thread-self/stat");
    let fields: Vec<_> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    for (name, place) in [("priority", 15), ("nice", 16), ("rt_priority", 37), ("policy", 38)] {
        state.insert(name.to_owned(), fields[place].to_owned());
    }
    state.insert("limits".to_owned(), read("/proc/thread-self/limits"));
    state.insert("directory".to_owned(), fs::read_link("/proc/self/cwd").unwrap().display().to_string());
    state.insert("environment".to_owned(), format!("{:?}", std::env::vars_os().collect::<Vec<_>>()));
    // Not available if the kernel is built without it.
    let slack = fs::read_to_string("/proc/thread-self/timerslack_ns")
        .or_else(|_| fs::read_to_string("/proc/self/timerslack_ns"))
        .unwrap_or_default();
    state.insert("timer slack".to_owned(), slack);
    state
}

/// The state of a thread that the toolkit started, as far as it is inherited.
fn inherited() -> BTreeMap<String, String> {
    let mut state = state();
    state.remove("timer slack"); // the timers' own threads have one of their own
    state
}

/// Uses all primitives from several threads at once, with waits of every kind.
fn use_everything() {
    let total = Arc::new(AtomicU64::new(0));
    let parts = Arc::new((Lock::new(), RLock::new(), Mutex::new(0), Condition::new(), Semaphore::new(1)));
    let (barrier, flag) = (Arc::new(Barrier::new(4)), Arc::new(Event::new()));
    let (there, back) = (Arc::new(Queue::bounded(1)), Arc::new(Queue::unbounded()));
    let shared = Arc::new(Shared::new(0));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (parts, barrier, flag, total) = (parts.clone(), barrier.clone(), flag.clone(), total.clone());
            let (there, back, shared) = (there.clone(), back.clone(), shared.clone());
            Thread::spawn(move || {
                for turn in 0..2_000 {
                    drop((parts.0.lock(), parts.1.lock(), parts.4.acquire()));
                    *parts.2.lock() += 1;
                    drop(parts.0.lock_timeout(Duration::from_millis(1)));
                    barrier.wait().unwrap();
                    // Two of them wait for each other in turn, which must not change their affinity.
                    if number == 0 {
                        there.put(turn).unwrap();
                        assert_eq!(back.get().unwrap(), turn);
                        flag.set();
                    } else if number == 1 {
                        let item = there.get().unwrap();
                        back.put(item).unwrap();
                        flag.wait();
                        shared.set(turn);
                    }
                }
                let mut held = parts.2.lock();
                parts.3.wait_timeout(&mut held, Duration::from_millis(1));
                total.fetch_add(1, Relaxed);
                inherited()
            })
        })
        .collect();
    let before = inherited();
    for thread in threads {
        assert_eq!(finish(thread), before, "a thread of the toolkit's");
    }
    assert_eq!(total.load(Relaxed), 4);
    let pool = ThreadPoolExecutor::new(3);
    assert_eq!(pool.submit(inherited).result().unwrap(), before, "a worker of a pool");
    assert_eq!(pool.map(0..100, |n| n).filter_map(Result::ok).sum::<u32>(), 4_950);
    let (fired, state) = (Arc::new(Event::new()), Arc::new(Mutex::new(None)));
    let timer = Timer::after(Duration::from_millis(1), {
        let (fired, state) = (fired.clone(), state.clone());
        move || {
            *state.lock() = Some(inherited());
            fired.set();
        }
    });
    fired.wait();
    assert_eq!(*state.lock(), Some(before), "a timer's thread");
    drop(timer);
    thread::sleep(Duration::from_millis(1));
}

#[test]
fn toolkit_does_not_change_its_host_program() {
    within_limit(|| {
        // Threads that the toolkit did not start: one that uses it, and one that does not.
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let (answer, answers) = std::sync::mpsc::channel();
        #[expect(clippy::disallowed_methods, reason = "the threads must be the program's own")]
        let (user, other) = (
            std::thread::spawn(|| {
                let before = state();
                use_everything();
                (before, state())
            }),
            std::thread::spawn(move || {
                answer.send(state()).unwrap();
                asked.recv().unwrap();
                answer.send(state()).unwrap();
            }),
        );
        let before = answers.recv().unwrap();
        let (users_before, users_after) = user.join().unwrap();
        assert_eq!(users_before, users_after);
        ask.send(()).unwrap();
        assert_eq!(before, answers.recv().unwrap());
        other.join().unwrap();
    });
}
