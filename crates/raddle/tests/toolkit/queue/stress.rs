//! Short runs with many threads. `RADDLE_STRESS=n` makes them n times as long; 5 means 200,000 items per capacity.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::queue::{BaseQueue, Fifo, Lifo, Order, SmallestFirst};
use raddle::queue::{GetError, PutError};
use raddle::{JoinHandle, Queue, SimpleQueue, Thread, thread};

use crate::support::{finish, repeat};

/// The producer's index and the item's serial number.
type Item = (usize, usize);

fn times(count: usize) -> usize {
    count * std::env::var("RADDLE_STRESS").map_or(1, |times| times.parse().expect("a number of times"))
}

fn spawn<T: Send + 'static>(
    threads: usize,
    body: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<JoinHandle<T>> {
    let body = Arc::new(body);
    (0..threads)
        .map(|index| {
            let body = body.clone();
            Thread::spawn(move || body(index))
        })
        .collect()
}

/// Asserts that every item arrived once and, if `in_order`, that each consumer got each producer's items in order.
fn check(got: &[Vec<Item>], producers: usize, each: usize, in_order: bool) {
    let mut all: BTreeMap<Item, usize> = BTreeMap::new();
    for items in got {
        let mut last = vec![None; producers];
        for &(producer, serial) in items {
            *all.entry((producer, serial)).or_default() += 1;
            assert!(!in_order || last[producer] < Some(serial), "{producer}'s items out of order");
            last[producer] = Some(serial);
        }
    }
    assert_eq!(all.len(), producers * each, "items were lost or invented");
    assert!(all.values().all(|count| *count == 1), "items were duplicated");
}

/// Moves the items from four producers to four consumers, which mark all of them done.
fn move_all<O: Order<Item> + 'static>(
    queue: BaseQueue<Item, O>,
    in_order: bool,
    put: impl Fn(&BaseQueue<Item, O>, Vec<Item>) + Send + Sync + 'static,
    get: impl Fn(&BaseQueue<Item, O>) -> Vec<Item> + Send + Sync + 'static,
    total: usize,
) where
    BaseQueue<Item, O>: Send + Sync,
{
    let (producers, each) = (4, total / 4);
    let queue = Arc::new(queue);
    let putting = {
        let queue = queue.clone();
        spawn(producers, move |producer| {
            let mut serial = 0;
            while serial < each {
                let end = each.min(serial + 1 + (serial * 7 + producer) % 13);
                put(&queue, (serial..end).map(|serial| (producer, serial)).collect());
                serial = end;
            }
        })
    };
    let getting = {
        let queue = queue.clone();
        spawn(4, move |_| {
            let mut items = Vec::new();
            loop {
                let batch = get(&queue);
                if batch.is_empty() {
                    return items;
                }
                queue.tasks_done(batch.len()).unwrap();
                items.extend(batch);
            }
        })
    };
    putting.into_iter().for_each(finish);
    queue.join();
    assert!(queue.is_empty());
    queue.shutdown();
    check(&getting.into_iter().map(finish).collect::<Vec<_>>(), producers, each, in_order);
    assert_eq!((queue.unfinished(), queue.n_getters(), queue.n_putters()), (0, 0, 0));
}

fn put_one_by_one<O: Order<Item>>(queue: &BaseQueue<Item, O>, items: Vec<Item>) {
    for item in items {
        queue.put(item).unwrap();
    }
}

fn put_together<O: Order<Item>>(queue: &BaseQueue<Item, O>, items: Vec<Item>) {
    queue.put_many(items).unwrap();
}

fn put_with_timeouts<O: Order<Item>>(queue: &BaseQueue<Item, O>, mut items: Vec<Item>) {
    let timeout = Duration::from_micros(items[0].1 as u64 % 20);
    while let Err(error) = queue.put_many_timeout(items, timeout) {
        assert!(error.is_full());
        items = error.into_inner();
    }
}

fn get_one<O: Order<Item>>(queue: &BaseQueue<Item, O>) -> Vec<Item> {
    queue.get().into_iter().collect()
}

fn get_some<O: Order<Item>>(queue: &BaseQueue<Item, O>) -> Vec<Item> {
    queue.get_many(7, Duration::from_micros(20))
}

fn get_with_timeouts<O: Order<Item>>(queue: &BaseQueue<Item, O>) -> Vec<Item> {
    loop {
        match queue.get_many_timeout(3, Duration::from_micros(3), Duration::from_micros(5)) {
            Ok(batch) => return batch,
            Err(GetError::Empty) => {}
            Err(GetError::ShutDown) => return Vec::new(),
        }
    }
}

/// `usize::MAX` stands for an unbounded queue.
const CAPACITIES: [usize; 5] = [1, 2, 10, 1024, usize::MAX];

fn queue<O: Order<Item>>(capacity: usize) -> BaseQueue<Item, O> {
    if capacity == usize::MAX { BaseQueue::unbounded() } else { BaseQueue::bounded(capacity) }
}

const ITEMS: usize = 40_000;

#[test]
fn single_items_all_arrive_in_order() {
    repeat(times(1), || {
        for capacity in CAPACITIES {
            move_all(queue::<Fifo>(capacity), true, put_one_by_one, get_one, ITEMS);
        }
    });
}

#[test]
fn batches_all_arrive_in_order() {
    repeat(times(1), || {
        for capacity in CAPACITIES {
            move_all(queue::<Fifo>(capacity), true, put_together, get_some, ITEMS);
            move_all(queue::<Fifo>(capacity), true, put_together, get_one, ITEMS / 4);
            move_all(queue::<Fifo>(capacity), true, put_one_by_one, get_some, ITEMS / 4);
        }
    });
}

#[test]
fn timed_puts_and_gets_lose_nothing() {
    repeat(times(1), || {
        for capacity in CAPACITIES {
            move_all(queue::<Fifo>(capacity), true, put_with_timeouts, get_with_timeouts, ITEMS / 10);
            move_all(queue::<Fifo>(capacity), true, put_with_timeouts, get_one, ITEMS / 10);
            move_all(queue::<Fifo>(capacity), true, put_one_by_one, get_with_timeouts, ITEMS / 10);
        }
    });
}

#[test]
fn lifo_and_priority_queues_lose_nothing() {
    repeat(times(1), || {
        for capacity in CAPACITIES {
            move_all(queue::<Lifo>(capacity), false, put_together, get_one, ITEMS / 10);
            move_all(queue::<SmallestFirst>(capacity), false, put_together, get_one, ITEMS / 10);
            move_all(
                queue::<SmallestFirst>(capacity),
                false,
                put_with_timeouts,
                get_with_timeouts,
                ITEMS / 10,
            );
        }
    });
}

#[test]
fn simple_queue_delivers_all_in_order() {
    repeat(times(3), || {
        let (queue, each) = (Arc::new(SimpleQueue::new()), 10_000);
        let putting = {
            let queue = queue.clone();
            spawn(4, move |producer| (0..each).for_each(|serial| queue.put((producer, serial))))
        };
        let getting = spawn(4, move |index| {
            let mut items = Vec::new();
            while items.len() < each {
                match index % 2 {
                    0 => items.push(queue.get()),
                    _ => items.extend(queue.get_timeout(Duration::from_micros(5))),
                }
            }
            items
        });
        putting.into_iter().for_each(finish);
        check(&getting.into_iter().map(finish).collect::<Vec<_>>(), 4, each, true);
    });
}

/// Getters with timeouts of a few microseconds run among getters without. If a timeout lost a wake-up, a getter without a
/// timeout would stay parked while there is an item.
#[test]
fn timeouts_lose_no_wake_up() {
    repeat(times(3), || {
        let (queue, total) = (Arc::new(Queue::bounded(2)), 20_000);
        let got = Arc::new(AtomicUsize::new(0));
        let getting = {
            let (queue, got) = (queue.clone(), got.clone());
            spawn(4, move |index| {
                loop {
                    let item = match index {
                        0 | 1 => queue.get().map_err(GetError::from),
                        _ => queue.get_timeout(Duration::from_micros(2 + index as u64)),
                    };
                    match item {
                        Ok(()) => got.fetch_add(1, Ordering::Relaxed),
                        Err(GetError::Empty) => continue,
                        Err(GetError::ShutDown) => return,
                    };
                }
            })
        };
        let putting = {
            let queue = queue.clone();
            spawn(2, move |_| {
                for turn in 0..total / 2 {
                    if turn % 2 == 0 {
                        queue.put(()).unwrap();
                    } else {
                        while queue.put_timeout((), Duration::from_micros(3)).is_err() {}
                    }
                    if turn % 64 == 0 {
                        thread::sleep(Duration::from_micros(30)); // lets getters park
                    }
                }
            })
        };
        putting.into_iter().for_each(finish);
        queue.shutdown();
        getting.into_iter().for_each(finish);
        assert_eq!(got.load(Ordering::Relaxed), total);
    });
}

/// Each item is got, returned by the shutdown, or returned by its put, at every moment of the shutdown.
#[test]
fn shutdown_at_any_moment_accounts_for_every_item() {
    repeat(times(300), || {
        static ROUND: AtomicUsize = AtomicUsize::new(0);
        let round = ROUND.fetch_add(1, Ordering::Relaxed);
        let queue = Arc::new(Queue::bounded(1 + round % 3));
        let putting = {
            let queue = queue.clone();
            spawn(3, move |index| {
                let (mut put, mut refused) = (0, 0);
                loop {
                    let outcome = match index {
                        0 => queue.put(1).map_err(|error| PutError::ShutDown(vec![error.into_inner()])),
                        1 => queue.put_many([1, 1, 1]).map_err(PutError::from),
                        _ => queue.put_many_timeout([1, 1], Duration::from_micros(3)),
                    };
                    let tried = [1, 3, 2][index];
                    let left = outcome.as_ref().map_or_else(|error| error.clone().into_inner().len(), |()| 0);
                    put += tried - left;
                    refused += left;
                    if outcome.is_err_and(|error| error.is_shut_down()) {
                        return (put, refused);
                    }
                }
            })
        };
        let getting = {
            let queue = queue.clone();
            spawn(3, move |index| match index {
                0 => queue.iter().sum::<usize>(),
                1 => std::iter::from_fn(|| Some(queue.get_many(4, Duration::from_micros(10))))
                    .take_while(|batch| !batch.is_empty())
                    .map(|batch| batch.len())
                    .sum(),
                _ => {
                    let mut got = 0;
                    loop {
                        match queue.get_timeout(Duration::from_micros(2)) {
                            Ok(item) => got += item,
                            Err(GetError::Empty) => {}
                            Err(GetError::ShutDown) => return got,
                        }
                    }
                }
            })
        };
        (0..round % 50).for_each(|_| thread::yield_now());
        let returned = if round.is_multiple_of(2) { queue.shutdown_now().len() } else { 0 };
        queue.shutdown();
        let (mut put, mut refused) = (0, 0);
        for (mine, back) in putting.into_iter().map(finish) {
            put += mine;
            refused += back;
        }
        let got: usize = getting.into_iter().map(finish).sum();
        assert_eq!(put, got + returned);
        assert!(refused > 0, "the last put of each putter failed");
        assert_eq!(queue.unfinished(), got, "the returned items count as done");
        queue.tasks_done(got).unwrap();
        queue.join();
    });
}

/// Joiners arrive while items are put and got. Each of them returns once no task was unfinished for a moment.
#[test]
fn every_joiner_is_woken() {
    repeat(times(3), || {
        let queue = Arc::new(Queue::bounded(4));
        let workers = {
            let queue = queue.clone();
            spawn(2, move |_| queue.iter().for_each(|()| queue.task_done().unwrap()))
        };
        let users = {
            let queue = queue.clone();
            spawn(3, move |index| {
                for turn in 0..1_000 {
                    queue.put(()).unwrap();
                    if index > 0 {
                        queue.join();
                    } else {
                        queue.join_timeout(Duration::from_micros(turn % 10));
                    }
                }
            })
        };
        users.into_iter().for_each(finish);
        queue.join();
        queue.shutdown();
        workers.into_iter().for_each(finish);
        assert_eq!((queue.unfinished(), queue.n_joiners()), (0, 0));
    });
}
