//! Sending to a server that works.

use std::sync::Arc;
use std::time::Duration;

use raddle::{Event, Mutex};
use raddle_ingest::{ListenerKind, SendOptions, SendProtocol};

use crate::support::{Running, Shared, pass_on, receiver, sent, texts_of, within_limit};

fn options(protocol: SendProtocol) -> SendOptions {
    SendOptions { protocol, messages: 1003, connections: 4, size: 60, window: 50, ..SendOptions::default() }
}

#[test]
fn every_message_arrives_over_each_protocol() {
    within_limit(|| {
        for protocol in [SendProtocol::Tcp, SendProtocol::Octet, SendProtocol::Relp, SendProtocol::Http] {
            let (server, options) = (Running::start(ListenerKind::Tcp), options(protocol));
            let report = sent(&options, server.address).unwrap();
            let acknowledged = if protocol.is_acknowledged() { 1003 } else { 0 };
            assert_eq!((report.sent, report.acknowledged), (1003, acknowledged), "{protocol}");
            assert_eq!(report.latency.count(), acknowledged);
            assert_eq!(
                (report.duplicates, report.rejected, report.resent, report.reconnections),
                (0, 0, 0, 0)
            );
            let sink = server.sink.clone();
            assert_eq!(server.stop().stored, 1003);
            let mut texts: Vec<String> = sink.messages().into_iter().map(|message| message.text).collect();
            texts.sort();
            assert_eq!(texts, texts_of(&options), "{protocol}");
        }
    });
}

#[test]
fn datagrams_arrive_at_a_rate() {
    within_limit(|| {
        let server = Running::start(ListenerKind::Udp);
        // The buffer of the operating system has room for all of them.
        let options = SendOptions { rate: 2000, messages: 100, ..options(SendProtocol::Udp) };
        let report = sent(&options, server.address).unwrap();
        assert_eq!((report.sent, report.acknowledged), (100, 0));
        let sink = server.sink.clone();
        server.stop();
        let mut texts: Vec<String> = sink.messages().into_iter().map(|message| message.text).collect();
        texts.sort();
        assert_eq!(texts, texts_of(&options));
    });
}

#[test]
fn header_is_parsed_into_columns() {
    within_limit(|| {
        let server = Running::start(ListenerKind::Tcp);
        let options = SendOptions { header: true, messages: 1, connections: 1, ..options(SendProtocol::Tcp) };
        sent(&options, server.address).unwrap();
        let sink = server.sink.clone();
        server.stop();
        let message = &sink.messages()[0];
        assert_eq!((message.facility, message.severity), (Some(1), Some(6)));
        assert_eq!(message.text, options.text(1, 1));
    });
}

/// Sends through a proxy that loses the replies of the first connections.
fn through_lossy_proxy(options: &SendOptions, server: &Running) -> raddle_ingest::SendReport {
    let address = server.address;
    // The connections are cut at different places of the replies; later connections are not cut.
    let cuts = [0, 10, 100, 1000, 333, 4000];
    let proxy = receiver(move |number, client| {
        pass_on(client, address, cuts.get(number).copied().unwrap_or(usize::MAX));
    });
    sent(options, proxy).unwrap()
}

#[test]
fn numbered_messages_are_stored_once_when_acknowledgements_are_lost() {
    within_limit(|| {
        let server = Running::start(ListenerKind::Http);
        let options = options(SendProtocol::Http);
        let report = through_lossy_proxy(&options, &server);
        assert_eq!((report.sent, report.acknowledged), (1003, 1003));
        assert!(report.reconnections >= 1 && report.resent > 0 && report.duplicates > 0, "{report:?}");
        let sink = server.sink.clone();
        let account = server.stop();
        assert_eq!(account.stored, 1003, "{account}");
        let mut texts: Vec<String> = sink.messages().into_iter().map(|message| message.text).collect();
        texts.sort();
        assert_eq!(texts, texts_of(&options));
    });
}

#[test]
fn relp_messages_are_stored_at_least_once_when_acknowledgements_are_lost() {
    within_limit(|| {
        let server = Running::start(ListenerKind::Relp);
        let options = options(SendProtocol::Relp);
        let report = through_lossy_proxy(&options, &server);
        assert_eq!((report.sent, report.acknowledged), (1003, 1003));
        assert!(report.reconnections >= 1, "{report:?}");
        let sink = server.sink.clone();
        server.stop();
        let mut texts: Vec<String> = sink.messages().into_iter().map(|message| message.text).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts, texts_of(&options));
    });
}

#[test]
fn messages_of_a_known_sender_are_not_stored_again() {
    within_limit(|| {
        let server = Running::start(ListenerKind::Http);
        let first = SendOptions { sender: "me".to_owned(), messages: 100, ..options(SendProtocol::Http) };
        sent(&first, server.address).unwrap();
        let more = SendOptions { messages: 200, ..first };
        let report = sent(&more, server.address).unwrap();
        assert_eq!((report.acknowledged, report.duplicates), (200, 100));
        assert_eq!(server.stop().stored, 200);
    });
}

/// The receiver is a program that sees when bytes arrive, not a clock: a burst is complete before the pause.
#[test]
fn window_bounds_unacknowledged_messages() {
    within_limit(|| {
        let seen: Shared<u64> = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(Event::new());
        let (counted, ended) = (seen.clone(), over.clone());
        let receiver = receiver(move |_, mut socket| {
            let mut rest = Vec::new();
            // Nothing is answered: the sender stops at its window.
            while let Some(request) = crate::support::request(&mut socket, &mut rest) {
                counted.lock().push(request.lines.len() as u64);
            }
            ended.set();
        });
        let options = SendOptions {
            timeout: Duration::from_millis(500),
            ..crate::support::impatient(SendProtocol::Http)
        };
        let error = sent(&options, receiver).unwrap_err().to_string();
        assert!(error.contains("has not acknowledged anything for 500ms; 0 of 100"), "{error}");
        over.wait();
        assert_eq!(*seen.lock(), [2, 2, 2, 2]);
    });
}
