//! Threads that borrow: their scope waits for them in any case.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

use raddle::rt::{Kind, WaitOutcome};
use raddle::thread::{self, JoinError};
use raddle::{Event, Mutex};

use crate::scheduler::{Misbehavior, under};
use crate::support::{alone, repeat, until, within_limit};

/// Returns the message of the panic of `body`.
fn panic_of<R>(body: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).err().expect("it panics");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a string")).to_owned(),
    }
}

#[test]
fn scoped_threads_borrow_mutably() {
    repeat(100, || {
        let (mut left, mut right, shared) = (vec![1, 2], vec![3], Mutex::new(0));
        let lengths = thread::scope(|s| {
            let first = s.spawn(|| {
                left.push(9);
                *shared.lock() += 1;
                &left
            });
            s.spawn(|| {
                right.clear();
                *shared.lock() += 1;
            });
            first.join().unwrap().len()
        });
        assert_eq!((lengths, left, right.len(), shared.into_inner()), (3, vec![1, 2, 9], 0, 2));
    });
}

#[test]
fn scoped_builder_sets_name_and_size_and_its_error_gives_the_closure_back() {
    within_limit(|| {
        let text = String::from("borrowed");
        thread::scope(|s| {
            let named = s.builder().name("scoped").stack_size(64 << 10).spawn(|| thread::current().name());
            let named = named.unwrap();
            assert_eq!(named.thread().name(), "scoped");
            assert_eq!(named.join().unwrap(), "scoped");
            let refused = s.builder().stack_size(1 << 55).spawn(|| text.len()).unwrap_err();
            assert!(refused.to_string().starts_with("failed to start thread: "), "{refused}");
            assert_eq!(refused.into_inner()(), 8);
            let refused = s.builder().name("huge").stack_size(1 << 55).spawn(|| text.len()).unwrap_err();
            assert!(refused.to_string().starts_with("failed to start thread \"huge\": "), "{refused}");
            let refused = s.builder().name("a\0b").spawn(|| text.len()).unwrap_err();
            assert_eq!(refused.io_error().kind(), std::io::ErrorKind::InvalidInput);
        });
    });
}

#[test]
fn scope_waits_for_unjoined_threads() {
    repeat(100, || {
        let ended = AtomicUsize::new(0);
        thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    s.spawn(|| {
                        thread::yield_now();
                        ended.fetch_add(1, SeqCst);
                    });
                    ended.fetch_add(1, SeqCst);
                });
            }
        });
        assert_eq!(ended.into_inner(), 6);
    });
}

#[test]
fn panicking_scope_waits_for_its_threads() {
    within_limit(|| {
        let (go, ended) = (Event::new(), AtomicBool::new(false));
        let text = panic_of(|| {
            thread::scope(|s| {
                s.spawn(|| {
                    go.wait();
                    ended.store(true, SeqCst);
                });
                s.spawn(|| go.set());
                panic!("the scope itself")
            })
        });
        assert!(ended.into_inner());
        assert_eq!(text, "the scope itself");
    });
}

#[test]
fn joined_panic_does_not_panic_the_scope() {
    within_limit(|| {
        let name = thread::scope(|s| {
            let thread = s.spawn(|| panic!("mine"));
            let name = thread.thread().name();
            let JoinError::Panicked(panic) = thread.join().unwrap_err() else { panic!("it panicked") };
            assert_eq!((panic.message(), panic.thread_name()), ("mine", name.as_str()));
            name
        });
        assert!(name.ends_with("(joined_panic_does_not_panic_the_scope)"), "{name}");
    });
}

#[test]
fn unjoined_panic_panics_the_scope() {
    alone("scope::unjoined_panic_panics_the_scope", || {
        let reports = Arc::new(AtomicUsize::new(0));
        thread::set_excepthook({
            let reports = reports.clone();
            move |_| {
                reports.fetch_add(1, SeqCst);
            }
        });
        repeat(2_000, || {
            let text = panic_of(|| {
                thread::scope(|s| {
                    let thread = s.spawn(|| std::panic::resume_unwind(Box::new("not joined")));
                    drop(thread); // at about the time of the panic
                });
            });
            assert_eq!(text, "a scoped thread panicked");
        });
        thread::reset_excepthook();
        assert_eq!(reports.load(SeqCst), 0, "the panic of the scope is the report");
    });
}

#[test]
fn self_join_of_a_scoped_thread_fails() {
    within_limit(|| {
        thread::scope(|s| {
            let (send, receive) = mpsc::channel::<thread::ScopedJoinHandle<'_, ()>>();
            let (answer, answers) = mpsc::channel();
            let thread = s.spawn(move || {
                let me = receive.recv().unwrap();
                answer.send(matches!(me.join(), Err(JoinError::SelfJoin))).unwrap();
            });
            send.send(thread).unwrap();
            assert!(answers.recv().unwrap());
        });
    });
}

#[test]
fn join_of_a_scoped_thread_waits_for_its_locals() {
    struct Local(Arc<AtomicBool>);
    impl Drop for Local {
        fn drop(&mut self) {
            thread::yield_now();
            self.0.store(true, SeqCst);
        }
    }
    thread_local!(static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) });
    repeat(100, || {
        let dropped = Arc::new(AtomicBool::new(false));
        let local = Local(dropped.clone());
        thread::scope(|s| s.spawn(move || LOCAL.set(Some(local))).join().unwrap());
        assert!(dropped.load(SeqCst));
    });
}

/// The scope must not unwind either while a thread borrows.
#[test]
fn scheduler_that_unwinds_does_not_end_the_borrow() {
    let (running, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let unwound = Arc::new(AtomicUsize::new(0));
    let misbehavior = Misbehavior {
        wait: Some(Box::new({
            let (running, unwound) = (running.clone(), unwound.clone());
            move |_| {
                if running.load(SeqCst) && unwound.fetch_add(1, SeqCst) < 100 {
                    std::panic::resume_unwind(Box::new("unwound"));
                }
                WaitOutcome::Woken
            }
        })),
        ..Misbehavior::default()
    };
    let text = panic_of(|| {
        under(misbehavior, || {
            thread::scope(|s| {
                s.spawn(|| {
                    running.store(true, SeqCst);
                    until(|| unwound.load(SeqCst) >= 100);
                    ended.store(true, SeqCst);
                });
                until(|| running.load(SeqCst));
            });
        });
    });
    assert_eq!(text, "unwound");
    assert!(ended.load(SeqCst), "the scope returned while its thread ran");
}

#[test]
fn scheduler_that_unwinds_a_terminating_thread_does_not_block_the_scope() {
    let misbehavior = Misbehavior {
        point: Some(Box::new(|op| {
            if op.kind == Kind::Terminate {
                std::panic::resume_unwind(Box::new("unwound"));
            }
        })),
        ..Misbehavior::default()
    };
    within_limit(|| under(misbehavior, || thread::scope(|s| drop(s.spawn(|| ())))));
}

/// The closure must be dropped before the scope returns, even if the thread never ran.
#[test]
fn scheduler_that_drops_an_unrun_thread_does_not_end_the_borrow() {
    static RETURNED: AtomicBool = AtomicBool::new(false);
    struct Slow<'a>(&'a AtomicBool);
    impl Drop for Slow<'_> {
        fn drop(&mut self) {
            for _ in 0..1_000 {
                thread::yield_now();
            }
            assert!(!RETURNED.load(SeqCst), "the scope returned before its thread's closure was dropped");
            self.0.store(true, SeqCst);
        }
    }
    let misbehavior = Misbehavior { run: Some(Box::new(drop)), ..Misbehavior::default() };
    let dropped = AtomicBool::new(false);
    under(misbehavior, || {
        let slow = Slow(&dropped);
        thread::scope(|s| {
            s.spawn(move || drop(slow));
        });
        RETURNED.store(true, SeqCst);
    });
    assert!(dropped.into_inner());
}
