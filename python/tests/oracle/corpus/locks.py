"""Locks that are the wrong ones, held too briefly, taken in different orders or twice, and semaphores."""

import threading
from threading import Lock, RLock, Semaphore


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


module_lock = Lock()
tally = 0


def fails_lock_of_its_own():
    global tally
    tally = 0

    def add():
        global tally
        with Lock():
            tally += 1

    run(add, add)
    assert tally == 2


def holds_lock_of_its_own():
    global tally
    tally = 0

    def add():
        global tally
        with module_lock:
            tally += 1

    run(add, add)
    assert tally == 2


def fails_two_locks_for_one_value():
    first, second, values = Lock(), Lock(), [0]

    def add(lock):
        with lock:
            values[0] += 1

    run(lambda: add(first), lambda: add(second))
    assert values == [2]


def holds_two_locks_for_two_values():
    first, second, values = Lock(), Lock(), [0, 0]

    def add(lock, index):
        with lock:
            values[index] += 1

    run(lambda: add(first, 0), lambda: add(second, 1))
    assert values == [1, 1]


def fails_lock_released_between():
    lock, stock, sold = Lock(), [1], []

    def sell():
        with lock:
            available = stock[0] > 0
        if available:
            with lock:
                stock[0] -= 1
                sold.append(1)

    run(sell, sell)
    assert len(sold) == 1


def holds_lock_released_between():
    lock, stock, sold = Lock(), [1], []

    def sell():
        with lock:
            if stock[0] > 0:
                stock[0] -= 1
                sold.append(1)

    run(sell, sell)
    assert len(sold) == 1


def fails_reader_without_lock():
    lock, pair = Lock(), [1, 1]

    def write():
        with lock:
            pair[0] = 2
            pair[1] = 2

    def read():
        assert pair[0] == pair[1]

    run(write, read)


def holds_reader_with_lock():
    lock, pair = Lock(), [1, 1]

    def write():
        with lock:
            pair[0] = 2
            pair[1] = 2

    def read():
        with lock:
            assert pair[0] == pair[1]

    run(write, read)


def fails_abba():
    a, b = Lock(), Lock()

    def one():
        with a, b:
            pass

    def two():
        with b:
            with a:
                pass

    run(one, two)


def holds_abba():
    a, b = Lock(), Lock()

    def both():
        with a, b:
            pass

    run(both, both)


class Account:
    def __init__(self, number):
        self.number, self.balance, self.lock = number, 10, Lock()


def transfer(source, target, ordered):
    first, second = (source, target) if not ordered or source.number < target.number else (target, source)
    with first.lock:
        with second.lock:
            source.balance -= 1
            target.balance += 1


def fails_transfer_both_ways():
    a, b = Account(1), Account(2)
    run(lambda: transfer(a, b, False), lambda: transfer(b, a, False))


def holds_transfer_both_ways():
    a, b = Account(1), Account(2)
    run(lambda: transfer(a, b, True), lambda: transfer(b, a, True))
    assert a.balance == b.balance == 10


def fails_three_locks_in_a_circle():
    forks = [Lock() for _ in range(3)]

    def dine(seat):
        with forks[seat]:
            with forks[(seat + 1) % 3]:
                pass

    run(*[lambda seat=seat: dine(seat) for seat in range(3)])


def holds_three_locks_in_a_circle():
    forks = [Lock() for _ in range(3)]

    def dine(seat):
        first, second = sorted((seat, (seat + 1) % 3))
        with forks[first]:
            with forks[second]:
                pass

    run(*[lambda seat=seat: dine(seat) for seat in range(3)])


class Tree:
    def __init__(self, lock):
        self.lock, self.nodes = lock, 0

    def add(self):
        with self.lock:
            self.nodes += 1

    def add_two(self):
        with self.lock:
            self.add()
            self.add()


def fails_lock_taken_twice():
    tree = Tree(Lock())
    run(tree.add_two, tree.add)


def holds_lock_taken_twice():
    tree = Tree(RLock())
    run(tree.add_two, tree.add)
    assert tree.nodes == 3


def fails_rlock_of_each_thread():
    values = [0]

    def add():
        lock = RLock()
        with lock, lock:
            values[0] += 1

    run(add, add)
    assert values == [2]


def holds_rlock_of_all_threads():
    values, lock = [0], RLock()

    def add():
        with lock, lock:
            values[0] += 1

    run(add, add)
    assert values == [2]


def fails_not_released_after_exception():
    lock = Lock()

    def work():
        lock.acquire()
        try:
            int("x")
            lock.release()
        except ValueError:
            pass

    run(work, work)


def holds_released_after_exception():
    lock = Lock()

    def work():
        lock.acquire()
        try:
            int("x")
        except ValueError:
            pass
        finally:
            lock.release()

    run(work, work)


def fails_acquire_without_blocking():
    lock, done = Lock(), []

    def work():
        if lock.acquire(blocking=False):
            done.append(1)
            lock.release()

    run(work, work)
    assert len(done) == 2


def holds_acquire_without_blocking():
    lock, done = Lock(), []

    def work():
        if lock.acquire(False):
            done.append(1)
            lock.release()

    run(work, work)
    assert done


def fails_result_of_acquire_ignored():
    lock, values = Lock(), [0]

    def add():
        lock.acquire(timeout=0.1)
        values[0] += 1
        try:
            lock.release()
        except RuntimeError:
            pass

    run(add, add)
    assert values == [2]


def holds_result_of_acquire_used():
    lock, values, added = Lock(), [0], []

    def add():
        if lock.acquire(timeout=0.1):
            values[0] += 1
            added.append(1)
            lock.release()

    run(add, add)
    assert values == [len(added)]


def fails_locked_then_acquire():
    lock = Lock()
    busy = []

    def work():
        if lock.locked():
            busy.append(1)
            return
        lock.acquire(blocking=False) or busy.append(2)

    run(work, work)
    assert 2 not in busy


def holds_locked_then_acquire():
    lock = Lock()
    busy = []

    def work():
        if not lock.acquire(blocking=False):
            busy.append(1)

    run(work, work)
    assert busy == [1]


def fails_semaphore_of_two():
    slots, values = Semaphore(2), [0]

    def add():
        with slots:
            values[0] += 1

    run(add, add)
    assert values == [2]


def holds_semaphore_of_one():
    slots, values = Semaphore(1), [0]

    def add():
        with slots:
            values[0] += 1

    run(add, add)
    assert values == [2]


def fails_semaphore_not_released():
    slots = Semaphore(1)

    def work(give_back):
        slots.acquire()
        if give_back:
            slots.release()

    run(lambda: work(True), lambda: work(False))


def holds_semaphore_released():
    slots = Semaphore(1)

    def work():
        slots.acquire()
        slots.release()

    run(work, work)


def fails_semaphore_released_too_often():
    slots = threading.BoundedSemaphore(1)

    def work():
        if slots.acquire(timeout=1):
            slots.release()
        else:
            slots.release()

    def twice():
        slots.acquire()
        slots.release()
        slots.release()

    run(work, twice)


def holds_bounded_semaphore():
    slots, users = threading.BoundedSemaphore(1), []

    def work():
        with slots:
            users.append(1)
            assert len(users) == 1
            users.pop()

    run(work, work)


def fails_two_semaphores_taken_one_by_one():
    slots = Semaphore(2)

    def needs_two():
        slots.acquire()
        slots.acquire()
        slots.release(2)

    run(needs_two, needs_two)


def holds_two_semaphores_under_a_lock():
    slots, lock = Semaphore(2), Lock()

    def needs_two():
        with lock:
            slots.acquire()
            slots.acquire()
        slots.release(2)

    run(needs_two, needs_two)


class ReadersWriter:
    """A lock of many readers or one writer."""

    def __init__(self, careful):
        self.readers, self.lock, self.write, self.careful = 0, Lock(), Lock(), careful

    def begin_read(self):
        if self.careful:
            with self.lock:
                self._first()
        else:
            self._first()

    def _first(self):
        self.readers += 1
        if self.readers == 1:
            self.write.acquire()

    def end_read(self):
        with self.lock:
            self.readers -= 1
            if self.readers == 0:
                self.write.release()


def readers_and_writer(guard):
    pair = [0, 0]

    def read():
        guard.begin_read()
        assert pair[0] == pair[1]
        guard.end_read()

    run(read, read)


def fails_readers_writer():
    readers_and_writer(ReadersWriter(False))


def holds_readers_writer():
    readers_and_writer(ReadersWriter(True))
