//! The toolkit as its user writes it: every name and form that a program is likely to use, in one place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, Future, LifoQueue, Lock, Mutex, Priority, PriorityQueue,
    Queue, RLock, ReentrantMutex, ReturnWhen, Semaphore, Shared, Shutdown, SimpleQueue, Thread,
    ThreadPoolExecutor, Timer, thread,
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
    pool.shutdown(Shutdown::CancelPending)?;
    Ok(())
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
        let _permit = connections.permit();
        assert!(connections.permit_timeout(SECOND).is_some());
    }
    connections.acquire();
    connections.release()?;
    assert!(connections.release().is_err());
    Semaphore::new(2).acquire_many(2);

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
