//! The tutorial's programs under every schedule.

use std::sync::Arc;
use std::time::Duration;

use raddle::{Event, Lock, Queue, Shared, Thread, ThreadPoolExecutor, thread};
use raddle_explore::{Explorer, Outcome, Strategy, check};

/// The database of `racecond`, without its sleep.
struct FakeDatabase {
    value: Shared<i32>,
    lock: Lock,
}

impl FakeDatabase {
    fn new() -> Arc<Self> {
        let database = Arc::new(Self { value: Shared::new(0), lock: Lock::new() });
        raddle::trace::name(&database.value, "value");
        database
    }

    fn update(&self) {
        let local_copy = self.value.get();
        raddle::trace::note("local_copy", local_copy);
        self.value.set(local_copy + 1);
    }

    fn locked_update(&self) {
        let _held = self.lock.lock();
        self.update();
    }
}

fn update_twice(update: fn(&FakeDatabase)) {
    let database = FakeDatabase::new();
    let updates = [0, 1].map(|index| {
        let database = database.clone();
        Thread::new(move || update(&database)).name(format!("Thread {index}")).start().unwrap()
    });
    for thread in updates {
        thread.join().unwrap();
    }
    assert_eq!(database.value.get(), 2, "an update was lost");
}

#[test]
fn racecond_is_found_and_reported() {
    let report = Explorer::new().run(|| update_twice(FakeDatabase::update)).expect_failure();
    let text = report.to_string();
    assert!(report.execution() < 10, "{text}");
    assert_eq!(report.preemptions(), 1, "{text}");
    assert_eq!(text.matches("writes value").count(), 2, "{text}");
    assert_eq!(text.matches("reads value: 0; local_copy = 0").count(), 2, "both saw 0: {text}");
    assert!(text.contains("writes value: 0 → 1") && text.contains("writes value: 1 → 1"), "{text}");
}

#[test]
fn fixrace_is_correct_under_every_schedule() {
    let outcome = check(|| update_twice(FakeDatabase::locked_update));
    assert!(matches!(outcome, Outcome::Exhausted { classes: 2, .. }), "{outcome:?}");
}

#[test]
fn racecond_in_a_pool_is_found() {
    let report = Explorer::new().run(|| {
        let database = FakeDatabase::new();
        let pool = ThreadPoolExecutor::builder().max_workers(2).build().unwrap();
        for _ in 0..2 {
            let database = database.clone();
            let _future = pool.submit(move || database.update());
        }
        drop(pool);
        assert_eq!(database.value.get(), 2, "an update was lost");
    });
    assert!(report.expect_failure().to_string().contains("an update was lost"));
}

#[test]
fn deadlock_is_a_thread_that_waits_for_itself() {
    let report = Explorer::new().run(|| {
        let lock = Lock::new();
        lock.acquire();
        lock.acquire();
    });
    let text = report.expect_failure().to_string();
    assert!(text.starts_with("deadlock") && text.contains("blocks on Lock 1"), "{text}");
    assert!(text.contains("held by thread \"MainThread\" at"), "{text}");
}

/// The pipeline of `prodcom_lock`: one message and two locks, each released by the other side.
struct Pipeline {
    message: Shared<u32>,
    producer: Lock,
    consumer: Lock,
}

impl Pipeline {
    fn new() -> Self {
        let consumer = Lock::new();
        consumer.acquire();
        Self { message: Shared::new(0), producer: Lock::new(), consumer }
    }

    fn set(&self, message: u32) {
        self.producer.acquire();
        self.message.set(message);
        self.consumer.release().unwrap();
    }

    fn get(&self) -> u32 {
        self.consumer.acquire();
        let message = self.message.get();
        self.producer.release().unwrap();
        message
    }
}

const SENTINEL: u32 = u32::MAX;

#[test]
fn prodcom_lock_loses_nothing_under_any_schedule() {
    let program = || {
        let pipeline = Arc::new(Pipeline::new());
        let consumer = {
            let pipeline = pipeline.clone();
            Thread::spawn(move || {
                std::iter::repeat_with(|| pipeline.get()).take_while(|it| *it != SENTINEL).collect()
            })
        };
        for message in [1, 2, 3, SENTINEL] {
            pipeline.set(message);
        }
        let stored: Vec<u32> = consumer.join().unwrap();
        assert_eq!(stored, [1, 2, 3]);
    };
    let outcome = Explorer::new().strategy(Strategy::Dpor).races(true).run(program);
    assert!(matches!(outcome, Outcome::Exhausted { .. }), "{outcome:?}");
    check(program).assert_exhausted();
}

/// The loops of `prodcom_queue`, as the tutorial has them.
fn producer(queue: &Queue<u32>, event: &Event) {
    let mut message = 0;
    while !event.is_set() {
        message += 1;
        queue.put(message).unwrap();
    }
}

fn consumer(queue: &Queue<u32>, event: &Event) {
    while !event.is_set() || !queue.is_empty() {
        queue.get().unwrap();
    }
}

fn in_a_pool() {
    let (pipeline, event) = (Queue::bounded(10), Event::new());
    ThreadPoolExecutor::new(2).scope(|s| {
        s.submit(|| producer(&pipeline, &event));
        s.submit(|| consumer(&pipeline, &event));
        thread::sleep(Duration::from_millis(100));
        event.set();
    });
}

fn in_scoped_threads() {
    let (pipeline, event) = (Queue::bounded(10), Event::new());
    thread::scope(|s| {
        s.spawn(|| producer(&pipeline, &event));
        s.spawn(|| consumer(&pipeline, &event));
        thread::sleep(Duration::from_millis(100));
        event.set();
    });
}

#[test]
fn prodcom_queue_translated_literally_can_hang() {
    for program in [in_a_pool as fn(), in_scoped_threads] {
        let report = Explorer::new().max_time(Duration::from_hours(1)).run(program).expect_failure();
        let text = report.to_string();
        assert_eq!(report.kind(), "deadlock", "{text}");
        assert!(report.execution() < 50, "{text}");
        assert!(report.preemptions() <= 3, "{text}");
        assert!(text.contains("blocks on Queue 1"), "{text}");
        assert!(report.token().len() <= 200, "{text}");
    }
}

#[test]
fn prodcom_queue_that_shuts_its_queue_down_does_not_hang() {
    let outcome = Explorer::new().max_executions(500).run(|| {
        let (pipeline, event) = (Queue::bounded(2), Event::new());
        ThreadPoolExecutor::new(2).scope(|s| {
            s.submit(|| {
                producer(&pipeline, &event);
                pipeline.shutdown();
            });
            s.submit(|| pipeline.iter().for_each(drop));
            thread::sleep(Duration::from_millis(100));
            event.set();
        });
    });
    assert!(
        matches!(outcome, Outcome::Inconclusive { .. }),
        "the loop can be as long as it likes: {outcome:?}"
    );
}
