//! How an execution goes wrong.

use crate::hook::Source;

/// A line of the program.
pub(crate) use raddle::rt::Place;

/// How an execution went wrong.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// A thread's function panicked, at this place of the sources if the panic hook was told.
    Panic { thread: usize, message: String, at: Option<(String, u32, u32)> },
    /// Nobody could go on, and no deadline was pending.
    Deadlock,
    /// Only threads are left that nobody will let go on, after the program's main thread had returned.
    ThreadsLeft,
    /// It went on and on.
    TooLong,
    /// Two events touched a cell, one of them wrote, and nothing ordered them.
    Race { cell: u32, first: usize, second: usize },
    /// A primitive's predicate said that the step would succeed, and the step waited.
    SaidYes,
    /// A primitive's predicate said that the step would wait though it would have succeeded: nobody was told that the
    /// word had changed.
    SaidNo,
    /// A thread is stuck somewhere outside the toolkit.
    Outside { thread: usize, state: String },
    /// After the same choices the program did something else.
    Strange {
        /// In which step, counted from 0, two executions differed, and what each did there.
        differs: Option<(usize, String, String)>,
    },
    /// Something else, which the title says, with what is known of it.
    Other { kind: &'static str, title: String, message: String, thread: Option<usize>, at: Option<Source> },
    /// More threads than may be alive at the same time.
    TooMany,
}

impl Failure {
    /// Whether both are the same mistake, as far as can be told.
    pub(crate) fn is_like(&self, other: &Failure) -> bool {
        match (self, other) {
            (Failure::Panic { message: a, at: x, .. }, Failure::Panic { message: b, at: y, .. })
            | (Failure::Other { title: a, at: x, .. }, Failure::Other { title: b, at: y, .. }) => {
                if x.is_some() { x == y } else { a == b }
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}
