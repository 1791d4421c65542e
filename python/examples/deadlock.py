"""A deadlock: a thread acquires a lock that it holds already."""

import threading


def main():
    lock = threading.Lock()
    print("before first acquire")
    lock.acquire()
    print("before second acquire")
    lock.acquire()
    print("acquired lock twice")


if __name__ == "__main__":
    main()
