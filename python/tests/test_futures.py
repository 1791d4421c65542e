"""Futures and pools: states, callbacks, the standard library's functions on them, and the ends of pools."""

import asyncio
import concurrent.futures
import gc
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest
from programs import explores

import raddle
from raddle import futures

LIMIT = 60  # seconds after which a test has failed


@pytest.fixture
def pool():
    with futures.ThreadPoolExecutor(2) as pool:
        yield pool


def test_names_are_those_of_the_standard_library():
    assert set(concurrent.futures.__all__) <= set(futures.__all__)
    assert set(dir(concurrent.futures)) <= set(dir(futures))
    import raddle.concurrent.futures

    assert raddle.concurrent.futures is futures
    assert futures.ProcessPoolExecutor is concurrent.futures.ProcessPoolExecutor
    assert futures.TimeoutError is TimeoutError


def test_call_returns_or_raises(pool):
    assert pool.submit(pow, 2, exp=5).result(LIMIT) == 32
    failed = pool.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError) as raised:
        failed.result(LIMIT)
    assert raised.value is failed.exception() is failed._exception
    assert raised.traceback[-1].name == "<lambda>"
    assert list(pool.map(abs, range(-3, 3), timeout=LIMIT, chunksize=2)) == [3, 2, 1, 0, 1, 2]


def test_exceptions_that_end_a_thread_are_results(pool):
    def leave():
        raise SystemExit(3)

    assert isinstance(pool.submit(leave).exception(LIMIT), SystemExit)
    assert pool.submit(abs, -1).result(LIMIT) == 1


def test_timeout_of_a_result(pool):
    end = raddle.Event()
    future = pool.submit(end.wait)
    for timeout in (0, -1, 0.001):
        with pytest.raises(TimeoutError):
            future.result(timeout)
        with pytest.raises(TimeoutError):
            future.exception(timeout)
    assert future.running() and not future.done() and not future.cancel()
    end.set()
    assert future.result(LIMIT) is True
    assert future.done() and not future.running()


def test_cancelled_call_is_not_run(pool):
    end, ran, calls = raddle.Event(), [], []
    blocked = [pool.submit(end.wait) for _ in range(2)]
    future = pool.submit(ran.append, 1)
    future.add_done_callback(calls.append)
    assert future.cancel() and future.cancel() and future.cancelled() and calls == [future]
    with pytest.raises(futures.CancelledError):
        future.result()
    end.set()
    assert futures.wait([*blocked, future], LIMIT).not_done == set()
    assert ran == [] and future._state == "CANCELLED_AND_NOTIFIED"


def test_callbacks_are_called_in_order_and_once(caplog):
    future, calls = futures.Future(), []
    future.add_done_callback(lambda _: calls.append(1))
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda f: calls.append(f.result()))
    future.set_result(2)
    future.add_done_callback(lambda _: calls.append(3))
    assert calls == [1, 2, 3]
    assert "exception calling callback" in caplog.text and "ZeroDivisionError" in caplog.text
    with pytest.raises(futures.InvalidStateError):
        future.set_result(4)


def test_running_threads_settle_a_future_once():
    for _ in range(100):
        future, won = futures.Future(), raddle.SimpleQueue()

        def settle(value):
            try:
                future.set_result(value)
                won.put(value)
            except futures.InvalidStateError:
                pass

        threads = [raddle.Thread(target=settle, args=(value,)) for value in range(3)]
        for thread in threads:
            thread.start()
        value = future.result(LIMIT)
        for thread in threads:
            thread.join(LIMIT)
        assert won.get_nowait() == value and won.empty()


@pytest.mark.parametrize("wait", [futures.wait, concurrent.futures.wait])
@pytest.mark.parametrize("foreign", [False, True])
def test_wait(pool, wait, foreign):
    other = concurrent.futures._base.Future() if foreign else futures.Future()
    end = raddle.Event()
    quick, slow = pool.submit(abs, -1), pool.submit(end.wait)
    done, not_done = wait([quick, slow, slow, other], LIMIT, futures.FIRST_COMPLETED)
    assert quick in done and other in not_done
    assert wait([quick, slow, other], 0.001) == ({quick}, {slow, other})
    threading.Timer(0.01, end.set).start()
    other.set_exception(ValueError())
    done, _ = wait([slow, other], LIMIT, futures.FIRST_EXCEPTION)
    assert other in done
    assert wait([quick, slow, other], LIMIT) == ({quick, slow, other}, set())
    assert wait([]) == (set(), set())


def test_wait_ends_with_the_first_failure(pool):
    end = raddle.Event()
    slow, failing = pool.submit(end.wait), futures.Future()
    threading.Timer(0.01, failing.set_exception, [ValueError()]).start()
    assert futures.wait([slow, failing], LIMIT, futures.FIRST_EXCEPTION) == ({failing}, {slow})
    end.set()
    with pytest.raises(ValueError, match="Invalid return condition"):
        futures.wait([futures.Future()], 0, "SOMETIME")


@pytest.mark.parametrize("as_completed", [futures.as_completed, concurrent.futures.as_completed])
def test_as_completed(pool, as_completed):
    end = raddle.Event()
    quick, slow, never = pool.submit(abs, -1), pool.submit(end.wait), futures.Future()
    completed = as_completed([quick, slow, slow], timeout=LIMIT)
    assert next(completed) is quick
    end.set()
    assert next(completed) is slow and list(completed) == []
    completed = as_completed([slow, never, slow], timeout=0.001)
    assert next(completed) is slow
    with pytest.raises(TimeoutError, match="1 .of 2. futures unfinished"):
        next(completed)
    assert list(as_completed([])) == []
    never.cancel()


def test_visible_future_is_changed_under_its_condition():
    future, changed = futures.Future(), raddle.Event()
    with future._condition:
        thread = raddle.Thread(target=lambda: (future.set_result(1), changed.set()))
        thread.start()
        assert not changed.wait(0.01) and not future.done()
    assert future.result(LIMIT) == 1
    thread.join(LIMIT)


def test_futures_can_be_awaited():
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(futures.ThreadPoolExecutor(2))
        return await asyncio.gather(*(asyncio.to_thread(abs, -n) for n in range(5)))

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_failed_initializer_breaks_the_pool(caplog):
    pool = futures.ThreadPoolExecutor(1, initializer=lambda: 1 / 0)
    future = pool.submit(abs, -1)
    with pytest.raises(futures.BrokenExecutor):
        future.result(LIMIT)
    with pytest.raises(futures.BrokenThreadPool):
        pool.submit(abs, -1)
    assert pool._broken and "Exception in initializer" in caplog.text
    pool.shutdown()


def test_initializer_and_names_of_threads():
    local = threading.local()
    with futures.ThreadPoolExecutor(1, "worker", lambda value: setattr(local, "value", value), (7,)) as pool:
        assert pool.submit(lambda: (local.value, threading.current_thread().name)).result(LIMIT) == (7, "worker_0")
        assert pool._max_workers == 1 and [thread.name for thread in pool._threads] == ["worker_0"]


def test_shutdown():
    end, started = raddle.Event(), raddle.Event()
    pool = futures.ThreadPoolExecutor(1)
    running = pool.submit(lambda: (started.set(), end.wait()))
    queued = [pool.submit(abs, -1) for _ in range(3)]
    started.wait()
    assert pool._work_queue.qsize() == 3
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in queued)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, -1)
    end.set()
    pool.shutdown()
    assert running.done()


def test_calls_that_a_shutdown_cancels_end_the_waits_for_them():
    end = raddle.Event()
    pool = futures.ThreadPoolExecutor(1)
    calls = [pool.submit(end.wait), *(pool.submit(abs, -1) for _ in range(3))]
    calls[1].cancel()
    waiting = raddle.Thread(target=lambda: (futures.wait(calls), list(futures.as_completed(calls))), daemon=True)
    waiting.start()
    pool.shutdown(wait=False, cancel_futures=True)
    end.set()
    waiting.join(LIMIT)
    assert not waiting.is_alive()


def test_thread_of_a_pool_survives_what_is_not_an_exception_of_its_call(caplog):
    def leave(_):
        raise SystemExit

    with futures.ThreadPoolExecutor(1) as pool:
        started, end = raddle.Event(), raddle.Event()
        call = pool.submit(lambda: (started.set(), end.wait()))
        started.wait()
        call.set_result("set by the program")
        later = pool.submit(abs, -1)
        later.add_done_callback(leave)
        end.set()
        assert call.result(LIMIT) == "set by the program" and later.result(LIMIT) == 1
        assert pool.submit(abs, -2).result(LIMIT) == 2
        assert len(pool._threads) == 1
    assert caplog.text.count("Exception in worker") == 2


def test_cancelled_call_does_not_keep_a_broken_pool_from_failing_the_others():
    begun, broken = raddle.Event(), raddle.Event()

    def fail():
        begun.set()
        broken.wait()
        raise ValueError

    pool = futures.ThreadPoolExecutor(1, initializer=fail)
    calls = [pool.submit(abs, -1) for _ in range(3)]
    begun.wait()
    calls[0].cancel()
    broken.set()
    for call in calls[1:]:
        assert isinstance(call.exception(LIMIT), futures.BrokenExecutor)
    assert futures.wait(calls, LIMIT).not_done == set()


def test_no_exception_is_a_result():
    future = futures.Future()
    future.set_exception(None)
    assert future.result(0) is None and future.exception(0) is None


def test_dropped_pool_runs_its_calls_and_ends_its_threads():
    end = raddle.Event()
    pool = futures.ThreadPoolExecutor(1)
    calls = [pool.submit(end.wait), pool.submit(abs, -1)]
    threads = list(pool._threads)
    del pool
    gc.collect()
    end.set()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert [call.result(0) for call in calls] == [True, 1]


def test_arguments_and_results_are_released(pool):
    class Thing:
        pass

    argument, result = Thing(), Thing()
    alive = [weakref.ref(argument), weakref.ref(result)]
    results = [result]
    future = pool.submit(lambda _: results.pop(), argument)
    del argument, result
    future.result(LIMIT)
    pool.submit(abs, 1).result(LIMIT)  # the thread has left the first call
    gc.collect()
    assert alive[0]() is None and alive[1]() is not None
    del future
    gc.collect()
    assert alive[1]() is None


def test_cycle_through_an_exception_is_collected(pool):
    future = futures.Future()
    alive = weakref.ref(future)

    def fail():
        mine = future  # a frame of the traceback refers to the future
        raise ValueError(mine)

    try:
        fail()
    except ValueError as error:
        future.set_exception(error)
    del future, fail
    gc.collect()
    assert alive() is None


def program(text):
    run = [sys.executable, "-c", textwrap.dedent(text)]
    out = subprocess.run(run, capture_output=True, text=True, timeout=LIMIT)
    return out.stdout, out.stderr


def test_interpreter_waits_for_calls_and_refuses_more():
    out, err = program(
        """
        import atexit, raddle, time
        from raddle import futures
        pool, unused = futures.ThreadPoolExecutor(1), futures.ThreadPoolExecutor(1)

        @atexit.register
        def late():
            for each in (pool, unused):
                try:
                    each.submit(abs, 1)
                except RuntimeError as error:
                    print(error)

        pool.submit(lambda: (time.sleep(0.1), print("ran")))
        """
    )
    assert (out, err) == ("ran\n" + 2 * "cannot schedule new futures after interpreter shutdown\n", "")


def test_pool_of_the_parent_works_in_the_child_of_a_fork():
    out, err = program(
        """
        import os, raddle, warnings
        from raddle import futures
        warnings.simplefilter("ignore", DeprecationWarning)
        pool = futures.ThreadPoolExecutor(1)
        pool.submit(abs, -1).result()
        child = os.fork()
        if child == 0:
            os._exit(pool.submit(abs, -7).result())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert (out, err) == ("7\n", "")


def test_shutdown_waits_for_every_accepted_call():
    for _ in range(200):
        pool, accepted, start = futures.ThreadPoolExecutor(2), raddle.SimpleQueue(), raddle.Event()

        def submit():
            start.wait()
            try:
                accepted.put(pool.submit(raddle.Event().wait, 0))
            except RuntimeError:
                accepted.put(None)

        threads = [raddle.Thread(target=submit) for _ in range(2)]
        for thread in threads:
            thread.start()
        start.set()
        pool.shutdown()
        for future in (accepted.get(timeout=LIMIT) for _ in threads):
            assert future is None or future.done()
        for thread in threads:
            thread.join(LIMIT)


def test_call_may_be_submitted_while_a_thread_is_started():
    """A destructor, or the handler of a signal, may submit a call at any time."""
    late = []

    class Pool(futures.ThreadPoolExecutor):
        def _start_thread(self, number):
            if number == 0:
                late.append(self.submit(abs, -2))
            super()._start_thread(number)

    with Pool(2) as pool:
        assert pool.submit(abs, -1).result(LIMIT) == 1
        assert late[0].result(LIMIT) == 2
        assert len(pool._threads) <= 2


@explores
def test_every_schedule_of_a_shutdown_waits_for_accepted_calls():
    def program():
        pool, ran, accepted = futures.ThreadPoolExecutor(1), [], []

        def submit():
            try:
                pool.submit(ran.append, 1)
                accepted.append(1)
            except RuntimeError:
                pass

        thread = threading.Thread(target=submit)
        thread.start()
        pool.shutdown()
        thread.join()
        assert ran == accepted

    outcome = raddle.check(program)
    assert isinstance(outcome, raddle.Exhausted)


@explores
def test_executions_with_sets_of_futures_are_repeatable():
    def program():
        with futures.ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(abs, -n) for n in (1, 2)]
            assert sum(call.result() for call in futures.as_completed(calls)) == 3
            done, not_done = futures.wait(calls)
            assert [call.result() for call in done] == [1, 2] and not not_done

    outcome = raddle.outcome_of(program, executions=300, seconds=20)
    assert not isinstance(outcome, raddle.Failed), outcome
    assert "repeatable" not in str(outcome) and "different steps" not in str(outcome), outcome


@explores
def test_threads_of_an_exploration_are_not_joined_at_the_end():
    out, err = program(
        """
        import raddle
        from raddle import futures

        kept = []

        def program():
            kept.append(futures.ThreadPoolExecutor(1))
            kept[-1].submit(abs, -1).result()
            assert not kept

        print(type(raddle.outcome_of(program)).__name__)
        """
    )
    assert (out, err) == ("Failed\n", "")
