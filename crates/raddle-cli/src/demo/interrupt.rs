//! The signals that interrupt the demo.

use std::io;
use std::sync::Arc;

use raddle::{Event, Thread};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Sets `stop` on SIGINT, SIGTERM and SIGHUP from now on, so that the demo ends its server and removes its files.
pub(crate) fn stop_on_signal(stop: &Arc<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let stop = stop.clone();
    let listener = Thread::new(move || signals.forever().for_each(|_| stop.set()));
    // A daemon: this thread never terminates and must not keep the program alive.
    drop(listener.name("signals").daemon(true).start().map_err(io::Error::other)?);
    Ok(())
}
