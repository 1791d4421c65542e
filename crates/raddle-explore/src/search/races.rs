//! Data races: two accesses of a cell, one of them a write, that nothing else ordered.
//!
//! Vector clocks, as in Flanagan and Freund, "`FastTrack`: efficient and precise dynamic race detection" (2009), without
//! its shortcuts.

use std::collections::HashMap;

use raddle::host::Kind;

use super::clock::Clock;
use super::execution::Execution;
use crate::stage::{Event, Failure, Mode};

/// The first data race on a [`Shared`](raddle::Shared) cell of an execution.
pub(crate) fn first_race(execution: &Execution) -> Option<Failure> {
    let mut races = Races {
        execution,
        threads: Vec::new(),
        objects: HashMap::new(),
        clocks: Vec::new(),
        cells: HashMap::new(),
    };
    (0..execution.events.len()).find_map(|event| races.step(event))
}

struct Races<'a> {
    execution: &'a Execution,
    /// What each thread has seen, by what keeps threads in order.
    threads: Vec<Clock>,
    /// What whoever uses an object sees.
    objects: HashMap<u32, Clock>,
    /// What each event had seen.
    clocks: Vec<Clock>,
    /// Who has touched each cell.
    cells: HashMap<u32, Vec<(usize, Mode)>>,
}

impl Races<'_> {
    fn step(&mut self, index: usize) -> Option<Failure> {
        let event = &self.execution.events[index];
        let mut clock = self.before(event);
        let sync: Vec<_> = event
            .accesses()
            .filter(|access| !Self::is_plain(event) || Some(*access) != event.access)
            .collect();
        for access in sync {
            let object = self.objects.entry(access.object).or_default();
            clock.join(object);
            if access.mode == Mode::Write {
                object.join(&clock);
                object.sees(event.thread, index);
            }
        }
        let race = self.look_at_cells(index, event, &clock);
        clock.sees(event.thread, index);
        self.threads[event.thread] = clock.clone();
        self.clocks.push(clock);
        race
    }

    fn before(&mut self, event: &Event) -> Clock {
        if self.threads.len() <= event.thread {
            self.threads.resize(event.thread + 1, Clock::default());
        }
        let mut clock = self.threads[event.thread].clone();
        event.opened_by.iter().for_each(|by| clock.join(&self.clocks[*by as usize]));
        clock
    }

    /// Whether the event accesses plain data.
    fn is_plain(event: &Event) -> bool {
        event.op.is_some_and(|op| matches!(op.kind, Kind::Load | Kind::Store))
    }

    fn look_at_cells(&mut self, index: usize, event: &Event, clock: &Clock) -> Option<Failure> {
        let access = event.access.filter(|_| Self::is_plain(event))?;
        let touched = self.cells.entry(access.object).or_default();
        let unordered = |&&(earlier, mode): &&(usize, Mode)| {
            let other = &self.execution.events[earlier];
            mode.conflicts(access.mode)
                && other.thread != event.thread
                && !clock.has_seen(other.thread, earlier)
        };
        let found = touched.iter().rev().find(unordered).map(|(earlier, _)| *earlier);
        touched.push((index, access.mode));
        Some(Failure::Race { cell: access.object, first: found?, second: index })
    }
}
