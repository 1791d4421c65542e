"""Runs a program under many random schedules, and collects what went wrong and how it ended."""

import gc
import random

from . import runtime, schedules, stand_ins


class Findings:
    """What the explorer saw of a program."""

    def __init__(self):
        self.executions = self.too_long = self.found_in = 0
        self.failure = self.decisions = None
        self.values = {}

    def __repr__(self):
        if self.failure is not None:
            return f"{self.failure!r}, in execution {self.found_in}"
        return f"no failure in {self.executions} executions, {self.too_long} of them not completed"


def explore(program, executions, seed=0, until_failure=True):
    """Runs `program`, a function of a module from `stand_ins.load`, under `executions` schedules.

    Stops at the first failure, unless `until_failure` is false. `Findings.values` has the values that the program returned, by their
    `repr`, each with the decisions of the execution that returned it first.
    """
    stand_ins.install()
    findings, lengths = Findings(), schedules.Lengths()
    timed = []
    sequence = schedules.sequence(random.Random(seed), lengths, lambda: bool(timed))
    gc.freeze()
    gc.disable()
    try:
        for number in range(1, executions + 1):
            execution = runtime.Execution(program, next(sequence)).run()
            findings.executions = number
            lengths.learn(execution)
            if execution.has_timed_waits and not timed:
                timed.append(True)
            if execution.too_long:
                findings.too_long += 1
            elif execution.failure is None:
                findings.values.setdefault(repr(execution.value), execution.decisions)
            elif findings.failure is None:
                findings.failure, findings.decisions, findings.found_in = execution.failure, execution.decisions, number
                if until_failure:
                    break
            if number % 64 == 0:
                gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return findings


def replay(program, decisions):
    """Runs `program` once more under the decisions of an earlier execution."""
    stand_ins.install()
    return runtime.Execution(program, schedules.Replay(decisions)).run()
