//! The server: receives messages from the network and enqueues them.

mod command;
mod connection;
pub(crate) mod counters;
mod descriptors;
mod drain;
mod endpoint;
mod event_loop;
mod inbox;
mod limits;
mod listener;
mod options;
mod udp;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mio::{Poll, Waker};
use raddle::{JoinHandle, Mutex, Thread, time};

use crate::books::SourceId;
use crate::intake::Intake;
use crate::protocol::http::Budget;
use crate::server::command::{Change, Command};
use crate::server::counters::SourceCounters;
use crate::server::endpoint::{Endpoint, Shared};
use crate::server::event_loop::{EventLoop, WAKE};
use crate::server::inbox::Inbox;
use crate::server::limits::Places;
use crate::server::listener::{Bound, Opened};

pub use counters::{Counters, Counts, SourceCounts};
pub use descriptors::raise_descriptor_limit;
pub use listener::{Listener, ListenerKind, ListenerOptions, ServerError};
pub use options::ServerOptions;

/// Bytes of request bodies that are in memory at once, for all connections.
const MAX_BODIES: usize = 64 << 20;

/// The connections that a [`drain`](Server::drain) did not read to their end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "the report says whether peers were cut off"]
pub struct DrainReport {
    /// Connections that were closed at the end of the grace period while their peers were still sending.
    pub cut_off: usize,
    /// Descriptions of the failures; empty on success.
    pub problems: Vec<String>,
}

/// The outcome of the replies when the server [finished](Server::finish).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "the report says whether replies are missing"]
pub struct FinishReport {
    /// Connections that were closed before all replies had been written.
    pub unwritten: usize,
    /// Descriptions of the failures; empty on success.
    pub problems: Vec<String>,
}

/// Receives messages from the network and enqueues them.
///
/// One thread, or as many as the options say, serves all connections. While the queue is full, connections are not read, and TCP slows the
/// peers down; or messages are refused, as [`WhenFull`](crate::WhenFull) says.
///
/// To stop, call [`drain`](Self::drain), which reads the bytes that have arrived, then [`Pipeline::finish`](crate::Pipeline::finish),
/// which stores the messages, then [`finish`](Self::finish), which sends the replies. A server that is dropped closes all connections at
/// once.
pub struct Server {
    shared: Arc<Shared>,
    endpoints: Mutex<Vec<Arc<Endpoint>>>,
    loops: Arc<[Arc<Inbox>]>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Opens the listeners and starts to serve them.
    ///
    /// # Errors
    /// Returns an error if a listener cannot be opened, or if the operating system cannot start a thread or create a poll
    /// instance.
    pub fn start(
        listeners: Vec<Listener>,
        intake: Intake,
        options: &ServerOptions,
    ) -> Result<Self, ServerError> {
        let bound: Vec<Bound> = listeners.into_iter().map(Listener::bind).collect::<Result<_, _>>()?;
        let fails = |error: io::Error| ServerError::new("cannot start the server", error);
        let mut polls = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..options.threads.max(1) {
            let poll = Poll::new().map_err(fails)?;
            let waker = Waker::new(poll.registry(), WAKE).map_err(fails)?;
            inboxes.push(Arc::new(Inbox::new(waker)));
            polls.push(poll);
        }
        let loops: Arc<[Arc<Inbox>]> = inboxes.into();
        let shared = Arc::new(Shared {
            intake,
            counters: Counters::new(),
            places: Places::default(),
            expulsions: Mutex::default(),
            doubts: Mutex::default(),
            bodies: Budget::new(MAX_BODIES),
        });
        let mut runs: Vec<EventLoop> = polls
            .into_iter()
            .enumerate()
            .map(|(index, poll)| EventLoop::new(poll, index, loops.clone(), shared.clone(), options.clone()))
            .collect();
        let mut endpoints = Vec::new();
        let last = runs.len() - 1;
        for bound in bound {
            let (endpoint, socket) = enter(&shared, bound);
            endpoints.push(endpoint.clone());
            let datagrams = matches!(socket, Opened::Datagrams(_));
            runs[if datagrams { last } else { 0 }].add_source(endpoint, socket).map_err(fails)?;
        }
        set_limits(&shared, options);
        for inbox in loops.iter() {
            shared.intake.add_listener(inbox.clone());
        }
        let mut server = Self { shared, endpoints: Mutex::new(endpoints), loops, threads: Vec::new() };
        for (index, run) in runs.into_iter().enumerate() {
            let thread = Thread::new(move || run.run()).name(format!("server {}", index + 1)).start();
            server.threads.push(thread.map_err(|error| fails(io::Error::other(error.to_string())))?);
        }
        Ok(server)
    }

    /// Returns the name, kind and address of each listener.
    pub fn addresses(&self) -> Vec<(Arc<str>, ListenerKind, SocketAddr)> {
        self.endpoints.lock().iter().map(|it| (it.name.clone(), it.kind, it.actual)).collect()
    }

    /// Returns the counters.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Returns whether a thread of the server has terminated, which it does before [`finish`](Self::finish) only on a failure.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Changes the options and the listeners, without losing a connection.
    ///
    /// A listener at the same address as before keeps its socket, also under another name or kind, and its new connections have the new
    /// options. A listener that is not in the list is closed; its connections remain.
    ///
    /// # Errors
    /// Returns an error if a listener cannot be opened. Then nothing is changed.
    pub fn reload(&self, listeners: Vec<Listener>, options: &ServerOptions) -> Result<(), ServerError> {
        let mut endpoints = self.endpoints.lock();
        let mut unused: Vec<Arc<Endpoint>> = endpoints.clone();
        let mut take = |is_wanted: &dyn Fn(&Endpoint) -> bool| {
            unused.iter().position(|it| is_wanted(it)).map(|index| unused.swap_remove(index))
        };
        let mut formers: Vec<_> = listeners.iter().map(|it| take(&|old| old.is_listener(it))).collect();
        for (former, listener) in formers.iter_mut().zip(&listeners) {
            if former.is_none() {
                *former = take(&|old| old.has_socket_for(listener));
            }
        }
        let mut sockets = Vec::new();
        for (listener, former) in listeners.into_iter().zip(formers) {
            sockets.push(match former {
                Some(former) => Err((listener, former)),
                None => Ok(listener.bind()?),
            });
        }
        // From here on nothing fails.
        let mut changes = Vec::new();
        for socket in sockets {
            changes.push(match socket {
                Ok(bound) => {
                    let (endpoint, socket) = enter(&self.shared, bound);
                    Change { endpoint, former: None, socket: Some(socket) }
                }
                Err((listener, former)) => {
                    let endpoint = if former.is_listener(&listener) {
                        former.with(listener.options)
                    } else {
                        renamed(&self.shared, &former, listener)
                    };
                    Change { endpoint: Arc::new(endpoint), former: Some(former), socket: None }
                }
            });
        }
        *endpoints = changes.iter().map(|change| change.endpoint.clone()).collect();
        set_limits(&self.shared, options);
        let mut parts: Vec<Vec<_>> = self.loops.iter().map(|_| Vec::new()).collect();
        let last = parts.len() - 1;
        for Change { endpoint, former, mut socket } in changes {
            let owner = if endpoint.kind == ListenerKind::Udp { last } else { 0 };
            for (index, part) in parts.iter_mut().enumerate() {
                // The other loops get the endpoint, too, since they may have its connections.
                let socket = if index == owner { socket.take() } else { None };
                part.push(Change { endpoint: endpoint.clone(), former: former.clone(), socket });
            }
        }
        for (inbox, part) in self.loops.iter().zip(parts) {
            inbox.send(Command::Reload(options.clone(), part));
        }
        Ok(())
    }

    /// Stops listening, and reads and enqueues everything that has arrived: connections that the operating system has completed, and the
    /// content of its buffers. Blocks until that is done.
    ///
    /// A peer that keeps sending is read for at most `grace`, and then counted as cut off. If the queue accepts no parcel after that
    /// time, the messages that have been read are enqueued beyond its capacity. Connections stay open while replies are due.
    pub fn drain(&self, grace: Duration) -> DrainReport {
        self.drain_within(grace, Duration::MAX)
    }

    /// Like [`drain`](Self::drain), but for at most `deadline`: a slow sink may need any time for the bytes in the sockets. A connection
    /// that was not read completely counts as cut off.
    pub fn drain_within(&self, grace: Duration, deadline: Duration) -> DrainReport {
        self.shared.intake.status().set_draining();
        let mut report = DrainReport::default();
        // The first loop passes connections to the others: it must stop doing so before they begin.
        for inbox in self.loops.iter() {
            inbox.send(Command::Drain(grace, deadline));
            inbox.wait_for(|progress| progress.draining);
        }
        for (index, inbox) in self.loops.iter().enumerate() {
            match inbox.wait_for(|progress| progress.drained.is_some()).drained {
                Some(cut_off) => report.cut_off += cut_off,
                None => report.problems.push(format!("the thread server {} terminated early", index + 1)),
            }
        }
        report
    }

    /// Writes the replies that are due and closes all connections, within a time limit; then the threads terminate.
    ///
    /// It is called after [`Pipeline::finish`](crate::Pipeline::finish), which settles everything.
    pub fn finish(mut self, timeout: Duration) -> FinishReport {
        let mut report = FinishReport::default();
        let begin = time::now();
        // The first loop has the listeners of monitoring systems, which close last.
        self.loops[1..].iter().for_each(|inbox| inbox.send(Command::Finish(timeout)));
        for (thread, inbox) in std::mem::take(&mut self.threads).into_iter().zip(self.loops.iter()).rev() {
            if Arc::ptr_eq(inbox, &self.loops[0]) {
                inbox.send(Command::Finish(timeout.saturating_sub(time::now() - begin)));
            }
            if let Err(error) = thread.join() {
                report.problems.push(error.to_string());
            }
            report.unwritten += inbox.wait_for(|_| false).terminated.unwrap_or(0);
        }
        report
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.loops.iter().for_each(|inbox| inbox.send(Command::Stop));
        }
        for thread in self.threads.drain(..) {
            if let Err(error) = thread.join() {
                log::error!("{error}");
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

/// Opens the account and the counters of a listener.
fn enter(shared: &Shared, bound: Bound) -> (Arc<Endpoint>, Opened) {
    let counters: Arc<SourceCounters> = shared.counters.source(&bound.name);
    if let Opened::Datagrams(socket) = &bound.socket {
        let granted = listener::receive_buffer(socket);
        counters.receive_buffer.store(granted as u64, std::sync::atomic::Ordering::Relaxed);
        let wanted = bound.options.receive_buffer;
        if granted < wanted {
            let name = &bound.name;
            log::warn!(
                "{name}: the receive buffer has {granted} bytes instead of {wanted}, so that bursts may be dropped: \
                 raise net.core.rmem_max"
            );
        }
    }
    let endpoint = Endpoint {
        source: source(shared, &bound.name, bound.kind),
        name: bound.name,
        kind: bound.kind,
        options: bound.options,
        counters,
        requested: bound.requested,
        actual: bound.actual,
        recognition: OnceLock::new(),
    };
    (Arc::new(endpoint), bound.socket)
}

/// Returns a listener that continues with the socket of another one, under another name or kind.
fn renamed(shared: &Shared, former: &Endpoint, listener: Listener) -> Endpoint {
    let counters = shared.counters.source(&listener.name);
    let size = former.counters.receive_buffer.load(std::sync::atomic::Ordering::Relaxed);
    counters.receive_buffer.store(size, std::sync::atomic::Ordering::Relaxed);
    Endpoint {
        source: source(shared, &listener.name, listener.kind),
        requested: listener.address(),
        actual: former.actual,
        name: listener.name,
        kind: listener.kind,
        options: listener.options,
        counters,
        recognition: OnceLock::new(),
    }
}

/// Returns the account of a listener.
fn source(shared: &Shared, name: &str, kind: ListenerKind) -> SourceId {
    // Requests about the program are no messages.
    if kind == ListenerKind::Admin { SourceId::NONE } else { shared.intake.books().open(name) }
}

/// Sets the limits of connections, which fit into the limit of open files.
fn set_limits(shared: &Shared, options: &ServerOptions) {
    let fit =
        descriptors::connections_that_fit(options.reserved_descriptors).saturating_add(shared.places.open());
    let total = options.max_connections.min(fit);
    if total < options.max_connections {
        let wanted = options.max_connections;
        log::warn!(
            "at most {total} connections instead of {wanted}: the limit of open files permits no more"
        );
    }
    let per_peer = options.max_per_peer.unwrap_or((total / 4).max(1));
    shared.places.set(total, per_peer);
}
