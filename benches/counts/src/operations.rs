//! The operations that are counted.

use std::hint::black_box;

use raddle::{
    BoundedSemaphore, Condition, Event, LifoQueue, Lock, Mutex, PriorityQueue, Queue, RLock, ReentrantMutex,
    Semaphore, SimpleQueue,
};

type Operation = fn(u64);

pub(crate) const ALL: &[(&str, Operation)] = &[
    ("lock", lock),
    ("mutex", mutex),
    ("rlock", rlock),
    ("rlock, second level", rlock_again),
    ("reentrant mutex, second level", reentrant_again),
    ("semaphore", semaphore),
    ("bounded semaphore, permit", permit),
    ("event, set wait clear", event),
    ("condition, notify without waiters", notify),
    ("queue of 1", queue_of_1),
    ("queue of 1024", queue_of_1024),
    ("queue unbounded", queue_unbounded),
    ("queue with task_done", task_done),
    ("simple queue", simple_queue),
    ("lifo queue", lifo_queue),
    ("priority queue", priority_queue),
];

pub(crate) fn find(name: &str) -> Option<Operation> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, operation)| *operation)
}

fn lock(times: u64) {
    let lock = Lock::new();
    for _ in 0..times {
        drop(black_box(&lock).lock());
    }
}

fn mutex(times: u64) {
    let mutex = Mutex::new(0_u64);
    for _ in 0..times {
        *black_box(&mutex).lock() += 1;
    }
}

fn rlock(times: u64) {
    let lock = RLock::new();
    for _ in 0..times {
        drop(black_box(&lock).lock());
    }
}

fn rlock_again(times: u64) {
    let lock = RLock::new();
    let _held = lock.lock();
    for _ in 0..times {
        drop(black_box(&lock).lock());
    }
}

fn reentrant_again(times: u64) {
    let mutex = ReentrantMutex::new(0_u64);
    let _held = mutex.lock();
    for _ in 0..times {
        black_box(*black_box(&mutex).lock());
    }
}

fn semaphore(times: u64) {
    let permits = Semaphore::new(3);
    for _ in 0..times {
        black_box(&permits).acquire().forget();
        black_box(&permits).release();
    }
}

fn permit(times: u64) {
    let permits = BoundedSemaphore::new(3);
    for _ in 0..times {
        drop(black_box(&permits).acquire());
    }
}

fn event(times: u64) {
    let event = Event::new();
    for _ in 0..times {
        black_box(&event).set();
        black_box(&event).wait();
        black_box(&event).clear();
    }
}

fn notify(times: u64) {
    let (lock, condition) = (Lock::new(), Condition::new());
    let guard = lock.lock();
    for _ in 0..times {
        black_box(&condition).notify_one(&guard);
    }
}

fn queue_of_1(times: u64) {
    to_and_fro(&Queue::bounded(1), times);
}

fn queue_of_1024(times: u64) {
    to_and_fro(&Queue::bounded(1024), times);
}

fn queue_unbounded(times: u64) {
    to_and_fro(&Queue::unbounded(), times);
}

fn to_and_fro(queue: &Queue<u64>, times: u64) {
    for item in 0..times {
        black_box(queue).put(item).expect("it is open");
        black_box(black_box(queue).get().expect("an item is there"));
    }
}

fn task_done(times: u64) {
    let queue = Queue::bounded(1024);
    for item in 0..times {
        black_box(&queue).put(item).expect("it is open");
        black_box(black_box(&queue).get().expect("an item is there"));
        black_box(&queue).task_done().expect("it was put");
    }
}

fn simple_queue(times: u64) {
    let queue = SimpleQueue::new();
    for item in 0..times {
        black_box(&queue).put(item);
        black_box(black_box(&queue).get());
    }
}

fn lifo_queue(times: u64) {
    let queue = LifoQueue::bounded(1024);
    for item in 0..times {
        black_box(&queue).put(item).expect("it is open");
        black_box(black_box(&queue).get().expect("an item is there"));
    }
}

fn priority_queue(times: u64) {
    let queue = PriorityQueue::bounded(1024);
    (0..64_u64).for_each(|item| queue.put(item * 3).expect("it is open"));
    for item in 0..times {
        black_box(&queue).put(item % 200).expect("it is open");
        black_box(black_box(&queue).get().expect("items are there"));
    }
}
