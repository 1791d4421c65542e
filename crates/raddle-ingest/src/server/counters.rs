//! Counters of the server: connections, bytes and datagrams, per source.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raddle::Mutex;

use crate::protocol::http::Responses;

/// The counters of a [`Server`](crate::Server). Clones share them.
#[derive(Clone, Default)]
pub struct Counters(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sources: Mutex<Vec<Arc<SourceCounters>>>,
    buffered: AtomicU64,
    waiting: AtomicU64,
    polls: AtomicU64,
}

/// The counters of all sources, read one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Bytes that are kept in memory for all connections: unfinished messages, replies that are not written yet, and messages that wait
    /// for room in the queue.
    pub buffered: u64,
    /// Connections and datagram sockets that are not read, since the queue is full.
    pub waiting: u64,
    /// How often the threads of the server have looked for events. A server whose peers are idle seldom looks.
    pub polls: u64,
    /// The counters of each source.
    pub sources: Vec<(Arc<str>, SourceCounts)>,
}

/// The counters of a source. All but `open` and `receive_buffer` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceCounts {
    /// Connections that are open at present.
    pub open: u64,
    /// Connections accepted, without those refused.
    pub accepted: u64,
    /// Connections refused, since there were too many in total or of one peer.
    pub refused: u64,
    /// Connections closed, since they needed too much memory.
    pub closed_for_memory: u64,
    /// Connections closed, since the peer did not read its replies.
    pub closed_unread: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Lines that may have been meant as octet-counted frames.
    pub doubtful: u64,
    /// Datagrams read.
    pub datagrams: u64,
    /// Datagrams that the operating system dropped, since its buffer was full. It reports the number with the next
    /// datagram.
    pub dropped: u64,
    /// Bytes that the operating system buffers for datagrams.
    pub receive_buffer: u64,
}

/// The counters of a source, while they are counted.
#[derive(Default)]
pub(crate) struct SourceCounters {
    name: Arc<str>,
    pub(crate) open: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) closed_for_memory: AtomicU64,
    pub(crate) closed_unread: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) doubtful: AtomicU64,
    pub(crate) datagrams: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) receive_buffer: AtomicU64,
    pub(crate) responses: Responses,
}

impl SourceCounters {
    fn read(&self) -> SourceCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SourceCounts {
            open: read(&self.open),
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            closed_for_memory: read(&self.closed_for_memory),
            closed_unread: read(&self.closed_unread),
            bytes: read(&self.bytes),
            doubtful: read(&self.doubtful),
            datagrams: read(&self.datagrams),
            dropped: read(&self.dropped),
            receive_buffer: read(&self.receive_buffer),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// Subtracts from a counter of present things.
pub(crate) fn subtract(counter: &AtomicU64, count: u64) {
    counter.fetch_sub(count, Ordering::Relaxed);
}

impl Counters {
    /// Creates counters without sources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the present counts.
    pub fn counts(&self) -> Counts {
        let sources = self.0.sources.lock().clone();
        Counts {
            buffered: self.0.buffered.load(Ordering::Relaxed),
            waiting: self.0.waiting.load(Ordering::Relaxed),
            polls: self.0.polls.load(Ordering::Relaxed),
            sources: sources.iter().map(|source| (source.name.clone(), source.read())).collect(),
        }
    }

    /// Returns the numbers of responses of each source to HTTP requests.
    pub(crate) fn responses(&self) -> Vec<(Arc<str>, Responses)> {
        let sources = self.0.sources.lock();
        sources.iter().map(|source| (source.name.clone(), source.responses.clone())).collect()
    }

    /// Returns the counters of the source of this name, which are created if there are none.
    pub(crate) fn source(&self, name: &Arc<str>) -> Arc<SourceCounters> {
        let mut sources = self.0.sources.lock();
        if let Some(known) = sources.iter().find(|source| source.name == *name) {
            return known.clone();
        }
        let source = Arc::new(SourceCounters { name: name.clone(), ..SourceCounters::default() });
        sources.push(source.clone());
        source
    }

    pub(crate) fn buffered(&self) -> &AtomicU64 {
        &self.0.buffered
    }

    pub(crate) fn waiting(&self) -> &AtomicU64 {
        &self.0.waiting
    }

    pub(crate) fn polls(&self) -> &AtomicU64 {
        &self.0.polls
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}
