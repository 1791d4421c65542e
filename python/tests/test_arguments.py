"""Frequent methods take their arguments as the standard library's do, in every form in which a call can pass them."""

import queue
import threading

import pytest
import raddle
from programs import execute

#: A keyword that is not the object of the same text in the code of a call.
KEYWORD = "".join(["block", "ing"]), "".join(["blo", "ck"])

#: The arguments of a call, positional ones and named ones.
OF_LOCK = [
    ((), {}),
    ((True,), {}),
    ((False,), {}),
    ((1,), {}),
    ((0,), {}),
    ((), {"blocking": False}),
    ((), {KEYWORD[0]: False}),
    ((), {"timeout": 0.001}),
    ((), {"timeout": -1}),
    ((True, 0.001), {}),
    ((True,), {"timeout": 0.001}),
    ((), {"timeout": 0.001, "blocking": True}),
    ((False, 1), {}),
    ((True, -5), {}),
    ((True, 1e300), {}),
    ((True, "1"), {}),
    ((True, 1, 2), {}),
    ((True, 1, 2, 3, 4), {}),
    ((True,), {"blocking": True}),
    ((), {"block": True}),
]
OF_GET = [
    ((), {}),
    ((True,), {}),
    ((False,), {}),
    ((1,), {}),
    ((0,), {}),
    (("yes",), {"timeout": 0.001}),
    (([],), {}),
    ((2**70,), {"timeout": 0.001}),
    ((), {"block": False}),
    ((), {KEYWORD[1]: False}),
    ((), {"timeout": 0.001}),
    ((True, 0.001), {}),
    ((True, 0), {}),
    ((True, 0.0), {}),
    ((True, False), {}),
    ((True, None), {}),
    ((False, -1), {}),
    ((True, -1), {}),
    ((True,), {"timeout": -0.5}),
    ((True, 1, 2), {}),
    ((True,), {"block": True}),
    ((), {"blocking": True}),
]
OF_PUT = [((5, *positional), named) for positional, named in OF_GET] + [
    ((), {}),
    ((), {"item": 5}),
    ((), {"item": 5, "timeout": 3}),
]
OF_NOTHING = [((), {}), ((1,), {}), ((None, None, None), {}), ((), {"timeout": 1})]
OF_EXIT = [((None, None, None), {}), ((ValueError, ValueError(), None), {})]
OF_ITEM = [((5,), {}), ((), {"item": 5}), ((), {}), ((5, True), {}), ((5,), {"item": 5})]

#: Objects in a given state, with the calls to compare. A call that could block forever on its object always has a timeout.
CALLS = {
    "free lock": (lambda m: m.threading.Lock(), {"acquire": OF_LOCK, "__enter__": OF_NOTHING[:1], "release": OF_NOTHING}),
    "held lock": (lambda m: acquired(m.threading.Lock()), {"acquire": OF_LOCK, "release": OF_NOTHING, "__exit__": OF_EXIT}),
    "free re-entrant lock": (
        lambda m: m.threading.RLock(),
        {"acquire": OF_LOCK, "__enter__": OF_NOTHING[:1], "release": OF_NOTHING},
    ),
    "held re-entrant lock": (
        lambda m: acquired(m.threading.RLock()),
        {"acquire": OF_LOCK, "release": OF_NOTHING, "__exit__": OF_EXIT},
    ),
    "event": (lambda m: m.threading.Event(), {"set": OF_NOTHING, "clear": OF_NOTHING, "is_set": OF_NOTHING}),
    "empty queue": (lambda m: m.queue.Queue(), {"get": OF_GET, "get_nowait": OF_NOTHING, "put": OF_PUT, "put_nowait": OF_ITEM}),
    "queue with an item": (lambda m: filled(m.queue.Queue(2)), {"get": OF_GET, "get_nowait": OF_NOTHING}),
    "full queue": (lambda m: filled(m.queue.LifoQueue(1)), {"put": OF_PUT, "put_nowait": OF_ITEM}),
    "priority queue": (lambda m: filled(m.queue.PriorityQueue()), {"get": OF_GET, "put": OF_PUT, "get_nowait": OF_NOTHING}),
    "empty simple queue": (lambda m: m.queue.SimpleQueue(), {"get": OF_GET, "get_nowait": OF_NOTHING[:3], "put": OF_PUT}),
    "simple queue with an item": (lambda m: filled(m.queue.SimpleQueue()), {"get": OF_GET, "put_nowait": OF_ITEM}),
}


class Stdlib:
    threading, queue = threading, queue


class Package:
    threading, queue = raddle.threading, raddle.queue


def acquired(lock):
    lock.acquire()
    return lock


def filled(q):
    q.put(3)
    return q


def may_block_forever(state, name, positional, named):
    waits = {"held lock": ("acquire",), "empty queue": ("get",), "empty simple queue": ("get",), "full queue": ("put",)}
    if name not in waits.get(state, ()):
        return False
    positional = positional[1:] if name == "put" else positional
    block = positional[0] if positional else named.get("block", named.get("blocking", named.get(KEYWORD[1], True)))
    timeout = positional[1] if len(positional) > 1 else named.get("timeout")
    return bool(block) and (timeout is None or timeout == -1 and "lock" in state or named == {"item": 5, "timeout": 3})


def ending_of(call, positional, named):
    try:
        return call(*positional, **named)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("state", CALLS)
def test_arguments(state):
    make, methods = CALLS[state]
    compared = 0
    for name, arguments in methods.items():
        for positional, named in arguments:
            if may_block_forever(state, name, positional, named):
                continue
            theirs, ours = make(Stdlib), make(Package)
            endings = [ending_of(getattr(it, name), positional, named) for it in (theirs, ours)]
            assert endings[0] == endings[1], (name, positional, named)
            made = make(Package)
            assert ending_of(getattr(type(made), name), (made, *positional), named) == endings[0], (name, positional, named)
            if state.endswith(("queue", "item")):
                assert theirs.qsize() == ours.qsize() == made.qsize(), (name, positional, named)
            compared += 1
    assert compared > 8


def test_a_call_without_the_object_is_refused():
    for method in (raddle.Lock.acquire, raddle.Queue.put, raddle.SimpleQueue.get):
        with pytest.raises(TypeError):
            method()
        with pytest.raises(TypeError):
            method(object(), 1)


def test_items_are_kept_and_freed_once():
    import sys

    item = object()
    for q in (raddle.SimpleQueue(), raddle.Queue(1), raddle.LifoQueue(1), raddle.PriorityQueue(1)):
        before = sys.getrefcount(item)
        q.put(item)
        assert sys.getrefcount(item) == before + 1
        if not isinstance(q, raddle.SimpleQueue):
            with pytest.raises(queue.Full):
                q.put(item, False)
        assert sys.getrefcount(item) == before + 1
        assert q.get() is item
        with pytest.raises(queue.Empty):
            q.get_nowait()
        assert sys.getrefcount(item) == before


def test_results_without_a_value_are_counted():
    import sys

    lock, event, q = raddle.Lock(), raddle.Event(), raddle.SimpleQueue()
    before = sys.getrefcount(None), sys.getrefcount(True)
    for _ in range(10_000):
        lock.acquire()
        lock.release()
        event.set()
        event.is_set()
        q.put(None)
        q.get()
    after = sys.getrefcount(None), sys.getrefcount(True)
    assert all(abs(now - then) < 1_000 for now, then in zip(after, before))


def test_a_derived_class_may_override_a_frequent_method():
    class Counting(raddle.Queue):
        puts = 0

        def put(self, item, block=True, timeout=None):
            self.puts += 1
            super().put(item, block, timeout)

    q = Counting()
    q.put(1)
    q.put_nowait(2)
    assert (q.puts, q.get(), q.get_nowait()) == (2, 1, 2)


def test_methods_remain_when_the_package_is_imported_again(program):
    program = program("""
        import sys
        import raddle
        lock = raddle.Lock()
        for name in [name for name in sys.modules if name.partition(".")[0] == "raddle"]:
            del sys.modules[name]
        import raddle
        queue = raddle.Queue()
        queue.put_nowait(1)
        print(lock.acquire(timeout=5), lock.acquire(timeout=0.001), raddle.Lock().acquire(timeout=5), queue.get(timeout=5))""")
    assert execute(program) == (0, "True False True 1\n", "")
