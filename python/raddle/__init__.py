"""Python's threading toolkit on raddle: the same names, faster.

The modules `raddle.threading` and `raddle.queue` have the names of the standard library's modules.
"""

import os as _os

from raddle._raddle import BoundedSemaphore, Event, Lock, RLock, Semaphore, SimpleQueue, __version__
from raddle._raddle import after_fork_in_child as _after_fork_in_child
from raddle.queue import LifoQueue, PriorityQueue, Queue
from raddle.threading import Barrier, Condition, Timer

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Semaphore",
    "SimpleQueue",
    "Timer",
    "__version__",
]

for _class in (Barrier, Condition, LifoQueue, PriorityQueue, Queue, Timer):
    _class.__module__ = __name__  # as a representation names it

if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork_in_child)
