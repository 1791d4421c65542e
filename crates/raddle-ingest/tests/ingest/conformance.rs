//! The suite that every sink must pass.
//!
//! A sink passes if [`conformance`] passes for its [`Place`]: a new, empty place to store messages, and the failures that can
//! be caused there.
#![allow(
    unreachable_pub,
    clippy::cast_possible_truncation,
    reason = "a test, of which other tests use parts"
)]

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use raddle_ingest::{
    Batch, Books, Header, MemorySink, Parcel, Reason, Remembered, RowOutcome, Sequence, Sink, SourceId,
    Stored,
};

/// Texts that contain this are refused after [`Place::refuse`].
pub const REFUSED: &str = "REFUSED";

/// A place where a sink stores messages.
pub trait Place {
    /// Opens a sink.
    fn open(&self, books: &Books) -> Box<dyn Sink>;

    /// Makes the database refuse texts that contain [`REFUSED`].
    fn refuse(&self);

    /// Returns the outages that can be caused, by name.
    fn outages(&self) -> Vec<&'static str>;

    /// Begins an outage, which ends when the result is dropped.
    fn outage(&self, name: &str) -> Box<dyn std::any::Any>;

    /// Ends the use of a sink as a crash does, without the actions of `close`.
    fn kill(&self, sink: Box<dyn Sink>);

    /// Returns the contents of the place.
    fn contents(&self, books: &Books) -> Contents;
}

/// The contents of a place, in the order of the ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub messages: Vec<Remembered>,
    pub rejected: Vec<Remembered>,
    pub last: BTreeMap<String, u64>,
}

impl Contents {
    /// The texts, sorted: a sink may store messages of different peers in another order.
    fn texts(&self) -> Vec<&str> {
        let mut texts: Vec<&str> = self.messages.iter().map(|it| &*it.text).collect();
        texts.sort_unstable();
        texts
    }

    fn sorted(mut self) -> Self {
        let key = |it: &Remembered| (it.peer.clone(), it.received, it.text.clone(), it.bytes.clone());
        self.messages.sort_by_key(key);
        self.rejected.sort_by_key(key);
        self
    }
}

/// Runs the suite. `place` creates a new place each time.
pub fn conformance<P: Place>(place: impl Fn(&str) -> P) {
    columns_of_every_kind_of_message_are_stored(&place("columns"));
    refused_messages_are_rejected_and_their_neighbours_stored(&place);
    numbered_messages_are_stored_once(&place("numbers"));
    refused_and_rejected_messages_consume_their_numbers(&place("consumed"));
    batch_is_stored_after_an_outage(&place);
    what_is_stored_survives_a_crash(&place("crash"));
    restarts_add_messages(&place("restart"));
    random_batches_are_stored_as_in_memory(&place);
}

pub fn parcel(source: SourceId, texts: &[&str]) -> Parcel {
    let mut parcel =
        Parcel::new(source, "127.0.0.1:1000".into(), UNIX_EPOCH + Duration::from_micros(1_234_567));
    for text in texts {
        parcel.push_text(text);
    }
    parcel
}

pub fn numbered(source: SourceId, sender: &str, first: u64, texts: &[&str]) -> Parcel {
    let mut parcel = parcel(source, texts);
    parcel.set_sequence(Sequence { sender: sender.into(), first });
    parcel
}

fn store(sink: &mut dyn Sink, parcels: Vec<Parcel>) -> Stored {
    let stored = sink.store(&Batch::new(parcels)).expect("no outage");
    sink.maintain().expect("maintenance");
    stored
}

/// Returns which messages were refused, since the texts of the databases differ.
fn refused(stored: &Stored) -> Vec<usize> {
    let refused = stored.exceptions.iter().filter_map(|(index, outcome)| match outcome {
        RowOutcome::Refused(reason) => {
            assert!(!reason.is_empty());
            Some(*index)
        }
        _ => None,
    });
    refused.collect()
}

fn columns_of_every_kind_of_message_are_stored(place: &impl Place) {
    let books = Books::new();
    let (tcp, udp) = (books.open("tcp"), books.open("udp ü"));
    let mut sink = place.open(&books);
    let text = "<165>1 2003-10-11T22:14:15.003Z höst app 12 ID47 - the body ü";
    let mut first =
        Parcel::new(tcp, "[::1]:5000".into(), UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456));
    first.push(text, |text| {
        let part = |part: &str| text.find(part).map(|at| &text[at..at + part.len()]);
        Header {
            facility: Some(20),
            severity: Some(5),
            sent: Some(1_065_910_455_003_000),
            host: part("höst"),
            app: part("app"),
            process: part("12"),
            message_id: part("ID47"),
            body: part("the body ü").unwrap(),
        }
    });
    first.push_text("");
    first.push("(in the middle)", |text| Header { body: &text[1..4], ..Header::default() });
    first.push("nothing", |text| Header { body: &text[7..], severity: Some(0), ..Header::default() });
    let mut second = Parcel::new(udp, "peer".into(), UNIX_EPOCH - Duration::from_micros(7));
    second.push_rejected(Reason::NotUtf8, 3, vec![0xff, 0, 0x27]);
    second.push_rejected(Reason::Oversized, u64::from(u32::MAX) + 5, b"begin".to_vec());
    second.push_text("quote ' and \" and \\ and \t");
    second.push_rejected(Reason::ContainsNul, 1, vec![0]);
    second.push_rejected(Reason::Incomplete, 0, Vec::new());
    let mut memory = MemorySink::new();
    let batch = Batch::new(vec![first, second]);
    assert_eq!(sink.store(&batch).unwrap(), Stored::default());
    memory.store(&batch).unwrap();
    let stored = place.contents(&books).sorted();
    assert_eq!(stored, in_memory(&memory).sorted());
    assert_eq!(stored.messages.iter().map(|it| &*it.body).filter(|it| *it == "the body ü").count(), 1);
    sink.close().unwrap();
}

fn in_memory(memory: &MemorySink) -> Contents {
    Contents { messages: memory.messages(), rejected: memory.rejected(), last: memory.last() }
}

fn refused_messages_are_rejected_and_their_neighbours_stored<P: Place>(place: &impl Fn(&str) -> P) {
    for (every, offset, count) in
        [(1, 0, 20), (2, 0, 20), (3, 2, 700), (7, 6, 700), (100, 0, 1000), (2000, 999, 1000)]
    {
        let place = place(&format!("refused-{every}-{offset}"));
        let books = Books::new();
        let source = books.open("tcp");
        let mut sink = place.open(&books);
        place.refuse();
        let is_refused = |number: usize| number % every == offset;
        let text = |number: usize| {
            if is_refused(number) { format!("{number} {REFUSED}") } else { format!("{number}") }
        };
        let texts: Vec<String> = (0..count).map(text).collect();
        // Several parcels, not of the same size.
        let parcels = texts.chunks(37).map(|texts| {
            let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
            parcel(source, &texts)
        });
        let stored = store(&mut *sink, parcels.collect());
        let bad: Vec<usize> = (0..count).filter(|number| is_refused(*number)).collect();
        assert_eq!(refused(&stored), bad, "every {every} from {offset}");
        let contents = place.contents(&books);
        let mut good: Vec<&str> = texts.iter().map(|it| &**it).filter(|it| !it.contains(REFUSED)).collect();
        good.sort_unstable();
        assert_eq!(contents.texts(), good, "every {every} from {offset}");
        assert_eq!(contents.rejected.len(), bad.len());
        for it in &contents.rejected {
            let text = std::str::from_utf8(&it.bytes).unwrap();
            assert!(
                text.contains(REFUSED) && it.length == text.len() as u64 && !it.reason.is_empty(),
                "{it:?}"
            );
            assert_eq!((it.source, &*it.peer, it.received), (Some(source), "127.0.0.1:1000", 1_234_567));
        }
        sink.close().unwrap();
    }
}

fn numbered_messages_are_stored_once(place: &impl Place) {
    let books = Books::new();
    let source = books.open("http");
    let mut sink = place.open(&books);
    let duplicates = |indices: std::ops::Range<usize>| indices.map(|index| (index, RowOutcome::Duplicate));
    let out = |indices: std::ops::Range<usize>, expected| {
        indices.map(move |index| (index, RowOutcome::OutOfSequence { expected }))
    };
    let exceptions = |stored: Stored| stored.exceptions;
    // An unknown sender begins with 1.
    let stored = store(&mut *sink, vec![numbered(source, "a", 2, &["a2"])]);
    assert_eq!(exceptions(stored), out(0..1, 1).collect::<Vec<_>>());
    let stored =
        store(&mut *sink, vec![numbered(source, "a", 1, &["a1", "a2"]), numbered(source, "b", 1, &["b1"])]);
    assert_eq!(exceptions(stored), []);
    // The whole parcel again, a part of it, and what follows.
    let parcels = vec![
        numbered(source, "a", 1, &["a1", "a2"]),
        numbered(source, "a", 2, &["a2", "a3", "a4"]),
        parcel(source, &["plain"]),
        numbered(source, "a", 5, &["a5"]),
        numbered(source, "a", 7, &["a7", "a8"]),
        numbered(source, "b", 2, &["b2"]),
    ];
    let stored = store(&mut *sink, parcels);
    let expected: Vec<_> = duplicates(0..3).chain(out(7..9, 6)).collect();
    assert_eq!(exceptions(stored), expected);
    sink.close().unwrap();
    // The numbers survive a restart.
    let mut sink = place.open(&books);
    let stored = store(&mut *sink, vec![numbered(source, "a", 4, &["a4", "a5", "a6"])]);
    assert_eq!(exceptions(stored), duplicates(0..2).collect::<Vec<_>>());
    let contents = place.contents(&books);
    assert_eq!(contents.texts(), ["a1", "a2", "a3", "a4", "a5", "a6", "b1", "b2", "plain"]);
    assert_eq!(contents.last, BTreeMap::from([("a".to_owned(), 6), ("b".to_owned(), 2)]));
    sink.close().unwrap();
}

fn refused_and_rejected_messages_consume_their_numbers(place: &impl Place) {
    let books = Books::new();
    let source = books.open("http");
    let mut sink = place.open(&books);
    place.refuse();
    let mut first = numbered(source, "a", 1, &["a1", REFUSED]);
    first.push_rejected(Reason::NotUtf8, 1, vec![0xff]);
    let stored = store(&mut *sink, vec![first]);
    assert_eq!(refused(&stored), [1]);
    assert_eq!(stored.exceptions.len(), 1);
    let stored = store(&mut *sink, vec![numbered(source, "a", 2, &[REFUSED, "a3", "a4"])]);
    assert_eq!(stored.exceptions, [(0, RowOutcome::Duplicate), (1, RowOutcome::Duplicate)]);
    let contents = place.contents(&books);
    assert_eq!((contents.texts(), contents.rejected.len()), (vec!["a1", "a4"], 2));
    assert_eq!(contents.last["a"], 4);
    sink.close().unwrap();
}

fn batch_is_stored_after_an_outage<P: Place>(place: &impl Fn(&str) -> P) {
    for name in place("outages").outages() {
        let place = place(&format!("outage-{name}"));
        let books = Books::new();
        let source = books.open("tcp");
        let mut sink = place.open(&books);
        let _ = store(&mut *sink, vec![parcel(source, &["before"])]);
        let batch = Batch::new(vec![parcel(source, &["one", "two"]), numbered(source, "a", 1, &["three"])]);
        let outage = place.outage(name);
        for _ in 0..3 {
            let error = sink.store(&batch).expect_err(name).to_string();
            assert!(!error.is_empty() && !error.contains('\n'), "{name}: {error:?}");
        }
        drop(outage);
        // A sink may need a moment to connect again.
        let mut attempts = 0;
        let stored = loop {
            match sink.store(&batch) {
                Ok(stored) => break stored,
                Err(error) => assert!(attempts < 600, "{name}: {error}"),
            }
            attempts += 1;
            raddle::thread::sleep(Duration::from_millis(100));
        };
        assert_eq!(stored, Stored::default(), "{name}");
        let contents = place.contents(&books);
        assert_eq!(contents.texts(), ["before", "one", "three", "two"], "{name}");
        assert!(contents.rejected.is_empty(), "{name}: {:?}", contents.rejected);
        sink.close().unwrap();
    }
}

fn what_is_stored_survives_a_crash(place: &impl Place) {
    let books = Books::new();
    let source = books.open("tcp");
    for round in 0..5_u64 {
        let mut sink = place.open(&books);
        let text = format!("round {round}");
        let stored = store(&mut *sink, vec![numbered(source, "a", round + 1, &[&text])]);
        assert_eq!(stored, Stored::default());
        place.kill(sink);
        let contents = place.contents(&books);
        assert_eq!(contents.messages.len() as u64, round + 1);
        assert_eq!(contents.last["a"], round + 1);
    }
}

fn restarts_add_messages(place: &impl Place) {
    let books = Books::new();
    let source = books.open("tcp");
    for text in ["one", "two", "three"] {
        let mut sink = place.open(&books);
        let _ = store(&mut *sink, vec![parcel(source, &[text])]);
        sink.close().unwrap();
    }
    let texts: Vec<String> = place.contents(&books).messages.into_iter().map(|it| it.text).collect();
    assert_eq!(texts, ["one", "two", "three"]);
}

/// A generator of numbers that are the same in each run (`xorshift64*`).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// Seeds of random tests: a few, or as many as the environment variable `RADDLE_SEEDS` says.
pub fn seeds(few: u64) -> std::ops::Range<u64> {
    let count = std::env::var("RADDLE_SEEDS").ok().map(|it| it.parse().expect("RADDLE_SEEDS is a number"));
    0..count.unwrap_or(few)
}

/// Returns the parcels of a random batch. Those of the same state of `random` are equal.
fn random_parcels(random: &mut Random, sources: &[SourceId], next: &mut [u64; 3]) -> Vec<Parcel> {
    let count = 1 + random.below(12);
    (0..count)
        .map(|_| {
            let source = sources[usize::try_from(random.below(sources.len() as u64)).unwrap()];
            let received = UNIX_EPOCH + Duration::from_micros(random.below(1 << 50));
            let peer = format!("peer {}", random.below(3));
            let mut parcel = Parcel::new(source, peer.into(), received);
            let len = if random.one_in(10) { random.below(600) } else { random.below(20) };
            for _ in 0..len {
                random_message(random, &mut parcel);
            }
            if random.one_in(2) {
                let sender = usize::try_from(random.below(3)).unwrap();
                // Mostly the next number; at times an earlier or a later one.
                let first = match random.below(6) {
                    0 => next[sender].saturating_sub(random.below(30)),
                    1 => next[sender] + random.below(3),
                    _ => next[sender],
                };
                if first >= 1 && first <= next[sender] {
                    next[sender] = next[sender].max(first + len);
                }
                parcel.set_sequence(Sequence { sender: format!("sender {sender}").into(), first });
            }
            parcel
        })
        .collect()
}

fn random_message(random: &mut Random, parcel: &mut Parcel) {
    match random.below(12) {
        0 => {
            let bytes: Vec<u8> = (0..random.below(40)).map(|_| random.below(256) as u8).collect();
            let reasons = [Reason::Oversized, Reason::NotUtf8, Reason::ContainsNul, Reason::Incomplete];
            parcel.push_rejected(reasons[random.below(4) as usize], bytes.len() as u64, bytes);
        }
        1 => parcel.push_text(&format!("{} {REFUSED}", random.below(1000))),
        kind => {
            let words = ["host", "é", "'", "<13>", "app", "\u{1f980}", " ", "x"];
            let text: String = (0..random.below(20)).map(|_| words[random.below(8) as usize]).collect();
            let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let mut at = || bounds[random.below(bounds.len() as u64) as usize];
            let mut part = || {
                let (one, other) = (at(), at());
                (one.min(other), one.max(other))
            };
            let (host, app, body) = (part(), part(), part());
            parcel.push(&text, |text| Header {
                facility: (kind > 3).then_some(kind as u8),
                severity: (kind > 4).then_some(7),
                sent: (kind > 5).then_some(-kind.cast_signed()),
                host: (kind > 6).then(|| &text[host.0..host.1]),
                app: (kind > 7).then(|| &text[app.0..app.1]),
                process: (kind > 8).then(|| &text[app.0..app.1]),
                message_id: (kind > 9).then(|| &text[host.0..host.1]),
                body: if kind > 2 { &text[body.0..body.1] } else { text },
            });
        }
    }
}

fn random_batches_are_stored_as_in_memory<P: Place>(place: &impl Fn(&str) -> P) {
    for seed in seeds(3) {
        let place = place(&format!("random-{seed}"));
        let books = Books::new();
        let sources = ["tcp", "udp", "http"].map(|name| books.open(name));
        let mut memory = MemorySink::new();
        memory.set_refuse(|text| text.contains(REFUSED).then(|| "refused".to_owned()));
        let mut sink = place.open(&books);
        place.refuse();
        let mut random = Random::new(seed);
        let mut next = [1; 3];
        for round in 0..20 {
            let batch = Batch::new(random_parcels(&mut random, &sources, &mut next));
            if batch.is_empty() {
                continue;
            }
            let plain = |mut stored: Stored| {
                for (_, outcome) in &mut stored.exceptions {
                    if let RowOutcome::Refused(reason) = outcome {
                        reason.clear();
                    }
                }
                stored
            };
            let expected = plain(memory.store(&batch).unwrap());
            assert_eq!(plain(sink.store(&batch).unwrap()), expected, "seed {seed}, round {round}");
            sink.maintain().unwrap();
            match random.below(8) {
                0 => {
                    sink.close().unwrap();
                    sink = place.open(&books);
                }
                1 => {
                    place.kill(sink);
                    sink = place.open(&books);
                }
                _ => {}
            }
        }
        let plain = |mut contents: Contents| {
            contents
                .rejected
                .iter_mut()
                .filter(|it| it.bytes.ends_with(REFUSED.as_bytes()))
                .for_each(|it| it.reason.clear());
            contents.sorted()
        };
        assert_eq!(plain(place.contents(&books)), plain(in_memory(&memory)), "seed {seed}");
        sink.close().unwrap();
    }
}

/// The place of a [`MemorySink`].
struct Memory(MemorySink);

impl Place for Memory {
    fn open(&self, _: &Books) -> Box<dyn Sink> {
        Box::new(self.0.clone())
    }

    fn refuse(&self) {
        self.0.set_refuse(|text| text.contains(REFUSED).then(|| "refused".to_owned()));
    }

    fn outages(&self) -> Vec<&'static str> {
        vec!["down"]
    }

    fn outage(&self, name: &str) -> Box<dyn std::any::Any> {
        struct End(MemorySink);
        impl Drop for End {
            fn drop(&mut self) {
                self.0.set_outage(None);
            }
        }
        self.0.set_outage(Some(name));
        Box::new(End(self.0.clone()))
    }

    fn kill(&self, sink: Box<dyn Sink>) {
        drop(sink);
    }

    fn contents(&self, _: &Books) -> Contents {
        in_memory(&self.0)
    }
}

#[test]
fn memory_sink_conforms() {
    conformance(|_| Memory(MemorySink::new()));
}
