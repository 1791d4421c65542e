//! `Shared` and recordings: the operations of threads, in order.

use std::sync::Arc;
use std::time::Duration;

use raddle::trace::{Kind, Recording, Step, note};
use raddle::{Lock, Mutex, Shared, Thread, thread};

use crate::support::{finish, repeat, until, within_limit};

/// Returns the steps of the threads of that name.
fn steps_of<'a>(steps: &'a [Step], name: &str) -> Vec<&'a Step> {
    steps.iter().filter(|step| &*step.thread == name).collect()
}

#[test]
fn cell_updates_can_be_lost() {
    let value = Shared::new(5);
    value.set(value.get() + 1);
    assert_eq!(value.get(), 6);
    assert_eq!(format!("{value:?} {:?}", Shared::<u8>::default()), "Shared(6) Shared(0)");
    // An update is lost if another one is stored between its load and its store.
    let (first, second) = (value.get(), value.get());
    value.set(first + 1);
    value.set(second + 1);
    assert_eq!(value.get(), 7);
}

#[test]
fn recording_has_every_step_with_its_values() {
    let recording = Recording::start();
    let value = Arc::new(Shared::new(1));
    let line = line!() + 3;
    let body = {
        let value = value.clone();
        move || value.set(value.get() + 1)
    };
    finish(Thread::new(body).name("recorded").start().unwrap());
    let steps = recording.finish();
    let of_value: Vec<_> =
        steps_of(&steps, "recorded").into_iter().filter(|step| step.value.is_some()).collect();
    let told: Vec<_> = of_value.iter().map(|step| (step.kind, step.value.as_deref().unwrap())).collect();
    assert_eq!(told, [(Kind::Load, "1"), (Kind::Store, "1 → 2")]);
    for step in of_value {
        assert_eq!(
            (step.object.type_name, step.object.address),
            ("Shared", std::ptr::from_ref(&*value) as usize)
        );
        assert_eq!((step.at.file(), step.at.line()), (file!(), line));
    }
}

#[test]
fn recording_has_steps_of_locks_and_threads() {
    let recording = Recording::start();
    let body = || {
        let lock = Lock::new();
        drop(lock.lock());
        let mutex = Mutex::new(0);
        drop(mutex.try_lock());
    };
    finish(Thread::new(body).name("locks").start().unwrap());
    let steps = recording.finish();
    let told: Vec<_> =
        steps_of(&steps, "locks").iter().map(|step| (step.object.type_name, step.kind)).collect();
    let expected = [
        ("Lock", Kind::Acquire),
        ("Lock", Kind::Release),
        ("Mutex", Kind::TryAcquire),
        ("Mutex", Kind::Release),
        ("Thread", Kind::Terminate),
    ];
    assert_eq!(told, expected);
}

#[test]
fn stores_are_recorded_in_their_order() {
    repeat(10, || {
        let recording = Recording::start();
        let value = Shared::new(0_u64);
        thread::scope(|s| {
            for n in 1..=4 {
                let value = &value;
                s.spawn(move || (0..50).for_each(|turn| value.set(n * 1_000 + turn)));
            }
        });
        let place = std::ptr::from_ref(&value) as usize;
        let steps = recording.finish();
        let stores = steps.iter().filter(|step| step.object.address == place && step.value.is_some());
        let mut before = "0".to_owned();
        let mut count = 0;
        for store in stores {
            let (old, new) = store.value.as_deref().unwrap().split_once(" → ").unwrap();
            assert_eq!(old, before);
            before = new.to_owned();
            count += 1;
        }
        assert_eq!((count, before), (200, value.get().to_string()));
    });
}

#[test]
fn time_never_decreases() {
    within_limit(|| {
        let recording = Recording::start();
        let value = Shared::new(0);
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| (0..2_000).for_each(|n| value.set(n)));
            }
        });
        let steps = recording.finish();
        assert!(steps.len() >= 8_000);
        assert!(steps.is_sorted_by_key(|step| step.when), "a step is recorded after one that came later");
    });
}

#[test]
fn notes_are_steps() {
    let recording = Recording::start();
    let body = || {
        note("local copy", 7);
        note("text", "as it is");
    };
    finish(Thread::new(body).name("notes").start().unwrap());
    let steps = recording.finish();
    let told: Vec<_> = steps_of(&steps, "notes")
        .into_iter()
        .filter_map(|step| Some((step.object.type_name, step.value.as_deref()?)))
        .collect();
    assert_eq!(told, [("local copy", "7"), ("text", "as it is")]);
}

#[test]
fn recordings_are_independent() {
    within_limit(|| {
        let body = |label: &'static str| move || note(label, "");
        let run = |label| finish(Thread::new(body(label)).name("independent").start().unwrap());
        let labels = |steps: Vec<Step>| -> Vec<_> {
            let steps = steps_of(&steps, "independent").into_iter();
            steps.filter(|step| step.value.is_some()).map(|step| step.object.type_name).collect::<Vec<_>>()
        };
        run("before");
        let outer = Recording::start();
        run("outer");
        let inner = Recording::start();
        run("both");
        assert_eq!(labels(inner.finish()), ["both"]);
        run("outer again");
        drop(Recording::start()); // which ends it
        run("still");
        assert_eq!(labels(outer.finish()), ["outer", "both", "outer again", "still"]);
        let value = Shared::new(0);
        value.set(1); // not recorded
        assert!(format!("{value:?}").contains('1'));
    });
}

#[test]
fn recording_can_finish_while_others_record() {
    within_limit(|| {
        let (value, done) = (Shared::new(0), raddle::Event::new());
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    while !done.is_set() {
                        value.set(value.get() + 1);
                    }
                });
            }
            for _ in 0..50 {
                let recording = Recording::start();
                let before = value.get();
                until(|| value.get() != before);
                assert!(!recording.finish().is_empty());
            }
            done.set();
        });
    });
}

#[test]
fn step_is_recorded_when_it_happens() {
    let recording = Recording::start();
    thread::sleep(Duration::from_millis(2));
    note("after a while", thread::ident());
    let steps = recording.finish();
    let step = steps.iter().find(|step| step.object.type_name == "after a while").unwrap();
    assert_eq!(step.value, Some(thread::ident().to_string()));
    assert!(step.when >= Duration::from_millis(2));
    assert!(format!("{step:?}").contains("after a while"));
}
