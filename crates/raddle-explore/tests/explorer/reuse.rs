//! Objects at addresses where other objects have been.

use std::sync::Arc;

use raddle::atomic::{AtomicU32, Ordering::SeqCst};
use raddle::{Event, ShutdownMode, Thread, ThreadPoolExecutor};
use raddle_explore::{Explorer, Strategy};

/// Leaves heap memory in many sizes, each word of which was an atomic that the program has accessed.
fn use_memory() {
    let mut kept: Vec<Box<[AtomicU32]>> = Vec::new();
    for words in [4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64] {
        for _ in 0..6 {
            let atomics: Box<[AtomicU32]> = (0..words).map(|_| AtomicU32::new(0)).collect();
            atomics.iter().skip(2).for_each(|atomic| assert_eq!(atomic.load(SeqCst), 0));
            kept.push(atomics);
        }
    }
    while kept.pop().is_some() {}
}

/// A step that changes an object without declaring it still conflicts with a read of it.
#[test]
fn object_in_used_memory_is_another_object() {
    let report = Explorer::new()
        .strategy(Strategy::Dpor)
        .run(|| {
            use_memory();
            let (pool, gate) = (ThreadPoolExecutor::new(1), Arc::new(Event::new()));
            let theirs = gate.clone();
            let _busy = pool.submit(move || theirs.wait());
            let waiting = pool.submit(|| ());
            let stopper = pool.clone();
            let stopping = Thread::spawn(move || stopper.try_shutdown(ShutdownMode::CancelPending));
            let done = waiting.done();
            stopping.join().unwrap();
            gate.set();
            assert!(!done, "it was cancelled before");
        })
        .expect_failure();
    assert!(report.to_string().contains("it was cancelled before"), "{report}");
}
