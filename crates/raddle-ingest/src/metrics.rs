//! The metrics of the program, in the text format of Prometheus.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::books::Account;
use crate::intake::Intake;
use crate::server::counters::{Counters, SourceCounts};

/// The type of the text.
pub(crate) const CONTENT_TYPE: &str = prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// The metrics of a pipeline and of the server that feeds it. Clones share them.
///
/// All counts of messages are from one moment: in every text,
/// `raddle_messages_received_total` is the sum of `raddle_messages_total` over all outcomes, `raddle_queue_messages` and
/// `raddle_in_flight_messages`. The outcome `lost` is zero unless the writer has failed.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use raddle_ingest::{Books, Counters, MemorySink, Metrics, Pipeline, PipelineOptions, UnstoredFile};
///
/// let books = Books::new();
/// let unstored = UnstoredFile::beside(std::env::temp_dir().join("letters.db"), &books);
/// let options = PipelineOptions::default();
/// let pipeline = Pipeline::start(Box::new(MemorySink::new()), Box::new(unstored), books, &options)?;
/// let metrics = Metrics::new(pipeline.intake().clone(), Counters::new());
/// assert!(metrics.text().contains("raddle_queue_bytes 0"));
/// assert_eq!(metrics.readiness(), Ok(()));
///
/// pipeline.finish(Duration::from_secs(1));
/// assert!(metrics.readiness().is_err()); // no message can be stored any more
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Metrics {
    intake: Intake,
    counters: Counters,
}

impl Metrics {
    /// Creates the metrics of a pipeline and a server.
    pub fn new(intake: Intake, counters: Counters) -> Self {
        Self { intake, counters }
    }

    /// Returns the metrics in the text format of Prometheus, version 0.0.4.
    pub fn text(&self) -> String {
        let mut registry = Registry::with_prefix("raddle");
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        let encoded = encode(&mut text, &registry);
        debug_assert!(encoded.is_ok(), "memory can be written");
        text
    }

    /// Checks whether the program can store messages.
    ///
    /// # Errors
    /// Returns the reason if it cannot.
    pub fn readiness(&self) -> Result<(), String> {
        let status = self.intake.status();
        if status.is_draining() {
            return Err("the program is stopping".to_owned());
        }
        if self.intake.is_closed() {
            return Err("the queue is closed: the writer has terminated".to_owned());
        }
        match status.failure() {
            Some(reason) => Err(format!("messages cannot be stored: {reason}")),
            None => Ok(()),
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut text = Text(encoder);
        self.messages(&mut text)?;
        self.queue(&mut text)?;
        self.connections(&mut text)?;
        self.sink(&mut text)?;
        text.gauge("build_info", "The version of the program", 1.0, &[("version", env!("CARGO_PKG_VERSION"))])
    }
}

/// A name and a help text, and the values of a metric by source.
type PerSource<'a> = (&'a str, &'a str, fn(&SourceCounts) -> u64);

impl Metrics {
    fn messages(&self, text: &mut Text<'_>) -> fmt::Result {
        let accounts = self.intake.books().accounts();
        let of = |value: fn(&Account) -> u64| {
            accounts.iter().map(move |(source, account)| ([("source", source.clone())], value(account)))
        };
        text.counters("messages_received", "Messages received", of(|it| it.received))?;
        let outcomes = accounts.iter().flat_map(|(source, account)| {
            let outcomes = [
                ("stored", account.stored),
                ("rejected", account.rejected),
                ("duplicate", account.duplicate),
                ("shed", account.shed),
                ("unstored", account.unstored),
                ("lost", account.lost()),
            ];
            outcomes.map(|(name, count)| ([("source", source.clone()), ("outcome", name.into())], count))
        });
        text.counters("messages", "Messages by what became of them", outcomes)?;
        text.gauges("queue_messages", "Messages in the queue", of(|it| it.queued))?;
        text.gauges("in_flight_messages", "Messages that the writer is storing", of(|it| it.in_flight))
    }

    fn queue(&self, text: &mut Text<'_>) -> fmt::Result {
        let limits = self.intake.limits();
        text.number("queue_bytes", "Bytes of the messages in the queue", self.intake.queued_bytes() as u64)?;
        text.number(
            "queue_limit_messages",
            "Maximum number of messages in the queue",
            limits.messages as u64,
        )?;
        text.number("queue_limit_bytes", "Maximum number of bytes in the queue", limits.bytes as u64)
    }

    fn connections(&self, text: &mut Text<'_>) -> fmt::Result {
        let counts = self.counters.counts();
        let buffered = "Bytes in memory for all connections, before they are in the queue";
        text.number("buffered_bytes", buffered, counts.buffered)?;
        let waiting = "Connections and datagram sockets that are not read, since the queue is full";
        text.number("waiting_connections", waiting, counts.waiting)?;
        let of = |value: fn(&SourceCounts) -> u64| {
            counts.sources.iter().map(move |(source, counts)| ([("source", source.clone())], value(counts)))
        };
        text.gauges("connections", "Open connections", of(|it| it.open))?;
        text.gauges(
            "kernel_receive_buffer_bytes",
            "Bytes that the operating system buffers for datagrams",
            of(|it| it.receive_buffer),
        )?;
        let counters: [PerSource<'_>; 6] = [
            ("connections_accepted", "Connections accepted", |it| it.accepted),
            ("connections_refused", "Connections refused, since there were too many", |it| it.refused),
            ("received_bytes", "Bytes read", |it| it.bytes),
            ("doubtful_frames", "Lines that may have been meant as octet-counted frames", |it| it.doubtful),
            ("datagrams", "Datagrams read", |it| it.datagrams),
            (
                "kernel_drops",
                "Datagrams that the operating system dropped, since its buffer was full",
                |it| it.dropped,
            ),
        ];
        for (name, help, value) in counters {
            text.counters(name, help, of(value))?;
        }
        let responses = self.counters.responses();
        let responses = responses.iter().flat_map(|(source, responses)| {
            let counts = responses.counts().filter(|(_, count)| *count > 0);
            counts.map(|(status, count)| {
                ([("source", source.clone()), ("status", status.to_string().into())], count)
            })
        });
        text.counters("http_responses", "Responses to HTTP requests, but for the admin address", responses)?;
        let closed = counts.sources.iter().flat_map(|(source, counts)| {
            let reasons = [("memory", counts.closed_for_memory), ("unread", counts.closed_unread)];
            reasons.map(|(reason, count)| ([("source", source.clone()), ("reason", reason.into())], count))
        });
        let help = "Connections closed, since they needed too much memory, or did not read their replies";
        text.counters("connections_closed", help, closed)
    }

    fn sink(&self, text: &mut Text<'_>) -> fmt::Result {
        let status = self.intake.status();
        let works = u64::from(status.failure().is_none());
        text.number("sink_up", "Whether the last batch was stored", works)?;
        text.number("draining", "Whether the program is stopping", u64::from(status.is_draining()))?;
        text.counters(
            "sink_errors",
            "Failed attempts to store a batch",
            [([("sink", "main")], status.errors())],
        )?;
        let sizes = status.sizes().into_iter().map(|(part, size)| ([("part", part)], size));
        text.gauges("sink_bytes", "Bytes on disk of the parts of the sink", sizes)?;
        text.metric("batch_messages", "Messages per stored batch", status.batch_messages())?;
        text.metric("commit_seconds", "Seconds that it took to store a batch", status.commit_seconds())
    }
}

/// Writes metrics.
struct Text<'a>(DescriptorEncoder<'a>);

impl Text<'_> {
    fn metric(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.metric_type())?)
    }

    fn number(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.metric(name, help, &ConstGauge::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64, labels: &[(&str, &str)]) -> fmt::Result {
        let metric = ConstGauge::new(value);
        let mut encoder = self.0.encode_descriptor(name, help, None, metric.metric_type())?;
        metric.encode(encoder.encode_family(&labels)?)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        self.family(name, help, values.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value))))
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        self.family(name, help, values.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    /// Writes a metric with a value for each set of labels; nothing if there are none.
    fn family<L: EncodeLabelSet, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, M)>,
    ) -> fmt::Result {
        let mut values = values.peekable();
        let Some((_, first)) = values.peek() else { return Ok(()) };
        let mut encoder = self.0.encode_descriptor(name, help, None, first.metric_type())?;
        for (labels, value) in values {
            value.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
