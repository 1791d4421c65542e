//! `map` and `map_buffered`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::pool::ZeroBufferError;
use raddle::{Event, ThreadPoolExecutor};

use super::gate::Gate;
use crate::support::{repeat, within_limit};

#[test]
fn results_are_in_the_order_of_the_items() {
    repeat(50, || {
        let pool = ThreadPoolExecutor::new(3);
        let squares: Vec<u32> = pool.map(0..100, |n| n * n).collect::<Result<_, _>>().unwrap();
        assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
        assert_eq!(pool.map(Vec::<u32>::new(), |n| n).count(), 0);
    });
}

#[test]
fn failed_item_does_not_end_the_iteration() {
    let pool = ThreadPoolExecutor::new(2);
    let results: Vec<_> = pool.map(0..4, |n| assert_ne!(n, 2, "item two")).collect();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert!(results[2].as_ref().unwrap_err().to_string().contains("item two"));
}

#[test]
fn map_submits_all_tasks_at_once() {
    let pool = ThreadPoolExecutor::new(1);
    let gate = Gate::hold(&pool, 1);
    let map = pool.map(0..10, |n| n);
    assert_eq!((pool.pending(), map.size_hint()), (10, (10, Some(10))));
    gate.open();
    assert_eq!(map.map(Result::unwrap).sum::<i32>(), 45);
}

#[test]
fn dropped_map_cancels_tasks_that_have_not_started() {
    let pool = ThreadPoolExecutor::new(1);
    let (gate, ran) = (Gate::hold(&pool, 1), Arc::new(AtomicUsize::new(0)));
    let count = ran.clone();
    drop(pool.map(0..10, move |_| count.fetch_add(1, Ordering::Relaxed)));
    gate.open();
    pool.submit(|| ()).result().unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    assert_eq!(Arc::strong_count(&ran), 1);
}

#[test]
fn timeout_of_map_starts_with_the_call_and_cancels_the_rest() {
    within_limit(|| {
        let pool = ThreadPoolExecutor::new(1);
        let go = Arc::new(Event::new());
        let wait = go.clone();
        let mut map = pool
            .map(0..5, move |n| {
                if n > 0 {
                    wait.wait();
                }
                n
            })
            .timeout(Duration::from_millis(50));
        assert_eq!(map.next().unwrap().unwrap(), 0);
        assert!(matches!(map.next(), Some(Err(FutureError::TimedOut))));
        assert!(map.next().is_none());
        go.set();
        pool.submit(|| ()).result().unwrap();
        let mut late = pool.map(0..2, |n| n).timeout(Duration::ZERO);
        pool.submit(|| ()).result().unwrap();
        assert_eq!(late.next().unwrap().unwrap(), 0); // it was done: the timeout is for waiting
        assert_eq!(pool.map(0..2, |n| n).timeout(Duration::MAX).count(), 2);
    });
}

#[test]
fn buffered_map_respects_its_buffer_size() {
    let pool = ThreadPoolExecutor::new(2);
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = pulled.clone();
    let items = (0..).inspect(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let mut map = pool.map_buffered(3, items, |n| n * 2).unwrap();
    assert_eq!(pulled.load(Ordering::Relaxed), 3);
    for n in 0..50 {
        assert_eq!(map.next().unwrap().unwrap(), n * 2);
        assert_eq!(pulled.load(Ordering::Relaxed), 4 + usize::try_from(n).unwrap());
    }
}

#[test]
fn zero_buffer_is_an_error() {
    let pool = ThreadPoolExecutor::new(2);
    assert_eq!(pool.map_buffered(0, 0..3, |n| n).unwrap_err(), ZeroBufferError);
    for buffersize in [1, 2, 3, 4, usize::MAX] {
        let map = pool.map_buffered(buffersize, 0..3, |n| n).unwrap();
        assert_eq!(map.map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
    }
}

#[test]
fn buffered_map_may_outlive_its_pool() {
    let pool = ThreadPoolExecutor::new(2);
    let mut map = pool.map_buffered(2, 0..6, |n| n).unwrap();
    assert_eq!(map.next().unwrap().unwrap(), 0);
    drop(pool);
    let rest: Vec<_> = map.collect();
    assert_eq!(rest.len(), 5);
    assert!(rest[..2].iter().all(Result::is_ok));
    assert!(rest[2..].iter().all(|result| matches!(result, Err(FutureError::ShutDown))));
}

#[test]
fn bounded_pool_maps_more_items_than_its_limit() {
    repeat(10, || {
        let pool = ThreadPoolExecutor::builder().max_workers(2).queue_limit(1).build().unwrap();
        assert_eq!(pool.map(0..500, |n| n).map(Result::unwrap).sum::<i32>(), 124_750);
    });
}
