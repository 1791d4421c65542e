//! Timers and the end of the program, each case in a process of its own.

use std::io::Read as _;
use std::process::{Command, Stdio, exit};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use raddle::timer::TimerBuilder;
use raddle::{Event, Thread, Timer};

use crate::support::{LIMIT, finish, until};

const HOUR: Duration = Duration::from_hours(1);
const CHILD: &str = "RADDLE_TIMER_TEST";

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Returns the builder of a timer that is not a daemon, although the thread of a test is one.
fn awaited() -> TimerBuilder {
    Timer::builder().daemon(false)
}

/// Runs `program` in a child process, which runs the test `name` only.
/// Returns its exit status and standard error, or `None` in the child.
fn ends(name: &str, program: impl FnOnce()) -> Option<(i32, String)> {
    if std::env::var(CHILD).is_ok_and(|test| test == name) {
        program();
        return None;
    }
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([&format!("timer_end::{name}"), "--exact", "--nocapture"])
        .env(CHILD, name)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut pipe = child.stderr.take().expect("it is piped");
    let reader = Thread::new(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    let reader = reader.daemon(true).start().expect("a thread");
    if !reader.wait_timeout(LIMIT) {
        child.kill().expect("it can be killed");
    }
    let text = finish(reader).expect("it wrote text");
    let status = child.wait().expect("it has ended");
    Some((status.code().unwrap_or_else(|| panic!("it did not end: {text}")), text))
}

#[track_caller]
fn expect(ended: Option<(i32, String)>, status: i32, text: &str) {
    if let Some(ended) = ended {
        assert_eq!(ended, (status, text.to_owned()));
    }
}

#[test]
fn program_waits_for_pending_timers_and_their_threads() {
    let ended = ends("program_waits_for_pending_timers_and_their_threads", || {
        let last = || drop(Thread::new(|| eprint!("three")).start().expect("not a daemon, as its starter"));
        let inner = move || {
            eprint!("two ");
            Timer::after(ms(20), last);
        };
        let outer = move || {
            eprint!("one ");
            Timer::after(ms(20), inner);
        };
        awaited().after(ms(100), outer).expect("it starts");
    });
    expect(ended, 0, "one two three");
}

#[test]
fn program_does_not_wait_for_daemon_or_cancelled_timers() {
    let ended = ends("program_does_not_wait_for_daemon_or_cancelled_timers", || {
        Timer::builder().daemon(true).after(HOUR, || eprint!("daemon")).expect("it starts");
        Timer::every(HOUR, || eprint!("repeating"));
        let early = awaited().after(HOUR, || eprint!("early")).expect("it starts");
        let never = awaited().after(Duration::MAX, || eprint!("never")).expect("it starts");
        assert!(early.cancel());
        awaited().after(ms(50), move || assert!(never.cancel())).expect("it starts");
    });
    expect(ended, 0, "");
}

#[test]
fn program_waits_for_repeating_timer_that_is_not_a_daemon() {
    let ended = ends("program_waits_for_repeating_timer_that_is_not_a_daemon", || {
        let (me, runs) = (Arc::new(OnceLock::<Timer>::new()), AtomicUsize::new(0));
        let own = me.clone();
        let function = move || {
            eprint!("tick ");
            if runs.fetch_add(1, Ordering::Relaxed) == 2 {
                until(|| own.get().is_some());
                assert!(own.get().expect("just seen").cancel());
            }
        };
        assert!(me.set(awaited().every(ms(30), function).expect("it starts")).is_ok());
    });
    expect(ended, 0, "tick tick tick ");
}

#[test]
fn panicking_function_does_not_keep_the_program_alive() {
    let ended = ends("panicking_function_does_not_keep_the_program_alive", || {
        awaited().every(ms(20), || panic!("out of paper")).expect("it starts");
    });
    if let Some((status, text)) = ended {
        assert_eq!(status, 0);
        assert!(text.contains("raddle: timer \"Timer-1\" panicked"), "{text}");
    }
}

#[test]
fn function_may_exit_and_the_program_waits_for_other_timers() {
    let ended = ends("function_may_exit_and_the_program_waits_for_other_timers", || {
        let leaves = awaited().after(ms(20), || exit(7)).expect("it starts");
        let waits = move || {
            leaves.wait().expect("a timer of another function");
            eprint!("over ");
        };
        drop(Thread::new(waits).daemon(false).start().expect("a thread"));
        let repeats = awaited().every(ms(25), || exit(7)).expect("it starts");
        let last = move || {
            assert!(repeats.wait_timeout(LIMIT), "its function will never return");
            assert!(!repeats.cancel(), "there is nothing left to cancel");
            eprint!("last");
        };
        awaited().after(ms(200), last).expect("it starts");
        Event::new().wait(); // until the timer ends the program
    });
    expect(ended, 7, "over last");
}

/// An exit handler that was registered before raddle's runs after it, when the program does not wait any more.
#[test]
fn timer_started_at_exit_fails_or_is_a_daemon() {
    extern "C" fn late() {
        let error =
            awaited().after(HOUR, || eprint!("never")).expect_err("the program would not wait for it");
        eprint!("{error}: ");
        error.into_inner()();
        let short = Timer::after(HOUR, || ());
        eprint!("; daemon: {}, cancelled: {}", short.is_daemon(), short.cancel());
    }
    let ended = ends("timer_started_at_exit_fails_or_is_a_daemon", || {
        // SAFETY: the handler is a plain function that lives as long as the program and does not unwind.
        unsafe { libc::atexit(late) };
        awaited().after(ms(20), || eprint!("in time; ")).expect("it starts");
    });
    let expected = "in time; failed to start timer: the program is ending; make it a daemon, or start it before the program ends: never; \
                    daemon: true, cancelled: true";
    expect(ended, 0, expected);
}

#[test]
fn million_cancelled_timers_do_not_leak() {
    let ended = ends("million_cancelled_timers_do_not_leak", || {
        let (held, one) = (Arc::new(()), Timer::after(HOUR, || ()));
        let start = || {
            let held = held.clone();
            Timer::after(HOUR, move || drop(held))
        };
        let before = memory();
        for _ in 0..100_000 {
            assert!(start().cancel());
        }
        let grown = memory() - before;
        assert!(grown < 8_000, "{grown} KiB for timers that are cancelled");
        assert_eq!((Timer::pending(), Arc::strong_count(&held)), (1, 1));
        let timers: Vec<Timer> = (0..1_000_000).map(|_| start()).collect();
        assert_eq!((Timer::pending(), Arc::strong_count(&held)), (1_000_001, 1_000_001));
        assert!(timers.iter().all(Timer::cancel));
        assert_eq!((Timer::pending(), Arc::strong_count(&held)), (1, 1));
        assert!(one.cancel());
        eprint!("bounded");
    });
    expect(ended, 0, "bounded");
}

/// Returns the peak memory of this process in KiB, or 0 if that is unknown.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
