//! The tables, the statements that fill them, and how they are created and checked.

use std::fmt::Write as _;

use postgres::types::Type;
use postgres::{Client, Transaction};

use super::options::PostgresOptions;
use super::part::{MESSAGE_COLUMNS, REJECTED_COLUMNS};
use super::trouble::Trouble;

/// The key of the lock that is held while tables are created, so that two writers do not create the same one.
const CREATION_LOCK: i64 = 0x7261_646c;

/// The type of each column that is not a text.
const TYPES: [(&str, Type); 10] = [
    ("received", Type::TIMESTAMPTZ),
    ("sent", Type::TIMESTAMPTZ),
    ("facility", Type::INT2),
    ("severity", Type::INT2),
    ("body_from", Type::INT4),
    ("body_length", Type::INT4),
    ("length", Type::INT8),
    ("bytes", Type::BYTEA),
    ("last_seq", Type::INT8),
    ("batch", Type::INT8),
];

/// The statements, with the names of the tables in them.
#[derive(Debug)]
pub(super) struct Sql {
    pub(super) copy_messages: String,
    pub(super) copy_rejected: String,
    pub(super) lock_sources: String,
    pub(super) add_sources: String,
    pub(super) update_sources: String,
    pub(super) drop_sources: String,
    commits: String,
    /// Each table: its name, its columns, and the statement that creates it.
    tables: Vec<(String, &'static str, String)>,
    schema: String,
}

impl Sql {
    pub(super) fn new(options: &PostgresOptions) -> Self {
        let table = |name: &str| format!("{}.{}", quoted(&options.schema), quoted(name));
        let (messages, rejected) = (table(&options.messages), table(&options.rejected));
        let (sources, commits) = (table(&options.sources), table(&options.commits));
        let copy = |table: &str, columns| format!("COPY {table} ({columns}) FROM STDIN WITH (FORMAT binary)");
        let create = |name: &str, body: &str| format!("CREATE TABLE {name} ({body})");
        let tables = vec![
            (
                messages.clone(),
                MESSAGE_COLUMNS,
                create(&messages, MESSAGES)
                    + &format!(
                        "; CREATE VIEW {} AS {READABLE} {messages}",
                        table(&format!("readable_{}", options.messages))
                    ),
            ),
            (rejected.clone(), REJECTED_COLUMNS, create(&rejected, REJECTED)),
            (sources.clone(), "sender, last_seq", create(&sources, SOURCES)),
            (commits.clone(), "writer, connection, batch, at", create(&commits, COMMITS)),
        ];
        Self {
            copy_messages: copy(&messages, MESSAGE_COLUMNS),
            copy_rejected: copy(&rejected, REJECTED_COLUMNS),
            lock_sources: format!(
                "SELECT sender, last_seq FROM {sources} WHERE sender = ANY($1) ORDER BY sender FOR UPDATE"
            ),
            add_sources: format!(
                "INSERT INTO {sources} (sender, last_seq) SELECT name, 0 FROM unnest($1::text[]) AS name ON CONFLICT DO NOTHING"
            ),
            update_sources: format!(
                "UPDATE {sources} AS old SET last_seq = new.last_seq \
                 FROM unnest($1::text[], $2::bigint[]) AS new (sender, last_seq) WHERE old.sender = new.sender"
            ),
            drop_sources: format!("DELETE FROM {sources} WHERE sender = ANY($1) AND last_seq = 0"),
            commits,
            tables,
            schema: quoted(&options.schema),
        }
    }

    /// Returns the statements that begin the transaction in which a connection of a writer stores its part of a batch.
    ///
    /// The first change marks the batch as committed. The lock of that row is held until the transaction ends.
    pub(super) fn begin(&self, writer: i64, connection: i16, batch: u64) -> String {
        let commits = &self.commits;
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             INSERT INTO {commits} (writer, connection, batch, at) VALUES ({writer}, {connection}, {batch}, now()) \
             ON CONFLICT (writer, connection) DO UPDATE SET batch = excluded.batch, at = excluded.at"
        )
    }

    /// Returns the query for the batch that a connection of a writer committed last. It blocks while a transaction of it is running.
    pub(super) fn last_batch(&self, writer: i64, connection: i16) -> String {
        let commits = &self.commits;
        format!(
            "INSERT INTO {commits} AS old (writer, connection, batch, at) VALUES ({writer}, {connection}, 0, now()) \
             ON CONFLICT (writer, connection) DO UPDATE SET at = excluded.at RETURNING old.batch"
        )
    }

    /// Creates missing tables, if `create` is set, and checks all tables. Nothing is created if a table has another shape.
    pub(super) fn prepare(&self, client: &mut Client, create: bool) -> Result<(), Trouble> {
        let mut transaction = client.transaction()?;
        if create {
            self.create(&mut transaction)?;
        }
        for (table, columns, _) in &self.tables {
            check(&mut transaction, table, columns)?;
        }
        // Rows of writers that do not exist any more. A month is longer than any outage.
        let old = format!("DELETE FROM {} WHERE at < now() - interval '1 month'", self.commits);
        transaction.batch_execute(&old)?;
        Ok(transaction.commit()?)
    }

    fn create(&self, transaction: &mut Transaction<'_>) -> Result<(), Trouble> {
        transaction.batch_execute(&format!("SELECT pg_advisory_xact_lock({CREATION_LOCK})"))?;
        let mut exists = |question: &str, name: &str| -> Result<bool, Trouble> {
            Ok(transaction.query_typed_one(question, &[(&name, Type::TEXT)])?.get(0))
        };
        // Rights to create are only necessary if something is missing.
        let mut missing = String::new();
        if !exists("SELECT to_regnamespace($1) IS NOT NULL", &self.schema)? {
            let _ = write!(missing, "CREATE SCHEMA {};", self.schema);
        }
        for (table, _, create) in &self.tables {
            if !exists("SELECT to_regclass($1) IS NOT NULL", table)? {
                let _ = write!(missing, "{create};");
            }
        }
        Ok(transaction.batch_execute(&missing)?)
    }
}

/// Checks that the table has the columns, of the types that the binary format requires.
fn check(transaction: &mut Transaction<'_>, table: &str, columns: &str) -> Result<(), Trouble> {
    let statement = match transaction.prepare(&format!("SELECT {columns} FROM {table}")) {
        Ok(statement) => statement,
        Err(error) if error.code() == Some(&postgres::error::SqlState::UNDEFINED_COLUMN) => {
            let why = Trouble::from(error);
            return Err(Trouble::Foreign(format!("table {table} is not a table of this program: {why}")));
        }
        Err(error) => return Err(error.into()),
    };
    for column in statement.columns() {
        let expected = TYPES.iter().find(|(name, _)| *name == column.name()).map(|(_, expected)| expected);
        let is_right = match (expected, column.name()) {
            (Some(expected), _) => column.type_() == expected,
            (None, "writer" | "connection" | "at") => true,
            (None, _) => [Type::TEXT, Type::VARCHAR].contains(column.type_()),
        };
        if !is_right {
            return Err(Trouble::Foreign(format!(
                "column {} of table {table} has type {}, expected {}",
                column.name(),
                column.type_(),
                expected.unwrap_or(&Type::TEXT)
            )));
        }
    }
    Ok(())
}

/// Quotes an identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const MESSAGES: &str = "
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    received timestamptz NOT NULL,
    source text NOT NULL,
    peer text NOT NULL,
    sent timestamptz,
    facility smallint,
    severity smallint,
    host text,
    app text,
    process text,
    message_id text,
    body_from integer,
    body_length integer,
    text text NOT NULL";

/// The text without its header.
const READABLE: &str = "
    SELECT id, received, source, peer, sent,
        (ARRAY['emergency', 'alert', 'critical', 'error', 'warning', 'notice', 'info', 'debug'])[severity + 1] AS severity,
        host, app, process, message_id,
        CASE WHEN body_from IS NULL THEN text ELSE substr(text, body_from, coalesce(body_length, length(text))) END AS body
    FROM";

const REJECTED: &str = "
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    received timestamptz NOT NULL,
    source text NOT NULL,
    peer text NOT NULL,
    reason text NOT NULL,
    length bigint NOT NULL,
    bytes bytea NOT NULL";

const SOURCES: &str = "sender text PRIMARY KEY, last_seq bigint NOT NULL";

const COMMITS: &str = "
    writer bigint,
    connection smallint,
    batch bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (writer, connection)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let options = PostgresOptions { schema: "odd \"name".into(), ..PostgresOptions::default() };
        assert!(
            Sql::new(&options).copy_messages.starts_with("COPY \"odd \"\"name\".\"messages\" (received,")
        );
    }
}
