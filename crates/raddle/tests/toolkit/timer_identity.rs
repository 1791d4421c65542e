//! The identity of the thread that runs a function, and timers in destructors.

use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use raddle::timer::TimerBuilder;
use raddle::{Thread, Timer, thread};

use crate::support::{alone, finish, until, within_limit};

const HOUR: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_millis(2);

/// Returns what a function observes of its thread, and the daemon flag that its threads inherit.
fn identity(builder: TimerBuilder) -> (String, bool, bool, Timer) {
    let (sender, receiver) = mpsc::channel();
    let timer = builder.after(SOON, move || {
        let me = thread::current();
        assert!(!thread::enumerate().contains(&me), "a thread of the toolkit's own is listed");
        let child = Thread::new(|| thread::current().is_daemon()).start().expect("a thread");
        sender.send((me.name(), me.is_daemon(), finish(child))).expect("the test waits");
    });
    let timer = timer.expect("it starts");
    let (name, daemon, child) = receiver.recv().expect("the function runs");
    (name, daemon, child, timer)
}

#[test]
fn function_runs_under_the_timers_name_and_daemon_flag() {
    within_limit(|| {
        for daemon in [true, false, true] {
            let (name, own, child, timer) = identity(Timer::builder().name("alarm").daemon(daemon));
            assert_eq!((&*name, own, child), ("alarm", daemon, daemon));
            assert_eq!((timer.name(), timer.is_daemon()), (name, daemon));
        }
        let (name, _, _, timer) = identity(Timer::builder());
        assert!(name.starts_with("Timer-") && name == timer.name());
        let (other, ..) = identity(Timer::builder());
        assert_ne!(name, other);
    });
}

#[test]
fn timer_inherits_the_daemon_flag() {
    within_limit(|| {
        for daemon in [true, false] {
            let starter = Thread::new(|| {
                let timers = [Timer::after(HOUR, || ()), Timer::every(HOUR, || ())];
                timers.map(|timer| (timer.is_daemon(), timer.cancel()))
            });
            let flags = finish(starter.daemon(daemon).start().expect("a thread"));
            assert_eq!(flags, [(daemon, true), (true, true)], "a repeating timer is a daemon");
        }
        let (sender, receiver) = mpsc::channel();
        let outer = move || {
            let inner = Timer::after(HOUR, || ());
            sender.send((inner.is_daemon(), inner.cancel())).expect("the test waits");
        };
        let timer = Timer::builder().daemon(false).after(SOON, outer).expect("it starts");
        assert_eq!(receiver.recv(), Ok((false, true)), "from the function of a timer as well");
        assert!(timer.wait_timeout(crate::support::LIMIT));
        let kept = Timer::builder().daemon(false).every(HOUR, || ()).expect("it starts");
        assert!(!kept.is_daemon() && kept.cancel());
    });
}

/// Calls a closure when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn destructor_of_a_function_may_use_timers() {
    within_limit(|| {
        let (sender, receiver) = mpsc::channel();
        let other = Timer::after(HOUR, || ());
        let cancels = OnDrop(move || {
            Timer::after(Duration::ZERO, || ()).wait().expect("a timer of another function");
            sender.send(other.cancel()).expect("the test waits");
        });
        let timer = Timer::after(HOUR, move || drop(cancels));
        assert!(timer.cancel());
        assert_eq!(receiver.try_recv(), Ok(true), "the function is dropped before cancel returns");
    });
}

#[test]
fn panic_in_the_destructor_of_a_function_is_reported() {
    alone("timer_identity::panic_in_the_destructor_of_a_function_is_reported", || {
        within_limit(|| {
            let (report, reports) = mpsc::channel();
            thread::set_excepthook(move |panic| report.send(panic.to_string()).expect("the test waits"));
            let bomb = || OnDrop(|| panic!("dropped badly"));
            let cancelled = Timer::after(HOUR, {
                let bomb = bomb();
                move || drop(bomb)
            });
            assert!(cancelled.cancel(), "the panic is not that of the thread which cancels");
            assert!(cancelled.is_finished() && !cancelled.cancel());
            let said = reports.recv().expect("the excepthook is called");
            assert!(said.starts_with("the destructor of ") && said.ends_with("dropped badly"), "{said}");

            let (me, own) = (Arc::new(OnceLock::<Timer>::new()), bomb());
            let function = {
                let me = me.clone();
                move || {
                    let _held = &own;
                    until(|| me.get().is_some());
                    assert!(me.get().expect("just seen").cancel());
                }
            };
            let stopped = Timer::builder().name("bomb").every(SOON, function).expect("it starts");
            assert!(me.set(stopped.clone()).is_ok());
            stopped.wait().expect("a timer of another function");
            let said = reports.recv().expect("the runner reports it");
            thread::reset_excepthook();
            assert!(said.starts_with("timer \"bomb\" panicked") && said.ends_with("dropped badly"), "{said}");
            Timer::after(Duration::ZERO, || ()).wait().expect("the runner lives");
        });
    });
}
