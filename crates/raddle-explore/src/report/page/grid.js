// The picture: the table of threads and steps, the line between the two steps that decide, and the lanes behind the slider.

function el(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text != null) node.textContent = text;
  return node;
}

function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  if (text != null) node.textContent = text;
  return node;
}

function shorten(text, most) {
  return text.length <= most ? text : text.slice(0, most - 1) + "…";
}

/** Cut in the middle, for names that begin alike. */
function squeeze(text, most) {
  return text.length <= most ? text : text.slice(0, Math.ceil(most / 2) - 1) + "…" + text.slice(-Math.floor(most / 2));
}

/** A name that may be cut by the page's width, whole in its title. */
function named(className, text) {
  const node = el("span", className, text);
  node.title = text;
  return node;
}

/** Where in the sources: a long path is cut to its file, and a narrow column cuts the file but never the line. */
function place(at) {
  const node = el("span", "at");
  if (!at) return node;
  const file = at.file.replace(/\\/g, "/"), short = file.length <= 24 ? file : "…/" + file.slice(file.lastIndexOf("/") + 1);
  node.append(el("span", "file", short), ":" + at.line);
  node.title = at.file + ":" + at.line + (at.column ? ":" + at.column : "") + (at.function ? ", in " + at.function : "");
  return node;
}

function duration(ns) {
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (Math.abs(ns) >= size) return +(ns / size).toFixed(6) + " " + unit;
  }
  return ns ? ns + " ns" : "0";
}

function stepWords(step) {
  return step.text + (step.value != null ? ": " + step.value : "") + (step.outcome ? ", " + step.outcome : "") + (step.wakes ? "; " + step.wakes : "");
}

/** Fills the table; gives back its rows by number of step (0 has none). */
function fillGrid(model, table) {
  const rows = [null];
  const body = el("tbody");
  table.style.setProperty("--threads", model.threads.length);
  table.append(el("caption", "hidden", "The steps of the execution in the order in which they happened, one column for each thread"), headOf(model));
  model.steps.forEach((step, i) => {
    const before = i ? model.steps[i - 1].time_ns : step.time_ns;
    if (step.time_ns !== before) body.append(clockRow(model, before, step.time_ns, i + 1));
    if (step.preempts != null) body.append(preemptionRow(model, step, i + 1));
    rows.push(stepRow(model, step, i + 1));
    body.append(rows[i + 1]);
  });
  body.append(endRow(model));
  table.append(body);
  return rows;
}

function headOf(model) {
  const row = el("tr");
  const corner = el("th", "no");
  corner.scope = "col";
  corner.append(el("span", "hidden", "Step"));
  row.append(corner);
  for (const thread of model.threads) {
    const head = el("th", "thread");
    head.scope = "col";
    head.dataset.thread = thread.index;
    head.style.setProperty("--h", thread.hue);
    head.append(named("name", thread.name));
    if (thread.daemon) head.append(el("span", "daemon", "daemon"));
    row.append(head);
  }
  const head = el("thead");
  head.append(row);
  return head;
}

/** How the line of a thread's life looks beside step `k`. */
function lifeOf(model, thread, k) {
  if (k < thread.from || k > thread.to) return "";
  if (k === thread.from && thread.startedBy) return " born";
  const status = statusAt(model, thread, Math.min(k, model.last - 1));
  const holds = lastAt(thread.held, k).list.length ? " holds" : "";
  return " alive" + holds + (status === "waits" ? " waits" : "") + (k === thread.to ? " dies" : "");
}

function stepRow(model, step, k) {
  const row = el("tr", "step future");
  row.dataset.step = k;
  const number = el("th", "no", k);
  number.scope = "row";
  row.append(number);
  for (const thread of model.threads) {
    const cell = el("td", "cell" + lifeOf(model, thread, k));
    if (thread.index === step.thread) fillCell(model, cell, step, k);
    else if (step.starts === thread.index) cell.append(el("span", "tag", "started"));
    row.append(cell);
  }
  return row;
}

function fillCell(model, cell, step, k) {
  cell.dataset.thread = step.thread;
  cell.style.setProperty("--h", model.threads[step.thread].hue);
  const act = el("div", "act" + (step.pair ? " pair" : ""));
  const words = el("span", "words", step.text);
  words.title = step.text;
  if (step.value != null) {
    words.append(": ");
    words.append(named("value", step.value));
  }
  act.append(words);
  if (step.outcome) act.append(" ", el("span", "outcome", step.outcome));
  if (step.wakes) act.append("; ", el("span", "wakes", step.wakes));
  if (step.hint) act.append(el("span", "hint", " " + step.hint + " "));
  if (step.at) act.append(place(step.at));
  if (step.pair) act.append(el("span", "decides", "order decides: " + (model.pair[0] === k ? "first" : "second")));
  if (step.ends) act.append(el("span", "tag", "terminates"));
  cell.append(act);
}

function clockRow(model, before, now, k) {
  const row = el("tr", "clock future");
  row.dataset.before = k;
  row.append(el("td", "no"));
  const cell = el("td");
  cell.colSpan = model.threads.length;
  cell.append(el("span", "line", "clock " + duration(before) + " → " + duration(now)));
  row.append(cell);
  return row;
}

function preemptionRow(model, step, k) {
  const row = el("tr", "preemption future");
  row.dataset.before = k;
  row.append(el("td", "no"));
  for (const thread of model.threads) {
    const cell = el("td", "cell" + lifeOf(model, thread, k - 1).replace(" born", " alive"));
    if (thread.index === step.preempts) {
      cell.dataset.thread = thread.index;
      cell.append(el("span", "line", "preempted: could have continued"));
    }
    row.append(cell);
  }
  return row;
}

/** The last row: the blocked threads, or the thread that failed. */
function endRow(model) {
  const { failure } = model.report;
  const row = el("tr", "end future");
  row.dataset.before = model.last;
  const number = el("th", "no", "end");
  number.scope = "row";
  row.append(number);
  const hasEnd = model.waits.length > 0 || (failure.thread != null && model.threads[failure.thread]);
  if (!hasEnd) {
    const cell = el("td");
    cell.colSpan = model.threads.length;
    cell.append(el("span", "line", failure.title));
    row.append(cell);
    return row;
  }
  for (const thread of model.threads) row.append(endCell(model, thread));
  return row;
}

function endCell(model, thread) {
  const { failure } = model.report;
  const cell = el("td", "cell"), wait = model.waits.find((w) => w.thread === thread.index);
  if (wait) {
    const box = el("div", "act stuck"), object = model.objects[wait.object];
    box.append(named("words", wait.verb + (object ? " " + object.name : "")));
    if (wait.at) box.append(place(wait.at));
    if (wait.held_by != null) box.append(named("tag", "held by " + model.threads[wait.held_by].name));
    cell.append(box);
  } else if (failure.thread === thread.index) {
    const box = el("div", "act stuck");
    box.append(named("words", failure.kind + ": " + shorten((failure.message || failure.title).split("\n")[0], 90)));
    if (failure.at) box.append(place(failure.at));
    cell.append(box);
  }
  if (cell.firstChild) cell.dataset.thread = thread.index;
  return cell;
}

/** Joins the two deciding steps: out of the first into the gap beside its column, down, and over to the second. */
function drawPair(model, rows, sheet) {
  const old = sheet.querySelector("svg.pair");
  if (old) old.remove();
  if (model.pair.length !== 2) return;
  const frame = sheet.getBoundingClientRect();
  const [a, b] = model.pair.map((k) => rows[k].querySelector(".act").getBoundingClientRect());
  const right = b.left >= a.left, same = Math.abs(a.left - b.left) < 4;
  const fromX = (right && !same ? a.right : a.left) - frame.left, fromY = a.top + a.height / 2 - frame.top;
  const toX = (right ? b.left : b.right) - frame.left, toY = b.top + b.height / 2 - frame.top;
  const gap = fromX + (right && !same ? 1 : -1) * 9, turn = Math.sign(toX - gap) || 1, r = 5;
  const path = `M${fromX} ${fromY}H${gap - Math.sign(gap - fromX) * r}Q${gap} ${fromY} ${gap} ${fromY + r}V${toY - r}Q${gap} ${toY} ${gap + turn * r} ${toY}H${toX - turn * 2}`;
  const lines = svg("svg", { class: "pair", width: frame.width, height: frame.height, "aria-hidden": "true" });
  lines.append(svg("path", { d: path, class: "halo" }), svg("path", { d: path }));
  lines.append(svg("circle", { cx: fromX, cy: fromY, r: 4 }));
  lines.append(svg("path", { d: `M${toX + turn} ${toY}l${-turn * 9} -5v10z`, class: "head" }));
  sheet.append(lines);
}

/** The lanes behind the slider: which thread ran when, with the preemptions. */
function drawLanes(model, lanes) {
  const height = Math.max(4, Math.min(9, 40 / Math.max(1, model.threads.length)));
  lanes.setAttribute("viewBox", `0 0 ${Math.max(1, model.last)} ${model.threads.length}`);
  if (model.threads.reduce((n, t) => n + t.preempted.length, 0) > 60) lanes.classList.add("many");
  lanes.parentNode.style.setProperty("--track", Math.max(20, height * model.threads.length) + "px");
  for (const thread of model.threads) {
    for (let i = 0; i < thread.own.length; i++) {
      const from = thread.own[i].k - 1;
      while (i + 1 < thread.own.length && thread.own[i + 1].k === thread.own[i].k + 1) i++;
      const bar = svg("rect", { x: from, y: thread.index + 0.12, width: thread.own[i].k - from, height: 0.76 });
      bar.style.setProperty("--h", thread.hue);
      lanes.append(bar);
    }
    for (const { k } of thread.preempted) lanes.append(svg("line", { x1: k - 1, x2: k - 1, y1: 0, y2: model.threads.length }));
  }
}
