//! A connection of the server: its protocol turns bytes into parcels for the queue, and settlements into replies.
//!
//! An idle connection owns no buffer. Bytes are read into the buffer of the event loop; a connection keeps only what its protocol has not
//! consumed, replies that its peer has not taken, and parcels that wait for room in the queue.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mio::net::TcpStream;
use raddle::time;

use crate::intake::WhenFull;
use crate::message::Parcel;
use crate::protocol::interface::{Ending, Io, Protocol};
use crate::server::counters::{add, subtract};
use crate::server::drain::Drain;
use crate::server::endpoint::{Endpoint, Shared};
use crate::server::limits::Class;
use crate::server::options::ServerOptions;
use crate::settlement::{Acknowledge, Settlement};

/// The most that one read takes.
pub(super) const READ_BYTES: usize = 128 << 10;

/// The most that a connection is read before the others have their turn.
const TURN_BYTES: usize = 256 << 10;

/// The most that is read while many parcels wait for room: enough for a protocol to recognise its peer and to refuse.
const SCARCE_BYTES: usize = 2 << 10;

/// A rest that is longer is not copied in front of the bytes that are read.
const SHORT_REST: usize = 64 << 10;

/// The length of the loop's buffer.
pub(super) const BUFFER_BYTES: usize = SHORT_REST + READ_BYTES;

/// A peer with more unread replies than this is not read.
const UNREAD_BYTES: usize = 64 << 10;

/// A rest of this size is not read on while the protocol waits for settlements.
const LARGE_REST: usize = 256 << 10;

/// The silence after which the protocol treats its input as complete for now. It is longer than a retransmission by TCP takes.
const QUIET: Duration = Duration::from_millis(200);

/// How long a closed connection waits for its silent peer to close, so that the peer gets the last reply, which a reset would discard.
const LINGER: Duration = Duration::from_secs(2);

/// How long it waits for a peer that keeps sending.
const LONGEST_LINGER: Duration = Duration::from_secs(10);

/// The parts of the loop that a turn of a connection uses.
pub(super) struct Work<'a> {
    pub(super) shared: &'a Shared,
    pub(super) acknowledge: &'a Arc<dyn Acknowledge>,
    pub(super) buffer: &'a mut [u8],
    /// Parcels of other connections wait for room, and must not be overtaken.
    pub(super) full: bool,
    /// So many bytes wait for room that no more is read than necessary.
    pub(super) scarce: bool,
    /// So many bytes of requests wait for room that no further one does.
    pub(super) crowded: bool,
}

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is read.
    Open,
    /// It is not read any more, but has parcels to enqueue, settlements to wait for or replies to write.
    Ending,
    /// Everything is written since then, and the peer is to close.
    Lingering { since: Instant, heard: Instant },
}

/// Whether something was logged.
#[derive(Clone, Copy, Debug)]
struct Logged(bool);

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the two directions")]
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) class: Class,
    pub(super) endpoint: Arc<Endpoint>,
    socket: TcpStream,
    peer: Arc<str>,
    protocol: Box<dyn Protocol>,
    phase: Phase,
    /// The bytes that the protocol has not consumed.
    rest: Vec<u8>,
    /// Parcels that wait for room in the queue.
    pending: VecDeque<Parcel>,
    /// Replies, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// There may be something to read.
    readable: bool,
    /// The operating system has said that the end of the stream has arrived.
    closing: bool,
    /// The protocol may consume more of the rest, since a parcel is settled.
    again: bool,
    /// The peer sends no more.
    peer_closed: bool,
    /// Nothing can be sent to the peer any more.
    broken: bool,
    /// Replies have been written, which the peer may still have to read.
    replied: bool,
    /// It has been read at all.
    begun: bool,
    /// It is in the list of connections to be read.
    pub(super) scheduled: bool,
    /// It waits for room in the queue since then.
    pub(super) waiting: Option<Instant>,
    /// It is in the list of connections with a time limit.
    pub(super) timed: bool,
    /// When the peer last took something of its replies, while some are left.
    stalled: Option<Instant>,
    /// When the peer closed its side.
    closed_at: Option<Instant>,
    /// When something last arrived, while the protocol has left some of it and has not been told of the pause.
    quiet: Option<Instant>,
    /// Bytes that are counted in the total.
    held: usize,
    pub(super) drain: Option<Drain>,
    /// The stop was announced to the protocol.
    announced: bool,
    /// Doubtful lines have come, and whether that was logged.
    doubt: Option<Logged>,
}

impl Connection {
    pub(super) fn new(
        id: u64,
        socket: TcpStream,
        peer: Arc<str>,
        class: Class,
        endpoint: Arc<Endpoint>,
        protocol: Box<dyn Protocol>,
    ) -> Self {
        Self {
            id,
            class,
            endpoint,
            socket,
            peer,
            protocol,
            phase: Phase::Open,
            rest: Vec::new(),
            pending: VecDeque::new(),
            out: Vec::new(),
            written: 0,
            readable: true,
            closing: false,
            again: false,
            peer_closed: false,
            broken: false,
            replied: false,
            begun: false,
            scheduled: false,
            waiting: None,
            timed: false,
            stalled: None,
            closed_at: None,
            quiet: None,
            held: 0,
            drain: None,
            announced: false,
            doubt: None,
        }
    }

    /// Records an event of the operating system for the socket.
    pub(super) fn ready(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.closing |= event.is_read_closed() || event.is_error();
    }

    /// Returns whether a turn would do something.
    pub(super) fn wants_turn(&self) -> bool {
        match self.phase {
            Phase::Open => self.pending.is_empty() && (self.again || (self.readable && self.may_read())),
            Phase::Ending => false,
            Phase::Lingering { .. } => self.readable,
        }
    }

    /// Returns whether more may be read, as far as this connection is concerned.
    fn may_read(&self) -> bool {
        self.pending.is_empty()
            && !self.peer_closed
            && self.drain.as_ref().is_none_or(Drain::may_read)
            && self.unwritten() < UNREAD_BYTES
            && (self.rest.len() < LARGE_REST || self.protocol.unsettled() == 0)
    }

    /// Returns whether the connection must not be read, since too many parcels wait for room.
    pub(super) fn must_wait(&self, scarce: bool) -> bool {
        scarce && self.phase == Phase::Open && self.begun && !self.protocol.refuses_when_full()
    }

    /// Returns whether parcels wait for room in the queue.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns whether the connection is for requests about the program itself.
    pub(super) fn is_admin(&self) -> bool {
        self.class == Class::Admin
    }

    /// Returns whether the connection is still read.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Returns the number of bytes that wait for room.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.iter().map(Parcel::bytes).sum()
    }

    fn unwritten(&self) -> usize {
        self.out.len() - self.written
    }

    /// Reads and serves the bytes that have arrived, up to a limit that is fair to other connections.
    pub(super) fn turn(&mut self, work: &mut Work<'_>) {
        if let Phase::Lingering { heard, .. } = &mut self.phase {
            *heard = time::now();
            return self.discard(work);
        }
        if std::mem::take(&mut self.again) {
            self.receive_again(work);
        }
        let mut budget = TURN_BYTES;
        while budget > 0 && self.phase == Phase::Open && self.readable && self.may_read() {
            if self.must_wait(work.scarce) {
                break;
            }
            let limit = if work.scarce { SCARCE_BYTES } else { READ_BYTES.min(budget) };
            budget = budget.saturating_sub(self.read(work, limit).max(1));
            self.admit(work);
            self.announce_stop(work);
        }
        self.write(work);
    }

    /// Reads once. Returns the number of bytes.
    fn read(&mut self, work: &mut Work<'_>, limit: usize) -> usize {
        let front = if self.rest.len() <= SHORT_REST { self.rest.len() } else { 0 };
        work.buffer[..front].copy_from_slice(&self.rest[..front]);
        let count = match self.socket.read(&mut work.buffer[front..front + limit]) {
            Ok(0) => {
                (self.readable, self.peer_closed) = (false, true);
                self.closed_at = Some(time::now());
                self.end_if_settled(work);
                return 0;
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                if let Some(drain) = &mut self.drain {
                    drain.is_empty(time::now());
                }
                return 0;
            }
            Err(error) => {
                log::info!("{}: connection lost: {error}", self.peer);
                self.break_off(work);
                return 0;
            }
        };
        self.begun = true;
        add(&self.endpoint.counters.bytes, count as u64);
        match &mut self.drain {
            Some(drain) => drain.read(count),
            // The socket is empty. It becomes readable again when more arrives, the end included.
            None if count < limit && !self.closing => self.readable = false,
            None => {}
        }
        if front == self.rest.len() {
            let input = &work.buffer[..front + count];
            let used = self.call(work.acknowledge, |protocol, io| protocol.receive(input, io));
            let left = &input[used.unwrap_or(input.len()).min(input.len())..];
            self.rest.clear();
            if self.rest.capacity() > 2 * left.len() {
                self.rest = Vec::new();
            }
            self.rest.extend_from_slice(left);
        } else {
            self.rest.extend_from_slice(&work.buffer[..count]);
            self.receive_rest(work, false);
        }
        self.quiet = (!self.rest.is_empty()).then(time::now);
        count
    }

    /// Notifies the protocol that no more bytes are available for the moment.
    pub(super) fn pause(&mut self, work: &mut Work<'_>) {
        self.quiet = None;
        if self.phase == Phase::Open && !self.rest.is_empty() {
            self.receive_rest(work, true);
            self.admit(work);
            self.write(work);
        }
    }

    /// Passes the rest to the protocol. Returns whether something of it was consumed.
    fn receive_rest(&mut self, work: &Work<'_>, pause: bool) -> bool {
        let mut rest = std::mem::take(&mut self.rest);
        let used = self.call(work.acknowledge, |protocol, io| {
            if pause { protocol.pause(&rest, io) } else { protocol.receive(&rest, io) }
        });
        let used = used.unwrap_or(rest.len()).min(rest.len());
        rest.drain(..used);
        if !rest.is_empty() {
            self.rest = rest;
        }
        used > 0
    }

    /// Passes the rest to the protocol again, which may have waited for a settlement.
    fn receive_again(&mut self, work: &mut Work<'_>) {
        while self.phase == Phase::Open && !self.rest.is_empty() && self.receive_rest(work, false) {
            self.admit(work);
        }
        self.end_if_settled(work);
    }

    /// Ends the stream, if the peer has closed it. A protocol that waits for a settlement may have left requests in the rest.
    fn end_if_settled(&mut self, work: &mut Work<'_>) {
        let waits = !self.rest.is_empty() && self.protocol.unsettled() > 0;
        if self.peer_closed && self.phase == Phase::Open && !waits {
            self.end(Ending::Closed, work);
        }
    }

    /// Ends the stream: nothing more is read.
    pub(super) fn end(&mut self, ending: Ending, work: &mut Work<'_>) {
        if self.phase != Phase::Open {
            return;
        }
        let rest = std::mem::take(&mut self.rest);
        self.phase = Phase::Ending;
        self.call(work.acknowledge, |protocol, io| protocol.end(&rest, ending, io));
        self.admit(work);
        self.write(work);
    }

    /// Ends the connection, since nothing can be sent to the peer any more. The bytes that were read are kept.
    fn break_off(&mut self, work: &mut Work<'_>) {
        (self.broken, self.readable) = (true, false);
        self.end(Ending::Cut, work);
        (self.out, self.written, self.stalled) = (Vec::new(), 0, None);
    }

    /// Closes the connection for a reason that is logged, though not for each of many. The bytes that were read are
    /// kept.
    pub(super) fn expel(&mut self, why: &str, work: &mut Work<'_>) {
        self.complain(why, work.shared);
        self.break_off(work);
    }

    /// Logs why the connection is closed, unless another such line was logged just before.
    fn complain(&self, why: &str, shared: &Shared) {
        if let Some(more) = shared.expulsions.lock().due(time::now()) {
            log::warn!("{}: closed: {why}{more}", self.peer);
        }
    }

    /// Logs once that doubtful lines have come, unless another such line was logged just before.
    fn log_doubt(&mut self, shared: &Shared) {
        if let Some(Logged(logged @ false)) = &mut self.doubt {
            *logged = true;
            if let Some(more) = shared.doubts.lock().due(time::now()) {
                log::warn!(
                    "{}: a line begins like an octet-counted frame, or is followed by one without a newline: it is stored as a line; check \
                     the framing of the sender{more}",
                    self.peer
                );
            }
        }
    }

    /// Calls the protocol, and keeps its output.
    fn call<R>(
        &mut self,
        acknowledge: &Arc<dyn Acknowledge>,
        function: impl FnOnce(&mut dyn Protocol, &mut Io<'_>) -> R,
    ) -> Option<R> {
        let mut io = Io {
            source: self.endpoint.source,
            peer: &self.peer,
            received: SystemTime::now(),
            connection: self.id,
            acknowledge,
            parcels: Vec::new(),
            out: Vec::new(),
            close: false,
            doubtful: 0,
        };
        let protocol = &mut *self.protocol;
        // An error in a protocol costs its connection, not the server.
        let outcome = catch_unwind(AssertUnwindSafe(|| function(protocol, &mut io)));
        let Io { parcels, out, close, doubtful, .. } = io;
        self.pending.extend(parcels);
        if self.out.is_empty() {
            self.out = out;
        } else {
            self.out.extend_from_slice(&out);
        }
        if close && self.phase == Phase::Open {
            self.phase = Phase::Ending;
        }
        if doubtful > 0 {
            add(&self.endpoint.counters.doubtful, doubtful);
            self.doubt.get_or_insert(Logged(false));
        }
        if outcome.is_err() {
            log::error!("{}: closed: its protocol panicked, which is an error of this program", self.peer);
            self.phase = Phase::Ending;
            (self.broken, self.readable) = (true, false);
        }
        outcome.ok()
    }

    /// Enqueues parcels, until one must wait for room.
    pub(super) fn admit(&mut self, work: &Work<'_>) {
        self.log_doubt(work.shared);
        while let Some(parcel) = self.pending.pop_front() {
            if parcel.is_empty() {
                if let Some(receipt) = parcel.receipt() {
                    receipt.settle(Settlement::default());
                }
                continue;
            }
            let intake = &work.shared.intake;
            let parcel = if work.full {
                parcel
            } else {
                match intake.try_put(parcel) {
                    Ok(()) => continue,
                    Err(error) if error.is_closed() => {
                        self.complain("the writer has terminated", work.shared);
                        (self.phase, self.broken, self.readable) = (Phase::Ending, true, false);
                        self.pending.clear();
                        return;
                    }
                    Err(error) => error.into_inner(),
                }
            };
            // A connection that waits already keeps its place.
            let crowded = work.crowded && self.waiting.is_none() && self.protocol.refuses_when_full();
            if crowded || intake.when_full() == WhenFull::Shed {
                intake.shed(&parcel);
            } else {
                self.pending.push_front(parcel);
                return;
            }
        }
    }

    /// Returns whether requests wait for room, which are refused if there is none in time.
    pub(super) fn has_waiting_requests(&self) -> bool {
        !self.pending.is_empty() && self.protocol.refuses_when_full()
    }

    /// Refuses the requests that wait for room.
    pub(super) fn refuse(&mut self, work: &Work<'_>) {
        for parcel in std::mem::take(&mut self.pending) {
            work.shared.intake.shed(&parcel);
        }
    }

    /// Enqueues parcels beyond the capacity of the queue: the server stops, and they have been read.
    pub(super) fn force(&mut self, work: &Work<'_>) {
        for parcel in std::mem::take(&mut self.pending) {
            if !parcel.is_empty()
                && let Err(refused) = work.shared.intake.put_beyond(parcel)
            {
                log::warn!("{}: {refused}", self.peer);
            }
        }
    }

    /// Passes a settlement to the protocol.
    pub(super) fn settled(&mut self, ticket: u64, settlement: &Settlement, work: &mut Work<'_>) {
        self.call(work.acknowledge, |protocol, io| protocol.settled(ticket, settlement, io));
        self.again |= self.phase == Phase::Open && (!self.rest.is_empty() || self.peer_closed);
        self.admit(work);
    }

    /// Begins to drain the connection.
    pub(super) fn begin_drain(&mut self, work: &mut Work<'_>) {
        if self.phase != Phase::Open {
            return;
        }
        self.drain = Some(Drain::begin(&self.socket));
        self.readable = true;
        self.announce_stop(work);
    }

    /// Announces the stop to the protocol, once it has got the bytes that the operating system had buffered at the
    /// stop.
    fn announce_stop(&mut self, work: &mut Work<'_>) {
        let is_due = self.drain.as_ref().is_some_and(|drain| !drain.is_owed());
        if self.phase == Phase::Open && is_due && !std::mem::replace(&mut self.announced, true) {
            self.call(work.acknowledge, |protocol, io| protocol.drain(io));
            self.admit(work);
            self.write(work);
        }
    }

    /// Writes replies, until the peer's buffer is full.
    pub(super) fn write(&mut self, work: &mut Work<'_>) {
        while self.unwritten() > 0 && !self.broken {
            match self.socket.write(&self.out[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.replied = true;
                    self.stalled = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled.get_or_insert_with(time::now);
                    return;
                }
                Err(error) => {
                    log::info!("{}: connection lost: {error}", self.peer);
                    return self.break_off(work);
                }
            }
        }
        (self.out, self.written, self.stalled) = (Vec::new(), 0, None);
    }

    /// Reads and discards the bytes that the peer sends until it closes.
    fn discard(&mut self, work: &mut Work<'_>) {
        for _ in 0..TURN_BYTES / READ_BYTES {
            match self.socket.read(&mut work.buffer[..READ_BYTES]) {
                Ok(0) => (self.readable, self.peer_closed) = (false, true),
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(_) => (self.readable, self.broken) = (false, true),
            }
            return;
        }
    }

    /// Returns whether the connection is to be closed now. A connection with replies begins to linger first.
    pub(super) fn is_over(&mut self) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Ending => {
                let waits = !self.pending.is_empty()
                    || (!self.broken && (self.unwritten() > 0 || self.protocol.unsettled() > 0));
                if waits {
                    return false;
                }
                if self.broken
                    || self.peer_closed
                    || !self.replied
                    || self.socket.shutdown(Shutdown::Write).is_err()
                {
                    return true;
                }
                let now = time::now();
                self.phase = Phase::Lingering { since: now, heard: now };
                self.readable = true;
                false
            }
            Phase::Lingering { .. } => self.broken || self.peer_closed,
        }
    }

    /// Returns whether the connection has a time limit, which [`expired`](Self::expired) checks.
    pub(super) fn has_limit(&self) -> bool {
        self.stalled.is_some()
            || self.closed_at.is_some()
            || self.quiet.is_some()
            || self.has_waiting_requests()
            || matches!(self.phase, Phase::Lingering { .. })
    }

    /// Returns the reason of the connection's time limit, if that has passed.
    pub(super) fn expired(&self, now: Instant, options: &ServerOptions) -> Option<Expired> {
        let is_past = |since: Option<Instant>, time| since.is_some_and(|since| now - since >= time);
        match self.phase {
            Phase::Lingering { since, heard } => (!self.readable && is_past(Some(heard), LINGER)
                || is_past(Some(since), LONGEST_LINGER))
            .then_some(Expired::Lingered),
            _ if self.has_waiting_requests() && is_past(self.waiting, options.room_timeout) => {
                Some(Expired::Full)
            }
            _ if is_past(self.stalled, options.reply_timeout) => Some(Expired::Unread),
            _ if is_past(self.closed_at, options.reply_timeout) => Some(Expired::Gone),
            _ if !self.readable && is_past(self.quiet, QUIET) => Some(Expired::Quiet),
            _ => None,
        }
    }

    /// Updates the total of bytes held. Returns by how much it has grown, and the present number.
    pub(super) fn account(&mut self, shared: &Shared) -> (bool, usize) {
        let held = self.rest.capacity() + self.out.capacity() + self.pending_bytes() + self.protocol.memory();
        let before = std::mem::replace(&mut self.held, held);
        let total = shared.counters.buffered();
        match held.checked_sub(before) {
            Some(0) => (false, held),
            Some(more) => {
                add(total, more as u64);
                (true, held)
            }
            None => {
                subtract(total, (before - held) as u64);
                (false, held)
            }
        }
    }

    /// Counts the connection out, before it is closed.
    pub(super) fn leave(&mut self, shared: &Shared) {
        subtract(shared.counters.buffered(), std::mem::take(&mut self.held) as u64);
        subtract(&self.endpoint.counters.open, 1);
        shared.places.leave(self.class);
    }

    /// Continues the drain: ends the connection if its peer is silent, or the grace period is over. Returns whether it is cut off while
    /// its peer is still sending.
    pub(super) fn drain_on(&mut self, now: Instant, over: bool, stalled: bool, work: &mut Work<'_>) -> bool {
        let Some(drain) = self.drain.as_mut().filter(|_| self.phase == Phase::Open) else { return false };
        let over = stalled || (over && !drain.is_owed());
        if over {
            // Also while parcels wait for room, which they always do under backpressure.
            drain.stop_reading();
        }
        if self.waiting.is_some() || !self.pending.is_empty() {
            return false;
        }
        if !over && (self.readable || !drain.is_silent(now)) {
            return false;
        }
        match self.look() {
            Look::Bytes if over => {
                self.end(Ending::Cut, work);
                return true;
            }
            // The peer may be about to continue, which counts as sending.
            Look::Silent if over && !self.is_silent(now) => {}
            Look::Silent => self.end(Ending::Cut, work),
            Look::Closed => {
                self.peer_closed = true;
                self.end(Ending::Closed, work);
            }
            Look::Lost => self.break_off(work),
            Look::Bytes => self.readable = true,
        }
        false
    }

    /// Returns whether the peer has been silent for long enough, given that the socket is empty now.
    fn is_silent(&mut self, now: Instant) -> bool {
        self.drain.as_mut().is_none_or(|drain| {
            drain.is_empty(now);
            drain.is_silent(now)
        })
    }

    /// Records that the connection was not read since then.
    pub(super) fn held_back(&mut self, since: Instant) {
        if let Some(drain) = &mut self.drain {
            drain.held_back(time::now() - since);
        }
    }

    /// Returns whether the connection began with a token that is not valid any more.
    pub(super) fn is_outdated(&self, endpoint: &Endpoint) -> bool {
        self.endpoint.is_at(endpoint) && self.endpoint.options.token != endpoint.options.token
    }

    /// Closes the connection once the bytes that have been read are served.
    pub(super) fn retire(&mut self, work: &mut Work<'_>) {
        self.call(work.acknowledge, |protocol, io| protocol.drain(io));
        self.admit(work);
        self.write(work);
    }

    /// Closes the connection at once. The bytes that were read are kept.
    pub(super) fn give_up(&mut self, work: &mut Work<'_>) {
        self.break_off(work);
    }

    /// Returns whether replies are due that are not written.
    pub(super) fn owes_replies(&self) -> bool {
        !self.broken && (self.unwritten() > 0 || self.protocol.unsettled() > 0)
    }

    /// Returns whether there is something to read, or the end of the stream; otherwise the peer is silent.
    fn look(&mut self) -> Look {
        loop {
            match self.socket.peek(&mut [0]) {
                Ok(0) => return Look::Closed,
                Ok(_) => return Look::Bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Look::Silent,
                Err(_) => return Look::Lost,
            }
        }
    }
}

/// The state of a socket that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Bytes,
    Closed,
    Silent,
    Lost,
}

/// The time limit that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// There was no room for its requests.
    Full,
    /// The peer has not read its replies.
    Unread,
    /// The peer has closed its side, and most likely does not wait for replies any more.
    Gone,
    /// The peer has had the time to read the last reply.
    Lingered,
    /// The peer has had the time to continue.
    Quiet,
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::SocketAddr;
    use std::sync::OnceLock;

    use crate::books::Books;
    use crate::intake::{Intake, Limits};
    use crate::protocol::http::Budget;
    use crate::server::counters::Counters;
    use crate::server::limits::Places;
    use crate::server::listener::{ListenerKind, ListenerOptions};

    use super::*;

    pub(in crate::server) struct Nobody;

    impl Acknowledge for Nobody {
        fn settle(&self, _connection: u64, _ticket: u64, _settlement: Settlement) {}
        fn flush(&self) {}
    }

    /// Panics when it reads an exclamation mark; every other byte is a message.
    struct Nervous;

    impl Protocol for Nervous {
        fn receive(&mut self, input: &[u8], io: &mut Io<'_>) -> usize {
            for byte in input {
                assert_ne!(*byte, b'!', "the test wants it so");
                let mut parcel = io.parcel();
                parcel.push_text(&char::from(*byte).to_string());
                io.parcels.push(parcel);
            }
            input.len()
        }

        fn end(&mut self, _rest: &[u8], _ending: Ending, _io: &mut Io<'_>) {}
    }

    pub(in crate::server) fn parts() -> (Shared, Arc<Endpoint>) {
        let books = Books::new();
        let source = books.open("test");
        let shared = Shared {
            intake: Intake::new(Limits::default(), WhenFull::Block, books),
            counters: Counters::new(),
            places: Places::default(),
            expulsions: raddle::Mutex::default(),
            doubts: raddle::Mutex::default(),
            bodies: Budget::new(1000),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let name: Arc<str> = "test".into();
        let endpoint = Endpoint {
            counters: shared.counters.source(&name),
            name,
            kind: ListenerKind::Tcp,
            source,
            options: ListenerOptions::default(),
            requested: None,
            actual: address,
            recognition: OnceLock::new(),
        };
        (shared, Arc::new(endpoint))
    }

    #[test]
    fn panic_of_a_protocol_closes_its_connection_and_keeps_earlier_messages() {
        let (shared, endpoint) = parts();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, address) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let name = address.to_string().into();
        let socket = TcpStream::from_std(socket);
        let mut connection = Connection::new(1, socket, name, Class::Admin, endpoint, Box::new(Nervous));
        let acknowledge: Arc<dyn Acknowledge> = Arc::new(Nobody);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut work = Work {
            shared: &shared,
            acknowledge: &acknowledge,
            buffer: &mut buffer,
            full: false,
            scarce: false,
            crowded: false,
        };
        peer.write_all(b"ab").unwrap();
        while shared.intake.books().total().received < 2 {
            connection.readable = true;
            connection.turn(&mut work);
        }
        assert!(!connection.is_over());
        peer.write_all(b"c!d").unwrap();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        while connection.is_open() {
            connection.readable = true;
            connection.turn(&mut work);
        }
        std::panic::set_hook(hook);
        assert!(connection.is_over(), "it is closed");
        assert_eq!(shared.intake.books().total().received, 3, "and nothing that it had read is lost");
    }

    /// Each byte is a request.
    struct Requests;

    impl Protocol for Requests {
        fn receive(&mut self, input: &[u8], io: &mut Io<'_>) -> usize {
            for byte in input {
                let mut parcel = io.parcel();
                parcel.push_text(&char::from(*byte).to_string());
                parcel.set_receipt(io.receipt(0));
                io.parcels.push(parcel);
            }
            input.len()
        }

        fn end(&mut self, _rest: &[u8], _ending: Ending, _io: &mut Io<'_>) {}

        fn refuses_when_full(&self) -> bool {
            true
        }
    }

    #[test]
    fn request_is_refused_at_once_while_many_others_wait_for_room() {
        let (shared, endpoint) = parts();
        shared.intake.set_limits(Limits { messages: 1, bytes: 1 }, WhenFull::Block);
        let mut full = Parcel::new(endpoint.source, "peer".into(), SystemTime::UNIX_EPOCH);
        full.push_text("x");
        shared.intake.try_put(full).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let acknowledge: Arc<dyn Acknowledge> = Arc::new(Nobody);
        for (crowded, shed) in [(false, 0), (true, 3)] {
            let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (socket, address) = listener.accept().unwrap();
            socket.set_nonblocking(true).unwrap();
            let (name, socket) = (address.to_string().into(), TcpStream::from_std(socket));
            let mut connection =
                Connection::new(1, socket, name, Class::Admin, endpoint.clone(), Box::new(Requests));
            let mut buffer = vec![0; BUFFER_BYTES];
            let mut work = Work {
                shared: &shared,
                acknowledge: &acknowledge,
                buffer: &mut buffer,
                full: true,
                scarce: false,
                crowded,
            };
            peer.write_all(b"abc").unwrap();
            while !connection.has_pending() && shared.intake.books().total().shed < 3 {
                connection.readable = true;
                connection.turn(&mut work);
            }
            assert_eq!(shared.intake.books().total().shed, shed);
            assert_eq!(connection.has_waiting_requests(), !crowded);
            if !crowded {
                // Those that wait keep their place, although others are refused.
                connection.waiting = Some(time::now());
                work.crowded = true;
                connection.admit(&work);
                assert!(connection.has_waiting_requests());
                assert_eq!(shared.intake.books().total().shed, 0);
            }
        }
    }
}
