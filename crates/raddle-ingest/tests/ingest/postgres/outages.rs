//! Outages: no message is lost or stored twice.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle_ingest::{Batch, Parcel, Pipeline, PipelineOptions, Unstored};
use rustix::process::Signal;

use super::server::{Cut, Proxy, url};
use super::{Given, Server, counts};
use crate::support::{Nowhere, until, within_limit};

#[test]
fn outage_is_mended_and_nothing_is_lost() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let url = server.url().replace("user=postgres", "user=writer password=right");
        server
            .execute("CREATE ROLE writer LOGIN PASSWORD 'right'; CREATE SCHEMA raddle AUTHORIZATION writer");
        let login = "host all postgres 127.0.0.1/32 trust\nhost all writer 127.0.0.1/32 scram-sha-256\n";
        server.set_logins(login);
        let cases: [(&str, &str, &str); 6] = [
            (
                "ALTER TABLE raddle.messages RENAME TO away",
                "ALTER TABLE raddle.away RENAME TO messages",
                "42P01",
            ),
            (
                "ALTER TABLE raddle.messages OWNER TO postgres",
                "ALTER TABLE raddle.messages OWNER TO writer",
                "42501",
            ),
            ("ALTER ROLE writer PASSWORD 'wrong'", "ALTER ROLE writer PASSWORD 'right'", "28P01"),
            (
                "ALTER ROLE writer SET default_transaction_read_only = on",
                "ALTER ROLE writer RESET ALL",
                "25006",
            ),
            (
                "ALTER TABLE raddle.messages RENAME peer TO other",
                "ALTER TABLE raddle.messages RENAME other TO peer",
                "42703",
            ),
            (
                "ALTER TABLE raddle.messages ALTER facility TYPE int",
                "ALTER TABLE raddle.messages ALTER facility TYPE smallint",
                "08P01",
            ),
        ];
        let mut expected = 0;
        let mut given = Given::new(&url, 2);
        // The view would not allow the type to be changed.
        server.execute("DROP VIEW raddle.readable_messages");
        for (begin, end, reason) in cases {
            server.execute(begin);
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'writer'");
            let mut parcel = given.parcel("peer", (1..3000).map(|it| format!("{reason} {it}")));
            parcel.push("first", |text| raddle_ingest::Header {
                facility: Some(1),
                body: text,
                ..Default::default()
            });
            let batch = Batch::new(vec![
                parcel,
                given.parcel("other", (0..3000).map(|it| format!("{reason} other {it}"))),
            ]);
            for _ in 0..2 {
                let error = given.fail(&batch);
                assert!(error.contains(reason), "{begin}: {error}");
            }
            server.execute(end);
            assert_eq!(given.persist(&batch).exceptions, [], "{begin}");
            expected += 6000;
            assert_eq!(server.number("SELECT count(*) FROM raddle.messages"), expected, "{begin}");
        }
        assert_eq!(server.number("SELECT count(*) FROM raddle.rejected"), 0);
    });
}

/// Adds a trigger that fails as a full disk does, for one message and so for one of the parts.
fn fail_for_one(server: &Server) {
    server.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.text = 'number 0' THEN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER fail BEFORE INSERT ON raddle.messages FOR EACH ROW EXECUTE FUNCTION fail()",
    );
}

#[test]
fn only_the_failed_part_of_a_batch_is_repeated() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let mut given = Given::new(&server.url(), 2);
        fail_for_one(&server);
        let batch = given.numbers(10_000);
        for _ in 0..3 {
            assert!(given.fail(&batch).contains("53100"));
            assert_eq!(counts(&server), (5000, 5000));
        }
        server.execute("DROP TRIGGER fail ON raddle.messages");
        assert_eq!(given.store(&batch).exceptions, []);
        assert_eq!(counts(&server), (10_000, 10_000));
    });
}

/// Counts the messages that it keeps.
struct Counting(Arc<AtomicUsize>);

impl Unstored for Counting {
    fn add(&mut self, parcels: &[&Parcel]) -> std::io::Result<()> {
        self.0.fetch_add(parcels.iter().map(|it| it.len()).sum(), Ordering::SeqCst);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".into()
    }
}

#[test]
fn stored_part_of_a_batch_is_not_kept_elsewhere() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let given = Given::new(&server.url(), 2);
        fail_for_one(&server);
        let kept = Arc::new(AtomicUsize::new(0));
        // Both are in one batch, and each is a part.
        let mut options = PipelineOptions::default();
        options.batch.linger = Duration::from_secs(30);
        let unstored = Box::new(Counting(kept.clone()));
        let pipeline = Pipeline::start(given.sink, unstored, given.books.clone(), &options).unwrap();
        let source = given.source;
        for (begin, length) in [(0, 2000), (2000, 3000)] {
            let mut parcel = Parcel::new(source, "peer".into(), std::time::SystemTime::now());
            (begin..begin + length).for_each(|it| parcel.push_text(&format!("number {it}")));
            pipeline.intake().put(parcel).unwrap();
        }
        let outcome = pipeline.finish(Duration::ZERO);
        let (stored, unstored) = (outcome.account.stored, outcome.account.unstored);
        assert_eq!((outcome.account.lost(), stored, unstored), (0, 3000, 2000), "{outcome:?}");
        assert_eq!(u64::try_from(kept.load(Ordering::SeqCst)), Ok(unstored), "{outcome:?}");
        assert_eq!(u64::try_from(counts(&server).0), Ok(stored), "{outcome:?}");
    });
}

#[test]
fn lost_connection_at_the_commit_neither_loses_nor_doubles() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        for cut in [Cut::Before, Cut::After, Cut::Late] {
            let proxy = Proxy::start(server.address, cut);
            let mut given = Given::new(&url(proxy.address), 1);
            server.execute("TRUNCATE raddle.messages, raddle.rejected; ALTER TABLE raddle.messages ADD CHECK (text <> 'number 7')");
            let batch = given.numbers(500);
            proxy.cut_next();
            let stored = given.persist(&batch);
            assert!(!proxy.is_armed(), "the COMMIT was cut off");
            assert_eq!(stored.exceptions.len(), 1, "{cut:?}: {stored:?}");
            assert_eq!(counts(&server), (499, 499), "{cut:?}");
            assert_eq!(server.number("SELECT count(*) FROM raddle.rejected"), 1, "{cut:?}");
            // The next batch is not taken for the one before.
            given.store(&given.numbers(5));
            assert_eq!(counts(&server), (504, 499), "{cut:?}");
        }
    });
}

#[test]
fn silent_server_is_an_outage_and_its_late_answer_counts() {
    within_limit(|| {
        let Some(server) = Server::start() else { return };
        let mut given = Given::new(&server.url(), 2);
        given.store(&given.numbers(1));
        server.signal_connections(Signal::STOP);
        let batch = given.numbers(5000);
        let error = given.sink.store(&batch).unwrap_err().to_string();
        assert!(error.contains("has not answered for 5 s"), "{error}");
        server.signal_connections(Signal::CONT);
        assert_eq!(given.persist(&batch).exceptions, []);
        assert_eq!(counts(&server), (5001, 5000));
    });
}

#[test]
fn stopped_and_crashed_server_loses_and_doubles_nothing() {
    within_limit(|| {
        let Some(mut server) = Server::start() else { return };
        let given = Given::new(&server.url(), 3);
        let mut pipeline_options = PipelineOptions::default();
        pipeline_options.batch.messages = 4000;
        let pipeline =
            Pipeline::start(given.sink, Box::new(Nowhere), given.books.clone(), &pipeline_options).unwrap();
        let intake = pipeline.intake().clone();
        let source = given.source;
        // A part is sent when the server has gone: there is something to store when it is back.
        let parts = Arc::new(raddle::Semaphore::new(0));
        let released = parts.clone();
        let sender = raddle::Thread::new(move || {
            for begin in (0..120_000).step_by(100) {
                if begin % 24_000 == 0 {
                    released.acquire().forget();
                }
                let mut parcel = Parcel::new(source, "peer".into(), std::time::SystemTime::now());
                (begin..begin + 100).for_each(|it| parcel.push_text(&format!("number {it}")));
                intake.put(parcel).expect("the queue is open");
            }
        })
        .start()
        .unwrap();
        parts.release();
        for round in 0..4 {
            until(|| pipeline.account().stored >= round * 24_000 + 8000);
            if round % 2 == 0 {
                server.stop();
            } else {
                server.crash();
            }
            parts.release();
            raddle::thread::sleep(Duration::from_millis(300));
            let before = pipeline.account().stored;
            server.run();
            // It resumes by itself.
            until(|| pipeline.account().stored > before);
        }
        sender.join().unwrap();
        let outcome = pipeline.finish(Duration::from_secs(30));
        assert!(outcome.is_good(), "{outcome:?}");
        assert_eq!(outcome.account.stored, 120_000);
        assert_eq!(counts(&server), (120_000, 120_000));
    });
}

#[test]
fn server_that_is_down_at_the_start_is_awaited() {
    within_limit(|| {
        let Some(mut server) = Server::start() else { return };
        server.stop();
        let mut given = Given::new(&server.url(), 2);
        let batch = given.numbers(3000);
        assert!(given.fail(&batch).contains("Connection refused"));
        server.run();
        assert_eq!(given.persist(&batch).exceptions, []);
        assert_eq!(counts(&server), (3000, 3000));
    });
}

/// A file system in memory that belongs to the server, unmounted and removed when it is dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount() -> Option<Self> {
        use std::os::unix::fs::{MetadataExt as _, chown};

        let path = super::server::fresh("small");
        let owner = path.metadata().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(&path).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            std::fs::remove_dir(&path).unwrap();
            eprintln!("skipped: this user may not mount a file system");
            return None;
        }
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        Some(Self(path))
    }

    fn grow(&self) {
        let status = Command::new("mount").args(["-o", "remount,size=500m"]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn full_disk_of_the_server_is_an_outage() {
    within_limit(|| {
        let Some(small) = Small::mount() else { return };
        let Some(server) = Server::start() else { return };
        let mut given = Given::new(&server.url(), 2);
        server.execute(&format!("CREATE TABLESPACE small LOCATION '{}'", small.0.display()));
        server.execute("ALTER TABLE raddle.messages SET TABLESPACE small");
        let text = "x".repeat(1000);
        let batch = |given: &Given, round: usize| {
            let texts = (0..1000).map(|number| format!("{round} {number} {text}"));
            Batch::new(vec![given.parcel("peer", texts)])
        };
        let mut rounds = 0;
        let full = loop {
            let next = batch(&given, rounds);
            rounds += 1;
            if given.sink.store(&next).is_err() {
                break next;
            }
            assert!(rounds < 100, "eight megabytes are full");
        };
        for _ in 0..3 {
            let error = given.fail(&full);
            assert!(error.contains("53100"), "{error}");
        }
        small.grow();
        assert_eq!(given.persist(&full).exceptions, []);
        let expected = i64::try_from(rounds * 1000).unwrap();
        assert_eq!(counts(&server), (expected, expected));
        assert_eq!(server.number("SELECT count(*) FROM raddle.rejected"), 0);
        server.execute("ALTER TABLE raddle.messages SET TABLESPACE pg_default");
    });
}
