//! How `raddle ingest` stops, and the state of the database afterwards.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raddle::{JoinHandle, Thread};
use raddle_ingest::old::{Burst, SendError};

use crate::support::{Ended, Ingest, Scratch, check_prefixes, number, until, within_limit};

const CONNECTIONS: u64 = 8;

/// Long enough that the operating system's buffers, which a stop takes in, do not hold too many for a test.
const SIZE: usize = 200;

/// Messages being sent, and how many are on their way.
struct Sending {
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), SendError>>,
}

impl Sending {
    fn to(address: SocketAddr, messages: u64) -> Self {
        let burst = Burst { messages, connections: CONNECTIONS, size: SIZE, ..Burst::default() };
        let sent = Arc::new(AtomicU64::new(0));
        let counted = sent.clone();
        Self { sent, thread: Thread::spawn(move || burst.send(address, &counted)) }
    }

    fn until_sent(&self, messages: u64) {
        until(|| self.sent.load(Ordering::Relaxed) >= messages);
    }
}

fn start(scratch: &Scratch, options: &str) -> Ingest {
    Ingest::start(scratch.raddle(&format!("ingest --listen 127.0.0.1:0 {options}")))
}

fn stopped_in_mid_burst(signal: &str, options: &str) {
    let scratch = Scratch::new(&format!("mid-burst-{signal}"));
    let ingest = start(&scratch, &format!("--grace 300ms {options}"));
    let sending = Sending::to(ingest.address, 10_000_000);
    sending.until_sent(20_000);
    ingest.signal(signal);
    let ended = ingest.end();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.err.contains(" disconnected 300ms after the stop"), "{ended:?}");
    let account = ended.account();
    assert_eq!(account("received"), account("stored") + account("rejected"));
    assert_eq!((account("unstored"), account("lost")), (0, 0));
    let (messages, rejected) = check_prefixes(scratch.path("messages.db"), CONNECTIONS);
    assert_eq!((messages, rejected), (account("stored"), account("rejected")));
    assert!(messages > 1000, "{ended:?}");
    assert!(ended.err.starts_with("raddle: stopping: "), "{ended:?}");
    let error = sending.thread.join().unwrap().unwrap_err().to_string();
    // Disconnected, unless the first connection to fail had not been accepted.
    assert!(
        error.contains("closed early by the peer") || error.contains("could not be established"),
        "{error}"
    );
}

#[test]
fn account_matches_the_database_after_sigterm_in_mid_burst() {
    within_limit(|| stopped_in_mid_burst("TERM", ""));
}

#[test]
fn account_matches_the_database_after_sigint_in_mid_burst() {
    within_limit(|| stopped_in_mid_burst("INT", "--queue 200 --batch 100"));
}

#[test]
fn further_signals_during_the_stop_have_no_effect() {
    within_limit(|| {
        let scratch = Scratch::new("signals");
        // A transaction for each few messages, so that the queue takes a while to drain.
        let ingest = start(&scratch, "--batch 20 --linger 0");
        let sending = Sending::to(ingest.address, 5000);
        sending.until_sent(5000);
        ingest.signal("TERM");
        ingest.signal("TERM");
        ingest.signal("INT");
        let ended = ingest.end();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let account = ended.account();
        assert_eq!(account("received"), account("stored") + account("rejected"));
        let (messages, rejected) = check_prefixes(scratch.path("messages.db"), CONNECTIONS);
        assert_eq!((messages, rejected), (account("stored"), account("rejected")));
        let _ = sending.thread.join().unwrap(); // perhaps cut off, perhaps not
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
            let sending = Sending::to(ingest.address, 10_000_000);
            sending.until_sent(20_000);
            let stored = || number(&database, "SELECT count(*) FROM messages");
            until(|| stored() > 0);
            ingest.signal("KILL");
            assert_eq!(ingest.end().status, None);
            let (messages, _) = check_prefixes(&database, CONNECTIONS);
            assert!(messages > 0, "round {round}");
            assert_eq!(number(&database, "SELECT min(id) FROM messages"), before + 1, "round {round}");
            before = number(&database, "SELECT max(id) FROM messages");
            let _ = sending.thread.join().unwrap(); // it was cut off, and how is up to the system
            // The next round begins with an empty table, and must not give an id of this round again.
            rusqlite::Connection::open(&database).unwrap().execute_batch("DELETE FROM messages").unwrap();
        }
        let ingest = start(&scratch, "");
        let sending = Sending::to(ingest.address, 1000);
        sending.thread.join().unwrap().unwrap();
        ingest.signal("TERM");
        let ended = ingest.end();
        assert_eq!(ended.out, "received 1000 = stored 1000 + rejected 0\n");
        assert_eq!(number(&database, "SELECT count(*) FROM messages"), 1000);
        assert_eq!(number(&database, "SELECT min(id) FROM messages"), before + 1);
    });
}

#[test]
fn deleted_database_is_reported() {
    within_limit(|| {
        let scratch = Scratch::new("deleted");
        let database = scratch.path("messages.db");
        let send = |ingest: &Ingest, line: &[u8]| {
            TcpStream::connect(ingest.address).unwrap().write_all(line).unwrap();
        };
        let ingest = start(&scratch, "");
        send(&ingest, b"one\n");
        until(|| number(&database, "SELECT count(*) FROM messages") == 1);
        std::fs::remove_file(&database).unwrap();
        ingest.signal("TERM");
        let ended = ingest.end();
        let told = "raddle: cannot close the database: messages.db was deleted, moved or replaced while it was in use";
        assert!(ended.err.contains(told), "{ended:?}");
        assert_eq!(ended.status, Some(1), "{ended:?}");

        let mut ingest = start(&scratch, "");
        std::fs::remove_file(&database).unwrap();
        send(&ingest, b"two\n");
        let line = ingest.read_error_line();
        assert!(line.starts_with("raddle: cannot store messages: messages.db was deleted, "), "{line}");
        ingest.signal("TERM");
        let ended = ingest.end();
        assert_eq!(ended.status, Some(1), "{ended:?}");
        assert_eq!(ended.out, "received 1 = stored 0 + rejected 0 + unstored 1\n");
        assert!(std::fs::read_to_string(scratch.path("messages.db.unstored")).unwrap().contains("two"));
    });
}

/// No file of the program may grow beyond a megabyte or two; trapped, that is an error and no signal.
const SMALL_FILES: &str = "trap '' XFSZ; ulimit -f 2048";

/// A disk that is full when the program is told to stop.
fn stopped_on_a_full_disk(scratch: &Scratch, before: &str) -> Ended {
    let before = format!("{SMALL_FILES}; {before}");
    let mut ingest = Ingest::start(scratch.raddle_after(&before, "ingest --listen 127.0.0.1:0 --queue 1000"));
    let sending = Sending::to(ingest.address, 8000);
    // The log beside the database grows first, and to its limit; it is the writer who then says so.
    let told = ingest.read_error_line();
    assert!(told.starts_with("raddle: cannot store messages: "), "{told}");
    ingest.signal("TERM");
    let ended = ingest.end();
    let _ = sending.thread.join().unwrap(); // perhaps cut off, perhaps not
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let (messages, rejected) = check_prefixes(scratch.path("messages.db"), CONNECTIONS);
    assert_eq!((messages, rejected), (ended.account()("stored"), ended.account()("rejected")));
    ended
}

#[test]
fn full_disk_at_the_stop_loses_no_message() {
    within_limit(|| {
        let scratch = Scratch::new("full");
        let ended = stopped_on_a_full_disk(&scratch, "export TMPDIR=.");
        let account = ended.account();
        assert!(account("unstored") > 0, "{ended:?}");
        assert_eq!(
            account("received"),
            account("stored") + account("rejected") + account("unstored"),
            "{ended:?}"
        );
        // The file beside the database has grown to its limit, too, and then the other place was taken.
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count() as u64;
        let files = scratch.files();
        let unstored = files.iter().filter(|path| path.to_string_lossy().contains("messages.db.unstored"));
        assert_eq!(unstored.map(|path| lines(path)).sum::<u64>(), account("unstored"), "{files:?}");
        assert!(ended.err.contains("could not be stored and were written to "), "{ended:?}");
    });
}

#[test]
fn full_disk_without_a_writable_spill_file_is_reported_as_loss() {
    within_limit(|| {
        let scratch = Scratch::new("nowhere");
        std::fs::create_dir(scratch.path("messages.db.unstored")).unwrap();
        let ended = stopped_on_a_full_disk(&scratch, "export TMPDIR=/proc");
        let account = ended.account();
        assert!(account("lost") > 0 && account("unstored") == 0, "{ended:?}");
        assert_eq!(
            account("received"),
            account("stored") + account("rejected") + account("lost"),
            "{ended:?}"
        );
        assert!(
            ended.err.contains("raddle: messages are lost: they cannot be written to any file: "),
            "{ended:?}"
        );
    });
}

#[test]
fn connections_beyond_the_descriptor_limit_are_served_later() {
    within_limit(|| {
        let scratch = Scratch::new("descriptors");
        let mut ingest = Ingest::start(scratch.raddle_after("ulimit -n 24", "ingest --listen 127.0.0.1:0"));
        let mut peers: Vec<TcpStream> =
            (0..60).map(|_| TcpStream::connect(ingest.address).unwrap()).collect();
        for (number, peer) in (1..).zip(&mut peers) {
            writeln!(peer, "connection {number} message 1").unwrap();
        }
        let told = ingest.read_error_line();
        assert!(told.starts_with("raddle: cannot accept a connection: Too many open files"), "{told}");
        drop(peers);
        let database = scratch.path("messages.db");
        until(|| number(&database, "SELECT count(*) FROM messages") == 60);
        ingest.signal("TERM");
        let ended = ingest.end();
        assert_eq!(
            (ended.status, &*ended.out),
            (Some(0), "received 60 = stored 60 + rejected 0\n"),
            "{ended:?}"
        );
        assert_eq!(check_prefixes(&database, 60), (60, 0));
    });
}
