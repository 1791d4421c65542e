//! The same work in Python, in a process per sample whose start is not measured.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use raddle::{Event, Queue, Semaphore, ThreadPoolExecutor};

use crate::compare::case::{Case, Goal, Sample, Scale};
use crate::compare::drive::{alone, sample, together};

/// A Python interpreter.
#[derive(Clone)]
pub(crate) struct Python {
    path: String,
    version: String,
}

impl Python {
    /// Finds the `python3` of this machine.
    pub(crate) fn find() -> Option<Self> {
        let question = "import sys, platform; print(sys.executable); print(platform.python_version())";
        let answer = Command::new("python3").args(["-c", question]).output().ok()?;
        let answer = String::from_utf8(answer.stdout).ok()?;
        let mut lines = answer.lines().map(str::to_owned);
        Some(Self { path: lines.next()?, version: lines.next()? })
    }

    /// Runs `work` with `ops` operations in the script.
    fn measure(&self, work: &str, ops: u64) -> Sample {
        let script = include_str!("peers.py");
        let output = Command::new(&self.path).args(["-c", script, work, &ops.to_string()]).output();
        let output = output.expect("Python was there a moment ago");
        let said = String::from_utf8_lossy(&output.stdout);
        let mut times = said.split_whitespace().filter_map(|word| word.parse().ok());
        let mut next = || Duration::from_nanos(times.next().expect("the script prints two times"));
        let wall = next();
        sample(ops, wall, next())
    }
}

pub(super) fn cases(python: &Python) -> Vec<Case> {
    let peer = |name: &'static str, what, ops: u64| {
        let python = python.clone();
        let title = format!("Python {}", python.version);
        let case = Case::new(format!("python/{name}"), what, Goal::Ratio(0.05));
        case.peer(&title, move |scale| python.measure(name, scale.ops(ops)))
    };
    vec![
        peer("put-get", "to put an item in a queue and get it", 16_000).raddle("raddle Queue", put_get),
        peer("1p1c", "an item, from one thread to another", 16_000).raddle("raddle Queue", one_to_one),
        peer("round-trip", "to submit a task and get its result", 1_600)
            .raddle("raddle ThreadPoolExecutor", round_trip),
        peer("semaphore", "to acquire and release a permit", 24_000).raddle("raddle Semaphore", semaphore),
        peer("event", "to set it, wait for it and clear it", 24_000).raddle("raddle Event", event),
    ]
}

fn put_get(scale: Scale) -> Sample {
    let (ops, queue) = (scale.ops(800_000), Queue::bounded(1_000));
    alone(ops, || {
        for n in 0..ops {
            queue.put(n).expect("it is not shut down");
            black_box(queue.get().expect("it is not shut down"));
        }
    })
}

fn one_to_one(scale: Scale) -> Sample {
    let (ops, queue) = (scale.ops(400_000), Queue::bounded(1_000));
    let put = |n| queue.put(n).expect("it is not shut down");
    let get = |_| _ = black_box(queue.get().expect("it is not shut down"));
    together(ops, vec![Box::new(|| (0..ops).for_each(put)), Box::new(|| (0..ops).for_each(get))])
}

fn round_trip(scale: Scale) -> Sample {
    let (ops, pool) = (scale.ops(4_000), ThreadPoolExecutor::new(2));
    let trip = |n| pool.submit(move || n).result().expect("the task does not fail");
    trip(0);
    alone(ops, || (0..ops).for_each(|n| _ = black_box(trip(n))))
}

fn semaphore(scale: Scale) -> Sample {
    let (ops, semaphore) = (scale.ops(2_000_000), Semaphore::new(2));
    alone(ops, || {
        for _ in 0..ops {
            semaphore.acquire().forget();
            black_box(&semaphore).release();
        }
    })
}

fn event(scale: Scale) -> Sample {
    let (ops, event) = (scale.ops(2_000_000), Event::new());
    alone(ops, || {
        for _ in 0..ops {
            event.set();
            black_box(&event).wait();
            event.clear();
        }
    })
}
