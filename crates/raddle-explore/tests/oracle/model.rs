//! The outcomes of a program, found without the explorer: a model of each object, and every order of steps.
//!
//! A blocked operation is two steps if a waiter can be distinguished from a thread that has not arrived: it enqueues,
//! and then it is served or times out. In explored time a wait may time out whenever it cannot end otherwise, and a
//! sleep ends at any moment; in quiescent time the clock advances to the earliest deadline when nothing else can
//! happen.

use std::collections::{BTreeSet, HashSet, VecDeque};

use raddle_explore::Time;

use super::program::{How, Instr, Op, Program, Role};
use super::run::{BARRIER, ERROR, FEW, NO, OK, Outcome, PANIC, PERMITS, QUEUES, ROOM, SHUT, SIMPLE};

/// A lock that a condition can use: its kind and its number.
type Guard = (usize, usize);

const LOCK: usize = 0;
const RLOCK: usize = 2;

/// One instruction of a body with its blocks flattened.
#[derive(Clone, Debug)]
enum Code {
    Do(Instr, Option<Guard>),
    /// Acquires the lock, or jumps behind the block.
    Enter(Guard, How, usize),
    Leave(Guard),
}

fn lay_out(code: &[Instr], inner: Option<Guard>, out: &mut Vec<Code>) {
    for instr in code {
        let kind = match instr.op {
            Op::WithLock => LOCK,
            Op::WithMutex => 1,
            Op::WithRLock => RLOCK,
            Op::WithReentrant => 3,
            _ => {
                out.push(Code::Do(instr.clone(), inner));
                continue;
            }
        };
        let (guard, at) = ((kind, instr.object()), out.len());
        out.push(Code::Enter(guard, instr.how, 0));
        lay_out(&instr.body, Some(guard), out);
        out.push(Code::Leave(guard));
        out[at] = Code::Enter(guard, instr.how, out.len());
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Before it computes the deadline of its instruction, where that is a step.
    Timeless,
    /// Before its instruction.
    Before,
    /// Enqueued as a waiter, before it computes the deadline.
    Enqueued,
    /// Enqueued as a waiter.
    Waiting,
    /// Served, with this result.
    Served(i16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Life {
    New,
    Live,
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Thread {
    life: Life,
    at: usize,
    phase: Phase,
    deadline: Option<u16>,
    guards: Vec<Guard>,
    /// How many levels of the lock it held before it waited.
    depth: u8,
    /// The generation of its event when it arrived.
    turn: u8,
    unwinds: bool,
    /// Threads that were started before it, or by it.
    knows: u8,
    seen: Vec<i16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Held {
    owner: Option<usize>,
    depth: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Store {
    items: VecDeque<i8>,
    shut: bool,
    unfinished: usize,
    getters: VecDeque<usize>,
    putters: VecDeque<(usize, i8)>,
    joiners: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    cells: [i8; FEW],
    atomics: [i8; FEW],
    locks: [[Held; FEW]; 4],
    values: [i8; FEW],
    conditions: [[VecDeque<usize>; FEW]; 4],
    permits: [usize; 2],
    lines: [VecDeque<(usize, usize)>; 2],
    events: [(bool, u8); FEW],
    standing: Vec<usize>,
    broken: bool,
    queues: [Store; QUEUES],
    /// Pending, or with a value, or cancelled.
    futures: [Settled; FEW],
    /// Futures whose value was taken.
    taken: u8,
    /// Handles that main has consumed.
    joined: u8,
    threads: Vec<Thread>,
    clock: u16,
    panicked: bool,
}

/// The state of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Settled {
    Not,
    Cancelled,
    With(i8),
}

/// What a thread's next step requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Yes,
    /// Its timeout.
    Timed,
    No,
}

pub(crate) struct Model<'a> {
    program: &'a Program,
    code: Vec<Vec<Code>>,
    /// Acquiring a permit is one step, possible once there is a permit; enqueueing is none.
    in_one_step: bool,
    /// Computing a deadline is a step, because the program reads the clock.
    computes: bool,
}

/// Whether the model covers the program.
pub(crate) fn covers(program: &Program) -> bool {
    let mut known = !program.has(Role::Timer) && !program.has(Role::Task);
    program.each(|instr| {
        known &= !matches!(
            instr.op,
            Op::PutMany | Op::GetMany | Op::SetMax | Op::WaitAny | Op::WaitAll | Op::NextDone
        );
    });
    known
}

/// Every outcome of the program; `None` if there are more states than `states`.
pub(crate) fn outcomes(program: &Program, states: usize) -> Option<BTreeSet<Outcome>> {
    let model = Model::new(program);
    let (mut seen, mut found) = (HashSet::new(), BTreeSet::new());
    let mut left = vec![model.begin()];
    while let Some(world) = left.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        if seen.len() > states {
            return None;
        }
        let next = model.options(&world);
        if next.is_empty() {
            found.insert(model.outcome(world));
            continue;
        }
        left.extend(next.into_iter().map(|(thread, late)| model.after(&world, thread, late)));
    }
    Some(found)
}

impl<'a> Model<'a> {
    fn new(program: &'a Program) -> Self {
        let code = program.bodies.iter().map(|body| {
            let mut out = Vec::new();
            lay_out(&body.code, None, &mut out);
            out
        });
        let code: Vec<_> = code.collect();
        let reads = |code: &Code| matches!(code, Code::Do(instr, _) if instr.op == Op::Now);
        let computes = program.time == Time::Explored && code.iter().flatten().any(reads);
        Self { program, code, in_one_step: false, computes }
    }

    pub(crate) fn in_one_step(program: &'a Program) -> Self {
        Self { in_one_step: true, ..Self::new(program) }
    }

    pub(crate) fn begin(&self) -> World {
        let thread = Thread {
            life: Life::New,
            at: 0,
            phase: Phase::Before,
            deadline: None,
            guards: Vec::new(),
            depth: 0,
            turn: 0,
            unwinds: false,
            knows: 0,
            seen: Vec::new(),
        };
        let mut world = World {
            cells: [0; FEW],
            atomics: [0; FEW],
            locks: Default::default(),
            values: [0; FEW],
            conditions: Default::default(),
            permits: PERMITS,
            lines: Default::default(),
            events: [(false, 0); FEW],
            standing: Vec::new(),
            broken: false,
            queues: Default::default(),
            futures: [Settled::Not; FEW],
            taken: 0,
            joined: 0,
            threads: vec![thread; self.program.bodies.len()],
            clock: 0,
            panicked: false,
        };
        world.threads[0].life = Life::Live;
        self.settle(&mut world, 0);
        world
    }

    /// Executes what is not a step: instructions without effect, and those that no other thread can observe.
    fn settle(&self, world: &mut World, me: usize) {
        while let Some(code) = self.code[me].get(world.threads[me].at)
            && !world.threads[me].unwinds
            && Self::is_no_step(world, me, code)
        {
            world.threads[me].at += 1;
        }
        let clock = world.clock;
        let how = match self.code[me].get(world.threads[me].at) {
            Some(Code::Do(instr, _)) if instr.op == Op::Sleep => {
                How::Timeout(instr.numbers[0].unsigned_abs())
            }
            Some(Code::Do(instr, _)) => instr.how,
            Some(Code::Enter(_, how, _)) => *how,
            _ => How::Block,
        };
        let computes = self.computes && !self.enqueues_first(world, me);
        let thread = &mut world.threads[me];
        thread.phase = Phase::Before;
        thread.deadline = match how {
            How::Timeout(time) => Some(clock + u16::from(time)),
            _ => None,
        };
        if computes && thread.deadline.is_some() {
            thread.phase = Phase::Timeless;
        }
    }

    /// Whether the timeout of the thread's instruction begins when it enqueues.
    fn enqueues_first(&self, world: &World, me: usize) -> bool {
        let code = self.code[me].get(world.threads[me].at);
        matches!(code, Some(Code::Do(instr, _)) if matches!(instr.op, Op::Put | Op::Pop | Op::Drained))
    }

    /// The thread computes its deadline.
    fn compute(&self, world: &mut World, me: usize) {
        let time = match self.code[me].get(world.threads[me].at) {
            Some(Code::Do(instr, _)) if instr.op == Op::Sleep => instr.numbers[0].unsigned_abs(),
            Some(
                Code::Do(Instr { how: How::Timeout(time), .. }, _) | Code::Enter(_, How::Timeout(time), _),
            ) => *time,
            _ => unreachable!("its instruction has a timeout"),
        };
        let enqueued = world.threads[me].phase == Phase::Enqueued;
        world.threads[me].phase = if enqueued { Phase::Waiting } else { Phase::Before };
        world.threads[me].deadline = Some(world.clock + u16::from(time));
    }

    /// Whether the instruction is not a step; if so, it is executed.
    fn is_no_step(world: &mut World, me: usize, code: &Code) -> bool {
        let seen = match code {
            Code::Enter(guard, ..) if world.is_mine(*guard, me) => {
                world.hold(*guard, me);
                world.threads[me].guards.push(*guard);
                OK
            }
            Code::Leave(guard) if world.is_deep(*guard) => {
                world.free(*guard);
                world.threads[me].guards.pop();
                return true;
            }
            Code::Enter(..) | Code::Leave(_) => return false,
            Code::Do(instr, inner) => {
                let (place, guard) = (instr.object(), (RLOCK, instr.object()));
                match instr.op {
                    Op::Value | Op::Bump => {
                        let change = i8::from(instr.op == Op::Bump);
                        match inner {
                            Some((1, place)) => {
                                world.values[*place] += change;
                                world.values[*place].into()
                            }
                            Some(_) => change.into(),
                            None => return true,
                        }
                    }
                    Op::Reacquire if world.is_mine(guard, me) => {
                        world.hold(guard, me);
                        OK
                    }
                    Op::Rerelease if !world.is_mine(guard, me) => ERROR,
                    Op::Rerelease if world.is_deep(guard) => {
                        world.free(guard);
                        OK
                    }
                    Op::Wait | Op::Notify => return inner.is_none(),
                    Op::Join | Op::Alive => return world.threads[me].knows & (1 << place) == 0,
                    Op::Start => return me != 0,
                    _ => return false,
                }
            }
        };
        world.threads[me].seen.push(seen);
        true
    }

    /// Whether main's closure has returned: not while it waits for the threads of its scope.
    fn has_returned(&self, world: &World) -> bool {
        let scoped = |(body, thread): (usize, &Thread)| {
            self.program.bodies[body].role == Role::Scoped && thread.life == Life::Live
        };
        world.threads[0].at == self.code[0].len() && !world.threads.iter().enumerate().any(scoped)
    }

    /// Whether the thread keeps the program alive.
    fn keeps(&self, body: usize, thread: &Thread) -> bool {
        thread.life == Life::Live && self.program.bodies[body].role != Role::Daemon
    }

    /// The threads that can take the next step, and whether by a timeout.
    pub(crate) fn options(&self, world: &World) -> Vec<(usize, bool)> {
        if world.threads[0].life == Life::Over {
            return Vec::new();
        }
        let ready: Vec<_> = (0..world.threads.len()).map(|me| self.ready(world, me)).collect();
        let whose = |what| {
            (0..ready.len()).filter(move |me| world.threads[*me].life == Life::Live).filter({
                let ready = &ready;
                move |me| ready[*me] == what
            })
        };
        let mut options: Vec<_> = whose(Ready::Yes).map(|me| (me, false)).collect();
        let timed: Vec<_> = whose(Ready::Timed).collect();
        match self.program.time {
            Time::Quiescent => {
                let none = options.is_empty();
                let next = timed.iter().filter_map(|&me| world.threads[me].deadline).min();
                let due = |deadline| deadline <= Some(world.clock) || (none && deadline == next);
                options.extend(
                    timed.into_iter().filter(|&me| due(world.threads[me].deadline)).map(|me| (me, true)),
                );
            }
            _ => options.extend(timed.into_iter().map(|me| (me, true))),
        }
        options
    }

    fn ready(&self, world: &World, me: usize) -> Ready {
        let thread = &world.threads[me];
        let limited = thread.deadline.is_some();
        let when = |open: bool| match (open, limited) {
            (true, _) => Ready::Yes,
            (false, true) => Ready::Timed,
            (false, false) => Ready::No,
        };
        if thread.unwinds || matches!(thread.phase, Phase::Timeless | Phase::Enqueued) {
            return Ready::Yes;
        }
        match self.code[me].get(thread.at) {
            None if me == 0 => {
                // The program ends when all other threads that keep it alive have terminated: then the end of main is
                // a step.
                let mut others = world.threads.iter().enumerate().skip(1);
                if others.any(|(body, thread)| self.keeps(body, thread)) { Ready::No } else { Ready::Yes }
            }
            None | Some(Code::Leave(_) | Code::Enter(_, How::Try, _)) => Ready::Yes,
            Some(Code::Enter(guard, ..)) => when(world.is_free(*guard, me)),
            Some(Code::Do(instr, inner)) => {
                let place = instr.object();
                match instr.op {
                    Op::Acquire | Op::Reacquire | Op::Join | Op::Future if instr.how == How::Try => {
                        Ready::Yes
                    }
                    Op::Acquire => when(world.is_free((LOCK, place), me)),
                    Op::Reacquire => when(world.is_free((RLOCK, place), me)),
                    Op::Join => when(world.threads[place].life == Life::Over),
                    Op::Future => when(world.futures[place] != Settled::Not),
                    Op::Take if self.in_one_step && instr.how != How::Try => {
                        let count = usize::try_from(instr.numbers[1]).unwrap_or(0);
                        when(world.permits[place] >= count)
                    }
                    Op::Sleep => Ready::Timed,
                    Op::Wait if thread.phase == Phase::Waiting => {
                        let (kind, place) = inner.expect("it waits with a lock");
                        let notified = !world.conditions[kind][place].contains(&me);
                        if world.is_free((kind, place), me) { when(notified) } else { Ready::No }
                    }
                    Op::Await if thread.phase == Phase::Waiting => when(world.events[place].1 != thread.turn),
                    _ => when(thread.phase != Phase::Waiting),
                }
            }
        }
    }

    pub(crate) fn after(&self, world: &World, me: usize, late: bool) -> World {
        let mut world = world.clone();
        if late {
            world.clock = world.clock.max(world.threads[me].deadline.unwrap_or(0));
        }
        if self.step(&mut world, me, late) {
            world.threads[me].at += 1;
            self.settle(&mut world, me);
        }
        world
    }

    /// Whether the instruction is complete.
    fn step(&self, world: &mut World, me: usize, late: bool) -> bool {
        if world.threads[me].unwinds {
            match world.threads[me].guards.pop() {
                Some(guard) => world.free(guard),
                None => world.threads[me].life = Life::Over,
            }
            return false;
        }
        if matches!(world.threads[me].phase, Phase::Timeless | Phase::Enqueued) {
            self.compute(world, me);
            return false;
        }
        match self.code[me].get(world.threads[me].at) {
            None => {
                world.threads[me].life = Life::Over;
                false
            }
            Some(Code::Leave(guard)) => {
                world.threads[me].guards.pop();
                world.free(*guard);
                true
            }
            Some(Code::Enter(guard, _, behind)) => {
                let free = world.is_free(*guard, me);
                world.threads[me].seen.push(if free { OK } else { NO });
                if free {
                    world.threads[me].guards.push(*guard);
                    world.hold(*guard, me);
                } else {
                    world.threads[me].at = behind - 1;
                }
                true
            }
            Some(Code::Do(instr, inner)) => match self.run(world, me, instr, *inner, late) {
                Came::Waits => {
                    world.threads[me].phase = Phase::Waiting;
                    // The timeout of a put, get or join begins when the thread enqueues.
                    if let (Op::Put | Op::Pop | Op::Drained, How::Timeout(time)) = (instr.op, instr.how) {
                        world.threads[me].deadline = Some(world.clock + u16::from(time));
                        if self.computes {
                            world.threads[me].phase = Phase::Enqueued;
                        }
                    }
                    false
                }
                Came::To(seen) => {
                    world.threads[me].seen.extend(seen);
                    if seen == Some(PANIC) {
                        world.threads[me].unwinds = true;
                        world.panicked = true;
                    }
                    seen != Some(PANIC)
                }
            },
        }
    }

    #[expect(clippy::too_many_lines, reason = "one operation after the other")]
    fn run(&self, world: &mut World, me: usize, instr: &Instr, inner: Option<Guard>, late: bool) -> Came {
        let [_, second, third] = instr.numbers;
        let place = instr.object();
        let value = match instr.op {
            Op::Get => world.cells[place].into(),
            Op::Now => to_i16(world.clock.into()),
            Op::Set => {
                world.cells[place] = second;
                return NOTHING;
            }
            Op::Store => {
                world.atomics[place] = second;
                return NOTHING;
            }
            Op::Add => {
                let before = world.atomics[place];
                world.atomics[place] = before.wrapping_add(second);
                before.into()
            }
            Op::Exchange if world.atomics[place] == second => {
                world.atomics[place] = third;
                OK
            }
            Op::Load | Op::Exchange => world.atomics[place].into(),
            Op::PanicIf if world.cells[place] == second => PANIC,
            Op::PanicIf => OK,
            Op::Acquire | Op::Reacquire => {
                let guard = (if instr.op == Op::Acquire { LOCK } else { RLOCK }, place);
                let free = world.is_free(guard, me);
                if free {
                    world.hold(guard, me);
                }
                yes(free)
            }
            Op::Release if world.locks[LOCK][place].owner.is_none() => ERROR,
            Op::Rerelease if world.locks[RLOCK][place].owner != Some(me) => ERROR,
            Op::Release | Op::Rerelease => {
                world.free((if instr.op == Op::Release { LOCK } else { RLOCK }, place));
                OK
            }
            Op::IsLocked => yes(world.locks[LOCK][place].owner.is_some()),
            Op::Wait => return world.waits(me, inner.expect("it waits with a lock")),
            Op::Notify => {
                let (kind, place) = inner.expect("it notifies with a lock");
                let line = &mut world.conditions[kind][place];
                let count = instr.object().min(line.len());
                line.drain(..count);
                to_i16(count)
            }
            Op::Take | Op::Give | Op::Free | Op::Waiting => return world.semaphore(me, instr, late),
            Op::IsSet => yes(world.events[place].0),
            Op::Raise => {
                let (set, turn) = world.events[place];
                world.events[place] = (true, turn + u8::from(!set));
                return NOTHING;
            }
            Op::Lower => {
                world.events[place].0 = false;
                return NOTHING;
            }
            Op::Await if instr.how == How::Try => yes(world.events[place].0),
            Op::Await if world.threads[me].phase == Phase::Waiting => yes(!late),
            Op::Await if world.events[place].0 => OK,
            Op::Await => {
                world.threads[me].turn = world.events[place].1;
                return Came::Waits;
            }
            Op::Meet | Op::Abort | Op::Reset | Op::IsBroken | Op::Met => {
                return world.barrier(me, instr, late);
            }
            Op::Put | Op::Pop | Op::Len | Op::Getters | Op::Done | Op::Drained | Op::Shut | Op::ShutNow => {
                return world.queue(me, instr, late);
            }
            Op::Start => {
                let knows = world.threads[0].knows;
                let new = &mut world.threads[place];
                (new.life, new.knows) = (Life::Live, knows);
                self.settle(world, place);
                world.threads[0].knows |= 1 << place;
                return NOTHING;
            }
            Op::Join => self.join(world, me, instr, late),
            Op::Alive => yes(world.threads[place].life != Life::Over),
            Op::Fulfil => {
                let free = world.futures[place] == Settled::Not;
                if free {
                    world.futures[place] = Settled::With(second);
                }
                yes(free)
            }
            Op::Settled => yes(world.futures[place] != Settled::Not),
            Op::Refuse => {
                if world.futures[place] == Settled::Not {
                    world.futures[place] = Settled::Cancelled;
                }
                yes(world.futures[place] == Settled::Cancelled)
            }
            Op::Future => match (world.futures[place], instr.how) {
                (Settled::Not, _) => NO,
                (Settled::Cancelled, _) => ERROR,
                (Settled::With(_), How::Timeout(_)) => 0,
                _ if world.taken & (1 << place) != 0 => ERROR,
                (Settled::With(value), how) => {
                    world.taken |= u8::from(how == How::Block) << place;
                    value.into()
                }
            },
            _ => return NOTHING,
        };
        Came::To(Some(value))
    }

    fn join(&self, world: &mut World, me: usize, instr: &Instr, late: bool) -> i16 {
        let place = instr.object();
        let over = world.threads[place].life == Life::Over;
        let role = self.program.bodies[place].role;
        let owns = me == 0 && role != Role::Detached && world.joined & (1 << place) == 0;
        let takes = instr.how == How::Block || (matches!(instr.how, How::Timeout(_)) && role != Role::Scoped);
        if late || !over {
            return NO;
        }
        if owns && takes {
            world.joined |= 1 << place;
            return if world.threads[place].unwinds { ERROR } else { OK };
        }
        OK
    }

    /// The object that the next step of a thread accesses, and whether it changes it. Not all operations declare that.
    pub(crate) fn touches(&self, world: &World, me: usize) -> Option<((&'static str, usize), bool)> {
        const LOCKS: [&str; 4] = ["lock", "mutex", "rlock", "reentrant"];
        let thread = &world.threads[me];
        match self.code[me].get(thread.at) {
            None => Some((("thread", me), true)),
            Some(Code::Enter((kind, place), ..) | Code::Leave((kind, place))) => {
                Some(((LOCKS[*kind], *place), true))
            }
            Some(Code::Do(instr, _)) => {
                let place = instr.object();
                match instr.op {
                    Op::Get => Some((("cell", place), false)),
                    Op::Set => Some((("cell", place), true)),
                    Op::Load => Some((("atomic", place), false)),
                    Op::Store | Op::Add | Op::Exchange => Some((("atomic", place), true)),
                    Op::Acquire | Op::Release => Some(((LOCKS[LOCK], place), true)),
                    Op::Take | Op::Give => Some((("semaphore", place), true)),
                    Op::IsSet => Some((("event", place), false)),
                    Op::Raise | Op::Lower => Some((("event", place), true)),
                    Op::Join | Op::Alive => Some((("thread", place), false)),
                    Op::Start => None,
                    _ => unreachable!("the classes of programs with this are not counted: {instr:?}"),
                }
            }
        }
    }

    fn outcome(&self, world: World) -> Outcome {
        let end = match () {
            () if world.panicked && !self.program.panics => "panic",
            () if world.threads[0].life == Life::Over => "the end",
            () if self.has_returned(&world) => "threads left",
            () => "deadlock",
        };
        Outcome { seen: world.threads.into_iter().map(|thread| thread.seen).collect(), end }
    }
}

/// The result of a step.
enum Came {
    Waits,
    To(Option<i16>),
}

const NOTHING: Came = Came::To(None);

fn yes(said: bool) -> i16 {
    if said { OK } else { NO }
}

fn to_i16(number: usize) -> i16 {
    i16::try_from(number).expect("few objects and items")
}

impl World {
    fn is_free(&self, (kind, place): Guard, me: usize) -> bool {
        let held = &self.locks[kind][place];
        held.owner.is_none() || (kind >= RLOCK && held.owner == Some(me))
    }

    fn is_mine(&self, (kind, place): Guard, me: usize) -> bool {
        kind >= RLOCK && self.locks[kind][place].owner == Some(me)
    }

    fn is_deep(&self, (kind, place): Guard) -> bool {
        self.locks[kind][place].depth > 1
    }

    fn hold(&mut self, (kind, place): Guard, me: usize) {
        let held = &mut self.locks[kind][place];
        (held.owner, held.depth) = (Some(me), held.depth + 1);
    }

    fn free(&mut self, (kind, place): Guard) {
        let held = &mut self.locks[kind][place];
        held.depth = held.depth.saturating_sub(1);
        if held.depth == 0 {
            held.owner = None;
        }
    }

    fn waits(&mut self, me: usize, (kind, place): Guard) -> Came {
        let line = &mut self.conditions[kind][place];
        let held = &mut self.locks[kind][place];
        if self.threads[me].phase == Phase::Before {
            line.push_back(me);
            self.threads[me].depth = held.depth;
            *held = Held::default();
            return Came::Waits;
        }
        let notified = !line.contains(&me);
        line.retain(|waiter| *waiter != me);
        *held = Held { owner: Some(me), depth: self.threads[me].depth };
        Came::To(Some(yes(notified)))
    }

    fn semaphore(&mut self, me: usize, instr: &Instr, late: bool) -> Came {
        let (place, count) = (instr.object(), usize::try_from(instr.numbers[1]).unwrap_or(0));
        let bound = if place == 1 { PERMITS[1] } else { usize::MAX };
        let seen = match instr.op {
            Op::Free => to_i16(self.permits[place]),
            Op::Waiting => to_i16(self.lines[place].len()),
            Op::Give if self.permits[place] + count > bound => ERROR,
            Op::Give => {
                self.permits[place] += count;
                self.grant(place);
                OK
            }
            _ if self.threads[me].phase == Phase::Waiting && late => {
                self.lines[place].retain(|(waiter, _)| *waiter != me);
                self.grant(place);
                NO
            }
            _ if self.threads[me].phase != Phase::Before => OK,
            // A request for more than the bound is an error, where that can be reported.
            _ if count > bound && instr.how == How::Block => ERROR,
            _ if self.lines[place].is_empty() && self.permits[place] >= count => {
                self.permits[place] -= count;
                OK
            }
            _ if instr.how == How::Try => NO,
            _ => {
                self.lines[place].push_back((me, count));
                return Came::Waits;
            }
        };
        Came::To(Some(seen))
    }

    fn grant(&mut self, place: usize) {
        while let Some(&(waiter, count)) = self.lines[place].front()
            && count <= self.permits[place]
        {
            self.permits[place] -= count;
            self.lines[place].pop_front();
            self.threads[waiter].phase = Phase::Served(OK);
        }
    }

    fn barrier(&mut self, me: usize, instr: &Instr, late: bool) -> Came {
        let seen = match instr.op {
            Op::IsBroken => yes(self.broken),
            Op::Met => to_i16(self.standing.len()),
            Op::Abort | Op::Reset => {
                self.break_off(instr.op == Op::Abort);
                return NOTHING;
            }
            _ => match self.threads[me].phase {
                Phase::Timeless | Phase::Enqueued => unreachable!("it computes its deadline first"),
                Phase::Served(seen) => seen,
                Phase::Waiting if late => {
                    self.standing.retain(|waiter| *waiter != me);
                    self.break_off(true);
                    ERROR
                }
                Phase::Waiting => ERROR,
                Phase::Before if self.broken => ERROR,
                Phase::Before if self.standing.len() + 1 == BARRIER => {
                    for (index, waiter) in std::mem::take(&mut self.standing).into_iter().enumerate() {
                        self.threads[waiter].phase = Phase::Served(to_i16(index));
                    }
                    to_i16(BARRIER - 1)
                }
                Phase::Before => {
                    self.standing.push(me);
                    return Came::Waits;
                }
            },
        };
        Came::To(Some(seen))
    }

    fn break_off(&mut self, broken: bool) {
        self.broken = broken;
        for waiter in std::mem::take(&mut self.standing) {
            self.threads[waiter].phase = Phase::Served(ERROR);
        }
    }

    fn queue(&mut self, me: usize, instr: &Instr, late: bool) -> Came {
        let place = instr.object();
        let queue = &mut self.queues[place];
        let seen = match instr.op {
            Op::Len => to_i16(queue.items.len()),
            Op::Getters => to_i16(queue.getters.len()),
            Op::Done if queue.unfinished == 0 => ERROR,
            Op::Done => {
                self.finish(place, 1);
                OK
            }
            Op::Shut | Op::ShutNow => {
                let now = instr.op == Op::ShutNow;
                queue.shut = true;
                let dropped = if now { std::mem::take(&mut queue.items).len() } else { 0 };
                let putters = std::mem::take(&mut queue.putters).into_iter().map(|(putter, _)| putter);
                let waiters: Vec<_> = std::mem::take(&mut queue.getters).into_iter().chain(putters).collect();
                if now {
                    let done = dropped.min(queue.unfinished);
                    self.finish(place, done);
                }
                for waiter in waiters {
                    self.threads[waiter].phase = Phase::Served(SHUT);
                }
                if !now {
                    return NOTHING;
                }
                to_i16(dropped)
            }
            Op::Drained => match self.threads[me].phase {
                Phase::Timeless | Phase::Enqueued => unreachable!("it computes its deadline first"),
                Phase::Served(seen) => seen,
                Phase::Waiting => {
                    queue.joiners.retain(|joiner| *joiner != me);
                    NO
                }
                Phase::Before if instr.how == How::Try => to_i16(queue.unfinished),
                Phase::Before if queue.unfinished == 0 => OK,
                Phase::Before => {
                    queue.joiners.push(me);
                    return Came::Waits;
                }
            },
            Op::Put => match self.threads[me].phase {
                Phase::Timeless | Phase::Enqueued => unreachable!("it computes its deadline first"),
                Phase::Served(seen) => seen,
                Phase::Waiting => {
                    queue.putters.retain(|(putter, _)| *putter != me);
                    NO
                }
                Phase::Before => return self.put(me, instr),
            },
            _ => match self.threads[me].phase {
                Phase::Timeless | Phase::Enqueued => unreachable!("it computes its deadline first"),
                Phase::Served(seen) => seen,
                Phase::Waiting => {
                    queue.getters.retain(|getter| *getter != me);
                    NO
                }
                Phase::Before => return self.pop(me, instr),
            },
        };
        debug_assert!(!late || seen == NO, "{instr:?}");
        Came::To(Some(seen))
    }

    fn put(&mut self, me: usize, instr: &Instr) -> Came {
        let (place, item) = (instr.object(), instr.numbers[1]);
        let queue = &mut self.queues[place];
        if queue.shut {
            return Came::To(Some(SHUT));
        }
        if let Some(getter) = queue.getters.pop_front() {
            queue.unfinished += 1;
            self.threads[getter].phase = Phase::Served(item.into());
        } else if ROOM[place] == 0 || queue.items.len() < ROOM[place] {
            queue.unfinished += 1;
            queue.items.push_back(item);
        } else if instr.how == How::Try {
            return Came::To(Some(NO));
        } else {
            queue.putters.push_back((me, item));
            return Came::Waits;
        }
        if place == SIMPLE { NOTHING } else { Came::To(Some(OK)) }
    }

    fn pop(&mut self, me: usize, instr: &Instr) -> Came {
        let place = instr.object();
        let queue = &mut self.queues[place];
        let at = match place {
            2 => queue.items.len().checked_sub(1),
            3 => (0..queue.items.len()).min_by_key(|&at| queue.items[at]),
            _ => Some(0),
        };
        let Some(item) = at.and_then(|at| queue.items.remove(at)) else {
            if queue.shut {
                return Came::To(Some(SHUT));
            }
            if instr.how == How::Try {
                return Came::To(Some(NO));
            }
            queue.getters.push_back(me);
            return Came::Waits;
        };
        if let Some((putter, more)) = queue.putters.pop_front() {
            queue.items.push_back(more);
            queue.unfinished += 1;
            self.threads[putter].phase = Phase::Served(OK);
        }
        Came::To(Some(item.into()))
    }

    fn finish(&mut self, place: usize, count: usize) {
        let queue = &mut self.queues[place];
        queue.unfinished -= count;
        if queue.unfinished == 0 {
            for joiner in std::mem::take(&mut queue.joiners) {
                self.threads[joiner].phase = Phase::Served(OK);
            }
        }
    }
}
