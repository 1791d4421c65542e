"""Compares the package with the standard library, and its exploration with other tools, in one run.

    python bench/compare.py                  # all rows
    python bench/compare.py Lock Queue       # rows whose names contain one of these
    python bench/compare.py --rounds 15      # default 7

Each row is measured in rounds. A round measures the standard library, then the package, so that both meet the same load of the
machine. The ratio is the package's time divided by the standard library's: the median of the rounds, with the smallest and the
greatest one. `goal` is the greatest ratio that the project aims at.

The rows of exploring compare executions per second with tools that are installed: frontrun, interleave-test.
"""

import argparse
import concurrent.futures
import os
import platform
import queue
import statistics
import subprocess
import sys
import threading
import time
import types

import raddle
import raddle.futures
import raddle.queue
import raddle.threading

STDLIB = types.SimpleNamespace(threading=threading, queue=queue, futures=concurrent.futures)
PACKAGE = types.SimpleNamespace(threading=raddle.threading, queue=raddle.queue, futures=raddle.futures)

#: name -> (goal, function)
ROWS = {}


def row(name, goal=None):
    def add(function):
        ROWS[name] = (goal, function)
        return function

    return add


def repeated(statement, names, number):
    """Returns a function that runs a statement a number of times, without calls of its own in the loop."""
    body = f"def run():\n    for _ in range({number}):\n        {statement}\n"
    exec(body, names)
    return names["run"]


def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def one_thread(name, goal, statement, number, **objects):
    """A row of a statement in one thread. `objects` are functions of the modules that make what the statement uses."""

    @row(name, goal)
    def measure(modules):
        names = {key: make(modules) for key, make in objects.items()}
        return timed(repeated(statement, names, number)) / number


one_thread("Lock: acquire, release", 1.0, "lock.acquire(); lock.release()", 100_000, lock=lambda m: m.threading.Lock())
one_thread("Lock: with", 1.0, "with lock: pass", 100_000, lock=lambda m: m.threading.Lock())
one_thread("RLock: with", 1.2, "with lock: pass", 100_000, lock=lambda m: m.threading.RLock())
one_thread("Condition: with", None, "with condition: pass", 30_000, condition=lambda m: m.threading.Condition())
one_thread("Semaphore: with", None, "with semaphore: pass", 30_000, semaphore=lambda m: m.threading.Semaphore(1))
one_thread("Event: set, is_set, clear", None, "event.set(); event.is_set(); event.clear()", 30_000, event=lambda m: m.threading.Event())
one_thread("Queue: put, get", 0.05, "q.put(1); q.get()", 30_000, q=lambda m: m.queue.Queue())
one_thread("LifoQueue: put, get", None, "q.put(1); q.get()", 30_000, q=lambda m: m.queue.LifoQueue())
one_thread("PriorityQueue: put, get", None, "q.put((1, 'a')); q.get()", 30_000, q=lambda m: m.queue.PriorityQueue())
one_thread("SimpleQueue: put, get", 1.1, "q.put(1); q.get()", 100_000, q=lambda m: m.queue.SimpleQueue())


def with_thread(modules, function, *args):
    """Runs a function in another thread while the body of a `with` statement runs."""

    class Running:
        def __enter__(self):
            self.thread = threading.Thread(target=function, args=args)
            self.thread.start()

        def __exit__(self, *_):
            self.thread.join()

    return Running()


@row("Event: two threads in turns", 0.1)
def event_ping_pong(modules):
    ping, pong, number = modules.threading.Event(), modules.threading.Event(), 2_000

    def answer():
        for _ in range(number):
            ping.wait()
            ping.clear()
            pong.set()

    def ask():
        for _ in range(number):
            ping.set()
            pong.wait()
            pong.clear()

    with with_thread(modules, answer):
        return timed(ask) / number


@row("Condition: two threads in turns")
def condition_ping_pong(modules):
    condition, number, turn = modules.threading.Condition(), 2_000, [0]

    def play(mine):
        for _ in range(number):
            with condition:
                while turn[0] != mine:
                    condition.wait()
                turn[0] = 1 - mine
                condition.notify()

    with with_thread(modules, play, 1):
        return timed(lambda: play(0)) / number


@row("Queue: two threads in turns", 1.0)
def queue_ping_pong(modules):
    there, back, number = modules.queue.Queue(), modules.queue.Queue(), 2_000

    def answer():
        for _ in range(number):
            back.put(there.get())

    def ask():
        for item in range(number):
            there.put(item)
            back.get()

    with with_thread(modules, answer):
        return timed(ask) / number


def one_to_one(q, number):
    def produce():
        for item in range(number):
            q.put(item)

    def consume():
        for _ in range(number):
            q.get()

    with with_thread(None, produce):
        return timed(consume) / number


@row("Queue(1024): one producer, one consumer", 0.05)
def bounded(modules):
    return one_to_one(modules.queue.Queue(1024), 10_000)


@row("SimpleQueue: one producer, one consumer")
def simple(modules):
    return one_to_one(modules.queue.SimpleQueue(), 10_000)


@row("ThreadPoolExecutor: submit, result", 0.3)
def submit_result(modules):
    number = 1_000
    with modules.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        return timed(repeated("submit(int).result()", {"submit": pool.submit}, number)) / number


@row("ThreadPoolExecutor: map of 1,000 calls")
def map_calls(modules):
    with modules.futures.ThreadPoolExecutor(4) as pool:
        return timed(lambda: list(pool.map(int, range(1_000)))) / 1_000


@row("as_completed of 100 calls")
def completed(modules):
    with modules.futures.ThreadPoolExecutor(4) as pool:
        return timed(lambda: list(modules.futures.as_completed([pool.submit(int) for _ in range(100)]))) / 100


def per_operation(seconds):
    return f"{seconds * 1e9:,.0f} ns" if seconds < 1e-5 else f"{seconds * 1e6:,.0f} µs"


def compare(rounds, selected):
    print(f"{'':42}{'standard':>10}{'raddle':>10}  {'ratio':>6}  {'spread':>13}  {'goal':>5}")
    for name, (goal, measure) in ROWS.items():
        if selected and not any(part in name for part in selected):
            continue
        measure(STDLIB), measure(PACKAGE)  # warm up
        pairs = [(measure(STDLIB), measure(PACKAGE)) for _ in range(rounds)]
        ratios = [ours / theirs for theirs, ours in pairs]
        theirs, ours = (per_operation(statistics.median(times)) for times in zip(*pairs))
        ratio, spread = statistics.median(ratios), f"{min(ratios):.2f}–{max(ratios):.2f}"
        missed = " missed" if goal is not None and ratio > goal else ""
        print(f"{name:42}{theirs:>10}{ours:>10}  {ratio:6.2f}  {spread:>13}  {goal or '':>5}{missed}", flush=True)


# Exploring: two threads that increment an attribute three times each, without a lock.


class Counter:
    def __init__(self):
        self.value = 0

    def increments(self):
        for _ in range(3):
            self.value += 1


def program():
    counter = Counter()
    threads = [threading.Thread(target=counter.increments) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def explore(seconds):
    """Runs each tool in a process of its own: some of them replace what the others use."""
    if sys.version_info < (3, 12):
        print("\nexploring: needs Python 3.12")
        return
    print("\nexploring two threads with three increments each:", flush=True)
    for name in TOOLS:
        run = [sys.executable, __file__, "--seconds", str(seconds), "--tool", name]
        if name == "frontrun":  # its launcher prepares the process
            run.insert(0, os.path.join(os.path.dirname(sys.executable), "frontrun"))
        try:
            subprocess.run(run, check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            print(f"{name:42}not installed, or it failed", flush=True)


def explore_with(name, seconds):
    executions, duration, outcome = TOOLS[name](seconds)
    print(f"{name:42}{executions / duration:>8,.0f} executions/s   {executions:,}: {outcome}")


def explore_with_raddle(seconds):
    start, executions = time.perf_counter(), 0
    while True:  # an exploration takes a fraction of a second
        outcome = raddle.outcome_of(program)
        executions += outcome.executions
        duration = time.perf_counter() - start
        if duration >= seconds:
            return executions, duration, str(outcome)


def explore_with_frontrun(seconds):
    import frontrun

    start = time.perf_counter()
    result = frontrun.explore(
        setup=Counter,
        workers=Counter.increments,
        count=2,
        invariant=lambda _: True,
        preemption_bound=None,
        stop_on_first=False,
        max_executions=400,
    )
    outcome = "exhausted" if result.exhausted else "stopped at 400 executions"
    return result.num_explored, time.perf_counter() - start, outcome


def explore_with_interleave(seconds):
    import interleave_test

    start = time.perf_counter()
    result = interleave_test.explore(program, iterations=400, raise_on_failure=False)
    outcome = "exhausted" if result.exhausted else "stopped at 400 executions"
    return result.schedules_run, time.perf_counter() - start, outcome


TOOLS = {
    "raddle": explore_with_raddle,
    "frontrun": explore_with_frontrun,
    "interleave-test": explore_with_interleave,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="parts of the names of rows")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=10, help="how long each tool explores")
    parser.add_argument("--tool", choices=TOOLS, help="explore with this tool only")
    arguments = parser.parse_args()
    if arguments.tool:
        return explore_with(arguments.tool, arguments.seconds)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"Python {platform.python_version()}, raddle {raddle.__version__}, {os.cpu_count()} processors, load {load}\n")
    compare(arguments.rounds, arguments.rows)
    if not arguments.rows or "exploring" in arguments.rows:
        explore(arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
