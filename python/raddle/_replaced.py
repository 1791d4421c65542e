"""The names that a check replaces while it runs, and what it resets before each execution."""

import contextvars
import datetime
import gc
import itertools
import queue
import random
import sys
import threading
import time
import types
import weakref
import _queue
import _random
import _thread

from raddle import _effects, _raddle, _thread_pool, _touches

_real = types.SimpleNamespace(
    start=threading.Thread.start,
    join=threading.Thread.join,
    is_alive=threading.Thread.is_alive,
    sleep=time.sleep,
    monotonic=time.monotonic,
    time=time.time,
    perf_counter=time.perf_counter,
    monotonic_ns=time.monotonic_ns,
    time_ns=time.time_ns,
    perf_counter_ns=time.perf_counter_ns,
    process_time=time.process_time,
    thread_time=time.thread_time,
    localtime=time.localtime,
    gmtime=time.gmtime,
    ctime=time.ctime,
    strftime=time.strftime,
    get_ident=threading.get_ident,
    get_native_id=threading.get_native_id,
    enumerate=threading.enumerate,
    active_count=threading.active_count,
    dangling=threading._dangling,
    start_new_thread=_thread.start_new_thread,
)

_EPOCH = 1_700_000_000


def _start(thread):
    if not _raddle.ident():
        return _real.start(thread)
    if not thread._initialized:
        raise RuntimeError("thread.__init__() not called")
    if "_raddle_thread" in thread.__dict__:
        raise RuntimeError("threads can only be started once")
    thread.__dict__["_raddle_thread"] = None
    if getattr(thread, "_context", ...) is None:  # since 3.14, a thread has a context
        thread._context = contextvars.copy_context() if sys.flags.thread_inherit_context else contextvars.Context()

    def body():
        try:
            thread._context.run(thread.run) if hasattr(thread, "_context") else thread.run()
        finally:
            _raddle.touch(_registry, True, True)
            threading._active.pop(_raddle.ident(), None)

    started = _raddle.spawn(body, thread._name, thread._daemonic)
    # Before the thread runs: that is not until the next step of this one.
    thread.__dict__["_raddle_thread"] = started
    thread._ident = started.ident
    threading._active[started.ident] = thread
    _raddle.touch(_registry, True, True)


def _join(thread, timeout=None):
    if not _raddle.ident() or "_raddle_thread" not in thread.__dict__:
        if _raddle.ident():
            if not thread._initialized:
                raise RuntimeError("Thread.__init__() not called")
            raise RuntimeError("cannot join thread before it is started")
        return _real.join(thread, timeout)
    if thread._ident == _raddle.ident():
        raise RuntimeError("cannot join current thread")
    thread._raddle_thread.join(timeout)


def _is_alive(thread):
    if not _raddle.ident():
        return _real.is_alive(thread)
    if thread is threading._main_thread:
        return True
    started = thread.__dict__.get("_raddle_thread")
    return started is not None and not started.is_finished()


_serials = {}  # numbers of objects in the order in which they are hashed: sets are ordered by hashes, not by addresses


def _serial(value):
    if not _raddle.ident():
        return object.__hash__(value)
    known = _serials.get(id(value))
    if known is None:
        known = _serials[id(value)] = (_raddle.next_number(), value)
    return known[0]


def _sleep(seconds, /):
    return _raddle.sleep(seconds) if _raddle.ident() else _real.sleep(seconds)


def _monotonic():
    return _raddle.seconds() + 1000.0 if _raddle.ident() else _real.monotonic()


def _time():
    return _raddle.seconds() + _EPOCH if _raddle.ident() else _real.time()


def _perf_counter():
    return _raddle.seconds() + 1000.0 if _raddle.ident() else _real.perf_counter()


def _monotonic_ns():
    return int(_monotonic() * 1e9) if _raddle.ident() else _real.monotonic_ns()


def _time_ns():
    return int(_time() * 1e9) if _raddle.ident() else _real.time_ns()


def _perf_counter_ns():
    return int(_perf_counter() * 1e9) if _raddle.ident() else _real.perf_counter_ns()


def _process_time():
    return _raddle.seconds() if _raddle.ident() else _real.process_time()


def _thread_time():
    return _raddle.seconds() if _raddle.ident() else _real.thread_time()


def _localtime(seconds=None, /):
    return _real.localtime(_time() if seconds is None else seconds)


def _gmtime(seconds=None, /):
    return _real.gmtime(_time() if seconds is None else seconds)


def _ctime(seconds=None, /):
    return _real.ctime(_time() if seconds is None else seconds)


def _strftime(form, moment=None, /):
    return _real.strftime(form, _localtime() if moment is None else moment)


def _date(cls, method):
    """Return the stand-in of a method of a class of dates that reads the clock, or None."""
    if method == "today" or method == "now" and issubclass(cls, datetime.datetime):
        return lambda tz=None: cls.fromtimestamp(_time()) if tz is None else cls.fromtimestamp(_time(), tz)
    if method == "utcnow":
        return lambda: cls.fromtimestamp(_time(), datetime.timezone.utc).replace(tzinfo=None)
    return None


def _get_ident():
    return _raddle.ident() or _real.get_ident()


def _get_native_id():
    return _raddle.ident() or _real.get_native_id()


def _enumerate():
    if not _raddle.ident():
        return _real.enumerate()
    _raddle.touch(_registry, False)
    return list(threading._active.values())


def _active_count():
    return len(_enumerate()) if _raddle.ident() else _real.active_count()


class _Registry:
    """Stands for the list of threads that are alive."""


_registry = _Registry()


class _Dangling(weakref.WeakSet):
    """Threads for the interpreter's own tests. Those of a check end with it, and are not entered."""

    def add(self, thread):
        if not _raddle.ident():
            _real.dangling.add(thread)


def _start_new_thread(function, args, kwargs=None, /):
    if not _raddle.ident():
        return _real.start_new_thread(function, args, kwargs or {})
    thread = threading.Thread(target=function, args=args, kwargs=kwargs or {}, daemon=True)
    thread.start()
    return thread.ident


def _stand_ins():
    """Return the names to replace while a check runs: modules, names and values."""
    from raddle import queue as our_queue
    from raddle import threading as ours

    found = []
    for name in ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event"):
        found.append((threading, name, getattr(ours, name)))
    for name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"):
        found.append((queue, name, getattr(our_queue, name)))
    found += [
        (threading, "_allocate_lock", ours.Lock),
        (threading, "_CRLock", ours.RLock),
        (threading, "get_ident", _get_ident),
        (threading, "get_native_id", _get_native_id),
        (threading, "enumerate", _enumerate),
        (threading, "active_count", _active_count),
        (threading, "_time", _monotonic),
        (threading, "_start_new_thread", _start_new_thread),
        (threading, "_dangling", _Dangling()),
        (_thread, "allocate_lock", ours.Lock),
        (_thread, "RLock", ours.RLock),
        (_thread, "get_ident", _get_ident),
        (_thread, "get_native_id", _get_native_id),
        (_thread, "start_new_thread", _start_new_thread),
        (queue, "time", _monotonic),
        (time, "sleep", _sleep),
        (time, "monotonic", _monotonic),
        (time, "time", _time),
        (time, "perf_counter", _perf_counter),
        (time, "monotonic_ns", _monotonic_ns),
        (time, "time_ns", _time_ns),
        (time, "perf_counter_ns", _perf_counter_ns),
        (time, "process_time", _process_time),
        (time, "thread_time", _thread_time),
        (time, "localtime", _localtime),
        (time, "gmtime", _gmtime),
        (time, "ctime", _ctime),
        (time, "strftime", _strftime),
        (threading.Thread, "start", _start),
        (threading.Thread, "join", _join),
        (threading.Thread, "is_alive", _is_alive),
        (threading.Thread, "__hash__", _serial),
    ]
    try:
        from raddle import futures as our_futures
    except ImportError:
        pass
    else:
        import concurrent.futures.thread as pools

        found.append((our_futures.ThreadPoolExecutor, "_counter", itertools.count().__next__))
        found.append((pools, "_threads_queues", weakref.WeakKeyDictionary()))
        found.append((pools, "_global_shutdown_lock", ours.Lock()))
        # Pools of a check are not to be ended with the interpreter.
        found.append((our_futures, "_tasks_of_threads", weakref.WeakKeyDictionary()))
        found.append((our_futures, "_executors", weakref.WeakSet()))
        for name in ("ThreadPoolExecutor", "Future", "wait", "as_completed"):
            if hasattr(our_futures, name):
                found.append((sys.modules["concurrent.futures"], name, getattr(our_futures, name)))
                for module in (pools, sys.modules["concurrent.futures._base"]):
                    if hasattr(module, name):
                        found.append((module, name, getattr(our_futures, name)))
    found += _thread_pool.stand_ins()
    return [entry for entry in found if hasattr(entry[0], entry[1])]


#: The classes of the interpreter, whose names stand for others while a check runs.
SHADOWED = _LOCK, _RLOCK, _SIMPLE_QUEUE = _thread.LockType, _thread.RLock, _queue.SimpleQueue


class _Shadows:
    """The stand-ins of locks and pools that exist already, for one execution."""

    def __init__(self):
        self.known = {}
        self.pools = None  # the module that knows pools, which few programs load

    def __call__(self, lock):
        if not _raddle.ident():
            return lock
        found = self.known.get(id(lock))
        if found is None:
            if type(lock) is _LOCK:
                stand_in = _raddle.Lock()
                if lock.locked():
                    stand_in.acquire()
            elif type(lock) is _RLOCK:
                stand_in = _raddle.RLock()
            elif type(lock) is _SIMPLE_QUEUE:
                stand_in = _raddle.SimpleQueue()
                self.known[id(lock)] = (stand_in, lock)  # other threads run while the items are put
                for item in [lock.get_nowait() for _ in range(lock.qsize())]:
                    lock.put(item)
                    stand_in.put(item)
            else:
                stand_in = self.pools.like(lock)
            found = self.known[id(lock)] = (stand_in, lock)
        return found[0]


shadows = _Shadows()


_ABSENT = object()


class Replaced:
    """Replaces names while a check runs."""

    def __enter__(self):
        from raddle import _pools

        shadows.pools = _pools
        self.before = []
        self.replacements = {}
        for owner, name, value in _stand_ins():
            original = owner.__dict__.get(name, _ABSENT)
            self.before.append((owner, name, original))
            if callable(original) and name != "__hash__":
                self.replacements[id(original)] = value
            setattr(owner, name, value)
        self.before.append((threading, "_active", threading._active))
        self.before.append((threading, "_counter", threading._counter) if hasattr(threading, "_counter") else None)
        _touches.replacements = self.replacements
        _touches.shadow = shadows
        _touches.dates = _date
        _touches.shadowed = frozenset(SHADOWED + _pools.CLASSES)
        return [original for _, _, original in filter(None, self.before) if callable(original)]

    def __exit__(self, *exception):
        _touches.replacements = {}
        for entry in reversed(self.before):
            if entry is None:
                continue
            if entry[2] is _ABSENT:
                delattr(entry[0], entry[1])
            else:
                setattr(*entry)


def begin_execution():
    """Make an execution the same as all others: what counts, or is at random, begins again."""
    threading._active = {1: threading._main_thread}
    threading._counter = itertools.count(1).__next__
    _random.Random.seed(random._inst, 0)  # as random.seed(0), without code that is observed
    random._inst.gauss_next = None
    shadows.known.clear()
    _serials.clear()
    shadows.pools.begin_execution()
    _effects.generators.clear()
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None:
        pools.ThreadPoolExecutor._counter = itertools.count().__next__
        if pools._threads_queues.data:
            pools._threads_queues = weakref.WeakKeyDictionary()
        pools._global_shutdown_lock = _raddle.Lock()
    _thread_pool.begin_execution()
    global _executions
    _executions += 1
    if _executions % 64 == 0:
        gc.collect()


_executions = 0
