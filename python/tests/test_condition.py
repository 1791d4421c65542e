"""Conditions over native and foreign locks, and what else `raddle.threading` has."""

import copy
import pickle
import subprocess
import sys
import textwrap
import threading
import weakref
from abc import ABC

import pytest

import raddle
import raddle.threading

LIMIT = 60  # seconds after which a test has failed


def in_thread(function, *args):
    thread = raddle.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def ended(*threads):
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


class Foreign:
    """A lock of a kind that the package does not know."""

    def __init__(self):
        self._lock = threading.Lock()

    def acquire(self, *args, **kwargs):
        return self._lock.acquire(*args, **kwargs)

    def release(self):
        self._lock.release()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *_):
        self.release()


@pytest.mark.parametrize("lock", [raddle.Lock, raddle.RLock, Foreign, lambda: None])
def test_waiting_threads_are_notified(lock):
    condition, waiting, woken = raddle.Condition(lock()), [], raddle.SimpleQueue()

    def wait():
        with condition:
            waiting.append(1)
            woken.put(condition.wait())

    threads = [in_thread(wait) for _ in range(3)]
    while True:
        with condition:
            if len(waiting) == 3:
                condition.notify(2)
                break
    assert [woken.get(timeout=LIMIT) for _ in range(2)] == [True, True]
    assert woken.empty()
    with condition:
        condition.notify_all()
    assert woken.get(timeout=LIMIT) is True
    ended(*threads)


@pytest.mark.parametrize("lock", [raddle.Lock, raddle.RLock, Foreign])
def test_wait_that_times_out_returns_false_and_holds_the_lock(lock):
    lock = lock()
    condition = raddle.Condition(lock)
    with condition:
        for timeout in (0, -1, 0.001):
            assert condition.wait(timeout) is False
            assert condition._is_owned()
        assert condition.wait_for(lambda: "", timeout=0.001) == ""
        assert condition.wait_for(lambda: "ready", timeout=0) == "ready"
    assert lock.acquire(blocking=False)
    lock.release()


def test_wait_releases_all_levels():
    condition, done = raddle.Condition(), []

    def notify():
        with condition:
            done.append(1)
            condition.notify()

    with condition, condition:
        thread = in_thread(notify)
        assert condition.wait_for(lambda: done, timeout=LIMIT) == [1]
        assert condition._lock._recursion_count() == 2
    ended(thread)
    assert not condition._is_owned()


@pytest.mark.parametrize("lock", [raddle.Lock, raddle.RLock, Foreign])
def test_use_without_the_lock_is_an_error(lock):
    condition = raddle.Condition(lock())
    for use in (condition.wait, condition.notify, condition.notify_all, lambda: condition.wait(0)):
        with pytest.raises(RuntimeError, match="un-acquired lock"):
            use()


def test_lock_of_another_thread_is_an_error():
    condition, held, end = raddle.Condition(), raddle.Event(), raddle.Event()

    def hold():
        with condition:
            held.set()
            end.wait()

    thread = in_thread(hold)
    held.wait()
    with pytest.raises(RuntimeError, match="un-acquired lock"):
        condition.notify()
    end.set()
    ended(thread)


def test_exception_of_a_predicate_leaves_the_lock_held():
    condition = raddle.Condition()
    with pytest.raises(ZeroDivisionError), condition:
        try:
            condition.wait_for(lambda: 1 / 0)
        finally:
            assert condition._is_owned()
    assert not condition._is_owned()


def test_conditions_can_be_subclassed_and_referred_to_weakly():
    class Named(raddle.Condition):
        def __init__(self, name):
            super().__init__(raddle.Lock())
            self.name = name

    named = Named("ready")
    assert named.name == "ready" and isinstance(named._lock, raddle.Lock)
    alive = weakref.ref(named)
    del named
    assert alive() is None


def test_representations_name_state_and_class():
    lock, event = raddle.Lock(), raddle.Event()
    with lock:
        assert repr(lock).startswith("<locked raddle.Lock object")
    assert repr(lock).startswith("<unlocked raddle.Lock object")
    shown = []
    levels = raddle.RLock()
    with levels, levels:
        thread = threading.Thread(target=lambda: shown.append(repr(levels)))
        thread.start()
        thread.join()
    assert "<locked" in shown[0] and "count=2" in shown[0] and "count=0" in repr(levels)
    assert "unset" in repr(event) and repr(event).startswith("<raddle.Event at ")
    assert repr(raddle.Condition(lock)) == f"<Condition({lock!r}, 0)>"


def test_condition_of_an_event_is_notified():
    event, ready, woken = raddle.Event(), raddle.Event(), raddle.SimpleQueue()

    def wait():
        with event._cond:
            ready.set()
            woken.put(event._cond.wait(LIMIT))

    thread = in_thread(wait)
    ready.wait()
    event.set()
    assert woken.get(timeout=LIMIT) is True
    ended(thread)


def test_deprecated_names_warn():
    condition, event = raddle.Condition(), raddle.Event()
    with condition, pytest.warns(DeprecationWarning):
        condition.notifyAll()
    with pytest.warns(DeprecationWarning):
        assert event.isSet() is False


def test_module_has_the_names_of_the_standard_library():
    assert set(dir(threading)) <= set(dir(raddle.threading))
    assert raddle.threading.local is threading.local
    assert raddle.threading._active is threading._active
    with pytest.raises(AttributeError):
        raddle.threading.no_such_name


@pytest.mark.parametrize(
    "name", ["Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier", "Timer", "Thread"]
)
def test_objects_have_the_methods_of_the_standard_library(name):
    args = {"Barrier": (1,), "Timer": (1, print)}.get(name, ())
    theirs, ours = (getattr(module, name)(*args) for module in (threading, raddle.threading))
    assert {name for name in dir(theirs) if name[0] != "_"} <= set(dir(ours))


@pytest.mark.parametrize(
    "make", [raddle.Lock, raddle.RLock, raddle.Condition, raddle.Event, raddle.Semaphore, raddle.Queue, raddle.SimpleQueue]
)
def test_objects_cannot_be_copied_or_pickled(make):
    for use in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot pickle"):
            use(make())


def test_hook_for_exceptions_is_one_variable():
    before, seen = threading.excepthook, []
    raddle.threading.excepthook = lambda args: seen.append((args.exc_type, args.thread))
    try:
        assert threading.excepthook is raddle.threading.excepthook
        thread = in_thread(lambda: 1 / 0)
        ended(thread)
        assert seen == [(ZeroDivisionError, thread)]
    finally:
        threading.excepthook = before
    assert raddle.threading.excepthook is before


def test_every_thread_is_an_instance():
    thread = threading.Thread()
    assert isinstance(threading.main_thread(), raddle.Thread) and isinstance(thread, raddle.Thread)
    assert isinstance(raddle.Thread(), threading.Thread) and isinstance(raddle.Timer(1, print), threading.Timer)

    class Worker(raddle.Thread, ABC):
        def run(self):
            self.ran = threading.current_thread() is self and self in threading.enumerate()

    assert not isinstance(thread, Worker)
    worker = Worker()
    worker.start()
    worker.join()
    assert worker.ran and not worker.is_alive()


def test_join_of_itself_or_before_the_start_is_an_error():
    errors = raddle.SimpleQueue()

    def join_itself():
        try:
            threading.current_thread().join()
        except RuntimeError as error:
            errors.put(str(error))

    ended(in_thread(join_itself))
    assert errors.get_nowait() == "cannot join current thread"
    with pytest.raises(RuntimeError):
        raddle.Thread().join()


def test_child_of_a_fork_can_join_the_threads_of_its_parent():
    program = """
        import os, raddle, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        end = raddle.Event()
        thread = raddle.Thread(target=end.wait)
        thread.start()
        child = os.fork()
        if child == 0:
            thread.join()
            os._exit(7)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        end.set()
        thread.join()
        print(status)
    """
    run = [sys.executable, "-c", textwrap.dedent(program)]
    out = subprocess.run(run, capture_output=True, text=True, timeout=LIMIT)
    assert (out.stdout, out.stderr) == ("7\n", "")
