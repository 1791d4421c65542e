//! Protocols with replies: they are written after the commit, also while the server stops, and a peer that does not read them is bounded.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raddle::Thread;
use raddle_ingest::{
    DrainReport, Limits, Listener, ListenerKind, ListenerOptions, PipelineOptions, ServerOptions,
};

use crate::common::LIMIT;
use crate::support::{Memory, Running, any_port, finish, until, within_limit};

fn listeners(options: &ListenerOptions) -> Vec<Listener> {
    [ListenerKind::Tcp, ListenerKind::Http, ListenerKind::Relp, ListenerKind::Admin]
        .map(|kind| Listener::new(&kind.to_string(), kind, any_port()).options(options.clone()))
        .into()
}

fn start(server: &ServerOptions, sink: Memory) -> Running {
    let mut pipeline = PipelineOptions::default();
    pipeline.queue = Limits { messages: 100, bytes: 1 << 20 };
    Running::new(listeners(&ListenerOptions::default()), server, &pipeline, sink)
}

fn connect(running: &Running, kind: ListenerKind) -> TcpStream {
    let addresses = running.server.addresses();
    let (.., address) = addresses.iter().find(|(_, other, _)| *other == kind).expect("the listener");
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    socket
}

fn post(lines: &str) -> String {
    let length = lines.len();
    format!(
        "POST / HTTP/1.1\r\nHost: raddle\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{lines}"
    )
}

/// Reads until the text ends so.
#[track_caller]
fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) {
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "ends early: {}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

fn read_all(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

/// Blocks the sink and fills the queue, so that a peer with lines waits for room.
fn fill(running: &Running) -> (TcpStream, u64) {
    running.sink.block();
    let mut peer = connect(running, ListenerKind::Tcp);
    // From then on, no parcel is taken out of the queue.
    let begun = || running.sink.begun.load(Ordering::SeqCst);
    let before = begun();
    peer.write_all(b"x\n").unwrap();
    until(|| begun() > before);
    let mut sent = 1;
    while running.server.counters().counts().waiting == 0 {
        peer.write_all("x\n".repeat(50).as_bytes()).unwrap();
        sent += 50;
        raddle::thread::sleep(Duration::from_millis(1));
    }
    (peer, sent)
}

#[test]
fn request_is_answered_after_the_commit() {
    within_limit(|| {
        for kind in [ListenerKind::Http, ListenerKind::Tcp] {
            let running = start(&ServerOptions::default(), Memory::new());
            let mut client = connect(&running, kind);
            running.sink.block();
            client.write_all(post("one\ntwo\n").as_bytes()).unwrap();
            until(|| running.received() == 2);
            client.set_nonblocking(true).unwrap();
            assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
            client.set_nonblocking(false).unwrap();
            running.sink.unblock();
            let reply = read_until(&mut client, "}\n");
            assert!(reply.starts_with("HTTP/1.1 200 ") && reply.contains("\"stored\":2"), "{reply}");
            client.write_all(post("three\n").as_bytes()).unwrap();
            finish(&client);
            let reply = read_all(&mut client);
            assert!(reply.starts_with("HTTP/1.1 200 "), "also after a half-close: {reply}");
            assert_eq!(running.stop_well().stored, 3);
        }
    });
}

#[test]
fn request_is_refused_while_lines_wait_for_room() {
    within_limit(|| {
        let running = start(&ServerOptions::default(), Memory::new());
        let (peer, sent) = fill(&running);
        for kind in [ListenerKind::Http, ListenerKind::Tcp] {
            let mut client = connect(&running, kind);
            client.write_all(post("one\n").as_bytes()).unwrap();
            let reply = read_until(&mut client, "}\n");
            assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("Retry-After: "), "{reply}");
        }
        running.sink.unblock();
        drop(peer);
        let account = running.stop_well();
        assert_eq!((account.stored, account.shed), (sent, 2));
    });
}

#[test]
fn requests_are_accepted_while_lines_keep_the_queue_full() {
    within_limit(|| {
        for threads in [1, 2] {
            // On a busy machine, it may take more than a second until it is a request's turn.
            let options = ServerOptions { threads, room_timeout: LIMIT, ..ServerOptions::default() };
            let memory = Memory { pause: Duration::from_millis(5), counts_only: true, ..Memory::new() };
            let running = start(&options, memory);
            let over = Arc::new(AtomicBool::new(false));
            let peers: Vec<_> = (0..4)
                .map(|_| {
                    let (mut peer, over) = (connect(&running, ListenerKind::Tcp), over.clone());
                    let lines = ("x".repeat(99) + "\n").repeat(500);
                    Thread::spawn(move || {
                        while !over.load(Ordering::Relaxed) {
                            peer.write_all(lines.as_bytes()).unwrap();
                        }
                    })
                })
                .collect();
            until(|| running.server.counters().counts().waiting >= 3);
            for kind in [ListenerKind::Http, ListenerKind::Tcp] {
                let mut client = connect(&running, kind);
                for _ in 0..20 {
                    client.write_all(post("one\n").as_bytes()).unwrap();
                    let reply = read_until(&mut client, "}\n");
                    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
                }
            }
            over.store(true, Ordering::Relaxed);
            for peer in peers {
                peer.join().unwrap();
            }
            let account = running.stop_well();
            assert_eq!((account.shed, account.stored), (0, account.received));
        }
    });
}

#[test]
fn refused_request_leaves_the_queue_of_waiters_and_the_next_one_is_answered() {
    within_limit(|| {
        let running = start(&ServerOptions::default(), Memory::new());
        let (peer, sent) = fill(&running);
        let mut client = connect(&running, ListenerKind::Http);
        for _ in 0..2 {
            client.write_all(post("one\n").as_bytes()).unwrap();
            let reply = read_until(&mut client, "}\n");
            assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
            // The place of the peer with lines is kept.
            until(|| running.server.counters().counts().waiting == 1);
        }
        running.sink.unblock();
        client.write_all(post("one\n").as_bytes()).unwrap();
        let reply = read_until(&mut client, "}\n");
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
        drop((peer, client));
        let account = running.stop_well();
        assert_eq!((account.stored, account.shed), (sent + 1, 2));
    });
}

#[test]
fn request_that_waits_for_room_is_answered_once_during_the_stop() {
    within_limit(|| {
        // It would wait for longer than the test.
        let options = ServerOptions { room_timeout: Duration::from_hours(1), ..ServerOptions::default() };
        let Running { server, pipeline, sink } = start(&options, Memory::new());
        let running = Running { server, pipeline, sink: sink.clone() };
        let (peer, sent) = fill(&running);
        let mut client = connect(&running, ListenerKind::Http);
        client.write_all(post("one\n").as_bytes()).unwrap();
        until(|| running.server.counters().counts().waiting == 2);
        let Running { server, pipeline, .. } = running;
        let _ = server.drain(Duration::ZERO);
        sink.unblock();
        let outcome = pipeline.finish(Duration::from_mins(1));
        let finisher = Thread::spawn(move || server.finish(Duration::from_mins(1)));
        let replies = read_all(&mut client);
        drop((peer, client));
        assert_eq!(finisher.join().unwrap().unwritten, 0);
        // It was enqueued beyond the capacity.
        assert_eq!(replies.matches("HTTP/1.1 ").count(), 1, "{replies}");
        assert!(replies.starts_with("HTTP/1.1 200 "), "{replies}");
        assert_eq!((outcome.account.stored, outcome.account.shed), (sent + 1, 0));
    });
}

#[test]
fn request_in_the_queue_is_answered_during_the_stop() {
    within_limit(|| {
        for threads in [1, 2] {
            let options = ServerOptions { threads, ..ServerOptions::default() };
            let Running { server, pipeline, sink } = start(&options, Memory::new());
            let running = Running { server, pipeline, sink: sink.clone() };
            sink.block();
            let mut clients: Vec<TcpStream> = (0..5).map(|_| connect(&running, ListenerKind::Http)).collect();
            for client in &mut clients {
                client.write_all(post("one\n").as_bytes()).unwrap();
            }
            until(|| running.received() == 5);
            let Running { server, pipeline, .. } = running;
            assert_eq!(server.drain(Duration::from_mins(1)), DrainReport::default());
            sink.unblock();
            assert!(pipeline.finish(Duration::from_mins(1)).is_good());
            let finisher = Thread::spawn(move || server.finish(Duration::from_mins(1)));
            for client in &mut clients {
                let reply = read_all(client);
                assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
            }
            drop(clients);
            let report = finisher.join().unwrap();
            assert_eq!((report.unwritten, report.problems), (0, Vec::new()));
        }
    });
}

#[test]
fn frames_are_acknowledged_after_the_commit_and_during_the_stop() {
    within_limit(|| {
        for kind in [ListenerKind::Relp, ListenerKind::Tcp] {
            let Running { server, pipeline, sink } = start(&ServerOptions::default(), Memory::new());
            let running = Running { server, pipeline, sink: sink.clone() };
            let mut client = connect(&running, kind);
            client.write_all(b"1 open 14 relp_version=0\n").unwrap();
            read_until(&mut client, "commands=syslog\n");
            sink.block();
            for number in 2..52 {
                writeln!(client, "{number} syslog 5 hello").unwrap();
            }
            until(|| running.received() == 50);
            let Running { server, pipeline, .. } = running;
            assert_eq!(server.drain(Duration::from_mins(1)), DrainReport::default());
            sink.unblock();
            assert!(pipeline.finish(Duration::from_mins(1)).is_good());
            let finisher = Thread::spawn(move || server.finish(Duration::from_mins(1)));
            let replies = read_all(&mut client);
            drop(client);
            for number in 2..52 {
                assert!(replies.contains(&format!("{number} rsp 6 200 OK\n")), "{number}: {replies}");
            }
            assert_eq!(finisher.join().unwrap().unwritten, 0);
        }
    });
}

#[test]
fn peer_that_never_reads_its_replies_is_bounded_and_closed() {
    within_limit(|| {
        let options = ServerOptions { reply_timeout: Duration::from_millis(300), ..ServerOptions::default() };
        let running = start(&options, Memory::new());
        let mut client = connect(&running, ListenerKind::Http);
        client.set_write_timeout(Some(Duration::from_mins(1))).unwrap();
        // Ends when the server closes the connection.
        while client.write_all(b"GET / HTTP/1.1\r\nHost: raddle\r\n\r\n").is_ok() {
            assert!(running.server.counters().counts().buffered < 8 << 20);
        }
        let closed = || {
            let counts = running.server.counters().counts();
            counts.sources.iter().map(|(_, counts)| counts.closed_unread).sum::<u64>()
        };
        until(|| closed() == 1);
        assert_eq!(running.server.counters().counts().buffered, 0);
        running.stop_well();
    });
}

#[test]
fn handshake_of_tls_is_refused_with_an_alert() {
    within_limit(|| {
        let running = start(&ServerOptions::default(), Memory::new());
        let mut client = connect(&running, ListenerKind::Tcp);
        client.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
        // It does not read the reply before it has sent more. The server reads on, so that the reply is not lost by a reset.
        for _ in 0..100 {
            client.write_all(&[0; 10_000]).unwrap();
        }
        finish(&client);
        let mut reply = Vec::new();
        client.read_to_end(&mut reply).unwrap();
        assert_eq!(reply, [0x15, 3, 1, 0, 2, 2, 40]);
        drop(client);
        assert_eq!(running.stop_well().received, 0);
    });
}

#[test]
fn health_is_answered_when_no_further_connection_is_permitted() {
    within_limit(|| {
        let options = ServerOptions { max_connections: 1, ..ServerOptions::default() };
        let running = start(&options, Memory::new());
        let open = connect(&running, ListenerKind::Tcp);
        until(|| running.counts().open == 1);
        let mut client = connect(&running, ListenerKind::Admin);
        client.write_all(b"GET /health HTTP/1.1\r\nHost: raddle\r\nConnection: close\r\n\r\n").unwrap();
        let reply = read_all(&mut client);
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
        drop((open, client));
        running.stop_well();
    });
}

#[test]
fn old_token_is_not_valid_on_open_connections_after_a_reload() {
    within_limit(|| {
        for threads in [1, 2] {
            let options = ServerOptions { threads, ..ServerOptions::default() };
            let token =
                |token: &str| ListenerOptions { token: Some(token.to_owned()), ..ListenerOptions::default() };
            let place = any_port();
            let listener = |options| Listener::new("http", ListenerKind::Http, place).options(options);
            let running = Running::new(
                vec![listener(token("old"))],
                &options,
                &PipelineOptions::default(),
                Memory::new(),
            );
            let mut client = running.connect();
            client.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            let request = "POST / HTTP/1.1\r\nHost: raddle\r\nAuthorization: Bearer old\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\none\n";
            client.write_all(request.as_bytes()).unwrap();
            let reply = read_until(&mut client, "}\n");
            assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
            running.server.reload(vec![listener(token("new"))], &options).unwrap();
            assert_eq!(read_all(&mut client), "", "the idle connection is closed");
            drop(client);
            assert_eq!(running.stop_well().stored, 1);
        }
    });
}

#[test]
fn peer_behind_a_proxy_has_its_own_name() {
    within_limit(|| {
        let options = ListenerOptions { proxy: true, ..ListenerOptions::default() };
        let running = Running::tcp(options, Memory::new());
        let sink = running.sink.clone();
        running.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 514\r\nhello\n");
        running.send(b"no header\n");
        until(|| running.counts().accepted == 2 && running.counts().open == 0);
        assert_eq!(running.stop_well().stored, 1);
        assert_eq!(sink.lines()[0].peer, "192.0.2.7:4711");
    });
}

#[test]
fn settlement_of_a_lost_connection_is_not_given_to_its_successor() {
    within_limit(|| {
        let running = start(&ServerOptions::default(), Memory::new());
        let open = || {
            let counts = running.server.counters().counts();
            counts.sources.iter().map(|(_, counts)| counts.open).sum::<u64>()
        };
        running.sink.block();
        let mut lost = connect(&running, ListenerKind::Http);
        lost.write_all(post("one\ntwo\n").as_bytes()).unwrap();
        until(|| running.received() == 2);
        socket2::SockRef::from(&lost).set_linger(Some(Duration::ZERO)).unwrap();
        drop(lost);
        until(|| open() == 0);
        let mut successor = connect(&running, ListenerKind::Http);
        successor.write_all(post("three\n").as_bytes()).unwrap();
        until(|| running.received() == 3);
        running.sink.unblock();
        let reply = read_until(&mut successor, "}\n");
        assert!(reply.contains("\"stored\":1,"), "{reply}");
        drop(successor);
        running.stop_well();
    });
}

#[test]
fn closed_connection_does_not_wait_for_its_replies_forever() {
    within_limit(|| {
        let options = ServerOptions { reply_timeout: Duration::from_millis(200), ..ServerOptions::default() };
        let running = start(&options, Memory::new());
        running.sink.block();
        let mut client = connect(&running, ListenerKind::Http);
        client.write_all(post("one\n").as_bytes()).unwrap();
        until(|| running.received() == 1);
        drop(client);
        let open = || running.server.counters().counts().sources.iter().any(|(_, counts)| counts.open > 0);
        until(|| !open());
        running.sink.unblock();
        assert_eq!(running.stop_well().stored, 1);
    });
}

#[test]
fn server_that_is_finished_without_a_drain_keeps_read_messages() {
    within_limit(|| {
        let Running { server, pipeline, sink } = Running::usual();
        let mut peer = TcpStream::connect(server.addresses()[0].2).unwrap();
        peer.write_all(b"one\nbegun").unwrap();
        until(|| pipeline.account().received == 1);
        let report = server.finish(Duration::from_mins(1));
        assert_eq!((report.unwritten, report.problems), (0, Vec::new()));
        assert!(pipeline.finish(Duration::from_mins(1)).is_good());
        assert_eq!(sink.lines().len(), 2);
        assert_eq!(sink.rejected(), [("incomplete".to_owned(), 5, b"begun".to_vec())]);
    });
}
