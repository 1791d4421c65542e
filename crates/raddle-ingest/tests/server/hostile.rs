//! Peers that break the rules of their protocol, stop in the middle, or want too much: they get no more than their due, others are served, and the
//! books balance.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

use raddle_ingest::{Listener, ListenerKind, ListenerOptions, PipelineOptions, ServerOptions};

use crate::support::{Memory, Running, any_port, connect_from, until, within_limit};

const MAX: usize = 1000;

/// Has a listener of each kind: tcp, udp, relp, http, and one behind a proxy.
fn start(server: &ServerOptions) -> Running {
    let options = ListenerOptions { max_message: MAX, max_body: 1 << 20, ..ListenerOptions::default() };
    let proxied = ListenerOptions { proxy: true, ..options.clone() };
    let kinds = [ListenerKind::Tcp, ListenerKind::Udp, ListenerKind::Relp, ListenerKind::Http];
    let listener = |kind: ListenerKind| Listener::new(&kind.to_string(), kind, any_port());
    let mut listeners: Vec<_> = kinds.map(|kind| listener(kind).options(options.clone())).into();
    listeners.push(Listener::new("proxied", ListenerKind::Tcp, any_port()).options(proxied));
    Running::new(listeners, server, &PipelineOptions::default(), Memory::new())
}

fn connect(running: &Running, name: &str) -> TcpStream {
    let addresses = running.server.addresses();
    let (_, _, address) = addresses.iter().find(|(known, _, _)| **known == *name).expect("a listener");
    let socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    socket
}

/// Sends a stream and ends it. Returns the replies.
fn exchange(running: &Running, name: &str, stream: &[u8]) -> String {
    let mut socket = connect(running, name);
    // The server may have closed the connection already.
    let _ = socket.write_all(stream).and_then(|()| socket.shutdown(Shutdown::Write));
    let mut replies = Vec::new();
    let _ = socket.read_to_end(&mut replies);
    String::from_utf8_lossy(&replies).into_owned()
}

fn request(content: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {content}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Checks that the server serves an honest peer, keeps no bytes of others, and that everything is accounted for.
fn check_well(running: Running, others: u64) {
    running.sink.unblock();
    until(|| {
        let counts = running.server.counters().counts();
        counts.buffered == 0 && counts.sources.iter().all(|(_, source)| source.open == 0)
    });
    let before = running.received();
    assert_eq!(before, others);
    assert_eq!(exchange(&running, "tcp", b"honest\n"), "");
    assert!(exchange(&running, "http", &request("text/plain", b"honest\n")).starts_with("HTTP/1.1 200"));
    until(|| running.received() == before + 2);
    let account = running.stop_well();
    assert_eq!(account.stored + account.rejected, others + 2, "{account}");
}

#[test]
fn longest_message_is_stored_and_a_longer_one_rejected_in_each_protocol() {
    within_limit(|| {
        let exact = format!("<13>{}", "x".repeat(MAX - 4));
        let longer = format!("{exact}y");
        let frame = |message: &[u8]| [format!("{} ", message.len()).as_bytes(), message].concat();
        for (message, reason) in [
            (exact.as_bytes(), None),
            (longer.as_bytes(), Some("oversized")),
            (b"<13>nul \0 in the middle".as_slice(), Some("contains NUL")),
            (b"<13>\xff\xfe", Some("not UTF-8")),
            (b"<13>\xc3", Some("not UTF-8")),
        ] {
            let line = |ending: &[u8]| [message, ending].concat();
            let relp = |message: &[u8]| {
                let head = format!("1 open 0\n2 syslog {} ", message.len());
                [head.as_bytes(), message, b"\n3 close 0\n"].concat()
            };
            let streams = [
                ("tcp", line(b"\n")),
                ("tcp", line(b"\r\n")),
                ("tcp", line(b"")),
                ("tcp", frame(message)),
                ("tcp", [frame(b"<13>good"), frame(message), frame(b"<13>good")].concat()),
                ("relp", relp(message)),
                ("tcp", relp(message)),
                ("http", request("text/plain", &line(b"\n"))),
                ("tcp", request("text/plain", message)),
                ("proxied", [b"PROXY UNKNOWN\r\n", message, b"\n"].concat()),
            ];
            for (name, stream) in streams {
                let running = start(&ServerOptions::default());
                let replies = exchange(&running, name, &stream);
                if name == "relp" {
                    assert!(replies.contains("2 rsp 6 200 OK\n"), "{replies}");
                }
                let sink = running.sink.clone();
                running.stop_well();
                let good = |line: &crate::support::Line| line.content.as_deref() == Ok("<13>good");
                let mut lines = sink.lines();
                let goods = lines.iter().filter(|line| good(line)).count();
                let frames = stream.windows(8).filter(|it| it == b"<13>good").count();
                assert_eq!(goods, frames, "{name}: {:.200}", String::from_utf8_lossy(&stream));
                lines.retain(|line| !good(line));
                assert_eq!(lines.len(), 1, "{name}: {lines:?}");
                match (&lines[0].content, reason) {
                    (Ok(text), None) => assert_eq!(text.as_bytes(), message),
                    (Err((why, length, bytes)), Some(reason)) => {
                        assert_eq!(why, reason, "{name}");
                        let all = usize::try_from(*length).unwrap();
                        // A frame beyond the limit is a line, of which the count is a part.
                        assert!(all == message.len() || all == message.len() + 5, "{name}: {length}");
                        assert!(bytes.len() <= MAX, "{name}");
                    }
                    (content, _) => panic!("{name}: {content:?}"),
                }
            }
        }
    });
}

#[test]
fn datagrams_of_every_size_are_messages() {
    within_limit(|| {
        let options = ListenerOptions { max_message: 65_507, ..ListenerOptions::default() };
        let listener = Listener::new("udp", ListenerKind::Udp, any_port()).options(options);
        let running = Running::new(
            vec![listener],
            &ServerOptions::default(),
            &PipelineOptions::default(),
            Memory::new(),
        );
        let (sink, address) = (running.sink.clone(), running.address());
        let sender = UdpSocket::bind(any_port()).unwrap();
        let largest = "z".repeat(65_507);
        let datagrams =
            [b"".as_slice(), b"\0", b"\n", b"\xff", b"a\0b", largest.as_bytes(), &largest.as_bytes()[1..]];
        for (index, datagram) in datagrams.iter().enumerate() {
            sender.send_to(datagram, address).unwrap();
            until(|| running.received() == index as u64 + 1);
        }
        let account = running.stop_well();
        assert_eq!((account.received, account.stored, account.rejected), (7, 5, 2));
        let lengths: Vec<_> =
            sink.lines().iter().map(|line| line.content.as_ref().map_or(9, String::len)).collect();
        assert_eq!(lengths, [0, 0, 0, 9, 9, 65_507, 65_506]);
    });
}

/// Streams with a complete message, and what stands before it.
fn streams() -> Vec<(&'static str, Vec<u8>)> {
    let v2 = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x02".as_slice(),
        b"21 <13>behind a proxy v2",
    ];
    vec![
        ("tcp", b"<13>a line of text\n".to_vec()),
        ("tcp", b"17 <13>octet-counted".to_vec()),
        ("tcp", b"<13>python\0".to_vec()),
        ("tcp", b"1 open 0\n2 syslog 10 <13>a text\n".to_vec()),
        ("relp", b"1 open 0\n2 syslog 10 <13>a text\n".to_vec()),
        ("tcp", request("text/plain", b"a line\n")),
        ("http", request("application/json", b"[\"a text\"]")),
        ("proxied", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n<13>behind a proxy\n".to_vec()),
        ("proxied", v2.concat()),
    ]
}

#[test]
fn peer_that_sends_byte_by_byte_is_served_and_delays_nobody() {
    within_limit(|| {
        let running = start(&ServerOptions::default());
        let mut slow: Vec<_> =
            streams().into_iter().map(|(name, bytes)| (connect(&running, name), bytes)).collect();
        let mut busy = connect(&running, "tcp");
        let longest = slow.iter().map(|(_, bytes)| bytes.len()).max().unwrap();
        for index in 0..longest {
            for (socket, bytes) in &mut slow {
                let byte = bytes.get(index..=index).unwrap_or_default();
                socket.write_all(byte).expect("the connection stays open");
            }
            // Another peer is served meanwhile.
            let before = running.received();
            busy.write_all(b"busy\n").unwrap();
            until(|| running.received() > before);
        }
        let all = (longest + slow.len()) as u64;
        until(|| running.received() == all);
        drop((slow, busy));
        check_well(running, all);
    });
}

#[test]
fn peer_that_closes_in_the_middle_leaves_nothing_behind() {
    within_limit(|| {
        let running = start(&ServerOptions::default());
        let mut connections = 0;
        for (name, bytes) in streams() {
            for length in 0..bytes.len() {
                let mut socket = connect(&running, name);
                socket.write_all(&bytes[..length]).unwrap();
                if length % 2 == 0 {
                    // With a reset.
                    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
                }
                connections += 1;
            }
        }
        let counts = || running.server.counters().counts();
        let accepted = || counts().sources.iter().map(|(_, source)| source.accepted).sum::<u64>();
        until(|| accepted() == connections && counts().sources.iter().all(|(_, source)| source.open == 0));
        let received = running.received();
        check_well(running, received);
    });
}

#[test]
fn hundreds_of_connections_of_one_peer_leave_room_for_others() {
    within_limit(|| {
        let running = start(&ServerOptions { max_connections: 100, ..ServerOptions::default() });
        let mut peers: Vec<TcpStream> = (0..300).map(|_| connect(&running, "tcp")).collect();
        let counts = || running.server.counters().counts().sources[0].1;
        until(|| counts().accepted + counts().refused == 300);
        assert_eq!((counts().accepted, counts().open), (25, 25), "a quarter");
        let mut other = connect_from([127, 0, 0, 2], running.address());
        other.write_all(b"another peer\n").unwrap();
        until(|| running.received() == 1);
        for peer in &mut peers {
            let _ = peer.write_all(b"one of many\n");
        }
        until(|| running.received() == 26);
        drop((peers, other));
        check_well(running, 26);
    });
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn absurd_bodies_are_refused() {
    within_limit(|| {
        let running = start(&ServerOptions::default());
        // 64 MiB, of which the limit is one.
        let bomb = gzip(&vec![b'\n'; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let twice = gzip(&bomb);
        let post = |headers: &str, body: &[u8]| {
            let head = format!(
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: close\r\n{headers}\r\n\r\n"
            );
            [head.as_bytes(), body].concat()
        };
        let zipped =
            |body: &[u8]| post(&format!("Content-Encoding: gzip\r\nContent-Length: {}", body.len()), body);
        let chunked = |body: &str| post("Transfer-Encoding: chunked", body.as_bytes());
        for (what, stream, statuses) in [
            ("a bomb", zipped(&bomb), &["413"][..]),
            ("half a bomb", zipped(&bomb[..bomb.len() / 2]), &["400", "413"]),
            ("no gzip", zipped(b"plain text\n"), &["400"]),
            ("the largest length", post("Content-Length: 18446744073709551615", b""), &["413", "400"]),
            ("no number", post("Content-Length: -1", b""), &["400"]),
            ("two lengths", post("Content-Length: 1\r\nContent-Length: 2", b"a\n"), &["400"]),
            (
                "length and chunks",
                post("Content-Length: 1\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
                &["400"],
            ),
            ("a large chunk", chunked("FFFFFFFFFFFFFFFF\r\n"), &["413", "400"]),
            ("a larger chunk", chunked("10000000000000000\r\n"), &["413", "400"]),
            ("a negative chunk", chunked("-1\r\n"), &["400"]),
            ("a chunk with a prefix", chunked("0x5\r\nabcde\r\n0\r\n\r\n"), &["400"]),
            ("a chunk that is too long", chunked("3\r\nabcde\r\n0\r\n\r\n"), &["400"]),
            ("many headers", post(&"X: y\r\n".repeat(1000), b""), &["431"]),
            ("a long header", post(&format!("X: {}", "y".repeat(1 << 20)), b""), &["431"]),
        ] {
            let reply = exchange(&running, "http", &stream);
            let status = reply.split(' ').nth(1).unwrap_or("none");
            // The peer that still writes may lose the reply to a reset.
            assert!(statuses.contains(&status) || reply.is_empty(), "{what}: {reply:.300}");
        }
        // What was compressed twice is a text that is not UTF-8.
        let reply = exchange(&running, "http", &zipped(&twice));
        assert!(reply.starts_with("HTTP/1.1 200") || reply.starts_with("HTTP/1.1 413"), "{reply:.300}");
        let received = running.received();
        check_well(running, received);
    });
}

#[test]
fn relp_with_wrong_numbers_is_answered_or_closed() {
    within_limit(|| {
        let running = start(&ServerOptions::default());
        for (stream, answers) in [
            // Each reply has the number that the sender chose.
            ("7 open 0\n7 syslog 1 a\n7 syslog 1 b\n3 syslog 1 c\n", 4),
            ("999999999 open 0\n1 syslog 1 a\n0 syslog 1 b\n", 3),
            ("1 open 0\n2 open 0\n3 syslog 1 a\n", 3),
            ("1 syslog 1 a\n", 1),
            ("1 open 0\n2 syslog 1 a\n1000000000000 syslog 1 b\n", 2),
            ("1 open 0\n-2 syslog 1 a\n", 1),
            ("1 open 0\n2 syslog 999999999999 a\n", 1),
            ("1 open 0\n2 syslog 3 a\n", 1),
            ("1 open 0\n2 syslog 0 a\n", 1),
            ("1 open 999999999 x\n", 0),
            ("1 rsp 6 200 OK\n", 1),
            ("1 open 0\n2 close 0\n3 syslog 1 a\n", 2),
        ] {
            let replies = exchange(&running, "relp", stream.as_bytes());
            assert_eq!(replies.matches(" rsp ").count(), answers, "{stream:?}: {replies:?}");
        }
        let received = running.received();
        check_well(running, received);
    });
}

#[test]
fn garbage_in_place_of_a_proxy_header_is_refused() {
    within_limit(|| {
        let running = start(&ServerOptions::default());
        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        let mut headers: Vec<Vec<u8>> = vec![
            b"<13>no header\n".to_vec(),
            b"PROXY TCP4 nowhere 10.0.0.2 1 2\r\n<13>a\n".to_vec(),
            [b"PROXY ", [b'x'; 500].as_slice(), b"\r\n<13>a\n"].concat(),
            b"\r\n\r\n\0\r\nQUIP\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x02<13>a\n".to_vec(),
        ];
        // A wrong version, command or length; and every family with too short an address.
        for (command, family, length) in [
            (0x11, 0x11, 12_u16),
            (0x31, 0x11, 12),
            (0x22, 0x11, 12),
            (0x2f, 0x11, 12),
            (0x21, 0x11, 11),
            (0x21, 0x21, 12),
        ] {
            let length = length.to_be_bytes();
            headers.push([signature.as_slice(), &[command, family, length[0], length[1]], &[7; 12]].concat());
        }
        // It announces more than comes.
        headers.push([signature.as_slice(), &[0x21, 0x11, 0xff, 0xff], &[7; 500]].concat());
        for header in &headers {
            exchange(&running, "proxied", header);
        }
        let texts = running.received();
        assert_eq!(texts, 0, "nothing is stored under a wrong name");
        check_well(running, 0);
    });
}
