//! Pools of other crates. Those without futures send the result through a channel of capacity 1.

use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use executors::Executor;

use super::work::{Pool, WORKERS};

/// Returns a task that sends its result, and the receiver.
fn with_channel(
    task: impl FnOnce() -> u64 + Send + 'static,
) -> (impl FnOnce() + Send + 'static, Receiver<u64>) {
    let (result, future) = bounded(1);
    (move || result.send(task()).expect("the result is waited for"), future)
}

fn received(future: &Receiver<u64>) -> u64 {
    future.recv().expect("the task does not fail")
}

pub(super) struct RustyPool(rusty_pool::ThreadPool);

impl Pool for RustyPool {
    const NAME: &'static str = "rusty_pool";
    type Future = rusty_pool::JoinHandle<u64>;

    fn start() -> Self {
        Self(rusty_pool::ThreadPool::new(WORKERS, WORKERS, Duration::from_mins(1)))
    }

    fn submit(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future {
        self.0.evaluate(task)
    }

    fn result(&self, future: Self::Future) -> u64 {
        future.await_complete()
    }

    fn run_all(self, count: u64, task: impl Fn() + Copy + Send + Sync + 'static) {
        (0..count).for_each(|_| self.0.execute(task));
        self.0.shutdown_join();
    }
}

pub(super) struct Rayon(rayon::ThreadPool);

impl Pool for Rayon {
    const NAME: &'static str = "rayon spawn";
    type Future = Receiver<u64>;

    fn start() -> Self {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build();
        Self(pool.expect("the threads start"))
    }

    fn submit(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Receiver<u64> {
        let (task, future) = with_channel(task);
        self.0.spawn(task);
        future
    }

    fn result(&self, future: Receiver<u64>) -> u64 {
        received(&future)
    }

    fn run_all(self, count: u64, task: impl Fn() + Copy + Send + Sync + 'static) {
        self.0.in_place_scope(|scope| (0..count).for_each(|_| scope.spawn(move |_| task())));
    }
}

pub(super) struct Threadpool(threadpool::ThreadPool);

impl Pool for Threadpool {
    const NAME: &'static str = "threadpool";
    type Future = Receiver<u64>;

    fn start() -> Self {
        Self(threadpool::ThreadPool::new(WORKERS))
    }

    fn submit(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Receiver<u64> {
        let (task, future) = with_channel(task);
        self.0.execute(task);
        future
    }

    fn result(&self, future: Receiver<u64>) -> u64 {
        received(&future)
    }

    fn run_all(self, count: u64, task: impl Fn() + Copy + Send + Sync + 'static) {
        (0..count).for_each(|_| self.0.execute(task));
        self.0.join();
    }
}

pub(super) struct Tokio(tokio::runtime::Runtime);

impl Pool for Tokio {
    const NAME: &'static str = "tokio spawn_blocking";
    type Future = tokio::task::JoinHandle<u64>;

    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Self(builder.max_blocking_threads(WORKERS).build().expect("the threads start"))
    }

    fn submit(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Self::Future {
        self.0.spawn_blocking(task)
    }

    fn result(&self, future: Self::Future) -> u64 {
        self.0.block_on(future).expect("the task does not fail")
    }

    fn run_all(self, count: u64, task: impl Fn() + Copy + Send + Sync + 'static) {
        let tasks: Vec<_> = (0..count).map(|_| self.0.spawn_blocking(task)).collect();
        self.0.block_on(async {
            for task in tasks {
                task.await.expect("the task does not fail");
            }
        });
    }
}

/// The pool of the crate that starts tasks in FIFO order.
pub(super) struct Executors(executors::crossbeam_channel_pool::ThreadPool);

impl Pool for Executors {
    const NAME: &'static str = "executors channel pool";
    type Future = Receiver<u64>;

    fn start() -> Self {
        Self(executors::crossbeam_channel_pool::ThreadPool::new(WORKERS))
    }

    fn submit(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Receiver<u64> {
        let (task, future) = with_channel(task);
        self.0.execute(task);
        future
    }

    fn result(&self, future: Receiver<u64>) -> u64 {
        received(&future)
    }

    fn run_all(self, count: u64, task: impl Fn() + Copy + Send + Sync + 'static) {
        (0..count).for_each(|_| self.0.execute(task));
        self.0.shutdown().expect("the tasks take less than 5 seconds");
    }
}
