//! An event loop: serves the sockets of its listeners and connections on one thread.
//!
//! Sockets are edge-triggered. A socket that may have more to read is in the list `ready` and gets its turn there, a bounded number of
//! bytes each, so that a busy connection does not hold up the others. Connections whose parcels do not fit into the queue are in the
//! list `blocked`, in the order in which they came there: the first one is served first when there is room, and none overtakes it. One whose
//! parcel was enqueued in part goes to the end of the list. Requests leave the list after a time, and are refused.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use raddle::time;
use socket2::SockRef;

use crate::protocol::interface::Ending;
use crate::server::command::{Change, Command};
use crate::server::connection::{BUFFER_BYTES, Connection, Expired, Work};
use crate::server::counters::{add, subtract};
use crate::server::endpoint::{Endpoint, Shared};
use crate::server::inbox::{Inbox, Mail, ReportOnDrop, Settled};
use crate::server::limits::{Class, PeerKey, Seldom};
use crate::server::listener::{ListenerKind, Opened};
use crate::server::options::ServerOptions;
use crate::server::udp::Datagrams;
use crate::settlement::Acknowledge;

/// The token of the inbox; those of sources are odd, and those of connections even.
pub(super) const WAKE: Token = Token(usize::MAX);

/// The number of connections that are accepted at a listener before others have their turn.
const ACCEPTS: usize = 256;

/// Bytes that wait for room, beyond which no more is read than necessary; and bytes of requests, beyond which further ones are refused at
/// once.
const SCARCE: usize = 4 << 20;

/// The pause between checks of time limits, and between steps of a drain.
const TICK: Duration = Duration::from_millis(100);
const DRAIN_TICK: Duration = Duration::from_millis(5);

/// The pause between checks of the number of datagrams that the operating system has dropped.
const DROPS_TICK: Duration = Duration::from_secs(1);

/// How long the queue may accept no parcel after the grace period, before the waiting parcels are put in beyond its
/// capacity.
const STALL: Duration = Duration::from_secs(1);

/// The stage of the loop.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Running,
    Draining(Draining),
    Drained,
    Finishing(Instant),
    Stopped,
}

#[derive(Clone, Copy, Debug)]
struct Draining {
    /// The end of the grace period.
    grace: Option<Instant>,
    /// The end of the drain, even if parcels or bytes are left.
    deadline: Option<Instant>,
    /// How long the queue may accept no parcel after the grace period.
    stall: Duration,
    /// When the queue last took something that waited for room.
    progress: Instant,
    /// Peers that were still sending at the end of the grace period.
    cut_off: usize,
}

/// A socket on which something arrives that is not part of a connection.
enum Source {
    Listener(Listening),
    Datagrams(Box<Datagrams>),
}

struct Listening {
    endpoint: Arc<Endpoint>,
    socket: TcpListener,
    ready: bool,
    /// Accepting failed, and is retried then.
    retry: Option<Instant>,
    /// The failure has been logged.
    failing: bool,
}

/// A connection or a source that waits for room in the queue.
#[derive(Clone, Copy, Debug)]
enum Waiter {
    Connection(u64),
    Datagrams(usize),
}

/// A place in the list of those that wait for room.
#[derive(Clone, Copy, Debug)]
struct Place {
    waiter: Waiter,
    /// The bytes that wait.
    bytes: usize,
    /// These are requests, which are refused after a time.
    requests: bool,
}

pub(super) struct EventLoop {
    poll: Poll,
    inbox: Arc<Inbox>,
    acknowledge: Arc<dyn Acknowledge>,
    shared: Arc<Shared>,
    options: ServerOptions,
    /// The inboxes of all loops, among which connections are distributed.
    loops: Arc<[Arc<Inbox>]>,
    next_loop: usize,
    sources: Vec<Option<Source>>,
    connections: Vec<Option<Box<Connection>>>,
    /// The generation of each place for a connection, which guards against confusing a connection with its predecessor.
    generations: Vec<u32>,
    free: Vec<usize>,
    ready: VecDeque<u64>,
    /// The connections and sources that wait for room, and their bytes.
    blocked: VecDeque<Place>,
    blocked_bytes: usize,
    /// The part of the bytes that are requests.
    requests_bytes: usize,
    /// Connections with a time limit.
    timed: Vec<u64>,
    buffer: Vec<u8>,
    refusals: Seldom,
    stage: Stage,
    next_tick: Instant,
    /// When to look for dropped datagrams.
    next_drops: Instant,
}

impl EventLoop {
    pub(super) fn new(
        poll: Poll,
        index: usize,
        loops: Arc<[Arc<Inbox>]>,
        shared: Arc<Shared>,
        options: ServerOptions,
    ) -> Self {
        let inbox = loops[index].clone();
        Self {
            poll,
            acknowledge: inbox.clone(),
            inbox,
            shared,
            options,
            next_loop: index,
            loops,
            sources: Vec::new(),
            connections: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            blocked: VecDeque::new(),
            blocked_bytes: 0,
            requests_bytes: 0,
            timed: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            refusals: Seldom::default(),
            stage: Stage::Running,
            next_tick: time::now(),
            next_drops: time::now(),
        }
    }

    /// Runs until the server is finished or stopped.
    pub(super) fn run(mut self) {
        let mut report = ReportOnDrop { inbox: self.inbox.clone(), unwritten: 0 };
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.pause())
                && error.kind() != io::ErrorKind::Interrupted
            {
                log::error!("the server terminates, since it cannot wait for its sockets: {error}");
                break;
            }
            add(self.shared.counters.polls(), 1);
            for event in &events {
                self.notice(event);
            }
            self.open_mail();
            for index in 0..self.sources.len() {
                self.serve_source(index);
            }
            for _ in 0..self.ready.len() {
                let Some(id) = self.ready.pop_front() else { break };
                self.visit(id, |connection, work| {
                    connection.scheduled = false;
                    connection.turn(work);
                });
            }
            self.tick();
            if self.is_over(&mut report.unwritten) {
                break;
            }
        }
        self.force_all();
        for connection in self.connections.iter_mut().flatten() {
            connection.leave(&self.shared);
        }
    }

    /// Returns how long to wait for events.
    fn pause(&self) -> Option<Duration> {
        let sources = self.sources.iter().flatten().any(|source| match source {
            Source::Listener(listening) => listening.ready && listening.retry.is_none(),
            Source::Datagrams(datagrams) => datagrams.waiting.is_none() && datagrams.wants_turn(),
        });
        if sources || !self.ready.is_empty() || self.inbox.has_mail() {
            return Some(Duration::ZERO);
        }
        match self.stage {
            Stage::Draining(_) => Some(DRAIN_TICK),
            Stage::Finishing(_) => Some(TICK),
            _ if !self.timed.is_empty() => Some(TICK),
            _ if self.sources.iter().flatten().any(Source::retries) => Some(TICK),
            _ if self.sources.iter().flatten().any(|it| matches!(it, Source::Datagrams(_))) => {
                Some(DROPS_TICK)
            }
            _ => None,
        }
    }

    /// Records an event of the operating system.
    fn notice(&mut self, event: &mio::event::Event) {
        let Token(token) = event.token();
        if token == WAKE.0 {
            return; // the inbox is looked into anyway
        }
        let index = token / 2;
        if token % 2 == 1 {
            match self.sources.get_mut(index) {
                Some(Some(Source::Listener(listening))) => listening.ready = true,
                Some(Some(Source::Datagrams(datagrams))) => datagrams.readable = true,
                _ => {}
            }
        } else if let Some(Some(connection)) = self.connections.get(index) {
            self.visit(connection.id, |connection, work| {
                connection.ready(event);
                if event.is_writable() {
                    connection.write(work);
                }
            });
        }
    }

    /// Serves the messages of other threads in the inbox.
    fn open_mail(&mut self) {
        let Some(Mail { settled, commands, room }) = self.inbox.take() else { return };
        let mut last = None;
        for Settled { connection: id, ticket, settlement } in settled {
            // Replies are written together.
            if let Some(before) = last.replace(id)
                && before != id
            {
                self.visit(before, Connection::write);
            }
            self.visit(id, |connection, work| connection.settled(ticket, &settlement, work));
        }
        if let Some(id) = last {
            self.visit(id, Connection::write);
        }
        for command in commands {
            self.obey(command);
        }
        if room {
            self.admit_blocked();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Serve(socket, address, class, endpoint) => self.serve(socket, address, class, endpoint),
            Command::Reload(options, endpoints) => self.reload(options, endpoints),
            Command::Drain(grace, deadline) => self.begin_drain(grace, deadline),
            Command::Finish(timeout) => {
                let now = time::now();
                // A server that was not drained closes its connections now.
                if matches!(self.stage, Stage::Running | Stage::Draining(_)) {
                    self.sources.clear();
                    self.force_all();
                    self.each(|connection, work| connection.end(Ending::Cut, work));
                }
                self.stage = Stage::Finishing(now.checked_add(timeout).unwrap_or(now));
            }
            Command::Stop => self.stage = Stage::Stopped,
        }
    }

    /// Visits a connection, if it still exists: calls the function, then performs the actions that are due.
    fn visit(&mut self, id: u64, function: impl FnOnce(&mut Connection, &mut Work<'_>)) {
        let full = !self.blocked.is_empty();
        self.visit_when(full, id, function);
    }

    fn visit_when(&mut self, full: bool, id: u64, function: impl FnOnce(&mut Connection, &mut Work<'_>)) {
        let Some(place) = self.connections.get_mut(slot(id)) else { return };
        let Some(mut connection) = place.take_if(|connection| connection.id == id) else { return };
        let scarce = self.is_scarce();
        let mut work = Work {
            shared: &self.shared,
            acknowledge: &self.acknowledge,
            buffer: &mut self.buffer,
            full,
            scarce,
            crowded: self.requests_bytes >= SCARCE,
        };
        function(&mut connection, &mut work);
        if let (true, held) = connection.account(&self.shared)
            && let Some(why) = too_much(held, &self.shared, &self.options)
        {
            add(&connection.endpoint.counters.closed_for_memory, 1);
            connection.expel(why, &mut work);
            connection.account(&self.shared);
        }
        self.keep(connection);
    }

    fn is_scarce(&self) -> bool {
        self.blocked_bytes >= SCARCE
    }

    /// Puts a connection back into its place, and into the lists in which it belongs; or closes it.
    fn keep(&mut self, mut connection: Box<Connection>) {
        let id = connection.id;
        if connection.is_over() {
            return self.close(connection);
        }
        if connection.has_limit() && !connection.timed {
            connection.timed = true;
            self.timed.push(id);
        }
        if connection.waiting.is_none() {
            let wants_turn = connection.wants_turn();
            if connection.has_pending() || (wants_turn && connection.must_wait(self.is_scarce())) {
                connection.waiting = Some(time::now());
                let requests = connection.has_waiting_requests();
                self.block(Place {
                    waiter: Waiter::Connection(id),
                    bytes: connection.pending_bytes(),
                    requests,
                });
            } else if wants_turn && !connection.scheduled {
                connection.scheduled = true;
                self.ready.push_back(id);
            }
        }
        self.connections[slot(id)] = Some(connection);
    }

    fn block(&mut self, place: Place) {
        self.blocked.push_back(place);
        self.blocked_bytes += place.bytes;
        self.requests_bytes += if place.requests { place.bytes } else { 0 };
        add(self.shared.counters.waiting(), 1);
    }

    /// Takes the first of those that wait for room out of the list.
    fn unblock(&mut self) -> Option<Waiter> {
        let place = self.blocked.pop_front()?;
        self.leave(place);
        Some(place.waiter)
    }

    /// Counts out a place that is not in the list any more.
    fn leave(&mut self, place: Place) {
        self.blocked_bytes -= place.bytes;
        self.requests_bytes -= if place.requests { place.bytes } else { 0 };
        subtract(self.shared.counters.waiting(), 1);
    }

    /// Takes connections whose requests have been refused out of the list. There may be room for the connections
    /// behind them.
    fn unblock_refused(&mut self, mut ids: Vec<u64>) {
        if ids.is_empty() {
            return;
        }
        ids.sort_unstable();
        let (left, kept) =
            std::mem::take(&mut self.blocked).into_iter().partition(|place| match place.waiter {
                Waiter::Connection(id) => ids.binary_search(&id).is_ok(),
                Waiter::Datagrams(_) => false,
            });
        self.blocked = kept;
        for place in Vec::from(left) {
            self.leave(place);
        }
        for id in ids {
            self.visit(id, |connection, _| {
                if let Some(since) = connection.waiting.take() {
                    connection.held_back(since);
                }
            });
        }
        self.admit_blocked();
    }

    /// Enqueues the waiting parcels, in order, until one does not fit.
    fn admit_blocked(&mut self) {
        // Those that have got some of the room go to the end, and are not served again now.
        for _ in 0..self.blocked.len() {
            let Some(place) = self.blocked.front().copied() else { return };
            // The bytes that still wait.
            let mut left = None;
            match place.waiter {
                Waiter::Connection(id) => self.visit_when(false, id, |connection, work| {
                    connection.admit(work);
                    if connection.has_pending() {
                        left = Some(connection.pending_bytes());
                    } else if let Some(since) = connection.waiting.take() {
                        connection.held_back(since);
                    }
                }),
                Waiter::Datagrams(index) => {
                    let work = Work {
                        shared: &self.shared,
                        acknowledge: &self.acknowledge,
                        buffer: &mut self.buffer,
                        full: false,
                        scarce: false,
                        crowded: false,
                    };
                    if let Some(Some(Source::Datagrams(datagrams))) = self.sources.get_mut(index) {
                        datagrams.admit(&work);
                        if datagrams.has_pending() {
                            left = Some(datagrams.pending_bytes());
                        } else {
                            datagrams.waiting = None;
                        }
                    }
                }
            }
            if left == Some(place.bytes) {
                return;
            }
            // A connection that has read more, and waits again, has been appended meanwhile; this is its former place.
            self.unblock();
            if let Some(bytes) = left {
                self.block(Place { bytes, ..place });
            }
            if let Stage::Draining(draining) = &mut self.stage {
                draining.progress = time::now();
            }
        }
    }

    /// Accepts connections or reads datagrams, up to a limit that is fair to others.
    fn serve_source(&mut self, index: usize) {
        match &mut self.sources[index] {
            Some(Source::Listener(_)) => {
                for _ in 0..ACCEPTS {
                    if !self.accept(index) {
                        break;
                    }
                }
            }
            Some(Source::Datagrams(datagrams)) if datagrams.waiting.is_none() && datagrams.wants_turn() => {
                let work = Work {
                    shared: &self.shared,
                    acknowledge: &self.acknowledge,
                    buffer: &mut self.buffer,
                    full: !self.blocked.is_empty(),
                    scarce: false,
                    crowded: false,
                };
                datagrams.turn(&work);
                if datagrams.has_pending() {
                    datagrams.waiting = Some(time::now());
                    let bytes = datagrams.pending_bytes();
                    self.block(Place { waiter: Waiter::Datagrams(index), bytes, requests: false });
                }
            }
            _ => {}
        }
    }

    /// Accepts a connection. Returns whether there may be another one.
    fn accept(&mut self, index: usize) -> bool {
        let Some(Some(Source::Listener(listening))) = self.sources.get_mut(index) else { return false };
        if !listening.ready || listening.retry.is_some() {
            return false;
        }
        match listening.socket.accept() {
            Ok((socket, address)) => {
                if std::mem::take(&mut listening.failing) {
                    log::info!("{}: connections are accepted again", listening.endpoint.name);
                }
                let endpoint = listening.endpoint.clone();
                self.welcome(socket, address, endpoint);
                true
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    listening.ready = false;
                    false
                }
                // The peer has disconnected already.
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => true,
                _ => {
                    if !std::mem::replace(&mut listening.failing, true) {
                        let name = &listening.endpoint.name;
                        log::warn!(
                            "{name}: cannot accept a connection: {error}; retrying, further ones wait"
                        );
                    }
                    listening.retry = Some(time::now() + TICK);
                    false
                }
            },
        }
    }

    /// Serves a new connection, or refuses it.
    fn welcome(&mut self, socket: TcpStream, address: SocketAddr, endpoint: Arc<Endpoint>) {
        let class = match endpoint.kind {
            ListenerKind::Admin => Class::Admin,
            _ if endpoint.options.proxy => Class::Proxy,
            _ => Class::Peer(PeerKey::of(address.ip())),
        };
        if let Err(refusal) = self.shared.places.enter(class) {
            add(&endpoint.counters.refused, 1);
            if let Some(more) = self.refusals.due(time::now()) {
                log::warn!("{}: connection of {address} refused: {refusal}{more}", endpoint.name);
            }
            // The peer gets a reset, which it notices at once, even if it has sent data.
            let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
            return;
        }
        add(&endpoint.counters.accepted, 1);
        add(&endpoint.counters.open, 1);
        if matches!(self.stage, Stage::Running) && self.loops.len() > 1 {
            self.next_loop = (self.next_loop + 1) % self.loops.len();
            let other = &self.loops[self.next_loop];
            if !Arc::ptr_eq(other, &self.inbox) {
                return other.send(Command::Serve(socket, address, class, endpoint));
            }
        }
        self.serve(socket, address, class, endpoint);
    }

    /// Begins to serve a connection that is counted already.
    fn serve(&mut self, mut socket: TcpStream, address: SocketAddr, class: Class, endpoint: Arc<Endpoint>) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.generations.push(0);
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut socket, Token(2 * slot), interest) {
            log::error!("{address}: closed, since its socket cannot be watched: {error}");
            subtract(&endpoint.counters.open, 1);
            self.shared.places.leave(class);
            self.free.push(slot);
            return;
        }
        let id = u64::from(self.generations[slot]) << 32 | slot as u64;
        let protocol = endpoint.protocol(&self.shared);
        let peer = SocketAddr::new(address.ip().to_canonical(), address.port()).to_string().into();
        self.connections[slot] = Some(Box::new(Connection::new(id, socket, peer, class, endpoint, protocol)));
        let drains = matches!(self.stage, Stage::Draining(_)) && class != Class::Admin;
        self.visit(id, |connection, work| {
            if drains {
                connection.begin_drain(work);
            }
        });
    }

    fn close(&mut self, mut connection: Box<Connection>) {
        let slot = slot(connection.id);
        connection.leave(&self.shared);
        self.generations[slot] = self.generations[slot].wrapping_add(1);
        self.free.push(slot);
        // Accepting may be waiting for a free descriptor.
        for source in self.sources.iter_mut().flatten() {
            if let Source::Listener(listening) = source {
                listening.retry = None;
            }
        }
    }

    /// Returns the numbers of all connections.
    fn ids(&self) -> Vec<u64> {
        self.connections.iter().flatten().map(|connection| connection.id).collect()
    }

    /// Visits all connections.
    fn each(&mut self, mut function: impl FnMut(&mut Connection, &mut Work<'_>)) {
        for id in self.ids() {
            self.visit(id, &mut function);
        }
    }

    /// Registers the socket of a listener.
    pub(super) fn add_source(&mut self, endpoint: Arc<Endpoint>, socket: Opened) -> io::Result<()> {
        let index = self.sources.iter().position(Option::is_none).unwrap_or_else(|| {
            self.sources.push(None);
            self.sources.len() - 1
        });
        let token = Token(2 * index + 1);
        let registry = self.poll.registry();
        self.sources[index] = Some(match socket {
            Opened::Connections(mut socket) => {
                registry.register(&mut socket, token, Interest::READABLE)?;
                Source::Listener(Listening { endpoint, socket, ready: true, retry: None, failing: false })
            }
            Opened::Datagrams(mut socket) => {
                registry.register(&mut socket, token, Interest::READABLE)?;
                Source::Datagrams(Box::new(Datagrams::new(endpoint, socket)))
            }
        });
        Ok(())
    }

    fn reload(&mut self, options: ServerOptions, endpoints: Vec<Change>) {
        self.options = options;
        if !matches!(self.stage, Stage::Running) {
            return; // nothing is received any more
        }
        for index in 0..self.sources.len() {
            let Some(source) = &mut self.sources[index] else { continue };
            let known = endpoints.iter().find(|change| change.continues(source.endpoint()));
            let new = known.map(|change| change.endpoint.clone());
            match (source, new) {
                (Source::Listener(listening), Some(endpoint)) => listening.endpoint = endpoint,
                (Source::Datagrams(datagrams), Some(endpoint)) => datagrams.endpoint = endpoint,
                (_, None) => self.remove(index),
            }
        }
        for Change { endpoint, socket, .. } in endpoints {
            // A token that is not valid any more is not accepted on old connections either.
            let ids: Vec<u64> = self
                .connections
                .iter()
                .flatten()
                .filter(|it| it.is_outdated(&endpoint))
                .map(|it| it.id)
                .collect();
            for id in ids {
                self.visit(id, Connection::retire);
            }
            if let Some(socket) = socket {
                let name = endpoint.name.clone();
                if let Err(error) = self.add_source(endpoint, socket) {
                    log::error!("{name}: nothing is received, since its socket cannot be watched: {error}");
                }
            }
        }
    }

    /// Stops receiving at a source, once the operating system's buffers are read.
    fn remove(&mut self, index: usize) {
        while self.accept(index) {}
        match &mut self.sources[index] {
            Some(Source::Datagrams(datagrams)) => datagrams.begin_drain(),
            source => *source = None,
        }
    }

    fn begin_drain(&mut self, grace: Duration, deadline: Duration) {
        let now = time::now();
        self.stage = Stage::Draining(Draining {
            grace: now.checked_add(grace),
            deadline: now.checked_add(deadline),
            stall: grace.max(STALL),
            progress: now,
            cut_off: 0,
        });
        // Monitoring continues until the end.
        for source in self.sources.iter_mut().flatten().filter(|source| !source.is_admin()) {
            match source {
                // Connections that the operating system has completed are accepted: the peers may have sent messages.
                Source::Listener(listening) => (listening.ready, listening.retry) = (true, None),
                Source::Datagrams(datagrams) => datagrams.begin_drain(),
            }
        }
        self.each(|connection, work| {
            if !connection.is_admin() {
                connection.begin_drain(work);
            }
        });
        self.inbox.report(|progress| progress.draining = true);
    }

    /// Performs the actions that are due at this time.
    fn tick(&mut self) {
        // Removed sources are gone once they are empty.
        for source in &mut self.sources {
            source.take_if(|source| matches!(source, Source::Datagrams(datagrams) if datagrams.is_drained()));
        }
        let now = time::now();
        if now < self.next_tick {
            return;
        }
        let drains = matches!(self.stage, Stage::Draining(_));
        self.next_tick = now + if drains { DRAIN_TICK } else { TICK };
        for source in self.sources.iter_mut().flatten() {
            if let Source::Listener(listening) = source {
                listening.retry.take_if(|retry| now >= *retry);
            }
        }
        if now >= self.next_drops {
            self.next_drops = now + DROPS_TICK;
            for source in self.sources.iter_mut().flatten() {
                if let Source::Datagrams(datagrams) = source {
                    datagrams.look_for_drops();
                }
            }
        }
        self.expire(now);
        if let Stage::Draining(draining) = self.stage {
            self.drain(draining, now);
        }
    }

    /// Closes connections whose time limit has passed, and refuses requests that have waited for too long.
    fn expire(&mut self, now: Instant) {
        let options = self.options.clone();
        let mut refused = Vec::new();
        for id in std::mem::take(&mut self.timed) {
            self.visit(id, |connection, work| {
                connection.timed = false;
                match connection.expired(now, &options) {
                    None => {}
                    Some(Expired::Full) => {
                        connection.refuse(work);
                        refused.push(id);
                    }
                    Some(Expired::Lingered | Expired::Gone) => connection.give_up(work),
                    Some(Expired::Quiet) => connection.pause(work),
                    Some(Expired::Unread) => {
                        add(&connection.endpoint.counters.closed_unread, 1);
                        connection.expel("it does not read its replies", work);
                    }
                }
            });
        }
        self.unblock_refused(refused);
    }

    /// Continues the drain.
    fn drain(&mut self, mut draining: Draining, now: Instant) {
        let late = draining.deadline.is_some_and(|deadline| now >= deadline);
        let over = late || draining.grace.is_some_and(|grace| now >= grace);
        let stalled = late || (over && !self.blocked.is_empty() && now - draining.progress >= draining.stall);
        if stalled {
            self.force_all();
        }
        for source in &mut self.sources {
            source.take_if(|source| match source {
                Source::Listener(_) if source.is_admin() => false,
                Source::Listener(listening) => over || !listening.ready,
                Source::Datagrams(datagrams) => over && !datagrams.has_pending(),
            });
        }
        for id in self.ids() {
            self.visit(id, |connection, work| {
                draining.cut_off += usize::from(connection.drain_on(now, over, stalled, work));
            });
        }
        let busy = |connection: &Connection| {
            !connection.is_admin() && (connection.is_open() || connection.has_pending())
        };
        let drained = self.sources.iter().flatten().all(Source::is_admin)
            && !self.connections.iter().flatten().any(|it| busy(it));
        if drained {
            self.stage = Stage::Drained;
            self.inbox.report(|progress| progress.drained = Some(draining.cut_off));
        } else if let Stage::Draining(stage) = &mut self.stage {
            stage.cut_off = draining.cut_off;
        }
    }

    /// Enqueues all waiting parcels beyond the capacity of the queue.
    fn force_all(&mut self) {
        while let Some(waiter) = self.unblock() {
            match waiter {
                Waiter::Connection(id) => self.visit(id, |connection, work| {
                    connection.force(work);
                    connection.waiting = None;
                }),
                Waiter::Datagrams(index) => {
                    if let Some(Some(Source::Datagrams(datagrams))) = self.sources.get_mut(index) {
                        datagrams.force(&self.shared.intake);
                        datagrams.waiting = None;
                    }
                }
            }
        }
    }

    /// Returns whether the loop has nothing more to do, and sets the number of peers whose replies are not written.
    fn is_over(&self, unwritten: &mut usize) -> bool {
        match self.stage {
            Stage::Stopped => true,
            Stage::Finishing(until) => {
                let mut others = self.connections.iter().flatten().filter(|it| !it.is_admin());
                *unwritten = others.clone().filter(|it| it.owes_replies()).count();
                others.next().is_none() || time::now() >= until
            }
            _ => false,
        }
    }
}

impl Source {
    fn endpoint(&self) -> &Arc<Endpoint> {
        match self {
            Source::Listener(listening) => &listening.endpoint,
            Source::Datagrams(datagrams) => &datagrams.endpoint,
        }
    }

    fn is_admin(&self) -> bool {
        self.endpoint().kind == ListenerKind::Admin
    }

    /// Returns whether accepting is to be retried.
    fn retries(&self) -> bool {
        matches!(self, Source::Listener(listening) if listening.retry.is_some())
    }
}

/// Returns the place of the connection with this number.
fn slot(id: u64) -> usize {
    usize::try_from(id & u64::from(u32::MAX)).expect("32 bits")
}

/// Returns why a connection that holds so many bytes, and has just grown, is to be closed, if so.
fn too_much(held: usize, shared: &Shared, options: &ServerOptions) -> Option<&'static str> {
    if held > options.max_buffered {
        return Some("it needs more memory than a connection may have");
    }
    let total = shared.counters.buffered().load(Ordering::Relaxed);
    (total > options.max_buffered_total as u64)
        .then_some("all connections together need more memory than they may have")
}
