//! How `raddle ingest` stops, and the state of the database afterwards.

use std::io::Write as _;
use std::path::Path;

use crate::support::{Ended, Ingest, Scratch, Sending, check_prefixes, number, until, within_limit};

const CONNECTIONS: u64 = 8;

fn start(scratch: &Scratch, options: &str) -> Ingest {
    Ingest::start(scratch.raddle(&format!("ingest --listen 127.0.0.1:0 {options}")))
}

/// Checks that the account balances, and that the database contains as many messages.
#[track_caller]
fn check_books(ended: &Ended, scratch: &Scratch) -> u64 {
    let account = ended.account();
    assert_eq!(account("received"), account("stored") + account("rejected"), "{ended:?}");
    let found = check_prefixes(scratch.path("messages.db"), CONNECTIONS);
    assert_eq!(found, (account("stored"), account("rejected")), "{ended:?}");
    found.0
}

fn stopped_in_mid_burst(signal: &str, options: &str) {
    let scratch = Scratch::new(&format!("mid-burst-{signal}"));
    let ingest = start(&scratch, &format!("--grace 300ms {options}"));
    let sending = Sending::to(ingest.address, 10_000_000, CONNECTIONS);
    sending.until_sent(20_000);
    ingest.signal(signal);
    let ended = ingest.end();
    // A peer whose thread does not run for a while counts as silent, and not as one that is still sending.
    let cut_off = ended.err.contains(" disconnected 300ms after the stop");
    assert!(matches!((cut_off, ended.status), (true, Some(4)) | (false, Some(0 | 3))), "{ended:?}");
    assert!(ended.err.starts_with("raddle: stopping: "), "{ended:?}");
    assert!(check_books(&ended, &scratch) > 0, "{ended:?}");
    assert!(sending.end().is_err(), "the peers were cut off");
}

#[test]
fn peers_that_are_still_sending_are_disconnected_after_the_grace_period() {
    within_limit(|| {
        let scratch = Scratch::new("still-sending");
        let mut ingest = start(&scratch, "--grace 300ms --queue 100 --batch 100");
        let lock = rusqlite::Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        // More than the queue and the connections hold: the rest is in the operating system's buffers, and the peers would send more.
        let sending = Sending::to(ingest.address, 10_000_000, CONNECTIONS);
        ingest.read_error_until("cannot store messages: ");
        sending.until_sent(8000);
        ingest.signal("TERM");
        assert!(sending.end().is_err(), "the peers are cut off");
        // What was read is stored.
        lock.execute_batch("ROLLBACK").unwrap();
        let ended = ingest.end();
        assert_eq!(ended.status, Some(4), "{ended:?}");
        assert!(
            ended.err.contains("peers were still sending, and were disconnected 300ms after the stop"),
            "{ended:?}"
        );
        assert!(check_books(&ended, &scratch) > 0, "{ended:?}");
    });
}

#[test]
fn account_matches_the_database_after_sigterm_in_mid_burst() {
    within_limit(|| stopped_in_mid_burst("TERM", ""));
}

#[test]
fn account_matches_the_database_after_sigint_in_mid_burst() {
    within_limit(|| stopped_in_mid_burst("INT", "--queue 2000 --batch 1000"));
}

#[test]
fn second_sigterm_ends_the_program_at_once_and_reports_remaining_messages() {
    within_limit(|| {
        let scratch = Scratch::new("second-signal");
        let mut ingest = start(&scratch, "--deadline 1h");
        let database = scratch.path("messages.db");
        // A database that stays locked, so that the drain cannot end.
        let lock = rusqlite::Connection::open(&database).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"one\ntwo\nthree\n");
        ingest.read_error_until("cannot store messages: ");
        ingest.signal("TERM");
        ingest.read_error_until("stopping: ");
        ingest.signal("INT");
        let ended = ingest.end();
        assert_eq!(ended.status, Some(4), "{ended:?}");
        assert!(
            ended.err.contains("SIGINT again: ended at once; 3 messages that were received are not stored"),
            "{ended:?}"
        );
        let account = ended.account();
        assert_eq!((account("received"), account("stored")), (3, 0), "{ended:?}");
    });
}

#[test]
fn doubled_signal_is_one_request() {
    within_limit(|| {
        let scratch = Scratch::new("doubled-signal");
        let mut ingest = start(&scratch, "--deadline 1h");
        let lock = rusqlite::Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"one\ntwo\nthree\n");
        ingest.read_error_until("cannot store messages: ");
        ingest.signal("TERM");
        ingest.read_error_until("stopping: ");
        ingest.signal("TERM");
        ingest.read_error_until("SIGTERM again within 1s: without effect");
        lock.execute_batch("ROLLBACK").unwrap();
        let ended = ingest.end();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(ended.last_line(), "received 3 = stored 3 + rejected 0");
    });
}

#[test]
fn same_signal_a_second_later_ends_the_program_at_once() {
    within_limit(|| {
        let scratch = Scratch::new("later-signal");
        let mut ingest = start(&scratch, "--deadline 1h");
        let lock = rusqlite::Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"one\n");
        ingest.read_error_until("cannot store messages: ");
        ingest.signal("TERM");
        ingest.read_error_until("stopping: ");
        raddle::thread::sleep(std::time::Duration::from_secs(1));
        ingest.signal("TERM");
        let ended = ingest.end();
        assert_eq!(ended.status, Some(4), "{ended:?}");
        assert!(ended.err.contains("SIGTERM again: ended at once; 1 messages"), "{ended:?}");
    });
}

#[test]
fn kill_9_leaves_whole_messages_and_a_restart_adds_to_them() {
    within_limit(|| {
        let scratch = Scratch::new("kill-9");
        let database = scratch.path("messages.db");
        let mut before = 0;
        for round in 1..=3 {
            let ingest = start(&scratch, "--batch 500");
            let sending = Sending::to(ingest.address, 10_000_000, CONNECTIONS);
            sending.until_sent(20_000);
            let stored = || number(&database, "SELECT count(*) FROM messages");
            until(|| stored() > 0);
            ingest.signal("KILL");
            assert_eq!(ingest.end().status, None);
            let (messages, _) = check_prefixes(&database, CONNECTIONS);
            assert!(messages > 0, "round {round}");
            assert_eq!(number(&database, "SELECT min(id) FROM messages"), before + 1, "round {round}");
            before = number(&database, "SELECT max(id) FROM messages");
            let _ = sending.end(); // it was cut off; the error depends on the system
            // The next round begins with an empty table, and must not give an id of this round again.
            rusqlite::Connection::open(&database).unwrap().execute_batch("DELETE FROM messages").unwrap();
        }
        let ingest = start(&scratch, "");
        Sending::to(ingest.address, 1000, CONNECTIONS).end().unwrap();
        let ended = ingest.stop();
        assert_eq!(ended.last_line(), "received 1000 = stored 1000 + rejected 0");
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(number(&database, "SELECT count(*) FROM messages"), 1000);
        assert_eq!(number(&database, "SELECT min(id) FROM messages"), before + 1);
    });
}

#[test]
fn deleted_database_is_reported() {
    within_limit(|| {
        let scratch = Scratch::new("deleted");
        let database = scratch.path("messages.db");
        let ingest = start(&scratch, "");
        ingest.send(b"one\n");
        until(|| number(&database, "SELECT count(*) FROM messages") == 1);
        std::fs::remove_file(&database).unwrap();
        let ended = ingest.stop();
        assert!(
            ended.err.contains("messages.db was deleted, moved or replaced while it was in use"),
            "{ended:?}"
        );
        assert_eq!(ended.status, Some(1), "{ended:?}");
    });
}

#[test]
fn messages_after_the_loss_of_the_database_are_kept() {
    within_limit(|| {
        for is_renamed in [false, true] {
            let scratch = Scratch::new(&format!("lost-database-{is_renamed}"));
            let database = scratch.path("messages.db");
            let mut ingest = start(&scratch, "--deadline 1s");
            if is_renamed {
                std::fs::rename(&database, scratch.path("other.db")).unwrap();
            } else {
                std::fs::remove_file(&database).unwrap();
            }
            ingest.send(b"two\n");
            ingest.read_error_until("messages.db was deleted, moved or replaced while it was in use");
            let ended = ingest.stop();
            assert_eq!(ended.status, Some(4), "{ended:?}");
            assert_eq!(ended.last_line(), "received 1 = stored 0 + rejected 0 + unstored 1");
            assert!(std::fs::read_to_string(scratch.path("messages.db.unstored")).unwrap().contains("two"));
        }
    });
}

/// No file of the program may grow beyond a megabyte or two. The signal of the system about this does not end the program.
const SMALL_FILES: &str = "ulimit -f 2048";

/// A disk that is full when the program is stopped.
fn stopped_on_a_full_disk(scratch: &Scratch, before: &str) -> Ended {
    let before = format!("{SMALL_FILES}; {before}");
    let options = "ingest --listen 127.0.0.1:0 --queue 1000 --batch 500 --grace 1s --deadline 3s";
    let mut ingest = Ingest::start(scratch.raddle_after(&before, options));
    let sending = Sending::to(ingest.address, 6000, CONNECTIONS);
    // The log beside the database reaches its limit first, which the writer logs.
    ingest.read_error_until("cannot store messages: ");
    let ended = ingest.stop();
    let _ = sending.end(); // possibly cut off
    let (messages, rejected) = check_prefixes(scratch.path("messages.db"), CONNECTIONS);
    assert_eq!((messages, rejected), (ended.account()("stored"), ended.account()("rejected")));
    ended
}

#[test]
fn full_disk_at_the_stop_loses_no_message() {
    within_limit(|| {
        let scratch = Scratch::new("full");
        std::fs::create_dir(scratch.path("tmp")).unwrap();
        let ended = stopped_on_a_full_disk(&scratch, "export TMPDIR=$PWD/tmp");
        let account = ended.account();
        assert_eq!(ended.status, Some(4), "{ended:?}");
        assert!(account("unstored") > 0, "{ended:?}");
        assert_eq!(
            account("received"),
            account("stored") + account("rejected") + account("unstored"),
            "{ended:?}"
        );
        assert!(ended.err.contains("could not be stored and were written to "), "{ended:?}");

        // With space on the disk again, the next start stores the remaining messages from each of the places.
        let ingest =
            Ingest::start(scratch.raddle_after("export TMPDIR=$PWD/tmp", "ingest --listen 127.0.0.1:0"));
        let next = ingest.stop();
        assert!(next.err.contains("importing messages that an earlier run could not store"), "{next:?}");
        let (messages, rejected) = check_prefixes(scratch.path("messages.db"), CONNECTIONS);
        assert_eq!(messages + rejected, account("received"), "{ended:?} {next:?}");
        let left = |path: &Path| path.to_string_lossy().contains(".unstored");
        assert!(!scratch.files().iter().any(|path| left(path)), "{:?}", scratch.files());
    });
}

#[test]
fn batch_larger_than_an_unstored_file_is_kept_in_several() {
    within_limit(|| {
        let scratch = Scratch::new("several");
        // Each file has room for a part of the batch.
        let options = "ingest --listen 127.0.0.1:0 --queue 40000 --batch 40000 --grace 1s --deadline 1s";
        let before = format!("{SMALL_FILES}; export TMPDIR=/proc");
        let mut ingest = Ingest::start(scratch.raddle_after(&before, options));
        let lock = rusqlite::Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"the first\n");
        ingest.read_error_until("cannot store messages: ");
        let text = "x".repeat(200);
        let lines: Vec<String> = (0..20_000).map(|number| format!("{number} {text}\n")).collect();
        ingest.send(lines.concat().as_bytes());
        let ended = ingest.stop();
        lock.execute_batch("ROLLBACK").unwrap();
        assert_eq!(ended.status, Some(4), "{ended:?}");
        assert_eq!(ended.last_line(), "received 20001 = stored 0 + rejected 0 + unstored 20001", "{ended:?}");
        assert!(ended.err.contains("messages.db.unstored and "), "{ended:?}");
        let next = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0")).stop();
        assert_eq!(next.status, Some(0), "{next:?}");
        let count = "SELECT count(DISTINCT text) FROM messages";
        assert_eq!(number(&scratch.path("messages.db"), count), 20_001, "{next:?}");
    });
}

#[test]
fn full_disk_without_a_writable_unstored_file_is_reported_as_loss() {
    within_limit(|| {
        let scratch = Scratch::new("nowhere");
        // Neither beside the database nor in the temporary directory.
        let options = "--unstored /proc/raddle.unstored --queue 1000 --grace 1s --deadline 2s";
        let before = format!("{SMALL_FILES}; export TMPDIR=/proc");
        let mut ingest =
            Ingest::start(scratch.raddle_after(&before, &format!("ingest --listen 127.0.0.1:0 {options}")));
        let sending = Sending::to(ingest.address, 6000, CONNECTIONS);
        ingest.read_error_until("cannot store messages: ");
        let ended = ingest.stop();
        let _ = sending.end();
        assert_eq!(ended.status, Some(1), "{ended:?}");
        let account = ended.account();
        assert!(account("lost") > 0 && account("unstored") == 0, "{ended:?}");
        assert_eq!(
            account("received"),
            account("stored") + account("rejected") + account("lost"),
            "{ended:?}"
        );
        assert!(ended.err.contains("messages are lost: they cannot be written to any file: "), "{ended:?}");
    });
}

#[test]
fn few_descriptors_suffice_for_the_database_and_some_connections() {
    within_limit(|| {
        let scratch = Scratch::new("descriptors");
        let options = "ingest --listen 127.0.0.1:0 --max-per-peer 1000";
        let mut ingest = Ingest::start(scratch.raddle_after("ulimit -n 64", options));
        ingest.read_error_until("the limit of open files permits no more");
        let mut peers: Vec<_> = (0..100).map(|_| ingest.connect()).collect();
        // Connections beyond the limit are closed, and logged.
        ingest.read_error_until("connections are open, which is the limit");
        for (number, peer) in (1..).zip(&mut peers) {
            let _ = writeln!(peer, "connection {number} message 1");
        }
        let database = scratch.path("messages.db");
        until(|| number(&database, "SELECT count(*) FROM messages") >= 10);
        drop(peers);
        // There is room again, once the program has closed the connection.
        let last = "SELECT count(*) FROM messages WHERE text LIKE 'connection 101 %'";
        until(|| {
            if let Ok(mut peer) = std::net::TcpStream::connect(ingest.address) {
                let _ = peer.write_all(b"connection 101 message 1\n");
            }
            number(&database, last) > 0
        });
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let account = ended.account();
        assert_eq!(account("received"), account("stored"), "{ended:?}");
    });
}

#[test]
fn soft_descriptor_limit_is_raised() {
    within_limit(|| {
        let scratch = Scratch::new("soft-limit");
        let options = "ingest --listen 127.0.0.1:0 --max-per-peer 1000";
        let ingest = Ingest::start(scratch.raddle_after("ulimit -Sn 32", options));
        let mut peers: Vec<_> = (0..100).map(|_| ingest.connect()).collect();
        for (number, peer) in (1..).zip(&mut peers) {
            writeln!(peer, "connection {number} message 1").unwrap();
        }
        // All at once: none has been closed.
        until(|| number(&scratch.path("messages.db"), "SELECT count(*) FROM messages") == 100);
        drop(peers);
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
    });
}
