//! The reports that the README and the front page of the documentation show are those that the explorer prints.

use raddle::atomic::{AtomicU32, Ordering::SeqCst};
use raddle::{Shared, Thread, thread};
use raddle_explore::Explorer;
use std::sync::Arc;

/// The program of the README, and the number of the line that is line 1 there.
fn no_hit_is_lost() -> (String, u32) {
    let base = line!() - 5;
    let outcome = Explorer::new().run(|| {
        let hits = AtomicU32::new(0);
        let hit = || hits.store(hits.load(SeqCst) + 1, SeqCst);
        thread::scope(|s| {
            s.spawn(hit);
            hit();
        });
        assert_eq!(hits.load(SeqCst), 2);
    });
    (outcome.expect_failure().to_string(), base)
}

/// The program of the front page.
#[rustfmt::skip] // on the lines that it has there
fn no_update_is_lost() -> (String, u32) {
    let base = line!() - 5;
    let outcome = Explorer::new().run(|| {
        let count = Arc::new(Shared::new(0));
        let other = Thread::spawn({ let count = count.clone(); move || count.set(count.get() + 1) });
        count.set(count.get() + 1);
        other.join().unwrap();
        assert_eq!(count.get(), 2);
    });
    (outcome.expect_failure().to_string(), base)
}

/// Returns the words of each line that is not empty, with the lines of `file` counted from `base`.
fn words(text: &str, file: &str, base: u32) -> Vec<String> {
    let relative = |word: &str| {
        let number = word.strip_prefix(file)?.strip_prefix(':')?;
        let (line, column) = number.split_once(':').map_or((number, None), |(line, rest)| (line, Some(rest)));
        let line = line.parse::<u32>().ok()? - base;
        // The column depends on how deeply the program is indented.
        Some(if column.is_some() { format!("LINE {line}:") } else { format!("LINE {line}") })
    };
    let line = |line: &str| {
        let words: Vec<_> =
            line.split_whitespace().map(|word| relative(word).unwrap_or(word.to_owned())).collect();
        words.join(" ")
    };
    text.lines().map(line).filter(|line| !line.is_empty()).collect()
}

/// Runs it on a thread with the name that the harness gives to a test.
#[expect(clippy::disallowed_methods, reason = "a thread of the test harness is none of raddle's")]
fn in_a_test(name: &str, run: fn() -> (String, u32)) -> (String, u32) {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(run).unwrap().join().unwrap()
}

#[track_caller]
fn assert_shown(text: &str, begin: &str, file: &str, name: &str, run: fn() -> (String, u32)) {
    let shown = text.split("```text\n").find(|block| block.starts_with(begin)).expect("it is shown");
    let shown = words(shown.split("```").next().unwrap(), file, 0);
    let (report, base) = in_a_test(name, run);
    let real = words(&report, "crates/raddle-explore/tests/explorer/readme.rs", base);
    let real = if real.iter().any(|line| line.contains("LINE")) {
        real
    } else {
        words(&report, "tests/explorer/readme.rs", base) // a package of its own
    };
    for (place, line) in shown.iter().enumerate() {
        assert_eq!(Some(line), real.get(place), "{report}");
    }
}

#[test]
fn readme_shows_the_report_that_is_printed() {
    let text = include_str!("../../README.md");
    assert_shown(text, "thread \"MainThread\" panicked", "tests/hits.rs", "no_hit_is_lost", no_hit_is_lost);
}

#[test]
fn front_page_shows_the_report_that_is_printed() {
    let text = include_str!("../../src/lib.rs").replace("//! ", "").replace("//!", "");
    assert_shown(
        &text,
        "thread \"MainThread\" panicked",
        "tests/counter.rs",
        "no_update_is_lost",
        no_update_is_lost,
    );
}
