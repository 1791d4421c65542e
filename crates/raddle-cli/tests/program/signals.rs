//! Signals: none but a second SIGTERM, SIGKILL and those of faults ends the program without a drain.

use std::io::Write as _;

use crate::support::{Ingest, Scratch, Sending, check_prefixes, number, until, within_limit};

const CONNECTIONS: u64 = 4;

#[test]
fn signals_in_mid_burst_lose_nothing() {
    within_limit(|| {
        let scratch = Scratch::new("signals");
        let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0"));
        let sending = Sending::to(ingest.address, 60_000, CONNECTIONS);
        let signals = "HUP USR1 USR2 ALRM PIPE VTALRM PROF 29 16 WINCH CHLD URG CONT XFSZ QUIT HUP 34 40 64 TTIN CONT TTOU CONT TSTP CONT";
        for (signal, sent) in signals.split(' ').zip((1..).map(|step| step * 2000)) {
            sending.until_sent(sent);
            ingest.signal(signal);
        }
        sending.end().unwrap();
        let ended = ingest.stop();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(ended.last_line(), "received 60000 = stored 60000 + rejected 0");
        assert_eq!(check_prefixes(scratch.path("messages.db"), CONNECTIONS), (60_000, 0));
        assert!(ended.err.contains("there is no settings file to read again"), "{ended:?}");
    });
}

#[test]
fn signals_of_a_failing_machine_drain() {
    within_limit(|| {
        for (signal, name) in [("30", "PWR"), ("XCPU", "XCPU")] {
            let scratch = Scratch::new(&format!("drain-{signal}"));
            let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0"));
            let mut peer = ingest.connect();
            peer.write_all(b"one\ntwo\n").unwrap();
            ingest.signal(signal);
            let ended = ingest.end();
            assert_eq!(ended.status, Some(0), "{ended:?}");
            assert_eq!(ended.last_line(), "received 2 = stored 2 + rejected 0");
            assert!(ended.err.contains(&format!("(SIG{name};")), "{ended:?}");
        }
    });
}

#[test]
fn sigusr1_logs_the_books() {
    within_limit(|| {
        let scratch = Scratch::new("usr1");
        let mut ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0 --status 0"));
        ingest.send(b"one\n");
        until(|| number(&scratch.path("messages.db"), "SELECT count(*) FROM messages") == 1);
        ingest.signal("USR1");
        ingest.read_error_until("received 1 = ");
        ingest.stop();
    });
}

#[test]
fn sigquit_prints_the_threads_and_the_program_continues() {
    within_limit(|| {
        let scratch = Scratch::new("quit");
        let mut ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0"));
        ingest.signal("QUIT");
        ingest.read_error_until("writer");
        ingest.send(b"one\n");
        assert_eq!(ingest.stop().last_line(), "received 1 = stored 1 + rejected 0");
    });
}

#[test]
fn closed_terminal_loses_nothing() {
    within_limit(|| {
        let scratch = Scratch::new("terminal");
        let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0 --status 10ms"));
        let (address, process) = ingest.abandon_output();
        let sending = Sending::to(address, 20_000, CONNECTIONS);
        sending.until_sent(1000);
        process.signal("HUP");
        sending.end().unwrap();
        process.signal("TERM");
        assert_eq!(process.wait(), Some(0));
        assert_eq!(check_prefixes(scratch.path("messages.db"), CONNECTIONS), (20_000, 0));
    });
}
