//! What the connections of a listener share, and what all parts of a server share.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::books::SourceId;
use crate::intake::Intake;
use crate::protocol::interface::Protocol;
use crate::protocol::lines::{LineOptions, Lines};
use crate::server::counters::{Counters, SourceCounters};
use crate::server::limits::Places;
use crate::server::listener::{Listener, ListenerKind, ListenerOptions};

/// A listener, as its connections know it. Connections keep the options with which they began.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) name: Arc<str>,
    pub(super) kind: ListenerKind,
    pub(super) source: SourceId,
    pub(super) options: ListenerOptions,
    pub(super) counters: Arc<SourceCounters>,
    /// The address that was asked for, and that which it has.
    pub(super) requested: Option<SocketAddr>,
    pub(super) actual: SocketAddr,
}

impl Endpoint {
    /// Returns whether this is the same listener, perhaps with other options.
    pub(super) fn is_same(&self, other: &Endpoint) -> bool {
        self.name == other.name && self.kind == other.kind && self.actual == other.actual
    }

    /// Returns whether a listener is this one.
    pub(super) fn is_listener(&self, listener: &Listener) -> bool {
        let address = listener.address();
        self.name == listener.name
            && self.kind == listener.kind
            && (address == self.requested || address == Some(self.actual))
    }

    /// Returns the settings of messages.
    pub(super) fn lines(&self) -> LineOptions {
        LineOptions { max_message: self.options.max_message, zone: self.options.zone.clone() }
    }

    /// Creates the protocol of a connection.
    pub(super) fn protocol(&self) -> Box<dyn Protocol> {
        Box::new(Lines::new(self.lines()))
    }
}

/// What all parts of a server share.
pub(super) struct Shared {
    pub(super) intake: Intake,
    pub(super) counters: Counters,
    pub(super) places: Places,
}
