"""Runs programs in processes of their own."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest
import raddle._instructions

#: For tests of what `raddle.check` does.
explores = pytest.mark.skipif(
    sys.version_info[:2] not in raddle._instructions.VERSIONS, reason="raddle.check() does not know this version of Python"
)

LIMIT = 60  # seconds after which a test has failed


def environment(**more):
    """The environment of this process, without what changes the watch or the interpreter."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("RADDLE_", "PYTHON"))} | more


def execute(*arguments, cwd=None, **more):
    """Runs the interpreter with these arguments. Returns its status, its output and its errors."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, cwd=cwd, env=environment(**more))
    return done.returncode, done.stdout, done.stderr


def run(*arguments, cwd=None, **more):
    """The same for `python -m raddle run`."""
    return execute("-m", "raddle", "run", *arguments, cwd=cwd, **more)


@contextlib.contextmanager
def started(*arguments, **more):
    """A process of the interpreter that is killed at the end, or when the limit has passed."""
    child = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )
    limit = threading.Timer(LIMIT, child.kill)
    limit.start()
    try:
        yield child
    finally:
        limit.cancel()
        child.kill()
        child.communicate()


def read_until(stream, text):
    """Reads the lines of a stream up to one that contains a text, and returns them."""
    read = ""
    for line in stream:
        read += line
        if text in line:
            return read
    raise AssertionError(read)
