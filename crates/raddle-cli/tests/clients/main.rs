//! Messages of real clients: each program sends in its usual way, and the counts are equal on both sides.
//!
//! A test is skipped, with a message, if its client is not installed, unless the variable `CI` is set: `.ci/peers` installs the
//! clients.

mod clients;
mod rsyslog;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Ended, Ingest, Scratch, number};

/// Returns the path of a program, or prints why a test is skipped.
fn program(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.push("/usr/sbin".into());
    folders.push(peers().join("usr/bin"));
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed: run .ci/peers");
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// The folder into which `.ci/peers` unpacks what cannot be installed beside rsyslog: in the target folder, or that around it.
fn peers() -> PathBuf {
    let folders = Path::new(env!("CARGO_TARGET_TMPDIR")).ancestors().skip(1).take(2);
    folders.map(|folder| folder.join("peers")).find(|folder| folder.is_dir()).unwrap_or_default()
}

/// A running `raddle ingest` with a listener of each kind.
struct Given {
    scratch: Scratch,
    ingest: Ingest,
}

impl Given {
    fn new(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let listen = "ingest --listen tcp://127.0.0.1:0 --listen udp://127.0.0.1:0 --listen relp://127.0.0.1:0 --listen http://127.0.0.1:0";
        let ingest = Ingest::start(scratch.raddle(listen));
        Self { scratch, ingest }
    }

    fn port(&self, kind: Kind) -> String {
        self.ingest.addresses[kind as usize].port().to_string()
    }

    /// Runs a client until it terminates, with `input` on its standard input.
    fn run(&self, client: &mut Command, input: &str) -> String {
        let path = self.scratch.path("input");
        std::fs::write(&path, input).expect("a file");
        let output = client
            .current_dir(path.parent().expect("a folder"))
            .stdin(std::fs::File::open(&path).expect("a file"))
            .output()
            .expect("the client runs");
        let text = support::text(&output.stdout);
        assert!(output.status.success(), "{client:?}: {text}{}", support::text(&output.stderr));
        text
    }

    /// Waits until `messages` messages are stored.
    #[track_caller]
    fn until_stored(&self, messages: u64) {
        let path = self.scratch.path("messages.db");
        support::until(|| number(&path, "SELECT count(*) FROM messages") >= messages);
    }

    /// Stops the server, which must have stored exactly these messages and rejected none. Returns the rows of a query.
    #[track_caller]
    fn stop(self, messages: u64, query: &str) -> Vec<String> {
        let ended: Ended = self.ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(
            ended.last_line(),
            format!("received {messages} = stored {messages} + rejected 0"),
            "{ended:?}"
        );
        let path = self.scratch.path("messages.db");
        assert_eq!(number(&path, "SELECT count(*) FROM messages"), messages);
        let db = rusqlite::Connection::open(path).expect("a database");
        // The columns, and the body as the program shows it.
        let parsed =
            "CREATE TEMP VIEW parsed AS SELECT messages.*, body FROM messages JOIN readable USING (id)";
        db.execute_batch(parsed).expect(parsed);
        let mut statement = db.prepare(query).expect(query);
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a text")).collect()
    }
}

/// The listeners, in order.
#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Udp,
    Relp,
    Http,
}

/// The columns of all messages, each as a line.
const COLUMNS: &str = "SELECT concat_ws('|', source, facility, severity, app, body) FROM parsed ORDER BY id";
