//! Selectively uniform random walk: every order of the steps on one object is about equally likely.
//!
//! After Zhao, Wolff, Mathur and Roychoudhury, "Selectively uniform concurrency testing" (ASPLOS 2025). Each execution
//! selects one shared object. Only steps on this object count. The task of the next such step is drawn in proportion
//! to the counted steps that the tasks still have to take, as earlier executions have shown them; other steps are
//! chosen freely in between.
//!
//! An extension: tasks that run the same source lines have one *role*, and every second execution draws among roles
//! with equal probability. Of a hundred writers and a reader, the reader comes first in every second such execution.
//!
//! Invariant: until the selected task takes its counted step, no other task takes one, unless the selected one is
//! blocked.

use std::any::Any;
use std::collections::BTreeSet;

use fastrand::Rng;
use raddle::rt::Kind;

use crate::runtime::{Event, FastMap, Mode, ObjectKey, Objects, Policy, View};

/// How many steps each task takes on each object, and its parent.
#[derive(Clone, Debug, Default)]
struct Profile {
    /// For each task, the number of its accesses of each object.
    touches: Vec<FastMap<ObjectKey, usize>>,
    parents: Vec<Option<usize>>,
    /// For each task, the source lines that it runs.
    lines: Vec<BTreeSet<Line>>,
    /// Objects that several tasks access, at least one of them writing.
    shared: Vec<ObjectKey>,
}

/// A source line: file, line and column.
type Line = (&'static str, u32, u32);

impl Profile {
    fn merge(&mut self, other: Profile) {
        self.touches.resize(self.touches.len().max(other.touches.len()), FastMap::default());
        for (mine, others) in self.touches.iter_mut().zip(other.touches) {
            for (object, count) in others {
                let most = mine.entry(object).or_default();
                *most = count.max(*most);
            }
        }
        self.lines.resize(self.lines.len().max(other.lines.len()), BTreeSet::new());
        for (mine, others) in self.lines.iter_mut().zip(other.lines) {
            mine.extend(others);
        }
        if other.parents.len() > self.parents.len() {
            self.parents = other.parents;
        }
        self.shared.extend(other.shared);
        self.shared.sort_unstable();
        self.shared.dedup();
    }

    /// For each task, the first task that runs the same lines.
    fn roles(&self) -> Vec<usize> {
        let mut first = FastMap::default();
        self.lines.iter().enumerate().map(|(thread, lines)| *first.entry(lines).or_insert(thread)).collect()
    }
}

#[derive(Debug)]
pub(crate) struct Surw {
    rng: Rng,
    profile: Profile,
    /// The object whose accesses count in this execution; with `None`, all steps count.
    object: Option<ObjectKey>,
    /// For each task, the number of counted steps that it still has to take, including those of tasks that it has yet
    /// to start.
    remaining: Vec<usize>,
    started: usize,
    /// The task of the next counted step.
    drawn: Option<usize>,
    /// Whether this execution draws among roles, and the role of each task.
    by_role: bool,
    roles: Vec<usize>,
}

impl Surw {
    pub(crate) fn new(rng: Rng) -> Self {
        let profile = Profile::default();
        Self {
            rng,
            profile,
            object: None,
            remaining: Vec::new(),
            started: 0,
            drawn: None,
            by_role: true,
            roles: Vec::new(),
        }
    }

    /// Merges the counts of an execution into the profile, which keeps the largest numbers.
    pub(crate) fn learn(&mut self, events: &[Event], objects: &Objects, parents: &[Option<usize>]) {
        let mut profile = Profile { parents: parents.to_vec(), ..Profile::default() };
        profile.touches.resize(parents.len(), FastMap::default());
        profile.lines.resize(parents.len(), BTreeSet::new());
        let mut users: FastMap<ObjectKey, (Vec<usize>, bool)> = FastMap::default();
        for event in events {
            let of_a_thread =
                event.op.is_some_and(|op| matches!(op.kind, Kind::Start | Kind::Terminate | Kind::Join));
            if let Some(op) = event.op {
                profile.lines[event.thread].insert((op.at.file(), op.at.line(), op.at.column()));
            }
            if let Some(access) = event.access {
                let object = objects.key(objects.canonical(access.object));
                *profile.touches[event.thread].entry(object).or_default() += 1;
                if of_a_thread {
                    continue;
                }
                let (threads, written) = users.entry(object).or_default();
                threads.push(event.thread);
                *written |= access.mode != Mode::Read;
            }
        }
        let shared = |(_, (threads, written)): &(&ObjectKey, &(Vec<usize>, bool))| {
            *written && threads.iter().any(|it| *it != threads[0])
        };
        profile.shared = users.iter().filter(shared).map(|(object, _)| *object).collect();
        self.profile.merge(profile);
    }

    fn begin(&mut self) {
        let shared = &self.profile.shared;
        self.object = if shared.is_empty() { None } else { Some(shared[self.rng.usize(..shared.len())]) };
        let own = |touches: &FastMap<ObjectKey, usize>| match self.object {
            Some(object) => touches.get(&object).copied().unwrap_or(0),
            None => touches.values().sum(),
        };
        self.remaining = self.profile.touches.iter().map(own).collect();
        // Until a task is started, its steps count for its parent.
        for thread in (1..self.remaining.len()).rev() {
            if let Some(parent) = self.profile.parents[thread] {
                self.remaining[parent] += self.remaining[thread];
            }
        }
        (self.started, self.drawn) = (1, None);
        self.roles = self.profile.roles();
        let shared = self.roles.iter().enumerate().any(|(thread, role)| thread != *role);
        self.by_role = !self.by_role && shared;
    }

    /// Takes the steps of tasks that were started since the last choice from their parents.
    fn notice_new_tasks(&mut self, view: &View<'_>) {
        self.remaining.resize(view.tasks.len().max(self.remaining.len()), 0);
        while self.started < view.tasks.len() {
            if let Some(parent) = self.profile.parents.get(self.started).copied().flatten() {
                self.remaining[parent] = self.remaining[parent].saturating_sub(self.remaining[self.started]);
            }
            self.started += 1;
        }
    }

    fn counts(&self, view: &View<'_>, thread: usize) -> bool {
        match self.object {
            Some(object) => view.next(thread).is_some_and(|access| view.objects.key(access.object) == object),
            None => true,
        }
    }

    /// The positions of the tasks whose next step does not count, and of the task that was drawn.
    fn allowed(&self, view: &View<'_>) -> Vec<usize> {
        let may = |thread| !self.counts(view, thread) || self.drawn.is_none_or(|drawn| drawn == thread);
        (0..view.options.len()).filter(|&place| may(view.options[place])).collect()
    }

    /// Whether the task has counted steps to take, but takes another step first.
    fn is_on_its_way(&self, view: &View<'_>, thread: usize) -> bool {
        self.remaining[thread] > 0 && !view.tasks[thread].has_terminated() && !self.counts(view, thread)
    }

    /// Draws a task in proportion to its counted steps, among those that are enabled or, with `include_coming`, on their
    /// way.
    fn draw_task(&mut self, view: &View<'_>, include_coming: bool) -> Option<usize> {
        let near = |thread: usize| {
            view.options.contains(&thread) || (include_coming && self.is_on_its_way(view, thread))
        };
        let threads: Vec<_> = (0..view.tasks.len()).filter(|&thread| near(thread)).collect();
        let remaining = |thread: usize| self.remaining.get(thread).copied().unwrap_or(0);
        let role = |thread: usize| self.roles.get(thread).copied().unwrap_or(thread);
        let mut of_role: FastMap<usize, usize> = FastMap::default();
        for &thread in &threads {
            *of_role.entry(role(thread)).or_default() += remaining(thread);
        }
        let mut draw = if self.by_role {
            let roles: Vec<_> = {
                let mut roles: Vec<_> =
                    of_role.iter().filter(|(_, remaining)| **remaining > 0).map(|(role, _)| *role).collect();
                roles.sort_unstable();
                roles
            };
            let chosen = *roles.get(self.rng.usize(..roles.len().max(1)))?;
            of_role.retain(|role, _| *role == chosen);
            self.rng.usize(..of_role[&chosen])
        } else {
            let total: usize = of_role.values().sum();
            if total == 0 {
                return None;
            }
            self.rng.usize(..total)
        };
        threads.into_iter().filter(|&thread| of_role.contains_key(&role(thread))).find(|&thread| {
            let found = draw < remaining(thread);
            draw = draw.saturating_sub(remaining(thread));
            found
        })
    }
}

impl Policy for Surw {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        if let Some(place) = view.starving() {
            return Some(place);
        }
        if view.events.is_empty() {
            self.begin();
        }
        self.notice_new_tasks(view);
        // A task that is blocked by another counted step gives way; one that is on its way is waited for.
        let waits = |thread| self.is_on_its_way(view, thread);
        let blocked = |&thread: &usize| !view.options.contains(&thread) && !waits(thread);
        if self.drawn.as_ref().is_none_or(blocked) {
            self.drawn = self.draw_task(view, true);
        }
        let mut allowed = self.allowed(view);
        if allowed.is_empty() {
            // The task that was drawn is blocked, and no other may go: an enabled one is drawn instead.
            self.drawn = self.draw_task(view, false);
            allowed = self.allowed(view);
        }
        let place = match allowed.len() {
            0 => self.rng.usize(..view.options.len()),
            count => allowed[self.rng.usize(..count)],
        };
        let chosen = view.options[place];
        if self.counts(view, chosen) {
            self.remaining[chosen] = self.remaining[chosen].saturating_sub(1);
            self.drawn = None;
        }
        Some(place)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
