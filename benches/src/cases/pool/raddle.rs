//! raddle's executor.

use raddle::{Future, ShutdownMode, ThreadPoolExecutor};

use super::work::{self, WORKERS};

pub(super) struct Pool(ThreadPoolExecutor);

impl work::Pool for Pool {
    const NAME: &'static str = "raddle ThreadPoolExecutor";
    type Future = Future<u64>;

    fn start() -> Self {
        Self(ThreadPoolExecutor::new(WORKERS))
    }

    fn submit(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Future<u64> {
        self.0.submit(task)
    }

    fn result(&self, future: Future<u64>) -> u64 {
        future.result().expect("the task does not fail")
    }

    fn run_all(self, count: u64, task: impl Fn() + Copy + Send + Sync + 'static) {
        for _ in 0..count {
            self.0.execute(task).expect("the workers are there");
        }
        self.0.shutdown(ShutdownMode::Drain).expect("this is not a worker");
    }
}
