//! Data races: pairs of conflicting accesses of a cell that are unordered.
//!
//! Vector clocks, as in Flanagan and Freund, "`FastTrack`: efficient and precise dynamic race detection" (PLDI 2009),
//! without its epochs.
//!
//! Atomic accesses and fences synchronize as in C++20. A release store, and the read-modify-writes that continue its
//! release sequence, synchronize with an acquire load that reads from it. A release fence makes later relaxed stores
//! release, and an acquire fence makes earlier relaxed loads acquire. An execution is one interleaving, so a load
//! reads from the last store before it.
//!
//! Invariant: `clocks[e]` contains exactly the events that happen before `e`, and `e` itself.

use std::collections::HashMap;

use raddle::rt::{Kind, Memory};

use super::objects::{Access, CLOCK, Mode, PROGRAM};
use super::record::{Event, Failure};
use super::trace::Trace;
use super::vector_clock::VectorClock;

/// The first data race on a [`Shared`](raddle::Shared) cell.
pub(crate) fn first_race(trace: &Trace) -> Option<Failure> {
    let mut races = Races {
        trace,
        threads: Vec::new(),
        objects: HashMap::new(),
        clocks: Vec::new(),
        cells: HashMap::new(),
        messages: HashMap::new(),
        fences: Vec::new(),
        read: Vec::new(),
    };
    (0..trace.events.len()).find_map(|event| races.step(event))
}

struct Races<'a> {
    trace: &'a Trace,
    /// For each thread, the events that happen before its next step.
    threads: Vec<VectorClock>,
    /// For each object, the events that happen before the next step that accesses it.
    objects: HashMap<u32, VectorClock>,
    /// For each event, the events that happen before it, itself included.
    clocks: Vec<VectorClock>,
    /// For each cell, the events that accessed it.
    cells: HashMap<u32, Vec<(usize, Mode)>>,
    /// For each atomic, the events that an acquire load synchronizes with if it reads from it: its release sequence.
    messages: HashMap<u32, VectorClock>,
    /// For each thread, the events that happen before its last release fence.
    fences: Vec<VectorClock>,
    /// For each thread, the events that an acquire fence synchronizes with: those from which its relaxed loads have
    /// read.
    read: Vec<VectorClock>,
}

impl Races<'_> {
    fn step(&mut self, index: usize) -> Option<Failure> {
        let event = &self.trace.events[index];
        let mut clock = self.before(event);
        // Accesses of plain data do not synchronize, and atomic accesses synchronize by their ordering.
        let own = Self::is_plain(event) || event.memory.is_some();
        for access in event.accesses().filter(|access| !(own && Some(*access) == event.access)) {
            self.synchronize(index, access, &mut clock);
        }
        let race = self.look_at_cells(index, event, &clock);
        clock.sees(event.thread, index);
        if let Some(memory) = event.memory {
            self.order(event, memory, &mut clock);
        }
        self.threads[event.thread] = clock.clone();
        self.clocks.push(clock);
        race
    }

    /// A step on an object that synchronizes by itself.
    fn synchronize(&mut self, index: usize, access: Access, clock: &mut VectorClock) {
        // The passing of time and the end of the program do not order accesses.
        if access.object == CLOCK || access.object == PROGRAM {
            return;
        }
        let object = self.objects.entry(access.object).or_default();
        if access.mode != Mode::Commute {
            clock.join(object);
        }
        if access.mode != Mode::Read {
            object.join(clock);
            object.sees(self.trace.events[index].thread, index);
        }
    }

    fn order(&mut self, event: &Event, memory: Memory, clock: &mut VectorClock) {
        let me = event.thread;
        if let Memory::Fence(_) = memory {
            if memory.acquires() {
                clock.join(&self.read[me]);
            }
            if memory.releases() {
                self.fences[me] = clock.clone();
            }
            return;
        }
        let Some(access) = event.access else { return };
        let message = self.messages.entry(access.object).or_default();
        match memory {
            Memory::Store(_) => *message = VectorClock::default(),
            _ if memory.acquires() => clock.join(message),
            _ => self.read[me].join(message),
        }
        match memory {
            Memory::Load(_) => {}
            _ if memory.releases() => message.join(clock),
            _ => message.join(&self.fences[me]),
        }
    }

    fn before(&mut self, event: &Event) -> VectorClock {
        for clocks in [&mut self.threads, &mut self.fences, &mut self.read] {
            clocks.resize(clocks.len().max(event.thread + 1), VectorClock::default());
        }
        let mut clock = self.threads[event.thread].clone();
        let started_by = self.trace.tasks[event.thread].started_by;
        for by in event.enabled_by.into_iter().chain(started_by) {
            clock.join(&self.clocks[by as usize]);
        }
        clock
    }

    /// Whether the event accesses plain data.
    fn is_plain(event: &Event) -> bool {
        event.op.is_some_and(|op| matches!(op.kind, Kind::Load | Kind::Store))
    }

    fn look_at_cells(&mut self, index: usize, event: &Event, clock: &VectorClock) -> Option<Failure> {
        let access = event.access.filter(|_| Self::is_plain(event))?;
        let touched = self.cells.entry(access.object).or_default();
        let unordered = |&&(earlier, mode): &&(usize, Mode)| {
            let other = &self.trace.events[earlier];
            mode.conflicts(access.mode)
                && other.thread != event.thread
                && !clock.has_seen(other.thread, earlier)
        };
        let found = touched.iter().rev().find(unordered).map(|(earlier, _)| *earlier);
        touched.push((index, access.mode));
        Some(Failure::Race { cell: access.object, first: found?, second: index })
    }
}
