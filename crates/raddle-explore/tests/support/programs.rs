//! Programs with a known bug each, many of them from the literature on concurrency testing, and their numbers of
//! classes.

use std::sync::Arc;
use std::time::Duration;

use raddle::{Condition, JoinHandle, Lock, Mutex, Shared, Thread};

/// A program, its number of classes, and the published mean number of executions to its first failure: random walk,
/// PCT with three changes, POS, SURW, partial-order reduction.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
    pub(crate) classes: u64,
    pub(crate) figures: [f64; 5],
}

const fn program(name: &'static str, run: fn(), classes: u64, figures: [f64; 5]) -> Program {
    Program { name, run, classes, figures }
}

pub(crate) const PROGRAMS: &[Program] = &[
    program("account", account, 6, [6.9, 4.7, 6.0, 5.3, 4.0]),
    program("bluetooth", bluetooth, 10, [9.3, 45.0, 11.0, 9.4, 4.0]),
    program("carter01", carter01, 4, [1.8, 3.6, 2.2, 1.8, 2.0]),
    program("deadlock01", deadlock01, 3, [2.6, 8.4, 4.3, 3.1, 2.0]),
    program("lazy01", lazy01, 6, [1.9, 2.1, 1.9, 2.2, 1.0]),
    program("token_ring", token_ring, 24, [9.8, 7.7, 5.8, 8.0, 7.0]),
    program("reorder_3", reorder_3, 56, [45.0, 24.0, 17.0, 7.4, 9.0]),
    program("twostage", twostage, 3, [26.0, 7.9, 9.4, 13.0, 2.0]),
    program("wronglock_3", wronglock_3, 360, [3.3, 9.8, 3.6, 3.3, 7.0]),
    program("stringbuffer", stringbuffer, 6, [14.0, 30.0, 11.0, 8.2, 3.0]),
    program("dining_5", || dining(5), 31, [27.0, 787.0, 42.0, 24.0, 16.0]),
    program("bounded buffer", bounded_buffer, 30, [17.0, 37.0, 14.0, 9.7, 17.0]),
    program("missed_signal", missed_signal, 3, [9.3, 13.0, 5.7, 8.0, 2.0]),
    program("timed_wait", timed_wait, 3, [3.6, 2.9, 3.6, 4.3, 1.0]),
];

/// Programs too large for partial-order reduction: `twostage` with so many writers, and the published mean number of
/// executions for the best strategy, SURW.
pub(crate) const LARGE: &[(usize, f64)] = &[(19, 63.0), (99, 175.0)];

fn start<S: Send + Sync + 'static>(shared: &Arc<S>, run: impl FnOnce(&S) + Send + 'static) -> JoinHandle<()> {
    let shared = shared.clone();
    Thread::spawn(move || run(&shared))
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

#[derive(Default)]
struct Account {
    m: Lock,
    balance: Shared<i32>,
    deposited: Shared<bool>,
    withdrawn: Shared<bool>,
}

fn account() {
    let account = Arc::new(Account::default());
    account.balance.set(1);
    let threads = [
        start(&account, |it| {
            let _m = it.m.lock();
            it.balance.set(it.balance.get() + 2);
            it.deposited.set(true);
        }),
        start(&account, |it| {
            let _m = it.m.lock();
            it.balance.set(it.balance.get() - 4);
            it.withdrawn.set(true);
        }),
    ];
    {
        let _m = account.m.lock();
        if account.deposited.get() && account.withdrawn.get() {
            assert_eq!(account.balance.get(), -5);
        }
    }
    join(threads);
}

#[derive(Default)]
struct Driver {
    stopping: Shared<bool>,
    stopped: Shared<bool>,
    event: Shared<bool>,
    pending: Shared<i32>,
    l: Lock,
}

impl Driver {
    fn decrement(&self) {
        let pending = {
            let _l = self.l.lock();
            self.pending.set(self.pending.get() - 1);
            self.pending.get()
        };
        if pending == 0 {
            self.event.set(true);
        }
    }
}

fn bluetooth() {
    let driver = Arc::new(Driver { pending: Shared::new(1), ..Driver::default() });
    let stopper = start(&driver, |it| {
        it.stopping.set(true);
        it.decrement();
        if it.event.get() {
            it.stopped.set(true);
        }
    });
    if !driver.stopping.get() {
        {
            let _l = driver.l.lock();
            driver.pending.set(driver.pending.get() + 1);
        }
        assert!(!driver.stopped.get(), "the driver works though it has been stopped");
    }
    driver.decrement();
    join([stopper]);
}

#[derive(Default)]
struct Sides {
    m: Lock,
    l: Lock,
}

fn side(sides: &Sides, count: &Shared<i32>) {
    {
        let _m = sides.m.lock();
        count.set(count.get() + 1);
        if count.get() == 1 {
            sides.l.acquire();
        }
    }
    let _m = sides.m.lock();
    count.set(count.get() - 1);
    if count.get() == 0 {
        sides.l.release().unwrap();
    }
}

fn carter01() {
    let sides = Arc::new((Sides::default(), Shared::new(0), Shared::new(0)));
    join([start(&sides, |it| side(&it.0, &it.1)), start(&sides, |it| side(&it.0, &it.2))]);
}

fn deadlock01() {
    let locks = Arc::new((Lock::new(), Lock::new()));
    join([
        start(&locks, |(a, b)| {
            let _a = a.lock();
            let _b = b.lock();
        }),
        start(&locks, |(a, b)| {
            let _b = b.lock();
            let _a = a.lock();
        }),
    ]);
}

fn lazy01() {
    let data = Arc::new((Lock::new(), Shared::new(0)));
    join([
        start(&data, |(m, data)| {
            let _m = m.lock();
            data.set(data.get() + 1);
        }),
        start(&data, |(m, data)| {
            let _m = m.lock();
            data.set(data.get() + 2);
        }),
        start(&data, |(m, data)| {
            let _m = m.lock();
            assert!(data.get() < 3);
        }),
    ]);
}

#[derive(Default)]
struct Ring {
    m: Lock,
    x: [Shared<i32>; 3],
    done: [Shared<bool>; 3],
}

fn pass(ring: &Ring, to: usize, change: fn(i32) -> i32) {
    let _m = ring.m.lock();
    ring.x[to].set(change(ring.x[(to + 2) % 3].get()));
    ring.done[to].set(true);
}

fn token_ring() {
    let ring = Arc::new(Ring::default());
    join([
        start(&ring, |it| pass(it, 0, |x| (x + 1) % 4)),
        start(&ring, |it| pass(it, 1, |x| x)),
        start(&ring, |it| pass(it, 2, |x| x)),
        start(&ring, |it| {
            let _m = it.m.lock();
            if it.done.iter().all(Shared::get) {
                let x = [it.x[0].get(), it.x[1].get(), it.x[2].get()];
                assert!(x[0] == x[1] && x[1] == x[2], "{x:?}");
            }
        }),
    ]);
}

fn reorder_3() {
    let cells = Arc::new((Shared::new(0), Shared::new(0)));
    let setter = |(a, b): &(Shared<i32>, Shared<i32>)| {
        a.set(1);
        b.set(-1);
    };
    join([
        start(&cells, setter),
        start(&cells, setter),
        start(&cells, |(a, b)| {
            assert!((a.get() == 0 && b.get() == 0) || (a.get() == 1 && b.get() == -1));
        }),
    ]);
}

#[derive(Default)]
struct Stages {
    l1: Lock,
    l2: Lock,
    d1: Shared<i32>,
    d2: Shared<i32>,
}

fn twostage() {
    twostage_of(1);
}

/// Writers that each pass both stages, and a reader that may come between the stages.
pub(crate) fn twostage_of(writers: usize) {
    let stages = Arc::new(Stages::default());
    let write = || {
        start(&stages, |it| {
            {
                let _l1 = it.l1.lock();
                it.d1.set(1);
            }
            let _l2 = it.l2.lock();
            it.d2.set(it.d1.get() + 1);
        })
    };
    let mut threads: Vec<_> = std::iter::repeat_with(write).take(writers).collect();
    threads.push(start(&stages, |it| {
        let seen = {
            let _l1 = it.l1.lock();
            it.d1.get()
        };
        if seen == 0 {
            return;
        }
        let _l2 = it.l2.lock();
        assert_eq!(it.d2.get(), seen + 1);
    }));
    join(threads);
}

fn wronglock_3() {
    let data = Arc::new((Lock::new(), Lock::new(), Shared::new(0)));
    let wrong = |(_, tl, d): &(Lock, Lock, Shared<i32>)| {
        let _tl = tl.lock();
        d.set(d.get() + 1);
    };
    join([
        start(&data, |(dl, _, d)| {
            let _dl = dl.lock();
            let x = d.get();
            d.set(d.get() + 1);
            assert_eq!(d.get(), x + 1);
        }),
        start(&data, wrong),
        start(&data, wrong),
        start(&data, wrong),
    ]);
}

fn stringbuffer() {
    let buffer = Arc::new((Lock::new(), Shared::new(3)));
    let other = start(&buffer, |(m, count)| {
        for change in [-3, 3] {
            let _m = m.lock();
            count.set(count.get() + change);
        }
    });
    let (m, count) = &*buffer;
    let length = {
        let _m = m.lock();
        count.get()
    };
    {
        let _m = m.lock();
        assert!(length <= count.get(), "{length} characters of fewer");
    }
    join([other]);
}

/// Philosophers that each acquire the left fork and then the right one.
pub(crate) fn dining(philosophers: usize) {
    let forks: Arc<Vec<Lock>> = Arc::new((0..philosophers).map(|_| Lock::new()).collect());
    let dine = |place: usize| {
        start(&forks, move |forks| {
            let _left = forks[place].lock();
            let _right = forks[(place + 1) % forks.len()].lock();
        })
    };
    join((0..philosophers).map(dine).collect::<Vec<_>>());
}

fn bounded_buffer() {
    let buffer = Arc::new((Mutex::new(0), Condition::new()));
    let take = |(count, changed): &(Mutex<u32>, Condition)| {
        let mut count = count.lock();
        while *count == 0 {
            changed.wait(&mut count);
        }
        *count -= 1;
        changed.notify_one(&count);
    };
    join([
        start(&buffer, |(count, changed)| {
            for _ in 0..2 {
                let mut count = count.lock();
                while *count == 1 {
                    changed.wait(&mut count);
                }
                *count += 1;
                changed.notify_one(&count);
            }
        }),
        start(&buffer, take),
        start(&buffer, take),
    ]);
}

#[derive(Default)]
struct Signal {
    m: Lock,
    changed: Condition,
    f: Shared<bool>,
}

fn missed_signal() {
    let signal = Arc::new(Signal::default());
    let waiter = start(&signal, |it| {
        if !it.f.get() {
            it.changed.wait(&mut it.m.lock());
        }
    });
    let signaller = start(&signal, |it| {
        it.f.set(true);
        let m = it.m.lock();
        it.changed.notify_one(&m);
    });
    join([waiter, signaller]);
}

fn timed_wait() {
    let done = Arc::new((Mutex::new(false), Condition::new()));
    let worker = start(&done, |(done, changed)| {
        let mut done = done.lock();
        *done = true;
        changed.notify_one(&done);
    });
    let (flag, changed) = &*done;
    {
        let mut flag = flag.lock();
        if !*flag {
            changed.wait_timeout(&mut flag, Duration::from_secs(1));
        }
        assert!(*flag, "waited, and it is not done");
    }
    join([worker]);
}
