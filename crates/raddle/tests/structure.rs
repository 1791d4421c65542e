//! Structural rules for the sources: no cycles between modules, `unsafe` in the listed files only, and a test for each
//! promise in `docs/promises.md`.

#[path = "support/modules.rs"]
mod modules;

use std::path::Path;

use modules::{Tree, cycles, dependencies, read, tokens};

/// The files of raddle that may contain `unsafe`.
const UNSAFE: &[&str] = &[
    "erase.rs",              // erases the lifetime of a closure
    "sys/prefetch.rs",       // prefetches memory
    "rt/locals.rs",          // reads the memory of thread-locals
    "sys/os.rs",             // system calls
    "rt/show.rs",            // items of types that are recognized
    "pool/small_closure.rs", // a closure stored in place
    "pool/scope.rs",         // tasks that borrow from their scope
    "mutex.rs",              // a value under a mutex
    "raw/spin_lock.rs",      // a value under a spin lock
    "raw/slot.rs",           // an item under a lock
    "reentrant.rs",          // a value under a re-entrant lock
    "thread/scope.rs",       // threads that borrow from their scope
];

/// The other crates of the workspace, each with the files that may contain `unsafe`.
const OTHERS: &[(&str, &[&str])] = &[
    ("crates/raddle-explore", &[]),
    ("crates/raddle-ingest", &[]),
    ("crates/raddle-cli", &[]),
    // A cleanup handler of glibc; frames of Python, and memory for its stacks; the arguments of calls.
    (
        "crates/raddle-py",
        &["ending.rs", "explore/frame.rs", "explore/hook.rs", "explore/stacks.rs", "fast.rs", "lines.rs"],
    ),
    ("benches", &["cases/sem_t.rs"]), // calls the C library's semaphore
    ("benches/counts", &[]),
];

/// The dependencies of the published crates, those of their tests included, each with its reason.
const DEPENDENCIES: &[(&str, &[(&str, &str)])] = &[
    (
        "raddle",
        &[
            ("libc", "futex, clocks, exit and fork handlers"),
            ("parking_lot_core", "parks threads where there is no futex"),
            ("chrono", "the example programs print the time"),
            ("env_logger", "the example programs log as the tutorial does"),
            ("fastrand", "tests and examples with random order"),
            ("log", "the example programs log as the tutorial does"),
        ],
    ),
    (
        "raddle-explore",
        &[
            ("raddle", "the objects whose operations are explored"),
            ("fastrand", "random schedules from a seed"),
            ("rustix", "the state of threads that the explorer did not start"),
            ("serde_json", "reports as JSON"),
        ],
    ),
    (
        "raddle-ingest",
        &[
            ("raddle", "threads, the queue and the stop event"),
            ("chrono", "the times that syslog_loose parses"),
            ("flate2", "compressed HTTP requests"),
            ("httparse", "the headers of HTTP requests"),
            ("jiff", "times and time zones"),
            ("log", "warnings that are not errors"),
            ("memchr", "finds the ends of lines"),
            ("mio", "readiness of thousands of sockets"),
            ("nix", "kernel drops of UDP sockets, limits of descriptors"),
            ("postgres", "the PostgreSQL server, behind a feature"),
            ("postgres-types", "rows of binary COPY, behind a feature"),
            ("prometheus-client", "metrics"),
            ("proptest", "tests of the protocols on random bytes"),
            ("raddle-explore", "tests of the pipeline under every schedule"),
            ("rusqlite", "the database"),
            ("rustix", "bytes that wait in sockets; the polls of senders"),
            ("serde", "settings and messages as JSON"),
            ("serde_json", "messages as JSON"),
            ("socket2", "options of sockets"),
            ("syslog_loose", "columns of syslog messages"),
        ],
    ),
    (
        "raddle-cli",
        &[
            ("raddle", "the threads of the demo"),
            ("raddle-ingest", "the pipeline"),
            ("clap", "the command line"),
            ("console", "the width of the terminal"),
            ("env_logger", "warnings on standard error"),
            ("indicatif", "progress in a terminal"),
            ("jiff", "times as text"),
            ("listenfd", "sockets that systemd passes"),
            ("log", "the level of the warnings"),
            ("rusqlite", "queries of the database"),
            ("sd-notify", "readiness and watchdog of systemd"),
            ("serde_json", "logs as JSON"),
            ("signal-hook", "SIGINT, SIGTERM and SIGHUP"),
            ("toml", "the settings file"),
        ],
    ),
];

/// Calls that change the host program, with the files that may contain them.
const CHANGES: &[(&str, &[&str])] = &[
    ("sched_setaffinity", &[]),
    ("sched_setscheduler", &[]),
    ("sched_setattr", &[]),
    ("setpriority", &[]),
    ("setrlimit", &[]),
    ("prlimit", &[]),
    ("sigprocmask", &[]),
    ("pthread_sigmask", &[]),
    ("sigaltstack", &[]),
    ("umask", &[]),
    ("set_var", &[]),
    ("remove_var", &[]),
    ("set_current_dir", &[]),
    ("panic::set_hook", &[]),
    ("panic::take_hook", &[]),
    ("PR_SET_TIMERSLACK", &["sys/os.rs"]), // of the timers' own thread
    ("libc::sigaction(", &["sys/os.rs"]), // `dump_on_sigquit`, which its user calls; the other call only reads the handlers
    ("libc::signal(", &["lib.rs", "sys/os.rs"]), // an example in the documentation; the child of `dump_on_sigquit`
];

fn sources() -> Tree {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn unsafe_files(tree: &Tree) -> Vec<&str> {
    let has_unsafe = |text: &str| tokens(text).contains(&"unsafe");
    tree.iter().filter(|(_, text)| has_unsafe(text)).map(|(file, _)| file.as_str()).collect()
}

/// Creates a tree for a test.
fn tree<const N: usize>(files: [(&str, &str); N]) -> Tree {
    files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect()
}

/// The sources of a crate, by its folder in the workspace.
fn sources_of(folder: &str) -> Tree {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder).join("src"))
}

#[test]
fn no_crate_has_a_cycle_between_modules() {
    for folder in OTHERS.iter().map(|(folder, _)| folder) {
        let sources = sources_of(folder);
        assert_eq!(cycles(&sources), Vec::<Vec<&str>>::new(), "{folder}");
    }
    let sources = sources();
    assert_eq!(cycles(&sources), Vec::<Vec<&str>>::new());
    let depends = dependencies(&sources);
    assert!(depends["lock.rs"].contains("raw/raw_mutex.rs") && depends["lock.rs"].contains("rt/mod.rs"));
    assert!(
        depends["raw/raw_mutex.rs"].contains("rt/mod.rs")
            && depends["watch/waiting.rs"].contains("sys/os.rs")
    );
}

#[test]
fn unsafe_is_only_in_listed_files() {
    let sources = sources();
    let elsewhere: Vec<_> =
        unsafe_files(&sources).into_iter().filter(|file| !UNSAFE.contains(file)).collect();
    assert_eq!(elsewhere, Vec::<&str>::new());
    for (folder, allowed) in OTHERS {
        assert_eq!(unsafe_files(&sources_of(folder)), *allowed, "{folder}");
    }
}

#[test]
fn nothing_changes_the_host_program() {
    let sources = sources();
    for (call, allowed) in CHANGES {
        let files = sources.iter().filter(|(_, text)| text.contains(call)).map(|(file, _)| file.as_str());
        let elsewhere: Vec<_> = files.filter(|file| !allowed.contains(file)).collect();
        assert_eq!(elsewhere, Vec::<&str>::new(), "{call}");
    }
}

#[test]
fn unsafe_is_found_only_in_code() {
    let tree = tree([
        ("attribute.rs", "#![deny(unsafe_code)]"),
        ("block.rs", "fn f() { unsafe { g() } }"),
        ("comment.rs", "// unsafe\n/* unsafe /* unsafe */ unsafe */ /// unsafe"),
        ("impl.rs", "unsafe impl Send for T {}"),
        ("lifetime.rs", "fn f<'a>(c: char) -> bool { c == '\"' } unsafe fn g() {}"),
        (
            "text.rs",
            r##"const A: &str = "unsafe \" unsafe"; const B: &str = r#"" unsafe "#; const C: &[u8] = b"unsafe";"##,
        ),
    ]);
    assert_eq!(unsafe_files(&tree), ["block.rs", "impl.rs", "lifetime.rs"]);
}

#[test]
fn dependencies_follow_reexports_without_a_cycle() {
    let tree = tree([
        ("lib.rs", "mod a; mod b; pub use a::A; pub use crate::b::B;"),
        ("a/mod.rs", "mod one; mod two; pub use one::A; pub(crate) use two::Two;"),
        ("a/one.rs", "use super::two::Two; pub struct A(Two);"),
        ("a/two.rs", "use std::sync::{Arc, Mutex}; pub struct Two; // crate::b::B"),
        ("b.rs", "use crate::a::{A, Two as Second}; fn f() -> &'static str { \"crate::c\" }"),
    ]);
    assert_eq!(cycles(&tree), Vec::<Vec<&str>>::new());
    let depends = dependencies(&tree);
    let of = |file| depends[file].iter().copied().collect::<Vec<_>>();
    assert_eq!(of("lib.rs"), ["a/mod.rs", "a/one.rs", "b.rs"]);
    assert_eq!(of("a/mod.rs"), ["a/one.rs", "a/two.rs"]);
    assert_eq!(of("b.rs"), ["a/one.rs", "a/two.rs"], "a re-export is resolved to its origin");
    assert_eq!(of("a/one.rs"), ["a/two.rs"]);
    assert_eq!(of("a/two.rs"), Vec::<&str>::new());
}

#[test]
fn cycle_is_found_in_every_form() {
    let found =
        |a: &str, b: &str| cycles(&tree([("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", b)])).len();
    assert_eq!(found("use crate::b::B;", "use super::a::A;"), 1);
    assert_eq!(found("use crate::{b::{self}};", "fn f() { crate::a::g() }"), 1);
    assert_eq!(found("fn f(x: super::b::B) {}", "use crate::a as other;"), 1);
    assert_eq!(found("use crate::b::*;", "mod inner { use super::super::a::A; }"), 1);
    assert_eq!(found("use crate::b::B;", "mod inner { use super::A; } fn f() {}"), 0);
    assert_eq!(found("use crate::b::B;", "mod inner { } use super::a::A;"), 1);
    assert_eq!(found("pub(in crate::b) fn f() {}", "use crate::a::f;"), 0);
    assert_eq!(found("macro_rules! m { () => { $crate::b::f() } }", "use {crate::a::{A, B}, std::fmt};"), 1);
}

#[test]
fn child_that_uses_a_reexport_of_its_parent_is_a_cycle() {
    let of = |child: &str| {
        let tree = tree([
            ("lib.rs", "mod a; pub use a::One;"),
            ("a/mod.rs", "mod one; mod two; pub use one::One; pub fn own() {}"),
            ("a/one.rs", "pub struct One;"),
            ("a/two.rs", child),
        ]);
        cycles(&tree).into_iter().map(|way| way.join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(of("use super::one::One;"), Vec::<String>::new());
    assert_eq!(of("use super::One;"), ["a/mod.rs a/two.rs"]);
    assert_eq!(of("fn f() { super::own() }"), ["a/mod.rs a/two.rs"]);
    assert_eq!(of("use crate::a::One;"), ["a/mod.rs a/two.rs"]);
    assert_eq!(of("use crate::One;"), ["a/mod.rs a/two.rs lib.rs"]);
}

#[test]
fn longer_cycle_is_found_once() {
    let tree = tree([
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::c::C;"),
        ("c.rs", "use crate::a::A;"),
    ]);
    assert_eq!(cycles(&tree), [["a.rs", "b.rs", "c.rs"]]);
}

/// Returns the rows of a table of promises: the line number and the cell with the tests.
fn promises(table: &str) -> Vec<(usize, &str)> {
    let mut rows = Vec::new();
    for (number, line) in table.lines().enumerate() {
        let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix('|')) else { continue };
        let cells: Vec<_> = row.split(" |").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        if cells[0] != "Promise" {
            rows.push((number + 1, if cells.len() == 3 { cells[2] } else { "" }));
        }
    }
    rows
}

/// Returns whether the function has the attribute `#[test]`, or is listed as a test that runs in a child process.
fn is_test(text: &str, name: &str) -> bool {
    let declared = format!("fn {name}(");
    let attributes = text.split_once(&declared).map(|(before, _)| {
        let before = before.rsplit_once('}').map_or(before, |(_, attributes)| attributes);
        before.contains("#[test]")
    });
    // Of a name such as `main_returns/daemon`, each part is listed.
    let listed = |part| text.contains(&format!("\"{part}\""));
    attributes == Some(true) || text.contains("use crate::child::") && name.split('/').all(listed)
}

/// Returns whether the documentation of the item, or of the `module`, has an example.
fn has_example(text: &str, item: &str) -> bool {
    if item == "module" {
        return text.lines().filter(|line| line.starts_with("//! ```")).count() >= 2;
    }
    let declared = ["struct ", "fn ", "enum "].map(|kind| format!("pub {kind}{item}"));
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let named = declared.iter().any(|declared| {
            line.strip_prefix(declared.as_str()).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        });
        let above =
            lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with('#'));
        named && above.filter(|line| line.starts_with("/// ```")).count() >= 2
    })
}

/// Returns the errors in a table of promises. `read` returns the text of a file.
fn untested(table: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, tests) in promises(table) {
        let (mut file, mut found) = (None, 0);
        // Every second part is between backticks.
        for word in tests.split('`').skip(1).step_by(2) {
            if Path::new(word).extension().is_some_and(|extension| extension == "rs" || extension == "py") {
                file = read(word);
                if file.is_none() {
                    wrong.push(format!("line {line}: no file {word}"));
                }
            } else if let Some(text) = &file {
                let exists = match word.strip_prefix("example of ") {
                    Some(item) => has_example(text, item),
                    None => is_test(text, word) || text.contains(&format!("\ndef {word}(")),
                };
                if exists {
                    found += 1;
                } else {
                    wrong.push(format!("line {line}: no test {word}"));
                }
            }
        }
        if found == 0 {
            wrong.push(format!("line {line}: a promise without a test"));
        }
    }
    wrong
}

/// The dependencies in a manifest: of all platforms, of one, and of tests.
fn dependencies_in(manifest: &str) -> Vec<&str> {
    let sections = manifest.split("\n[").filter_map(|section| section.split_once('\n'));
    let sections = sections.filter(|(header, _)| header.ends_with("dependencies]"));
    let names = sections.flat_map(|(_, lines)| lines.lines()).filter(|line| !line.starts_with('#'));
    names.filter_map(|line| Some(line.split_once([' ', '.'])?.0)).collect()
}

#[test]
fn every_dependency_has_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (folder, reasons) in DEPENDENCIES {
        let manifest = std::fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
        let mut found = dependencies_in(&manifest);
        let mut known: Vec<_> = reasons.iter().map(|(name, _)| *name).collect();
        found.sort_unstable();
        found.dedup();
        known.sort_unstable();
        assert_eq!(found, known, "{folder}");
    }
}

#[test]
fn libc_is_the_only_dependency_on_linux() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (of_linux, others) = manifest.split_once("[target.'cfg(not(target_os = \"linux\"))'").unwrap();
    assert_eq!(dependencies_in(of_linux), ["libc"]);
    assert!(!others.contains("[target."));
}

#[test]
fn other_crates_forbid_unsafe_code() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for root in ["raddle-explore/src/lib.rs", "raddle-ingest/src/lib.rs", "raddle-cli/src/main.rs"] {
        let text = std::fs::read_to_string(crates.join(root)).unwrap();
        assert!(text.lines().any(|line| line == "#![forbid(unsafe_code)]"), "{root}");
    }
}

#[test]
fn every_promise_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let table = std::fs::read_to_string(root.join("docs/promises.md")).expect("the table of promises");
    assert!(promises(&table).len() > 100, "the table cannot be parsed");
    let wrong = untested(&table, |file| std::fs::read_to_string(root.join("crates").join(file)).ok());
    assert!(wrong.is_empty(), "docs/promises.md names tests that do not exist:\n{}", wrong.join("\n"));
}

#[test]
fn promise_without_a_test_is_found() {
    let files = |file: &str| {
        let text = match file {
            "a.rs" => "#[test]\n#[cfg(unix)]\nfn real() {}\n\nfn helper() {}\n",
            "b.rs" => "use crate::child::test; [(\"ends\", &[0]), (\"daemon\", &[1])];",
            "c.rs" => {
                "/// ```compile_fail\n/// g();\n/// ```\n#[must_use]\npub fn shown<T>() {}\n\n/// No.\npub fn show() {}"
            }
            "e.rs" => "//! ```\n//! g();\n//! ```\n",
            "f.py" => "\ndef test_it():\n    pass\n\n",
            _ => return None,
        };
        Some(text.to_owned())
    };
    let of = |tests: &str| {
        untested(&format!("| Promise | Made in | Test |\n|---|---|---|\n| It holds | `A` | {tests} |"), files)
    };
    let fine = [
        "`a.rs` `real`",
        "`b.rs` `ends`, `ends/daemon`",
        "`c.rs` `example of shown`; `a.rs` `real`",
        "`e.rs` `example of module`",
        "`f.py` `test_it`",
    ];
    for tests in fine {
        assert_eq!(of(tests), Vec::<String>::new(), "{tests}");
    }
    for tests in ["", "`real`", "none yet"] {
        assert_eq!(of(tests), ["line 3: a promise without a test"], "{tests}");
    }
    assert_eq!(of("`a.rs` `real`, `helper`"), ["line 3: no test helper"]);
    assert_eq!(of("`a.rs` `rea`")[0], "line 3: no test rea");
    assert_eq!(of("`b.rs` `ends/never`")[0], "line 3: no test ends/never");
    assert_eq!(of("`c.rs` `example of show`")[0], "line 3: no test example of show");
    assert_eq!(of("`a.rs` `example of module`")[0], "line 3: no test example of module");
    assert_eq!(of("`f.py` `test`")[0], "line 3: no test test");
    assert_eq!(of("`d.rs` `real`")[0], "line 3: no file d.rs");
}
