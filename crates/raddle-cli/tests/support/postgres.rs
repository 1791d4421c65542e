//! A PostgreSQL server of one test, which is queried by `psql`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server with its data in a directory, stopped and removed when it is dropped.
pub struct Server {
    bin: PathBuf,
    directory: PathBuf,
    address: SocketAddr,
    process: Option<Child>,
}

/// Returns the directory of the server's programs, or prints why a test is skipped.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.retain(|bin| bin.join("postgres").exists());
    versions.sort();
    let found = versions.pop();
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "PostgreSQL is not installed: run .ci/peers");
        eprintln!("skipped: PostgreSQL is not installed");
    }
    found
}

/// Returns a command that does not run as root, which the server refuses.
fn unprivileged(program: &Path) -> Command {
    if fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) != 0) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

impl Server {
    /// Starts a server, or returns `None` if PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let bin = programs()?;
        let address = super::free_address();
        let name = format!("raddle-cli-{}-{}", std::process::id(), address.port());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).expect("a directory");
        let owned = Command::new("chown").arg("postgres").arg(&directory).status();
        assert!(owned.is_ok());
        let created = unprivileged(&bin.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
            .arg("-D")
            .arg(directory.join("data"))
            .stdout(Stdio::null())
            .status();
        assert!(created.expect("initdb").success());
        let mut server = Self { bin, directory, address, process: None };
        server.run();
        Some(server)
    }

    /// Runs the server, which is not running, and waits until it accepts connections.
    pub fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.directory.join("log"));
        let child = unprivileged(&self.bin.join("postgres"))
            .arg("-D")
            .arg(self.directory.join("data"))
            .args([
                "-p",
                &self.address.port().to_string(),
                "-c",
                &format!("listen_addresses={}", self.address.ip()),
                "-c",
                "unix_socket_directories=",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn();
        self.process = Some(child.expect("postgres"));
        let deadline = raddle::time::now() + super::LIMIT;
        while self.query("SELECT 1").is_none() {
            assert!(raddle::time::now() < deadline, "the server does not start");
            raddle::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the server in an orderly way; its connections are closed.
    pub fn stop(&mut self) {
        let mut child = self.process.take().expect("a running server");
        let _ = Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
        child.wait().expect("a status");
    }

    /// Returns the address of the server, for `--postgres`.
    pub fn url(&self) -> String {
        format!("postgresql://postgres@{}/postgres", self.address)
    }

    /// Returns the output of a statement, or `None` if it fails.
    pub fn query(&self, sql: &str) -> Option<String> {
        let output = Command::new(self.bin.join("psql"))
            .args([
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                &self.address.ip().to_string(),
                "-p",
                &self.address.port().to_string(),
                "-U",
                "postgres",
            ])
            .args(["-c", "SET search_path = raddle", "-c", sql])
            .output()
            .expect("psql");
        output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8"))
    }

    pub fn execute(&self, sql: &str) {
        self.query(sql).unwrap_or_else(|| panic!("cannot execute {sql}"));
    }

    /// Returns the number that a query yields.
    pub fn number(&self, sql: &str) -> u64 {
        let answer = self.query(sql).unwrap_or_else(|| panic!("cannot query {sql}"));
        answer.trim().parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.stop();
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}
