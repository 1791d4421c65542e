//! Measures how fast a database stores batches when nothing else is done: the ceiling that `benches/ingest/compare` compares with.
//!
//! ```text
//! ceiling sqlite FILE MESSAGES BATCH [PAGE]                 PAGE: the bytes of a page, unless it is SQLite's choice
//! ceiling sqlite-sink FILE MESSAGES BATCH                   through this crate's sink
//! ceiling postgres URL MESSAGES BATCH CONNECTIONS           (feature postgres)
//! ceiling postgres-sink URL MESSAGES BATCH CONNECTIONS      (feature postgres), through this crate's sink
//! ```
//!
//! Prints the messages per second. The rows and the columns are those that `raddle ingest` stores for the comparison.

use std::error::Error;
use std::time::{Instant, SystemTime};

use raddle_ingest::{Batch, Books, Header, Parcel, Sink, SqliteOptions, SqliteSink};
use rusqlite::{Connection, params};

type Outcome = Result<f64, Box<dyn Error>>;

/// The syslog message number `number`, of 200 bytes.
fn text(number: usize) -> String {
    let mut text = format!(
        "<13>1 2026-01-02T03:04:05.123456Z host{} app {number} ID47 - message {number} ",
        number % 10
    );
    text.push_str(&"x".repeat(200usize.saturating_sub(text.len())));
    text
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).map(|it| it.parse::<usize>()).transpose();
    let place = arguments.get(1).ok_or("no place")?;
    let messages = number(2)?.ok_or("no number of messages")?;
    let batch = number(3)?.unwrap_or(10_000);
    let last = number(4)?;
    let rate = match (arguments[0].as_str(), last.unwrap_or(1)) {
        ("sqlite", _) => sqlite(place, messages, batch, last)?,
        ("sqlite-sink", _) => {
            let books = Books::new();
            let sink = SqliteSink::open(place, &books, &SqliteOptions::default())?;
            through(Box::new(sink), &books, messages, batch)?
        }
        #[cfg(feature = "postgres")]
        ("postgres", connections) => server::copy(place, messages, batch, connections)?,
        #[cfg(feature = "postgres")]
        ("postgres-sink", connections) => {
            let books = Books::new();
            let sink = server::sink(place, &books, connections)?;
            through(Box::new(sink), &books, messages, batch)?
        }
        (other, _) => return Err(format!("cannot measure {other}").into()),
    };
    println!("{rate:.0}");
    Ok(())
}

fn rate(messages: usize, begin: Instant) -> f64 {
    let passed = raddle::time::now() - begin;
    f64::from(u32::try_from(messages).unwrap_or(u32::MAX)) / passed.as_secs_f64()
}

/// Returns a batch as the server makes it of lines.
fn batch(books: &Books, messages: usize) -> Batch {
    let source = books.open("tcp");
    let parcels = (0..messages).step_by(300).map(|begin| {
        let mut parcel = Parcel::new(source, "127.0.0.1:40000".into(), SystemTime::now());
        for number in begin..messages.min(begin + 300) {
            parcel.push(&text(number), |text| Header {
                facility: Some(1),
                severity: Some(5),
                sent: Some(1_700_000_000_000_000),
                host: Some(&text[34..39]),
                app: Some(&text[40..43]),
                process: Some(&text[44..45]),
                message_id: Some("ID47").and_then(|id| text.find(id).map(|at| &text[at..at + 4])),
                body: &text[57..],
            });
        }
        parcel
    });
    Batch::new(parcels.collect())
}

/// Stores batches through a sink, as the writer does.
fn through(mut sink: Box<dyn Sink>, books: &Books, messages: usize, rows: usize) -> Outcome {
    let batches: Vec<Batch> = (0..messages.div_ceil(rows)).map(|_| batch(books, rows)).collect();
    let begin = raddle::time::now();
    for batch in &batches {
        sink.store(batch)?;
        sink.maintain()?;
    }
    let rate = rate(batches.len() * rows, begin);
    sink.close()?;
    Ok(rate)
}

/// Inserts prepared rows in transactions, with the durability and the columns of the sink.
fn sqlite(path: &str, messages: usize, batch: usize, page: Option<usize>) -> Outcome {
    let mut db = Connection::open(path)?;
    if let Some(page) = page {
        db.pragma_update(None, "page_size", i64::try_from(page)?)?;
    }
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE messages (
            id INTEGER PRIMARY KEY, received INTEGER NOT NULL, source TEXT NOT NULL, peer TEXT NOT NULL, sent INTEGER,
            facility INTEGER, severity INTEGER, host TEXT, app TEXT, process TEXT, message_id TEXT, text TEXT NOT NULL,
            body_from INTEGER, body_length INTEGER) STRICT",
    )?;
    let texts: Vec<String> = (0..batch).map(text).collect();
    let begin = raddle::time::now();
    let mut stored = 0;
    while stored < messages {
        let transaction = db.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO messages VALUES (?1, ?2, 'tcp', '127.0.0.1:40000', ?3, 1, 5, ?4, ?5, ?6, ?7, ?8, 57, NULL)",
            )?;
            for (index, text) in texts.iter().take(messages - stored).enumerate() {
                let id = i64::try_from(stored + index)?;
                insert.execute(params![
                    id,
                    1_700_000_000_000_000 + id,
                    id,
                    &text[34..39],
                    "app",
                    "123",
                    "ID47",
                    text
                ])?;
            }
        }
        transaction.commit()?;
        stored += batch.min(messages - stored);
    }
    Ok(rate(messages, begin))
}

#[cfg(feature = "postgres")]
mod server {
    use std::error::Error;
    use std::io::Write as _;

    use postgres::{Client, NoTls};
    use raddle_ingest::{Books, PostgresOptions, PostgresSink, Sink as _};

    use super::{Outcome, batch, rate};

    const COLUMNS: &str = "received, source, peer, sent, facility, severity, host, app, process, message_id, body_from, body_length, text";

    fn options(url: &str, connections: usize) -> PostgresOptions {
        let mut options = PostgresOptions::default();
        (options.url, options.connections) = (url.into(), connections);
        options
    }

    pub(super) fn sink(url: &str, books: &Books, connections: usize) -> Result<PostgresSink, Box<dyn Error>> {
        Ok(PostgresSink::connect(&options(url, connections), books.clone())?)
    }

    /// Copies rows, as the server itself encodes them, in transactions over several connections.
    pub(super) fn copy(url: &str, messages: usize, rows: usize, connections: usize) -> Outcome {
        // The sink creates the table and a batch of rows.
        let books = Books::new();
        let mut sink = Box::new(PostgresSink::connect(&options(url, 1), books.clone())?);
        let mut client = Client::connect(url, NoTls)?;
        client.batch_execute("TRUNCATE raddle.messages")?;
        sink.store(&batch(&books, rows))?;
        sink.close()?;
        let mut data = Vec::new();
        let query = format!("COPY (SELECT {COLUMNS} FROM raddle.messages) TO STDOUT WITH (FORMAT binary)");
        std::io::Read::read_to_end(&mut client.copy_out(&query)?, &mut data)?;
        client.batch_execute("TRUNCATE raddle.messages")?;
        let clients = (0..connections).map(|_| Client::connect(url, NoTls)).collect::<Result<Vec<_>, _>>()?;
        let batches = messages.div_ceil(rows * connections);
        let begin = raddle::time::now();
        raddle::thread::scope(|scope| {
            for mut client in clients {
                let data = &data;
                scope.spawn(move || {
                    let query = format!("COPY raddle.messages ({COLUMNS}) FROM STDIN WITH (FORMAT binary)");
                    let query = client.prepare(&query).expect("a statement");
                    for _ in 0..batches {
                        let mut writer = client.copy_in(&query).expect("a copy");
                        data.chunks(128 << 10).for_each(|chunk| writer.write_all(chunk).expect("written"));
                        writer.finish().expect("copied");
                    }
                });
            }
        });
        Ok(rate(batches * connections * rows, begin))
    }
}
