//! Where messages come from.

use std::io;
use std::sync::Arc;

use raddle::Event;

use crate::intake::Intake;

/// Receives messages until it is told to stop.
pub trait Source: Send + 'static {
    /// Receives messages and puts them into `intake`, until `stop` is set; then takes in what has already
    /// arrived, within a limit of its own, and returns. When it returns, nothing of it runs any more.
    ///
    /// # Errors
    /// Why it cannot go on receiving. What it received until then is in `intake`.
    fn run(self, intake: Intake, stop: &Arc<Event>) -> io::Result<()>;
}
