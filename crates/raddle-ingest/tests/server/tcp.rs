//! The behavior of peers, and its effects.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use raddle::Thread;
use raddle_ingest::{
    Limits, Listener, ListenerKind, ListenerOptions, PipelineOptions, ServerOptions, WhenFull,
};

use crate::support::{Memory, Running, any_port, finish, until, within_limit};

fn small_queue(when_full: WhenFull) -> PipelineOptions {
    let mut options = PipelineOptions::default();
    options.queue = Limits { messages: 100, bytes: 1 << 20 };
    options.when_full = when_full;
    options
}

fn tcp_listener() -> Vec<Listener> {
    vec![Listener::new("tcp", ListenerKind::Tcp, any_port())]
}

/// Asserts that the messages `peer number` of each peer are stored from 1 to `each`, in order.
#[track_caller]
fn assert_all(texts: &[String], peers: usize, each: usize) {
    let mut next = vec![1; peers];
    for text in texts {
        let (peer, number) = text.split_once(' ').expect("a peer and a number");
        let (peer, number): (usize, usize) = (peer.parse().unwrap(), number.parse().unwrap());
        assert_eq!(number, next[peer], "messages of peer {peer} are missing, or not in order");
        next[peer] += 1;
    }
    assert_eq!(next, vec![each + 1; peers]);
}

/// Sends `peer number` from 1 to `each` on connections of their own, in parallel.
fn send_all(running: &Running, peers: usize, each: usize) {
    let senders: Vec<_> = (0..peers)
        .map(|peer| {
            let mut socket = running.connect();
            Thread::spawn(move || {
                let mut text = Vec::new();
                for number in 1..=each {
                    writeln!(text, "{peer} {number}").expect("memory");
                }
                socket.write_all(&text).expect("sent");
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
}

#[test]
fn counted_frames_behind_one_that_is_not_recognised_are_stored() {
    within_limit(|| {
        let oversized = format!("100000 <13>{}", "x".repeat(99_996));
        for (first, account) in [
            (oversized.as_str(), "received 5001 = stored 5000 + rejected 1"),
            ("8 <13>good\n11 hello there", "received 5002 = stored 5002 + rejected 0"),
            ("8 <13>good0 ", "received 5001 = stored 5001 + rejected 0"),
            ("8 <13>good\n   ", "received 5002 = stored 5002 + rejected 0"),
            ("8 <13>good\n10 \u{feff}<13>abc", "received 5002 = stored 5002 + rejected 0"),
            ("0 ", "received 5001 = stored 5001 + rejected 0"),
            ("6 <13>abc", "received 5001 = stored 5001 + rejected 0"),
        ] {
            let running = Running::new(
                tcp_listener(),
                &ServerOptions::default(),
                &PipelineOptions::default(),
                Memory::new(),
            );
            let sink = running.sink.clone();
            let good: Vec<_> = (0..5_000).map(|number| format!("<13>message {number}")).collect();
            let mut stream = first.to_owned();
            stream.extend(good.iter().map(|message| format!("{} {message}", message.len())));
            running.connect().write_all(stream.as_bytes()).expect("sent");
            assert_eq!(running.stop_well().to_string(), account, "{first:.40}");
            let texts: Vec<_> = sink.lines().into_iter().filter_map(|line| line.content.ok()).collect();
            assert!(texts.ends_with(&good), "{first:.40}");
        }
    });
}

#[test]
fn burst_over_several_connections_is_stored_as_sent() {
    within_limit(|| {
        for threads in [1, 2] {
            let options = ServerOptions { threads, ..ServerOptions::default() };
            let running = Running::new(tcp_listener(), &options, &PipelineOptions::default(), Memory::new());
            let sink = running.sink.clone();
            send_all(&running, 8, 5_000);
            let account = running.stop_well();
            assert_eq!(account.to_string(), "received 40000 = stored 40000 + rejected 0");
            assert_all(&sink.texts(), 8, 5_000);
        }
    });
}

#[test]
fn invalid_text_is_stored_with_the_reason() {
    within_limit(|| {
        let options = ListenerOptions { max_message: 8, ..ListenerOptions::default() };
        let running = Running::tcp(options, Memory::new());
        let sink = running.sink.clone();
        running.send(b"one\r\nlonger than 8\nb\xffd\nn\0l\n\nexactly8\nlast");
        until(|| running.received() == 7);
        let account = running.stop_well();
        assert_eq!((account.received, account.rejected), (7, 3));
        let texts: Vec<String> = sink.lines().into_iter().filter_map(|line| line.content.ok()).collect();
        assert_eq!(texts, ["one", "", "exactly8", "last"]);
        let expected = [
            ("oversized".to_owned(), 13, b"longer t".to_vec()),
            ("not UTF-8".to_owned(), 3, b"b\xffd".to_vec()),
            ("contains NUL".to_owned(), 3, b"n\0l".to_vec()),
        ];
        assert_eq!(sink.rejected(), expected);
        assert!(sink.lines().iter().all(|line| line.peer.starts_with("127.0.0.1:")));
    });
}

#[test]
fn random_bytes_are_accounted_for() {
    within_limit(|| {
        let running = Running::usual();
        let sink = running.sink.clone();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let garbage: Vec<u8> = (0..300_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        // The first byte is one that no other protocol begins with.
        let mut peers: Vec<TcpStream> = (0..4).map(|_| running.connect()).collect();
        for chunk in garbage.chunks(1000) {
            for peer in &mut peers {
                peer.write_all(chunk).unwrap();
            }
        }
        drop(peers);
        let account = running.stop_well();
        assert!(account.received > 1000 && account.received.is_multiple_of(4), "{account}");
        assert_eq!(account.received, account.stored + account.rejected);
        assert_eq!(sink.lines().len() as u64, account.received);
    });
}

#[test]
fn endless_line_is_one_rejected_message() {
    within_limit(|| {
        let options = ListenerOptions { max_message: 1000, ..ListenerOptions::default() };
        let running = Running::tcp(options, Memory::new());
        let sink = running.sink.clone();
        let mut endless = running.connect();
        for _ in 0..100 {
            endless.write_all(&[b'x'; 10_000]).unwrap();
        }
        let mut unfinished = running.connect();
        unfinished.write_all(b"a\nbegun").unwrap();
        until(|| running.received() == 1);
        let account = running.stop_well();
        assert_eq!(account.to_string(), "received 3 = stored 1 + rejected 2");
        let mut rejected = sink.rejected();
        rejected.sort();
        let expected = [
            ("incomplete".to_owned(), 5, b"begun".to_vec()),
            ("oversized".to_owned(), 1_000_000, vec![b'x'; 1000]),
        ];
        assert_eq!(rejected, expected);
        drop((endless, unfinished));
    });
}

#[test]
fn messages_of_a_lost_connection_are_stored() {
    within_limit(|| {
        let running = Running::usual();
        let sink = running.sink.clone();
        let mut peer = running.connect();
        peer.write_all(b"one\nbegun").unwrap();
        until(|| running.received() == 1);
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer); // with a reset, as when a machine has restarted
        until(|| running.received() == 2);
        until(|| running.counts().open == 0);
        assert_eq!(running.stop_well().to_string(), "received 2 = stored 1 + rejected 1");
        assert_eq!(sink.rejected(), [("incomplete".to_owned(), 5, b"begun".to_vec())]);
    });
}

#[test]
fn half_closed_peer_is_served_and_closed() {
    within_limit(|| {
        let running = Running::usual();
        let sink = running.sink.clone();
        let mut peer = running.connect();
        peer.write_all(b"one\nlast").unwrap();
        finish(&peer);
        assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0, "everything is read, and the connection closed");
        assert_eq!(running.stop_well().stored, 2);
        assert_eq!(sink.texts(), ["one", "last"]);
    });
}

#[test]
fn message_in_many_pieces_is_one() {
    within_limit(|| {
        let running = Running::usual();
        let sink = running.sink.clone();
        let mut peer = running.connect();
        peer.set_nodelay(true).unwrap();
        for byte in b"piece by piece\nwhole\n" {
            peer.write_all(&[*byte]).unwrap();
            raddle::thread::yield_now();
        }
        drop(peer);
        assert_eq!(running.stop_well().stored, 2);
        assert_eq!(sink.texts(), ["piece by piece", "whole"]);
    });
}

#[test]
fn full_queue_slows_peers_down_and_loses_nothing() {
    within_limit(|| {
        for threads in [1, 2] {
            let sink = Memory { pause: Duration::from_millis(1), ..Memory::new() };
            let options = ServerOptions { threads, ..ServerOptions::default() };
            let running = Running::new(tcp_listener(), &options, &small_queue(WhenFull::Block), sink.clone());
            send_all(&running, 10, 3_000);
            let account = running.stop_well();
            assert_eq!(account.to_string(), "received 30000 = stored 30000 + rejected 0");
            assert_all(&sink.texts(), 10, 3_000);
        }
    });
}

#[test]
fn full_queue_sheds_and_counts() {
    within_limit(|| {
        let sink = Memory::new();
        sink.block();
        let running = Running::new(
            tcp_listener(),
            &ServerOptions::default(),
            &small_queue(WhenFull::Shed),
            sink.clone(),
        );
        let mut peer = running.connect();
        let mut sent = 0;
        while running.account().shed == 0 {
            peer.write_all("x\n".repeat(50).as_bytes()).unwrap();
            sent += 50;
            until(|| running.received() == sent);
        }
        let account = running.account();
        assert!(account.shed > 0 && account.lost() == 0, "{account}");
        sink.unblock();
        writeln!(peer, "again").unwrap();
        until(|| running.account().stored + running.account().shed == sent + 1);
        drop(peer);
        let account = running.stop_well();
        assert_eq!(account.stored + account.shed, sent + 1, "{account}");
        assert_eq!(sink.texts().len() as u64, account.stored);
    });
}

#[test]
fn blocked_peer_does_not_stop_the_others() {
    within_limit(|| {
        let sink = Memory::new();
        sink.block();
        let options = small_queue(WhenFull::Block);
        let running = Running::new(tcp_listener(), &ServerOptions::default(), &options, sink.clone());
        // The queue is full, and the first peer waits for room.
        let mut first = running.connect();
        let mut sent = 0;
        while running.server.counters().counts().waiting == 0 {
            first.write_all("x\n".repeat(100).as_bytes()).unwrap();
            sent += 100;
            raddle::thread::sleep(Duration::from_millis(1));
        }
        // Others are accepted meanwhile, and read as far as memory permits.
        let mut others: Vec<TcpStream> = (0..50).map(|_| running.connect()).collect();
        for other in &mut others {
            other.write_all(b"y\n").unwrap();
        }
        until(|| running.counts().open == 51);
        sink.unblock();
        until(|| running.received() == sent + 50);
        drop((first, others));
        assert_eq!(running.stop_well().stored, sent + 50);
    });
}

#[test]
fn quiet_peer_is_served_among_busy_ones() {
    within_limit(|| {
        let running = Running::tcp(ListenerOptions::default(), Memory::new());
        let sink = running.sink.clone();
        let stop = std::sync::Arc::new(raddle::Event::new());
        let busy: Vec<_> = (0..4)
            .map(|_| {
                let (mut peer, stop) = (running.connect(), stop.clone());
                let text = "busy\n".repeat(1000);
                Thread::spawn(move || while !stop.is_set() && peer.write_all(text.as_bytes()).is_ok() {})
            })
            .collect();
        until(|| running.received() > 1000);
        let mut quiet = running.connect();
        quiet.write_all(b"quiet\n").unwrap();
        let name = quiet.local_addr().unwrap().to_string();
        until(|| sink.lines.lock().iter().any(|line| line.peer == name));
        stop.set();
        for sender in busy {
            sender.join().unwrap();
        }
        drop(quiet);
        running.stop_well();
    });
}
