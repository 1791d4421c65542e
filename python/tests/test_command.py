"""`python -m raddle check`: a function of a file, from the command line."""

import re

import pytest
from programs import execute, explores

pytestmark = explores

RACE = """\
import threading

def updates():
    count = [0]
    def work():
        value = count[0]
        count[0] = value + 1
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count[0] == 2

def alone():
    assert threading.current_thread().name

def many():
    lock = threading.Lock()
    def work():
        for _ in range(5):
            with lock:
                pass
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
"""


def check(*arguments):
    return execute("-m", "raddle", "check", *arguments)


def test_status_states_the_outcome(program, tmp_path):
    path = program(RACE)
    status, out, err = check(f"{path}::alone")
    assert (status, err) == (0, "") and out.startswith("exhausted")
    status, out, err = check(f"{path}::many", "--executions", "5")
    assert (status, err) == (3, "") and out.startswith("inconclusive")
    status, out, err = check(f"{path}::updates", "--report", tmp_path / "reports")
    assert (status, err) == (1, "") and "AssertionError" in out and f"{path}:7" in out
    assert {file.name for file in (tmp_path / "reports").iterdir()} == {"updates.html", "updates.json"}
    token = re.search(r"replay='(\S+)'", out)[1]
    status, again, err = check(f"{path}::updates", "--replay", token)
    assert (status, err) == (1, "") and "AssertionError" in again


@pytest.mark.parametrize(
    "arguments, error",
    [
        (["{path}"], "use FILE::FUNCTION"),
        (["nothing.py::f"], "use FILE::FUNCTION"),
        (["{path}::f"], "there is no function 'f'"),
        (["{path}::updates", "--replay", "x"], "is no token"),
    ],
)
def test_bad_input_is_one_clear_line(program, arguments, error):
    path = program(RACE)
    status, out, err = check(*(argument.format(path=path) for argument in arguments))
    assert (status, out) == (2, "") and error in err and err.count("\n") == 1
