//! What an execution did, and how it went wrong, in words.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use raddle::host::{Object, Op};

/// How an execution went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody could go on, and no deadline was pending.
    Deadlock,
    /// The scenario panicked.
    Panic(String),
    /// It went on and on.
    Endless,
    /// A predicate said that the step would succeed, and the step waited.
    SaidYes,
    /// A predicate said that the step would wait, and the step succeeded.
    SaidNo,
    /// Threads or obligations were left in the program at the end.
    Leftovers(String),
}

/// One line of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Step { who: usize, op: Op },
    Took { who: usize, op: Op },
    Atom { who: usize, word: usize },
    Waits { who: usize, word: usize },
    Parks { who: usize, limited: bool },
    Wakes { who: usize, word: usize, count: u32 },
    Yields { who: usize },
    Spawns { who: usize, new: usize },
    Finishes { who: usize },
    Spurious { who: usize },
    Clock { shows: Duration },
}

/// An execution that went wrong, with all that is needed to understand it and to see it again.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) failure: Failure,
    pub(crate) choices: Vec<usize>,
    pub(crate) log: Vec<Entry>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}, after the choices {:?}:", self.failure, self.choices)?;
        let mut names = Names::default();
        for entry in &self.log {
            names.line(f, entry)?;
        }
        Ok(())
    }
}

/// Numbers instead of addresses, which differ from execution to execution.
#[derive(Default)]
struct Names {
    words: BTreeMap<usize, usize>,
    objects: BTreeMap<usize, usize>,
}

impl Names {
    fn line(&mut self, f: &mut fmt::Formatter<'_>, entry: &Entry) -> fmt::Result {
        match *entry {
            Entry::Step { who, op } => self.step(f, who, op.kind.verb(), &op),
            Entry::Took { who, op } => self.step(f, who, "has", &op),
            Entry::Atom { who, word } => writeln!(f, "  {who}    touches word {}", self.word(word)),
            Entry::Waits { who, word } => {
                writeln!(f, "  {who}    looks whether to park on word {}", self.word(word))
            }
            Entry::Parks { who, limited: false } => writeln!(f, "  {who}    parks"),
            Entry::Parks { who, limited: true } => writeln!(f, "  {who}    parks, with a limit"),
            Entry::Wakes { who, word, count } => {
                writeln!(f, "  {who}    wakes {} on word {}", count.min(99), self.word(word))
            }
            Entry::Yields { who } => writeln!(f, "  {who}  lets others go first"),
            Entry::Spawns { who, new } => writeln!(f, "  {who}  has started thread {new}"),
            Entry::Finishes { who } => writeln!(f, "  {who}  is over"),
            Entry::Spurious { who } => writeln!(f, "  {who}    is woken without a reason"),
            Entry::Clock { shows } => writeln!(f, "  the clock shows {shows:?}"),
        }
    }

    fn step(&mut self, f: &mut fmt::Formatter<'_>, who: usize, verb: &str, op: &Op) -> fmt::Result {
        let number = self.object(op.object);
        writeln!(f, "  {who}  {verb} {} {number}, at {}", op.object.what, op.at)
    }

    fn object(&mut self, object: Object) -> usize {
        let next = self.objects.len();
        *self.objects.entry(object.address).or_insert(next)
    }

    fn word(&mut self, address: usize) -> usize {
        let next = self.words.len();
        *self.words.entry(address).or_insert(next)
    }
}
