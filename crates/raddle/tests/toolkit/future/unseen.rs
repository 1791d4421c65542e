//! Failures that nobody looked at are told to the excepthook.

use std::sync::{Mutex, Once};

use raddle::{Promise, ShutdownMode, ThreadPoolExecutor, thread};

use crate::support::alone;

static REPORTS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Collects what the hook hears from now on.
pub(crate) fn listen() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        thread::set_excepthook(|panic| {
            REPORTS.lock().unwrap().push((panic.what.to_owned(), panic.message().to_owned()));
        });
    });
}

/// How often the hook heard `message` said of `what`.
pub(crate) fn reports(what: &str, message: &str) -> usize {
    let reports = REPORTS.lock().unwrap();
    reports.iter().filter(|(who, text)| who.contains(what) && text.contains(message)).count()
}

fn fail(message: &'static str) -> raddle::Future<()> {
    listen();
    let promise = Promise::new();
    let future = promise.future();
    promise.set_panic(Box::new(message)).unwrap();
    future
}

#[test]
fn a_panic_nobody_asked_about_is_reported_by_the_last_reference() {
    alone("future::unseen::a_panic_nobody_asked_about_is_reported_by_the_last_reference", || {
        let future = fail("lonely");
        let clone = future.clone();
        assert!(future.done() && !future.cancelled());
        drop(future);
        assert_eq!(reports("a task of thread", "lonely"), 0);
        drop(clone);
        assert_eq!(reports("a task of thread", "lonely"), 1);
    });
}

#[test]
fn looking_in_any_way_is_enough() {
    alone("future::unseen::looking_in_any_way_is_enough", || {
        assert!(fail("seen").result().is_err());
        assert!(fail("seen").exception().is_some());
        assert!(fail("seen").try_result().is_err());
        assert!(fail("seen").with_result(|result| result.is_err()));
        fail("seen").add_done_callback(|future| assert!(future.exception().is_some()));
        assert!(super::awaiting::block_on(fail("seen")).is_err());
        assert_eq!(reports("", "seen"), 0);
    });
}

#[test]
fn a_callback_that_does_not_look_sees_nothing() {
    alone("future::unseen::a_callback_that_does_not_look_sees_nothing", || {
        fail("overlooked").add_done_callback(|future| assert!(future.done()));
        assert_eq!(reports("a task of thread", "overlooked"), 1);
    });
}

#[test]
fn waiting_for_it_to_be_over_is_no_look() {
    alone("future::unseen::waiting_for_it_to_be_over_is_no_look", || {
        let future = fail("only awaited");
        drop(raddle::wait([&future], raddle::ReturnWhen::AllCompleted));
        drop(raddle::as_completed([future]).collect::<Vec<_>>());
        assert_eq!(reports("a task of thread", "only awaited"), 1);
    });
}

#[test]
fn a_task_of_a_pool_whose_future_was_dropped_is_reported() {
    alone("future::unseen::a_task_of_a_pool_whose_future_was_dropped_is_reported", || {
        listen();
        let pool = ThreadPoolExecutor::builder().thread_name_prefix("lost").build().unwrap();
        drop(pool.submit(|| panic!("in the pool")));
        drop(pool);
        assert_eq!(reports("a task of thread \"lost_0\"", "in the pool"), 1);
    });
}

#[test]
fn a_refused_submission_is_reported_and_a_cancelled_one_is_not() {
    alone("future::unseen::a_refused_submission_is_reported_and_a_cancelled_one_is_not", || {
        listen();
        let pool = ThreadPoolExecutor::new(1);
        pool.shutdown(ShutdownMode::Drain).unwrap();
        let before = reports("a task", "shut down");
        drop(pool.submit(|| ()));
        assert_eq!(reports("a task", "shut down"), before + 1);
        assert!(pool.submit(|| ()).result().is_err());
        let promise = Promise::<()>::new();
        promise.future().cancel();
        drop(promise);
        assert_eq!(reports("a task", "shut down"), before + 1);
        assert_eq!(reports("", "cancelled"), 0);
    });
}
