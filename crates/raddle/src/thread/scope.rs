//! Threads that may borrow from the function that starts them.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::hook::drop_guarded;
use super::join::{JoinError, JoinHandle, Packet, ThreadHandle};
use super::start::{SpawnError, Spawned, caught, launch, record_for};
use crate::erase::erase;
use crate::raw::Guarded;
use crate::rt::{self, HeldToken, Kind, Object, Op};

/// Runs `f`, which can start threads that borrow from outside, and returns when all of them have terminated.
///
/// As for a `join`, a thread has terminated once its thread-locals have been dropped. What the threads did, the destructors of
/// those included, happens before this returns. (In the standard library, a scope does not wait for those.)
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
    let all_over = Op::new(&*scope.tally, "thread scope", Kind::Await);
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // A scheduler may throw out of the wait, but as long as a thread runs it borrows from the caller.
    let mut thrown = Vec::new(); // to be dropped later, which may throw, too
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| scope.tally.wait(all_over))) {
        thrown.push(payload);
    }
    match (result, thrown.pop()) {
        (Err(payload), _) => resume_unwind(payload),
        (Ok(value), Some(payload)) => {
            drop_guarded(RETURNED, value); // not while it unwinds, where a panic of the destructor would abort
            resume_unwind(payload)
        }
        (Ok(value), None) if scope.tally.has_panicked() => {
            drop_guarded(RETURNED, value);
            panic!("a scoped thread panicked")
        }
        (Ok(value), None) => value,
    }
}

const RETURNED: &str = "the destructor of what a scope's function returned";

/// Where threads that borrow are started; see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    tally: Arc<Tally>,
    here: PhantomData<&'scope mut &'scope ()>,
    around: PhantomData<&'env mut &'env ()>,
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a thread that runs `run`. The handle may be dropped: the scope waits for the thread in any case.
    ///
    /// # Panics
    /// If the operating system cannot start the thread; a [`builder`](Self::builder) returns that as an error.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, run: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        match self.builder().spawn(run) {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// Begins a thread with a name or a stack size of its own, or one whose start may fail.
    ///
    /// # Examples
    /// ```
    /// use raddle::thread;
    ///
    /// let words = ["warp", "weft"];
    /// let length = thread::scope(|s| {
    ///     let count = || words.iter().map(|word| word.len()).sum::<usize>();
    ///     match s.builder().name("counter").stack_size(64 << 10).spawn(count) {
    ///         Ok(counter) => counter.join().unwrap(),
    ///         Err(refused) => refused.into_inner()(), // here, then
    ///     }
    /// });
    /// assert_eq!(length, 8);
    /// ```
    pub fn builder(&'scope self) -> ScopedBuilder<'scope, 'env> {
        ScopedBuilder { scope: self, name: None, stack_size: None }
    }
}

/// The settings of a scoped thread that is not started yet; see [`Scope::builder`].
#[must_use = "it starts nothing until `spawn`"]
pub struct ScopedBuilder<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    name: Option<String>,
    stack_size: Option<usize>,
}

impl<'scope> ScopedBuilder<'scope, '_> {
    /// Names the thread; the operating system shows the first 15 bytes. Otherwise `Thread-N (function)`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the size of the thread's stack, in bytes; the operating system rounds up. Otherwise what std gives.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts a thread that runs `run`; see [`Scope::spawn`].
    ///
    /// # Errors
    /// Returns a [`SpawnError`], which gives the closure back, if the operating system has no more threads or memory,
    /// if the name contains a NUL byte, or if the program is ending.
    #[track_caller]
    pub fn spawn<F, T>(self, run: F) -> Result<ScopedJoinHandle<'scope, T>, SpawnError<F>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let record = record_for(self.name.as_deref(), None, std::any::type_name::<F>());
        rt::point(Op::new(&*record, "Thread", Kind::Start));
        let tally = &self.scope.tally;
        let packet = Packet::new(record.clone(), Some(tally.panicked.clone()));
        let room: Arc<Guarded<_>> = Arc::new(Guarded::new(Some(run)));
        let task: Box<dyn FnOnce() + Send + 'scope> = {
            let (room, packet) = (room.clone(), packet.clone());
            Box::new(move || {
                let run = room.lock().take();
                drop(room);
                if let Some(run) = run {
                    packet.put(caught(run));
                }
            })
        };
        // SAFETY: the task and all that it owns are gone when its `Done` is dropped, and only after that the thread's place
        // in the tally is given up; `scope` waits for every place before it returns, whatever happens in between. What
        // else refers to the closure's room is this function, which ends before the scope does.
        #[expect(unsafe_code, reason = "the scope waits for the thread")]
        let task = unsafe { erase(task) };
        let place = Place::take(tally);
        let lent = Lent { task, done: Done(place.clone()) };
        record.add_token(place);
        match launch(&record, self.stack_size, Box::new(|| lent.run())) {
            Ok(()) => {
                let handle = JoinHandle { thread: ThreadHandle(record), packet };
                Ok(ScopedJoinHandle { handle, scope: PhantomData })
            }
            Err(error) => {
                let run = room.lock().take().expect("a thread that did not start has not run");
                Err(SpawnError::new(Spawned::Thread, self.name.map(Into::into), error, run))
            }
        }
    }
}

impl fmt::Debug for ScopedBuilder<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedBuilder")
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

/// A task that borrows, and the word that it does. The order matters: fields are dropped from first to last.
struct Lent {
    task: Box<dyn FnOnce() + Send>,
    done: Done,
}

impl Lent {
    fn run(self) {
        let Self { task, done } = self;
        done.begins();
        task();
        drop(done); // on a panic, too, it goes last
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.tally, "thread scope", Kind::Read));
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
        self.handle.thread.wait().map_err(|_| JoinError::SelfJoin)?;
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

/// What a scope and its threads share.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many threads run, plus `LOST` and `AWAITED`.
    running: AtomicU32,
    /// The process in which they run, by its forks. A forked child does not have the threads of its parent.
    process: AtomicU32,
    /// A thread panicked and was not joined.
    panicked: Arc<AtomicBool>,
}

/// A thread has called `exit`: it will run no more, but what it borrows must stay as long as the program does.
const LOST: u32 = 1 << 31;
/// A thread sleeps on the word, or is about to.
const AWAITED: u32 = 1 << 30;
const COUNT: u32 = AWAITED - 1;

impl Tally {
    /// Returns when every thread of the scope has terminated.
    pub(super) fn wait(&self, op: Op) {
        if self.process.load(Ordering::Relaxed) != rt::forks() {
            return;
        }
        rt::point_until(op, None, &self.running, || {
            let running = self.running.load(Ordering::Acquire);
            running & COUNT == 0 || running & LOST != 0
        });
        loop {
            rt::atom(&self.running);
            let running = self.running.load(Ordering::Acquire);
            if running & LOST != 0 {
                rt::block_forever();
            }
            if running & COUNT == 0 {
                return;
            }
            rt::atom(&self.running);
            let waits = self.running.compare_exchange(
                running,
                running | AWAITED,
                Ordering::Acquire,
                Ordering::Acquire,
            );
            if waits.is_ok() {
                rt::wait(&self.running, running | AWAITED, None);
            }
        }
    }

    /// A thread panicked, and nobody joined it.
    pub(super) fn panicked(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }

    /// To be asked after the wait.
    pub(super) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// A thread's place in the tally, which is given up when the thread terminates.
pub(super) struct Place {
    tally: Arc<Tally>,
    taken: AtomicBool,
    /// The thread's function and all that it borrows are gone. What is left of the thread are its thread-locals.
    done: AtomicBool,
    /// The thread has begun to run, and so it will terminate.
    begun: AtomicBool,
    process: u32,
}

impl Place {
    /// Counts a thread that is about to be started as running.
    pub(super) fn take(tally: &Arc<Tally>) -> Arc<Self> {
        let process = rt::forks();
        if tally.process.swap(process, Ordering::Relaxed) != process {
            tally.running.store(0, Ordering::Relaxed);
        }
        tally.running.fetch_add(1, Ordering::Relaxed);
        let (taken, done, begun) = (AtomicBool::new(true), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { tally: tally.clone(), taken, done, begun, process })
    }

    /// The thread has terminated, or never will have run.
    fn give_up(&self) {
        if self.is_left() {
            rt::commutative_change(Object::of(&*self.tally, "thread scope"));
            rt::signal(&self.tally.running); // nobody but the scope waits for it
            // Release: what the thread did happens before the end of the scope.
            let before = self.tally.running.fetch_sub(1, Ordering::Release);
            if before & COUNT == 1 && before & AWAITED != 0 {
                rt::wake(&self.tally.running, u32::MAX);
            }
        }
    }

    fn is_left(&self) -> bool {
        self.taken.swap(false, Ordering::Relaxed) && self.process == rt::forks()
    }
}

impl HeldToken for Place {
    /// The thread has terminated, or has called `exit`: its function may not have returned then.
    fn abandon(&self) {
        if self.done.load(Ordering::Acquire) {
            self.give_up();
        } else if self.is_left() {
            rt::atom(&self.tally.running);
            self.tally.running.fetch_or(LOST, Ordering::Release);
            rt::wake(&self.tally.running, u32::MAX);
        }
    }
}

/// Dropped when the thread's task and all that it borrows are gone.
pub(super) struct Done(pub(super) Arc<Place>);

impl Done {
    /// To be called by the thread, before its task.
    pub(super) fn begins(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.tally.panicked();
        }
        self.0.done.store(true, Ordering::Release);
        if !self.0.begun.load(Ordering::Relaxed) {
            self.0.give_up(); // it could not be started
        }
    }
}
