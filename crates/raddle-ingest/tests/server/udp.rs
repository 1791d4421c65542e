//! Datagrams.

use std::net::UdpSocket;
use std::sync::atomic::Ordering;
use std::time::Duration;

use raddle_ingest::{
    Limits, Listener, ListenerKind, ListenerOptions, PipelineOptions, ServerOptions, WhenFull,
};

use crate::support::{Memory, Running, any_port, until, within_limit};

fn udp(options: ListenerOptions, pipeline: &PipelineOptions, sink: Memory) -> Running {
    let listener = Listener::new("udp", ListenerKind::Udp, any_port()).options(options);
    Running::new(vec![listener], &ServerOptions::default(), pipeline, sink)
}

#[test]
fn each_datagram_is_a_message_of_its_peer() {
    within_limit(|| {
        let options = ListenerOptions { max_message: 100, ..ListenerOptions::default() };
        let running = udp(options, &PipelineOptions::default(), Memory::new());
        let sink = running.sink.clone();
        let peers = [UdpSocket::bind(any_port()).unwrap(), UdpSocket::bind(any_port()).unwrap()];
        let to = running.address();
        let messages: [&[u8]; 5] = [b"one", b"two\nlines", b"with an ending\n", b"b\xffd", &[b'x'; 5000]];
        for (number, message) in messages.iter().enumerate() {
            peers[number % 2].send_to(message, to).unwrap();
            until(|| running.received() == number as u64 + 1);
        }
        assert_eq!(running.counts().datagrams, 5);
        assert!(running.counts().receive_buffer > 0);
        let account = running.stop_well();
        assert_eq!((account.stored, account.rejected), (3, 2));
        let lines = sink.lines();
        let texts: Vec<&str> = lines.iter().filter_map(|line| line.content.as_deref().ok()).collect();
        assert_eq!(texts, ["one", "two\nlines", "with an ending"]);
        assert_eq!(sink.rejected()[1], ("oversized".to_owned(), 5000, vec![b'x'; 100]));
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line.peer, peers[number % 2].local_addr().unwrap().to_string());
        }
    });
}

#[test]
fn datagrams_in_the_buffer_are_stored_at_the_stop() {
    within_limit(|| {
        let sink = Memory::new();
        sink.block();
        let mut pipeline = PipelineOptions::default();
        pipeline.queue = Limits { messages: 10, bytes: 1 << 20 };
        let running = udp(ListenerOptions::default(), &pipeline, sink.clone());
        let peer = UdpSocket::bind(any_port()).unwrap();
        let send = |number: usize| peer.send_to(number.to_string().as_bytes(), running.address()).unwrap();
        send(0);
        // From then on, no parcel is taken out of the queue.
        until(|| sink.begun.load(Ordering::SeqCst) > 0);
        (1..200).for_each(|number| assert!(send(number) > 0));
        until(|| running.server.counters().counts().waiting == 1);
        sink.unblock();
        assert_eq!(running.stop_well().stored, 200);
        let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        assert_eq!(sink.texts(), expected);
    });
}

#[test]
fn datagrams_that_the_kernel_drops_are_counted() {
    within_limit(|| {
        let sink = Memory::new();
        sink.block();
        let mut pipeline = PipelineOptions::default();
        pipeline.queue = Limits { messages: 10, bytes: 1 << 20 };
        let options = ListenerOptions { receive_buffer: 4096, ..ListenerOptions::default() };
        let running = udp(options, &pipeline, sink.clone());
        let peer = UdpSocket::bind(any_port()).unwrap();
        let send = |count: usize| {
            for _ in 0..count {
                peer.send_to(&[b'x'; 500], running.address()).unwrap();
            }
        };
        let mut total = 500;
        while running.server.counters().counts().waiting == 0 {
            send(1);
            total += 1;
        }
        send(500);
        sink.unblock();
        // The operating system reports the number with the next datagram.
        while running.counts().dropped == 0 {
            send(1);
            total += 1;
            raddle::thread::sleep(Duration::from_millis(1));
        }
        // Those at the end are found when the server stops.
        let counters = running.server.counters().clone();
        let account = running.stop_well();
        let counts = counters.counts().sources[0].1;
        assert_eq!(counts.datagrams + counts.dropped, total, "{counts:?}");
        assert_eq!(account.received, counts.datagrams);
    });
}

#[test]
fn dropped_datagrams_without_a_successor_are_counted_while_the_server_runs() {
    within_limit(|| {
        let sink = Memory::new();
        sink.block();
        let mut pipeline = PipelineOptions::default();
        pipeline.queue = Limits { messages: 1, bytes: 1 << 20 };
        let options = ListenerOptions { receive_buffer: 4096, ..ListenerOptions::default() };
        let running = udp(options, &pipeline, sink.clone());
        let peer = UdpSocket::bind(any_port()).unwrap();
        // From then on, no parcel is taken out of the queue.
        peer.send_to(&[b'x'; 500], running.address()).unwrap();
        until(|| sink.begun.load(Ordering::SeqCst) > 0);
        let mut total = 1;
        while running.server.counters().counts().waiting == 0 {
            peer.send_to(&[b'x'; 500], running.address()).unwrap();
            total += 1;
        }
        let before = running.counts().dropped;
        for _ in 0..200 {
            peer.send_to(&[b'x'; 500], running.address()).unwrap();
            total += 1;
        }
        // No more datagrams arrive, and the socket is not read.
        until(|| running.counts().dropped >= before + 150);
        let counters = running.server.counters().clone();
        sink.unblock();
        running.stop_well();
        let counts = counters.counts().sources[0].1;
        assert_eq!(counts.datagrams + counts.dropped, total, "{counts:?}");
    });
}

#[test]
fn dropped_datagrams_without_a_successor_are_counted_at_the_stop() {
    within_limit(|| {
        let sink = Memory::new();
        sink.block();
        let mut pipeline = PipelineOptions::default();
        pipeline.queue = Limits { messages: 1, bytes: 1 << 20 };
        let options = ListenerOptions { receive_buffer: 4096, ..ListenerOptions::default() };
        let running = udp(options, &pipeline, sink.clone());
        let peer = UdpSocket::bind(any_port()).unwrap();
        // From then on, no parcel is taken out of the queue.
        peer.send_to(&[b'x'; 500], running.address()).unwrap();
        until(|| sink.begun.load(Ordering::SeqCst) > 0);
        let mut total = 1;
        while running.server.counters().counts().waiting == 0 {
            peer.send_to(&[b'x'; 500], running.address()).unwrap();
            total += 1;
        }
        for _ in 0..200 {
            peer.send_to(&[b'x'; 500], running.address()).unwrap();
            total += 1;
        }
        let counters = running.server.counters().clone();
        sink.unblock();
        running.stop_well();
        let counts = counters.counts().sources[0].1;
        assert!(counts.dropped > 0, "{counts:?}");
        assert_eq!(counts.datagrams + counts.dropped, total, "{counts:?}");
    });
}

#[test]
fn full_queue_sheds_datagrams() {
    within_limit(|| {
        let sink = Memory::new();
        sink.block();
        let mut pipeline = PipelineOptions::default();
        pipeline.queue = Limits { messages: 10, bytes: 1 << 20 };
        pipeline.when_full = WhenFull::Shed;
        let running = udp(ListenerOptions::default(), &pipeline, sink.clone());
        let peer = UdpSocket::bind(any_port()).unwrap();
        for number in 1..=100 {
            peer.send_to(b"many", running.address()).unwrap();
            until(|| running.received() == number);
        }
        sink.unblock();
        let (_, outcome) = running.stop_within(Duration::from_secs(10), Duration::from_mins(1));
        assert!(outcome.account.shed > 0);
        assert_eq!(outcome.account.stored + outcome.account.shed, 100);
    });
}
