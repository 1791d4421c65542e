"""Variables that threads share: globals, variables of closures, defaults of arguments, and modules' attributes."""

import sys
import threading


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


lock = threading.Lock()
count = 0
config = None


def fails_global():
    global count
    count = 0

    def add():
        global count
        count += 1

    run(add, add)
    assert count == 2


def holds_global():
    global count
    count = 0

    def add():
        global count
        with lock:
            count += 1

    run(add, add)
    assert count == 2


def fails_lazy_global():
    global config
    config = None
    loads = []

    def get_config():
        global config
        if config is None:
            loads.append(1)
            config = {"debug": False}
        return config

    run(get_config, get_config)
    assert len(loads) == 1


def holds_lazy_global():
    global config
    config = None
    loads = []

    def get_config():
        global config
        with lock:
            if config is None:
                loads.append(1)
                config = {"debug": False}
        return config

    run(get_config, get_config)
    assert len(loads) == 1


def fails_globals_by_name():
    global count
    count = 0

    def by_name():
        globals()["count"] += 1

    def plainly():
        global count
        count += 1

    run(by_name, plainly)
    assert count == 2


def holds_globals_by_name():
    global count
    count = 0

    def by_name():
        with lock:
            globals()["count"] += 1

    def plainly():
        global count
        with lock:
            count += 1

    run(by_name, plainly)
    assert count == 2


def fails_deleted_global():
    global temporary
    temporary = 1

    def drop():
        global temporary
        if "temporary" in globals():
            del temporary

    run(drop, drop)


def holds_deleted_global():
    global temporary
    temporary = 1

    def drop():
        global temporary
        with lock:
            if "temporary" in globals():
                del temporary

    run(drop, drop)


def fails_nonlocal():
    total = 0

    def add():
        nonlocal total
        total += 5

    run(add, add)
    assert total == 10


def holds_nonlocal():
    total = 0

    def add():
        nonlocal total
        with lock:
            total += 5

    run(add, add)
    assert total == 10


def make_counter(guard):
    n = 0

    def increment():
        nonlocal n
        if guard is None:
            n += 1
        else:
            with guard:
                n += 1
        return n

    return increment


def fails_closure():
    increment = make_counter(None)
    run(increment, increment)
    assert increment() == 3


def holds_closure():
    increment = make_counter(threading.Lock())
    run(increment, increment)
    assert increment() == 3


def fails_late_binding():
    seen = []
    threads = []
    for number in range(2):
        threads.append(threading.Thread(target=lambda: seen.append(number)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [0, 1]


def holds_late_binding():
    seen = []
    threads = []
    for number in range(2):
        threads.append(threading.Thread(target=lambda number=number: seen.append(number)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [0, 1]


def fails_mutable_default():
    def remember(item, seen=[]):
        if not seen:
            seen.append(item)
        return seen

    run(lambda: remember(1), lambda: remember(2))
    assert len(remember(3)) == 1


def holds_mutable_default():
    def remember(item, seen=[], lock=threading.Lock()):
        with lock:
            if not seen:
                seen.append(item)
            return seen

    run(lambda: remember(1), lambda: remember(2))
    assert len(remember(3)) == 1


def fails_module_attribute():
    sys.settings = 0
    try:
        def add():
            sys.settings = sys.settings + 1

        run(add, add)
        assert sys.settings == 2
    finally:
        del sys.settings


def holds_module_attribute():
    sys.settings = 0
    try:
        def add():
            with lock:
                sys.settings = sys.settings + 1

        run(add, add)
        assert sys.settings == 2
    finally:
        del sys.settings


def fails_cell_that_is_unbound():
    def use():
        try:
            seen.append(value)
        except NameError:
            seen.append(None)

    seen = []
    thread = threading.Thread(target=use)
    thread.start()
    value = 1
    thread.join()
    assert seen == [1]


def holds_cell_that_is_unbound():
    def use():
        seen.append(value)

    seen = []
    value = 1
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [1]
