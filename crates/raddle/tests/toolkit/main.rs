//! The toolkit by its public interface, on threads of the operating system.
//!
//! All of it is one program, which takes less to build than one per file. A test that changes the state of the whole process, such as
//! the excepthook, or measures it, runs in a process of its own: see [`support::alone`].

mod api;
mod barrier;
mod binding;
mod condition;
mod event;
mod future;
mod interruptible;
mod lock;
mod mutex;
mod ordering;
mod pool;
mod queue;
mod scope;
mod semaphore;
mod steps;
mod thread;
mod timer;
mod timer_crowd;
mod timer_end;
mod timer_host;
mod timer_identity;
mod trace;
mod unguarded;

#[path = "../support/modules.rs"]
#[allow(dead_code, reason = "only its reader is needed")]
mod modules;
#[path = "../support/scheduler.rs"]
mod scheduler;
#[path = "../support/mod.rs"]
mod support;

#[test]
fn primitives_work_without_the_watch() {
    const MODULES: [&str; 10] = [
        "barrier::",
        "condition::",
        "event::",
        "lock::",
        "mutex::",
        "ordering::",
        "scope::",
        "semaphore::",
        "thread::",
        "trace::",
    ];
    support::again_without_the_watch(&MODULES);
}
