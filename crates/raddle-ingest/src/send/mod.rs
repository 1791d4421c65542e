//! Sending: numbered messages over any of the protocols, to test a receiver.

mod connection;
mod datagrams;
mod http;
mod latency;
mod messages;
mod outcome;
mod pace;
mod relp;
mod sender;
mod wire;

pub use latency::Latency;
pub use messages::{SendOptions, SendProtocol};
pub use outcome::{SendError, SendProgress, SendReport};
pub use sender::send;
