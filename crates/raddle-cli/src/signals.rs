//! Signals that stop the program gracefully.

use std::io;
use std::sync::Arc;

use raddle::{Event, Thread};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Sets `stop` on SIGINT and SIGTERM from now on.
///
/// Later signals have no further effect: the program terminates once everything is stored, and says so.
pub(crate) fn stop_on_signal(stop: &Arc<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    let listener = Thread::new(move || {
        for _ in signals.forever() {
            if stop.is_set() {
                log::warn!("already stopping: received messages are being stored; kill -9 would lose them");
            } else {
                log::info!("stopping: reading what has arrived, then storing it");
            }
            stop.set();
        }
    });
    // A daemon: this thread never terminates and must not keep the program alive.
    drop(listener.name("signals").daemon(true).start().map_err(io::Error::other)?);
    Ok(())
}
