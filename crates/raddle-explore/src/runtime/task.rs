//! One thread of an execution: where it stands, and what is known of its next step.

use std::collections::HashMap;
use std::thread::Thread;
use std::time::Duration;

use raddle::rt::Op;

use super::objects::Access;
use super::os_threads::PreparedThread;

/// What keeps an actor from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskStatus {
    /// Nothing: it stands before its next step, or takes it.
    Ready,
    /// It asked that others go first, when so many steps had been taken.
    Yielding(usize),
    /// Its step can succeed only while its predicate says yes, or after the deadline.
    Conditional(EnablingCondition),
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
pub(crate) struct EnablingCondition {
    /// The word that the predicate looks at.
    pub(crate) word: usize,
    pub(crate) enabled: bool,
    pub(crate) deadline: Option<Duration>,
}

/// How an actor came past its last gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumedBy {
    /// There was none.
    Choice,
    /// The predicate said yes: the step must not wait.
    Condition,
    /// The time was up.
    TimedOut,
}

/// What a thread lets go of while it waits on a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LentLock {
    /// The lock's number.
    pub(crate) object: u32,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) daemon: bool,
    /// Who started it.
    pub(crate) parent: Option<usize>,
    /// The thread of the operating system that plays it, once it has begun.
    pub(crate) os_thread: Option<Thread>,
    pub(crate) native_id: Option<u64>,
    /// The way onto the stage, until it has begun.
    pub(crate) prepared: Option<PreparedThread>,
    pub(crate) status: TaskStatus,
    /// Its next step, as far as it said.
    pub(crate) op: Option<Op>,
    pub(crate) access: Option<Access>,
    /// What else its next step touches for sure.
    pub(crate) also: Vec<Access>,
    /// How many steps had been taken when it came to this one.
    pub(crate) since: usize,
    /// The event that enabled its next step, if it was not enabled from the beginning.
    pub(crate) enabled_by: Option<u32>,
    /// The event that started it.
    pub(crate) started_by: Option<u32>,
    pub(crate) resumed_by: ResumedBy,
    pub(crate) lent_lock: Option<LentLock>,
    /// What it waited for on a condition: its way back to the lock depends on that.
    pub(crate) condition_access: Option<Access>,
    /// It has touched nothing since it was chosen: to choose again would be to choose the same.
    pub(crate) just_chosen: bool,
    /// How often its time was up though others could have gone on.
    pub(crate) early_timeouts: usize,
    /// How often it woke without a reason.
    pub(crate) spurious: usize,
    /// It has panicked, after so many events.
    pub(crate) panicked_at: Option<usize>,
    /// How often it looked at an object on a line of the program since another thread did anything.
    pub(crate) polls: HashMap<(usize, u32, u32), usize>,
    /// Nothing keeps the program alive any more that it ends.
    pub(crate) may_exit: bool,
    /// What it noted before its first step.
    pub(crate) notes: Vec<String>,
    /// How often it was unwound: some catch that, and go on.
    pub(crate) unwind_attempts: usize,
}

impl Task {
    pub(crate) fn new(name: &str, parent: Option<usize>) -> Self {
        Self {
            name: name.to_owned(),
            daemon: false,
            parent,
            os_thread: None,
            native_id: None,
            prepared: None,
            status: TaskStatus::Ready,
            op: None,
            access: None,
            also: Vec::new(),
            since: 0,
            enabled_by: None,
            started_by: None,
            resumed_by: ResumedBy::Choice,
            lent_lock: None,
            condition_access: None,
            just_chosen: false,
            early_timeouts: 0,
            spurious: 0,
            panicked_at: None,
            polls: HashMap::new(),
            may_exit: false,
            notes: Vec::new(),
            unwind_attempts: 0,
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.status == TaskStatus::Finished
    }

    /// When it goes on in any case.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match &self.status {
            TaskStatus::Conditional(EnablingCondition { enabled: false, deadline, .. })
            | TaskStatus::Parked { deadline, .. } => *deadline,
            TaskStatus::Sleeping(until) => Some(*until),
            _ => None,
        }
    }

    /// Its step may also be taken without what it waits for, once its time is up.
    pub(crate) fn is_timed(&self) -> bool {
        match &self.status {
            TaskStatus::Conditional(condition) => condition.deadline.is_some(),
            TaskStatus::Parked { deadline, .. } => deadline.is_some(),
            TaskStatus::Sleeping(_) => true,
            _ => false,
        }
    }

    /// What its next step touches, as far as it said.
    pub(crate) fn next(&self) -> impl Iterator<Item = Access> {
        self.access.into_iter().chain(self.also.iter().copied())
    }

    /// Stands at a gate that looks at this word.
    pub(crate) fn looks_at(&self, address: usize) -> bool {
        matches!(self.status, TaskStatus::Conditional(EnablingCondition { word, .. }) if word == address)
    }

    /// Sleeps on this word.
    pub(crate) fn sleeps_on(&self, address: usize) -> bool {
        matches!(self.status, TaskStatus::Parked { word, .. } if word == address)
    }
}
