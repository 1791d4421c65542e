//! The state of an execution: which tasks are enabled, and the effect of a step.
//!
//! All functions here run with the execution's lock held, and make no choice by themselves:
//! [`options`](ExecutionState::options) lists the enabled tasks, the policy chooses one of them, and
//! [`take_step`](ExecutionState::take_step) records its step.

use std::time::Duration;

use std::sync::Arc;

use raddle::rt::{Effect, Kind, Object, Op, Place, Program};

use super::fast_map::FastMap;
use super::foreign::ForeignStep;
use super::objects::{Access, CLOCK, Mode, Objects, PROGRAM};
use super::policy::{Policy, View};
use super::record::{BlockedTask, Event, Failure, Hold, Pending, StepRecord};
use super::task::{EnablingCondition, MAIN, ResumedBy, Task, TaskStatus};
use super::task_set::TaskSet;
use crate::options::{Deadlines, EARLY_TIMEOUTS, Rules, Time};

/// The number of times that a task may poll an object while no other task takes a step. After that, the other tasks
/// go first.
const MAX_POLLS: usize = 8;

/// The same for plain reads, between which the task changes nothing: a loop over a shared container reads it, too.
const MAX_READS: usize = 64;

/// The same for plain reads, whatever the task changes between them.
const MAX_READS_AND_WRITES: usize = 128;

/// One wake of the tasks parked on a word: the number of tasks that it may still resume.
type Wake = usize;

#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub(crate) struct ExecutionState {
    pub(crate) rules: Rules,
    /// The program under exploration, which determines whether it may end.
    pub(super) program: Arc<Program>,
    pub(crate) tasks: Vec<Task>,
    /// The task that has the run token.
    pub(crate) token_holder: usize,
    /// In a poll round, the task after which the next one is chosen. The holder of the token only evaluates its
    /// enabling condition, or runs up to its first step.
    pub(crate) poll_round: Option<usize>,
    pub(crate) events: Vec<Event>,
    pub(crate) objects: Objects,
    pub(crate) policy: Box<dyn Policy>,
    /// The chosen position among the enabled tasks, for each choice.
    pub(crate) choices: Vec<usize>,
    pub(crate) preemptions: usize,
    pub(crate) clock: Duration,
    /// Advances of the clock that happened because no other step was possible: its new time, and the number of events
    /// before that.
    pub(crate) ticks: Vec<(Duration, usize)>,
    /// The holder of each object, by the object's number.
    pub(crate) holds: FastMap<u32, Hold>,
    /// Tasks to poll before the next choice: those whose condition depends on a word that this step accessed, and new
    /// ones.
    pub(crate) to_poll: TaskSet,
    /// No task is enabled, and all conditions are evaluated once more.
    pub(crate) final_poll: bool,
    pub(crate) wakes: Vec<Wake>,
    pub(crate) failure: Option<Failure>,
    /// The number of events before the failure.
    pub(crate) failed_at: usize,
    /// The tasks are being unwound, after a failure or at the end of the program.
    pub(crate) ending: bool,
    /// The policy cut the execution short.
    pub(crate) redundant: bool,
    /// A limit of the rules disabled a task, so not every schedule is possible.
    pub(crate) bounded: bool,
    pub(crate) finished: bool,
    /// The execution was reported while a task was blocked outside the toolkit: a task that continues afterwards is parked
    /// forever.
    pub(crate) reported: bool,
    /// The program read a number of waiters.
    pub(crate) reads_waiters: bool,
    /// When a deadline is computed matters as much as this, because the program or a timer service read the clock.
    pub(crate) deadlines: Deadlines,
    /// How many tasks in a row could not be unwound.
    pub(crate) stalled: usize,
    pub(crate) records: Vec<StepRecord>,
    pub(crate) waits: Vec<BlockedTask>,
    /// The next steps of all tasks when the execution ended.
    pub(crate) pending: Vec<Pending>,
    /// The steps of foreign threads on objects that are not declared yet.
    pub(super) foreign: Vec<ForeignStep>,
    /// Names given by the program: address, size, name.
    pub(crate) labels: Vec<(usize, usize, String)>,
    /// Where the object with this address and size was created.
    pub(crate) origins: FastMap<(usize, usize), Place>,
}

impl ExecutionState {
    pub(crate) fn new(rules: Rules, policy: Box<dyn Policy>, program: Arc<Program>) -> Self {
        Self {
            rules,
            program,
            tasks: Vec::new(),
            token_holder: 0,
            poll_round: None,
            events: Vec::new(),
            objects: Objects::new(),
            policy,
            choices: Vec::new(),
            preemptions: 0,
            clock: Duration::ZERO,
            ticks: Vec::new(),
            holds: FastMap::default(),
            to_poll: TaskSet::default(),
            final_poll: false,
            wakes: Vec::new(),
            failure: None,
            failed_at: 0,
            ending: false,
            redundant: false,
            bounded: false,
            finished: false,
            reported: false,
            reads_waiters: false,
            deadlines: Deadlines::Ignored,
            stalled: 0,
            records: Vec::new(),
            waits: Vec::new(),
            pending: Vec::new(),
            foreign: Vec::new(),
            labels: Vec::new(),
            origins: FastMap::default(),
        }
    }

    /// Records the first failure. The tasks continue.
    pub(crate) fn note_failure(&mut self, failure: Failure) {
        if !self.ending && self.failure.is_none() {
            self.failure = Some(failure);
            self.failed_at = self.events.len();
        }
    }

    /// Records the first failure, and ends the execution.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.note_failure(failure);
        self.end();
    }

    /// Ends the execution: no task takes another step.
    pub(crate) fn end(&mut self) {
        if !self.ending {
            self.ending = true;
            self.pending = (0..self.tasks.len()).filter_map(|thread| self.pending_step_of(thread)).collect();
            if self.rules.record {
                self.record_blocked_tasks();
            }
        }
    }

    fn pending_step_of(&self, thread: usize) -> Option<Pending> {
        let task = &self.tasks[thread];
        let (op, enabled_by, timed) = (task.op, task.enabled_by, task.is_timed());
        let accesses: Vec<_> = task.next().collect();
        (!accesses.is_empty()).then_some(Pending { thread, op, accesses, enabled_by, timed })
    }

    fn record_blocked_tasks(&mut self) {
        for thread in 0..self.tasks.len() {
            let task = &self.tasks[thread];
            let (false, Some(op)) = (task.has_terminated(), task.op) else { continue };
            let waits = match &task.status {
                TaskStatus::Conditional(condition) => !condition.enabled,
                TaskStatus::Parked { .. } => true,
                _ => false,
            };
            if waits {
                let object = self.objects.declared(&op.object);
                let held = self.holds.get(&object).copied();
                let made_at = self.origins.get(&(op.object.address, op.object.size)).copied();
                self.waits.push(BlockedTask {
                    thread,
                    kind: op.kind,
                    object,
                    verb: op.verb(),
                    at: op.at,
                    made_at,
                    held,
                });
            }
        }
    }

    /// Adds an access to the current step.
    pub(crate) fn touches(&mut self, access: Access) {
        if self.poll_round.is_none()
            && !self.ending
            && let Some(event) = self.events.last_mut()
        {
            event.touches(access);
        }
    }

    /// Records that the current step reads the clock, also if a task does so in a poll round: it runs after this step
    /// and before the next choice.
    pub(super) fn reads_time(&mut self) {
        if !self.ending
            && let Some(event) = self.events.last_mut()
        {
            event.touches(Access { object: CLOCK, mode: Mode::Read });
        }
    }

    /// Records an access of the word at `address` by the current step. Every task whose condition depends on the word
    /// has to evaluate it again, and its next step depends on this one.
    pub(crate) fn touches_word(&mut self, address: usize) {
        for thread in 0..self.tasks.len() {
            if self.tasks[thread].looks_at(address) {
                self.to_poll.insert(thread);
                if let Some(access) = self.tasks[thread].access {
                    self.changes(access.object);
                }
            }
        }
    }

    /// Adds a write of the object to the current step, unless the step has one.
    fn changes(&mut self, object: u32) {
        let object = self.objects.canonical(object);
        let same = |access: Access| self.objects.canonical(access.object) == object;
        let known = self
            .events
            .last()
            .is_some_and(|event| event.accesses().any(|access| same(access) && access.mode != Mode::Read));
        if !known {
            self.touches(Access { object, mode: Mode::Write });
        }
    }

    /// The access that `op` declares.
    #[expect(clippy::unnecessary_wraps, reason = "a step that yields touches nothing")]
    pub(crate) fn access(&mut self, op: &Op) -> Option<Access> {
        let mode = match op.kind {
            Kind::Sleep => return Some(Access { object: CLOCK, mode: Mode::Commute }),
            Kind::Clock => return Some(Access { object: CLOCK, mode: Mode::Read }),
            Kind::Terminate => Mode::Commute,
            kind if kind.is_read() => Mode::Read,
            _ => Mode::Write,
        };
        let object = self.objects.declared(&op.object);
        if !self.foreign.is_empty() {
            self.declare_after_foreign_step(object, op.object.address, op.object.size);
        }
        Some(Access { object, mode })
    }

    /// The access of an object that an operation accesses besides its own.
    pub(super) fn access_of(&mut self, object: &Object, effect: Effect) -> Access {
        let mode = match effect {
            Effect::Read => Mode::Read,
            Effect::Write => Mode::Write,
            Effect::Commute => Mode::Commute,
        };
        Access { object: self.objects.declared(object), mode }
    }

    /// The accesses of the next step of `thread` besides that of its operation. A wait on a condition that times out
    /// reacquires the lock, and a step of a daemon is possible only before the program ends.
    pub(super) fn also(&self, thread: usize) -> Vec<Access> {
        let task = &self.tasks[thread];
        let lock = task.lent_lock.map(|lent_lock| Access { object: lent_lock.object, mode: Mode::Write });
        let end = task.daemon.then_some(Access { object: PROGRAM, mode: Mode::Read });
        lock.into_iter().chain(end).collect()
    }

    /// Wakes up to `count` of the tasks parked on `word`, and returns how many. Which ones is decided when one of them
    /// is chosen.
    pub(crate) fn wake(&mut self, word: usize, count: u32) -> u32 {
        let by = self.events.len().checked_sub(1).and_then(|event| u32::try_from(event).ok());
        let wake = self.wakes.len();
        let asleep = self.tasks.iter_mut().filter(|task| task.sleeps_on(word));
        let mut found: u32 = 0;
        for task in asleep {
            found += 1;
            task.enabled_by = by;
            if let TaskStatus::Parked { wakes, .. } = &mut task.status {
                wakes.push(wake);
            }
        }
        let woken = found.min(count);
        self.wakes.push(woken as usize);
        woken
    }

    /// Whether `thread` polls or yields on one line of the program while no other task takes a step. If so, other
    /// tasks go first, and not every schedule is run.
    pub(crate) fn polls_in_vain(&mut self, thread: usize, op: Option<&Op>) -> bool {
        let polls = op.is_none_or(|op| matches!(op.kind, Kind::Read | Kind::Load | Kind::TryAcquire));
        let reads = op.is_some_and(|op| op.kind == Kind::Read);
        let others = self.events.last().is_none_or(|event| event.thread != thread);
        let task = &mut self.tasks[thread];
        if others {
            task.polls.clear();
        }
        if !polls {
            task.changes += 1;
            return false;
        }
        let changes = task.changes;
        let place = op.map_or((0, 0, 0), |op| (op.object.address, op.at.line(), op.at.column()));
        let polls = task.polls.entry(place).or_default();
        polls.count += 1;
        if polls.changes != changes {
            (polls.changes, polls.idle) = (changes, 0);
        }
        polls.idle += 1;
        let in_vain = if reads {
            polls.idle > MAX_READS || polls.count > MAX_READS_AND_WRITES
        } else {
            polls.count > MAX_POLLS
        };
        self.bounded |= in_vain;
        in_vain
    }
}

impl ExecutionState {
    /// Advances the clock if `thread` polls it on one line of the program while it stands still, by twice as much each
    /// time: a loop that waits for a moment terminates.
    pub(super) fn polls_clock(&mut self, thread: usize, op: &Op) {
        const MAX_DOUBLINGS: u32 = 36;
        let clock = self.clock;
        let polls = &mut self.tasks[thread].clock_polls;
        if polls.clock != clock {
            polls.clock = clock;
            polls.reads.clear();
        }
        let reads = polls.reads.entry((op.at.line(), op.at.column())).or_default();
        *reads += 1;
        if *reads > MAX_POLLS && !self.ending {
            self.clock += Duration::from_millis(1 << polls.advances.min(MAX_DOUBLINGS));
            polls.advances += 1;
            self.deadlines = Deadlines::Step;
            self.touches(Access { object: CLOCK, mode: Mode::Write });
        }
    }

    pub(super) fn set_status(
        &mut self,
        me: usize,
        status: TaskStatus,
        op: Option<Op>,
        access: Option<Access>,
    ) {
        let task = &mut self.tasks[me];
        (task.status, task.op, task.access) = (status, op, access);
        (task.just_chosen, task.since) = (false, self.events.len());
        let finished = self.tasks[me].has_terminated();
        let others = std::mem::take(&mut self.tasks[me].others);
        self.tasks[me].also = if finished { Vec::new() } else { self.also(me) };
        self.tasks[me].also.extend(others);
    }

    /// The next task to poll. A predicate borrows from its own thread, so each task evaluates its own.
    pub(super) fn next_to_poll(&mut self) -> Option<usize> {
        let next = self.to_poll.first()?;
        self.to_poll.remove(next);
        Some(next)
    }

    /// Polls all conditional tasks, once before a deadlock is reported: a primitive may have changed a word without
    /// announcing it. Returns whether a task is left to poll.
    pub(super) fn poll_everyone(&mut self) -> bool {
        let conditional =
            |task: &Task| matches!(task.status, TaskStatus::Conditional(condition) if !condition.enabled);
        if !std::mem::replace(&mut self.final_poll, true) {
            self.to_poll = (0..self.tasks.len()).filter(|&thread| conditional(&self.tasks[thread])).collect();
        }
        !self.to_poll.is_empty()
    }

    /// Sets whether the condition of `me` holds. Returns whether the task continues at once, because its wait on a
    /// condition is over: no other task can observe that it requests the lock again.
    pub(super) fn set_condition(&mut self, me: usize, now: bool) -> bool {
        let TaskStatus::Conditional(condition) = &mut self.tasks[me].status else { return false };
        let newly_enabled = now && !condition.enabled;
        condition.enabled = now;
        if !now {
            self.tasks[me].enabled_by = None;
        }
        if newly_enabled {
            self.enable(me);
            if self.final_poll {
                self.fail(Failure::FalselyDisabled);
            }
        }
        let task = &mut self.tasks[me];
        let back = newly_enabled && task.lent_lock.take().is_some();
        if back {
            task.condition_access = task.access;
        }
        back
    }

    /// Records that the current step enabled `thread`.
    pub(super) fn enable(&mut self, thread: usize) {
        let by = self.events.len().checked_sub(1).and_then(|event| u32::try_from(event).ok());
        self.tasks[thread].enabled_by = by;
        if let Some(record) = self.records.last_mut().filter(|record| !record.wakes.contains(&thread)) {
            record.wakes.push(thread);
        }
    }

    /// Ends an execution in which no task is enabled.
    pub(super) fn fail_or_end(&mut self) {
        match self.tasks.iter().all(Task::has_terminated) {
            true => self.end(),
            false if self.tasks[MAIN].status == TaskStatus::Returned => self.fail(Failure::ThreadsLeft),
            false => self.fail(Failure::Deadlock),
        }
    }
}

impl ExecutionState {
    /// The options of the next choice: the enabled tasks, round robin from `me`, and after them the tasks that would
    /// have to time out.
    ///
    /// Under [`Time::Explored`], a timeout is possible at any moment, even if other tasks are enabled or have earlier
    /// deadlines, since code may take any time. Under [`Time::Quiescent`], code takes no time: the clock advances to
    /// the next deadline when no other step is possible, and everything that is due by then can time out.
    pub(crate) fn options(&mut self, me: usize) -> Vec<usize> {
        let count = self.tasks.len();
        let in_turn = || (0..count).map(move |step| (me + step) % count);
        let mut options: Vec<_> = in_turn().filter(|&thread| self.is_enabled(thread)).collect();
        let timed: Vec<_> = in_turn().filter(|&thread| self.can_time_out(thread)).collect();
        match self.rules.time {
            Time::Explored => {
                let early_timeouts = |&thread: &usize| self.tasks[thread].early_timeouts < EARLY_TIMEOUTS;
                let (rest, spent): (Vec<_>, Vec<_>) = timed.into_iter().partition(early_timeouts);
                options.extend(rest);
                if options.is_empty() {
                    options = spent;
                } else {
                    self.bounded |= !spent.is_empty();
                }
            }
            Time::Quiescent => {
                let due = |&thread: &usize| self.tasks[thread].deadline() <= Some(self.clock);
                let (due, later): (Vec<_>, Vec<_>) = timed.into_iter().partition(due);
                options.extend(due);
                if options.is_empty() {
                    let next = later.iter().filter_map(|&thread| self.tasks[thread].deadline()).min();
                    options.extend(later.into_iter().filter(|&thread| self.tasks[thread].deadline() == next));
                }
            }
        }
        if self.rules.spurious > 0 {
            // A wait with a timeout ends by that: as the same choice, a spurious wake-up would advance the clock.
            let asleep = |&thread: &usize| {
                let task = &self.tasks[thread];
                let parked = matches!(task.status, TaskStatus::Parked { deadline: None, .. });
                parked && task.spurious < self.rules.spurious
            };
            let more: Vec<_> = in_turn().filter(asleep).filter(|thread| !options.contains(thread)).collect();
            options.extend(more);
        }
        if options.is_empty() {
            options.extend(in_turn().filter(|&i| matches!(self.tasks[i].status, TaskStatus::Yielding(_))));
        }
        options
    }

    fn is_enabled(&self, thread: usize) -> bool {
        match &self.tasks[thread].status {
            TaskStatus::Ready => true,
            TaskStatus::Conditional(condition) => condition.enabled,
            TaskStatus::Parked { wakes, .. } => wakes.iter().any(|&wake| self.wakes[wake] > 0),
            TaskStatus::Yielding(since) => self.events[*since..].iter().any(|event| event.thread != thread),
            TaskStatus::Returned => self.program.may_exit(),
            TaskStatus::Sleeping(_) | TaskStatus::Terminated => false,
        }
    }

    /// Whether the task is blocked and could time out. A task that reacquires a lock after that needs the lock to be
    /// free, too.
    fn can_time_out(&self, thread: usize) -> bool {
        let task = &self.tasks[thread];
        let free = task.lent_lock.is_none_or(|lent_lock| !self.holds.contains_key(&lent_lock.object));
        task.deadline().is_some() && !self.is_enabled(thread) && (free || self.rules.fine())
    }

    /// Chooses the next task after `me` and takes its step. Returns `None` if no task is enabled or the execution
    /// ends.
    pub(crate) fn choose(&mut self, me: usize) -> Option<usize> {
        self.update_program_end();
        let options = self.options(me);
        if options.is_empty() {
            return None;
        }
        self.final_poll = false;
        if self.events.len() >= self.rules.max_steps {
            self.end_at_step_limit(&options);
            return None;
        }
        let view = View {
            current: me,
            options: &options,
            tasks: &self.tasks,
            events: &self.events,
            objects: &self.objects,
        };
        let Some(place) = self.policy.pick(&view) else {
            self.redundant = true;
            self.end();
            return None;
        };
        if options.len() > 1 {
            self.choices.push(place);
        }
        self.take_step(me, &options, options[place]);
        Some(options[place])
    }

    /// The last step may have allowed the program to end, or have kept it alive again.
    fn update_program_end(&mut self) {
        let may_exit = self.program.may_exit();
        let root = &mut self.tasks[MAIN];
        if root.status == TaskStatus::Returned && may_exit != root.may_exit {
            root.may_exit = may_exit;
            if may_exit {
                self.enable(MAIN);
            } else {
                root.enabled_by = None;
            }
        }
    }

    /// Ends an execution that has reached the step limit. It is a livelock, unless an enabled task was starved for
    /// half of the execution: then it is cut short, and the search is not exhaustive.
    fn end_at_step_limit(&mut self, options: &[usize]) {
        let half = self.events.len() / 2;
        if options.iter().any(|&thread| self.tasks[thread].since < half) {
            (self.bounded, self.redundant) = (true, true);
            self.end();
        } else {
            self.fail(Failure::StepLimit);
        }
    }

    /// Records the step of `next`.
    fn take_step(&mut self, me: usize, options: &[usize], next: usize) {
        let preempted = (next != me && self.is_enabled(me) && !self.tasks[me].has_terminated()).then_some(me);
        self.preemptions += usize::from(preempted.is_some());
        let timed_out = !self.is_enabled(next) && self.tasks[next].deadline().is_some();
        self.tasks[next].early_timeouts += usize::from(timed_out && options.len() > 1);
        self.record_step(next, preempted, timed_out);
        let object = self.tasks[next].op.filter(|op| op.kind == Kind::Release);
        let object = object.map(|op| self.objects.declared(&op.object));
        let released = object.is_some_and(|object| self.holds.remove(&object).is_some());
        let due = if timed_out { self.advance_clock(next) } else { None };
        let timed = self.tasks[next].is_timed();
        let task = &mut self.tasks[next];
        let mut more = std::mem::take(&mut task.also);
        more.extend(task.condition_access.take());
        let event = Event {
            thread: next,
            op: task.op,
            access: task.access.take(),
            more,
            enabled_by: task.enabled_by.take(),
            enabled: options.iter().copied().collect(),
            timed,
            released,
            memory: None,
            due,
        };
        self.events.push(event);
        self.end_wait(next, timed_out);
    }

    /// Advances the clock to the deadline of `thread`. Returns the number of events when the clock reached it, under
    /// [`Time::Quiescent`].
    fn advance_clock(&mut self, thread: usize) -> Option<usize> {
        let deadline = self.tasks[thread].deadline()?;
        if self.rules.time == Time::Explored {
            return None;
        }
        if self.clock < deadline {
            self.ticks.push((deadline, self.events.len()));
        }
        self.ticks.iter().find(|(clock, _)| *clock >= deadline).map(|(_, events)| *events)
    }

    fn record_step(&mut self, thread: usize, preempts: Option<usize>, timed_out: bool) {
        if self.rules.record {
            let mut record = StepRecord::new(thread, self.events.len(), self.clock);
            if let Some(op) = self.tasks[thread].op {
                record.does(&op, self.objects.declared(&op.object));
                record.made_at = self.origins.get(&(op.object.address, op.object.size)).copied();
                if op.kind == Kind::Release {
                    record.releases.extend(record.object);
                    let object = self.objects.declared(&op.object);
                    let hold = self.holds.get(&object);
                    record.taken_at = hold.map(|hold| hold.since);
                }
            }
            let task = &mut self.tasks[thread];
            (record.preempts, record.timed_out) = (preempts, timed_out);
            record.conditional =
                matches!(task.status, TaskStatus::Conditional(_) | TaskStatus::Parked { .. });
            record.back = task.condition_access.is_some();
            record.values = std::mem::take(&mut task.notes);
            self.records.push(record);
        }
    }

    /// Ends the wait of `next`, if it waited.
    fn end_wait(&mut self, next: usize, timed_out: bool) {
        let task = &mut self.tasks[next];
        let deadline = task.deadline();
        let before = std::mem::replace(&mut task.status, TaskStatus::Ready);
        task.resumed_by = match before {
            _ if timed_out => ResumedBy::TimedOut,
            TaskStatus::Conditional(EnablingCondition { enabled: true, .. }) => ResumedBy::Condition,
            _ => ResumedBy::Choice,
        };
        task.just_chosen = true;
        match before {
            _ if timed_out => {
                self.clock = self.clock.max(deadline.unwrap_or_default());
                self.touches(Access { object: CLOCK, mode: Mode::Commute });
            }
            TaskStatus::Parked { wakes, .. } => match wakes.iter().find(|&&wake| self.wakes[wake] > 0) {
                Some(&wake) => self.wakes[wake] -= 1,
                None => self.tasks[next].spurious += 1,
            },
            _ => {}
        }
        if let Some(record) = self.records.last_mut() {
            record.clock = self.clock;
        }
    }
}

impl ExecutionState {
    /// A task declares an object that a foreign thread may have accessed before.
    pub(super) fn declare_after_foreign_step(&mut self, object: u32, address: usize, size: usize) {
        let same = |foreign: &&ForeignStep| (foreign.address, foreign.size) == (address, size);
        if let Some(foreign) = self.foreign.iter().find(same).cloned() {
            self.fail_by_foreign_step(&foreign, object);
        }
    }

    pub(super) fn fail_by_foreign_step(&mut self, foreign: &ForeignStep, object: u32) {
        self.fail(foreign.failure(self.objects.what(object)));
    }
}
