"""Python's threading toolkit on raddle: the same names, faster.

`check` runs ordinary Python code under every schedule that matters. The modules `raddle.threading`, `raddle.queue` and
`raddle.futures` have the names of the standard library's modules; `install` puts them into those modules. `python -m raddle run`
runs a program with them and reports its deadlocks.
"""

import os as _os
import sys as _sys
import threading as _threading

if _sys.version_info < (3, 12):
    import _xxsubinterpreters as _interpreters  # later versions check it themselves

    if _interpreters.get_current() != _interpreters.get_main():
        raise ImportError("raddle does not support subinterpreters: import it in the main interpreter")

from raddle._raddle import (
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    Semaphore,
    SimpleQueue,
    __version__,
)
from raddle._raddle import after_fork_in_child as _after_fork_in_child
from raddle._raddle import toolkit_files as _toolkit_files
from raddle._check import check, explore, outcome_of, touch
from raddle._outcome import (
    CheckFailed,
    Exhausted,
    Failed,
    Inconclusive,
    InconclusiveWarning,
    ReplayError,
    UnsupportedInterpreter,
)
from raddle._install import install, uninstall
from raddle.queue import LifoQueue, PriorityQueue, Queue
from raddle.threading import Barrier, Thread, Timer

#: Imported on their first use: their module imports `logging`.
_FUTURES = ("Future", "ThreadPoolExecutor", "as_completed", "wait")

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "CheckFailed",
    "Condition",
    "Event",
    "Exhausted",
    "Failed",
    "Future",
    "Inconclusive",
    "InconclusiveWarning",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "RLock",
    "ReplayError",
    "Semaphore",
    "SimpleQueue",
    "Thread",
    "ThreadPoolExecutor",
    "Timer",
    "UnsupportedInterpreter",
    "__version__",
    "as_completed",
    "check",
    "explore",
    "install",
    "outcome_of",
    "touch",
    "uninstall",
    "wait",
]

for _class in (Barrier, LifoQueue, PriorityQueue, Queue, Thread, Timer):
    _class.__module__ = __name__  # as a representation names it


def __getattr__(name):
    if name not in _FUTURES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from raddle import futures

    value = globals()[name] = getattr(futures, name)
    return value


_library = _os.path.dirname(_threading.__file__) + _os.sep
_toolkit_files(
    [
        _os.path.dirname(__file__) + _os.sep,
        _library + "threading.py",
        _library + "queue.py",
        _library + _os.path.join("concurrent", "futures", ""),
    ]
)

if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork_in_child)
