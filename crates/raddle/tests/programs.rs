//! The tutorial's programs: each example runs as a child process, and its output is checked.
//!
//! The tests assert what a program guarantees, not the order in which its threads run.

#[path = "support/program.rs"]
mod program;
mod support;

use std::time::Duration;

use program::{Log, Run, example, repeatedly};

const TWO_SECONDS: Duration = Duration::from_secs(2);

const BEGIN: [&str; 3] =
    ["Main    : before creating thread", "Main    : before running thread", "Thread 1: starting"];
const WAIT: &str = "Main    : wait for the thread to finish";
const DONE: &str = "Main    : all done";
const FINISHING: &str = "Thread 1: finishing";

#[test]
fn single_thread_outlives_main() {
    // The thread sleeps for two seconds. If the machine is so busy that main takes as long, the next run shows it.
    let outlives = || {
        let run = example("single_thread").run();
        let log = run.good();
        log.in_order(&[BEGIN[0], BEGIN[1], BEGIN[2], FINISHING]);
        log.in_order(&[BEGIN[0], BEGIN[1], WAIT, DONE]);
        assert_eq!(log.messages.len(), 6);
        assert!(run.took >= TWO_SECONDS, "{run:?}");
        log.place(DONE) < log.place(FINISHING)
    };
    assert!((0..5).any(|_| outlives()));
}

#[test]
fn daemon_thread_is_abandoned() {
    repeatedly(20, || {
        let run = example("daemon_thread").run();
        let log = run.good();
        log.in_order(&[BEGIN[0], BEGIN[1], WAIT, DONE]);
        assert!(log.messages.len() == 4 || log.place(BEGIN[2]) > 1, "{run:?}");
        // A run that takes as long as the thread shows nothing.
        assert!(!log.messages.contains(&FINISHING) || run.took >= TWO_SECONDS, "{run:?}");
    });
}

#[test]
fn join_thread_waits_for_either_kind() {
    for arguments in [&[][..], &["daemon"]] {
        let run = arguments.iter().fold(example("join_thread"), |program, arg| program.arg(arg)).run();
        let log = run.good();
        log.in_order(&[BEGIN[0], BEGIN[1], BEGIN[2], FINISHING, DONE]);
        log.in_order(&[BEGIN[1], WAIT, DONE]);
        assert_eq!(log.messages.len(), 6);
        assert!(run.took >= TWO_SECONDS, "{run:?}");
    }
}

#[test]
fn join_thread_refuses_a_wrong_argument() {
    let run = example("join_thread").arg("demon").run();
    assert_eq!(run.status, Some(2), "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(run.stderr.contains("\"daemon\""), "{run:?}");
}

#[test]
fn multiple_threads_are_joined_in_order() {
    let run = example("multiple_threads").run();
    let log = run.good();
    let main: Vec<_> = log.after("Main    : ");
    let created = (0..3).map(|n| format!("create and start thread {n}."));
    let joined = (0..3).flat_map(|n| [format!("before joining thread {n}."), format!("thread {n} done")]);
    assert_eq!(main, created.chain(joined).collect::<Vec<_>>());
    for n in 0..3 {
        let [starting, finishing] = [format!("Thread {n}: starting"), format!("Thread {n}: finishing")];
        log.in_order(&[&starting, &finishing, &format!("Main    : thread {n} done")]);
    }
    assert!(run.took >= TWO_SECONDS, "{run:?}");
}

#[test]
fn executor_is_joined_at_the_end_of_its_scope() {
    let run = example("executor").run();
    let log = run.good();
    for n in 0..3 {
        log.in_order(&[&format!("Thread {n}: starting"), &format!("Thread {n}: finishing"), DONE]);
    }
    assert!(run.took >= TWO_SECONDS, "{run:?}");
}

#[test]
fn racecond_loses_an_update() {
    repeatedly(50, || {
        let run = example("racecond").run();
        let [start, end] =
            [0, 1].map(|n| format!("Testing update. {} value is {n}.", ["Starting", "Ending"][n]));
        updates(&run.good(), &start, &end);
    });
}

#[test]
fn fixrace_loses_none() {
    const START: &str = "Testing locked update. Starting value is 0.";
    const END: &str = "Testing locked update. Ending value is 2.";
    repeatedly(50, || {
        let run = example("fixrace").env("RUST_LOG", "debug").run();
        let mut log = run.good();
        for n in 0..2 {
            let steps = ["about to lock", "has lock", "about to release lock", "after release"];
            log.in_order(&steps.map(|step| format!("Thread {n} {step}")).each_ref().map(String::as_str));
        }
        // The holder releases the lock before the other thread acquires it.
        let held =
            |message: &&&str| message.ends_with(" has lock") || message.ends_with(" about to release lock");
        let turns: Vec<&str> = log.messages.iter().filter(held).map(|message| &message[..8]).collect();
        assert!(turns.len() == 4 && turns[0] == turns[1] && turns[2] == turns[3], "{run:?}");
        log.messages.retain(|message| message.contains("update"));
        updates(&log, START, END);
        assert!(run.took >= Duration::from_millis(200), "{run:?}");
    });
    updates(&example("fixrace").run().good(), START, END);
}

/// Asserts that the log contains two updates between `start` and `end`, and nothing else.
fn updates(log: &Log<'_>, start: &str, end: &str) {
    for n in 0..2 {
        log.in_order(&[
            start,
            &format!("Thread {n}: starting update"),
            &format!("Thread {n}: finishing update"),
            end,
        ]);
    }
    assert_eq!(log.messages.len(), 6, "{:?}", log.messages);
}

#[test]
fn deadlock_is_reported_and_ends_the_program() {
    let run = example("deadlock").env("RADDLE_WATCH", "1").run();
    assert_eq!(run.status, Some(101), "{run:?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines[0].ends_with(": before first acquire"), "{run:?}");
    assert!(lines[1].ends_with(": before second acquire"), "{run:?}");
    assert!(!run.stderr.contains("acquired lock twice"), "{run:?}");
    let report = lines[2..].join("\n");
    let (taken, awaited) = (line_of("deadlock.rs", "before first"), line_of("deadlock.rs", "before second"));
    assert!(report.contains("deadlock") && report.contains("waits for Lock 0x"), "{report}");
    assert!(report.contains(&format!("deadlock.rs:{}:", awaited + 1)), "awaited there: {report}");
    assert!(
        report.contains(&format!("held by itself, acquired at {}:{}:", path_to("deadlock.rs"), taken + 1)),
        "{report}"
    );
}

#[test]
#[cfg(debug_assertions)]
fn watch_is_on_by_default_in_debug_builds() {
    let run = example("deadlock").run();
    assert_eq!(run.status, Some(101), "{run:?}");
}

#[test]
fn lock_order_warns_on_request() {
    let asked = example("lock_order").env("RADDLE_WATCH", "order").run();
    assert_eq!((asked.status, asked.stdout.as_str()), (Some(0), "80 and 120\n"), "{asked:?}");
    for (thread, line) in [("there", "accounts.0.lock()"), ("back", "accounts.1.lock()")] {
        let held_at = format!("lock_order.rs:{}:", line_of("lock_order.rs", &format!("from = {line}")));
        let name = format!("thread \"{thread}\" acquired Mutex");
        assert!(asked.stderr.contains(&name) && asked.stderr.contains(&held_at), "{asked:?}");
    }
    let unasked = example("lock_order").env("RADDLE_WATCH", "1").run();
    assert_eq!((unasked.status, unasked.stderr.as_str()), (Some(0), ""), "{unasked:?}");
}

/// The path of an example as its reports have it: from the root of the workspace, or of the package.
fn path_to(example: &str) -> String {
    file!().replace("tests/programs.rs", "examples/") + example
}

#[test]
fn dump_shows_waiters_and_holders() {
    let run = example("dump").env("RADDLE_WATCH", "1").run();
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    let held = line_of("dump.rs", "let held");
    for part in [
        "raddle: 3 threads",
        "thread \"writer\" (ident ",
        "waits for Mutex ",
        &format!("held by thread \"MainThread\", acquired at {}:{held}:", path_to("dump.rs")),
        "s left",
    ] {
        assert!(run.stdout.contains(part), "{part} is missing: {}", run.stdout);
    }
    let unwatched = example("dump").env("RADDLE_WATCH", "0").run();
    assert!(unwatched.stdout.contains("The watch is off"), "{unwatched:?}");
}

#[test]
fn deadlock_rlock_completes() {
    let run = example("deadlock_rlock").run();
    let log = run.good();
    log.in_order(&[
        "before first acquire",
        "before second acquire",
        "acquired lock twice",
        "released lock twice",
    ]);
    let error = log.after("released once too often: ");
    assert!(error[0].contains("does not hold"), "{run:?}");
}

#[test]
fn prodcom_lock_loses_nothing() {
    repeatedly(50, || {
        let run = example("prodcom_lock").run();
        let log = run.good();
        let got = log.after("Producer got message: ");
        assert_eq!(got.len(), 10, "{run:?}");
        assert!(got.iter().all(|number| (1..=101).contains(&number.parse::<u32>().unwrap())), "{run:?}");
        assert_eq!(log.after("Consumer storing message: "), got, "{run:?}");
        assert_eq!(log.messages.len(), 20, "{run:?}");
    });
}

#[test]
fn prodcom_queue_stores_all_and_ends() {
    repeatedly(50, || pipeline_is_drained(&example("prodcom_queue").run(), "queue size="));
}

#[test]
fn prodcom_better_queue_stores_all_and_ends() {
    repeatedly(50, || pipeline_is_drained(&example("prodcom_better_queue").run(), "size="));
}

fn pipeline_is_drained(run: &Run, size: &str) {
    let log = run.good();
    log.in_order(&[
        "Main: about to set event",
        "Producer received EXIT event. Exiting",
        "Consumer received EXIT event. Exiting",
    ]);
    assert_eq!(log.messages.last(), Some(&"Consumer received EXIT event. Exiting"));
    let stored = log.after("Consumer storing message: ").into_iter().map(|text| {
        let (message, size) =
            text.strip_suffix(')').and_then(|text| text.split_once(&format!(" ({size}"))).unwrap();
        assert!(size.parse::<usize>().unwrap() <= 10, "{text}");
        message
    });
    let (stored, got): (Vec<_>, Vec<_>) = (stored.collect(), log.after("Producer got message: "));
    assert!(got.iter().all(|message| (1..=101).contains(&message.parse::<u32>().unwrap())));
    assert!(stored == got, "got {got:?}, stored {stored:?}");
    assert_eq!(
        log.messages.len(),
        2 * got.len() + 3,
        "{} other messages",
        log.messages.len() - 2 * got.len()
    );
    assert!(run.took >= Duration::from_millis(100), "{:?}", run.took);
}

#[test]
fn semaphore_grants_at_most_three_connections() {
    // On a busy machine, a thread may begin when another one has ended.
    assert!((0..5).any(|_| most_connections() == 3));
}

/// Runs the program once. Returns how many connections were in use at most.
fn most_connections() -> usize {
    let run = example("semaphore").run();
    let log = run.good();
    let counts: Vec<usize> = log.messages.iter().filter_map(|message| in_use(message)).collect();
    assert_eq!(counts.len(), 21, "{run:?}");
    assert!(counts.iter().all(|count| *count <= 3), "{run:?}");
    assert_eq!(counts.last(), Some(&0));
    for name in 0..10 {
        let lines = log.after(&format!("Thread {name}: "));
        assert_eq!(lines.len(), 3, "{run:?}");
        assert!(
            lines[0] == "wants a connection"
                && lines[1].starts_with("connected ")
                && lines[2].starts_with("leaves ")
        );
    }
    let refused = log.after("Main    : a release too many: ");
    assert!(refused[0].contains("bound is 3"), "{run:?}");
    log.place("Main    : connections free: 3");
    counts.into_iter().max().expect("they were used")
}

fn in_use(message: &str) -> Option<usize> {
    message.split_once("(connections in use: ")?.1.strip_suffix(')')?.parse().ok()
}

#[test]
fn timer_is_cancelled_by_an_answer() {
    // If the timer were not cancelled, the program would wait for it and print its message.
    let run = example("timer").arg("30").input("Ada\n").run();
    assert!(run.good().messages.is_empty(), "{run:?}");
    assert!(run.stdout.contains("Hello, Ada! The timer is cancelled"), "{run:?}");
}

#[test]
fn timer_runs_once_on_another_thread_and_not_early() {
    // No input arrives; then the input ends.
    for program in [example("timer").input(""), example("timer")] {
        let run = program.arg("0.4").run();
        assert!(run.took >= Duration::from_millis(400), "{run:?}");
        let log = run.good();
        assert_eq!(log.messages.len(), 1, "{run:?}");
        let (thread, _) = log.messages[0].split_once(": time is up").expect("the function's line");
        assert_ne!(thread, "MainThread");
        assert!(
            run.stdout.contains("No answer in time: the timer ran, ") && run.stdout.contains(" late."),
            "{run:?}"
        );
        assert!(run.stdout.contains("Cancelled afterwards: false."), "{run:?}");
    }
}

#[test]
fn timer_refuses_a_wrong_argument() {
    for argument in ["soon", "-1", "NaN", ""] {
        let run = example("timer").arg(argument).run();
        assert_eq!((run.status, run.stderr.lines().count()), (Some(2), 1), "{run:?}");
    }
}

#[test]
fn barrier_holds_all_until_the_last_is_ready() {
    let run = example("barrier").run();
    let log = run.good();
    let mut turns = Vec::new();
    for n in 0..4 {
        log.in_order(&[&format!("Thread {n}: initialised"), "Barrier : all are here"]);
        turns.extend(log.after(&format!("Thread {n}: working (came as number ")));
    }
    turns.sort_unstable();
    assert_eq!(turns, ["0)", "1)", "2)", "3)"]);
    let first_working = log.messages.iter().position(|message| message.contains(": working ")).unwrap();
    assert!(first_working > log.place("Barrier : all are here"), "{run:?}");
    // Broken by an abort, then by a timeout.
    log.place("Main    : cannot initialise, aborts");
    assert!(log.after("Thread 4: ")[1].contains("broken"), "{run:?}");
    assert!(log.after("Main    : no thread arrived within 0.1 s: ")[0].contains("broken"), "{run:?}");
    log.place("Main    : broken after reset: false");
}

#[test]
fn log_has_local_time_and_debug_lines_on_request() {
    let clock = |zone| {
        let run = example("prodcom_lock").env("TZ", zone).env("RUST_LOG", "debug").run();
        assert_eq!(run.good().after("Producer:").len(), 11 * 4, "{run:?}");
        program::minutes(&run.stderr[..8]).unwrap()
    };
    let (greenwich, kolkata) = (clock("UTC0"), clock("IST-5:30"));
    let ahead = (kolkata + 24 * 60 - greenwich) % (24 * 60);
    assert!((330..335).contains(&ahead), "{ahead} minutes");
}

/// Returns the number of the first line of an example's source that contains `text`.
fn line_of(example: &str, text: &str) -> usize {
    let path = format!("{}/examples/{example}", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(path).unwrap();
    source.lines().position(|line| line.contains(text)).unwrap() + 1
}
