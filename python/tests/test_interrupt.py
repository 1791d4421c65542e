"""Ctrl-C ends every wait of the main thread; a handler that returns does not."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

WAITS = {
    "Lock.acquire": "l = raddle.Lock(); l.acquire(); wait = l.acquire",
    "Lock.acquire with a timeout": "l = raddle.Lock(); l.acquire(); wait = lambda: l.acquire(timeout=600)",
    "with Lock": "l = raddle.Lock(); l.acquire(); wait = l.__enter__",
    "RLock.acquire": """
        l = raddle.RLock(); held = threading.Event()
        def hold():
            l.acquire(); held.set(); time.sleep(600)
        threading.Thread(target=hold, daemon=True).start(); held.wait(); wait = l.acquire""",
    "Semaphore.acquire": "wait = raddle.Semaphore(0).acquire",
    "BoundedSemaphore.acquire with a timeout": """
        s = raddle.BoundedSemaphore(1); s.acquire(); wait = lambda: s.acquire(timeout=600)""",
    "Event.wait": "wait = raddle.Event().wait",
    "Event.wait with a timeout": "wait = lambda: raddle.Event().wait(600)",
    "Condition.wait": "c = raddle.Condition(); c.acquire(); wait = c.wait",
    "Barrier.wait": "wait = raddle.Barrier(2).wait",
    "Queue.get": "wait = raddle.Queue().get",
    "Queue.get with a timeout": "wait = lambda: raddle.Queue().get(timeout=600)",
    "Queue.put": "q = raddle.Queue(1); q.put(1); wait = lambda: q.put(2)",
    "Queue.join": "q = raddle.Queue(); q.put(1); wait = q.join",
    "LifoQueue.get": "wait = raddle.LifoQueue().get",
    "PriorityQueue.get": "wait = raddle.PriorityQueue().get",
    "SimpleQueue.get": "wait = raddle.SimpleQueue().get",
    "Condition.wait with a timeout": "c = raddle.Condition(raddle.Lock()); c.acquire(); wait = lambda: c.wait(600)",
    "Condition.wait_for": "c = raddle.Condition(); c.acquire(); wait = lambda: c.wait_for(lambda: False)",
    "Condition.wait with a foreign lock": "c = raddle.Condition(threading.Lock()); c.acquire(); wait = c.wait",
    "Thread.join": "t = raddle.Thread(target=time.sleep, args=(600,), daemon=True); t.start(); wait = t.join",
    "Future.result": "wait = raddle.Future().result",
    "Future.exception with a timeout": "wait = lambda: raddle.Future().exception(600)",
    "wait": "wait = lambda: raddle.wait([raddle.Future()])",
    "as_completed": "wait = lambda: list(raddle.as_completed([raddle.Future()], 600))",
    "ThreadPoolExecutor.shutdown": """
        pool = raddle.ThreadPoolExecutor(1); pool.submit(time.sleep, 600)
        def wait():
            try:
                pool.shutdown()
            except KeyboardInterrupt:
                print("interrupted", flush=True); import os; os._exit(0)""",
}


def run(program, watch):
    """Runs a program that prints a line before it waits, and sends it SIGINT after that line."""
    # A shell that runs the tests in the background has them ignore the signal.
    head = "import raddle, signal, sys, threading, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", head + program]
    environment = dict(os.environ, RADDLE_WATCH=watch)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert child.stdout.readline() == "waiting\n", child.stderr.read()
        while "futex" not in pathlib.Path(f"/proc/{child.pid}/wchan").read_text():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        return child.communicate(timeout=60)
    finally:
        child.kill()


@pytest.mark.parametrize("watch", ["0", "1"])
@pytest.mark.parametrize("name", WAITS)
def test_keyboard_interrupt_ends_a_wait(name, watch):
    program = textwrap.dedent(WAITS[name]) + textwrap.dedent(
        """
        # Something else could end the wait, or the watch would report a deadlock.
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        try:
            print("waiting", flush=True)
            wait()
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    out, err = run(program, watch)
    assert (out, err) == ("interrupted\n", "")


def test_handler_that_returns_does_not_end_a_wait():
    out, err = run(
        textwrap.dedent(
            """
            queue = raddle.Queue()
            signal.signal(signal.SIGINT, lambda *_: queue.put("from the handler"))
            print("waiting", flush=True)
            print(queue.get())
            """
        ),
        "0",
    )
    assert (out, err) == ("from the handler\n", "")


def test_interrupted_acquire_leaves_the_lock_to_others():
    out, err = run(
        textwrap.dedent(
            """
            lock = raddle.Lock()
            lock.acquire()
            try:
                print("waiting", flush=True)
                lock.acquire()
            except KeyboardInterrupt:
                lock.release()
            print(lock.acquire(blocking=False))
            """
        ),
        "0",
    )
    assert (out, err) == ("True\n", "")
