// The page of a report: what went wrong, the controls, and what the address may ask for.
//
// Hooks for tests, kept stable:
//   body[data-step]                   the current step (0: before the first); body[data-steps] how many there are;
//   body[data-ready]                  "true" once all is drawn; "broken" when there is no report to draw; body[data-playing] "true|false"
//   tr.step[data-step="3"]            the row of step 3; aria-current="step" on the current one; class `future` after it
//   td.cell[data-thread="1"]          the cell of the thread that acts in that row; div.act inside, `div.act.pair` for a deciding step
//   tr.preemption[data-before="4"]    the line before step 4; its td[data-thread] is the preempted thread
//   tr.clock[data-before="4"]         the virtual clock moved before step 4
//   tr.end                            the end: div.act.stuck for a thread that is blocked or failed
//   th.thread[data-thread="1"]        the head of a column
//   svg.pair                          the line between the two deciding steps
//   #threads > li[data-thread][data-status]   status: runs, waits, preempted, paused, not started, terminated, failed
//   #objects > li[data-object]        span.value is its value, p.held its holder; `p.copy.stale` in a thread: its copy is old
//   #cycle svg.ring, ol.cycle-words   the cycle of a deadlock, at the last step
//   #kind #title #message #thrown #found #replay #said #count #clock     the texts
//   button[data-action]               first, prev, play, next, last, mark, copy, theme
// The address may ask, in this order whatever the order written: #theme=dark|light & step=3 & slide=2 & click=next,mark & keys=End,ArrowLeft
// & play=1. Keys are sent as real KeyboardEvents, clicks as real clicks, `slide` moves the slider as a hand would.

function sentence(text) {
  return text && !/[.!?]$/.test(text) ? text + "." : text;
}

function counted(n, word, plural) {
  return n + " " + (n === 1 ? word : plural || word + "s");
}

function ordinal(n) {
  const tens = n % 100, ends = { 1: "st", 2: "nd", 3: "rd" };
  return n + ((tens < 11 || tens > 13) && ends[n % 10] || "th");
}

function foundWords(found) {
  const parts = [];
  if (found.replayed) parts.push("Replayed from its token");
  if (found.execution != null) parts.push("In the " + ordinal(found.execution) + " execution");
  if (found.classes != null) parts.push("after " + counted(found.classes, "class", "classes") + " of schedules");
  if (found.strategy) parts.push("by " + found.strategy);
  let words = parts.length ? parts.join(", ") + "." : "";
  if (found.preemptions != null) {
    words += " The failing run has " + counted(found.preemptions, "preemption");
    words += found.shrunk_from != null ? ", shrunk from " + found.shrunk_from + "." : ".";
  }
  return words;
}

function fillTop(report) {
  const { failure, found } = report, put = (id, text) => { byId(id).textContent = text || ""; };
  put("program", report.program);
  put("kind", failure.kind);
  put("title", sentence(failure.title));
  put("message", failure.message);
  byId("message").hidden = !failure.message || failure.message === failure.title;
  const thread = failure.thread != null && report.threads[failure.thread];
  if (thread) byId("thrown").append("In thread ", el("b", "", thread.name), failure.at ? " at " : "");
  if (failure.at) byId("thrown").append(place(failure.at));
  for (const id of ["warning", "remark"]) {
    const text = id === "warning" ? report.warning : report.note;
    put(id, text && sentence(text));
    byId(id).hidden = !text;
  }
  put("found", found ? foundWords(found) : "");
  put("replay", report.replay || "RADDLE_REPLAY=" + report.token);
  byId("replay").title = byId("replay").textContent;
}

function fillLegend(model) {
  const entries = [["preempt", "preempted", model.steps.some((s) => s.preempts != null)], ["two", "the two steps whose order decides", model.pair.length],
    ["thick", "holds a lock", model.objects.some((o) => o.isHeld)], ["dots", "waits for a lock", document.querySelector("td.waits")]];
  for (const [name, text, shown] of entries) {
    if (!shown) continue;
    const item = el("li");
    item.append(el("i", name), text);
    byId("legend").append(item);
  }
}

function byId(id) {
  return document.getElementById(id);
}

/** Moves to a step; only the rows between the old and the new one are touched. */
function makeStepper(model, rows) {
  const parts = { threads: byId("threads"), objects: byId("objects"), cycle: byId("cycle") };
  const aside = new Map();
  for (const row of document.querySelectorAll("tr[data-before]")) {
    const k = +row.dataset.before;
    aside.set(k, (aside.get(k) || []).concat(row));
  }
  let at = 0;
  const past = (k, isPast) => { for (const row of [rows[k], ...(aside.get(k) || [])]) row.classList.toggle("future", !isPast); };
  return function show(wanted, scroll) {
    const k = Math.max(0, Math.min(model.last, wanted));
    if (rows[at]) rows[at].removeAttribute("aria-current");
    for (let i = at + 1; i <= k; i++) past(i, true);
    for (let i = at; i > k; i--) past(i, false);
    at = k;
    if (rows[k]) rows[k].setAttribute("aria-current", "step");
    document.body.dataset.step = k;
    tell(model, k);
    fillState(model, parts, k);
    reveal(model, rows[k], k, scroll);
  };
}

function tell(model, k) {
  const step = k ? model.steps[k - 1] : null;
  byId("slider").value = k;
  byId("count").textContent = "Step " + k + " of " + model.last;
  byId("clock").textContent = model.timed ? "clock " + duration(step ? step.time_ns : 0) : "";
  const words = step ? model.threads[step.thread].name + " " + stepWords(step) : "before the first step";
  byId("said").textContent = words;
  byId("said").title = words;
  byId("slider").setAttribute("aria-valuetext", "Step " + k + ": " + words);
}

/** Brings the step into sight. The page itself scrolls only on a step, so that it opens at its top. */
function reveal(model, row, k, scroll) {
  const box = byId("box"), end = k === model.last && document.querySelector("tr.end");
  if (!row) return box.scrollTo(0, 0);
  const acts = row.querySelector("td[data-thread]");
  if (!scroll) {
    const left = Math.max(0, acts.offsetLeft + acts.offsetWidth + 24 - box.clientWidth);
    return box.scrollTo(left, end ? box.scrollHeight : row.offsetTop - box.clientHeight / 2);
  }
  for (const cell of [acts, end && (end.querySelector("td[data-thread]") || end.lastChild)]) {
    if (cell) cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

/** A short run that fits in its width lies open in the page; another is scrolled in a box of its own, under the heads of its columns. */
function fit(model, table) {
  const wide = parseFloat(getComputedStyle(table).minWidth) <= byId("box").parentNode.clientWidth;
  byId("box").classList.toggle("open", model.last <= 60 && wide && innerWidth > 860);
  document.documentElement.style.setProperty("--stuck", document.querySelector(".controls").offsetHeight + "px");
}

function makeActions(model, show) {
  const now = () => +document.body.dataset.step;
  let timer = null;
  const pause = () => { clearInterval(timer); timer = null; playing(false); };
  const playing = (on) => {
    document.body.dataset.playing = on;
    document.querySelector("[data-action=play]").setAttribute("aria-label", on ? "Pause" : "Play");
  };
  const go = (k) => { if (timer) pause(); show(k, true); };
  const play = () => {
    if (timer) return pause();
    if (now() >= model.last) show(0, true);
    playing(true);
    timer = setInterval(() => { show(now() + 1, true); if (now() >= model.last) pause(); }, model.last > 200 ? 150 : 700);
  };
  const mark = () => go(model.marks.find((k) => k > now()) || model.marks[0]);
  const markBack = () => go([...model.marks].reverse().find((k) => k < now()) || model.last);
  playing(false);
  return { first: () => go(0), last: () => go(model.last), prev: () => go(now() - 1), next: () => go(now() + 1), by: (n) => go(now() + n),
    to: go, play, mark, markBack, copy, theme: toggleTheme };
}

async function copy() {
  const text = byId("replay").textContent;
  try {
    await navigator.clipboard.writeText(text);
    byId("copied").textContent = "Copied.";
  } catch {
    const range = document.createRange();
    range.selectNodeContents(byId("replay"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    byId("copied").textContent = "Selected: copy it with the keyboard.";
  }
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  byId("theme").textContent = isDark() ? "Light theme" : "Dark theme";
}

function toggleTheme() {
  setTheme(isDark() ? "light" : "dark");
}

function listen(actions) {
  const keys = { ArrowRight: actions.next, ArrowLeft: actions.prev, Home: actions.first, End: actions.last, n: actions.mark, p: actions.markBack, " ": actions.play };
  const inBox = { ArrowDown: actions.next, ArrowUp: actions.prev, PageDown: () => actions.by(10), PageUp: () => actions.by(-10) };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const on = event.target.closest ? event.target : document.body;
    if (on.closest("input") && event.key !== " " && event.key.length > 1) return;
    if (on.closest("button") && event.key === " ") return;
    if (on.closest("#replay, #message") && !/^[np]$/.test(event.key)) return;
    const action = keys[event.key] || (on.closest("#box") && inBox[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action]"), row = event.target.closest("tr[data-step]");
    if (button) actions[button.dataset.action]();
    else if (row && getSelection().isCollapsed) actions.to(+row.dataset.step);
  });
  byId("slider").addEventListener("input", (event) => actions.to(+event.target.value));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme());
}

/** Does what the part of the address after `#` asks for. */
function obey(model, show, actions) {
  const asked = new URLSearchParams(location.hash.slice(1)), list = (name) => (asked.get(name) || "").split(",").filter(Boolean);
  setTheme(asked.get("theme"));
  if (asked.has("step")) show(+asked.get("step") || 0, false);
  if (asked.has("slide")) {
    byId("slider").value = asked.get("slide");
    byId("slider").dispatchEvent(new Event("input", { bubbles: true }));
  }
  for (const name of list("click")) document.querySelector(`[data-action="${CSS.escape(name)}"]`).click();
  for (const key of list("keys")) document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  if (asked.has("play")) actions.play();
}

function start() {
  const report = JSON.parse(byId("report").textContent);
  if (!report) throw new Error("There is no report in this page.");
  const model = makeModel(report);
  fillTop(report);
  const rows = fillGrid(model, byId("grid"));
  fillLegend(model);
  byId("slider").max = model.last;
  document.body.dataset.steps = model.last;
  drawLanes(model, byId("lanes"));
  const show = makeStepper(model, rows), actions = makeActions(model, show), sheet = byId("box").firstElementChild;
  fit(model, byId("grid"));
  show(model.last, false);
  listen(actions);
  obey(model, show, actions);
  addEventListener("hashchange", () => obey(model, show, actions));
  const lay = () => { fit(model, byId("grid")); drawPair(model, rows, sheet); };
  new ResizeObserver(lay).observe(sheet);
  addEventListener("resize", () => { lay(); show(+document.body.dataset.step, false); });
  lay();
  document.body.dataset.ready = true;
}

try {
  start();
} catch (error) {
  document.body.dataset.ready = "broken";
  document.body.prepend(el("p", "broken", "This report cannot be drawn: " + error.message));
}
