//! `kill -9` at random moments: acknowledged messages are stored, numbered ones exactly once.

use std::collections::HashMap;

use super::senders::Sender;
use super::support::{Ingest, Scratch, free_address, until};
use super::{File, Store, random_millis, rounds, trial};

fn kills(scratch: &Scratch, store: &dyn Store) {
    let (tcp, http) = (free_address(), free_address());
    let command = || {
        let listen = format!("ingest --listen tcp://{tcp} --listen http://{http}");
        scratch.raddle(&format!("{listen} --log-level error {}", store.flags()))
    };
    let mut ingest = Ingest::start(command());
    let senders = [
        Sender::numbered("a", http),
        Sender::numbered("b", tcp),
        Sender::relp("r", tcp),
        Sender::relp("q", tcp),
    ];
    for _ in 0..rounds(4, 50) {
        // Every sender gets an acknowledgement after each start, which shows that there is load.
        let before = senders.each_ref().map(Sender::acknowledged);
        until(|| senders.iter().zip(before).all(|(sender, before)| sender.acknowledged() > before));
        raddle::thread::sleep(random_millis(300));
        ingest.signal("KILL");
        assert_eq!(ingest.end().status, None);
        store.check();
        ingest = Ingest::start(command());
    }
    let acknowledged = senders.map(Sender::stop);
    let ended = ingest.stop();
    assert!(matches!(ended.status, Some(0 | 3)), "{ended:?}");
    store.check();
    let texts = store.texts();
    let mut times: HashMap<(&str, u64), u32> = HashMap::new();
    for text in &texts {
        let mut words = text.split(' ');
        let key = (words.next().expect("a name"), words.next().expect("a number").parse().expect("a number"));
        *times.entry(key).or_default() += 1;
    }
    for (name, last) in &acknowledged {
        assert!(*last > 0);
        for number in 1..=*last {
            let times = times.get(&(name.as_str(), number)).copied().unwrap_or(0);
            assert!(times > 0, "{name} {number} was acknowledged and is not stored");
        }
    }
    let doubled = times.iter().filter(|((name, _), times)| ["a", "b"].contains(name) && **times > 1);
    assert_eq!(doubled.count(), 0, "numbered messages are stored once");
    let numbered = |name| times.keys().filter(|(sender, _)| *sender == name).count() as u64;
    for name in ["a", "b"] {
        let last = store.number(&format!("SELECT last_seq FROM sources WHERE sender = '{name}'"));
        assert_eq!(numbered(name), last, "the numbers of {name} have no gap");
    }
}

#[test]
fn killed_program_has_stored_acknowledged_messages() {
    trial(|| {
        let scratch = Scratch::new("kills");
        kills(&scratch, &File(&scratch.path("messages.db")));
    });
}

#[cfg(feature = "postgres")]
#[test]
fn killed_program_has_stored_acknowledged_messages_in_postgres() {
    trial(|| {
        let Some(server) = crate::support::postgres::Server::start() else { return };
        kills(&Scratch::new("kills-postgres"), &server);
    });
}
