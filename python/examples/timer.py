"""A timer calls a function later, in a thread of its own, unless it is cancelled before."""

import logging
import threading


def main(delay=0.2):
    called = []

    def give_up(reason):
        logging.info("Timer: %s", reason)
        called.append(reason)

    timer = threading.Timer(delay, give_up, args=("nobody answered",))
    timer.start()
    timer.join()
    cancelled = threading.Timer(60, give_up, args=("never called",))
    cancelled.start()
    cancelled.cancel()
    cancelled.join()
    logging.info("Main: the timer was called %d times", len(called))
    assert called == ["nobody answered"]


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
