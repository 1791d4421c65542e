//! The race of `racecond`, step by step: the running thread, its `local_copy`, and the shared value.
//!
//! ```text
//! cargo run --example racecond_steps
//! ```
//!
//! Watch for: three tables, to be read from top to bottom. The first shows one thread, the second two threads that
//! race, and the third two threads that only execute `x += 1`, which is three steps: load, add, store. Each table is
//! the recording of a run, and the line below it is computed from the recording. At the end, the program searches for
//! a schedule that loses an update, and writes it as a page to step through, forwards and backwards. On a desktop, it
//! opens the page.
#[path = "support/table.rs"]
mod table;

use std::error::Error;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use raddle::trace::{Recording, note};
use raddle::{Barrier, Shared, Thread, thread, trace};
use raddle_explore::Explorer;
use table::Table;

fn update(value: &Shared<u32>) {
    let mut local_copy = value.get();
    note("local_copy", local_copy);
    local_copy += 1;
    note("local_copy", local_copy);
    thread::sleep(Duration::from_millis(100));
    value.set(local_copy);
}

/// `x += 1`, as the processor sees it.
fn increment(x: &Shared<u32>) {
    let mut register = x.get(); // load
    register += 1; // add
    note("add: register", register);
    x.set(register); // store
}

/// Records `n` threads that begin at the same time and all run `function` on one value.
fn record(n: usize, function: fn(&Shared<u32>)) -> Result<Table, Box<dyn Error>> {
    let (value, start) = (Arc::new(Shared::new(0)), Arc::new(Barrier::new(n)));
    let recording = Recording::start();
    let begin = |name| {
        let (value, start) = (value.clone(), start.clone());
        let run = move || start.wait().map(|_| function(&value));
        Thread::new(run).name(format!("Thread {name}")).start()
    };
    let threads = (0..n).map(begin).collect::<Result<Vec<_>, _>>()?;
    for thread in threads {
        thread.join()??;
    }
    Ok(Table::of(recording.finish()))
}

/// Two threads increment a value. The assertion that both increments count fails under some schedules.
fn both_count() {
    let value = Arc::new(Shared::new(0));
    trace::name(&*value, "value");
    let begin = |number| {
        let value = value.clone();
        Thread::new(move || increment(&value)).name(format!("Thread {number}")).start()
    };
    for thread in [0, 1].map(begin) {
        thread.expect("a thread can be started").join().expect("an increment does not panic");
    }
    assert_eq!(value.get(), 2, "an update was lost");
}

/// Finds a schedule that loses an update, and draws it.
fn explore() -> Result<(u64, PathBuf), Box<dyn Error>> {
    let report = Explorer::new().run(both_count).expect_failure();
    let directory = std::env::temp_dir().join(format!("racecond_steps-{}", std::process::id()));
    Ok((report.execution(), report.write_to(&directory)?))
}

/// Opens the page if the program runs in a terminal of a desktop.
fn open(page: &Path) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if std::io::stdout().is_terminal() && (desktop || cfg!(target_os = "macos")) {
        // If the program is not installed, the printed path is all that the user gets.
        let _ = Command::new(opener).arg(page).stderr(Stdio::null()).status();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("One thread updates the value:\n\n{}", record(1, update)?);
    println!("Two threads update it, and both sleep between load and store:\n\n{}", record(2, update)?);
    // Without the sleep the two threads seldom interleave, so this is repeated until they do.
    let (mut run, mut table) = (1, record(2, increment)?);
    while table.lost().is_empty() && run < 1_000 {
        (run, table) = (run + 1, record(2, increment)?);
    }
    println!("Two threads do `x += 1`, without any sleep; this is run {run}:\n\n{table}");
    let (execution, page) = explore()?;
    println!(
        "Searched for, not waited for: execution {execution} of the explorer loses an update. Step through it:"
    );
    println!("{}", page.display());
    open(&page);
    Ok(())
}
