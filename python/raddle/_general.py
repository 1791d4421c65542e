"""A queue over a container and conditions that Python code can see.

`raddle.queue.Queue` calls these functions instead of the native queue if a subclass overrides `_init`, `_qsize`, `_put` or
`_get`, or once a program uses `mutex`, `not_empty`, `not_full`, `all_tasks_done` or `queue`, or puts what only Python can compare.
"""

import threading as _threading
from queue import Empty, Full
from time import monotonic as _now

from raddle import _raddle

_beginning = _threading.Lock()


def begin(queue):
    """Creates the mutex and the conditions of a queue, unless it has them, and returns the mutex, acquired."""
    with _beginning:
        if "mutex" not in queue.__dict__:
            mutex = _raddle.Lock()
            mutex.acquire()  # before another thread can: it would see a queue without its container
            queue.not_empty = _raddle.Condition(mutex)
            queue.not_full = _raddle.Condition(mutex)
            queue.all_tasks_done = _raddle.Condition(mutex)
            queue.unfinished_tasks = 0
            queue.is_shutdown = False
            queue.mutex = mutex
            return mutex
    queue.mutex.acquire()
    return queue.mutex


def take_over(queue, items, unfinished, shut_down):
    """Fills the container with the items of the native queue. The caller holds the mutex."""
    queue._init(queue.maxsize)
    for item in items:
        queue._put(item)
    queue.unfinished_tasks = unfinished
    queue.is_shutdown = shut_down
    queue.not_empty.notify_all()
    queue.not_full.notify_all()


def _shut_down():
    from raddle.queue import ShutDown

    return ShutDown


def put(queue, item, block, timeout):
    with queue.not_full:
        if queue.is_shutdown:
            raise _shut_down()
        if queue.maxsize > 0:
            end = None if timeout is None or not block else _now() + timeout
            while queue._qsize() >= queue.maxsize:
                if not block:
                    raise Full
                if end is None:
                    queue.not_full.wait()
                else:
                    left = end - _now()
                    if left <= 0:
                        raise Full
                    queue.not_full.wait(left)
                if queue.is_shutdown:
                    raise _shut_down()
        queue._put(item)
        queue.unfinished_tasks += 1
        queue.not_empty.notify()


def get(queue, block, timeout):
    with queue.not_empty:
        end = None if timeout is None or not block else _now() + timeout
        while not queue._qsize():
            if queue.is_shutdown:
                raise _shut_down()
            if not block:
                raise Empty
            if end is None:
                queue.not_empty.wait()
            else:
                left = end - _now()
                if left <= 0:
                    raise Empty
                queue.not_empty.wait(left)
        item = queue._get()
        queue.not_full.notify()
        return item


def task_done(queue):
    with queue.all_tasks_done:
        unfinished = queue.unfinished_tasks - 1
        if unfinished < 0:
            raise ValueError("task_done() called too many times")
        if unfinished == 0:
            queue.all_tasks_done.notify_all()
        queue.unfinished_tasks = unfinished


def join(queue):
    with queue.all_tasks_done:
        while queue.unfinished_tasks:
            queue.all_tasks_done.wait()


def qsize(queue):
    with queue.mutex:
        return queue._qsize()


def shutdown(queue, immediate):
    with queue.mutex:
        queue.is_shutdown = True
        if immediate:
            while queue._qsize():
                queue._get()
                if queue.unfinished_tasks > 0:
                    queue.unfinished_tasks -= 1
            queue.all_tasks_done.notify_all()
        queue.not_empty.notify_all()
        queue.not_full.notify_all()
