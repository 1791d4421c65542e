//! Unobserved failures are reported to the excepthook.

use std::sync::{Mutex, Once};

use raddle::{Promise, ShutdownMode, ThreadPoolExecutor, thread};

use crate::support::alone;

static REPORTS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Collects the events that the excepthook receives from now on.
pub(crate) fn listen() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        thread::set_excepthook(|panic| {
            REPORTS.lock().unwrap().push((panic.what.to_owned(), panic.message().to_owned()));
        });
    });
}

/// Returns how often the excepthook received `message` for `what`.
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
fn unobserved_panic_is_reported_with_the_last_reference() {
    alone("future::unseen::unobserved_panic_is_reported_with_the_last_reference", || {
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
fn every_kind_of_observation_prevents_the_report() {
    alone("future::unseen::every_kind_of_observation_prevents_the_report", || {
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
fn callback_alone_is_no_observation() {
    alone("future::unseen::callback_alone_is_no_observation", || {
        fail("overlooked").add_done_callback(|future| assert!(future.done()));
        assert_eq!(reports("a task of thread", "overlooked"), 1);
    });
}

#[test]
fn waiting_alone_is_no_observation() {
    alone("future::unseen::waiting_alone_is_no_observation", || {
        let future = fail("only awaited");
        drop(raddle::wait([&future], raddle::ReturnWhen::AllCompleted));
        drop(raddle::as_completed([future]).collect::<Vec<_>>());
        assert_eq!(reports("a task of thread", "only awaited"), 1);
    });
}

#[test]
fn panic_of_a_task_without_references_is_reported() {
    alone("future::unseen::panic_of_a_task_without_references_is_reported", || {
        listen();
        let pool = ThreadPoolExecutor::builder().thread_name_prefix("lost").build().unwrap();
        drop(pool.submit(|| panic!("in the pool")));
        drop(pool);
        assert_eq!(reports("a task of thread \"lost_0\"", "in the pool"), 1);
    });
}

#[test]
fn refused_submission_is_reported_and_a_cancelled_one_is_not() {
    alone("future::unseen::refused_submission_is_reported_and_a_cancelled_one_is_not", || {
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
