//! The program with a PostgreSQL server that stops and is started again.

use crate::support::postgres::Server;
use crate::support::{Ingest, Scratch, within_limit};

fn start(scratch: &Scratch, server: &Server) -> Ingest {
    let mut command = scratch.raddle("ingest --listen 127.0.0.1:0 --deadline 1s");
    command.args(["--postgres", &server.url()]);
    Ingest::start(command)
}

#[test]
fn server_that_stops_loses_nothing() {
    within_limit(|| {
        let Some(mut server) = Server::start() else { return };
        let scratch = Scratch::new("postgres");
        let mut ingest = start(&scratch, &server);
        ingest.send(b"one\ntwo\n");
        server.stop();
        ingest.send(b"three\n");
        ingest.read_error_until("cannot store messages: ");
        server.run();
        ingest.read_error_until("storing again");
        let ended = ingest.stop();
        assert_eq!(
            (ended.status, ended.last_line()),
            (Some(0), "received 3 = stored 3 + rejected 0"),
            "{ended:?}"
        );

        // The server is not started before the deadline: the rest is in a file, which is imported at the next start.
        let mut ingest = start(&scratch, &server);
        server.stop();
        ingest.send(b"four\n");
        ingest.read_error_until("cannot store messages: ");
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(4), "{ended:?}");
        assert!(scratch.path("raddle.unstored").exists(), "{ended:?}");
        server.run();
        start(&scratch, &server).stop();
        assert_eq!(server.number("SELECT count(DISTINCT text) FROM raddle.messages"), 4);
        assert_eq!(server.number("SELECT count(*) FROM raddle.messages"), 4);
        assert!(!scratch.path("raddle.unstored").exists());
    });
}
