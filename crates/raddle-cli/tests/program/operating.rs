//! Operating conditions: framings, foreign protocols, refused rows, locks, limits, remaining files.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;

use crate::support::{Ended, Ingest, Scratch, number, until, within_limit};

const MESSAGES: &str = "SELECT count(*) FROM messages";
const REJECTED: &str = "SELECT count(*) FROM rejected";

fn start(scratch: &Scratch, options: &str) -> Ingest {
    Ingest::start(scratch.raddle(&format!("ingest --listen 127.0.0.1:0 {options}")))
}

#[test]
fn octet_counted_frames_are_stored() {
    within_limit(|| {
        let scratch = Scratch::new("octets");
        let ingest = start(&scratch, "");
        let frame = |number: u32| {
            let text = format!("<13>1 2026-01-02T03:04:05Z host app - - - {number:.<150}");
            format!("{} {text}", text.len())
        };
        let frames: String = (1..=10_000).map(frame).collect();
        ingest.send(frames.as_bytes());
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(ended.last_line(), "received 10000 = stored 10000 + rejected 0");
        let database = scratch.path("messages.db");
        assert_eq!(
            number(&database, "SELECT count(DISTINCT text) FROM messages WHERE host = 'host'"),
            10_000
        );
    });
}

#[test]
fn row_that_the_database_refuses_is_rejected_and_its_neighbours_are_stored() {
    within_limit(|| {
        let scratch = Scratch::new("refused");
        let ingest = start(&scratch, "");
        let database = scratch.path("messages.db");
        let trigger = "CREATE TRIGGER no_secrets BEFORE INSERT ON messages WHEN new.text LIKE '%secret%'
            BEGIN SELECT raise(ABORT, 'no secrets here'); END";
        Connection::open(&database).unwrap().execute_batch(trigger).unwrap();
        ingest.send(b"one\nsecret\nthree\n");
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(3), "{ended:?}");
        assert_eq!(ended.last_line(), "received 3 = stored 2 + rejected 1");
        assert_eq!(number(&database, MESSAGES), 2);
        let reasons = "SELECT count(*) FROM rejected WHERE reason LIKE '%no secrets here%' AND bytes = CAST('secret' AS BLOB)";
        assert_eq!(number(&database, reasons), 1);
    });
}

#[test]
fn idle_connections_of_one_peer_do_not_lock_out_the_others() {
    within_limit(|| {
        let scratch = Scratch::new("idle-peer");
        let options = "--listen [::1]:0 --max-connections 40 --max-per-peer 20";
        let mut ingest = start(&scratch, options);
        let greedy: Vec<TcpStream> = (0..60).map(|_| ingest.connect()).collect();
        ingest.read_error_until("which is the limit for one peer");
        let mut other = TcpStream::connect(ingest.addresses[1]).unwrap();
        other.write_all(b"served\n").unwrap();
        until(|| number(&scratch.path("messages.db"), MESSAGES) == 1);
        drop((greedy, other));
        let ended = ingest.stop();
        assert!(ended.out.contains(" connections refused"), "{ended:?}");
    });
}

#[test]
fn unstored_messages_are_imported_at_the_next_start() {
    within_limit(|| {
        let scratch = Scratch::new("import");
        let database = scratch.path("messages.db");
        let mut ingest = start(&scratch, "--deadline 500ms");
        let lock = Connection::open(&database).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"one\ntwo\nthree\n");
        ingest.read_error_until("cannot store messages: ");
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(4), "{ended:?}");
        assert_eq!(ended.last_line(), "received 3 = stored 0 + rejected 0 + unstored 3");
        let file = std::fs::metadata(scratch.path("messages.db.unstored")).unwrap();
        assert_eq!(file.permissions().mode() & 0o007, 0, "not readable by everyone");
        lock.execute_batch("ROLLBACK").unwrap();

        let ended = start(&scratch, "").stop();
        assert!(ended.err.contains("messages.db.unstored: importing messages"), "{ended:?}");
        assert!(ended.err.contains("messages.db.unstored: 3 messages stored"), "{ended:?}");
        assert_eq!((ended.status, number(&database, MESSAGES)), (Some(0), 3), "{ended:?}");
        assert!(!scratch.path("messages.db.unstored").exists());
    });
}

#[test]
fn status_is_logged_while_the_program_runs() {
    within_limit(|| {
        let scratch = Scratch::new("status");
        let mut ingest = start(&scratch, "--status 50ms");
        ingest.send(b"one\nnot UTF-8 \xff\n");
        let line = ingest.read_error_until("received 2 = stored 1 + rejected 1; stored ");
        assert!(line.contains(" per second, 0 queued, "), "{line}");
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(3), "{ended:?}");
        let lines: Vec<&str> = ended.out.lines().collect();
        assert_eq!(
            lines,
            ["source tcp: received 2 = stored 1 + rejected 1", "received 2 = stored 1 + rejected 1"]
        );
    });
}

#[test]
fn log_and_books_are_json_on_request() {
    within_limit(|| {
        let scratch = Scratch::new("json");
        let command = scratch.raddle("ingest --listen 127.0.0.1:0 --log-format json --status 50ms");
        let mut ingest = Ingest::spawn(command);
        let status = ingest.read_error_until(r#""rate":0"#);
        let Ended { out, err, .. } = ingest.stop();
        for line in out.lines().chain(err.lines()).chain([status.trim_end()]) {
            let object: serde_json::Value = serde_json::from_str(line).expect(line);
            assert!(
                object["time"].is_string() && object["level"].is_string() && object["message"].is_string(),
                "{line}"
            );
        }
        let last: serde_json::Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        assert_eq!((&last["received"], &last["lost"]), (&0.into(), &0.into()), "{out}");
    });
}

/// Sends bytes, and returns the reply up to the end of the connection.
fn exchange(ingest: &Ingest, bytes: &[u8]) -> Vec<u8> {
    let mut peer = ingest.connect();
    peer.write_all(bytes).unwrap();
    let mut reply = Vec::new();
    let _ = peer.read_to_end(&mut reply);
    reply
}

#[test]
fn http_request_on_the_port_is_served() {
    within_limit(|| {
        let scratch = Scratch::new("http");
        let ingest = start(&scratch, "");
        let request = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\nContent-Length: 8\r\n\r\n\"a\"\n\"b\"\n";
        let reply = String::from_utf8(exchange(&ingest, request.as_bytes())).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
        // Acknowledged messages are stored.
        assert_eq!(number(&scratch.path("messages.db"), MESSAGES), 2);
        let ended = ingest.stop();
        assert_eq!(ended.last_line(), "received 2 = stored 2 + rejected 0", "{ended:?}");
    });
}

#[test]
fn relp_session_on_the_port_is_acknowledged_after_the_commit() {
    within_limit(|| {
        let scratch = Scratch::new("relp");
        let ingest = start(&scratch, "");
        let mut peer = ingest.connect();
        peer.write_all(b"1 open 30 relp_version=0\ncommands=syslog\n").unwrap();
        peer.write_all(b"2 syslog 5 hello\n").unwrap();
        let mut reply = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&reply).contains("2 rsp 6 200 OK") {
            let length = peer.read(&mut buffer).unwrap();
            assert!(length > 0, "{:?}", String::from_utf8_lossy(&reply));
            reply.extend_from_slice(&buffer[..length]);
        }
        assert_eq!(number(&scratch.path("messages.db"), MESSAGES), 1);
        peer.write_all(b"3 close 0\n").unwrap();
        let ended = ingest.stop();
        assert_eq!(ended.last_line(), "received 1 = stored 1 + rejected 0", "{ended:?}");
    });
}

#[test]
fn tls_hello_is_refused_with_an_alert() {
    within_limit(|| {
        let scratch = Scratch::new("tls");
        let ingest = start(&scratch, "");
        let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x40, 0x01, 0x00, 0x00, 0x3c, 0x03, 0x03];
        hello.resize(69, 0);
        let reply = exchange(&ingest, &hello);
        assert_eq!(reply.first(), Some(&0x15), "{reply:?}");
        let ended = ingest.stop();
        assert_eq!(ended.account()("stored"), 0, "{ended:?}");
        assert_eq!(number(&scratch.path("messages.db"), REJECTED), 0, "{ended:?}");
    });
}

#[test]
fn database_that_is_locked_at_the_start_is_waited_for() {
    within_limit(|| {
        let scratch = Scratch::new("locked");
        let database = scratch.path("messages.db");
        start(&scratch, "").stop();
        let lock = Connection::open(&database).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut waiting = Ingest::spawn(scratch.raddle("ingest --listen 127.0.0.1:0"));
        let line = waiting.read_error_until("waiting");
        assert!(line.contains("messages.db is in use by another program"), "{line}");
        lock.execute_batch("COMMIT").unwrap();
        waiting.read_addresses();
        waiting.send(b"one\n");
        assert_eq!(waiting.stop().last_line(), "received 1 = stored 1 + rejected 0");
    });
}

#[test]
fn stop_ends_the_wait_for_the_database() {
    within_limit(|| {
        let scratch = Scratch::new("locked-stop");
        start(&scratch, "").stop();
        let lock = Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut waiting = Ingest::spawn(scratch.raddle("ingest --listen 127.0.0.1:0"));
        waiting.read_error_until("waiting");
        let ended = waiting.stop();
        assert_eq!(
            (ended.status, ended.last_line()),
            (Some(0), "stopped before messages were received"),
            "{ended:?}"
        );
    });
}

#[test]
fn database_is_not_readable_by_everyone() {
    within_limit(|| {
        let mode = |scratch: &Scratch, name: &str| {
            std::fs::metadata(scratch.path(name)).unwrap().permissions().mode() & 0o777
        };
        let scratch = Scratch::new("mode");
        let ingest = Ingest::start(scratch.raddle_after("umask 000", "ingest --listen 127.0.0.1:0"));
        ingest.send(b"one\n");
        until(|| number(&scratch.path("messages.db"), MESSAGES) == 1);
        assert_eq!((mode(&scratch, "messages.db"), mode(&scratch, "messages.db-wal")), (0o640, 0o640));
        ingest.stop();
        std::fs::write(scratch.path("s.toml"), "[sqlite]\nmode = \"0600\"\n").unwrap();
        start(&scratch, "--config s.toml").stop();
        assert_eq!(mode(&scratch, "messages.db"), 0o600);
    });
}

#[test]
fn full_queue_sheds_on_request_and_reports_it() {
    within_limit(|| {
        let scratch = Scratch::new("shed");
        let mut ingest = start(&scratch, "--when-full shed --queue 10 --batch 10");
        let lock = Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"first\n");
        ingest.read_error_until("cannot store messages: ");
        for _ in 0..30 {
            ingest.send(b"more\n");
        }
        lock.execute_batch("COMMIT").unwrap();
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(3), "{ended:?}");
        let account = ended.account();
        assert_eq!(account("received"), 31, "{ended:?}");
        assert_eq!(account("stored") + account("shed"), 31, "{ended:?}");
        assert!(account("shed") >= 20, "{ended:?}");
    });
}

#[test]
fn full_queue_is_answered_with_503_over_http() {
    within_limit(|| {
        let scratch = Scratch::new("http-full");
        let mut ingest = start(&scratch, "--queue 10 --batch 10");
        let lock = Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"first\n");
        ingest.read_error_until("cannot store messages: ");
        ingest.send(&b"more\n".repeat(10));
        let request = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\nContent-Length: 4\r\n\r\n\"a\"\n";
        let reply = String::from_utf8(exchange(&ingest, request.as_bytes())).unwrap();
        assert!(
            reply.starts_with("HTTP/1.1 503 ") && reply.to_lowercase().contains("\r\nretry-after: "),
            "{reply}"
        );
        lock.execute_batch("COMMIT").unwrap();
        let ended = ingest.stop();
        // Its sender was notified, and keeps the message.
        assert_eq!(
            (ended.status, ended.last_line()),
            (Some(0), "received 12 = stored 11 + rejected 0 + shed 1"),
            "{ended:?}"
        );
    });
}

#[test]
fn silent_peer_does_not_delay_the_stop() {
    within_limit(|| {
        let scratch = Scratch::new("silent");
        let ingest = start(&scratch, "--grace 1h");
        let mut silent = ingest.connect();
        silent.write_all(b"one\n").unwrap();
        until(|| number(&scratch.path("messages.db"), MESSAGES) == 1);
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let _ = silent.shutdown(Shutdown::Both);
    });
}

#[test]
fn datagrams_are_stored() {
    within_limit(|| {
        let scratch = Scratch::new("datagrams");
        let ingest = Ingest::start(scratch.raddle("ingest --listen udp://127.0.0.1:0"));
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..100 {
            socket.send_to(format!("<13>message {number}").as_bytes(), ingest.address).unwrap();
        }
        // The bytes in the buffer of the socket are read in the drain.
        let ended = ingest.stop();
        assert_eq!(
            ended.out,
            "source udp: received 100 = stored 100 + rejected 0\nreceived 100 = stored 100 + rejected 0\n"
        );
        assert_eq!(ended.status, Some(0), "{ended:?}");
    });
}

#[test]
fn datagrams_that_the_system_drops_are_counted() {
    within_limit(|| {
        let scratch = Scratch::new("dropped");
        let settings = "[[listen]]\nkind = \"udp\"\naddress = \"127.0.0.1:0\"\nreceive_buffer = \"8KiB\"\n";
        std::fs::write(scratch.path("s.toml"), settings).unwrap();
        let ingest = Ingest::start(scratch.raddle("ingest --config s.toml"));
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        // The program does not run, and the buffer of its socket overflows.
        ingest.signal("STOP");
        for number in 1..=500 {
            socket.send_to(format!("{number:.<500}").as_bytes(), ingest.address).unwrap();
        }
        ingest.signal("CONT");
        let ended = ingest.stop();
        let line = ended.out.lines().next().unwrap_or_default();
        let dropped = line.split(", ").find_map(|part| part.strip_suffix(" datagrams dropped by the system"));
        let dropped: u64 =
            dropped.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{ended:?}"));
        assert_eq!(ended.account()("received") + dropped, 500, "{ended:?}");
        assert_eq!(ended.account()("stored"), ended.account()("received"), "{ended:?}");
    });
}

#[test]
fn admin_listener_has_health_readiness_and_the_books() {
    within_limit(|| {
        let scratch = Scratch::new("admin");
        let ingest = start(&scratch, "--listen admin://127.0.0.1:0");
        ingest.send(b"one\nnot UTF-8 \xff\n");
        until(|| number(&scratch.path("messages.db"), REJECTED) == 1);
        let get = |path: &str| {
            let mut peer = TcpStream::connect(ingest.addresses[1]).unwrap();
            write!(peer, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut reply = String::new();
            let _ = peer.read_to_string(&mut reply);
            reply
        };
        for path in ["/health", "/ready"] {
            assert!(get(path).starts_with("HTTP/1.1 200 "), "{}", get(path));
        }
        let metrics = get("/metrics");
        let count = |name: &str, number: u64| {
            metrics.lines().any(|line| {
                line.starts_with("raddle_")
                    && line.contains(name)
                    && line.contains("\"tcp\"")
                    && line.ends_with(&format!(" {number}"))
            })
        };
        assert!(count("received", 2) && count("stored", 1) && count("rejected", 1), "{metrics}");
        ingest.stop();
    });
}
