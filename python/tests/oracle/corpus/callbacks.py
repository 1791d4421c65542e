"""C code that calls Python code back, and Python code that runs where none is seen: comparisons, hashes, truth, context managers, decorators."""

import collections
import contextlib
import functools
import threading
import weakref


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails_sort_key():
    weights, items = {"a": 1, "b": 2}, ["b", "a"]

    def swap():
        weights["a"] = 3
        weights["b"] = 4

    def order():
        items.sort(key=lambda item: weights[item])

    run(swap, order)
    assert items == ["a", "b"]


def holds_sort_key():
    weights, items, lock = {"a": 1, "b": 2}, ["b", "a"], threading.Lock()

    def swap():
        with lock:
            weights["a"] = 3
            weights["b"] = 4

    def order():
        with lock:
            items.sort(key=lambda item: weights[item])

    run(swap, order)
    assert items == ["a", "b"]


def fails_list_emptied_while_sorting():
    items, lengths = [2, 1], []

    def order():
        items.sort(key=lambda item: item)

    # A list is empty while it is sorted.
    run(order, lambda: lengths.append(len(items)))
    assert lengths == [2]


def holds_list_emptied_while_sorting():
    items, lengths, lock = [2, 1], [], threading.Lock()

    def order():
        with lock:
            items.sort(key=lambda item: item)

    def measure():
        with lock:
            lengths.append(len(items))

    run(order, measure)
    assert lengths == [2]


def fails_lru_cache():
    calls = []

    @functools.lru_cache
    def load(name):
        calls.append(name)
        return name.upper()

    run(lambda: load("a"), lambda: load("a"))
    assert len(calls) == 1


def holds_lru_cache():
    calls, lock = [], threading.Lock()

    @functools.lru_cache
    def load(name):
        calls.append(name)
        return name.upper()

    def locked():
        with lock:
            return load("a")

    run(locked, locked)
    assert len(calls) == 1


class Version:
    """Compared and hashed by Python code that reads what threads change."""

    def __init__(self, major, minor):
        self.major, self.minor = major, minor

    def __eq__(self, other):
        return (self.major, self.minor) == (other.major, other.minor)

    def __lt__(self, other):
        return (self.major, self.minor) < (other.major, other.minor)

    def __hash__(self):
        return hash((self.major, self.minor))

    def __bool__(self):
        return self.major > 0 or self.minor > 0

    def __len__(self):
        return self.major + self.minor

    def bump(self):
        self.minor = 0
        self.major = 1


def fails_eq():
    version, seen = Version(0, 9), []
    run(version.bump, lambda: seen.append(version == Version(0, 0)))
    assert seen == [False]


def holds_eq():
    version, seen, lock = Version(0, 9), [], threading.Lock()

    def bump():
        with lock:
            version.bump()

    def compare():
        with lock:
            seen.append(version == Version(0, 0))

    run(bump, compare)
    assert seen == [False]


def fails_eq_in_membership():
    version, seen = Version(0, 9), []
    run(version.bump, lambda: seen.append(Version(0, 0) in [version]))
    assert seen == [False]


def holds_eq_in_membership():
    version, seen = Version(0, 9), []
    run(version.bump, lambda: seen.append(any(one is version for one in [version])))
    assert seen == [True]


def fails_lt_in_max():
    version, seen = Version(0, 9), []
    run(version.bump, lambda: seen.append(max(Version(0, 5), version) is version))
    assert seen == [True]


def holds_lt_in_max():
    version, seen, lock = Version(0, 9), [], threading.Lock()

    def bump():
        with lock:
            version.bump()

    def compare():
        with lock:
            seen.append(max(Version(0, 5), version) is version)

    run(bump, compare)
    assert seen == [True]


def fails_hash():
    version = Version(0, 9)
    table = {version: "first"}
    run(version.bump, lambda: table[version])


def holds_hash():
    version = Version(0, 9)
    table = {id(version): "first"}
    run(version.bump, lambda: table[id(version)])


def fails_bool():
    version, seen = Version(0, 9), []

    def look():
        if not version:
            seen.append("none")

    run(version.bump, look)
    assert not seen


def holds_bool():
    version, seen = Version(0, 9), []

    def look():
        if version is None:
            seen.append("none")

    run(version.bump, look)
    assert not seen


def fails_len():
    version, seen = Version(0, 9), []
    run(version.bump, lambda: seen.append(len(version)))
    assert seen[0] in (9, 1)


def holds_len():
    version, seen, lock = Version(0, 9), [], threading.Lock()

    def bump():
        with lock:
            version.bump()

    def measure():
        with lock:
            seen.append(len(version))

    run(bump, measure)
    assert seen[0] in (9, 1)


class Resource:
    """A context manager that counts its users."""

    def __init__(self):
        self.users = 0
        self.closed = 0

    def __enter__(self):
        self.users += 1
        return self

    def __exit__(self, *exception):
        self.users -= 1


def fails_context_manager():
    resource = Resource()

    def use():
        with resource:
            pass

    run(use, use)
    assert resource.users == 0


def holds_context_manager():
    resource, lock = Resource(), threading.Lock()

    def use():
        with lock, resource:
            pass

    run(use, use)
    assert resource.users == 0


def fails_contextlib():
    depth = []

    @contextlib.contextmanager
    def nested():
        depth.append(1)
        assert len(depth) == 1
        try:
            yield
        finally:
            depth.pop()

    def use():
        with nested():
            pass

    run(use, use)


def holds_contextlib():
    depth, lock = [], threading.Lock()

    @contextlib.contextmanager
    def nested():
        with lock:
            depth.append(1)
            assert len(depth) == 1
            try:
                yield
            finally:
                depth.pop()

    def use():
        with nested():
            pass

    run(use, use)


def fails_suppress():
    stock = {"a": 1}
    sold = []

    def sell():
        with contextlib.suppress(KeyError):
            price = stock["a"]
            del stock["a"]
            sold.append(price)
            stock["sold"] = len(sold)

    def forget():
        with contextlib.suppress(KeyError):
            del stock["a"]

    run(sell, forget)
    assert stock.get("sold") == 1


def holds_suppress():
    stock = {"a": 1}
    sold = []

    def sell():
        with contextlib.suppress(KeyError):
            sold.append(stock.pop("a"))

    run(sell, sell)
    assert sold == [1]


def fails_exit_stack():
    closed = []

    def use():
        with contextlib.ExitStack() as stack:
            if not closed:
                stack.callback(closed.append, 1)

    run(use, use)
    assert len(closed) == 1


def holds_exit_stack():
    closed, lock = [], threading.Lock()

    def use():
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock)
            if not closed:
                stack.callback(closed.append, 1)

    run(use, use)
    assert closed


def counted(function):
    @functools.wraps(function)
    def wrapper(*args):
        wrapper.calls += 1
        return function(*args)

    wrapper.calls = 0
    return wrapper


def fails_decorator():
    @counted
    def work():
        pass

    run(work, work)
    assert work.calls == 2


def holds_decorator():
    lock = threading.Lock()

    def synchronized(function):
        def wrapper(*args):
            with lock:
                return function(*args)

        return wrapper

    @counted
    def work():
        pass

    locked = synchronized(work)
    run(locked, locked)
    assert work.calls == 2


class Report:
    def __init__(self):
        self.renders = 0
        self.lock = threading.Lock()

    @functools.cached_property
    def text(self):
        self.renders += 1
        return "text"

    def text_locked(self):
        with self.lock:
            return self.text


def fails_cached_property():
    report = Report()
    run(lambda: report.text, lambda: report.text)
    assert report.renders == 1


def holds_cached_property():
    report = Report()
    run(report.text_locked, report.text_locked)
    assert report.renders == 1


def fails_singledispatch():
    @functools.singledispatch
    def show(value):
        return "anything"

    seen = []
    run(lambda: show.register(int, lambda value: "a number"), lambda: seen.append(show(1)))
    assert seen == ["a number"]


def holds_singledispatch():
    @functools.singledispatch
    def show(value):
        return "anything"

    show.register(int, lambda value: "a number")
    seen = []
    run(lambda: seen.append(show(1)), lambda: seen.append(show(2)))
    assert seen == ["a number", "a number"]


class Node:
    pass


def fails_weak_reference():
    nodes = [Node()]
    reference = weakref.ref(nodes[0])

    def use():
        if reference() is not None:
            reference().name = "used"

    run(nodes.clear, use)


def holds_weak_reference():
    nodes = [Node()]
    reference = weakref.ref(nodes[0])

    def use():
        node = reference()
        if node is not None:
            node.name = "used"

    run(nodes.clear, use)


def fails_weak_value_dictionary():
    node = Node()
    kept = [node]
    cache = weakref.WeakValueDictionary(a=node)
    del node

    def use():
        if "a" in cache:
            cache["a"].name = "used"

    run(kept.clear, use)


def holds_weak_value_dictionary():
    node = Node()
    kept = [node]
    cache = weakref.WeakValueDictionary(a=node)
    del node

    def use():
        found = cache.get("a")
        if found is not None:
            found.name = "used"

    run(kept.clear, use)


def fails_finalizer():
    class Handle:
        def __del__(self):
            log.append("closed")

    log, handles = [], [Handle()]

    def close():
        handles.clear()

    run(close, lambda: log.append("used"))
    assert log == ["used", "closed"]


def holds_finalizer():
    class Handle:
        def __del__(self):
            log.append("closed")

    log, handles = [], [Handle()]

    def close():
        handles.clear()

    run(close, lambda: log.append("used"))
    assert sorted(log) == ["closed", "used"]


def fails_sum_of_generator_expression():
    prices, totals = {"a": 1, "b": 1}, []

    def raise_prices():
        prices["a"] = 2
        prices["b"] = 2

    run(raise_prices, lambda: totals.append(sum(prices[name] for name in "ab")))
    assert totals[0] in (2, 4)


def holds_sum_of_generator_expression():
    prices, totals, lock = {"a": 1, "b": 1}, [], threading.Lock()

    def raise_prices():
        with lock:
            prices["a"] = 2
            prices["b"] = 2

    def total():
        with lock:
            totals.append(sum(prices[name] for name in "ab"))

    run(raise_prices, total)
    assert totals[0] in (2, 4)


def fails_named_tuple_swap():
    Pair = collections.namedtuple("Pair", "left right")
    box = [Pair(1, 1)]

    def left():
        box[0] = box[0]._replace(left=2)

    def right():
        box[0] = box[0]._replace(right=2)

    run(left, right)
    assert box[0] == Pair(2, 2)


def holds_named_tuple_swap():
    Pair = collections.namedtuple("Pair", "left right")
    box, lock = [Pair(1, 1)], threading.Lock()

    def left():
        with lock:
            box[0] = box[0]._replace(left=2)

    def right():
        with lock:
            box[0] = box[0]._replace(right=2)

    run(left, right)
    assert box[0] == Pair(2, 2)
