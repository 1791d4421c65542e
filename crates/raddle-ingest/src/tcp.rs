//! Messages over TCP, one a line.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::{Event, JoinHandle, Thread, time};

use crate::connection::{Common, Connection};
use crate::intake::Intake;
use crate::source::Source;
use crate::wake::{Wake, readable_within};

/// How many connections the operating system may hold ready before they are accepted.
const BACKLOG: i32 = 4096;
/// Time between two looks when the operating system or the limit forbids another connection.
const PAUSE: Duration = Duration::from_millis(20);
/// Room for a connection's stack; its buffers are on the heap.
const STACK: usize = 256 << 10;

/// The limits of a [`TcpSource`].
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// The longest message, in bytes, the line ending not counted; a longer one is rejected. 64 KiB.
    pub max_message: usize,
    /// Connections at a time, each with a thread of its own; more wait until one ends. 1000.
    pub max_connections: usize,
    /// How long after the stop a peer that keeps sending is still read; silence ends it sooner. 10 s.
    pub grace: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { max_message: 64 << 10, max_connections: 1000, grace: Duration::from_secs(10) }
    }
}

/// Receives messages over TCP: one a line, ended by `\n` or `\r\n`, from any number of connections.
///
/// Each connection has a thread. While the queue is full it does not read, so that TCP holds its peer back.
/// On the stop no more connections are taken in, except those that the operating system has already
/// completed; what has arrived on each is read, and a peer that keeps sending is cut off after a time of grace,
/// which [`run`](Source::run) reports as an error. TCP
/// tells a peer that was cut off so, but not which of its messages were read: that takes an acknowledgement.
#[derive(Debug)]
pub struct TcpSource {
    listener: TcpListener,
    address: SocketAddr,
    options: TcpOptions,
}

impl TcpSource {
    /// Listens on `address`; port 0 takes a free one, which [`address`](Self::address) tells.
    ///
    /// # Errors
    /// The address cannot be resolved, is not this machine's, is in use, or may not be used.
    pub fn bind(address: impl ToSocketAddrs, options: TcpOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        // The standard library's 128 are few for a burst of connections; listening again changes the number.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Self { address: listener.local_addr()?, listener, options })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Source for TcpSource {
    fn run(self, intake: Intake, stop: &Arc<Event>) -> io::Result<()> {
        let wake = Wake::on(stop)?;
        let TcpOptions { max_message, max_connections, grace } = self.options;
        let cut_off = Arc::new(AtomicUsize::new(0));
        let common =
            Common { intake, stop: stop.clone(), wake, max_message, grace, cut_off: cut_off.clone() };
        let mut acceptor = Acceptor {
            listener: self.listener,
            common,
            max_connections,
            threads: Vec::new(),
            next: None,
            state: State::Open,
            stack: STACK,
        };
        let outcome = acceptor.accept_until_stop();
        stop.set(); // should accepting have failed: that is the end for the connections, too
        let all_accepted = acceptor.accept_the_rest();
        drop(acceptor.listener); // now, so that new peers are refused and not left waiting
        if let Some(thread) = acceptor.next {
            thread.into_inner()(); // there is none for it, so this one reads it
        }
        for connection in acceptor.threads {
            if let Err(error) = connection.join() {
                log::error!("{error}");
            }
        }
        outcome.and_then(|()| in_time(cut_off.load(Ordering::Relaxed), all_accepted, grace))
    }
}

/// Says which peers were cut off at the end of the time of grace.
fn in_time(cut_off: usize, all_accepted: bool, grace: Duration) -> io::Result<()> {
    let who = match (cut_off, all_accepted) {
        (0, true) => return Ok(()),
        (0, false) => "connections that waited to be let in were".to_owned(),
        (1, true) => "1 connection that still sent was".to_owned(),
        (count, true) => format!("{count} connections that still sent were"),
        (count, false) => format!("{count} connections that still sent and others that waited were"),
    };
    Err(io::Error::other(format!(
        "{who} cut off {grace:?} after the stop, and what they had left to say is not stored; \
         a longer grace (raddle ingest --grace) gives them time"
    )))
}

/// Why connections are not accepted at the moment; each change is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Full,
    Failing,
}

struct Acceptor {
    listener: TcpListener,
    common: Common,
    max_connections: usize,
    threads: Vec<JoinHandle<()>>,
    /// A connection that is let in, but for which there was no thread yet.
    next: Option<Thread<Run>>,
    state: State,
    /// Bytes of the stack of a connection's thread.
    stack: usize,
}

/// What the thread of a connection does.
type Run = Box<dyn FnOnce() + Send>;

impl Acceptor {
    fn accept_until_stop(&mut self) -> io::Result<()> {
        let stop = self.common.stop.clone();
        while !stop.is_set() {
            match self.accept() {
                Accepted::Yes => {}
                Accepted::NoneWaits => self.common.wake.wait(&self.listener)?,
                Accepted::NotNow => {
                    stop.wait_timeout(PAUSE);
                }
            }
        }
        Ok(())
    }

    /// Peers whose connection the operating system had completed before the stop may have sent something.
    ///
    /// Says whether all of them were let in within the time of grace.
    fn accept_the_rest(&mut self) -> bool {
        let until = time::now().checked_add(self.common.grace);
        loop {
            match self.accept() {
                Accepted::Yes => {}
                Accepted::NoneWaits => return true,
                Accepted::NotNow => raddle::thread::sleep(PAUSE),
            }
            if until.is_some_and(|until| time::now() >= until) {
                let one_waits = readable_within(&self.listener, Duration::ZERO).unwrap_or(true);
                return !one_waits;
            }
        }
    }

    fn accept(&mut self) -> Accepted {
        if self.threads.len() >= self.max_connections {
            self.threads.retain(|thread| !thread.is_finished());
        }
        if self.threads.len() >= self.max_connections {
            let limit = self.max_connections;
            self.enter(State::Full, || {
                format!("{limit} connections are open, the limit: more wait until one ends")
            });
            return Accepted::NotNow;
        }
        if let Some(thread) = self.next.take() {
            return self.begin(thread);
        }
        match self.listener.accept() {
            Ok((socket, peer)) => self.let_in(socket, peer),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => self.none_waits(),
                // The peer gave up meanwhile; the next one is no different for it.
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Accepted::Yes,
                _ => self.fails(&error),
            },
        }
    }

    fn let_in(&mut self, socket: TcpStream, peer: SocketAddr) -> Accepted {
        let connection = match Connection::new(socket, peer.to_string().into(), self.common.clone()) {
            Ok(connection) => connection,
            Err(error) => return self.fails(&error),
        };
        let run: Run = Box::new(move || connection.run());
        self.begin(Thread::new(run).name(format!("peer {peer}")).stack_size(self.stack))
    }

    /// Starts the thread of a connection; if that fails, it is the next to be tried.
    fn begin(&mut self, thread: Thread<Run>) -> Accepted {
        match thread.start() {
            Ok(thread) => {
                self.threads.push(thread);
                Accepted::Yes
            }
            Err(error) => {
                let failed = self.fails(error.io_error());
                let name = error.name().unwrap_or_default().to_owned();
                self.next = Some(Thread::new(error.into_inner()).name(name).stack_size(self.stack));
                failed
            }
        }
    }

    /// Everyone who wanted to be let in has been.
    fn none_waits(&mut self) -> Accepted {
        if self.state != State::Open {
            log::info!("all connections that waited are accepted");
        }
        self.state = State::Open;
        Accepted::NoneWaits
    }

    fn fails(&mut self, error: &io::Error) -> Accepted {
        self.enter(State::Failing, || format!("cannot take in a connection: {error}; trying again"));
        Accepted::NotNow
    }

    fn enter(&mut self, state: State, why: impl FnOnce() -> String) {
        if self.state != state {
            log::warn!("{}", why());
        }
        self.state = state;
    }
}

enum Accepted {
    Yes,
    NoneWaits,
    NotNow,
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use raddle::Queue;

    use super::*;

    #[test]
    fn a_connection_without_a_thread_is_kept_until_there_is_one() {
        let source = TcpSource::bind("127.0.0.1:0", TcpOptions::default()).unwrap();
        let (stop, queue) = (Arc::new(Event::new()), Arc::new(Queue::bounded(10)));
        let common = Common {
            intake: Intake::new(queue.clone(), Arc::default()),
            wake: Wake::on(&stop).unwrap(),
            stop: stop.clone(),
            max_message: 100,
            grace: Duration::from_secs(10),
            cut_off: Arc::default(),
        };
        TcpStream::connect(source.address).unwrap().write_all(b"patient\n").unwrap();
        let (socket, peer) = loop {
            match source.listener.accept() {
                Ok(accepted) => break accepted,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        let mut acceptor = Acceptor {
            listener: source.listener,
            common,
            max_connections: 1,
            threads: Vec::new(),
            next: None,
            state: State::Open,
            // No machine has room for that.
            stack: usize::MAX / 4,
        };
        assert!(matches!(acceptor.let_in(socket, peer), Accepted::NotNow));
        assert!(matches!(acceptor.accept(), Accepted::NotNow), "it is tried again, and fails again");
        acceptor.next = acceptor.next.map(|thread| thread.stack_size(STACK));
        assert!(matches!(acceptor.accept(), Accepted::Yes));
        assert_eq!(queue.get().unwrap().content.unwrap(), "patient");
        assert!(matches!(acceptor.accept(), Accepted::NotNow | Accepted::NoneWaits));
        stop.set();
        acceptor.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
