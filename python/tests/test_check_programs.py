"""Programs with a known bug each, many of them from the literature on concurrency testing, and their numbers of classes of
schedules: the bug is found, its token replays it, and each class is run once."""

import threading
import types

import pytest
from programs import explores

import raddle

pytestmark = explores


def start(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


def join(*threads):
    for thread in threads:
        thread.join()


def account():
    m, it = threading.Lock(), types.SimpleNamespace(balance=1, deposited=False, withdrawn=False)

    def deposit():
        with m:
            it.balance += 2
            it.deposited = True

    def withdraw():
        with m:
            it.balance -= 4
            it.withdrawn = True

    threads = start(deposit), start(withdraw)
    with m:
        if it.deposited and it.withdrawn:
            assert it.balance == -5
    join(*threads)


def bluetooth():
    lock = threading.Lock()
    driver = types.SimpleNamespace(stopping=False, stopped=False, event=False, pending=1)

    def decrement():
        with lock:
            driver.pending -= 1
            pending = driver.pending
        if pending == 0:
            driver.event = True

    def stop():
        driver.stopping = True
        decrement()
        if driver.event:
            driver.stopped = True

    stopper = start(stop)
    if not driver.stopping:
        with lock:
            driver.pending += 1
        assert not driver.stopped, "the driver works though it has been stopped"
    decrement()
    join(stopper)


def carter01():
    m, side = threading.Lock(), threading.Lock()
    counts = types.SimpleNamespace(left=0), types.SimpleNamespace(left=0)

    def visit(count):
        with m:
            count.left += 1
            if count.left == 1:
                side.acquire()
        with m:
            count.left -= 1
            if count.left == 0:
                side.release()

    join(*[start(visit, count) for count in counts])


def deadlock01():
    first, second = threading.Lock(), threading.Lock()

    def nested(outer, inner):
        with outer:
            with inner:
                pass

    join(start(nested, first, second), start(nested, second, first))


def lazy01():
    m, data = threading.Lock(), types.SimpleNamespace(value=0)

    def add(number):
        with m:
            data.value += number

    def look():
        with m:
            assert data.value < 3

    join(start(add, 1), start(add, 2), start(look))


def token_ring():
    m, ring = threading.Lock(), types.SimpleNamespace(x=[0, 0, 0], done=[False, False, False])

    def send(to, change):
        with m:
            ring.x[to] = change(ring.x[to - 1])
            ring.done[to] = True

    def look():
        with m:
            if all(ring.done):
                assert ring.x[0] == ring.x[1] == ring.x[2], ring.x

    join(start(send, 0, lambda x: (x + 1) % 4), start(send, 1, lambda x: x), start(send, 2, lambda x: x), start(look))


def reorder_3():
    cells = types.SimpleNamespace(a=0, b=0)

    def set_both():
        cells.a = 1
        cells.b = -1

    def look():
        assert (cells.a == 0 and cells.b == 0) or (cells.a == 1 and cells.b == -1)

    join(start(set_both), start(set_both), start(look))


def twostage():
    l1, l2, stages = threading.Lock(), threading.Lock(), types.SimpleNamespace(d1=0, d2=0)

    def write():
        with l1:
            stages.d1 = 1
        with l2:
            stages.d2 = stages.d1 + 1

    def read():
        with l1:
            seen = stages.d1
        if seen == 0:
            return
        with l2:
            assert stages.d2 == seen + 1

    join(start(write), start(read))


def wronglock_3():
    right, wrong, data = threading.Lock(), threading.Lock(), types.SimpleNamespace(value=0)

    def careful():
        with right:
            before = data.value
            data.value += 1
            assert data.value == before + 1

    def careless():
        with wrong:
            data.value += 1

    join(start(careful), start(careless), start(careless), start(careless))


def stringbuffer():
    m, buffer = threading.Lock(), types.SimpleNamespace(count=3)

    def change():
        for by in (-3, 3):
            with m:
                buffer.count += by

    other = start(change)
    with m:
        length = buffer.count
    with m:
        assert length <= buffer.count, f"{length} characters of fewer"
    join(other)


def dining_5():
    forks = [threading.Lock() for _ in range(5)]

    def dine(place):
        with forks[place]:
            with forks[(place + 1) % 5]:
                pass

    join(*[start(dine, place) for place in range(5)])


def bounded_buffer():
    changed, buffer = threading.Condition(threading.Lock()), types.SimpleNamespace(count=0)

    def produce():
        for _ in range(2):
            with changed:
                while buffer.count == 1:
                    changed.wait()
                buffer.count += 1
                changed.notify()

    def take():
        with changed:
            while buffer.count == 0:
                changed.wait()
            buffer.count -= 1
            changed.notify()

    join(start(produce), start(take), start(take))


def missed_signal():
    changed, signal = threading.Condition(threading.Lock()), types.SimpleNamespace(given=False)

    def wait():
        if not signal.given:
            with changed:
                changed.wait()

    def give():
        signal.given = True
        with changed:
            changed.notify()

    join(start(wait), start(give))


def timed_wait():
    changed, work = threading.Condition(threading.Lock()), types.SimpleNamespace(done=False)

    def finish():
        with changed:
            work.done = True
            changed.notify()

    worker = start(finish)
    with changed:
        if not work.done:
            changed.wait(1)
        assert work.done, "waited, and it is not done"
    join(worker)


PROGRAMS = {
    account: (6, "panic"),
    bluetooth: (10, "panic"),
    carter01: (4, "deadlock"),
    deadlock01: (3, "deadlock"),
    lazy01: (6, "panic"),
    token_ring: (24, "panic"),
    reorder_3: (56, "panic"),
    twostage: (3, "panic"),
    wronglock_3: (360, "panic"),
    stringbuffer: (6, "panic"),
    dining_5: (31, "deadlock"),
    bounded_buffer: (30, "deadlock"),
    missed_signal: (3, "deadlock"),
    timed_wait: (3, "panic"),
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_each_class_is_run_once(program):
    classes, _ = PROGRAMS[program]
    survey = raddle.outcome_of(program, survey=True, strategy="dpor", shrink=False)
    assert survey.executions == classes


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_bug_is_found_and_replayed(program):
    _, kind = PROGRAMS[program]
    outcome = raddle.outcome_of(program)
    assert isinstance(outcome, raddle.Failed) and outcome.kind == kind, outcome
    again = raddle.outcome_of(program, replay=outcome.token)
    assert (again.kind, again.token, again.title) == (kind, outcome.token, outcome.title)
