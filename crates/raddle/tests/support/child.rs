//! Tests that need a process of their own, since the whole process exits or hangs. The test binary runs itself again with the
//! name of a scenario in the environment; the scenario runs on the real main thread.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::{Mutex, thread, time};

/// The environment variable with the scenario of this process.
const SCENARIO: &str = "RADDLE_TEST_SCENARIO";

/// The timeout of a scenario, ample for a busy machine.
const LIMIT: Duration = Duration::from_mins(4);

/// A test and its name.
pub type Test = (String, Box<dyn Fn() + Send + Sync>);

/// Creates a test.
pub fn test(name: impl Into<String>, run: impl Fn() + Send + Sync + 'static) -> Test {
    (name.into(), Box::new(run))
}

/// A module of such a test binary.
pub struct Module {
    /// Its tests are listed as `name::test`.
    pub name: &'static str,
    pub tests: fn() -> Vec<Test>,
    /// Finds one of its scenarios, whose names differ from those of the other modules.
    pub scenario: fn(&str) -> Option<Scenario>,
}

/// The code that a child process runs.
pub type Scenario = Box<dyn FnOnce()>;

/// The scenario of that name.
pub fn find(scenarios: impl IntoIterator<Item = (&'static str, fn())>, name: &str) -> Option<Scenario> {
    scenarios.into_iter().find(|(known, _)| *known == name).map(|(_, run)| Box::new(run) as Scenario)
}

/// The `main` function of such a test binary: runs the scenario in the environment, or else the tests.
pub fn main(modules: &[Module]) -> ExitCode {
    if let Ok(name) = std::env::var(SCENARIO) {
        let run = modules.iter().find_map(|module| (module.scenario)(&name)).expect("a known scenario");
        run();
        return ExitCode::SUCCESS;
    }
    let wanted = Wanted::from_arguments();
    let qualified = |module: &Module| {
        let name = module.name;
        (module.tests)().into_iter().map(move |(test, run)| (format!("{name}::{test}"), run))
    };
    let tests: Vec<_> = modules.iter().flat_map(qualified).collect();
    let tests: Vec<_> = tests.iter().filter(|(name, _)| wanted.has(name)).collect();
    if wanted.list {
        for (name, _) in tests {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if run(&tests) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The supported part of the command line of test runners.
#[derive(Default)]
struct Wanted {
    filters: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    list: bool,
    ignored: bool,
}

impl Wanted {
    fn from_arguments() -> Self {
        let mut wanted = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => wanted.list = true,
                "--exact" => wanted.exact = true,
                "--ignored" => wanted.ignored = true,
                "--skip" => wanted.skipped.extend(arguments.next()),
                "--format" | "--color" | "--test-threads" | "--logfile" | "-Z" => drop(arguments.next()),
                option if option.starts_with('-') => {}
                _ => wanted.filters.push(argument),
            }
        }
        wanted
    }

    fn has(&self, name: &str) -> bool {
        let hit = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        !self.ignored
            && !self.skipped.iter().any(hit)
            && (self.filters.is_empty() || self.filters.iter().any(hit))
    }
}

/// Runs the tests, several at once, since they mostly wait for child processes. Returns whether all passed.
fn run(tests: &[&Test]) -> bool {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((name, body)) = tests.get(next.fetch_add(1, Relaxed)) {
            let passed = catch_unwind(AssertUnwindSafe(body)).is_ok();
            println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            if !passed {
                failed.lock().push(name);
            }
        }
    };
    thread::scope(|s| (0..8).for_each(|_| drop(s.spawn(work))));
    let failed = failed.into_inner();
    println!("\ntest result: {} passed; {} failed {failed:?}\n", tests.len() - failed.len(), failed.len());
    failed.is_empty()
}

/// The outcome of a child process.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; `None` if a signal terminated it.
    pub status: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ended {
    /// Returns the sorted lines of its standard output.
    pub fn sorted(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.out.lines().collect();
        lines.sort_unstable();
        lines
    }
}

/// Runs a scenario, which must terminate within the timeout.
pub fn ended(scenario: &str, watch: Option<&str>) -> Ended {
    match ended_within(scenario, watch, LIMIT) {
        (true, ended) => ended,
        (false, ended) => panic!("{scenario} did not end within {LIMIT:?}: {ended:?}"),
    }
}

/// Runs a scenario for at most `limit`, then kills it. Returns whether it terminated by itself.
pub fn ended_within(scenario: &str, watch: Option<&str>, limit: Duration) -> (bool, Ended) {
    let mut child = command(scenario, watch).spawn().expect("the test binary starts again");
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    thread::scope(|s| {
        let out = s.spawn(move || read(&mut out));
        let err = s.spawn(move || read(&mut err));
        let (by_itself, status) = wait(&mut child, limit);
        (by_itself, Ended { status, out: out.join().unwrap(), err: err.join().unwrap() })
    })
}

/// Returns the command that runs a scenario. `watch` is the value of `RADDLE_WATCH`, unset if `None`.
pub fn command(scenario: &str, watch: Option<&str>) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test binary's path"));
    command.env(SCENARIO, scenario).env_remove("RADDLE_WATCH").env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(value) = watch {
        command.env("RADDLE_WATCH", value);
    }
    command
}

fn read(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("a child's output can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wait(child: &mut Child, limit: Duration) -> (bool, Option<i32>) {
    let deadline = time::now() + limit;
    while time::now() < deadline {
        if let Some(status) = child.try_wait().expect("a child can be asked") {
            return (true, status.code());
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("a child can be killed");
    (false, child.wait().expect("a killed child ends").code())
}
