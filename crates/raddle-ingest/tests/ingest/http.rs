//! Messages over HTTP, with real clients.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use raddle_ingest::{Limits, ListenerKind, ListenerOptions, PipelineOptions, WhenFull};

use crate::serving::{Serving, program, run};
use crate::support::{Scratch, until, within_limit};

fn post(kind: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn response_follows_the_commit() {
    within_limit(|| {
        let serving = Serving::new(&PipelineOptions::default());
        serving.sink.set_outage(Some("locked"));
        let mut peer = serving.connect(ListenerKind::Http);
        peer.send(post("application/json", "", r#"["one", {"msg": "two"}, 3]"#));
        until(|| serving.pipeline.account().in_flight == 3);
        until(|| serving.pipeline.intake().status().failure().is_some());
        let mut admin = serving.connect(ListenerKind::Admin);
        admin.send("GET /ready HTTP/1.1\r\nHost: h\r\n\r\nGET /health HTTP/1.1\r\nHost: h\r\n\r\n");
        let (status, _, body) = admin.response();
        assert_eq!((status, body.as_str()), (503, "messages cannot be stored: locked\n"));
        assert_eq!(admin.response().0, 200, "the program lives");
        peer.stream.set_nonblocking(true).unwrap();
        assert!(peer.stream.peek(&mut [0]).is_err(), "there is no response yet");
        peer.stream.set_nonblocking(false).unwrap();
        serving.sink.set_outage(None);
        let (status, _, body) = peer.response();
        let expected = "{\"stored\":2,\"duplicates\":0,\"rejected\":[{\"index\":2,\"reason\":\"not a JSON string or object\"}]}\n";
        assert_eq!((status, body.as_str()), (200, expected));
        assert_eq!(serving.texts(), ["one", "{\"msg\": \"two\"}"]);
        assert_eq!(serving.sink.messages()[1].body, "two");
        admin.send("GET /ready HTTP/1.1\r\nHost: h\r\n\r\nGET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(admin.response().0, 200);
        let metrics = admin.response().2;
        for line in [
            "raddle_messages_received_total{source=\"http\"} 3\n",
            "raddle_messages_total{source=\"http\",outcome=\"stored\"} 2\n",
            "raddle_messages_total{source=\"http\",outcome=\"rejected\"} 1\n",
            "raddle_connections{source=\"http\"} 1\n",
            "raddle_http_responses_total{source=\"http\",status=\"200\"} 1\n",
            "raddle_connections_accepted_total{source=\"admin\"} 1\n",
            "raddle_sink_up 1\n",
        ] {
            assert!(metrics.contains(line), "{line} in {metrics}");
        }
        assert_eq!(serving.stop().to_string(), "received 3 = stored 2 + rejected 1");
    });
}

#[test]
fn full_queue_is_answered_with_503() {
    for when_full in [WhenFull::Block, WhenFull::Shed] {
        within_limit(move || {
            let mut options = PipelineOptions::default();
            (options.queue, options.when_full) = (Limits { messages: 2, bytes: 1 << 20 }, when_full);
            let serving = Serving::new(&options);
            serving.sink.set_outage(Some("locked"));
            let mut first = serving.connect(ListenerKind::Http);
            first.send(post("text/plain", "", "a"));
            until(|| serving.pipeline.account().in_flight == 1);
            // These fill the queue; the other is refused, although its response waits for the first.
            first.send(post("text/plain", "", "b\nc"));
            until(|| serving.pipeline.account().queued == 2);
            let mut second = serving.connect(ListenerKind::Http);
            second.send(post("text/plain", "", "d"));
            let (status, head, _) = second.response();
            assert_eq!(status, 503);
            assert!(head.contains("Retry-After: 1\r\n") && !head.contains("Connection: close"), "{head}");
            serving.sink.set_outage(None);
            assert_eq!((first.response().0, first.response().0), (200, 200));
            second.send(post("text/plain", "", "d"));
            assert_eq!(second.response().0, 200);
            assert_eq!(serving.texts(), ["a", "b", "c", "d"]);
            assert_eq!(serving.stop().to_string(), "received 5 = stored 4 + rejected 0 + shed 1");
        });
    }
}

#[test]
fn numbered_messages_are_stored_once() {
    within_limit(|| {
        let serving = Serving::new(&PipelineOptions::default());
        let mut peer = serving.connect(ListenerKind::Http);
        let mut send = |first: u64, body: &str| {
            peer.send(post("text/plain", &format!("Raddle-Sender: s\r\nRaddle-First: {first}\r\n"), body));
            let (status, _, body) = peer.response();
            (status, body)
        };
        let counts = |stored, duplicates| {
            (200, format!("{{\"stored\":{stored},\"duplicates\":{duplicates},\"rejected\":[]}}\n"))
        };
        let (status, body) = send(2, "b");
        assert_eq!(status, 409);
        assert!(body.ends_with("\"expected\":1}\n"), "{body}");
        assert_eq!(send(1, "a\nb\nc"), counts(3, 0));
        assert_eq!(send(1, "a\nb\nc"), counts(0, 3));
        assert_eq!(send(3, "c\nd"), counts(1, 1));
        assert!(send(6, "f").1.ends_with("\"expected\":5}\n"));
        assert_eq!(serving.texts(), ["a", "b", "c", "d"]);
        assert_eq!(serving.stop().to_string(), "received 10 = stored 4 + rejected 0 + duplicate 4 + shed 2");
    });
}

#[test]
fn pipelined_numbered_requests_are_stored_in_order() {
    within_limit(|| {
        let serving = Serving::new(&PipelineOptions::default());
        let mut peer = serving.connect(ListenerKind::Http);
        let requests = (0..500).map(|number| {
            let headers = format!("Raddle-Sender: s\r\nRaddle-First: {}\r\n", 2 * number + 1);
            post("text/plain", &headers, &format!("{}\n{}", 2 * number + 1, 2 * number + 2))
        });
        peer.send(requests.collect::<String>());
        for _ in 0..500 {
            assert_eq!(peer.response().0, 200);
        }
        assert_eq!(serving.texts(), (1..=1000).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(serving.stop().to_string(), "received 1000 = stored 1000 + rejected 0");
    });
}

#[test]
fn stopping_server_answers_the_requests_that_it_has_read() {
    within_limit(|| {
        let serving = Serving::new(&PipelineOptions::default());
        let mut peer = serving.connect(ListenerKind::Http);
        serving.sink.set_outage(Some("locked"));
        peer.send(post("text/plain", "", "a"));
        until(|| serving.pipeline.account().in_flight == 1);
        let outcome = serving.stop_within(Duration::ZERO);
        assert_eq!(outcome.account.to_string(), "received 1 = stored 0 + rejected 0 + shed 1");
        let (status, head, _) = peer.response();
        assert_eq!(status, 503);
        assert!(head.contains("Retry-After: ") && head.contains("Connection: close"), "{head}");
        assert_eq!(peer.read_to_end(), "");
    });
}

#[test]
fn stopping_server_serves_requests_that_have_arrived() {
    within_limit(|| {
        for connections in [1_u64, 3, 20, 50] {
            let serving = Serving::new(&PipelineOptions::default());
            let mut peers: Vec<_> = (0..connections).map(|_| serving.connect(ListenerKind::Http)).collect();
            // Half of them are idle connections that were used before; the others may not even be accepted.
            for peer in peers.iter_mut().step_by(2) {
                peer.send(post("text/plain", "", "a"));
                assert_eq!(peer.response().0, 200);
            }
            for peer in &mut peers {
                peer.send(post("text/plain", "", "b\nc"));
            }
            let used = connections.div_ceil(2);
            assert_eq!(serving.stop().stored, used + 2 * connections);
            for peer in &mut peers {
                assert_eq!(peer.response().0, 200);
            }
        }
    });
}

#[test]
fn token_is_required_if_there_is_one() {
    within_limit(|| {
        let options = ListenerOptions { token: Some("secret".into()), ..ListenerOptions::default() };
        let serving = Serving::with(&PipelineOptions::default(), &options);
        let mut peer = serving.connect(ListenerKind::Http);
        peer.send(post("text/plain", "", "a"));
        let (status, head, _) = peer.response();
        assert!(status == 401 && head.contains("WWW-Authenticate: Bearer"), "{head}");
        peer.send(post("text/plain", "Authorization: Bearer secret\r\n", "b"));
        assert_eq!(peer.response().0, 200);
        assert_eq!(serving.texts(), ["b"]);
        assert_eq!(serving.stop().to_string(), "received 1 = stored 1 + rejected 0");
    });
}

/// Runs curl against a server. Prints the status after each body.
fn curl(serving: &Serving, arguments: &[&str], input: &[u8]) -> String {
    let url = serving.url(ListenerKind::Http);
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "50", "-w", "%{http_code} %{num_connects}\n"]);
    run(command.args(arguments).arg(url), input)
}

#[test]
fn messages_of_curl_are_stored() {
    if program("curl").is_none() {
        return;
    }
    within_limit(|| {
        let serving = Serving::new(&PipelineOptions::default());
        let stored =
            |count: usize| format!("{{\"stored\":{count},\"duplicates\":0,\"rejected\":[]}}\n200 1\n");
        let ndjson = "Content-Type: application/x-ndjson";
        let text = "Content-Type: text/plain";
        assert_eq!(curl(&serving, &["-H", ndjson, "-d", "\"one\"\n{\"msg\":\"two\"}"], b""), stored(2));
        let many = format!("\"{}\"\n", "x".repeat(180)).repeat(10_000);
        assert_eq!(curl(&serving, &["-H", ndjson, "--data-binary", "@-"], many.as_bytes()), stored(10_000));
        let chunked = ["-H", ndjson, "-H", "Transfer-Encoding: chunked", "--data-binary", "@-"];
        assert_eq!(curl(&serving, &chunked, many.as_bytes()), stored(10_000));
        let upload = ["-H", text, "-X", "POST", "-T", "-"];
        assert_eq!(curl(&serving, &upload, b"a\nb\nc\n"), stored(3), "chunked, and expects 100-continue");
        let expects = ["-H", text, "-H", "Expect: 100-continue", "--data-binary", "@-"];
        assert_eq!(curl(&serving, &expects, b"a\nb\n"), stored(2));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(many.as_bytes()).unwrap();
        let zipped = encoder.finish().unwrap();
        let gzip = ["-H", ndjson, "-H", "Content-Encoding: gzip", "--data-binary", "@-"];
        assert_eq!(curl(&serving, &gzip, &zipped), stored(10_000));
        // The second request uses the connection of the first.
        let url = serving.url(ListenerKind::Http);
        let twice = curl(&serving, &["-H", text, "-d", "x", &url], b"");
        assert_eq!(twice, stored(1) + &stored(1).replace("200 1", "200 0"));
        // A request without a message is refused with the reason.
        assert!(curl(&serving, &["-d", "plain words"], b"").ends_with("415 1\n"));
        let large = vec![b'x'; 17 << 20];
        let refused = curl(&serving, &["-H", text, "--data-binary", "@-"], &large);
        assert!(refused.contains("larger than") && refused.ends_with("413 1\n"), "{refused}");
        assert_eq!(curl(&serving, &["-I"], b"").lines().last(), Some("200 1"));
        assert_eq!(serving.stop().stored, 30_009);
    });
}

/// Sends records with the handler of Python's logging, and requests with its client.
const PYTHON: &str = r#"
import http.client, json, logging, logging.handlers, sys

place = sys.argv[1]
logger = logging.getLogger("shop.orders")
logger.addHandler(logging.handlers.HTTPHandler(place, "/log", method="POST"))
logger.error("order %s failed: %s", 17, "caf\u00e9 & co = 100%")

connection = http.client.HTTPConnection(place, timeout=50)
for number in range(100):
    body = json.dumps([f"text {number}", {"message": f"object {number}", "level": "warning", "host": "web-1"}])
    connection.request("POST", "/", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.status
    assert json.load(response) == {"stored": 2, "duplicates": 0, "rejected": []}
    connection.request("POST", "/", iter([b"chunk ", b"by chunk\n"]), {"Content-Type": "text/plain"}, encode_chunked=True)
    assert connection.getresponse().read().startswith(b'{"stored":1,')
connection.request("GET", "/?msg=lost")
response = connection.getresponse()
assert (response.status, response.getheader("Allow")) == (405, "POST")
"#;

#[test]
fn messages_of_python_are_stored() {
    if program("python3").is_none() {
        return;
    }
    within_limit(|| {
        let serving = Serving::new(&PipelineOptions::default());
        let scratch = Scratch::new("http-python");
        let script = scratch.path("client.py");
        std::fs::write(&script, PYTHON).unwrap();
        let place = serving.address(ListenerKind::Http).to_string();
        run(Command::new("python3").arg(script).arg(place), b"");
        let messages = serving.sink.messages();
        assert_eq!(messages.len(), 301);
        assert_eq!((messages[0].severity, messages[0].body.as_str()), (Some(3), "order %s failed: %s"));
        assert!(
            messages[0].text.contains("\"args\":\"(17, 'caf\u{e9} & co = 100%')\""),
            "{}",
            messages[0].text
        );
        assert!(messages[0].process.is_some() && messages[0].sent.is_some());
        assert_eq!(messages[1].text, "text 0");
        let object = &messages[2];
        assert_eq!(
            (object.body.as_str(), object.severity, object.host.as_deref()),
            ("object 0", Some(4), Some("web-1"))
        );
        assert_eq!(messages[3].text, "chunk by chunk");
        assert_eq!(serving.stop().to_string(), "received 301 = stored 301 + rejected 0");
    });
}
