//! The state that the connections of a listener share, and the state that all parts of a server share.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use raddle::Mutex;

use crate::books::SourceId;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::protocol::admin::Admin;
use crate::protocol::http::{Budget, Http, HttpOptions};
use crate::protocol::interface::Protocol;
use crate::protocol::lines::LineOptions;
use crate::protocol::proxy::Proxied;
use crate::protocol::recognise::{Recognise, RecognitionOptions};
use crate::protocol::relp::{Relp, RelpOptions};
use crate::server::counters::{Counters, SourceCounters};
use crate::server::limits::{Places, Seldom};
use crate::server::listener::{Listener, ListenerKind, ListenerOptions};

/// The listener of a connection. Connections keep the options with which they began.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) name: Arc<str>,
    pub(super) kind: ListenerKind,
    pub(super) source: SourceId,
    pub(super) options: ListenerOptions,
    pub(super) counters: Arc<SourceCounters>,
    /// The requested address, and the actual one.
    pub(super) requested: Option<SocketAddr>,
    pub(super) actual: SocketAddr,
    /// The settings for recognising the protocol, which all connections share.
    pub(super) recognition: OnceLock<Arc<RecognitionOptions>>,
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

    /// Returns whether a listener with another name or kind may continue to use the socket of this one.
    pub(super) fn has_socket_for(&self, listener: &Listener) -> bool {
        self.has_datagrams() == (listener.kind == ListenerKind::Udp)
            && listener.address() == Some(self.actual)
    }

    /// Returns whether the other listener has the same address, perhaps after a reload that has changed its name.
    pub(super) fn is_at(&self, other: &Endpoint) -> bool {
        self.has_datagrams() == other.has_datagrams() && self.actual == other.actual
    }

    fn has_datagrams(&self) -> bool {
        self.kind == ListenerKind::Udp
    }

    /// Returns the same listener with other options.
    pub(super) fn with(&self, options: ListenerOptions) -> Self {
        Self { options, recognition: OnceLock::new(), ..self.clone() }
    }

    /// Returns the settings of messages.
    pub(super) fn lines(&self) -> LineOptions {
        LineOptions { max_message: self.options.max_message, zone: self.options.zone.clone() }
    }

    /// Creates the protocol of a connection.
    pub(super) fn protocol(&self, shared: &Shared) -> Box<dyn Protocol> {
        let protocol: Box<dyn Protocol> = match self.kind {
            ListenerKind::Tcp | ListenerKind::Udp => Box::new(Recognise::new(self.recognition(shared))),
            ListenerKind::Relp => Box::new(Relp::new(self.relp(shared))),
            ListenerKind::Http => Box::new(Http::new(self.http(shared))),
            ListenerKind::Admin => Box::new(Admin::new(shared.metrics())),
        };
        if self.options.proxy { Box::new(Proxied::new(protocol)) } else { protocol }
    }

    /// Returns the settings for recognising the protocol.
    fn recognition(&self, shared: &Shared) -> Arc<RecognitionOptions> {
        let create = || {
            Arc::new(RecognitionOptions {
                lines: self.lines(),
                relp: self.relp(shared),
                http: self.http(shared),
            })
        };
        self.recognition.get_or_init(create).clone()
    }

    /// Returns the settings of RELP sessions.
    fn relp(&self, shared: &Shared) -> RelpOptions {
        RelpOptions { lines: self.lines(), parcel: shared.intake.limits().grain() }
    }

    /// Returns the settings of HTTP connections.
    fn http(&self, shared: &Shared) -> HttpOptions {
        let defaults = HttpOptions::new(self.lines());
        HttpOptions {
            max_body: self.options.max_body,
            // A request that is larger than the queue would be refused while anything is in it.
            max_messages: defaults.max_messages.min(shared.intake.limits().messages),
            token: self.options.token.as_deref().map(Arc::from),
            budget: shared.bodies.clone(),
            responses: self.counters.responses.clone(),
            ..defaults
        }
    }
}

/// The state that all parts of a server share.
pub(super) struct Shared {
    pub(super) intake: Intake,
    pub(super) counters: Counters,
    pub(super) places: Places,
    /// Limits how often closed connections are logged.
    pub(super) expulsions: Mutex<Seldom>,
    /// Limits how often doubtful lines are logged.
    pub(super) doubts: Mutex<Seldom>,
    /// The bound on the bodies of HTTP requests.
    pub(super) bodies: Budget,
}

impl Shared {
    /// Returns the metrics.
    pub(super) fn metrics(&self) -> Metrics {
        Metrics::new(self.intake.clone(), self.counters.clone())
    }
}
