"""raddle.check: what it finds, what it exhausts, and that its reports can be replayed."""

import concurrent.futures
import contextvars
import dis
import gc
import operator
import queue
import sys
import threading
import time
from threading import Lock, Thread
from time import sleep

import pytest
from programs import explores

import raddle
from raddle import _instructions

pytestmark = explores


class FakeDatabase:
    def __init__(self):
        self.value = 0

    def update(self, name):
        local_copy = self.value
        local_copy += 1
        self.value = local_copy


class LockedDatabase(FakeDatabase):
    def __init__(self):
        self.value = 0
        self._lock = threading.Lock()

    def update(self, name):
        with self._lock:
            local_copy = self.value
            local_copy += 1
            self.value = local_copy


def updates(database_class):
    def program():
        database = database_class()
        threads = [threading.Thread(target=database.update, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert database.value == 2, f"Ending value is {database.value}."

    return program


def run(*functions):
    threads = [Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def increments(threads, times):
    class Counter:
        pass

    def program():
        counter = Counter()
        counter.value = 0

        def increment():
            for _ in range(times):
                counter.value += 1

        run(*[increment] * threads)

    return program


def test_lost_update_is_found_and_replayed():
    with pytest.raises(raddle.CheckFailed, match="Ending value is 1") as failure:
        raddle.check(updates(FakeDatabase))
    outcome = failure.value.outcome
    assert "local_copy" not in outcome.text and "FakeDatabase.value" in outcome.text
    assert "0 → 1" in outcome.text and __file__ in outcome.text
    again = raddle.outcome_of(updates(FakeDatabase), replay=outcome.token)
    assert isinstance(again, raddle.Failed) and again.token == outcome.token


def test_locked_update_is_exhausted():
    outcome = raddle.check(updates(LockedDatabase))
    assert isinstance(outcome, raddle.Exhausted)


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_philosophers_have_two_to_the_n_minus_one_classes(number):
    def philosophers():
        forks = [threading.Lock() for _ in range(number)]

        def eat(left):
            with forks[left]:
                with forks[(left + 1) % number]:
                    pass

        threads = [threading.Thread(target=eat, args=(left,)) for left in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    survey = raddle.outcome_of(philosophers, survey=True, strategy="dpor", shrink=False)
    assert survey.kind == "deadlock", survey
    assert survey.executions == 2**number - 1  # each class is run once


@pytest.mark.parametrize(("threads", "times", "classes"), [(2, 1, 4), (3, 1, 36), (2, 3, 328)])
def test_classes_of_increments_are_those_of_theory(threads, times, classes):
    outcome = raddle.check(increments(threads, times), strategy="dpor")
    assert (outcome.classes, outcome.executions) == (classes, classes)


def test_token_of_another_program_is_refused():
    token = raddle.outcome_of(updates(FakeDatabase)).token
    with pytest.raises(ValueError, match="another program"):
        raddle.outcome_of(increments(2, 2), replay=token)
    with pytest.raises(ValueError, match="no token"):
        raddle.outcome_of(increments(2, 2), replay="nonsense")


@pytest.mark.parametrize("made_before", [Lock(), threading.RLock()])
def test_names_imported_and_locks_made_before_are_explored(made_before):
    def program():
        counts = [0]

        def count():
            with made_before:
                value = counts[0]
                sleep(1)
                counts[0] = value + 1

        run(count, count)
        assert counts == [2]

    started = time.monotonic()
    assert isinstance(raddle.check(program), raddle.Exhausted)
    assert time.monotonic() > started  # names are the standard library's again


def test_queues_made_before_are_explored():
    made_before = queue.SimpleQueue()

    def program():
        run(lambda: made_before.put(1), lambda: made_before.put(2))
        assert [made_before.get(), made_before.get()] == [1, 2]

    assert isinstance(raddle.outcome_of(program), raddle.Failed)
    assert made_before.empty()


def test_what_was_replaced_is_restored():
    def state():
        pools = sys.modules["concurrent.futures.thread"]
        threads = threading._active, threading._counter, threading._dangling, len(threading._dangling)
        return *threads, pools._threads_queues, pools._global_shutdown_lock, vars(pools.ThreadPoolExecutor).get("_counter")

    def program():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            pool.submit(int).result()

    concurrent.futures.ThreadPoolExecutor().shutdown()
    before = state()
    assert not isinstance(raddle.outcome_of(program, executions=20), raddle.Failed)
    assert all(map(operator.is_, before, state()))


def test_each_execution_begins_with_fresh_locals_and_contexts():
    variable, local = contextvars.ContextVar("variable", default=0), threading.local()

    def program():
        def change():
            assert variable.get() == 0 and not vars(local)
            variable.set(1)
            local.value = 1

        change()
        run(lambda: contextvars.Context().run(change), lambda: None)

    for _ in range(3):
        outcome = raddle.outcome_of(program)
        assert isinstance(outcome, raddle.Exhausted), str(outcome)


def test_garbage_of_before_is_collected_after_a_check():
    class Cycle:
        def __del__(self):
            collected.append(self)

    def garbage():
        cycle = Cycle()
        cycle.itself = cycle

    def program():
        during.append(len(collected))
        run(*[lambda: None] * 2)

    collected, during = [], []
    gc.collect()
    gc.disable()
    try:
        garbage()
        raddle.outcome_of(program, executions=200, strategy="random")
        assert len(during) >= 200 and set(during) == {0}
        gc.collect()
        assert len(collected) == 1
    finally:
        gc.enable()


def test_deadlock_is_found():
    def program():
        first, second = Lock(), Lock()

        def one():
            with first, second:
                pass

        def other():
            with second, first:
                pass

        run(one, other)

    outcome = raddle.outcome_of(program)
    assert isinstance(outcome, raddle.Failed) and outcome.kind == "deadlock"


def test_exception_of_a_thread_is_a_failure_and_exit_is_not():
    def failing():
        run(lambda: {}["missing"])

    def leaving():
        run(sys.exit)

    assert "KeyError" in raddle.outcome_of(failing).text
    assert isinstance(raddle.outcome_of(leaving), raddle.Exhausted)


def test_each_instruction_of_this_version_is_known():
    assert [name for name in dis.opmap if not _instructions.is_known(name)] == []


@pytest.mark.parametrize(
    "options",
    [{"executions": -1}, {"executions": "a"}, {"executions": 1 << 70}, {"seed": -1}, {"seconds": float("nan")}, {"steps": -1}],
)
def test_wrong_option_is_one_clear_error(options):
    [name] = options
    with pytest.raises(ValueError, match=f"^{name} must be"):
        raddle.outcome_of(lambda: None, **options)


def test_what_is_no_function_or_no_token_is_one_clear_error():
    with pytest.raises(TypeError, match="needs a function without arguments, not None"):
        raddle.check(None)
    with pytest.raises(raddle.ReplayError, match="5 is no token"):
        raddle.check(lambda: None, replay=5)
