//! A connection to the server, and the thread that stores parts of batches over it.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use postgres::types::Type;
use postgres::{Client, NoTls, Statement};
use raddle::{JoinHandle, Mutex, Queue, Thread};

use super::part::{HEADER, Part, TRAILER, Table};
use super::schema::Sql;
use super::trouble::{Refusal, Trouble};
use crate::sink::interface::RowOutcome;
use crate::sink::sequence::known;

/// The most bytes in one message to the server.
const CHUNK: usize = 128 << 10;

/// The most rows in one COPY once a row has been refused.
const LONGEST_RUN: usize = 1000;

/// How long a statement waits for a lock. Then the reason is logged, and it is repeated.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The state that all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: postgres::Config,
    pub(super) sql: Sql,
    pub(super) create: bool,
    /// The number under which this writer marks its commits.
    pub(super) writer: i64,
    /// The tables have been created and checked. Afterwards, a missing table is an outage.
    pub(super) prepared: Mutex<bool>,
}

/// A connection as the sink sees it.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) tasks: Arc<Queue<Task>>,
    pub(super) thread: JoinHandle<()>,
}

#[derive(Debug)]
pub(super) enum Task {
    /// Connects to the server, and prepares the tables.
    Connect,
    /// Stores a part of the batch with this number.
    Store(u64, Arc<Part>),
}

/// The outcome of a task.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) lane: usize,
    /// The number of the batch; zero for a connection.
    pub(super) batch: u64,
    pub(super) result: Result<Exceptions, Trouble>,
}

/// Rows of a part that are not stored as they are: their index in the batch, and their outcome.
pub(super) type Exceptions = Vec<(usize, RowOutcome)>;

impl Lane {
    pub(super) fn start(
        index: usize,
        shared: Arc<Shared>,
        answers: Arc<Queue<Answer>>,
    ) -> std::io::Result<Self> {
        let tasks = Arc::new(Queue::unbounded());
        let connection = i16::try_from(index).expect("few connections");
        let mut worker = Worker { shared, connection, open: None, before: None, unknown: None };
        let run = {
            let tasks = tasks.clone();
            move || {
                while let Ok(task) = tasks.get() {
                    let (batch, result) = match task {
                        Task::Connect => (0, worker.connect().map(|()| Vec::new())),
                        Task::Store(batch, part) => (batch, worker.store(batch, &part)),
                    };
                    let _ = answers.put(Answer { lane: index, batch, result });
                }
            }
        };
        // A server that does not answer must not keep the program from terminating.
        let thread = Thread::new(run).name(format!("postgres-{index}")).daemon(true).start()?;
        Ok(Self { tasks, thread })
    }
}

struct Worker {
    shared: Arc<Shared>,
    connection: i16,
    open: Option<Open>,
    /// The server's process of the connection before this one. It may still run, and hold locks.
    before: Option<Process>,
    /// A batch whose COMMIT was sent and not answered, with the result that the answer would have confirmed.
    unknown: Option<(u64, Exceptions)>,
}

struct Open {
    client: Client,
    messages: Statement,
    rejected: Statement,
}

/// A process of the server. A process id alone may be used again.
type Process = (i32, SystemTime);

impl Worker {
    /// Connects unless there is a connection.
    fn connect(&mut self) -> Result<(), Trouble> {
        if self.open.is_some() {
            return Ok(());
        }
        let Shared { config, sql, .. } = &*self.shared;
        let mut client = config.connect(NoTls)?;
        client.batch_execute(&format!("SET lock_timeout = {}", LOCK_TIMEOUT.as_millis()))?;
        let row = client.query_typed_one(
            "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            &[],
        )?;
        let process = (row.get(0), row.get(1));
        if let Some((id, start)) = self.before.replace(process) {
            // Otherwise its transaction could hold the lock of this connection's row until the server detects the loss.
            client.query_typed(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2",
                &[(&id, Type::INT4), (&start, Type::TIMESTAMPTZ)],
            )?;
        }
        {
            let mut prepared = self.shared.prepared.lock();
            if !*prepared {
                sql.prepare(&mut client, self.shared.create)?;
                *prepared = true;
            }
        }
        let messages = client.prepare(&sql.copy_messages)?;
        let rejected = client.prepare(&sql.copy_rejected)?;
        self.open = Some(Open { client, messages, rejected });
        Ok(())
    }

    /// Stores the part in a transaction, unless an earlier attempt has committed it.
    fn store(&mut self, batch: u64, part: &Part) -> Result<Exceptions, Trouble> {
        // A connection that was idle may have been lost meanwhile: this is found by using it.
        let is_new = self.open.is_none();
        match self.attempt(batch, part) {
            Err(Trouble::Outage(_)) if !is_new => self.attempt(batch, part),
            result => result,
        }
    }

    fn attempt(&mut self, batch: u64, part: &Part) -> Result<Exceptions, Trouble> {
        let result = self.connect().and_then(|()| match self.take_committed(batch)? {
            Some(exceptions) => Ok(exceptions),
            None => self.transaction(batch, part),
        });
        if result.is_err() {
            self.open = None;
        }
        result
    }

    /// Finds out whether the batch was committed by an attempt that got no answer. Returns the result of that attempt.
    fn take_committed(&mut self, batch: u64) -> Result<Option<Exceptions>, Trouble> {
        self.unknown.take_if(|(unknown, _)| *unknown != batch);
        let Some(_) = &self.unknown else { return Ok(None) };
        let client = &mut self.open.as_mut().expect("a connection").client;
        let query = self.shared.sql.last_batch(self.shared.writer, self.connection);
        let last: i64 = client.query_typed_one(&query, &[])?.get(0);
        let unknown = self.unknown.take();
        Ok(unknown.filter(|_| u64::try_from(last) == Ok(batch)).map(|(_, exceptions)| exceptions))
    }

    fn transaction(&mut self, batch: u64, part: &Part) -> Result<Exceptions, Trouble> {
        let open = self.open.as_mut().expect("a connection");
        let begin = self.shared.sql.begin(self.shared.writer, self.connection, batch);
        let mut is_careful = false;
        loop {
            open.client.batch_execute(&begin)?;
            let filled = open.fill(&self.shared.sql, part, is_careful);
            let ended = filled.and_then(|exceptions| {
                self.unknown = Some((batch, exceptions));
                Ok(open.client.batch_execute("COMMIT")?)
            });
            match ended {
                Ok(()) => return Ok(self.unknown.take().map_or_else(Vec::new, |(_, it)| it)),
                // A constraint that is checked at the commit has refused it.
                Err(Trouble::Refused(_)) if !is_careful => {
                    self.unknown = None;
                    open.client.batch_execute("ROLLBACK")?;
                    is_careful = true;
                }
                Err(Trouble::Refused(refusal)) => {
                    self.unknown = None;
                    return Err(Trouble::Outage(format!(
                        "the database refuses a batch without any row of it: {}",
                        refusal.reason
                    )));
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }
}

impl Open {
    /// Stores the rows in the open transaction. Carefully: a row that the database refuses is stored as rejected.
    fn fill(&mut self, sql: &Sql, part: &Part, carefully: bool) -> Result<Exceptions, Trouble> {
        let mut exceptions = self.in_sequence(sql, part)?;
        let mut others = exceptions.iter().map(|(index, _)| *index).peekable();
        let (messages, rejected): (Vec<usize>, Vec<usize>) = (0..part.len())
            .filter(|row| others.next_if_eq(&part.index(*row)).is_none())
            .partition(|row| part.table(*row) == Table::Messages);
        let mut refused = Vec::new();
        if carefully {
            for (row, reason) in self.copy_carefully(part, &messages)? {
                part.encode_refused(row, &reason, &mut refused);
                exceptions.push((part.index(row), RowOutcome::Refused(reason)));
            }
            exceptions.sort_by_key(|(index, _)| *index);
        } else if !messages.is_empty() {
            copy(&mut self.client, &self.messages, part.slices(&messages))?;
        }
        if !rejected.is_empty() || !refused.is_empty() {
            let slices = part.slices(&rejected).chain([refused.as_slice()]);
            copy(&mut self.client, &self.rejected, slices).map_err(|trouble| match trouble {
                Trouble::Refused(it) => {
                    Trouble::Outage(format!("cannot store rejected messages: {}", it.reason))
                }
                other => other,
            })?;
        }
        Ok(exceptions)
    }

    /// Compares the numbers of the messages with the last of their senders, which is updated. Returns those that are not to be stored.
    fn in_sequence(&mut self, sql: &Sql, part: &Part) -> Result<Exceptions, Trouble> {
        let mut exceptions = Vec::new();
        let senders = part.senders();
        if senders.is_empty() {
            return Ok(exceptions);
        }
        let names: Vec<&str> = senders.iter().map(|it| &**it).collect();
        let mut last = self.last_numbers(sql, &names)?;
        let unknown: Vec<&str> = names.iter().copied().filter(|name| !last.contains_key(*name)).collect();
        if !unknown.is_empty() {
            // A row can be locked once it exists. Another writer may have created it in the meantime.
            self.client.query_typed(&sql.add_sources, &[(&unknown, Type::TEXT_ARRAY)])?;
            last = self.last_numbers(sql, &names)?;
        }
        let before = last.clone();
        for numbered in part.numbered() {
            let last = last.get_mut(&*numbered.sequence.sender).expect("a row for each sender");
            let (rows, sequence) = (numbered.rows.clone(), &numbered.sequence);
            let (others, outcome) = match known(*last, sequence, rows.len()) {
                Some(known) => {
                    if known < rows.len() {
                        *last = sequence.first + rows.len() as u64 - 1;
                    }
                    (rows.start..rows.start + known, RowOutcome::Duplicate)
                }
                None => (rows, RowOutcome::OutOfSequence { expected: *last + 1 }),
            };
            exceptions.extend(others.map(|row| (part.index(row), outcome.clone())));
        }
        let changed: Vec<&str> = names.iter().copied().filter(|name| last[*name] != before[*name]).collect();
        if !changed.is_empty() {
            let numbers: Vec<i64> =
                changed.iter().map(|name| i64::try_from(last[*name]).unwrap_or(i64::MAX)).collect();
            self.client.query_typed(
                &sql.update_sources,
                &[(&changed, Type::TEXT_ARRAY), (&numbers, Type::INT8_ARRAY)],
            )?;
        }
        if unknown.iter().any(|name| last[*name] == 0) {
            self.client.query_typed(&sql.drop_sources, &[(&unknown, Type::TEXT_ARRAY)])?;
        }
        exceptions.sort_by_key(|(index, _)| *index);
        Ok(exceptions)
    }

    /// Locks the rows of the senders, and returns the last number of each that has a row.
    fn last_numbers(&mut self, sql: &Sql, names: &[&str]) -> Result<HashMap<String, u64>, Trouble> {
        let rows = self.client.query_typed(&sql.lock_sources, &[(&names, Type::TEXT_ARRAY)])?;
        Ok(rows.iter().map(|row| (row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap_or(0))).collect())
    }

    /// Stores messages in runs that become shorter where the database refuses one, until that one is alone. Returns those and
    /// the reasons.
    fn copy_carefully(&mut self, part: &Part, rows: &[usize]) -> Result<Vec<(usize, String)>, Trouble> {
        self.client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE; SAVEPOINT run")?;
        let mut refused = Vec::new();
        // The next row; the length of the next run; a row that the server named; rows stored since the last refusal.
        let (mut next, mut length, mut suspect, mut calm) = (0, LONGEST_RUN, None, 0);
        while next < rows.len() {
            let until = if suspect == Some(next) { 1 } else { length };
            let end = rows.len().min(next + until);
            let end = suspect.filter(|row| (next + 1..end).contains(row)).unwrap_or(end);
            match copy(&mut self.client, &self.messages, part.slices(&rows[next..end])) {
                Ok(()) => {
                    self.client.batch_execute("RELEASE SAVEPOINT run; SAVEPOINT run")?;
                    calm += end - next;
                    next = end;
                    length = (length * 2).min(LONGEST_RUN);
                }
                Err(Trouble::Refused(Refusal { reason, row })) => {
                    self.client.batch_execute("ROLLBACK TO SAVEPOINT run")?;
                    if end - next == 1 {
                        refused.push((rows[next], reason));
                        next += 1;
                        length = (calm * 2).clamp(1, LONGEST_RUN);
                        calm = 0;
                    } else {
                        length = (end - next) / 2;
                        suspect = row.map(|row| next + row).filter(|row| *row < end);
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(refused)
    }
}

/// Sends rows to the server.
fn copy<'a>(
    client: &mut Client,
    statement: &Statement,
    rows: impl Iterator<Item = &'a [u8]>,
) -> Result<(), Trouble> {
    let mut writer = client.copy_in(statement)?;
    let mut chunks = std::iter::once(HEADER).chain(rows.flat_map(|it| it.chunks(CHUNK))).chain([TRAILER]);
    let written = chunks.try_for_each(|chunk| writer.write_all(chunk));
    // If the writing failed, the reason is in the server's answer.
    writer.finish()?;
    written.map_err(|error| Trouble::Outage(error.to_string()))
}
