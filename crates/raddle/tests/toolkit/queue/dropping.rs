//! Every item is dropped once, by the thread that owns it, and never while the queue's lock is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::{PriorityQueue, Queue, Thread};

use crate::support::{finish, repeat, until, within_limit};

/// Counts its drops, and uses the queue in its destructor, which would deadlock while the queue's lock is held.
struct Counted {
    queue: Arc<Queue<Counted>>,
    drops: Arc<AtomicUsize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        assert!(self.queue.len() <= 2);
        let _ = self.queue.task_done();
    }
}

fn all_ways_of_dropping() {
    let (queue, drops) = (Arc::new(Queue::bounded(2)), Arc::new(AtomicUsize::new(0)));
    let item = || Counted { queue: queue.clone(), drops: drops.clone() };
    let dropped = || drops.swap(0, Ordering::Relaxed);

    queue.put_many([item(), item()]).unwrap();
    assert_eq!(dropped(), 0);
    drop(queue.try_put(item()));
    drop(queue.put_timeout(item(), Duration::from_millis(1)));
    drop(queue.try_put_many([item(), item()]));
    drop(queue.put_many_timeout([item(), item()], Duration::from_millis(1)));
    assert_eq!(dropped(), 6);
    drop(queue.get());
    drop(queue.try_get_many(9));
    assert_eq!(dropped(), 2);

    queue.put_many([item(), item()]).unwrap();
    let blocked = {
        let (queue, batch) = (queue.clone(), [item(), item()]);
        Thread::spawn(move || drop(queue.put_many(batch)))
    };
    until(|| queue.n_putters() == 1);
    drop(queue.get());
    assert_eq!(dropped(), 1);
    drop(queue.shutdown_now());
    finish(blocked);
    assert_eq!(dropped(), 3);
    drop(queue.put(item()));
    drop(queue.put_many([item()]));
    assert_eq!(dropped(), 2);
}

#[test]
fn no_item_is_dropped_while_the_lock_is_held() {
    within_limit(all_ways_of_dropping);
}

#[test]
fn dropped_queue_drops_its_items() {
    let drops = Arc::new(());
    let (fifo, priority) = (Queue::unbounded(), PriorityQueue::unbounded());
    fifo.put_many((0..10).map(|_| drops.clone())).unwrap();
    priority.put_many((0..10).map(|_| drops.clone())).unwrap();
    assert_eq!(Arc::strong_count(&drops), 21);
    drop((fifo, priority));
    assert_eq!(Arc::strong_count(&drops), 1);
}

#[test]
fn blocking_operations_leak_nothing() {
    let item = Arc::new(());
    let shared = item.clone();
    repeat(100, move || {
        let queue = Arc::new(Queue::bounded(1));
        let consumer = {
            let queue = queue.clone();
            Thread::spawn(move || queue.iter().count())
        };
        (0..20).for_each(|_| queue.put(shared.clone()).unwrap());
        queue.shutdown();
        assert_eq!(finish(consumer), 20);
    });
    assert_eq!(Arc::strong_count(&item), 1);
}
