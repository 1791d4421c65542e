//! The transaction that stores a batch, and the messages that the database refuses.
//!
//! A database may refuse a message: by a unique index, a constraint of a column that was added, or a trigger. Such a message is stored as
//! rejected, and its neighbours are stored. The refusal may undo more than the one statement, so there are three steps:
//!
//! 1. Messages are inserted in groups, each under a savepoint. If a message of a group is refused, the group is undone, those before the message are
//!    inserted again, and the message under a savepoint of its own. This also undoes the changes of a trigger that refused the message.
//! 2. If the refusal rolled back the transaction (`RAISE(ROLLBACK)`), the message is noted, and the transaction begins anew without it. If this
//!    happens often, each message is tried by itself first, since a new beginning for each would take a time quadratic in the size of the batch.
//! 3. If the commit is refused (a deferred foreign key), the messages at fault are found by bisection: parts of the batch are
//!    written in transactions that a commit hook rolls back. They are noted, and the transaction begins anew without them.
//!
//! A message that the table `rejected` refuses, too, is written to a file beside the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::ffi::SQLITE_ERROR;
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};

use crate::books::{Books, SourceId};
use crate::message::{Content, Header, Row};
use crate::sink::interface::{Batch, RowOutcome, StoreError, Stored};
use crate::sink::sequence::{Place, Plan, plan};
use crate::unstored::Aside;

/// Messages that are inserted under one savepoint.
const GROUP: usize = 256;

/// New beginnings of a transaction, after which each message is tried by itself.
const BEGINNINGS: usize = 30;

/// Bytes that are kept of a message that is too long for the database.
const KEPT: usize = 1 << 20;

/// Allocates ids for a batch and returns the last. No id is allocated twice, and none that a row inserted by hand has.
const ALLOCATE_IDS: &str = "
    UPDATE ingest SET last_id = ?1 + max(
        last_id,
        (SELECT coalesce(max(id), 0) FROM messages),
        (SELECT coalesce(max(id), 0) FROM rejected)
    ) RETURNING last_id";

const MESSAGE: &str = "
    INSERT INTO messages (
        id, received, source, peer, sent, facility, severity, host, app, process, message_id, text, body_from, body_length
    ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const REJECTED: &str = "
    INSERT INTO rejected (id, received, source, peer, reason, length, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const LAST_OF: &str = "SELECT last_seq FROM sources WHERE sender = ?1";

const SET_LAST: &str = "
    INSERT INTO sources (sender, last_seq) VALUES (?1, ?2)
    ON CONFLICT (sender) DO UPDATE SET last_seq = excluded.last_seq";

/// The names of the sources.
#[derive(Debug)]
pub(crate) struct Names {
    books: Books,
    /// There are few.
    known: Vec<(SourceId, Arc<str>)>,
}

impl Names {
    pub(crate) fn new(books: Books) -> Self {
        Self { books, known: Vec::new() }
    }

    pub(crate) fn get(&mut self, source: SourceId) -> &str {
        let index = self.known.iter().position(|(known, _)| *known == source).unwrap_or_else(|| {
            self.known.push((source, self.books.name(source)));
            self.known.len() - 1
        });
        &self.known[index].1
    }
}

/// The messages that the database refused, by their index in the batch.
type Refused = BTreeMap<usize, Refusal>;

#[derive(Debug)]
struct Refusal {
    /// The reason of the database; absent if the source rejected the message.
    reason: Option<String>,
    /// The reason why the message cannot be stored as rejected either.
    beyond: Option<String>,
}

/// The end of an attempt that stored nothing.
enum Stop {
    /// A message was noted as refused, and the next attempt does without it.
    Again,
    Outage(StoreError),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Stop::Outage(StoreError::new(error))
    }
}

/// Stores the batch in one transaction, or nothing of it.
pub(crate) fn store(
    db: &mut Connection,
    names: &mut Names,
    aside: &mut Aside,
    batch: &Batch,
) -> Result<Stored, StoreError> {
    let mut refused = Refused::new();
    for beginnings in 1.. {
        let outcome = attempt(db, names, aside, batch, &mut refused).or_else(|stop| match stop {
            Stop::Again if beginnings == BEGINNINGS => {
                try_each(db, names, batch, &mut refused)?;
                Err(Stop::Again)
            }
            stop => Err(stop),
        });
        match outcome {
            Ok(stored) => return Ok(stored),
            Err(Stop::Again) => {}
            Err(Stop::Outage(error)) => return Err(error),
        }
    }
    unreachable!("the loop is endless")
}

/// Notes the messages of which each by itself rolls back a transaction. Nothing is stored.
fn try_each(
    db: &mut Connection,
    names: &mut Names,
    batch: &Batch,
    refused: &mut Refused,
) -> Result<(), Stop> {
    let mut rest: Option<Vec<Place<'_>>> = None;
    loop {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let places = match rest.take() {
            Some(rest) => rest,
            None => plan(batch, |sender| last_of(&transaction, sender))?.new,
        };
        let first = allocate(&transaction, places.len())?;
        let mut done = 0;
        let outcome = {
            let mut statements = Statements::new(&transaction)?;
            places.iter().zip(first..).try_for_each(|(place, id)| {
                statements.alone(names, place, id, refused)?;
                done += 1;
                Ok(())
            })
        };
        match outcome {
            Ok(()) => return Ok(()),
            // The transaction is gone. The message is noted, and it is tried as rejected.
            Err(Stop::Again) => rest = Some(places[done..].to_vec()),
            Err(stop) => return Err(stop),
        }
    }
}

/// Allocates ids, and returns the first.
fn allocate(db: &Connection, count: usize) -> rusqlite::Result<i64> {
    let count = to_i64(count as u64);
    let last: i64 = db.prepare_cached(ALLOCATE_IDS)?.query_row([count], |row| row.get(0))?;
    Ok(last - count + 1)
}

fn attempt(
    db: &mut Connection,
    names: &mut Names,
    aside: &mut Aside,
    batch: &Batch,
    refused: &mut Refused,
) -> Result<Stored, Stop> {
    // On any error, dropping the transaction rolls it back.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let plan = plan(batch, |sender| last_of(&transaction, sender))?;
    write(&transaction, names, &plan, refused)?;
    let exceptions = exceptions(&plan, names, aside, refused).map_err(Stop::Outage)?;
    if let Err(error) = transaction.commit() {
        aside.undo();
        if is_constraint(&error) {
            db.commit_hook(Some(|| true))?;
            let found = Search { db, names, plan: &plan, reason: error.to_string() }.run(refused);
            db.commit_hook(None::<fn() -> bool>)?;
            return Err(found.err().unwrap_or(Stop::Again));
        }
        return Err(error.into());
    }
    aside.keep();
    Ok(Stored { exceptions })
}

/// Returns the messages that were not stored as they are, by ascending index. Writes those that the table `rejected` refused to the
/// file beside the database.
fn exceptions(
    plan: &Plan<'_>,
    names: &mut Names,
    aside: &mut Aside,
    refused: &Refused,
) -> Result<Vec<(usize, RowOutcome)>, StoreError> {
    let mut exceptions = plan.exceptions.clone();
    for (index, refusal) in refused {
        // Since the message was refused, another program may have stored it.
        let Ok(position) = plan.new.binary_search_by_key(index, |place| place.index) else { continue };
        let row = plan.new[position].row();
        let place = match &refusal.beyond {
            Some(beyond) => {
                let reason = refusal.reason.as_deref().unwrap_or(beyond);
                aside.add(&row, names.get(row.source), reason).map_err(|error| {
                    let place = aside.path().display();
                    StoreError::new(format!(
                        "the table `rejected` refuses a message: {beyond}; and {place} cannot be written: {error}"
                    ))
                })?;
                format!("; kept in {}", aside.path().display())
            }
            None => String::new(),
        };
        if let Some(reason) = &refusal.reason {
            exceptions.push((*index, RowOutcome::Refused(format!("{reason}{place}"))));
        }
    }
    aside
        .flush()
        .map_err(|error| StoreError::new(format!("cannot write {}: {error}", aside.path().display())))?;
    exceptions.sort_by_key(|(index, _)| *index);
    Ok(exceptions)
}

fn last_of(db: &Connection, sender: &str) -> rusqlite::Result<u64> {
    let last: Option<i64> = db.prepare_cached(LAST_OF)?.query_row([sender], |row| row.get(0)).optional()?;
    Ok(last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0))
}

/// Writes the new messages and the numbers of their senders.
fn write(db: &Connection, names: &mut Names, plan: &Plan<'_>, refused: &mut Refused) -> Result<(), Stop> {
    if !plan.new.is_empty() {
        let first = allocate(db, plan.new.len())?;
        let mut statements = Statements::new(db)?;
        for (group, id) in plan.new.chunks(GROUP).zip((first..).step_by(GROUP)) {
            statements.group(names, group, id, refused)?;
        }
    }
    for (sender, last) in &plan.last {
        db.prepare_cached(SET_LAST)?.execute(params![sender, to_i64(*last)])?;
    }
    Ok(())
}

/// The statements of a transaction.
struct Statements<'a> {
    db: &'a Connection,
    message: CachedStatement<'a>,
    rejected: CachedStatement<'a>,
    save: CachedStatement<'a>,
    release: CachedStatement<'a>,
    undo: CachedStatement<'a>,
}

/// The outcome of a statement that inserts a message.
enum Inserted {
    Yes,
    Refused(String),
}

impl<'a> Statements<'a> {
    fn new(db: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            db,
            message: db.prepare_cached(MESSAGE)?,
            rejected: db.prepare_cached(REJECTED)?,
            save: db.prepare_cached("SAVEPOINT part")?,
            release: db.prepare_cached("RELEASE part")?,
            undo: db.prepare_cached("ROLLBACK TO part")?,
        })
    }

    /// Inserts a group of messages, the first of which gets the id.
    fn group(
        &mut self,
        names: &mut Names,
        mut group: &[Place<'_>],
        mut id: i64,
        refused: &mut Refused,
    ) -> Result<(), Stop> {
        while !group.is_empty() {
            let noted = group.iter().position(|place| refused.contains_key(&place.index));
            let end = noted.unwrap_or(group.len());
            let mut accepted = self.together(names, &group[..end], id, refused)?;
            if accepted < end && accepted != self.together(names, &group[..accepted], id, refused)? {
                // The database does not decide the same each time.
                accepted = 0;
            }
            group = &group[accepted..];
            id += to_i64(accepted as u64);
            if let Some((place, rest)) = group.split_first() {
                self.one(names, place, id, refused)?;
                group = rest;
                id += 1;
            }
        }
        Ok(())
    }

    /// Inserts messages under one savepoint. Returns their number, or the number of those before the first refused one: then none is inserted.
    fn together(
        &mut self,
        names: &mut Names,
        places: &[Place<'_>],
        id: i64,
        refused: &mut Refused,
    ) -> Result<usize, Stop> {
        self.save.execute([])?;
        for (position, (place, id)) in places.iter().zip(id..).enumerate() {
            let row = place.row();
            let inserted = match row.content {
                Content::Text(text, header) => self.message(names, id, &row, text, &header)?,
                Content::Rejected { .. } => self.rejected(names, id, &row, None)?,
            };
            if let Inserted::Refused(reason) = inserted {
                self.check(place, reason, refused)?;
                self.undo.execute([])?;
                self.release.execute([])?;
                return Ok(position);
            }
        }
        self.release.execute([])?;
        Ok(places.len())
    }

    /// Inserts a message, as rejected if the database refuses it. The changes of a refused statement are undone.
    fn one(
        &mut self,
        names: &mut Names,
        place: &Place<'_>,
        id: i64,
        refused: &mut Refused,
    ) -> Result<(), Stop> {
        let row = place.row();
        if let Content::Text(text, header) = row.content
            && !refused.contains_key(&place.index)
        {
            self.save.execute([])?;
            let inserted = self.message(names, id, &row, text, &header)?;
            let Some(reason) = self.end(place, inserted, refused)? else { return Ok(()) };
            refused.insert(place.index, Refusal { reason: Some(reason), beyond: None });
        }
        if refused.get(&place.index).is_some_and(|refusal| refusal.beyond.is_some()) {
            return Ok(());
        }
        let reason = refused.get(&place.index).and_then(|refusal| refusal.reason.clone());
        self.save.execute([])?;
        let inserted = self.rejected(names, id, &row, reason.as_deref())?;
        if let Some(beyond) = self.end(place, inserted, refused)? {
            refused.entry(place.index).or_insert(Refusal { reason: None, beyond: None }).beyond =
                Some(beyond);
        }
        Ok(())
    }

    /// Inserts a message as [`one`](Self::one) does, and undoes it. It is noted only if it rolls back the transaction: other refusals may depend on
    /// the messages before it.
    fn alone(
        &mut self,
        names: &mut Names,
        place: &Place<'_>,
        id: i64,
        refused: &mut Refused,
    ) -> Result<(), Stop> {
        let was_noted = refused.contains_key(&place.index);
        self.save.execute([])?;
        self.one(names, place, id, refused)?;
        self.undo.execute([])?;
        self.release.execute([])?;
        if !was_noted {
            refused.remove(&place.index);
        }
        Ok(())
    }

    /// Ends the savepoint of a message. Returns the reason if it was refused.
    fn end(
        &mut self,
        place: &Place<'_>,
        inserted: Inserted,
        refused: &mut Refused,
    ) -> Result<Option<String>, Stop> {
        let reason = match inserted {
            Inserted::Yes => None,
            Inserted::Refused(reason) => {
                let reason = self.check(place, reason, refused)?;
                self.undo.execute([])?;
                Some(reason)
            }
        };
        self.release.execute([])?;
        Ok(reason)
    }

    /// Returns the reason of a refusal, unless it rolled back the transaction: the message is noted.
    fn check(&self, place: &Place<'_>, reason: String, refused: &mut Refused) -> Result<String, Stop> {
        if !self.db.is_autocommit() {
            return Ok(reason);
        }
        note(place, &reason, refused);
        Err(Stop::Again)
    }

    fn message(
        &mut self,
        names: &mut Names,
        id: i64,
        row: &Row<'_>,
        text: &str,
        header: &Header<'_>,
    ) -> rusqlite::Result<Inserted> {
        let (body_from, body_length) = body(text, header.body);
        let outcome = self.message.execute((
            id,
            row.received,
            names.get(row.source),
            row.peer,
            header.sent,
            header.facility,
            header.severity,
            header.host,
            header.app,
            header.process,
            header.message_id,
            text,
            body_from,
            body_length,
        ));
        self.judge(outcome, MESSAGE)
    }

    fn rejected(
        &mut self,
        names: &mut Names,
        id: i64,
        row: &Row<'_>,
        reason: Option<&str>,
    ) -> rusqlite::Result<Inserted> {
        let (own, length, bytes) = match row.content {
            Content::Text(text, _) => (String::new(), text.len() as u64, text.as_bytes()),
            Content::Rejected { reason, length, bytes } => (reason.to_string(), length, bytes),
        };
        let reason = reason.unwrap_or(&own);
        let source = names.get(row.source);
        let mut execute = |bytes: &[u8]| {
            let length = to_i64(length);
            self.rejected.execute(params![id, row.received, source, row.peer, reason, length, bytes])
        };
        let outcome = match execute(bytes) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::TooBig) => {
                execute(&bytes[..bytes.len().min(KEPT)])
            }
            outcome => outcome,
        };
        self.judge(outcome, REJECTED)
    }

    /// Determines whether the database refused the message or failed.
    fn judge(&self, outcome: rusqlite::Result<usize>, sql: &str) -> rusqlite::Result<Inserted> {
        let error = match outcome {
            Ok(0) => return Ok(Inserted::Refused("a trigger ignored the message".to_owned())),
            Ok(_) => return Ok(Inserted::Yes),
            Err(error) => error,
        };
        let code = error.sqlite_error().map(|error| error.extended_code);
        // An expression in a trigger, an index or a generated column failed for this message, unless the statement cannot
        // be prepared: then a table or a column is missing.
        let failed = || code == Some(SQLITE_ERROR) && self.db.prepare(sql).is_ok();
        let is_refusal = is_constraint(&error)
            || matches!(error.sqlite_error_code(), Some(ErrorCode::TooBig | ErrorCode::TypeMismatch))
            || failed();
        if is_refusal { Ok(Inserted::Refused(message(&error))) } else { Err(error) }
    }
}

/// Notes that the database refuses the message: as it is, or as rejected if that is known already.
fn note(place: &Place<'_>, reason: &str, refused: &mut Refused) {
    let is_text = matches!(place.row().content, Content::Text(..));
    let known = refused.get_mut(&place.index);
    match known {
        Some(known) => known.beyond = Some(reason.to_owned()),
        None if is_text => {
            refused.insert(place.index, Refusal { reason: Some(reason.to_owned()), beyond: None });
        }
        None => {
            refused.insert(place.index, Refusal { reason: None, beyond: Some(reason.to_owned()) });
        }
    }
}

/// Finds the messages for which a commit fails. The connection has a commit hook that refuses every commit.
struct Search<'a> {
    db: &'a mut Connection,
    names: &'a mut Names,
    plan: &'a Plan<'a>,
    reason: String,
}

impl Search<'_> {
    /// Notes the messages. Fails with an outage if the fault does not lie in the messages.
    fn run(mut self, refused: &mut Refused) -> Result<(), Stop> {
        let plan = self.plan;
        if !self.accepts(&[], refused)? {
            return Err(Stop::Outage(StoreError::new(self.reason)));
        }
        self.search(&plan.new, refused)?;
        Ok(())
    }

    /// Notes the messages at fault among these, and returns whether there are any.
    fn search(&mut self, places: &[Place<'_>], refused: &mut Refused) -> Result<bool, Stop> {
        if self.accepts(places, refused)? {
            return Ok(false);
        }
        if places.len() > 1 {
            let (front, back) = places.split_at(places.len() / 2);
            if self.search(front, refused)? | self.search(back, refused)? {
                return Ok(true);
            }
        }
        // A single message, or messages that the database accepts one by one, but not together.
        if let Some(place) = places.last() {
            note(place, &self.reason, refused);
        }
        Ok(true)
    }

    /// Returns whether a transaction with these messages would be committed.
    fn accepts(&mut self, places: &[Place<'_>], refused: &mut Refused) -> Result<bool, Stop> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let plan = Plan { new: places.to_vec(), exceptions: Vec::new(), last: self.plan.last.clone() };
        write(&transaction, self.names, &plan, refused)?;
        match transaction.commit() {
            Err(error) if extended(&error) == Some(rusqlite::ffi::SQLITE_CONSTRAINT_COMMITHOOK) => Ok(true),
            Err(error) if is_constraint(&error) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(()) => Err(Stop::Outage(StoreError::new(
                "a transaction was committed that should have been rolled back",
            ))),
        }
    }
}

fn extended(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// Returns the words of the database alone.
fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        error => error.to_string(),
    }
}

/// Returns the first character of the body in the text, counted from 1, and the number of its characters. The first is absent if the body
/// is the whole text, the second if the body extends to the end.
fn body(text: &str, body: &str) -> (Option<i64>, Option<i64>) {
    if body.len() == text.len() {
        return (None, None);
    }
    // The body is a part of the text; an empty one may be elsewhere.
    let begin = (body.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    let begin = if begin <= text.len() { begin } else { 0 };
    let characters = |text: &str| to_i64(text.chars().count() as u64);
    let length = (begin + body.len() != text.len()).then(|| characters(body));
    (Some(characters(&text[..begin]) + 1), length)
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_found_in_characters() {
        let text = "é<1>hällo!";
        assert_eq!(body(text, text), (None, None));
        assert_eq!(body(text, &text[5..]), (Some(5), None));
        assert_eq!(body(text, &text[5..8]), (Some(5), Some(2)));
        assert_eq!(body(text, &text[..5]), (Some(1), Some(4)));
        assert_eq!(body(text, &text[text.len()..]), (Some(11), None));
        assert_eq!(body(text, ""), (Some(1), Some(0)));
        assert_eq!(body("", ""), (None, None));
    }
}
