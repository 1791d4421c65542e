#!/usr/bin/env python3
"""Opens reports in a real headless Chromium, steps through them and checks what is shown.

    check.py REPORT.html              checks any report that raddle-explore wrote: steps forwards and backwards, keys, buttons, slider, play
    check.py --samples                makes pages of sample.json, deadlock.json and a run of 2,000 steps, and checks them more closely
    check.py --make OUT REPORT.json   fills the page as Rust does; `big` instead of a file makes the run of 2,000 steps, `bare` none
    check.py --shots DIR              pictures of all of them, light and dark, wide and narrow, and one on paper

Python's standard library alone. Chromium is $CHROMIUM or the first of chromium, chromium-browser, google-chrome in the path; without one
the check says so and ends with 77. A failed check ends with 1, and the hooks it uses are listed at the top of src/report/page/page.js.
"""
import html, json, os, pathlib, random, re, shutil, subprocess, sys, tempfile, time
from html.parser import HTMLParser

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent.parent / "src" / "report"
SCRIPTS = ["model.js", "grid.js", "state.js", "page.js"]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars"]


def fill(report):
    """The page with a report in it."""
    page = (SOURCE / "page.html").read_text()
    script = "".join((SOURCE / "page" / name).read_text() for name in SCRIPTS)
    text = json.dumps(report, ensure_ascii=False).replace("<", "\\u003c")
    for mark, value in [("/*STYLE*/", (SOURCE / "page" / "style.css").read_text()), ("/*SCRIPT*/", script),
                        ("{{TITLE}}", html.escape(report["failure"]["title"])), ("/*REPORT*/null", text)]:
        assert page.count(mark) == 1, f"{mark} is {page.count(mark)} times in the page"
        page = page.replace(mark, value)
    return page


def big(count=2000, threads=9):
    """A made-up run: threads take locks in turn and write under them."""
    chance, file = random.Random(7), "crates/server/src/connection/pool/workers.rs"
    names = ["MainThread"] + [f"Worker-{i} (handle_connection)" for i in range(1, threads)]
    objects = [{"name": f"shard {i} lock", "what": "Lock", "lock": True} for i in range(6)] + [{"name": f"shard {i}", "what": "Shared"} for i in range(6)]
    values, holder, holds, steps, last, clock = [0] * 6, [None] * 6, [None] * threads, [], 0, 0

    def add(thread, verb, thing, line, **more):
        steps.append({"thread": thread, "time_ns": clock, "verb": verb, "object": thing, "text": f"{verb} {objects[thing]['name']}" if thing is not None
                      else verb, "value": None, "outcome": None, "at": {"file": file, "line": line, "column": 9}, "preempts": None, "pair": False,
                      "acquires": [], "releases": [], "starts": None, "ends": False, **more})

    for i in range(1, threads):
        add(0, "starts", None, 20, text=f"starts {names[i]}", starts=i)
    while len(steps) < count:
        thread = last if chance.random() < 0.7 else chance.randrange(threads)
        shard, preempts = chance.randrange(6), last if thread != last and chance.random() < 0.2 else None
        clock += 1_000_000 if chance.random() < 0.02 else 0
        if holds[thread] is None and holder[shard] is None:
            holder[shard], holds[thread] = thread, shard
            add(thread, "takes", shard, 41, acquires=[shard], preempts=preempts)
        elif holds[thread] is not None and chance.random() < 0.4:
            mine, holds[thread] = holds[thread], None
            holder[mine] = None
            add(thread, "gives back", mine, 48, releases=[mine], preempts=preempts)
        else:
            values[shard] += 1
            add(thread, "writes", shard + 6, 44, value=f"{values[shard] - 1} → {values[shard]}", preempts=preempts)
        last = thread
    steps[1200]["pair"] = steps[1290]["pair"] = True
    return {"raddle": 1, "program": "server::no_request_is_lost",
            "failure": {"kind": "data race", "title": "Two threads wrote shard 3 and no lock put them in an order", "at": None, "thread": None,
                        "message": "data race on shard 3"},
            "found": {"execution": 18311, "classes": 9022, "preemptions": 412, "strategy": "random schedules", "shrunk_from": None},
            "token": "r1-" + "k7" * 900, "replay": "RADDLE_REPLAY=r1-" + "k7" * 900 + " cargo test no_request_is_lost",
            "threads": [{"name": n, "daemon": False} for n in names], "objects": objects, "steps": steps, "end": {"waits": [], "cycle": None}}


def bare():
    """The least that a report can say."""
    return {"raddle": 1, "program": None, "failure": {"kind": "blocked outside", "title": "</script><img src=x> waits outside", "message": "", "at": None,
            "thread": None}, "found": {"execution": 1, "classes": 1, "preemptions": 0, "strategy": "one run", "shrunk_from": None}, "token": "r1",
            "replay": "", "threads": [{"name": "MainThread", "daemon": False}], "objects": [], "steps": [], "end": {"waits": [], "cycle": None}}


def browser():
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for path in map(shutil.which, filter(None, names)) if path), None)
    if not found:
        print("skipped: no chromium here (set CHROMIUM to one)")
        sys.exit(77)
    return found


def chromium(page, fragment, *flags):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        address = pathlib.Path(page).resolve().as_uri() + ("#" + fragment if fragment else "")
        command = [browser(), *FLAGS, f"--user-data-dir={profile}", *flags, address]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


class Dom(HTMLParser):
    """The few things that the checks ask of a page."""

    def __init__(self, text):
        super().__init__()
        self.body, self.rows, self.current, self.statuses, self.texts, self.ids, self.classes = {}, {}, [], {}, {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, pairs):
        a = dict(pairs)
        classes = (a.get("class") or "").split()
        self.classes += classes
        if tag == "body":
            self.body = a
        if tag == "tr" and "data-step" in a:
            self.rows[int(a["data-step"])] = "future" in classes
            if a.get("aria-current") == "step":
                self.current.append(int(a["data-step"]))
        if "data-status" in a:
            self.statuses[int(a["data-thread"])] = a["data-status"]
        if tag not in ("br", "input", "meta", "link"):
            self.ids.append(a.get("id"))

    def handle_endtag(self, tag):
        if self.ids:
            self.ids.pop()

    def handle_data(self, data):
        for name in filter(None, self.ids):
            self.texts[name] = self.texts.get(name, "") + data


def dump(page, fragment, *flags):
    return Dom(chromium(page, fragment, "--dump-dom", *flags))


def at_step(dom, step, steps):
    """The page shows `step`: that row alone is current, and what comes after it alone is to come."""
    assert dom.body.get("data-ready") == "true", f"not drawn: {dom.body}"
    assert int(dom.body["data-step"]) == step, f"at step {dom.body['data-step']}, not {step}"
    assert dom.current == ([step] if step else []), f"current: {dom.current}, not {step}"
    assert sorted(dom.rows) == list(range(1, steps + 1)), f"{len(dom.rows)} rows, not {steps}"
    wrong = [k for k, future in dom.rows.items() if future != (k > step)]
    assert not wrong, f"dimmed wrongly: {wrong[:5]}"
    assert dom.texts["count"] == f"Step {step} of {steps}", dom.texts["count"]
    assert len(dom.texts["said"]) > 3


def check(page):
    """What every report must do. Gives back the page as it opens."""
    text = pathlib.Path(page).read_text()
    code = text.replace("http://www.w3.org/2000/svg", "").split('<script type="application/json"')[0]
    assert not re.search(r"(src|href)\s*=|https?://|@import|url\(\s*['\"]?(?!#)", code), "the page loads something from elsewhere"
    dom = dump(page, "")
    last = int(dom.body["data-steps"])
    at_step(dom, last, last)
    assert dom.texts["title"] and dom.texts["found"] and dom.texts["replay"], "the top is incomplete"
    turns = [("step=0", 0), ("step=1", 1), ("keys=Home,ArrowRight,ArrowRight,ArrowRight,ArrowLeft", 2), ("step=1&keys=End", last),
             ("keys=ArrowLeft", last - 1), ("step=1&keys=ArrowLeft,ArrowLeft", 0), ("keys=ArrowRight", last), ("click=first,next", 1),
             ("click=prev", last - 1), ("step=2&click=last", last), ("slide=2", 2)]
    for fragment, step in turns:
        step = max(0, min(last, step))
        try:
            at_step(dump(page, fragment), step, last)
        except AssertionError as wrong:
            raise AssertionError(f"#{fragment}: {wrong}") from None
    playing = dump(page, "step=0&play=1", "--virtual-time-budget=1600")
    assert 0 < int(playing.body["data-step"]) <= last, "play did not advance"
    return dom


def check_lost_update(page):
    end = check(page)
    assert {"preemption", "clock", "pair", "decides"} <= set(end.classes)
    assert end.statuses == {0: "failed", 1: "terminated"}, end.statuses
    assert "assertion `left == right` failed" in end.texts["message"] and "3rd execution" in end.texts["found"]
    assert "stale" not in end.classes
    assert dump(page, "step=0").statuses == {0: "paused", 1: "not started"}
    assert dump(page, "step=2").statuses == {0: "runs", 1: "paused"}
    stale = dump(page, "step=7")
    assert stale.statuses == {0: "preempted", 1: "runs"} and "stale" in stale.classes
    assert "writes value: 0 → 1" in stale.texts["said"] and "clock 5 ms" in stale.texts["clock"]
    assert dump(page, "step=0&click=mark,mark").body["data-step"] == "6"
    assert dump(page, "theme=dark").texts["theme"] == "Light theme"


def check_deadlock(page):
    end = check(page)
    assert end.statuses == {0: "waits", 1: "waits", 2: "waits", 3: "waits", 4: "terminated"}, end.statuses
    assert "ring" in end.classes and "Philosopher<Kant> holds fork 3 since" in end.texts["cycle"], end.texts["cycle"]
    assert end.texts["program"] == "dinner::everybody_eats<Fork<T>>"
    before = dump(page, "step=18")
    assert "ring" not in before.classes and before.statuses[1] == "waits" and before.statuses[4] == "runs", before.statuses


def check_big(page):
    begun = time.monotonic()
    at_step(dump(page, "keys=" + ",".join(["ArrowLeft"] * 100 + ["Home", "End"] * 3 + ["Home"] + ["ArrowRight"] * 100)), 100, 2000)
    print(f"  207 key presses in 2,000 steps of 9 threads, the browser's start included: {time.monotonic() - begun:.1f} s")


def check_bare(page):
    dom = dump(page, "keys=ArrowRight,ArrowLeft,n,p&click=play")
    assert (dom.body["data-ready"], dom.body["data-step"], dom.statuses) == ("true", "0", {0: "paused"}), dom.body
    assert dom.texts["title"] == "</script><img src=x> waits outside." and dom.texts["replay"] == "RADDLE_REPLAY=r1"
    page.write_text(fill(bare()).replace('id="report">{', 'id="report">null{'))
    assert dump(page, "").body["data-ready"] == "broken"


SAMPLES = {"sample": check_lost_update, "deadlock": check_deadlock, "bare": check_bare, "big": check_big}
MADE = {"big": big, "bare": bare}


def load(name):
    return MADE[name]() if name in MADE else json.loads((HERE / name).with_suffix(".json").read_text())


def samples(folder):
    for name in SAMPLES:
        (folder / f"{name}.html").write_text(fill(load(name)))
    return {name: folder / f"{name}.html" for name in SAMPLES}


def shots(folder):
    folder.mkdir(parents=True, exist_ok=True)
    views = [("sample", ""), ("sample", "step=7"), ("deadlock", ""), ("deadlock", "step=17"), ("big", "step=1290")]
    for name, fragment in views:
        page = samples(folder)[name]
        for theme, scheme in [("light", 1), ("dark", 0)]:
            for width, height in [(1280, 900), (400, 800)]:
                target = folder / f"{name}{fragment.replace('=', '')}-{theme}-{width}.png"
                chromium(page, fragment, f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={width},{height}", f"--screenshot={target}")
        if not fragment and name != "big":
            chromium(page, "theme=dark", f"--print-to-pdf={folder / (name + '.pdf')}", "--no-pdf-header-footer")


def main(arguments):
    match arguments:
        case ["--make", out, report]:
            pathlib.Path(out).write_text(fill(MADE[report]() if report in MADE else json.loads(pathlib.Path(report).read_text())))
        case ["--shots", folder]:
            shots(pathlib.Path(folder))
        case ["--samples"]:
            with tempfile.TemporaryDirectory() as folder:
                for name, page in samples(pathlib.Path(folder)).items():
                    print(f"{name} …", flush=True)
                    SAMPLES[name](page)
        case [page] if not page.startswith("-"):
            check(page)
        case _:
            sys.exit(__doc__)
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1:])
