//! The sender's side of a protocol without input and output of its own, and the protocols without acknowledgements.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::messages::{SendOptions, SendProtocol};

/// The sender's side of a protocol.
pub(crate) trait Wire: Send {
    /// Begins a connection: forgets the previous one, and writes the bytes before the first message.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Returns whether messages may be sent.
    fn is_ready(&self) -> bool {
        true
    }

    /// Returns the maximum number of messages that are sent, and acknowledged, as one.
    fn batch(&self) -> u64;

    /// Writes messages, from the number `first` on, and returns the number of the request that is acknowledged as
    /// one.
    fn add(&mut self, first: u64, count: u64, out: &mut Vec<u8>) -> u64;

    /// Reads the beginning of `input`, and returns how many bytes it consumed.
    ///
    /// # Errors
    /// Returns an error if the receiver does not speak the protocol, or refuses the messages permanently.
    fn receive(&mut self, input: &[u8], answers: &mut Vec<Answer>) -> Result<usize, String> {
        let _ = answers;
        Ok(input.len())
    }

    /// Writes the bytes that end a connection after the last message. Returns whether the receiver's end is waited
    /// for.
    fn end(&mut self, out: &mut Vec<u8>) -> bool {
        let _ = out;
        false
    }

    /// Returns whether messages must arrive in order: after a refusal, nothing is sent until everything is answered.
    fn is_in_order(&self) -> bool {
        false
    }
}

/// An answer of the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Messages are stored.
    Stored { id: u64, duplicates: u64, rejected: u64 },
    /// Messages are not stored, and are to be sent again after a time.
    Refused { id: u64, after: Duration, reason: String },
    /// The messages do not have the numbers that are expected.
    OutOfSequence { id: u64, reason: String },
    /// The connection ends.
    Closing,
}

/// Lines or octet-counted frames.
pub(crate) struct Plain {
    options: Arc<SendOptions>,
    connection: u64,
    text: String,
}

impl Plain {
    pub(crate) fn new(options: Arc<SendOptions>, connection: u64) -> Self {
        Self { options, connection, text: String::new() }
    }
}

impl Wire for Plain {
    fn batch(&self) -> u64 {
        256
    }

    fn add(&mut self, first: u64, count: u64, out: &mut Vec<u8>) -> u64 {
        let is_counted = self.options.protocol == SendProtocol::Octet;
        for number in first..first + count {
            self.text.clear();
            self.options.write_text(&mut self.text, self.connection, number);
            if is_counted {
                let _ = write!(out, "{} ", self.text.len());
            }
            out.extend_from_slice(self.text.as_bytes());
            if !is_counted {
                out.push(b'\n');
            }
        }
        first
    }
}
