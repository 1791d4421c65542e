//! The toolkit in use: every name and form that a program is likely to use, in one file.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::rt::{self, Kind, Op};
use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, Future, LifoQueue, Lock, Mutex, Priority, PriorityQueue,
    Queue, RLock, ReentrantMutex, ReturnWhen, Semaphore, Shared, ShutdownMode, SimpleQueue, Thread,
    ThreadPoolExecutor, Timer, thread, trace,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn threads() -> Outcome {
    let answer = Thread::spawn(|| 6 * 7);
    assert_eq!(answer.join()?, 42);
    let stop = Arc::new(Event::new());
    let poll = {
        let stop = stop.clone();
        move || stop.wait()
    };
    let poller = Thread::new(poll).name("poller").daemon(true).stack_size(64 << 10).start()?;
    assert!(!poller.wait_timeout(Duration::ZERO), "{} is still alive", poller.name());
    stop.set();
    assert!(poller.wait_timeout(60 * SECOND));
    let (left, right) = (vec![1, 2], vec![3, 4]);
    let sum = |numbers: &[i32]| numbers.iter().sum::<i32>();
    let sums = thread::scope(|s| {
        let (left, right) = (s.spawn(|| sum(&left)), s.spawn(|| sum(&right)));
        (left.join().unwrap(), right.join().unwrap())
    });
    assert_eq!(sums, (3, 7));
    assert!(thread::enumerate().len() <= thread::active_count() + 100);
    thread::sleep(Duration::from_millis(1));
    assert!(!thread::current().name().is_empty());
    Ok(())
}

#[test]
fn pools() -> Outcome {
    let pool = ThreadPoolExecutor::new(3);
    let lengths: Vec<usize> =
        pool.map(["a", "bb", "ccc"], |url: &str| url.len()).collect::<Result<_, _>>()?;
    assert_eq!(lengths, [1, 2, 3]);

    let page: Future<usize> = pool.submit(|| 7);
    let logged = Arc::new(AtomicUsize::new(0));
    let log = logged.clone();
    page.add_done_callback(move |page| log.store(page.with_result(|page| *page.unwrap()), Relaxed));
    assert_eq!(page.result_timeout(60 * SECOND)?, 7);
    assert!(!page.cancel());
    raddle::wait([&page], ReturnWhen::AllCompleted);
    assert_eq!(logged.load(Relaxed), 7);

    let futures: Vec<_> = (0..4).map(|number| pool.submit(move || number)).collect();
    let (done, pending) = raddle::wait(&futures, ReturnWhen::FirstCompleted);
    assert_eq!((done.is_empty(), done.len() + pending.len()), (false, 4));
    let mut numbers = Vec::new();
    for future in raddle::as_completed(futures) {
        numbers.push(future.result()?);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);

    let connected = Arc::new(AtomicUsize::new(0));
    let connect = {
        let connected = connected.clone();
        move || {
            connected.fetch_add(1, Relaxed);
        }
    };
    let builder = ThreadPoolExecutor::builder().max_workers(8).thread_name_prefix("db").queue_limit(1_000);
    let pool = builder.initializer(connect).build()?;
    let (data, total) = ([1, 2, 3, 4, 5], AtomicUsize::new(0));
    pool.scope(|s| {
        for chunk in data.chunks(2) {
            let total = &total;
            s.submit(move || total.fetch_add(chunk.iter().sum(), Relaxed));
        }
    });
    assert_eq!(total.into_inner(), 15);
    assert_eq!(
        pool.submit_with(Priority(9), || thread::current().name()).result()?.split('_').next(),
        Some("db")
    );
    assert!(connected.load(Relaxed) > 0);
    pool.resize(16);
    pool.shutdown(ShutdownMode::CancelPending)?;
    Ok(())
}

/// Counts what each thread allocates.
struct Counting;

thread_local!(static ALLOCATIONS: Cell<usize> = const { Cell::new(0) });

// SAFETY: the operating system's allocator does all of it.
#[expect(unsafe_code, reason = "an allocator that counts")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract, and the memory is from this allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Returns how often the calling thread allocates while it submits a thousand such closures.
fn allocations<const WORDS: usize>(pool: &ThreadPoolExecutor) -> usize {
    let (go, ran) = (Arc::new(Event::new()), Arc::new(Semaphore::new(0)));
    let held = go.clone();
    pool.execute(move || held.wait()).unwrap();
    let before = ALLOCATIONS.get();
    for _ in 0..1_000 {
        let (ran, captured) = (ran.clone(), [7_usize; WORDS]);
        pool.execute(move || ran.release_many(captured.len()).unwrap()).unwrap();
    }
    let counted = ALLOCATIONS.get() - before;
    go.set();
    ran.acquire_many(1_000 * WORDS).forget();
    counted
}

#[test]
fn predicate_of_a_step_is_not_called_without_a_scheduler() {
    let word = AtomicU32::new(0);
    let op = Op::new(&word, "word", Kind::Await);
    rt::point_until(op, None, &word, || panic!("it is called"));
}

struct Unshown;

impl std::fmt::Display for Unshown {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("it is formatted")
    }
}

#[test]
fn note_is_not_formatted_while_nothing_records() {
    trace::note("value", Unshown);
}

#[test]
fn small_closure_is_queued_without_an_allocation() {
    let pool = ThreadPoolExecutor::new(1);
    // In the first rounds, the queue allocates the capacity that it keeps.
    assert_eq!((0..10).map(|_| allocations::<2>(&pool)).min(), Some(0));
    assert!((0..3).all(|_| allocations::<3>(&pool) >= 1_000), "the allocator does not count");
}

#[test]
fn locks() -> Outcome {
    static TOTAL: Mutex<u64> = Mutex::new(0);
    *TOTAL.lock() += 1;
    assert!(TOTAL.try_lock().is_some() && TOTAL.lock_timeout(SECOND).is_some());

    let lock = Arc::new(Lock::new());
    {
        let _held = lock.lock();
        assert!(!lock.try_acquire());
    }
    lock.acquire();
    let other = lock.clone();
    Thread::spawn(move || other.release()).join()??;
    let again = RLock::new();
    let _levels = (again.lock(), again.lock());
    assert!(ReentrantMutex::new(()).try_lock().is_some());

    let (shared, ready) = (Mutex::new(Vec::new()), Condition::new());
    thread::scope(|s| {
        s.spawn(|| {
            let mut items = shared.lock();
            items.push(1);
            ready.notify_one(&items);
        });
        let mut items = shared.lock();
        ready.wait_for(&mut items, |items| !items.is_empty());
    });

    let connections = BoundedSemaphore::new(3);
    {
        let _permit = connections.acquire();
        assert!(connections.acquire_timeout(SECOND).is_some());
    }
    connections.acquire().forget();
    connections.release()?;
    assert!(connections.release().is_err());
    drop(Semaphore::new(2).acquire_many(2));

    let go = Event::new();
    go.set();
    assert!(go.is_set() && go.wait_timeout(SECOND));
    go.clear();
    let start = Barrier::new(1).action(|| ());
    assert_eq!(start.wait()?, 0);
    start.abort();
    start.reset();

    let alarm = Timer::after(30 * SECOND, || ());
    assert!(alarm.cancel() && alarm.lateness().is_none());
    assert!(Timer::every(30 * SECOND, || ()).cancel());
    let racy = Shared::new(1);
    racy.set(racy.get() + 1);
    Ok(())
}

#[test]
fn queues() -> Outcome {
    let queue = Queue::bounded(10);
    queue.put(1)?;
    queue.try_put(2)?;
    queue.put_timeout(3, SECOND)?;
    assert_eq!(queue.get()?, 1);
    queue.task_done()?;
    assert_eq!(queue.get_many(1_000, Duration::ZERO), [2, 3]);
    queue.tasks_done(2)?;
    queue.join();
    queue.put(4)?;
    queue.shutdown();
    let mut rest = Vec::new();
    for message in &queue {
        rest.push(message);
    }
    assert_eq!(rest, [4]);
    assert!(queue.shutdown_now().is_empty());

    let (stack, ranked, simple) = (LifoQueue::unbounded(), PriorityQueue::unbounded(), SimpleQueue::new());
    for number in [2, 1, 3] {
        stack.put(number)?;
        ranked.put(number)?;
        simple.put(number);
    }
    assert_eq!((stack.get()?, ranked.get()?, simple.get()), (3, 1, 2));
    Ok(())
}

/// The auto traits of every public type are part of the interface, and a private field can change them.
mod traits {
    use std::cell::Cell;
    use std::collections::BTreeSet;
    use std::marker::PhantomData;
    use std::panic::{RefUnwindSafe, UnwindSafe};
    use std::path::Path;
    use std::rc::Rc;

    use raddle::{atomic, future, pool, queue, rt, thread, timer, watch};

    use crate::modules::{read, tokens};

    type Items = std::vec::IntoIter<u8>;

    /// The constant that applies where the inherent one of [`Is`] does not.
    trait Otherwise {
        const ANSWER: bool = false;
    }

    /// `Is<T, N>::ANSWER` is whether `T`, a type without parameters, implements the trait of number `N`.
    struct Is<T, const TRAIT: usize>(PhantomData<T>);

    impl<T, const TRAIT: usize> Otherwise for Is<T, TRAIT> {}

    macro_rules! traits {
        ($($number:literal $trait:ident),*) => {
            $(impl<T: $trait> Is<T, $number> {
                const ANSWER: bool = true;
            })*

            macro_rules! auto_traits {
                ($type:ty) => {
                    names([$((stringify!($trait), <Is<$type, $number>>::ANSWER)),*])
                };
            }
        };
    }

    traits!(0 Send, 1 Sync, 2 Unpin, 3 UnwindSafe, 4 RefUnwindSafe);

    fn names(all: [(&str, bool); 5]) -> String {
        let names: Vec<_> = all.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        names.join(" ")
    }

    macro_rules! table {
        ($($name:literal $type:ty => $traits:expr,)*) => {
            vec![$(($name, auto_traits!($type), $traits)),*]
        };
    }

    /// `module::Type`, the type with parameters that do not matter, its auto traits.
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_type() -> Vec<(&'static str, String, &'static str)> {
        table! {
            "lock::Lock" raddle::Lock => ALL,
            "lock::LockGuard" raddle::LockGuard<'_> => ALL,
            "lock::NotHeldError" raddle::NotHeldError => ALL,
            "condition::Condition" raddle::Condition => ALL,
            "rlock::RLock" raddle::RLock => ALL,
            "lock::LockGuard" raddle::RLockGuard<'_> => "Unpin UnwindSafe RefUnwindSafe",
            "rlock::NotOwnerError" raddle::NotOwnerError => ALL,
            "rlock::SavedLevels" raddle::SavedLevels => ALL,
            "held::Unguarded" raddle::Unguarded<'_, raddle::RLock> => ALL,
            "reentrant::ReentrantMutex" raddle::ReentrantMutex<u8> => ALL,
            "reentrant::ReentrantMutexGuard" raddle::ReentrantMutexGuard<'_,u8> => "Unpin UnwindSafe RefUnwindSafe",
            "event::Event" raddle::Event => ALL,
            "barrier::Barrier" raddle::Barrier<'_> => ALL,
            "barrier::BrokenBarrierError" raddle::BrokenBarrierError => ALL,
            "shared::Shared" raddle::Shared<u8> => ALL,
            "semaphore::BaseSemaphore" raddle::Semaphore => ALL,
            "semaphore::Bounded" raddle::semaphore::Bounded => ALL,
            "semaphore::Counting" raddle::semaphore::Counting => ALL,
            "semaphore::PermitError" raddle::PermitError => ALL,
            "semaphore::Permit" raddle::Permit<'_> => ALL,
            "semaphore::NoPermitsError" raddle::NoPermitsError => ALL,
            "mutex::Mutex" raddle::Mutex<u8> => ALL,
            "mutex::MutexGuard" raddle::MutexGuard<'_,u8> => "Sync Unpin UnwindSafe RefUnwindSafe",
            "thread::JoinHandle" thread::JoinHandle<u8> => ALL,
            "thread::ThreadPanic" thread::ThreadPanic => ALL,
            "thread::JoinError" thread::JoinError => ALL,
            "thread::JoinTimeoutError" thread::JoinTimeoutError<u8> => ALL,
            "thread::Thread" thread::Thread<fn()> => ALL,
            "thread::SpawnError" thread::SpawnError<fn()> => ALL,
            "thread::UnhandledPanic" thread::UnhandledPanic<'_> => "Unpin",
            "thread::Scope" thread::Scope<'_, '_> => "Send Sync Unpin RefUnwindSafe",
            "thread::ScopedBuilder" thread::ScopedBuilder<'_, '_> => ALL,
            "thread::ScopedJoinHandle" thread::ScopedJoinHandle<'_, u8> => ALL,
            "thread::ThreadHandle" thread::ThreadHandle => ALL,
            "thread::SelfJoinError" thread::SelfJoinError => ALL,
            "queue::SimpleQueue" queue::SimpleQueue<u8> => ALL,
            "queue::Fifo" queue::Fifo => ALL,
            "queue::Lifo" queue::Lifo => ALL,
            "queue::SmallestFirst" queue::SmallestFirst => ALL,
            "queue::BaseQueue" queue::BaseQueue<u8, queue::Fifo> => ALL,
            "queue::ShutDownError" queue::ShutDownError => ALL,
            "queue::PutError" queue::PutError<u8> => ALL,
            "queue::GetError" queue::GetError => ALL,
            "queue::TooManyTasksDoneError" queue::TooManyTasksDoneError => ALL,
            "queue::Iter" queue::Iter<'_, u8, queue::Fifo> => ALL,
            "queue::TryIter" queue::TryIter<'_, u8, queue::Fifo> => ALL,
            "queue::OwnedIter" queue::OwnedIter<u8, queue::Fifo> => ALL,
            "queue::IntoIter" queue::IntoIter<u8, queue::Fifo> => ALL,
            "pool::ThreadPoolBuilder" pool::ThreadPoolBuilder => ALL,
            "pool::SubmitError" pool::SubmitError<fn()> => ALL,
            "pool::OwnWorkerError" pool::OwnWorkerError => ALL,
            "pool::BuildError" pool::BuildError => ALL,
            "pool::ZeroBufferError" pool::ZeroBufferError => ALL,
            "pool::TaskScope" pool::TaskScope<'_, '_> => "Send Sync Unpin RefUnwindSafe",
            "pool::ScopedFuture" pool::ScopedFuture<'_, u8> => ALL,
            "pool::ShutdownMode" pool::ShutdownMode => ALL,
            "pool::Map" pool::Map<Items, fn(u8) -> u8, u8> => ALL,
            "pool::Priority" pool::Priority => ALL,
            "pool::ThreadPoolExecutor" pool::ThreadPoolExecutor => ALL,
            "rt::Step" rt::Step => ALL,
            "rt::Recording" rt::Recording => ALL,
            "rt::Abandoned" rt::Abandoned => ALL,
            "rt::Entered" rt::Entered => "Unpin",
            "rt::Memory" rt::Memory => ALL,
            "rt::LocalsImage" rt::LocalsImage => "Unpin UnwindSafe RefUnwindSafe",
            "watch::Action" watch::Action => ALL,
            "rt::Object" rt::Object => ALL,
            "rt::Effect" rt::Effect => ALL,
            "rt::Kind" rt::Kind => ALL,
            "rt::Op" rt::Op => ALL,
            "rt::Place" rt::Place => ALL,
            "rt::Unwinding" rt::Unwinding => "Unpin UnwindSafe RefUnwindSafe",
            "rt::LockId" rt::LockId => ALL,
            "rt::Wait" rt::Wait<'_> => "Unpin",
            "rt::WaitOutcome" rt::WaitOutcome => ALL,
            "rt::Program" rt::Program => ALL,
            "watch::Dump" watch::Dump => ALL,
            "watch::ThreadState" watch::ThreadState => ALL,
            "watch::WaitState" watch::WaitState => ALL,
            "watch::Holder" watch::Holder => ALL,
            "watch::HoldState" watch::HoldState => ALL,
            "watch::Finding" watch::Finding => ALL,
            "watch::Report" watch::Report => ALL,
            "watch::Order" watch::Order => ALL,
            "watch::Watch" watch::Watch => ALL,
            "future::AsCompleted" future::AsCompleted<u8> => ALL,
            "future::AsCompletedTimeout" future::AsCompletedTimeout<u8> => ALL,
            "future::UnfinishedError" future::UnfinishedError => ALL,
            "future::ReturnWhen" future::ReturnWhen => ALL,
            "future::Promise" future::Promise<u8> => ALL,
            "future::CancelledError" future::CancelledError<u8> => ALL,
            "future::FutureError" future::FutureError => ALL,
            "future::TaskPanic" future::TaskPanic => ALL,
            "future::Future" future::Future<u8> => ALL,
            "timer::TimerBuilder" timer::TimerBuilder => ALL,
            "timer::Timer" timer::Timer => ALL,
            "atomic::AtomicBool" atomic::AtomicBool => ALL,
            "atomic::AtomicI8" atomic::AtomicI8 => ALL,
            "atomic::AtomicU8" atomic::AtomicU8 => ALL,
            "atomic::AtomicI16" atomic::AtomicI16 => ALL,
            "atomic::AtomicU16" atomic::AtomicU16 => ALL,
            "atomic::AtomicI32" atomic::AtomicI32 => ALL,
            "atomic::AtomicU32" atomic::AtomicU32 => ALL,
            "atomic::AtomicI64" atomic::AtomicI64 => ALL,
            "atomic::AtomicU64" atomic::AtomicU64 => ALL,
            "atomic::AtomicIsize" atomic::AtomicIsize => ALL,
            "atomic::AtomicUsize" atomic::AtomicUsize => ALL,
            "atomic::AtomicPtr" atomic::AtomicPtr<u8> => ALL,
        }
    }

    /// All of the auto traits.
    const ALL: &str = "Send Sync Unpin UnwindSafe RefUnwindSafe";

    /// Public types that no program can name.
    const UNNAMED: [&str; 1] = ["queue::Heap"];

    #[test]
    fn auto_traits_are_as_listed() {
        let wrong: Vec<_> =
            every_type().into_iter().filter(|(_, traits, promised)| traits != promised).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn every_type_is_listed() {
        let known: BTreeSet<_> = every_type()
            .iter()
            .map(|(name, ..)| (*name).to_owned())
            .chain(UNNAMED.map(str::to_owned))
            .collect();
        let sources = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        let mut found = BTreeSet::new();
        for (file, text) in &sources {
            let module = file.split(['/', '.']).next().expect("a first part");
            let module = if module == "sys" { "rt" } else { module };
            let tokens = tokens(text);
            for at in 0..tokens.len().saturating_sub(2) {
                // Not `pub(crate) struct`; what is `pub` in a private module must be reachable (`unreachable_pub`).
                if tokens[at] == "pub" && matches!(tokens[at + 1], "struct" | "enum" | "union") {
                    found.insert(format!("{module}::{}", tokens[at + 2]));
                }
                // Made by a macro.
                if module == "atomic" && tokens[at].starts_with("Atomic") {
                    found.insert(format!("{module}::{}", tokens[at]));
                }
            }
        }
        found.remove("atomic::$"); // the macro itself
        let missing: Vec<_> = found.difference(&known).collect();
        assert!(missing.is_empty(), "list these here, with their auto traits: {missing:?}");
        let gone: Vec<_> = known.difference(&found).collect();
        assert!(gone.is_empty(), "these are no more: {gone:?}");
    }

    /// With a parameter, the traits depend on it as those of the standard library's type do.
    #[test]
    fn auto_traits_depend_on_parameters_as_in_std() {
        macro_rules! same {
            ($($parameter:ty),*) => {$(
                assert_eq!(
                    auto_traits!(raddle::Mutex<$parameter>),
                    auto_traits!(std::sync::Mutex<$parameter>),
                    "of {}", stringify!($parameter),
                );
            )*};
        }
        same!(u8, Cell<u8>, Rc<u8>, &'static mut u8, &'static Cell<u8>);
        assert_eq!(auto_traits!(raddle::Condition), auto_traits!(std::sync::Condvar));
        assert_eq!(auto_traits!(raddle::Barrier<'_>), auto_traits!(std::sync::Barrier));
        assert_eq!(auto_traits!(raddle::MutexGuard<'_, u8>), auto_traits!(std::sync::MutexGuard<'_, u8>));
        assert_eq!(
            auto_traits!(raddle::MutexGuard<'_, Cell<u8>>),
            auto_traits!(std::sync::MutexGuard<'_, Cell<u8>>)
        );
        assert_eq!(auto_traits!(thread::Scope<'_, '_>), auto_traits!(std::thread::Scope<'_, '_>));
        // As those of the standard library's re-entrant lock, which is not stable.
        assert_eq!(auto_traits!(raddle::ReentrantMutex<Cell<u8>>), "Send Sync Unpin UnwindSafe");
        assert_eq!(auto_traits!(raddle::ReentrantMutex<Rc<u8>>), "Unpin UnwindSafe RefUnwindSafe");
        // Types that pass values from thread to thread.
        assert_eq!(auto_traits!(raddle::Queue<Cell<u8>>), ALL);
        assert_eq!(auto_traits!(raddle::Queue<Rc<u8>>), "Unpin UnwindSafe RefUnwindSafe");
        assert_eq!(auto_traits!(raddle::Future<Cell<u8>>), ALL);
        assert_eq!(auto_traits!(raddle::Future<Rc<u8>>), "Unpin UnwindSafe RefUnwindSafe");
        assert_eq!(auto_traits!(raddle::Promise<Rc<u8>>), "Unpin UnwindSafe RefUnwindSafe");
        assert_eq!(auto_traits!(raddle::Shared<Rc<u8>>), "Unpin UnwindSafe RefUnwindSafe");
    }

    #[test]
    #[expect(clippy::mutable_key_type, reason = "the hash is that of a number which never changes")]
    fn errors_implement_error_and_handles_are_hashable() {
        fn error<E: std::error::Error + Send + Sync + 'static>() {}
        error::<raddle::NotHeldError>();
        error::<raddle::NotOwnerError>();
        error::<raddle::BrokenBarrierError>();
        error::<raddle::PermitError>();
        error::<raddle::NoPermitsError>();
        error::<thread::ThreadPanic>();
        error::<thread::JoinError>();
        error::<thread::JoinTimeoutError<u8>>();
        error::<thread::SelfJoinError>();
        error::<thread::SpawnError<fn()>>();
        error::<queue::ShutDownError>();
        error::<queue::PutError<u8>>();
        error::<queue::GetError>();
        error::<queue::TooManyTasksDoneError>();
        error::<pool::SubmitError<fn()>>();
        error::<pool::OwnWorkerError>();
        error::<pool::BuildError>();
        error::<pool::ZeroBufferError>();
        error::<future::UnfinishedError>();
        error::<future::CancelledError<u8>>();
        error::<future::FutureError>();
        error::<future::TaskPanic>();
        let (me, other) = (thread::current(), raddle::Thread::spawn(|| ()));
        let threads = std::collections::HashSet::from([me.clone(), other.thread().clone(), me]);
        assert_eq!(threads.len(), 2);
        other.join().unwrap();
    }
}
