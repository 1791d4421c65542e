//! Preparing and starting threads, and the error when a start fails.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;

use super::join::{JoinHandle, Packet, PacketRef, ThreadHandle};
use crate::raw::Guarded;
use crate::rt::{self, Kind, Op, ThreadRecord};

/// A thread that has not been started: its closure, its name, and whether it is a daemon.
///
/// [`start`](Thread::start) consumes it, so a thread can neither be started twice nor be joined before its start.
/// A thread that is not a daemon keeps the program alive after `main` returns; see
/// [the end of the program](crate::thread#the-end-of-the-program).
///
/// # Examples
/// ```
/// use raddle::Thread;
///
/// let greeter = Thread::new(|| "hello".to_string()).name("greeter").start()?;
/// assert_eq!(greeter.name(), "greeter");
/// assert_eq!(greeter.join()?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What Python reports at run time does not compile:
///
/// ```compile_fail,E0382
/// let thread = raddle::Thread::new(|| ());
/// let _started = thread.start();
/// let _again = thread.start();
/// ```
/// ```compile_fail,E0599
/// raddle::Thread::new(|| ()).join(); // before its start
/// ```
/// ```compile_fail,E0599
/// raddle::Thread::spawn(|| ()).daemon(true); // after its start
/// ```
#[must_use = "a thread does nothing until it is started"]
pub struct Thread<F> {
    run: F,
    name: Option<String>,
    daemon: Option<bool>,
    stack_size: Option<usize>,
}

impl<F> Thread<F> {
    /// Creates a thread that will run `run`, without starting it.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let thread = Thread::new(|| 6 * 7); // nothing runs yet
    /// assert_eq!(thread.start()?.join()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(run: F) -> Self {
        Self { run, name: None, daemon: None, stack_size: None }
    }

    /// Sets the thread's name. The default is `Thread-N (function)`.
    ///
    /// Linux shows the first 15 bytes of it in tools such as `top`.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, thread};
    ///
    /// let worker = Thread::new(|| thread::current().name()).name("worker").start()?;
    /// assert_eq!(worker.join()?, "worker");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets whether the program may end without waiting for the thread.
    ///
    /// The default is inherited from the thread that calls [`start`](Thread::start). As in Python, a thread that raddle
    /// did not start counts as a daemon, except for the main thread.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, Thread};
    ///
    /// // The program ends although this thread blocks forever.
    /// let poller = Thread::new(|| Event::new().wait()).daemon(true).start()?;
    /// assert!(poller.is_daemon());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Sets the size of the thread's stack in bytes, which the operating system may round up.
    ///
    /// The default is the standard library's.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let worker = Thread::new(|| [1_u8; 1 << 20].len()).stack_size(8 << 20).start()?;
    /// assert_eq!(worker.join()?, 1 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Returns the closure that the thread was to run.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let thread = Thread::new(|| 42);
    /// assert_eq!(thread.into_inner()(), 42);
    /// ```
    pub fn into_inner(self) -> F {
        self.run
    }
}

impl<F, T> Thread<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// Creates and starts a thread that runs `run`.
    ///
    /// # Panics
    /// Panics if the thread cannot be started; [`start`](Thread::start) returns an error instead.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let answer = Thread::spawn(|| 6 * 7);
    /// assert_eq!(answer.join()?, 42);
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    #[track_caller]
    pub fn spawn(run: F) -> JoinHandle<T> {
        match Thread::new(run).start() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts the thread.
    ///
    /// # Memory ordering
    /// Everything that the caller did before happens before the closure runs.
    ///
    /// # Errors
    /// Returns a [`SpawnError`], which gives the closure back, if the operating system has no more threads or memory,
    /// if the name contains a NUL byte, or if the program is ending and the thread is not a daemon.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let count = || 1 + 2;
    /// let sum = match Thread::new(count).name("counter").start() {
    ///     Ok(counter) => counter.join()?,
    ///     Err(error) => error.into_inner()(), // no thread available: count on this one
    /// };
    /// assert_eq!(sum, 3);
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    #[track_caller]
    pub fn start(self) -> Result<JoinHandle<T>, SpawnError<F>> {
        let record = new_record(self.name.as_deref(), self.daemon, std::any::type_name::<F>());
        let op = Op::new(&*record, "Thread", Kind::Start);
        rt::point(op);
        // A start that is part of another operation does not tell an explorer which object is the thread.
        rt::named(op.object, || format!("thread \"{}\"", record.name()));
        let packet = Packet::new(record.clone(), None);
        let slot: Arc<Guarded<_>> = Arc::new(Guarded::new(Some(self.run)));
        let body = {
            let (slot, packet) = (slot.clone(), PacketRef::new(packet.clone()));
            Box::new(move || {
                let run = slot.lock().take();
                drop(slot);
                if let Some(run) = run {
                    packet.put(catch(run));
                }
            })
        };
        match launch(&record, self.stack_size, body) {
            Ok(()) => Ok(JoinHandle { thread: ThreadHandle(record), packet: PacketRef::new(packet) }),
            Err(error) => {
                let run = slot.lock().take().expect("a thread that was not started has not run");
                Err(SpawnError::new(Spawned::Thread, self.name.map(Into::into), error, run))
            }
        }
    }
}

impl<F> fmt::Debug for Thread<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

/// Runs a thread's closure and catches its panic, which an observer is notified of.
pub(super) fn catch<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(run));
    if let Err(payload) = &outcome {
        rt::panicked(&**payload);
    }
    outcome
}

/// Creates the record of a thread to be started.
///
/// Without a `name`, the thread is named after `function`; without `daemon`, it inherits the caller's flag.
pub(super) fn new_record(name: Option<&str>, daemon: Option<bool>, function: &str) -> Arc<ThreadRecord> {
    let daemon = daemon.unwrap_or_else(rt::daemon_default);
    if let Some(name) = name {
        return ThreadRecord::new(name, daemon, false);
    }
    let number = rt::with_program(rt::Program::next_name);
    ThreadRecord::new(&format!("Thread-{number} ({})", short_name(function)), daemon, false)
}

/// Starts a thread that runs `body` as `record`. On failure, `body` is dropped without having run.
#[track_caller]
pub(crate) fn launch(
    record: &Arc<ThreadRecord>,
    stack_size: Option<usize>,
    body: Box<dyn FnOnce() + Send>,
) -> io::Result<()> {
    if !record.daemon.load(std::sync::atomic::Ordering::Relaxed) {
        let keep_alive = rt::keep_alive().ok_or(ProgramEnding)?;
        record.add_token(Arc::new(keep_alive));
    }
    let registry = rt::with_program(|program| {
        program.add(record);
        program.registry()
    });
    if !record.internal {
        rt::commutative_change(registry);
    }
    let mine = record.clone();
    let end = Op::new(&**record, "Thread", Kind::Terminate).on_behalf();
    let started = rt::spawn(
        &record.name(),
        stack_size,
        Box::new(move || {
            rt::adopt(mine, end);
            body();
            rt::returned(&end);
        }),
    );
    if started.is_err() {
        rt::with_program(|program| program.remove(record));
        record.drop_tokens();
    }
    started
}

/// Extracts a function's name: `crate::module::function::{{closure}}` becomes `function`, and
/// `<Type<T> as Trait>::method` becomes `method`.
fn short_name(function: &str) -> &str {
    let (mut depth, mut before) = (0, ' ');
    let segments = function.split(|c| {
        match c {
            '<' | '(' => depth += 1,
            '>' if before == '-' => {} // part of an arrow
            '>' | ')' => depth -= 1,
            _ => {}
        }
        before = c;
        c == ':' && depth == 0
    });
    let is_name = |segment: &&str| !segment.is_empty() && !segment.starts_with(['{', '<']);
    let name = segments.filter(is_name).last().unwrap_or(function);
    name.split('<').next().unwrap_or(name)
}

/// An error of starting a thread, a timer or a pool's worker.
///
/// The message names what failed to start, the cause and a remedy. The cause is also the error's
/// [`source`](std::error::Error::source). [`into_inner`](SpawnError::into_inner) gives the closure back, to be retried
/// or called in place.
///
/// # Examples
/// ```
/// use raddle::Thread;
///
/// let error = Thread::new(|| 6 * 7).name("a\0b").start().unwrap_err();
/// assert_eq!(error.name(), Some("a\0b"));
/// assert_eq!(error.into_inner()(), 42); // the closure is intact
/// ```
pub struct SpawnError<F> {
    failure: SpawnFailure,
    closure: F,
}

/// A [`SpawnError`] without its closure, so that its code exists once.
struct SpawnFailure {
    spawned: Spawned,
    name: Option<Box<str>>,
    cause: io::Error,
}

/// What failed to start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spawned {
    Thread,
    Timer,
    Worker,
}

impl Spawned {
    fn as_str(self) -> &'static str {
        match self {
            Spawned::Thread => "thread",
            Spawned::Timer => "timer",
            Spawned::Worker => "pool worker",
        }
    }
}

/// The cause of a [`SpawnError`] at the end of the program, which no longer waits for threads that are not daemons.
#[derive(Debug)]
pub(crate) struct ProgramEnding;

impl fmt::Display for ProgramEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the program is ending")
    }
}

impl std::error::Error for ProgramEnding {}

impl From<ProgramEnding> for io::Error {
    fn from(ending: ProgramEnding) -> Self {
        io::Error::other(ending)
    }
}

impl<F> SpawnError<F> {
    pub(crate) fn new(spawned: Spawned, name: Option<Box<str>>, cause: io::Error, closure: F) -> Self {
        Self { failure: SpawnFailure { spawned, name, cause }, closure }
    }

    /// The same error, with another closure.
    pub(crate) fn with_closure<G>(self, closure: G) -> SpawnError<G> {
        SpawnError { failure: self.failure, closure }
    }

    /// Returns the closure that was to run.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let sum = match Thread::new(|| 1 + 2).stack_size(usize::MAX).start() {
    ///     Ok(thread) => thread.join().unwrap(),
    ///     Err(error) => error.into_inner()(), // run it on this thread instead
    /// };
    /// assert_eq!(sum, 3);
    /// ```
    pub fn into_inner(self) -> F {
        self.closure
    }

    /// Returns the name that the thread or timer was given, if any.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let error = Thread::new(|| ()).name("huge").stack_size(usize::MAX).start().unwrap_err();
    /// assert_eq!(error.name(), Some("huge"));
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.failure.name.as_deref()
    }

    /// Returns the cause, usually the operating system's error.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    /// use std::io::ErrorKind;
    ///
    /// let error = Thread::new(|| ()).name("a\0b").start().unwrap_err();
    /// assert_eq!(error.io_error().kind(), ErrorKind::InvalidInput);
    /// ```
    pub fn io_error(&self) -> &io::Error {
        &self.failure.cause
    }
}

impl SpawnFailure {
    fn remedy(&self) -> &'static str {
        match self.cause.get_ref() {
            Some(cause) if cause.is::<ProgramEnding>() => {
                "make it a daemon, or start it before the program ends"
            }
            _ if self.cause.kind() == io::ErrorKind::InvalidInput => {
                "choose a name without NUL bytes, or another stack size"
            }
            _ => "retry later, or call the closure that `into_inner` returns",
        }
    }
}

impl fmt::Display for SpawnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to start {}", self.spawned.as_str())?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        write!(f, ": {}; {}", self.cause, self.remedy())
    }
}

impl<F> fmt::Display for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl<F> fmt::Debug for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnError")
            .field("spawned", &self.failure.spawned)
            .field("name", &self.failure.name)
            .field("cause", &self.failure.cause)
            .finish_non_exhaustive()
    }
}

impl<F> std::error::Error for SpawnError<F> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.failure.cause)
    }
}

/// Keeps the kind of the cause and the message, and drops the closure.
///
/// # Examples
/// ```
/// use raddle::{JoinHandle, Thread};
/// use std::io;
///
/// fn start() -> io::Result<JoinHandle<i32>> {
///     Ok(Thread::new(|| 42).name("answer").start()?)
/// }
/// assert_eq!(start()?.join().unwrap(), 42);
/// # Ok::<(), io::Error>(())
/// ```
impl<F> From<SpawnError<F>> for io::Error {
    fn from(error: SpawnError<F>) -> Self {
        io::Error::new(error.failure.cause.kind(), error.to_string())
    }
}

// The cause is never changed once it is stored.
impl<F: UnwindSafe> UnwindSafe for SpawnError<F> {}
impl<F: RefUnwindSafe> RefUnwindSafe for SpawnError<F> {}
