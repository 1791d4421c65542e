//! Receivers that misbehave, and addresses without a receiver.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use raddle::{Mutex, thread};
use raddle_ingest::{SendOptions, SendProtocol};

use crate::common::{LIMIT, free_address, own_address};
use crate::support::{Request, Shared, impatient, receiver, request, respond, sent, within_limit};

/// Sends to a receiver, which must fail.
fn error(options: &SendOptions, serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> String {
    sent(options, receiver(serve)).unwrap_err().to_string()
}

/// Asserts that sending fails since the receiver `has_not` done something in time, after the receiver has done something else.
///
/// On a busy machine the receiver may need longer for the latter. Then the time limit is longer in the next attempt.
#[track_caller]
fn fails_later(
    mut options: SendOptions,
    has_not: &str,
    serve: impl Fn(usize, TcpStream) + Clone + Send + Sync + 'static,
) {
    loop {
        let error = error(&options, serve.clone());
        let time = options.timeout;
        if error.contains(&format!("the receiver {has_not} for {time:?}")) {
            return;
        }
        assert!(error.contains(&format!(" for {time:?}")) && time < LIMIT / 16, "{error}");
        options.timeout *= 4;
    }
}

fn sleep_for_ever(socket: TcpStream) {
    let _keep = socket;
    thread::sleep(Duration::from_hours(1));
}

#[test]
fn receiver_that_never_reads_is_an_error() {
    within_limit(|| {
        // More than the operating system buffers.
        let size = 1 << 20;
        let tcp = SendOptions { size, ..impatient(SendProtocol::Tcp) };
        let error = error(&tcp, |_, socket| sleep_for_ever(socket));
        assert!(
            error.contains("connection 1 failed: the receiver has not read anything for 300ms"),
            "{error}"
        );
        // Few bytes, which fit into the buffers.
        let error = self::error(&impatient(SendProtocol::Octet), |_, socket| sleep_for_ever(socket));
        assert!(error.contains("the receiver has not read everything for 300ms after 100 of 100"), "{error}");
    });
}

#[test]
fn receiver_that_never_reads_is_an_error_in_each_protocol() {
    within_limit(|| {
        for (protocol, size, what) in [
            (SendProtocol::Tcp, 1 << 20, "has not read anything"),
            (SendProtocol::Tcp, 1, "has not read everything"),
            (SendProtocol::Octet, 1 << 20, "has not read anything"),
            (SendProtocol::Octet, 1, "has not read everything"),
            (SendProtocol::Relp, 1, "has not answered"),
            (SendProtocol::Http, 1 << 20, "has not read anything"),
            (SendProtocol::Http, 1, "has not acknowledged anything"),
        ] {
            let options = SendOptions { size, ..impatient(protocol) };
            let error = error(&options, |_, socket| sleep_for_ever(socket));
            assert!(
                error.contains(&format!("the receiver {what} for 300ms")),
                "{protocol:?}, {size}: {error}"
            );
        }
        // One that opens the session, and does not read on.
        let relp = SendOptions { size: 1 << 20, ..impatient(SendProtocol::Relp) };
        fails_later(relp, "has not read anything", |_, mut socket| {
            let _ = socket.write_all(b"1 rsp 6 200 OK\n");
            sleep_for_ever(socket);
        });
    });
}

#[test]
fn nothing_to_send_needs_no_answer() {
    within_limit(|| {
        for protocol in [SendProtocol::Tcp, SendProtocol::Octet, SendProtocol::Relp, SendProtocol::Http] {
            // A time at which the test would not end.
            let options =
                SendOptions { messages: 0, timeout: Duration::from_hours(1), ..impatient(protocol) };
            let report = sent(&options, receiver(|_, socket| sleep_for_ever(socket))).unwrap();
            assert_eq!((report.sent, report.acknowledged), (0, 0), "{protocol:?}");
        }
    });
}

#[test]
fn receiver_that_never_answers_is_an_error() {
    within_limit(|| {
        let error = error(&impatient(SendProtocol::Relp), |_, socket| sleep_for_ever(socket));
        assert!(error.contains("the receiver has not answered for 300ms; 0 of 100"), "{error}");
        fails_later(impatient(SendProtocol::Relp), "has not acknowledged anything", |_, mut socket| {
            let _ = socket.write_all(b"1 rsp 6 200 OK\n");
            let _ = std::io::copy(&mut socket, &mut std::io::sink());
        });
    });
}

#[test]
fn receiver_of_another_protocol_is_an_error_at_once() {
    within_limit(|| {
        // Times at which the test would not end.
        let long = |protocol| SendOptions {
            timeout: Duration::from_hours(1),
            retry_for: Duration::from_hours(1),
            ..impatient(protocol)
        };
        let error = error(&long(SendProtocol::Relp), |_, mut socket| {
            socket.write_all(b"220 mail.example ESMTP\r\n").unwrap();
            sleep_for_ever(socket);
        });
        assert!(error.contains("the receiver does not speak RELP: \"220 mail.example"), "{error}");
        let error = self::error(&long(SendProtocol::Http), |_, mut socket| {
            let mut rest = Vec::new();
            request(&mut socket, &mut rest).unwrap();
            respond(&mut socket, 401, "{\"error\":\"a token is needed\"}");
            sleep_for_ever(socket);
        });
        assert!(error.contains("refuses the messages with status 401: a token is needed"), "{error}");
    });
}

#[test]
fn absent_receiver_is_an_error() {
    within_limit(|| {
        let free = free_address();
        for protocol in [SendProtocol::Tcp, SendProtocol::Octet, SendProtocol::Relp, SendProtocol::Http] {
            let error = sent(&impatient(protocol), free).unwrap_err().to_string();
            assert!(
                error.starts_with("connection 1 could not be established: Connection refused"),
                "{error}"
            );
        }
        let free = UdpSocket::bind(own_address()).unwrap().local_addr().unwrap();
        let error = sent(&impatient(SendProtocol::Udp), free).unwrap_err().to_string();
        assert!(error.contains("no program receives datagrams at this address"), "{error}");
    });
}

#[test]
fn lost_connection_without_acknowledgements_is_an_error() {
    within_limit(|| {
        let options = SendOptions {
            messages: 200_000,
            timeout: Duration::from_hours(1),
            retry_for: Duration::from_hours(1),
            ..impatient(SendProtocol::Tcp)
        };
        let error = error(&options, |_, mut socket| {
            let _ = socket.read(&mut [0; 100]);
        });
        assert!(error.contains("connection 1 was closed early by the peer after "), "{error}");
    });
}

#[test]
fn refused_requests_are_sent_again_in_order() {
    within_limit(|| {
        let stored: Shared<String> = Arc::new(Mutex::new(Vec::new()));
        let seen: Shared<u64> = Arc::new(Mutex::new(Vec::new()));
        let (kept, firsts) = (stored.clone(), seen.clone());
        let receiver = receiver(move |_, mut socket| {
            let (mut rest, mut count) = (Vec::new(), 0);
            while let Some(Request { first, lines }) = request(&mut socket, &mut rest) {
                count += 1;
                firsts.lock().push(first);
                let next = kept.lock().len() as u64 + 1;
                // The third is refused, and the requests in flight behind it are out of sequence.
                if count == 3 {
                    respond(&mut socket, 503, "{\"error\":\"full\"}");
                    // A sender that did not wait for the other answers would send more now.
                    thread::sleep(Duration::from_millis(200));
                } else if first == next {
                    kept.lock().extend(lines);
                    respond(&mut socket, 200, "{}");
                } else {
                    respond(&mut socket, 409, "{\"error\":\"the numbers are not in sequence\"}");
                }
            }
        });
        let options = SendOptions {
            timeout: Duration::from_mins(1),
            retry_for: Duration::from_mins(1),
            ..impatient(SendProtocol::Http)
        };
        let report = sent(&options, receiver).unwrap();
        assert_eq!((report.sent, report.acknowledged, report.reconnections), (100, 100, 0));
        // The requests in flight are sent again, and no others: no request is sent before all are answered.
        assert!((2..=8).contains(&report.resent), "{report:?}");
        let texts: Vec<String> = (1..=100).map(|message| options.text(1, message)).collect();
        assert_eq!(*stored.lock(), texts);
        let firsts = seen.lock().clone();
        assert_eq!(firsts[..3], [1, 3, 5], "{firsts:?}");
    });
}

#[test]
fn receiver_that_keeps_refusing_is_an_error() {
    within_limit(|| {
        let options = SendOptions { timeout: Duration::from_hours(1), ..impatient(SendProtocol::Http) };
        let error = error(&options, |_, mut socket| {
            let mut rest = Vec::new();
            while request(&mut socket, &mut rest).is_some() {
                respond(&mut socket, 503, "{\"error\":\"the queue is full\"}");
            }
        });
        assert!(
            error.contains("status 503: the queue is full, for 0ns without an acknowledgement; 0 of 100"),
            "{error}"
        );
    });
}

#[test]
fn receiver_that_has_lost_acknowledged_messages_is_an_error() {
    within_limit(|| {
        let (timeout, retry_for) = (Duration::from_hours(1), Duration::from_mins(1));
        let options = SendOptions { timeout, retry_for, ..impatient(SendProtocol::Http) };
        let error = error(&options, |_, mut socket| {
            let mut rest = Vec::new();
            while let Some(request) = request(&mut socket, &mut rest) {
                let status = if request.first == 1 { 200 } else { 409 };
                respond(&mut socket, status, "{\"error\":\"the next message must have number 1\"}");
            }
        });
        assert!(error.contains("status 409: the next message must have number 1; 2 of 100"), "{error}");
    });
}
