//! `Timer`: the service and its runners are threads of the execution like all others, and end with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use raddle::{Shared, Thread, Timer};

use super::every::every;
use super::{SOON, pause};

#[test]
fn a_cancel_against_the_firing_is_exactly_one_of_the_two() {
    let scenario = || {
        let ran = Arc::new(Shared::new(0));
        let timer = {
            let ran = ran.clone();
            Timer::after(SOON, move || ran.set(ran.get() + 1))
        };
        let cancelled = timer.cancel();
        timer.wait().unwrap();
        (cancelled, ran.get())
    };
    assert_eq!(every(scenario), BTreeSet::from([(true, 0), (false, 1)]));
}

#[test]
fn of_two_cancels_one_says_yes_at_most() {
    let scenario = || {
        let timer = Timer::after(SOON, || {});
        let other = {
            let timer = timer.clone();
            Thread::spawn(move || timer.cancel())
        };
        let yes = usize::from(timer.cancel()) + usize::from(other.join().unwrap());
        timer.wait().unwrap();
        u64::try_from(yes).unwrap() + timer.runs()
    };
    assert_eq!(every(scenario), BTreeSet::from([1]));
}

#[test]
fn it_never_fires_early() {
    let scenario = || {
        let began = raddle::host::now();
        let timer = Timer::after(2 * SOON, || {});
        pause();
        timer.wait().unwrap();
        raddle::host::now() - began >= 2 * SOON
    };
    assert_eq!(every(scenario), BTreeSet::from([true]));
}
