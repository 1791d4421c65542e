//! A connection of a sender: sends its share of the messages, and sends unacknowledged ones again.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raddle::{thread, time};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::SockRef;

use super::messages::SendOptions;
use super::outcome::{SendError, SendProgress, SendReport, Stage};
use super::pace::{Allowance, Pace};
use super::wire::{Answer, Wire};

/// Approximate number of bytes per write.
const CHUNK: usize = 64 << 10;

/// The pause before the first attempt to connect again, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Requests into which a window is divided, so that the receiver always has the next.
const REQUESTS: u64 = 4;

/// The smallest window after refusals.
const SMALLEST_WINDOW: u64 = 16;

/// How often a window that was reduced is enlarged.
const ENLARGE: Duration = Duration::from_secs(1);

/// One connection of a sender. It is established again when it is lost, if the messages are acknowledged.
pub(crate) struct Connection {
    pub(crate) options: Arc<SendOptions>,
    pub(crate) number: u64,
    pub(crate) addresses: Arc<[SocketAddr]>,
    pub(crate) progress: Arc<SendProgress>,
    pub(crate) wire: Box<dyn Wire>,
    pace: Pace,
    /// The next message that was never sent.
    next: u64,
    /// Messages to be sent again, in order.
    again: VecDeque<Messages>,
    /// Messages that were refused while others before or behind them are unanswered.
    refused: Vec<Messages>,
    /// Messages that were sent and are not answered, in the order of sending.
    unanswered: VecDeque<Unanswered>,
    /// Nothing is sent before this time, since messages were refused.
    hold: Option<Instant>,
    /// The window: halved when the receiver is full, and enlarged step by step afterwards.
    window: u64,
    /// When the window was last changed.
    changed: Instant,
    /// The last failure, and since when there have been failures without an acknowledgement.
    failing: Option<(Instant, String)>,
    report: SendReport,
}

/// Messages with consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Messages {
    first: u64,
    count: u64,
}

struct Unanswered {
    id: u64,
    messages: Messages,
    sent: Instant,
}

/// Why a connection ended before everything was sent.
enum Broken {
    /// It was lost.
    Lost(io::Error),
    /// It cannot succeed.
    Failed(String),
}

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Messages are sent and acknowledged.
    Messages,
    /// The last words are written, and the receiver's end is waited for.
    End,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl Connection {
    pub(crate) fn new(
        options: Arc<SendOptions>,
        number: u64,
        addresses: Arc<[SocketAddr]>,
        progress: Arc<SendProgress>,
        wire: Box<dyn Wire>,
    ) -> Self {
        let pace = Pace::new(&options, number, time::now());
        let window = options.window.max(1) as u64;
        Self {
            window,
            changed: time::now(),
            options,
            number,
            addresses,
            progress,
            wire,
            pace,
            next: 1,
            again: VecDeque::new(),
            refused: Vec::new(),
            unanswered: VecDeque::new(),
            hold: None,
            failing: None,
            report: SendReport::default(),
        }
    }

    /// Sends all messages, and returns once they are acknowledged, or read.
    pub(crate) fn run(mut self) -> Result<SendReport, SendError> {
        let begin = time::now();
        let mut pause = FIRST_PAUSE;
        let mut connected = false;
        loop {
            let acknowledged = self.report.acknowledged;
            let error = match connect(&self.addresses, self.options.timeout) {
                Ok(mut socket) => {
                    self.report.reconnections += u64::from(std::mem::replace(&mut connected, true));
                    match self.exchange(&mut socket) {
                        Ok(()) => break,
                        Err(Broken::Failed(reason)) => return Err(self.error(io::Error::other(reason))),
                        Err(Broken::Lost(error)) if self.options.protocol.is_acknowledged() => error,
                        Err(Broken::Lost(error)) => return Err(self.error(error)),
                    }
                }
                Err(error) if connected => error,
                Err(error) if !self.options.protocol.is_acknowledged() => {
                    return Err(SendError::new(Stage::Connecting { connection: self.number }, error));
                }
                Err(error) => error,
            };
            self.requeue();
            if self.report.acknowledged > acknowledged {
                pause = FIRST_PAUSE;
            }
            if let Err(reason) = self.failed(&error.to_string(), time::now()) {
                let error = io::Error::new(error.kind(), reason);
                return Err(if connected {
                    self.error(error)
                } else {
                    SendError::new(Stage::Connecting { connection: self.number }, error)
                });
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.report.time = time::now() - begin;
        Ok(self.report)
    }

    fn error(&self, error: io::Error) -> SendError {
        let (connection, all) = (self.number, self.options.share(self.number));
        SendError::new(
            if self.options.protocol.is_acknowledged() {
                Stage::Acknowledging { connection, done: self.report.acknowledged, all }
            } else {
                Stage::Sending { connection, done: self.report.sent, all }
            },
            error,
        )
    }

    /// Records a failure. Returns the reason why there is no other attempt, if the time is over.
    fn failed(&mut self, reason: &str, now: Instant) -> Result<(), String> {
        let (since, _) = *self.failing.get_or_insert_with(|| (now, String::new()));
        self.failing = Some((since, reason.to_owned()));
        if now - since < self.options.retry_for {
            return Ok(());
        }
        Err(format!("{reason}, for {:?} without an acknowledgement", self.options.retry_for))
    }

    /// Takes back the unanswered messages of a connection that was lost.
    fn requeue(&mut self) {
        let unanswered = self.unanswered.drain(..).map(|it| it.messages);
        let mut again: Vec<_> =
            unanswered.chain(self.refused.drain(..)).chain(self.again.drain(..)).collect();
        again.sort_by_key(|messages| messages.first);
        self.again = again.into();
        self.hold = None;
    }

    /// Sends over a connection until everything is sent and acknowledged.
    fn exchange(&mut self, socket: &mut TcpStream) -> Result<(), Broken> {
        if self.options.share(self.number) == 0 {
            return Ok(()); // connected, and there is nothing to be read or acknowledged
        }
        socket.set_nonblocking(true)?;
        let mut out = Out::default();
        self.wire.begin(&mut out.bytes);
        let mut input = Vec::new();
        let mut phase = Phase::Messages;
        // The time of the last byte that the receiver read or wrote, as long as something is expected of it.
        let mut heard = time::now();
        loop {
            let now = time::now();
            let mut wake = None;
            if phase == Phase::Messages && out.is_empty() && self.wire.is_ready() {
                wake = self.fill(&mut out, now);
                if out.is_empty() && wake.is_none() && self.is_complete() {
                    phase = Phase::End;
                    let waits = self.wire.end(&mut out.bytes);
                    if !self.options.protocol.is_acknowledged() {
                        socket.shutdown(Shutdown::Write)?;
                    } else if !waits {
                        return Ok(());
                    }
                }
            }
            let is_idle = phase == Phase::Messages
                && out.is_empty()
                && self.unanswered.is_empty()
                && self.wire.is_ready();
            if is_idle {
                heard = now;
            } else if now - heard >= self.options.timeout {
                return Err(Broken::Failed(self.silence(phase, &out)));
            }
            let until = wake.unwrap_or(heard + self.options.timeout).min(heard + self.options.timeout);
            let ready = wait(socket, !out.is_empty(), until - now)?;
            if ready.contains(PollFlags::OUT) && out.write(socket)? {
                heard = time::now();
                if out.is_empty() {
                    self.report.sent += out.messages;
                    self.progress.add_sent(std::mem::take(&mut out.messages));
                }
            }
            if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                match read(socket, &mut input)? {
                    Some(0) if phase == Phase::End => return Ok(()),
                    Some(0) => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
                    Some(_) => {
                        heard = time::now();
                        if self.answers(&mut input, phase, heard)? {
                            return Ok(());
                        }
                    }
                    None => {}
                }
            }
        }
    }

    /// Returns whether there is nothing to be sent, and everything is acknowledged.
    fn is_complete(&self) -> bool {
        self.next > self.options.share(self.number)
            && self.again.is_empty()
            && self.refused.is_empty()
            && self.unanswered.is_empty()
    }

    /// Returns a description of the receiver's silence.
    fn silence(&self, phase: Phase, out: &Out) -> String {
        let what = if !out.is_empty() {
            "the receiver has not read anything"
        } else if !self.wire.is_ready() {
            "the receiver has not answered"
        } else if phase == Phase::End && !self.options.protocol.is_acknowledged() {
            "the receiver has not read everything"
        } else {
            "the receiver has not acknowledged anything"
        };
        format!("{what} for {:?}", self.options.timeout)
    }

    /// Writes as many messages as may be sent now. Returns a time before which no more may be sent.
    fn fill(&mut self, out: &mut Out, now: Instant) -> Option<Instant> {
        if let Some(hold) = self.hold {
            if now < hold {
                return Some(hold);
            }
            self.hold = None;
        }
        if self.wire.is_in_order() && !self.refused.is_empty() {
            return None; // until everything is answered
        }
        let is_acknowledged = self.options.protocol.is_acknowledged();
        let window = if is_acknowledged { self.window } else { u64::MAX };
        let batch = self.wire.batch().min(window.div_ceil(REQUESTS));
        let mut waiting: u64 = self.unanswered.iter().map(|it| it.messages.count).sum();
        while out.bytes.len() < CHUNK && waiting < window {
            let room = (window - waiting).min(batch);
            let is_new = self.again.is_empty();
            let messages = if let Some(front) = self.again.front_mut() {
                let count = front.count.min(room);
                let messages = Messages { first: front.first, count };
                (front.first, front.count) = (front.first + count, front.count - count);
                if front.count == 0 {
                    self.again.pop_front();
                }
                messages
            } else {
                let left = self.options.share(self.number) + 1 - self.next;
                if left == 0 {
                    return None;
                }
                match self.pace.allowance(now) {
                    // A small request is sent only if the pace does not allow a larger one.
                    Allowance::Messages(allowed) if room < allowed.min(left).min(batch) => {
                        return None;
                    }
                    Allowance::Messages(allowed) => {
                        let messages = Messages { first: self.next, count: allowed.min(left).min(room) };
                        self.pace.sent(messages.count);
                        self.next += messages.count;
                        messages
                    }
                    Allowance::Until(time) => return Some(time),
                }
            };
            let id = self.wire.add(messages.first, messages.count, &mut out.bytes);
            if is_new {
                out.messages += messages.count;
            } else {
                self.report.resent += messages.count;
                self.progress.add_resent(messages.count);
            }
            if is_acknowledged {
                waiting += messages.count;
                self.unanswered.push_back(Unanswered { id, messages, sent: now });
            }
        }
        None
    }

    /// Reads answers. Returns whether the connection has ended as it should.
    fn answers(&mut self, input: &mut Vec<u8>, phase: Phase, now: Instant) -> Result<bool, Broken> {
        let mut answers = Vec::new();
        let count = self.wire.receive(input, &mut answers).map_err(Broken::Failed)?;
        input.drain(..count);
        for answer in answers {
            match answer {
                Answer::Stored { id, duplicates, rejected } => {
                    // Some receivers answer twice, or to messages that were never sent.
                    let Some(it) = self.answered(id) else { continue };
                    self.report.latency.add(now - it.sent, it.messages.count);
                    self.report.duplicates += duplicates;
                    self.report.rejected += rejected;
                    self.report.acknowledged += it.messages.count;
                    self.progress.add_acknowledged(it.messages.count);
                    self.failing = None;
                    let full = self.options.window.max(1) as u64;
                    if self.window < full && now - self.changed >= ENLARGE {
                        self.window = full.min(self.window + self.window.div_ceil(REQUESTS));
                        self.changed = now;
                    }
                }
                Answer::Refused { id, after, reason } => {
                    let Some(it) = self.answered(id) else { continue };
                    if self.hold.is_none() {
                        self.window = self.window.min((self.window / 2).max(SMALLEST_WINDOW));
                        self.changed = now;
                    }
                    self.refused.push(it.messages);
                    self.hold = Some(now + after);
                    self.failed(&reason, now).map_err(Broken::Failed)?;
                }
                Answer::OutOfSequence { id, reason } => {
                    let Some(it) = self.answered(id) else { continue };
                    if self.refused.is_empty() {
                        // Everything before was acknowledged: the receiver has forgotten it, or another sender has the same name.
                        return Err(Broken::Failed(reason));
                    }
                    self.refused.push(it.messages);
                }
                Answer::Closing if phase == Phase::End => return Ok(true),
                Answer::Closing => return Err(io::Error::other("the receiver closes the connection").into()),
            }
        }
        if self.unanswered.is_empty() || !self.wire.is_in_order() {
            let mut refused = std::mem::take(&mut self.refused);
            refused.sort_by_key(|messages| messages.first);
            for messages in refused.into_iter().rev() {
                self.again.push_front(messages);
            }
        }
        Ok(false)
    }

    /// Removes an answered request, which is almost always the first.
    fn answered(&mut self, id: u64) -> Option<Unanswered> {
        let index = self.unanswered.iter().position(|it| it.id == id)?;
        self.unanswered.remove(index)
    }
}

/// Bytes to be written.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    written: usize,
    /// The messages in the bytes that were never sent before.
    messages: u64,
}

impl Out {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes as much as the operating system takes. Returns whether it took any.
    fn write(&mut self, socket: &mut TcpStream) -> io::Result<bool> {
        let before = self.written;
        while self.written < self.bytes.len() {
            match socket.write(&self.bytes[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let any = self.written > before;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
        Ok(any)
    }
}

/// Appends the bytes that have arrived. Returns the number of bytes, 0 at the end of the stream, `None` if nothing
/// has arrived.
fn read(socket: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut buffer = [0; 8 << 10];
    match socket.read(&mut buffer) {
        Ok(count) => {
            input.extend_from_slice(&buffer[..count]);
            Ok(Some(count))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Blocks until the socket is readable, or writable if `writes`, or until the timeout.
fn wait(socket: &TcpStream, writes: bool, timeout: Duration) -> io::Result<PollFlags> {
    let flags = if writes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let mut sockets = [PollFd::new(socket, flags)];
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) => Ok(sockets[0].revents()),
        Err(Errno::INTR) => Ok(PollFlags::empty()),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a connection to itself. On one machine, the operating system establishes one now and then while no program listens at the port: it has
/// chosen that very port for the outgoing connection, which the receiver could then not open when it starts again.
fn refuse_itself(socket: TcpStream) -> io::Result<TcpStream> {
    if socket.local_addr()? != socket.peer_addr()? {
        return Ok(socket);
    }
    // Closed by a reset, it leaves nothing at the port.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    Err(Errno::CONNREFUSED.into())
}

fn connect(addresses: &[SocketAddr], timeout: Duration) -> io::Result<TcpStream> {
    let mut outcome = Err(io::Error::other("the name has no addresses"));
    for address in addresses {
        outcome = TcpStream::connect_timeout(address, timeout.max(Duration::from_millis(1)));
        outcome = outcome.and_then(refuse_itself);
        if outcome.is_ok() {
            break;
        }
    }
    let socket = outcome?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn connection_to_itself_is_refused_and_leaves_its_port_free() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).unwrap();
        let error = refuse_itself(socket.into()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let receiver = TcpListener::bind(own.as_socket().unwrap()).unwrap();
        let sender = connect(&[receiver.local_addr().unwrap()], Duration::from_mins(1)).unwrap();
        assert_eq!(sender.peer_addr().unwrap(), receiver.local_addr().unwrap());
    }
}
