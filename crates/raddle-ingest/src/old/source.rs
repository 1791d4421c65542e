//! The interface of sources.

use std::io;
use std::sync::Arc;

use raddle::Event;

use crate::old::intake::Intake;

/// Receives messages until it is stopped.
pub trait Source: Send + 'static {
    /// Receives messages and enqueues them with `intake` until `stop` is set; then reads what has already arrived, within a
    /// timeout of its own, and returns. All threads of the source have terminated by then.
    ///
    /// # Errors
    /// The reason why it cannot receive more. Messages received until then have been enqueued.
    fn run(self, intake: Intake, stop: &Arc<Event>) -> io::Result<()>;
}
