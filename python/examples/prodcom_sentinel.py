"""The program cannot hang: the producer puts a last item, and the consumer stops at that item."""

import concurrent.futures
import logging
import queue
import random
import threading
import time

SENTINEL = object()


def producer(pipeline, event, limit=None):
    while not event.is_set() and limit != 0:
        message = random.randint(1, 101)
        logging.info("Producer got message: %s", message)
        pipeline.put(message)
        limit = None if limit is None else limit - 1
    pipeline.put(SENTINEL)
    logging.info("Producer received EXIT event. Exiting")


def consumer(pipeline):
    while (message := pipeline.get()) is not SENTINEL:
        logging.info("Consumer storing message: %s (size=%d)", message, pipeline.qsize())
    logging.info("Consumer received EXIT event. Exiting")


def main(maxsize=10, limit=None):
    pipeline = queue.Queue(maxsize=maxsize)
    event = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        tasks = [executor.submit(producer, pipeline, event, limit), executor.submit(consumer, pipeline)]
        time.sleep(0.1)
        logging.info("Main: about to set event")
        event.set()
    for task in tasks:
        task.result()
    assert pipeline.empty()


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
