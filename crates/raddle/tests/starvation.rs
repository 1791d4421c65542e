//! A waiter is not overtaken for long by a holder that releases and reacquires the lock at once.
//!
//! The bound is counted in cycles of the holder, not in time. A busy machine may keep a waiter from parking, so the holder looks
//! at the state of the waiter at the start of each cycle, and those cycles count that begin when the holder has seen it parked
//! for longer than the documented millisecond. Where the bound does not hold, hundreds of cycles are counted.
#![cfg(target_os = "linux")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use raddle::time::now;
use raddle::{Condition, Event, Lock, Mutex, RLock, ReentrantMutex, Thread, thread};

use support::{LIMIT, finish};

/// The bound that the documentation of the locks promises.
const BOUND: Duration = Duration::from_millis(1);
const HOLDS: [Duration; 3] = [Duration::from_micros(300), Duration::from_millis(1), Duration::from_millis(5)];

/// The forms of acquire.
#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    Timeout,
    Deadline,
    Try,
}

/// A lock with each form of acquire. `inside` runs with the lock held; returns whether it did.
trait AnyLock: Default + Send + Sync + 'static {
    fn with(&self, way: Way, inside: impl FnOnce()) -> bool;

    /// Waits for `condition`, which releases the lock, and runs `inside` once the lock is reacquired.
    fn wait(&self, condition: &Condition, waits: impl FnOnce(), inside: impl FnOnce());

    fn notify(&self, condition: &Condition) -> usize;
}

macro_rules! any_lock {
    ($lock:ty, $plain:ident, $timeout:ident, $deadline:ident, $tries:ident) => {
        impl AnyLock for $lock {
            fn with(&self, way: Way, inside: impl FnOnce()) -> bool {
                let guard = match way {
                    Way::Plain => Some(self.$plain()),
                    Way::Timeout => self.$timeout(LIMIT),
                    Way::Deadline => self.$deadline(now() + LIMIT),
                    Way::Try => self.$tries(),
                };
                guard.is_some_and(|_guard| {
                    inside();
                    true
                })
            }

            fn wait(&self, condition: &Condition, waits: impl FnOnce(), inside: impl FnOnce()) {
                let mut guard = self.$plain();
                waits();
                condition.wait(&mut guard);
                inside();
            }

            fn notify(&self, condition: &Condition) -> usize {
                condition.notify(&self.$plain(), 1)
            }
        }
    };
}

any_lock!(Lock, lock, lock_timeout, lock_deadline, try_lock);
any_lock!(Mutex<()>, lock, lock_timeout, lock_deadline, try_lock);
any_lock!(RLock, lock, lock_timeout, lock_deadline, try_lock);
any_lock!(ReentrantMutex<()>, lock, lock_timeout, lock_deadline, try_lock);

/// A waiter as the holder sees it.
struct Watched {
    native_id: u64,
    /// The start of the first cycle at which it was parked.
    parked: Option<Instant>,
    /// The cycles that began when it had been parked for longer than the bound.
    cycles: usize,
}

impl Watched {
    fn look(&mut self) {
        match self.parked {
            Some(parked) if now() > parked + BOUND => self.cycles += 1,
            None if is_asleep(self.native_id) => self.parked = Some(now()),
            _ => {}
        }
    }
}

/// Returns whether a thread is blocked in the operating system.
fn is_asleep(native_id: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{native_id}/stat"));
    // The state follows the name, which is in parentheses.
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S')))
}

fn own_id() -> u64 {
    thread::current().native_id().expect("Linux numbers its threads")
}

/// A thread that repeatedly holds a lock for `hold`, and counts the cycles by which it overtakes waiters.
struct Holder {
    over: Arc<AtomicBool>,
    watched: Arc<std::sync::Mutex<Vec<Watched>>>,
    thread: raddle::JoinHandle<()>,
}

impl Holder {
    fn start<L: AnyLock>(lock: &Arc<L>, way: Way, hold: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::new(std::sync::Mutex::new(Vec::new()));
        let thread = Thread::spawn({
            let (lock, over, watched) = (lock.clone(), over.clone(), watched.clone());
            move || {
                while !over.load(SeqCst) {
                    lock.with(way, || {
                        watched.lock().unwrap().iter_mut().for_each(Watched::look);
                        thread::sleep(hold);
                    });
                }
            }
        });
        Self { over, watched, thread }
    }

    /// Counts from now on the cycles that overtake a thread, which is about to wait or has been notified.
    fn watch(&self, native_id: u64) {
        self.watched.lock().unwrap().push(Watched { native_id, parked: None, cycles: 0 });
    }

    /// Ends the count for the calling thread and returns it.
    fn cycles(&self) -> usize {
        let mut watched = self.watched.lock().unwrap();
        let mine = watched.iter().position(|watched| watched.native_id == own_id());
        mine.map_or(0, |mine| watched.swap_remove(mine).cycles)
    }

    fn stop(self) {
        self.over.store(true, SeqCst);
        finish(self.thread);
    }
}

/// Measures until the bound holds: at most one cycle as a rule, and never more than three.
fn bounded(what: &str, measure: impl Fn() -> Vec<usize>) {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut cycles = measure();
        cycles.sort_unstable();
        let (median, most) = (cycles[cycles.len() / 2], cycles[cycles.len() - 1]);
        if median <= 1 && most <= 3 {
            return;
        }
        seen.push((median, most));
    }
    panic!("{what}: cycles of the holder after the bound had passed (median, most): {seen:?}");
}

/// Returns the cycles by which `holder` overtakes a waiter, in each of `waits` waits.
fn overtaken<L: AnyLock>(waits: usize, way: Way, holder: Way, hold: Duration) -> Vec<usize> {
    let lock = Arc::new(L::default());
    let holder = Holder::start(&lock, holder, hold);
    let cycles = (0..waits).map(|_| {
        thread::sleep(Duration::from_micros(700));
        let mut cycles = 0;
        holder.watch(own_id());
        assert!(lock.with(way, || cycles = holder.cycles()));
        cycles
    });
    let cycles = cycles.collect();
    holder.stop();
    cycles
}

/// As [`overtaken`], for the reacquisition of the lock after a notification.
fn overtaken_on_the_way_back<L: AnyLock>(waits: usize, hold: Duration) -> Vec<usize> {
    let parts = (Arc::new(L::default()), Arc::new(Condition::new()));
    let (holder, waiter) = (Arc::new(Holder::start(&parts.0, Way::Plain, hold)), own_id());
    let cycles = (0..waits).map(|_| {
        let waiting = Arc::new(Event::new());
        let notifier = Thread::spawn({
            let (parts, holder, waiting) = (parts.clone(), holder.clone(), waiting.clone());
            move || {
                waiting.wait();
                assert_eq!(parts.0.notify(&parts.1), 1);
                holder.watch(waiter); // it has been woken, so if it sleeps, it waits for the lock
            }
        });
        let mut cycles = 0;
        parts.0.wait(
            &parts.1,
            || {
                waiting.set();
            },
            || cycles = holder.cycles(),
        );
        finish(notifier);
        holder.cycles(); // if the notifier was slower than the waiter
        cycles
    });
    let cycles = cycles.collect();
    Arc::into_inner(holder).expect("the notifiers have ended").stop();
    cycles
}

/// As [`overtaken`], for several threads that wait again at once.
fn overtaken_together<L: AnyLock>(waiters: usize, waits: usize, hold: Duration) -> Vec<usize> {
    let lock = Arc::new(L::default());
    let holder = Arc::new(Holder::start(&lock, Way::Plain, hold));
    let waiters: Vec<_> = (0..waiters)
        .map(|_| {
            let (lock, holder) = (lock.clone(), holder.clone());
            Thread::spawn(move || {
                let cycles = (0..waits).map(|_| {
                    let mut cycles = 0;
                    holder.watch(own_id());
                    assert!(lock.with(Way::Plain, || cycles = holder.cycles()));
                    cycles
                });
                cycles.collect::<Vec<_>>()
            })
        })
        .collect();
    let cycles = waiters.into_iter().flat_map(finish).collect();
    Arc::into_inner(holder).expect("the waiters have ended").stop();
    cycles
}

fn waiter_is_not_overtaken<L: AnyLock>(what: &str) {
    for hold in HOLDS {
        bounded(&format!("{what} held for {hold:?}"), || overtaken::<L>(100, Way::Plain, Way::Plain, hold));
        for way in [Way::Timeout, Way::Deadline] {
            bounded(&format!("{what} held for {hold:?}, {way:?}"), || {
                overtaken::<L>(20, way, Way::Plain, hold)
            });
        }
        bounded(&format!("{what} held for {hold:?}, on the way back from a condition"), || {
            overtaken_on_the_way_back::<L>(20, hold)
        });
        bounded(&format!("{what} held for {hold:?}, three waiters"), || overtaken_together::<L>(3, 20, hold));
    }
    for way in [Way::Timeout, Way::Deadline, Way::Try] {
        bounded(&format!("{what}, whose holder reacquires by {way:?}"), || {
            overtaken::<L>(20, Way::Plain, way, HOLDS[0])
        });
    }
}

// One after the other in one test, because concurrent measurements would disturb each other.
#[test]
fn waiter_is_overtaken_for_a_millisecond_at_most() {
    waiter_is_not_overtaken::<Lock>("Lock");
    waiter_is_not_overtaken::<Mutex<()>>("Mutex");
    waiter_is_not_overtaken::<RLock>("RLock");
    waiter_is_not_overtaken::<ReentrantMutex<()>>("ReentrantMutex");
}
