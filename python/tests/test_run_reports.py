"""`python -m raddle run`: reports of deadlocks and lock orders, dumps, and how a deadlocked program ends."""

import re
import signal

import pytest
from programs import LIMIT, read_until, run, started

TWICE = """\
import threading

lock = threading.Lock()

def work():
    with lock:
        print("before second acquire")
        lock.acquire()  # line 8
    print("acquired lock twice")

"""


@pytest.mark.parametrize("end", ["work()", "threading.Thread(target=work, name='worker').start()"])
def test_deadlock_is_reported_and_ends_the_program(program, end):
    path = program(TWICE + end)
    status, out, err = run(path)
    assert (status, out) == (101, "before second acquire\n"), err
    thread = "MainThread" if end == "work()" else "worker"
    assert "raddle: deadlock: every thread of the program is blocked" in err
    assert f'thread "{thread}" waits for Lock' in err and f"{path}:8, in work" in err
    assert f"held by itself, acquired at {path}:6, in work" in err
    if end != "work()":
        assert 'thread "MainThread" waits for thread "worker"' in err


OPPOSITE = """\
import threading

left, right = threading.Lock(), threading.Lock()
both = threading.Barrier(2)

def work(first, second):
    with first:
        both.wait()
        with second:  # line 9
            pass

threads = [threading.Thread(target=work, args=pair, name=name) for name, pair in (("a", (left, right)), ("b", (right, left)))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()  # line 16
"""


def test_threads_that_wait_for_each_other_are_named_with_their_lines(program):
    path = program(OPPOSITE)
    status, out, err = run(path)
    assert (status, out) == (101, "")
    for mine, other in ("ab", "ba"):
        assert re.search(rf'thread "{mine}" waits for Lock .*:9, in work\n +held by thread "{other}", acquired at .*:7, in work', err), err
    assert re.search(r'thread "MainThread" waits for thread "a", at .*:16', err), err


def test_deadlock_of_owners_can_raise(program):
    text = OPPOSITE.replace("Lock()", "RLock()").replace("    with first:", "    with contextlib.suppress(RuntimeError), first:")
    path = program("import contextlib\n" + text + "print('continues')\n")
    status, out, err = run("--on-deadlock", "raise", "--no-lock-order", path)
    assert (status, out, err) == (0, "continues\n", "")


@pytest.mark.parametrize("value", ["report", "0"])
def test_environment_overrides_the_options(program, value):
    path = program("print('started', flush=True)\n" + TWICE + "work()")
    with started("-m", "raddle", "run", path, RADDLE_WATCH=value) as child:
        read_until(child.stdout, "started")
        if value == "report":
            read_until(child.stderr, "No action is taken")
        else:
            child.send_signal(signal.SIGQUIT)
            read_until(child.stderr, "The watch is off")
        assert child.poll() is None


@pytest.mark.parametrize("order", [True, False])
def test_contradictory_lock_orders_are_reported(program, order):
    path = program("""
        import threading
        left, right = threading.Lock(), threading.Lock()
        for first, second in ((left, right), (right, left)):
            with first:
                with second:
                    pass
        print("done")
        """)
    options = [] if order else ["--no-lock-order"]
    status, out, err = run(*options, path)
    assert (status, out) == (0, "done\n")
    assert (err.count("while holding Lock") == 2) is order, err
    assert bool(err) is order


def test_sigquit_writes_stacks_waits_and_locks(program):
    path = program("""\
        import threading, time

        lock, done = threading.Lock(), threading.Event()

        def hold():
            with lock:
                done.wait()  # line 7

        def spin():
            while not done.is_set():
                pass

        threading.Thread(target=hold, name="holder").start()
        while not lock.locked():
            pass
        threading.Thread(target=spin, name="spinner").start()
        print("ready", flush=True)
        input()
        done.set()
        """)
    with started("-m", "raddle", "run", path) as child:
        read_until(child.stdout, "ready")
        text = ""
        while "waits for Event" not in text:  # until the thread has come to its wait
            child.send_signal(signal.SIGQUIT)
            text = read_until(child.stderr, f'File "{path}", line 7, in hold')
        child.communicate("\n", timeout=LIMIT)
        assert child.returncode == 0, text
    assert re.search(r'thread "holder" .*waits for Event .*:7, in hold', text), text
    assert re.search(r'holds Lock .*:6, in hold', text), text
    assert 'stack of thread "holder"' in text and "_install.py" not in text, text


def test_handler_of_the_program_keeps_a_wait_from_being_a_deadlock(program):
    path = program("""
        import signal, threading
        lock = threading.Lock()
        signal.signal(signal.SIGINT, lambda *_: lock.release())
        lock.acquire()
        lock.acquire()
        print("released")
        """)
    with started("-m", "raddle", "run", "--suspect-after", "0", path) as child:
        read_until(child.stderr, "only a signal handler (SIGINT) can wake one")
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=LIMIT)
        assert (child.returncode, out) == (0, "released\n")
