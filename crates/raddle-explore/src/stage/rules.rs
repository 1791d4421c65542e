//! What is a step, and what time is, in the executions of one search.

/// What counts as one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grain {
    /// An operation of the toolkit: taking a lock, putting an item, loading a cell. For programs.
    #[default]
    Operations,
    /// The atomic accesses inside an operation are steps of their own, threads really park, and now and then one
    /// wakes without a reason. For those who write primitives on [`raddle::rt`].
    Atoms,
}

/// When timeouts pass and sleeps end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Time {
    /// At any moment, whatever other threads can do and whichever deadline is earlier: that a wait times out, or a sleep
    /// ends, is a step like any other. A thread whose waits ended so eight times while others could proceed has to
    /// wait for them from then on, and the outcome is [`Inconclusive`](crate::Outcome::Inconclusive) at best.
    #[default]
    Explored,
    /// When no other step is possible, in the order of their deadlines: code takes no time, timeouts are long, and a
    /// sleep takes longer than everything else. What is due at the same moment can time out in any order.
    Quiescent,
}

/// How often a thread's time may be up in one execution while others could go on.
pub(crate) const EARLY: usize = 8;

/// The rules of one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Rules {
    pub(crate) grain: Grain,
    pub(crate) time: Time,
    /// How often each thread may wake without a reason.
    pub(crate) spurious: usize,
    pub(crate) max_steps: usize,
    /// A thread's panic is for its joiner to judge.
    pub(crate) panics_allowed: bool,
    pub(crate) races: bool,
    /// That a thread begins to wait for a permit is a step of its own.
    pub(crate) arrivals: bool,
    /// Keep what a report needs.
    pub(crate) record: bool,
}

impl Rules {
    pub(crate) fn fine(&self) -> bool {
        self.grain == Grain::Atoms
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            grain: Grain::default(),
            time: Time::default(),
            spurious: 0,
            max_steps: 20_000,
            panics_allowed: false,
            races: false,
            arrivals: false,
            record: false,
        }
    }
}
