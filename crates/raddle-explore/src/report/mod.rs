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
        for event in &self.execution.events {
            if let Some(op) = event.op {
                let kin = self.execution.objects.find(op.object.address, op.object.what);
                let number = kin.map_or(0, |number| self.execution.objects.kin(number).1 + 1);
                let thread = self.name(event.thread);
                writeln!(f, "  {thread:<24} {} {} {number}, at {}", op.kind.verb(), op.object.what, op.at)?;
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
