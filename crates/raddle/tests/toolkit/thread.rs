//! Threads: starting, joining, names, numbers, daemons, the registry, the hook.

use std::any::Any;
use std::cell::RefCell;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use raddle::thread::{self, JoinError, JoinTimeoutError, ThreadHandle};
use raddle::time;
use raddle::{Event, JoinHandle, Lock, Thread};

use crate::support::{alone, finish, repeat, until, within_limit};

/// A thread that raddle did not start.
#[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
fn foreign<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    std::thread::spawn(body)
}

/// A thread that runs until the event is set.
fn waiting() -> (JoinHandle<()>, Arc<Event>) {
    let go = Arc::new(Event::new());
    let body = {
        let go = go.clone();
        move || go.wait()
    };
    (Thread::new(body).start().unwrap(), go)
}

#[test]
fn join_gives_the_value() {
    assert_eq!(finish(Thread::spawn(|| 6 * 7)), 42);
    assert_eq!(Thread::spawn(|| "text".to_owned()).join().unwrap(), "text");
}

#[test]
fn join_gives_the_panic() {
    let missing = "paper".to_owned();
    let thread = Thread::new(move || panic!("no {missing}")).name("printer").start().unwrap();
    let error = thread.join().unwrap_err();
    assert_eq!(error.to_string(), "thread \"printer\" panicked: no paper");
    let JoinError::Panicked(panic) = error else { panic!("{error:?}") };
    assert_eq!((panic.thread_name(), panic.message()), ("printer", "no paper"));
    assert_eq!(panic.into_payload().downcast_ref::<String>().unwrap(), "no paper");

    let error = Thread::spawn(|| std::panic::panic_any(7_u8)).join().unwrap_err();
    let JoinError::Panicked(panic) = error else { panic!("{error:?}") };
    assert_eq!(panic.message(), "the payload is not a string");
    assert_eq!(*panic.into_payload().downcast_ref::<u8>().unwrap(), 7);
}

#[test]
fn errors_of_a_join_go_with_any_other() {
    fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Thread::spawn(|| panic!("oh")).join()?;
        Ok(())
    }
    assert!(run().unwrap_err().to_string().ends_with("panicked: oh"));
}

#[test]
fn join_sees_what_the_thread_did() {
    repeat(200, || {
        let value = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let thread = Thread::spawn({
            let value = value.clone();
            move || value.store(1, std::sync::atomic::Ordering::Relaxed)
        });
        thread.join().unwrap();
        assert_eq!(value.load(std::sync::atomic::Ordering::Relaxed), 1);
    });
}

#[test]
fn joining_oneself_is_an_error_in_every_form() {
    within_limit(|| {
        let (send, receive) = mpsc::channel::<JoinHandle<()>>();
        let (answer, answers) = mpsc::channel();
        let thread = Thread::spawn(move || {
            let me = thread::current();
            assert_eq!(me.wait().unwrap_err().to_string(), thread::SelfJoinError.to_string());
            assert!(!me.wait_timeout(Duration::from_secs(1000)));
            assert!(!me.wait_deadline(time::now() + Duration::from_secs(1000)));
            let handle = receive.recv().unwrap();
            answer.send(handle.join().unwrap_err().to_string()).unwrap();
        });
        let handle = thread.thread().clone();
        send.send(thread).unwrap();
        assert_eq!(
            answers.recv().unwrap(),
            "a thread cannot join itself: it would block forever; join it from another thread"
        );
        handle.wait().unwrap();

        let (send, receive) = mpsc::channel::<JoinHandle<bool>>();
        let (answer, answers) = mpsc::channel();
        let thread = Thread::spawn(move || {
            let error = receive.recv().unwrap().join_timeout(Duration::from_secs(1000)).unwrap_err();
            answer.send(matches!(error, JoinTimeoutError::Failed(JoinError::SelfJoin))).unwrap();
            true
        });
        send.send(thread).unwrap();
        assert!(answers.recv().unwrap());
    });
}

#[test]
fn a_join_with_a_limit_gives_the_handle_back() {
    within_limit(|| {
        let (thread, go) = waiting();
        for limit in [Duration::ZERO, Duration::from_millis(5)] {
            assert!(!thread.wait_timeout(limit));
        }
        let past = time::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert!(!thread.wait_deadline(past));
        let JoinTimeoutError::TimedOut(thread) = thread.join_timeout(Duration::ZERO).unwrap_err() else {
            panic!("it cannot be over");
        };
        let error = thread.join_deadline(past).unwrap_err();
        assert!(error.to_string().contains(" timed out; "), "{error}");
        let JoinTimeoutError::TimedOut(thread) = error else { panic!("it cannot be over") };
        go.set();
        thread.wait().unwrap(); // and not used up by it
        assert!(thread.is_finished() && thread.wait_timeout(Duration::ZERO) && thread.wait_deadline(past));
        thread.join_timeout(Duration::ZERO).unwrap();
    });
}

#[test]
fn a_limit_beyond_all_time_is_none() {
    within_limit(|| {
        let (thread, go) = waiting();
        let other = Thread::spawn({
            let thread = thread.thread().clone();
            move || thread.wait_timeout(Duration::MAX)
        });
        go.set();
        thread.join_timeout(Duration::MAX).unwrap();
        assert!(finish(other));
    });
}

#[test]
fn a_thread_is_over_once_its_locals_are_dropped() {
    struct Local(Arc<AtomicBool>);
    impl Drop for Local {
        fn drop(&mut self) {
            for _ in 0..100 {
                thread::yield_now();
            }
            assert!(!thread::current().is_finished());
            self.0.store(true, SeqCst);
        }
    }
    thread_local!(static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) });
    repeat(100, || {
        let dropped = Arc::new(AtomicBool::new(false));
        let local = Local(dropped.clone());
        Thread::spawn(move || LOCAL.set(Some(local))).join().unwrap();
        assert!(dropped.load(SeqCst));
    });
}

#[test]
fn the_closure_is_dropped_as_soon_as_it_has_run() {
    // Keeps the thread from its end, long after its closure.
    struct Local(Arc<Event>);
    impl Drop for Local {
        fn drop(&mut self) {
            self.0.wait();
        }
    }
    thread_local!(static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) });
    within_limit(|| {
        let (argument, go) = (Arc::new(()), Arc::new(Event::new()));
        let weak: Weak<()> = Arc::downgrade(&argument);
        let local = Local(go.clone());
        let thread = Thread::spawn(move || {
            let _ = &argument;
            LOCAL.set(Some(local));
        });
        until(|| weak.strong_count() == 0);
        assert!(!thread.is_finished());
        go.set();
        thread.join().unwrap();
    });
}

#[test]
fn names_are_given_or_made() {
    fn poll() {}
    struct Reader<T>(T);
    trait Run {
        fn run(&self) -> String;
    }
    impl<T> Run for Reader<T> {
        fn run(&self) -> String {
            let _ = &self.0;
            Thread::spawn(|| ()).name()
        }
    }
    impl<T> Reader<Vec<T>> {
        fn read(&self) -> String {
            let _ = &self.0;
            Thread::spawn(|| ()).name()
        }
    }
    fn generic<T: Default + Send + 'static>() -> String {
        Thread::spawn(T::default).name()
    }
    let part = |name: &str| {
        let (number, function) = name.strip_prefix("Thread-").unwrap().split_once(' ').unwrap();
        number.parse::<u64>().unwrap();
        function.to_owned()
    };
    assert_eq!(part(&Thread::spawn(poll).name()), "(poll)");
    assert_eq!(part(&Thread::spawn(|| ()).name()), "(names_are_given_or_made)");
    let boxed: Box<dyn FnOnce() -> String + Send> = Box::new(String::new);
    assert_eq!(part(&Thread::spawn(boxed).name()), "(Box)");
    assert_eq!(part(&Reader(1).run()), "(run)");
    assert_eq!(part(&Reader(vec![1]).read()), "(read)");
    assert_eq!(part(&generic::<Vec<Option<u8>>>()), "(default)");
    let given = Thread::new(|| thread::current().name()).name("given").start().unwrap();
    assert_eq!((given.name().as_str(), finish(given).as_str()), ("given", "given"));
    let (one, two) = (Thread::spawn(poll), Thread::spawn(poll));
    assert_ne!(one.name(), two.name());
}

#[test]
#[cfg(target_os = "linux")]
fn names_and_numbers_reach_the_operating_system() {
    let body = || {
        let id = thread::current().native_id().unwrap();
        (id, fs::read_to_string(format!("/proc/self/task/{id}/comm")).unwrap())
    };
    let thread = Thread::new(body).name("a name longer than fifteen bytes").start().unwrap();
    let handle = thread.thread().clone();
    let (id, comm) = finish(thread);
    assert_eq!(comm, "a name longer t\n");
    assert_eq!(handle.native_id(), Some(id));
}

#[test]
fn name_with_a_nul_byte_gives_the_closure_back() {
    let error = Thread::new(|| 7).name("a\0b").start().unwrap_err();
    assert_eq!(error.io_error().kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("\"a\\0b\"") && error.to_string().contains("NUL"), "{error}");
    assert!(format!("{error:?}").contains("SpawnError"));
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(finish(Thread::new(error.into_inner()).name("a b").start().unwrap()), 7);
}

#[test]
fn failed_start_gives_the_closure_back() {
    for size in [usize::MAX / 2, usize::MAX / 2 + 1, usize::MAX - 4096, usize::MAX] {
        let dropped = Arc::new(());
        let kept = dropped.clone();
        let thread = Thread::new(move || Arc::strong_count(&kept)).name("too large").stack_size(size);
        let error = thread.start().unwrap_err();
        assert!(error.to_string().starts_with("failed to start thread \"too large\": "), "{error}");
        assert_eq!(Arc::strong_count(&dropped), 2);
        let closure = error.into_inner();
        assert!(thread::enumerate().iter().all(|thread| thread.name() != "too large"));
        assert_eq!(closure(), 2);
        drop(closure);
        assert_eq!(Arc::strong_count(&dropped), 1);
    }
}

#[test]
fn the_stack_is_as_large_as_asked() {
    fn depth(left: usize) -> usize {
        let room = std::hint::black_box([left; 128]);
        if left == 0 { 0 } else { depth(left - 1) + usize::from(room[left % 128] == left) }
    }
    // At least 1 KiB a level: far more than the 2 MiB of an ordinary thread.
    let thread = Thread::new(|| depth(20_000)).stack_size(128 << 20).start().unwrap();
    assert_eq!(finish(thread), 20_000);
    assert_eq!(finish(Thread::new(|| 1).stack_size(0).start().unwrap()), 1);
}

#[test]
fn daemon_is_inherited_unless_said_otherwise() {
    within_limit(|| {
        for daemon in [true, false] {
            let outer = Thread::new(move || {
                let heir = Thread::spawn(|| thread::current().is_daemon());
                let other = Thread::new(|| thread::current().is_daemon()).daemon(!daemon).start().unwrap();
                let scoped = thread::scope(|s| s.spawn(|| thread::current().is_daemon()).join().unwrap());
                (heir.is_daemon(), heir.join().unwrap(), other.is_daemon(), other.join().unwrap(), scoped)
            });
            let outer = outer.daemon(daemon).start().unwrap();
            assert_eq!(outer.is_daemon(), daemon);
            assert_eq!(finish(outer), (daemon, daemon, !daemon, !daemon, daemon));
        }
    });
}

#[test]
fn every_thread_has_its_own_number() {
    let numbers: Vec<_> = (0..50).map(|_| Thread::spawn(thread::ident)).map(finish).collect();
    let mut unique = numbers.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 50);
    assert!(!numbers.contains(&thread::ident()));
    assert_eq!(thread::ident(), thread::current().ident());
    assert_eq!(thread::current(), thread::current());
    let (thread, go) = waiting();
    assert_ne!(*thread.thread(), thread::current());
    go.set();
    finish(thread);
}

#[test]
fn enumerate_lists_the_threads_alive() {
    within_limit(|| {
        let listed = |thread: &ThreadHandle| thread::enumerate().contains(thread);
        let (thread, go) = waiting();
        let handle = thread.thread().clone();
        assert!(listed(&handle) && listed(&thread::current()) && listed(&thread::main_thread()));
        assert!(handle.native_id().is_some() || !handle.is_finished());
        assert!(format!("{handle:?}").contains("finished: false"), "{handle:?}");
        go.set();
        thread.join().unwrap();
        assert!(!listed(&handle) && handle.is_finished());
        assert!(format!("{handle:?}").contains("finished: true"), "{handle:?}");
        let main = thread::main_thread();
        assert_eq!((main.name().as_str(), main.is_daemon()), ("MainThread", false));
        assert_eq!(main.native_id(), Some(u64::from(std::process::id())));
    });
}

#[test]
fn enumerate_lists_main_and_then_the_oldest_thread_first() {
    within_limit(|| {
        let started: Vec<_> = (0..5).map(|_| waiting()).collect();
        let mut expected = vec![thread::main_thread()];
        expected.extend(started.iter().map(|(thread, _)| thread.thread().clone()));
        let listed = thread::enumerate().into_iter().filter(|thread| expected.contains(thread));
        assert_eq!(listed.collect::<Vec<_>>(), expected);
        for (thread, go) in started {
            go.set();
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_thread_that_raddle_did_not_start_gets_a_stand_in() {
    within_limit(|| {
        let (send, receive) = mpsc::channel();
        let go = Arc::new(Event::new());
        let foreign = foreign({
            let go = go.clone();
            move || {
                send.send(thread::current()).unwrap();
                go.wait();
                thread::current()
            }
        });
        let stand_in = receive.recv().unwrap();
        assert!(thread::enumerate().contains(&stand_in));
        assert!(stand_in.name().starts_with("Dummy-") && stand_in.is_daemon() && !stand_in.is_finished());
        assert!(!stand_in.wait_timeout(Duration::ZERO));
        go.set();
        assert_eq!(foreign.join().unwrap(), stand_in);
        stand_in.wait().unwrap();
        assert!(stand_in.is_finished() && !thread::enumerate().contains(&stand_in));
    });
}

#[test]
fn a_foreign_name_is_kept() {
    #[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
    let foreign =
        std::thread::Builder::new().name("abroad".into()).spawn(|| thread::current().name()).unwrap();
    assert_eq!(foreign.join().unwrap(), "abroad");
}

/// Starts and ends threads with as many helpers as it takes, a few at a time.
fn in_waves(count: usize, start: impl Fn() -> JoinHandle<()>, end: impl Fn(JoinHandle<()>)) {
    for _ in 0..count / 50 {
        let wave: Vec<_> = (0..50).map(|_| start()).collect();
        wave.into_iter().for_each(&end);
    }
}

fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn ten_thousand_threads_leave_nothing_behind() {
    alone("thread::ten_thousand_threads_leave_nothing_behind", || {
        within_limit(|| {
            let ran = Arc::new(AtomicUsize::new(0));
            let start = || {
                let ran = ran.clone();
                let body = move || {
                    ran.fetch_add(1, SeqCst);
                };
                Thread::new(body).name("one of many").start().unwrap()
            };
            let ours = |thread: &ThreadHandle| thread.name() == "one of many";
            in_waves(1_000, start, |thread| thread.join().unwrap()); // what the process keeps in any case
            let before = resident_kib();
            in_waves(10_000, start, |thread| thread.join().unwrap());
            assert!(!thread::enumerate().iter().any(ours), "joined threads stay in the registry");
            in_waves(10_000, start, drop);
            until(|| ran.load(SeqCst) == 21_000 && !thread::enumerate().iter().any(ours));
            assert!(resident_kib() < before + 20_000, "{before} KiB became {} KiB", resident_kib());
        });
    });
}

#[test]
fn the_hook_hears_of_every_panic_that_nobody_joins_exactly_once() {
    alone("thread::the_hook_hears_of_every_panic_that_nobody_joins_exactly_once", || {
        within_limit(|| {
            let (report, reports) = mpsc::channel();
            thread::set_excepthook(move |panic| {
                assert!(format!("{panic:?}").contains("UnhandledPanic"));
                let payload: &dyn Any = panic.payload;
                report
                    .send((panic.what.to_owned(), panic.message().to_owned(), payload.is::<&str>()))
                    .unwrap();
            });
            let heard = || {
                let report = reports.recv().unwrap();
                assert!(reports.try_recv().is_err());
                report
            };
            let expected = ("thread \"loser\"".to_owned(), "lost".to_owned(), true);
            let go = Arc::new(Event::new());
            let loser = || {
                let go = go.clone();
                let body = move || {
                    go.wait();
                    panic!("lost")
                };
                Thread::new(body).name("loser").start().unwrap()
            };
            // The handle is dropped first; the thread finds out.
            let thread: JoinHandle<()> = loser();
            let over = thread.thread().clone();
            drop(thread);
            go.set();
            assert_eq!(heard(), expected);
            over.wait().unwrap();
            // The thread panics first; whoever drops the handle finds out.
            let thread = loser();
            thread.wait().unwrap();
            assert!(reports.try_recv().is_err());
            drop(thread);
            assert_eq!(heard(), expected);
            // Both at once.
            for _ in 0..200 {
                drop(loser());
                assert_eq!(heard(), expected);
            }
            // Joined: nobody hears, since the joiner did.
            assert!(loser().join().is_err());
            assert!(loser().join_timeout(Duration::MAX).is_err());
            assert!(reports.try_recv().is_err());
            thread::reset_excepthook();
        });
    });
}

#[test]
fn a_hook_that_panics_harms_nobody() {
    alone("thread::a_hook_that_panics_harms_nobody", || {
        within_limit(|| {
            let called = Arc::new(Event::new());
            thread::set_excepthook({
                let called = called.clone();
                move |_| {
                    called.set();
                    panic!("the hook")
                }
            });
            let thread = Thread::spawn(|| panic!("the thread"));
            thread.wait().unwrap();
            drop(thread);
            assert!(called.is_set());
            thread::reset_excepthook();
        });
    });
}

#[test]
fn a_hook_may_use_threads_and_hooks() {
    alone("thread::a_hook_may_use_threads_and_hooks", || {
        within_limit(|| {
            let done = Arc::new(Event::new());
            thread::set_excepthook({
                let done = done.clone();
                move |_| {
                    thread::reset_excepthook();
                    finish(Thread::spawn(|| ()));
                    done.set();
                }
            });
            drop(Thread::spawn(|| panic!("for the hook")));
            done.wait();
        });
    });
}

#[test]
fn sleep_is_never_shorter() {
    for time in [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(5)] {
        let start = time::now();
        thread::sleep(time);
        assert!(time::now() - start >= time);
    }
}

#[test]
fn starting_happens_before_running() {
    repeat(200, || {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        let thread = Thread::spawn({
            let lock = lock.clone();
            move || lock.release().is_ok()
        });
        assert!(thread.join().unwrap());
    });
}

#[test]
fn threads_may_be_started_and_joined_in_a_locals_destructor() {
    struct Local(mpsc::Sender<(u32, bool)>);
    impl Drop for Local {
        fn drop(&mut self) {
            let inner = Thread::spawn(|| thread::current().is_daemon());
            self.0.send((1, inner.join().unwrap())).unwrap();
        }
    }
    thread_local!(static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) });
    within_limit(|| {
        let (send, receive) = mpsc::channel();
        let also = send.clone();
        finish(Thread::new(move || LOCAL.set(Some(Local(send)))).daemon(false).start().unwrap());
        assert_eq!(receive.recv().unwrap(), (1, false));
        // In a foreign thread the stand-in may be gone by then.
        foreign(move || {
            LOCAL.set(Some(Local(also)));
            thread::ident()
        })
        .join()
        .unwrap();
        assert_eq!(receive.recv().unwrap(), (1, true));
    });
}
