//! All threads in step: the schedule that shows a mistake most often.

use std::any::Any;

use raddle::rt::Kind;

use crate::stage::{Policy, View};

/// The thread that has taken the fewest steps is next. The steps that start threads do not count, so that all begin
/// together; a thread that sleeps, or would have to time out, lags behind by a few rounds.
#[derive(Debug, Default)]
pub(crate) struct Lockstep {
    steps: Vec<usize>,
}

/// So many steps the others are ahead of a thread that waits with a deadline.
const ROUNDS: usize = 8;

impl Policy for Lockstep {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        self.steps.resize(view.actors.len(), 0);
        let steps = |thread: usize| {
            let waits = view.actors[thread].deadline().is_some();
            (self.steps[thread] + if waits { ROUNDS } else { 0 }, waits, thread)
        };
        let place = (0..view.options.len()).min_by_key(|&place| steps(view.options[place]))?;
        let next = view.options[place];
        let starts = view.actors[next].op.is_some_and(|op| op.kind == Kind::Start);
        self.steps[next] += usize::from(!starts);
        Some(place)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
