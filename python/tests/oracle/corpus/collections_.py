"""The containers of `collections`, and methods of the others."""

import collections
import sys
import threading
from collections import Counter, OrderedDict, UserDict, defaultdict, deque


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails_deque():
    jobs = deque([1])

    def work():
        if jobs:
            jobs.popleft()

    run(work, work)


def holds_deque():
    jobs = deque([1])

    def work():
        try:
            jobs.popleft()
        except IndexError:
            pass

    run(work, work)


def fails_deque_rotation():
    ring, seen = deque([1, 2]), []

    def turn():
        ring.rotate(1)
        ring.rotate(1)

    def look():
        seen.append(ring[0])

    run(turn, look)
    assert seen == [1]


def holds_deque_rotation():
    ring, seen = deque([1, 2]), []

    def turn():
        ring.rotate(2)

    def look():
        seen.append(ring[0])

    run(turn, look)
    assert seen == [1]


def fails_deque_maxlen():
    last = deque(maxlen=1)
    run(lambda: last.append("a"), lambda: last.append("b"))
    assert last[0] == "b"


def holds_deque_maxlen():
    last = deque(maxlen=2)
    run(lambda: last.append("a"), lambda: last.append("b"))
    assert sorted(last) == ["a", "b"]


def fails_ordered_dict():
    recent = OrderedDict(a=1, b=2)
    run(lambda: recent.move_to_end("a"), lambda: recent.move_to_end("b"))
    assert list(recent) == ["a", "b"]


def holds_ordered_dict():
    recent = OrderedDict(a=1, b=2)
    run(lambda: recent.move_to_end("a"), lambda: recent.get("b"))
    assert list(recent) == ["b", "a"]


class Cache:
    """A cache of the least recently used, as everyone writes it."""

    def __init__(self, size):
        self.items, self.size = OrderedDict(), size
        self.lock = threading.Lock()

    def get(self, key):
        if key in self.items:
            self.items.move_to_end(key)
            return self.items[key]

    def put(self, key, value):
        self.items[key] = value
        if len(self.items) > self.size:
            self.items.popitem(last=False)


def fails_lru():
    cache = Cache(1)
    cache.put("a", 1)
    run(lambda: cache.get("a"), lambda: cache.put("b", 2))


def holds_lru():
    cache = Cache(1)
    cache.put("a", 1)

    def get():
        with cache.lock:
            cache.get("a")

    def put():
        with cache.lock:
            cache.put("b", 2)

    run(get, put)


def fails_default_dict():
    counts = defaultdict(int)

    def count():
        counts["x"] += 1

    run(count, count)
    assert counts["x"] == 2


def holds_default_dict():
    counts, lock = defaultdict(int), threading.Lock()

    def count():
        with lock:
            counts["x"] += 1

    run(count, count)
    assert counts["x"] == 2


def fails_default_dict_of_lists():
    made = []

    def new():
        made.append(1)
        return []

    groups = defaultdict(new)
    run(lambda: groups["k"].append(1), lambda: groups["k"].append(2))
    assert sorted(groups["k"]) == [1, 2]


if sys.version_info >= (3, 14):  # of values that two threads make for a key, the dictionary keeps the first
    holds_default_dict_of_lists_made_twice = fails_default_dict_of_lists
    del fails_default_dict_of_lists


def holds_default_dict_of_lists():
    groups = defaultdict(list)
    run(lambda: groups["k"].append(1), lambda: groups["l"].append(2))
    assert groups == {"k": [1], "l": [2]}


def fails_counter():
    words = Counter()

    def count():
        words["the"] += 1

    run(count, count)
    assert words["the"] == 2


def holds_counter():
    words, lock = Counter(), threading.Lock()

    def count():
        with lock:
            words["the"] += 1

    run(count, count)
    assert words["the"] == 2


def fails_counter_most_common():
    votes, leaders = Counter(a=1), []

    def vote():
        votes["b"] += 2
        votes["a"] += 2

    run(vote, lambda: leaders.append(votes.most_common(1)[0][0]))
    assert leaders == ["a"]


def holds_counter_most_common():
    votes, leaders, lock = Counter(a=1), [], threading.Lock()

    def vote():
        with lock:
            votes["a"] += 2
            votes["b"] += 2

    def lead():
        with lock:
            leaders.append(votes.most_common(1)[0][0])

    run(vote, lead)
    assert leaders == ["a"]


def fails_iteration_in_most_common():
    votes, leaders = Counter(a=1), []

    def vote():
        votes["a"] += 2
        votes["b"] += 2

    # A key is added between the first step of the iteration and the next.
    run(vote, lambda: leaders.append(votes.most_common(1)[0][0]))


def holds_iteration_over_a_copy():
    votes, leaders = Counter(a=1), []

    def vote():
        votes["a"] += 2
        votes["b"] += 2

    run(vote, lambda: leaders.append(votes.copy().most_common(1)[0][0]))


class Registry(UserDict):
    """A dict of a class of its own."""


def fails_user_dict():
    first = Registry()

    def once():
        first["n"] = first.get("n", 0) + 1

    run(once, once)
    assert first["n"] == 2


def holds_user_dict():
    registry, lock = Registry(n=0), threading.Lock()

    def once():
        with lock:
            registry["n"] = registry["n"] + 1

    run(once, once)
    assert registry["n"] == 2


class CountingDict(dict):
    """A dict with a method of its own in place of `__missing__`."""

    def __missing__(self, key):
        self[key] = value = []
        return value


def fails_missing():
    table = CountingDict()
    run(lambda: table["k"].append(1), lambda: table["k"].append(2))
    assert sorted(table["k"]) == [1, 2]


def holds_missing():
    table, lock = CountingDict(), threading.Lock()

    def add(item):
        with lock:
            table["k"].append(item)

    run(lambda: add(1), lambda: add(2))
    assert sorted(table["k"]) == [1, 2]


def fails_chain_map():
    user, system = {}, {"color": "red", "size": 1}
    settings = collections.ChainMap(user, system)
    seen = []

    def change():
        user["color"] = "blue"
        user["size"] = 2

    def look():
        seen.append((settings["color"], settings["size"]))

    run(change, look)
    assert seen[0] in (("red", 1), ("blue", 2))


def holds_chain_map():
    user, system = {}, {"color": "red", "size": 1}
    settings, lock = collections.ChainMap(user, system), threading.Lock()
    seen = []

    def change():
        with lock:
            user["color"] = "blue"
            user["size"] = 2

    def look():
        with lock:
            seen.append((settings["color"], settings["size"]))

    run(change, look)
    assert seen[0] in (("red", 1), ("blue", 2))


def fails_list_insert():
    order = []
    run(lambda: order.insert(0, "a"), lambda: order.insert(0, "b"))
    assert order == ["b", "a"]


def holds_list_insert():
    order = []
    run(lambda: order.insert(0, "a"), lambda: order.insert(0, "b"))
    assert sorted(order) == ["a", "b"]


def fails_list_sort():
    numbers, first = [3, 1, 2], []
    run(numbers.sort, lambda: first.append(numbers[0]))
    assert first == [1]


def holds_list_sort():
    numbers, first = [3, 1, 2], []

    def work():
        numbers.sort()
        first.append(numbers[0])

    run(work)
    assert first == [1]


def fails_list_clear():
    buffer, flushed = [1, 2], []

    def flush():
        flushed.extend(buffer)
        buffer.clear()

    run(flush, lambda: buffer.append(3))
    assert sorted(flushed + buffer) == [1, 2, 3]


def holds_list_clear():
    buffer, flushed, lock = [1, 2], [], threading.Lock()

    def flush():
        with lock:
            flushed.extend(buffer)
            buffer.clear()

    def write():
        with lock:
            buffer.append(3)

    run(flush, write)
    assert sorted(flushed + buffer) == [1, 2, 3]


def fails_bytearray():
    data = bytearray(b"\0")

    def add():
        data[0] += 1

    run(add, add)
    assert data[0] == 2


def holds_bytearray():
    data, lock = bytearray(b"\0"), threading.Lock()

    def add():
        with lock:
            data[0] += 1

    run(add, add)
    assert data[0] == 2


def fails_nested_containers():
    grid = [[0], [0]]

    def swap():
        grid[0], grid[1] = grid[1], grid[0]

    def add():
        grid[0][0] += 1
        grid[0][0] += 1

    run(swap, add)
    assert sorted(grid) == [[0], [2]]


def holds_nested_containers():
    grid = [[0], [0]]

    def swap():
        grid[0], grid[1] = grid[1], grid[0]

    def add():
        row = grid[0]
        row[0] += 1
        row[0] += 1

    run(swap, add)
    assert sum(row[0] for row in grid) == 2
