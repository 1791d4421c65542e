//! Messages over HTTP/1: each request is one parcel, answered after the commit.
//!
//! | status | meaning for the sender |
//! |---|---|
//! | 200 | the messages are on disk; the body counts them, and names those that were rejected |
//! | 400, 401, 404, 405, 411, 413, 415, 417, 431, 501, 505 | the request was refused, and nothing of it was stored |
//! | 409 | the numbers of the messages are not the next ones; the body has the expected number |
//! | 503 | nothing was stored: send the same request again, after the seconds in `Retry-After` |

mod body;
mod exchange;
mod head;
mod messages;
mod reply;
mod service;

#[cfg(test)]
mod tests;

#[allow(unused_imports, reason = "the server is being built")]
pub(crate) use {
    body::Budget,
    exchange::{Exchange, ExchangeOptions, Served, Service},
    head::Head,
    reply::{Response, Responses},
    service::{Http, HttpOptions},
};
