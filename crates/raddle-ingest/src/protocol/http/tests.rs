//! Requests and responses as bytes.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::body::Budget;
use super::head::MAX_HEAD;
use super::service::{Http, HttpOptions};
use crate::protocol::interface::Ending;
use crate::protocol::interface::Protocol;
use crate::protocol::testing::{Wire, inputs, line_options, pieces};
use crate::settlement::Failure;

fn options() -> HttpOptions {
    HttpOptions { max_body: 1000, max_messages: 10, ..HttpOptions::new(line_options()) }
}

fn connection() -> Wire<Http> {
    Wire::new(Http::new(options()))
}

fn post(kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A response, from its text.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .unwrap_or_else(|| panic!("{name} in {}", self.head))
    }

    fn closes(&self) -> bool {
        self.head.contains("Connection: close")
    }
}

/// Reads responses to requests that were not HEAD.
fn answers(mut text: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !text.is_empty() {
        let (head, rest) = text.split_once("\r\n\r\n").expect("a head");
        let mut answer = Answer {
            status: head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status"),
            head: head.to_owned(),
            body: String::new(),
        };
        text = rest;
        if answer.status != 100 {
            let length: usize = answer.header("Content-Length").parse().expect("a length");
            let (body, rest) = text.split_at(length);
            answer.body.push_str(body);
            text = rest;
        }
        answers.push(answer);
    }
    answers
}

#[track_caller]
fn only(wire: &mut Wire<Http>) -> Answer {
    let mut answers = answers(&wire.written());
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

/// Sends a request, commits what it has, and returns the answer and the messages.
#[track_caller]
fn exchange(request: &[u8]) -> (Answer, Vec<String>) {
    let mut wire = connection();
    wire.feed(request);
    wire.commit_all();
    (only(&mut wire), wire.messages)
}

#[test]
fn response_has_the_specified_bytes() {
    let mut wire = connection();
    wire.feed(&post("application/x-ndjson", "", b"\"one\"\n{\"msg\": \"two\"}\r\n\n 3 \n{}"));
    assert_eq!(wire.messages, ["one", "{\"msg\": \"two\"}", "not a JSON string or object, 1: 3", "{}"]);
    assert_eq!(wire.written(), "", "nothing is answered before the commit");
    wire.commit();
    let body = "{\"stored\":3,\"duplicates\":0,\"rejected\":[{\"index\":2,\"reason\":\"not a JSON string or object\"}]}\n";
    let head = "HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Type: application/json\r\n";
    assert_eq!(wire.written(), format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
    assert!(!wire.close);
}

#[test]
fn bodies_are_read_by_their_type() {
    let cases: &[(&str, &[u8], &[&str])] = &[
        ("application/json", b" [\"a\\nb\", {\"x\":[1,2]} , \"c\"]\n", &["a\nb", "{\"x\":[1,2]}", "c"]),
        ("application/json; charset=UTF-8", b"{\"a\": 1}", &["{\"a\": 1}"]),
        ("application/json", b"\"one\"", &["one"]),
        ("application/json", b"[]", &[]),
        (
            "application/json",
            b"[1,\"a\",null]",
            &["not a JSON string or object, 1: 1", "a", "not a JSON string or object, 4: null"],
        ),
        ("application/json", b"[\"\\u0000\"]", &["contains NUL, 1: \0"]),
        ("application/json", b"[\"\\ud800\"]", &["not a JSON string or object, 8: \"\\ud800\""]),
        (
            "application/x-ndjson",
            b"{\"a\":\n1}\n\"b\"",
            &["not a JSON string or object, 5: {\"a\":", "not a JSON string or object, 2: 1}", "b"],
        ),
        ("application/x-ndjson", b"\"\xff\"\n\"b\"", &["not UTF-8, 3: \"\u{fffd}\"", "b"]),
        ("application/ndjson", b"", &[]),
        ("text/plain", b"a\r\n\nb\n<13>c\r", &["a", "", "b", "<13>c\r"]),
        ("text/plain; charset=us-ascii", b"a\xff", &["not UTF-8, 2: a\u{fffd}"]),
        (
            "application/x-www-form-urlencoded",
            b"name=root&msg=Hello+%C3%A9%22&empty=&flag",
            &["{\"name\":\"root\",\"msg\":\"Hello \u{e9}\\\"\",\"empty\":\"\",\"flag\":\"\"}"],
        ),
        ("application/x-www-form-urlencoded", b"a=%ff", &["not UTF-8, 5: a=%ff"]),
    ];
    for (kind, body, expected) in cases {
        let (answer, messages) = exchange(&post(kind, "", body));
        assert_eq!(
            (answer.status, &messages[..]),
            (200, &expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
        );
    }
    let long = "x".repeat(101);
    let (answer, messages) =
        exchange(&post("application/json", "", format!("[\"{long}\",{{\"m\":\"{long}\"}}]").as_bytes()));
    assert_eq!(answer.json()["rejected"][1]["reason"], "oversized");
    assert!(messages[1].starts_with("oversized, 109: {\"m\":\"xxx"), "{messages:?}");
}

/// Sends a request that is refused with the status and a reason, and that ends the connection or not.
#[track_caller]
fn refused(status: u16, closes: bool, request: &[u8], reason: &str) {
    let shown = String::from_utf8_lossy(request);
    for size in [request.len(), 1 + request.len() / 1000] {
        let mut wire = connection();
        request.chunks(size).for_each(|chunk| wire.feed(chunk));
        let answer = only(&mut wire);
        assert_eq!((answer.status, answer.closes()), (status, closes), "{shown}: {answer:?}");
        assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{shown}: {answer:?}");
        assert_eq!(wire.close, closes, "{shown}");
        assert!(wire.messages.is_empty() && wire.rest.is_empty(), "{shown}");
        if status == 405 {
            assert_eq!(answer.header("Allow"), "POST");
        }
        if !closes {
            wire.feed(&post("text/plain", "", b"a"));
            assert_eq!(wire.messages, ["a"], "the connection can be used after {shown}");
        }
    }
}

#[test]
fn refused_messages_are_explained() {
    let form = "application/x-www-form-urlencoded";
    let cases: &[(u16, &str, &str, &[u8], &str)] = &[
        (400, "application/json", "", b"[\n\"a\", \"b\"", "byte 9: EOF while parsing a list"),
        (400, "application/json", "", b"[\"a\"] x", "byte 6: trailing characters"),
        (400, "application/json", "", b"[\"a\",\"\xff\"]", "not UTF-8: byte 6"),
        (400, "application/json", "", b"", "byte 0: EOF"),
        (400, form, "", b"a=%4", "hexadecimal"),
        (415, form, "", b"{\"a=\":1}", "Content-Type"),
        (415, form, "", b"text", "Content-Type"),
        (415, "image/png", "", b"a", "image/png"),
        (415, "text/plain; charset=latin1", "", b"a", "latin1"),
        (415, "text/plain", "Content-Encoding: br\r\n", b"a", "gzip"),
        (413, "text/plain", "", &[b'\n'; 11], "more than 10 messages"),
        (413, "application/json", "", b"[{},{},{},{},{},{},{},{},{},{},{}]", "more than 10 messages"),
        (400, "text/plain", "Raddle-First: 1\r\n", b"a", "go together"),
        (400, "text/plain", "Raddle-Sender: s\r\nRaddle-First: 0\r\n", b"a", "Raddle-First"),
        (400, "text/plain", "Raddle-Sender: s\r\nRaddle-First: +1\r\n", b"a", "Raddle-First"),
        (
            400,
            "text/plain",
            "Raddle-Sender: s\r\nRaddle-First: 9223372036854775807\r\n",
            b"a",
            "Raddle-First",
        ),
        (400, "text/plain", "Raddle-Sender:\r\nRaddle-First: 1\r\n", b"a", "Raddle-Sender"),
        (
            400,
            "text/plain",
            "Raddle-Sender: s\r\nRaddle-Sender: s\r\nRaddle-First: 1\r\n",
            b"a",
            "more than one",
        ),
    ];
    for (status, kind, headers, body, reason) in cases {
        refused(*status, false, &post(kind, headers, body), reason);
    }
    refused(400, true, &post("text/plain", "Content-Encoding: gzip\r\n", b"abcdefghijklmnop"), "gzip");
    refused(417, true, &post("text/plain", "Expect: miracles\r\n", b"a"), "100-continue");
}

#[test]
fn refused_heads_are_explained() {
    let long = format!("X: {}", "x".repeat(MAX_HEAD));
    let many = "X: y\r\n".repeat(100);
    let large = format!("Transfer-Encoding: chunked\r\n\r\n3e9\r\n{}", "x".repeat(1001));
    // The rest of a head that begins with POST and a type.
    let posts: &[(u16, &str, &str)] = &[
        (411, "\r\n", "Content-Length"),
        (413, "Content-Length: 1001\r\n\r\n", "1000 bytes"),
        (413, &large, "too large"),
        (400, "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "not one number"),
        (400, "Content-Length: +1\r\n\r\n", "not one number"),
        (400, "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding with"),
        (400, "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "size of a chunk"),
        (400, "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "chunk"),
        (501, "Transfer-Encoding: gzip, chunked\r\n\r\n", "chunked"),
    ];
    for (status, rest, reason) in posts {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n";
        refused(*status, true, format!("{head}{rest}").as_bytes(), reason);
    }
    let others: &[(u16, bool, &str, &str)] = &[
        (400, true, " / HTTP/1.1\r\n\r\n", "Host"),
        (400, true, " / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "Host"),
        (400, true, "\n", "not valid"),
        (405, false, " /?msg=hello HTTP/1.1\r\nHost: h\r\n\r\n", "POST"),
        (405, false, " /log HTTP/1.1\r\nHost: h\r\n\r\n", "POST"),
        (405, false, " / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", "POST"),
        (431, true, &format!(" / HTTP/1.1\r\nHost: h\r\n{long}"), "longer than"),
        (431, true, &format!(" / HTTP/1.1\r\nHost: h\r\n{many}\r\n"), "headers"),
        (501, false, " / HTTP/1.1\r\nHost: h\r\n\r\n", "not known"),
        (505, true, " * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1"),
    ];
    for (status, closes, rest, reason) in others {
        let method = match status {
            405 if rest.contains("ab") => "PUT",
            501 => "BREW",
            505 => "PRI",
            _ => "GET",
        };
        refused(*status, *closes, format!("{method}{rest}").as_bytes(), reason);
    }
    refused(415, false, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na", "no Content-Type");
    refused(400, true, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0");
}

#[test]
fn help_is_answered_to_get_and_head() {
    let mut wire = connection();
    wire.feed(b"\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(only(&mut wire).body.contains("application/x-ndjson"));
    wire.feed(b"HEAD / HTTP/1.0\nConnection: Keep-Alive\n\n");
    let text = wire.written();
    assert!(
        text.starts_with("HTTP/1.0 200 OK\r\n") && text.ends_with("\r\nConnection: keep-alive\r\n\r\n"),
        "{text}"
    );
    wire.feed(b"HEAD / HTTP/1.0\r\n\r\n");
    assert!(wire.written().ends_with("\r\nConnection: close\r\n\r\n"));
    assert!(wire.close);
}

#[test]
fn chunks_and_compression_are_decoded() {
    let body = b"one\ntwo\n";
    let head =
        "POST /any/path HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n";
    let plain = format!("{head}\r\n3;x=y\r\none\r\n5\r\n\ntwo\n\r\n0\r\nTrailer: x\r\n\r\n");
    let mut zipped = format!("{head}Content-Encoding: gzip\r\n\r\n").into_bytes();
    for chunk in [gzip(b"one\n"), gzip(b"two\n")].concat().chunks(7) {
        zipped.extend(format!("{:X}\r\n", chunk.len()).bytes());
        zipped.extend(chunk);
        zipped.extend(b"\r\n");
    }
    zipped.extend(b"0\r\n\r\n");
    let whole = post("text/plain", "Content-Encoding: gzip\r\n", &gzip(body));
    for request in [plain.into_bytes(), zipped, whole] {
        let (answer, messages) = exchange(&request);
        assert_eq!((answer.status, &messages[..]), (200, &["one".to_owned(), "two".to_owned()][..]));
    }
}

#[test]
fn decompressed_body_is_bounded() {
    let bomb = gzip(&vec![b'x'; 100_000_000 / 100]);
    assert!(bomb.len() < 100_000);
    let budget = Budget::new(1 << 20);
    let options = HttpOptions { max_body: 100_000, budget: budget.clone(), ..options() };
    let mut wire = Wire::new(Http::new(options.clone()));
    wire.feed(&post("text/plain", "Content-Encoding: gzip\r\n", &bomb));
    let answer = only(&mut wire);
    assert_eq!((answer.status, answer.closes()), (413, true));
    assert!(wire.memory < 300_000, "{}", wire.memory);
    assert_eq!(budget.used(), 0);
    let cut = gzip(b"text");
    let (answer, _) = exchange(&post("text/plain", "Content-Encoding: gzip\r\n", &cut[..cut.len() - 4]));
    assert_eq!(answer.status, 400);
}

#[test]
fn bodies_of_all_connections_are_bounded() {
    let budget = Budget::new(10_000);
    let options = HttpOptions { max_body: 8000, budget: budget.clone(), ..options() };
    let request = post("text/plain", "", &[b'x'; 8000]);
    let (mut first, mut second) = (Wire::new(Http::new(options.clone())), Wire::new(Http::new(options)));
    first.feed(&request[..request.len() - 1]);
    assert_eq!(budget.used(), 7999);
    second.feed(&request[..request.len() - 1]);
    let answer = only(&mut second);
    assert_eq!((answer.status, answer.header("Retry-After"), answer.closes()), (503, "1", true));
    first.feed(b"x");
    assert_eq!((first.messages.len(), budget.used()), (1, 0));
    let mut third =
        Wire::new(Http::new(HttpOptions { max_body: 8000, budget: budget.clone(), ..self::options() }));
    third.feed(&request[..request.len() - 1]);
    drop(third);
    assert_eq!(budget.used(), 0);
}

#[test]
fn expectation_is_answered_before_the_body() {
    let request = post("text/plain", "Expect: 100-continue\r\n", b"body");
    let (head, body) = request.split_at(request.len() - 4);
    let mut wire = connection();
    wire.feed(head);
    assert_eq!(wire.written(), "HTTP/1.1 100 Continue\r\n\r\n");
    wire.feed(body);
    wire.commit();
    assert_eq!(only(&mut wire).status, 200);
    // Behind an unanswered request, it waits.
    wire.feed(&post("text/plain", "", b"first"));
    wire.feed(head);
    assert_eq!(wire.written(), "");
    wire.commit();
    assert_eq!(answers(&wire.written()).iter().map(|it| it.status).collect::<Vec<_>>(), [200, 100]);
    // The whole request is there: no client waits.
    let (answer, _) = exchange(&request);
    assert_eq!(answer.status, 200);
    // A refused body is not awaited.
    let mut wire = connection();
    wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let answer = only(&mut wire);
    assert_eq!((answer.status, answer.closes()), (415, true));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut wire = connection();
    let request = |text: &str| post("text/plain", "", text.as_bytes());
    wire.feed(
        &[
            request("a"),
            request("b"),
            request(""),
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
            request("c"),
        ]
        .concat(),
    );
    assert_eq!(wire.messages, ["a", "b", "c"]);
    assert_eq!(wire.protocol.unsettled(), 5);
    wire.fail(1, Failure::Full);
    assert_eq!(wire.written(), "");
    wire.commit();
    let statuses: Vec<u16> = answers(&wire.written()).iter().map(|it| it.status).collect();
    assert_eq!(statuses, [200, 503, 200, 200]);
    wire.commit();
    assert_eq!(only(&mut wire).json()["stored"], 1);
    assert!(!wire.close);
}

#[test]
fn last_request_of_a_connection_is_the_last() {
    let mut wire = connection();
    wire.feed(
        &[
            post("text/plain", "", b"a"),
            post("text/plain", "Connection: close\r\n", b"b"),
            post("text/plain", "", b"c"),
        ]
        .concat(),
    );
    assert_eq!(wire.messages, ["a", "b"]);
    assert!(wire.close);
    wire.commit_all();
    let answers = answers(&wire.written());
    assert_eq!(answers.iter().map(Answer::closes).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn failures_have_their_status() {
    let mut wire = connection();
    for (failure, status) in
        [(Failure::Full, 503), (Failure::Unavailable, 503), (Failure::OutOfSequence { expected: 7 }, 409)]
    {
        wire.feed(&post("text/plain", "Raddle-Sender: s\r\nRaddle-First: 9\r\n", b"a"));
        let sequence = wire.parcels[0].sequence().unwrap();
        assert_eq!((&*sequence.sender, sequence.first), ("s", 9));
        wire.fail(0, failure);
        let answer = only(&mut wire);
        assert_eq!((answer.status, answer.closes()), (status, false));
        if status == 503 {
            assert_eq!(answer.header("Retry-After"), "1");
        } else {
            assert_eq!(answer.json()["expected"], 7);
        }
    }
}

#[test]
fn token_is_checked_before_the_body() {
    let mut wire = Wire::new(Http::new(HttpOptions { token: Some("secret".into()), ..options() }));
    let cases = [
        ("", 401),
        ("Authorization: Basic secret\r\n", 401),
        ("Authorization: Bearer secre\r\n", 401),
        ("Authorization: Bearer secrets\r\n", 401),
        ("Authorization: Bearer\r\n", 401),
        ("Authorization: bearer  secret\r\n", 200),
    ];
    for (header, status) in cases {
        wire.feed(&post("text/plain", header, b"a"));
        wire.commit_all();
        let answer = only(&mut wire);
        assert_eq!(answer.status, status, "{header}");
        if status == 401 {
            assert!(answer.header("WWW-Authenticate").starts_with("Bearer realm="));
        }
    }
    assert_eq!(wire.messages, ["a"]);
}

#[test]
fn drained_connection_serves_the_request_that_has_begun() {
    let request = post("text/plain", "", b"body");
    let mut idle = connection();
    idle.feed(&request);
    idle.commit();
    idle.drain();
    assert!(idle.close);
    for cut in [1, 20, request.len() - 1] {
        let mut wire = connection();
        wire.feed(&request[..cut]);
        wire.drain();
        assert!(!wire.close, "{cut}");
        wire.feed(&request[cut..]);
        assert!(wire.close, "{cut}");
        wire.commit();
        let answer = only(&mut wire);
        assert_eq!((answer.status, answer.closes()), (200, true));
    }
    let mut waiting = connection();
    waiting.feed(&request);
    waiting.drain();
    waiting.feed(&request);
    waiting.commit();
    assert!(only(&mut waiting).closes() && waiting.close);
    assert_eq!(waiting.messages, ["body"]);
}

/// A request of any kind, valid or not.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![
        "application/json",
        "application/x-ndjson",
        "text/plain",
        "application/x-www-form-urlencoded",
        "x/y",
    ]);
    let body = prop_oneof![
        "[a\"{}:,\\[\\]1-3 \n\r\\\\=&%+]{0,60}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..60),
        Just(b"[\"a\",{\"host\":\"h\",\"msg\":\"m\"},3]".to_vec()),
    ];
    (kind, body, 0..4u8, any::<bool>()).prop_map(|(kind, body, form, expects)| {
        let expect = if expects { "Expect: 100-continue\r\n" } else { "" };
        match form {
            0 => post(kind, expect, &body),
            1 => post(kind, &format!("{expect}Content-Encoding: gzip\r\n"), &gzip(&body)),
            2 => {
                let mut bytes = format!(
                    "POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n{expect}Transfer-Encoding: chunked\r\n\r\n"
                )
                .into_bytes();
                for chunk in body.chunks(9) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
                bytes
            }
            _ => b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        }
    })
}

/// The responses but for `100 Continue`, which depends on whether the body has arrived.
fn final_answers(text: &str) -> Vec<Answer> {
    answers(text).into_iter().filter(|answer| answer.status != 100).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(inputs(300)) })]

    #[test]
    fn messages_do_not_depend_on_splits(
        requests in prop::collection::vec(request(), 1..5),
        lengths in prop::collection::vec(0usize..400, 0..12),
    ) {
        let bytes = requests.concat();
        let (mut whole, mut split) = (connection(), connection());
        whole.feed(&bytes);
        for piece in pieces(&bytes, &lengths) {
            split.feed(piece);
        }
        whole.commit_all();
        split.commit_all();
        prop_assert_eq!(&whole.messages, &split.messages);
        prop_assert_eq!(final_answers(&whole.written()), final_answers(&split.written()));
        prop_assert_eq!(whole.close, split.close);
        prop_assert!(whole.rest.is_empty() && split.rest.is_empty());
    }

    #[test]
    fn memory_is_bounded_for_any_bytes(
        requests in prop::collection::vec(request(), 1..4),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        lengths in prop::collection::vec(0usize..400, 0..8),
    ) {
        let mut bytes = requests.concat();
        for (at, byte) in noise {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let mut wire = connection();
        for piece in pieces(&bytes, &lengths) {
            wire.feed(piece);
        }
        prop_assert!(wire.rest.len() <= MAX_HEAD);
        prop_assert!(wire.memory < 150_000, "{}", wire.memory);
        wire.commit_all();
        wire.end(Ending::Cut);
        final_answers(&wire.written());
    }
}
