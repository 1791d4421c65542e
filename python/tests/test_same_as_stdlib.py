"""Random sequences of calls have the same results as with the standard library's objects."""

import concurrent.futures
import queue
import random
import re
import threading

import pytest

import raddle
import raddle.futures
import raddle.queue

SEQUENCES, CALLS = 60, 40


def result_of(call, *args, **kwargs):
    """Returns what a call returns or raises, in a form that does not depend on the kind of the object."""
    try:
        value = call(*args, **kwargs)
    except OverflowError:
        return "OverflowError"  # its text depends on the version
    except Exception as error:
        text = str(error).replace("be positive", "be a non-negative number")  # before 3.13
        return type(error).__name__, re.sub("0x[0-9a-f]+", "0x", text)
    return re.sub("0x[0-9a-f]+", "0x", repr(value)) if not isinstance(value, Exception) else repr(value)


def compare(seed, make, calls):
    """Makes the same random calls of objects of both kinds, and compares their results."""
    chosen = random.Random(seed)
    theirs, ours = make()
    done = []
    for _ in range(CALLS):
        call = chosen.choice(calls)
        arguments = random.Random(chosen.random())
        state = arguments.getstate()
        expected = result_of(call, theirs, arguments)
        arguments.setstate(state)
        found = result_of(call, ours, arguments)
        done.append((call.__name__, expected))
        assert found == expected, done


def calls_of(class_):
    return [call for name, call in vars(class_).items() if not name.startswith("_")]


class Futures:
    def cancel(f, _):
        return f.cancel()

    def begin(f, _):
        return f.set_running_or_notify_cancel()

    def set_result(f, r):
        f.set_result(r.randrange(3))

    def set_exception(f, r):
        f.set_exception(r.choice([ValueError("v"), KeyError(1)]))

    def result(f, r):
        return f.result(timeout=r.choice([0, -1]))

    def exception(f, r):
        return f.exception(timeout=0)

    def add_done_callback(f, r):
        number = r.randrange(10)
        f.add_done_callback(lambda future: f.log.append((number, future is f, future._state)))

    def log_of(f, _):
        return f.log

    def states(f, _):
        return f.done(), f.running(), f.cancelled(), f._state

    def text(f, _):
        return f

    def settled(f, _):
        return concurrent.futures.wait([f], 0).done == {f}

    def completed(f, _):
        return [each is f for each in concurrent.futures.as_completed([f], 0)]

    def assign(f, r):
        if not f.done():
            f._state = r.choice(["PENDING", "RUNNING"])


@pytest.mark.parametrize("visible", [False, True])
def test_futures(visible, caplog):
    caplog.set_level("CRITICAL", "concurrent.futures")

    def make():
        pair = concurrent.futures._base.Future(), raddle.futures.Future()
        for future in pair:
            future.log = []
            if visible:
                future._condition
        return pair

    calls = calls_of(Futures)
    if not visible:
        calls = [call for call in calls if call.__name__ not in ("settled", "completed")]
    for seed in range(SEQUENCES):
        compare(seed, make, calls)


class Queues:
    def put(q, r):
        q.put(r.randrange(5), block=False)

    def put_tuple(q, r):
        if type(q).__name__ != "PriorityQueue":
            q.put((r.randrange(2), "a"), timeout=0)

    def put_nowait(q, r):
        q.put_nowait(r.randrange(5))

    def get(q, r):
        return q.get(block=False)

    def get_with_timeout(q, r):
        return q.get(timeout=r.choice([0, -1]))

    def put_with_timeout(q, r):
        q.put(r.randrange(5), timeout=r.choice([0, 0, -1]))

    def get_nowait(q, _):
        return q.get_nowait()

    def task_done(q, _):
        q.task_done()

    def sizes(q, _):
        return q.qsize(), q.empty(), q.full(), q.maxsize, q.unfinished_tasks

    def limit(q, r):
        q.maxsize = r.choice([-1, 0, 1, 3])

    def container(q, r):
        if r.randrange(20) == 0:
            with q.mutex:
                return sorted(map(str, q.queue))

    def shutdown(q, r):
        if hasattr(queue, "ShutDown") and r.randrange(10) == 0:
            q.shutdown(immediate=r.randrange(2))

    def is_shut_down(q, _):
        return hasattr(queue, "ShutDown") and q.is_shutdown


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue"])
def test_queues(kind):
    for seed in range(SEQUENCES):
        limit = random.Random(seed).choice([-1, 0, 1, 2, 4])
        compare(seed, lambda: (getattr(queue, kind)(limit), getattr(raddle.queue, kind)(limit)), calls_of(Queues))


class Locks:
    def acquire(lock, r):
        return lock.acquire(blocking=False)

    def acquire_with_timeout(lock, r):
        return lock.acquire(True, r.choice([0, -2, 0.0, 1e300, float("nan")]))

    def acquire_wrongly(lock, r):
        return lock.acquire(False, 1)

    def release(lock, _):
        lock.release()

    def is_locked(lock, _):
        return hasattr(lock, "locked") and hasattr(threading.RLock(), "locked") and lock.locked()


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_locks(kind):
    for seed in range(SEQUENCES):
        compare(seed, lambda: (getattr(threading, kind)(), getattr(raddle, kind)()), calls_of(Locks))


class Semaphores:
    def acquire(s, r):
        return s.acquire(blocking=False)

    def acquire_with_timeout(s, r):
        return s.acquire(timeout=r.choice([0, -1, 0.0]))

    def acquire_wrongly(s, r):
        return s.acquire(False, 1)

    def release(s, r):
        return s.release(r.choice([1, 1, 1, 2, 0, -1]))

    def value(s, _):
        return s._value


@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
def test_semaphores(kind):
    for seed in range(SEQUENCES):
        value = seed % 3
        compare(seed, lambda: (getattr(threading, kind)(value), getattr(raddle, kind)(value)), calls_of(Semaphores))


class Conditions:
    def acquire(c, r):
        return c.acquire(False)

    def release(c, _):
        c.release()

    def wait(c, r):
        return c.wait(r.choice([0, -1, 1e-4]))

    def wait_for(c, r):
        values = [r.randrange(2), r.randrange(2), 1]
        return c.wait_for(lambda: values.pop(0), r.choice([0, -1, 1e-4])), values

    def notify(c, r):
        c.notify(r.choice([0, 1, 2]))

    def notify_all(c, _):
        c.notify_all()

    def is_owned(c, _):
        return c._is_owned()


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_conditions(kind):
    for seed in range(SEQUENCES):

        def make():
            return threading.Condition(getattr(threading, kind)()), raddle.Condition(getattr(raddle, kind)())

        compare(seed, make, calls_of(Conditions))
