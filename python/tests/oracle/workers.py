"""Processes that judge programs: one kind by the oracle's explorer, one by `raddle.check`.

A worker reads a job a line from its standard input and writes a verdict a line to its standard output, both as JSON. It is a process of its
own, because both explorers use the interpreter's monitoring, and because a program that blocks for good takes its process with it.
"""

import collections
import json
import linecache
import os
import selectors
import subprocess
import sys
import time
import types

from . import corpus, generate

ANSWER_WITHIN = 120.0
"""Seconds after which a worker is given up."""


def _source(job):
    """Returns the source of a job's program, the name of its file, and that of its function."""
    if "seed" in job:
        return generate.program(job["seed"])[0], f"<program {job['seed']}>", "program"
    if "family" in job:
        text, file = corpus.source(job["family"])
        if job.get("reversed"):
            text = text.replace(corpus.STARTING, corpus.STARTING.replace("threads", "reversed(threads)"))
        return text, file, job["name"]
    return job["source"], "<program>", "program"


def _program(module, name):
    return module.pairs()[name] if name.startswith(("values_", "serial_")) else getattr(module, name)


def explore(job):
    """Judges by the oracle's explorer."""
    from . import explorer, stand_ins

    text, file, name = _source(job)
    program = _program(stand_ins.load(text, file, "program_under_test"), name)
    found = explorer.explore(program, job["executions"], job.get("schedules", 1), job.get("until_failure", True))
    return {
        "verdict": "failed" if found.failure else "not failed",
        "detail": repr(found),
        "values": list(found.values),
        "executions": found.executions,
    }


def check(job):
    """Judges by `raddle.check`."""
    import raddle

    text, file, name = _source(job)
    linecache.cache[file] = len(text), None, text.splitlines(True), file
    module = types.ModuleType("program_under_test")
    module.__file__ = file
    sys.modules[module.__name__] = module
    exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)
    program, values = _program(module, name), set()

    def noted():
        values.add(repr(program()))

    outcome = raddle.outcome_of(program if name.startswith(("fails_", "holds_")) else noted, **job["options"])
    verdict = type(outcome).__name__.lower()
    detail = {"exhausted": str, "failed": lambda outcome: outcome.text, "inconclusive": lambda outcome: outcome.reason}[verdict](outcome)
    return {"verdict": verdict, "kind": getattr(outcome, "kind", ""), "detail": detail, "values": sorted(values), "executions": outcome.executions}


def serve(side):
    """Answers jobs until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    judge = {"explore": explore, "check": check}[side]
    for line in sys.stdin:
        job = json.loads(line)
        began = time.process_time()
        try:
            verdict = judge(job)
        except BaseException as error:  # an exception of a judge is a verdict about the judge
            verdict = {"verdict": "error", "detail": f"{type(error).__name__}: {error}", "values": [], "executions": 0}
        verdict["seconds"] = round(time.process_time() - began, 3)
        answers.write(json.dumps(verdict) + "\n")
        if verdict["verdict"] == "error":
            return


class Worker:
    """A worker as its parent sees it. It is started when it is needed, and again after it has died."""

    def __init__(self, side, python=sys.executable):
        self.side, self.python, self.process = side, python, None
        self.answered = 0

    def ask(self, job):
        if self.process is None or self.answered >= 300:  # a fresh process now and then, since code objects are kept
            self.close()
            self._start()
        self.answered += 1
        try:
            self.process.stdin.write((json.dumps(job) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._line()
        if line:
            verdict = json.loads(line)
            if verdict["verdict"] == "error":
                self.close()
            return verdict
        verdict = "hung" if self.process.poll() is None else f"crashed with {self.process.returncode}"
        self.process.kill()
        tail = collections.deque(self.process.stderr.read().decode(errors="replace").splitlines(), maxlen=12)
        self.close()
        return {"verdict": verdict, "detail": "\n".join(tail), "values": [], "executions": 0, "seconds": 0}

    def _start(self):
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": here, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [self.python, "-m", "oracle", "worker", self.side]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.answered = 0

    def _line(self):
        """Returns the next line of the worker, or nothing if it has died or takes too long."""
        line, until = b"", time.monotonic() + ANSWER_WITHIN
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            selector.register(self.process.stderr, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                ready = selector.select(until - time.monotonic()) if until > time.monotonic() else []
                if not ready:
                    return b""
                for key, _ in ready:
                    if key.fileobj is self.process.stderr:
                        if not os.read(key.fd, 65536):
                            selector.unregister(key.fileobj)
                    else:
                        part = os.read(key.fd, 65536)
                        if not part:
                            self.process.wait()
                            return b""
                        line += part
        return line

    def close(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                pipe.close()
            self.process = None
