//! Semaphores: a permit is acquired and released.

use std::hint::black_box;

use parking_lot::{Condvar, Mutex};

use super::sem_t::SemT;
use crate::compare::case::{Case, Goal, Sample, Scale};
use crate::compare::drive::{Part, together};

pub(super) fn cases() -> Vec<Case> {
    let many = "to acquire and release a permit, 4 threads on 2 permits";
    vec![
        case("semaphore/uncontended", "to acquire and release a permit", Goal::Ratio(0.8), 1),
        case("semaphore/4-threads-2-permits", many, Goal::Ratio(1.0), 4),
    ]
}

fn case(name: &str, what: &'static str, goal: Goal, threads: u64) -> Case {
    let contest = move |scale: Scale, turns: &(dyn Fn(u64) + Sync)| {
        let ops = scale.ops(if threads == 1 { 3_000_000 } else { 1_600_000 });
        contest(ops, threads, turns)
    };
    Case::new(name, what, goal)
        .raddle("raddle Semaphore", move |scale| {
            let semaphore = raddle::Semaphore::new(2);
            contest(scale, &|turns| (0..turns).for_each(|_| drop(black_box(semaphore.acquire()))))
        })
        .extra("raddle BoundedSemaphore", move |scale| {
            let semaphore = raddle::BoundedSemaphore::new(2);
            contest(scale, &|turns| (0..turns).for_each(|_| drop(black_box(semaphore.acquire()))))
        })
        .peer("sem_t", move |scale| {
            let semaphore = SemT::new(2).expect("there are semaphores");
            contest(scale, &|turns| {
                for _ in 0..turns {
                    black_box(&semaphore).acquire();
                    black_box(&semaphore).release();
                }
            })
        })
        .peer("parking_lot + Condvar", move |scale| {
            let semaphore = Naive { permits: Mutex::new(2), free: Condvar::new() };
            contest(scale, &|turns| {
                for _ in 0..turns {
                    black_box(&semaphore).acquire();
                    black_box(&semaphore).release();
                }
            })
        })
        .peer("tokio Semaphore", move |scale| {
            let semaphore = tokio::sync::Semaphore::new(2);
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it needs no thread");
            let take = async |turns| {
                for _ in 0..turns {
                    drop(black_box(semaphore.acquire().await.expect("it is not closed")));
                }
            };
            contest(scale, &|turns| runtime.handle().block_on(take(turns)))
        })
}

/// Measures `ops` operations, distributed over the threads.
fn contest(ops: u64, threads: u64, turns: &(dyn Fn(u64) + Sync)) -> Sample {
    let part = |_| -> Part<'_> { Box::new(move || turns(ops / threads)) };
    together(ops, (0..threads).map(part).collect())
}

/// The semaphore as programs write it by hand.
struct Naive {
    permits: Mutex<u32>,
    free: Condvar,
}

impl Naive {
    fn acquire(&self) {
        let mut permits = self.permits.lock();
        while *permits == 0 {
            self.free.wait(&mut permits);
        }
        *permits -= 1;
    }

    fn release(&self) {
        *self.permits.lock() += 1;
        self.free.notify_one();
    }
}
