//! The number of classes of schedules of a program: the interleavings of the model's steps, up to commutation of
//! independent steps (Mazurkiewicz traces).

use std::collections::{BTreeSet, HashSet};

use super::model::{Model, World};
use super::program::{How, Op, Program, Role};

/// The nth step of a thread.
type Step = (usize, usize);

/// The steps of each thread so far, and which conflicting ones of other threads came before them.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Trace {
    steps: Vec<usize>,
    order: BTreeSet<(Step, Step)>,
}

/// Whether the model knows the accesses of every step of the program.
pub(crate) fn covers(program: &Program) -> bool {
    const KNOWN: &[Op] = &[
        Op::Get,
        Op::Set,
        Op::Load,
        Op::Store,
        Op::Add,
        Op::Exchange,
        Op::Acquire,
        Op::Release,
        Op::WithLock,
        Op::WithMutex,
        Op::Value,
        Op::Bump,
        Op::Take,
        Op::Give,
        Op::IsSet,
        Op::Raise,
        Op::Lower,
        Op::Join,
        Op::Alive,
        Op::Start,
    ];
    let own = |role| matches!(role, Role::Main | Role::Thread | Role::Scoped);
    let mut covers = program.bodies.iter().all(|body| own(body.role));
    program.each(|instr| covers &= KNOWN.contains(&instr.op) && !matches!(instr.how, How::Timeout(_)));
    covers
}

/// The number of classes. Acquiring a permit is one step here, possible once there is a permit.
pub(crate) fn count(program: &Program) -> usize {
    let model = Model::in_one_step(program);
    let (mut seen, mut classes) = (HashSet::new(), HashSet::new());
    let trace = Trace { steps: vec![0; program.bodies.len()], ..Trace::default() };
    let mut left: Vec<(World, Trace, Vec<_>)> = vec![(model.begin(), trace, Vec::new())];
    while let Some((world, trace, touched)) = left.pop() {
        if !seen.insert(trace.clone()) {
            continue;
        }
        let options = model.options(&world);
        if options.is_empty() {
            classes.insert(trace);
            continue;
        }
        for (thread, late) in options {
            let (mut trace, mut touched) = (trace.clone(), touched.clone());
            let step = (thread, trace.steps[thread]);
            trace.steps[thread] += 1;
            if let Some((object, writes)) = model.touches(&world, thread) {
                for (earlier, other, wrote) in &touched {
                    if *other == object && (*wrote || writes) {
                        trace.order.insert((*earlier, step));
                    }
                }
                touched.push((step, object, writes));
            }
            left.push((model.after(&world, thread, late), trace, touched));
        }
    }
    classes.len()
}
