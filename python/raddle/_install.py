"""`install` and `uninstall`: the package's names in the modules of the standard library."""

import functools
import importlib
import os
import sys
import threading

from raddle import _threads
from raddle import queue as _queue
from raddle import threading as _toolkit

#: What `install` replaces: a module, its names, and the module that has the new ones.
_NAMES = [
    ("threading", ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore", "Timer"), _toolkit),
    ("queue", ("LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"), _queue),
]

#: Locks that modules of the standard library make when they are imported: module, name, kind, and whether the module acquires
#: the lock around each fork, so that a child finds consistent data.
_LOCKS = [
    ("logging", "_lock", "RLock", True),
    ("concurrent.futures.thread", "_global_shutdown_lock", "Lock", True),
    ("asyncio.events", "_lock", "Lock", False),
    ("tempfile", "_once_lock", "Lock", False),
    ("_strptime", "_cache_lock", "Lock", False),
]

#: What has been replaced: objects, the names of their attributes, the old and the new values.
_replaced = []

#: The old value of an attribute that was not there.
_ABSENT = object()

#: The locks that are acquired around each fork, which cannot be undone.
_around_forks = {}


def install():
    """Put the package's names into `threading`, `queue` and `concurrent.futures`.

    From now on, `threading.Lock()` and its like make the package's objects, for all modules that look the names up there. A
    module that has executed `from threading import Lock` before keeps the old name, so install early. `threading.Thread` stays
    the same class; the watch knows its threads by their names and sees that one joins another. Locks that `logging` and some
    other modules of the standard library made when they were imported are replaced too, unless they are held.
    """
    if _replaced:
        return
    for module, names, source in _names():
        for name in names:
            _replace(module, name, getattr(source, name))
    _record_threads()
    for module, name, kind, forks in _LOCKS:
        if module in sys.modules:
            _replace_lock(sys.modules[module], name, getattr(_toolkit, kind), forks)
    if "logging" in sys.modules:
        for reference in list(sys.modules["logging"]._handlerList):
            if (handler := reference()) is not None:
                _replace_lock(handler, "lock", _toolkit.RLock, False)
    _join_at_exit()


def uninstall():
    """Put the standard library's names back, as they were before `install`. Objects that exist stay what they are."""
    while _replaced:
        owner, name, old, new = _replaced.pop()
        if vars(owner).get(name) is not new:
            continue  # the program has replaced it since
        if old is _ABSENT:
            delattr(owner, name)
        elif not isinstance(new, (_toolkit.Lock, _toolkit.RLock)):
            setattr(owner, name, old)
        else:
            _swap(owner, name, new, old)  # unless it is held: then it stays, and works


def _names():
    for module, names, source in _NAMES:
        yield importlib.import_module(module), names, source
    try:
        futures = importlib.import_module("raddle.futures")
    except ModuleNotFoundError:
        return
    pool = ("ThreadPoolExecutor",)
    base = ("Future", "as_completed", "wait")
    for module, names in [("", base + pool), ("._base", base), (".thread", pool)]:
        yield importlib.import_module("concurrent.futures" + module), names, futures


def _replace(owner, name, new):
    getattr(owner, name)  # some modules load a name when it is used first
    _replaced.append((owner, name, vars(owner).get(name, _ABSENT), new))
    setattr(owner, name, new)


def _record_threads():
    """Changes the methods of `threading.Thread` itself, since classes may derive from it already."""
    bootstrap_inner, inner_join = threading.Thread._bootstrap_inner, threading.Thread.join

    def _bootstrap_inner(self):
        _threads.begin(self)
        bootstrap_inner(self)

    @functools.wraps(inner_join)
    def join(self, timeout=None):
        inner_join(self, _threads.wait(self, timeout))

    _replace(threading.Thread, "_bootstrap_inner", _bootstrap_inner)
    _replace(threading.Thread, "join", join)


def _join_at_exit():
    """Has the interpreter join threads when it ends: after the exit functions of pools, once the main thread counts as ended."""
    if hasattr(threading, "_thread_shutdown"):  # since 3.13
        owner, name = threading, "_thread_shutdown"
    elif hasattr(threading.Thread, "_stop"):
        owner, name = threading.main_thread(), "_stop"
    else:
        return
    before = getattr(owner, name)

    def shutdown():
        if owner is threading:
            _threads.join_at_exit()
            return before()
        before()
        if threading._SHUTTING_DOWN:  # and not in the child of a fork
            _threads.join_at_exit()

    _replace(owner, name, shutdown)


def _replace_lock(owner, name, kind, forks):
    old = vars(owner).get(name)
    if old is None or isinstance(old, kind):
        return
    new = _around_forks.get((owner.__name__, name)) if forks else None
    if new is None:
        new = kind()
        if forks and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=new.acquire, after_in_parent=new.release, after_in_child=new._at_fork_reinit)
            _around_forks[owner.__name__, name] = new
    if _swap(owner, name, old, new):
        _replaced.append((owner, name, old, new))


def _swap(owner, name, old, new):
    """Puts a lock in the place of another one, if that is free. Returns whether it was."""
    if not old.acquire(blocking=False):
        return False
    try:
        setattr(owner, name, new)
    finally:
        old.release()
    return True
