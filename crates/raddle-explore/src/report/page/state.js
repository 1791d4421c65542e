// The state beside the picture: each thread, each object, and at the end the cycle of a deadlock.

const STATUS_WORDS = { failed: "failed here" };

function fillState(model, parts, k) {
  parts.threads.replaceChildren(...model.threads.map((t) => threadCard(model, t, k)));
  parts.objects.replaceChildren(...model.objects.map((o) => objectCard(model, o, k)));
  const cycle = k >= model.last ? model.cycle : null;
  if (!cycle) parts.cycle.replaceChildren();
  else if (!parts.cycle.firstChild) parts.cycle.replaceChildren(...cyclePicture(model, cycle));
}

/** A line of small text made of strings and nodes; places are put in as they are. */
function line(className, ...parts) {
  const node = el("p", className);
  node.append(...parts.filter((p) => p != null));
  return node;
}

function threadCard(model, thread, k) {
  const status = statusAt(model, thread, k);
  const card = el("li", "card " + status.replace(" ", "-"));
  card.dataset.thread = thread.index;
  card.dataset.status = status;
  card.style.setProperty("--h", thread.hue);
  const head = el("div", "head");
  head.append(named("name", thread.name), el("span", "status", STATUS_WORDS[status] || status));
  card.append(head);
  if (status === "not started" || status === "terminated") return card;
  card.append(...doing(model, thread, status, k));
  for (const held of lastAt(thread.held, k).list) {
    card.append(line("fact", "holds ", el("b", "", model.objects[held.object].name), " since step " + held.k + " ", place(held.at)));
  }
  for (const copy of copiesAt(model, thread, k)) card.append(copyLine(model, copy));
  return card;
}

/** The current step of the thread, what it waits for, or its next step. */
function doing(model, thread, status, k) {
  if (status === "failed") return [line("fact", model.report.failure.kind + " ", place(model.report.failure.at))];
  const wait = waitAt(model, thread, k);
  if (status === "waits" && wait) return waitLines(model, wait);
  if (status === "runs") {
    const { step } = lastAt(thread.own, k);
    return [line("fact", stepWords(step) + " ", place(step.at))];
  }
  const next = nextAfter(thread.own, k);
  if (!next) return [line("fact faint", "has no further step in this execution")];
  return [line("fact faint", "next: " + next.step.text + " ", place(next.step.at))];
}

function waitLines(model, wait) {
  const object = model.objects[wait.object];
  const lines = [line("fact", wait.verb + " ", object ? el("b", "", object.name) : null, " ", place(wait.at))];
  if (wait.held_by != null) {
    const since = wait.held_since ? [" since ", place(wait.held_since)] : [];
    lines.push(line("fact", "held by ", el("b", "", model.threads[wait.held_by].name), ...since));
  }
  return lines;
}

function copyLine(model, copy) {
  const node = line("fact copy" + (copy.stale ? " stale" : ""), "its copy: ", el("b", "", model.objects[copy.object].name), " = ",
    named("value", copy.value), copy.stale ? " " : null);
  if (copy.stale) node.append(el("span", "old", "old: now " + copy.now));
  node.title = "Seen in step " + copy.k;
  return node;
}

function objectCard(model, object, k) {
  const entry = lastAt(object.past, k), touched = entry && entry.touched === k && k > 0;
  const card = el("li", "card object" + (entry ? "" : " untouched") + (entry && entry.k === k ? " touched" : ""));
  card.dataset.object = object.index;
  const head = el("div", "head");
  head.append(named("name", object.name), el("span", "what", object.what));
  if (entry && entry.value != null) head.append(named("value", entry.value));
  card.append(head);
  if (!entry) { card.append(line("fact faint", "not used yet")); return card; }
  for (const holder of entry.holders) {
    card.append(line("fact held", "held by ", el("b", "", model.threads[holder.thread].name), " since step " + holder.k + " ", place(holder.at)));
  }
  if (object.isHeld && !entry.holders.length) card.append(line("fact faint", "free"));
  if (entry.touched && !entry.holders.length) {
    const words = model.threads[entry.by].name + " " + stepWords(model.steps[entry.touched - 1]);
    card.append(line("fact faint", (touched ? "now: " : "step " + entry.touched + ": ") + words));
  }
  return card;
}

// The cycle: threads and locks in a ring of two columns, down on the right and up on the left, and the same in words.

const NODE = { width: 136, height: 36, gap: 66, pitch: 82 };

function cyclePicture(model, cycle) {
  const waits = cycle.map((t) => model.waits.find((w) => w.thread === t) || { thread: t, object: null, verb: "waits" });
  const ring = [];
  for (const wait of waits) {
    ring.push({ thread: model.threads[wait.thread], edge: "waits for" });
    if (model.objects[wait.object]) ring.push({ object: model.objects[wait.object], edge: "held by" });
  }
  return [el("h3", "", "The cycle"), ringPicture(ring), wordsOfCycle(model, waits)];
}

function ringPicture(ring) {
  const down = Math.ceil(ring.length / 2), { width, height, gap, pitch } = NODE;
  ring.forEach((node, i) => {
    const left = i >= down;
    node.x = left ? width / 2 : width * 1.5 + gap;
    node.y = (left ? ring.length - 1 - i : i) * pitch + height / 2 + 1;
  });
  // The first node stands at the top left, so the ring is read like a text.
  if (ring.length > 2) {
    const places = ring.map(({ x, y }) => ({ x, y }));
    ring.forEach((node, i) => Object.assign(node, places[(i + ring.length - 1) % ring.length]));
  } else if (ring.length === 2) [ring[0].x, ring[1].x] = [ring[1].x, ring[0].x];
  const picture = svg("svg", { class: "ring", viewBox: `0 0 ${width * 2 + gap} ${(down - 1) * pitch + height + 18}`, role: "img" });
  picture.append(svg("title", {}, "Each thread waits for what the next one holds; the list below says it in words."));
  const defs = svg("defs"), tip = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6, markerHeight: 6, orient: "auto" });
  tip.append(svg("path", { d: "M0 0l8 4l-8 4z" }));
  defs.append(tip);
  picture.append(defs, ...ring.map((node, i) => edge(node, ring[(i + 1) % ring.length], ring.length)), ...ring.map(ringNode));
  return picture;
}

function ringNode(node) {
  const group = svg("g", { class: node.thread ? "is-thread" : "is-lock" }), { width, height } = NODE;
  const what = node.thread || node.object;
  if (node.thread) group.style.setProperty("--h", node.thread.hue);
  group.append(svg("title", {}, what.name));
  group.append(svg("rect", { x: node.x - width / 2 + 1, y: node.y - height / 2, width: width - 2, height, rx: node.thread ? 18 : 3 }));
  group.append(svg("text", { x: node.x, y: node.y + 4.5, "text-anchor": "middle" }, squeeze(what.name, 15)));
  return group;
}

function edge(from, to, count) {
  const group = svg("g", { class: from.edge === "held by" ? "edge held" : "edge" }), { width, height } = NODE;
  let x1 = from.x, y1 = from.y, x2 = to.x, y2 = to.y, label;
  if (from.x === to.x) {
    const way = Math.sign(to.y - from.y);
    y1 += way * height / 2;
    y2 -= way * (height / 2 + 2);
    label = { x: x1 + 8, y: (y1 + y2) / 2 + 4 };
    if (x1 > width) Object.assign(label, { x: x1 - 8, "text-anchor": "end" });
  } else {
    const way = Math.sign(to.x - from.x), aside = count === 2 ? way * 7 : 0;
    x1 += way * width / 2;
    x2 -= way * (width / 2 + 2);
    y1 -= aside;
    y2 -= aside;
    label = { x: (x1 + x2) / 2, y: (y1 + y2) / 2 + (aside < 0 ? 17 : -8), "text-anchor": "middle" };
  }
  group.append(svg("path", { d: `M${x1} ${y1}L${x2} ${y2}`, "marker-end": "url(#tip)" }), svg("text", label, from.edge));
  return group;
}

function wordsOfCycle(model, waits) {
  const list = el("ol", "cycle-words");
  waits.forEach((wait, i) => {
    const item = el("li"), thread = model.threads[wait.thread];
    const before = waits[(i + waits.length - 1) % waits.length], held = model.objects[before.object];
    item.append(el("b", "", thread.name));
    if (held && before.held_by === wait.thread) {
      item.append(" holds ", el("b", "", held.name));
      if (before.held_since) item.append(" since ", place(before.held_since));
      item.append(" and");
    }
    item.append(" " + wait.verb + " ");
    if (model.objects[wait.object]) item.append(el("b", "", model.objects[wait.object].name));
    if (wait.at) item.append(" at ", place(wait.at));
    if (wait.held_by != null) item.append(", held by ", el("b", "", model.threads[wait.held_by].name));
    item.append(".");
    list.append(item);
  });
  return list;
}
