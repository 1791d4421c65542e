//! The report as JSON, which is what the page draws.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Report;
use super::story::{Source, Step, Story, source};

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
        "found": {
            "executions": found.executions,
            "classes": found.classes,
            "preemptions": found.preemptions,
            "strategy": found.strategy.to_string(),
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

fn waits(story: &Story<'_>, objects: &Numbers) -> Vec<Value> {
    let wait = |wait: &crate::stage::Waits| {
        json!({
            "thread": wait.thread,
            "object": objects.of(wait.object),
            "verb": match objects.of(wait.object) {
                Some(_) => "waits for".to_owned(),
                None => format!("waits for {}", story.object(wait.object)),
            },
            "at": place(&source(wait.at)),
            "held_by": wait.held.map(|hold| hold.by),
            "held_since": wait.held.map(|hold| place(&source(hold.since))),
        })
    };
    story.waits().iter().map(wait).collect()
}

/// Numbers for the objects that the report shows, without gaps.
struct Numbers(BTreeMap<u32, usize>);

impl Numbers {
    fn new(report: &Report, steps: &[Step<'_>]) -> Self {
        let hidden =
            |object: &u32| matches!(report.execution.objects.what(*object), "clock" | "word" | "Thread");
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
        self.0.keys().map(|object| json!({ "name": story.object(*object), "what": what(*object) })).collect()
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
            "outcome": row.timed_out.then_some("timed out"),
            "at": step.at.map(|at| place(&source(at))),
            "preempts": row.preempts,
            "pair": step.pair,
            "takes": all(&row.takes),
            "gives": all(&row.gives),
            "starts": row.starts,
            "ends": row.ends,
        })
    }
}
