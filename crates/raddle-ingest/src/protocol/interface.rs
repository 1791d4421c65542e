//! Protocols without input and output of their own: bytes in, parcels and replies out.
//!
//! A connection feeds the bytes that it reads to its [`Protocol`], enqueues the parcels, and writes the replies. This makes each protocol
//! testable on any split of any bytes.

use std::sync::Arc;
use std::time::SystemTime;

use crate::books::SourceId;
use crate::message::Parcel;
use crate::settlement::{Acknowledge, Receipt, Settlement};

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Closed by the sender: an unterminated last line is a message.
    Closed,
    /// Cut off: an unterminated last message is incomplete.
    Cut,
}

/// Turns the bytes of a connection into parcels and replies.
pub(crate) trait Protocol: Send {
    /// Consumes bytes from the front of `input`, and returns how many.
    ///
    /// The rest is passed again, with more bytes behind it. The rest is bounded: a protocol consumes or closes before it exceeds the
    /// largest frame that it accepts.
    fn receive(&mut self, input: &[u8], io: &mut Io<'_>) -> usize;

    /// No more bytes are available for the moment: consumes a message whose end only the bytes behind it would confirm.
    ///
    /// It is called with what `receive` has not consumed, once nothing has arrived for a while. Without it, the last message of an idle
    /// connection could wait for the next one. The default consumes nothing.
    fn pause(&mut self, rest: &[u8], io: &mut Io<'_>) -> usize {
        let _ = (rest, io);
        0
    }

    /// Ends the stream. `rest` are the bytes that `receive` has not consumed.
    fn end(&mut self, rest: &[u8], ending: Ending, io: &mut Io<'_>);

    /// Replies to the parcel with `ticket`, which is settled. The default is for protocols without acknowledgements.
    fn settled(&mut self, ticket: u64, settlement: &Settlement, io: &mut Io<'_>) {
        let _ = (ticket, settlement, io);
    }

    /// The program is stopping: the bytes that have been read are served, and then the connection is to be closed.
    fn drain(&mut self, io: &mut Io<'_>) {
        let _ = io;
    }

    /// Returns whether a parcel is refused, and its sender notified, when the queue stays full. Otherwise the connection is not read until
    /// there is room, without a time limit.
    fn refuses_when_full(&self) -> bool {
        false
    }

    /// Returns the number of parcels that are not settled yet: the connection is kept open for them.
    fn unsettled(&self) -> usize {
        0
    }

    /// Returns the number of bytes that the protocol keeps in memory, besides the rest of `receive`.
    fn memory(&self) -> usize {
        0
    }
}

/// The output of a protocol, and the properties of its connection.
pub(crate) struct Io<'a> {
    /// The source in the books.
    pub(crate) source: SourceId,
    /// The name of the peer.
    pub(crate) peer: &'a Arc<str>,
    /// The time of the read.
    pub(crate) received: SystemTime,
    /// The number of the connection, for receipts.
    pub(crate) connection: u64,
    /// Where receipts are settled.
    pub(crate) acknowledge: &'a Arc<dyn Acknowledge>,
    /// Parcels to be enqueued, in order.
    pub(crate) parcels: Vec<Parcel>,
    /// Bytes to be written to the peer.
    pub(crate) out: Vec<u8>,
    /// The connection is to be closed once everything has been written and settled.
    pub(crate) close: bool,
    /// Lines that may have been meant as octet-counted frames.
    pub(crate) doubtful: u64,
}

impl Io<'_> {
    /// Creates an empty parcel of this peer.
    pub(crate) fn parcel(&self) -> Parcel {
        Parcel::new(self.source, self.peer.clone(), self.received)
    }

    /// Creates a receipt, which [`Protocol::settled`] gets back by its ticket.
    pub(crate) fn receipt(&self, ticket: u64) -> Receipt {
        Receipt::new(self.acknowledge.clone(), self.connection, ticket)
    }
}
