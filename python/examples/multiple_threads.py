"""Three threads in a list, joined in order. They finish in any order."""

import logging
import random
import threading
import time


def thread_function(name):
    logging.info("Thread %s: starting", name)
    time.sleep(random.random() / 10)
    logging.info("Thread %s: finishing", name)


def main():
    threads = []
    for index in range(3):
        logging.info("Main    : create and start thread %d.", index)
        thread = threading.Thread(target=thread_function, args=(index,))
        threads.append(thread)
        thread.start()
    for index, thread in enumerate(threads):
        logging.info("Main    : before joining thread %d.", index)
        thread.join()
        logging.info("Main    : thread %d done", index)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
