//! The pool as programs write it by hand: boxed closures in a channel, and a channel for each result.

use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::work::{self, WORKERS};

type Task = Box<dyn FnOnce() + Send>;

pub(super) struct Pool {
    tasks: Sender<Task>,
    workers: Vec<JoinHandle<()>>,
}

impl work::Pool for Pool {
    const NAME: &'static str = "naive crossbeam-channel";
    type Future = Receiver<u64>;

    fn start() -> Self {
        let (tasks, queue) = unbounded::<Task>();
        #[expect(clippy::disallowed_methods, reason = "a peer has ordinary threads")]
        let workers = (0..WORKERS).map(|_| {
            let queue = queue.clone();
            thread::spawn(move || queue.iter().for_each(|task| task()))
        });
        let workers = workers.collect();
        Self { tasks, workers }
    }

    fn submit(&self, task: impl FnOnce() -> u64 + Send + 'static) -> Receiver<u64> {
        let (result, future) = bounded(1);
        let task = move || result.send(task()).expect("the result is waited for");
        self.tasks.send(Box::new(task)).expect("the workers are there");
        future
    }

    fn result(&self, future: Receiver<u64>) -> u64 {
        future.recv().expect("the task does not fail")
    }

    fn run_all(self, count: u64, task: impl Fn() + Copy + Send + Sync + 'static) {
        for _ in 0..count {
            self.tasks.send(Box::new(task)).expect("the workers are there");
        }
        drop(self.tasks);
        self.workers.into_iter().for_each(|worker| worker.join().expect("no task panics"));
    }
}
