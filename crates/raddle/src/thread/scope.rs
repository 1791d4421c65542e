//! Threads that may borrow from the function that starts them.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::hook::drop_guarded;
use super::join::{JoinError, JoinHandle, Packet, PacketRef, ThreadHandle};
use super::start::{SpawnError, Spawned, catch, launch, new_record};
use crate::erase::erase;
use crate::raw::Guarded;
use crate::rt::{self, HeldToken, Kind, Object, Op, Wait};

/// Creates a scope for threads that borrow, and returns when all of them have terminated.
///
/// As for [`JoinHandle::join`], a thread has terminated once its thread-locals have been dropped. (A scope of the
/// standard library does not wait for those.)
///
/// # Memory ordering
/// Everything that the threads did, including the destructors of their thread-locals, happens before `scope` returns.
///
/// # Panics
/// Resumes the panic of `f`. If `f` returns, panics if a thread that was not joined has panicked.
///
/// # Examples
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
    let scope = Scope { data: Arc::new(ScopeData::default()), own: PhantomData, env: PhantomData };
    let await_all = Op::new(&*scope.data, "thread scope", Kind::Await);
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    // A scheduler may unwind the wait. The threads borrow from the caller, so the scope waits again all the same.
    let mut unwound = Vec::new(); // payloads to be dropped later, because their destructors may unwind, too
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| scope.data.wait(await_all))) {
        unwound.push(payload);
    }
    match (result, unwound.pop()) {
        (Err(payload), _) => resume_unwind(payload),
        (Ok(value), Some(payload)) => {
            drop_guarded(RETURNED, value); // a panic of its destructor during the unwinding would abort the process
            resume_unwind(payload)
        }
        (Ok(value), None) if scope.data.has_panicked() => {
            drop_guarded(RETURNED, value);
            panic!("a scoped thread panicked")
        }
        (Ok(value), None) => value,
    }
}

const RETURNED: &str = "the destructor of the result of a scope's closure";

/// A scope in which threads that borrow are started; see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    data: Arc<ScopeData>,
    own: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Starts a thread that runs `run` and may borrow from outside the scope.
    ///
    /// The handle may be dropped: the scope waits for the thread in any case.
    ///
    /// # Panics
    /// Panics if the thread cannot be started; the [`builder`](Self::builder) returns an error instead.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Mutex, thread};
    ///
    /// let total = Mutex::new(0);
    /// thread::scope(|s| {
    ///     for number in 1..=4 {
    ///         let total = &total;
    ///         s.spawn(move || *total.lock() += number);
    ///     }
    /// });
    /// assert_eq!(total.into_inner(), 10);
    /// ```
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

    /// Returns a builder for a thread with a name or a stack size, or whose start may fail.
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
    ///         Err(error) => error.into_inner()(), // no thread available: count on this one
    ///     }
    /// });
    /// assert_eq!(length, 8);
    /// ```
    pub fn builder(&'scope self) -> ScopedBuilder<'scope, 'env> {
        ScopedBuilder { scope: self, name: None, stack_size: None }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.data, "thread scope", Kind::Read));
        f.debug_struct("Scope").field("data", &self.data).finish_non_exhaustive()
    }
}

/// The settings of a scoped thread that has not been started; see [`Scope::builder`].
#[must_use = "a builder starts nothing until `spawn` is called"]
pub struct ScopedBuilder<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    name: Option<String>,
    stack_size: Option<usize>,
}

impl<'scope> ScopedBuilder<'scope, '_> {
    /// Sets the thread's name. The default is `Thread-N (function)`.
    ///
    /// # Examples
    /// ```
    /// use raddle::thread;
    ///
    /// thread::scope(|s| {
    ///     let worker = s.builder().name("worker").spawn(|| thread::current().name())?;
    ///     assert_eq!(worker.join().unwrap(), "worker");
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the size of the thread's stack in bytes, which the operating system may round up.
    ///
    /// The default is the standard library's.
    ///
    /// # Examples
    /// ```
    /// use raddle::thread;
    ///
    /// thread::scope(|s| {
    ///     let worker = s.builder().stack_size(8 << 20).spawn(|| [1_u8; 1 << 20].len())?;
    ///     assert_eq!(worker.join().unwrap(), 1 << 20);
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts a thread that runs `run` and may borrow from outside the scope; see [`Scope::spawn`].
    ///
    /// # Errors
    /// Returns a [`SpawnError`], which gives the closure back, if the operating system has no more threads or memory,
    /// if the name contains a NUL byte, or if the program is ending.
    ///
    /// # Examples
    /// ```
    /// use raddle::thread;
    ///
    /// let text = String::from("warp");
    /// thread::scope(|s| {
    ///     let error = s.builder().name("a\0b").spawn(|| text.len()).unwrap_err();
    ///     assert_eq!(error.into_inner()(), 4); // the closure is intact
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(self, run: F) -> Result<ScopedJoinHandle<'scope, T>, SpawnError<F>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let record = new_record(self.name.as_deref(), None, std::any::type_name::<F>());
        rt::point(Op::new(&*record, "Thread", Kind::Start));
        let data = &self.scope.data;
        let packet = Packet::new(record.clone(), Some(data.panicked.clone()));
        let slot: Arc<Guarded<_>> = Arc::new(Guarded::new(Some(run)));
        let task: Box<dyn FnOnce() + Send + 'scope> = {
            let (slot, packet) = (slot.clone(), PacketRef::new(packet.clone()));
            Box::new(move || {
                let run = slot.lock().take();
                drop(slot);
                if let Some(run) = run {
                    packet.put(catch(run));
                }
            })
        };
        // SAFETY: the task and everything it owns are dropped before its `TaskGuard` is, and only then is the thread
        // removed from the scope's count. `scope` waits until that count is zero before it returns, also when it
        // unwinds. The only other reference to the slot is in this function, which returns before the scope does.
        #[expect(unsafe_code, reason = "the scope waits for the thread")]
        let task = unsafe { erase(task) };
        let member = ScopeMember::new(data);
        let task = ScopedTask { task, guard: TaskGuard(member.clone()) };
        record.add_token(member);
        match launch(&record, self.stack_size, Box::new(|| task.run())) {
            Ok(()) => {
                let handle = JoinHandle { thread: ThreadHandle(record), packet: PacketRef::new(packet) };
                Ok(ScopedJoinHandle { handle, scope: PhantomData })
            }
            Err(error) => {
                let run = slot.lock().take().expect("a thread that was not started has not run");
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

/// An owned permission to join a scoped thread and to take its result.
///
/// # Examples
/// ```
/// use raddle::thread;
///
/// let text = String::from("warp");
/// let length = thread::scope(|s| s.spawn(|| text.len()).join())?;
/// assert_eq!(length, 4);
/// # Ok::<(), raddle::thread::JoinError>(())
/// ```
pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Blocks until the thread has terminated and returns its result.
    ///
    /// # Errors
    /// As [`JoinHandle::join`]. A panic that is returned here does not make the scope panic.
    ///
    /// # Examples
    /// ```
    /// use raddle::thread;
    ///
    /// thread::scope(|s| {
    ///     let printer = s.spawn(|| panic!("out of paper"));
    ///     assert!(printer.join().unwrap_err().to_string().ends_with("out of paper"));
    /// });
    /// ```
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()
    }

    /// Returns whether the thread has terminated and its thread-locals have been dropped.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, thread};
    ///
    /// let stop = Event::new();
    /// thread::scope(|s| {
    ///     let worker = s.spawn(|| stop.wait());
    ///     assert!(!worker.is_finished());
    ///     stop.set();
    /// });
    /// ```
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Returns a reference to the thread, which can be cloned and does not own the result.
    ///
    /// # Examples
    /// ```
    /// use raddle::thread;
    ///
    /// let worker = thread::scope(|s| s.spawn(|| ()).thread().clone());
    /// assert!(worker.is_finished());
    /// ```
    pub fn thread(&self) -> &ThreadHandle {
        self.handle.thread()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

/// The state that a scope and its threads share.
#[derive(Debug, Default)]
struct ScopeData {
    /// The number of threads that have not terminated, plus the flags `EXITED` and `AWAITED`.
    running: AtomicU32,
    /// The process in which they run, by its number of forks. A forked child does not have the threads of its parent.
    process: AtomicU32,
    /// A thread panicked and was not joined.
    panicked: Arc<AtomicBool>,
}

/// A thread has called `exit`. It will run no more, but its borrows must live as long as the program.
const EXITED: u32 = 1 << 31;
/// The scope is parked on the word, or is about to park.
const AWAITED: u32 = 1 << 30;
const COUNT: u32 = AWAITED - 1;

impl ScopeData {
    /// Blocks until every thread of the scope has terminated.
    fn wait(&self, op: Op) {
        if self.process.load(Ordering::Relaxed) != rt::forks() {
            return;
        }
        rt::point_until(op, None, &self.running, || {
            let running = self.running.load(Ordering::Acquire);
            running & COUNT == 0 || running & EXITED != 0
        });
        loop {
            rt::atom(&self.running);
            let running = self.running.load(Ordering::Acquire);
            if running & EXITED != 0 {
                rt::block_forever();
            }
            if running & COUNT == 0 {
                return;
            }
            rt::atom(&self.running);
            let awaited = running | AWAITED;
            let announced =
                self.running.compare_exchange(running, awaited, Ordering::Acquire, Ordering::Acquire);
            if announced.is_ok() {
                rt::wait(&self.running, awaited, &Wait::new(&op));
            }
        }
    }

    fn panicked(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }

    /// Returns whether a thread panicked and was not joined. Exact once `wait` has returned.
    fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// One thread in the scope's count, which it leaves when it terminates.
struct ScopeMember {
    data: Arc<ScopeData>,
    counted: AtomicBool,
    /// The thread's closure and all that it borrows have been dropped. Only thread-locals are left.
    task_dropped: AtomicBool,
    /// The thread has begun to run, so it will terminate.
    began: AtomicBool,
    process: u32,
}

impl ScopeMember {
    /// Counts a thread that is about to be started.
    fn new(data: &Arc<ScopeData>) -> Arc<Self> {
        let process = rt::forks();
        if data.process.swap(process, Ordering::Relaxed) != process {
            data.running.store(0, Ordering::Relaxed);
        }
        data.running.fetch_add(1, Ordering::Relaxed);
        let (counted, task_dropped, began) =
            (AtomicBool::new(true), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { data: data.clone(), counted, task_dropped, began, process })
    }

    /// Removes a thread that has terminated, or that could not be started, from the count.
    fn leave(&self) {
        if self.uncount() {
            rt::commutative_change(Object::of(&*self.data, "thread scope"));
            rt::signal(&self.data.running); // only the scope waits for it
            // Release: everything that the thread did happens before `scope` returns.
            let before = self.data.running.fetch_sub(1, Ordering::Release);
            if before & COUNT == 1 && before & AWAITED != 0 {
                rt::wake(&self.data.running, u32::MAX);
            }
        }
    }

    /// Returns `true` to the one caller that must update the count.
    fn uncount(&self) -> bool {
        self.counted.swap(false, Ordering::Relaxed) && self.process == rt::forks()
    }
}

impl HeldToken for ScopeMember {
    /// The thread has terminated, or it has called `exit`, in which case its closure may not have returned.
    fn abandon(&self) {
        if self.task_dropped.load(Ordering::Acquire) {
            self.leave();
        } else if self.uncount() {
            rt::atom(&self.data.running);
            self.data.running.fetch_or(EXITED, Ordering::Release);
            rt::wake(&self.data.running, u32::MAX);
        }
    }
}

/// A closure that borrows, and a guard that is dropped after it: fields are dropped in the order of declaration.
struct ScopedTask {
    task: Box<dyn FnOnce() + Send>,
    guard: TaskGuard,
}

impl ScopedTask {
    fn run(self) {
        let Self { task, guard } = self;
        guard.begin();
        task();
        drop(guard); // after the task, also if that panics
    }
}

/// Marks the closure of a scoped thread as dropped.
struct TaskGuard(Arc<ScopeMember>);

impl TaskGuard {
    /// Called by the thread before its closure.
    fn begin(&self) {
        self.0.began.store(true, Ordering::Relaxed);
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.data.panicked();
        }
        self.0.task_dropped.store(true, Ordering::Release);
        if !self.0.began.load(Ordering::Relaxed) {
            self.0.leave(); // the thread could not be started
        }
    }
}
