//! Threads: start, join, names, numbers, daemons, the registry, the excepthook.

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

/// A thread that blocks until the event is set.
fn blocked() -> (JoinHandle<()>, Arc<Event>) {
    let go = Arc::new(Event::new());
    let body = {
        let go = go.clone();
        move || go.wait()
    };
    (Thread::new(body).start().unwrap(), go)
}

#[test]
fn join_returns_the_value() {
    assert_eq!(finish(Thread::spawn(|| 6 * 7)), 42);
    assert_eq!(Thread::spawn(|| "text".to_owned()).join().unwrap(), "text");
}

#[test]
fn join_returns_the_panic() {
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
fn join_error_converts_to_a_boxed_error() {
    fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Thread::spawn(|| panic!("oh")).join()?;
        Ok(())
    }
    assert!(run().unwrap_err().to_string().ends_with("panicked: oh"));
}

#[test]
fn thread_happens_before_its_join_returns() {
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
fn self_join_fails_in_every_form() {
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
fn join_that_times_out_gives_the_handle_back() {
    within_limit(|| {
        let (thread, go) = blocked();
        for timeout in [Duration::ZERO, Duration::from_millis(5)] {
            assert!(!thread.wait_timeout(timeout));
        }
        let past = time::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert!(!thread.wait_deadline(past));
        let JoinTimeoutError::TimedOut(thread) = thread.join_timeout(Duration::ZERO).unwrap_err() else {
            panic!("it cannot have terminated");
        };
        let error = thread.join_deadline(past).unwrap_err();
        assert!(error.to_string().contains(" timed out; "), "{error}");
        let JoinTimeoutError::TimedOut(thread) = error else { panic!("it cannot have terminated") };
        go.set();
        thread.wait().unwrap(); // the handle is still usable
        assert!(thread.is_finished() && thread.wait_timeout(Duration::ZERO) && thread.wait_deadline(past));
        thread.join_timeout(Duration::ZERO).unwrap();
    });
}

#[test]
fn timeout_beyond_the_clock_never_elapses() {
    within_limit(|| {
        let (thread, go) = blocked();
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
fn thread_terminates_after_its_locals_are_dropped() {
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
fn closure_is_dropped_when_it_returns() {
    // Keeps the thread from terminating, long after its closure has returned.
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
fn default_name_contains_the_function() {
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
    assert_eq!(part(&Thread::spawn(|| ()).name()), "(default_name_contains_the_function)");
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
fn name_and_number_are_those_of_the_operating_system() {
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
fn stack_has_the_requested_size() {
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
fn daemon_flag_is_inherited_by_default() {
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
fn numbers_are_unique() {
    let numbers: Vec<_> = (0..50).map(|_| Thread::spawn(thread::ident)).map(finish).collect();
    let mut unique = numbers.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 50);
    assert!(!numbers.contains(&thread::ident()));
    assert_eq!(thread::ident(), thread::current().ident());
    assert_eq!(thread::current(), thread::current());
    let (thread, go) = blocked();
    assert_ne!(*thread.thread(), thread::current());
    go.set();
    finish(thread);
}

#[test]
fn enumerate_lists_live_threads() {
    within_limit(|| {
        let listed = |thread: &ThreadHandle| thread::enumerate().contains(thread);
        let (thread, go) = blocked();
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
fn enumerate_lists_main_then_the_others_by_start() {
    within_limit(|| {
        let started: Vec<_> = (0..5).map(|_| blocked()).collect();
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
fn foreign_thread_is_registered_until_it_terminates() {
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
        let handle = receive.recv().unwrap();
        assert!(thread::enumerate().contains(&handle));
        assert!(handle.name().starts_with("Dummy-") && handle.is_daemon() && !handle.is_finished());
        assert!(!handle.wait_timeout(Duration::ZERO));
        go.set();
        assert_eq!(foreign.join().unwrap(), handle);
        handle.wait().unwrap();
        assert!(handle.is_finished() && !thread::enumerate().contains(&handle));
    });
}

#[test]
fn foreign_thread_keeps_its_name() {
    #[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
    let foreign =
        std::thread::Builder::new().name("abroad".into()).spawn(|| thread::current().name()).unwrap();
    assert_eq!(foreign.join().unwrap(), "abroad");
}

/// Starts and ends `count` threads, fifty at a time.
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
fn ten_thousand_threads_do_not_leak() {
    alone("thread::ten_thousand_threads_do_not_leak", || {
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
            in_waves(1_000, start, |thread| thread.join().unwrap()); // memory that the process keeps in any case
            let before = resident_kib();
            in_waves(10_000, start, |thread| thread.join().unwrap());
            assert!(!thread::enumerate().iter().any(ours), "joined threads are still registered");
            in_waves(10_000, start, drop);
            until(|| ran.load(SeqCst) == 21_000 && !thread::enumerate().iter().any(ours));
            assert!(resident_kib() < before + 20_000, "{before} KiB became {} KiB", resident_kib());
        });
    });
}

#[test]
fn excepthook_is_called_once_per_unjoined_panic() {
    alone("thread::excepthook_is_called_once_per_unjoined_panic", || {
        within_limit(|| {
            let (report, reports) = mpsc::channel();
            thread::set_excepthook(move |panic| {
                assert!(format!("{panic:?}").contains("UnhandledPanic"));
                let payload: &dyn Any = panic.payload;
                report
                    .send((panic.what.to_owned(), panic.message().to_owned(), payload.is::<&str>()))
                    .unwrap();
            });
            let reported = || {
                let report = reports.recv().unwrap();
                assert!(reports.try_recv().is_err());
                report
            };
            let expected = ("thread \"worker\"".to_owned(), "lost".to_owned(), true);
            let go = Arc::new(Event::new());
            let panicking = || {
                let go = go.clone();
                let body = move || {
                    go.wait();
                    panic!("lost")
                };
                Thread::new(body).name("worker").start().unwrap()
            };
            // The handle is dropped first, so the thread reports the panic.
            let thread: JoinHandle<()> = panicking();
            let handle = thread.thread().clone();
            drop(thread);
            go.set();
            assert_eq!(reported(), expected);
            handle.wait().unwrap();
            // The thread panics first, so dropping the handle reports it.
            let thread = panicking();
            thread.wait().unwrap();
            assert!(reports.try_recv().is_err());
            drop(thread);
            assert_eq!(reported(), expected);
            // Both happen at the same time.
            for _ in 0..200 {
                drop(panicking());
                assert_eq!(reported(), expected);
            }
            // A joined panic is not reported.
            assert!(panicking().join().is_err());
            assert!(panicking().join_timeout(Duration::MAX).is_err());
            assert!(reports.try_recv().is_err());
            thread::reset_excepthook();
        });
    });
}

#[test]
fn panic_of_the_excepthook_is_caught() {
    alone("thread::panic_of_the_excepthook_is_caught", || {
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
fn excepthook_may_start_threads_and_reset_itself() {
    alone("thread::excepthook_may_start_threads_and_reset_itself", || {
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
fn sleep_lasts_at_least_its_duration() {
    for time in [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(5)] {
        let start = time::now();
        thread::sleep(time);
        assert!(time::now() - start >= time);
    }
}

#[test]
fn start_happens_before_the_closure() {
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
fn destructor_of_a_local_may_start_and_join_threads() {
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
        // The record of a foreign thread may have been removed by then.
        foreign(move || {
            LOCAL.set(Some(Local(also)));
            thread::ident()
        })
        .join()
        .unwrap();
        assert_eq!(receive.recv().unwrap(), (1, true));
    });
}
