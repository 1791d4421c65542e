//! Waiting for a socket, or for the event that ends all waiting.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use raddle::{Event, Thread};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Makes an [`Event`] something that the operating system's `poll` can wait for together with a socket.
///
/// A thread waits for the event and then closes its end of a pair of sockets; whoever polls the other end is
/// woken, however many they are. So an idle connection costs no time at all, and the stop none to notice.
#[derive(Debug)]
pub(crate) struct Wake {
    closed_on_stop: UnixStream,
}

impl Wake {
    /// Watches `stop` from now on.
    pub(crate) fn on(stop: &Arc<Event>) -> io::Result<Arc<Self>> {
        let (closed_on_stop, other_end) = UnixStream::pair()?;
        let stop = stop.clone();
        let watcher = Thread::new(move || {
            stop.wait();
            drop(other_end);
        });
        // A daemon: should the event never be set, it is no reason for the program to stay.
        drop(watcher.name("stop watcher").daemon(true).start()?);
        Ok(Arc::new(Self { closed_on_stop }))
    }

    /// Returns when `socket` can be read or has ended, and when the event is set.
    pub(crate) fn wait(&self, socket: impl AsFd) -> io::Result<()> {
        let mut both =
            [PollFd::new(&socket, PollFlags::IN), PollFd::new(&self.closed_on_stop, PollFlags::IN)];
        polled(poll(&mut both, None)).map(|_| ())
    }
}

/// Says whether `socket` can be read or has ended, waiting at most `limit` for it.
pub(crate) fn readable_within(socket: impl AsFd, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    polled(poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&limit))).map(|ready| ready > 0)
}

/// A signal may end the wait early; whoever waited looks again.
fn polled(outcome: rustix::io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(Errno::INTR) => Ok(1),
        outcome => Ok(outcome?),
    }
}
