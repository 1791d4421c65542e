//! The program's own HTTP interface: liveness, readiness and metrics.

use super::http::{Budget, Exchange, ExchangeOptions, Head, Response, Responses, Served, Service};
use super::interface::Io;
use crate::metrics::{CONTENT_TYPE, Metrics};

/// The longest body of a request, which is ignored.
const MAX_BODY: usize = 64 << 10;

/// A connection to the admin address.
pub(crate) type Admin = Exchange<Probes>;

impl Admin {
    pub(crate) fn new(metrics: Metrics) -> Self {
        // Bodies are not kept.
        let (budget, responses) = (Budget::new(MAX_BODY), Responses::default());
        let options = ExchangeOptions { max_body: MAX_BODY, budget, responses };
        Self::with_service(Probes { metrics }, options)
    }
}

/// The service that answers questions about the program.
#[derive(Debug)]
pub(crate) struct Probes {
    metrics: Metrics,
}

/// The subject of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Probe {
    Index,
    Health,
    Ready,
    Metrics,
}

impl Service for Probes {
    type Request = Probe;

    fn accept(&mut self, head: &Head<'_>) -> Result<Probe, Response> {
        let path = head.target.split('?').next().unwrap_or_default();
        let probe = match path {
            "/" => Probe::Index,
            "/health" => Probe::Health,
            "/ready" => Probe::Ready,
            "/metrics" => Probe::Metrics,
            _ => return Err(Response::refusal(404, "there are /health, /ready and /metrics")),
        };
        match head.method {
            "GET" | "HEAD" => Ok(probe),
            method => {
                let reason = format!("{method} is not allowed here: messages are sent to another address");
                Err(Response::refusal(405, reason).header("Allow", "GET, HEAD"))
            }
        }
    }

    fn serve(&mut self, probe: Probe, _body: &[u8], _ticket: u64, _io: &mut Io<'_>) -> Served {
        Served::Now(match probe {
            Probe::Index => Response::text(200, "/health, /ready, /metrics"),
            Probe::Health => Response::text(200, "alive"),
            Probe::Ready => match self.metrics.readiness() {
                Ok(()) => Response::text(200, "ready"),
                Err(reason) => Response::text(503, reason).header("Retry-After", "1"),
            },
            Probe::Metrics => Response::new(200, CONTENT_TYPE, self.metrics.text()),
        })
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the numbers are whole")]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::io;

    use super::super::http::{Http, HttpOptions};
    use super::super::testing::{Wire, line_options};
    use super::*;
    use crate::books::Books;
    use crate::intake::{Intake, Limits, WhenFull};
    use crate::message::Parcel;
    use crate::pipeline::{Pipeline, PipelineOptions};
    use crate::server::counters::Counters;
    use crate::sink::{Batch, RowOutcome, Sink, StoreError, Stored};
    use crate::writer::Unstored;

    /// A sink that refuses every third message.
    struct Picky;

    impl Sink for Picky {
        fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
            let refused = (0..batch.len()).step_by(3).map(|it| (it, RowOutcome::Refused("no".to_owned())));
            Ok(Stored { exceptions: refused.collect() })
        }

        fn sizes(&self) -> Vec<(&'static str, u64)> {
            vec![("database", 4096)]
        }

        fn close(self: Box<Self>) -> Result<(), StoreError> {
            Ok(())
        }
    }

    struct Nowhere;

    impl Unstored for Nowhere {
        fn add(&mut self, _parcels: &[&Parcel]) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn place(&self) -> String {
            "nowhere".to_owned()
        }
    }

    fn ask(metrics: &Metrics, request: &str) -> (u16, String) {
        let mut wire = Wire::new(Admin::new(metrics.clone()));
        wire.feed(format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        assert!(!wire.close);
        let answer = wire.written();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status"), body.to_owned())
    }

    /// Reads a text in the format of Prometheus, and checks it as `promtool check metrics` does. Returns the value of each sample.
    fn samples(text: &str) -> HashMap<String, f64> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let (mut samples, mut helps, mut kind) = (HashMap::new(), HashSet::new(), ("", ""));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a help text");
                assert!(is_name(name) && !help.is_empty(), "{line}");
                assert!(helps.insert(name.to_owned()), "{name} is described twice");
            } else if let Some(typed) = line.strip_prefix("# TYPE ") {
                kind = typed.split_once(' ').expect("a type");
                assert!(helps.contains(kind.0), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind.1), "{line}");
                assert_eq!(kind.0.ends_with("_total"), kind.1 == "counter", "{line}");
            } else {
                let (sample, value) = line.rsplit_once(' ').expect("a sample");
                let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
                let labels = labels.strip_suffix('}').expect("labels");
                assert!(
                    labels.is_empty()
                        || labels.split(',').all(|label| {
                            let (name, value) = label.split_once('=').expect("a label");
                            is_name(name)
                                && value.len() >= 2
                                && value.starts_with('"')
                                && value.ends_with('"')
                        }),
                    "{line}"
                );
                let expected = ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", kind.0));
                let fits = if kind.1 == "histogram" { &expected[1..] } else { &expected[..1] };
                assert!(fits.contains(&name.to_owned()), "{line} is not a sample of {kind:?}");
                let value: f64 = value.parse().expect("a number");
                assert!(samples.insert(sample.to_owned(), value).is_none(), "{line} is there twice");
            }
        }
        assert!(text.ends_with('\n'));
        samples
    }

    /// Returns the sum of the samples of a metric of a source.
    fn sum(samples: &HashMap<String, f64>, metric: &str, source: &str) -> f64 {
        let prefix = format!("raddle_{metric}{{source=\"{source}\"");
        samples.iter().filter(|(name, _)| name.starts_with(&prefix)).map(|(_, value)| value).sum()
    }

    #[test]
    fn metrics_balance_in_every_scrape() {
        let books = Books::new();
        let pipeline =
            Pipeline::start(Box::new(Picky), Box::new(Nowhere), books, &PipelineOptions::default()).unwrap();
        let intake = pipeline.intake().clone();
        let metrics = Metrics::new(intake.clone(), Counters::new());
        let (tcp, odd) = (intake.books().open("tcp"), intake.books().open("a \"b\\"));
        let sender = raddle::Thread::new(move || {
            for number in 0..3000 {
                let source = if number % 3 == 0 { odd } else { tcp };
                let mut parcel = Parcel::new(source, "peer".into(), std::time::UNIX_EPOCH);
                (0..=number % 7).for_each(|_| parcel.push_text("text"));
                if number % 5 == 0 {
                    intake.shed(&parcel);
                } else {
                    intake.put(parcel).unwrap();
                }
            }
        });
        let sender = sender.start().unwrap();
        let mut last = 0.0;
        while last < 12_000.0 {
            assert!(!pipeline.is_finished());
            let (status, text) = ask(&metrics, "GET /metrics");
            assert_eq!(status, 200);
            let samples = samples(&text);
            let total: f64 = ["tcp", "a \\\"b\\\\"]
                .iter()
                .map(|source| {
                    let of = |metric| sum(&samples, metric, source);
                    let received = of("messages_received_total");
                    assert_eq!(
                        received,
                        of("messages_total") + of("queue_messages") + of("in_flight_messages"),
                        "{text}"
                    );
                    received
                })
                .sum();
            assert!(total >= last, "counters only grow");
            assert_eq!(samples["raddle_messages_total{source=\"tcp\",outcome=\"lost\"}"], 0.0);
            last = total;
            if sender.is_finished() {
                break;
            }
        }
        sender.join().unwrap();
        let outcome = pipeline.finish(std::time::Duration::from_mins(1));
        assert_eq!(outcome.account.lost(), 0);
        let samples = samples(&metrics.text());
        let (stored, refused) = (outcome.account.stored, outcome.account.rejected);
        assert!(stored > refused && refused > 0, "{outcome:?}");
        #[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
        let committed = (stored + refused) as f64;
        assert_eq!(samples["raddle_batch_messages_sum"], committed);
        assert_eq!(
            samples["raddle_batch_messages_bucket{le=\"+Inf\"}"],
            samples["raddle_commit_seconds_count"]
        );
        assert_eq!(samples["raddle_queue_limit_messages"], 20_000.0);
        assert_eq!(samples["raddle_sink_bytes{part=\"database\"}"], 4096.0);
    }

    #[test]
    fn metrics_are_documented() {
        let intake = Intake::new(Limits::default(), WhenFull::Block, Books::new());
        intake.books().open("http");
        intake.status().set_sizes(vec![("database", 1)]);
        let counters = Counters::new();
        let mut wire = Wire::new(Http::new(HttpOptions {
            responses: counters.source(&"http".into()).responses.clone(),
            ..HttpOptions::new(line_options())
        }));
        wire.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let text = Metrics::new(intake, counters).text();
        let described: HashSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let table = include_str!("../../INTERFACES.md").split("| metric |").nth(1).expect("a table");
        let cells = table.lines().filter_map(|line| line.split('|').nth(1));
        let documented: HashSet<&str> =
            cells.flat_map(|cell| cell.split('`')).filter(|name| name.starts_with("raddle_")).collect();
        let difference: Vec<_> = described.symmetric_difference(&documented).collect();
        assert!(difference.is_empty(), "{difference:?}");
    }

    #[test]
    fn readiness_has_a_reason() {
        let books = Books::new();
        let pipeline =
            Pipeline::start(Box::new(Picky), Box::new(Nowhere), books, &PipelineOptions::default()).unwrap();
        let intake = pipeline.intake().clone();
        let metrics = Metrics::new(intake.clone(), Counters::new());
        assert_eq!(ask(&metrics, "GET /ready?verbose"), (200, "ready\n".to_owned()));
        intake.status().failed("the disk is full");
        let unready = (503, "messages cannot be stored: the disk is full\n".to_owned());
        assert_eq!(ask(&metrics, "GET /ready"), unready);
        assert_eq!(samples(&metrics.text())["raddle_sink_up"], 0.0);
        intake.status().stored(1, std::time::Duration::ZERO);
        assert_eq!(ask(&metrics, "GET /ready").0, 200);
        assert!(pipeline.finish(std::time::Duration::from_mins(1)).is_good());
        assert!(ask(&metrics, "GET /ready").1.contains("the writer has terminated"));
        intake.status().set_draining();
        assert_eq!(ask(&metrics, "GET /ready"), (503, "the program is stopping\n".to_owned()));
        assert_eq!(ask(&metrics, "GET /health"), (200, "alive\n".to_owned()));
    }

    #[test]
    fn other_requests_are_refused() {
        let metrics =
            Metrics::new(Intake::new(Limits::default(), WhenFull::Block, Books::new()), Counters::new());
        assert_eq!(ask(&metrics, "GET /").0, 200);
        assert_eq!(ask(&metrics, "HEAD /health"), (200, String::new()));
        assert_eq!(ask(&metrics, "GET /metric").0, 404);
        assert_eq!(ask(&metrics, "DELETE /metrics").0, 405);
    }
}
