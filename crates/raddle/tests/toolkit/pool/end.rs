//! The end of the program. Each test runs itself again, as a child process.

use std::process::{Command, Output, exit};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use raddle::{Event, Thread, ThreadPoolExecutor, thread};

use crate::support::within_limit;

static POOL: LazyLock<ThreadPoolExecutor> = LazyLock::new(|| ThreadPoolExecutor::new(2));

/// Runs `part` in the child process. In the parent, runs the child and returns its output.
fn child(test: &'static str, part: fn()) -> Option<Output> {
    if std::env::var("RADDLE_POOL_CHILD").as_deref() == Ok(test) {
        part();
        return None;
    }
    Some(within_limit(move || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("pool::end::{test}"), "--nocapture", "--test-threads=1"])
            .env("RADDLE_POOL_CHILD", test)
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap()
    }))
}

fn check(output: &Output, status: i32, ran: usize) {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}\n{errors}");
    assert_eq!(out.matches("ran;").count(), ran, "{out}\n{errors}");
}

/// Work for which the end of the program must wait.
fn work() {
    thread::sleep(Duration::from_millis(2));
    println!("ran;");
}

fn submit(tasks: usize) {
    (0..tasks).for_each(|_| drop(POOL.submit(work)));
}

#[test]
fn main_returns() {
    if let Some(output) = child("main_returns", || submit(20)) {
        check(&output, 0, 20);
    }
}

#[test]
fn main_exits() {
    let part = || {
        submit(20);
        exit(7);
    };
    if let Some(output) = child("main_exits", part) {
        check(&output, 7, 20);
    }
}

#[test]
fn main_panics() {
    let part = || {
        submit(20);
        panic!("main panics");
    };
    if let Some(output) = child("main_panics", part) {
        check(&output, 101, 20);
    }
}

#[test]
fn idle_pool_does_not_keep_the_program_alive() {
    let part = || {
        submit(2);
        POOL.submit(work).result().unwrap();
    };
    if let Some(output) = child("idle_pool_does_not_keep_the_program_alive", part) {
        check(&output, 0, 3);
    }
}

#[test]
fn tasks_submit_tasks_while_the_program_ends() {
    fn chain(left: usize) {
        work();
        if left > 0 {
            drop(POOL.submit(move || chain(left - 1)));
        }
    }
    let part = || drop(POOL.submit(|| chain(19)));
    if let Some(output) = child("tasks_submit_tasks_while_the_program_ends", part) {
        check(&output, 0, 20);
    }
}

#[test]
fn task_that_exits_does_not_stop_the_others() {
    let part = || {
        let pool = Box::leak(Box::new(ThreadPoolExecutor::new(1)));
        let go = Arc::new(Event::new());
        let wait = go.clone();
        let exits = pool.submit(move || {
            wait.wait();
            exit(3)
        });
        (0..10).for_each(|_| drop(pool.submit(work)));
        // Not a daemon: the program must not wait for it forever.
        let asks = Thread::spawn(move || println!("abandoned: {}", exits.result().is_err()));
        go.set();
        asks.join().unwrap();
        Event::new().wait();
    };
    if let Some(output) = child("task_that_exits_does_not_stop_the_others", part) {
        check(&output, 3, 10);
        assert!(String::from_utf8_lossy(&output.stdout).contains("abandoned: true"));
    }
}

#[test]
fn tasks_without_a_future() {
    let part = || {
        let go = Arc::new(Event::new());
        let wait = go.clone();
        POOL.execute(move || {
            wait.wait();
            exit(9)
        })
        .unwrap();
        submit(2); // so that there are two workers
        (0..10).for_each(|_| POOL.execute(work).unwrap());
        go.set();
        Event::new().wait();
    };
    if let Some(output) = child("tasks_without_a_future", part) {
        check(&output, 9, 12);
    }
}

#[test]
fn every_task_exits() {
    let part = || {
        let go = Arc::new(Event::new());
        for _ in 0..6 {
            let wait = go.clone();
            drop(POOL.submit(move || {
                wait.wait();
                exit(4)
            }));
        }
        submit(5);
        go.set();
        Event::new().wait();
    };
    if let Some(output) = child("every_task_exits", part) {
        check(&output, 4, 5);
    }
}

#[test]
fn done_callback_exits() {
    let part = || {
        let go = Arc::new(Event::new());
        let wait = go.clone();
        POOL.submit(move || wait.wait()).add_done_callback(|_| exit(5));
        submit(10);
        go.set();
        Event::new().wait();
    };
    if let Some(output) = child("done_callback_exits", part) {
        check(&output, 5, 10);
    }
}

#[test]
fn scoped_task_exits() {
    let part = || {
        let go = Event::new();
        POOL.scope(|s| {
            s.submit(|| {
                go.wait();
                exit(6)
            });
            (0..10).for_each(|_| drop(s.submit(work)));
            go.set();
        });
    };
    if let Some(output) = child("scoped_task_exits", part) {
        check(&output, 6, 10);
    }
}

/// The frames of the task may lend their borrows to other threads.
#[test]
fn scope_never_returns_after_a_task_exits() {
    let part = || {
        let (owner_waits, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let owner = Thread::new({
            let (owner_waits, go) = (owner_waits.clone(), go.clone());
            move || {
                let lent = vec![1_u8; 4000];
                POOL.scope(|s| {
                    let task = s.submit(|| {
                        go.wait();
                        assert_eq!(lent.len(), 4000);
                        exit(13)
                    });
                    println!("abandoned: {}", task.result().is_err());
                    owner_waits.set();
                });
                println!("the scope has returned");
            }
        });
        let owner = owner.daemon(false).start().unwrap();
        // Keeps the program alive until the end of the scope has been reached, and a moment longer.
        let keeper = Thread::new(move || {
            owner_waits.wait();
            println!("over: {}", owner.wait_timeout(Duration::from_mins(1)));
        });
        drop(keeper.daemon(false).start().unwrap());
        go.set();
        Event::new().wait();
    };
    if let Some(output) = child("scope_never_returns_after_a_task_exits", part) {
        check(&output, 13, 0);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("abandoned: true") && text.contains("over: true"), "{text}");
        assert!(!text.contains("returned"), "{text}");
    }
}

#[test]
fn initializer_exits() {
    let part = || {
        let pool = ThreadPoolExecutor::builder().initializer(|| exit(8)).build().unwrap();
        println!("broken: {}", pool.submit(work).result().is_err());
        Event::new().wait();
    };
    if let Some(output) = child("initializer_exits", part) {
        check(&output, 8, 0);
    }
}

#[test]
fn daemon_pool_is_abandoned() {
    let part = || {
        let pool = ThreadPoolExecutor::builder().max_workers(1).daemon(true).build().unwrap();
        let pool = Box::leak(Box::new(pool));
        let begun = Arc::new(Event::new());
        let tell = begun.clone();
        drop(pool.submit(move || {
            tell.set();
            loop {
                thread::sleep(Duration::from_secs(1));
            }
        }));
        drop(pool.submit(work));
        begun.wait();
    };
    if let Some(output) = child("daemon_pool_is_abandoned", part) {
        check(&output, 0, 0);
    }
}

#[test]
fn thread_spawned_by_a_task_is_waited_for() {
    let part = || {
        // The test's own thread is a daemon, because raddle did not start it.
        let creator = Thread::new(|| {
            let pool = ThreadPoolExecutor::new(1);
            drop(pool.submit(|| drop(Thread::spawn(|| (0..2).for_each(|_| work())))));
        });
        creator.daemon(false).start().unwrap().join().unwrap();
    };
    if let Some(output) = child("thread_spawned_by_a_task_is_waited_for", part) {
        check(&output, 0, 2);
    }
}

#[test]
fn unobserved_panic_is_reported_before_the_end() {
    let part = || {
        for _ in 0..10 {
            drop(POOL.submit(|| panic!("unheard")));
        }
    };
    if let Some(output) = child("unobserved_panic_is_reported_before_the_end", part) {
        check(&output, 0, 0);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors.matches("its result was never retrieved").count(), 10, "{errors}");
    }
}

#[test]
fn submission_after_the_end_is_refused() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            drop(POOL.submit(work));
        }
    }
    thread_local!(static LATE: Late = const { Late });
    let part = || {
        submit(1);
        // A daemon thread keeps running while the program ends; its submit is refused, not dropped.
        LATE.with(|_| ());
    };
    if let Some(output) = child("submission_after_the_end_is_refused", part) {
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains("ran;"));
    }
}
