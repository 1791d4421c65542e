"""The stacks of all threads, for a dump."""

import os
import sys
import threading

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

#: Functions of `threading` and `runpy` that call the program.
_CALLERS = frozenset({"_bootstrap", "_bootstrap_inner", "_run_module_as_main", "_run_code"})


def write():
    """Writes the stacks to standard error, which a thread that is blocked may have locked in Python."""
    text = "".join(_stacks()).encode(errors="backslashreplace")
    while text:
        text = text[os.write(2, text) :]


def _stacks():
    me = threading.get_ident()
    names = {thread.ident: thread.name for thread in list(threading._active.values())}
    for ident, frame in sys._current_frames().items():
        if ident == me:
            continue
        yield f'  stack of thread "{names.get(ident, ident)}", most recent call last\n'
        yield from reversed(list(_lines(frame)))


def _lines(frame):
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_HERE) and code.co_name not in _CALLERS:
            yield f'    File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}\n'
        frame = frame.f_back
