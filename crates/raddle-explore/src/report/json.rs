//! The report as JSON, from which the page is drawn.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use raddle::rt::{Kind, Place};

use super::content::Content;
use super::story::{Step, Story, position_of, waits_for};
use crate::runtime::{BlockedTask, CLOCK, SourceLocation};

pub(super) fn value(report: &Content) -> Value {
    let story = report.story();
    let steps = story.steps();
    let objects = Numbers::new(report, &steps);
    let headline = story.headline();
    let (found, tasks) = (&report.found, &report.trace.tasks);
    json!({
        "raddle": 1,
        "program": report.program,
        "failure": {
            "kind": headline.kind,
            "title": headline.title,
            "message": headline.message,
            "at": headline.at.as_ref().map(place),
            "thread": headline.thread,
        },
        "warning": report.warning,
        "note": report.note,
        "found": {
            "execution": found.execution,
            "replayed": found.replayed,
            "classes": found.execution.and(Some(found.classes)).filter(|classes| *classes > 0),
            "preemptions": found.preemptions,
            "strategy": found.execution.map(|_| found.strategy.to_string()),
            "shrunk_from": (found.shrunk_from > found.preemptions).then_some(found.shrunk_from),
        },
        "token": report.token.to_string(),
        "replay": report.replay_command(),
        "threads": tasks.iter().map(|task| json!({ "name": task.name, "daemon": task.daemon })).collect::<Vec<_>>(),
        "objects": objects.list(report, &story),
        "steps": steps.iter().map(|step| objects.step(step)).collect::<Vec<_>>(),
        "end": { "waits": waits(&story, &objects), "cycle": story.cycle() },
    })
}

fn place(at: &SourceLocation) -> Value {
    let mut value = json!({ "file": at.file, "line": at.line, "column": at.column });
    if let Some(function) = &at.function {
        value["function"] = function.as_str().into();
    }
    value
}

fn source(at: Place) -> Value {
    place(&at.into())
}

fn waits(story: &Story<'_>, objects: &Numbers) -> Vec<Value> {
    let cycle = story.cycle().unwrap_or_default();
    let wait = |wait: &BlockedTask| {
        // Of several holders, the one that the cycle goes through.
        let holders = story.holders(wait);
        let hold = holders.iter().find(|hold| cycle.contains(&hold.by)).or(holders.first());
        json!({
            "thread": wait.thread,
            "object": objects.of(wait.object),
            "verb": match objects.of(wait.object) {
                Some(_) => waits_for(wait).to_owned(),
                None => format!("{} {}", waits_for(wait), story.object(wait.object)),
            },
            "at": source(position_of(wait).0),
            "held_by": hold.map(|hold| hold.by),
            "held_since": hold.map(|hold| source(hold.since)),
        })
    };
    story.waits().iter().map(wait).collect()
}

/// Consecutive numbers for the objects that the report shows.
struct Numbers(BTreeMap<u32, usize>);

impl Numbers {
    fn new(report: &Content, steps: &[Step<'_>]) -> Self {
        let story = report.story();
        let clocks = steps
            .iter()
            .filter(|step| matches!(step.record.kind, Some(Kind::Sleep | Kind::Clock)))
            .filter_map(|step| step.record.object);
        let clocks: Vec<u32> = clocks.chain([CLOCK]).collect();
        let hidden = |object: &u32| clocks.contains(object) || story.is_thread(*object);
        let stepped =
            steps.iter().flat_map(|step| step.record.object.iter().chain(&step.record.acquires).copied());
        let waited = report.story().waits().iter().map(|wait| wait.object);
        let mut shown: Vec<_> = stepped.chain(waited).filter(|object| !hidden(object)).collect();
        shown.sort_unstable();
        shown.dedup();
        Self(shown.into_iter().zip(0..).collect())
    }

    fn of(&self, object: u32) -> Option<usize> {
        self.0.get(&object).copied()
    }

    fn list(&self, report: &Content, story: &Story<'_>) -> Vec<Value> {
        let what = |object: u32| report.trace.objects.what(object);
        let object = |object: &u32| json!({ "name": story.object(*object), "what": what(*object), "lock": story.is_lock(*object) });
        self.0.keys().map(object).collect()
    }

    fn step(&self, step: &Step<'_>) -> Value {
        let record = step.record;
        let all = |objects: &[u32]| objects.iter().filter_map(|object| self.of(*object)).collect::<Vec<_>>();
        json!({
            "thread": record.thread,
            "time_ns": u64::try_from(record.clock.as_nanos()).unwrap_or(u64::MAX),
            "verb": step.verb,
            "object": record.object.and_then(|object| self.of(object)),
            "text": step.text,
            "value": step.value,
            "outcome": (record.timed_out && record.kind != Some(Kind::Sleep)).then_some("timed out"),
            "reads": matches!(record.kind, Some(Kind::Read | Kind::Load)),
            "wakes": step.wakes,
            "hint": step.hint,
            "at": step.at.map(source),
            "preempts": record.preempts,
            "pair": step.pair,
            "acquires": all(&record.acquires),
            "releases": all(&record.releases),
            "starts": record.starts,
            "ends": record.ends,
        })
    }
}
