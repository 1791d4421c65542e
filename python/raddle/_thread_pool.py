"""What a check replaces of `multiprocessing.pool.ThreadPool`, whose threads wait for a pipe, and count across executions."""

import itertools
import queue
import sys
import threading
import weakref

from raddle import _raddle


class _Context:
    """Stands for the context of processes: only the queue that notifies the thread which looks after the workers is of it."""

    def SimpleQueue(self):
        return queue.SimpleQueue()


def stand_ins():
    """Return the names to replace while a check runs: owners, names and values."""
    try:  # also if the program imports it later: then it would be too late
        from multiprocessing import pool, util
    except ImportError:  # of an interpreter without it
        return []

    real_init, real_sentinels = pool.ThreadPool.__init__, pool.ThreadPool._get_sentinels
    real_wait = pool.Pool._wait_for_updates

    def init(self, processes=None, initializer=None, initargs=()):
        if not _raddle.ident():
            return real_init(self, processes, initializer, initargs)
        pool.Pool.__init__(self, processes, initializer, initargs, context=_Context())

    def get_sentinels(self):
        return [] if _raddle.ident() else real_sentinels(self)

    def wait_for_updates(sentinels, change_notifier, timeout=None):
        if not _raddle.ident():
            return real_wait(sentinels, change_notifier, timeout)
        change_notifier.get()
        while not change_notifier.empty():
            change_notifier.get()

    return [
        (pool.ThreadPool, "__init__", init),
        (pool.ThreadPool, "_get_sentinels", get_sentinels),
        (pool.Pool, "_wait_for_updates", staticmethod(wait_for_updates)),
        (pool, "job_counter", itertools.count()),
        (util, "_finalizer_counter", itertools.count()),
        (util, "_finalizer_registry", {}),
    ]


def begin_execution():
    """Make what the module counts and registers the same in each execution."""
    pool, util = sys.modules.get("multiprocessing.pool"), sys.modules.get("multiprocessing.util")
    if pool is None or util is None:
        return
    pool.job_counter = itertools.count()
    util._finalizer_counter = itertools.count()
    util._finalizer_registry.clear()
    if "multiprocessing.dummy" in sys.modules:
        threading._main_thread._children = weakref.WeakKeyDictionary()
