//! Threads that may borrow from the function that starts them.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::handle::ThreadHandle;
use super::join::{JoinError, JoinHandle, Packet};
use super::start::{caught, launch, record_for};
use super::tally::{Over, Place, Tally};
use crate::erase::erase;
use crate::host::{self, Kind, Op};

/// Runs `f`, which can start threads that borrow from outside, and returns when all of them are over.
///
/// # Panics
/// With the panic of `f`; or, if `f` returned, when a thread panicked that was not joined.
///
/// ```
/// use raddle::thread;
///
/// let numbers = [1, 2, 3, 4];
/// let (left, right) = numbers.split_at(2);
/// let sum: i32 = thread::scope(|s| {
///     let left = s.spawn(|| left.iter().sum::<i32>());
///     right.iter().sum::<i32>() + left.join().unwrap()
/// });
/// assert_eq!(sum, 10);
/// ```
#[track_caller]
pub fn scope<'env, F, R>(f: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let scope = Scope { tally: Arc::new(Tally::default()), here: PhantomData, around: PhantomData };
    let all_over = Op::new(&*scope.tally, "thread scope", Kind::Wait);
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // A scheduler may throw out of the wait, but as long as a thread runs it borrows from the caller.
    let mut thrown = Vec::new(); // to be dropped later, which may throw, too
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| scope.tally.wait(all_over))) {
        thrown.push(payload);
    }
    match (result, thrown.pop()) {
        (Err(payload), _) | (_, Some(payload)) => resume_unwind(payload),
        (Ok(_), None) if scope.tally.has_panicked() => panic!("a scoped thread panicked"),
        (Ok(value), None) => value,
    }
}

/// Where threads that borrow are started; see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    tally: Arc<Tally>,
    here: PhantomData<&'scope mut &'scope ()>,
    around: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread that runs `run`. It may be dropped: the scope waits for it in any case.
    ///
    /// # Panics
    /// If the operating system cannot start the thread.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, run: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let record = record_for(None, None, std::any::type_name::<F>());
        host::point(Op::new(&*record, "Thread", Kind::Start));
        let packet = Packet::new(record.clone(), Some(self.tally.clone()));
        let mine = packet.clone();
        let task: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            mine.put(caught(run));
        });
        // SAFETY: the task and all that it owns are gone when its `Over` is dropped; `scope` waits for the count of
        // every `Over` before it returns, whatever happens in between.
        #[expect(unsafe_code, reason = "the scope waits for the thread")]
        let task = unsafe { erase(task) };
        let lent = Lent { task, over: Place::take(&self.tally) };
        record.add_duty(lent.over.place());
        if let Err(error) = launch(&record, None, Box::new(|| lent.run())) {
            panic!("a scoped thread could not be started: {error}");
        }
        ScopedJoinHandle { handle: JoinHandle { thread: ThreadHandle(record), packet }, scope: PhantomData }
    }
}

/// A task that borrows, and the word that it does. The order matters: fields are dropped from first to last.
struct Lent {
    task: Box<dyn FnOnce() + Send>,
    over: Over,
}

impl Lent {
    fn run(self) {
        let Self { task, over: _over } = self;
        task();
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("tally", &self.tally).finish_non_exhaustive()
    }
}

/// A scoped thread, and the right to its result.
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits until the thread is over and returns what it returned.
    ///
    /// # Errors
    /// As for [`JoinHandle::join`].
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.thread.wait().map_err(|_| JoinError::Itself)?;
        self.handle.packet.take()
    }

    /// The thread, without the right to its result.
    pub fn thread(&self) -> &ThreadHandle {
        &self.handle.thread
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}
