//! The program with a PostgreSQL server that stops and is started again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Ingest, Scratch, text, within_limit};

/// A server that is stopped when it is dropped.
struct Server {
    bin: PathBuf,
    directory: PathBuf,
}

impl Server {
    /// Starts a server, or returns `None` if PostgreSQL is not installed.
    fn start(name: &str) -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let bin = versions.map(|entry| entry.path().join("bin")).find(|bin| bin.join("initdb").exists());
        let Some(bin) = bin else {
            eprintln!("skipped: PostgreSQL is not installed");
            return None;
        };
        let directory = std::env::temp_dir().join(format!("raddle-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        // The server refuses to run as root.
        let made = Command::new("chmod").arg("777").arg(&directory).status().unwrap();
        assert!(made.success());
        let server = Self { bin, directory };
        server.run("initdb", &["-U", "raddle", "-A", "trust", "--no-sync", "-D"], &["-E", "UTF8"]);
        server.up();
        Some(server)
    }

    fn run(&self, program: &str, before: &[&str], after: &[&str]) {
        let user = Command::new("id").arg("-u").output().unwrap();
        let mut command = if text(&user.stdout).trim() == "0" {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(self.bin.join(program));
            command
        } else {
            Command::new(self.bin.join(program))
        };
        command.args(before).arg(self.directory.join("data")).args(after).current_dir(&self.directory);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect(program).success(), "{program}");
    }

    fn up(&self) {
        let options = format!("-k {} -c listen_addresses=", self.directory.display());
        let log = self.directory.join("log").display().to_string();
        self.run("pg_ctl", &["-D"], &["-o", &options, "-l", &log, "-w", "start"]);
    }

    fn down(&self) {
        self.run("pg_ctl", &["-D"], &["-m", "immediate", "-w", "stop"]);
    }

    fn number(&self, sql: &str) -> u64 {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-U", "raddle", "-At", "-c", sql, "-h"]).arg(&self.directory).arg("postgres");
        let output = psql.output().unwrap();
        text(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.directory.join("data/postmaster.pid").exists() {
            self.down();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn start(scratch: &Scratch, directory: &Path) -> Ingest {
    let url = format!("host={} user=raddle dbname=postgres", directory.display());
    let mut command = scratch.raddle("ingest --listen 127.0.0.1:0 --deadline 1s");
    command.args(["--postgres", &url]);
    Ingest::start(command)
}

#[test]
fn server_that_stops_loses_nothing() {
    within_limit(|| {
        let Some(server) = Server::start("cli-outage") else { return };
        let scratch = Scratch::new("postgres");
        let mut ingest = start(&scratch, &server.directory);
        ingest.send(b"one\ntwo\n");
        server.down();
        ingest.send(b"three\n");
        ingest.read_error_until("cannot store messages: ");
        server.up();
        ingest.read_error_until("storing again");
        let ended = ingest.stop();
        assert_eq!(
            (ended.status, ended.last_line()),
            (Some(0), "received 3 = stored 3 + rejected 0"),
            "{ended:?}"
        );

        // The server is not started before the deadline: the rest is in a file, which is imported at the next start.
        let mut ingest = start(&scratch, &server.directory);
        server.down();
        ingest.send(b"four\n");
        ingest.read_error_until("cannot store messages: ");
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(4), "{ended:?}");
        assert!(scratch.path("raddle.unstored").exists(), "{ended:?}");
        server.up();
        start(&scratch, &server.directory).stop();
        assert_eq!(server.number("SELECT count(DISTINCT text) FROM raddle.messages"), 4);
        assert_eq!(server.number("SELECT count(*) FROM raddle.messages"), 4);
        assert!(!scratch.path("raddle.unstored").exists());
    });
}
