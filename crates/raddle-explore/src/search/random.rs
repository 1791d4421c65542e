//! Random walk: each enabled task is equally likely to take the next step.

use std::any::Any;

use fastrand::Rng;

use crate::runtime::{Policy, View};

#[derive(Debug)]
pub(crate) struct RandomWalk(pub(crate) Rng);

impl Policy for RandomWalk {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        if let Some(place) = view.starving() {
            return Some(place);
        }
        Some(self.0.usize(..view.options.len()))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
