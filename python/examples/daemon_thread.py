"""A daemon thread, which the program does not wait for."""

import logging

from single_thread import main

if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s: %(message)s", level=logging.INFO, datefmt="%H:%M:%S")
    main(daemon=True)
