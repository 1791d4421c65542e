//! Sizes of objects, and the growth of the process with many of them.

use std::fs;
use std::io;
use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

use raddle::{
    Barrier, Condition, Event, Lock, Mutex, PriorityQueue, Queue, RLock, Semaphore, ThreadPoolExecutor, Timer,
};

use crate::format::Row;

/// Longer than any measurement.
const LATER: Duration = Duration::from_hours(1);

pub(super) fn rows(short: bool) -> io::Result<Vec<Row>> {
    let count = if short { 1_000 } else { 100_000 };
    let threads = if short { 8 } else { 200 };
    let mut rows = sizes();
    // Everything is kept until the end: freed memory would be reused and not be counted.
    let (item, _items) = grown(count, || items(count))?;
    let (task, _tasks) = grown(count, || tasks(count, |pool| drop(pool.submit(|| ()))))?;
    let without = || tasks(count, |pool| pool.execute(|| ()).expect("the pool is open"));
    let (chore, _chores) = grown(count, without)?;
    let (timer, _timers) = grown(count, || timers(count))?;
    let (worker, _workers) = grown(threads, || workers(threads))?;
    rows.extend([
        Row::new("an item of 8 bytes in a queue", [item]),
        Row::new("a task that waits in a pool", [task]),
        Row::new("a task without a future there", [chore]),
        Row::new("a pending timer", [timer]),
        Row::new("an idle worker", [worker]),
    ]);
    Ok(rows)
}

fn sizes() -> Vec<Row> {
    let sizes = [
        ("Lock", size_of::<Lock>()),
        ("Mutex<()>", size_of::<Mutex<()>>()),
        ("RLock", size_of::<RLock>()),
        ("Condition", size_of::<Condition>()),
        ("Semaphore", size_of::<Semaphore>()),
        ("Event", size_of::<Event>()),
        ("Barrier", size_of::<Barrier<'_>>()),
        ("Queue", size_of::<Queue<u64>>()),
        ("PriorityQueue", size_of::<PriorityQueue<u64>>()),
    ];
    sizes.map(|(what, size)| Row::new(what, [size.to_string()])).into()
}

/// Measures the growth of the process per object that `make` creates, and returns the objects.
fn grown<T>(count: usize, make: impl FnOnce() -> T) -> io::Result<(String, T)> {
    let before = resident()?;
    let things = make();
    let after = resident()?;
    Ok(((after.saturating_sub(before) / count).to_string(), things))
}

fn resident() -> io::Result<usize> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    Ok(pages.unwrap_or_default() * rustix::param::page_size())
}

fn items(count: usize) -> Queue<usize> {
    let queue = Queue::unbounded();
    (0..count).for_each(|item| queue.put(item).expect("it is open"));
    queue
}

/// Keeps a worker busy until dropped.
struct Gate(Arc<Queue<()>>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

/// A pool whose only worker is busy until the gate is dropped.
fn tasks(count: usize, add: fn(&ThreadPoolExecutor)) -> (Gate, ThreadPoolExecutor) {
    let (pool, queue) = (ThreadPoolExecutor::new(1), Arc::new(Queue::unbounded()));
    let busy = queue.clone();
    drop(pool.submit(move || busy.get().is_ok()));
    (0..count).for_each(|_| add(&pool));
    (Gate(queue), pool)
}

/// Timers that are cancelled on drop: pending timers keep the program alive.
struct Pending(Vec<Timer>);

impl Drop for Pending {
    fn drop(&mut self) {
        for timer in &self.0 {
            timer.cancel();
        }
    }
}

fn timers(count: usize) -> Pending {
    Pending((0..count).map(|_| Timer::after(LATER, || ())).collect())
}

fn workers(count: usize) -> ThreadPoolExecutor {
    let pool = ThreadPoolExecutor::new(count);
    let all = Arc::new(Barrier::new(count));
    let wait = |_| {
        let all = all.clone();
        pool.submit(move || all.wait().is_ok())
    };
    let futures: Vec<_> = (0..count).map(wait).collect();
    assert!(futures.into_iter().all(|future| future.result().is_ok()));
    pool
}
