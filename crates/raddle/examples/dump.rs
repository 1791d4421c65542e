//! A dump of all threads, requested by the program itself or by SIGQUIT.
//!
//! ```text
//! cargo run --example dump
//! cargo run --example dump -- wait      # then press Ctrl-\, as often as you like, and Enter to end it
//! ```
//!
//! Watch for: which thread waits for which object, on which line and for how long, and which thread holds it. The dump
//! needs the watch, which is on in debug builds. Without the watch, the dump says so.
use raddle::watch::{self, Dump};
use raddle::{Event, Mutex, Thread, thread};
use std::sync::Arc;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (log, end) = (Arc::new(Mutex::new(0)), Arc::new(Event::new()));
    let held = log.lock();
    let writer = Thread::new({
        let log = log.clone();
        move || *log.lock() += 1
    });
    let clock = Thread::new({
        let end = end.clone();
        move || while !end.wait_timeout(Duration::from_secs(10)) {}
    });
    let (writer, clock) = (writer.name("writer").start()?, clock.name("clock").start()?);

    if std::env::args().nth(1).is_some_and(|argument| argument == "wait") {
        watch::dump_on_sigquit()?;
        println!("kill -QUIT {}", std::process::id());
        std::io::stdin().read_line(&mut String::new())?;
    } else {
        print!("{}", once_both_wait());
    }
    drop(held);
    end.set();
    writer.join()?;
    clock.join()?;
    Ok(())
}

/// Waits until both threads wait. While the watch is off, this cannot be detected.
fn once_both_wait() -> Dump {
    loop {
        let dump = watch::dump();
        if !dump.is_watched || dump.threads.iter().filter(|thread| thread.waits.is_some()).count() == 2 {
            return dump;
        }
        thread::yield_now();
    }
}
