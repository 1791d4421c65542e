"""Which code a check observes: every instruction of it that can touch what threads share."""

import os
import sys
import sysconfig

from raddle import _instructions, _raddle
from raddle._outcome import UnsupportedInterpreter

HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
STDLIB = sysconfig.get_paths()["stdlib"] + os.sep
PACKAGES = tuple({sysconfig.get_paths()["purelib"] + os.sep, sysconfig.get_paths()["platlib"] + os.sep})

#: Parts of this package that hold what threads share.
_OWN = frozenset({"_observed.py", "_condition.py", "_general.py", "queue.py"})

#: Functions of this package whose own data is not the program's.
_BOOKKEEPING = frozenset({"ThreadPoolExecutor._start_thread"})

#: Modules that are not interrupted: output and the machinery of the interpreter. A change between two of their lines would
#: multiply the schedules without a program that depends on it.
OPAQUE = {
    "logging", "warnings", "_py_warnings", "linecache", "tokenize", "token", "importlib", "zipimport", "codecs", "encodings", "locale",
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
QUIET = ("pytest", "_pytest", "pluggy", "hypothesis", "py", "coverage")

#: What of `threading` is data of the program's threads. The rest is bookkeeping of the interpreter.
_OF_THREADING = frozenset({"Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Timer", "_RLock"})
_OF_THREADS = frozenset({"Thread.run", "Thread.name", "Thread.setName", "Thread.getName"})


def _treatment(code):
    """Return "observe", "opaque" or "ignore"."""
    file = code.co_filename
    if file.startswith(HERE):
        if code.co_qualname in _BOOKKEEPING:
            return "opaque"
        return "observe" if file[len(HERE) :] in _OWN else "ignore"
    if file.startswith("<frozen "):
        top = file[len("<frozen ") : -1].partition(".")[0]
        return "opaque" if top in OPAQUE else "observe"
    for packages in PACKAGES:
        if file.startswith(packages):
            top = file[len(packages) :].split(os.sep)[0].removesuffix(".py")
            return "ignore" if top in QUIET else "observe"
    if file.startswith(STDLIB):
        top = file[len(STDLIB) :].split(os.sep)[0].removesuffix(".py")
        if top in OPAQUE:
            return "opaque"
        if top == "threading":
            first = code.co_qualname.partition(".")[0]
            return "observe" if first in _OF_THREADING or code.co_qualname in _OF_THREADS else "ignore"
    return "observe"


def _calls_of(code):
    """Return whether opaque code calls functions of the program "locked", "open", or "before lock": before its caller holds one."""
    file = code.co_filename
    if code.co_qualname == "Filterer.filter":
        return "before lock"
    if file.startswith(STDLIB + "logging" + os.sep):
        return "locked" if code.co_qualname.partition(".")[0] in ("Handler", "Manager", "shutdown") else "open"
    return "open" if file.startswith(STDLIB + "re" + os.sep) else "locked"


_known = {}  # what was decided on code objects, by their addresses
_ignored = []
_observed = []


def _on_start(code, offset):
    if _known is None:  # the interpreter ends, and a daemon thread was exploring
        return None
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
            _raddle.set_opaque(code, _calls_of(code))
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


def begin():
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


def end():
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
