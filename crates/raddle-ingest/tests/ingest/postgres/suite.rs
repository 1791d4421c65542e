//! The suite of all sinks.

use std::rc::Rc;

use postgres::Row;
use postgres::types::FromSql;
use raddle_ingest::{Books, PostgresOptions, PostgresSink, Remembered, Sink};

use super::{Server, options};
use crate::conformance::{Contents, Place, REFUSED, conformance};
use crate::support::within_limit;

/// A schema of its own.
struct Schema {
    server: Rc<Server>,
    name: String,
}

impl Schema {
    fn options(&self) -> PostgresOptions {
        let mut options = options(&self.server.url(), 3);
        options.schema.clone_from(&self.name);
        options
    }

    fn execute(&self, sql: &str) {
        self.server.execute(&format!("SET search_path = \"{}\"; {sql}", self.name));
    }
}

/// An outage that ends with a statement.
struct End(Schema, &'static str);

impl Drop for End {
    fn drop(&mut self) {
        self.0.execute(self.1);
    }
}

impl Place for Schema {
    fn open(&self, books: &Books) -> Box<dyn Sink> {
        Box::new(PostgresSink::connect(&self.options(), books.clone()).unwrap())
    }

    fn refuse(&self) {
        self.execute(&format!(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.text LIKE '%{REFUSED}%' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse()"
        ));
    }

    fn outages(&self) -> Vec<&'static str> {
        vec!["table", "column", "rejected", "sources", "commits", "trigger", "read-only"]
    }

    fn outage(&self, name: &str) -> Box<dyn std::any::Any> {
        let (begin, end) = match name {
            "table" => ("ALTER TABLE messages RENAME TO other", "ALTER TABLE other RENAME TO messages"),
            "column" => {
                ("ALTER TABLE messages RENAME host TO server", "ALTER TABLE messages RENAME server TO host")
            }
            "sources" => ("ALTER TABLE sources RENAME TO other", "ALTER TABLE other RENAME TO sources"),
            "commits" => ("ALTER TABLE commits RENAME TO other", "ALTER TABLE other RENAME TO commits"),
            "trigger" => (
                "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    INSERT INTO missing VALUES (1); END $$;
                 CREATE TRIGGER broken AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION broken()",
                "DROP TRIGGER broken ON messages",
            ),
            // There is a row to be rejected, and no table for it.
            "rejected" => (
                "ALTER TABLE rejected RENAME TO other;
                 ALTER TABLE messages ADD CONSTRAINT one CHECK (text <> 'one') NOT VALID",
                "ALTER TABLE other RENAME TO rejected; ALTER TABLE messages DROP CONSTRAINT one",
            ),
            _ => (
                "ALTER ROLE postgres SET default_transaction_read_only = on;
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'raddle'",
                "SET TRANSACTION READ WRITE; ALTER ROLE postgres RESET ALL",
            ),
        };
        self.execute(begin);
        Box::new(End(Self { server: self.server.clone(), name: self.name.clone() }, end))
    }

    fn kill(&self, sink: Box<dyn Sink>) {
        drop(sink);
    }

    fn contents(&self, books: &Books) -> Contents {
        let mut client = self.server.client();
        client.batch_execute(&format!("SET search_path = \"{}\"", self.name)).unwrap();
        let mut rows = |table: &str, columns: &str| {
            let query = format!(
                "SELECT (extract(epoch FROM it.received) * 1000000)::bigint AS received, it.source, it.peer, {columns}
                 FROM {table} ORDER BY it.id"
            );
            client.query(&query, &[]).unwrap()
        };
        let messages = rows(
            "messages AS it JOIN readable_messages USING (id)",
            "(extract(epoch FROM it.sent) * 1000000)::bigint AS sent, facility, it.severity, it.host, it.app,
             it.process, it.message_id, text, body",
        );
        let rejected = rows("rejected AS it", "reason, length, bytes");
        let last = client.query("SELECT sender, last_seq FROM sources", &[]).unwrap();
        Contents {
            messages: messages.iter().map(|row| message(row, books)).collect(),
            rejected: rejected.iter().map(|row| rejected_message(row, books)).collect(),
            last: last.iter().map(|row| (row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap())).collect(),
        }
    }
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> T {
    row.get(name)
}

fn base(row: &Row, books: &Books) -> Remembered {
    let mut base = Remembered::default();
    base.source = Some(books.open(column(row, "source")));
    base.peer = column(row, "peer");
    base.received = column(row, "received");
    base
}

fn message(row: &Row, books: &Books) -> Remembered {
    let small = |name| column::<Option<i16>>(row, name).map(|it| u8::try_from(it).unwrap());
    let mut it = base(row, books);
    it.sent = column(row, "sent");
    (it.facility, it.severity) = (small("facility"), small("severity"));
    (it.host, it.app) = (column(row, "host"), column(row, "app"));
    (it.process, it.message_id) = (column(row, "process"), column(row, "message_id"));
    (it.text, it.body) = (column(row, "text"), column(row, "body"));
    it
}

fn rejected_message(row: &Row, books: &Books) -> Remembered {
    let mut it = base(row, books);
    it.reason = column(row, "reason");
    it.length = u64::try_from(column::<i64>(row, "length")).unwrap();
    it.bytes = column(row, "bytes");
    it
}

#[test]
fn postgres_sink_passes_the_suite() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let server = Rc::new(server);
        conformance(|name| Schema { server: server.clone(), name: name.into() });
    });
}
