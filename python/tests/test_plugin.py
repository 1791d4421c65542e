"""The plugin for pytest: explored tests, their reports, and the options of the command line."""

import json
import re

import pytest
from programs import execute, explores

RACE = """\
import threading

import pytest
import raddle

class Database:
    def __init__(self):
        self.value = 0

    def update(self):
        local_copy = self.value
        local_copy += 1
        self.value = local_copy  # line 13

def updates(database):
    threads = [threading.Thread(target=database.update) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

@raddle.explore(executions=1000)
def test_race():
    database = Database()
    updates(database)
    assert database.value == 2  # line 26

@pytest.fixture
def expected():
    return 2

@raddle.explore
@pytest.mark.parametrize("text", ["a", "b"])
def test_fixed(expected, text):
    database, lock = Database(), threading.Lock()
    update = database.update
    def locked():
        with lock:
            update()
    database.update = locked
    updates(database)
    assert database.value == expected and text

def test_plain():
    assert 1 + 1 == 3

def test_check_inside(raddle_check, tmp_path):
    database = Database()
    def body():
        database.value = 0
        updates(database)
        assert database.value <= 2
    assert raddle_check(body) == raddle.check(body)
"""


def run(path, *options, **more):
    return execute("-m", "pytest", "-p", "no:cacheprovider", path, *options, cwd=path.parent, **more)


@explores
def test_failed_check_is_shown_by_its_report(program, tmp_path):
    path = program(RACE, "test_it.py")
    status, out, err = run(path, "-q", "--raddle-report", tmp_path / "reports")
    assert (status, err) == (1, ""), out
    assert "2 failed, 3 passed" in out
    assert "\nFAILED test_it.py::test_race - AssertionError: assert 1 == 2\n" in out
    shown = out.split("_ test_race _")[1].split("_ test_plain _")[0]
    assert re.search(r"\n\* +\d+ .*writes Database.value 1: 0 → 1 .*test_it.py:13, in update\n", shown), shown
    assert "\n" + str(path) + ":26: AssertionError: assert 1 == 2\n" in shown
    # Neither this package's frames nor Rust's, and one way to replay it.
    assert "_check.py" not in shown and ".rs" not in shown and shown.count("replay") == 2, shown
    # Another test that fails is shown as ever.
    assert ">       assert 1 + 1 == 3" in out or ">   " in out.split("_ test_plain _")[1]
    pages = sorted(file.name for file in (tmp_path / "reports").iterdir())
    assert pages == ["test_it.py-test_race.html", "test_it.py-test_race.json"]
    assert json.loads((tmp_path / "reports" / pages[1]).read_text())["failure"]["at"]["line"] == 26
    assert "Database.value" in (tmp_path / "reports" / pages[0]).read_text()
    assert f"to step through it: open reports/{pages[0]}" in shown
    # In terms of Python, too.
    texts = [(tmp_path / "reports" / page).read_text() for page in pages]
    assert all("raddle.check(..., replay='py1f." in text for text in texts) and "RADDLE_REPLAY=py" not in "".join(texts)
    assert "<title>thread &quot;MainThread&quot; raised an exception</title>" in texts[0]
    # The command that the report names.
    command = re.search(r"to replay this schedule: pytest (\S+) --raddle-replay (\S+)\n", shown)
    status, out, err = execute("-m", "pytest", "-q", command[1], "--raddle-replay", command[2], cwd=tmp_path)
    assert status == 1 and "1 failed" in out and "assert 1 == 2" in out, out


@explores
def test_command_of_a_parametrized_test_names_its_parameter(program):
    path = program(
        """
        import threading, types, pytest, raddle
        @pytest.mark.parametrize("steps", [1, 2])
        @raddle.explore
        def test_it(steps):
            hits = types.SimpleNamespace(count=0)
            def hit():
                hits.count += 1
            thread = threading.Thread(target=hit)
            thread.start()
            if steps == 2:
                hit()
            thread.join()
            assert hits.count == steps
        """,
        "test_it.py",
    )
    status, out, err = run(path, "-q")
    assert status == 1 and "1 failed, 1 passed" in out, out + err
    assert "to replay this schedule: pytest 'test_it.py::test_it[2]' --raddle-replay " in out, out


@explores
def test_limit_of_executions_comes_from_the_command_line(program):
    path = program(
        """
        import threading, warnings, raddle
        def test_limit():
            def body():
                lock = threading.Lock()
                def work():
                    for _ in range(3):
                        with lock:
                            pass
                threads = [threading.Thread(target=work) for _ in range(3)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert raddle.outcome_of(body, executions=100_000).executions <= 7
        """,
        "test_it.py",
    )
    status, out, err = run(path, "-q", "--raddle-executions", "7")
    assert (status, err) == (0, ""), out


@explores
def test_wrong_token_is_one_clear_error(program):
    path = program(RACE, "test_it.py")
    status, out, err = run(path, "-q", "--raddle-replay", "nonsense", "-k", "test_race")
    assert status == 1 and "ReplayError: 'nonsense' is no token of raddle.check()" in out, out


@pytest.mark.parametrize("how", ["option", "ini", "neither"])
def test_names_are_installed_before_conftests_on_request(program, tmp_path, how):
    program("from threading import Lock", "conftest.py")
    program(f"[pytest]\nraddle_install = {'true' if how == 'ini' else 'false'}\n", "pytest.ini")
    path = program(
        """
        import threading, conftest, raddle
        def test_it():
            print(conftest.Lock is raddle.Lock, threading.Lock is raddle.Lock)
        """,
        "test_it.py",
    )
    status, out, err = run(path, "-q", "-s", *(["--raddle-install"] if how == "option" else []))
    assert (status, err) == (0, ""), out
    assert ("True True" if how != "neither" else "False False") in out


def test_options_are_in_the_help(program):
    path = program("", "test_it.py")
    status, out, err = run(path, "--help")
    assert status == 0
    for option in ("--raddle-replay", "--raddle-report", "--raddle-executions", "--raddle-install", "raddle_install"):
        assert option in out


@explores
@pytest.mark.parametrize("fails", [True, False])
def test_hypothesis_chooses_what_is_checked(program, fails):
    pytest.importorskip("hypothesis")
    path = program(
        f"""
        import threading, raddle
        from hypothesis import given, settings, strategies

        @settings(max_examples=5, deadline=None, database=None, derandomize=True)
        @given(strategies.integers(min_value=1, max_value=2))
        def test_it(threads):
            def body():
                count = [0]
                lock = threading.Lock()
                def work():
                    {'value = count[0]; count[0] = value + 1' if fails else '''with lock: count[0] += 1'''}
                started = [threading.Thread(target=work) for _ in range(threads)]
                for thread in started:
                    thread.start()
                for thread in started:
                    thread.join()
                assert count == [threads]
            raddle.check(body)
        """,
        "test_it.py",
    )
    status, out, err = run(path, "-q")
    assert status == int(fails), out + err
    if fails:
        assert "threads=2" in out and "--raddle-replay" in out and "AssertionError" in out, out
