//! One thread of an execution: where it stands, and what is known of its next step.

use std::collections::HashMap;
use std::thread::Thread;
use std::time::Duration;

use raddle::rt::Op;

use super::objects::Access;
use crate::crew::Entrance;

/// What keeps an actor from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: it stands before its next step, or takes it.
    Ready,
    /// It asked that others go first, when so many steps had been taken.
    Yielding(usize),
    /// Its step can succeed only while its predicate says yes, or after the deadline.
    Gated(Gate),
    /// It sleeps on a word, until one of these wakes is for it.
    Parked {
        word: usize,
        deadline: Option<Duration>,
        wakes: Vec<usize>,
    },
    /// It sleeps until the clock shows this.
    Sleeping(Duration),
    /// It has returned from the program's closure, and the program ends once nothing keeps it alive.
    Leaving,
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    /// The word that the predicate looks at.
    pub(crate) word: usize,
    pub(crate) open: bool,
    pub(crate) deadline: Option<Duration>,
}

/// How an actor came past its last gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// There was none.
    Free,
    /// The predicate said yes: the step must not wait.
    Open,
    /// The time was up.
    TimedOut,
}

/// What a thread lets go of while it waits on a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loan {
    /// The lock's number.
    pub(crate) object: u32,
}

#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) daemon: bool,
    /// Who started it.
    pub(crate) parent: Option<usize>,
    /// The thread of the operating system that plays it, once it has begun.
    pub(crate) player: Option<Thread>,
    pub(crate) native_id: Option<u64>,
    /// The way onto the stage, until it has begun.
    pub(crate) entrance: Option<Entrance>,
    pub(crate) standing: Standing,
    /// Its next step, as far as it said.
    pub(crate) op: Option<Op>,
    pub(crate) access: Option<Access>,
    /// What else its next step touches for sure.
    pub(crate) also: Vec<Access>,
    /// How many steps had been taken when it came to this one.
    pub(crate) since: usize,
    /// The event that enabled its next step, if it was not enabled from the beginning.
    pub(crate) opened_by: Option<u32>,
    /// The event that started it.
    pub(crate) started_by: Option<u32>,
    pub(crate) passed: Passed,
    pub(crate) loan: Option<Loan>,
    /// What it waited for on a condition: its way back to the lock depends on that.
    pub(crate) comes_from: Option<Access>,
    /// It has touched nothing since it was chosen: to choose again would be to choose the same.
    pub(crate) fresh: bool,
    /// How often its time was up though others could have gone on.
    pub(crate) early: usize,
    /// How often it woke without a reason.
    pub(crate) spurious: usize,
    /// It has panicked, after so many events.
    pub(crate) unwinds: Option<usize>,
    /// How often it looked at an object on a line of the program since another thread did anything.
    pub(crate) looks: HashMap<(usize, u32, u32), usize>,
    /// Nothing keeps the program alive any more that it ends.
    pub(crate) may_leave: bool,
    /// What it noted before its first step.
    pub(crate) notes: Vec<String>,
    /// How often it was unwound: some catch that, and go on.
    pub(crate) told: usize,
}

impl Actor {
    pub(crate) fn new(name: &str, parent: Option<usize>) -> Self {
        Self {
            name: name.to_owned(),
            daemon: false,
            parent,
            player: None,
            native_id: None,
            entrance: None,
            standing: Standing::Ready,
            op: None,
            access: None,
            also: Vec::new(),
            since: 0,
            opened_by: None,
            started_by: None,
            passed: Passed::Free,
            loan: None,
            comes_from: None,
            fresh: false,
            early: 0,
            spurious: 0,
            unwinds: None,
            looks: HashMap::new(),
            may_leave: false,
            notes: Vec::new(),
            told: 0,
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.standing == Standing::Finished
    }

    /// When it goes on in any case.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match &self.standing {
            Standing::Gated(Gate { open: false, deadline, .. }) | Standing::Parked { deadline, .. } => {
                *deadline
            }
            Standing::Sleeping(until) => Some(*until),
            _ => None,
        }
    }

    /// Its step may also be taken without what it waits for, once its time is up.
    pub(crate) fn is_timed(&self) -> bool {
        match &self.standing {
            Standing::Gated(gate) => gate.deadline.is_some(),
            Standing::Parked { deadline, .. } => deadline.is_some(),
            Standing::Sleeping(_) => true,
            _ => false,
        }
    }

    /// What its next step touches, as far as it said.
    pub(crate) fn next(&self) -> impl Iterator<Item = Access> {
        self.access.into_iter().chain(self.also.iter().copied())
    }

    /// Stands at a gate that looks at this word.
    pub(crate) fn looks_at(&self, address: usize) -> bool {
        matches!(self.standing, Standing::Gated(Gate { word, .. }) if word == address)
    }

    /// Sleeps on this word.
    pub(crate) fn sleeps_on(&self, address: usize) -> bool {
        matches!(self.standing, Standing::Parked { word, .. } if word == address)
    }
}
