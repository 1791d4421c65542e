"""The modules that a program imports, on the scheduler of `runtime`, and how a program gets them.

Locks and threads are the oracle's own. Everything that the standard library builds from them in Python is its own source, executed again over
these: conditions, events, semaphores, barriers, timers, queues, futures and pools behave exactly as they do in this interpreter. They
switch threads at operations on locks only.
"""

import builtins
import collections
import functools
import importlib.util
import inspect
import itertools
import logging
import threading
import time
import types

from . import locks, runtime, threads

FROM_THREADING = "Condition", "Semaphore", "BoundedSemaphore", "Event", "BrokenBarrierError", "Barrier", "Timer"


def _now():
    execution = runtime.active
    if execution is None:
        return time.monotonic()
    # A program that polls the clock sees it advance.
    execution.step()
    execution.clock += 1e-7
    return execution.clock


def _sleep(seconds):
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    execution = runtime.active
    if seconds == 0:
        execution.switch(yields=True)
    else:
        execution.wait_until(lambda: execution.over, seconds, "time to pass")


def _time_module():
    module = types.ModuleType("time")
    module.__dict__.update({name: value for name, value in vars(time).items() if not name.startswith("__")})
    module.monotonic = module.time = module.perf_counter = _now
    module.monotonic_ns = module.time_ns = module.perf_counter_ns = lambda: int(_now() * 1e9)
    module.sleep = _sleep
    return module


def _thread_module():
    module = types.ModuleType("_thread")
    module.allocate_lock = module.LockType = module.lock = locks.Lock
    module.RLock, module.TIMEOUT_MAX, module.error = locks.RLock, locks.TIMEOUT_MAX, RuntimeError
    module.start_new_thread, module.get_ident, module._local = threads.start_new_thread, threads.get_ident, threading.local
    return module


def _threading_module():
    module = types.ModuleType("threading")
    space = module.__dict__
    space.update(Lock=locks.Lock, RLock=locks.RLock, _allocate_lock=locks.Lock, _time=_now, TIMEOUT_MAX=locks.TIMEOUT_MAX)
    space.update(local=threading.local, ThreadError=RuntimeError, _register_atexit=lambda function: None)
    space.update({name: value for name, value in vars(threads).items() if not name.startswith("_") and name != "runtime"})
    space.update(_deque=collections.deque, _islice=itertools.islice)
    for name in FROM_THREADING:
        _execute(inspect.getsource(getattr(threading, name)), f"<oracle threading.{name}>", space)
    return module


def _execute(source, file, space):
    exec(compile(source, file, "exec"), space)


def _again(name):
    """Executes a module of the standard library again, over the stand-ins."""
    spec = importlib.util.find_spec(name)
    module = types.ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    module.__builtins__ = _builtins()
    with open(spec.origin) as file:
        _execute(file.read(), f"<oracle {name}>", module.__dict__)
    return module


_modules = {}


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and name == "_queue":
        raise ImportError("the oracle uses the queues that are written in Python")
    if level == 0 and name in _modules:
        return _modules[name] if fromlist else _modules[name.partition(".")[0]]
    return builtins.__import__(name, globals, locals, fromlist, level)


def _builtins():
    return {**vars(builtins), "__import__": _import}


@functools.cache
def install():
    """Makes the stand-ins and switches the instrumentation of this process on."""
    logging.getLogger("concurrent.futures").disabled = True
    _modules["time"], _modules["_thread"], _modules["threading"] = _time_module(), _thread_module(), _threading_module()
    _modules["queue"] = _again("queue")
    concurrent, futures = types.ModuleType("concurrent"), types.ModuleType("concurrent.futures")
    concurrent.futures = futures
    _modules["concurrent"], _modules["concurrent.futures"] = concurrent, futures
    for part in "_base", "thread":
        module = _modules[f"concurrent.futures.{part}"] = _again(f"concurrent.futures.{part}")
        setattr(futures, part, module)
    for name in ("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED", "CancelledError", "TimeoutError", "BrokenExecutor", "InvalidStateError",
                 "Future", "Executor", "wait", "as_completed"):
        setattr(futures, name, getattr(futures._base, name))
    futures.ThreadPoolExecutor = futures.thread.ThreadPoolExecutor
    runtime.begin_monitoring()


def load(source, file, name):
    """Executes the source of a module of programs over the stand-ins, and instruments it."""
    install()
    module = types.ModuleType(name)
    module.__file__ = file
    module.__builtins__ = _builtins()
    code = compile(source, file, "exec", dont_inherit=True)
    exec(code, module.__dict__)
    runtime.instrument(code)
    return module
