//! A sink that stores messages in a PostgreSQL database.
//!
//! Each batch is distributed over the connections, and each part is a transaction of its own. If a part fails, only that part is
//! repeated when the batch is passed again. Each transaction also writes the number of the batch into a table, so that the sink
//! finds out after a lost connection whether the COMMIT was executed. The server's own `pg_xact_status` is no alternative: after a
//! crash, the id of a lost transaction may be given to another one.

mod lane;
mod options;
mod part;
mod schema;
mod trouble;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use raddle::{Mutex, Queue, time};

use self::lane::{Answer, Exceptions, Lane, Shared, Task};
pub use self::options::PostgresOptions;
use self::part::Part;
use self::schema::Sql;
use self::trouble::Trouble;
use crate::books::Books;
use crate::sink::interface::{Batch, Sink, StoreError, Stored};

/// How long the sink waits for the server before it reports an outage. The work continues, and the next attempt waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an attempt to connect may take, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long sent data may remain unacknowledged by the server's machine, and how long a connection is idle before it is probed.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(30);

/// The least number of rows for which another connection is used.
const LEAST_ROWS: usize = 1000;

/// Stores messages in a PostgreSQL database, by binary COPY over several connections.
///
/// Table `messages` has `id`, `received`, `source`, `peer`, `sent`, `facility`, `severity`, `host`, `app`, `process`, `message_id`,
/// `body_from`, `body_length`, `text`; view `readable_messages` has the body of the text, and a name for the severity. Table `rejected`
/// has `id`, `received`, `source`, `peer`, `reason`, `length`, `bytes`; table `sources` has `sender`, `last_seq`. Tables may have more
/// columns, if those have defaults. Messages of one peer are in order by `received, id`.
///
/// A message that the database refuses is stored in `rejected` with the database's reason. A server that is down, full or read-only, a
/// wrong password, a missing table or a missing right are outages: nothing is lost, and the batch is repeated until it is stored.
///
/// Durability is as the server is configured: with `synchronous_commit = off`, a crash of the server loses the last messages, although
/// they are counted as stored.
///
/// The sink must reach the server itself, or a pooler in session mode.
#[derive(Debug)]
pub struct PostgresSink {
    lanes: Vec<Lane>,
    answers: Arc<Queue<Answer>>,
    books: Books,
    /// The batch that is being stored.
    current: Option<Current>,
}

/// A batch that is being stored, possibly in several attempts.
#[derive(Debug)]
struct Current {
    number: u64,
    /// The part of each connection.
    parts: Vec<(Arc<Part>, State)>,
    /// The part that each parcel is in.
    part_of: Vec<usize>,
}

impl Current {
    /// Returns the exceptions of the parts that are stored.
    fn into_stored(self) -> Stored {
        let mut exceptions = Vec::new();
        for (_, state) in self.parts {
            if let State::Stored(of_part) = state {
                exceptions.extend(of_part);
            }
        }
        exceptions.sort_by_key(|(index, _)| *index);
        Stored { exceptions }
    }
}

#[derive(Debug)]
enum State {
    /// Not encoded yet.
    New,
    /// To be stored in the next attempt.
    Waiting,
    /// Passed to the connection.
    Running,
    Stored(Exceptions),
}

impl PostgresSink {
    /// Connects to the server. If that is impossible at present, the sink tries again with each batch.
    ///
    /// `books` has the names of the sources.
    ///
    /// # Errors
    /// Returns an error if an option is invalid, or a table exists already and has another shape.
    pub fn connect(options: &PostgresOptions, books: Books) -> Result<Self, ConnectError> {
        let invalid = |error: postgres::Error| ConnectError(trouble::chain(&error));
        let mut config: postgres::Config = options.url.parse().map_err(invalid)?;
        if !(1..=64).contains(&options.connections) {
            let given = options.connections;
            return Err(ConnectError(format!("{given} connections are not supported: choose 1 to 64")));
        }
        if config.get_application_name().is_none() {
            config.application_name("raddle");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(NETWORK_TIMEOUT);
        }
        config.keepalives_idle(config.get_keepalives_idle().min(NETWORK_TIMEOUT));
        let shared = Arc::new(Shared {
            config,
            sql: Sql::new(options),
            create: options.create,
            writer: RandomState::new().build_hasher().finish().cast_signed(),
            prepared: Mutex::new(false),
        });
        let answers = Arc::new(Queue::unbounded());
        let lanes = (0..options.connections)
            .map(|index| Lane::start(index, shared.clone(), answers.clone()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ConnectError(format!("cannot start a thread for a connection: {error}")))?;
        let sink = Self { lanes, answers, books, current: None };
        sink.give(0, Task::Connect);
        match sink.answers.get_timeout(ANSWER_TIMEOUT).map(|answer| answer.result) {
            Ok(Ok(_)) => {}
            Ok(Err(Trouble::Foreign(why))) => return Err(ConnectError(why)),
            Ok(Err(trouble)) => log::warn!("cannot use the PostgreSQL server yet: {trouble}; retrying"),
            Err(_) => log::warn!("the PostgreSQL server does not answer; waiting"),
        }
        Ok(sink)
    }

    /// Ends the threads of the connections, once they have completed their tasks.
    fn stop(&self) {
        for lane in &self.lanes {
            lane.tasks.shutdown();
        }
    }

    fn give(&self, lane: usize, task: Task) {
        // The queue is shut down only when the sink is closed.
        let given = self.lanes[lane].tasks.put(task);
        debug_assert!(given.is_ok(), "the connection's queue is open");
    }

    /// Distributes the parcels over the connections. Those of a numbering sender are on one of them.
    fn distribute(&self, batch: &Batch) -> Current {
        let mut rows = vec![0; (batch.len() / LEAST_ROWS).clamp(1, self.lanes.len())];
        let mut of_sender: HashMap<&str, usize> = HashMap::new();
        let mut part_of = Vec::with_capacity(batch.parcels().len());
        for parcel in batch.parcels() {
            let shortest = (0..rows.len()).min_by_key(|part| rows[*part]).unwrap_or(0);
            let part = match parcel.sequence() {
                Some(sequence) => *of_sender.entry(&sequence.sender).or_insert(shortest),
                None => shortest,
            };
            rows[part] += parcel.len();
            part_of.push(part);
        }
        let parts = rows.iter().map(|_| (Arc::default(), State::New)).collect();
        Current { number: batch.number(), parts, part_of }
    }

    /// Encodes a part.
    fn encode(&self, batch: &Batch, part_of: &[usize], part: usize) -> Part {
        let mut encoded = Part::default();
        let mut name = None;
        let mut index = 0;
        for (parcel, of) in batch.parcels().iter().zip(part_of) {
            if *of == part {
                let (_, source) = name
                    .take_if(|(known, _)| *known == parcel.source())
                    .unwrap_or_else(|| (parcel.source(), self.books.name(parcel.source())));
                encoded.push(parcel, index, &source);
                name = Some((parcel.source(), source));
            }
            index += parcel.len();
        }
        encoded
    }

    /// Waits for the connections. Returns the first failure, if any.
    fn collect(&mut self, current: &mut Current) -> Result<(), StoreError> {
        let deadline = time::now() + ANSWER_TIMEOUT;
        let mut failure = None;
        while current.parts.iter().any(|(_, state)| matches!(state, State::Running)) {
            let Ok(answer) = self.answers.get_deadline(deadline) else {
                assert!(
                    !self.lanes.iter().any(|lane| lane.thread.is_finished()),
                    "a connection's thread panicked"
                );
                let seconds = ANSWER_TIMEOUT.as_secs();
                return Err(StoreError::new(format!(
                    "the PostgreSQL server has not answered for {seconds} s"
                )));
            };
            if answer.batch != current.number {
                continue; // of a connection at the start, or of a batch that was given up
            }
            let (_, state) = &mut current.parts[answer.lane];
            match answer.result {
                Ok(exceptions) => *state = State::Stored(exceptions),
                Err(trouble) => {
                    *state = State::Waiting;
                    failure.get_or_insert(trouble);
                }
            }
        }
        failure.map_or(Ok(()), |trouble| Err(StoreError::new(trouble.to_string())))
    }
}

impl Sink for PostgresSink {
    fn store(&mut self, batch: &Batch) -> Result<Stored, StoreError> {
        let mut current = match self.current.take() {
            Some(current) if current.number == batch.number() => current,
            _ => self.distribute(batch),
        };
        for (lane, (part, state)) in current.parts.iter_mut().enumerate() {
            if matches!(state, State::New) {
                // One part is encoded while the server already stores those before it.
                *part = Arc::new(self.encode(batch, &current.part_of, lane));
            }
            if matches!(state, State::New | State::Waiting) {
                *state = State::Running;
                self.give(lane, Task::Store(current.number, part.clone()));
            }
        }
        if let Err(error) = self.collect(&mut current) {
            self.current = Some(current);
            return Err(error);
        }
        Ok(current.into_stored())
    }

    fn stored_in_part(&mut self, batch: &Batch) -> (Vec<bool>, Stored) {
        let Some(current) = self.current.take_if(|current| current.number == batch.number()) else {
            return (Vec::new(), Stored::default());
        };
        let is_stored = |part: &usize| matches!(current.parts[*part].1, State::Stored(_));
        (current.part_of.iter().map(is_stored).collect(), current.into_stored())
    }

    fn transactions(&self) -> usize {
        self.lanes.len()
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        self.stop();
        let deadline = time::now() + ANSWER_TIMEOUT;
        for lane in self.lanes.drain(..) {
            // A thread that waits for a dead server ends with the program.
            let _ = lane.thread.join_deadline(deadline);
        }
        Ok(())
    }
}

impl Drop for PostgresSink {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The error of [`PostgresSink::connect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError(String);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the PostgreSQL server: {}", self.0)
    }
}

impl Error for ConnectError {}
