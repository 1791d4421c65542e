//! What a binding for another language states: the line on behalf of which a thread acts, and a panic that it carries.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use raddle::rt::{self, Place, Unwinding};
use raddle::trace::{Kind, Recording, Step};
use raddle::{Event, Lock, Mutex, Queue, Thread, Timer};

use crate::support::{finish, within_limit};

fn line(number: u32) -> Place {
    Place::intern("worker.py", number, Some("run"))
}

/// Records what a thread of that name does in `body`.
fn recorded(name: &str, body: impl FnOnce() + Send + 'static) -> Vec<Step> {
    let recording = Recording::start();
    finish(Thread::new(body).name(name).start().unwrap());
    recording.finish().into_iter().filter(|step| &*step.thread == name).collect()
}

/// The lines of the steps, or 0 for a line of this file.
fn lines(steps: &[Step]) -> Vec<u32> {
    let line = |step: &Step| match step.at.file() {
        "worker.py" => step.at.line(),
        _ => 0,
    };
    steps.iter().map(line).collect()
}

#[test]
fn innermost_scope_applies() {
    let steps = recorded("nested", || {
        let event = Event::new();
        event.set();
        rt::on_behalf_of(line(1), || {
            event.clear();
            rt::on_behalf_of(line(2), || event.set());
            event.clear();
        });
        event.set();
    });
    assert_eq!(lines(&steps), [0, 1, 2, 1, 0, 0]);
    assert_eq!(steps[1].at.to_string(), "worker.py:1, in run");
}

#[test]
fn panic_ends_its_scopes() {
    let steps = recorded("panics", || {
        let lock = Lock::new();
        rt::on_behalf_of(line(1), || {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                rt::on_behalf_of(line(2), || {
                    let _held = lock.lock();
                    panic!("on purpose");
                });
            }));
            assert!(caught.is_err());
            lock.acquire();
        });
        lock.release().unwrap();
    });
    // The guard is released inside the scope.
    assert_eq!(lines(&steps), [2, 2, 1, 0, 0]);
    assert_eq!(steps[1].kind, Kind::Release);
}

#[test]
fn thread_starts_on_behalf_of_a_line_and_does_not_act_there() {
    let recording = Recording::start();
    let body = || {
        let event = Event::new();
        event.set();
    };
    let thread = rt::on_behalf_of(line(7), || Thread::new(body).name("started here").start().unwrap());
    finish(thread);
    let steps = recording.finish();
    let of = |kind| steps.iter().filter(move |step| step.kind == kind && step.at.file() == "worker.py");
    assert_eq!(of(Kind::Start).count(), 1);
    assert!(of(Kind::Write).next().is_none(), "the scope is not inherited");
    // Its termination is reported where it was started.
    let end = of(Kind::Terminate).next().expect("it terminates");
    assert_eq!((&*end.thread, end.at), ("started here", line(7)));
}

#[test]
fn kept_line_is_that_of_the_scope() {
    let steps = recorded("keeps", || {
        let queue = Queue::unbounded();
        queue.put_many([1, 2]).unwrap();
        let mut items = rt::on_behalf_of(line(3), || queue.iter());
        // An adapter of the standard library calls `next`, and the iterator falls back to the line that made it.
        assert_eq!(items.by_ref().take(2).count(), 2);
        let timer = rt::on_behalf_of(line(4), || Timer::after(std::time::Duration::ZERO, || {}));
        timer.wait().unwrap();
    });
    let gets: Vec<_> = steps.iter().filter(|step| step.kind == Kind::Get && step.value.is_none()).collect();
    assert_eq!(gets.iter().map(|step| step.at).collect::<Vec<_>>(), [line(3), line(3)]);
}

#[test]
fn noted_value_is_at_the_line() {
    let steps = recorded("notes", || rt::on_behalf_of(line(5), || raddle::trace::note("balance", 1)));
    assert_eq!((steps[0].at, steps[0].value.as_deref()), (line(5), Some("1")));
}

#[test]
fn look_at_an_object_is_no_step() {
    let steps = recorded("looks", || {
        let (lock, event) = (Lock::new(), Event::new());
        lock.acquire();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            rt::unobserved(|| {
                assert!(lock.is_locked() && !event.is_set());
                panic!("on purpose");
            })
        }));
        assert!(caught.is_err());
        event.set();
    });
    let kinds: Vec<_> = steps.iter().map(|step| step.kind).collect();
    assert_eq!(kinds, [Kind::Acquire, Kind::Write, Kind::Terminate]);
}

#[test]
fn foreign_thread_has_the_name_that_its_binding_gives() {
    let recording = Recording::start();
    #[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
    let named = std::thread::spawn(|| {
        rt::name_foreign("Thread-1 (work)", false);
        rt::name_foreign("too late", true);
        let event = Event::new();
        rt::on_behalf_of(line(8), || event.set());
    });
    named.join().unwrap();
    let steps = recording.finish();
    let step = steps.iter().find(|step| step.at == line(8)).unwrap();
    assert_eq!(&*step.thread, "Thread-1 (work)");
    let started = finish(
        Thread::new(|| {
            rt::name_foreign("other", true);
            raddle::thread::current().name()
        })
        .name("own")
        .start()
        .unwrap(),
    );
    assert_eq!(started, "own");
}

#[test]
fn identity_under_a_scheduler_begins_without_statements() {
    let unwinding = Unwinding::begin();
    let inner = rt::on_behalf_of(line(6), || {
        crate::scheduler::under(crate::scheduler::Misbehavior::default(), || {
            let before = (rt::behalf(), rt::is_unwinding());
            std::mem::forget(Unwinding::begin()); // ends with the identity
            (before, rt::is_unwinding())
        })
    });
    assert_eq!(inner, ((None, false), true));
    assert_eq!((rt::behalf(), rt::is_unwinding()), (None, true));
    drop(unwinding);
    assert!(!rt::is_unwinding());
}

#[test]
fn unwinding_is_visible_to_its_thread_only() {
    within_limit(|| {
        assert!(!rt::is_unwinding());
        let (first, second) = (Unwinding::begin(), Unwinding::begin());
        drop(first);
        assert!(rt::is_unwinding());
        assert!(!finish(Thread::spawn(rt::is_unwinding)));
        drop(second);
        assert!(!rt::is_unwinding());
    });
}

#[test]
fn destructor_sees_the_unwinding_of_a_panic() {
    struct Look(Arc<Mutex<Option<bool>>>);
    impl Drop for Look {
        fn drop(&mut self) {
            *self.0.lock() = Some(rt::is_unwinding());
        }
    }
    let seen = Arc::new(Mutex::new(None));
    let look = Look(seen.clone());
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let _look = look;
        panic!("on purpose");
    }));
    assert!(caught.is_err());
    assert_eq!(*seen.lock(), Some(true));
}
