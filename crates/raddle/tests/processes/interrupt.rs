//! Waits that a signal can end, as bindings for other languages use them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use raddle::rt::{self, Kind, LockId, Op, Wait, WaitOutcome};
use raddle::{Event, JoinHandle, Mutex, Thread, thread, time};

use crate::child::{Scenario, Test, ended, find, test};
use crate::threads::{TWO_SLICES, busy_thread, daemon, foreign_sleep, named, nothing_more, reports};

/// Programs that contain their own assertions, and end with status 0 and no output, with the watch and without.
const WORKS: &[(&str, fn())] = &[
    ("signal_interrupts_a_wait", signal_interrupts_a_wait),
    ("signal_that_does_not_interrupt_is_ignored", signal_that_does_not_interrupt_is_ignored),
    ("interruptible_wait_times_out", interruptible_wait_times_out),
    ("interrupted_acquire_leaves_the_lock_usable", interrupted_acquire_leaves_the_lock_usable),
    ("thread_that_decides_is_not_blocked", thread_that_decides_is_not_blocked),
];

/// Programs that deadlock, and a part of the report.
const ENDS: &[(&str, fn(), &str)] = &[
    ("interruptible_wait_for_an_own_lock", interruptible_wait_for_an_own_lock, "a lock that it holds"),
    ("interruptible_waits_of_every_thread", interruptible_waits_of_every_thread, "every thread"),
];

pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    let ends = ENDS.iter().map(|(name, run, _)| (*name, *run));
    find(ends.chain(WORKS.iter().copied()), name)
}

pub(crate) fn tests() -> Vec<Test> {
    let works = WORKS.iter().map(|(name, _)| {
        test(*name, move || {
            for watch in ["0", "1"] {
                let ended = ended(name, Some(watch));
                assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{ended:?}");
            }
        })
    });
    let ends = ENDS.iter().map(|(name, _, says)| {
        test(*name, move || {
            let ended = ended(name, Some("1"));
            assert_eq!(ended.status, Some(101), "{ended:?}");
            assert!(ended.err.contains(says) && ended.err.contains("\"MainThread\" waits for"), "{ended:?}");
        })
    });
    works.chain(ends).collect()
}

/// The number of signals that the handler has received.
static SIGNALS: AtomicU32 = AtomicU32::new(0);

/// Sends SIGUSR1 to the calling thread, which runs as long as the program, until the flag is set.
#[expect(unsafe_code, reason = "the standard library has no signals")]
fn signals() -> (Arc<AtomicBool>, JoinHandle<()>) {
    extern "C" fn count(_: libc::c_int) {
        SIGNALS.fetch_add(1, SeqCst);
    }
    // SAFETY: the handler changes an atomic. `pthread_self` touches no memory.
    let target = unsafe {
        libc::signal(libc::SIGUSR1, count as extern "C" fn(libc::c_int) as usize);
        libc::pthread_self()
    };
    let enough = Arc::new(AtomicBool::new(false));
    let until = enough.clone();
    let sender = Thread::spawn(move || {
        while !until.load(SeqCst) {
            // SAFETY: the main thread waits for this one.
            unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
            time::sleep(Duration::from_millis(1));
        }
    });
    (enough, sender)
}

/// Waits until the word is not 0 or the wait ends otherwise.
fn wait_while_zero(word: &AtomicU32, wait: &Wait<'_>) -> WaitOutcome {
    loop {
        match rt::wait(word, 0, wait) {
            WaitOutcome::Woken | WaitOutcome::Changed if word.load(SeqCst) == 0 => {}
            outcome => return outcome,
        }
    }
}

fn signal_interrupts_a_wait() {
    let (enough, sender) = signals();
    let word = AtomicU32::new(0);
    let op = Op::new(&word, "Gate", Kind::Await);
    let interrupted = || SIGNALS.load(SeqCst) >= 3;
    assert_eq!(wait_while_zero(&word, &Wait::new(&op).interruptible(&interrupted)), WaitOutcome::Interrupted);
    enough.store(true, SeqCst);
    sender.join().unwrap();
}

fn signal_that_does_not_interrupt_is_ignored() {
    let (enough, sender) = signals();
    let (word, calls) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let waker = Thread::spawn({
        let (word, calls) = (word.clone(), calls.clone());
        move || {
            while calls.load(SeqCst) < 5 {
                thread::yield_now();
            }
            word.store(1, SeqCst);
            rt::wake(&word, 1);
        }
    });
    let op = Op::new(&*word, "Gate", Kind::Await);
    let interrupted = || calls.fetch_add(1, SeqCst) == u32::MAX;
    let outcome = wait_while_zero(&word, &Wait::new(&op).interruptible(&interrupted));
    assert!(matches!(outcome, WaitOutcome::Woken | WaitOutcome::Changed), "{outcome:?}");
    enough.store(true, SeqCst);
    sender.join().unwrap();
    waker.join().unwrap();
}

fn interruptible_wait_times_out() {
    let word = AtomicU32::new(0);
    let op = Op::new(&word, "Gate", Kind::Await);
    for timeout in [Duration::ZERO, Duration::from_millis(120)] {
        let deadline = rt::deadline(timeout);
        let wait = Wait::new(&op).with_deadline(deadline).interruptible(&|| false);
        assert_eq!(wait_while_zero(&word, &wait), WaitOutcome::TimedOut);
        assert!(Some(rt::now()) >= deadline);
    }
}

/// The lock of the example in `raddle::rt`, whose acquire can be interrupted.
#[derive(Default)]
struct Lock {
    word: AtomicU32,
    id: LockId,
}

impl Lock {
    #[track_caller]
    fn acquire(&self, interrupted: &dyn Fn() -> bool) -> bool {
        let acquire = Op::new(self, "Lock", Kind::Acquire);
        let wait = Wait::new(&acquire).with_lock(&self.id).interruptible(interrupted);
        while self.word.swap(2, SeqCst) != 0 {
            if rt::wait(&self.word, 2, &wait) == WaitOutcome::Interrupted {
                return false;
            }
        }
        rt::acquired(acquire, None, &self.id);
        true
    }

    #[track_caller]
    fn release(&self) {
        rt::releasing(Op::new(self, "Lock", Kind::Release), &self.id);
        self.word.store(0, SeqCst);
        rt::wake(&self.word, 1);
    }
}

fn interrupted_acquire_leaves_the_lock_usable() {
    let (lock, held, go) = (Arc::new(Lock::default()), Arc::new(Event::new()), Arc::new(Event::new()));
    let holder = Thread::spawn({
        let (lock, held, go) = (lock.clone(), held.clone(), go.clone());
        move || {
            assert!(lock.acquire(&|| false));
            held.set();
            go.wait();
            lock.release();
        }
    });
    held.wait();
    let (enough, sender) = signals();
    assert!(!lock.acquire(&|| SIGNALS.load(SeqCst) >= 3));
    enough.store(true, SeqCst);
    sender.join().unwrap();
    go.set();
    holder.join().unwrap();
    assert!(lock.acquire(&|| false));
    lock.release();
}

/// A thread that finds out whether its wait is interrupted may still release what others wait for.
fn thread_that_decides_is_not_blocked() {
    let reports = reports();
    busy_thread();
    let all = (Lock::default(), Mutex::new(()), Event::new(), Event::new());
    let (lock, mutex, held, go): &'static _ = Box::leak(Box::new(all));
    let other = named("other", || {
        assert!(lock.acquire(&|| false));
        held.set();
        go.wait();
        drop(mutex.lock());
        lock.release();
    });
    held.wait();
    let guard = mutex.lock();
    let calls = AtomicU32::new(0);
    let interrupted = || {
        let parked_before = calls.fetch_add(1, SeqCst) > 0;
        if parked_before {
            go.set(); // now the two would wait for each other if this thread did not run
            foreign_sleep(TWO_SLICES);
        }
        parked_before
    };
    assert!(!lock.acquire(&interrupted));
    drop(guard);
    other.join().unwrap();
    nothing_more(&reports);
}

fn interruptible_wait_for_an_own_lock() {
    busy_thread();
    let lock = Lock::default();
    assert!(lock.acquire(&|| false));
    lock.acquire(&|| false);
}

fn interruptible_waits_of_every_thread() {
    let waits = || {
        let word = AtomicU32::new(0);
        wait_while_zero(&word, &Wait::new(&Op::new(&word, "Gate", Kind::Await)).interruptible(&|| false));
    };
    daemon("another", waits);
    daemon("uninterruptible", || Event::new().wait());
    waits();
}
