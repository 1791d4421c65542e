"""The same with a pool, which is joined when its block is left."""

import concurrent.futures
import logging
import time


def thread_function(name):
    logging.info("Thread %s: starting", name)
    time.sleep(0.1)
    logging.info("Thread %s: finishing", name)
    return name


def main():
    with concurrent.futures.ThreadPoolExecutor(max_workers=3) as executor:
        return list(executor.map(thread_function, range(3)))


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
