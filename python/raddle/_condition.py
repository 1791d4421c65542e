"""`threading.Condition` over the package's locks or any other lock."""

from collections import deque as _deque
from time import monotonic as _now

from raddle import _raddle


class Condition:
    """Lets threads wait until another thread notifies them.

    lock is the lock to use, an RLock by default. It is released during a wait.
    """

    def __init__(self, lock=None):
        if lock is None:
            lock = _raddle.RLock()
        self._lock = lock
        self.acquire = lock.acquire
        self.release = lock.release
        for name in ("_release_save", "_acquire_restore", "_is_owned"):
            if hasattr(lock, name):
                setattr(self, name, getattr(lock, name))
        self._waiters = _deque()

    def _at_fork_reinit(self):
        self._lock._at_fork_reinit()
        self._waiters.clear()

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *exception):
        return self._lock.__exit__(*exception)

    def locked(self):
        """Return whether the lock is held."""
        return self._lock.locked()

    def __repr__(self):
        return f"<Condition({self._lock}, {len(self._waiters)})>"

    def _release_save(self):
        self._lock.release()

    def _acquire_restore(self, state):
        self._lock.acquire()

    def _is_owned(self):
        # For a lock that does not know its owner: whether it is held by any thread.
        if self._lock.acquire(False):
            self._lock.release()
            return False
        return True

    def wait(self, timeout=None):
        """Release the lock, block until notified or for a timeout in seconds, and acquire the lock again.

        Return False if the timeout passed. Raise RuntimeError if the lock is not held.
        """
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        waiter = _raddle.Lock()
        waiter.acquire()
        self._waiters.append(waiter)
        state = self._release_save()
        notified = False
        try:
            if timeout is None:
                notified = waiter.acquire()
            elif timeout > 0:
                notified = waiter.acquire(True, timeout)
            else:
                notified = waiter.acquire(False)
            return notified
        finally:
            self._acquire_restore(state)
            if not notified:
                try:
                    self._waiters.remove(waiter)
                except ValueError:
                    pass

    def wait_for(self, predicate, timeout=None):
        """Wait until predicate() is true, or for a timeout in seconds. Return what it returned last."""
        end = None
        result = predicate()
        while not result:
            left = None
            if timeout is not None:
                end = _now() + timeout if end is None else end
                left = end - _now()
                if left <= 0:
                    break
            self.wait(left)
            result = predicate()
        return result

    def notify(self, n=1):
        """Wake up to n of the threads that wait. Raise RuntimeError if the lock is not held."""
        if not self._is_owned():
            raise RuntimeError("cannot notify on un-acquired lock")
        waiters = self._waiters
        while waiters and n > 0:
            waiter = waiters.popleft()
            try:
                waiter.release()
            except RuntimeError:  # it gave up, and has not yet removed itself
                continue
            n -= 1

    def notify_all(self):
        """Wake all threads that wait. Raise RuntimeError if the lock is not held."""
        self.notify(len(self._waiters))

    notifyAll = notify_all
