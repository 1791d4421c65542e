"""Iterators that threads share, and iteration while another thread changes what is iterated over."""

import collections
import itertools
import threading


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails_dict_changes_size():
    users = {"a": 1}

    def add():
        users["b"] = 2

    def show():
        for _ in users:
            pass

    run(add, show)


def holds_dict_changes_size():
    users = {"a": 1}

    def add():
        users["b"] = 2

    def show():
        for _ in list(users):
            pass

    run(add, show)


def fails_set_changes_size():
    tags = {"a", "b"}

    def show():
        for tag in tags:
            len(tag)

    run(lambda: tags.add("c"), show)


def holds_set_changes_size():
    tags = {"a", "b"}

    def show():
        for tag in tags.copy():
            len(tag)

    run(lambda: tags.add("c"), show)


def fails_items_view():
    stock, total = {"a": 1, "b": 2}, []

    def sell():
        del stock["a"]

    def count():
        total.append(sum(n for _, n in stock.items()))

    run(sell, count)


def holds_items_view():
    stock, total = {"a": 1, "b": 2}, []

    def sell():
        del stock["a"]

    def count():
        total.append(sum(stock.values()))

    run(sell, count)
    assert total[0] in (2, 3)


def fails_list_skips():
    items, seen = [1, 2, 3], []

    def drop():
        items.remove(1)

    def walk():
        for item in items:
            seen.append(item)

    run(drop, walk)
    assert seen in ([1, 2, 3], [2, 3])


def holds_list_skips():
    items, seen = [1, 2, 3], []

    def drop():
        items.remove(1)

    def walk():
        for item in tuple(items):
            seen.append(item)

    run(drop, walk)
    assert seen in ([1, 2, 3], [2, 3])


def fails_comprehension():
    scores, results = {"a": 1}, []

    def add():
        scores["b"] = 2

    def double():
        results.append({name: score * 2 for name, score in scores.items()})

    run(add, double)


def holds_comprehension():
    scores, results, lock = {"a": 1}, [], threading.Lock()

    def add():
        with lock:
            scores["b"] = 2

    def double():
        with lock:
            results.append({name: score * 2 for name, score in scores.items()})

    run(add, double)


def fails_deque_mutated():
    log = collections.deque([1, 2])

    def show():
        for entry in log:
            str(entry)

    run(lambda: log.append(3), show)


def holds_deque_mutated():
    log = collections.deque([1, 2])

    def show():
        for entry in list(log):
            str(entry)

    run(lambda: log.append(3), show)


def fails_shared_iterator():
    numbers, taken = iter([1, 2]), []

    def take():
        first = next(numbers, None)
        second = next(numbers, None)
        taken.append((first, second))

    run(take, take)
    assert (1, 2) in taken


def holds_shared_iterator():
    numbers, taken = iter([1, 2]), []

    def take():
        taken.append(next(numbers))

    run(take, take)
    assert sorted(taken) == [1, 2]


def fails_shared_iterator_in_for():
    jobs, done = iter(["a", "b"]), []

    def work(name):
        for job in jobs:
            done.append((name, job))

    run(lambda: work(1), lambda: work(2))
    assert len({name for name, _ in done}) == 1


def holds_shared_iterator_in_for():
    jobs, done = iter(["a", "b"]), []

    def work(name):
        for job in jobs:
            done.append(job)

    run(lambda: work(1), lambda: work(2))
    assert sorted(done) == ["a", "b"]


def fails_iterator_exhausted():
    tickets = iter([1])

    def buy():
        next(tickets)

    run(buy, lambda: next(tickets, None))


def holds_iterator_exhausted():
    tickets = iter([1])

    def buy():
        next(tickets, None)

    run(buy, buy)


def fails_generator_already_executing():
    def numbers():
        n = 0
        while True:
            n += 1
            yield n

    source = numbers()
    run(lambda: next(source), lambda: next(source))


def holds_generator_already_executing():
    def numbers():
        n = 0
        while True:
            n += 1
            yield n

    source, lock = numbers(), threading.Lock()

    def draw():
        with lock:
            next(source)

    run(draw, draw)


def fails_generator_send():
    def average():
        total = count = 0
        while True:
            value = yield total
            total += value
            count += 1

    mean = average()
    next(mean)
    run(lambda: mean.send(1), lambda: mean.send(2))


def holds_generator_send():
    def average():
        total = count = 0
        while True:
            value = yield total
            total += value
            count += 1

    mean, lock = average(), threading.Lock()
    next(mean)

    def send(value):
        with lock:
            return mean.send(value)

    run(lambda: send(1), lambda: send(2))
    assert mean.send(0) == 3


def fails_generator_closes_over_state():
    log = []

    def lines():
        for entry in log:
            yield entry

    def copy():
        assert len(list(lines())) != 1

    def write():
        log.append("begin")
        log.append("end")

    run(write, copy)


def holds_generator_closes_over_state():
    log = []

    def lines():
        yield from tuple(log)

    def copy():
        assert len(list(lines())) != 1

    def write():
        log.extend(("begin", "end"))

    run(write, copy)


def fails_enumerate():
    rows = enumerate(["x", "y"])
    got = {}

    def number(name):
        got[name], _ = next(rows)

    run(lambda: number("one"), lambda: number("two"))
    assert got["one"] == 0


def holds_enumerate():
    pairs, seen = enumerate(["a", "b"]), []

    def take():
        seen.append(next(pairs))

    run(take, take)
    assert sorted(seen) == [(0, "a"), (1, "b")]


def fails_zip():
    names, ages = iter(["a", "b"]), iter([1, 2])
    rows = []

    def read():
        rows.append((next(names), next(ages)))

    run(read, read)
    assert sorted(rows) == [("a", 1), ("b", 2)]


def holds_zip():
    both = zip(["a", "b"], [1, 2])
    rows = []

    def read():
        rows.append(next(both))

    run(read, read)
    assert sorted(rows) == [("a", 1), ("b", 2)]


def fails_count():
    ids, given = itertools.count(), {}

    def register(name):
        given[name] = next(ids)

    run(lambda: register("first"), lambda: register("second"))
    assert given["first"] == 0


def holds_count():
    ids, given = itertools.count(), {}

    def register(name):
        given[name] = next(ids)

    run(lambda: register("first"), lambda: register("second"))
    assert sorted(given.values()) == [0, 1]


def fails_cycle():
    servers, chosen = itertools.cycle("ab"), {}

    def choose(request):
        chosen[request] = next(servers)

    run(lambda: choose(1), lambda: choose(2))
    assert chosen[2] == "b"


def holds_cycle():
    servers, chosen = itertools.cycle("ab"), {}

    def choose(request):
        chosen[request] = next(servers)

    run(lambda: choose(1), lambda: choose(2))
    assert set(chosen.values()) == {"a", "b"}


def fails_map_over_shared_iterator():
    lines = iter([1, 2, 3])
    doubled, got = map(lambda n: n * 2, lines), []

    def take():
        got.append(next(doubled) + next(doubled, 0))

    def skip():
        next(lines)

    run(take, skip)
    assert got[0] in (6, 10)


def holds_map_over_shared_iterator():
    lines = iter([1, 2, 3])
    doubled, got = map(lambda n: n * 2, lines), []

    def take():
        got.append(next(doubled))

    run(take, take)
    assert sorted(got) == [2, 4]


def fails_reversed():
    stack, seen = [1, 2], []

    def pop():
        stack.pop()
        stack.pop()

    def walk():
        for item in reversed(stack):
            seen.append(item)

    run(pop, walk)
    assert seen != [1]


def holds_reversed():
    stack, seen = [1, 2], []

    def pop():
        stack.clear()

    def walk():
        seen.extend(stack[::-1])

    run(pop, walk)
    assert seen != [1]


class Countdown:
    """An iterator of a class."""

    def __init__(self, start):
        self.left = start

    def __iter__(self):
        return self

    def __next__(self):
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return self.left


def fails_iterator_class():
    numbers, seen = Countdown(2), []

    def take():
        seen.append(next(numbers))

    run(take, take)
    assert sorted(seen) == [0, 1]


def holds_iterator_class():
    numbers, seen, lock = Countdown(2), [], threading.Lock()

    def take():
        with lock:
            seen.append(next(numbers))

    run(take, take)
    assert seen == [1, 0]


class Tree:
    """A container of a class: iteration, length, membership and items are Python code."""

    def __init__(self):
        self.left, self.right = 1, 1

    def __iter__(self):
        yield self.left
        yield self.right

    def __len__(self):
        return self.left + self.right

    def __contains__(self, item):
        return item in (self.left, self.right)

    def __getitem__(self, index):
        return self.right if index else self.left

    def __setitem__(self, index, value):
        if index:
            self.right = value
        else:
            self.left = value


def fails_container_class():
    tree = Tree()

    def change():
        tree[0] = 2
        tree[1] = 2

    def look():
        left, right = tree
        assert left == right

    run(change, look)


def holds_container_class():
    tree, lock = Tree(), threading.Lock()

    def change():
        with lock:
            tree[0] = 2
            tree[1] = 2

    def look():
        with lock:
            left, right = tree
        assert left == right

    run(change, look)
