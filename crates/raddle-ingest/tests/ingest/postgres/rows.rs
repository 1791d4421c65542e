//! The rows of a batch.

use std::time::{Duration, UNIX_EPOCH};

use raddle_ingest::{Batch, Header, Parcel, Reason, RowOutcome};

use super::{Given, Server, counts, options};
use crate::support::within_limit;

#[test]
fn columns_are_stored_as_they_were_parsed() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let mut given = Given::new(&server.url(), 1);
        let received = UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        let mut parcel = Parcel::new(given.source, "127.0.0.1:5".into(), received);
        parcel.push("<13>häuschen app: bödy", |text| Header {
            facility: Some(1),
            severity: Some(5),
            sent: Some(1_600_000_000_000_001),
            host: Some(&text[4..13]),
            app: Some(&text[14..17]),
            body: &text[19..],
            ..Header::default()
        });
        parcel.push_text("plain");
        parcel.push_rejected(Reason::Oversized, 70_000, vec![1, 0, 255]);
        assert_eq!(given.store(&Batch::new(vec![parcel])).exceptions, []);
        let text = |sql: &str| -> String { server.client().query_one(sql, &[]).unwrap().get(0) };
        let json = |table| {
            text(&format!("SELECT json_agg(t ORDER BY id)::text FROM (SELECT * FROM raddle.{table}) t"))
        };
        assert_eq!(
            text(
                "SELECT concat_ws('|', received AT TIME ZONE 'UTC', source, peer, facility, severity, sent AT TIME ZONE 'UTC', host, app, text) FROM raddle.messages ORDER BY id LIMIT 1"
            ),
            "2023-11-14 22:13:20.123456|tcp|127.0.0.1:5|1|5|2020-09-13 12:26:40.000001|häuschen|app|<13>häuschen app: bödy"
        );
        let readable = json("readable_messages");
        assert!(
            readable.contains(r#""severity":"notice","host":"häuschen","app":"app","process":null"#),
            "{readable}"
        );
        assert!(
            readable.contains(r#""body":"bödy""#) && readable.contains(r#""body":"plain""#),
            "{readable}"
        );
        let rejected = json("rejected");
        assert!(
            rejected.contains(r#""reason":"oversized","length":70000,"bytes":"\\x0100ff""#),
            "{rejected}"
        );
        given.sink.close().unwrap();
    });
}

#[test]
fn batch_is_distributed_and_complete() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let mut given = Given::new(&server.url(), 4);
        for count in [10_000i32, 1, 3999, 64] {
            server.execute("TRUNCATE raddle.messages");
            assert_eq!(given.store(&given.numbers(count.cast_unsigned() as usize)).exceptions, []);
            assert_eq!(counts(&server), (count.into(), count.into()));
        }
        let in_order = "SELECT count(*) FROM (
                SELECT substr(text, 8)::int AS number, lag(substr(text, 8)::int) OVER (PARTITION BY peer ORDER BY received, id) AS before
                FROM raddle.messages
            ) AS it WHERE before > number";
        server.execute("TRUNCATE raddle.messages");
        given.store(&given.numbers(10_000));
        assert_eq!(server.number(in_order), 0, "messages of a peer are in order");
    });
}

#[test]
fn refused_rows_are_rejected_and_their_neighbours_stored() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        for refusal in [
            "CREATE UNIQUE INDEX one ON raddle.messages ((CASE WHEN text LIKE '%99' THEN 'same' ELSE text END))",
            "ALTER TABLE raddle.messages ADD CHECK (text NOT LIKE '%99')",
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.text LIKE '%99' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON raddle.messages FOR EACH ROW EXECUTE FUNCTION refuse()",
            "CREATE TRIGGER refuse AFTER INSERT ON raddle.messages FOR EACH ROW EXECUTE FUNCTION refuse()",
            "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON raddle.messages DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION refuse()",
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.text LIKE '%99' THEN RAISE EXCEPTION 'own' USING ERRCODE = 'MY001'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON raddle.messages FOR EACH ROW EXECUTE FUNCTION refuse()",
        ] {
            let mut given = Given::new(&server.url(), 2);
            server.execute("DROP SCHEMA raddle CASCADE");
            let mut fresh = Given::new(&server.url(), 2);
            std::mem::swap(&mut given, &mut fresh);
            server.execute(refusal);
            // With a unique index, the first one is accepted.
            given.store(&Batch::new(vec![given.parcel("first", ["x99".to_owned()].into_iter().take(
                usize::from(refusal.contains("UNIQUE")),
            ))]));
            let batch = given.numbers(4000);
            let stored = given.store(&batch);
            let refused: Vec<usize> = stored.exceptions.iter().map(|(index, _)| *index).collect();
            assert_eq!(refused, (99..4000).step_by(100).collect::<Vec<_>>(), "{refusal}");
            assert!(
                stored.exceptions.iter().all(|(_, it)| matches!(it, RowOutcome::Refused(reason) if reason.contains("SQLSTATE"))),
                "{:?}", stored.exceptions[0]
            );
            assert_eq!(server.number("SELECT count(DISTINCT text) FROM raddle.messages WHERE text NOT LIKE '%99'"), 3960);
            assert_eq!(server.number("SELECT count(DISTINCT bytes) FROM raddle.rejected WHERE convert_from(bytes, 'UTF8') LIKE 'number %99' AND length = octet_length(bytes) AND peer LIKE 'peer %'"), 40);
            assert_eq!(server.number("SELECT count(*) FROM raddle.rejected"), 40);
        }
    });
}

#[test]
fn every_row_can_be_refused() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let mut given = Given::new(&server.url(), 2);
        server.execute("ALTER TABLE raddle.messages ADD COLUMN must int NOT NULL");
        let stored = given.store(&given.numbers(3000));
        assert_eq!(stored.exceptions.len(), 3000);
        assert_eq!(server.number("SELECT count(DISTINCT bytes) FROM raddle.rejected"), 3000);
        assert_eq!(counts(&server), (0, 0));
    });
}

#[test]
fn numbered_messages_are_stored_once_and_without_gaps() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let mut given = Given::new(&server.url(), 3);
        let batch = Batch::new(vec![
            given.numbered("a", 1..4),
            given.numbered("b", 5..7), // unknown, and does not begin with 1
            given.numbered("a", 3..6), // 3 is a duplicate
            given.numbered("a", 8..9), // a gap
            given.parcel("plain", ["plain".to_owned()]),
        ]);
        let gap = |expected| RowOutcome::OutOfSequence { expected };
        assert_eq!(
            given.store(&batch).exceptions,
            [(3, gap(1)), (4, gap(1)), (5, RowOutcome::Duplicate), (8, gap(6))]
        );
        assert_eq!(counts(&server), (6, 6));
        assert_eq!(server.number("SELECT last_seq FROM raddle.sources WHERE sender = 'a'"), 5);
        assert_eq!(
            server.number("SELECT count(*) FROM raddle.sources"),
            1,
            "an unknown sender leaves nothing"
        );
        given.sink.close().unwrap();

        // Another program continues where the first one ended; a refused message consumes its
        // number.
        let mut given = Given::new(&server.url(), 3);
        server.execute("ALTER TABLE raddle.messages ADD CHECK (text <> 'a 7')");
        let batch = Batch::new(vec![
            given.numbered("a", 4..9),
            given.numbered("b", 1..3001),
            given.numbered("c", 1..3001),
        ]);
        let exceptions = given.store(&batch).exceptions;
        assert_eq!(exceptions[..2], [(0, RowOutcome::Duplicate), (1, RowOutcome::Duplicate)]);
        assert!(matches!(exceptions[2..], [(3, RowOutcome::Refused(_))]), "{exceptions:?}");
        assert_eq!(counts(&server), (6 + 2 + 6000, 6 + 2 + 6000));
        assert_eq!(server.number("SELECT last_seq FROM raddle.sources WHERE sender = 'a'"), 8);
        let again = given.store(&Batch::new(vec![given.numbered("a", 7..9)])).exceptions;
        assert_eq!(again, [(0, RowOutcome::Duplicate), (1, RowOutcome::Duplicate)]);
    });
}

#[test]
fn two_programs_do_not_store_a_numbered_message_twice() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        Given::new(&server.url(), 1).sink.close().unwrap();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let url = server.url();
                raddle::Thread::new(move || {
                    let mut given = Given::new(&url, 2);
                    for begin in (1..1001).step_by(50) {
                        given.persist(&Batch::new(vec![given.numbered("s", begin..begin + 50)]));
                    }
                })
                .start()
                .unwrap()
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counts(&server), (1000, 1000));
    });
}

#[test]
fn tables_are_checked_and_created_on_request_only() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let connect = |options: &raddle_ingest::PostgresOptions| {
            raddle_ingest::PostgresSink::connect(options, raddle_ingest::Books::new()).map(|_| ())
        };
        let mut options = options(&server.url(), 2);
        options.schema = "public".into();
        server.execute("CREATE TABLE messages (id int, received text)");
        let error = connect(&options).unwrap_err().to_string();
        assert!(error.contains("is not a table of this program"), "{error}");
        options.messages = "other \"name".into();
        options.create = false;
        connect(&options).expect("a missing table is an outage");
        assert_eq!(server.number("SELECT count(*) FROM pg_tables WHERE tablename = 'rejected'"), 0);
        options.create = true;
        connect(&options).unwrap();
        assert_eq!(server.number("SELECT count(*) FROM pg_tables WHERE tablename = 'other \"name'"), 1);
        server.execute("ALTER TABLE rejected ALTER length TYPE int");
        let error = connect(&options).unwrap_err().to_string();
        assert!(
            error.contains("column length of table \"public\".\"rejected\" has type int4, expected int8"),
            "{error}"
        );
        options.connections = 0;
        assert!(connect(&options).unwrap_err().to_string().contains("choose 1 to 64"));
        options.url = "nonsense".into();
        let error = connect(&options).unwrap_err().to_string();
        assert!(error.contains("invalid connection string"), "{error}");
    });
}
