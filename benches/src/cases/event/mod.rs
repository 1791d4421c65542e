//! Events: set, awaited and cleared by one thread, and a ping-pong of two threads.

mod flag;

use crossbeam_channel::{Receiver, Sender, bounded};
use crossbeam_utils::sync::Parker;

use crate::compare::case::{Case, Goal, Sample, Scale};
use crate::compare::drive::{alone, together};
use flag::{Flag, Listened, ParkingLot, Standard};

pub(super) fn cases() -> Vec<Case> {
    vec![uncontended(), ping_pong()]
}

fn uncontended() -> Case {
    Case::new("event/uncontended", "to set it, wait for it and clear it", Goal::Ratio(0.8))
        .raddle("raddle Event", steps::<raddle::Event>)
        .peer("parking_lot + Condvar", steps::<ParkingLot>)
        .peer("std + Condvar", steps::<Standard>)
        .peer("event-listener", steps::<Listened>)
}

fn steps<F: Flag>(scale: Scale) -> Sample {
    let (ops, flag) = (scale.ops(F::STEPS), F::default());
    alone(ops, || {
        for _ in 0..ops {
            let flag = std::hint::black_box(&flag);
            flag.set();
            flag.wait();
            flag.clear();
        }
    })
}

fn ping_pong() -> Case {
    Case::new("event/ping-pong", "a round: set one, wait for the other", Goal::Ratio(1.0))
        .raddle("raddle Event", flags::<raddle::Event>)
        .peer("parking_lot + Condvar", flags::<ParkingLot>)
        .peer("std + Condvar", flags::<Standard>)
        .peer("event-listener", flags::<Listened>)
        .peer("crossbeam Parker", parkers)
        .peer("crossbeam-channel bounded(1)", channels)
}

fn flags<F: Flag>(scale: Scale) -> Sample {
    let (call, answer) = (F::default(), F::default());
    let take = |flag: &F| {
        flag.wait();
        flag.clear();
    };
    rounds(scale, (|| call.set(), || take(&answer)), (|| take(&call), || answer.set()))
}

fn parkers(scale: Scale) -> Sample {
    let (caller, answerer) = (Parker::new(), Parker::new());
    let (answer, call) = (caller.unparker().clone(), answerer.unparker().clone());
    rounds(scale, (|| call.unpark(), move || caller.park()), (move || answerer.park(), || answer.unpark()))
}

fn channels(scale: Scale) -> Sample {
    let ((call, calls), (answer, answers)) = (bounded(1), bounded(1));
    let send = |tx: &Sender<()>| tx.send(()).expect("both ends are there");
    let receive = |rx: &Receiver<()>| rx.recv().expect("both ends are there");
    rounds(scale, (|| send(&call), || receive(&answers)), (|| receive(&calls), || send(&answer)))
}

/// Measures two threads that repeat two steps each.
fn rounds(
    scale: Scale,
    (a, b): (impl Fn() + Send, impl Fn() + Send),
    (c, d): (impl Fn() + Send, impl Fn() + Send),
) -> Sample {
    let ops = scale.ops(10_000);
    let first = move || {
        for _ in 0..ops {
            a();
            b();
        }
    };
    let second = move || {
        for _ in 0..ops {
            c();
            d();
        }
    };
    together(ops, vec![Box::new(first), Box::new(second)])
}
