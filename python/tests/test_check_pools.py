"""`raddle.check` on pools and futures: each operation is one step, and every behaviour of the standard library's pool is found."""

import concurrent.futures
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from programs import explores

import raddle

pytestmark = explores


@pytest.fixture(autouse=True)
def quiet_logger():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def outcomes(program, executions=1_500):
    """Returns what a program returns in all schedules, which must be exhausted within so many executions."""
    values = set()
    found = raddle.outcome_of(lambda: values.add(program()), executions=executions, strategy="dpor")
    assert isinstance(found, raddle.Exhausted), found
    return values


def test_operations_of_pools_are_exhausted_soon():
    def mapped():
        with ThreadPoolExecutor(2) as pool:
            return tuple(pool.map(abs, [-1, -2]))

    def completed():
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(abs, number) for number in (0, 1)]
            return tuple(future.result() for future in concurrent.futures.as_completed(futures))

    def waited():
        with ThreadPoolExecutor(2) as pool:
            return len(concurrent.futures.wait([pool.submit(int), pool.submit(int)]).done)

    def first():
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(int), pool.submit(int)]
            return len(concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED).done)

    def failed():
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(int, "a"), pool.submit(int)]
            return tuple(type(future.exception()) for future in futures)

    def called_back():
        seen = []
        with ThreadPoolExecutor(2) as pool:
            for number in (1, 2):
                pool.submit(abs, number).add_done_callback(lambda future: seen.append(future.result()))
        return tuple(seen)

    def nested():
        with ThreadPoolExecutor(2) as pool:
            return pool.submit(lambda: pool.submit(int).result()).result()

    def initialized():
        seen = []
        with ThreadPoolExecutor(2, initializer=seen.append, initargs=(1,)) as pool:
            pool.submit(int).result()
            pool.submit(int).result()
        return len(seen)

    assert outcomes(mapped) == {(1, 2)}
    assert outcomes(completed) == {(0, 1), (1, 0)}
    assert outcomes(waited) == {2}
    assert outcomes(first) == {1, 2}
    assert outcomes(failed) == {(ValueError, type(None))}
    assert outcomes(called_back) == {(1, 2), (2, 1)}
    assert outcomes(nested) == {0}
    assert outcomes(initialized) == {1, 2}  # the second call may find the first thread idle


def test_shutdown_cancels_one_call_after_the_other():
    def program():
        pool = ThreadPoolExecutor(1)
        futures = [pool.submit(int) for _ in range(3)]
        pool.shutdown(wait=False, cancel_futures=True)
        return tuple(future.cancelled() for future in futures)

    # The thread may take a call between two that are cancelled.
    assert outcomes(program) == {(a, b, c) for a in (False, True) for b in (False, True) for c in (False, True)}


def test_initializer_may_fail_after_a_shutdown():
    def program():
        def fail():
            raise ValueError

        pool = ThreadPoolExecutor(1, initializer=fail)
        pool.submit(int)
        pool.shutdown(wait=False)
        raised = []
        for _ in range(2):
            try:
                pool.submit(int)
            except RuntimeError as error:
                raised.append(type(error).__name__)
        return tuple(raised)

    ended, broken = "RuntimeError", "BrokenThreadPool"
    assert outcomes(program) == {(ended, ended), (ended, broken), (broken, broken)}


def test_thread_may_be_counted_as_idle_late():
    def program():
        with ThreadPoolExecutor(2) as pool:
            pool.submit(int).result()
            return pool.submit(lambda: threading.current_thread().name[-1]).result()

    assert outcomes(program) == {"0", "1"}


def test_idle_threads_are_counted_twice():
    """The standard library counts a thread that takes a call right after it was counted, so the third thread is never started."""

    def program():
        pool = ThreadPoolExecutor(3)
        started = threading.Event()
        pool.submit(int).result()
        pool.submit(int).result()
        waits = pool.submit(started.wait)
        pool.submit(started.wait)
        pool.submit(started.set)
        waits.result()
        pool.shutdown()

    found = raddle.outcome_of(program)
    assert isinstance(found, raddle.Failed) and found.kind == "deadlock", found


def test_call_that_is_cancelled_by_a_shutdown_is_never_waited_for():
    """The standard library does not notify those that wait for a call that a shutdown has cancelled."""

    def program():
        pool = ThreadPoolExecutor(1)
        futures = [pool.submit(int), pool.submit(int)]
        pool.shutdown(wait=False, cancel_futures=True)
        concurrent.futures.wait(futures)

    found = raddle.outcome_of(program)
    assert isinstance(found, raddle.Failed) and found.kind == "deadlock", found


def test_callback_that_submits_while_a_shutdown_cancels_is_a_deadlock():
    def program():
        pool = ThreadPoolExecutor(1)
        pool.submit(int)
        pool.submit(int).add_done_callback(lambda future: future.cancelled() and pool.submit(int))
        pool.shutdown(cancel_futures=True)

    found = raddle.outcome_of(program)
    assert isinstance(found, raddle.Failed) and found.kind == "deadlock", found


def test_call_can_be_cancelled_between_its_removal_from_the_queue_and_its_beginning():
    def program():
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(int)
            return pool.submit(first.cancel).result()

    assert outcomes(program) == {False, True}


def test_futures_that_are_waited_for_are_read_when_the_wait_begins():
    def program(wait):
        futures = []
        with ThreadPoolExecutor(1) as pool:
            thread = threading.Thread(target=lambda: futures.append(pool.submit(int)))
            thread.start()
            waited = len(wait(futures))
            thread.join()
        return waited

    assert outcomes(lambda: program(lambda futures: concurrent.futures.wait(futures).done)) == {0, 1}
    assert outcomes(lambda: program(lambda futures: list(concurrent.futures.as_completed(futures)))) == {0, 1}


def test_as_completed_times_out_although_a_future_has_completed_meanwhile():
    import time

    def program():
        with ThreadPoolExecutor(1) as pool:
            futures = [pool.submit(int), pool.submit(time.sleep, 1)]
            for future in concurrent.futures.as_completed(futures, timeout=2):
                time.sleep(3)

    found = raddle.outcome_of(program, time="quiescent")
    assert isinstance(found, raddle.Failed) and "TimeoutError" in found.title + found.text, found


_unused, _used = ThreadPoolExecutor(2), ThreadPoolExecutor(1)
_used.submit(int).result()


def test_pools_that_exist_already_are_explored():
    def program(pool):
        counts = {"calls": 0}

        def call():
            counts["calls"] += 1

        for future in [pool.submit(call), pool.submit(call)]:
            future.result()
        assert counts["calls"] == 2

    found = raddle.outcome_of(lambda: program(_unused))
    assert isinstance(found, raddle.Failed) and "AssertionError" in found.text, found
    assert isinstance(raddle.outcome_of(lambda: program(_used)), raddle.Exhausted)
    assert _used.submit(int, "7").result() == 7

    def managed():
        with _unused as pool:
            return pool.submit(int).result()

    assert outcomes(managed) == {0}
    assert _unused.submit(int, "7").result() == 7


def test_pool_that_is_never_shut_down_ends_with_the_program():
    class Owner:
        pool = None

    def program():
        Owner.pool = ThreadPoolExecutor(2)
        Owner.pool.submit(int).result()
        pool = ThreadPoolExecutor(1)
        pool.itself = pool
        seen = []
        pool.submit(seen.append, 1)
        threading.Thread(target=lambda: Owner.pool.submit(seen.append, 2)).start()

    assert isinstance(raddle.outcome_of(program), raddle.Exhausted)


def test_call_that_never_ends_is_a_failure_although_the_pool_is_not_shut_down():
    class Owner:
        pool = None

    def program():
        Owner.pool = ThreadPoolExecutor(2)
        Owner.pool.submit(threading.Event().wait)

    found = raddle.outcome_of(program)
    assert isinstance(found, raddle.Failed) and found.kind in ("deadlock", "threads left"), found


def test_threads_of_a_pool_can_be_counted():
    def program():
        with ThreadPoolExecutor(2) as pool:
            outer = pool.submit(lambda: pool.submit(int).result())
            count = len(pool._threads)
            outer.result()
        return count

    assert outcomes(program) == {1, 2}


def test_report_names_calls_threads_and_lines():
    def program():
        counts = {"calls": 0}

        def call():
            counts["calls"] += 1

        with ThreadPoolExecutor(2) as pool:
            pool.submit(call)
            pool.submit(call)
        assert counts["calls"] == 2

    found = raddle.outcome_of(program)
    assert isinstance(found, raddle.Failed), found
    here = r"\S*test_check_pools.py:\d+, in "
    rows = found.text
    assert re.search(rf"submits a task to ThreadPoolExecutor 1: call; starts thread 'ThreadPoolExecutor-0_1' +{here}program", rows), rows
    assert re.search(rf"ThreadPoolExecutor-0_0 +waits for a task of ThreadPoolExecutor 1: call +{here}program", rows), rows
    assert re.search(rf"settles Future \d: None +{here}program", rows), rows
    assert re.search(rf'joins thread "ThreadPoolExecutor-0_1" +{here}program', rows), rows
    assert "threading.py" not in rows and "futures.py" not in rows
    assert "starts thread 'ThreadPoolExecutor-0_1'" in found.json and "starts thread" in found.html


def test_report_shows_defaults_of_classes():
    def program():
        class Counter:
            value = 0

        counter = Counter()

        def increment():
            counter.value += 1

        with ThreadPoolExecutor(2) as pool:
            pool.submit(increment)
            pool.submit(increment)
        assert counter.value == 2

    text = raddle.outcome_of(program).text
    assert "reads Counter.value 1: 0 " in text and "writes Counter.value 1: 0 → 1 " in text, text


def test_thread_of_a_pool_that_waits_for_a_task_is_shown_as_such():
    def program():
        threading.Lock().acquire()
        pool = ThreadPoolExecutor(1)
        pool.submit(int).result()
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

    found = raddle.outcome_of(program)
    assert isinstance(found, raddle.Failed) and found.kind == "deadlock", found
    waits = r'thread "ThreadPoolExecutor-0_0" waits for a task of ThreadPoolExecutor 1, at \S*test_check_pools.py:\d+, in program'
    assert re.search(waits, found.text), found.text


def test_items_of_queues_are_shown():
    def program():
        import queue

        items, simple, ranked = queue.Queue(), queue.SimpleQueue(), queue.PriorityQueue()
        items.put("an item")
        simple.put({"simple": 1})
        ranked.put((7, "ranked"))
        assert not (items.get(), simple.get(), ranked.get())

    text = raddle.outcome_of(program).text
    for shown in ("'an item'", "{'simple': 1}", "(7, 'ranked')"):
        assert f"puts into {shown}" in text or re.search(rf"puts into \w+ 1: {re.escape(shown)}", text), text
        assert re.search(rf"gets from \w+ 1: {re.escape(shown)}", text), text
