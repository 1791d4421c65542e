"""`threading.Thread` and the functions about threads, on the scheduler of `runtime`."""

from . import runtime


class Thread:
    """A thread of the program. A subclass may override `run`."""

    def __init__(self, group=None, target=None, name=None, args=(), kwargs=None, *, daemon=None, context=None):
        assert group is None, "group argument must be None for now"
        if name is None:
            runtime.active.threads_named += 1
            name = f"Thread-{runtime.active.threads_named}"
            if target is not None and hasattr(target, "__name__"):
                name = f"{name} ({target.__name__})"
        self._target, self._args, self._kwargs = target, args, {} if kwargs is None else kwargs
        self._name = str(name)
        self._daemonic = current_thread().daemon if daemon is None else daemon
        self._task = None

    def run(self):
        try:
            if self._target is not None:
                self._target(*self._args, **self._kwargs)
        finally:
            del self._target, self._args, self._kwargs

    def start(self):
        if self._task is not None:
            raise RuntimeError("threads can only be started once")
        execution = runtime.active
        execution.step()
        self._task = execution.new_task(self._name, self._daemonic, self.run, self)

    def join(self, timeout=None):
        if self._task is None:
            raise RuntimeError("cannot join thread before it is started")
        if self._task is runtime.active.current:
            raise RuntimeError("cannot join current thread")
        task = self._task
        limit = None if timeout is None else max(timeout, 0)
        runtime.active.wait_until(lambda: task.finished, limit, f"the end of {self._name}")

    def is_alive(self):
        runtime.active.step()
        return self._task is not None and not self._task.finished

    @property
    def name(self):
        return self._name

    @name.setter
    def name(self, name):
        self._name = str(name)

    @property
    def daemon(self):
        return self._daemonic

    @daemon.setter
    def daemon(self, daemon):
        if self._task is not None:
            raise RuntimeError("cannot set daemon status of active thread")
        self._daemonic = daemon

    @property
    def ident(self):
        return None if self._task is None else self._task.number + 1

    native_id = ident

    def __repr__(self):
        return f"<Thread({self._name})>"


class _MainThread(Thread):
    def __init__(self, task):
        self._name, self._daemonic, self._task = task.name, task.daemon, task


def _thread_of(task):
    if task.thread is None:
        task.thread = _MainThread(task)
    return task.thread


def current_thread():
    return _thread_of(runtime.active.current)


def main_thread():
    return _thread_of(runtime.active.tasks[0])


def get_ident():
    return 1 if runtime.active is None else runtime.active.current.number + 1


def enumerate():
    runtime.active.step()
    return [_thread_of(task) for task in runtime.active.tasks if not task.finished]


def active_count():
    return len(enumerate())


def start_new_thread(function, args, kwargs={}):
    execution = runtime.active
    execution.step()
    return execution.new_task("Dummy", True, lambda: function(*args, **kwargs)).number + 1
