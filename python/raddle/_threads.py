"""Threads that the toolkit knows by name, and whose joins it sees.

`Recorded` overrides what `raddle.threading.Thread` changes of the standard library's class. `raddle.install` puts the same
methods into that class itself.
"""

import threading as _threading
from time import monotonic as _now

from raddle import _raddle

_Thread = _threading.Thread
_bootstrap_inner = _Thread._bootstrap_inner
_join = _Thread.join


class Recorded:
    """Makes the watch show a thread with its name, and a join as a wait for that thread."""

    def _bootstrap_inner(self):
        self._raddle_record = _raddle.ThreadRecord.begin(self.name, self.daemon)
        _bootstrap_inner(self)

    def join(self, timeout=None):
        """Wait until the thread has terminated, or for a timeout in seconds.

        Raise RuntimeError if the thread was not started, or is the calling thread.
        """
        record = self.__dict__.get("_raddle_record")
        if record is not None and self is not _threading.current_thread() and self.is_alive():
            end = None if timeout is None else _now() + timeout
            record.join(timeout)
            timeout = None if end is None else max(0, end - _now())
        _join(self, timeout)


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
