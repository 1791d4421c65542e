//! Behavior while the operating system cannot start threads. Each scenario is a process of its own, in which
//! `pthread_create` fails on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::pool::SubmitError;
use raddle::{Barrier, Event, Future, Priority, Promise, Thread, ThreadPoolExecutor, Timer, thread};

use crate::child::{Scenario, Test, ended, find, test};
use crate::support::{finish, until, within_limit};

/// Whether thread creation fails.
static NO_THREADS: AtomicBool = AtomicBool::new(false);
/// The number of failed thread creations.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

type Run = extern "C" fn(*mut libc::c_void) -> *mut libc::c_void;
type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    Run,
    *mut libc::c_void,
) -> libc::c_int;

/// Replaces the function of the C library.
// SAFETY: it has the C library's signature, and nothing else in the program has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    run: Run,
    argument: *mut libc::c_void,
) -> libc::c_int {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    if NO_THREADS.load(SeqCst) {
        REFUSED.fetch_add(1, SeqCst);
        return libc::EAGAIN;
    }
    if REAL.load(SeqCst) == 0 {
        // SAFETY: the name ends with a NUL.
        let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
        REAL.store(real as usize, SeqCst);
    }
    // SAFETY: this is the address of the C library's function, which has this signature.
    let real: Create = unsafe { std::mem::transmute(REAL.load(SeqCst)) };
    // SAFETY: the caller upholds the function's contract.
    unsafe { real(thread, attributes, run, argument) }
}

/// Makes thread creation fail from now on.
fn no_threads() {
    NO_THREADS.store(true, SeqCst);
}

/// Lets thread creation succeed again, after `times` more failures.
fn threads_again_after(times: usize) {
    let before = REFUSED.load(SeqCst);
    until(|| REFUSED.load(SeqCst) >= before + times);
    NO_THREADS.store(false, SeqCst);
}

/// Keeps one worker of the pool busy until the event is set.
fn busy(pool: &ThreadPoolExecutor) -> (Arc<Event>, Future<()>) {
    let (begun, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let task = pool.submit({
        let (begun, go) = (begun.clone(), go.clone());
        move || {
            begun.set();
            go.wait();
        }
    });
    begun.wait();
    (go, task)
}

/// A way to submit a task.
type Submit = fn(&ThreadPoolExecutor, Box<dyn FnOnce() + Send>);

const WAYS: [Submit; 5] = [
    |pool, task| drop(pool.submit(task)),
    |pool, task| drop(pool.submit_with(Priority(3), task)),
    |pool, task| drop(pool.try_submit(task).unwrap()),
    |pool, task| pool.execute(task).unwrap(),
    |pool, task| drop(pool.submit_timeout(Duration::MAX, task).unwrap()),
];

/// For each way, the only worker waits for a task for which no worker was free.
fn waiting_task_gets_a_worker_later() {
    for submit in WAYS {
        NO_THREADS.store(false, SeqCst);
        let pool = ThreadPoolExecutor::new(4);
        let (go, task) = busy(&pool);
        no_threads();
        submit(&pool, Box::new(move || go.set()));
        assert_eq!(pool.workers(), 1);
        threads_again_after(3);
        task.result().unwrap();
    }
}

fn workers_start_once_threads_are_available() {
    let pool = ThreadPoolExecutor::new(5);
    let (go, task) = busy(&pool);
    no_threads();
    let meeting = Arc::new(Barrier::new(4));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let meeting = meeting.clone();
            pool.submit(move || meeting.wait().unwrap())
        })
        .collect();
    threads_again_after(3);
    assert_eq!(tasks.iter().map(|task| task.result().unwrap()).sum::<usize>(), 6);
    go.set();
    task.result().unwrap();
}

fn resize_returns_and_workers_start_later() {
    let pool = ThreadPoolExecutor::new(1);
    let meeting = Arc::new(Barrier::new(4));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let meeting = meeting.clone();
            pool.submit(move || meeting.wait().unwrap())
        })
        .collect();
    no_threads();
    pool.resize(8);
    assert_eq!((pool.workers(), pool.max_workers()), (1, 8));
    threads_again_after(3);
    assert_eq!(tasks.iter().map(|task| task.result().unwrap()).sum::<usize>(), 6);
}

fn blocked_submit_is_accepted_later() {
    let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(2).queue_limit(0).build().unwrap());
    let (go, task) = busy(&pool);
    let start = Arc::new(Event::new());
    let third = Thread::spawn({
        let (pool, start) = (pool.clone(), start.clone());
        move || {
            start.wait();
            pool.submit(|| 3).result().unwrap()
        }
    });
    no_threads();
    let second = pool.submit(move || go.set());
    start.set();
    threads_again_after(3);
    second.result().unwrap();
    task.result().unwrap();
    assert_eq!(finish(third), 3);
}

fn submit_without_any_worker_is_an_error() {
    let pool = ThreadPoolExecutor::new(2);
    no_threads();
    assert!(matches!(pool.submit(|| ()).result(), Err(FutureError::Spawn(_))));
    assert!(matches!(pool.execute(|| ()), Err(SubmitError::Spawn(..))));
    let error = pool.try_submit(|| 5).unwrap_err();
    assert_eq!(error.into_inner()(), 5);
    let mapped: Vec<_> = pool.map(0..3, |n| n).collect();
    assert!(mapped.iter().all(|result| matches!(result, Err(FutureError::Spawn(_)))));
    let scope = || pool.scope(|s| s.submit(|| ()).result());
    assert!(matches!(scope(), Err(FutureError::Spawn(_))));
    assert_eq!((pool.workers(), pool.pending()), (0, 0));
    NO_THREADS.store(false, SeqCst);
    assert_eq!(pool.submit(|| 6).result().unwrap(), 6);
}

/// The program ends while its only worker has called `exit` and cannot be replaced yet.
fn accepted_tasks_run_after_a_worker_is_lost() {
    static POOL: std::sync::LazyLock<ThreadPoolExecutor> =
        std::sync::LazyLock::new(|| ThreadPoolExecutor::new(1));
    let (go, _task) = busy(&POOL);
    drop(POOL.submit(|| {
        no_threads();
        std::process::exit(0)
    }));
    for _ in 0..3 {
        POOL.execute(|| println!("ran")).unwrap();
    }
    let helper = Thread::new(|| {
        until(|| NO_THREADS.load(SeqCst));
        threads_again_after(3);
    });
    drop(helper.daemon(true).start().unwrap());
    go.set();
    Event::new().wait();
}

fn deadlocked_worker_waits_for_a_missing_worker() {
    let pool = Arc::new(ThreadPoolExecutor::new(2));
    let (release, released) = (Arc::new(Event::new()), Promise::new());
    let answer = released.future();
    let helper = Thread::spawn({
        let release = release.clone();
        move || {
            release.wait();
            threads_again_after(3);
        }
    });
    let outer = pool.submit({
        let pool = pool.clone();
        move || {
            no_threads();
            let inner = pool.submit(|| 7);
            release.set();
            released.set_result(()).unwrap();
            inner.result()
        }
    });
    answer.result().unwrap();
    assert_eq!(outer.result().unwrap().unwrap(), 7);
    finish(helper);
}

fn deadlocked_worker_fails_after_a_while() {
    let pool = Arc::new(ThreadPoolExecutor::new(2));
    let outer = pool.submit({
        let pool = pool.clone();
        move || {
            no_threads();
            let inner = pool.submit(|| 7);
            (inner.result(), inner)
        }
    });
    let (result, inner) = outer.result().unwrap();
    assert!(matches!(result, Err(FutureError::Deadlock)), "{result:?}");
    assert_eq!(inner.result().unwrap(), 7, "by the worker that is free now");
}

fn late_timer_is_reported_once_and_runs_later() {
    let reports = Arc::new(AtomicUsize::new(0));
    thread::set_excepthook({
        let reports = reports.clone();
        move |report| {
            let text = report.to_string();
            assert!(text.starts_with("timer \"tea\" is delayed: failed to start a thread"), "{text}");
            reports.fetch_add(1, SeqCst);
        }
    });
    let first = Timer::after(Duration::from_secs(1000), || ()); // so that the service runs
    no_threads();
    let (ran, run) = (Arc::new(Event::new()), Timer::builder().name("tea"));
    let set = ran.clone();
    let tea = run.after(Duration::ZERO, move || set.set()).unwrap();
    until(|| reports.load(SeqCst) == 1);
    threads_again_after(5);
    ran.wait();
    tea.wait().unwrap();
    assert_eq!(reports.load(SeqCst), 1);
    assert!(tea.lateness().unwrap() >= Duration::from_millis(10));
    first.cancel();
}

/// Four threads submit tasks while thread creation fails now and then. Each accepted task runs once.
fn no_accepted_task_is_lost() {
    let pool = Arc::new(ThreadPoolExecutor::new(4));
    let (ran, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let toggle = Thread::spawn({
        let over = over.clone();
        move || {
            while !over.load(SeqCst) {
                NO_THREADS.fetch_xor(true, SeqCst);
                thread::sleep(Duration::from_micros(300));
            }
            NO_THREADS.store(false, SeqCst);
        }
    });
    let submitter = |_| {
        let (pool, ran) = (pool.clone(), ran.clone());
        move || {
            let mut accepted = 0;
            for n in 0..2_000 {
                let ran = ran.clone();
                let task = move || {
                    ran.fetch_add(1, SeqCst);
                };
                if n % 100 == 0 {
                    pool.resize(1 + n / 100 % 4);
                }
                if n % 2 == 0 {
                    accepted += usize::from(pool.execute(task).is_ok());
                } else {
                    accepted += usize::from(pool.submit(task).result().is_ok());
                }
            }
            accepted
        }
    };
    let accepted: usize = thread::scope(|s| {
        let submitters: Vec<_> = (0..4)
            .map(|n| {
                loop {
                    if let Ok(submitter) = s.builder().spawn(submitter(n)) {
                        return submitter;
                    }
                }
            })
            .collect();
        submitters.into_iter().map(|submitter| submitter.join().unwrap()).sum()
    });
    over.store(true, SeqCst);
    finish(toggle);
    drop(pool);
    assert_eq!(ran.load(SeqCst), accepted);
}

const SCENARIOS: [(&str, fn(), &str); 10] = [
    ("waiting_task_gets_a_worker_later", waiting_task_gets_a_worker_later, ""),
    ("workers_start_once_threads_are_available", workers_start_once_threads_are_available, ""),
    ("resize_returns_and_workers_start_later", resize_returns_and_workers_start_later, ""),
    ("blocked_submit_is_accepted_later", blocked_submit_is_accepted_later, ""),
    ("submit_without_any_worker_is_an_error", submit_without_any_worker_is_an_error, ""),
    (
        "accepted_tasks_run_after_a_worker_is_lost",
        accepted_tasks_run_after_a_worker_is_lost,
        "ran\nran\nran\n",
    ),
    ("deadlocked_worker_waits_for_a_missing_worker", deadlocked_worker_waits_for_a_missing_worker, ""),
    ("deadlocked_worker_fails_after_a_while", deadlocked_worker_fails_after_a_while, ""),
    ("late_timer_is_reported_once_and_runs_later", late_timer_is_reported_once_and_runs_later, ""),
    ("no_accepted_task_is_lost", no_accepted_task_is_lost, ""),
];

pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    find(SCENARIOS.iter().map(|&(known, run, _)| (known, run)), name)
}

pub(crate) fn tests() -> Vec<Test> {
    SCENARIOS
        .iter()
        .map(|&(name, _, out)| {
            test(name, move || {
                let run = within_limit(move || ended(name, None));
                assert_eq!((run.status, run.out.as_str()), (Some(0), out), "{}", run.err);
            })
        })
        .collect()
}
