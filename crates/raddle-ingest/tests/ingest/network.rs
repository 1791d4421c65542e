//! What peers do, and what becomes of it in the database.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use raddle::{Event, Thread, thread, time};
use raddle_ingest::old::{Burst, Outcome, PipelineOptions, SqliteSink, TcpOptions, verify};

use crate::support::{Running, Scratch, number, rejected, send, texts, until, within_limit};

#[test]
fn burst_over_several_connections_is_stored_as_sent() {
    within_limit(|| {
        let scratch = Scratch::new("burst");
        let path = scratch.path("messages.db");
        let burst = Burst { messages: 20_000, connections: 8, burst: 5_000, ..Burst::default() };
        let burst = Burst { pause: Duration::from_millis(5), size: 60, ..burst };
        let running = Running::into_file(&path);
        send(&burst, running.address).unwrap();
        let account = running.stop_well();
        assert_eq!(account.to_string(), "received 20000 = stored 20000 + rejected 0");
        verify(&path, &burst).unwrap();
        assert_eq!(scratch.names(), ["messages.db"], "the file stands alone");
    });
}

#[test]
fn invalid_text_is_stored_with_the_reason() {
    within_limit(|| {
        let scratch = Scratch::new("reasons");
        let path = scratch.path("messages.db");
        let tcp = TcpOptions { max_message: 8, ..TcpOptions::default() };
        let running = Running::new(tcp, SqliteSink::open(&path).unwrap(), &PipelineOptions::default());
        running.send(b"one\r\nlonger than 8\nb\xffd\nn\0l\n\nexactly8\nlast");
        until(|| running.received() == 7);
        let account = running.stop_well();
        assert_eq!(account.to_string(), "received 7 = stored 4 + rejected 3");
        assert_eq!(texts(&path), ["one", "", "exactly8", "last"]);
        let expected = [
            ("oversized".to_owned(), 13, b"longer t".to_vec()),
            ("not UTF-8".to_owned(), 3, b"b\xffd".to_vec()),
            ("contains NUL".to_owned(), 3, b"n\0l".to_vec()),
        ];
        assert_eq!(rejected(&path), expected);
        let ids =
            "SELECT count(DISTINCT id) FROM (SELECT id FROM messages UNION ALL SELECT id FROM rejected)";
        assert_eq!(number(&path, ids), 7, "an id is unique in both tables together");
        let peers =
            "SELECT count(*) FROM messages WHERE peer LIKE '127.0.0.1:%' AND received > 1700000000000000";
        assert_eq!(number(&path, peers), 4);
        let readable =
            "SELECT count(*) FROM readable WHERE received_utc GLOB '20[0-9][0-9]-??-?? ??:??:??.???'";
        assert_eq!(number(&path, readable), 4);
    });
}

#[test]
fn random_bytes_are_accounted_for() {
    within_limit(|| {
        let scratch = Scratch::new("garbage");
        let path = scratch.path("messages.db");
        let running = Running::into_file(&path);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let garbage: Vec<u8> = (0..300_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        let lines = garbage.split_inclusive(|byte| *byte == b'\n').count() as u64;
        running.send(&garbage);
        until(|| running.received() == lines);
        let account = running.stop_well();
        assert_eq!(account.received, lines);
        assert!(account.rejected > account.stored, "{account}");
        assert_eq!(u64::try_from(number(&path, "SELECT count(*) FROM rejected")), Ok(account.rejected));
        assert_eq!(texts(&path).len() as u64, account.stored);
    });
}

#[test]
fn endless_line_is_one_rejected_message() {
    within_limit(|| {
        let scratch = Scratch::new("endless");
        let path = scratch.path("messages.db");
        let tcp = TcpOptions { max_message: 1000, ..TcpOptions::default() };
        let running = Running::new(tcp, SqliteSink::open(&path).unwrap(), &PipelineOptions::default());
        let mut endless = running.connect();
        for _ in 0..100 {
            endless.write_all(&[b'x'; 10_000]).unwrap();
        }
        let mut unfinished = running.connect();
        unfinished.write_all(b"a\nbegun").unwrap();
        until(|| running.received() == 1);
        let account = running.stop_well();
        assert_eq!(account.to_string(), "received 3 = stored 1 + rejected 2");
        let mut expected = [
            ("oversized".to_owned(), 1_000_000, vec![b'x'; 1000]),
            ("incomplete".to_owned(), 5, b"begun".to_vec()),
        ];
        expected.sort();
        let mut found = rejected(&path);
        found.sort();
        assert_eq!(found, expected);
        drop((endless, unfinished));
    });
}

#[test]
fn messages_of_a_lost_connection_are_stored() {
    within_limit(|| {
        let scratch = Scratch::new("lost");
        let path = scratch.path("messages.db");
        let running = Running::into_file(&path);
        let mut peer = running.connect();
        peer.write_all(b"one\nbegun").unwrap();
        until(|| running.received() == 1);
        rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
        drop(peer); // with a reset, as when a machine has restarted
        until(|| running.received() == 2);
        assert_eq!(running.stop_well().to_string(), "received 2 = stored 1 + rejected 1");
        assert_eq!(rejected(&path), [("incomplete".to_owned(), 5, b"begun".to_vec())]);
    });
}

#[test]
fn two_hundred_peers_are_served_at_once() {
    within_limit(|| {
        let scratch = Scratch::new("peers");
        let path = scratch.path("messages.db");
        let burst = Burst { messages: 10_000, connections: 200, ..Burst::default() };
        let running = Running::into_file(&path);
        let idle: Vec<TcpStream> = (0..50).map(|_| running.connect()).collect();
        send(&burst, running.address).unwrap();
        let begin = time::now();
        running.stop_well();
        assert!(time::now() - begin < Duration::from_secs(30), "idle peers do not hold up the stop");
        verify(&path, &burst).unwrap();
        drop(idle);
    });
}

#[test]
fn messages_that_arrived_before_the_stop_are_stored() {
    within_limit(|| {
        let scratch = Scratch::new("arrived");
        let path = scratch.path("messages.db");
        // One at a time is let in, so that the others have only been taken in by the operating system.
        let tcp = TcpOptions { max_connections: 1, grace: Duration::from_secs(20), ..TcpOptions::default() };
        let running = Running::new(tcp, SqliteSink::open(&path).unwrap(), &PipelineOptions::default());
        let mut first = running.connect();
        first.write_all(b"first\n").unwrap();
        until(|| running.received() == 1);
        (0..20).for_each(|number| running.send(format!("later {number}\n").as_bytes()));
        let account = running.stop_well();
        assert_eq!(account.to_string(), "received 21 = stored 21 + rejected 0");
        drop(first);
    });
}

#[test]
fn connection_beyond_the_limit_waits() {
    within_limit(|| {
        let scratch = Scratch::new("turn");
        let path = scratch.path("messages.db");
        let tcp = TcpOptions { max_connections: 2, ..TcpOptions::default() };
        let running = Running::new(tcp, SqliteSink::open(&path).unwrap(), &PipelineOptions::default());
        let mut open: Vec<TcpStream> = (0..2).map(|_| running.connect()).collect();
        for (number, peer) in open.iter_mut().enumerate() {
            writeln!(peer, "early {number}").unwrap();
        }
        until(|| running.received() == 2);
        running.send(b"late\n");
        writeln!(open[0], "again").unwrap();
        until(|| running.received() == 3);
        drop(open); // and there is room
        until(|| running.received() == 4);
        running.stop_well();
        assert_eq!(texts(&path).last().map(String::as_str), Some("late"));
    });
}

#[test]
fn peer_that_keeps_sending_does_not_delay_the_stop() {
    within_limit(|| {
        let scratch = Scratch::new("relentless");
        let path = scratch.path("messages.db");
        let tcp = TcpOptions { grace: Duration::from_millis(300), ..TcpOptions::default() };
        let running = Running::new(tcp, SqliteSink::open(&path).unwrap(), &PipelineOptions::default());
        let mut peer = running.connect();
        let sender = Thread::spawn(move || {
            // Ends when the other end is closed.
            while peer.write_all(b"on and on and on\n").is_ok() {}
        });
        until(|| running.received() > 1000);
        let begin = time::now();
        let Outcome { account, problems } = running.stop();
        assert!(time::now() - begin < Duration::from_secs(20));
        assert!(account.balances(), "{account}");
        let told = "receiving: 1 connection that was still sending was disconnected 300ms after the stop, ";
        assert!(problems.len() == 1 && problems[0].starts_with(told), "{problems:?}");
        assert!(problems[0].contains("--grace"), "{problems:?}");
        sender.join().unwrap();
        assert!(texts(&path).iter().all(|text| text == "on and on and on"));
        assert!(rejected(&path).iter().all(|(reason, ..)| reason == "incomplete"));
        assert!(account.rejected <= 1, "{account}");
    });
}

#[test]
fn sender_gets_an_error_if_the_peer_closes_early() {
    within_limit(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = Thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.read_exact(&mut [0; 10]).unwrap();
            // Closed with bytes unread: the sender is told by a reset.
        });
        let burst = Burst { messages: 1_000_000, connections: 1, ..Burst::default() };
        let error = send(&burst, address).unwrap_err().to_string();
        assert!(error.starts_with("connection 1 was closed early by the peer after "), "{error}");
        peer.join().unwrap();
    });
}

#[test]
fn sender_waits_until_everything_has_been_read() {
    within_limit(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let burst = Burst { messages: 3, connections: 1, ..Burst::default() };
        let expected: String = (1..=3).map(|message| burst.text(1, message) + "\n").collect();
        let may_close = std::sync::Arc::new(Event::new());
        let peer = {
            let may_close = may_close.clone();
            Thread::spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                let mut all = String::new();
                socket.read_to_string(&mut all).unwrap();
                may_close.wait();
                socket.shutdown(Shutdown::Both).unwrap();
                all
            })
        };
        let sender = Thread::spawn(move || send(&burst, address));
        assert!(!sender.wait_timeout(Duration::from_millis(50)), "its peer has not closed");
        may_close.set();
        sender.join().unwrap().unwrap();
        assert_eq!(peer.join().unwrap(), expected);
    });
}

#[test]
fn stop_event_ends_a_pipeline_without_peers() {
    within_limit(|| {
        let scratch = Scratch::new("nobody");
        let path = scratch.path("messages.db");
        for _ in 0..20 {
            let running = Running::into_file(&path);
            thread::yield_now();
            assert_eq!(running.stop_well().received, 0);
        }
    });
}
