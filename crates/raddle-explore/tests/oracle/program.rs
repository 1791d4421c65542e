//! A concurrent program as data: the instructions of each thread, with a text form.

use std::fmt;
use std::str::FromStr;

use raddle_explore::Time;

/// How an operation waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum How {
    /// Blocks.
    Block,
    /// Does not block.
    Try,
    /// Blocks for at most so many milliseconds.
    Timeout(u8),
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Block => f.write_str("block"),
            How::Try => f.write_str("try"),
            How::Timeout(ms) => write!(f, "{ms}ms"),
        }
    }
}

macro_rules! ops {
    ($($op:ident $name:literal $numbers:literal $how:literal $body:literal,)*) => {
        /// The operation of an instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Op { $($op,)* }

        /// Each operation: its name, how many numbers it has, whether it has a form of waiting, whether it has a body.
        pub(crate) const OPS: &[(Op, &str, usize, bool, bool)] = &[$((Op::$op, $name, $numbers, $how, $body),)*];
    };
}

ops! {
    Get "get" 1 false false,
    Set "set" 2 false false,
    Load "load" 1 false false,
    Store "store" 2 false false,
    Add "add" 2 false false,
    Exchange "exchange" 3 false false,
    Acquire "acquire" 1 true false,
    Release "release" 1 false false,
    Reacquire "rlock-acquire" 1 true false,
    Rerelease "rlock-release" 1 false false,
    IsLocked "is-locked" 1 false false,
    WithLock "with-lock" 1 true true,
    WithMutex "with-mutex" 1 true true,
    WithRLock "with-rlock" 1 true true,
    WithReentrant "with-reentrant" 1 true true,
    Value "value" 0 false false,
    Bump "bump" 0 false false,
    Wait "wait" 0 true false,
    Notify "notify" 1 false false,
    Take "sem-acquire" 2 true false,
    Give "sem-release" 2 false false,
    Free "sem-available" 1 false false,
    Waiting "sem-waiting" 1 false false,
    IsSet "event-is-set" 1 false false,
    Raise "event-set" 1 false false,
    Lower "event-clear" 1 false false,
    Await "event-wait" 1 true false,
    Meet "barrier-wait" 0 true false,
    Abort "barrier-abort" 0 false false,
    Reset "barrier-reset" 0 false false,
    IsBroken "barrier-is-broken" 0 false false,
    Met "barrier-waiting" 0 false false,
    Put "put" 2 true false,
    Pop "pop" 1 true false,
    PutMany "put-many" 2 true false,
    GetMany "get-many" 2 true false,
    SetMax "set-limit" 2 false false,
    Len "len" 1 false false,
    Getters "getters" 1 false false,
    Done "task-done" 1 false false,
    Drained "queue-join" 1 true false,
    Shut "shutdown" 1 false false,
    ShutNow "shutdown-now" 1 false false,
    Start "start" 1 false false,
    Join "join" 1 true false,
    Alive "alive" 1 false false,
    Sleep "sleep" 1 false false,
    Yield "yield" 0 false false,
    Now "now" 0 false false,
    PanicIf "panic-if" 2 false false,
    After "timer" 2 false false,
    Cancel "timer-cancel" 1 false false,
    Over "timer-wait" 1 true false,
    Submit "submit" 1 false false,
    Result "result" 1 true false,
    Withdraw "task-cancel" 1 false false,
    IsDone "task-done?" 1 false false,
    Fulfil "promise-set" 2 false false,
    Future "future-result" 1 true false,
    Settled "future-done" 1 false false,
    Refuse "future-cancel" 1 false false,
    WaitAny "wait-any" 0 true false,
    WaitAll "wait-all" 0 true false,
    NextDone "first-completed" 0 false false,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instr {
    pub(crate) op: Op,
    /// The object, the value, …
    pub(crate) numbers: [i8; 3],
    pub(crate) how: How,
    /// The instructions with the lock held.
    pub(crate) body: Vec<Instr>,
}

impl Instr {
    /// The number of the object.
    pub(crate) fn object(&self) -> usize {
        usize::try_from(self.numbers[0]).expect("objects have small positive numbers")
    }
}

/// The thread or service that runs a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Main,
    /// A thread whose handle main keeps.
    Thread,
    Daemon,
    /// A thread whose handle is dropped.
    Detached,
    Scoped,
    /// The function of a timer.
    Timer,
    /// A task of the pool.
    Task,
}

const ROLES: &[(Role, &str)] = &[
    (Role::Main, "main"),
    (Role::Thread, "thread"),
    (Role::Daemon, "daemon"),
    (Role::Detached, "detached"),
    (Role::Scoped, "scoped"),
    (Role::Timer, "timer"),
    (Role::Task, "task"),
];

/// A body and what runs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Body {
    pub(crate) role: Role,
    pub(crate) code: Vec<Instr>,
}

/// A program: body 0 is that of main, which starts the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Program {
    pub(crate) time: Time,
    /// Panics are left to the joiner; otherwise they are failures.
    pub(crate) panics: bool,
    pub(crate) bodies: Vec<Body>,
}

impl Program {
    /// Every instruction, including those in blocks.
    pub(crate) fn each(&self, mut look: impl FnMut(&Instr)) {
        fn visit(code: &[Instr], look: &mut impl FnMut(&Instr)) {
            for instr in code {
                look(instr);
                visit(&instr.body, look);
            }
        }
        self.bodies.iter().for_each(|body| visit(&body.code, &mut look));
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.bodies.iter().any(|body| body.role == role)
    }
}

fn write_code(f: &mut fmt::Formatter<'_>, code: &[Instr]) -> fmt::Result {
    for (place, instr) in code.iter().enumerate() {
        if place > 0 {
            f.write_str("; ")?;
        }
        let (_, name, numbers, how, body) =
            OPS.iter().find(|(op, ..)| *op == instr.op).expect("each operation has a name");
        f.write_str(name)?;
        instr.numbers[..*numbers].iter().try_for_each(|number| write!(f, " {number}"))?;
        if *how {
            write!(f, " {}", instr.how)?;
        }
        if *body {
            f.write_str(" { ")?;
            write_code(f, &instr.body)?;
            f.write_str(" }")?;
        }
    }
    Ok(())
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = if self.time == Time::Quiescent { "quiescent" } else { "explored" };
        let panics = if self.panics { " panics-allowed" } else { "" };
        write!(f, "{time}{panics}")?;
        for body in &self.bodies {
            let name = ROLES.iter().find(|(role, _)| *role == body.role).expect("each role has a name").1;
            write!(f, "\n{name}: ")?;
            write_code(f, &body.code)?;
        }
        Ok(())
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().ok_or("no program")?;
        let time = if head.starts_with("quiescent") { Time::Quiescent } else { Time::Explored };
        let bodies = lines.map(|line| {
            let (role, code) = line.split_once(':').ok_or_else(|| format!("no role: {line}"))?;
            let role =
                ROLES.iter().find(|(_, name)| *name == role).ok_or_else(|| format!("no role: {role}"))?.0;
            let mut words = code.split_whitespace().flat_map(split).peekable();
            let code = parse(&mut words)?;
            match words.next() {
                None => Ok(Body { role, code }),
                Some(word) => Err(format!("unexpected: {word}")),
            }
        });
        let bodies = bodies.collect::<Result<_, String>>()?;
        Ok(Program { time, panics: head.contains("panics-allowed"), bodies })
    }
}

/// A word, and the semicolon that follows it.
fn split(word: &str) -> impl Iterator<Item = &str> {
    let bare = word.trim_end_matches(';');
    [bare, &word[bare.len()..]].into_iter().filter(|part| !part.is_empty())
}

fn parse<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> Result<Vec<Instr>, String> {
    let mut code = Vec::new();
    while let Some(name) = words.next_if(|word| *word != "}") {
        if name == ";" {
            continue;
        }
        let (op, _, count, has_how, has_body) =
            *OPS.iter().find(|(_, it, ..)| *it == name).ok_or_else(|| format!("no operation: {name}"))?;
        let (mut numbers, mut how, mut body) = ([0; 3], How::Block, Vec::new());
        for number in &mut numbers[..count] {
            let word = words.next().ok_or("a number is missing")?;
            *number = word.parse().map_err(|_| format!("no number: {word}"))?;
        }
        if has_how {
            how = match words.next().ok_or("how to wait is missing")? {
                "block" => How::Block,
                "try" => How::Try,
                ms => How::Timeout(ms.trim_end_matches("ms").parse().map_err(|_| format!("no time: {ms}"))?),
            };
        }
        if has_body {
            words.next_if_eq(&"{").ok_or("a body is missing")?;
            body = parse(words)?;
            words.next_if_eq(&"}").ok_or("a body does not end")?;
        }
        code.push(Instr { op, numbers, how, body });
    }
    Ok(code)
}
