//! HTTP, as the sender: requests whose messages are numbered.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::messages::SendOptions;
use super::wire::{Answer, Wire};

/// The longest response.
const LONGEST_RESPONSE: usize = 16 << 20;

/// Requests that may be unanswered, so that the receiver always has the next.
const PIPELINED: usize = 4;

/// The most messages per request.
const LARGEST_REQUEST: usize = 2000;

/// How long a refused request is not sent again, unless the response says.
const REFUSED: Duration = Duration::from_secs(1);

/// The longest pause that a response may request.
const LONGEST_PAUSE: u64 = 30;

pub(crate) struct Http {
    options: Arc<SendOptions>,
    connection: u64,
    /// The head of each request, up to the number of the first message.
    head: String,
    body: String,
    /// The requests of this connection, and those that are answered.
    sent: u64,
    answered: u64,
}

/// The body of a response to stored messages.
#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    duplicates: u64,
    #[serde(default)]
    rejected: Vec<serde::de::IgnoredAny>,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A response that has arrived completely.
struct Response<'a> {
    status: u16,
    body: &'a [u8],
    retry_after: Option<u64>,
    closes: bool,
    length: usize,
}

impl Http {
    /// Creates the sender's side. `host` is the name of the receiver, and `sender` the name under which the messages are numbered.
    pub(crate) fn new(options: Arc<SendOptions>, connection: u64, host: &str, sender: &str) -> Self {
        let mut head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n");
        if let Some(token) = &options.token {
            head.extend(["Authorization: Bearer ", token, "\r\n"]);
        }
        head.extend([format!("Raddle-Sender: {sender}-{connection}\r\nRaddle-First: ")]);
        Self { options, connection, head, body: String::new(), sent: 0, answered: 0 }
    }
}

impl Wire for Http {
    fn begin(&mut self, _out: &mut Vec<u8>) {
        (self.sent, self.answered) = (0, 0);
    }

    fn batch(&self) -> u64 {
        self.options.window.div_ceil(PIPELINED).clamp(1, LARGEST_REQUEST) as u64
    }

    fn add(&mut self, first: u64, count: u64, out: &mut Vec<u8>) -> u64 {
        self.body.clear();
        for number in first..first + count {
            self.options.write_text(&mut self.body, self.connection, number);
            self.body.push('\n');
        }
        let _ =
            write!(out, "{}{first}\r\nContent-Length: {}\r\n\r\n{}", self.head, self.body.len(), self.body);
        self.sent += 1;
        self.sent
    }

    fn receive(&mut self, input: &[u8], answers: &mut Vec<Answer>) -> Result<usize, String> {
        let mut front = 0;
        while let Some(response) = response(&input[front..])? {
            front += response.length;
            self.answered += 1;
            if self.answered > self.sent {
                return Err(format!("the receiver answers with status {} to no request", response.status));
            }
            let id = self.answered;
            let reason = || {
                let text = String::from_utf8_lossy(response.body);
                let reason = serde_json::from_str(&text).map(|refusal: Refusal| refusal.error);
                format!("status {}: {}", response.status, reason.unwrap_or_else(|_| text.trim().to_owned()))
            };
            match response.status {
                200..=299 => {
                    let counts = serde_json::from_slice(response.body).ok();
                    let Counts { duplicates, rejected } =
                        counts.unwrap_or(Counts { duplicates: 0, rejected: Vec::new() });
                    let rejected = rejected.len() as u64;
                    answers.push(Answer::Stored { id, duplicates, rejected });
                }
                409 => answers.push(Answer::OutOfSequence { id, reason: reason() }),
                408 | 429 | 500.. => {
                    let after = response
                        .retry_after
                        .map_or(REFUSED, |seconds| Duration::from_secs(seconds.min(LONGEST_PAUSE)));
                    answers.push(Answer::Refused { id, after, reason: reason() });
                }
                _ => return Err(format!("the receiver refuses the messages with {}", reason())),
            }
            if response.closes {
                answers.push(Answer::Closing);
                break;
            }
        }
        Ok(front)
    }

    fn is_in_order(&self) -> bool {
        true
    }
}

/// Parses a response.
fn response(input: &[u8]) -> Result<Option<Response<'_>>, String> {
    let invalid = |what: &str| {
        let begin = String::from_utf8_lossy(&input[..input.len().min(40)]);
        format!("the receiver does not speak HTTP/1 as expected: {what}: {begin:?}")
    };
    if input.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    let head = match parsed.parse(input) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if input.len() < 64 << 10 => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(invalid("the head of the response is too long")),
        Err(error) => return Err(invalid(&error.to_string())),
    };
    let value = |name: &str| {
        let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok().map(str::trim)
    };
    let status = parsed.code.unwrap_or(0);
    let length = match value("content-length").map(str::parse) {
        Some(Ok(length)) => length,
        None if status == 204 => 0,
        _ => return Err(invalid("the response has no Content-Length")),
    };
    if length > LONGEST_RESPONSE {
        return Err(invalid("the response is too long"));
    }
    let Some(body) = input.get(head..head + length) else { return Ok(None) };
    let connection = value("connection").unwrap_or("").to_ascii_lowercase();
    let closes =
        connection.contains("close") || (parsed.version == Some(0) && !connection.contains("keep-alive"));
    let retry_after = value("retry-after").and_then(|seconds| seconds.parse().ok());
    Ok(Some(Response { status, body, retry_after, closes, length: head + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(window: usize) -> Http {
        let options = SendOptions { window, token: Some("secret".to_owned()), ..SendOptions::default() };
        Http::new(Arc::new(options), 3, "host:80", "me")
    }

    #[test]
    fn request_has_numbered_messages() {
        let mut out = Vec::new();
        assert_eq!(http(8).add(17, 2, &mut out), 1);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "POST / HTTP/1.1\r\nHost: host:80\r\nContent-Type: text/plain\r\nAuthorization: Bearer secret\r\n\
             Raddle-Sender: me-3\r\nRaddle-First: 17\r\nContent-Length: 48\r\n\r\n\
             connection 3 message 17\nconnection 3 message 18\n"
        );
        let batches = [1, 4, 5, 1000, 100_000].map(|window| http(window).batch());
        assert_eq!(batches, [1, 1, 2, 250, 2000]);
    }

    #[test]
    fn responses_are_answers_in_order() {
        let mut http = http(8);
        let mut out = Vec::new();
        for first in 1..=5 {
            http.add(first, 1, &mut out);
        }
        let stream = "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n\
                      {\"stored\":1,\"duplicates\":2,\"rejected\":[{\"index\":0,\"reason\":\"\"}]}\
                      HTTP/1.1 503 Full\r\nRetry-After: 2\r\nContent-Length: 16\r\n\r\n{\"error\":\"full\"}\
                      HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno\
                      HTTP/1.1 204 No Content\r\n\r\n\
                      HTTP/1.0 500 Oh\r\nContent-Length: 0\r\n\r\n";
        let expected = [
            Answer::Stored { id: 1, duplicates: 2, rejected: 1 },
            Answer::Refused { id: 2, after: Duration::from_secs(2), reason: "status 503: full".to_owned() },
            Answer::OutOfSequence { id: 3, reason: "status 409: no".to_owned() },
            Answer::Stored { id: 4, duplicates: 0, rejected: 0 },
            Answer::Refused { id: 5, after: REFUSED, reason: "status 500: ".to_owned() },
            Answer::Closing,
        ];
        for size in [1, 10, stream.len()] {
            (http.sent, http.answered) = (5, 0);
            let (mut answers, mut rest) = (Vec::new(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                rest.extend_from_slice(piece);
                let count = http.receive(&rest, &mut answers).unwrap();
                rest.drain(..count);
            }
            assert_eq!((&answers[..], rest.len()), (&expected[..], 0), "in pieces of {size}");
        }
    }

    #[test]
    fn permanent_refusals_and_other_protocols_are_errors() {
        let error = |input: &str| {
            let mut http = http(8);
            http.add(1, 1, &mut Vec::new());
            http.receive(input.as_bytes(), &mut Vec::new()).unwrap_err()
        };
        let refused = error("HTTP/1.1 401 No\r\nContent-Length: 23\r\n\r\n{\"error\":\"needs a token\"}");
        assert_eq!(refused, "the receiver refuses the messages with status 401: {\"error\":\"needs a token");
        assert!(error("220 smtp ready\r\n").contains("does not speak HTTP/1"));
        assert!(error("HTTP/1.1 200 OK\r\n\r\n").contains("no Content-Length"));
        assert!(error("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").contains("too long"));
        let mut http = http(8);
        let unasked = http.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &mut Vec::new());
        assert!(unasked.unwrap_err().contains("to no request"));
    }
}
