"""Threads themselves: subclasses, daemons, arguments, exceptions, names, and what belongs to each thread."""

import sys
import threading
from threading import Thread, current_thread


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Adder(Thread):
    def __init__(self, totals):
        super().__init__()
        self.totals = totals

    def run(self):
        self.totals["sum"] += 1


class LockedAdder(Adder):
    lock = threading.Lock()

    def run(self):
        with self.lock:
            super().run()


def fails_subclass():
    totals = {"sum": 0}
    adders = [Adder(totals), Adder(totals)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert totals["sum"] == 2


def holds_subclass():
    totals = {"sum": 0}
    adders = [LockedAdder(totals), LockedAdder(totals)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert totals["sum"] == 2


class Computation(Thread):
    result = None

    def run(self):
        self.result = 42


def fails_result_without_join():
    computation = Computation()
    computation.start()
    assert computation.result == 42
    computation.join()


def holds_result_after_join():
    computation = Computation()
    computation.start()
    computation.join()
    assert computation.result == 42


class StartsItself(Thread):
    def __init__(self):
        super().__init__()
        self.start()
        self.limit = 10

    def run(self):
        assert self.limit == 10


class StartsItselfLast(Thread):
    def __init__(self):
        super().__init__()
        self.limit = 10
        self.start()

    def run(self):
        assert self.limit == 10


def fails_started_in_constructor():
    StartsItself().join()


def holds_started_in_constructor():
    StartsItselfLast().join()


def fails_no_join():
    results = []
    Thread(target=lambda: results.append(1)).start()
    assert results == [1]


def holds_join():
    results = []
    thread = Thread(target=lambda: results.append(1))
    thread.start()
    thread.join()
    assert results == [1]


def fails_daemon_not_joined():
    saved = []
    Thread(target=lambda: saved.append(1), daemon=True).start()
    assert saved


def holds_daemon_that_waits_forever():
    never = threading.Event()
    Thread(target=never.wait, daemon=True).start()
    assert not never.is_set()


def fails_thread_that_waits_forever():
    never = threading.Event()
    Thread(target=never.wait).start()


def holds_thread_that_is_released():
    event = threading.Event()
    Thread(target=event.wait).start()
    event.set()


def fails_exception_in_thread():
    stock = [1]

    def take():
        stock.pop()

    run(take, take)


def holds_exception_caught_in_thread():
    stock, errors = [1], []

    def take():
        try:
            stock.pop()
        except IndexError as error:
            errors.append(error)

    run(take, take)
    assert len(errors) == 1


def fails_exception_depends_on_order():
    box = {}

    def put():
        box["value"] = 1

    def take():
        assert box["value"] == 1

    run(put, take)


def holds_system_exit_in_thread():
    box = {}

    def put():
        box["value"] = 1
        sys.exit(3)

    def take():
        if "value" not in box:
            raise SystemExit
        assert box["value"] == 1

    run(put, take)


def fails_lock_held_at_exception():
    lock, errors = threading.Lock(), []

    def work():
        lock.acquire()
        if not errors:
            errors.append(1)
            sys.exit()
        lock.release()

    run(work, work)


def holds_lock_released_at_exception():
    lock, errors = threading.Lock(), []

    def work():
        with lock:
            if not errors:
                errors.append(1)
                sys.exit()

    run(work, work)


def fails_shared_instead_of_local():
    class Shared:
        pass

    request = Shared()

    def handle(user):
        request.user = user
        assert request.user == user

    run(lambda: handle("a"), lambda: handle("b"))


def holds_thread_local():
    request = threading.local()

    def handle(user):
        request.user = user
        assert request.user == user

    run(lambda: handle("a"), lambda: handle("b"))


def fails_thread_local_of_a_shared_list():
    local = threading.local()
    shared = [0]

    def work():
        local.values = shared
        local.values[0] += 1

    run(work, work)
    assert shared == [2]


def holds_thread_local_of_own_list():
    local, results = threading.local(), []

    def work():
        local.values = [0]
        local.values[0] += 1
        results.append(local.values[0])

    run(work, work)
    assert results == [1, 1]


def fails_name_of_the_first():
    names = []
    threads = [Thread(target=lambda: names.append(current_thread().name), name=name) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["a", "b"]


def holds_name_of_each():
    names = {}

    def work(key):
        names[key] = current_thread().name

    threads = [Thread(target=work, args=(name,), name=name) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == {"a": "a", "b": "b"}


def fails_arguments_shared():
    options = {"verbose": False}
    seen = []

    def work(options):
        seen.append(options["verbose"])

    thread = Thread(target=work, kwargs={"options": options})
    thread.start()
    options["verbose"] = True
    thread.join()
    assert seen == [False]


def holds_arguments_copied():
    options = {"verbose": False}
    seen = []

    def work(options):
        seen.append(options["verbose"])

    thread = Thread(target=work, kwargs={"options": dict(options)})
    thread.start()
    options["verbose"] = True
    thread.join()
    assert seen == [False]


def fails_thread_started_by_thread():
    log = []

    def parent():
        child = Thread(target=lambda: log.append("child"))
        child.start()
        log.append("parent")
        child.join()

    run(parent)
    assert log == ["parent", "child"]


def holds_thread_started_by_thread():
    log = []

    def parent():
        child = Thread(target=lambda: log.append("child"))
        child.start()
        child.join()
        log.append("parent")

    run(parent)
    assert log == ["child", "parent"]


def fails_three_threads():
    cells = [0]

    def add():
        value = cells[0]
        cells[0] = value + 1

    run(add, add, add)
    assert cells[0] >= 2


def holds_three_threads():
    cells = [0]

    def add():
        value = cells[0]
        cells[0] = value + 1

    run(add, add, add)
    assert cells[0] >= 1


def fails_threads_counted():
    event = threading.Event()
    thread = Thread(target=event.wait)
    thread.start()
    event.set()
    assert threading.active_count() >= 2
    thread.join()


def holds_threads_counted():
    event = threading.Event()
    thread = Thread(target=event.wait)
    thread.start()
    assert threading.active_count() >= 2
    event.set()
    thread.join()
