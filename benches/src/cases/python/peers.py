"""Does the work of one sample in Python, and prints its nanoseconds: by the clock, and of the processor."""

import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor


def put_get(count):
    items = queue.Queue(1000)

    def run():
        for n in range(count):
            items.put(n)
            items.get()

    return run


def one_to_one(count):
    items = queue.Queue(1000)

    def produce():
        for n in range(count):
            items.put(n)

    def run():
        producer = threading.Thread(target=produce)
        producer.start()
        for _ in range(count):
            items.get()
        producer.join()

    return run


def round_trip(count):
    pool = ThreadPoolExecutor(2)
    pool.submit(int).result()

    def run():
        for _ in range(count):
            pool.submit(int).result()

    return run


def semaphore(count):
    permits = threading.Semaphore(2)

    def run():
        for _ in range(count):
            permits.acquire()
            permits.release()

    return run


def event(count):
    flag = threading.Event()

    def run():
        for _ in range(count):
            flag.set()
            flag.wait()
            flag.clear()

    return run


run = {
    "put-get": put_get,
    "1p1c": one_to_one,
    "round-trip": round_trip,
    "semaphore": semaphore,
    "event": event,
}[sys.argv[1]](int(sys.argv[2]))
clock, used = time.perf_counter_ns(), time.process_time_ns()
run()
print(time.perf_counter_ns() - clock, time.process_time_ns() - used)
