//! Random programs: each closure is run or dropped, each future is settled, and the pool terminates.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use raddle::{Future, Priority, ReturnWhen, ShutdownMode, Thread, ThreadPoolExecutor, thread, wait};

use crate::support::{alone, finish, within_limit};

const PROGRAMS: u64 = 1_500;
const THREADS: usize = 3;
const SUBMISSIONS: usize = 30;

/// Counts the closures that are gone, whether they have been run or not.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Returns a task that may sleep, submit further tasks to its pool, or panic.
fn task(
    random: &mut fastrand::Rng,
    pool: &ThreadPoolExecutor,
    counted: Counted,
) -> impl FnOnce() + Send + use<> {
    let (kind, pool) = (random.u32(0..6), pool.clone());
    move || {
        let _counted = counted;
        match kind {
            0 => thread::sleep(Duration::from_micros(50)),
            1 => drop(pool.submit(|| ()).result()),
            2 => drop(pool.submit(|| ()).cancel()),
            3 => resume_unwind(Box::new("as intended")),
            _ => {}
        }
    }
}

fn submit(random: &mut fastrand::Rng, pool: &ThreadPoolExecutor, counted: Counted) -> Option<Future<()>> {
    let task = task(random, pool, counted);
    match random.u32(0..8) {
        0 => {
            let _ = pool.execute(task);
            None
        }
        1 => pool.try_submit(task).ok(),
        2 => pool.submit_timeout(Duration::from_millis(1), task).ok(),
        3 => Some(pool.submit_with(Priority(random.i32(0..3)), task)),
        4 => {
            let future = pool.submit(task);
            if random.bool() {
                future.cancel();
            }
            Some(future)
        }
        _ => Some(pool.submit(task)),
    }
}

/// One thread of a program.
fn submitter(random: &mut fastrand::Rng, pool: &ThreadPoolExecutor, gone: &Arc<AtomicUsize>) {
    let mut futures = Vec::new();
    for _ in 0..SUBMISSIONS {
        futures.extend(submit(random, pool, Counted(gone.clone())));
        if random.u32(0..20) == 0 {
            pool.resize(random.usize(1..5));
        }
        if random.u32(0..10) == 0 {
            drop(futures.pop().map(|future| future.result()));
        }
        if random.u32(0..200) == 0 {
            let how = if random.bool() { ShutdownMode::Drain } else { ShutdownMode::CancelPending };
            pool.try_shutdown(how);
        }
    }
    let (_, unsettled) = wait(&futures, ReturnWhen::AllCompleted);
    assert_eq!(unsettled.len(), 0);
}

fn program(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut builder = ThreadPoolExecutor::builder().max_workers(random.usize(1..4));
    if random.bool() {
        builder = builder.queue_limit(random.usize(0..4));
    }
    let (pool, gone) = (builder.build().unwrap(), Arc::new(AtomicUsize::new(0)));
    let threads = [(); THREADS].map(|()| {
        let (mut random, pool, gone) = (random.fork(), pool.clone(), gone.clone());
        Thread::spawn(move || submitter(&mut random, &pool, &gone))
    });
    threads.into_iter().for_each(finish);
    pool.shutdown(ShutdownMode::Drain).unwrap();
    assert_eq!(gone.load(SeqCst), THREADS * SUBMISSIONS, "seed {seed}");
}

#[test]
fn random_programs_leave_no_task_behind() {
    alone("pool::random::random_programs_leave_no_task_behind", || {
        thread::set_excepthook(|_| ()); // the panics are intended
        within_limit(|| (0..PROGRAMS).for_each(program));
    });
}
