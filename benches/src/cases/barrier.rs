//! Barriers: all threads meet repeatedly.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::compare::case::{Case, Goal, Sample, Scale};
use crate::compare::drive::{Part, together};

pub(super) fn cases() -> Vec<Case> {
    let two = case("barrier/2-threads", 2, 1_200, Goal::Ratio(0.3));
    // It spins without yielding: 8 threads on fewer processors would use up a time slice each per round.
    let two = two.spins("hurdles", |scale| {
        let barriers = vec![hurdles::Barrier::new(2); 2];
        let waits = barriers.into_iter().map(|mut barrier| move || _ = barrier.wait());
        rounds(scale.ops(1_200), waits.collect())
    });
    vec![two, case("barrier/8-threads", 8, 400, Goal::Ratio(0.3))]
}

fn case(name: &str, threads: usize, full: u64, goal: Goal) -> Case {
    let meet = move |scale: Scale, wait: &(dyn Fn() + Sync)| rounds(scale.ops(full), vec![wait; threads]);
    Case::new(name, "a round", goal)
        .raddle("raddle Barrier", move |scale| {
            let barrier = raddle::Barrier::new(threads);
            meet(scale, &|| _ = barrier.wait().expect("it is never broken"))
        })
        .peer("std Barrier", move |scale| {
            let barrier = std::sync::Barrier::new(threads);
            meet(scale, &|| _ = barrier.wait())
        })
        .peer("parking_lot + Condvar", move |scale| {
            let barrier = Arc::new(Naive { threads, state: Mutex::default(), all: Condvar::new() });
            meet(scale, &|| barrier.wait())
        })
}

/// Measures `ops` rounds in which each of `waits` is called once, on its own thread.
fn rounds(ops: u64, waits: Vec<impl FnMut() + Send>) -> Sample {
    let parts =
        waits.into_iter().map(|mut wait| -> Part<'_> { Box::new(move || (0..ops).for_each(|_| wait())) });
    together(ops, parts.collect())
}

/// The barrier as programs write it by hand.
struct Naive {
    threads: usize,
    state: Mutex<State>,
    all: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
    round: u64,
}

impl Naive {
    fn wait(&self) {
        let mut state = self.state.lock();
        let round = state.round;
        state.waiting += 1;
        if state.waiting < self.threads {
            self.all.wait_while(&mut state, |state| state.round == round);
            return;
        }
        state.waiting = 0;
        state.round += 1;
        self.all.notify_all();
    }
}
