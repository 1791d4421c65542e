//! The watch: dumps of all threads, requested by the program or by a signal.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use raddle::rt::{self, Kind, Op, Wait};
use raddle::watch::{self, Dump, ThreadState};
use raddle::{Condition, Event, Lock, Mutex, RLock, Timer, thread};

use crate::child::{Scenario, Test, command, ended, find, test};
use crate::threads::{daemon, foreign, here, named};

const SCENARIOS: &[(&str, fn())] = &[
    ("waiting_threads_are_shown", waiting_threads_are_shown),
    ("wait_is_shown_with_its_own_operation", wait_is_shown_with_its_own_operation),
    ("timeouts_and_sleeps_are_shown", timeouts_and_sleeps_are_shown),
    ("lock_is_not_held_during_a_wait", lock_is_not_held_during_a_wait),
    ("threads_of_the_toolkit_are_listed_last", threads_of_the_toolkit_are_listed_last),
    ("unwatched_dump_lists_threads", unwatched_dump_lists_threads),
    ("runs_until_requested", runs_until_requested),
    ("blocked_program_writes_a_dump", blocked_program_writes_a_dump),
];

pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    find(SCENARIOS.iter().copied(), name)
}

pub(crate) fn tests() -> Vec<Test> {
    let judges_itself = |name: &'static str, watch: &'static str| {
        test(name, move || {
            let ended = ended(name, Some(watch));
            assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        })
    };
    vec![
        judges_itself("waiting_threads_are_shown", "1"),
        judges_itself("wait_is_shown_with_its_own_operation", "1"),
        judges_itself("timeouts_and_sleeps_are_shown", "1"),
        judges_itself("lock_is_not_held_during_a_wait", "1"),
        judges_itself("unwatched_dump_lists_threads", "0"),
        test("threads_of_the_toolkit_are_listed_last", || {
            let ended = ended("threads_of_the_toolkit_are_listed_last", Some("1"));
            assert_eq!(ended.status, Some(101), "{ended:?}");
            let lines = ended.err.lines();
            assert_timers_are_last(
                lines.filter_map(|line| line.strip_prefix("  thread \"")?.split('"').next()),
            );
        }),
        test("sigquit_writes_a_dump", sigquit_writes_a_dump),
        test("thread_that_waits_for_signals_hides_no_deadlock", || {
            let ended = ended("blocked_program_writes_a_dump", Some("1"));
            assert_eq!(ended.status, Some(101), "{ended:?}");
            assert!(ended.err.contains("\"MainThread\" waits for Event"), "{ended:?}");
            assert!(!ended.err.contains("SIGQUIT"), "{ended:?}");
        }),
    ]
}

fn of<'a>(dump: &'a Dump, name: &str) -> &'a ThreadState {
    dump.threads.iter().find(|thread| &*thread.name == name).unwrap_or_else(|| panic!("{name}: {dump}"))
}

/// Returns a dump in which all of these threads wait.
fn once_they_wait(names: &[&str]) -> Dump {
    loop {
        let dump = watch::dump();
        if names.iter().all(|name| of(&dump, name).waits.is_some()) {
            return dump;
        }
        thread::yield_now();
    }
}

fn waiting_threads_are_shown() {
    let all = (Mutex::new(0), RLock::new(), Event::new());
    let (mutex, rlock, go): &'static _ = Box::leak(Box::new(all));
    let (_held, taken) = (mutex.lock(), line!());
    rlock.acquire();
    daemon("waits for a mutex", || drop(mutex.lock()));
    let event = named("waits for an event", || go.wait());
    let join = named("joins", move || event.join().unwrap());
    let dump = once_they_wait(&["waits for a mutex", "waits for an event", "joins"]);

    let waits = of(&dump, "waits for a mutex");
    let wait = waits.waits.as_ref().unwrap();
    let holder = wait.holder.as_ref().unwrap();
    assert!(waits.daemon && waits.native_id.is_some() && wait.object.starts_with("Mutex"), "{dump}");
    assert_eq!((&*holder.name, holder.ident, holder.at.line()), ("MainThread", thread::ident(), taken));
    assert!(wait.remaining.is_none() && waits.holds.is_empty(), "{dump}");
    let joins = of(&dump, "joins").waits.as_ref().unwrap();
    assert_eq!(joins.object, "thread \"waits for an event\"");
    let main = of(&dump, "MainThread");
    let held: Vec<_> = main.holds.iter().map(|hold| hold.object.split(' ').next().unwrap()).collect();
    assert_eq!((held, main.waits.is_none(), main.daemon), (vec!["Mutex", "RLock"], true, false), "{dump}");

    let text = dump.to_string();
    for part in [
        "raddle: 4 threads\n",
        "\"MainThread\" (ident ",
        " runs\n      holds Mutex ",
        "\"waits for a mutex\" (ident ",
        ", daemon) waits for Mutex ",
        &format!("held by thread \"MainThread\", acquired at {}:{taken}:", file!()),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    go.set();
    join.join().unwrap();
}

/// Not with an operation that its thread has performed before.
fn wait_is_shown_with_its_own_operation() {
    let words: &'static [AtomicU32; 2] = Box::leak(Box::default());
    let wait = |index: usize, wait: &Wait<'_>| {
        rt::point(Op::new(words, "Other", Kind::Read));
        while words[index].load(Relaxed) == 0 {
            rt::wait(&words[index], 0, wait);
        }
    };
    let reported = named("reported", move || wait(0, &Wait::new(&Op::new(&words[0], "Gate", Kind::Await))));
    let unreported = named("unreported", move || wait(1, &Wait::unreported()));
    let dump = once_they_wait(&["reported", "unreported"]);
    let state = |name| of(&dump, name).waits.as_ref().unwrap();
    assert!(state("reported").object.starts_with("Gate ") && state("reported").at.is_some(), "{dump}");
    assert!(state("unreported").object == "an internal lock" && state("unreported").at.is_none(), "{dump}");
    for word in words {
        word.store(1, Relaxed);
        rt::wake(word, 1);
    }
    reported.join().unwrap();
    unreported.join().unwrap();
}

fn timeouts_and_sleeps_are_shown() {
    let never: &'static _ = Box::leak(Box::new(Event::new()));
    daemon("waits", || assert!(!never.wait_timeout(Duration::from_hours(1))));
    daemon("sleeps", || thread::sleep(Duration::from_hours(1)));
    foreign(|| never.wait());
    let dump = once_they_wait(&["waits", "sleeps"]);
    for (name, object) in [("waits", "Event"), ("sleeps", "the clock")] {
        let wait = of(&dump, name).waits.as_ref().unwrap();
        assert!(wait.object.starts_with(object), "{dump}");
        assert!(wait.remaining.unwrap() > Duration::from_mins(50), "{dump}");
    }
    while watch::dump().threads.len() < 4 {
        thread::yield_now(); // the foreign thread is known once it waits
    }
}

/// A thread that waits for a condition does not hold the lock of the condition during the wait.
fn lock_is_not_held_during_a_wait() {
    let all = (Mutex::new(false), Lock::new(), RLock::new(), [const { Condition::new() }; 3]);
    let (mutex, lock, rlock, conditions): &'static _ = Box::leak(Box::new(all));
    let holds = || of(&watch::dump(), &thread::current().name()).holds.len();
    let threads = [
        named("mutex", move || {
            let mut held = mutex.lock();
            conditions[0].wait(&mut held);
            holds()
        }),
        named("lock", move || {
            let mut held = lock.lock();
            conditions[1].wait(&mut held);
            holds()
        }),
        named("rlock", move || {
            let mut held = (rlock.lock(), rlock.lock());
            conditions[2].wait(&mut held.0);
            holds()
        }),
    ];
    let dump = once_they_wait(&["mutex", "lock", "rlock"]);
    for name in ["mutex", "lock", "rlock"] {
        assert!(of(&dump, name).waits.as_ref().unwrap().object.starts_with("Condition"), "{dump}");
        assert!(of(&dump, name).holds.is_empty(), "{dump}");
    }
    conditions[0].notify_one(&mutex.lock());
    conditions[1].notify_one(&lock.lock());
    conditions[2].notify_one(&rlock.lock());
    assert_eq!(threads.map(|thread| thread.join().unwrap()), [1, 1, 1]);
}

fn threads_of_the_toolkit_are_listed_last() {
    let all = (Event::new(), Event::new());
    let (ran, never): &'static _ = Box::leak(Box::new(all));
    let _timer = Timer::after(Duration::ZERO, || ran.set());
    ran.wait();
    daemon("started later", || never.wait());
    let dump = once_they_wait(&["started later"]);
    assert_timers_are_last(dump.threads.iter().map(|thread| &*thread.name));
    never.wait();
}

#[track_caller]
fn assert_timers_are_last<'a>(threads: impl Iterator<Item = &'a str>) {
    let threads: Vec<_> = threads.collect();
    let timers = threads.iter().filter(|name| name.starts_with("timer ")).count();
    assert!(
        timers > 0 && threads[..threads.len() - timers] == ["MainThread", "started later"],
        "{threads:?}"
    );
}

fn unwatched_dump_lists_threads() {
    let held = Mutex::new(0);
    let _held = held.lock();
    let dump = watch::dump();
    assert!(!dump.is_watched && of(&dump, "MainThread").holds.is_empty());
    assert!(dump.to_string().contains("The watch is off"), "{dump}");
}

fn runs_until_requested() {
    watch::after_dump(|| eprintln!("after the dump"));
    watch::dump_on_sigquit().unwrap();
    watch::dump_on_sigquit().unwrap();
    let all = (Mutex::new(0), Event::new());
    let (mutex, told): &'static _ = Box::leak(Box::new(all));
    let held = here!(mutex.lock());
    let waits = named("waits", || drop(mutex.lock()));
    drop(once_they_wait(&["waits"]));
    println!("ready");
    foreign(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        told.set();
    });
    told.wait();
    drop(held);
    waits.join().unwrap();
}

/// Two signals write two dumps, and the program completes.
fn sigquit_writes_a_dump() {
    let mut child = command("runs_until_requested", Some("1")).stdin(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = out.next().unwrap().unwrap();
    assert_eq!(out.next().unwrap().unwrap(), "ready");
    for _ in 0..2 {
        let sent = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut dump = String::new();
        while !dump.ends_with("after the dump\n") {
            dump += &err.next().unwrap().unwrap();
            dump += "\n";
        }
        assert!(dump.contains("\"dump on SIGQUIT\""), "{dump}");
        assert!(dump.contains("raddle: ") && dump.contains("held by"), "{dump}");
        assert!(dump.contains("\"waits\"") && dump.contains(&format!("watch_dump.rs:{line}:")), "{dump}");
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn blocked_program_writes_a_dump() {
    watch::dump_on_sigquit().unwrap();
    Event::new().wait();
}
