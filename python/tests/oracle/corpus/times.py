"""Timers, timeouts, sleeps and polls."""

import threading
import time
from time import monotonic, sleep


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails_sleep_for_order():
    box = []

    def produce():
        box.append(1)

    def consume():
        time.sleep(0.1)
        assert box

    run(produce, consume)


def holds_join_for_order():
    box = []
    producer = threading.Thread(target=lambda: box.append(1))
    producer.start()

    def consume():
        producer.join()
        assert box

    run(consume)


def fails_sleep_in_update():
    class Database:
        value = 0

        def update(self):
            copy = self.value
            copy += 1
            sleep(0.1)
            self.value = copy

    database = Database()
    run(database.update, database.update)
    assert database.value == 2


def holds_sleep_in_update():
    class Database:
        value = 0
        lock = threading.Lock()

        def update(self):
            with self.lock:
                copy = self.value
                copy += 1
                sleep(0.1)
                self.value = copy

    database = Database()
    run(database.update, database.update)
    assert database.value == 2


def fails_timer():
    log = []
    timer = threading.Timer(1.0, log.append, args=("late",))
    timer.start()
    log.append("early")
    timer.join()
    assert log == ["early", "late"]


def holds_timer():
    log = []
    timer = threading.Timer(1.0, log.append, args=("late",))
    timer.start()
    timer.join()
    log.append("after")
    assert log == ["late", "after"]


def fails_timer_cancelled_too_late():
    fired = []
    timer = threading.Timer(1.0, fired.append, args=(1,))
    timer.start()
    timer.cancel()
    timer.join()
    assert not fired


def holds_timer_cancelled_before_start():
    fired = []
    timer = threading.Timer(1.0, fired.append, args=(1,))
    timer.cancel()
    timer.start()
    timer.join()
    assert not fired


def fails_join_with_timeout():
    result = []
    thread = threading.Thread(target=lambda: result.append(1))
    thread.start()
    thread.join(timeout=1)
    assert result


def holds_join_with_timeout():
    result = []
    thread = threading.Thread(target=lambda: result.append(1))
    thread.start()
    thread.join(timeout=1)
    if not thread.is_alive():
        assert result
    thread.join()


def fails_is_alive():
    result = []

    def work():
        result.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    assert thread.is_alive()
    thread.join()


def holds_is_alive():
    result = []

    def work():
        result.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not thread.is_alive() and result


def fails_lock_with_timeout():
    lock, failed = threading.Lock(), []

    def work():
        if lock.acquire(timeout=2):
            try:
                sleep(1)
            finally:
                lock.release()
        else:
            failed.append(1)

    run(work, work)
    assert not failed


def holds_lock_with_timeout():
    lock, failed, worked = threading.Lock(), [], []

    def work():
        if lock.acquire(timeout=2):
            try:
                worked.append(1)
            finally:
                lock.release()
        else:
            failed.append(1)

    run(work, work)
    assert len(failed) + len(worked) == 2 and worked


def fails_poll_for_a_flag():
    class Worker:
        ready = False
        data = None

        def work(self):
            self.ready = True
            self.data = 1

    worker = Worker()
    thread = threading.Thread(target=worker.work)
    thread.start()
    while not worker.ready:
        sleep(0.01)
    assert worker.data == 1
    thread.join()


def holds_poll_for_a_flag():
    class Worker:
        ready = False
        data = None

        def work(self):
            self.data = 1
            self.ready = True

    worker = Worker()
    thread = threading.Thread(target=worker.work)
    thread.start()
    while not worker.ready:
        sleep(0.01)
    assert worker.data == 1
    thread.join()


def fails_poll_until_deadline():
    done = []
    thread = threading.Thread(target=lambda: done.append(1))
    thread.start()
    until = monotonic() + 0.05
    while not done and monotonic() < until:
        sleep(0.02)
    assert done
    thread.join()


def holds_poll_until_deadline():
    done = []
    thread = threading.Thread(target=lambda: done.append(1))
    thread.start()
    until = monotonic() + 0.05
    while not done and monotonic() < until:
        sleep(0.02)
    thread.join()
    assert done


def fails_heartbeat():
    stop, beats = threading.Event(), []

    def beat():
        while not stop.wait(1.0):
            beats.append(1)

    thread = threading.Thread(target=beat)
    thread.start()
    stop.set()
    thread.join()
    assert not beats


def holds_heartbeat():
    stop, beats = threading.Event(), []

    def beat():
        while not stop.wait(1.0):
            beats.append(1)

    thread = threading.Thread(target=beat)
    stop.set()
    thread.start()
    thread.join()
    assert not beats


def fails_elapsed_time():
    began = time.monotonic()
    thread = threading.Thread(target=lambda: time.sleep(0.5))
    thread.start()
    thread.join(timeout=0.1)
    assert time.monotonic() - began < 0.4
    thread.join()
    assert time.monotonic() - began < 0.5


def holds_elapsed_time():
    began = time.monotonic()
    thread = threading.Thread(target=lambda: time.sleep(0.5))
    thread.start()
    thread.join()
    assert time.monotonic() - began >= 0.5


def fails_cache_that_expires():
    cache = {"a": 1}

    def expire():
        sleep(10)
        cache.pop("a", None)

    def use():
        if "a" in cache:
            sleep(1)
            assert cache["a"] == 1

    run(expire, use)


def holds_cache_that_expires():
    cache = {"a": 1}

    def expire():
        sleep(10)
        cache.pop("a", None)

    def use():
        value = cache.get("a")
        sleep(1)
        assert value in (1, None)

    run(expire, use)
