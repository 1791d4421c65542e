//! What panics carry: what a scheduler unwinds threads with, and what else there is to be dropped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The payload with which a [`Scheduler`](super::Scheduler) unwinds a thread whose execution is over.
///
/// It is no panic of the program's: nobody is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Abandoned;

/// How often a destructor of a payload may panic with another payload before that is leaked.
const MOST: usize = 8;

/// Drops what a panic carried. If its destructor panics, `told` is shown what that panic carries, which is dropped
/// likewise; after some rounds it is leaked, as its destructor may never come to an end.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>, told: impl Fn(&(dyn Any + Send))) {
    let mut payload = payload;
    for _ in 0..MOST {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
        told(&*payload);
    }
    std::mem::forget(payload);
}
