//! The service that receives messages.

use std::sync::Arc;

use serde::Serialize;

use super::body::Budget;
use super::exchange::{Exchange, ExchangeOptions, Served, Service};
use super::head::Head;
use super::messages::{Format, add};
use super::reply::{Response, Responses};
use crate::message::Sequence;
use crate::protocol::interface::Io;
use crate::protocol::lines::LineOptions;
use crate::settlement::{Failure, Settlement};
use crate::syslog::Parser;

/// The path, which GET answers with a short text. A POST may have any path.
const HELP: &str = "POST messages as application/x-ndjson, application/json (an array of strings or objects), \
                    text/plain (one per line), or application/x-www-form-urlencoded (one message).";

/// The seconds after which a client may try again.
const RETRY_AFTER: &str = "1";

/// The longest name of a sender.
const MAX_SENDER: usize = 200;

/// The largest number of a message, so that the numbers of a request cannot overflow a column of 64 bits.
const MAX_NUMBER: u64 = 1 << 62;

/// The longest reason in a response, in characters.
const MAX_REASON: usize = 200;

/// The options of [`Http`].
#[derive(Clone, Debug)]
pub(crate) struct HttpOptions {
    /// How texts are read.
    pub(crate) lines: LineOptions,
    /// Maximum length of a body in bytes, before and after decompression. The default is 4 MiB.
    pub(crate) max_body: usize,
    /// Maximum number of messages of a request. The default is 10,000.
    pub(crate) max_messages: usize,
    /// The token that a client must present, if any.
    pub(crate) token: Option<Arc<str>>,
    /// The bound on the memory of the bodies of all connections. The default is 64 MiB.
    pub(crate) budget: Budget,
    /// Where responses are counted.
    pub(crate) responses: Responses,
}

impl HttpOptions {
    /// Creates options with the defaults.
    pub(crate) fn new(lines: LineOptions) -> Self {
        Self {
            lines,
            max_body: 4 << 20,
            max_messages: 10_000,
            token: None,
            budget: Budget::new(64 << 20),
            responses: Responses::default(),
        }
    }
}

/// An HTTP connection that receives messages.
pub(crate) type Http = Exchange<Messages>;

impl Http {
    pub(crate) fn new(options: HttpOptions) -> Self {
        let exchange = ExchangeOptions {
            max_body: options.max_body,
            budget: options.budget.clone(),
            responses: options.responses.clone(),
        };
        Self::with_service(Messages { options }, exchange)
    }
}

/// The service that receives messages.
#[derive(Debug)]
pub(crate) struct Messages {
    options: HttpOptions,
}

/// The part of the head of a request that is kept.
#[derive(Debug)]
pub(crate) enum Request {
    Post(Format, Option<Sequence>),
    Help,
}

impl Service for Messages {
    type Request = Request;

    fn accept(&mut self, head: &Head<'_>) -> Result<Request, Response> {
        match head.method {
            "POST" => {}
            // A query would be a form sent with GET, which is not stored.
            "GET" | "HEAD" if head.target == "/" => return Ok(Request::Help),
            "GET" | "HEAD" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "TRACE" | "CONNECT" => {
                let reason = format!("{} is not allowed here: send messages with POST", head.method);
                return Err(Response::refusal(405, reason).header("Allow", "POST"));
            }
            method => return Err(Response::refusal(501, format!("the method {method:?} is not known"))),
        }
        self.authorize(head)?;
        let format = Format::of(head.get("content-type")?)?;
        Ok(Request::Post(format, sequence(head)?))
    }

    fn serve(&mut self, request: Request, body: &[u8], ticket: u64, io: &mut Io<'_>) -> Served {
        let Request::Post(format, sequence) = request else {
            return Served::Now(Response::text(200, HELP));
        };
        let mut parcel = io.parcel();
        let parser = Parser::new(&self.options.lines.zone, io.received);
        if let Err(refusal) =
            add(&mut parcel, format, body, &self.options.lines, self.options.max_messages, &parser)
        {
            return Served::Now(refusal);
        }
        if parcel.is_empty() {
            return Served::Now(self.settled(&Settlement::default()));
        }
        if let Some(sequence) = sequence {
            parcel.set_sequence(sequence);
        }
        parcel.set_receipt(io.receipt(ticket));
        io.parcels.push(parcel);
        Served::Later
    }

    fn settled(&self, settlement: &Settlement) -> Response {
        match settlement.failure {
            None => {
                let rejected = settlement.rejected.iter();
                let rejected = rejected.map(|(index, reason)| Rejected {
                    index: *index,
                    reason: reason.chars().take(MAX_REASON).collect(),
                });
                let (stored, duplicates) = (settlement.stored, settlement.duplicates);
                Response::json(200, &Counts { stored, duplicates, rejected: rejected.collect() })
            }
            Some(failure @ Failure::OutOfSequence { expected }) => {
                Response::json(409, &Conflict { error: failure.to_string(), expected })
            }
            Some(failure @ (Failure::Full | Failure::Unavailable)) => {
                Response::refusal(503, failure.to_string()).header("Retry-After", RETRY_AFTER)
            }
        }
    }
}

/// The body of the response to messages that were committed.
#[derive(Serialize)]
struct Counts {
    stored: u64,
    duplicates: u64,
    rejected: Vec<Rejected>,
}

#[derive(Serialize)]
struct Rejected {
    index: usize,
    reason: String,
}

/// The body of the response to messages that are out of sequence.
#[derive(Serialize)]
struct Conflict {
    error: String,
    expected: u64,
}

impl Messages {
    fn authorize(&self, head: &Head<'_>) -> Result<(), Response> {
        let Some(expected) = &self.options.token else { return Ok(()) };
        let presented = head.get("authorization")?.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let (reason, challenge) = match presented {
            Some(token) if equal(token.as_bytes(), expected.as_bytes()) => return Ok(()),
            Some(_) => ("the token is not valid", "Bearer realm=\"raddle\", error=\"invalid_token\""),
            None => ("a token is needed: Authorization: Bearer TOKEN", "Bearer realm=\"raddle\""),
        };
        Err(Response::refusal(401, reason).header("WWW-Authenticate", challenge))
    }
}

/// Compares two texts in a time that depends on their lengths only.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let different =
        one.iter().zip(other).fold(0, |different, (a, b)| std::hint::black_box(different | (a ^ b)));
    one.len() == other.len() && different == 0
}

/// Reads the headers in which a sender numbers its messages.
fn sequence(head: &Head<'_>) -> Result<Option<Sequence>, Response> {
    let refuse = |reason: String| Err(Response::refusal(400, reason));
    let (sender, first) = match (head.get("raddle-sender")?, head.get("raddle-first")?) {
        (None, None) => return Ok(None),
        (Some(sender), Some(first)) => (sender, first),
        _ => return refuse("Raddle-Sender and Raddle-First go together".to_owned()),
    };
    if sender.is_empty() || sender.len() > MAX_SENDER || sender.chars().any(char::is_control) {
        return refuse(format!("Raddle-Sender is not a name of 1 to {MAX_SENDER} bytes"));
    }
    let digits = first.bytes().all(|byte| byte.is_ascii_digit());
    match first.parse() {
        Ok(first @ 1..=MAX_NUMBER) if digits => Ok(Some(Sequence { sender: sender.into(), first })),
        _ => refuse(format!("Raddle-First is not a number from 1 to {MAX_NUMBER}")),
    }
}
