//! What went wrong, and how it came to that.

use std::fmt;

use crate::search::Execution;
use crate::stage::Failure;

/// An execution that failed.
pub struct Report {
    execution: Execution,
    executions: u64,
}

impl Report {
    pub(crate) fn new(execution: Execution, executions: u64) -> Self {
        Self { execution, executions }
    }

    /// Which execution failed, counted from one.
    pub fn executions(&self) -> u64 {
        self.executions
    }

    /// How often a thread that could have gone on had to let another one go first.
    pub fn preemptions(&self) -> usize {
        self.execution.preemptions
    }

    fn name(&self, thread: usize) -> &str {
        &self.execution.actors[thread].name
    }

    fn title(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.execution.failure {
            Some(Failure::Panic { thread, message, at }) => {
                write!(f, "thread \"{}\" panicked", self.name(*thread))?;
                if let Some((file, line, column)) = at {
                    write!(f, " at {file}:{line}:{column}")?;
                }
                write!(f, ": {message}")
            }
            Some(Failure::Deadlock) => f.write_str("deadlock: no thread can go on"),
            Some(Failure::ThreadsLeft) => {
                f.write_str("the program's main thread has returned, and others wait for ever")
            }
            Some(Failure::TooLong) => {
                f.write_str("it goes on and on: a livelock, or more steps than allowed")
            }
            Some(failure) => write!(f, "{failure:?}"),
            None => f.write_str("nothing went wrong"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.title(f)?;
        let (executions, preemptions) = (self.executions, self.preemptions());
        writeln!(
            f,
            "\n\nfound in execution {executions}, with {preemptions} preemptions; the steps in their order:"
        )?;
        self.steps(f)?;
        self.waits(f)
    }
}

impl Report {
    fn object(&self, number: u32) -> String {
        let (what, ordinal) = self.execution.objects.kin(number);
        match self.execution.label(number) {
            Some(label) => format!("{what} \"{label}\""),
            None => format!("{what} {}", ordinal + 1),
        }
    }

    /// One line for each step: the thread, what it did, the values, and where.
    fn steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.execution.rows {
            if let Some(preempted) = row.preempts {
                writeln!(f, "  -- preemption: \"{}\" could have gone on", self.name(preempted))?;
            }
            let (Some(kind), Some(object), Some(at)) = (row.kind, row.object, row.at) else { continue };
            write!(f, "  {:<24} {} {}", self.name(row.thread), kind.verb(), self.object(object))?;
            if !row.values.is_empty() {
                write!(f, ": {}", row.values.join(", "))?;
            }
            let late = if row.timed_out { ", its time is up" } else { "" };
            writeln!(f, "{late}, at {at}")?;
        }
        Ok(())
    }

    /// Who waits for what at the end, and who holds it since when.
    fn waits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for wait in &self.execution.waits {
            let (who, object) = (self.name(wait.thread), self.object(wait.object));
            writeln!(f, "  thread \"{who}\" waits for {object}, at {}", wait.at)?;
            if let Some(hold) = wait.held {
                writeln!(f, "      which thread \"{}\" holds since {}", self.name(hold.by), hold.since)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("failure", &self.execution.failure)
            .field("executions", &self.executions)
            .finish_non_exhaustive()
    }
}
