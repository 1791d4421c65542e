//! Tests of `SimpleQueue`.

use std::sync::Arc;
use std::time::Duration;

use raddle::{SimpleQueue, Thread, time};

use crate::support::{finish, repeat, until};

#[test]
fn simple_queue_is_first_in_first_out_without_a_limit() {
    let queue = SimpleQueue::default();
    assert!(queue.is_empty());
    (0..1_000).for_each(|item| queue.put(item));
    assert_eq!(queue.len(), 1_000);
    assert!((0..1_000).all(|item| queue.get() == item));
    assert_eq!(queue.try_get(), None);
}

#[test]
fn simple_queue_respects_timeouts() {
    let queue = SimpleQueue::new();
    let (short, start) = (Duration::from_millis(10), time::now());
    assert_eq!(queue.get_timeout(Duration::ZERO), None);
    assert_eq!(queue.get_timeout(short), None);
    assert!(time::now() - start >= short);
    assert_eq!(queue.get_deadline(start), None);
    queue.put(1);
    assert_eq!(queue.get_deadline(start), Some(1));
    queue.put(2);
    assert_eq!(queue.get_timeout(Duration::MAX), Some(2));
    assert_eq!(queue.n_getters(), 0);
}

#[test]
fn put_ends_a_blocked_get() {
    repeat(200, || {
        let queue = Arc::new(SimpleQueue::new());
        let getters: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                Thread::spawn(move || queue.get())
            })
            .collect();
        until(|| queue.n_getters() > 0);
        (0..3).for_each(|item| queue.put(item));
        let mut got: Vec<_> = getters.into_iter().map(finish).collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
    });
}

/// Puts a successor when it is dropped, as often as it has lives.
struct Cat {
    queue: Arc<SimpleQueue<Option<Cat>>>,
    lives: u32,
}

impl Drop for Cat {
    fn drop(&mut self) {
        if let Some(lives) = self.lives.checked_sub(1) {
            self.queue.put(Some(Cat { queue: self.queue.clone(), lives }));
        }
    }
}

#[test]
fn put_may_be_called_from_a_destructor() {
    let queue = Arc::new(SimpleQueue::new());
    let mut cat = Some(Cat { queue: queue.clone(), lives: 100 });
    // The argument of `put` drops the item before, whose destructor puts.
    for _ in 0..100 {
        queue.put({
            drop(cat.take());
            None
        });
        cat = queue.get();
        assert!(queue.get().is_none());
    }
    assert_eq!(cat.as_ref().map(|cat| cat.lives), Some(0));
    assert!(queue.is_empty());
}

#[test]
fn put_may_be_called_while_thread_locals_are_dropped() {
    struct Last(Arc<SimpleQueue<&'static str>>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.put("bye");
        }
    }
    thread_local! {
        static LAST: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
    }
    let queue = Arc::new(SimpleQueue::new());
    let thread = {
        let queue = queue.clone();
        Thread::spawn(move || LAST.with(|last| *last.borrow_mut() = Some(Last(queue))))
    };
    assert_eq!(queue.get_timeout(Duration::from_mins(1)), Some("bye"));
    finish(thread);
}
