//! Events of raddle and its peers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use event_listener::Listener;

/// The interface of an event.
pub(super) trait Flag: Default + Sync {
    /// The number of uncontended operations per sample.
    const STEPS: u64 = 2_000_000;

    fn set(&self);
    fn wait(&self);
    fn clear(&self);
}

impl Flag for raddle::Event {
    fn set(&self) {
        self.set();
    }

    fn wait(&self) {
        self.wait();
    }

    fn clear(&self) {
        self.clear();
    }
}

/// The event as programs write it by hand.
#[derive(Default)]
pub(super) struct ParkingLot {
    flag: parking_lot::Mutex<bool>,
    changed: parking_lot::Condvar,
}

impl Flag for ParkingLot {
    fn set(&self) {
        *self.flag.lock() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        self.changed.wait_while(&mut self.flag.lock(), |flag| !*flag);
    }

    fn clear(&self) {
        *self.flag.lock() = false;
    }
}

/// The same with the standard library.
#[derive(Default)]
pub(super) struct Standard {
    flag: Mutex<bool>,
    changed: Condvar,
}

const SOUND: &str = "nothing panics under the lock";

impl Flag for Standard {
    const STEPS: u64 = 200_000;

    fn set(&self) {
        *self.flag.lock().expect(SOUND) = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let flag = self.flag.lock().expect(SOUND);
        drop(self.changed.wait_while(flag, |flag| !*flag).expect(SOUND));
    }

    fn clear(&self) {
        *self.flag.lock().expect(SOUND) = false;
    }
}

/// A flag, with event-listener for its waiters.
#[derive(Default)]
pub(super) struct Listened {
    flag: AtomicBool,
    changed: event_listener::Event,
}

impl Flag for Listened {
    fn set(&self) {
        self.flag.store(true, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }

    fn wait(&self) {
        while !self.flag.load(Ordering::SeqCst) {
            let listener = self.changed.listen();
            if self.flag.load(Ordering::SeqCst) {
                return;
            }
            listener.wait();
        }
    }

    fn clear(&self) {
        self.flag.store(false, Ordering::SeqCst);
    }
}
