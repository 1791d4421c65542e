//! What a scheduler unwinds threads with.

/// The payload with which a [`Scheduler`](super::Scheduler) unwinds a thread whose execution is over.
///
/// It is no panic of the program's: nobody is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Abandoned;
