"""Strings that are no text, with lone surrogates, wherever a report may show them."""

import os
import sys
import threading

import pytest
from programs import execute, explores

import raddle
import raddle.futures
import raddle.threading

NOT_TEXT = os.fsdecode(b"\xff")  # as the name of a file may be


def test_thread_can_have_such_a_name():
    ran = []
    thread = raddle.threading.Thread(target=lambda: ran.append(threading.current_thread().name), name=NOT_TEXT)
    thread.start()
    thread.join()
    assert ran == [NOT_TEXT]


def test_threads_of_a_pool_can_have_such_names():
    with raddle.futures.ThreadPoolExecutor(1, thread_name_prefix=NOT_TEXT) as pool:
        assert pool.submit(lambda: threading.current_thread().name).result() == NOT_TEXT + "_0"


def run(*functions):
    threads = [threading.Thread(target=function, name=NOT_TEXT) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Shared:
    pass


def attribute():
    shared = Shared()
    setattr(shared, NOT_TEXT, 0)
    run(*[lambda: setattr(shared, NOT_TEXT, getattr(shared, NOT_TEXT) + 1)] * 2)
    assert getattr(shared, NOT_TEXT) == 2


def attribute_of_class():
    class Counter:
        pass

    setattr(Counter, NOT_TEXT, 0)
    run(*[lambda: setattr(Counter, NOT_TEXT, Counter.__dict__[NOT_TEXT] + 1)] * 2)
    assert getattr(Counter, NOT_TEXT) == 2


def key():
    counts = {NOT_TEXT: 0}

    def increment():
        counts[NOT_TEXT] += 1

    run(increment, increment)
    assert counts[NOT_TEXT] == 2


def class_with_such_a_name():
    shared = type(NOT_TEXT, (), {"value": 0})()

    def increment():
        shared.value += 1

    run(increment, increment)
    assert shared.value == 2


def function_with_such_a_name():
    def increment():
        shared.value += 1

    increment.__code__ = increment.__code__.replace(co_name=NOT_TEXT, co_filename=NOT_TEXT)
    shared = Shared()
    shared.value = 0
    run(increment, increment)
    assert shared.value == 2


@explores
@pytest.mark.parametrize("program", [attribute, attribute_of_class, key, class_with_such_a_name, function_with_such_a_name])
def test_race_of_such_a_name_is_found_and_replayed(program):
    outcome = raddle.outcome_of(program, executions=5000)
    assert isinstance(outcome, raddle.Failed)
    assert isinstance(raddle.outcome_of(program, replay=outcome.token), raddle.Failed)
    with pytest.raises(raddle.ReplayError):
        raddle.outcome_of(program, replay=outcome.token + NOT_TEXT)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes there")
def test_program_in_a_folder_of_such_a_name_runs(tmp_path):
    folder = tmp_path / NOT_TEXT
    folder.mkdir()
    path = folder / "program.py"
    path.write_text("import threading\nwith threading.Lock():\n    print(type(threading.Lock()).__module__)\n")
    assert execute("-m", "raddle", "run", path) == (0, "raddle\n", "")
    deadlock = folder / "deadlock.py"
    deadlock.write_text("import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n")
    status, _, errors = execute("-m", "raddle", "run", deadlock)
    assert status == 101 and "deadlock.py:4" in errors
