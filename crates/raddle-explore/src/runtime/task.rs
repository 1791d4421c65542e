//! A task: one thread of the program under exploration, and its next step as far as it is declared.

use std::thread::Thread;
use std::time::Duration;

use raddle::rt::Op;

use super::fast_map::FastMap;
use super::objects::Access;
use super::os_threads::PreparedThread;

/// The main task, which runs the program's closure.
pub(super) const MAIN: usize = 0;

/// No task.
pub(super) const NO_TASK: usize = usize::MAX;

/// Whether a task is enabled, or the wait that disables it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskStatus {
    /// Enabled, or running.
    Ready,
    /// It has yielded after so many events; other tasks go first.
    Yielding(usize),
    /// Its step is enabled while its predicate holds, and after the deadline.
    Conditional(EnablingCondition),
    /// Parked on a word until one of these wakes resumes it.
    Parked {
        word: usize,
        deadline: Option<Duration>,
        wakes: Vec<usize>,
    },
    /// Sleeping until the clock shows this time.
    Sleeping(Duration),
    /// The main task has returned from the closure; the program ends once nothing keeps it alive.
    Returned,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnablingCondition {
    /// The word that the predicate depends on.
    pub(crate) word: usize,
    pub(crate) enabled: bool,
    pub(crate) deadline: Option<Duration>,
}

/// The reason why a task was resumed at its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumedBy {
    /// It was chosen; there was no condition.
    Choice,
    /// Its condition held, so the step must not block.
    Condition,
    /// It timed out.
    TimedOut,
}

/// The lock that a task has released while it waits on a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LentLock {
    /// The number of the lock.
    pub(crate) object: u32,
}

/// How often a task has polled an object on a line.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    pub(crate) count: usize,
    /// Since the task changed something.
    pub(crate) idle: usize,
    /// What `Task::changes` was then.
    pub(crate) changes: usize,
}

/// How a task has polled the clock.
#[derive(Debug, Default)]
pub(crate) struct ClockPolls {
    /// The time that it read last.
    pub(crate) clock: Duration,
    /// How often it read this time on each line of the program.
    pub(crate) reads: FastMap<(u32, u32), usize>,
    /// How often the clock was advanced for it.
    pub(crate) advances: u32,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) daemon: bool,
    /// The task that started it.
    pub(crate) parent: Option<usize>,
    /// The OS thread that runs it, once it has started.
    pub(crate) os_thread: Option<Thread>,
    pub(crate) native_id: Option<u64>,
    /// The OS thread that will run it, before it has started.
    pub(crate) prepared: Option<PreparedThread>,
    pub(crate) status: TaskStatus,
    /// The operation of its next step, as declared.
    pub(crate) op: Option<Op>,
    pub(crate) access: Option<Access>,
    /// Further accesses that its next step certainly makes.
    pub(crate) also: Vec<Access>,
    /// Those of them that the operation declared.
    pub(crate) others: Vec<Access>,
    /// The number of events when it reached its next step.
    pub(crate) since: usize,
    /// The event that enabled its next step, if the step was disabled before.
    pub(crate) enabled_by: Option<u32>,
    /// The event that started it.
    pub(crate) started_by: Option<u32>,
    pub(crate) resumed_by: ResumedBy,
    pub(crate) lent_lock: Option<LentLock>,
    /// The access of the condition that it waited on: reacquiring the lock depends on it.
    pub(crate) condition_access: Option<Access>,
    /// It has accessed nothing since it was chosen, so another choice would be the same one.
    pub(crate) just_chosen: bool,
    /// How many of its waits timed out while other tasks were enabled.
    pub(crate) early_timeouts: usize,
    /// How often it woke spuriously.
    pub(crate) spurious: usize,
    /// The number of events when the panic that it is unwinding by began.
    pub(crate) panicked_at: Option<usize>,
    /// How often it polled an object on a line of the program since another task took a step.
    pub(crate) polls: FastMap<(usize, u32, u32), Polls>,
    /// How often it took a step that is no poll.
    pub(crate) changes: usize,
    pub(crate) clock_polls: ClockPolls,
    /// The program may end.
    pub(crate) may_exit: bool,
    /// Values noted before its first step.
    pub(crate) notes: Vec<String>,
    /// How often it was unwound; a program can catch that and continue.
    pub(crate) unwind_attempts: usize,
    /// How many steps it took while a binding carried the panic that unwinds it.
    pub(crate) carried_steps: usize,
}

impl Task {
    /// A task with what a trace needs of this one.
    pub(crate) fn described(&self) -> Self {
        Self { daemon: self.daemon, started_by: self.started_by, ..Self::new(&self.name, self.parent) }
    }

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
            others: Vec::new(),
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
            polls: FastMap::default(),
            changes: 0,
            clock_polls: ClockPolls::default(),
            may_exit: false,
            notes: Vec::new(),
            unwind_attempts: 0,
            carried_steps: 0,
        }
    }

    pub(crate) fn has_terminated(&self) -> bool {
        self.status == TaskStatus::Terminated
    }

    /// The time at which it is enabled in any case.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match &self.status {
            TaskStatus::Conditional(EnablingCondition { enabled: false, deadline, .. })
            | TaskStatus::Parked { deadline, .. } => *deadline,
            TaskStatus::Sleeping(until) => Some(*until),
            _ => None,
        }
    }

    /// Whether its step is enabled after a deadline.
    pub(crate) fn is_timed(&self) -> bool {
        match &self.status {
            TaskStatus::Conditional(condition) => condition.deadline.is_some(),
            TaskStatus::Parked { deadline, .. } => deadline.is_some(),
            TaskStatus::Sleeping(_) => true,
            _ => false,
        }
    }

    /// The accesses of its next step, as declared.
    pub(crate) fn next(&self) -> impl Iterator<Item = Access> {
        self.access.into_iter().chain(self.also.iter().copied())
    }

    /// Whether its condition depends on this word.
    pub(crate) fn looks_at(&self, address: usize) -> bool {
        matches!(self.status, TaskStatus::Conditional(EnablingCondition { word, .. }) if word == address)
    }

    /// Whether it is parked on this word.
    pub(crate) fn sleeps_on(&self, address: usize) -> bool {
        matches!(self.status, TaskStatus::Parked { word, .. } if word == address)
    }
}
