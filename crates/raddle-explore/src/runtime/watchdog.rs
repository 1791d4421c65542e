//! The watchdog: finds out why an exploration makes no progress.
//!
//! A task can block outside the toolkit: in a lock of the standard library, in I/O, in a long computation. Since it
//! keeps the run token, nothing else runs. On Linux, `/proc` shows whether its OS thread waits on a futex without a
//! timeout; if no other thread of the program runs either, it is blocked for good.

use std::time::{Duration, Instant};

use super::execution::{Execution, Monitor};
use super::os_threads::{native_id, registered};
use super::record::Failure;
use super::state::ExecutionState;
use super::task::Task;
use super::trace::Trace;

/// Detects a task that is blocked for good outside the toolkit.
pub(crate) struct StallDetector {
    began: Instant,
    /// In a test of the standard harness, threads with other names belong to other tests.
    in_test: bool,
    last: Option<FutexWait>,
    times: usize,
    /// The thread with the run token when progress was last missed first, and the processor time that it had used.
    holder: Option<(u64, Duration)>,
}

/// A thread that waits on a futex without a timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FutexWait {
    native_id: u64,
    /// The system call and its arguments.
    call: String,
    /// The number of its voluntary context switches.
    switches: String,
}

/// The number of consecutive samples that have to agree.
const SAMPLES: usize = 3;

impl StallDetector {
    #[expect(clippy::disallowed_methods, reason = "progress is measured in real time")]
    pub(crate) fn new(in_test: bool) -> Self {
        Self { began: Instant::now(), in_test, last: None, times: 0, holder: None }
    }

    /// The exploration has taken a step since the last sample.
    pub(crate) fn has_progressed(&mut self) {
        (self.last, self.times, self.holder) = (None, 0, None);
    }

    /// Whether the task with the run token is blocked for good. All other tasks wait for the token, so only a foreign
    /// thread could wake it, and none of these runs. To be called at intervals.
    pub(crate) fn sees_blocked_for_good(&mut self, monitor: &Monitor) -> bool {
        // A thread that has passed the token on may not have run since, and may not have woken the next one yet.
        let waits = |native_id: &u64| FutexWait::read(*native_id).is_some() || started(*native_id).is_none();
        let now = token_holder_of(monitor)
            .and_then(|(thread, all)| all.iter().all(waits).then(|| FutexWait::read(thread)).flatten());
        let same = now.is_some() && now == self.last && !self.foreign_thread_may_run();
        self.times = if same { self.times + 1 } else { 0 };
        self.last = now;
        self.times >= SAMPLES - 1
    }

    /// Whether the task with the run token makes no progress because the machine is busy: its OS thread has not begun to run
    /// the task, or it waits for a disk, or it is ready to run, and was given little processor time. To be called at
    /// intervals.
    pub(crate) fn sees_starved(&mut self, monitor: &Monitor, since: Duration) -> bool {
        let Some(execution) = monitor.execution() else { return false };
        let now = execution.lock();
        let Some(task) = now.tasks.get(now.token_holder).filter(|_| !now.finished) else { return false };
        let (has_begun, native_id) = (task.os_thread.is_some(), task.native_id);
        drop(now);
        if !has_begun {
            return true;
        }
        let Some((id, (state, used))) = native_id.and_then(|id| Some((id, processor_time(id)?))) else {
            return false;
        };
        if self.holder.is_none_or(|(holder, _)| holder != id) {
            self.holder = Some((id, used));
        }
        let before = self.holder.map_or(used, |(_, before)| before);
        state == 'D' || (state == 'R' && used.saturating_sub(before) < since / 4)
    }

    /// Whether a thread that may be a foreign thread of the program is not blocked. A thread without a name inherits
    /// that of the thread which started it.
    fn foreign_thread_may_run(&self) -> bool {
        let (registered, own, began) = (registered(), native_id(), self.began());
        os_thread_ids().any(|id| {
            let candidate = !registered.contains(&id) && Some(id) != own;
            let new = || started(id).zip(began).is_none_or(|(started, began)| started + 0.02 >= began);
            let named = || read(id, "comm").trim() != "explored";
            candidate && new() && !(self.in_test && named()) && FutexWait::read(id).is_none()
        })
    }

    /// The start of the exploration, in seconds since the machine started.
    #[expect(clippy::disallowed_methods, reason = "progress is measured in real time")]
    fn began(&self) -> Option<f64> {
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let now: f64 = uptime.split(' ').next()?.parse().ok()?;
        Some(now - self.began.elapsed().as_secs_f64())
    }
}

impl FutexWait {
    fn read(native_id: u64) -> Option<Self> {
        let call = read(native_id, "syscall");
        let status = read(native_id, "status");
        let switches = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?.to_owned();
        waits_without_timeout(&call).then_some(Self { native_id, call, switches })
    }
}

/// Whether `call`, the number of a system call and its arguments, is a futex wait without a timeout.
fn waits_without_timeout(call: &str) -> bool {
    const FUTEX: u64 = if cfg!(target_arch = "x86_64") { 202 } else { 98 };
    const WAITS: [u64; 4] = [0, 6, 9, 13]; // WAIT, LOCK_PI, WAIT_BITSET, LOCK_PI2
    let mut words = call.split(' ');
    let number = words.next().and_then(|word| word.parse::<u64>().ok());
    let mut argument = || u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok();
    let arguments = [argument(), argument(), argument(), argument()];
    let [Some(_), Some(operation), Some(_), Some(timeout)] = arguments else { return false };
    number == Some(FUTEX) && WAITS.contains(&(operation & 0x7f)) && timeout == 0
}

fn os_thread_ids() -> impl Iterator<Item = u64> {
    let entries = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The start of the thread, in seconds since the machine started.
fn started(native_id: u64) -> Option<f64> {
    let stat = read(native_id, "stat");
    // The name, up to the last parenthesis, may contain spaces. The state after it is field 3, the start time field
    // 22.
    let ticks: f64 = stat.rsplit(')').next()?.split_whitespace().nth(22 - 3)?.parse().ok()?;
    Some(ticks / 100.0) // 100 ticks per second on all architectures
}

/// The state of the thread, and the processor time that it has used.
fn processor_time(native_id: u64) -> Option<(char, Duration)> {
    let stat = read(native_id, "stat");
    // After the name, the state is field 3; the times in user and kernel mode are fields 14 and 15.
    let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some((fields.first()?.chars().next()?, Duration::from_millis(10 * (ticks(14)? + ticks(15)?))))
}

fn read(native_id: u64, what: &str) -> String {
    std::fs::read_to_string(format!("/proc/self/task/{native_id}/{what}")).unwrap_or_default()
}

/// The native numbers of the thread with the run token, and of all threads of the current execution.
fn token_holder_of(monitor: &Monitor) -> Option<(u64, Vec<u64>)> {
    let execution = monitor.execution()?;
    let now = execution.lock();
    if now.finished {
        return None;
    }
    let all = now.tasks.iter().filter_map(|task| task.native_id).collect();
    Some((now.tasks.get(now.token_holder)?.native_id?, all))
}

/// Ends the execution that makes no progress, if one is running, and returns its trace.
pub(crate) fn report_stalled(monitor: &Monitor, since: Duration) -> Option<Trace> {
    let execution = monitor.execution()?;
    let mut now = execution.lock();
    if now.finished {
        return None;
    }
    monitor.abandon();
    let thread = now.token_holder;
    let text = describe(&now, thread, since);
    now.ending = false; // a failure counts even while the tasks are being unwound
    now.fail(Failure::BlockedOutside { thread, state: String::new() });
    let (count, native_id) = (now.tasks.len(), now.tasks.get(thread).and_then(|task| task.native_id));
    drop(now);
    let holder = native_id.and_then(|id| holder_of(&execution, thread, id, count));
    let mut now = execution.lock();
    let waits_for = holder.map(|holder| format!("it waits for thread {:?}\n", now.tasks[holder].name));
    if let Some(Failure::BlockedOutside { state, .. }) = &mut now.failure {
        *state = format!("{text}\n{}{ADVICE}", waits_for.unwrap_or_default());
    }
    // The tasks that can still continue find the state as it was.
    let described = now.tasks.iter().map(Task::described).collect();
    let tasks = std::mem::replace(&mut now.tasks, described);
    let trace = Trace::of(&mut now);
    now.tasks = tasks;
    now.reported = true;
    Some(trace)
}

/// The task for which `blocked` waits, if it is one. The other tasks are unwound one after the other. If that wakes
/// `blocked`, the last of them held the object of its wait.
#[expect(clippy::disallowed_methods, reason = "progress is measured in real time")]
fn holder_of(execution: &Execution, blocked: usize, native_id: u64, count: usize) -> Option<usize> {
    let before = FutexWait::read(native_id)?;
    // On a busy machine, unwinding one thread takes long; of many threads, most take no time.
    let until = Instant::now() + Duration::from_secs(5);
    (0..count).filter(|&other| other != blocked).find(|&other| {
        let left = until.saturating_duration_since(Instant::now());
        execution.unwind_beside(blocked, other, left.max(Duration::from_millis(50)));
        let is_released = || {
            std::thread::sleep(Duration::from_millis(1));
            FutexWait::read(native_id).as_ref() != Some(&before)
        };
        (0..10).any(|_| is_released())
    })
}

fn describe(state: &ExecutionState, thread: usize, since: Duration) -> String {
    let last = state.events.iter().rfind(|event| event.thread == thread).and_then(|event| event.op);
    let after = match last {
        Some(op) => format!("its last step: it {} a {}, at {}", op.verb(), op.object.type_name, op.at),
        None => "it has taken no step yet".to_owned(),
    };
    let now = state.tasks[thread].native_id.map(system_says).unwrap_or_default();
    format!("the thread has not reached its next step for {since:.1?}; {after}\n{now}")
}

const ADVICE: &str = "explored threads may block only in raddle's operations: use raddle's locks, queues and `time::sleep` \
                      instead of the standard library's, and no blocking I/O";

/// Returns the operating system's description of the thread: its state, and where in the kernel it is blocked.
fn system_says(native_id: u64) -> String {
    let read = |what: &str| read(native_id, what);
    let status = read("status");
    let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("").trim().to_owned();
    let stack: Vec<_> = read("stack").lines().map(|line| format!("  {line}\n")).collect();
    let (place, call) = (read("wchan"), read("syscall"));
    if state.is_empty() {
        return String::new();
    }
    let waits =
        if place.is_empty() || place == "0" { String::new() } else { format!(", blocked in {place}") };
    let call = call.split(' ').next().filter(|call| call.parse::<u32>().is_ok());
    let call = call.map(|call| format!(", system call {call}")).unwrap_or_default();
    format!("OS thread {native_id}: {state}{waits}{call}\n{}", stack.concat())
}

/// Whether a foreign thread of an explored program may be alive. A thread without a name inherits that of the thread
/// which started it.
#[expect(clippy::disallowed_methods, reason = "a foreign thread runs in real time")]
pub(crate) fn has_foreign_threads() -> bool {
    let now = || {
        let registered = registered();
        os_thread_ids().filter(move |id| !registered.contains(id) && read(*id, "comm").trim() == "explored")
    };
    let before: Vec<_> = now().collect();
    if before.is_empty() {
        return false;
    }
    // A thread that is about to terminate does not count.
    std::thread::sleep(Duration::from_millis(20));
    now().any(|id| before.contains(&id))
}
