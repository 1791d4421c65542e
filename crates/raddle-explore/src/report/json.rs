//! The report as JSON, which is what the page draws.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use raddle::rt::{Kind, Place};

use super::Report;
use super::story::{Source, Step, Story, place_of, waits_for};
use crate::stage::CLOCK;

pub(super) fn value(report: &Report) -> Value {
    let story = report.story();
    let steps = story.steps();
    let objects = Numbers::new(report, &steps);
    let verdict = story.verdict();
    let (found, actors) = (&report.found, &report.execution.actors);
    json!({
        "raddle": 1,
        "program": report.program,
        "failure": {
            "kind": verdict.kind,
            "title": verdict.title,
            "message": verdict.message,
            "at": verdict.at.as_ref().map(place),
            "thread": verdict.thread,
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
        "token": report.token(),
        "replay": report.replay_command(),
        "threads": actors.iter().map(|actor| json!({ "name": actor.name, "daemon": actor.daemon })).collect::<Vec<_>>(),
        "objects": objects.list(report, &story),
        "steps": steps.iter().map(|step| objects.step(step)).collect::<Vec<_>>(),
        "end": { "waits": waits(&story, &objects), "cycle": story.cycle() },
    })
}

fn place(at: &Source) -> Value {
    json!({ "file": at.0, "line": at.1, "column": at.2 })
}

fn source(at: Place) -> Value {
    let mut value = json!({ "file": at.file(), "line": at.line(), "column": at.column() });
    if let Some(function) = at.function() {
        value["function"] = function.into();
    }
    value
}

fn waits(story: &Story<'_>, objects: &Numbers) -> Vec<Value> {
    let cycle = story.cycle().unwrap_or_default();
    let wait = |wait: &crate::stage::Waits| {
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
            "at": source(place_of(wait).0),
            "held_by": hold.map(|hold| hold.by),
            "held_since": hold.map(|hold| source(hold.since)),
        })
    };
    story.waits().iter().map(wait).collect()
}

/// Numbers for the objects that the report shows, without gaps.
struct Numbers(BTreeMap<u32, usize>);

impl Numbers {
    fn new(report: &Report, steps: &[Step<'_>]) -> Self {
        let story = report.story();
        let clocks =
            steps.iter().filter(|step| step.row.kind == Some(Kind::Sleep)).filter_map(|step| step.row.object);
        let clocks: Vec<u32> = clocks.chain([CLOCK]).collect();
        let hidden = |object: &u32| clocks.contains(object) || story.is_thread(*object);
        let stepped = steps.iter().flat_map(|step| step.row.object.iter().chain(&step.row.takes).copied());
        let waited = report.story().waits().iter().map(|wait| wait.object);
        let mut shown: Vec<_> = stepped.chain(waited).filter(|object| !hidden(object)).collect();
        shown.sort_unstable();
        shown.dedup();
        Self(shown.into_iter().zip(0..).collect())
    }

    fn of(&self, object: u32) -> Option<usize> {
        self.0.get(&object).copied()
    }

    fn list(&self, report: &Report, story: &Story<'_>) -> Vec<Value> {
        let what = |object: u32| report.execution.objects.what(object);
        let object = |object: &u32| json!({ "name": story.object(*object), "what": what(*object), "lock": story.is_lock(*object) });
        self.0.keys().map(object).collect()
    }

    fn step(&self, step: &Step<'_>) -> Value {
        let row = step.row;
        let all = |objects: &[u32]| objects.iter().filter_map(|object| self.of(*object)).collect::<Vec<_>>();
        json!({
            "thread": row.thread,
            "time_ns": u64::try_from(row.clock.as_nanos()).unwrap_or(u64::MAX),
            "verb": step.verb,
            "object": row.object.and_then(|object| self.of(object)),
            "text": step.text,
            "value": step.value,
            "outcome": (row.timed_out && row.kind != Some(Kind::Sleep)).then_some("timed out"),
            "reads": matches!(row.kind, Some(Kind::Read | Kind::Load)),
            "wakes": step.wakes,
            "hint": step.hint,
            "at": step.at.map(source),
            "preempts": row.preempts,
            "pair": step.pair,
            "takes": all(&row.takes),
            "gives": all(&row.gives),
            "starts": row.starts,
            "ends": row.ends,
        })
    }
}
