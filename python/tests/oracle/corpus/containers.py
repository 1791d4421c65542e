"""Lists, dicts, sets, deques and their relatives: instructions on them, and their methods."""

import threading


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails_list_item():
    cells = [0, 0]

    def add():
        cells[1] += 1

    run(add, add)
    assert cells == [0, 2]


def holds_list_item():
    cells = [0, 0]

    def add(index):
        cells[index] += 1

    run(lambda: add(0), lambda: add(1))
    assert cells == [1, 1]


def fails_list_pop():
    jobs = [1]

    def work():
        if jobs:
            jobs.pop()

    run(work, work)


def holds_list_pop():
    jobs = [1]

    def work():
        try:
            jobs.pop()
        except IndexError:
            pass

    run(work, work)
    assert not jobs


def fails_list_length():
    seats = []

    def book(name):
        if len(seats) < 1:
            seats.append(name)

    run(lambda: book("a"), lambda: book("b"))
    assert len(seats) == 1


def holds_list_length():
    seats, lock = [], threading.Lock()

    def book(name):
        with lock:
            if len(seats) < 1:
                seats.append(name)

    run(lambda: book("a"), lambda: book("b"))
    assert len(seats) == 1


def fails_list_index_after_remove():
    names = ["a", "b"]

    def remove():
        names.remove("a")

    def second():
        if len(names) == 2:
            assert names[1] == "b"

    run(remove, second)


def holds_list_index_after_remove():
    names, lock = ["a", "b"], threading.Lock()

    def remove():
        with lock:
            names.remove("a")

    def second():
        with lock:
            if len(names) == 2:
                assert names[1] == "b"

    run(remove, second)


def fails_slice_assignment():
    window = [1, 2, 3]

    def trim():
        window[:] = window[1:]

    run(trim, trim)
    assert window == [3]


def holds_slice_assignment():
    window, lock = [1, 2, 3], threading.Lock()

    def trim():
        with lock:
            window[:] = window[1:]

    run(trim, trim)
    assert window == [3]


def fails_slice_read():
    log, copies = [], []

    def write():
        log.append("begin")
        log.append("end")

    def backup():
        copies.append(log[:])

    run(write, backup)
    assert len(copies[0]) != 1


def holds_slice_read():
    log, copies = [], []

    def write():
        log.extend(["begin", "end"])

    def backup():
        copies.append(log[:])

    run(write, backup)
    assert len(copies[0]) != 1


def fails_list_in_place_add():
    box = {"log": (1,)}

    def add(item):
        box["log"] += (item,)

    run(lambda: add(2), lambda: add(3))
    assert len(box["log"]) == 3


def holds_list_in_place_add():
    log = [1]

    def add(item):
        log.append(item)

    run(lambda: add(2), lambda: add(3))
    assert len(log) == 3


def fails_unpacking():
    pair = [1, 1]

    def both():
        pair[0] = 2
        pair[1] = 2

    def look():
        first, second = pair
        assert first == second

    run(both, look)


def holds_unpacking():
    pair = [1, 1]

    def both():
        pair[:] = 2, 2

    def look():
        first, second = pair
        assert first == second

    run(both, look)


def fails_starred_copy():
    log, copies = [], []

    def write():
        log.append(1)
        log.append(2)

    def copy():
        copies.append([*log])

    run(write, copy)
    assert copies[0] in ([], [1, 2])


def holds_starred_copy():
    log, copies = [], []

    def write():
        log.extend((1, 2))

    def copy():
        copies.append([*log])

    run(write, copy)
    assert copies[0] in ([], [1, 2])


def fails_starred_call():
    arguments, calls = [1], []

    def change():
        arguments.append(2)
        arguments.append(3)

    def call():
        calls.append((lambda *given: len(given))(*arguments))

    run(change, call)
    assert calls[0] != 2


def holds_starred_call():
    arguments, calls = [1], []

    def change():
        arguments.extend((2, 3))

    def call():
        calls.append((lambda *given: len(given))(*arguments))

    run(change, call)
    assert calls[0] != 2


def fails_dict_key():
    stock, sold = {"apples": 1}, []

    def sell():
        if stock["apples"] > 0:
            stock["apples"] -= 1
            sold.append(1)

    run(sell, sell)
    assert len(sold) == 1


def holds_dict_key():
    stock, sold, lock = {"apples": 1}, [], threading.Lock()

    def sell():
        with lock:
            if stock["apples"] > 0:
                stock["apples"] -= 1
                sold.append(1)

    run(sell, sell)
    assert len(sold) == 1


def fails_dict_get():
    counts = {}

    def count():
        counts["word"] = counts.get("word", 0) + 1

    run(count, count)
    assert counts["word"] == 2


def holds_dict_get():
    counts, lock = {}, threading.Lock()

    def count():
        with lock:
            counts["word"] = counts.get("word", 0) + 1

    run(count, count)
    assert counts["word"] == 2


def fails_dict_in():
    cache, computed = {}, []

    def lookup(key):
        if key not in cache:
            computed.append(key)
            cache[key] = key * 2
        return cache[key]

    run(lambda: lookup(3), lambda: lookup(3))
    assert len(computed) == 1


def holds_dict_in():
    cache, computed, lock = {}, [], threading.Lock()

    def lookup(key):
        with lock:
            if key not in cache:
                computed.append(key)
                cache[key] = key * 2
            return cache[key]

    run(lambda: lookup(3), lambda: lookup(3))
    assert len(computed) == 1


def fails_dict_delete():
    sessions = {"a": 1}

    def close():
        if "a" in sessions:
            del sessions["a"]

    run(close, close)


def holds_dict_delete():
    sessions = {"a": 1}

    def close():
        sessions.pop("a", None)

    run(close, close)
    assert not sessions


def fails_dict_order():
    table = {}

    def insert(key):
        table[key] = True

    run(lambda: insert("a"), lambda: insert("b"))
    assert list(table) == ["a", "b"]


def holds_dict_order():
    table = {"a": None, "b": None}

    def insert(key):
        table[key] = True

    run(lambda: insert("b"), lambda: insert("a"))
    assert list(table) == ["a", "b"]


def fails_dict_last_key():
    recent = {"x": 0}

    def insert(key):
        recent[key] = True

    run(lambda: insert("a"), lambda: insert("b"))
    assert next(reversed(recent)) == "b"


def holds_dict_last_key():
    recent = {"x": 0}

    def insert(key):
        recent[key] = True

    run(lambda: insert("a"), lambda: insert("b"))
    assert next(iter(recent)) == "x"


def fails_dict_unpacking():
    defaults, merged = {"a": 1}, []

    def change():
        defaults["b"] = 2
        defaults["c"] = 3

    def merge():
        merged.append({**defaults})

    run(change, merge)
    assert ("b" in merged[0]) == ("c" in merged[0])


def holds_dict_unpacking():
    defaults, merged = {"a": 1}, []

    def change():
        defaults.update(b=2, c=3)

    def merge():
        merged.append({**defaults})

    run(change, merge)
    assert ("b" in merged[0]) == ("c" in merged[0])


def fails_dict_merge_operator():
    box = {"settings": {"a": 1}}

    def add(key):
        box["settings"] = box["settings"] | {key: 1}

    run(lambda: add("b"), lambda: add("c"))
    assert len(box["settings"]) == 3


def holds_dict_merge_operator():
    settings = {"a": 1}

    def add(key):
        nonlocal settings
        with lock:
            settings = settings | {key: 1}

    lock = threading.Lock()
    run(lambda: add("b"), lambda: add("c"))
    assert len(settings) == 3


def fails_dict_setdefault():
    groups = {}

    def group(key, item):
        if groups.get(key) is None:
            groups[key] = []
        groups[key].append(item)

    run(lambda: group("k", 1), lambda: group("k", 2))
    assert sorted(groups["k"]) == [1, 2]


def holds_dict_setdefault():
    groups = {}

    def group(key, item):
        groups.setdefault(key, []).append(item)

    run(lambda: group("k", 1), lambda: group("k", 2))
    assert sorted(groups["k"]) == [1, 2]


def fails_dict_popitem():
    tasks, done = {"a": 1}, []

    def work():
        while tasks:
            done.append(tasks.popitem())

    run(work, work)


def holds_dict_popitem():
    tasks, done = {"a": 1}, []

    def work():
        try:
            done.append(tasks.popitem())
        except KeyError:
            pass

    run(work, work)
    assert done == [("a", 1)]


def fails_set_add():
    seen, processed = set(), []

    def process(item):
        if item not in seen:
            seen.add(item)
            processed.append(item)

    run(lambda: process(1), lambda: process(1))
    assert processed == [1]


def holds_set_add():
    seen, processed, lock = set(), [], threading.Lock()

    def process(item):
        with lock:
            if item not in seen:
                seen.add(item)
                processed.append(item)

    run(lambda: process(1), lambda: process(1))
    assert processed == [1]


def fails_set_operator():
    online = {"a", "b"}
    states = [online]

    def leave(name):
        states[0] = states[0] - {name}

    run(lambda: leave("a"), lambda: leave("b"))
    assert states[0] == set()


def holds_set_operator():
    online = {"a", "b"}

    def leave(name):
        online.discard(name)

    run(lambda: leave("a"), lambda: leave("b"))
    assert online == set()


def fails_set_comparison():
    done, results = set(), []

    def finish():
        done.add(1)
        done.add(2)

    def ready():
        results.append(done <= {1})

    run(finish, ready)
    assert results == [True]


def holds_set_comparison():
    done, results = set(), []

    def finish():
        done.add(1)

    def ready():
        results.append(done <= {1})

    run(finish, ready)
    assert results == [True]


def fails_list_comparison():
    current, results = [1], []

    def change():
        current.append(2)
        current.append(3)

    def check():
        results.append(current == [1, 2])

    run(change, check)
    assert results == [False]


def holds_list_comparison():
    current, results = [1], []

    def change():
        current.extend((2, 3))

    def check():
        results.append(current == [1, 2])

    run(change, check)
    assert results == [False]
