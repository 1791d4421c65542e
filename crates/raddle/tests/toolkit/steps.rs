//! Every public function either takes a step, so that an explorer runs what other threads do before and after it, or
//! is listed here with the reason why it takes none.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::Future as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use raddle::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering::SeqCst};
use raddle::future::FutureError;
use raddle::future::TaskPanic;
use raddle::pool::ScopedFuture;
use raddle::rt::{self, Op, WaitOutcome};
use raddle::time;
use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, Future, Lock, Mutex, Priority, Promise, Queue, RLock,
    ReentrantMutex, ReturnWhen, Semaphore, Shared, ShutdownMode, SimpleQueue, Thread, ThreadPoolExecutor,
    Timer, as_completed, as_completed_timeout, thread,
};

use crate::modules::{Tree, read, tokens};
use crate::scheduler::{Misbehavior, under};
use crate::support::within_limit;

/// Traits by whose methods a program can look at, or change, what other threads see.
const TRAITS: &[&str] = &[
    "Debug",
    "Display",
    "Pointer",
    "Drop",
    "Iterator",
    "Deref",
    "DerefMut",
    "Future",
    "Clone",
    "PartialEq",
    "IntoIterator",
];

/// The public functions of a crate, and the implementations of [`TRAITS`]: `Type::function`, `module::function`,
/// `Trait for Type`.
fn functions(tree: &Tree) -> BTreeSet<String> {
    let public = public_types(tree);
    let mut found = BTreeSet::new();
    let inside =
        |file: &&String| ["rt/", "raw/", "sys/", "watch/"].iter().all(|below| !file.starts_with(below));
    for file in tree.keys().filter(inside) {
        let tokens = tokens(&tree[file]);
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let mut blocks: Vec<Option<String>> = Vec::new();
        let mut header = None;
        for (at, token) in tokens.iter().enumerate() {
            let item = at == 0 || matches!(tokens[at - 1], "}" | ";" | "]" | "{" | "unsafe");
            match *token {
                "impl" if item => {
                    let (of, of_trait) = implemented(&tokens[at + 1..]);
                    if let Some(name) = of_trait.filter(|name| TRAITS.contains(name) && public.contains(of)) {
                        found.insert(format!("{name} for {of}"));
                    }
                    header = of_trait.is_none().then(|| of.to_owned());
                }
                "{" => blocks.push(header.take()),
                "}" => drop(blocks.pop()),
                "pub" => {
                    let rest = tokens[at + 1..].iter().filter(|token| !matches!(**token, "const" | "$"));
                    let mut rest = rest.copied();
                    if let (Some("fn"), Some(name)) = (rest.next(), rest.next()) {
                        let of = blocks.iter().flatten().next_back().map_or(module, String::as_str);
                        found.insert(format!("{of}::{name}"));
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// The names of the public types, and `name`, by which a macro's declarations go.
fn public_types(tree: &Tree) -> BTreeSet<&str> {
    let mut found = BTreeSet::from(["name"]);
    for text in tree.values() {
        let tokens = tokens(text);
        for at in 0..tokens.len().saturating_sub(2) {
            if tokens[at] == "pub" && matches!(tokens[at + 1], "struct" | "enum" | "union") {
                found.insert(tokens[at + 2]);
            }
            if tokens[at].starts_with("Atomic") {
                found.insert(tokens[at]);
            }
        }
    }
    found
}

/// The type of an `impl`, of which these are the tokens, and the trait if it is one's.
fn implemented<'a>(tokens: &[&'a str]) -> (&'a str, Option<&'a str>) {
    let (mut depth, mut names) = (0, vec![""]);
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "<" => depth += 1,
            ">" if tokens[at - 1] != "-" => depth -= 1,
            "{" | "where" if depth == 0 => break,
            "for" if depth == 0 => names.push(""),
            name if depth == 0 && name.starts_with(|c: char| c.is_alphabetic()) && name != "dyn" => {
                *names.last_mut().expect("there is one") = name;
            }
            _ => {}
        }
    }
    match names[..] {
        [of_trait, of, ..] => (of, Some(of_trait)),
        _ => (names[0], None),
    }
}

fn sources() -> Tree {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

thread_local! {
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// How many steps the calling thread takes in `call`; what that returns is dropped afterwards.
fn count<R>(call: impl FnOnce() -> R) -> usize {
    let before = STEPS.get();
    let returned = call();
    let taken = STEPS.get() - before;
    drop(returned);
    taken
}

/// Under a scheduler that counts; every wait with a timeout times out, every other one wakes to look again.
fn counted(body: fn() -> usize) -> usize {
    let count = |_: Op| STEPS.set(STEPS.get() + 1);
    let wait = |_| WaitOutcome::TimedOut;
    under(Misbehavior { point: Some(Box::new(count)), wait: Some(Box::new(wait)), run: None }, body)
}

type Steps = &'static [(&'static str, fn() -> usize)];

/// Names, something made beforehand, and the call.
macro_rules! steps {
    ($($name:literal $made:expr => |$object:ident| $call:expr;)*) => {
        &[$(($name, || {
            #[allow(unused_mut, unused_variables, clippy::let_unit_value, reason = "not every call needs it")]
            let mut $object = $made;
            count(|| $call)
        })),*]
    };
}

const SOON: Duration = Duration::from_millis(1);

fn soon() -> Instant {
    rt::now() + SOON // not the public clock, whose reading is a step
}

fn settled() -> Future<u8> {
    let promise = Promise::new();
    let future = promise.future();
    promise.set_result(1).unwrap();
    future
}

fn panicked() -> TaskPanic {
    let promise = Promise::<()>::new();
    let future = promise.future();
    promise.set_panic(Box::new("on purpose")).unwrap();
    match future.exception() {
        Some(FutureError::Panicked(panic)) => panic,
        other => panic!("{other:?}"),
    }
}

fn full() -> Queue<u8> {
    let queue = Queue::bounded(2);
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    queue
}

fn simple() -> SimpleQueue<u8> {
    let queue = SimpleQueue::new();
    queue.put(1);
    queue
}

fn pool() -> ThreadPoolExecutor {
    ThreadPoolExecutor::new(1)
}

fn timer() -> Timer {
    let timer = Timer::after(Duration::ZERO, || {});
    timer.wait().unwrap();
    timer
}

fn thread() -> raddle::JoinHandle<u8> {
    Thread::spawn(|| 1)
}

fn empty() -> Semaphore {
    Semaphore::new(0)
}

fn some() -> Semaphore {
    Semaphore::new(5)
}

fn out() -> BoundedSemaphore {
    let semaphore = BoundedSemaphore::new(5);
    semaphore.acquire_many(2).unwrap().forget();
    semaphore
}

fn held() -> (Condition, raddle::LockGuard<'static>) {
    (Condition::new(), kept(Lock::new()).lock())
}

/// Returns a value that the rest of the test can borrow.
fn kept<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Functions that take a step, before which other threads can run.
const TAKE: Steps = steps! {
    "Barrier::abort" Barrier::new(2) => |it| it.abort();
    "Barrier::is_broken" Barrier::new(2) => |it| it.is_broken();
    "Barrier::n_waiting" Barrier::new(2) => |it| it.n_waiting();
    "Barrier::reset" Barrier::new(2) => |it| it.reset();
    "Barrier::wait" Barrier::new(1) => |it| it.wait();
    "Barrier::wait_deadline" Barrier::new(1) => |it| it.wait_deadline(soon());
    "Barrier::wait_timeout" Barrier::new(1) => |it| it.wait_timeout(SOON);
    "BaseQueue::get" full() => |it| it.get();
    "BaseQueue::get_deadline" full() => |it| it.get_deadline(soon());
    "BaseQueue::get_many" full() => |it| it.get_many(2, SOON);
    "BaseQueue::get_many_deadline" full() => |it| it.get_many_deadline(2, SOON, soon());
    "BaseQueue::get_many_timeout" full() => |it| it.get_many_timeout(2, SOON, SOON);
    "BaseQueue::get_timeout" full() => |it| it.get_timeout(SOON);
    "BaseQueue::is_empty" full() => |it| it.is_empty();
    "BaseQueue::is_full" full() => |it| it.is_full();
    "BaseQueue::is_shut_down" full() => |it| it.is_shut_down();
    "BaseQueue::join" Queue::<u8>::unbounded() => |it| it.join();
    "BaseQueue::join_deadline" full() => |it| it.join_deadline(soon());
    "BaseQueue::join_timeout" full() => |it| it.join_timeout(SOON);
    "BaseQueue::len" full() => |it| it.len();
    "BaseQueue::maxsize" full() => |it| it.maxsize();
    "BaseQueue::n_getters" full() => |it| it.n_getters();
    "BaseQueue::n_joiners" full() => |it| it.n_joiners();
    "BaseQueue::n_putters" full() => |it| it.n_putters();
    "BaseQueue::put" Queue::unbounded() => |it| it.put(1);
    "BaseQueue::put_deadline" Queue::unbounded() => |it| it.put_deadline(1, soon());
    "BaseQueue::put_many" Queue::unbounded() => |it| it.put_many([1]);
    "BaseQueue::put_many_deadline" Queue::unbounded() => |it| it.put_many_deadline([1], soon());
    "BaseQueue::put_many_timeout" Queue::unbounded() => |it| it.put_many_timeout([1], SOON);
    "BaseQueue::put_timeout" Queue::unbounded() => |it| it.put_timeout(1, SOON);
    "BaseQueue::set_maxsize" full() => |it| it.set_maxsize(3);
    "BaseQueue::set_unbounded" full() => |it| it.set_unbounded();
    "BaseQueue::shutdown" full() => |it| it.shutdown();
    "BaseQueue::shutdown_now" full() => |it| it.shutdown_now();
    "BaseQueue::task_done" full() => |it| it.task_done();
    "BaseQueue::tasks_done" full() => |it| it.tasks_done(2);
    "BaseQueue::try_get" full() => |it| it.try_get();
    "BaseQueue::try_get_many" full() => |it| it.try_get_many(2);
    "BaseQueue::try_put" full() => |it| it.try_put(1);
    "BaseQueue::try_put_many" full() => |it| it.try_put_many([1]);
    "BaseQueue::unfinished" full() => |it| it.unfinished();
    "BaseSemaphore::acquire" some() => |it| it.acquire();
    "BaseSemaphore::acquire_deadline" empty() => |it| it.acquire_deadline(soon());
    "BaseSemaphore::acquire_many_deadline" some() => |it| it.acquire_many_deadline(2, soon());
    "BaseSemaphore::acquire_many_timeout" some() => |it| it.acquire_many_timeout(2, SOON);
    "BaseSemaphore::acquire_timeout" empty() => |it| it.acquire_timeout(SOON);
    "BaseSemaphore::available" some() => |it| it.available();
    "BaseSemaphore::n_waiting" some() => |it| it.n_waiting();
    "BaseSemaphore::try_acquire" some() => |it| it.try_acquire();
    "BaseSemaphore::try_acquire_many" some() => |it| it.try_acquire_many(2);
    "Condition::notify" held() => |it| it.0.notify(&it.1, 1);
    "Condition::notify_all" held() => |it| it.0.notify_all(&it.1);
    "Condition::notify_one" held() => |it| it.0.notify_one(&it.1);
    "Condition::wait_deadline" held() => |it| it.0.wait_deadline(&mut it.1, soon());
    "Condition::wait_for_deadline" held() => |it| it.0.wait_for_deadline(&mut it.1, soon(), |_| false);
    "Condition::wait_for_timeout" held() => |it| it.0.wait_for_timeout(&mut it.1, SOON, |_| false);
    "Condition::wait_timeout" held() => |it| it.0.wait_timeout(&mut it.1, SOON);
    "Debug for Barrier" Barrier::new(2) => |it| format!("{it:?}");
    "Debug for BaseQueue" full() => |it| format!("{it:?}");
    "Debug for BaseSemaphore" some() => |it| format!("{it:?}");
    "Debug for Condition" Condition::new() => |it| format!("{it:?}");
    "Debug for Event" Event::new() => |it| format!("{it:?}");
    "Debug for Future" settled() => |it| format!("{it:?}");
    "Debug for JoinHandle" thread() => |it| format!("{it:?}");
    "Debug for Lock" Lock::new() => |it| format!("{it:?}");
    "Debug for LockGuard" (kept(Lock::new()).lock(), kept(RLock::new()).lock()) => |it| format!("{it:?}");
    "Debug for Mutex" Mutex::new(1) => |it| format!("{it:?}");
    "Debug for Promise" Promise::<u8>::new() => |it| format!("{it:?}");
    "Debug for RLock" RLock::new() => |it| format!("{it:?}");
    "Debug for ReentrantMutex" ReentrantMutex::new(1) => |it| format!("{it:?}");
    "Debug for Shared" Shared::new(1) => |it| format!("{it:?}");
    "Debug for SimpleQueue" simple() => |it| format!("{it:?}");
    "Debug for ThreadHandle" thread().thread().clone() => |it| format!("{it:?}");
    "Debug for ThreadPoolExecutor" pool() => |it| format!("{it:?}");
    "Debug for Timer" timer() => |it| format!("{it:?}");
    "Debug for name" AtomicU8::new(1) => |it| format!("{it:?}");
    "Drop for LockGuard" (kept(Lock::new()).lock(), kept(RLock::new()).lock()) => |it| drop(it);
    "Drop for MutexGuard" kept(Mutex::new(1)).lock() => |it| drop(it);
    "Drop for Permit" kept(some()).acquire() => |it| drop(it);
    "Drop for Promise" Promise::<u8>::new() => |it| drop(it);
    "Drop for ThreadPoolExecutor" pool() => |it| drop(it);
    "Event::clear" Event::new() => |it| it.clear();
    "Event::is_set" Event::new() => |it| it.is_set();
    "Event::set" Event::new() => |it| it.set();
    "Event::wait" { let event = Event::new(); event.set(); event } => |it| it.wait();
    "Event::wait_deadline" Event::new() => |it| it.wait_deadline(soon());
    "Event::wait_timeout" Event::new() => |it| it.wait_timeout(SOON);
    "Future for Future" (settled(), Context::from_waker(Waker::noop())) => |it| Pin::new(&mut it.0).poll(&mut it.1);
    "Future::add_done_callback" settled() => |it| it.add_done_callback(|_| {});
    "Future::cancel" settled() => |it| it.cancel();
    "Future::cancelled" settled() => |it| it.cancelled();
    "Future::done" settled() => |it| it.done();
    "Future::exception" settled() => |it| it.exception();
    "Future::exception_deadline" settled() => |it| it.exception_deadline(soon());
    "Future::exception_timeout" settled() => |it| it.exception_timeout(SOON);
    "Future::result" settled() => |it| it.result();
    "Future::result_deadline" settled() => |it| it.result_deadline(soon());
    "Future::result_timeout" settled() => |it| it.result_timeout(SOON);
    "Future::running" settled() => |it| it.running();
    "Future::try_result" settled() => |it| it.try_result();
    "Future::with_result" settled() => |it| it.with_result(|_| ());
    "Iterator for AsCompleted" as_completed([settled()]) => |it| it.next();
    "Iterator for AsCompletedTimeout" as_completed_timeout([settled()], SOON) => |it| it.next();
    "Iterator for IntoIter" full().into_iter() => |it| it.next();
    "Iterator for Iter" kept(full()).iter() => |it| it.next();
    "Iterator for Map" pool().map([1], |n: u8| n) => |it| it.next();
    "Iterator for OwnedIter" Arc::new(full()).into_iter() => |it| it.next();
    "Iterator for TryIter" kept(full()).try_iter() => |it| it.next();
    "JoinHandle::join" thread() => |it| it.join();
    "JoinHandle::join_deadline" thread() => |it| it.join_deadline(soon());
    "JoinHandle::join_timeout" thread() => |it| it.join_timeout(SOON);
    "JoinHandle::is_finished" thread() => |it| it.is_finished();
    "JoinHandle::wait" thread() => |it| it.wait();
    "JoinHandle::wait_deadline" thread() => |it| it.wait_deadline(soon());
    "JoinHandle::wait_timeout" thread() => |it| it.wait_timeout(SOON);
    "Lock::acquire" Lock::new() => |it| it.acquire();
    "Lock::acquire_deadline" Lock::new() => |it| it.acquire_deadline(soon());
    "Lock::acquire_timeout" Lock::new() => |it| it.acquire_timeout(SOON);
    "Lock::is_locked" Lock::new() => |it| it.is_locked();
    "Lock::lock" Lock::new() => |it| it.lock();
    "Lock::lock_deadline" Lock::new() => |it| it.lock_deadline(soon());
    "Lock::lock_timeout" Lock::new() => |it| it.lock_timeout(SOON);
    "Lock::release" Lock::new() => |it| it.release();
    "Lock::try_acquire" Lock::new() => |it| it.try_acquire();
    "Lock::try_lock" Lock::new() => |it| it.try_lock();
    "Mutex::is_locked" Mutex::new(1) => |it| it.is_locked();
    "Mutex::lock" Mutex::new(1) => |it| it.lock();
    "Mutex::lock_deadline" Mutex::new(1) => |it| it.lock_deadline(soon());
    "Mutex::lock_timeout" Mutex::new(1) => |it| it.lock_timeout(SOON);
    "Mutex::try_lock" Mutex::new(1) => |it| it.try_lock();
    "Promise::run" Promise::new() => |it| it.run(|| 1);
    "Promise::set_panic" Promise::<u8>::new() => |it| it.set_panic(Box::new(1));
    "Promise::set_result" Promise::new() => |it| it.set_result(1);
    "Promise::start" Promise::<u8>::new() => |it| it.start();
    "RLock::acquire" RLock::new() => |it| it.acquire();
    "RLock::acquire_restore" { let lock = RLock::new(); lock.acquire(); let saved = lock.release_save().unwrap(); (lock, saved) } => |it| it.0.acquire_restore(it.1);
    "RLock::acquire_deadline" RLock::new() => |it| it.acquire_deadline(soon());
    "RLock::acquire_timeout" RLock::new() => |it| it.acquire_timeout(SOON);
    "RLock::is_locked" RLock::new() => |it| it.is_locked();
    "RLock::lock" RLock::new() => |it| it.lock();
    "RLock::lock_deadline" RLock::new() => |it| it.lock_deadline(soon());
    "RLock::lock_timeout" RLock::new() => |it| it.lock_timeout(SOON);
    "RLock::release_save" { let lock = RLock::new(); lock.acquire(); lock } => |it| it.release_save();
    "RLock::release" { let lock = RLock::new(); lock.acquire(); lock } => |it| it.release();
    "RLock::try_acquire" RLock::new() => |it| it.try_acquire();
    "RLock::try_lock" RLock::new() => |it| it.try_lock();
    "ReentrantMutex::is_locked" ReentrantMutex::new(1) => |it| it.is_locked();
    "ReentrantMutex::lock" ReentrantMutex::new(1) => |it| it.lock();
    "ReentrantMutex::lock_deadline" ReentrantMutex::new(1) => |it| it.lock_deadline(soon());
    "ReentrantMutex::lock_timeout" ReentrantMutex::new(1) => |it| it.lock_timeout(SOON);
    "ReentrantMutex::try_lock" ReentrantMutex::new(1) => |it| it.try_lock();
    "Shared::get" Shared::new(1) => |it| it.get();
    "Shared::set" Shared::new(1) => |it| it.set(2);
    "SimpleQueue::get" simple() => |it| it.get();
    "SimpleQueue::get_deadline" simple() => |it| it.get_deadline(soon());
    "SimpleQueue::get_timeout" simple() => |it| it.get_timeout(SOON);
    "SimpleQueue::is_empty" simple() => |it| it.is_empty();
    "SimpleQueue::len" simple() => |it| it.len();
    "SimpleQueue::n_getters" simple() => |it| it.n_getters();
    "SimpleQueue::put" simple() => |it| it.put(1);
    "SimpleQueue::try_get" simple() => |it| it.try_get();
    "TaskPanic::resume_unwind" panicked() => |it| catch_unwind(AssertUnwindSafe(|| it.resume_unwind()));
    "TaskPanic::take_payload" panicked() => |it| it.take_payload();
    "Thread::spawn" () => |it| Thread::spawn(|| 1);
    "Thread::start" Thread::new(|| 1) => |it| it.start();
    "ThreadHandle::is_finished" thread() => |it| it.is_finished();
    "ThreadHandle::wait" thread() => |it| it.wait();
    "ThreadHandle::wait_deadline" thread() => |it| it.wait_deadline(soon());
    "ThreadHandle::wait_timeout" thread() => |it| it.wait_timeout(SOON);
    "ThreadPoolExecutor::execute" pool() => |it| it.execute(|| {});
    "ThreadPoolExecutor::idle" pool() => |it| it.idle();
    "ThreadPoolExecutor::map" pool() => |it| it.map([1], |n: u8| n);
    "ThreadPoolExecutor::map_buffered" pool() => |it| it.map_buffered(1, [1], |n: u8| n);
    "ThreadPoolExecutor::max_workers" pool() => |it| it.max_workers();
    "ThreadPoolExecutor::pending" pool() => |it| it.pending();
    "ThreadPoolExecutor::resize" pool() => |it| it.resize(2);
    "ThreadPoolExecutor::shutdown" pool() => |it| it.shutdown(ShutdownMode::Drain);
    "ThreadPoolExecutor::shutdown_timeout" pool() => |it| it.shutdown_timeout(ShutdownMode::Drain, SOON);
    "ThreadPoolExecutor::submit" pool() => |it| it.submit(|| {});
    "ThreadPoolExecutor::submit_deadline" pool() => |it| it.submit_deadline(soon(), || {});
    "ThreadPoolExecutor::submit_timeout" pool() => |it| it.submit_timeout(SOON, || {});
    "ThreadPoolExecutor::submit_with" pool() => |it| it.submit_with(Priority(1), || {});
    "ThreadPoolExecutor::try_shutdown" pool() => |it| it.try_shutdown(ShutdownMode::Drain);
    "ThreadPoolExecutor::try_submit" pool() => |it| it.try_submit(|| {});
    "ThreadPoolExecutor::try_submit_with" pool() => |it| it.try_submit_with(Priority(1), || {});
    "ThreadPoolExecutor::workers" pool() => |it| it.workers();
    "Timer::after" () => |it| Timer::after(SOON, || {});
    "Timer::at" () => |it| Timer::at(soon(), || {});
    "Timer::cancel" timer() => |it| it.cancel();
    "Timer::every" () => |it| Timer::every(1_000 * SOON, || {}).cancel();
    "Timer::is_finished" timer() => |it| it.is_finished();
    "Timer::lateness" timer() => |it| it.lateness();
    "Timer::missed" timer() => |it| it.missed();
    "Timer::pending" () => |it| Timer::pending();
    "Timer::runs" timer() => |it| it.runs();
    "Timer::wait" timer() => |it| it.wait();
    "Timer::wait_deadline" timer() => |it| it.wait_deadline(soon());
    "Timer::wait_timeout" timer() => |it| it.wait_timeout(SOON);
    "TimerBuilder::after" Timer::builder() => |it| it.after(SOON, || {}).is_ok();
    "TimerBuilder::at" Timer::builder() => |it| it.at(soon(), || {}).is_ok();
    "TimerBuilder::every" Timer::builder() => |it| it.every(1_000 * SOON, || {}).map(|timer| timer.cancel()).is_ok();
    "AtomicBool::fetch_not" AtomicBool::new(true) => |it| it.fetch_not(SeqCst);
    "AtomicPtr::method" AtomicPtr::<u8>::default() => |it| it.fetch_byte_add(1, SeqCst);
    "Pointer for AtomicPtr" AtomicPtr::<u8>::default() => |it| format!("{it:p}");
    "atomic::compiler_fence" () => |it| raddle::atomic::compiler_fence(SeqCst);
    "atomic::fence" () => |it| raddle::atomic::fence(SeqCst);
    "atomic::method" AtomicU8::new(1) => |it| it.fetch_add(1, SeqCst);
    "future/wait::wait" settled() => |it| raddle::wait([&it], ReturnWhen::AllCompleted).0.len();
    "future/wait::wait_deadline" settled() => |it| raddle::wait_deadline([&it], ReturnWhen::AllCompleted, soon()).0.len();
    "future/wait::wait_timeout" settled() => |it| raddle::wait_timeout([&it], ReturnWhen::AllCompleted, SOON).0.len();
    "name::compare_exchange" AtomicU8::new(1) => |it| it.compare_exchange(1, 2, SeqCst, SeqCst);
    "name::compare_exchange_weak" AtomicU8::new(1) => |it| it.compare_exchange_weak(1, 2, SeqCst, SeqCst);
    "name::fetch_update" AtomicU8::new(1) => |it| it.fetch_update(SeqCst, SeqCst, |n| Some(n + 1));
    "name::try_update" AtomicU8::new(1) => |it| it.try_update(SeqCst, SeqCst, |n| Some(n + 1));
    "name::update" AtomicU8::new(1) => |it| it.update(SeqCst, SeqCst, |n| n + 1);
    "name::load" AtomicU8::new(1) => |it| it.load(SeqCst);
    "name::store" AtomicU8::new(1) => |it| it.store(2, SeqCst);
    "name::swap" AtomicU8::new(1) => |it| it.swap(2, SeqCst);
    "thread/scope::scope" () => |it| thread::scope(|_| ());
    "thread::active_count" () => |it| thread::active_count();
    "thread::enumerate" () => |it| thread::enumerate();
    "time::now" () => |it| time::now();
};

/// Functions that need a scope, or more than an expression.
const SCOPED: Steps = &[
    ("BaseSemaphore::acquire_many", || {
        of_both(|counting| drop(counting.acquire_many(2)), |bounded| drop(bounded.acquire_many(2)))
    }),
    ("BaseSemaphore::release", || of_both(Semaphore::release, |bounded| bounded.release().unwrap())),
    ("BaseSemaphore::release_many", || {
        of_both(|counting| counting.release_many(2).unwrap(), |bounded| bounded.release_many(2).unwrap())
    }),
    ("Debug for Scope", || thread::scope(|scope| count(|| format!("{scope:?}")))),
    ("Debug for ScopedJoinHandle", || {
        thread::scope(|scope| {
            let handle = scope.spawn(|| ());
            count(|| format!("{handle:?}"))
        })
    }),
    ("Debug for JoinTimeoutError", || {
        let event = Arc::new(Event::new());
        let theirs = event.clone();
        let error = Thread::spawn(move || theirs.wait()).join_timeout(Duration::ZERO).unwrap_err();
        let taken = count(|| format!("{error:?}"));
        event.set();
        taken
    }),
    ("ScopedBuilder::spawn", || {
        thread::scope(|scope| count(|| scope.builder().name("named").spawn(|| ()).is_ok()))
    }),
    ("Scope::spawn", || thread::scope(|scope| count(|| scope.spawn(|| ())))),
    ("ScopedJoinHandle::join", || {
        thread::scope(|scope| {
            let handle = scope.spawn(|| ());
            count(|| handle.join())
        })
    }),
    ("ScopedJoinHandle::is_finished", || {
        thread::scope(|scope| {
            let handle = scope.spawn(|| ());
            count(|| handle.is_finished())
        })
    }),
    ("future/completed::as_completed", || count(|| as_completed([settled()]))),
    ("future/completed::as_completed_timeout", || count(|| as_completed_timeout([settled()], SOON))),
    ("ThreadPoolExecutor::scope", || count(|| pool().scope(|_| ()))),
    ("TaskScope::submit", || pool().scope(|scope| count(|| scope.submit(|| ())))),
    ("Debug for TaskScope", || pool().scope(|scope| count(|| format!("{scope:?}")))),
    ("ScopedFuture::cancel", || pool().scope(|scope| scoped(&scope.submit(|| ()), |it| it.cancel()))),
    ("ScopedFuture::done", || pool().scope(|scope| scoped(&scope.submit(|| ()), |it| it.done()))),
    ("ScopedFuture::result", || pool().scope(|scope| scoped(&scope.submit(|| ()), |it| it.result()))),
    ("ScopedFuture::result_timeout", || {
        pool().scope(|scope| scoped(&scope.submit(|| ()), |it| it.result_timeout(SOON)))
    }),
    ("ScopedFuture::try_result", || pool().scope(|scope| scoped(&scope.submit(|| ()), |it| it.try_result()))),
    ("Debug for ScopedFuture", || pool().scope(|scope| scoped(&scope.submit(|| ()), |it| format!("{it:?}")))),
    ("Drop for Future", || {
        let promise = Promise::new();
        let future = promise.future();
        promise.set_result(String::new()).unwrap();
        let _other = future.clone();
        count(|| drop(future))
    }),
    ("Drop for Map", || {
        let pool = pool();
        let mut map = pool.map([1, 2], |n: u8| n);
        map.next();
        count(|| drop(map))
    }),
];

fn scoped<'a, R>(future: &ScopedFuture<'a, ()>, call: impl FnOnce(&ScopedFuture<'a, ()>) -> R) -> usize {
    count(|| call(future))
}

/// Counts a function that each kind of semaphore has of its own, for the kind with fewer steps.
fn of_both(counting: impl FnOnce(&Semaphore), bounded: impl FnOnce(&BoundedSemaphore)) -> usize {
    let (some, out) = (some(), out());
    count(|| counting(&some)).min(count(|| bounded(&out)))
}

/// Functions that take no step, with the reason.
const NONE: &[(&str, &[&str])] = &[
    (
        "makes something that no other thread knows yet",
        &[
            "Barrier::new",
            "Barrier::action",
            "Barrier::timeout",
            "BaseQueue::bounded",
            "BaseQueue::unbounded",
            "BaseSemaphore::new",
            "ThreadPoolBuilder::build",
            "ThreadPoolBuilder::daemon",
            "ThreadPoolBuilder::initializer",
            "ThreadPoolBuilder::max_workers",
            "ThreadPoolBuilder::queue_limit",
            "ThreadPoolBuilder::stack_size",
            "ThreadPoolBuilder::thread_name_prefix",
            "Condition::new",
            "Event::new",
            "Lock::new",
            "Mutex::new",
            "Promise::new",
            "RLock::new",
            "ReentrantMutex::new",
            "Shared::new",
            "SimpleQueue::new",
            "Thread::daemon",
            "Thread::name",
            "Thread::new",
            "Thread::stack_size",
            "ThreadPoolExecutor::builder",
            "ThreadPoolExecutor::new",
            "Timer::builder",
            "TimerBuilder::daemon",
            "TimerBuilder::name",
            "Scope::builder",
            "ScopedBuilder::name",
            "ScopedBuilder::stack_size",
            "Debug for ScopedBuilder",
            "Debug for ThreadPoolBuilder",
            "Debug for Thread",
            "name::new",
            "Map::timeout",
        ],
    ),
    (
        "no other thread can have the object at that moment",
        &[
            "Mutex::get_mut",
            "Mutex::into_inner",
            "ReentrantMutex::get_mut",
            "ReentrantMutex::into_inner",
            "name::get_mut",
            "name::into_inner",
        ],
    ),
    (
        "is for the child of a fork, before it starts a thread",
        &["Lock::reset_after_fork", "RLock::reset_after_fork"],
    ),
    (
        "what the calling thread holds no other thread changes",
        &[
            "RLock::is_mine",
            "RLock::levels",
            "SavedLevels::count",
            "Permit::count",
            "Permit::forget",
            "Debug for Permit",
            "Debug for MutexGuard",
            "Debug for ReentrantMutexGuard",
            "Deref for MutexGuard",
            "Deref for ReentrantMutexGuard",
            "DerefMut for MutexGuard",
            "Display for MutexGuard",
            "Display for ReentrantMutexGuard",
        ],
    ),
    (
        "never changes",
        &[
            "Barrier::parties",
            "Clone for Future",
            "Clone for ThreadPoolExecutor",
            "PartialEq for Future",
            "PartialEq for ThreadHandle",
            "Promise::future",
            "ScopedJoinHandle::thread",
            "JoinHandle::thread",
            "JoinHandle::ident",
            "JoinHandle::is_daemon",
            "JoinHandle::name",
            "ThreadHandle::ident",
            "Timer::is_daemon",
            "Timer::name",
            "thread::current",
            "thread::ident",
            "thread::main_thread",
        ],
    ),
    (
        "never changes for a thread that the program started; the docs say what a timer's runner does",
        &["ThreadHandle::is_daemon", "ThreadHandle::name", "ThreadHandle::native_id"],
    ),
    (
        "begins an iteration; each item is a step",
        &[
            "BaseQueue::iter",
            "BaseQueue::try_iter",
            "BaseQueue::into_iter",
            "IntoIterator for BaseQueue",
            "Debug for AsCompleted",
            "Debug for AsCompletedTimeout",
            "Debug for Map",
            "Drop for AsCompleted",
        ],
    ),
    (
        "an error or a report, which is a value",
        &[
            "CancelledError::into_inner",
            "FutureError::is_cancelled",
            "FutureError::is_panic",
            "GetError::is_empty",
            "GetError::is_shut_down",
            "PutError::into_inner",
            "PutError::is_full",
            "PutError::is_shut_down",
            "ShutDownError::into_inner",
            "JoinTimeoutError::into_inner",
            "SpawnError::into_inner",
            "SpawnError::io_error",
            "SpawnError::name",
            "PartialEq for JoinTimeoutError",
            "PartialEq for ThreadPanic",
            "SubmitError::into_inner",
            "SubmitError::is_full",
            "TaskPanic::message",
            "TaskPanic::thread_name",
            "Thread::into_inner",
            "ThreadPanic::into_payload",
            "ThreadPanic::message",
            "ThreadPanic::thread_name",
            "UnhandledPanic::message",
            "PartialEq for FutureError",
            "PartialEq for TaskPanic",
            "Debug for PutError",
            "Debug for ShutDownError",
            "Debug for SpawnError",
            "Debug for SubmitError",
            "Debug for TaskPanic",
            "Debug for ThreadPanic",
            "Debug for UnhandledPanic",
            "Debug for CancelledError",
            "Display for BrokenBarrierError",
            "Display for BuildError",
            "Display for OwnWorkerError",
            "Display for FutureError",
            "Display for GetError",
            "Display for JoinError",
            "Display for SelfJoinError",
            "Display for JoinTimeoutError",
            "Display for NoPermitsError",
            "Display for NotHeldError",
            "Display for NotOwnerError",
            "Display for PermitError",
            "Display for PutError",
            "Display for ShutDownError",
            "Display for SpawnError",
            "Display for SubmitError",
            "Display for TaskPanic",
            "Display for ThreadPanic",
            "Display for TooManyTasksDoneError",
            "Display for UnfinishedError",
            "Display for UnhandledPanic",
            "Display for CancelledError",
            "Display for ZeroBufferError",
        ],
    ),
    (
        "belongs to the process or to reports, not to the program; its docs say so",
        &[
            "RLock::levels_held",
            "trace::name_with",
            "thread/hook::reset_excepthook",
            "thread/hook::set_excepthook",
        ],
    ),
    ("returns a pointer, accesses through which are documented not to be steps", &["name::as_ptr"]),
    (
        "a step that the scheduler takes for this call alone",
        &["thread::sleep", "thread::yield_now", "time::sleep", "time::sleep_until"],
    ),
    (
        "blocks, and then is a step; others like it are counted here",
        &["Condition::wait", "Condition::wait_for"],
    ),
];

#[test]
fn every_function_is_listed() {
    let listed = TAKE
        .iter()
        .chain(SCOPED)
        .map(|(name, _)| *name)
        .chain(NONE.iter().flat_map(|(_, names)| names.iter().copied()));
    let names: Vec<&str> = listed.collect();
    let found = functions(&sources());
    let known: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), known.len(), "a name is listed twice");
    let new: Vec<_> = found.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(
        new.is_empty(),
        "list these here, with a call that takes a step or the reason why there is none: {new:?}"
    );
    let gone: Vec<_> = known.iter().filter(|name| !found.contains(**name)).collect();
    assert!(gone.is_empty(), "these are no more: {gone:?}");
}

#[test]
fn listed_steps_are_taken() {
    within_limit(|| {
        let without: Vec<&str> = TAKE
            .iter()
            .chain(SCOPED)
            .filter(|(_, call)| counted(*call) == 0)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(without, Vec::<&str>::new());
    });
}

/// In a scope on behalf of a line of another language, no step of the calling thread is reported at another line.
#[test]
fn steps_are_taken_on_behalf_of_a_line() {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    within_limit(|| {
        let line = rt::Place::intern("worker.py", 42, Some("run"));
        let elsewhere = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
        for (name, call) in TAKE.iter().chain(SCOPED) {
            let seen = elsewhere.clone();
            let point = move |op: Op| {
                if INSIDE.get() && op.at != line {
                    seen.lock().unwrap().insert((*name, op.at));
                }
            };
            let wait = |_| WaitOutcome::TimedOut;
            under(
                Misbehavior { point: Some(Box::new(point)), wait: Some(Box::new(wait)), run: None },
                || {
                    INSIDE.set(true);
                    rt::on_behalf_of(line, call);
                    INSIDE.set(false);
                },
            );
        }
        assert_eq!(*elsewhere.lock().unwrap(), BTreeSet::new());
    });
}

/// The `try_` forms, called while another thread holds the object, or while a queue is empty or full.
#[test]
fn try_forms_never_block() {
    within_limit(|| {
        // Held by a thread that is not under the scheduler.
        let parts = Arc::new((RLock::new(), ReentrantMutex::new(0), Event::new(), Event::new()));
        let holder = Thread::spawn({
            let parts = parts.clone();
            move || {
                let _held = (parts.0.lock(), parts.1.lock());
                parts.2.set();
                parts.3.wait();
            }
        });
        parts.2.wait();
        let wait = |_| -> WaitOutcome { panic!("it waits") };
        under(Misbehavior { point: None, wait: Some(Box::new(wait)), run: None }, || {
            let (rlock, reentrant) = (&parts.0, &parts.1);
            assert!(!rlock.try_acquire() && rlock.try_lock().is_none() && reentrant.try_lock().is_none());
            let (lock, mutex) = (Lock::new(), Mutex::new(0));
            let _held = (lock.lock(), mutex.lock());
            assert!(!lock.try_acquire() && lock.try_lock().is_none() && mutex.try_lock().is_none());

            let (semaphore, bounded) = (Semaphore::new(1), BoundedSemaphore::new(1));
            let _permits = (semaphore.acquire(), bounded.acquire());
            assert!(semaphore.try_acquire().is_none() && semaphore.try_acquire_many(2).is_none());
            assert!(bounded.try_acquire().is_none() && bounded.try_acquire_many(1).is_none());

            let queue = Queue::bounded(1);
            assert!(queue.try_get().is_err() && queue.try_get_many(2).is_empty());
            assert!(queue.try_iter().next().is_none());
            queue.put(1).unwrap();
            assert!(queue.try_put(2).is_err() && queue.try_put_many([2, 3]).is_err());
            assert!(SimpleQueue::<u8>::new().try_get().is_none());

            let promise = Promise::<u8>::new();
            assert!(promise.future().try_result().is_err());
            assert!(promise.future().with_result(|result| result.is_err()));
        });
        parts.3.set();
        holder.join().unwrap();
    });
}
