//! Threads that are not started yet, and their start.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;

use super::handle::ThreadHandle;
use super::join::{JoinHandle, Packet};
use crate::raw::Guarded;
use crate::rt::{self, Kind, Op, Record};

/// A thread that is not started yet: what it will run, its name, whether it is a daemon.
///
/// [`start`](Thread::start) uses it up, so that a thread cannot be started twice, nor joined before its start.
/// A thread that is not a daemon keeps the program alive after `main` has returned.
///
/// ```
/// use raddle::Thread;
///
/// let greeter = Thread::new(|| "hello".to_string()).name("greeter").start()?;
/// assert_eq!(greeter.name(), "greeter");
/// assert_eq!(greeter.join()?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What Python finds out at run time does not compile:
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
    /// Prepares a thread that will run `run`.
    pub fn new(run: F) -> Self {
        Self { run, name: None, daemon: None, stack_size: None }
    }

    /// Names the thread; the operating system shows the first 15 bytes. Otherwise `Thread-N (function)`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether the program may end without the thread. Otherwise inherited from the thread that starts it; one that
    /// raddle did not start counts as a daemon, as in Python, unless it is the main thread.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Room for the thread's stack, in bytes; the operating system rounds up. Otherwise what std gives.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }
}

impl<F, T> Thread<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// Starts a thread that runs `run`, in one step.
    ///
    /// # Panics
    /// If it cannot be started; [`start`](Thread::start) returns that as an error.
    #[track_caller]
    pub fn spawn(run: F) -> JoinHandle<T> {
        match Thread::new(run).start() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts the thread. What the caller did before happens before what the thread does.
    ///
    /// # Errors
    /// [`StartError`] gives the thread back: the operating system has no more threads or memory, the name
    /// contains a NUL, or the program is ending and would not wait for the thread.
    #[track_caller]
    pub fn start(self) -> Result<JoinHandle<T>, StartError<F>> {
        let record = self.record();
        rt::point(Op::new(&*record, "Thread", Kind::Start));
        let packet = Packet::new(record.clone(), None);
        let room: Arc<Guarded<_>> = Arc::new(Guarded::new(Some(self.run)));
        let body = {
            let (room, packet) = (room.clone(), packet.clone());
            Box::new(move || {
                let run = room.lock().take();
                drop(room);
                if let Some(run) = run {
                    packet.put(caught(run));
                }
            })
        };
        match launch(&record, self.stack_size, body) {
            Ok(()) => Ok(JoinHandle { thread: ThreadHandle(record), packet }),
            Err(error) => {
                let run = room.lock().take().expect("a thread that did not start has not run");
                let (name, daemon) = (self.name, self.daemon);
                Err(StartError { error, thread: Thread { run, name, daemon, stack_size: self.stack_size } })
            }
        }
    }

    fn record(&self) -> Arc<Record> {
        record_for(self.name.as_deref(), self.daemon, std::any::type_name::<F>())
    }
}

/// The record of a thread to be started: its name from `function` and its daemon from the caller, if not given.
/// Runs a thread's function.
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(run));
    if let Err(payload) = &outcome {
        rt::panicked(&**payload);
    }
    outcome
}

pub(super) fn record_for(name: Option<&str>, daemon: Option<bool>, function: &str) -> Arc<Record> {
    let daemon = daemon.unwrap_or_else(rt::daemon_heirs);
    if let Some(name) = name {
        return Record::new(name, daemon, false);
    }
    let number = rt::with_program(rt::Program::next_name);
    Record::new(&format!("Thread-{number} ({})", short(function)), daemon, false)
}

/// Starts a thread that runs `body` as `record`; on failure, `body` is dropped without having run.
#[track_caller]
pub(crate) fn launch(
    record: &Arc<Record>,
    stack_size: Option<usize>,
    body: Box<dyn FnOnce() + Send>,
) -> io::Result<()> {
    if !record.daemon.load(std::sync::atomic::Ordering::Relaxed) {
        let obligation = rt::oblige().ok_or_else(|| io::Error::other("the program is ending"))?;
        record.add_duty(Arc::new(obligation));
    }
    let registry = rt::with_program(|program| {
        program.add(record);
        program.registry()
    });
    if !record.internal {
        rt::tally(registry);
    }
    let mine = record.clone();
    let end = Op::new(&**record, "Thread", Kind::End);
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
        record.drop_duty();
    }
    started
}

/// `crate::module::function::{{closure}}` → `function`; `<Type<T> as Trait>::method` → `method`.
fn short(function: &str) -> &str {
    let (mut depth, mut before) = (0, ' ');
    let segments = function.split(|c| {
        match c {
            '<' | '(' => depth += 1,
            '>' if before == '-' => {} // of an arrow
            '>' | ')' => depth -= 1,
            _ => {}
        }
        before = c;
        c == ':' && depth == 0
    });
    let named = |segment: &&str| !segment.is_empty() && !segment.starts_with(['{', '<']);
    let name = segments.filter(named).last().unwrap_or(function);
    name.split('<').next().unwrap_or(name)
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

/// The thread could not be started; it comes back with the reason.
pub struct StartError<F> {
    error: io::Error,
    thread: Thread<F>,
}

impl<F> StartError<F> {
    pub(super) fn new(error: io::Error, run: F, name: Option<String>, stack_size: Option<usize>) -> Self {
        Self { error, thread: Thread { run, name, daemon: None, stack_size } }
    }

    /// The thread, to be started later or to run its closure here.
    pub fn into_thread(self) -> Thread<F> {
        self.thread
    }

    /// What the thread would have run.
    pub fn into_closure(self) -> F {
        self.thread.run
    }

    /// What the operating system said.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }
}

impl<F> Thread<F> {
    /// Gives back what the thread would have run.
    pub fn into_closure(self) -> F {
        self.run
    }
}

impl<F> fmt::Display for StartError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.thread.name {
            Some(name) => write!(f, "thread {name:?} could not be started: {}", self.error),
            None => write!(f, "a thread could not be started: {}", self.error),
        }
    }
}

// An `io::Error` is not changed once it is there.
impl<F: UnwindSafe> UnwindSafe for StartError<F> {}
impl<F: RefUnwindSafe> RefUnwindSafe for StartError<F> {}

impl<F> fmt::Debug for StartError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartError").field("error", &self.error).field("thread", &self.thread).finish()
    }
}

impl<F> std::error::Error for StartError<F> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
