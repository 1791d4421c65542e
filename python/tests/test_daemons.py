"""A daemon thread that runs Python code in a call of the package when the interpreter ends is left behind, as it is in the standard library."""

import sys
import textwrap

import pytest
from programs import execute, explores

#: What is prepared, and what then calls `spin` in a call of the package, in a thread that calls the package for the first time.
CALLS = {
    "callback of a future": ("future.add_done_callback(spin)", "future.set_result(1)"),
    "callback of a future that is done": ("future.set_result(1)", "future.add_done_callback(spin)"),
    "logger of a callback's exception": (
        """
        future.add_done_callback(lambda _: 1 / 0)
        logging.getLogger("concurrent.futures").addHandler(types.SimpleNamespace(level=0, handle=spin))
        """,
        "future.set_result(1)",
    ),
    "waiter of a future": ("future._waiters.append(types.SimpleNamespace(add_result=spin))", "future.set_result(1)"),
    "destructor of a result": ("future.set_result(Spins())\nfutures = [future]\ndel future", "futures.pop()"),
    "destructor of a result that is replaced": ("future.set_result(Spins())", "future._result = 1"),
    "comparison in a priority queue": ("queue = raddle.PriorityQueue()\nqueue.put(Spins())", "queue.put(Spins())"),
    "method of a derived queue": ("queue = Derived()", "queue.put(1)"),
    "method of a derived queue, by put_nowait": ("queue = Overridden()", "queue.put_nowait(1)"),
    "destructor of an item": ("queue = raddle.Queue()\nqueue.put(Spins())", "queue.shutdown(immediate=True)"),
    "destructor of the items of a queue": ("queues = [raddle.LifoQueue()]\nqueues[0].put(Spins())", "queues.pop()"),
    "destructor of the items of a simple queue": ("queues = [raddle.SimpleQueue()]\nqueues[0].put(Spins())", "queues.pop()"),
    "condition of a foreign lock": (
        "condition = raddle.Condition(types.SimpleNamespace(acquire=spin, release=spin))",
        "condition.acquire()",
    ),
    "predicate of a condition": ("condition = raddle.Condition()", "condition.wait_for(spin)"),
    "truth of an argument": ("lock = raddle.Lock()\nspins = Spins()", "lock.acquire(spins)"),
    "timeout": ("event = raddle.Event()\nspins = Spins()", "event.wait(spins)"),
    "size": ("spins = Spins()", "raddle.Queue(spins)"),
    "count": ("semaphore = raddle.Semaphore()\nspins = Spins()", "semaphore.release(spins)"),
    "warning": ("event = raddle.Event()\nwarnings.showwarning = spin\nwarnings.simplefilter('always')", "event.isSet()"),
    "collection of garbage": ("queue = raddle.SimpleQueue()", "collect(queue)"),
}

PROGRAM = """
import gc, logging, threading, types, warnings
import raddle

inside = threading.Event()

def spin(*_, **__):
    inside.set()
    while True:
        pass

class Spins:
    __bool__ = __del__ = __float__ = __index__ = __lt__ = spin

class Derived(raddle.Queue):
    _put = spin

class Overridden(raddle.Queue):
    put = spin

def collect(queue, ident=threading.get_ident):
    me = ident()
    gc.callbacks.append(lambda *_: ident() == me and spin())
    gc.set_threshold(1)
    kept = []
    while True:
        kept.append([])
        try:
            queue.get_nowait()
        except raddle.queue.Empty:
            pass

future = raddle.Future()
PREPARE

def work():
    global future
    CALL

threading.Thread(target=work, daemon=True).start()
inside.wait()
"""


def program_of(call):
    prepare, call = CALLS[call]
    return PROGRAM.replace("PREPARE", textwrap.dedent(prepare)).replace("CALL", call)


@pytest.mark.parametrize("call", CALLS)
def test_daemon_that_runs_python_code_in_a_call_is_left_behind(program, call):
    program = program(program_of(call))
    assert execute(program) == (0, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the watch knows every thread on Linux only")
def test_daemon_that_runs_a_callback_is_left_behind_by_the_command(program):
    program = program(program_of("callback of a future"))
    assert execute("-m", "raddle", "run", program) == (0, "", "")


@explores
@pytest.mark.parametrize("place", ["first", "second"])
def test_exploration_in_a_daemon_is_left_behind(program, place):
    program = program(f"""
        import threading
        import raddle
        inside = []
        def spin():
            inside.append(True)
            while True:
                pass
        def explored():
            thread = threading.Thread(target=spin if {place!r} == "second" else int)
            thread.start()
            if {place!r} == "first":
                spin()
            thread.join()
        threading.Thread(target=lambda: raddle.outcome_of(explored), daemon=True).start()
        while not inside:
            pass""")
    assert execute(program) == (0, "", "")


def test_thread_that_ends_by_itself_is_not_left_behind(program):
    program = program("""
        import gc, threading, weakref
        import raddle
        ended = []
        class Value:
            def __del__(self):
                ended.append(raddle.SimpleQueue().qsize())
        local = threading.local()
        def work():
            local.value = Value()
            raddle.Lock().acquire()
        for _ in range(100):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        gc.collect()
        print(len(ended), threading.active_count())""")
    assert execute(program) == (0, "100 1\n", "")
