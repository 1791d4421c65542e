"""A producer and a consumer, with a queue and an event that stops both. This program can hang."""

import concurrent.futures
import logging
import queue
import random
import threading
import time


def producer(pipeline, event):
    while not event.is_set():
        message = random.randint(1, 101)
        logging.info("Producer got message: %s", message)
        pipeline.put(message)
    logging.info("Producer received EXIT event. Exiting")


def consumer(pipeline, event):
    while not event.is_set() or not pipeline.empty():
        message = pipeline.get()  # the producer may have stopped since the event was read
        logging.info("Consumer storing message: %s (size=%d)", message, pipeline.qsize())
    logging.info("Consumer received EXIT event. Exiting")


def main(maxsize=10):
    pipeline = queue.Queue(maxsize=maxsize)
    event = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as executor:
        executor.submit(producer, pipeline, event)
        executor.submit(consumer, pipeline, event)
        time.sleep(0.1)
        logging.info("Main: about to set event")
        event.set()


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
