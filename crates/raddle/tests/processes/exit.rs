//! Program exit: every way to end a program, with every kind of code that may run meanwhile.

use std::cell::RefCell;
use std::os::fd::AsRawFd;
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

use raddle::thread::{self, JoinError};
use raddle::{Barrier, Event, JoinHandle, Mutex, RLock, ShutdownMode, Thread, ThreadPoolExecutor};

use crate::child::{Scenario, Test, ended, find, test};

/// Ways to end a program, with the possible statuses.
const ENDINGS: [(&str, &[i32]); 8] = [
    ("main_returns", &[0]),
    ("main_panics", &[101]),
    ("main_exits", &[7]),
    ("worker_exits_main_runs", &[3]),
    ("worker_exits_main_sleeps", &[3]),
    ("worker_exits_main_joins", &[3]),
    // The standard library parks the second thread that calls `exit`, so its status does not count.
    ("worker_exits_after_main", &[0]),
    ("two_workers_exit", &[3, 4]),
];

/// The code that runs meanwhile, with the lines that it must print, in alphabetic order.
const SITUATIONS: [(&str, &[&str]); 6] = [
    ("non_daemon", &["finished"]),
    ("daemon", &["daemon runs"]),
    ("starts_threads", &["link 1", "link 2", "link 3", "link 4"]),
    ("scoped", &["scope is left", "scoped finished"]),
    ("joins", &["joined"]),
    ("locals", &["local dropped"]),
];

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (ending, statuses) in ENDINGS {
        for (situation, lines) in SITUATIONS {
            let name = format!("{ending}/{situation}");
            tests.push(test(name.clone(), move || {
                let ended = ended(&name, None);
                assert!(ended.status.is_some_and(|status| statuses.contains(&status)), "{ended:?}");
                assert_eq!(ended.sorted(), lines, "{ended:?}");
            }));
        }
    }
    for (name, status, lines, _) in SINGLE {
        tests.push(test(*name, move || {
            let ended = ended(name, None);
            assert_eq!(ended.status, Some(*status), "{ended:?}");
            assert_eq!(ended.out.lines().collect::<Vec<_>>(), *lines, "{ended:?}");
        }));
    }
    tests
}

pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    if let Some((ending, situation)) = name.split_once('/') {
        let (ending, situation) = (ending.to_owned(), situation.to_owned());
        return Some(Box::new(move || pairing(&ending, &situation)));
    }
    find(SINGLE.iter().map(|&(known, _, _, run)| (known, run)), name)
}

/// The threads that end the program, other than main, and the event that they wait for.
#[derive(Default)]
struct Stage {
    go: Event,
    workers: Mutex<Vec<JoinHandle<()>>>,
    ends: Mutex<Vec<thread::ThreadHandle>>,
}

impl Stage {
    fn worker(self: &Arc<Self>, code: i32, after_main: bool) {
        let stage = self.clone();
        let worker = Thread::spawn(move || {
            stage.go.wait();
            if after_main {
                thread::main_thread().wait().unwrap();
            }
            exit(code)
        });
        self.ends.lock().push(worker.thread().clone());
        self.workers.lock().push(worker);
    }

    /// Returns when the program is ending.
    fn wait(&self) {
        let ends = self.ends.lock().clone();
        for thread in ends {
            thread.wait().unwrap();
        }
    }
}

fn pairing(ending: &str, situation: &str) {
    let stage = Arc::new(Stage::default());
    match ending {
        "worker_exits_after_main" => stage.worker(3, true),
        "two_workers_exit" => [3, 4].into_iter().for_each(|code| stage.worker(code, false)),
        _ if ending.starts_with("worker") => stage.worker(3, false),
        _ => stage.ends.lock().push(thread::main_thread()),
    }
    meanwhile(situation, &stage);
    stage.go.set();
    match ending {
        "main_panics" => panic!("main panics"),
        "main_exits" => exit(7),
        "worker_exits_main_runs" | "two_workers_exit" => loop {
            thread::yield_now();
        },
        "worker_exits_main_sleeps" => thread::sleep(Duration::from_hours(1)),
        "worker_exits_main_joins" => stage.wait(),
        _ => {}
    }
}

fn meanwhile(situation: &str, stage: &Arc<Stage>) {
    let stage = stage.clone();
    let runs = Arc::new(Event::new());
    let here = runs.clone();
    let body: Box<dyn FnOnce() + Send> = match situation {
        "non_daemon" => Box::new(move || {
            stage.wait();
            println!("finished");
        }),
        "daemon" => Box::new(move || {
            println!("daemon runs");
            here.set();
            stage.wait();
            thread::sleep(Duration::from_hours(1));
            println!("daemon finished");
        }),
        "starts_threads" => Box::new(move || {
            stage.wait();
            link(1);
        }),
        "scoped" => Box::new(move || {
            thread::scope(|s| {
                s.spawn(|| {
                    stage.wait();
                    println!("scoped finished");
                });
            });
            println!("scope is left");
        }),
        "joins" => Box::new(move || {
            let workers = std::mem::take(&mut *stage.workers.lock());
            if workers.is_empty() {
                thread::main_thread().wait().unwrap();
            }
            for worker in workers {
                assert!(matches!(worker.join(), Err(JoinError::Exited)));
            }
            println!("joined");
        }),
        "locals" => Box::new(move || {
            LOCAL.with_borrow_mut(|local| *local = Some(Slow));
            stage.wait();
        }),
        other => panic!("no situation is called {other}"),
    };
    let daemon = situation == "daemon";
    drop(Thread::new(body).daemon(daemon).start().unwrap());
    if daemon {
        runs.wait();
    }
}

/// Starts the next thread and returns.
fn link(number: u32) {
    println!("link {number}");
    if number < 4 {
        drop(Thread::spawn(move || link(number + 1)));
    }
}

thread_local! {
    static LOCAL: RefCell<Option<Slow>> = const { RefCell::new(None) };
}

/// A thread-local whose drop takes long.
struct Slow;

impl Drop for Slow {
    fn drop(&mut self) {
        thread::sleep(Duration::from_millis(50));
        println!("local dropped");
    }
}

/// Single programs: status, printed lines, and function.
type Single = (&'static str, i32, &'static [&'static str], fn());

const SINGLE: &[Single] = &[
    ("main_never_used_raddle", 0, &["main has terminated"], main_never_used_raddle),
    ("scoped_thread_exits_in_a_destructor", 3, &["the scope is left"], scoped_thread_exits_in_a_destructor),
    ("main_returns_after_an_exit", 3, &["main has terminated"], main_returns_after_an_exit),
    ("scoped_thread_exits", 3, &["the scope's thread is gone"], scoped_thread_exits),
    ("scoped_thread_of_main_exits", 3, &["main has terminated"], scoped_thread_of_main_exits),
    ("thread_of_nested_scopes_exits", 3, &["the scope's thread is gone"], thread_of_nested_scopes_exits),
    ("foreign_thread_exits", 5, &["finished"], foreign_thread_exits),
    ("paused_thread_is_not_exiting", 0, &["paused", "woken"], paused_thread_is_not_exiting),
    ("pool_of_its_workers_local", 0, &["dropped", "ended"], pool_of_its_workers_local),
    ("handlers_run_last", 0, &["finished", "handler"], handlers_run_last),
    (
        "start_during_exit_fails",
        0,
        &["finished", "the program is ending", "came back"],
        start_during_exit_fails,
    ),
    ("daemon_starts_a_non_daemon", 0, &["finished"], daemon_starts_a_non_daemon),
    ("daemon_is_inherited", 0, &["daemon", "daemon", "not a daemon"], daemon_is_inherited),
    ("buffered_output_is_flushed", 0, &["the rest of a line"], buffered_output_is_flushed),
    ("many_meanwhile", 0, &["200 threads ran"], many_meanwhile),
    ("exit_in_a_destructor", 3, &["finished"], exit_in_a_destructor),
    ("holder_keeps_its_lock", 3, &["still the holder"], holder_keeps_its_lock),
    ("registry_is_emptied", 0, &["1 alive", "2 alive", "1 alive", "1 alive"], registry_is_emptied),
    ("worker_panics", 0, &["finished"], worker_panics),
    (
        "barrier_action_exits",
        3,
        &[
            "Err(BrokenBarrierError)",
            "Err(BrokenBarrierError)",
            "Err(BrokenBarrierError)",
            "true Err(BrokenBarrierError)",
        ],
        barrier_action_exits,
    ),
    (
        "barrier_action_exits_after_a_reset",
        3,
        &["false 0", "Err(BrokenBarrierError)"],
        barrier_action_exits_after_a_reset,
    ),
    ("forked_child_ends", 0, &["status 9", "finished"], forked_child_ends),
    (
        "forked_child_waits_for_its_own",
        0,
        &["the child's", "status 0", "finished"],
        forked_child_waits_for_its_own,
    ),
    ("standard_error_is_closed", 0, &["reported"], standard_error_is_closed),
];

/// Prints a line once `thread` has terminated.
fn after(thread: thread::ThreadHandle, line: &'static str) {
    let body = move || {
        thread.wait().unwrap();
        println!("{line}");
    };
    drop(Thread::new(body).daemon(false).start().unwrap());
}

/// Starts a thread without raddle.
#[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
fn foreign<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    std::thread::spawn(body)
}

/// Starts a thread that calls `exit` once `go` is set.
fn worker(go: &Arc<Event>, code: i32) -> thread::ThreadHandle {
    let go = go.clone();
    let worker = Thread::spawn(move || {
        go.wait();
        exit(code)
    });
    worker.thread().clone()
}

fn sleep_for_ever() -> ! {
    loop {
        thread::sleep(Duration::from_hours(1));
    }
}

fn main_never_used_raddle() {
    foreign(|| after(thread::main_thread(), "main has terminated")).join().unwrap();
}

fn main_returns_after_an_exit() {
    let go = Arc::new(Event::new());
    let worker = worker(&go, 3);
    after(thread::main_thread(), "main has terminated");
    go.set();
    worker.wait().unwrap();
}

fn scoped_thread_exits() {
    let go = Arc::new(Event::new());
    let owner = Thread::spawn({
        let go = go.clone();
        move || {
            thread::scope(|s| {
                s.spawn(|| {
                    go.wait();
                    exit(3)
                });
            });
        }
    });
    drop(Thread::spawn(move || {
        go.set();
        assert!(matches!(owner.join(), Err(JoinError::Exited)));
        println!("the scope's thread is gone");
    }));
    sleep_for_ever();
}

/// Its function has returned, so nothing that it has borrowed is in use.
fn scoped_thread_exits_in_a_destructor() {
    struct Exits;
    impl Drop for Exits {
        fn drop(&mut self) {
            exit(3)
        }
    }
    thread_local!(static EXITS: RefCell<Option<Exits>> = const { RefCell::new(None) });
    drop(Thread::spawn(|| {
        thread::scope(|s| {
            s.spawn(|| EXITS.set(Some(Exits)));
        });
        println!("the scope is left");
    }));
    sleep_for_ever();
}

fn scoped_thread_of_main_exits() {
    after(thread::main_thread(), "main has terminated");
    thread::scope(|s| {
        s.spawn(|| exit(3));
    });
}

fn thread_of_nested_scopes_exits() {
    let go = Arc::new(Event::new());
    let owner = Thread::spawn({
        let go = go.clone();
        move || {
            thread::scope(|outer| {
                outer.spawn(|| {
                    thread::scope(|inner| {
                        inner.spawn(|| {
                            go.wait();
                            exit(3)
                        });
                    });
                });
            });
        }
    });
    after(owner.thread().clone(), "the scope's thread is gone");
    go.set();
    sleep_for_ever();
}

fn foreign_thread_exits() {
    let go = Arc::new(Event::new());
    let (send, receive) = std::sync::mpsc::channel();
    foreign({
        let go = go.clone();
        move || {
            send.send(thread::current()).unwrap();
            go.wait();
            exit(5)
        }
    });
    after(receive.recv().unwrap(), "finished");
    go.set();
    sleep_for_ever();
}

/// Registers an exit handler with the C library.
#[expect(unsafe_code, reason = "the standard library has no exit handlers")]
fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a plain function that does not unwind.
    assert_eq!(unsafe { libc::atexit(handler) }, 0);
}

/// A program may use the same system call in which the standard library parks the second thread that calls `exit`.
#[expect(unsafe_code, reason = "the standard library does not pause")]
fn paused_thread_is_not_exiting() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, nothing as extern "C" fn(libc::c_int) as usize) };
    let (pauses, woken) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (begun, go) = (pauses.clone(), woken.clone());
    let pauses_itself = move || {
        // SAFETY: the thread's own handle.
        let me = unsafe { libc::pthread_self() };
        println!("paused");
        let wakes = move || {
            thread::main_thread().wait().unwrap();
            begun.wait();
            // Longer than the interval in which the ending program looks for threads that called `exit`.
            thread::sleep(Duration::from_millis(300));
            go.set();
            loop {
                // SAFETY: the thread runs until it has received this.
                unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
                thread::sleep(Duration::from_millis(10));
            }
        };
        drop(Thread::new(wakes).daemon(true).start().unwrap());
        pauses.set();
        while !woken.is_set() {
            // SAFETY: no memory is touched.
            unsafe { libc::pause() };
        }
        println!("woken");
    };
    drop(Thread::spawn(pauses_itself));
}

/// The last handle of a pool is in a thread-local of its own worker, which cannot wait for itself.
fn pool_of_its_workers_local() {
    struct Owner(Option<Arc<ThreadPoolExecutor>>, Arc<Event>);
    impl Drop for Owner {
        fn drop(&mut self) {
            let pool = self.0.take().expect("it was there");
            assert!(pool.shutdown(ShutdownMode::Drain).is_err());
            drop(pool);
            println!("dropped");
            self.1.set();
        }
    }
    thread_local!(static OWNER: RefCell<Option<Owner>> = const { RefCell::new(None) });
    let (pool, dropped) = (Arc::new(ThreadPoolExecutor::new(1)), Arc::new(Event::new()));
    let owner = Owner(Some(pool.clone()), dropped.clone());
    let (send, receive) = std::sync::mpsc::channel();
    let task = move || {
        OWNER.set(Some(owner));
        send.send(thread::current()).unwrap();
    };
    pool.submit(task).result().unwrap();
    let worker = receive.recv().unwrap();
    let weak = Arc::downgrade(&pool);
    drop(pool);
    // Either handle may be the last one.
    weak.upgrade().expect("the local has it").try_shutdown(ShutdownMode::Drain);
    dropped.wait();
    worker.wait().unwrap();
    println!("ended");
}

fn handlers_run_last() {
    extern "C" fn handler() {
        println!("handler");
    }
    at_exit(handler);
    after(thread::main_thread(), "finished");
}

fn start_during_exit_fails() {
    extern "C" fn handler() {
        let error = Thread::new(|| "came back").daemon(false).start().unwrap_err();
        println!("{}", error.io_error());
        println!("{}", error.into_inner()());
    }
    at_exit(handler);
    after(thread::main_thread(), "finished");
}

fn daemon_starts_a_non_daemon() {
    let started = Arc::new(Event::new());
    drop(Thread::spawn({
        let started = started.clone();
        move || started.wait() // keeps the program until then
    }));
    let daemon = move || {
        thread::main_thread().wait().unwrap();
        let body = move || {
            thread::yield_now();
            println!("finished");
        };
        drop(Thread::new(body).daemon(false).start().unwrap());
        started.set();
        sleep_for_ever();
    };
    drop(Thread::new(daemon).daemon(true).start().unwrap());
}

fn daemon_is_inherited() {
    let say = |thread: &thread::ThreadHandle| {
        println!("{}", if thread.is_daemon() { "daemon" } else { "not a daemon" });
    };
    let inner = Thread::new(move || {
        let heir = Thread::spawn(|| sleep_for_ever());
        let scoped = thread::scope(|s| s.spawn(|| ()).thread().clone());
        let other = Thread::new(|| ()).daemon(false).start().unwrap();
        [heir.thread(), &scoped, other.thread()].into_iter().for_each(say);
    });
    inner.daemon(true).start().unwrap().join().unwrap();
}

fn buffered_output_is_flushed() {
    drop(Thread::spawn(|| {
        print!("the rest ");
        thread::main_thread().wait().unwrap();
        print!("of a line");
    }));
}

fn many_meanwhile() {
    drop(Thread::spawn(|| {
        thread::main_thread().wait().unwrap();
        let ran = Arc::new(Mutex::new(0));
        for _ in 0..200 {
            let ran = ran.clone();
            drop(Thread::spawn(move || {
                *ran.lock() += 1;
                if *ran.lock() == 200 {
                    println!("200 threads ran");
                }
            }));
        }
    }));
}

fn exit_in_a_destructor() {
    struct Exits;
    impl Drop for Exits {
        fn drop(&mut self) {
            exit(3)
        }
    }
    thread_local!(static EXITS: RefCell<Option<Exits>> = const { RefCell::new(None) });
    let go = Arc::new(Event::new());
    let worker = Thread::spawn({
        let go = go.clone();
        move || {
            EXITS.with_borrow_mut(|exits| *exits = Some(Exits));
            go.wait();
        }
    });
    after(worker.thread().clone(), "finished");
    go.set();
    sleep_for_ever();
}

/// A thread that calls `exit` keeps its identity in exit handlers.
fn holder_keeps_its_lock() {
    static HELD: RLock = RLock::new();
    extern "C" fn handler() {
        if HELD.try_acquire() && HELD.release().is_ok() && HELD.release().is_ok() {
            println!("still the holder");
        }
    }
    at_exit(handler);
    drop(Thread::spawn(|| {
        HELD.acquire();
        exit(3)
    }));
    sleep_for_ever();
}

fn registry_is_emptied() {
    let say = || println!("{} alive", thread::active_count());
    say();
    let go = Arc::new(Event::new());
    let thread = Thread::spawn({
        let go = go.clone();
        move || go.wait()
    });
    say();
    go.set();
    thread.join().unwrap();
    say();
    for _ in 0..500 {
        drop(Thread::spawn(|| ()));
        foreign(thread::ident).join().unwrap();
    }
    while thread::active_count() > 1 {
        thread::yield_now();
    }
    say();
}

fn worker_panics() {
    let worker = Thread::spawn(|| panic!("a worker's panic is not the program's"));
    after(worker.thread().clone(), "finished");
}

/// With any timeouts of the waiting parties, and for a party that arrives while the action runs.
fn barrier_action_exits() {
    let acts = Arc::new((Event::new(), Event::new()));
    let action = acts.clone();
    let barrier = Arc::new(Barrier::new(3).action(move || {
        action.0.set();
        action.1.wait();
        exit(3)
    }));
    let (short, none, next) = (barrier.clone(), barrier.clone(), barrier.clone());
    let waits = [
        Thread::spawn(move || short.wait_timeout(Duration::from_mins(5))),
        Thread::spawn(move || none.wait()),
    ];
    while barrier.n_waiting() < 2 {
        thread::yield_now();
    }
    let last = barrier.clone();
    drop(Thread::spawn(move || last.wait()));
    acts.0.wait();
    let next = Thread::spawn(move || next.wait());
    drop(Thread::spawn(move || {
        for wait in waits.into_iter().chain([next]) {
            println!("{:?}", wait.join().unwrap());
        }
        println!("{} {:?}", barrier.is_broken(), barrier.wait());
    }));
    acts.1.set();
    sleep_for_ever();
}

fn barrier_action_exits_after_a_reset() {
    let acts = Arc::new((Event::new(), Event::new()));
    let action = acts.clone();
    let barrier = Arc::new(Barrier::new(2).action(move || {
        action.0.set();
        action.1.wait();
        exit(3)
    }));
    let (party, last) = (barrier.clone(), barrier.clone());
    let party = Thread::spawn(move || party.wait());
    while barrier.n_waiting() < 1 {
        thread::yield_now();
    }
    let last = Thread::spawn(move || last.wait());
    acts.0.wait();
    barrier.reset();
    drop(Thread::spawn(move || {
        last.wait().unwrap();
        println!("{} {}", barrier.is_broken(), barrier.n_waiting());
        println!("{:?}", party.join().unwrap());
    }));
    acts.1.set();
    sleep_for_ever();
}

/// Runs `child` in a forked process and returns its status.
#[expect(unsafe_code, reason = "the standard library does not fork")]
fn fork(child: fn()) -> i32 {
    // SAFETY: the child has no other threads, and allocates with a C library that allows for that.
    let id = unsafe { libc::fork() };
    if id == 0 {
        child();
        exit(0);
    }
    let mut status = 0;
    // SAFETY: the status lives for the whole call.
    assert_eq!(unsafe { libc::waitpid(id, &raw mut status, 0) }, id);
    libc::WEXITSTATUS(status)
}

/// A forked child has copies of the keep-alive tokens, but not the threads that would release them.
fn forked_child_ends() {
    after(thread::main_thread(), "finished");
    println!("status {}", fork(|| exit(9)));
}

fn forked_child_waits_for_its_own() {
    after(thread::main_thread(), "finished");
    let forks = Thread::spawn(|| {
        let status = fork(|| {
            after(thread::current(), "the child's");
        });
        println!("status {status}");
    });
    forks.join().unwrap();
}

/// Standard error is a broken pipe. The report of a panic must not panic for that reason.
#[expect(unsafe_code, reason = "the standard library cannot redirect standard error")]
fn standard_error_is_closed() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    // SAFETY: both descriptors are open; standard error is the broken pipe from now on.
    assert_eq!(unsafe { libc::dup2(writer.as_raw_fd(), libc::STDERR_FILENO) }, libc::STDERR_FILENO);
    let thread = Thread::spawn(|| panic!("not readable"));
    thread.wait().unwrap();
    drop(thread);
    println!("reported");
}
