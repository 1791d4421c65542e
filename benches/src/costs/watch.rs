//! The same operations in a process with the watch, and in one without it.

use std::env;
use std::hint::black_box;
use std::io;
use std::process::Command;

use raddle::{Event, Lock, Mutex, Queue, Semaphore};

use crate::compare::drive::alone;
use crate::format::{Row, time};

const OPS: u64 = 200_000;
/// Number of repetitions; the best counts.
const ATTEMPTS: usize = 9;

pub(super) fn rows() -> io::Result<Vec<Row>> {
    let (off, on) = (values("0")?, values("1")?);
    Ok(off.into_iter().zip(on).map(|((what, off), (_, on))| Row::new(what, [time(off), time(on)])).collect())
}

/// Runs this program with the setting and returns its output.
fn values(watch: &str) -> io::Result<Vec<(String, f64)>> {
    let mut own = Command::new(env::current_exe()?);
    let output = own.args(["costs", "--operations"]).env("RADDLE_WATCH", watch).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let parse = |line: &str| {
        let (what, value) = line.rsplit_once(' ')?;
        Some((what.to_owned(), value.parse().ok()?))
    };
    let values: Vec<_> = text.lines().filter_map(parse).collect();
    if values.is_empty() {
        Err(io::Error::other("a process for the watch wrote nothing"))
    } else {
        Ok(values)
    }
}

/// Measures each operation and writes its time.
pub(super) fn operations() {
    let (lock, mutex, permits) = (Lock::new(), Mutex::new(0_u64), Semaphore::new(3));
    let (event, queue) = (Event::new(), Queue::bounded(1024));
    say("Lock", || drop(black_box(&lock).lock()));
    say("Mutex", || *black_box(&mutex).lock() += 1);
    say("Semaphore", || drop(black_box(&permits).acquire()));
    say("Event, set and wait", || {
        event.set();
        black_box(&event).wait();
    });
    say("Queue, put and get", || {
        queue.put(1).expect("it is open");
        let _ = black_box(queue.get());
    });
}

fn say(what: &str, operation: impl Fn()) {
    let attempt = |_| alone(OPS, || (0..OPS).for_each(|_| operation())).value;
    println!("{what} {}", (0..ATTEMPTS).map(attempt).fold(f64::INFINITY, f64::min));
}
