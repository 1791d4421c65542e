//! SIGTERM and SIGHUP in mid-burst: nothing that was read is lost.

use super::support::{Ingest, Scratch, Sending, check_prefixes, number};
use super::{random_millis, rounds, trial};

#[test]
fn terminated_program_has_stored_the_messages_that_it_read() {
    trial(|| {
        for round in 0..rounds(3, 20) {
            let scratch = Scratch::new(&format!("term-{round}"));
            let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0 --grace 1s"));
            let sending = Sending::to(ingest.address, 400_000, 4);
            sending.until_sent(20_000);
            raddle::thread::sleep(random_millis(100));
            let ended = ingest.stop();
            // Most connections are cut off, each within a message.
            drop(sending.end());
            let account = ended.account();
            let (messages, rejected) = check_prefixes(scratch.path("messages.db"), 4);
            assert_eq!((account("stored"), account("rejected")), (messages, rejected), "{ended:?}");
            assert_eq!(account("received"), messages + rejected, "{ended:?}");
            assert!(messages > 0, "{ended:?}");
        }
    });
}

#[test]
fn reloading_program_loses_nothing() {
    trial(|| {
        let scratch = Scratch::new("hup");
        let ingest = Ingest::start(scratch.raddle("ingest --listen 127.0.0.1:0"));
        let sending = Sending::to(ingest.address, 100_000, 4);
        let signals = rounds(5, 20);
        for signal in 1..=signals {
            sending.until_sent(90_000 * u64::from(signal) / u64::from(signals));
            ingest.signal("HUP");
        }
        sending.end().expect("no connection is cut off");
        let ended = ingest.stop();
        assert_eq!(ended.last_line(), "received 100000 = stored 100000 + rejected 0", "{ended:?}");
        assert_eq!(ended.status, Some(0));
        assert_eq!(check_prefixes(scratch.path("messages.db"), 4), (100_000, 0));
        assert_eq!(
            number(&scratch.path("messages.db"), "SELECT count(DISTINCT text) FROM messages"),
            100_000
        );
    });
}
