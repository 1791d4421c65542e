//! Threads that may borrow from the function that starts them.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::handle::ThreadHandle;
use super::join::{JoinError, JoinHandle, Packet};
use super::start::{launch, record_for};
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
    let scope = Scope { tally: Arc::new(Tally::default()), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    scope.tally.wait();
    match result {
        Err(payload) => resume_unwind(payload),
        Ok(_) if scope.tally.panicked.load(Ordering::Relaxed) => panic!("a scoped thread panicked"),
        Ok(value) => value,
    }
}

/// Where threads that borrow are started; see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    tally: Arc<Tally>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
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
        let packet = Packet::new(record.clone());
        let (mine, tally) = (packet.clone(), self.tally.clone());
        let task: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            mine.put(catch_unwind(AssertUnwindSafe(run)));
            // The packet's last owner drops the result: here, if the handle has been dropped.
            let unseen = Arc::strong_count(&mine) == 1;
            if unseen && mine.panicked() {
                tally.panicked.store(true, Ordering::Relaxed);
            }
        });
        // SAFETY: the task and all that it owns are gone when `over` is dropped in the thread, or when `launch`
        // fails; `scope` waits for the count of every `over` before it returns, whatever happens in between.
        #[expect(unsafe_code, reason = "the scope waits for the thread")]
        let task = unsafe { erase(task) };
        let over = Over::begin(&self.tally);
        let body = move || {
            let _over = over; // dropped last: after the task and what it owns
            task();
        };
        if let Err(error) = launch(&record, None, Box::new(body)) {
            panic!("a scoped thread could not be started: {error}");
        }
        ScopedJoinHandle {
            handle: JoinHandle { thread: ThreadHandle(record), packet },
            tally: self.tally.clone(),
            scope: PhantomData,
        }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("running", &self.tally.running).finish_non_exhaustive()
    }
}

/// A scoped thread, and the right to its result.
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    tally: Arc<Tally>,
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

impl<T> Drop for ScopedJoinHandle<'_, T> {
    fn drop(&mut self) {
        if self.handle.packet.panicked() {
            self.tally.panicked.store(true, Ordering::Relaxed);
        }
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

/// How many threads of a scope are not over yet.
#[derive(Debug, Default)]
struct Tally {
    running: AtomicU32,
    panicked: AtomicBool,
}

impl Tally {
    #[track_caller]
    fn wait(&self) {
        host::point_until(Op::new(self, "thread scope", Kind::Wait), None, || {
            self.running.load(Ordering::Acquire) == 0
        });
        loop {
            let running = self.running.load(Ordering::Acquire);
            if running == 0 {
                return;
            }
            host::wait(&self.running, running, None);
        }
    }
}

/// Counts a thread as running until it is dropped.
struct Over(Arc<Tally>);

impl Over {
    fn begin(tally: &Arc<Tally>) -> Self {
        tally.running.fetch_add(1, Ordering::Relaxed);
        Self(tally.clone())
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        host::point(Op::new(&*self.0, "thread scope", Kind::End));
        if self.0.running.fetch_sub(1, Ordering::Release) == 1 {
            host::wake(&self.0.running, u32::MAX);
        }
    }
}
