//! Asks a question and gives up after a few seconds; an answer cancels the timer.
//!
//! ```text
//! cargo run --example timer
//! cargo run --example timer -- 1.5
//! ```
//!
//! Watch for: with an answer in time, the timer never runs, and the program does not wait for it. Without one, its function
//! runs once, on another thread, never early. The program prints how late it was. A cancellation after that is no error and
//! has no effect.
mod support;

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use log::info;
use raddle::{Queue, Thread, Timer, thread};

static ANSWERS: Queue<String> = Queue::bounded(1);

fn give_up() {
    info!("{}: time is up", thread::current().name());
    ANSWERS.shutdown();
}

/// Waits for a line. If the input ends without one, there is no answer.
fn listen() {
    if let Some(Ok(line)) = std::io::stdin().lines().next() {
        let _ = ANSWERS.put(line); // refused if the time is up: no thread waits for it any more
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(5.0), |text| text.parse::<f64>());
    let Some(limit) = seconds.ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) else {
        eprintln!("timer: the argument is the number of seconds that you have to answer, such as 1.5");
        std::process::exit(2);
    };
    support::log_to_stderr();
    print!("What is your name? You have {limit:?} to answer: ");
    std::io::stdout().flush()?;
    let timer = Timer::after(limit, give_up);
    // A daemon, since a read cannot be interrupted: the program ends without it.
    let _listener = Thread::new(listen).name("listener").daemon(true).start()?;
    match ANSWERS.get() {
        Ok(name) if timer.cancel() => println!("Hello, {name}! The timer is cancelled and never runs."),
        _ => {
            timer.wait()?;
            println!("\nNo answer in time: the timer ran, {:?} late.", timer.lateness().unwrap_or_default());
            println!("Cancelled afterwards: {}.", timer.cancel());
        }
    }
    Ok(())
}
