//! The schema of the database, its versions, and how a file is recognised.

use rusqlite::{Connection, Transaction};

use super::error::Why;

/// Identifies the file format: "radl" in the header of the file.
const APPLICATION: i64 = 0x7261_646c;

/// The version of the schema.
pub(crate) const LAYOUT: i64 = 2;

const TABLES: &str = "
    -- received, sent: microseconds since 1970-01-01 00:00 UTC; sent: the sender's time, NULL if unsure
    -- text: the whole message; body_from: the first character of the text without its header, NULL if it has none; body_length: its
    -- characters, NULL if it extends to the end. `readable` has it as a column: a generated one would be computed with each insertion
    CREATE TABLE messages (
        id          INTEGER PRIMARY KEY,
        received    INTEGER NOT NULL,
        source      TEXT NOT NULL DEFAULT 'tcp',
        peer        TEXT NOT NULL,
        sent        INTEGER,
        facility    INTEGER,
        severity    INTEGER,
        host        TEXT,
        app         TEXT,
        process     TEXT,
        message_id  TEXT,
        text        TEXT NOT NULL,
        body_from   INTEGER,
        body_length INTEGER
    ) STRICT;

    -- length: bytes the message had; bytes: what is kept of them
    CREATE TABLE rejected (
        id       INTEGER PRIMARY KEY,
        received INTEGER NOT NULL,
        source   TEXT NOT NULL DEFAULT 'tcp',
        peer     TEXT NOT NULL,
        reason   TEXT NOT NULL,
        length   INTEGER NOT NULL,
        bytes    BLOB NOT NULL
    ) STRICT;

    -- one row; last_id: the highest id ever given in either table, never given again
    CREATE TABLE ingest (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        last_id  INTEGER NOT NULL,
        is_demo  INTEGER NOT NULL
    ) STRICT;
";

/// The columns that version 2 adds to the tables of version 1.
const COLUMNS_OF_2: &str = "
    ALTER TABLE messages ADD COLUMN source TEXT NOT NULL DEFAULT 'tcp';
    ALTER TABLE messages ADD COLUMN sent INTEGER;
    ALTER TABLE messages ADD COLUMN facility INTEGER;
    ALTER TABLE messages ADD COLUMN severity INTEGER;
    ALTER TABLE messages ADD COLUMN host TEXT;
    ALTER TABLE messages ADD COLUMN app TEXT;
    ALTER TABLE messages ADD COLUMN process TEXT;
    ALTER TABLE messages ADD COLUMN message_id TEXT;
    ALTER TABLE messages ADD COLUMN body_from INTEGER;
    ALTER TABLE messages ADD COLUMN body_length INTEGER;
    ALTER TABLE rejected ADD COLUMN source TEXT NOT NULL DEFAULT 'tcp';
    DROP VIEW IF EXISTS readable;
";

/// The text of a message without its header.
pub(crate) const BODY: &str =
    "iif(body_from IS NULL, text, substr(text, body_from, coalesce(body_length, length(text))))";

/// The further tables of version 2.
const REST: &str = "
    -- last_seq: the number of the sender's last message that is stored or rejected
    CREATE TABLE sources (
        sender   TEXT PRIMARY KEY,
        last_seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE VIEW readable AS
        SELECT
            id,
            strftime('%Y-%m-%d %H:%M:%f', received / 1000000.0, 'unixepoch') AS received_utc,
            source,
            peer,
            strftime('%Y-%m-%d %H:%M:%f', sent / 1000000.0, 'unixepoch') AS sent_utc,
            CASE severity
                WHEN 0 THEN 'emergency' WHEN 1 THEN 'alert' WHEN 2 THEN 'critical' WHEN 3 THEN 'error'
                WHEN 4 THEN 'warning' WHEN 5 THEN 'notice' WHEN 6 THEN 'info' WHEN 7 THEN 'debug'
            END AS severity,
            host, app, process, message_id,
            :body AS body
        FROM messages;
";

/// The columns that the program uses, by table.
const USED: [(&str, &str); 4] = [
    (
        "messages",
        "id, received, source, peer, sent, facility, severity, host, app, process, message_id, text, body_from, body_length",
    ),
    ("rejected", "id, received, source, peer, reason, length, bytes"),
    ("ingest", "only, last_id, is_demo"),
    ("sources", "sender, last_seq"),
];

/// The kind of messages that the file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Real messages, added to the existing ones. No demo may open the file from now on.
    Ingest,
    /// Messages of a demo, which replace those of an earlier demo.
    Demo,
}

/// Creates the tables in an empty file, and migrates those of version 1. Any other file must have this schema.
pub(crate) fn establish(db: &Transaction<'_>, purpose: Purpose) -> Result<(), Why> {
    let rest = REST.replace(":body", BODY);
    match version(db)? {
        Version::This => {}
        Version::First => {
            db.execute_batch(COLUMNS_OF_2)?;
            db.execute_batch(&rest)?;
            db.pragma_update(None, "user_version", LAYOUT)?;
            log::info!("the database has been migrated from schema version 1 to {LAYOUT}");
        }
        Version::Empty => {
            db.execute_batch(TABLES)?;
            db.execute_batch(&rest)?;
            db.pragma_update(None, "application_id", APPLICATION)?;
            db.pragma_update(None, "user_version", LAYOUT)?;
        }
    }
    check(db)?;
    claim(db, purpose)
}

enum Version {
    Empty,
    First,
    This,
}

fn version(db: &Connection) -> Result<Version, Why> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (application, layout) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    match (application, layout) {
        (APPLICATION, LAYOUT) => Ok(Version::This),
        (APPLICATION, 1) => Ok(Version::First),
        (APPLICATION, found) => Err(Why::OtherLayout { found, known: LAYOUT }),
        (0, 0) if number("SELECT count(*) FROM sqlite_schema")? == 0 => Ok(Version::Empty),
        _ => Err(Why::Foreign),
    }
}

/// Checks that a file is a database of messages of this version, for readers.
pub(crate) fn recognise(db: &Connection) -> Result<(), Why> {
    match version(db)? {
        Version::This => check(db),
        Version::First => Err(Why::OtherLayout { found: 1, known: LAYOUT }),
        Version::Empty => Err(Why::Foreign),
    }
}

/// Checks that each table has its columns, and that both ends of it can be read.
fn check(db: &Connection) -> Result<(), Why> {
    for (table, columns) in USED {
        // Fails if the table or a column is missing.
        if let Err(error) = db.prepare(&format!("SELECT {columns} FROM {table}")) {
            return Err(match Why::from(error) {
                Why::Database(error) => Why::Altered(error.to_string()),
                why => why,
            });
        }
    }
    for table in ["messages", "rejected"] {
        for order in ["", "DESC"] {
            let sql = format!("SELECT * FROM {table} ORDER BY id {order} LIMIT 1");
            let mut statement = db.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
    }
    Ok(())
}

/// Claims the file for a purpose. A new file has no row in `ingest` yet.
fn claim(db: &Transaction<'_>, purpose: Purpose) -> Result<(), Why> {
    let is_new = db.query_row("SELECT count(*) = 0 FROM ingest", [], |row| row.get(0))?;
    if is_new {
        let is_demo = purpose == Purpose::Demo;
        db.execute("INSERT INTO ingest (only, last_id, is_demo) VALUES (1, 0, ?1)", [is_demo])?;
        return Ok(());
    }
    match purpose {
        // Nothing is written if nothing changes: a file on a full disk can be opened.
        Purpose::Ingest => db.execute_batch("UPDATE ingest SET is_demo = 0 WHERE is_demo <> 0")?,
        Purpose::Demo => {
            if !db.query_row("SELECT is_demo FROM ingest", [], |row| row.get(0))? {
                return Err(Why::NotADemo);
            }
            db.execute_batch(
                "DELETE FROM messages; DELETE FROM rejected; DELETE FROM sources; UPDATE ingest SET last_id = 0",
            )?;
        }
    }
    Ok(())
}

/// Checks every page of the database. Returns the problems; none if it is intact.
pub(crate) fn integrity(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare("PRAGMA integrity_check(20)")?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}
