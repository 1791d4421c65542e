"""The names of the standard library's `threading`, with the package's primitives.

`Lock`, `RLock`, `Event`, `Semaphore` and `BoundedSemaphore` are native. `Condition`, `Barrier` and `Timer` are built on
them. `Thread`, `local` and the functions are the standard library's own, so that threads started by either are the same.
"""

import threading as _threading
from threading import *  # noqa: F403

from raddle._condition import Condition
from raddle._raddle import BoundedSemaphore, Event, Lock, RLock, Semaphore

__all__ = list(_threading.__all__)


class Barrier(_threading.Barrier):
    """Lets a number of threads wait for each other."""

    def __init__(self, parties, action=None, timeout=None):
        super().__init__(parties, action, timeout)
        self._cond = Condition(Lock())


class Timer(_threading.Timer):
    """Calls a function after an interval in seconds, in a thread of its own, unless it is cancelled before."""

    def __init__(self, interval, function, args=None, kwargs=None):
        super().__init__(interval, function, args, kwargs)
        self.finished = Event()
