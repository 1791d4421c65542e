//! Follows choices that were made before.

use std::any::Any;

use crate::stage::{Policy, View};

/// Makes the given choices wherever there is one to make, and the first one after that.
#[derive(Debug)]
pub(crate) struct Follow {
    choices: Vec<usize>,
    at: usize,
    /// A choice was not there to be made: the program has changed.
    pub(crate) strayed: bool,
}

impl Follow {
    pub(crate) fn new(choices: Vec<usize>) -> Self {
        Self { choices, at: 0, strayed: false }
    }
}

impl Policy for Follow {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        if view.options.len() < 2 {
            return Some(0);
        }
        let choice = self.choices.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        self.strayed |= choice >= view.options.len();
        Some(choice.min(view.options.len() - 1))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
