//! Queues used by a single thread: order, limit, timeouts, errors, and conversions.

use std::error::Error;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use raddle::queue::{BaseQueue, Order};
use raddle::queue::{GetError, PutError, ShutDownError, TooManyTasksDoneError};
use raddle::{LifoQueue, PriorityQueue, Queue, SimpleQueue, time};

const SHORT: Duration = Duration::from_millis(10);

#[test]
fn each_queue_keeps_its_order() {
    let (fifo, lifo, priority) = (Queue::unbounded(), LifoQueue::unbounded(), PriorityQueue::unbounded());
    for item in [3, 1, 2] {
        fifo.put(item).unwrap();
        lifo.put(item).unwrap();
        priority.put(item).unwrap();
    }
    assert_eq!(fifo.try_iter().collect::<Vec<_>>(), [3, 1, 2]);
    assert_eq!(lifo.try_iter().collect::<Vec<_>>(), [2, 1, 3]);
    assert_eq!(priority.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

fn never_exceeds_its_maxsize<O: Order<u32>>(queue: &BaseQueue<u32, O>) {
    assert_eq!((queue.maxsize(), queue.len(), queue.is_empty(), queue.is_full()), (2, 0, true, false));
    queue.put(1).unwrap();
    assert_eq!((queue.len(), queue.is_empty(), queue.is_full()), (1, false, false));
    queue.try_put(2).unwrap();
    assert_eq!((queue.len(), queue.is_empty(), queue.is_full()), (2, false, true));

    assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
    assert_eq!(queue.put_timeout(3, Duration::ZERO), Err(PutError::Full(3)));
    assert_eq!(queue.put_timeout(3, SHORT), Err(PutError::Full(3)));
    assert_eq!(queue.put_deadline(3, time::now()), Err(PutError::Full(3)));
    assert_eq!((queue.len(), queue.unfinished(), queue.n_putters()), (2, 2, 0));

    let mut items = [queue.get().unwrap(), queue.get_timeout(Duration::ZERO).unwrap()];
    items.sort_unstable();
    assert_eq!(items, [1, 2]);
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    assert_eq!(queue.get_timeout(Duration::ZERO), Err(GetError::Empty));
    assert_eq!(queue.get_timeout(SHORT), Err(GetError::Empty));
    assert_eq!(queue.get_deadline(time::now()), Err(GetError::Empty));
    assert_eq!((queue.len(), queue.unfinished(), queue.n_getters()), (0, 2, 0));
}

#[test]
fn queue_never_exceeds_its_maxsize() {
    never_exceeds_its_maxsize(&Queue::bounded(2));
    never_exceeds_its_maxsize(&LifoQueue::bounded(2));
    never_exceeds_its_maxsize(&PriorityQueue::bounded(2));
}

#[test]
fn unbounded_queue_has_no_limit() {
    for queue in [Queue::unbounded(), Queue::default()] {
        assert_eq!(queue.maxsize(), 0);
        (0..10_000).for_each(|item| queue.try_put(item).unwrap());
        assert!(!queue.is_full());
        assert_eq!(queue.len(), 10_000);
    }
}

#[test]
fn bounded_queue_of_no_items_is_refused() {
    for bounded in [
        || drop(Queue::<u8>::bounded(0)),
        || drop(LifoQueue::<u8>::bounded(0)),
        || {
            drop(PriorityQueue::<u8>::bounded(0));
        },
    ] {
        let panic = std::panic::catch_unwind(bounded).unwrap_err();
        let message = panic.downcast_ref::<&str>().unwrap();
        assert!(message.contains("`unbounded`"), "{message}");
    }
}

#[test]
fn queue_is_collected_extended_and_taken_apart() {
    let mut queue: PriorityQueue<_> = [3, 1].into_iter().collect();
    queue.extend([2]);
    assert_eq!((queue.maxsize(), queue.unfinished()), (0, 3));
    assert_eq!(queue.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    let mut simple: SimpleQueue<_> = (0..3).collect();
    simple.extend([3]);
    assert_eq!((simple.len(), simple.get()), (4, 0));
}

#[test]
fn extending_a_full_queue_panics_instead_of_blocking() {
    let mut queue = Queue::bounded(1);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| queue.extend([1, 2]))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("full") && message.contains("`put_many`"), "{message}");
    assert_eq!(queue.into_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn owned_iterator_ends_once_the_queue_is_shut_down() {
    let queue = Arc::new(Queue::unbounded());
    queue.put_many([1, 2]).unwrap();
    queue.shutdown();
    let items = queue.into_iter();
    assert_eq!(items.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn timeout_is_never_shorter_than_requested() {
    let queue = Queue::bounded(1);
    let start = time::now();
    assert_eq!(queue.get_timeout(SHORT), Err(GetError::Empty));
    assert!(time::now() - start >= SHORT);
    queue.put(()).unwrap();
    let deadline = time::now() + SHORT;
    assert_eq!(queue.put_deadline((), deadline), Err(PutError::Full(())));
    assert!(time::now() >= deadline);
}

#[test]
fn past_deadline_still_puts_and_gets_without_blocking() {
    let queue = Queue::bounded(1);
    let past = time::now();
    queue.put_deadline(1, past).unwrap();
    assert_eq!(queue.get_deadline(past), Ok(1));
    queue.put_many_deadline([2], past).unwrap();
    assert_eq!(queue.get_many_deadline(5, Duration::ZERO, past), Ok(vec![2]));
}

#[test]
fn items_need_no_clone_and_no_debug() {
    struct Opaque;
    let queue = Queue::bounded(1);
    queue.put(Opaque).unwrap();
    let error = queue.try_put(Opaque).unwrap_err();
    assert_eq!(format!("{error:?}"), "Full(..)");
    let _: Opaque = error.into_inner();
    queue.shutdown();
    let error = queue.put(Opaque).unwrap_err();
    assert_eq!(format!("{error:?}"), "ShutDownError(..)");
    let _: Opaque = error.into_inner();
}

#[test]
fn errors_display_the_cause() {
    assert_eq!(PutError::Full(1).to_string(), "the queue is full");
    assert_eq!(PutError::ShutDown(1).to_string(), "the queue is shut down");
    assert_eq!(ShutDownError(1).to_string(), "the queue is shut down");
    assert_eq!(GetError::Empty.to_string(), "the queue is empty");
    assert_eq!(GetError::ShutDown.to_string(), "the queue is empty and shut down");
    assert!(GetError::Empty.is_empty() && GetError::ShutDown.is_shut_down());
    assert!(PutError::Full(1).is_full() && !PutError::Full(1).is_shut_down());
    assert!(PutError::ShutDown(1).is_shut_down() && !PutError::ShutDown(1).is_full());
    assert_eq!(PutError::from(ShutDownError(1)), PutError::ShutDown(1));
    assert_eq!(GetError::from(ShutDownError(())), GetError::ShutDown);
    let error = TooManyTasksDoneError { done: 3, unfinished: 2 };
    assert_eq!(
        error.to_string(),
        "cannot mark 3 tasks done: only 2 are unfinished; mark each item once, after it was got"
    );
}

#[test]
fn errors_propagate_with_the_question_mark() -> Result<(), Box<dyn Error + Send + Sync>> {
    let queue = Queue::bounded(1);
    queue.put(1)?;
    queue.get()?;
    queue.try_put(1)?;
    queue.try_get()?;
    queue.put_many([1])?;
    queue.task_done()?;
    Ok(())
}

#[test]
fn debug_shows_the_state_and_no_item() {
    let queue = PriorityQueue::bounded(3);
    queue.put("secret").unwrap();
    let shown = format!("{queue:?}");
    assert_eq!(shown, "PriorityQueue { len: 1, maxsize: 3, unfinished: 1, shut_down: false, .. }");
    assert_eq!(format!("{:?}", SimpleQueue::<u8>::new()), "SimpleQueue { len: 0, .. }");
}

#[test]
fn queues_can_be_statics_and_shared_between_threads() {
    static FIFO: Queue<String> = Queue::bounded(2);
    static LIFO: LifoQueue<String> = LifoQueue::unbounded();
    static PRIORITY: PriorityQueue<String> = PriorityQueue::bounded(7);
    fn fit<Q: Send + Sync + UnwindSafe + RefUnwindSafe>(_: &Q) {}
    fit(&FIFO);
    fit(&LIFO);
    fit(&PRIORITY);
    fit(&Arc::new(SimpleQueue::<std::cell::Cell<u8>>::new())); // items need to be `Send` only
    FIFO.put("a".into()).unwrap();
    assert_eq!(FIFO.get().unwrap(), "a");
}
