//! One thread of an execution: where it stands, and what is known of its next step.

use std::time::Duration;

use raddle::host::Wait;

/// What keeps an actor from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: it stands before its next step.
    Ready,
    /// It asked that others go first.
    Yielding,
    /// It stands before a step that can succeed only while its predicate says yes, or after the deadline.
    Gated {
        open: bool,
        deadline: Option<Duration>,
    },
    /// It sleeps on the word at this address.
    Parked {
        word: usize,
        deadline: Option<Duration>,
    },
    /// It sleeps until the clock shows this.
    Sleeping(Duration),
    Finished,
}

/// How an actor came past its last gate, which says what its step may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// There was none, or the time was up: anything may happen.
    Unknown,
    /// The predicate said yes: the step must not wait.
    SaidYes,
    /// The predicate said no and nobody could go on: if the step succeeds, the predicate was wrong.
    SaidNo,
}

/// Whether an actor is on its way out of an execution that is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    Not,
    /// It is to unwind when it goes on.
    Told,
    /// It unwinds, and so cannot be told to.
    Unwinding,
}

#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) standing: Standing,
    /// How its wait ended.
    pub(crate) outcome: Wait,
    pub(crate) gate: Gate,
    /// It has touched nothing since it was chosen: to choose again would be to choose the same.
    pub(crate) fresh: bool,
    /// Its atomics are steps.
    pub(crate) fine: bool,
    pub(crate) leaving: Leaving,
    /// How often it was told to unwind: some catch that, and wait again.
    pub(crate) told: usize,
}

impl Actor {
    pub(crate) fn new(fine: bool) -> Self {
        Self {
            standing: Standing::Ready,
            outcome: Wait::Woken,
            gate: Gate::Unknown,
            fresh: true,
            fine,
            leaving: Leaving::Not,
            told: 0,
        }
    }

    pub(crate) fn can_go(&self) -> bool {
        matches!(self.standing, Standing::Ready | Standing::Gated { open: true, .. })
    }

    pub(crate) fn is_gated(&self) -> bool {
        matches!(self.standing, Standing::Gated { .. })
    }

    pub(crate) fn is_parked_on(&self, place: usize) -> bool {
        matches!(self.standing, Standing::Parked { word, .. } if word == place)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.standing == Standing::Finished
    }

    /// When it goes on in any case.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.standing {
            Standing::Gated { open: false, deadline } | Standing::Parked { deadline, .. } => deadline,
            Standing::Sleeping(until) => Some(until),
            _ => None,
        }
    }

    /// Its wait is over.
    pub(crate) fn rouse(&mut self, outcome: Wait) {
        self.standing = Standing::Ready;
        self.outcome = outcome;
    }

    /// Has it go on, but only to unwind.
    pub(crate) fn tell_to_leave(&mut self) {
        self.standing = Standing::Ready;
        self.leaving = Leaving::Told;
        self.told += 1;
    }
}
