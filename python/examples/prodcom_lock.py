"""A producer and a consumer, with a pipeline for one message: two locks, each released by the other thread."""

import concurrent.futures
import logging
import random
import threading

SENTINEL = object()


class Pipeline:
    """Holds one message between a producer and a consumer."""

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


def producer(pipeline, count):
    for _ in range(count):
        message = random.randint(1, 101)
        logging.info("Producer got message: %s", message)
        pipeline.set_message(message)
    pipeline.set_message(SENTINEL)


def consumer(pipeline):
    stored = []
    while (message := pipeline.get_message()) is not SENTINEL:
        logging.info("Consumer storing message: %s", message)
        stored.append(message)
    return stored


def main(count=10):
    pipeline = Pipeline()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        executor.submit(producer, pipeline, count)
        stored = executor.submit(consumer, pipeline)
    assert len(stored.result()) == count


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
