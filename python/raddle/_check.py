"""`raddle.check`: runs ordinary Python code under every schedule that matters.

While a check runs, the names of `threading`, `queue` and `time` are the toolkit's and the explorer's. A name that a program
imported before is replaced when it is called, and a lock that it made before is replaced by a stand-in when it is used.
"""

import collections
import functools
import gc
import itertools
import os
import queue
import random
import re
import sys
import sysconfig
import threading
import time
import types
import warnings
import weakref
import _thread
import _queue
from dataclasses import dataclass, field

from raddle import _condition, _general, _instructions, _observed, _raddle, _settings, _touches

# -- outcomes ------------------------------------------------------------------------------------------------------------


class CheckFailed(AssertionError):
    """A schedule failed. The text is its report; `outcome` is the `Failed` with all forms of it.

    `filename` and `lineno` name the line of the failure: that of the exception, or one at which a thread is blocked. They are
    None if it is not known.
    """

    def __init__(self, outcome):
        super().__init__(outcome.text)
        self.outcome = outcome
        line = re.search(r", at (.+?):(\d+)(, in .*)?$", outcome.text, re.MULTILINE)
        self.filename, self.lineno = (line[1], int(line[2])) if line else (None, None)


class ReplayError(ValueError):
    """A token cannot be replayed: it is none, or of another program."""


class InconclusiveWarning(UserWarning):
    """Not every schedule was explored, and none that was explored failed."""


class UnsupportedInterpreter(RuntimeError):
    """This interpreter cannot be explored: its instructions or frames are not known."""


@dataclass(frozen=True)
class Exhausted:
    """A schedule of each class of equivalent schedules was run, and none failed."""

    classes: int
    executions: int
    grain: str = "free"

    def __str__(self):
        return f"exhausted at the grain {self.grain!r}: {self.classes} classes of schedules, {self.executions} executions"


@dataclass(frozen=True)
class Failed:
    """A schedule failed. `token` replays it; `text`, `html` and `json` are three forms of its report."""

    kind: str
    title: str
    token: str
    text: str
    executions: int
    preemptions: int
    grain: str = "free"
    html: str = field(default="", repr=False)
    json: str = field(default="", repr=False)

    def __str__(self):
        return self.text


@dataclass(frozen=True)
class Inconclusive:
    """No schedule that was run failed, but there may be others. `reason` states why."""

    reason: str
    executions: int
    grain: str = "free"

    def __str__(self):
        return f"inconclusive after {self.executions} executions: {self.reason}"


# -- which code is observed ----------------------------------------------------------------------------------------------

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep
_PACKAGES = tuple({sysconfig.get_paths()["purelib"] + os.sep, sysconfig.get_paths()["platlib"] + os.sep})

#: Parts of this package that hold what threads share.
_OWN = frozenset({"_observed.py", "_condition.py", "_general.py", "queue.py"})

#: Functions of this package whose own data is not the program's.
_BOOKKEEPING = frozenset({"ThreadPoolExecutor._start_thread"})

#: Modules that are not interrupted: output and the machinery of the interpreter. A change between two of their lines would
#: multiply the schedules without a program that depends on it.
OPAQUE = {
    "logging", "warnings", "linecache", "tokenize", "token", "importlib", "zipimport", "codecs", "encodings", "locale",
    "gettext", "re", "site", "sysconfig",
}  # fmt: skip

#: Functions of them that change what other threads see.
_CONFIGURING = frozenset(
    """
    Logger.setLevel Logger.addHandler Logger.removeHandler Handler.setLevel Handler.setFormatter Filterer.addFilter
    Filterer.removeFilter Manager.setLoggerClass basicConfig disable captureWarnings addLevelName setLoggerClass
    setLogRecordFactory simplefilter filterwarnings resetwarnings catch_warnings.__enter__ setlocale
    """.split()
)

#: Test frameworks: neither observed nor opaque, since the program under test runs below them.
_QUIET = ("pytest", "_pytest", "pluggy", "hypothesis", "py", "coverage")

#: What of `threading` is data of the program's threads. The rest is bookkeeping of the interpreter.
_OF_THREADING = frozenset({"Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Timer", "_RLock"})

def _treatment(code):
    """Return "observe", "opaque" or "ignore"."""
    file = code.co_filename
    if file.startswith(_HERE):
        if code.co_qualname in _BOOKKEEPING:
            return "opaque"
        return "observe" if file[len(_HERE) :] in _OWN else "ignore"
    if file.startswith("<frozen "):
        top = file[len("<frozen ") : -1].partition(".")[0]
        return "opaque" if top in OPAQUE else "observe"
    for packages in _PACKAGES:
        if file.startswith(packages):
            top = file[len(packages) :].split(os.sep)[0].removesuffix(".py")
            return "ignore" if top in _QUIET else "observe"
    if file.startswith(_STDLIB):
        top = file[len(_STDLIB) :].split(os.sep)[0].removesuffix(".py")
        if top in OPAQUE:
            return "opaque"
        if top == "threading":
            first = code.co_qualname.partition(".")[0]
            return "observe" if first in _OF_THREADING or code.co_qualname == "Thread.run" else "ignore"
    return "observe"


_known = {}  # what was decided on code objects, by their addresses
_ignored = []
_observed = []


def _on_start(code, offset):
    treatment = _known.get(id(code))  # the extension keeps what it knows alive; equal code objects differ
    if treatment is None:
        treatment = _treatment(code)
        if treatment == "observe":
            try:
                _instructions.observe(code)
            except _instructions.Unsupported as error:
                _raddle.unseen(str(error))
                treatment = "ignore"
        elif treatment == "opaque":
            _raddle.set_opaque(code)
        _known[id(code)] = treatment
        if treatment == "ignore":
            _ignored.append(code)
    if treatment == "opaque" and code.co_qualname in _CONFIGURING:
        if _raddle.ident() > 1:
            _raddle.unseen(f"the change of a configuration by {code.co_qualname}() of {code.co_filename}")
        return None  # and again, the next time
    if treatment == "observe" and _tool is not None:
        events = sys.monitoring.events
        if not sys.monitoring.get_local_events(_tool, code):
            sys.monitoring.set_local_events(_tool, code, events.INSTRUCTION)
            _observed.append(code)
    return sys.monitoring.DISABLE


_tool = None


def _begin_observing():
    global _tool
    monitoring = sys.monitoring
    for tool in (4, 3, 5, 2):
        if monitoring.get_tool(tool) is None:
            break
    else:
        raise UnsupportedInterpreter(
            "raddle.check() needs an identifier of sys.monitoring, and other tools use all of them: run it without them"
        )
    monitoring.use_tool_id(tool, "raddle")
    _tool = tool
    events = monitoring.events
    monitoring.register_callback(tool, events.INSTRUCTION, _raddle.on_instruction)
    monitoring.register_callback(tool, events.PY_START, _on_start)
    monitoring.register_callback(tool, events.PY_RESUME, _on_start)
    monitoring.register_callback(tool, events.PY_UNWIND, _raddle.on_unwind)
    monitoring.set_events(tool, events.PY_START | events.PY_RESUME | events.PY_UNWIND)
    monitoring.restart_events()


def _end_observing():
    global _tool
    monitoring = sys.monitoring
    tool, _tool = _tool, None
    events = monitoring.events
    monitoring.set_events(tool, 0)
    for code in _observed:
        monitoring.set_local_events(tool, code, 0)
    _observed.clear()
    for event in (events.INSTRUCTION, events.PY_START, events.PY_RESUME, events.PY_UNWIND):
        monitoring.register_callback(tool, event, None)
    monitoring.free_tool_id(tool)


# -- stand-ins -----------------------------------------------------------------------------------------------------------

_real = types.SimpleNamespace(
    start=threading.Thread.start,
    join=threading.Thread.join,
    is_alive=threading.Thread.is_alive,
    sleep=time.sleep,
    monotonic=time.monotonic,
    time=time.time,
    perf_counter=time.perf_counter,
    monotonic_ns=time.monotonic_ns,
    time_ns=time.time_ns,
    perf_counter_ns=time.perf_counter_ns,
    get_ident=threading.get_ident,
    get_native_id=threading.get_native_id,
    enumerate=threading.enumerate,
    active_count=threading.active_count,
    start_new_thread=_thread.start_new_thread,
)

_EPOCH = 1_700_000_000


def _start(thread):
    if not _raddle.ident():
        return _real.start(thread)
    if not thread._initialized:
        raise RuntimeError("thread.__init__() not called")
    if "_raddle_thread" in thread.__dict__:
        raise RuntimeError("threads can only be started once")
    thread.__dict__["_raddle_thread"] = None

    def body():
        try:
            thread.run()
        finally:
            _raddle.touch(_registry, True, True)
            threading._active.pop(_raddle.ident(), None)

    started = _raddle.spawn(body, thread._name, thread._daemonic)
    # Before the thread runs: that is not until the next step of this one.
    thread.__dict__["_raddle_thread"] = started
    thread._ident = started.ident
    threading._active[started.ident] = thread
    _raddle.touch(_registry, True, True)


def _join(thread, timeout=None):
    if not _raddle.ident() or "_raddle_thread" not in thread.__dict__:
        if _raddle.ident():
            if not thread._initialized:
                raise RuntimeError("Thread.__init__() not called")
            raise RuntimeError("cannot join thread before it is started")
        return _real.join(thread, timeout)
    if thread._ident == _raddle.ident():
        raise RuntimeError("cannot join current thread")
    thread._raddle_thread.join(timeout)


def _is_alive(thread):
    if not _raddle.ident():
        return _real.is_alive(thread)
    if thread is threading._main_thread:
        return True
    started = thread.__dict__.get("_raddle_thread")
    return started is not None and not started.is_finished()


_serials = {}  # numbers of objects in the order in which they are hashed: sets are ordered by hashes, not by addresses


def _serial(value):
    if not _raddle.ident():
        return object.__hash__(value)
    known = _serials.get(id(value))
    if known is None:
        known = _serials[id(value)] = (len(_serials) + 1, value)
    return known[0]


def _sleep(seconds, /):
    return _raddle.sleep(seconds) if _raddle.ident() else _real.sleep(seconds)


def _monotonic():
    return _raddle.seconds() + 1000.0 if _raddle.ident() else _real.monotonic()


def _time():
    return _raddle.seconds() + _EPOCH if _raddle.ident() else _real.time()


def _perf_counter():
    return _raddle.seconds() + 1000.0 if _raddle.ident() else _real.perf_counter()


def _monotonic_ns():
    return int(_monotonic() * 1e9) if _raddle.ident() else _real.monotonic_ns()


def _time_ns():
    return int(_time() * 1e9) if _raddle.ident() else _real.time_ns()


def _perf_counter_ns():
    return int(_perf_counter() * 1e9) if _raddle.ident() else _real.perf_counter_ns()


def _get_ident():
    return _raddle.ident() or _real.get_ident()


def _get_native_id():
    return _raddle.ident() or _real.get_native_id()


def _enumerate():
    if not _raddle.ident():
        return _real.enumerate()
    _raddle.touch(_registry, False)
    return list(threading._active.values())


def _active_count():
    return len(_enumerate()) if _raddle.ident() else _real.active_count()


class _Registry:
    """Stands for the list of threads that are alive."""


_registry = _Registry()


def _start_new_thread(function, args, kwargs=None, /):
    if not _raddle.ident():
        return _real.start_new_thread(function, args, kwargs or {})
    thread = threading.Thread(target=function, args=args, kwargs=kwargs or {}, daemon=True)
    thread.start()
    return thread.ident


def _stand_ins():
    """Return the names to replace while a check runs: modules, names and values."""
    from raddle import queue as our_queue
    from raddle import threading as ours

    found = []
    for name in ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event"):
        found.append((threading, name, getattr(ours, name)))
    for name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"):
        found.append((queue, name, getattr(our_queue, name)))
    found += [
        (threading, "_allocate_lock", ours.Lock),
        (threading, "_CRLock", ours.RLock),
        (threading, "get_ident", _get_ident),
        (threading, "get_native_id", _get_native_id),
        (threading, "enumerate", _enumerate),
        (threading, "active_count", _active_count),
        (threading, "_time", _monotonic),
        (threading, "_start_new_thread", _start_new_thread),
        (_thread, "allocate_lock", ours.Lock),
        (_thread, "RLock", ours.RLock),
        (_thread, "get_ident", _get_ident),
        (_thread, "get_native_id", _get_native_id),
        (_thread, "start_new_thread", _start_new_thread),
        (queue, "time", _monotonic),
        (time, "sleep", _sleep),
        (time, "monotonic", _monotonic),
        (time, "time", _time),
        (time, "perf_counter", _perf_counter),
        (time, "monotonic_ns", _monotonic_ns),
        (time, "time_ns", _time_ns),
        (time, "perf_counter_ns", _perf_counter_ns),
        (threading.Thread, "start", _start),
        (threading.Thread, "join", _join),
        (threading.Thread, "is_alive", _is_alive),
        (threading.Thread, "__hash__", _serial),
    ]
    try:
        from raddle import futures as our_futures
    except ImportError:
        pass
    else:
        import concurrent.futures.thread as pools

        # Pools of a check are not to be ended with the interpreter.
        found.append((our_futures, "_tasks_of_threads", weakref.WeakKeyDictionary()))
        found.append((our_futures, "_executors", weakref.WeakSet()))
        for name in ("ThreadPoolExecutor", "Future", "wait", "as_completed"):
            if hasattr(our_futures, name):
                found.append((sys.modules["concurrent.futures"], name, getattr(our_futures, name)))
                for module in (pools, sys.modules["concurrent.futures._base"]):
                    if hasattr(module, name):
                        found.append((module, name, getattr(our_futures, name)))
    return [entry for entry in found if hasattr(entry[0], entry[1])]


_SHADOWED = (_thread.LockType, _thread.RLock, _queue.SimpleQueue)


class _Shadows:
    """The stand-ins of locks that exist already, for one execution."""

    def __init__(self):
        self.known = {}

    def __call__(self, lock):
        if not _raddle.ident():
            return lock
        found = self.known.get(id(lock))
        if found is None:
            if type(lock) is _thread.LockType:
                stand_in = _raddle.Lock()
                if lock.locked():
                    stand_in.acquire()
            elif type(lock) is _thread.RLock:
                stand_in = _raddle.RLock()
            else:
                stand_in = _raddle.SimpleQueue()
            found = self.known[id(lock)] = (stand_in, lock)
        return found[0]


_shadows = _Shadows()


_ABSENT = object()


class _Replaced:
    """Replaces names while a check runs."""

    def __enter__(self):
        self.before = []
        self.replacements = {}
        for owner, name, value in _stand_ins():
            original = owner.__dict__.get(name, _ABSENT)
            self.before.append((owner, name, original))
            if callable(original) and name != "__hash__":
                self.replacements[id(original)] = value
            setattr(owner, name, value)
        self.before.append((threading, "_active", threading._active))
        self.before.append((threading, "_counter", threading._counter) if hasattr(threading, "_counter") else None)
        _touches.replacements = self.replacements
        _touches.shadow = _shadows
        _touches.shadowed = frozenset(_SHADOWED)
        return [original for _, _, original in filter(None, self.before) if callable(original)]

    def __exit__(self, *exception):
        _touches.replacements = {}
        for entry in reversed(self.before):
            if entry is None:
                continue
            if entry[2] is _ABSENT:
                delattr(entry[0], entry[1])
            else:
                setattr(*entry)


def _begin_execution():
    """Make an execution the same as all others: what counts, or is at random, begins again."""
    threading._active = {1: threading._main_thread}
    threading._counter = itertools.count(1).__next__
    random.seed(0)
    _raddle.renumber_futures()
    _shadows.known.clear()
    _serials.clear()
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None:
        pools.ThreadPoolExecutor._counter = itertools.count().__next__
        if hasattr(pools, "_global_shutdown_lock"):
            pools._global_shutdown_lock = _raddle.Lock()
            pools._threads_queues = type(pools._threads_queues)()
    global _executions
    _executions += 1
    if _executions % 64 == 0:
        gc.collect()


_executions = 0


# -- the interpreter -----------------------------------------------------------------------------------------------------


def _probe_frame(first, second):
    third = second
    return _raddle.probe(3), id(sys._getframe().f_code), id(globals()), [id(first), id(second), id(third)]


@functools.cache
def _verify_interpreter():
    """Raise UnsupportedInterpreter unless the layout of frames is as it should be."""
    version = sys.version_info[:2]
    name = f"{sys.implementation.name} {version[0]}.{version[1]}"
    if sys.implementation.name != "cpython" or version not in _instructions.VERSIONS:
        known = " and ".join(f"{major}.{minor}" for major, minor in _instructions.VERSIONS)
        raise UnsupportedInterpreter(
            f"raddle.check() cannot explore under {name}: it reads the frames of CPython {known}. "
            "Run the check with one of these; raddle's locks, queues and watch work with this version, too."
        )
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise UnsupportedInterpreter("raddle.check() needs the interpreter lock: run it with python -X gil=1")
    found, code, module, slots = _probe_frame(object(), object())
    if found is None or tuple(found) != (code, module, slots):
        raise UnsupportedInterpreter(
            f"raddle.check() does not know the layout of the frames of this build of {name}. "
            "Run the check with a build from python.org; raddle's locks, queues and watch work with this one, too."
        )


# -- check ---------------------------------------------------------------------------------------------------------------

_PREFIX = "py1"
_GRAIN_LETTERS = {"free": "f", "gil": "g"}


def _token_of(found, grain):
    names = "".join(f"{name:06x}" for name in sorted(found["names"]))
    seed = os.environ.get("PYTHONHASHSEED", "random")
    return f"{_PREFIX}{_GRAIN_LETTERS[grain]}.{seed}.{names}.{found['token']}"


def _read_token(token):
    """Return the grain, the hash seed, the names of steps and the schedule of a token."""
    parts = token.strip().split(".", 3)
    grains = {_PREFIX + letter: grain for grain, letter in _GRAIN_LETTERS.items()}
    if len(parts) != 4 or parts[0] not in grains or not re.fullmatch("([0-9a-f]{6})*", parts[2]):
        raise ReplayError(
            f"{token!r} is no token of raddle.check(): pass one as a report shows it, such as py1f.random..r2oe-0a1b2c3d.17-12.1"
        )
    names = {int(parts[2][at : at + 6], 16) for at in range(0, len(parts[2]), 6)}
    return grains[parts[0]], parts[1], names, parts[3]


def _tables(originals):
    return {
        "classify": _classify,
        "shadow": _shadows,
        "null": _touches.NULL,
        "disable": sys.monitoring.DISABLE,
        "method": types.MethodType,
        "local": _thread._local,
        "is_plain": _touches.is_plain,
        "atomic": list(_touches.ATOMIC),
        "shadowed": list(_SHADOWED),
        "replaced": originals,
        "property": [property, functools.cached_property] if False else [property],
        "member": [types.MemberDescriptorType],
        "getset": [types.GetSetDescriptorType],
        "outside": [_HERE, _STDLIB, *(packages + name for packages in _PACKAGES for name in _QUIET)],
    }


def _classify(operation, argument, operands):
    try:
        return _touches.classify(operation, argument, operands)
    except Exception as error:  # a defect of this package must not become one of the program
        _raddle.unseen(f"the operands of {operation}: {type(error).__name__}: {error}")
        return None


def outcome_of(
    function,
    *,
    executions=20_000,
    seconds=60.0,
    strategy="portfolio",
    grain="free",
    time="explored",
    seed=0,
    steps=20_000,
    replay=None,
    survey=False,
    shrink=True,
):
    """Run a function under the schedules that matter, and return an `Exhausted`, a `Failed` or an `Inconclusive`.

    The arguments are those of `check`.
    """
    executions = _settings.overrides.get("executions", executions)
    replay = _settings.overrides.get("replay", replay)
    _verify_interpreter()
    if _raddle.ident():
        raise RuntimeError("raddle.check() was called by a program that is being checked: call it outside")
    settings = {
        "strategy": strategy,
        "executions": executions,
        "seconds": float(seconds),
        "steps": steps,
        "seed": seed,
        "time": time,
        "grain": grain,
        "shrink": shrink,
        "survey": survey,
        "independent": True,
        "replay": None,
        "names": set(),
    }
    hash_seed = None
    if replay is not None:
        settings["grain"], hash_seed, settings["names"], settings["replay"] = _read_token(replay)
    found = _explored(function, settings, hash_seed)
    return _outcome(found, settings["grain"], replay)


def _explored(function, settings, hash_seed):
    state = random.getstate()
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    gc.freeze()
    # The explorer would read them, too.
    environment = {name: os.environ.pop(name) for name in ("RADDLE_REPLAY", "RADDLE_REPORT") if name in os.environ}
    try:
        with _Replaced() as originals:
            _raddle.set_tables(_tables(originals))
            _begin_observing()
            try:
                found = _raddle.explore(function, _begin_execution, settings)
            except ValueError as error:
                if settings["replay"] is None:
                    raise
                raise ReplayError(_with_hint(str(error), hash_seed)) from None
            finally:
                _end_observing()
        if settings["replay"] is not None and _OTHER_PROGRAM in found.get("text", ""):
            raise ReplayError(_with_hint(f"the token {_OTHER_PROGRAM}", hash_seed))
        return found
    finally:
        os.environ.update(environment)
        gc.unfreeze()
        if collects:
            gc.enable()
        _shadows.known.clear()
        random.setstate(state)


_OTHER_PROGRAM = "is of another program, or the program has changed since it was made"


def _with_hint(error, hash_seed):
    if hash_seed != os.environ.get("PYTHONHASHSEED", "random"):
        return f"{error}; or the order of a set differs: set PYTHONHASHSEED to 0 for both runs"
    return error


#: Lines of the explorer's reports that are about Rust.
_OF_RUST = ("to replay this schedule:", "to step through it:", "  the program depends on something", "  explored threads may")


def _report(found, form, token):
    """A form of the report, in terms of Python."""
    text = found[form].replace(found["token"], token)
    for quote in ('"', '\\"'):
        text = text.replace(quote + " panicked", quote + " raised an exception")
    if form == "text":
        text = "\n".join(line for line in text.splitlines() if not line.startswith(_OF_RUST)).rstrip() + "\n"
    return text


def _outcome(found, grain, replay):
    executions = found["executions"]
    unseen = found.get("unseen") or []
    if found["outcome"] == "failed" or found.get("text"):
        token = replay or _token_of(found, grain)
        text, html, json = (_report(found, form, token) for form in ("text", "html", "json"))
        if found["kind"] == "not repeatable":
            reason = (
                "after the same choices, the program takes different steps. It must create what its threads share each time, and "
                "depend on nothing that changes from call to call: the real clock, the order of a set of objects, random bytes\n\n"
            )
            return Inconclusive(reason + text, executions, grain)
        if found["kind"] == "blocked outside":
            reason = "a thread waits for something that the exploration does not see, such as input or a lock of C code\n\n"
            return Inconclusive(reason + text, executions, grain)
        text += f"\ngrain {grain}: {_GRAINS[grain]}\nreplay it with raddle.check(..., replay={token!r})\n"
        return Failed(
            kind=found["kind"],
            title=found["title"].replace('" panicked', '" raised an exception'),
            token=token,
            text=text,
            executions=executions,
            preemptions=found["preemptions"],
            grain=grain,
            html=html,
            json=json,
        )
    if found["outcome"] == "exhausted" and not unseen and not found.get("grown"):
        return Exhausted(found["classes"], executions, grain)
    if unseen:
        reason = "the exploration does not see " + "; ".join(unseen)
    elif replay is not None:
        reason = "the schedule of the token does not fail"
    elif found["outcome"] == "exhausted":
        reason = "the limit of executions or seconds was reached while further steps were found"
    else:
        reason = (
            "there are more schedules than the limits of executions or seconds allow, or a thread polls in a loop. "
            "Raise the limits, make the program smaller, or wait for an event instead of polling"
        )
    return Inconclusive(reason, executions, grain)


_GRAINS = {
    "free": "threads are switched at any instruction, as free-threaded builds and other interpreters may do",
    "gil": "threads are switched only where this version's interpreter lock may be handed over",
}


def check(function, *, exhaust=False, **options):
    """Run a function, which starts threads, under every schedule that matters.

    The function takes no arguments, is called often, and must create what its threads share. Ordinary code is explored:
    `threading`, `queue`, `concurrent.futures` and `time.sleep` need no replacement. Time is virtual.

    Raise `CheckFailed` with a report if a schedule fails: if an exception leaves a thread, or threads block forever. Otherwise
    return `Exhausted`, or `Inconclusive` after an `InconclusiveWarning`; with exhaust=True, raise `CheckFailed` for that, too.

    executions, seconds: limits of the exploration.
    strategy: "portfolio", "dpor", "surw", "pos", "pct", "random" or "depth".
    grain: "free" switches threads at any instruction, "gil" only where the interpreter lock can be handed over.
    time: "explored" lets timeouts expire at any time, "quiescent" only when no thread can proceed.
    seed: of the random strategies.
    steps: an execution of so many steps is a livelock.
    replay: the token of a report, whose schedule is run instead.
    """
    outcome = outcome_of(function, **options)
    if isinstance(outcome, Failed):
        raise CheckFailed(outcome)
    if isinstance(outcome, Inconclusive):
        if exhaust:
            raise CheckFailed(
                Failed(
                    kind="inconclusive",
                    title="not exhausted",
                    token="",
                    text=str(outcome),
                    executions=outcome.executions,
                    preemptions=0,
                    grain=outcome.grain,
                )
            )
        warnings.warn(str(outcome), InconclusiveWarning, stacklevel=2)
    return outcome


def explore(function=None, **options):
    """Turn a test into one that is run under every schedule that matters: `@raddle.explore` or `@raddle.explore(...)`.

    The options are those of `check`. The test may have arguments, such as fixtures.
    """
    if function is None:
        return functools.partial(explore, **options)

    @functools.wraps(function)
    def explored(*args, **kwargs):
        check(functools.partial(function, *args, **kwargs) if args or kwargs else function, **options)

    explored.__raddle__ = options
    return explored


def touch(value, write=True):
    """State that the calling line reads or changes an object in a way that cannot be seen, in C code for example.

    Outside a check, do nothing.
    """
    _raddle.touch(value, write)
