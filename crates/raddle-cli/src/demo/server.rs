//! The server of the demo: this program as a child process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use raddle::Mutex;

use crate::failure::Failure;

/// A running `raddle ingest`, which is killed if the demo fails.
pub(crate) struct Server {
    child: Mutex<Child>,
    output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the server, and waits until it listens.
    pub(crate) fn start(database: &Path, address: &str, queue: usize) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
        let mut command = Command::new(program);
        command.args(["ingest", "--listen", address, "--queue", &queue.to_string(), "--database"]);
        command.arg(database).args(["--status", "0", "--log-level", "error"]);
        // Its input ends with this process, also if that is killed.
        command.arg("--stop-with-input");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| Failure::new(format!("cannot start the server: {error}")))?;
        let output = child.stdout.take().ok_or_else(|| Failure::new("the server has no output"))?;
        let mut server =
            Self { child: Mutex::new(child), output: BufReader::new(output), address: ([0; 4], 0).into() };
        let early = || Failure::new("the server did not start");
        let line = server.line()?;
        let listening = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next());
        server.address = listening.and_then(|address| address.parse().ok()).ok_or_else(early)?;
        // It is ready once it has written where it stores messages.
        while !server.line()?.starts_with("storing in ") {}
        Ok(server)
    }

    /// Reads a line of its output.
    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) | Err(_) => Err(Failure::new("the server has terminated early")),
            Ok(_) => Ok(line.trim_end().to_owned()),
        }
    }

    /// Returns whether it has terminated.
    pub(crate) fn has_terminated(&self) -> bool {
        !matches!(self.child.lock().try_wait(), Ok(None))
    }

    /// Kills it with signal 9, and waits for its end.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        let mut child = self.child.lock();
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops it with SIGTERM. Returns its account of all messages.
    pub(crate) fn stop(mut self) -> Result<String, Failure> {
        let process = self.child.lock().id();
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {process}")]).status()?;
        if !kill.success() {
            return Err(Failure::new("cannot send a signal to the server"));
        }
        let mut output = String::new();
        self.output.read_to_string(&mut output)?;
        let status = self.child.lock().wait()?;
        if !status.success() {
            return Err(Failure::new(format!("the server has failed: {status}")));
        }
        let account = output.lines().rev().find(|line| line.starts_with("received "));
        Ok(account.unwrap_or("none").to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = self.child.lock();
        // It fails if the child has terminated.
        let _ = child.kill();
        let _ = child.wait();
    }
}
