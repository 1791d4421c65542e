"""Queues: producers and consumers, sentinels, sizes, polls and orders."""

import queue
import threading
from queue import Empty, Full, LifoQueue, PriorityQueue, Queue, SimpleQueue


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails_empty_then_get():
    jobs = Queue()
    jobs.put(1)

    def work():
        if not jobs.empty():
            jobs.get()

    run(work, work)


def holds_get_without_blocking():
    jobs = Queue()
    jobs.put(1)

    def work():
        try:
            jobs.get_nowait()
        except Empty:
            pass

    run(work, work)
    assert jobs.empty()


def fails_while_not_empty():
    jobs, done = Queue(), []

    def produce():
        jobs.put(1)

    def consume():
        while not jobs.empty():
            done.append(jobs.get())

    run(produce, consume)
    assert done == [1]


def holds_sentinel():
    jobs, done = Queue(), []

    def produce():
        jobs.put(1)
        jobs.put(None)

    def consume():
        while (job := jobs.get()) is not None:
            done.append(job)

    run(produce, consume)
    assert done == [1]


def fails_one_sentinel_for_two():
    jobs = Queue()

    def consume():
        while jobs.get() is not None:
            pass

    run(consume, consume, lambda: jobs.put(None))


def holds_sentinel_passed_on():
    jobs = Queue()

    def consume():
        while jobs.get() is not None:
            pass
        jobs.put(None)

    run(consume, consume, lambda: jobs.put(None))


def fails_qsize():
    jobs = Queue(maxsize=1)

    def offer():
        if jobs.qsize() < 1:
            jobs.put_nowait(1)

    run(offer, offer)


def holds_put_without_blocking():
    jobs, refused = Queue(maxsize=1), []

    def offer():
        try:
            jobs.put_nowait(1)
        except Full:
            refused.append(1)

    run(offer, offer)
    assert len(refused) == 1


def fails_full_queue_without_consumer():
    jobs = Queue(maxsize=1)
    stopped = threading.Event()

    def produce():
        jobs.put(1)
        jobs.put(2)

    def consume():
        if not stopped.is_set():
            jobs.get()

    run(produce, consume, stopped.set)


def holds_full_queue_drained():
    jobs, got = Queue(maxsize=1), []

    def produce():
        jobs.put(1)
        jobs.put(2)

    def consume():
        got.append(jobs.get())
        got.append(jobs.get())

    run(produce, consume)
    assert got == [1, 2]


def fails_get_times_out():
    jobs = Queue()
    run(lambda: jobs.put(1), lambda: jobs.get(timeout=1))


def holds_get_times_out():
    jobs, got = Queue(), []

    def consume():
        try:
            got.append(jobs.get(timeout=1))
        except Empty:
            pass

    run(lambda: jobs.put(1), consume)
    assert len(got) + jobs.qsize() == 1


def fails_task_done_missing():
    jobs = Queue()

    def consume():
        if jobs.get() != "bad":
            jobs.task_done()

    worker = threading.Thread(target=consume)
    worker.start()
    jobs.put("bad")
    jobs.join()
    worker.join()


def holds_task_done():
    jobs, done = Queue(), []

    def consume():
        job = jobs.get()
        done.append(job)
        jobs.task_done()

    worker = threading.Thread(target=consume)
    worker.start()
    jobs.put("good")
    jobs.join()
    assert done == ["good"]
    worker.join()


def fails_task_done_before_the_work():
    jobs, done = Queue(), []

    def consume():
        job = jobs.get()
        jobs.task_done()
        done.append(job)

    worker = threading.Thread(target=consume)
    worker.start()
    jobs.put(1)
    jobs.join()
    assert done == [1]
    worker.join()


def holds_daemon_worker():
    jobs, done = Queue(), []

    def consume():
        while True:
            done.append(jobs.get())
            jobs.task_done()

    threading.Thread(target=consume, daemon=True).start()
    jobs.put(1)
    jobs.join()
    assert done == [1]


def fails_order_of_two_consumers():
    jobs, done = Queue(), []
    for number in (1, 2):
        jobs.put(number)
    run(lambda: done.append(jobs.get()), lambda: done.append(jobs.get()))
    assert done == [1, 2]


def holds_order_of_one_consumer():
    jobs, done = Queue(), []
    for number in (1, 2):
        jobs.put(number)

    def consume():
        done.append(jobs.get())
        done.append(jobs.get())

    run(consume)
    assert done == [1, 2]


def fails_priority_queue():
    jobs, first = PriorityQueue(), []

    def produce():
        jobs.put((2, "later"))
        jobs.put((1, "now"))

    run(produce, lambda: first.append(jobs.get()[1]))
    assert first == ["now"]


def holds_priority_queue():
    jobs, first = PriorityQueue(), []

    def produce():
        jobs.put((2, "later"))
        jobs.put((1, "now"))

    produce()
    run(lambda: first.append(jobs.get()[1]))
    assert first == ["now"]


def fails_lifo_queue():
    stack, top = LifoQueue(), []
    run(lambda: stack.put("a"), lambda: stack.put("b"))
    top.append(stack.get())
    assert top == ["b"]


def holds_lifo_queue():
    stack = LifoQueue()
    run(lambda: stack.put("a"), lambda: stack.put("b"))
    assert {stack.get(), stack.get()} == {"a", "b"}


def fails_simple_queue():
    jobs, got = SimpleQueue(), []
    run(lambda: jobs.put("a"), lambda: jobs.put("b"), lambda: got.append(jobs.get()))
    assert got == ["a"]


def holds_simple_queue():
    jobs, got = SimpleQueue(), []
    run(lambda: jobs.put("a"), lambda: got.append(jobs.get()))
    assert got == ["a"] and jobs.empty()


def fails_item_changed_after_put():
    jobs, seen = Queue(), []

    def produce():
        job = {"state": "new"}
        jobs.put(job)
        job["state"] = "sent"

    run(produce, lambda: seen.append(jobs.get()["state"]))
    assert seen == ["sent"]


def holds_item_changed_before_put():
    jobs, seen = Queue(), []

    def produce():
        job = {"state": "new"}
        job["state"] = "sent"
        jobs.put(job)

    run(produce, lambda: seen.append(jobs.get()["state"]))
    assert seen == ["sent"]


def fails_two_queues_crosswise():
    left, right = Queue(), Queue()

    def one():
        left.get()
        right.put(1)

    def two():
        right.get()
        left.put(1)

    run(one, two)


def holds_two_queues_in_turn():
    left, right = Queue(), Queue()

    def one():
        right.put(1)
        left.get()

    def two():
        right.get()
        left.put(1)

    run(one, two)


class UniqueQueue(Queue):
    """A queue that keeps each item once: overrides what the standard library's queue is made of."""

    def _init(self, maxsize):
        self.queue = set()

    def _put(self, item):
        self.queue.add(item)

    def _get(self):
        return self.queue.pop()


def fails_subclass_of_queue():
    jobs = UniqueQueue()

    def produce():
        jobs.put(1)

    run(produce, produce, jobs.get)
    assert jobs.qsize() == 0


def holds_subclass_of_queue():
    jobs = UniqueQueue()
    run(lambda: jobs.put(1), lambda: jobs.put(1))
    assert jobs.qsize() == 1


def fails_underlying_container():
    jobs = Queue()
    jobs.put(1)

    def clear():
        if jobs.queue:
            jobs.queue.popleft()

    run(clear, clear)


def holds_underlying_container():
    jobs = Queue()
    jobs.put(1)

    def clear():
        with jobs.mutex:
            if jobs.queue:
                jobs.queue.popleft()

    run(clear, clear)


def fails_stop_flag_and_queue():
    jobs, stop, done = Queue(), threading.Event(), []

    def consume():
        while not stop.is_set():
            try:
                done.append(jobs.get_nowait())
            except queue.Empty:
                return

    def produce():
        jobs.put(1)
        stop.set()

    run(produce, consume)
    assert done == [1]


def holds_drained_after_stop():
    jobs, stop, done = Queue(), threading.Event(), []

    def produce():
        jobs.put(1)
        stop.set()

    def consume():
        stop.wait()
        while not jobs.empty():
            done.append(jobs.get())

    run(produce, consume)
    assert done == [1]
