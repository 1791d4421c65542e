"""The names of the standard library's `queue`.

`Queue`, `LifoQueue` and `SimpleQueue` are native. A subclass that overrides `_init`, `_qsize`, `_put` or `_get`, as
`PriorityQueue` does, and a program that uses `mutex`, `not_empty`, `not_full`, `all_tasks_done` or `queue`, or assigns
`maxsize`, find what the standard library has.
"""

import heapq as _heapq
from collections import deque as _deque
from queue import Empty, Full

from raddle import _raddle
from raddle._raddle import SimpleQueue

try:
    from queue import ShutDown
except ImportError:  # before 3.13

    class ShutDown(Exception):
        """Raised by put() after shutdown(), and by get() once the queue is empty too."""


__all__ = ["Empty", "Full", "ShutDown", "Queue", "PriorityQueue", "LifoQueue", "SimpleQueue"]

_HOOKS = ("_init", "_qsize", "_put", "_get")
_VISIBLE = frozenset({"queue", "mutex", "not_empty", "not_full", "all_tasks_done"})


class Queue(_raddle.Queue):
    """A FIFO queue for many producers and consumers.

    maxsize is the number of items at which put() blocks; 0 or less means no limit.
    """

    _kind = "fifo"

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for native in (Queue, LifoQueue) if "LifoQueue" in globals() else (Queue,):
            if all(getattr(cls, hook) is getattr(native, hook) for hook in _HOOKS):
                cls._kind = native._kind
                return
        cls._kind = "general"

    def __getattr__(self, name):
        if name in _VISIBLE:
            self._become_general()
            return self.__dict__[name]
        if name == "unfinished_tasks":
            return self._unfinished()
        if name == "is_shutdown":
            return self._is_shut_down()
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def _init(self, maxsize):
        self.queue = _deque()

    def _qsize(self):
        return len(self.queue)

    def _put(self, item):
        self.queue.append(item)

    def _get(self):
        return self.queue.popleft()


class PriorityQueue(Queue):
    """A queue whose get() returns the smallest item, typically a tuple (priority, data)."""

    def _init(self, maxsize):
        self.queue = []

    def _put(self, item):
        _heapq.heappush(self.queue, item)

    def _get(self):
        return _heapq.heappop(self.queue)


class LifoQueue(Queue):
    """A queue whose get() returns the item that was put last."""

    def _init(self, maxsize):
        self.queue = []

    def _put(self, item):
        self.queue.append(item)

    def _get(self):
        return self.queue.pop()


LifoQueue._kind = "lifo"
