"""The names of the standard library's `concurrent.futures`.

`Future`, the queue of a `ThreadPoolExecutor`, `wait` and `as_completed` are native. The classes derive from the standard library's,
which `asyncio` relies on. Futures of both kinds can be mixed. `ProcessPoolExecutor` is the standard library's own.
"""

import concurrent.futures as _futures
import os as _os
import threading as _threading
import time as _time
import weakref as _weakref
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    InvalidStateError,
    TimeoutError,
)
from concurrent.futures import _base
from concurrent.futures import as_completed as _as_completed
from concurrent.futures import thread as _thread
from concurrent.futures import wait as _wait
from concurrent.futures.thread import BrokenThreadPool

from raddle import _observed, _raddle
from raddle.threading import Thread as _Thread

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "wait",
]


if "InterpreterPoolExecutor" in _futures.__all__:  # since 3.14
    # Derived from the pool of the standard library, which a program may replace later.
    import concurrent.futures.interpreter as _  # noqa: F401

    __all__.append("InterpreterPoolExecutor")


def __getattr__(name):
    # Its module is large, and few programs use it.
    return getattr(_futures, name)


def __dir__():
    return sorted(set(globals()) | set(dir(_futures)))


class Future(_raddle.Future, _base.Future):
    """The result of a call that runs in another thread."""


def wait(fs, timeout=None, return_when=ALL_COMPLETED):
    """Wait until all futures have completed, or the first one, or for a timeout in seconds.

    return_when is ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION; the last one ends the wait once a call has failed. Return
    two sets: the futures that have completed, and the others.
    """
    fs = _observed.unique(fs)
    if not all(isinstance(f, _raddle.Future) for f in fs):
        return _wait(fs, timeout, return_when)
    if return_when not in (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED) and not all(f._is_settled() for f in fs):
        raise ValueError(f"Invalid return condition: {return_when!r}")
    done = set(_raddle.wait_for(list(fs), timeout, return_when == FIRST_COMPLETED, return_when == FIRST_EXCEPTION))
    return _base.DoneAndNotDoneFutures(done, fs.keys() - done)


def as_completed(fs, timeout=None):
    """Return an iterator over the futures that yields each one as it completes.

    It raises TimeoutError if they have not all completed after a timeout in seconds. A future that is given twice is yielded once.
    """
    end = None if timeout is None else timeout + _time.monotonic()
    pending = _observed.unique(fs)
    if not all(isinstance(f, _raddle.Future) for f in pending):
        yield from _as_completed(pending, timeout)
        return
    total = len(pending)
    completed = _raddle.Completed()
    settled = _raddle.watch(list(pending), completed)
    try:
        while True:
            for future in settled:
                del pending[future]
            future = None  # no reference keeps it alive
            settled.reverse()
            while settled:
                yield settled.pop()
            if not pending:
                return
            left = None if end is None else end - _time.monotonic()
            if left is not None and left < 0:
                raise TimeoutError(f"{len(pending)} (of {total}) futures unfinished")
            settled = completed.take(left)
    finally:
        _raddle.unwatch(list(pending), completed)


#: The executors that have threads.
_executors = _weakref.WeakSet()
#: The tasks of each thread that may run.
_tasks_of_threads = _weakref.WeakKeyDictionary()
#: The pools of an execution of a check that have threads, and the threads.
_tasks_of_check, _threads_of_check = [], []


def _work(executor, tasks, number, initializer, initargs):
    """The function of a thread of a pool."""
    try:
        if initializer is not None:
            initializer(*initargs)
    except BaseException:
        if _raddle.is_unwinding():
            raise
        _base.LOGGER.critical("Exception in initializer:", exc_info=True)
        executor = executor()
        if executor is not None:
            executor._initializer_failed()
        return
    try:
        tasks.run(number)
    except BaseException:
        if _raddle.is_unwinding():
            raise
        _base.LOGGER.critical("Exception in worker", exc_info=True)


def _withdrawn(tasks, begin=bool):
    """Shuts down a queue of tasks, and yields the futures of those that no thread has begun. Calls begin() with that."""
    if not _raddle.ident():
        begin()
        yield from tasks.shutdown_now()
        return
    # As in the standard library: threads may get a call between two others, and no call is submitted meanwhile.
    try:
        future = tasks.withdraw(True)
        begin()
        while future is not None:
            yield future
            future = tasks.withdraw(False)
    finally:
        tasks.unhold()


class _Threads(set):
    """The threads of a pool, which programs look at as at those of the standard library's."""

    __module__ = _thread.__name__


class ThreadPoolExecutor(_thread.ThreadPoolExecutor):
    """Runs calls in a number of threads, which it starts as they are needed.

    max_workers is the greatest number of threads; by default it depends on the number of processors. thread_name_prefix begins the
    names of the threads. Each thread first calls initializer(*initargs).
    """

    _number = None  # of a pool of a check, so that the order of a set of pools does not depend on addresses

    def __init__(self, max_workers=None, thread_name_prefix="", initializer=None, initargs=()):
        if max_workers is None:
            processors = getattr(_os, "process_cpu_count", _os.cpu_count)
            max_workers = min(32, (processors() or 1) + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._max_workers = max_workers
        self._threads = _Threads()
        self._broken = False
        self._shutdown = False
        self._thread_name_prefix = thread_name_prefix or f"ThreadPoolExecutor-{self._counter()}"
        self._initializer = initializer
        self._initargs = initargs
        self._work_queue = _raddle.Tasks(max_workers, Future)
        self._number = _raddle.next_number()

    def __hash__(self):
        return object.__hash__(self) if self._number is None else self._number

    def submit(self, fn, /, *args, **kwargs):
        """Have a thread call fn(*args, **kwargs), and return a Future of the call.

        Raise RuntimeError after shutdown(), and BrokenThreadPool if an initializer has failed.
        """
        return self._work_queue.submit(self, fn, args, kwargs)

    def _refuse(self):
        # Called by the queue of tasks when it is shut down.
        if self._broken:
            raise BrokenThreadPool(self._broken)
        if not self._shutdown:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _start_thread(self, number):
        # Called by the queue of tasks when no thread is idle.
        tasks = self._work_queue
        executor = _weakref.ref(self, lambda _: tasks.shutdown())
        thread = _Thread(
            name=f"{self._thread_name_prefix}_{number}",
            target=_work,
            args=(executor, tasks, number, self._initializer, self._initargs),
        )
        thread.start()
        thread._number = number
        self._threads.add(thread)
        _raddle.touch(self._threads)
        if _raddle.ident():
            _threads_of_check.append(thread)
            if number == 0:
                _tasks_of_check.append(tasks)
        else:
            _tasks_of_threads[thread] = tasks
            _executors.add(self)
        return thread.name

    def _initializer_failed(self):
        def breaks():
            self._broken = "A thread initializer failed, the thread pool is not usable anymore"

        for future in _withdrawn(self._work_queue, breaks):
            # A check stands for the standard library's pool, which expects no future that was cancelled.
            if _raddle.ident() or future.set_running_or_notify_cancel():
                future.set_exception(BrokenThreadPool(self._broken))

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Refuse further calls, and wait until those that were submitted have ended.

        With wait=False, do not wait. With cancel_futures=True, cancel the calls that have not begun.
        """
        self._shutdown = True
        if cancel_futures:
            for future in _withdrawn(self._work_queue):
                # So that wait() counts it. The standard library's pool, for which a check stands, does not.
                if future.cancel() and not _raddle.ident():
                    future.set_running_or_notify_cancel()
        else:
            self._work_queue.shutdown()
        if wait:
            for thread in sorted(self._threads, key=lambda thread: thread._number):
                thread.join()


def _end():
    """Ends the pools before the interpreter joins its threads."""
    _raddle.close_pools()
    threads = list(_tasks_of_threads.items())
    for _, tasks in threads:
        tasks.shutdown()
    for thread, _ in threads:
        thread.join()


def _after_fork_in_child():
    # The threads of a pool are in the parent, and so are the calls that were submitted there.
    _tasks_of_threads.clear()
    for executor in list(_executors):
        executor._threads.clear()
        shut_down = executor._shutdown or executor._broken
        executor._work_queue = _raddle.Tasks(executor._max_workers, Future)
        if shut_down:
            executor._work_queue.shutdown()


_threading._register_atexit(_end)
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_after_fork_in_child)
