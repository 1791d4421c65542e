"""One thread, which the program waits for although nothing joins it."""

import logging
import threading
import time


def thread_function(name):
    logging.info("Thread %s: starting", name)
    time.sleep(0.2)
    logging.info("Thread %s: finishing", name)


def main(daemon=False, join=False):
    logging.info("Main    : before creating thread")
    thread = threading.Thread(target=thread_function, args=(1,), daemon=daemon)
    logging.info("Main    : before running thread")
    thread.start()
    logging.info("Main    : wait for the thread to finish")
    if join:
        thread.join()
    logging.info("Main    : all done")


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
