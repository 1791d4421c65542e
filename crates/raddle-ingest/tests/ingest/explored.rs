//! The pipeline under every schedule, with sources and sinks in memory: the queue, the writer, acknowledgements, the stop, reloads, and
//! sinks that fail.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use raddle::{Event, Mutex, Thread};
use raddle_explore::{Explorer, Outcome, Time};
use raddle_ingest::{
    Account, Acknowledge, Batch, Books, Content, Failure, Intake, Limits, Parcel, Pipeline, PipelineOptions,
    Reason, Receipt, RoomListener, RowOutcome, Settlement, Sink, SourceId, StoreError, Stored, Unstored,
    WhenFull,
};

use crate::support::LIMIT;

/// A timeout expires only when no other step is possible, since these tests are not about the writer's maintenance.
fn explorer() -> Explorer {
    Explorer::new().time(Time::Quiescent).max_executions(200_000).max_time(LIMIT)
}

/// The treatment of the next batches by a [`MemorySink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Stores the batch.
    Store,
    /// Fails: the database is unavailable.
    Fail,
    /// Refuses each message of this text, and stores the others.
    Refuse(&'static str),
    /// Reports that the batch is stored, and stores it only with the next one: a sink that violates its contract.
    StoreLater,
    /// Panics.
    Panic,
}

/// The texts that are stored.
type Committed = Arc<Mutex<Vec<String>>>;

/// A sink in memory, which follows its script, and stores every further batch.
struct MemorySink {
    committed: Committed,
    script: VecDeque<Next>,
    delayed: Vec<String>,
}

impl MemorySink {
    fn new(committed: &Committed, script: impl IntoIterator<Item = Next>) -> Self {
        Self { committed: committed.clone(), script: script.into_iter().collect(), delayed: Vec::new() }
    }
}

impl Sink for MemorySink {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        let next = self.script.pop_front().unwrap_or(Next::Store);
        let mut stored = Stored::default();
        let mut texts = std::mem::take(&mut self.delayed);
        for (index, row) in batch.rows().enumerate() {
            match row.content {
                Content::Text(text, _) if next == Next::Refuse(text_of(text)) => {
                    stored.exceptions.push((index, RowOutcome::Refused("refused".to_owned())));
                }
                Content::Text(text, _) => texts.push(text.to_owned()),
                Content::Rejected { .. } => {}
            }
        }
        match next {
            Next::Fail => return Err(StoreError::new("the database is unavailable")),
            Next::Panic => panic!("the sink panics"),
            Next::StoreLater => self.delayed = texts,
            Next::Store | Next::Refuse(_) => self.committed.lock().extend(texts),
        }
        Ok(stored)
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The texts of the scenarios are known at compile time.
fn text_of(text: &str) -> &'static str {
    ["a", "b", "c", "d"].into_iter().find(|known| *known == text).unwrap_or("other")
}

/// Keeps messages that are not stored in memory.
#[derive(Clone, Default)]
struct Kept(Committed);

impl Unstored for Kept {
    fn add(&mut self, parcels: &[&Parcel]) -> io::Result<()> {
        let texts = parcels.iter().flat_map(|parcel| parcel.rows()).filter_map(|row| match row.content {
            Content::Text(text, _) => Some(text.to_owned()),
            Content::Rejected { .. } => None,
        });
        self.0.lock().extend(texts);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

/// A pipeline with a sink in memory.
struct Scenario {
    pipeline: Pipeline,
    source: SourceId,
    committed: Committed,
    kept: Kept,
}

impl Scenario {
    fn start(messages: usize, when_full: WhenFull, script: impl IntoIterator<Item = Next>) -> Self {
        let (books, committed, kept) = (Books::new(), Committed::default(), Kept::default());
        let source = books.open("memory");
        let mut options = PipelineOptions::default();
        options.queue = Limits { messages, bytes: usize::MAX };
        options.when_full = when_full;
        let sink = MemorySink::new(&committed, script);
        let pipeline = Pipeline::start(Box::new(sink), Box::new(kept.clone()), books, &options).unwrap();
        Self { pipeline, source, committed, kept }
    }

    fn intake(&self) -> Intake {
        self.pipeline.intake().clone()
    }

    /// Ends the pipeline, and checks that the places of the messages agree with the account.
    fn finish(self, sent: u64) -> Account {
        let outcome = self.pipeline.finish(Duration::ZERO);
        let account = outcome.account;
        assert_eq!(account.lost(), 0, "{account}");
        assert_eq!((account.queued, account.in_flight), (0, 0), "{account}");
        assert_eq!(account.received, sent, "{account}");
        assert_eq!(self.committed.lock().len() as u64, account.stored, "{account}");
        assert_eq!(self.kept.0.lock().len() as u64, account.unstored, "{account}");
        account
    }
}

fn parcel(source: SourceId, texts: &[&str]) -> Parcel {
    let mut parcel = Parcel::new(source, "peer".into(), UNIX_EPOCH);
    for text in texts {
        parcel.push_text(text);
    }
    parcel
}

/// Receives settlements, and checks that acknowledged messages are committed.
struct Client {
    committed: Committed,
    settled: Mutex<Vec<(u64, Settlement)>>,
    flushed: Event,
    expected: usize,
}

impl Client {
    fn new(committed: &Committed, expected: usize) -> Arc<Self> {
        let settled = Mutex::new(Vec::new());
        Arc::new(Self { committed: committed.clone(), settled, flushed: Event::new(), expected })
    }

    /// Adds a receipt. The settlement contains the number of stored messages: the client's texts are one letter each.
    fn with_receipt(self: &Arc<Self>, mut parcel: Parcel, ticket: u64) -> Parcel {
        parcel.set_receipt(Receipt::new(self.clone(), 0, ticket));
        parcel
    }
}

impl Acknowledge for Client {
    fn settle(&self, _connection: u64, ticket: u64, settlement: Settlement) {
        let mut settled = self.settled.lock();
        settled.push((ticket, settlement));
        let acknowledged: u64 = settled.iter().map(|(_, settlement)| settlement.stored).sum();
        assert!(acknowledged <= self.committed.lock().len() as u64, "acknowledged before the commit");
    }

    fn flush(&self) {
        if self.settled.lock().len() == self.expected {
            self.flushed.set();
        }
    }
}

#[test]
fn sources_that_block_lose_no_message() {
    let program = || {
        let scenario = Scenario::start(1, WhenFull::Block, []);
        let source = scenario.source;
        let intake = scenario.intake();
        let other = Thread::spawn(move || {
            intake.put(parcel(source, &["a"])).unwrap();
            intake.put(parcel(source, &["b"])).unwrap();
        });
        scenario.intake().put(parcel(source, &["c", "d"])).unwrap();
        other.join().unwrap();
        let account = scenario.finish(4);
        assert_eq!(account.stored, 4);
    };
    explorer().run(program).assert_exhausted();
}

#[test]
fn books_balance_at_any_moment() {
    let program = || {
        let scenario = Scenario::start(2, WhenFull::Block, [Next::Store, Next::Refuse("b")]);
        let (source, intake) = (scenario.source, scenario.intake());
        let producer = Thread::spawn(move || {
            let mut first = parcel(source, &["a"]);
            first.push_rejected(Reason::NotUtf8, 1, vec![0xff]);
            intake.put(first).unwrap();
            intake.put(parcel(source, &["b"])).unwrap();
        });
        let account = scenario.pipeline.account();
        assert_eq!(account.lost(), 0, "{account}");
        producer.join().unwrap();
        let account = scenario.finish(3);
        assert!(account.rejected >= 1 && account.stored + account.rejected == 3, "{account}");
    };
    explorer().run(program).assert_exhausted();
}

/// A source that must not block, as an event loop: it puts again when it is notified of room.
struct Told(Event);

impl RoomListener for Told {
    fn room(&self) {
        self.0.set();
    }
}

#[test]
fn source_that_does_not_block_is_notified_of_room() {
    let program = || {
        let scenario = Scenario::start(1, WhenFull::Block, []);
        let (source, intake) = (scenario.source, scenario.intake());
        let told = Arc::new(Told(Event::new()));
        intake.add_listener(told.clone());
        for text in ["a", "b", "c"] {
            let mut waiting = Some(parcel(source, &[text]));
            while let Some(parcel) = waiting.take() {
                told.0.clear();
                if let Err(refused) = intake.try_put(parcel) {
                    assert!(!refused.is_closed());
                    waiting = Some(refused.into_inner());
                    told.0.wait(); // a missed call is a deadlock
                }
            }
        }
        assert_eq!(scenario.finish(3).stored, 3);
    };
    explorer().run(program).assert_exhausted();
}

#[test]
fn shed_messages_are_counted_and_their_sender_notified() {
    let program = || {
        let scenario = Scenario::start(1, WhenFull::Shed, []);
        let (source, intake) = (scenario.source, scenario.intake());
        let client = Client::new(&scenario.committed, 3);
        for (ticket, text) in [(1, "a"), (2, "b"), (3, "c")] {
            let parcel = client.with_receipt(parcel(source, &[text]), ticket);
            if let Err(refused) = intake.try_put(parcel) {
                intake.shed(&refused.into_inner());
            }
        }
        let account = scenario.finish(3);
        assert_eq!(account.stored + account.shed, 3, "{account}");
        let settled = client.settled.lock();
        assert_eq!(settled.len(), 3, "every receipt is settled");
        let full = settled.iter().filter(|(_, settlement)| settlement.failure == Some(Failure::Full)).count();
        assert_eq!(full as u64, account.shed);
    };
    explorer().run(program).assert_exhausted();
}

/// Two acknowledged parcels of a client that waits for both.
fn acknowledged(script: &'static [Next]) -> Outcome {
    explorer().run(move || {
        let scenario = Scenario::start(10, WhenFull::Block, script.iter().copied());
        let (source, intake) = (scenario.source, scenario.intake());
        let client = Client::new(&scenario.committed, 2);
        intake.put(client.with_receipt(parcel(source, &["a", "b"]), 1)).unwrap();
        intake.put(client.with_receipt(parcel(source, &["c"]), 2)).unwrap();
        client.flushed.wait();
        let stored: u64 = client.settled.lock().iter().map(|(_, settlement)| settlement.stored).sum();
        let rejected: usize =
            client.settled.lock().iter().map(|(_, settlement)| settlement.rejected.len()).sum();
        assert_eq!(stored + rejected as u64, 3);
        let account = scenario.finish(3);
        assert_eq!((account.stored, account.rejected), (stored, rejected as u64));
    })
}

#[test]
fn acknowledgement_follows_the_commit() {
    acknowledged(&[]).assert_exhausted();
    acknowledged(&[Next::Fail]).assert_exhausted();
    acknowledged(&[Next::Refuse("b"), Next::Refuse("c")]).assert_exhausted();
}

#[test]
fn acknowledgement_before_the_commit_is_found() {
    let report = acknowledged(&[Next::StoreLater]).expect_failure();
    assert!(report.to_string().contains("acknowledged before the commit"), "{report}");
}

#[test]
fn failing_sink_loses_no_message() {
    let program = || {
        let scenario = Scenario::start(1, WhenFull::Block, [Next::Fail, Next::Fail, Next::Fail]);
        let (source, intake) = (scenario.source, scenario.intake());
        let client = Client::new(&scenario.committed, 1);
        let acknowledged = client.with_receipt(parcel(source, &["c"]), 1);
        let producer = Thread::spawn(move || {
            let mut sent = 0;
            for parcel in [parcel(source, &["a"]), acknowledged, parcel(source, &["b"])] {
                match intake.put(parcel) {
                    Ok(()) => sent += 1,
                    Err(refused) => assert!(refused.is_closed()),
                }
            }
            sent
        });
        let outcome = scenario.pipeline.finish(Duration::ZERO);
        let (sent, account) = (producer.join().unwrap(), outcome.account);
        assert_eq!(account.lost(), 0, "{account}");
        assert_eq!(account.received, sent, "{account}");
        assert_eq!(account.stored + account.unstored + account.shed, sent, "{account}");
        assert_eq!(scenario.kept.0.lock().len() as u64, account.unstored);
        assert!(
            !scenario.kept.0.lock().contains(&"c".to_owned()),
            "the acknowledged sender keeps its message"
        );
    };
    explorer().run(program).assert_exhausted();
}

#[test]
fn reload_wakes_a_source_that_waits_for_room() {
    let program = || {
        let scenario = Scenario::start(1, WhenFull::Block, []);
        let (source, intake) = (scenario.source, scenario.intake());
        let producer = Thread::spawn(move || {
            intake.put(parcel(source, &["a"])).unwrap();
            intake.put(parcel(source, &["b"])).unwrap();
        });
        let mut options = PipelineOptions::default();
        options.queue = Limits { messages: 2, bytes: usize::MAX };
        options.batch.messages = 1;
        scenario.pipeline.reload(&options);
        producer.join().unwrap();
        assert_eq!(scenario.finish(2).stored, 2);
    };
    explorer().run(program).assert_exhausted();
}

#[test]
fn sink_that_panics_blocks_no_source_and_the_loss_is_counted() {
    let program = || {
        let scenario = Scenario::start(1, WhenFull::Block, [Next::Panic]);
        let (source, intake) = (scenario.source, scenario.intake());
        let client = Client::new(&scenario.committed, 1);
        let acknowledged = client.with_receipt(parcel(source, &["b"]), 1);
        let producer = Thread::spawn(move || {
            for parcel in [parcel(source, &["a"]), acknowledged] {
                if let Err(refused) = intake.put(parcel) {
                    assert!(refused.is_closed());
                }
            }
        });
        producer.join().unwrap();
        let outcome = scenario.pipeline.finish(Duration::ZERO);
        assert_eq!(outcome.account.stored, 0);
        assert_eq!(outcome.account.lost(), outcome.account.received, "{}", outcome.account);
        assert!(outcome.problems.iter().any(|problem| problem.contains("the sink panics")), "{outcome:?}");
        assert!(outcome.failed, "{outcome:?}");
        assert!(client.settled.lock().iter().all(|(_, settlement)| settlement.stored == 0));
    };
    explorer().allow_panics(true).run(program).assert_exhausted();
}
