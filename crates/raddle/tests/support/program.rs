//! Runs the examples as child processes, each within a limit, and reads their output.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime};

use raddle::{Thread, thread};

use crate::support::{LIMIT, finish};

/// An example to be run, by name.
pub(crate) struct Program {
    name: &'static str,
    command: Command,
    input: Option<&'static str>,
}

pub(crate) fn example(name: &'static str) -> Program {
    let mut command = Command::new(path_of(name));
    command.env_remove("RUST_LOG").env_remove("RADDLE_WATCH");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Program { name, command, input: None }
}

impl Program {
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Types `input` at once, and leaves standard input open until the program ends.
    pub(crate) fn input(mut self, input: &'static str) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(input);
        self
    }

    /// Runs it until it terminates, which must happen within the limit of all tests.
    pub(crate) fn run(mut self) -> Run {
        let begun = raddle::time::now();
        let mut child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let keyboard = child.stdin.take();
        let typed =
            keyboard.as_ref().zip(self.input).map(|(mut keyboard, text)| keyboard.write_all(text.as_bytes()));
        let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
        let status = wait(self.name, &mut child, begun + LIMIT);
        let took = raddle::time::now() - begun;
        drop(keyboard);
        assert!(typed.is_none_or(|typed| typed.is_ok()), "{} does not read its input", self.name);
        Run { status, took, stdout: finish(stdout), stderr: finish(stderr) }
    }
}

/// The result of a run: status and output.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) took: Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The messages of the log; every line of standard error must be `HH:MM:SS: message`.
    #[track_caller]
    pub(crate) fn log(&self) -> Log<'_> {
        let message =
            |line| message(line).unwrap_or_else(|| panic!("not a line of the log: {line:?} in {self:#?}"));
        Log { run: self, messages: self.stderr.lines().map(message).collect() }
    }

    /// As [`log`](Run::log), for a program that succeeds.
    #[track_caller]
    pub(crate) fn good(&self) -> Log<'_> {
        assert_eq!(self.status, Some(0), "{self:#?}");
        self.log()
    }
}

/// The messages of one run, without their times.
pub(crate) struct Log<'a> {
    run: &'a Run,
    pub(crate) messages: Vec<&'a str>,
}

impl<'a> Log<'a> {
    /// Asserts that these messages are in the log, once each, in this order. Other messages may be between them.
    #[track_caller]
    pub(crate) fn in_order(&self, expected: &[&str]) {
        let places: Vec<usize> = expected.iter().map(|message| self.place(message)).collect();
        assert!(places.is_sorted(), "{expected:#?} stand at {places:?} in {:#?}", self.run);
    }

    /// Returns the rest of each message that begins with `prefix`, in order.
    pub(crate) fn after(&self, prefix: &str) -> Vec<&'a str> {
        self.messages.iter().filter_map(|message| message.strip_prefix(prefix)).collect()
    }

    /// Returns the position of `message`, which must be in the log once.
    #[track_caller]
    pub(crate) fn place(&self, message: &str) -> usize {
        let places: Vec<_> =
            self.messages.iter().enumerate().filter(|(_, found)| **found == message).collect();
        assert_eq!(places.len(), 1, "how often {message:?} stands in {:#?}", self.run);
        places[0].0
    }
}

/// The message of a line `HH:MM:SS: message`.
fn message(line: &str) -> Option<&str> {
    let (time, message) = line.split_at_checked("HH:MM:SS".len())?;
    minutes(time)?;
    message.strip_prefix(": ")
}

/// The minutes since midnight of a time `HH:MM:SS`.
pub(crate) fn minutes(time: &str) -> Option<u32> {
    let parts: Vec<&str> = time.split(':').collect();
    let numbers: Vec<u32> =
        parts.iter().filter(|part| part.len() == 2).flat_map(|part| part.parse()).collect();
    match numbers[..] {
        [hours @ 0..24, minutes @ 0..60, 0..60] => Some(hours * 60 + minutes),
        _ => None,
    }
}

/// Runs `check` `times` times, several at a time.
pub(crate) fn repeatedly(times: usize, check: impl Fn() + Sync) {
    const AT_A_TIME: usize = 5;
    thread::scope(|s| {
        for first in 0..AT_A_TIME {
            let check = &check;
            s.spawn(move || (first..times).step_by(AT_A_TIME).for_each(|_| check()));
        }
    });
}

fn read(pipe: Option<impl Read + Send + 'static>) -> raddle::JoinHandle<String> {
    let mut pipe = pipe.expect("a pipe");
    Thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("the program writes UTF-8");
        text
    })
}

fn wait(name: &str, child: &mut Child, deadline: Instant) -> Option<i32> {
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return status.code();
        }
        if raddle::time::now() > deadline {
            let _ = child.kill();
            panic!("{name} is still running after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the path of an example, which is beside the directory of this test. `cargo test` builds the examples;
/// `cargo test --test` does not.
fn path_of(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    let test = std::env::current_exe().expect("this test is a file");
    let profile = test.parent().and_then(Path::parent).expect("tests are in PROFILE/deps").to_owned();
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    BUILD.call_once(|| {
        if modified(&path) < newest(&["src", "examples"]) {
            build(&profile);
        }
    });
    path
}

fn build(profile: &Path) {
    let directory = profile.file_name().and_then(|name| name.to_str()).expect("a profile's directory");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--examples", "--profile"])
        .arg(if directory == "debug" { "dev" } else { directory })
        .arg("--target-dir")
        .arg(profile.parent().expect("a target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the examples cannot be built");
}

fn newest(directories: &[&str]) -> Option<SystemTime> {
    let mut rest: Vec<PathBuf> =
        directories.iter().map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).collect();
    let mut newest = None;
    while let Some(path) = rest.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => rest.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => newest = newest.max(modified(&path)),
        }
    }
    newest
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
