"""The names of the standard library's `threading`, with the package's primitives.

`Lock`, `RLock`, `Condition`, `Event`, `Semaphore` and `BoundedSemaphore` are native. `Barrier` and `Timer` are the standard
library's classes over native primitives. A `Thread` is a thread of the standard library, so that `enumerate`, `excepthook`,
`local`, forks and the end of the interpreter treat it as one. All other names are the standard library's own.
"""

import sys as _sys
import threading as _threading
import types as _types
from abc import ABCMeta as _ABCMeta
from threading import *  # noqa: F403

from raddle._raddle import BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore
from raddle._threads import Recorded as _Recorded

__all__ = list(_threading.__all__)

# By names of their own: a program may put this module's classes into the standard library's module.
_Barrier, _Thread, _Timer = _threading.Barrier, _threading.Thread, _threading.Timer


class Thread(_Recorded, _Thread, metaclass=_ABCMeta):
    """A thread. Reports name it, and a thread that joins it is seen to wait for it.

    Each thread of the standard library is an instance, the main thread included.
    """

    @classmethod
    def __subclasshook__(cls, other):
        if cls is Thread:
            return issubclass(other, _Thread)
        return NotImplemented


class Barrier(_Barrier):
    """Lets a number of threads wait for each other."""

    def __init__(self, parties, action=None, timeout=None):
        super().__init__(parties, action, timeout)
        self._cond = Condition(Lock())


class Timer(Thread, _Timer):
    """Calls a function after an interval in seconds, in a thread of its own, unless it is cancelled before."""

    def __init__(self, interval, function, args=None, kwargs=None):
        super().__init__(interval, function, args, kwargs)
        self.finished = Event()


def __getattr__(name):
    return getattr(_threading, name)


def __dir__():
    return sorted(set(globals()) | set(dir(_threading)))


class _Module(_types.ModuleType):
    """The hook for exceptions of threads is one variable, assigned through either module."""

    @property
    def excepthook(self):
        return _threading.excepthook

    @excepthook.setter
    def excepthook(self, hook):
        _threading.excepthook = hook


del excepthook  # noqa: F821
_sys.modules[__name__].__class__ = _Module
