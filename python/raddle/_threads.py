"""Threads that the toolkit knows by name, and whose joins it sees."""

import threading as _threading
from sys import is_finalizing as _is_finalizing
from time import monotonic as _now

from raddle import _raddle


class Recorded:
    """Makes the watch show a thread with its name, and a join as a wait for that thread."""

    def _bootstrap_inner(self):
        begin(self)
        super()._bootstrap_inner()

    def join(self, timeout=None):
        """Wait until the thread has terminated, or for a timeout in seconds.

        Raise RuntimeError if the thread was not started, or is the calling thread.
        """
        super().join(wait(self, timeout))


def begin(thread):
    """Gives the calling thread, which runs `thread`, its name in reports."""
    thread._raddle_record = _raddle.ThreadRecord.begin(thread.name, thread.daemon)


def wait(thread, timeout):
    """Waits for a thread before the interpreter's own join, and returns what is left of the timeout."""
    record = thread.__dict__.get("_raddle_record")
    if record is None or not thread.is_alive() or thread is _threading.current_thread() or _is_finalizing():
        return timeout
    end = None if timeout is None else _now() + timeout
    record.join(timeout)
    return None if end is None else max(0, end - _now())


def join_at_exit():
    """Joins the threads that keep the program running, so that the watch sees that the main thread waits for them.

    The interpreter then waits for them in its own way.
    """
    while True:
        running = [thread for thread in _threading.enumerate() if not thread.daemon and "_raddle_record" in thread.__dict__]
        running = [thread for thread in running if thread.is_alive() and thread is not _threading.current_thread()]
        if not running:
            return
        running[0].join()
