//! The recognition of protocols, and the header of a proxy.

use std::sync::Arc;

use proptest::prelude::*;

use super::http::HttpOptions;
use super::interface::{Ending, Protocol};
use super::proxy::Proxied;
use super::recognise::{Recognise, RecognitionOptions};
use super::relp::tests::relp_options;
use super::testing::{Wire, inputs, line_options, pieces};

/// The answer of RELP to `open`, up to its version.
const OPENED: &str = "1 rsp ";

fn recognise() -> Recognise {
    let (relp, http) = (relp_options(), HttpOptions::new(line_options()));
    Recognise::new(Arc::new(RecognitionOptions { lines: line_options(), relp, http }))
}

/// Returns the messages and the replies of a stream, which arrives in pieces of `size`, and is then ended.
fn run(stream: &[u8], size: usize) -> (Vec<String>, String, bool) {
    let mut wire = Wire::new(recognise());
    for piece in stream.chunks(size) {
        wire.feed(piece);
    }
    wire.end(Ending::Closed);
    let out = String::from_utf8_lossy(&wire.out).into_owned();
    (wire.messages, out, wire.close)
}

/// Checks the messages and the beginning of the replies, in reads of one byte, of two, of three and of all.
#[track_caller]
fn check(stream: impl AsRef<[u8]>, messages: &[&str], reply: &str, close: bool) {
    let stream = stream.as_ref();
    for size in [1, 2, 3, stream.len().max(1)] {
        let (found, out, closed) = run(stream, size);
        let shown = String::from_utf8_lossy(stream);
        assert_eq!(found, messages, "{shown:?} in pieces of {size}");
        assert!(out.starts_with(reply) && out.is_empty() == reply.is_empty(), "{shown:?}: {out:?}");
        assert_eq!(closed, close, "{shown:?} in pieces of {size}");
    }
}

#[test]
fn text_is_lines() {
    for text in [
        "GET lost",
        "GET lost, you",
        "GET / HTTP/2",
        "GET  HTTP/1.1",
        "GET / HTTP/1.1 now",
        "GETTING / HTTP/1.1",
        "POST",
        "G",
        "PR",
        "PRI * HTTP/2.0",
        "PRIVATE",
        "get / HTTP/1.1",
        "1 open",
        "1 open ",
        "1 open door",
        "1 opened 1",
        "1234567890 open 1",
        "1",
        "12",
        "",
        "é",
    ] {
        let messages: &[&str] = if text.is_empty() { &[] } else { &[text] };
        check(text, messages, "", false);
        check(format!("{text}\nnext\n"), &[text, "next"], "", false);
    }
    check("5 <13>a5 <13>b", &["<13>a", "<13>b"], "", false);
    check("<13>a\n", &["<13>a"], "", false);
    check([0x16], &["\u{16}"], "", false);
    check([0x16, b'\n'], &["\u{16}"], "", false);
}

#[test]
fn line_that_begins_as_a_request_is_not_kept_for_long() {
    let mut wire = Wire::new(recognise());
    let stream = [b"GET ".as_slice(), &b"x".repeat(20_000)].concat();
    for piece in stream.chunks(100) {
        wire.feed(piece);
    }
    assert!(wire.memory < 9000, "{}", wire.memory);
    wire.end(Ending::Closed);
    assert_eq!(wire.messages.len(), 1);
    assert!(wire.messages[0].starts_with("oversized, 20004: GET xxx"), "{}", wire.messages[0]);
}

#[test]
fn request_is_http() {
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[], "HTTP/1.1 200", false);
    check("HEAD /x HTTP/1.0\nHost: a\n\n", &[], "HTTP/1.", true);
    let (messages, _, _) = run(
        b"POST /logs HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\none\ntwo\n",
        5,
    );
    assert_eq!(messages, ["one", "two"]);
}

#[test]
fn open_is_relp() {
    let offers = "relp_version=0\nrelp_software=librelp,1.2.14,http://librelp.adiscon.com\ncommands=syslog";
    let stream = format!("1 open {} {offers}\n", offers.len());
    check(&stream, &[], OPENED, false);
    let (messages, _, _) = run(format!("{stream}2 syslog 5 <13>a\n3 syslog 5 <13>b\n").as_bytes(), 3);
    assert_eq!(messages, ["<13>a", "<13>b"]);
}

#[test]
fn tls_is_refused_with_an_alert() {
    let hello = [0x16, 3, 1, 0, 0xfc, 1, 0, 0, 0xf8, 3, 3, 7, 7, 7, b'\n', 7];
    for size in [1, 2, hello.len()] {
        let mut wire = Wire::new(recognise());
        for piece in hello.chunks(size) {
            wire.feed(piece);
        }
        assert_eq!(wire.out, [0x15, 3, 1, 0, 2, 2, 40]);
        assert!(wire.close && wire.messages.is_empty() && wire.rest.is_empty());
    }
}

#[test]
fn http_2_is_refused() {
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[], "HTTP/1.1 505 ", true);
}

#[test]
fn proxy_names_the_client() {
    let binary = |family: u8, command: u8, variable: &[u8]| {
        let length = u16::try_from(variable.len()).unwrap().to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, family], &length, variable].concat()
    };
    let four = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x14, 0x14];
    let mut six = [0_u8; 36];
    six[..16].copy_from_slice(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    six[32..34].copy_from_slice(&[0xdc, 0x04]);
    let with_names = [&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
    for (header, peer) in [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 5140\r\n".to_vec(), "192.0.2.1:56324"),
        (b"PROXY TCP6 2001:db8::7 ::1 56324 5140\r\n".to_vec(), "[2001:db8::7]:56324"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "peer"),
        (b"PROXY UNKNOWN ffff:f ffff:f 65535 65535\r\n".to_vec(), "peer"),
        (binary(0x11, 1, &four), "192.0.2.1:56324"),
        (binary(0x11, 1, &with_names), "192.0.2.1:56324"),
        (binary(0x21, 1, &six), "[2001:db8::7]:56324"),
        (binary(0, 1, &[]), "peer"),
        (binary(0x31, 1, &[0; 216]), "peer"),
        (binary(0x11, 0, &four), "peer"),
        (binary(0, 0, &[]), "peer"),
    ] {
        for size in [1, 2, 1000] {
            let mut wire = Wire::new(Proxied::new(Box::new(recognise())));
            for piece in [&header[..], b"one\ntwo\nlast"].concat().chunks(size) {
                wire.feed(piece);
            }
            wire.end(Ending::Closed);
            assert_eq!(wire.messages, ["one", "two", "last"], "{header:?} in pieces of {size}");
            for row in wire.parcels.iter().flat_map(crate::message::Parcel::rows) {
                assert_eq!(row.peer, peer, "{header:?}");
            }
            assert!(!wire.close);
        }
    }
}

#[test]
fn connection_without_the_header_of_a_proxy_is_refused() {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
    for stream in [
        &b"one\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP5 192.0.2.1 198.51.100.1 56324 5140\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.1 56324 5140\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 566324 5140\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 5632\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 5632 5140 1\r\n",
        b"PROXY TCP4 a b 1 2\r\n",
        b"PROXY \xff\r\n",
        b"PROXY\r\n",
        b"PROXY TC",
        &long,
        &[&signature[..], &[0x11, 0x11, 0, 12], &[0; 12]].concat(),
        &[&signature[..], &[0x22, 0x11, 0, 12], &[0; 12]].concat(),
        &[&signature[..], &[0x21, 0x11, 0, 11], &[0; 11]].concat(),
        &[&signature[..], &[0x21, 0x21, 0, 12], &[0; 12]].concat(),
        &[&signature[..], &[0x21, 0x11, 255, 255], &[0; 12]].concat(),
    ] {
        for size in [1, 3, 1000] {
            let mut wire = Wire::new(Proxied::new(Box::new(recognise())));
            for piece in [stream].concat().chunks(size) {
                wire.feed(piece);
            }
            wire.end(Ending::Closed);
            assert!(wire.close, "{stream:?}");
            assert_eq!((wire.messages.len(), wire.out.len()), (0, 0), "{stream:?}");
        }
    }
    // A proxy that looks whether there is a server.
    let mut wire = Wire::new(Proxied::new(Box::new(recognise())));
    wire.end(Ending::Closed);
    assert!(!wire.close);
}

/// Beginnings of streams from which a protocol is recognised.
const PARTS: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"/x",
    b" HTTP/1.1\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"\r\n",
    b"\n",
    b" ",
    b"1 open 3 a=b\n",
    b"2 syslog 1 a\n",
    b"1 ",
    b"open ",
    b"PRI * HTTP/2.0\r\n",
    b"\x16",
    b"\x03",
    b"5 <13>a",
    b"<13>a\n",
    b"\0",
    b"PROXY ",
    b"UNKNOWN",
    b"TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
    b"\r\n\r\n\0\r\nQUIT\n",
    b"\x21\x11\x00\x0c",
    b"x",
];

/// Returns the messages, the replies, whether the connection is closed, and the memory.
fn produced(protocol: impl Protocol, pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>, bool, usize) {
    let mut wire = Wire::new(protocol);
    for piece in pieces {
        wire.feed(piece);
    }
    wire.end(Ending::Closed);
    (wire.messages, wire.out, wire.close, wire.memory)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(inputs(300)) })]

    /// For every division of a stream into reads, the protocol and its output are the same, and memory is bounded.
    #[test]
    fn recognition_does_not_depend_on_the_reads(
        proxied in any::<bool>(),
        choices in proptest::collection::vec(any::<u8>(), 0..30),
        lengths in proptest::collection::vec(0_usize..30, 0..60),
    ) {
        let part = |choice: &u8| PARTS.get(usize::from(*choice) % (PARTS.len() + 3)).map_or(vec![*choice], |part| part.to_vec());
        let stream: Vec<u8> = choices.iter().flat_map(part).collect();
        let run = |pieces: &[&[u8]]| {
            if proxied {
                produced(Proxied::new(Box::new(recognise())), pieces)
            } else {
                produced(recognise(), pieces)
            }
        };
        let whole = run(&[&stream]);
        let cut = run(&pieces(&stream, &lengths));
        prop_assert_eq!(&cut.0, &whole.0);
        // An invalid head that never becomes complete may be refused, or may be waited for.
        if !(cut.1.is_empty() && whole.1.starts_with(b"HTTP/1.1 400 ")) {
            prop_assert_eq!((&cut.1, cut.2), (&whole.1, whole.2));
        }
        prop_assert!(cut.3 < 80 << 10, "{} bytes are kept", cut.3);
    }
}
