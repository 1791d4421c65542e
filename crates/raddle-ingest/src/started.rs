//! Starting a thread where the failure is an I/O error like the others.

use std::io;

use raddle::{JoinHandle, Thread};

/// Starts `thread`; if that fails, what it would have run is dropped.
pub(crate) fn started<F, T>(thread: Thread<F>) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Ok(thread.start()?)
}
