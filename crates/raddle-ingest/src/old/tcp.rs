//! A source that receives messages over TCP, one per line.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::{Event, JoinHandle, Thread, time};

use crate::old::connection::{Common, Connection};
use crate::old::intake::Intake;
use crate::old::source::Source;
use crate::old::wake::{Wake, readable_within};

/// Length of the queue of connections that are not accepted yet.
const BACKLOG: i32 = 4096;
/// Pause between attempts while the operating system or the limit prevents another connection.
const PAUSE: Duration = Duration::from_millis(20);
/// Stack size of the thread of a connection; its buffers are on the heap.
const STACK: usize = 256 << 10;

/// The options of a [`TcpSource`].
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Maximum length of a message in bytes, without its line ending. 64 KiB.
    pub max_message: usize,
    /// Maximum number of open connections, each with a thread; further ones wait. 1000.
    pub max_connections: usize,
    /// How long a peer that keeps sending is read after the stop. 10 s.
    pub grace: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { max_message: 64 << 10, max_connections: 1000, grace: Duration::from_secs(10) }
    }
}

/// Receives messages over TCP, one per line, terminated by `\n` or `\r\n`.
///
/// Each connection has a thread. While the queue is full, the thread does not read, and TCP slows the peer down. On the stop, only
/// connections that the operating system has already completed are accepted. What has arrived is read; a peer that keeps
/// sending is disconnected after the grace period, and [`run`](Source::run) returns an error. The peer notices, but cannot know
/// which of its messages were read: messages are not acknowledged.
#[derive(Debug)]
pub struct TcpSource {
    listener: TcpListener,
    address: SocketAddr,
    options: TcpOptions,
}

impl TcpSource {
    /// Listens on `address`. Port 0 selects a free port, which [`address`](Self::address) returns.
    ///
    /// # Errors
    /// If the address cannot be resolved, is not local, is in use, or is not permitted.
    pub fn bind(address: impl ToSocketAddrs, options: TcpOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        // The backlog of the standard library, 128, is short for a burst of connections; a second call changes it.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Self { address: listener.local_addr()?, listener, options })
    }

    /// Returns the address that it listens on.
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
        stop.set(); // if accepting failed, the connections stop, too
        let all_accepted = acceptor.accept_the_rest();
        drop(acceptor.listener); // now, so that new peers are refused instead of waiting
        if let Some(thread) = acceptor.next {
            thread.into_inner()(); // it has no thread of its own: read it here
        }
        for connection in acceptor.threads {
            if let Err(error) = connection.join() {
                log::error!("{error}");
            }
        }
        outcome.and_then(|()| check_grace(cut_off.load(Ordering::Relaxed), all_accepted, grace))
    }
}

/// Returns an error if peers were disconnected at the end of the grace period.
fn check_grace(cut_off: usize, all_accepted: bool, grace: Duration) -> io::Result<()> {
    let peers = match (cut_off, all_accepted) {
        (0, true) => return Ok(()),
        (0, false) => "connections that waited to be accepted were".to_owned(),
        (1, true) => "1 connection that was still sending was".to_owned(),
        (count, true) => format!("{count} connections that were still sending were"),
        (count, false) => format!("{count} connections that were still sending and others that waited were"),
    };
    Err(io::Error::other(format!(
        "{peers} disconnected {grace:?} after the stop, and their further messages are not stored: \
         increase the grace period (raddle ingest --grace)"
    )))
}

/// Whether connections are accepted at present; each change is logged once.
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
    /// An accepted connection whose thread could not be started yet.
    next: Option<Thread<Run>>,
    state: State,
    /// Bytes of the stack of a connection's thread.
    stack: usize,
}

/// The function that the thread of a connection runs.
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

    /// Accepts the connections that the operating system had completed before the stop: their peers may have sent messages.
    ///
    /// Returns whether all of them were accepted within the grace period.
    fn accept_the_rest(&mut self) -> bool {
        let until = time::now().checked_add(self.common.grace);
        loop {
            match self.accept() {
                Accepted::Yes => {}
                Accepted::NoneWaits => return true,
                Accepted::NotNow => raddle::thread::sleep(PAUSE),
            }
            if until.is_some_and(|until| time::now() >= until) {
                let more_wait = readable_within(&self.listener, Duration::ZERO).unwrap_or(true);
                return !more_wait;
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
                format!("{limit} connections are open, which is the limit: further ones wait")
            });
            return Accepted::NotNow;
        }
        if let Some(thread) = self.next.take() {
            return self.begin(thread);
        }
        match self.listener.accept() {
            Ok((socket, peer)) => self.serve(socket, peer),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => self.nmore_wait(),
                // The peer has disconnected already; try the next one.
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Accepted::Yes,
                _ => self.fails(&error),
            },
        }
    }

    fn serve(&mut self, socket: TcpStream, peer: SocketAddr) -> Accepted {
        let connection = match Connection::new(socket, peer.to_string().into(), self.common.clone()) {
            Ok(connection) => connection,
            Err(error) => return self.fails(&error),
        };
        let run: Run = Box::new(move || connection.run());
        self.begin(Thread::new(run).name(format!("peer {peer}")).stack_size(self.stack))
    }

    /// Starts the thread of a connection. If that fails, the connection is retried next.
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

    /// No connection is waiting.
    fn nmore_wait(&mut self) -> Accepted {
        if self.state != State::Open {
            log::info!("all waiting connections are accepted");
        }
        self.state = State::Open;
        Accepted::NoneWaits
    }

    fn fails(&mut self, error: &io::Error) -> Accepted {
        self.enter(State::Failing, || format!("cannot accept a connection: {error}; retrying"));
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
    fn connection_without_a_thread_is_retried_until_one_starts() {
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
            // Larger than any address space.
            stack: usize::MAX / 4,
        };
        assert!(matches!(acceptor.serve(socket, peer), Accepted::NotNow));
        assert!(matches!(acceptor.accept(), Accepted::NotNow), "it is tried again, and fails again");
        acceptor.next = acceptor.next.map(|thread| thread.stack_size(STACK));
        assert!(matches!(acceptor.accept(), Accepted::Yes));
        assert_eq!(queue.get().unwrap().content.unwrap(), "patient");
        assert!(matches!(acceptor.accept(), Accepted::NotNow | Accepted::NoneWaits));
        stop.set();
        acceptor.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
