//! The example that records a race, as a child process.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds the example and returns its path.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).expect("tests are in PROFILE/deps");
    let directory = profile.file_name().and_then(|name| name.to_str()).expect("a profile's directory");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--example", name, "--profile"])
        .arg(if directory == "debug" { "dev" } else { directory })
        .arg("--target-dir")
        .arg(profile.parent().expect("a target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the example cannot be built");
    profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
}

#[test]
fn racecond_steps_draws_the_recorded_steps() {
    let run = Command::new(example("racecond_steps")).stdin(Stdio::null()).output().unwrap();
    assert!(run.status.success(), "{run:#?}");
    let stdout = String::from_utf8(run.stdout.clone()).unwrap();
    let tables: Vec<&str> = stdout.split("\nstep ").skip(1).collect();
    assert_eq!(tables.len(), 3, "{run:#?}");
    assert!(tables[0].contains("No update was lost"), "{run:#?}");
    let page = stdout.lines().last().unwrap_or_default();
    let page = std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{page}: {error}"));
    assert!(page.contains("an update was lost") && page.contains("0 → 1"), "{page}");
    for table in tables {
        let rows: Vec<&str> = table.lines().skip(1).take_while(|row| !row.is_empty()).collect();
        follow(&rows, table);
    }
}

/// Checks a table from top to bottom, and that its last line states the result of the steps.
fn follow(rows: &[&str], table: &str) {
    // The table has lost its first word, the `step` of the header.
    let second = table.find("Thread 1").map_or(usize::MAX, |at| at + "step ".len());
    let mut value = rows[0].trim();
    assert_eq!(value, "0");
    let (mut stores, mut local) = (0, [None; 2]);
    for (number, row) in (1..).zip(&rows[1..]) {
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[0], number.to_string(), "{table}");
        let column = usize::from(row.find(words[2]).unwrap() >= second);
        match words[2] {
            "loads" => {
                assert_eq!(words[3], value, "{table}");
                local[column] = words[3].parse::<u32>().ok();
            }
            "stores" => {
                assert_eq!(words[3].parse().ok(), local[column].map(|seen| seen + 1), "{table}");
                (value, stores) = (words[3], stores + 1);
            }
            _ => {}
        }
        assert_eq!(*words.last().unwrap(), value, "{table}");
    }
    let lost = stores - value.parse::<u32>().unwrap();
    assert_eq!(lost > 0, table.contains(" is lost: "), "{table}");
    assert_eq!(lost == 0, table.contains("No update was lost"), "{table}");
}
