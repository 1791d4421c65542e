//! How a task gets into the pool.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::after::{After, Caller, Knock, LET_IN, NO_WORKER, NONE_YET};
use super::chore::Chore;
use super::error::{AN_ANCESTORS, Refusal, SubmitError};
use super::job::{Job, address_of};
use super::lanes::Priority;
use super::shared::Shared;
use super::state::State;
use super::task::{Queue, Slot, Task};
use super::worker::{carry_out, hire, refuse_all};
use crate::future::{self, CAN_FAIL, Core, Future, ROOM};
use crate::raw::{Guard, Waiter};
use crate::rt::{self, Object, Op};
use crate::timer;

/// How long a submission waits for room; `Until(None)`: for ever.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    No,
    Until(Option<Instant>),
}

/// Submits a task, waiting for room; if it is refused, the future says why.
pub(super) fn submit<F, T>(shared: &Arc<Shared>, priority: Priority, task: F, op: Op) -> Future<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let core = Arc::new(Core::new(shared.home, Slot::<_>::new(task, queue(shared))));
    rt::made(Object::of(&*core, "Future"), op.at);
    if let Err(refusal) = enqueue(shared, core.clone(), priority, Patience::Until(None), op) {
        core.clone().refuse(refusal.into());
    }
    Future::of(core)
}

/// Submits a task as long as there is patience; if it is refused, the closure comes back.
pub(super) fn offer<F, T>(
    shared: &Arc<Shared>,
    priority: Priority,
    patience: Patience,
    task: F,
    op: Op,
) -> Result<Future<T>, SubmitError<F>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let core = Arc::new(Core::new(shared.home, Slot::<_>::new(task, queue(shared))));
    rt::made(Object::of(&*core, "Future"), op.at);
    match enqueue(shared, core.clone(), priority, patience, op) {
        Ok(()) => Ok(Future::of(core)),
        Err(refusal) => Err(refusal.with(core.work().take().expect("a task that was refused has not run"))),
    }
}

/// Has a task run whose result nobody wants, waiting for room; if it is refused, the closure comes back.
pub(super) fn execute<F>(shared: &Arc<Shared>, task: F, op: Op) -> Result<(), SubmitError<F>>
where
    F: FnOnce() + Send + 'static,
{
    rt::point(op);
    if shared.is_an_ancestors() {
        return Err(SubmitError::Broken(task, AN_ANCESTORS.into()));
    }
    if let Some(entry) = shared.inbox.enter() {
        entry.put(Job::Chore(Chore::new(task)));
        return Ok(());
    }
    // Somebody may have to be woken, hired or waited for, beside which an allocation costs little.
    let core = Arc::new(Core::new(shared.home, Slot::<_>::new(task, queue(shared))));
    rt::made(Object::of(&*core, "Future"), op.at);
    match line_up(shared, core.clone(), Priority(0), Patience::Until(None), op) {
        Ok(()) => Ok(()),
        Err(refusal) => Err(refusal.with(core.work().take().expect("a task that was refused has not run"))),
    }
}

/// The queue of the pool, for its tasks, if others may wait for room in it.
pub(super) fn queue(shared: &Arc<Shared>) -> Option<Weak<dyn Queue>> {
    shared.is_limited().then(|| {
        let shared: Weak<Shared> = Arc::downgrade(shared);
        shared as Weak<dyn Queue>
    })
}

/// Puts a task into its lane. On failure nobody else has it, and it has not run.
pub(super) fn enqueue(
    shared: &Arc<Shared>,
    task: Arc<dyn Task>,
    priority: Priority,
    patience: Patience,
    op: Op,
) -> Result<(), Refusal> {
    rt::point(op); // not one that waits for room: who waits does so in line, at the door
    if shared.is_an_ancestors() {
        return Err(Refusal::Broken(AN_ANCESTORS.into()));
    }
    if priority == Priority(0)
        && let Some(entry) = shared.inbox.enter()
    {
        entry.put(Job::Task(task));
        return Ok(());
    }
    line_up(shared, task, priority, patience, op)
}

/// Puts a task into its lane if the inbox is not the way.
fn line_up(
    shared: &Arc<Shared>,
    task: Arc<dyn Task>,
    priority: Priority,
    patience: Patience,
    op: Op,
) -> Result<(), Refusal> {
    // Before anything is accepted, so that there is always somebody to try again if the system refuses a thread. Under
    // a scheduler it would be one more thread to explore, and is started if it is needed.
    if !rt::explored() {
        timer::start_service().map_err(Refusal::NoThread)?;
    }
    let mut after = After::default();
    let mut state = shared.gather();
    if state.is_barred() {
        state.sweep(&mut after);
    }
    if state.is_barred() {
        return match patience {
            Patience::No => {
                drop(state);
                carry_out(shared, after);
                Err(Refusal::Full)
            }
            Patience::Until(deadline) => wait_at_door(shared, state, after, task, priority, deadline, op),
        };
    }
    let address = address_of(&task);
    let pushed = match state.refusal() {
        Some(refusal) => Err(refusal),
        None => state.push(Job::Task(task), priority), // the submitter keeps a reference, so nothing is dropped here
    };
    if state.workers == 0 {
        state.short = None; // this thread tries for itself, and is refused if that fails
    }
    state.summon(shared.finishing(), &mut after);
    shared.note(&mut state);
    drop(state);
    let hires = std::mem::take(&mut after.hire) > 0;
    carry_out(shared, after);
    pushed?;
    if hires { begin_worker(shared, address) } else { Ok(()) }
}

/// Starts a worker for the task at that address; if that fails and there is no other, the task comes out of
/// its lane again.
fn begin_worker(shared: &Arc<Shared>, task: usize) -> Result<(), Refusal> {
    let Err((error, refused)) = hire(shared, Some(task)) else { return Ok(()) };
    let (mine, others): (Vec<_>, Vec<_>) = refused.into_iter().partition(|refused| refused.is_at(task));
    refuse_all(others, &Arc::new(io::Error::from(error.kind())));
    if mine.is_empty() { Ok(()) } else { Err(Refusal::NoThread(error)) }
}

/// Waits in line until a worker lets the task in.
fn wait_at_door(
    shared: &Arc<Shared>,
    mut state: Guard<'_, State>,
    after: After,
    task: Arc<dyn Task>,
    priority: Priority,
    deadline: Option<Instant>,
    op: Op,
) -> Result<(), Refusal> {
    let waiter = Waiter::new(CAN_FAIL);
    let knock = Arc::new(Knock { waiter: waiter.clone(), answer: AtomicU32::new(NONE_YET) });
    // The submitter keeps a reference to the task, so that the state never drops it.
    state.door.push_back(Caller { knock: knock.clone(), task: Job::Task(task), priority });
    drop(state);
    carry_out(shared, after);
    let crew = if deadline.is_none() { future::crew_of(shared.home) } else { None };
    if let Some(crew) = &crew {
        crew.block(&waiter, ROOM);
    }
    let told = waiter.wait(op, deadline);
    if let Some(crew) = &crew {
        crew.unblock(&waiter);
    }
    // The answer stands as soon as the knock is out of the door, whatever woke the thread.
    let mut state = shared.state.lock();
    let place = state.door.iter().position(|caller| Arc::ptr_eq(&caller.knock, &knock));
    let caller = place.and_then(|place| state.door.remove(place));
    let refusal = match knock.answer.load(Relaxed) {
        LET_IN => return Ok(()),
        NO_WORKER => Refusal::NoThread(io::Error::other("the system has no thread to give")),
        NONE_YET if told.is_some() => Refusal::Deadlock,
        NONE_YET => Refusal::Full,
        _ => state.refusal().unwrap_or(Refusal::ShutDown),
    };
    drop(state);
    drop(caller);
    Err(refusal)
}
