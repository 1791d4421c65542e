//! The report of each kind of object: verbs, names, items and source lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use raddle::{
    Condition, Event, Lock, Mutex, Queue, Semaphore, Shared, SimpleQueue, Thread, ThreadPoolExecutor,
    as_completed, thread, trace,
};
use raddle_explore::{Explorer, Report, Strategy};

/// The report of a program that fails, or is made to fail at its end.
fn report(program: impl Fn() + Send + Sync + 'static) -> Box<Report> {
    let program = move || {
        program();
        panic!("the end");
    };
    Explorer::new().shrink(false).run(program).expect_failure()
}

fn text(program: impl Fn() + Send + Sync + 'static) -> String {
    report(program).to_string()
}

#[track_caller]
fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// The line of the report with this text.
fn line<'a>(text: &'a str, part: &str) -> &'a str {
    text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part:?} is not in:\n{text}"))
}

#[test]
fn pool_steps_have_names_and_lines() {
    let text = text(|| {
        let pool = ThreadPoolExecutor::new(1); // made here
        let answer = pool.submit(|| 42); // submitted here
        assert_eq!(answer.result().unwrap(), 42);
        pool.resize(2);
    });
    assert!(!text.contains("thread \"ThreadPoolExecutor"), "{text}");
    assert_contains(
        &text,
        &["submits a task to ThreadPoolExecutor 1", "resizes ThreadPoolExecutor 1", "settles Future 1"],
    );
    let lines = |part: &str| {
        let source = include_str!("reports.rs").lines().position(|line| line.contains(part)).unwrap() + 1;
        format!("tests/explorer/reports.rs:{source}")
    };
    let (made, submitted) = (lines("// made here"), lines("// submitted here"));
    assert!(line(&text, "takes a task from").ends_with(&made), "{text}");
    assert!(line(&text, "runs the task of Future 1").ends_with(&submitted), "{text}");
    assert!(line(&text, "settles Future 1").ends_with(&submitted), "{text}");
}

/// A failure in a pool's scope is that of its task, and is reported with all steps before it.
#[test]
fn failure_in_a_pool_scope_has_its_steps_and_line() {
    let report = Explorer::new()
        .run(|| {
            let (pool, cell) = (ThreadPoolExecutor::new(2), Shared::new(0));
            pool.scope(|scope| {
                scope.submit(|| cell.set(1));
                scope.submit(|| assert_eq!(cell.get(), 0, "too late"));
            });
        })
        .expect_failure();
    let text = report.to_string();
    assert_contains(&text, &["too late", "writes Shared 1: 0 → 1", "reads Shared 1: 1", "submits a task to"]);
    assert!(text.lines().next().unwrap().contains("tests/explorer/reports.rs:"), "{text}");
    assert!(!text.contains("crates/raddle/src/"), "{text}");
}

#[test]
fn waiter_for_a_permit_has_not_acquired_it() {
    let text = text(|| {
        let permits = Arc::new(Semaphore::new(0));
        let theirs = permits.clone();
        let other = Thread::new(move || theirs.release()).name("giver").start().unwrap();
        permits.acquire().forget();
        assert!(permits.try_acquire().is_none());
        other.join().unwrap();
    });
    let (released, acquired) =
        (text.find("releases Semaphore 1").unwrap(), text.find(" acquires Semaphore 1").unwrap());
    assert!(released < acquired, "{text}");
    assert_contains(&text, &["tries to acquire Semaphore 1: not acquired"]);
}

#[test]
fn waiter_for_many_permits_blocks() {
    let program = || {
        let permits = Arc::new(Semaphore::new(1));
        let theirs = permits.clone();
        let give = move || {
            let waits = theirs.n_waiting() == 1;
            theirs.release_many(2).unwrap();
            assert!(!waits, "as expected");
        };
        let other = Thread::new(give).name("giver").start().unwrap();
        permits.acquire_many(3).forget();
        other.join().unwrap();
    };
    let text = Explorer::new().run(program).expect_failure().to_string();
    assert_contains(
        &text,
        &["blocks on Semaphore 1: 3 permits", "releases Semaphore 1: 2 permits; wakes \"MainThread\""],
    );
}

#[test]
fn cycle_through_semaphores_is_shown() {
    let text = text(|| {
        let forks = Arc::new((Semaphore::new(1), Semaphore::new(1)));
        let theirs = forks.clone();
        let other = move || {
            theirs.1.acquire().forget();
            theirs.0.acquire().forget();
        };
        let other = Thread::new(other).name("other").start().unwrap();
        forks.0.acquire().forget();
        forks.1.acquire().forget();
        other.join().unwrap();
    });
    assert_contains(
        &text,
        &["deadlock: no thread can make progress", "blocks on Semaphore 1", "blocks on Semaphore 2"],
    );
    assert_contains(
        &text,
        &["acquired by thread \"other\" at", "acquired by thread \"MainThread\" at", "cycle: "],
    );
}

#[test]
fn cycle_through_permits_acquired_without_blocking_is_shown() {
    let text = text(|| {
        let forks = Arc::new((Semaphore::new(1), Semaphore::new(1)));
        let theirs = forks.clone();
        let other = move || {
            let Some(permit) = theirs.1.try_acquire() else { return };
            permit.forget();
            assert!(theirs.1.try_acquire().is_none());
            theirs.0.acquire().forget();
        };
        let other = Thread::new(other).name("other").start().unwrap();
        if let Some(permit) = forks.0.try_acquire() {
            permit.forget();
            forks.1.acquire().forget();
        }
        other.join().unwrap();
    });
    assert_contains(
        &text,
        &["tries to acquire Semaphore 1: acquired", "tries to acquire Semaphore 2: not acquired", "cycle: "],
    );
    assert_contains(&text, &["acquired by thread \"other\" at", "acquired by thread \"MainThread\" at"]);
}

#[test]
fn cycle_through_a_lock_and_a_semaphore_is_shown() {
    let text = text(|| {
        let both = Arc::new((Lock::new(), Semaphore::new(1)));
        let theirs = both.clone();
        let other = move || {
            theirs.1.acquire().forget();
            theirs.0.acquire();
        };
        let other = Thread::new(other).name("other").start().unwrap();
        both.0.acquire();
        both.1.acquire().forget();
        other.join().unwrap();
    });
    assert_contains(
        &text,
        &["held by thread \"MainThread\" at", "acquired by thread \"other\" at", "cycle: "],
    );
}

/// The report of a schedule in which `waiting` threads wait on the condition when it is notified.
fn notified(waiting: usize) -> String {
    let program = move || {
        let pair = Arc::new((Condition::new(), Mutex::new(false)));
        let theirs = pair.clone();
        let wait = move || {
            let mut done = theirs.1.lock();
            while !*done {
                theirs.0.wait(&mut done);
            }
        };
        let waiter = Thread::new(wait).name("waiter").start().unwrap();
        let mut done = pair.1.lock();
        let seen = format!("{:?}", pair.0);
        *done = true;
        pair.0.notify_one(&done);
        drop(done);
        waiter.join().unwrap();
        assert!(!seen.contains(&format!("waiting: {waiting}")), "as expected");
    };
    Explorer::new().run(program).expect_failure().to_string()
}

#[test]
fn notify_shows_the_waiter_it_woke() {
    let text = notified(1);
    assert_contains(&text, &["notifies Condition 1; wakes \"waiter\"", "wakes up and reacquires Mutex 1"]);
    let text = notified(0);
    assert_contains(&text, &["notifies Condition 1; no thread waits"]);
}

struct Buffer {
    items: Mutex<VecDeque<u8>>,
    changed: Condition,
}

impl Buffer {
    fn put(&self, item: u8) {
        let mut items = self.items.lock();
        while items.len() == 1 {
            self.changed.wait(&mut items);
        }
        items.push_back(item);
        self.changed.notify_one(&items);
    }

    fn get(&self) {
        let mut items = self.items.lock();
        while items.pop_front().is_none() {
            self.changed.wait(&mut items);
        }
        self.changed.notify_one(&items);
    }
}

/// One condition for two reasons to wait: the notification was not lost, the wrong thread consumed it.
#[test]
fn notification_consumed_by_the_wrong_waiter_is_not_reported_as_lost() {
    let report = Explorer::new()
        .run(|| {
            let buffer = Arc::new(Buffer { items: Mutex::default(), changed: Condition::new() });
            let threads: Vec<_> = (0..4)
                .map(|number| {
                    let buffer = buffer.clone();
                    Thread::spawn(move || if number % 2 == 0 { buffer.put(number) } else { buffer.get() })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
        })
        .expect_failure();
    let text = report.to_string();
    assert!(text.starts_with("deadlock: no thread can make progress"), "{text}");
    assert_contains(
        &text,
        &[
            "the last notification of Condition 1, by thread",
            "woke \"Thread-",
            "waits for another notification",
        ],
    );
}

#[derive(Clone, Copy)]
struct Job(u8);

#[test]
fn puts_and_gets_show_their_items() {
    let text = text(|| {
        let (texts, jobs, simple) = (Queue::bounded(2), Queue::unbounded(), SimpleQueue::new());
        trace::name(&texts, "texts");
        texts.put("tea").unwrap();
        assert_eq!(texts.get(), Ok("tea"));
        assert!(texts.try_get().is_err());
        trace::name_with(&jobs, "jobs", |job: &Job| format!("job {}", job.0));
        jobs.put_many([Job(1), Job(2)]).unwrap();
        assert_eq!(jobs.try_get_many(5).len(), 2);
        simple.put(Job(3));
        simple.put(Job(4));
        assert_eq!(simple.get().0, 3);
    });
    assert_contains(
        &text,
        &["puts into texts: \"tea\"", "gets from texts: \"tea\"", "gets from texts: empty"],
    );
    assert_contains(&text, &["puts into jobs: job 1, job 2", "gets from jobs: job 1, job 2"]);
    assert_contains(&text, &["puts into SimpleQueue 1: <Job>", "gets from SimpleQueue 1: <Job>"]);
}

/// A blocked put shows its item when it blocks and when it is done.
#[test]
fn blocked_put_shows_its_item() {
    let texts = |strategy| {
        let program = || {
            let queue = Arc::new(Queue::bounded(1));
            let theirs = queue.clone();
            let put = move || (1..=2).for_each(|number| theirs.put(number).unwrap());
            let other = Thread::new(put).name("producer").start().unwrap();
            assert_eq!([queue.get(), queue.get()], [Ok(1), Ok(2)]);
            other.join().unwrap();
            panic!("the end");
        };
        Explorer::new().shrink(false).strategy(strategy).run(program).expect_failure().to_string()
    };
    for text in [Strategy::Portfolio, Strategy::Dpor].map(texts) {
        assert_contains(
            &text,
            &["puts into Queue 1: 1", "puts into Queue 1: 2", "gets from Queue 1: 1", "gets from Queue 1: 2"],
        );
    }
}

#[test]
fn operations_have_verbs_of_their_own() {
    let text = text(|| {
        let (queue, event) = (Queue::unbounded(), Event::new());
        queue.put_many([1, 2]).unwrap();
        queue.task_done().unwrap();
        assert_eq!(queue.shutdown_now(), [1, 2]);
        event.set();
        event.clear();
        let promise = raddle::Promise::<u8>::new();
        let future = promise.future();
        assert!(promise.start());
        promise.set_result(1).unwrap();
        assert!(!future.cancel());
    });
    assert_contains(
        &text,
        &[
            "shuts down and empties Queue 1: 1, 2",
            "marks items done in Queue 1",
            "sets Event 1",
            "clears Event 1",
        ],
    );
    assert_contains(&text, &["starts Future 1", "settles Future 1", "cancels Future 1"]);
    assert!(!text.contains("writes"), "{text}");
}

#[test]
fn steps_of_iterators_have_a_line_of_the_program() {
    let text = text(|| {
        let queue = Queue::unbounded();
        queue.put_many([1, 2, 3]).unwrap();
        queue.shutdown();
        assert_eq!(queue.iter().map(|n| n + 1).sum::<i32>(), 9);
        let pool = ThreadPoolExecutor::new(1);
        assert_eq!(pool.map([1, 2], |n: i32| n).map(Result::unwrap).sum::<i32>(), 3);
        let futures = [pool.submit(|| 1), pool.submit(|| 2)];
        assert_eq!(as_completed(futures).map(|future| future.result().unwrap()).sum::<i32>(), 3);
    });
    assert!(!text.contains("/library/"), "{text}");
    assert!(line(&text, "gets from Queue 1: 1").contains("tests/explorer/reports.rs:"), "{text}");
    assert!(line(&text, "waits for Futures 1").contains("tests/explorer/reports.rs:"), "{text}");
}

fn racy() {
    let cell = Arc::new(Shared::new(0));
    let theirs = cell.clone();
    let other = Thread::spawn(move || theirs.set(1));
    assert_eq!(cell.get(), 0, "too late");
    other.join().unwrap();
}

#[test]
fn replayed_report_is_marked_as_replayed() {
    let found = Explorer::new().run(racy).expect_failure();
    assert_contains(&found.to_string(), &["found in execution ", "; 1 preemption"]);
    let again = Explorer::new().replay(&found.token(), racy).expect_failure();
    let text = again.to_string();
    assert_contains(&text, &["replayed from its token; 1 preemption"]);
    assert!(!text.contains("found in execution") && !text.contains("a portfolio"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&again.to_json()).unwrap();
    let found = &json["found"];
    assert!(
        found["classes"].is_null() && found["execution"].is_null() && found["strategy"].is_null(),
        "{found}"
    );
    assert_eq!(found["replayed"], true);
}

#[test]
fn token_of_another_program_is_reported_first() {
    let token = Explorer::new().run(racy).expect_failure().token();
    let other = || {
        Event::new().set();
        racy();
        panic!("in any case");
    };
    let report = Explorer::new().replay(&token, other).expect_failure();
    let text = report.to_string();
    assert!(text.starts_with("the token is of another program, or the program has changed since"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert!(json["warning"].as_str().unwrap().contains("the program has changed"));
}

#[test]
fn json_flags_mark_locks_and_reads() {
    let report = report(|| {
        let (lock, cell) = (Lock::new(), Shared::new(1));
        trace::name(&lock, "gate"); // not the kind of the object
        drop(lock.lock());
        thread::sleep(Duration::from_millis(1));
        cell.get();
    });
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let objects = json["objects"].as_array().unwrap();
    // The lock and the cell; threads and the clock are not listed.
    let lock = objects.iter().find(|object| object["name"] == "gate").unwrap();
    assert_eq!((&lock["lock"], objects.len()), (&true.into(), 2));
    let steps = json["steps"].as_array().unwrap();
    let read = steps.iter().find(|step| step["verb"] == "reads").unwrap();
    assert_eq!((&read["reads"], &steps[0]["reads"]), (&true.into(), &false.into()));
}

/// Accesses by the program's own `Debug` are not steps.
#[test]
fn showing_an_item_takes_no_step() {
    let text = text(|| {
        let queue = Queue::unbounded();
        trace::name_with(&queue, "events", |event: &Arc<Event>| format!("{event:?}"));
        let event = Arc::new(Event::new());
        queue.put(event.clone()).unwrap();
        event.set();
        thread::yield_now();
    });
    assert_contains(&text, &["puts into events: Event { set: false, .. }"]);
    assert!(!text.contains("reads Event"), "{text}");
}

/// A worker that is idle at the end is reported with the line that created its pool.
#[test]
fn blocked_worker_has_a_line_of_the_program() {
    let report = Explorer::new()
        .run(|| {
            let (pool, event) = (ThreadPoolExecutor::new(1), Event::new());
            pool.submit(|| ()).result().unwrap();
            event.wait();
        })
        .expect_failure();
    let text = report.to_string();
    assert_contains(
        &text,
        &["\"ThreadPoolExecutor-0_0\" blocks on ThreadPoolExecutor 1, created at", "waits for Event 1, at"],
    );
    assert!(
        !text.contains("crates/raddle/src/") && !report.to_json().contains("crates/raddle/src/"),
        "{text}"
    );
}

#[test]
fn repeated_steps_of_a_livelock_are_shown_once() {
    let endless: [fn(); 3] = [
        || while !Event::new().is_set() {},
        || {
            let event = Arc::new(Event::new());
            let other = Thread::spawn({
                let event = event.clone();
                move || while !event.is_set() {}
            });
            while !event.is_set() {}
            other.join().unwrap();
        },
        || {
            let cell = Shared::new(0);
            loop {
                cell.set(cell.get() + 1);
            }
        },
    ];
    for program in endless {
        let report = Explorer::new().max_time(Duration::from_hours(1)).run(program).expect_failure();
        assert_eq!(report.kind(), "livelock");
        let text = report.to_string();
        assert!(text.lines().count() < 50 && text.contains("times …"), "{text}");
    }
}
