"""Compares what the oracle's explorer sees of a program with what `raddle.check` says of it."""

import collections
import json
import queue
import threading
import time

from . import corpus, generate, stand_ins
from .workers import Worker

OPTIONS = {"executions": 1_000, "seconds": 5.0, "strategy": "dpor"}
"""How random programs are checked. Nothing of theirs fails but by a deadlock, so the search that exhausts is enough."""

CORPUS_OPTIONS = {"executions": 20_000, "seconds": 15.0}

CONFIRM = 6
"""A failure that only `raddle.check` sees is sought in this many times as many executions."""


class Finding:
    """What the two judges said of a program, and what follows."""

    def __init__(self, program, kind, text="", verdict=None):
        self.program, self.kind, self.text, self.verdict = program, kind, text, verdict

    def __str__(self):
        return f"{self.kind}: {self.program}" + (f"\n    {self.text}" if self.text else "")


MISSED, ALARM, BROKEN = "MISSED", "UNCONFIRMED", "BROKEN"
"""Called exhausted, but it can fail or end otherwise; called failed, which the oracle cannot confirm; no verdict at all."""
ODD = "ODD"
"""Called failed for a reason that is one of the explorer's, not of the program: not repeatable, blocked outside."""
OF_PROGRAMS = {"panic", "exception", "deadlock", "threads left"}


def generated(seed, executions, check, explore, options=OPTIONS):
    """Judges the random program of `seed`."""
    return judge({"seed": seed}, f"seed {seed} ({', '.join(generate.program(seed)[1])})", executions, check, explore, options)


def judge(job, name, executions, check, explore, options=OPTIONS):
    said = check.ask({**job, "options": options})
    verdict = said["verdict"]
    if verdict == "inconclusive":
        return Finding(name, "inconclusive", said["detail"], said)
    if verdict == "exhausted":
        seen = explore.ask({**job, "executions": executions, "until_failure": True})
        if seen["verdict"] == "failed":
            return Finding(name, MISSED, f"{seen['detail']}; check: {said['detail']}", said)
        if seen["verdict"] != "not failed":
            return Finding(name, BROKEN, f"the oracle {seen['verdict']}: {seen['detail']}", said)
        missed = sorted(set(seen["values"]) - set(said["values"]))
        if missed:
            return Finding(
                name,
                MISSED,
                f"{len(missed)} of {len(seen['values'])} outcomes, such as {missed[0]}; check: {said['detail']}",
                said,
            )
        return Finding(name, "exhausted", "", said)
    if verdict == "failed":
        if said["kind"] not in OF_PROGRAMS:
            return Finding(name, ODD, said["kind"] + ": " + said["detail"].partition("\n\n")[0][:600], said)
        seen = explore.ask({**job, "executions": executions * CONFIRM, "until_failure": True})
        if seen["verdict"] == "failed":
            return Finding(name, "failed", "", said)
        return Finding(name, ALARM, said["detail"][:1500], said)
    return Finding(name, BROKEN, f"check {verdict}: {said['detail'][:1500]}", said)


def of_values(family, name, check, explore, executions=400):
    """Judges a program of the corpus that returns values: both judges must see the same ones."""
    job, name = {"family": family, "name": name}, f"{family}.{name}"
    finding = judge(job, name, executions, check, explore, {**CORPUS_OPTIONS, "strategy": "dpor"})
    if finding.kind != "exhausted":
        return finding
    said, seen = finding.verdict, set()
    for schedules in range(1, 1 + CONFIRM):
        seen |= set(explore.ask({**job, "executions": executions, "schedules": schedules})["values"])
        if seen >= set(said["values"]):
            return finding
    return Finding(name, ALARM, f"{sorted(set(said['values']) - seen)} of {said['values']}", said)


def of_corpus(family, name, fails, check, explore=None):
    """Judges a program of the corpus, of which it is known whether it can fail."""
    if fails is None:
        return of_values(family, name, check, explore)
    said = check.ask({"family": family, "name": name, "options": CORPUS_OPTIONS})
    verdict, name = said["verdict"], f"{family}.{name}"
    if verdict == "inconclusive":
        return Finding(name, "inconclusive", ("(it can fail) " if fails else "") + said["detail"], said)
    if verdict == "failed" and said["kind"] not in OF_PROGRAMS:
        return Finding(name, ODD, said["kind"] + ": " + said["detail"].partition("\n\n")[0][:600], said)
    if verdict == ("failed" if fails else "exhausted"):
        return Finding(name, verdict, "", said)
    if verdict in ("failed", "exhausted"):
        return Finding(name, MISSED if fails else ALARM, said["detail"][:1500], said)
    return Finding(name, BROKEN, f"check {verdict}: {said['detail'][:1500]}", said)


def corpus_programs(families=None):
    return [
        (family, name, fails)
        for family in families or corpus.FAMILIES
        for name, (_, fails) in corpus.programs(stand_ins.load(*corpus.source(family), family)).items()
    ]


def run(tasks, jobs, report, python):
    """Runs `tasks`, functions of two workers, in `jobs` threads, and passes each finding to `report` as it comes."""
    todo, found = queue.SimpleQueue(), queue.SimpleQueue()
    for task in tasks:
        todo.put(task)

    def work():
        check, explore = Worker("check", python), Worker("explore", python)
        try:
            while True:
                found.put(todo.get_nowait()(check, explore))
        except queue.Empty:
            pass
        finally:
            check.close()
            explore.close()
            found.put(None)

    for _ in range(jobs):
        threading.Thread(target=work, daemon=True).start()
    left = jobs
    while left:
        finding = found.get()
        if finding is None:
            left -= 1
        else:
            report(finding)


class Summary:
    """Counts findings, and prints those that matter when they come."""

    def __init__(self, log=None, quiet=False):
        self.counts, self.reasons = collections.Counter(), collections.Counter()
        self.findings, self.executions, self.began = [], 0, time.monotonic()
        self.log, self.quiet = log, quiet

    def __call__(self, finding):
        self.counts[finding.kind] += 1
        self.executions += finding.verdict["executions"] if finding.verdict else 0
        if finding.kind == "inconclusive":
            self.reasons[finding.text.partition("\n")[0][:160]] += 1
        if finding.kind.isupper():
            self.findings.append(finding)
            if not self.quiet:
                print(finding, flush=True)
        if self.log:
            print(json.dumps([finding.program, finding.kind, finding.text]), file=self.log, flush=True)
        total = sum(self.counts.values())
        if total % 500 == 0 and not self.quiet:
            print(f"-- {self}", flush=True)

    def __str__(self):
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
        return f"{sum(self.counts.values())} programs in {time.monotonic() - self.began:.0f} s: {counts}; {self.executions} executions of check"

    def why_inconclusive(self):
        return "\n".join(f"{count:6} inconclusive: {reason}" for reason, count in self.reasons.most_common(15))


def reduce(job, executions, check, explore, options=OPTIONS):
    """Drops lines from the source of a program as long as the judges disagree in the same way. Returns the source and the finding."""
    text = job["source"]
    kept = judge({"source": text}, "reduced", executions, check, explore, options)
    if not kept.kind.isupper():
        return text, kept
    size, lines = 8, text.splitlines(True)
    while size:
        at = len(lines)
        while at > 0:
            at -= size
            fewer = lines[: max(at, 0)] + lines[max(at, 0) + size :]
            try:
                compile("".join(fewer), "reduced", "exec")
            except SyntaxError:
                continue
            finding = judge({"source": "".join(fewer)}, "reduced", executions, check, explore, options)
            if finding.kind == kept.kind and "NameError" not in finding.text:
                lines, kept = fewer, finding
        size //= 2
    return "".join(lines), kept
