"""The two locks under everything else, on the scheduler of `runtime`. Their interface is that of `_thread`."""

import _thread

from . import runtime

TIMEOUT_MAX = _thread.TIMEOUT_MAX


def _limit(blocking, timeout):
    """Checks the arguments as `_thread` does. Returns the timeout, `None` for none."""
    if not blocking and timeout != -1:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0 and timeout != -1:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    return 0 if not blocking else None if timeout == -1 else timeout


class Lock:
    """A lock of `_thread`. One that was held when its execution was abandoned is free in the next."""

    __slots__ = ("_held", "_epoch", "__weakref__")

    def __init__(self):
        self._held, self._epoch = False, runtime.epoch

    def _free(self):
        if self._epoch != runtime.epoch:
            self._held, self._epoch = False, runtime.epoch
        return not self._held

    def acquire(self, blocking=True, timeout=-1):
        limit = _limit(blocking, timeout)
        execution = runtime.active
        # Outside of an execution, finalizers release and acquire what an abandoned execution left behind.
        if execution is not None and not execution.wait_until(self._free, limit, "a lock"):
            return False
        self._held, self._epoch = True, runtime.epoch
        return True

    __enter__ = acquire_lock = acquire

    def release(self):
        if runtime.active is not None:
            runtime.active.step()
        if self._free():
            raise RuntimeError("release unlocked lock")
        self._held = False

    release_lock = release

    def __exit__(self, *exception):
        self.release()

    def locked(self):
        if runtime.active is not None:
            runtime.active.step()
        return not self._free()

    def _at_fork_reinit(self):
        self._held = False

    def __repr__(self):
        return f"<{'unlocked' if self._free() else 'locked'} lock>"


class RLock:
    """A reentrant lock of `_thread`."""

    __slots__ = ("_owner", "_count", "_epoch", "__weakref__")

    def __init__(self):
        self._owner, self._count, self._epoch = None, 0, runtime.epoch

    def _free(self):
        if self._epoch != runtime.epoch:
            self._owner, self._count, self._epoch = None, 0, runtime.epoch
        return self._owner is None

    def acquire(self, blocking=True, timeout=-1):
        limit = _limit(blocking, timeout)
        execution = runtime.active
        if execution is None:
            return True
        me = execution.current
        if not execution.wait_until(lambda: self._free() or self._owner is me, limit, "a reentrant lock"):
            return False
        self._owner = me
        self._count += 1
        return True

    __enter__ = acquire

    def release(self):
        execution = runtime.active
        if execution is None:
            return
        execution.step()
        if self._free() or self._owner is not execution.current:
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if self._count == 0:
            self._owner = None

    def __exit__(self, *exception):
        self.release()

    def locked(self):
        return not self._free()

    def _is_owned(self):
        return runtime.active is not None and not self._free() and self._owner is runtime.active.current

    def _recursion_count(self):
        return self._count if self._is_owned() else 0

    def _release_save(self):
        if not self._is_owned():
            raise RuntimeError("cannot release un-acquired lock")
        runtime.active.step()
        saved, self._count, self._owner = self._count, 0, None
        return saved

    def _acquire_restore(self, saved):
        execution = runtime.active
        execution.wait_until(self._free, None, "a reentrant lock")
        self._owner, self._count = execution.current, saved

    def _at_fork_reinit(self):
        self._owner, self._count = None, 0
