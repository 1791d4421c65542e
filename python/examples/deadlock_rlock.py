"""No deadlock: the thread that holds a re-entrant lock can acquire it again."""

import threading


def main():
    lock = threading.RLock()
    print("before first acquire")
    lock.acquire()
    print("before second acquire")
    lock.acquire()
    print("acquired lock twice")
    lock.release()
    lock.release()
    try:
        lock.release()
    except RuntimeError as error:
        print("released once too often:", error)


if __name__ == "__main__":
    main()
