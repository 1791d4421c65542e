//! A failing test prints a token, which replays its schedule: in this process, in another run of the same binary, and
//! after an edit elsewhere. The token of a changed program is reported as that.

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::{Event, Mutex, Queue, Shared, Thread, thread, time};
use raddle_explore::{Explorer, Grain, Outcome, Strategy, Time, replay};

fn lost_update(expected: i32) {
    let value = Arc::new(Shared::new(0));
    let threads = [(); 2].map(|()| {
        let value = value.clone();
        Thread::spawn(move || value.set(value.get() + 1))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(value.get(), expected, "an update was lost");
}

/// The same program on other lines, as after an edit above.
fn lost_update_on_other_lines() {
    let value = Arc::new(Shared::new(0));
    let threads = [(); 2].map(|()| {
        let value = value.clone();
        Thread::spawn(move || value.set(value.get() + 1))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(value.get(), 2, "an update was lost");
}

fn token() -> String {
    Explorer::new().run(|| lost_update(2)).expect_failure().token()
}

fn panics(f: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err("it panics");
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn token_replays_the_same_failure() {
    let token = token();
    let again = Explorer::new().replay(&token, || lost_update(2)).expect_failure();
    assert_eq!(again.token(), token);
    assert!(again.to_string().contains("an update was lost"));
    let text = panics(|| drop(replay(&token, || lost_update(2))));
    assert!(text.contains("an update was lost") && !text.contains("the program has changed"), "{text}");
}

#[test]
fn token_replays_if_the_program_reads_the_clock_late() {
    // Where the program reads the clock, computing a deadline is a step. In this program it reads the clock only after
    // a certain order of steps, and in the same way it reads the number of waiters.
    let programs: [fn(); 2] =
        [|| late(|| _ = time::now()), || late(|| assert_eq!(Queue::<u8>::unbounded().n_getters(), 0))];
    for program in programs {
        let token = Explorer::new().run(program).expect_failure().token();
        let again = Explorer::new().replay(&token, program).expect_failure();
        assert_eq!(again.token(), token);
        assert!(!again.to_string().contains("the program has changed"), "{again}");
    }
}

fn late(read: fn()) {
    let (first, second, queue) = (Event::new(), Event::new(), Queue::<u8>::bounded(1));
    thread::scope(|s| {
        s.spawn(|| {
            first.set();
            second.set();
        });
        let _ = queue.get_timeout(Duration::from_millis(1));
        if first.is_set() && !second.is_set() {
            read();
            panic!("between the two");
        }
    });
}

#[test]
fn token_survives_moved_lines() {
    let text = panics(|| drop(replay(&token(), lost_update_on_other_lines)));
    assert!(text.contains("an update was lost") && !text.contains("the program has changed"), "{text}");
}

#[test]
fn fixed_program_passes_with_the_old_token() {
    let outcome = Explorer::new().replay(&token(), || lost_update(1));
    assert!(matches!(outcome, Outcome::Inconclusive { executions: 1, .. }), "{outcome:?}");
}

#[test]
fn token_of_a_changed_program_is_reported() {
    let token = token();
    let text = panics(|| drop(replay(&token, || assert_eq!(Shared::new(1).get(), 1))));
    assert!(text.contains(&token) && text.contains("the program has changed"), "{text}");
    let text = panics(|| {
        drop(replay(&token, || {
            Shared::new(1).get();
            lost_update(3);
        }));
    });
    assert!(text.contains("an update was lost") && text.contains("the program has changed"), "{text}");
}

#[test]
fn invalid_token_is_rejected_with_an_example() {
    let text = panics(|| drop(replay("nonsense", || ())));
    assert!(text.contains("\"nonsense\" is not the token") && text.contains("r2oe-"), "{text}");
}

#[test]
fn token_determines_grain_and_time() {
    let explorer = Explorer::new().grain(Grain::Atoms).time(Time::Quiescent);
    let report = explorer.run(|| lost_update(2)).expect_failure();
    assert!(report.token().starts_with("r2aq-"));
    let again = Explorer::new().replay(&report.token(), || lost_update(2)).expect_failure();
    assert_eq!(again.token(), report.token());
}

/// Runs in the child process of the next test only.
#[test]
#[ignore = "run by another test"]
fn no_update_is_lost() {
    raddle_explore::check(|| lost_update(2)).assert_exhausted();
}

/// Runs in a child process only.
#[test]
#[ignore = "run by another test"]
fn several_explorations() {
    raddle_explore::check(|| lost_update_of_another_cell(2)).assert_exhausted();
    raddle_explore::check(|| lost_update(2)).assert_exhausted();
}

/// Another program than [`lost_update`], and a correct one.
fn lost_update_of_another_cell(expected: i32) {
    let total = Arc::new(Mutex::new(0));
    let other = Thread::spawn({
        let total = total.clone();
        move || *total.lock() += 1
    });
    *total.lock() += 1;
    other.join().unwrap();
    assert_eq!(*total.lock(), expected);
}

fn child(variables: &[(&str, &str)]) -> Output {
    child_test("replay::no_update_is_lost", variables)
}

fn child_test(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", test]).envs(variables.iter().copied());
    command.env_remove("RUST_BACKTRACE").output().unwrap()
}

#[test]
fn token_of_a_later_exploration_of_the_same_test_replays() {
    let run = |variables: &[(&str, &str)]| {
        let output = child_test("replay::several_explorations", variables);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (passes, text) = run(&[]);
    let (_, command) = text.split_once("RADDLE_REPLAY=").expect(&text);
    let token = command.split_whitespace().next().unwrap();
    let (passes_again, again) = run(&[("RADDLE_REPLAY", token)]);
    assert!(!passes && !passes_again && again.contains("replayed from its token"), "{again}");
    assert!(again.contains("explored without the token"), "{again}");
    // The panic points to the line of the test.
    let line = again.lines().find(|line| line.contains("panicked at")).unwrap();
    assert!(line.contains("tests/explorer/replay.rs"), "{line}");
}

#[test]
fn invalid_token_is_reported_at_the_line_of_the_test() {
    let output = child(&[("RADDLE_REPLAY", "nonsense")]);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains("panicked at")).unwrap();
    assert!(!output.status.success() && line.contains("tests/explorer/replay.rs"), "{text}");
}

#[test]
fn failure_that_depends_on_earlier_executions_is_reported_as_such() {
    static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);
    static EARLIER: AtomicUsize = AtomicUsize::new(0);
    let report = Explorer::new().run(|| {
        let cell = Shared::new(0);
        thread::scope(|s| {
            s.spawn(|| cell.set(1));
            cell.get();
        });
        assert_ne!(EXECUTIONS.fetch_add(1, Relaxed), 1, "the second execution");
    });
    let text = report.expect_failure().to_string();
    assert!(text.contains("did not recur") && text.contains("a `static`"), "{text}");
    // State that changes the steps is found where they differ.
    let report = Explorer::new().run(|| {
        let cell = Shared::new(0);
        (0..EARLIER.fetch_add(1, Relaxed)).for_each(|number| cell.set(number));
    });
    let report = report.expect_failure();
    assert_eq!(report.kind(), "not repeatable");
    assert!(report.to_string().contains("create all state inside the closure"), "{report}");
}

#[test]
fn token_of_a_failing_test_replays_in_another_process() {
    let directory = std::env::temp_dir().join(format!("raddle-report-{}", std::process::id()));
    let first = child(&[("RADDLE_REPORT", directory.to_str().unwrap())]);
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(!first.status.success() && text.contains("an update was lost"), "{text}");
    let command = text
        .lines()
        .find_map(|line| line.strip_prefix("to replay this schedule: RADDLE_REPLAY="))
        .expect(&text);
    let (token, rest) = command.split_once(' ').unwrap();
    assert_eq!(rest, "cargo test replay::no_update_is_lost -- --exact");
    let page = std::fs::read_to_string(directory.join("replay__no_update_is_lost.html")).unwrap();
    assert!(page.contains("an update was lost") && page.contains(token));
    let json = std::fs::read_to_string(directory.join("replay__no_update_is_lost.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["steps"].as_array().unwrap().len() > 8);
    std::fs::remove_dir_all(&directory).unwrap();

    let second = child(&[("RADDLE_REPLAY", token)]);
    let text = String::from_utf8_lossy(&second.stdout).into_owned();
    assert!(
        !second.status.success() && text.contains("an update was lost") && text.contains(token),
        "{text}"
    );

    let wrong = child(&[("RADDLE_REPLAY", "r2oe-00000000.9-1.1")]);
    let text = String::from_utf8_lossy(&wrong.stdout).into_owned();
    assert!(!wrong.status.success() && text.contains("the program has changed"), "{text}");
}

#[test]
fn unwritable_report_directory_is_reported() {
    let blocked = child(&[("RADDLE_REPORT", "/dev/null/reports")]);
    let text = String::from_utf8_lossy(&blocked.stdout).into_owned();
    assert!(text.contains("an update was lost") && text.contains("the page could not be written"), "{text}");
}

/// Never ends, and its steps have no repeating order.
fn endless() {
    let cell = Arc::new(Shared::new(0_u32));
    let theirs = cell.clone();
    let _other = Thread::new(move || {
        loop {
            theirs.set(theirs.get() + 1);
        }
    })
    .daemon(true)
    .start()
    .unwrap();
    loop {
        cell.set(cell.get() + 1);
    }
}

#[test]
fn long_token_is_written_to_a_named_file() {
    let explorer = || Explorer::new().max_steps(3_000);
    let report = explorer().strategy(Strategy::Random).shrink(false).run(endless).expect_failure();
    assert!(report.token().len() > 1_000, "{}", report.token());
    let text = report.to_string();
    let longest = text.split_whitespace().map(str::len).max().unwrap();
    assert!(longest <= 200, "a word of {longest} characters: {text}");
    let (_, command) = text.split_once("RADDLE_REPLAY=").unwrap();
    let file = command.split_whitespace().next().unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), report.token());
    let again = explorer().replay(file, endless).expect_failure();
    assert_eq!((again.kind(), again.token()), (report.kind(), report.token()));
    assert!(report.to_html().contains(file), "the page names the file, too");
    std::fs::remove_file(file).unwrap();

    let text = panics(|| drop(replay(file, || ())));
    assert!(text.contains("neither the token of a schedule nor a file"), "{text}");
    std::fs::write(file, "nonsense").unwrap();
    let text = panics(|| drop(replay(file, || ())));
    assert!(text.contains(file) && text.contains("\"nonsense\" is not the token"), "{text}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn token_of_an_earlier_version_is_rejected_by_name() {
    let text = panics(|| drop(replay("r1oe-0a1b2c3d.17-12.1_3.2", || ())));
    assert!(text.contains("earlier version"), "{text}");
}

#[test]
fn second_report_of_a_name_gets_its_own_file() {
    let directory = std::env::temp_dir().join(format!("raddle-reports-{}", std::process::id()));
    let report = || Explorer::new().run(|| lost_update(2)).expect_failure();
    let pages = [(); 3].map(|()| report().write_to(&directory).unwrap());
    assert!(pages[0] != pages[1] && pages[1] != pages[2]);
    assert!(pages.iter().all(|page| page.exists() && page.with_extension("json").exists()), "{pages:?}");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn same_seed_gives_the_same_schedules() {
    let threads = || {
        let value = Arc::new(Shared::new(0));
        let threads = [(); 3].map(|()| {
            let value = value.clone();
            Thread::spawn(move || (0..3).for_each(|_| value.set(value.get() + 1)))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(value.get(), 9, "an update was lost");
    };
    for strategy in [Strategy::Portfolio, Strategy::Surw, Strategy::Pos, Strategy::Pct, Strategy::Random] {
        let found = |seed| {
            let explorer = Explorer::new().strategy(strategy).seed(seed).shrink(false);
            let report = explorer.run(threads).expect_failure();
            (report.execution(), report.token())
        };
        let first: Vec<_> = (0..4).map(found).collect();
        assert_eq!(first, (0..4).map(found).collect::<Vec<_>>(), "{strategy:?}");
        // The first execution of the portfolio does not depend on chance.
        let differ = first.iter().any(|other| *other != first[0]);
        assert!(differ || strategy == Strategy::Portfolio, "{strategy:?}: the seed changes nothing");
    }
}
