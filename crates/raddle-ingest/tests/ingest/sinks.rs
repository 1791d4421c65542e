//! Sinks that are slow, fail, or break, and what becomes of the messages.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use raddle::{Event, Mutex, Semaphore};
use raddle_ingest::old::{Arrival, Burst, PipelineOptions, Sink, StoreError, TcpOptions};

use crate::support::{Running, Scratch, all_texts, send, until, within_limit};

/// A sink that remembers, and does what the test says.
#[derive(Clone, Default)]
struct Double(Arc<State>);

struct State {
    stored: Mutex<Vec<Arrival>>,
    /// A permit a batch, if the sink is `slow`.
    permits: Semaphore,
    slow: AtomicBool,
    /// Whether every try fails.
    broken: AtomicBool,
    /// Tries that fail after that before one succeeds.
    failures: AtomicU64,
    tries: AtomicU64,
    closed: Event,
}

impl Default for State {
    fn default() -> Self {
        Self {
            stored: Mutex::new(Vec::new()),
            permits: Semaphore::new(0),
            slow: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            tries: AtomicU64::new(0),
            closed: Event::new(),
        }
    }
}

impl Double {
    fn failing(failures: u64) -> Self {
        let double = Self::default();
        double.0.failures.store(failures, Ordering::SeqCst);
        double
    }

    fn broken() -> Self {
        let double = Self::default();
        double.0.broken.store(true, Ordering::SeqCst);
        double
    }

    fn slow() -> Self {
        let double = Self::default();
        double.0.slow.store(true, Ordering::SeqCst);
        double
    }

    fn stored(&self) -> Vec<Arrival> {
        self.0.stored.lock().clone()
    }
}

impl Sink for Double {
    fn store(&mut self, batch: &[Arrival]) -> Result<(), StoreError> {
        self.0.tries.fetch_add(1, Ordering::SeqCst);
        if self.0.slow.load(Ordering::SeqCst) {
            self.0.permits.acquire().forget();
        }
        let fails = |left: u64| left.checked_sub(1);
        if self.0.broken.load(Ordering::SeqCst)
            || self.0.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok()
        {
            return Err(StoreError::new("no more room"));
        }
        self.0.stored.lock().extend_from_slice(batch);
        Ok(())
    }

    fn close(self) -> Result<(), StoreError> {
        self.0.closed.set();
        Ok(())
    }
}

fn start(sink: impl Sink, options: &PipelineOptions) -> Running {
    Running::new(TcpOptions::default(), sink, options)
}

fn small_queue(spill: &Path) -> PipelineOptions {
    PipelineOptions { queue: 100, batch: 10, spill: spill.to_owned(), ..PipelineOptions::default() }
}

/// One connection, so that the order of its messages is the order in the sink.
fn burst(messages: u64) -> Burst {
    Burst { messages, connections: 1, ..Burst::default() }
}

fn sent(burst: &Burst) -> Vec<String> {
    (1..=burst.messages).map(|message| burst.text(1, message)).collect()
}

#[test]
fn slow_sink_slows_the_peers_down_and_drops_nothing() {
    within_limit(|| {
        let scratch = Scratch::new("slow");
        let sink = Double::slow();
        let running = start(sink.clone(), &small_queue(&scratch.path("spill")));
        let burst = burst(2000);
        let lines = sent(&burst).join("\n");
        running.send(lines.as_bytes());
        // A batch in the writer's hands, one on its way, and the queue full: then nothing moves any more.
        until(|| running.pipeline.progress().queued == 100);
        assert_eq!(sink.stored().len(), 0);
        for _ in 0..20 {
            sink.0.permits.release();
        }
        until(|| sink.0.tries.load(Ordering::SeqCst) == 21 && running.pipeline.progress().queued == 100);
        let stored = sink.stored().len();
        assert!((20..=200).contains(&stored), "twenty batches had {stored} messages");
        sink.0.slow.store(false, Ordering::SeqCst);
        sink.0.permits.release();
        let account = running.stop_well();
        assert_eq!(account.to_string(), "received 2000 = stored 2000 + rejected 0");
        assert_eq!(all_texts(&sink.stored()), sent(&burst));
        assert!(sink.0.closed.is_set());
    });
}

#[test]
fn peer_that_closed_in_time_is_read_to_the_end() {
    within_limit(|| {
        let sink = Double::slow();
        let tcp = TcpOptions { grace: Duration::ZERO, ..TcpOptions::default() };
        let options = PipelineOptions { queue: 1, batch: 1, ..PipelineOptions::default() };
        let running = Running::new(tcp, sink.clone(), &options);
        running.send(b"one\ntwo\nthree\nlast");
        // The connection waits for room in the queue, and has not seen yet that it was closed.
        until(|| sink.0.tries.load(Ordering::SeqCst) == 1 && running.pipeline.progress().queued == 1);
        running.stop.set();
        sink.0.slow.store(false, Ordering::SeqCst);
        sink.0.permits.release();
        assert_eq!(running.stop_well().to_string(), "received 4 = stored 4 + rejected 0");
        assert_eq!(all_texts(&sink.stored()), ["one", "two", "three", "last"]);
    });
}

/// As many lines as the operating system takes from a peer that nobody reads, which then closes.
fn left_behind(running: &Running) -> u64 {
    let mut peer = running.connect();
    peer.set_nonblocking(true).unwrap();
    let lines = format!("{:.<500}\n", "a line that is left to the operating system ").repeat(1000);
    let mut bytes = 0;
    while let Ok(written) = peer.write(&lines.as_bytes()[bytes % lines.len()..]) {
        bytes += written;
    }
    (bytes as u64).div_ceil(lines.len() as u64 / 1000)
}

#[test]
fn backlog_of_closed_connections_is_read_completely() {
    within_limit(|| {
        let scratch = Scratch::new("backlog");
        let sink = Double::slow();
        let running = start(sink.clone(), &small_queue(&scratch.path("spill")));
        let lines: u64 = (0..8).map(|_| left_behind(&running)).sum();
        assert!(lines > 2000, "{lines}");
        until(|| running.pipeline.progress().queued == 100);
        running.stop.set();
        // For a good while after the stop nothing moves at all: that is not the peers' silence.
        raddle::thread::sleep(Duration::from_millis(700));
        sink.0.slow.store(false, Ordering::SeqCst);
        sink.0.permits.release();
        let account = running.stop_well();
        assert_eq!((account.received, account.stored), (lines, lines), "{account}");
    });
}

#[test]
fn failing_sink_gets_the_same_batch_until_it_succeeds() {
    within_limit(|| {
        let scratch = Scratch::new("failing");
        let sink = Double::failing(4);
        let running = start(sink.clone(), &small_queue(&scratch.path("spill")));
        let burst = burst(500);
        send(&burst, running.address).unwrap();
        until(|| running.pipeline.progress().account.stored == 500);
        assert_eq!(running.stop_well().to_string(), "received 500 = stored 500 + rejected 0");
        assert_eq!(all_texts(&sink.stored()), sent(&burst));
        assert!(scratch.names().is_empty(), "nothing was spilled");
    });
}

#[test]
fn sink_that_recovers_after_the_stop_stores_everything() {
    within_limit(|| {
        let scratch = Scratch::new("late");
        let sink = Double::broken();
        let running = start(sink.clone(), &small_queue(&scratch.path("spill")));
        running.send(b"one\ntwo\n");
        until(|| sink.0.tries.load(Ordering::SeqCst) > 2);
        // Whether the stop comes before the repair or after: three more failures are not too many.
        sink.0.failures.store(3, Ordering::SeqCst);
        sink.0.broken.store(false, Ordering::SeqCst);
        assert_eq!(running.stop_well().stored, 2);
        assert_eq!(all_texts(&sink.stored()), ["one", "two"]);
    });
}

#[test]
fn messages_of_a_failing_sink_are_spilled_and_counted() {
    within_limit(|| {
        let scratch = Scratch::new("never");
        let spill = scratch.path("messages.db.unstored");
        let sink = Double::broken();
        let running = start(sink.clone(), &small_queue(&spill));
        // More than the queue holds: some of it waits in the connection, some in the operating system.
        let lines: Vec<String> = (0..1000).map(|number| format!("\"{number}\\\té")).collect();
        running.send(lines.join("\n").as_bytes());
        running.send(b"b\xffd\n");
        until(|| running.pipeline.progress().queued == 100);
        let outcome = running.stop();
        assert_eq!(outcome.account.to_string(), "received 1001 = stored 0 + rejected 0 + unstored 1001");
        assert!(!outcome.is_good());
        let [problem] = &outcome.problems[..] else { panic!("{outcome:?}") };
        assert!(problem.starts_with("1001 messages could not be stored and were written to "), "{problem}");
        assert!(sink.stored().is_empty());

        let text = std::fs::read_to_string(&spill).unwrap();
        let texts: Vec<&str> = text.lines().filter(|line| line.contains("\"text\"")).collect();
        assert_eq!(texts.len(), 1000);
        for (number, line) in texts.into_iter().enumerate() {
            assert!(line.starts_with("{\"received\":") && line.contains(",\"peer\":\"127.0.0.1:"), "{line}");
            assert!(line.ends_with(&format!(",\"text\":\"\\\"{number}\\\\\\u0009é\"}}")), "{line}");
        }
        let bad = text.lines().find(|line| !line.contains("\"text\"")).unwrap();
        assert!(bad.ends_with(",\"reason\":\"not UTF-8\",\"length\":3,\"bytes\":\"62ff64\"}"), "{bad}");
    });
}

#[test]
fn unwritable_spill_file_is_replaced_by_a_temporary_file() {
    within_limit(|| {
        let scratch = Scratch::new("nowhere");
        let sink = Double::broken();
        let name = format!("raddle-test-{}", std::process::id());
        let running = start(sink, &small_queue(&scratch.path("no such directory").join(&name)));
        running.send(b"one\n");
        until(|| running.received() == 1);
        let outcome = running.stop();
        let place = std::env::temp_dir().join(format!("{name}.{}", std::process::id()));
        let text = std::fs::read_to_string(&place).unwrap();
        std::fs::remove_file(&place).unwrap();
        assert_eq!(outcome.account.unstored, 1);
        assert!(outcome.problems[0].contains(&*place.to_string_lossy()), "{outcome:?}");
        assert_eq!(text.lines().count(), 1);
    });
}

/// A sink with a mistake in it.
struct Broken;

impl Sink for Broken {
    fn store(&mut self, _: &[Arrival]) -> Result<(), StoreError> {
        panic!("a mistake in the sink")
    }

    fn close(self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn panic_of_a_sink_ends_the_pipeline_and_the_loss_is_reported() {
    within_limit(|| {
        let running = start(Broken, &PipelineOptions { queue: 2, ..PipelineOptions::default() });
        running.send(b"one\ntwo\nthree\nfour\nfive\nsix\n");
        // Nobody sets the event: the writer's end does.
        until(|| running.pipeline.progress().stopping);
        let outcome = running.stop();
        assert!(!outcome.is_good() && outcome.account.stored == 0, "{outcome:?}");
        assert_eq!(outcome.account.lost(), outcome.account.received);
        assert!(outcome.problems[0].contains("a mistake in the sink"), "{outcome:?}");
    });
}

#[test]
fn defaults_are_as_documented() {
    let options = PipelineOptions::default();
    assert_eq!((options.queue, options.batch, options.linger), (10_000, 1_000, Duration::from_millis(20)));
    let tcp = TcpOptions::default();
    assert_eq!((tcp.max_message, tcp.max_connections, tcp.grace), (64 << 10, 1_000, Duration::from_secs(10)));
}
