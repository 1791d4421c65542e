//! A limit that changes while other threads put and get.

use std::collections::BTreeSet;

use super::{BOUNDED, FLAVORS, every, with};

#[test]
fn raised_limit_against_a_put_that_times_out() {
    for bounded in FLAVORS {
        let scenario = move || {
            let queue = bounded(1);
            queue.put(1).unwrap();
            let putter = with(&queue, |queue| queue.put_soon(2).is_ok());
            queue.set_maxsize(2);
            (putter.join().unwrap(), queue.len(), queue.unfinished())
        };
        assert_eq!(every(scenario), BTreeSet::from([(false, 1, 1), (true, 2, 2)]));
    }
}

#[test]
fn raised_limit_admits_every_blocked_put() {
    for bounded in FLAVORS {
        let scenario = move || {
            let queue = bounded(1);
            queue.put(1).unwrap();
            let putters = [2, 3].map(|item| with(&queue, move |queue| queue.put(item).unwrap()));
            queue.set_maxsize(3);
            for putter in putters {
                putter.join().unwrap();
            }
            let mut items = queue.rest();
            items.sort_unstable();
            items
        };
        assert_eq!(every(scenario), BTreeSet::from([vec![1, 2, 3]]));
    }
}

#[test]
fn lowered_limit_keeps_a_blocked_put_out_until_there_is_room() {
    for bounded in FLAVORS {
        let scenario = move || {
            let queue = bounded(2);
            queue.put(1).unwrap();
            queue.put(2).unwrap();
            let putter = with(&queue, |queue| queue.put(3).unwrap());
            queue.set_maxsize(1);
            queue.get().unwrap();
            let left = queue.len();
            queue.get().unwrap();
            putter.join().unwrap();
            (left, queue.rest())
        };
        assert_eq!(every(scenario), BTreeSet::from([(1, vec![3])]));
    }
}

#[test]
fn getter_gets_items_in_order_while_the_limit_changes() {
    for bounded in BOUNDED {
        let scenario = move || {
            let queue = bounded(1);
            let getter = with(&queue, |queue| [(); 3].map(|()| queue.get().unwrap()));
            queue.set_maxsize(2);
            (1..=2).for_each(|item| queue.put(item).unwrap());
            queue.set_maxsize(1);
            queue.put(3).unwrap();
            (getter.join().unwrap(), queue.len(), queue.unfinished())
        };
        assert_eq!(every(scenario), BTreeSet::from([([1, 2, 3], 0, 3)]));
    }
}

/// The fast path is closed and opened while another thread is on it.
#[test]
fn put_and_get_pass_a_change_of_the_limit() {
    for bounded in FLAVORS {
        let scenario = move || {
            let queue = bounded(1);
            let other = with(&queue, |queue| {
                queue.put(1).unwrap();
                queue.get().unwrap()
            });
            queue.set_maxsize(2);
            queue.set_maxsize(1);
            (other.join().unwrap(), queue.len(), queue.unfinished())
        };
        assert_eq!(every(scenario), BTreeSet::from([(1, 0, 1)]));
    }
}
