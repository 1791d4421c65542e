//! Waiting for a socket or the stop event, whichever is first.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use raddle::{Event, Thread};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Makes an [`Event`] pollable together with a socket.
///
/// A thread waits for the event and then closes one end of a socket pair, which wakes every thread that polls the other end. Idle
/// connections use no processor time, and notice the stop at once.
#[derive(Debug)]
pub(crate) struct Wake {
    closed_on_stop: UnixStream,
}

impl Wake {
    /// Starts the thread that waits for `stop`.
    pub(crate) fn on(stop: &Arc<Event>) -> io::Result<Arc<Self>> {
        let (closed_on_stop, other_end) = UnixStream::pair()?;
        let stop = stop.clone();
        let watcher = Thread::new(move || {
            stop.wait();
            drop(other_end);
        });
        // A daemon: an event that is never set must not keep the program alive.
        drop(watcher.name("stop watcher").daemon(true).start()?);
        Ok(Arc::new(Self { closed_on_stop }))
    }

    /// Blocks until `socket` is readable or closed, or the event is set.
    pub(crate) fn wait(&self, socket: impl AsFd) -> io::Result<()> {
        let mut both =
            [PollFd::new(&socket, PollFlags::IN), PollFd::new(&self.closed_on_stop, PollFlags::IN)];
        polled(poll(&mut both, None)).map(|_| ())
    }
}

/// Blocks for at most `timeout` until `socket` is readable or closed. Returns whether it is.
pub(crate) fn readable_within(socket: impl AsFd, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    polled(poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&timeout))).map(|ready| ready > 0)
}

/// A signal may interrupt the wait; the caller checks again.
fn polled(outcome: rustix::io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(Errno::INTR) => Ok(1),
        outcome => Ok(outcome?),
    }
}
