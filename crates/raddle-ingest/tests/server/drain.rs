//! The stop: bytes that have arrived are read, and messages that have been read are stored.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use raddle::{Thread, thread};
use raddle_ingest::{
    BatchOptions, DrainReport, Limits, Listener, ListenerKind, ListenerOptions, PipelineOptions,
    ServerOptions,
};

use crate::support::{Memory, Running, any_port, until, within_limit};

fn tcp_listener() -> Vec<Listener> {
    vec![Listener::new("tcp", ListenerKind::Tcp, any_port())]
}

#[test]
fn stop_in_the_middle_of_a_burst_loses_no_sent_message() {
    within_limit(|| {
        for round in 0..20 {
            let mut options = PipelineOptions::default();
            options.queue = Limits { messages: 500, bytes: 1 << 20 };
            let sink = Memory { pause: Duration::from_micros(200), ..Memory::new() };
            let server = ServerOptions { threads: 1 + round % 2, ..ServerOptions::default() };
            let running = Running::new(tcp_listener(), &server, &options, sink.clone());
            let stop = Arc::new(AtomicBool::new(false));
            let sent: Arc<[AtomicU64; 4]> = Arc::default();
            let senders: Vec<_> = (0..4)
                .map(|peer| {
                    let (mut socket, stop, sent) = (running.connect(), stop.clone(), sent.clone());
                    Thread::spawn(move || {
                        for number in 1.. {
                            // A peer whose thread does not run for a while counts as silent, and is closed.
                            if stop.load(Ordering::SeqCst) || writeln!(socket, "{peer} {number}").is_err() {
                                return;
                            }
                            sent[peer].store(number, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            until(|| running.received() > 500 * round as u64 / 4);
            let before: Vec<u64> = sent.iter().map(|sent| sent.load(Ordering::SeqCst)).collect();
            let stopper = {
                let stop = stop.clone();
                Thread::spawn(move || {
                    thread::sleep(Duration::from_millis(5));
                    stop.store(true, Ordering::SeqCst);
                })
            };
            let account = running.stop_well();
            stopper.join().unwrap();
            for sender in senders {
                sender.join().unwrap();
            }
            let mut stored = [0; 4];
            for line in sink.lines() {
                let Ok(text) = line.content else { continue };
                let (peer, number) = text.split_once(' ').unwrap();
                let peer: usize = peer.parse().unwrap();
                stored[peer] += 1;
                assert_eq!(number.parse(), Ok(stored[peer]), "peer {peer}: in order, without gaps");
            }
            assert!(account.rejected <= 4, "{account}");
            for (stored, before) in stored.iter().zip(&before) {
                assert!(stored >= before, "{stored} messages are stored, {before} were sent before the stop");
            }
        }
    });
}

#[test]
fn connections_that_wait_to_be_accepted_are_served() {
    within_limit(|| {
        for _ in 0..5 {
            let running = Running::usual();
            let peers: Vec<_> = (0..100)
                .map(|number| {
                    let mut peer = running.connect();
                    writeln!(peer, "{number}").unwrap();
                    peer
                })
                .collect();
            let account = running.stop_well();
            assert_eq!(account.stored, 100);
            drop(peers);
        }
    });
}

/// Stops while peers keep sending, with a pause of the sink after each batch.
fn stop_while_peers_keep_sending(pause: Duration) {
    within_limit(move || {
        let sink = Memory { pause, ..Memory::new() };
        let mut options = PipelineOptions::default();
        options.queue = Limits { messages: 1000, bytes: 1 << 20 };
        let running = Running::new(tcp_listener(), &ServerOptions::default(), &options, sink.clone());
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let mut peer = running.connect();
                // Ends when the other end is closed.
                Thread::spawn(move || while peer.write_all(b"on and on and on\n").is_ok() {})
            })
            .collect();
        until(|| running.received() > 1000);
        // A peer whose thread does not run for a while counts as silent; the others are cut off. If they were read on, this would never return.
        let (drained, outcome) = running.stop_within(Duration::from_millis(300), Duration::from_mins(1));
        assert!(drained.cut_off <= 4 && drained.problems.is_empty(), "{drained:?}");
        for sender in senders {
            sender.join().unwrap();
        }
        assert!(outcome.account.rejected <= 4, "{}", outcome.account);
        for line in sink.lines() {
            match line.content {
                Ok(text) => assert_eq!(text, "on and on and on"),
                Err((reason, ..)) => assert_eq!(reason, "incomplete"),
            }
        }
    });
}

#[test]
fn peer_that_keeps_sending_does_not_delay_the_stop() {
    stop_while_peers_keep_sending(Duration::ZERO);
}

#[test]
fn peer_that_keeps_sending_does_not_delay_the_stop_while_the_queue_is_full() {
    stop_while_peers_keep_sending(Duration::from_millis(2));
}

#[test]
fn read_messages_are_kept_if_the_sink_fails_until_the_end() {
    within_limit(|| {
        let sink = Memory::new();
        sink.fail(true);
        let mut options = PipelineOptions::default();
        options.queue = Limits { messages: 100, bytes: 1 << 20 };
        let running = Running::new(tcp_listener(), &ServerOptions::default(), &options, sink);
        let mut peers: Vec<_> = (0..5).map(|_| running.connect()).collect();
        for peer in &mut peers {
            peer.write_all("unlucky\n".repeat(200).as_bytes()).unwrap();
        }
        // The queue is full, and the sink is blocked.
        until(|| running.server.counters().counts().waiting > 0);
        let (drained, outcome) = running.stop_within(Duration::from_millis(100), Duration::ZERO);
        // Every byte was read before the stop or stayed in the socket of a peer that was cut off.
        let missing = 1000 - outcome.account.received;
        assert_eq!(outcome.account.unstored, outcome.account.received);
        assert!(missing == 0 || drained.cut_off > 0, "{missing} messages are missing: {drained:?}");
        drop(peers);
    });
}

#[test]
fn slow_sink_gets_the_bytes_in_the_sockets_after_the_grace_period() {
    within_limit(|| {
        let sink = Memory { pause: Duration::from_millis(5), ..Memory::new() };
        let mut options = PipelineOptions::default();
        options.queue = Limits { messages: 100, bytes: 1 << 20 };
        let running = Running::new(tcp_listener(), &ServerOptions::default(), &options, sink.clone());
        let mut peers: Vec<_> = (0..5).map(|_| running.connect()).collect();
        for peer in &mut peers {
            peer.write_all("patient\n".repeat(2000).as_bytes()).unwrap();
        }
        let (drained, outcome) = running.stop_within(Duration::ZERO, Duration::from_mins(1));
        assert_eq!(drained, DrainReport::default());
        assert_eq!(outcome.account.stored, 10_000);
        drop(peers);
    });
}

#[test]
fn server_without_peers_stops() {
    within_limit(|| {
        for _ in 0..20 {
            assert_eq!(Running::usual().stop_well().received, 0);
        }
    });
}

#[test]
fn idle_peers_do_not_hold_up_the_stop() {
    within_limit(|| {
        let running = Running::usual();
        let idle: Vec<_> = (0..50).map(|_| running.connect()).collect();
        until(|| running.counts().open == 50);
        // The grace period is longer than the test.
        let (drained, outcome) = running.stop_within(Duration::from_hours(1), Duration::from_mins(1));
        assert_eq!((drained, outcome.account.received), (DrainReport::default(), 0));
        drop(idle);
    });
}

#[test]
fn dropped_server_closes_its_connections_and_keeps_read_messages() {
    within_limit(|| {
        let Running { server, pipeline, sink } = Running::usual();
        let address = server.addresses()[0].2;
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        peer.write_all(b"early\n").unwrap();
        until(|| pipeline.account().received == 1);
        drop(server);
        assert!(std::net::TcpStream::connect(address).is_err());
        assert!(pipeline.finish(Duration::from_mins(1)).is_good());
        assert_eq!(sink.texts(), ["early"]);
    });
}

#[test]
fn peer_that_trickles_is_read_until_it_is_silent() {
    within_limit(|| {
        let running = Running::tcp(ListenerOptions::default(), Memory::new());
        let sink = running.sink.clone();
        let mut peer = running.connect();
        peer.set_nodelay(true).unwrap();
        let (begun, sender) = (Arc::new(raddle::Event::new()), running.connect());
        drop(sender);
        let trickler = {
            let begun = begun.clone();
            Thread::spawn(move || {
                for number in 0..100 {
                    // In one piece: the thread may not run for a while in the middle. It then counts as silent, and is disconnected.
                    if peer.write_all(format!("{number}\n").as_bytes()).is_err() {
                        break;
                    }
                    begun.set();
                }
                peer
            })
        };
        begun.wait();
        let account = running.stop_well();
        drop(trickler.join());
        let all: Vec<_> = (0..account.stored).map(|number| number.to_string()).collect();
        assert_eq!(sink.texts(), all);
        assert!(!all.is_empty(), "what was sent before the stop is stored");
    });
}

#[test]
fn slow_sink_does_not_delay_the_stop_beyond_the_deadline() {
    within_limit(|| {
        // The sink needs a minute and more for what is in the sockets.
        let sink = Memory { pause: Duration::from_millis(100), ..Memory::new() };
        let mut options = PipelineOptions::default();
        options.queue = Limits { messages: 100, bytes: 1 << 20 };
        options.batch = BatchOptions { messages: 100, ..BatchOptions::default() };
        let running = Running::new(tcp_listener(), &ServerOptions::default(), &options, sink.clone());
        let mut peers: Vec<_> = (0..5).map(|_| running.connect()).collect();
        for peer in &mut peers {
            peer.write_all(("patient".repeat(10) + "\n").repeat(14_000).as_bytes()).unwrap();
        }
        let drained = running.server.drain_within(Duration::ZERO, Duration::from_millis(300));
        assert!(drained.cut_off > 0 && drained.problems.is_empty(), "{drained:?}");
        let Running { server, pipeline, .. } = running;
        let received = pipeline.account().received;
        assert!(received < 70_000, "{received}");
        sink.fail(true);
        let outcome = pipeline.finish(Duration::ZERO);
        assert_eq!((outcome.account.received, outcome.account.lost()), (received, 0));
        assert_eq!(server.finish(Duration::from_secs(10)).unwritten, 0);
        drop(peers);
    });
}

/// Returns the status line and the body of an answer of the admin listener.
fn ask(address: std::net::SocketAddr, path: &str) -> (String, String) {
    let mut socket = std::net::TcpStream::connect(address).expect("the admin listener is open");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut socket, &mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn admin_listener_answers_until_everything_is_stored() {
    within_limit(|| {
        for threads in [1, 2] {
            let admin = Listener::new("admin", ListenerKind::Admin, any_port());
            let listeners = vec![Listener::new("tcp", ListenerKind::Tcp, any_port()), admin];
            let options = ServerOptions { threads, ..ServerOptions::default() };
            let mut pipeline = PipelineOptions::default();
            pipeline.queue = Limits { messages: 10, bytes: 1 << 20 };
            let running = Running::new(listeners, &options, &pipeline, Memory::new());
            let (to, admin) = (running.address(), running.server.addresses()[1].2);
            assert_eq!(ask(admin, "/ready").0, "HTTP/1.1 200 OK");
            // A scraper that keeps its connection open, idle, does not delay the stop.
            let idle = std::net::TcpStream::connect(admin).unwrap();
            running.sink.block();
            let mut peer = running.connect();
            peer.write_all("line\n".repeat(1000).as_bytes()).unwrap();
            until(|| running.received() > 0);
            let Running { server, pipeline, sink } = running;
            let server = Arc::new(server);
            let draining = {
                let server = server.clone();
                Thread::spawn(move || server.drain(Duration::from_mins(1)))
            };
            // While the peer is read, and the queue is full.
            until(|| ask(admin, "/ready").0.starts_with("HTTP/1.1 503"));
            until(|| std::net::TcpStream::connect(to).is_err());
            let (status, metrics) = ask(admin, "/metrics");
            assert!(status == "HTTP/1.1 200 OK" && metrics.contains("raddle_draining 1"), "{metrics}");
            assert_eq!(ask(admin, "/health").0, "HTTP/1.1 200 OK");
            drop(peer);
            sink.unblock();
            let _ = draining.join().unwrap();
            // After the drain, until the end.
            assert!(ask(admin, "/ready").0.starts_with("HTTP/1.1 503"));
            let outcome = pipeline.finish(Duration::from_mins(1));
            assert_eq!(outcome.account.to_string(), "received 1000 = stored 1000 + rejected 0");
            let (_, metrics) = ask(admin, "/metrics");
            assert!(metrics.contains("raddle_messages_received_total{source=\"tcp\"} 1000"), "{metrics}");
            let server = Arc::into_inner(server).expect("the drain is over");
            let finished = server.finish(Duration::from_mins(1));
            assert_eq!((finished.unwritten, finished.problems.len()), (0, 0));
            assert!(std::net::TcpStream::connect(admin).is_err());
            drop(idle);
        }
    });
}
