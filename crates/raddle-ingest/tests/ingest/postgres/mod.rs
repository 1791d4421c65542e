//! The PostgreSQL sink with a real server.

mod outages;
mod rows;
mod server;
mod suite;

use std::sync::Arc;
use std::time::SystemTime;

use raddle_ingest::{Batch, Books, Parcel, PostgresOptions, PostgresSink, Sequence, Sink, SourceId, Stored};

pub(crate) use self::server::Server;

/// A sink, and books with one source.
struct Given {
    books: Books,
    source: SourceId,
    sink: Box<dyn Sink>,
}

fn options(url: &str, connections: usize) -> PostgresOptions {
    let mut options = PostgresOptions::default();
    (options.url, options.connections) = (url.into(), connections);
    options
}

impl Given {
    fn new(url: &str, connections: usize) -> Self {
        let books = Books::new();
        let source = books.open("tcp");
        let sink = PostgresSink::connect(&options(url, connections), books.clone()).expect("a sink");
        Self { books, source, sink: Box::new(sink) }
    }

    fn parcel(&self, peer: &str, texts: impl IntoIterator<Item = String>) -> Parcel {
        let mut parcel = Parcel::new(self.source, peer.into(), SystemTime::now());
        texts.into_iter().for_each(|text| parcel.push_text(&text));
        parcel
    }

    fn numbered(&self, sender: &str, numbers: std::ops::Range<u64>) -> Parcel {
        let mut parcel = self.parcel("numbered", numbers.clone().map(|number| format!("{sender} {number}")));
        parcel.set_sequence(Sequence { sender: Arc::from(sender), first: numbers.start });
        parcel
    }

    /// A batch of the texts `number 0`, `number 1` and so on in parcels of 100.
    fn numbers(&self, count: usize) -> Batch {
        let parcels = (0..count).step_by(100).map(|begin| {
            let end = count.min(begin + 100);
            self.parcel(&format!("peer {}", begin % 700), (begin..end).map(|it| format!("number {it}")))
        });
        Batch::new(parcels.collect())
    }

    fn store(&mut self, batch: &Batch) -> Stored {
        self.persist(batch)
    }

    /// Stores the batch, which the database must not accept at present. Returns the reason.
    fn fail(&mut self, batch: &Batch) -> String {
        loop {
            let error = self.sink.store(batch).expect_err("an outage").to_string();
            // On a busy machine, the reason arrives later.
            if !error.contains("has not answered") {
                return error;
            }
        }
    }

    /// Passes the batch until it is stored, as the writer does.
    fn persist(&mut self, batch: &Batch) -> Stored {
        let deadline = raddle::time::now() + crate::support::LIMIT;
        loop {
            match self.sink.store(batch) {
                Ok(stored) => return stored,
                Err(error) => assert!(raddle::time::now() < deadline, "{error}"),
            }
            raddle::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

/// Returns the numbers of stored messages and of different ones.
fn counts(server: &Server) -> (i64, i64) {
    let count = server.number("SELECT count(*) FROM raddle.messages");
    (count, server.number("SELECT count(DISTINCT text) FROM raddle.messages"))
}
