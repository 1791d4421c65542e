"""The programs in `examples`: their output under `python -m raddle run`, and what `raddle.check` finds in them."""

import importlib
import pathlib
import re
import warnings

import pytest
import raddle
from programs import execute, explores, run

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"

#: For each program, lines that it writes in this order, as patterns. Other lines may stand between them.
LINES = {
    "single_thread": [
        "Main    : before creating thread",
        "Main    : before running thread",
        "Main    : all done",
        "Thread 1: finishing",
    ],
    "daemon_thread": ["Main    : before running thread", "Main    : all done"],
    "join_thread": ["Thread 1: starting", "Thread 1: finishing", "Main    : all done"],
    "multiple_threads": [
        "Main    : create and start thread 0.",
        "Main    : create and start thread 1.",
        "Main    : create and start thread 2.",
        "Main    : before joining thread 0.",
        "Main    : thread 0 done",
        "Main    : before joining thread 1.",
        "Main    : thread 1 done",
        "Main    : before joining thread 2.",
        "Main    : thread 2 done",
    ],
    "executor": ["Thread 0: starting", "Thread 0: finishing"],
    "racecond": ["Testing update. Starting value is 0.", "Thread 0: starting update", r"Testing update. Ending value is \d."],
    "fixrace": [
        "Testing locked update. Starting value is 0.",
        "Thread 0 about to lock",
        "Thread 0 has lock",
        "Thread 0 about to release lock",
        "Thread 0 after release",
        "Testing locked update. Ending value is 2.",
    ],
    "deadlock_rlock": ["before first acquire", "before second acquire", "acquired lock twice", "released once too often: .*"],
    "prodcom_lock": [r"Producer got message: \d+", r"Consumer storing message: \d+"],
    "prodcom_sentinel": [
        r"Producer got message: \d+",
        "Main: about to set event",
        "Producer received EXIT event. Exiting",
    ],
    "semaphore": ["Thread 0: connections in use: [123]", "One release too many: .*"],
    "timer": ["Timer: nobody answered", "Main: the timer was called 1 times"],
    "barrier": ["Thread 0: initialised", "Thread 0: working"],
}


@pytest.mark.parametrize("name", LINES)
def test_example_writes_its_lines(name):
    status, out, err = run(EXAMPLES / f"{name}.py", cwd=EXAMPLES)
    lines = [re.sub(r"^\d\d:\d\d:\d\d: ", "", line) for line in (out + err).splitlines()]
    # The race is rare, and then an assertion fails.
    assert status == 0 or name == "racecond" and "AssertionError" in err, err
    left = iter(lines)
    for pattern in LINES[name]:
        assert any(re.fullmatch(pattern, line) for line in left), (pattern, lines)
    if name == "daemon_thread":
        assert "Thread 1: finishing" not in lines
    if name == "prodcom_lock":
        got, stored = ([line.split()[-1] for line in lines if word in line] for word in ("got message", "storing message"))
        assert got == stored and len(got) == 10


def test_example_of_a_deadlock_is_ended_with_a_report():
    path = EXAMPLES / "deadlock.py"
    status, out, err = run(path, cwd=EXAMPLES)
    assert (status, out) == (101, "before first acquire\nbefore second acquire\n")
    assert "deadlock: every thread of the program is blocked" in err
    assert f"{path}:11, in main" in err and f"held by itself, acquired at {path}:9, in main" in err


def test_example_that_can_hang_works_as_a_rule():
    """It either ends, or its hang is reported: no wait is left without a report."""
    status, out, err = run(EXAMPLES / "prodcom_queue.py", cwd=EXAMPLES)
    assert status == 0 and "Consumer received EXIT event" in err or status == 101 and "waits for Queue" in err, err


# What check finds.

@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def outcome_of(function, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return raddle.outcome_of(function, **options)


@explores
def test_race_is_found_without_a_sleep(example):
    found = outcome_of(example("racecond").main)
    assert isinstance(found, raddle.Failed), found
    assert "AssertionError" in found.text and "racecond.py:26, in main" in found.text
    assert re.search(r"reads FakeDatabase.value 1: 0 .*racecond.py:13, in update", found.text), found.text
    assert re.search(r"writes FakeDatabase.value 1: 0 → 1 .*racecond.py:15, in update", found.text), found.text
    again = outcome_of(example("racecond").main, replay=found.token)
    assert isinstance(again, raddle.Failed) and again.executions == 1, again


@explores
@pytest.mark.parametrize(
    "name, arguments, options",
    [
        ("fixrace", {}, {}),
        ("deadlock_rlock", {}, {}),
        ("prodcom_lock", {"count": 2}, {}),
        ("executor", {}, {}),
        ("semaphore", {"threads": 2, "count": 1}, {}),
        ("barrier", {"parties": 2}, {}),
        ("single_thread", {}, {}),
        ("multiple_threads", {}, {}),
        # The timer that is cancelled could expire before if the main thread were a minute late.
        ("timer", {}, {"time": "quiescent"}),
    ],
)
def test_no_schedule_breaks_it(example, capsys, name, arguments, options):
    module = example(name)
    found = outcome_of(lambda: module.main(**arguments), **options)
    assert isinstance(found, raddle.Exhausted), found


@explores
def test_deadlock_is_found(example, capsys):
    found = outcome_of(example("deadlock").main)
    assert isinstance(found, raddle.Failed) and found.kind == "deadlock"
    assert "deadlock.py:9, in main" in found.text and "deadlock.py:11, in main" in found.text


@explores
def test_hang_of_the_last_version_is_found_and_explained(example):
    module = example("prodcom_queue")
    found = outcome_of(lambda: module.main(maxsize=1))
    assert isinstance(found, raddle.Failed) and found.kind == "deadlock", found
    # The consumer has read the event before it was set, and then waits for an item that does not come.
    assert re.search(r"reads Event 1 .*prodcom_queue.py:20, in consumer", found.text), found.text
    assert re.search(r"sets Event 1 .*prodcom_queue.py:34, in main", found.text), found.text
    assert re.search(r'"ThreadPoolExecutor-0_1" blocks on Queue 1, at .*prodcom_queue.py:21, in consumer', found.text), found.text


@explores
def test_version_with_a_last_item_does_not_hang_in_any_schedule(example):
    module = example("prodcom_sentinel")
    found = outcome_of(lambda: module.main(maxsize=1, limit=1))
    assert isinstance(found, raddle.Exhausted), found


def test_each_example_is_tested():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {*LINES, "deadlock", "prodcom_queue"}
    # As an unmodified program: no example names the package.
    assert not [name for name in names if "raddle" in (EXAMPLES / f"{name}.py").read_text()]
    assert execute(EXAMPLES / "fixrace.py")[0] == 0
