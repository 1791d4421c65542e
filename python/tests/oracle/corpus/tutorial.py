"""The programs of the tutorial, without the sleeps that make their races likely, and each as it is mended there."""

import concurrent.futures
import logging
import queue
import threading

SENTINEL = object()


class FakeDatabase:
    def __init__(self):
        self.value = 0
        self._lock = threading.Lock()

    def update(self, name):
        logging.info("Thread %s: starting update", name)
        local_copy = self.value
        local_copy += 1
        self.value = local_copy
        logging.info("Thread %s: finishing update", name)

    def locked_update(self, name):
        logging.info("Thread %s: starting update", name)
        logging.debug("Thread %s about to lock", name)
        with self._lock:
            logging.debug("Thread %s has lock", name)
            local_copy = self.value
            local_copy += 1
            self.value = local_copy
        logging.debug("Thread %s after release", name)


def fails_racecond():
    database = FakeDatabase()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        for index in range(2):
            executor.submit(database.update, index)
    assert database.value == 2


def holds_fixrace():
    database = FakeDatabase()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        for index in range(2):
            executor.submit(database.locked_update, index)
    assert database.value == 2


def fails_deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def holds_deadlock_rlock():
    lock = threading.RLock()
    lock.acquire()
    lock.acquire()
    lock.release()
    lock.release()


class Pipeline:
    """A pipeline of one message between a producer and a consumer."""

    def __init__(self):
        self.message = 0
        self.producer_lock = threading.Lock()
        self.consumer_lock = threading.Lock()
        self.consumer_lock.acquire()

    def get_message(self):
        self.consumer_lock.acquire()
        message = self.message
        self.producer_lock.release()
        return message

    def set_message(self, message):
        self.producer_lock.acquire()
        self.message = message
        self.consumer_lock.release()


class OpenPipeline(Pipeline):
    """Lets the consumer in before there is a message."""

    def __init__(self):
        super().__init__()
        self.consumer_lock.release()
        self.producer_lock.acquire()

    def set_message(self, message):
        self.message = message
        if self.consumer_lock.locked():
            self.consumer_lock.release()


def pipe(pipeline):
    stored = []

    def producer():
        for message in (7, SENTINEL):
            pipeline.set_message(message)

    def consumer():
        message = 0
        while message is not SENTINEL:
            message = pipeline.get_message()
            if message is not SENTINEL:
                stored.append(message)

    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        executor.submit(producer)
        executor.submit(consumer)
    assert stored == [7]


def fails_prodcom_lock():
    pipe(OpenPipeline())


def holds_prodcom_lock():
    pipe(Pipeline())


def prodcom_queue(producer_tries, consumer_drains):
    pipeline, event, got, stored = queue.Queue(maxsize=1), threading.Event(), [], []

    def producer():
        for message in (1, 2):
            if event.is_set():
                break
            got.append(message)
            if producer_tries:
                try:
                    pipeline.put_nowait(message)
                except queue.Full:
                    got.pop()
            else:
                pipeline.put(message)

    def consumer():
        while not event.is_set() or consumer_drains and not pipeline.empty():
            try:
                stored.append(pipeline.get_nowait() if producer_tries else pipeline.get())
            except queue.Empty:
                return

    threads = [threading.Thread(target=producer), threading.Thread(target=consumer)]
    for thread in threads:
        thread.start()
    event.set()
    for thread in threads:
        thread.join()


def fails_prodcom_queue():
    # The consumer is blocked on the empty queue when the event is set, or the producer on the full one.
    prodcom_queue(False, True)


def holds_prodcom_queue():
    prodcom_queue(True, True)


def fails_semaphore():
    free, used = threading.Semaphore(2), [0]

    def connect():
        with free:
            used[0] += 1
            assert used[0] <= 1
            used[0] -= 1

    threads = [threading.Thread(target=connect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def holds_semaphore():
    free, used = threading.Semaphore(1), [0]

    def connect():
        with free:
            used[0] += 1
            assert used[0] <= 1
            used[0] -= 1

    threads = [threading.Thread(target=connect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails_barrier_in_pool():
    barrier, initialised = threading.Barrier(2), []

    def work(number):
        initialised.append(number)
        barrier.wait()
        assert initialised == [0, 1]
        return number

    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        assert sorted(executor.map(work, range(2))) == [0, 1]


def holds_barrier_in_pool():
    barrier, initialised = threading.Barrier(2), []

    def work(number):
        initialised.append(number)
        barrier.wait()
        assert sorted(initialised) == [0, 1]
        return number

    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        assert sorted(executor.map(work, range(2))) == [0, 1]


def fails_barrier_in_pool_of_one():
    barrier = threading.Barrier(2)
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as executor:
        for _ in range(2):
            executor.submit(barrier.wait)


def holds_answer_cancels_timer():
    gave_up = []
    timer = threading.Timer(5.0, gave_up.append, args=(True,))
    timer.start()
    answer = "yes"
    timer.cancel()
    timer.join()
    assert answer == "yes" and len(gave_up) <= 1
