//! The signals that end the program in order.

use std::io;
use std::sync::Arc;

use raddle::{Event, Thread};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Has SIGINT and SIGTERM set `stop`, from now on; what follows is up to those who wait for it.
///
/// Later signals change nothing: the program ends when everything is stored, which they are told.
pub(crate) fn stop_on_signal(stop: &Arc<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    let listener = Thread::new(move || {
        for _ in signals.forever() {
            if stop.is_set() {
                log::warn!("already stopping: what was received is being stored; kill -9 would lose it");
            } else {
                log::info!("stopping: taking in what has arrived, then storing it");
            }
            stop.set();
        }
    });
    // A daemon: it never ends, and the program may.
    drop(listener.name("signals").daemon(true).start().map_err(io::Error::other)?);
    Ok(())
}
