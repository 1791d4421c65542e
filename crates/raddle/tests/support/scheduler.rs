//! A scheduler that leaves the order to the operating system, and can misbehave as a test requires.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::time::Instant;

use raddle::rt::{self, Op, Program, Scheduler, Wait, WaitOutcome};

/// A replacement for a call of the scheduler.
type On<A> = Option<Box<dyn Fn(A) + Send + Sync>>;

/// The misbehavior of the scheduler.
#[derive(Default)]
pub struct Misbehavior {
    /// Called when a thread is about to wait, with the word's expected value; `None`: the wait ends at once.
    pub wait: Option<Box<dyn Fn(u32) -> WaitOutcome + Send + Sync>>,
    /// Called at every point.
    pub point: On<Op>,
    /// Called in a new thread with what it should run.
    pub run: On<Box<dyn FnOnce() + Send>>,
}

pub struct Plain {
    me: Weak<Self>,
    program: Arc<Program>,
    misbehavior: Misbehavior,
}

/// Runs `body` under such a scheduler.
pub fn under<R>(misbehavior: Misbehavior, body: impl FnOnce() -> R) -> R {
    let scheduler =
        Arc::new_cyclic(|me| Plain { me: me.clone(), program: Arc::new(Program::new()), misbehavior });
    let _entered = rt::enter(scheduler);
    body()
}

#[expect(clippy::disallowed_methods, reason = "it takes the place of the host")]
impl Scheduler for Plain {
    fn wait(&self, _: &AtomicU32, expected: u32, _: &Wait<'_>) -> WaitOutcome {
        std::thread::yield_now();
        self.misbehavior.wait.as_ref().map_or(WaitOutcome::Woken, |wait| wait(expected))
    }

    fn wake(&self, _: &AtomicU32, _: u32) -> u32 {
        0 // every wait ends by itself
    }

    fn point(&self, op: &Op) {
        if let Some(point) = &self.misbehavior.point {
            point(*op);
        }
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, until: Instant) {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }

    fn yield_now(&self) {
        std::thread::yield_now();
    }

    fn spawn(&self, name: &str, _: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        let me = self.me.upgrade().expect("a scheduler lives as long as its threads");
        let run = move || {
            let _entered = rt::enter(me.clone());
            match &me.misbehavior.run {
                Some(run) => run(body),
                None => body(),
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
    }

    fn program(&self) -> &Arc<Program> {
        &self.program
    }
}
