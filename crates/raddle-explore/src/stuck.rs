//! What keeps an exploration from going on.

use std::time::Duration;

use crate::search::Execution;
use crate::stage::{Failure, Pulse, State};

/// The execution that does not go on, if one runs.
pub(crate) fn look(pulse: &Pulse, since: Duration) -> Option<Execution> {
    let stage = pulse.stage()?;
    let mut now = stage.lock();
    if now.over {
        return None;
    }
    let thread = now.baton;
    let text = describe(&now, thread, since);
    now.ending = false; // what goes wrong while all come to an end goes wrong, too
    now.fail(Failure::Outside { thread, state: text });
    Some(Execution::of(&mut now))
}

fn describe(state: &State, thread: usize, since: Duration) -> String {
    let last = state.events.iter().rfind(|event| event.thread == thread).and_then(|event| event.op);
    let after = match last {
        Some(op) => format!("it {} a {}, at {}", op.kind.verb(), op.object.what, op.at),
        None => "it had taken no step yet".to_owned(),
    };
    let now = state.actors[thread].native_id.map(system_says).unwrap_or_default();
    format!(
        "it has not come to its next step for {since:.1?}. Before that {after}.\n{now}Explored threads may wait only for what \
         raddle gives them: use raddle's locks, queues and sleep instead of the standard library's, and no input or output \
         that blocks."
    )
}

/// What the operating system knows of the thread: its state, and where in the kernel it waits.
fn system_says(native_id: u64) -> String {
    let read = |what: &str| {
        std::fs::read_to_string(format!("/proc/self/task/{native_id}/{what}")).unwrap_or_default()
    };
    let status = read("status");
    let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("").trim().to_owned();
    let stack: Vec<_> = read("stack").lines().map(|line| format!("  {line}\n")).collect();
    let (place, call) = (read("wchan"), read("syscall"));
    if state.is_empty() {
        return String::new();
    }
    let waits = if place.is_empty() || place == "0" { String::new() } else { format!(", waits in {place}") };
    let call = call.split(' ').next().filter(|call| call.parse::<u32>().is_ok());
    let call = call.map(|call| format!(", system call {call}")).unwrap_or_default();
    format!("The operating system says of it (thread {native_id}): {state}{waits}{call}.\n{}", stack.concat())
}
