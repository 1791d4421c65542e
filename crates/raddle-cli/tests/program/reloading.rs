//! SIGHUP: the settings are read again, and no message is lost.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use crate::support::{Ingest, Scratch, Sending, check_prefixes, free_address, number, until, within_limit};

const CONNECTIONS: u64 = 4;

fn start(scratch: &Scratch, settings: &str) -> Ingest {
    std::fs::write(scratch.path("s.toml"), settings).unwrap();
    Ingest::start(scratch.raddle("ingest --config s.toml"))
}

fn reload(scratch: &Scratch, ingest: &mut Ingest, settings: &str, words: &str) -> String {
    std::fs::write(scratch.path("s.toml"), settings).unwrap();
    ingest.signal("HUP");
    ingest.read_error_until(words)
}

#[test]
fn reloads_in_mid_burst_lose_nothing() {
    within_limit(|| {
        let scratch = Scratch::new("reload-burst");
        let settings = |queue: u32, kind: &str| {
            format!(
                "[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\nkind = \"{kind}\"\nname = \"other\"\naddress = \"127.0.0.1:0\"\n[queue]\nmessages = {queue}\n[batch]\nmessages = {queue}\n"
            )
        };
        let mut ingest = start(&scratch, &settings(10_000, "udp"));
        let sending = Sending::to(ingest.address, 80_000, CONNECTIONS);
        for round in 1..=20 {
            sending.until_sent(round * 3000);
            let kind = if round % 2 == 0 { "udp" } else { "http" };
            let queue = if round % 3 == 0 { 100 } else { 20_000 };
            reload(&scratch, &mut ingest, &settings(queue, kind), "the settings in s.toml are in effect");
        }
        sending.end().unwrap();
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(ended.last_line(), "received 80000 = stored 80000 + rejected 0");
        assert_eq!(check_prefixes(scratch.path("messages.db"), CONNECTIONS), (80_000, 0));
    });
}

#[test]
fn invalid_settings_change_nothing() {
    within_limit(|| {
        let scratch = Scratch::new("reload-invalid");
        let settings = "[[listen]]\naddress = \"127.0.0.1:0\"\n";
        let mut ingest = start(&scratch, settings);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let busy =
            format!("{settings}[[listen]]\nname = \"busy\"\naddress = \"{}\"\n", taken.local_addr().unwrap());
        for (invalid, words) in [
            (
                "[quue]\n".to_owned(),
                "s.toml:1: unknown section 'quue'; did you mean 'queue'?; the old settings stay in effect",
            ),
            ("[queue]\nmessages = 0\n".to_owned(), "s.toml:2: invalid value for queue.messages"),
            (busy, "cannot listen on"),
        ] {
            let line = reload(&scratch, &mut ingest, &invalid, words);
            assert!(line.trim_end().ends_with("the old settings stay in effect"), "{line}");
            ingest.send(b"still served\n");
        }
        std::fs::remove_file(scratch.path("s.toml")).unwrap();
        ingest.signal("HUP");
        ingest.read_error_until("cannot read the settings in s.toml: No such file");
        ingest.send(b"still served\n");
        assert_eq!(ingest.stop().last_line(), "received 4 = stored 4 + rejected 0");
    });
}

#[test]
fn settings_that_need_a_restart_are_named() {
    within_limit(|| {
        let scratch = Scratch::new("reload-restart");
        let listen = "[[listen]]\naddress = \"127.0.0.1:0\"\n";
        let mut ingest = start(&scratch, listen);
        let changed = format!("{listen}[sqlite]\npath = \"other.db\"\n");
        for _ in 0..2 {
            let line = reload(&scratch, &mut ingest, &changed, "take effect after a restart");
            assert!(
                line.contains("s.toml: sqlite.path, unstored.path take effect after a restart"),
                "{line}"
            );
        }
        ingest.send(b"one\n");
        ingest.stop();
        assert_eq!(number(&scratch.path("messages.db"), "SELECT count(*) FROM messages"), 1);
        assert!(!scratch.path("other.db").exists());
    });
}

#[test]
fn new_listener_is_served_and_a_removed_one_keeps_its_connections() {
    within_limit(|| {
        let scratch = Scratch::new("reload-listeners");
        let listener =
            |name: &str, address: &str| format!("[[listen]]\nname = \"{name}\"\naddress = \"{address}\"\n");
        let free = free_address().to_string();
        let mut ingest = start(&scratch, &listener("old", &free_address().to_string()));
        let mut old = ingest.connect();
        old.write_all(b"before\n").unwrap();
        let messages = || number(&scratch.path("messages.db"), "SELECT count(*) FROM messages");
        until(|| messages() == 1);
        reload(&scratch, &mut ingest, &listener("new", &free), "are in effect");
        let mut new = TcpStream::connect(&free).unwrap();
        new.write_all(b"new\n").unwrap();
        old.write_all(b"after\n").unwrap();
        until(|| messages() == 3);
        until(|| TcpStream::connect(ingest.address).is_err());
        drop((old, new));
        let ended = ingest.stop();
        assert!(
            ended.out.contains("source old: received 2 = ")
                && ended.out.contains("source new: received 1 = "),
            "{ended:?}"
        );
    });
}

#[test]
fn limits_follow_the_settings() {
    within_limit(|| {
        let scratch = Scratch::new("reload-limits");
        let listen = "[[listen]]\naddress = \"127.0.0.1:0\"\n";
        let mut ingest = start(&scratch, listen);
        let lock = rusqlite::Connection::open(scratch.path("messages.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        ingest.send(b"first\n");
        ingest.read_error_until("cannot store messages: ");
        let settings =
            format!("{listen}[queue]\nmessages = 5\nwhen_full = \"shed\"\n[limits]\nper_peer = 2\n");
        reload(&scratch, &mut ingest, &settings, "are in effect");
        for _ in 0..10 {
            ingest.send(b"more\n");
        }
        let peers: Vec<TcpStream> = (0..4).map(|_| ingest.connect()).collect();
        ingest.read_error_until("which is the limit for one peer");
        drop(peers);
        lock.execute_batch("COMMIT").unwrap();
        let ended = ingest.stop();
        assert_eq!(
            (ended.status, ended.last_line()),
            (Some(3), "received 11 = stored 6 + rejected 0 + shed 5"),
            "{ended:?}"
        );
    });
}

#[test]
fn log_and_status_follow_the_settings() {
    within_limit(|| {
        let scratch = Scratch::new("reload-log");
        let listen = "[[listen]]\naddress = \"127.0.0.1:0\"\n[status]\n";
        let mut ingest = start(&scratch, &format!("{listen}interval = \"0\"\n"));
        let settings = format!("{listen}interval = \"50ms\"\n[log]\nformat = \"json\"\n");
        reload(&scratch, &mut ingest, &settings, "are in effect");
        let line = ingest.read_error_until("received 0 = stored 0 + rejected 0; stored 0 per second");
        assert!(line.starts_with('{'), "{line}");
        let quiet = format!("{listen}interval = \"50ms\"\n[log]\nlevel = \"error\"\n");
        std::fs::write(scratch.path("s.toml"), quiet).unwrap();
        ingest.signal("HUP");
        // Text again, and neither the reload nor the stop is an error. The signals are carried out in order.
        ingest.signal("TERM");
        let ended = ingest.end();
        assert_eq!(ended.status, Some(0), "{ended:?}");
    });
}

#[test]
fn token_is_read_again() {
    within_limit(|| {
        let scratch = Scratch::new("reload-token");
        let settings = "[[listen]]\nkind = \"http\"\naddress = \"127.0.0.1:0\"\ntoken_file = \"token\"\n";
        std::fs::write(scratch.path("token"), "first\n").unwrap();
        let mut ingest = start(&scratch, settings);
        let status = |ingest: &Ingest, token: &str| {
            let mut peer = ingest.connect();
            let head = format!(
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
            );
            write!(peer, "{head}Content-Type: application/x-ndjson\r\nContent-Length: 4\r\n\r\n\"a\"\n")
                .unwrap();
            let mut reply = String::new();
            let _ = std::io::Read::read_to_string(&mut peer, &mut reply);
            reply.split(' ').nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!((status(&ingest, "first"), status(&ingest, "second")), ("200".into(), "401".into()));
        std::fs::write(scratch.path("token"), "second\n").unwrap();
        reload(&scratch, &mut ingest, settings, "are in effect");
        assert_eq!((status(&ingest, "first"), status(&ingest, "second")), ("401".into(), "200".into()));
        assert_eq!(ingest.stop().account()("stored"), 2);
    });
}

#[test]
fn listener_gets_another_name_and_keeps_its_socket() {
    within_limit(|| {
        let scratch = Scratch::new("reload-name");
        let free = free_address().to_string();
        let settings = |name: &str| format!("[[listen]]\nname = \"{name}\"\naddress = \"{free}\"\n");
        let mut ingest = start(&scratch, &settings("old"));
        let mut old = ingest.connect();
        old.write_all(b"before\n").unwrap();
        reload(&scratch, &mut ingest, &settings("new"), "are in effect");
        let messages = |name: &str| {
            let sql = format!("SELECT count(*) FROM messages WHERE source = '{name}'");
            number(&scratch.path("messages.db"), &sql)
        };
        // The reload takes effect on the thread of the connections.
        until(|| {
            TcpStream::connect(&free).unwrap().write_all(b"new\n").unwrap();
            messages("new") > 0
        });
        old.write_all(b"after\n").unwrap();
        drop(old);
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(ended.out.contains("source new: received "), "{ended:?}");
    });
}
