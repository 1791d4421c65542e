"""The names of the standard library's `queue`.

The queues are native. A subclass that overrides `_init`, `_qsize`, `_put` or `_get`, and a program that uses `mutex`, `not_empty`,
`not_full`, `all_tasks_done` or `queue`, find what the standard library has. So does a `PriorityQueue` whose items are neither numbers
nor strings nor tuples of these, or not all of one kind: Python then compares them, which may run any code.
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


class _Visible:
    """An attribute that makes a queue general when it is used first. From then on, the queue has one of its own."""

    def __init__(self, otherwise=None):
        self._otherwise = otherwise

    def __set_name__(self, owner, name):
        self._name = name

    def __get__(self, queue, owner=None):
        if queue is None:
            return self
        if self._otherwise is not None:
            return self._otherwise(queue)
        queue._become_general()
        return queue.__dict__[self._name]


_NATIVE = ()


class Queue(_raddle.Queue):
    """A FIFO queue for many producers and consumers.

    maxsize is the number of items at which put() blocks; 0 or less means no limit.
    """

    _kind = "fifo"

    queue, mutex, not_empty, not_full, all_tasks_done = (_Visible() for _ in range(5))
    unfinished_tasks, is_shutdown = _Visible(_raddle.Queue._unfinished), _Visible(_raddle.Queue._is_shut_down)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for native in _NATIVE:
            if all(getattr(cls, hook) is getattr(native, hook) for hook in _HOOKS):
                cls._kind = native._kind
                return
        cls._kind = "general"

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


LifoQueue._kind, PriorityQueue._kind = "lifo", "priority"
_NATIVE = Queue, LifoQueue, PriorityQueue
for _class in _NATIVE:
    _raddle.add_frequent_methods(_class)
