//! A random walk: before each step every thread that can go on is as likely as any other.

use std::any::Any;

use fastrand::Rng;

use crate::stage::{Policy, View};

#[derive(Debug)]
pub(crate) struct Walk(pub(crate) Rng);

impl Policy for Walk {
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
