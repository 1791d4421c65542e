"use strict";
// The report, prepared for showing the state after any step. Every list is filled in one pass and sorted by `k`, the number of a step
// (the first is 1; 0 is before the first), so that a step in a run of thousands is found by halving.

const HUES = [252, 155, 305, 200, 350, 115, 60, 278, 178];

/** How many entries of `list` have k <= step. */
function countTo(list, step) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].k <= step) low = middle + 1; else high = middle;
  }
  return low;
}

function lastAt(list, step) {
  const n = countTo(list, step);
  return n ? list[n - 1] : null;
}

function nextAfter(list, step) {
  return list[countTo(list, step)] || null;
}

function makeModel(report) {
  const steps = report.steps || [];
  const waits = (report.end && report.end.waits) || [];
  const model = {
    report, steps, waits, last: steps.length,
    cycle: (report.end && report.end.cycle) || null,
    threads: (report.threads || []).map((t, index) => ({
      index, name: t.name, daemon: t.daemon, hue: HUES[index % HUES.length], own: [], from: 0, startedBy: null,
      to: Infinity, preempted: [], copies: new Map(), held: [{ k: 0, list: [] }],
    })),
    objects: (report.objects || []).map((o, index) => ({ index, name: o.name, what: o.what, lock: o.lock, past: [], isHeld: false })),
    pair: [], marks: [], timed: steps.some((s) => s.time_ns !== (steps[0].time_ns || 0)),
  };
  for (const wait of waits) if (model.objects[wait.object] && model.objects[wait.object].lock) model.objects[wait.object].isHeld = true;
  steps.forEach((step, i) => addStep(model, step, i + 1));
  for (const thread of model.threads) {
    if (thread.startedBy === null && !thread.own.length && thread.index) thread.from = Infinity;
  }
  if (model.marks[model.marks.length - 1] !== model.last) model.marks.push(model.last);
  return model;
}

function addStep(model, step, k) {
  const thread = model.threads[step.thread];
  thread.own.push({ k, step });
  if (step.starts != null && model.threads[step.starts]) {
    Object.assign(model.threads[step.starts], { from: k, startedBy: k });
  }
  if (step.ends) thread.to = k;
  if (step.preempts != null) model.threads[step.preempts].preempted.push({ k });
  if (step.pair) model.pair.push(k);
  if (step.pair || step.preempts != null) model.marks.push(k);
  addValue(model, thread, step, k);
  for (const object of step.acquires || []) addHolder(model, thread, object, step, k);
  for (const object of step.releases || []) dropHolder(model, thread, object, k);
}

/** What an object is from step `k` on: one entry for each step, copied from the entry before. */
function entryAt(object, k) {
  const before = object.past[object.past.length - 1];
  if (before && before.k === k) return before;
  const entry = Object.assign({ value: null, holders: [], by: null }, before, { k });
  object.past.push(entry);
  return entry;
}

function addValue(model, thread, step, k) {
  const object = step.object == null ? null : model.objects[step.object];
  if (!object) return;
  const entry = entryAt(object, k);
  entry.by = step.thread;
  entry.touched = k;
  if (step.value == null) return;
  const arrow = step.value.lastIndexOf("→");
  if (arrow < 0 && !step.reads) return;
  entry.value = arrow < 0 ? step.value : step.value.slice(arrow + 1).trim();
  if (!thread.copies.has(object.index)) thread.copies.set(object.index, []);
  thread.copies.get(object.index).push({ k, value: entry.value });
}

function addHolder(model, thread, index, step, k) {
  const object = model.objects[index], entry = entryAt(object, k);
  object.isHeld = true;
  if (entry.holders.some((h) => h.thread === thread.index)) return;
  entry.holders = entry.holders.concat({ thread: thread.index, k, at: step.at });
  const held = thread.held[thread.held.length - 1];
  thread.held.push({ k, list: held.list.concat({ object: index, k, at: step.at }) });
}

function dropHolder(model, thread, index, k) {
  const entry = entryAt(model.objects[index], k);
  entry.holders = entry.holders.filter((h) => h.thread !== thread.index);
  const held = thread.held[thread.held.length - 1];
  thread.held.push({ k, list: held.list.filter((h) => h.object !== index) });
}

/** The other holders of the object after step `k`. */
function holdersAt(model, object, k, except) {
  const entry = lastAt(model.objects[object].past, k);
  return entry ? entry.holders.filter((h) => h.thread !== except) : [];
}

/** What thread `thread` waits for after step `k`, as far as the report shows: the lock that its next step acquires is held. */
function waitAt(model, thread, k) {
  const end = model.waits.find((w) => w.thread === thread.index);
  if (end && k >= model.last) return end;
  const next = nextAfter(thread.own, k);
  const wanted = next ? next.step.acquires || [] : end ? [end.object] : [];
  for (const object of wanted) {
    const what = model.objects[object];
    if (!what || !what.lock) continue;
    const holder = holdersAt(model, object, k, thread.index)[0];
    if (!holder) continue;
    return { thread: thread.index, object, verb: "blocks on", at: next ? next.step.at : end.at, held_by: holder.thread, held_since: holder.at };
  }
  return null;
}

/** The status of a thread after step `k`: not started, terminated, runs, waits, preempted, paused, or failed. */
function statusAt(model, thread, k) {
  const { failure } = model.report;
  if (k < thread.from) return "not started";
  if (k >= model.last && failure.thread === thread.index && failure.kind !== "deadlock") return "failed";
  if (k >= thread.to && !(k === thread.to && k < model.last)) return "terminated";
  if (k >= model.last && waitAt(model, thread, k)) return "waits";
  if (k > 0 && model.steps[k - 1].thread === thread.index) return "runs";
  if (waitAt(model, thread, k)) return "waits";
  const preempted = lastAt(thread.preempted, k), own = lastAt(thread.own, k);
  return preempted && (!own || own.k < preempted.k) ? "preempted" : "paused";
}

/** What the thread saw in shared values in its last few steps, the newest first; older copies say little. */
function copiesAt(model, thread, k) {
  const seen = [], recent = thread.own[Math.max(0, countTo(thread.own, k) - 8)];
  for (const [object, list] of thread.copies) {
    const copy = lastAt(list, k);
    if (!copy || copy.k < recent.k) continue;
    const now = lastAt(model.objects[object].past, k);
    seen.push({ object, k: copy.k, value: copy.value, now: now.value, stale: now.value !== copy.value });
  }
  return seen.sort((a, b) => b.k - a.k).slice(0, 3);
}
