"""Threads that all get ready before one of them begins to work."""

import logging
import threading


def main(parties=3):
    barrier = threading.Barrier(parties)
    steps = []

    def work(index):
        logging.info("Thread %d: initialised", index)
        steps.append("initialised")
        barrier.wait()
        logging.info("Thread %d: working", index)
        steps.append("working")

    threads = [threading.Thread(target=work, args=(index,)) for index in range(parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert steps == ["initialised"] * parties + ["working"] * parties


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main()
