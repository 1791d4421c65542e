"""Pools and futures."""

import concurrent.futures
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed, wait


class Database:
    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()

    def update(self, name):
        copy = self.value
        copy += 1
        self.value = copy

    def locked_update(self, name):
        with self.lock:
            self.update(name)


def fails_submit():
    database = Database()
    with ThreadPoolExecutor(max_workers=2) as executor:
        for index in range(2):
            executor.submit(database.update, index)
    assert database.value == 2


def holds_submit():
    database = Database()
    with ThreadPoolExecutor(max_workers=2) as executor:
        for index in range(2):
            executor.submit(database.locked_update, index)
    assert database.value == 2


def fails_map():
    database = Database()
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        list(executor.map(database.update, range(2)))
    assert database.value == 2


def holds_map_of_one_worker():
    database = Database()
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        list(executor.map(database.update, range(2)))
    assert database.value == 2


def fails_c_function_in_pool():
    order = []
    with ThreadPoolExecutor(2) as executor:
        executor.submit(order.append, 1)
        executor.submit(order.append, 2)
    assert order == [1, 2]


def holds_c_function_in_pool():
    order = []
    with ThreadPoolExecutor(1) as executor:
        executor.submit(order.append, 1)
        executor.submit(order.append, 2)
    assert order == [1, 2]


def fails_result_not_awaited():
    totals = []
    with ThreadPoolExecutor(1) as executor:
        executor.submit(totals.append, 1)
        assert totals == [1]


def holds_result_awaited():
    totals = []
    with ThreadPoolExecutor(1) as executor:
        executor.submit(totals.append, 1).result()
        assert totals == [1]


def fails_done():
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(int, "7")
        assert future.done()


def holds_done():
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(int, "7")
    assert future.done() and future.result() == 7


def fails_shutdown_without_wait():
    done = []
    executor = ThreadPoolExecutor(1)
    executor.submit(done.append, 1)
    executor.shutdown(wait=False)
    assert done


def holds_shutdown():
    done = []
    executor = ThreadPoolExecutor(1)
    executor.submit(done.append, 1)
    executor.shutdown()
    assert done


def fails_shutdown_cancels():
    done = []
    executor = ThreadPoolExecutor(1)
    executor.submit(done.append, 1)
    executor.submit(done.append, 2)
    executor.shutdown(wait=True, cancel_futures=True)
    assert len(done) == 2


def holds_shutdown_cancels():
    done = []
    executor = ThreadPoolExecutor(1)
    futures = [executor.submit(done.append, n) for n in (1, 2)]
    executor.shutdown(wait=True, cancel_futures=True)
    assert len(done) == sum(not future.cancelled() for future in futures)


def fails_cancel():
    done = []
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(done.append, 1)
        assert future.cancel()


def holds_cancel():
    done = []
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(done.append, 1)
        cancelled = future.cancel()
    assert cancelled == (not done)


def fails_callback():
    log = []
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(int, "1")
        future.add_done_callback(lambda future: log.append("callback"))
        log.append("submitted")
    assert log == ["submitted", "callback"]


def holds_callback():
    log = []
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(int, "1")
        log.append("submitted")
        future.add_done_callback(lambda future: log.append("callback"))
    assert log == ["submitted", "callback"]


def fails_callbacks_share_a_total():
    totals = {"sum": 0}

    def add(future):
        totals["sum"] += future.result()

    with ThreadPoolExecutor(2) as executor:
        for number in (1, 2):
            executor.submit(abs, number).add_done_callback(add)
    assert totals["sum"] == 3


def holds_results_added_by_main():
    totals = {"sum": 0}
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(abs, number) for number in (1, 2)]
        for future in futures:
            totals["sum"] += future.result()
    assert totals["sum"] == 3


def fails_as_completed_order():
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(abs, number) for number in (1, 2)]
        assert [future.result() for future in as_completed(futures)] == [1, 2]


def holds_as_completed_order():
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(abs, number) for number in (1, 2)]
        assert sorted(future.result() for future in as_completed(futures)) == [1, 2]


def fails_first_completed():
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(abs, number) for number in (1, 2)]
        done, not_done = wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
        assert not not_done


def holds_all_completed():
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(abs, number) for number in (1, 2)]
        done, not_done = wait(futures)
        assert not not_done


def fails_result_times_out():
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(abs, -1)
        assert future.result(timeout=1) == 1


def holds_result_times_out():
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(abs, -1)
        try:
            assert future.result(timeout=1) == 1
        except concurrent.futures.TimeoutError:
            pass
    assert future.result() == 1


def fails_task_waits_for_task():
    with ThreadPoolExecutor(1) as executor:
        def outer():
            return executor.submit(int, "1").result()

        assert executor.submit(outer).result() == 1


def holds_task_waits_for_task():
    with ThreadPoolExecutor(2) as executor:
        def outer():
            return executor.submit(int, "1").result()

        assert executor.submit(outer).result() == 1


def fails_exception_of_task():
    stock = [1]
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(stock.pop) for _ in range(2)]
        for future in futures:
            future.result()


def holds_exception_of_task():
    stock = [1]
    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(stock.pop) for _ in range(2)]
    assert sum(future.exception() is not None for future in futures) == 1


def fails_initializer():
    ready = []
    with ThreadPoolExecutor(2, initializer=ready.append, initargs=(1,)) as executor:
        executor.submit(int)
        executor.submit(int)
    assert len(ready) == 2


def holds_initializer():
    ready = []
    with ThreadPoolExecutor(1, initializer=ready.append, initargs=(1,)) as executor:
        executor.submit(int)
        executor.submit(int)
    assert len(ready) == 1


def fails_future_by_hand():
    future = concurrent.futures.Future()
    seen = []

    def produce():
        future.set_result(1)
        seen.append("set")

    thread = threading.Thread(target=produce)
    thread.start()
    assert future.result() == 1
    assert seen == ["set"]
    thread.join()


def holds_future_by_hand():
    future = concurrent.futures.Future()
    seen = []

    def produce():
        seen.append("set")
        future.set_result(1)

    thread = threading.Thread(target=produce)
    thread.start()
    assert future.result() == 1
    assert seen == ["set"]
    thread.join()
