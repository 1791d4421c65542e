"""The plugin for pytest, which is loaded wherever the package is installed.

It shows a failed check by its report, adds the options `--raddle-...`, and changes nothing for other tests.
"""

import json
import os
import re
import shlex

import pytest

from raddle import _check, _install, _settings


def pytest_addoption(parser):
    group = parser.getgroup("raddle", "exploration of threads")
    group.addoption(
        "--raddle-replay",
        metavar="TOKEN",
        help="run the schedule of this token, which a report shows, instead of exploring; select its test, too",
    )
    group.addoption(
        "--raddle-report",
        metavar="DIRECTORY",
        help="write the report of each failed check to this directory: a page to step through, and JSON",
    )
    group.addoption(
        "--raddle-executions", type=int, metavar="N", help="the limit of executions of each check, instead of its own"
    )
    group.addoption(
        "--raddle-install",
        action="store_true",
        help="put raddle's names into threading, queue and concurrent.futures, before conftest.py is loaded",
    )
    parser.addini("raddle_install", "the same as --raddle-install", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    if early_config.known_args_namespace.raddle_install or early_config.getini("raddle_install"):
        _install.install()
        early_config.add_cleanup(_install.uninstall)


def pytest_configure(config):
    options = {"replay": config.getoption("raddle_replay"), "executions": config.getoption("raddle_executions")}
    _settings.overrides.update({name: value for name, value in options.items() if value is not None})
    config.add_cleanup(_settings.overrides.clear)


@pytest.fixture
def raddle_check():
    """`raddle.check`, for tests that prepare what is to be checked."""
    return _check.check


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    made = yield
    if call.excinfo is None or not isinstance(call.excinfo.value, _check.CheckFailed):
        return
    error = call.excinfo.value
    report = made.get_result()
    if report.failed and isinstance(error.outcome, _check.Failed) and error.outcome.token:
        report.longrepr = _Report(item, error)


#: Lines of a report that say how to replay it without pytest.
_REPLAYS = ("to replay this schedule:", "to step through it:", "replay it with ")


class _Report:
    """The failure of a check, as pytest shows it."""

    def __init__(self, item, error):
        found = json.loads(error.outcome.json)
        at = found["failure"].get("at") or {}
        self.reprcrash = _Place(at.get("file"), at.get("line"), found["failure"].get("message") or error.outcome.title)
        notes = [
            *getattr(error, "__notes__", ()),
            f"to replay this schedule: pytest {shlex.quote(item.nodeid)} --raddle-replay {error.outcome.token}",
            *_written(item, error.outcome),
        ]
        lines = [line for line in str(error).rstrip().splitlines() if not line.startswith(_REPLAYS)]
        # Paths as pytest shows them.
        self.text = "\n".join([*lines, *notes]).replace(str(item.config.rootpath) + os.sep, "")

    def toterminal(self, terminal):
        for line in self.text.splitlines():
            terminal.line(line, red=line.startswith("*"), bold=line.startswith("*"))
        if self.reprcrash.path:
            terminal.line("")
            terminal.line(str(self.reprcrash), bold=True)

    def __str__(self):
        return self.text


class _Place:
    """The line of Python that failed, and its message. pytest shows the message in the summary."""

    def __init__(self, path, lineno, message):
        self.path, self.lineno, self.message = path, lineno, message

    def __str__(self):
        return f"{self.path}:{self.lineno}: {self.message.splitlines()[0]}"


def _written(item, outcome):
    """Writes the report into the directory that was asked for. Returns a line that names the page."""
    directory = item.config.getoption("raddle_report")
    if not directory:
        return []
    name = os.path.join(directory, re.sub(r"[^\w.-]+", "-", item.nodeid))
    try:
        os.makedirs(directory, exist_ok=True)
        for extension, text in ((".html", outcome.html), (".json", outcome.json)):
            with open(name + extension, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        return [f"the report could not be written to {directory!r}: {error}; pass another directory to --raddle-report"]
    return [f"to step through it: open {name}.html"]
