//! Random programs over the whole toolkit, small enough for an exhaustive search.

use fastrand::Rng;
use raddle_explore::Time;

use super::program::{Body, How, Instr, OPS, Op, Program, Role};
use super::run::{QUEUES, SIMPLE};

/// A family of operations, and the bodies that it needs besides threads.
struct Family {
    ops: &'static [Op],
    /// Its probability, relative to other families.
    weight: usize,
}

const fn family(weight: usize, ops: &'static [Op]) -> Family {
    Family { ops, weight }
}

const FAMILIES: &[Family] = &[
    family(3, &[Op::Get, Op::Set]),
    family(2, &[Op::Load, Op::Store, Op::Add, Op::Exchange]),
    family(3, &[Op::Acquire, Op::Release, Op::Acquire, Op::Release, Op::IsLocked]),
    family(2, &[Op::Reacquire, Op::Rerelease, Op::Reacquire]),
    family(3, &[Op::WithLock, Op::WithMutex, Op::WithRLock, Op::WithReentrant]),
    family(4, &[Op::WithMutex, Op::WithMutex, Op::WithRLock, Op::WithLock]),
    family(4, &[Op::Take, Op::Give, Op::Take, Op::Give, Op::Free, Op::Waiting]),
    family(4, &[Op::IsSet, Op::Raise, Op::Raise, Op::Lower, Op::Await, Op::Await]),
    family(3, &[Op::Meet, Op::Meet, Op::Meet, Op::Abort, Op::Reset, Op::IsBroken, Op::Met]),
    family(6, &[Op::Put, Op::Pop, Op::Put, Op::Pop, Op::Len, Op::Getters]),
    family(3, &[Op::Put, Op::Pop, Op::Done, Op::Drained, Op::Shut, Op::ShutNow]),
    family(3, &[Op::Join, Op::Alive, Op::Sleep, Op::Yield]),
    family(2, &[Op::Now, Op::Now, Op::Sleep, Op::Get]),
    family(1, &[Op::PanicIf, Op::Set]),
    family(2, &[Op::Fulfil, Op::Future, Op::Settled, Op::Refuse]),
    family(2, &[Op::PutMany, Op::GetMany, Op::GetMany, Op::Put, Op::Pop, Op::SetMax]),
    family(2, &[Op::Fulfil, Op::Fulfil, Op::WaitAny, Op::WaitAll, Op::NextDone, Op::Refuse]),
    family(1, &[Op::After, Op::Cancel, Op::Over]),
    family(1, &[Op::Submit, Op::Result, Op::Withdraw, Op::IsDone]),
];

/// The index of the first family that only main can use.
const SERVICES: usize = 17;
const CONDITIONS: usize = 5;

struct Generator {
    rng: Rng,
    families: Vec<usize>,
    queue: usize,
    /// Promises that are fulfilled, each at most once.
    fulfilled: usize,
    threads: usize,
    /// Whether blocking operations may have timeouts.
    limits: bool,
    /// Whether any body may read the clock.
    clock: bool,
    scoped: bool,
}

/// The program of a seed.
pub(crate) fn generate(seed: u64) -> Program {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678));
    let total: usize = FAMILIES.iter().map(|family| family.weight).sum();
    let count = 1 + rng.usize(..2) + usize::from(rng.u8(..4) == 0);
    let mut families: Vec<_> = (0..count)
        .map(|_| {
            let mut lot = rng.usize(..total);
            FAMILIES.iter().position(|family| {
                let found = lot < family.weight;
                lot = lot.saturating_sub(family.weight);
                found
            })
        })
        .map(|family| family.expect("the lot lies within the sum of the weights"))
        .collect();
    families.sort_unstable();
    families.dedup();
    let threads = match rng.u8(..10) {
        0..6 => 1,
        6..9 => 2,
        _ => 3,
    };
    let queue = rng.usize(..QUEUES);
    let limits = rng.bool();
    let clock = rng.u8(..4) == 0;
    let scoped = rng.u8(..5) == 0;
    Generator { rng, families, queue, fulfilled: 0, threads, limits, clock, scoped }.program()
}

impl Generator {
    fn program(&mut self) -> Program {
        let time = if self.rng.u8(..3) == 0 { Time::Quiescent } else { Time::Explored };
        let panics = self.rng.u8(..3) > 0;
        let length = [5, 3, 2][self.threads - 1];
        let mut bodies = vec![Body { role: Role::Main, code: Vec::new() }];
        for number in 1..=self.threads {
            let role = match self.rng.u8(..10) {
                _ if self.scoped => Role::Scoped,
                0..2 => Role::Daemon,
                2 => Role::Detached,
                _ => Role::Thread,
            };
            let steps = 1 + self.rng.usize(..length);
            let code = self.code(number, steps, 0);
            bodies.push(Body { role, code });
        }
        for (family, role) in [(SERVICES, Role::Timer), (SERVICES + 1, Role::Task)] {
            if self.families.contains(&family) {
                let steps = 1 + self.rng.usize(..2);
                let code = self.code(bodies.len(), steps, 0);
                bodies.push(Body { role, code });
            }
        }
        bodies[0].code = self.main(&bodies, length);
        Program { time, panics, bodies }
    }

    fn main(&mut self, bodies: &[Body], length: usize) -> Vec<Instr> {
        let length = 1 + self.rng.usize(..length);
        let mut code = self.code(0, length, 0);
        for (number, body) in bodies.iter().enumerate().rev() {
            match body.role {
                Role::Main => {}
                Role::Timer => {
                    let delay = 1 + self.rng.i8(0..2);
                    self.service(&mut code, number, Op::After, delay, &[Op::Cancel, Op::Over]);
                }
                Role::Task => {
                    self.service(&mut code, number, Op::Submit, 0, &[Op::Result, Op::Withdraw, Op::IsDone]);
                }
                _ => {
                    let place = if self.rng.u8(..4) == 0 { self.rng.usize(..=code.len()) } else { 0 };
                    code.insert(place, self.instr(Op::Start, number));
                    if self.rng.u8(..4) > 0 && body.role != Role::Detached {
                        let join = Instr { how: How::Block, ..self.instr(Op::Join, number) };
                        code.push(join);
                        if self.rng.bool() {
                            let look = self.code(0, 1, 1);
                            code.extend(look);
                        }
                    }
                }
            }
        }
        // A thread knows those that were started before it, so they start in the order of their numbers.
        let starts: Vec<_> = (0..code.len()).filter(|&at| code[at].op == Op::Start).collect();
        for (at, number) in starts.into_iter().zip(1..) {
            code[at].numbers[0] = number;
        }
        code
    }

    fn service(&mut self, code: &mut Vec<Instr>, number: usize, begin: Op, delay: i8, more: &[Op]) {
        let at = self.rng.usize(..=code.len());
        let mut first = self.instr(begin, number);
        if begin == Op::After {
            first.numbers[1] = delay;
        }
        code.insert(at, first);
        for _ in 0..=self.rng.usize(..2) {
            let op = more[self.rng.usize(..more.len())];
            let instr = self.instr(op, number);
            let at = at + 1 + self.rng.usize(..code.len() - at);
            code.insert(at, instr);
        }
    }

    /// Random instructions for a body, at a depth within blocks.
    fn code(&mut self, body: usize, length: usize, depth: usize) -> Vec<Instr> {
        let mut code = Vec::new();
        for _ in 0..length {
            let family = match self.rng.usize(..5) {
                0 => 0,
                _ => self.families[self.rng.usize(..self.families.len())],
            };
            let ops = if family >= SERVICES { FAMILIES[0].ops } else { FAMILIES[family].ops };
            let op = ops[self.rng.usize(..ops.len())];
            let op = if self.clock && self.rng.u8(..4) == 0 { Op::Now } else { op };
            // The panic of a scoped thread is resumed by its scope, and would be main's.
            if (op == Op::Fulfil && self.fulfilled == 2) || (op == Op::PanicIf && (body == 0 || self.scoped))
            {
                continue;
            }
            let object = match op {
                Op::Join | Op::Alive => 1 + self.rng.usize(..self.threads),
                _ => usize::from(self.rng.u8(..4) == 0),
            };
            if matches!(op, Op::Join | Op::Alive) && object == body {
                continue;
            }
            let mut instr = self.instr(op, object);
            if OPS.iter().any(|(it, .., has_body)| *it == op && *has_body) {
                if depth == 2 {
                    continue;
                }
                let inner = 1 + self.rng.usize(..2);
                instr.body = self.block(body, inner, depth, family == CONDITIONS);
            }
            code.push(instr);
        }
        code
    }

    /// A block with a lock held.
    fn block(&mut self, body: usize, length: usize, depth: usize, conditions: bool) -> Vec<Instr> {
        let mut code = Vec::new();
        for _ in 0..length {
            match self.rng.u8(..6) {
                0..3 if conditions => {
                    let op = [Op::Wait, Op::Notify][self.rng.usize(..2)];
                    let count = if self.rng.bool() { 1 } else { 9 };
                    let mut instr = self.instr(op, count);
                    if instr.how == How::Try {
                        instr.how = How::Block;
                    }
                    code.push(instr);
                }
                3 => {
                    let op = if self.rng.bool() { Op::Value } else { Op::Bump };
                    code.push(self.instr(op, 0));
                }
                _ => code.extend(self.code(body, 1, depth + 1)),
            }
        }
        code
    }

    fn instr(&mut self, op: Op, object: usize) -> Instr {
        let object = match op {
            Op::Put | Op::Pop | Op::Len | Op::Getters | Op::Done | Op::Drained | Op::Shut | Op::ShutNow => {
                match op {
                    Op::Done | Op::Drained | Op::Shut | Op::ShutNow if self.queue == SIMPLE => 0,
                    _ => self.queue,
                }
            }
            Op::PutMany | Op::GetMany | Op::SetMax => self.queue % SIMPLE,
            Op::Fulfil => {
                self.fulfilled += 1;
                self.fulfilled - 1
            }
            Op::Sleep => 1 + self.rng.usize(..2),
            // Manual operations use another lock than guards, which must find theirs held.
            Op::Acquire | Op::Release | Op::IsLocked | Op::Reacquire | Op::Rerelease => 0,
            Op::WithLock | Op::WithRLock => 1,
            _ => object,
        };
        let second = match op {
            Op::Take | Op::Give => 1 + i8::from(self.rng.u8(..4) == 0),
            Op::PanicIf | Op::Exchange => self.rng.i8(0..2),
            _ => 1 + self.rng.i8(0..2),
        };
        let how = match self.rng.u8(..6) {
            0 => How::Try,
            1..4 if self.limits => How::Timeout(1 + self.rng.u8(..3)),
            _ => How::Block,
        };
        // A barrier has no operation that does not block.
        let how = if op == Op::Meet && how == How::Try { How::Block } else { how };
        let object = i8::try_from(object).expect("few objects");
        // Unused numbers have the values that parsing would give them.
        let (_, _, count, has_how, _) = OPS.iter().find(|(it, ..)| *it == op).expect("it is one of them");
        let mut numbers = [object, second, 2];
        numbers[*count..].fill(0);
        let how = if *has_how { how } else { How::Block };
        Instr { op, numbers, how, body: Vec::new() }
    }
}
