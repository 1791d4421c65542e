"""Programs behave with this package's names as with the standard library's: each is run with both, and the results are compared."""

import re
import sys

import pytest
from programs import execute, run

PROGRAMS = {
    "excepthook": """
        import threading
        def hook(args):
            print(args.exc_type.__name__, args.exc_value, args.thread.name, args.exc_traceback is not None)
        threading.excepthook = hook
        def fail():
            raise ValueError("failed")
        for thread in (threading.Thread(target=fail, name="t"), threading.Timer(0, fail)):
            thread.name = "t"
            thread.start()
            thread.join()
        threading.excepthook = threading.__excepthook__
        thread = threading.Thread(target=fail, name="prints")
        thread.start()
        thread.join()
        class Exits(threading.Thread):
            def run(self):
                raise SystemExit("nobody sees this")
        thread = Exits()
        thread.start()
        thread.join()
        print(thread.is_alive())""",
    "local": """
        import threading, weakref, gc
        class Value:
            pass
        local = threading.local()
        class Mine(threading.local):
            def __init__(self, start):
                self.value = start
        mine = Mine(7)
        local.value = "main"
        references = []
        def work():
            print(hasattr(local, "value"), mine.value)
            local.value = Value()
            mine.value = 8
            references.append(weakref.ref(local.value))
        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        gc.collect()
        print(local.value, mine.value, [reference() for reference in references])""",
    "atexit": """
        import atexit, queue, threading
        done, ended = queue.Queue(), threading.Event()
        atexit.register(lambda: print("exit", done.get(), ended.wait(), threading.active_count()))
        def work():
            threading.main_thread().join()
            done.put("thread")
            ended.set()
        threading.Thread(target=work).start()
        print("main ends")""",
    "daemon threads at the end": """
        import concurrent.futures, queue, threading
        lock, rlock, event, condition = threading.Lock(), threading.RLock(), threading.Event(), threading.Condition()
        lock.acquire(), rlock.acquire()
        full = queue.Queue(1)
        full.put(1)
        def wait_condition():
            with condition:
                condition.wait()
        def turn():
            own, items = threading.Lock(), queue.Queue()
            while True:
                with own:
                    items.put(1)
                    items.get()
        waits = [lock.acquire, rlock.acquire, event.wait, wait_condition, threading.Semaphore(0).acquire, queue.Queue().get,
                 lambda: full.put(2), full.join, queue.SimpleQueue().get, threading.Barrier(2).wait,
                 concurrent.futures.Future().result, threading.main_thread().join, lambda: event.wait(600), turn, turn]
        for wait in waits:
            threading.Thread(target=wait, daemon=True).start()
        print("main ends", threading.active_count())""",
    "destructor waits at the end": """
        import queue, threading
        class Last:
            def __init__(self):
                self.itself = self  # it is collected when the interpreter ends
                self.lock, self.rlock, self.event = threading.Lock(), threading.RLock(), threading.Event()
                self.condition, self.semaphore = threading.Condition(), threading.Semaphore(0)
                self.items = queue.Queue()
                self.lock.acquire()
            def __del__(self):
                waits = [lambda: self.lock.acquire(timeout=0.01), lambda: self.rlock.acquire(timeout=0.01),
                         lambda: self.event.wait(0.01), lambda: self.semaphore.acquire(timeout=0.01), self.wait,
                         lambda: self.items.get(timeout=0.01)]
                for number, wait in enumerate(waits):
                    try:
                        print(number, wait())
                    except Exception as error:  # since 3.15, PythonFinalizationError
                        print(number, type(error).__name__)
                self.items.put(1)
                print(self.items.get())
            def wait(self):
                with self.condition:
                    return self.condition.wait(0.01)
        Last()
        print("main ends")""",
    "fork": """
        import os, threading, queue
        lock, event, items = threading.Lock(), threading.Event(), queue.Queue()
        held, go = threading.Event(), threading.Event()
        def hold():
            with lock:
                held.set()
                go.wait()
        thread = threading.Thread(target=hold, name="holder")
        thread.start()
        held.wait()
        items.put("inherited")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert threading.active_count() == 1 and not thread.is_alive() and thread not in threading.enumerate()
                thread.join()
                assert threading.current_thread() is threading.main_thread()
                assert lock.locked() and not lock.acquire(timeout=0.01)
                lock._at_fork_reinit()
                with lock:
                    worker = threading.Thread(target=lambda: (items.put("new"), event.set()))
                    worker.start()
                    event.wait()
                    worker.join()
                assert [items.get(), items.get()] == ["inherited", "new"]
                status = 0
            finally:
                os._exit(status)
        print(os.waitpid(child, 0)[1])
        go.set()
        thread.join()""",
    "fork in a thread": """
        import os, threading
        def work():
            child = os.fork()
            if child == 0:
                ok = threading.main_thread() is threading.current_thread() and threading.active_count() == 1
                other = threading.Thread(target=lambda: None)
                other.start()
                other.join()
                os._exit(0 if ok else 1)
            print(os.waitpid(child, 0)[1])
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()""",
    "signals": """
        import os, signal, threading, time
        got, lock = [], threading.Lock()
        signal.signal(signal.SIGUSR1, lambda number, frame: got.append(threading.current_thread() is threading.main_thread()))
        go = threading.Event()
        def send():
            go.wait()
            while not got:  # a signal that came before the wait began would not end it
                os.kill(os.getpid(), signal.SIGUSR1)
                time.sleep(0.001)
            lock.release()
        lock.acquire()
        thread = threading.Thread(target=send)
        thread.start()
        go.set()
        lock.acquire()
        thread.join()
        print(got[0])
        class Alarm(Exception):
            pass
        waits = False
        def alarm(number, frame):  # comes again: one that came before the wait began would not end it
            global waits
            if waits:
                waits = False
                raise Alarm
        signal.signal(signal.SIGALRM, alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        condition = threading.Condition()
        for wait in (threading.Event().wait, threading.Semaphore(0).acquire, lambda: threading.Event().wait(600), lock.acquire):
            try:
                waits = True
                wait()
            except Alarm:
                print("raised")
        with condition:
            try:
                waits = True
                condition.wait()
            except Alarm:
                print("raised, the lock is held:", not threading.Lock().locked() and condition._is_owned())
        signal.setitimer(signal.ITIMER_REAL, 0)""",
    "garbage": """
        import concurrent.futures, gc, queue, threading, weakref
        class Node:
            pass
        def cycle(thing, hold):
            node = Node()
            node.thing = thing
            hold(thing, node)
            return weakref.ref(node)
        class Event(threading.Event):
            pass
        class Condition(threading.Condition):
            pass
        def attribute(thing, node):
            thing.node = node
        def callback(future, node):
            future.add_done_callback(lambda _: node)
        references = [
            cycle(Event(), attribute),
            cycle(Condition(), attribute),
            cycle(threading.Semaphore(), attribute),
            cycle(concurrent.futures.Future(), callback),
            cycle(threading.Thread(), attribute),
            cycle(threading.Timer(1, print), attribute),
        ]
        gc.collect()
        print([reference() for reference in references])""",
    "weak references": """
        import concurrent.futures, gc, queue, threading, weakref
        died = []
        things = [threading.Lock(), threading.RLock(), threading.Condition(), threading.Event(), threading.Semaphore(),
                  threading.BoundedSemaphore(), threading.Barrier(1), queue.Queue(), queue.LifoQueue(), queue.PriorityQueue(),
                  queue.SimpleQueue(), concurrent.futures.Future(), threading.Thread()]
        references = [weakref.ref(thing, died.append) for thing in things]
        print(all(reference() is thing for reference, thing in zip(references, things)))
        del things
        gc.collect()
        print(len(died), [reference() for reference in references])""",
    "pickling": """
        import concurrent.futures, copy, pickle, queue, threading
        things = [threading.Lock(), threading.RLock(), threading.Condition(), threading.Event(), threading.Semaphore(),
                  threading.Barrier(1), queue.Queue(), queue.PriorityQueue(), queue.SimpleQueue(), concurrent.futures.Future()]
        for thing in things:
            for take in (pickle.dumps, copy.deepcopy):
                try:
                    take(thing)
                except (TypeError, pickle.PicklingError):
                    print("refused")
        pool = concurrent.futures.ThreadPoolExecutor(1)
        try:
            pickle.dumps(pool)
        except (TypeError, pickle.PicklingError):
            print("refused")
        print(pickle.loads(pickle.dumps(queue.Empty())).__class__ is queue.Empty, pickle.loads(pickle.dumps(threading.Thread)))""",
    "overridden methods": """
        import queue, threading
        class Squares(threading.Thread):
            def __init__(self, jobs, **more):
                super().__init__(**more)
                self.jobs, self.results = jobs, []
            def run(self):
                while (job := self.jobs.get()) is not None:
                    self.results.append(job * job)
                    self.jobs.task_done()
            def join(self, timeout=None):
                super().join(timeout)
                return self.results
        class Unique(queue.Queue):
            def _init(self, maxsize):
                self.seen = set()
                super()._init(maxsize)
            def _put(self, item):
                if item not in self.seen:
                    self.seen.add(item)
                    super()._put(item)
                else:
                    self.unfinished_tasks -= 1
        class Event(threading.Event):
            def set(self):
                print("set")
                super().set()
        jobs = Unique()
        thread = Squares(jobs, name="squares", daemon=False)
        thread.start()
        for number in (1, 2, 2, 3):
            jobs.put(number)
        jobs.join()
        jobs.put(None)
        print(thread.join(), thread.name, thread.daemon, thread.is_alive())
        event = Event()
        event.set()
        print(event.wait(0))
        class Timer(threading.Timer):
            def run(self):
                print("runs")
                super().run()
        timer = Timer(0, print, args=("timer",), kwargs={"end": "!\\n"})
        timer.start()
        timer.join()
        print(timer.finished.is_set())""",
    "patched clock": """
        import concurrent.futures, queue, threading, time
        real = time.sleep
        def fail(*arguments):
            raise AssertionError("called")
        time.sleep = time.monotonic = time.time = fail
        print(threading.Event().wait(0.01), threading.Lock().acquire(timeout=1))
        condition = threading.Condition()
        with condition:
            print(condition.wait(0.01), condition.wait_for(lambda: False, 0.01))
        try:
            queue.Queue().get(timeout=0.01)
        except queue.Empty:
            print("Empty")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            print(pool.submit(abs, -1).result(timeout=60))
        timer = threading.Timer(0.01, print, args=("timer",))
        timer.start()
        timer.join()""",
    "barrier": """
        import threading
        barrier = threading.Barrier(2, action=lambda: print("action"))
        results = []
        def work():
            results.append(barrier.wait())
        thread = threading.Thread(target=work)
        thread.start()
        results.append(barrier.wait())
        thread.join()
        print(sorted(results), barrier.parties, barrier.n_waiting, barrier.broken)
        barrier.abort()
        try:
            barrier.wait()
        except threading.BrokenBarrierError:
            print("broken", barrier.broken)
        barrier.reset()
        try:
            barrier.wait(0.01)
        except threading.BrokenBarrierError:
            print("broken by a timeout")""",
    "wrong arguments": """
        import queue, threading
        tries = [
            lambda: threading.Lock().release(), lambda: threading.RLock().release(),
            lambda: threading.Lock().acquire(False, 1), lambda: threading.Lock().acquire(True, -2),
            lambda: threading.Lock().acquire(timeout=float("nan")), lambda: threading.Lock().acquire(timeout=1e300),
            lambda: threading.Condition().notify(), lambda: threading.Condition().wait(),
            lambda: threading.Semaphore(-1), lambda: threading.Semaphore(1).acquire(False, 1), lambda: threading.Semaphore().release(0),
            lambda: threading.BoundedSemaphore(1).release(), lambda: threading.Barrier(0), lambda: threading.Thread().join(),
            lambda: queue.Queue().get(timeout=-1), lambda: queue.Queue().task_done(), lambda: queue.SimpleQueue().get(timeout=-1),
            lambda: queue.Queue(1).put(), lambda: threading.Event(1), lambda: threading.current_thread().join(),
            lambda: queue.SimpleQueue(1), lambda: threading.Lock(1), lambda: threading.RLock(1), lambda: threading.Barrier(),
        ]
        for number, attempt in enumerate(tries):
            try:
                attempt()
                print(number, "returns")
            except Exception as error:
                print(number, type(error).__name__)""",
}


def normal(err):
    """Standard error without what differs: lines of libraries in a traceback, addresses, and identifiers."""
    err = re.sub(r'  File ".*(threading|raddle/\w+)\.py", line .*\n(    .*\n)*', "", err)
    return re.sub(r"0x[0-9a-f]+", "0x", err)


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_behaves_as_with_the_standard_library(program, name):
    path = program(PROGRAMS[name])
    plain = execute("-W", "ignore", path)
    under = execute("-W", "ignore", "-m", "raddle", "run", "--no-lock-order", path)
    assert plain[0] == 0, plain
    assert (under[0], under[1], normal(under[2])) == (plain[0], plain[1], normal(plain[2]))


def test_version_whose_frames_are_not_known_is_refused(program):
    path = program("""
        import sys
        import raddle
        from raddle import _instructions
        _instructions.VERSIONS = tuple(version for version in _instructions.VERSIONS if version != sys.version_info[:2])
        try:
            raddle.check(int)
        except raddle.UnsupportedInterpreter as error:
            print(error)""")
    status, out, _ = execute(path)
    assert status == 0 and f"cannot explore under cpython {sys.version_info[0]}.{sys.version_info[1]}: " in out
    assert "Run the check with one of these" in out


def test_subinterpreter_gets_an_import_error(program):
    path = program("""
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        code = "try:\\n    import raddle\\nexcept ImportError as error:\\n    print('refused:', error)"
        interpreters.run_string(interpreters.create(), code)
        """)
    status, out, err = execute("-W", "ignore", path)
    assert (status, err) == (0, "") and out.startswith("refused: ") and "subinterpreters" in out, out


def test_no_deadlock_with_the_interpreter_lock(program):
    """Threads that wait, print and collect, while the watch looks at them, do not block each other."""
    path = program("""
        import gc, queue, signal, sys, threading
        sys.setswitchinterval(1e-6)
        lock, rlock, items, stop = threading.Lock(), threading.RLock(), queue.Queue(3), threading.Event()
        class Item:
            def __del__(self):
                with lock:  # a destructor that blocks
                    pass
        def produce():
            for _ in range(200):
                items.put(Item())
                repr((lock, rlock, items, stop, threading.current_thread()))
        def consume():
            for _ in range(200):
                item = items.get()
                with rlock:
                    item = None
        def watch():
            while not stop.is_set():
                signal.raise_signal(signal.SIGQUIT)
                gc.collect()
        threads = [threading.Thread(target=work) for work in (produce, consume) * 3]
        watcher = threading.Thread(target=watch)
        watcher.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        watcher.join()
        print("done")
        """)
    status, out, err = run("--no-lock-order", path)
    assert (status, out) == (0, "done\n"), err[-3000:]
