//! Counts the instructions of operations on one thread with valgrind's callgrind, and compares them with those in
//! `counts.txt`. The counts do not depend on the load of the machine, so that a regression shows.
//!
//! ```text
//! cargo run --release -p raddle-counts                 # compares; fails if a count is more than 10 % above the file
//! cargo run --release -p raddle-counts -- --accept     # writes the file
//! ```
#![forbid(unsafe_code)]

mod callgrind;
mod file;
mod operations;

use std::process::ExitCode;

use file::Counts;

/// The tolerated factor: another compiler may generate slightly slower code.
const TOLERANCE: f64 = 1.1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => compare(),
        ["--accept"] => accept(),
        ["run", name, times] => run(name, times),
        _ => Err("usage: raddle-counts [--accept]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("raddle-counts: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Repeats an operation; run under callgrind.
fn run(name: &str, times: &str) -> Result<(), String> {
    let times = times.parse().map_err(|error| format!("{times:?} is not a number: {error}"))?;
    operations::find(name).ok_or_else(|| format!("there is no operation {name:?}"))?(times);
    #[cfg(feature = "explorer")]
    drop(raddle_explore::Explorer::new()); // links the explorer
    Ok(())
}

fn measured() -> Result<Counts, String> {
    operations::ALL.iter().map(|(name, _)| Ok(((*name).to_owned(), callgrind::count(name)?))).collect()
}

fn accept() -> Result<(), String> {
    file::write(&measured()?)
}

fn compare() -> Result<(), String> {
    let (before, now) = (file::read()?, measured()?);
    let mut worse = Vec::new();
    println!("instructions per operation, and in {}", file::PATH);
    for (name, count) in &now {
        match before.get(name) {
            Some(known) => {
                println!("{name:28} {count:8.1} {known:8.1}");
                if *count > known * TOLERANCE + 1.0 {
                    worse.push(name.as_str());
                }
            }
            None => worse.push(name),
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than 10 % above the file, or not in it: {}: to accept the new counts: cargo run --release -p raddle-counts -- --accept",
        worse.join(", ")
    ))
}
