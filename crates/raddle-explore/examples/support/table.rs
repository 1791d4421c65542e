//! Draws recorded steps as a table with a column per thread, and finds the updates that were lost.

use std::fmt;
use std::sync::Arc;

use raddle::trace::{Kind, Step};

/// The steps that the table shows: loads, stores, notes, sleeps.
pub(crate) struct Table(Vec<Step>);

impl Table {
    pub(crate) fn of(steps: Vec<Step>) -> Self {
        let shown = |step: &Step| step.value.is_some() || step.kind == Kind::Sleep;
        Self(steps.into_iter().filter(shown).collect())
    }

    /// An update is lost if it was stored between another thread's load and store, because that thread overwrites it.
    pub(crate) fn lost(&self) -> Vec<String> {
        let mut lost = Vec::new();
        for (store, step) in self.accesses(Kind::Store) {
            let mine = |(load, other): &(usize, &Step)| *load < store && other.thread == step.thread;
            let Some((load, loaded)) = self.accesses(Kind::Load).filter(mine).last() else { continue };
            let between =
                |(at, other): &(usize, &Step)| (load..store).contains(at) && other.thread != step.thread;
            for (at, other) in self.accesses(Kind::Store).filter(between) {
                lost.push(format!(
                    "Step {}, the update of {}, is lost: {} had loaded {} before it, in step {}, and stored {} over it in step {}.",
                    at + 1, other.thread, step.thread, after(loaded), load + 1, after(step), store + 1
                ));
            }
        }
        lost
    }

    fn accesses(&self, kind: Kind) -> impl Iterator<Item = (usize, &Step)> {
        self.0.iter().enumerate().filter(move |(_, step)| is_access(step) && step.kind == kind)
    }

    fn threads(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.0.iter().map(|step| step.thread.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = self.threads();
        write!(f, "step      ms  ")?;
        threads.iter().try_for_each(|name| write!(f, "{name:<22}"))?;
        writeln!(f, "shared value")?;
        let mut value = self.0.iter().find(|step| is_access(step)).map_or("", before);
        writeln!(f, "{:14}{:width$}{value}", "", "", width = 22 * threads.len())?;
        for (index, step) in self.0.iter().enumerate() {
            if is_access(step) {
                value = after(step);
            }
            write!(f, "{:4}{:8.1}  ", index + 1, step.when.as_secs_f64() * 1e3)?;
            for name in &threads {
                write!(f, "{:<22}", if *name == step.thread { what(step) } else { String::new() })?;
            }
            writeln!(f, "{value}")?;
        }
        writeln!(f)?;
        match &self.lost()[..] {
            [] => {
                writeln!(
                    f,
                    "No update was lost in this run: no thread stored between another's load and store."
                )
            }
            lost => lost.iter().try_for_each(|line| writeln!(f, "{line}")),
        }
    }
}

/// The text of a step, in the column of its thread.
fn what(step: &Step) -> String {
    match step.kind {
        Kind::Sleep => "sleeps".to_owned(),
        Kind::Load => format!("loads {}", after(step)),
        _ if is_access(step) => format!("stores {}", after(step)),
        _ => format!("{} = {}", step.object.type_name, after(step)),
    }
}

fn is_access(step: &Step) -> bool {
    step.object.type_name == "Shared"
}

/// The value before the step; a store is recorded as `old → new`.
fn before(step: &Step) -> &str {
    let value = step.value.as_deref().unwrap_or_default();
    value.split_once(" → ").map_or(value, |(old, _)| old)
}

/// The value after the step.
fn after(step: &Step) -> &str {
    let value = step.value.as_deref().unwrap_or_default();
    value.split_once(" → ").map_or(value, |(_, new)| new)
}
