//! Databases that are locked, full, read, stopped, or refuse rows: nothing is lost, memory is bounded, and the program resumes by itself.

use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;

use super::support::{Ended, Ingest, Scratch, Sending, check_prefixes, number, until};
use super::{rounds, trial};

/// The largest amount of memory that the program may need.
const MOST_MEMORY: u64 = 200 << 10;

/// The most memory that the program has had, in KiB.
fn memory(ingest: &Ingest) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", ingest.id())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// Ends a trial in which everything must be stored.
fn end(ingest: Ingest, sending: Sending, messages: u64) -> Ended {
    sending.end().expect("no connection is cut off");
    assert!(memory(&ingest) < MOST_MEMORY, "{} KiB", memory(&ingest));
    let ended = ingest.stop();
    assert_eq!(ended.account()("received"), messages, "{ended:?}");
    ended
}

#[test]
fn database_locked_by_another_writer_loses_nothing() {
    trial(|| {
        let scratch = Scratch::new("locked");
        let path = scratch.path("messages.db");
        let mut ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0"));
        let (rounds, messages) = (u64::from(rounds(1, 10)), 20_000);
        let other = Connection::open(&path).unwrap();
        other.busy_timeout(Duration::from_mins(1)).unwrap();
        for round in 0..rounds {
            // Before anything is sent: a writer that is never idle would leave the lock to chance.
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            let sending = Sending::to(ingest.address, messages, 4);
            if round == 0 {
                ingest.read_error_until("locked");
            } else {
                // A failure that recurs soon is not logged again.
                raddle::thread::sleep(Duration::from_millis(2500));
            }
            other.execute_batch("ROLLBACK").unwrap();
            if round == 0 {
                ingest.read_error_until("storing again");
            }
            sending.end().expect("no connection is cut off");
        }
        assert!(memory(&ingest) < MOST_MEMORY, "{} KiB", memory(&ingest));
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(ended.account()("stored"), rounds * messages, "{ended:?}");
        assert_eq!(number(&path, "SELECT count(DISTINCT text) FROM messages"), messages);
        let uneven = format!(
            "SELECT count(*) FROM (SELECT 1 FROM messages GROUP BY text HAVING count(*) <> {rounds})"
        );
        assert_eq!(number(&path, &uneven), 0);
    });
}

#[test]
fn reader_that_stays_open_loses_nothing() {
    trial(|| {
        let scratch = Scratch::new("reader");
        let path = scratch.path("messages.db");
        let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0"));
        ingest.send(b"connection 1 message 1\n");
        until(|| number(&path, "SELECT count(*) FROM messages") == 1);
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
        assert_eq!(reader.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)), Ok(1));
        let messages = u64::from(rounds(100_000, 500_000));
        let sending = Sending::to(ingest.address, messages, 4);
        let ended = end(ingest, sending, messages + 1);
        assert_eq!(ended.account()("stored"), messages + 1);
        assert_eq!(reader.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)), Ok(1));
        drop(reader);
        assert_eq!(number(&path, "SELECT count(*) FROM messages"), messages + 1);
        assert_eq!(number(&path, "SELECT count(DISTINCT text) FROM messages"), messages + 1);
    });
}

/// A file system in memory, unmounted when it is dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(path: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("skipped: this user may not mount a file system");
        None
    }

    fn grow(&self) {
        let status = Command::new("mount").args(["-o", "remount,size=500m"]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn full_disk_that_is_freed_loses_nothing() {
    trial(|| {
        let scratch = Scratch::new("full");
        let Some(small) = Small::mount(scratch.path("small")) else { return };
        let path = small.0.join("messages.db");
        let mut ingest = Ingest::start(
            scratch.raddle(&format!("ingest --listen 127.0.0.1:0 --database {}", path.display())),
        );
        let messages = u64::from(rounds(100_000, 500_000));
        let sending = Sending::to(ingest.address, messages, 4);
        ingest.read_error_until("full");
        small.grow();
        let ended = end(ingest, sending, messages);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(check_prefixes(&path, 4), (messages, 0));
    });
}

#[test]
fn refused_rows_under_load_are_rejected() {
    trial(|| {
        let scratch = Scratch::new("refused");
        let path = scratch.path("messages.db");
        let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0"));
        let db = Connection::open(&path).unwrap();
        db.busy_timeout(Duration::from_mins(1)).unwrap();
        db.execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.text LIKE '%message %000 ..%'
             BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )
        .unwrap();
        let messages = u64::from(rounds(40_000, 400_000));
        let sending = Sending::to(ingest.address, messages, 4);
        let ended = end(ingest, sending, messages);
        assert_eq!(ended.status, Some(3), "{ended:?}");
        assert_eq!(
            (ended.account()("stored"), ended.account()("rejected")),
            (messages / 1000 * 999, messages / 1000)
        );
        assert_eq!(number(&path, "SELECT count(DISTINCT text) FROM messages"), messages / 1000 * 999);
        assert_eq!(
            number(&path, "SELECT count(DISTINCT bytes) FROM rejected WHERE reason LIKE '%not this one%'"),
            messages / 1000
        );
    });
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::super::Store as _;
    use super::*;
    use crate::support::postgres::Server;

    #[test]
    fn server_that_is_stopped_and_started_loses_nothing() {
        trial(|| {
            let Some(mut server) = Server::start() else { return };
            let scratch = Scratch::new("postgres-stopped");
            let mut ingest =
                Ingest::start(scratch.raddle(&format!("ingest --listen 127.0.0.1:0 {}", server.flags())));
            let messages = u64::from(rounds(100_000, 1_000_000));
            let sending = Sending::to(ingest.address, messages, 4);
            until(|| server.number("SELECT count(*) FROM messages") > 0);
            server.stop();
            // Everything may have been stored before. These are not.
            let more = Sending::to(ingest.address, messages, 4);
            ingest.read_error_until("cannot store messages: ");
            raddle::thread::sleep(Duration::from_secs(rounds(2, 10).into()));
            server.run();
            ingest.read_error_until("storing again");
            more.end().expect("no connection is cut off");
            let ended = end(ingest, sending, 2 * messages);
            assert_eq!(ended.status, Some(0), "{ended:?}");
            assert_eq!(server.number("SELECT count(*) FROM messages"), 2 * messages);
            assert_eq!(server.number("SELECT count(DISTINCT text) FROM messages"), messages);
        });
    }

    #[test]
    fn rows_refused_by_a_server_under_load_are_rejected() {
        trial(|| {
            let Some(server) = Server::start() else { return };
            let scratch = Scratch::new("postgres-refused");
            let ingest =
                Ingest::start(scratch.raddle(&format!("ingest --listen 127.0.0.1:0 {}", server.flags())));
            server.execute("ALTER TABLE messages ADD CHECK (text NOT LIKE '%message %000 ..%')");
            let messages = u64::from(rounds(40_000, 400_000));
            let sending = Sending::to(ingest.address, messages, 4);
            let ended = end(ingest, sending, messages);
            assert_eq!(ended.status, Some(3), "{ended:?}");
            assert_eq!(
                (ended.account()("stored"), ended.account()("rejected")),
                (messages / 1000 * 999, messages / 1000)
            );
            assert_eq!(server.number("SELECT count(DISTINCT text) FROM messages"), messages / 1000 * 999);
            assert_eq!(server.number("SELECT count(DISTINCT bytes) FROM rejected"), messages / 1000);
        });
    }
}
