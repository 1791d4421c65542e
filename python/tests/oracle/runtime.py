"""One execution of a program, one thread at a time.

Each thread of the program is a real thread with a private lock, its baton. One thread runs; the others wait for their batons. Before every
instruction of the program, and before every operation on a primitive, the running thread may pass control on. The schedule says when, and
to which thread.

Time is virtual. A timed wait can end at any moment, as if the other threads were slow; the clock then stands past its deadline.
"""

import _thread
import atexit
import os
import sys

TOOL = 3
TOO_LONG = 30_000
"""The number of instructions after which an execution is given up."""
LONGEST_RUN = 400
"""The number of instructions after which a schedule is asked again, so that a thread that polls does not run forever."""
STUCK_AFTER = 20.0
"""Seconds of real time after which an execution is taken to block outside the stand-ins."""

active = None
"""The execution that runs, if any. There is one at a time in a process."""

epoch = 0
"""The number of executions that began. A primitive of an earlier execution starts afresh."""


class Abandoned(BaseException):
    """Unwinds the threads that are left when an execution ends."""


class Stuck(Exception):
    """A thread blocks in something that is not a stand-in, so the process has to be given up."""


class Task:
    """A thread of the program."""

    __slots__ = ("number", "name", "daemon", "baton", "ended", "enabled", "deadline", "timed_out", "finished", "steps", "waits_for", "thread")

    def __init__(self, number, name, daemon, thread=None):
        self.number, self.name, self.daemon, self.thread = number, name, daemon, thread
        self.baton, self.ended = _thread.allocate_lock(), _thread.allocate_lock()
        self.baton.acquire()
        self.ended.acquire()
        self.enabled = self.deadline = None
        self.timed_out = self.finished = False
        self.steps = 0
        self.waits_for = ""


class Failure:
    """What went wrong in an execution: its kind, and a text."""

    def __init__(self, kind, text):
        self.kind, self.text = kind, text

    def __repr__(self):
        return f"{self.kind}: {self.text}"


class Execution:
    """Runs `program` under `schedule`. `failure`, `value` and `decisions` say what happened."""

    def __init__(self, program, schedule):
        self.program, self.schedule = program, schedule
        self.tasks, self.current = [], None
        self.clock = 1_000.0
        self.left = 0
        self.given = 0
        self.steps = 0
        self.over = False
        self.unwound = 0
        self.too_long = self.has_timed_waits = False
        self.failure = None
        self.value = None
        self.decisions = []
        self.threads_named = 0
        self.done = _thread.allocate_lock()
        self.done.acquire()

    # --- life of an execution

    def run(self):
        global active, epoch
        assert active is None, "an execution runs already"
        epoch += 1
        active = self
        self.schedule.begin(self)
        main = self.new_task("MainThread", False, self._main)
        try:
            self.current = main
            self._resume(self._choose())
            if not self.done.acquire(timeout=STUCK_AFTER):
                raise Stuck(f"{self.current.name} blocks outside the stand-ins")
            for task in self.tasks:
                if not task.finished:
                    self.current = task
                    task.baton.release()
                if not task.ended.acquire(timeout=STUCK_AFTER):
                    raise Stuck(f"{task.name} does not terminate")
        finally:
            active = None
        self.schedule.ended(self)
        return self

    def _main(self):
        self.value = self.program()

    def new_task(self, name, daemon, body, thread=None):
        task = Task(len(self.tasks), name, daemon, thread)
        self.tasks.append(task)
        _thread.start_new_thread(self._bootstrap, (task, body))
        return task

    def _bootstrap(self, task, body):
        task.baton.acquire()
        try:
            if not self.over:
                body()
        except (Abandoned, SystemExit):
            pass
        except BaseException as error:
            self.fails("exception", f"{type(error).__name__}: {error}, in {task.name}{_where(error)}")
        finally:
            task.finished = True
            try:
                if not self.over:
                    self._leave()
            finally:
                task.ended.release()

    def _leave(self):
        """Passes control on when a task has terminated."""
        self._count()
        if all(task.finished or task.daemon for task in self.tasks):
            return self._end()
        chosen = self._choose()
        if chosen is not None:
            self._resume(chosen)

    def fails(self, kind, text):
        """Records a failure, and ends the execution."""
        if not self.over:
            self.failure = Failure(kind, text)
            self._end()

    def _end(self):
        self.over = True
        self.done.release()

    # --- scheduling

    def _count(self):
        """Accounts for the instructions since the last decision."""
        ran = self.given - self.left
        self.steps += ran
        self.current.steps += ran
        self.given = self.left

    def _choose(self, yields=False):
        """Lets the schedule decide which task runs. `None`: the execution has ended."""
        if self.steps > TOO_LONG:
            self.too_long = True
            self._end()
            return None
        ready, timed = [], []
        for task in self.tasks:
            if task.finished:
                continue
            if task.enabled is None or task.enabled():
                ready.append(task)
            elif task.deadline is not None:
                timed.append(task)
        if not ready and not timed:
            waiting = ", ".join(f"{task.name} waits for {task.waits_for}" for task in self.tasks if not task.finished and not task.daemon)
            self.fails("deadlock", waiting)
            return None
        task, budget = self.schedule.choose(self, ready, timed, yields)
        budget = max(1, min(budget, LONGEST_RUN))
        self.decisions.append((task.number, budget))
        if task in timed:
            task.timed_out = True
            self.clock = max(self.clock, task.deadline) + 1e-6
        self.left = self.given = budget
        return task

    def _resume(self, task):
        self.current = task
        task.baton.release()

    def switch(self, yields=False):
        """Passes control on if the schedule says so, and returns when the calling task has it again."""
        if self.over:
            raise Abandoned
        self._count()
        task = self.current
        chosen = self._choose(yields)
        if chosen is task:
            return
        if chosen is not None:
            self._resume(chosen)
        task.baton.acquire()
        if self.over:
            raise Abandoned

    def step(self):
        """A point at which the running task may be preempted."""
        if not self.over:
            self.left -= 1
            if self.left <= 0:
                self.switch()

    def wait_until(self, enabled, timeout=None, waits_for=""):
        """Blocks the running task until `enabled` holds. Returns whether it does; it does not if the wait timed out.

        No other task runs between the moment at which `enabled` holds, or at which the wait times out, and the return.
        """
        if self.over:
            self.unwound += 1
            if self.unwound < 1_000:
                if enabled():
                    return True
                if timeout is not None and timeout <= 0:
                    return False
            raise Abandoned
        self.step()
        if enabled():
            return True
        if timeout is not None and timeout <= 0:
            return False
        task = self.current
        task.enabled, task.waits_for = enabled, waits_for
        if timeout is not None:
            task.deadline = self.clock + timeout
            self.has_timed_waits = True
        try:
            self.switch()
            return not task.timed_out
        finally:
            task.enabled = task.deadline = None
            task.timed_out = False


def _where(error):
    """The innermost line of the program in the traceback of `error`."""
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if _belongs_to_program(code):
            found = f", line {traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next
    return found


# --- instructions

STDLIB = os.path.dirname(os.__file__) + os.sep
WORKS_ON_USERS_OBJECTS = tuple(
    STDLIB + name
    for name in "functools.py collections/ contextlib.py weakref.py copy.py dataclasses.py heapq.py bisect.py statistics.py string.py".split()
) + ("<frozen _collections_abc>",)
"""Python code of the standard library that is instrumented like the program's."""
OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
PROGRAMS = OWN + "corpus" + os.sep

def _belongs_to_program(code):
    file = code.co_filename
    if file.startswith(WORKS_ON_USERS_OBJECTS) or file.startswith(PROGRAMS):
        return True
    return not file.startswith((STDLIB, OWN, "<frozen", "<oracle ")) and "site-packages" not in file


def instrument(code):
    """Makes every instruction of `code`, and of the code in it, a point at which its thread may be preempted."""
    monitoring = sys.monitoring
    if monitoring.get_local_events(TOOL, code):
        return
    monitoring.set_local_events(TOOL, code, monitoring.events.INSTRUCTION)
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            instrument(constant)


def _on_start(code, offset):
    if _belongs_to_program(code):
        instrument(code)
    return sys.monitoring.DISABLE


def _on_instruction(code, offset):
    execution = active
    if execution is not None and not execution.over:
        execution.left -= 1
        if execution.left <= 0:
            execution.switch()


def begin_monitoring():
    """Switches the instrumentation of this process on."""
    monitoring = sys.monitoring
    if monitoring.get_tool(TOOL) is not None:
        return
    monitoring.use_tool_id(TOOL, "oracle")
    monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, _on_instruction)
    monitoring.register_callback(TOOL, monitoring.events.PY_START, _on_start)
    monitoring.set_events(TOOL, monitoring.events.PY_START)
    atexit.register(monitoring.set_events, TOOL, 0)
