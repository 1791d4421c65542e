"""Threads that share a pool of connections: never more than there are."""

import logging
import threading
import time


class Connections:
    def __init__(self, count):
        self.free = threading.BoundedSemaphore(count)
        self.lock = threading.Lock()
        self.in_use = 0
        self.most = 0

    def use(self, name):
        with self.free:
            with self.lock:
                self.in_use += 1
                self.most = max(self.most, self.in_use)
                logging.info("Thread %d: connections in use: %d", name, self.in_use)
            time.sleep(0.01)
            with self.lock:
                self.in_use -= 1


def main(threads=10, count=3):
    connections = Connections(count)
    started = [threading.Thread(target=connections.use, args=(index,)) for index in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert connections.most <= count and connections.in_use == 0
    try:
        connections.free.release()
    except ValueError as error:
        logging.info("One release too many: %s", error)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
