"""C code that calls, holds or passes on what it was given: keys, predicates, factories, bound methods, proxies, streams and iterators."""

import array
import bisect
import collections
import contextvars
import csv
import functools
import heapq
import io
import itertools
import operator
import re
import threading
import types
import weakref


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def locked(lock, function):
    def call():
        with lock:
            function()

    return call


# -- keys and callbacks of C ---------------------------------------------------------------------------------------------


def _sort_by_table():
    rank, names = {"a": 1, "b": 2}, ["b", "a"]

    def swap():
        rank["a"] = 3

    def sort():
        names.sort(key=rank.get)

    return names, sort, swap


def fails_sort_with_a_method_of_a_dict_as_key():
    names, sort, swap = _sort_by_table()
    run(sort, swap)
    assert names == ["a", "b"]


def holds_sort_with_a_method_of_a_dict_as_key():
    names, sort, swap = _sort_by_table()
    run(sort)
    run(swap)
    assert names == ["a", "b"]


class Job:
    def __init__(self, name, priority):
        self.name, self.priority = name, priority
        self.child = types.SimpleNamespace(value=0)


def _sort_by_attribute(key):
    jobs = [Job("a", 1), Job("b", 2)]

    def raise_priority():
        jobs[-1].priority = 0

    return jobs, lambda: jobs.sort(key=key), raise_priority


def fails_sort_by_attribute():
    first = Job("a", 1), Job("b", 2)
    jobs = list(first)

    def demote():
        first[0].priority = 3

    run(lambda: jobs.sort(key=operator.attrgetter("priority")), demote)
    assert [job.name for job in jobs] == ["a", "b"]


def holds_sort_by_attribute():
    first = Job("a", 1), Job("b", 2)
    jobs = list(first)

    def demote():
        first[0].priority = 3

    run(lambda: jobs.sort(key=operator.attrgetter("name")), demote)
    assert [job.name for job in jobs] == ["a", "b"]


def fails_insort_by_attribute():
    first = Job("a", 1), Job("b", 3)
    jobs, new = list(first), Job("c", 2)

    def demote():
        first[0].priority = 3

    run(lambda: bisect.insort(jobs, new, key=operator.attrgetter("priority")), demote)
    assert jobs[1] is new


def holds_insort_by_attribute():
    first = Job("a", 1), Job("b", 3)
    jobs, new = list(first), Job("c", 2)

    def demote():
        first[0].priority = 0

    run(lambda: bisect.insort(jobs, new, key=operator.attrgetter("priority")), demote)
    assert jobs[1] is new


def fails_nested_attribute_by_getter():
    job, seen = Job("a", 1), []
    value = operator.attrgetter("child.value")

    def write():
        job.child.value = 1

    run(lambda: seen.append(value(job)), write)
    assert seen == [0]


def holds_nested_attribute_by_getter():
    job, seen = Job("a", 1), []
    value = operator.attrgetter("child.value")

    def write():
        job.child.other = 1

    run(lambda: seen.append(value(job)), write)
    assert seen == [0]


def fails_map_of_a_method_over_a_string():
    table, totals = {"a": 1, "b": 1}, []

    def move():
        table["a"] = 0
        table["b"] = 2

    run(lambda: totals.append(sum(map(table.get, "ab"))), move)
    assert totals == [2]


def holds_map_of_a_method_over_a_string():
    table, totals, lock = {"a": 1, "b": 1}, [], threading.Lock()

    def move():
        table["a"] = 0
        table["b"] = 2

    run(locked(lock, lambda: totals.append(sum(map(table.get, "ab")))), locked(lock, move))
    assert totals == [2]


def fails_map_of_a_method_over_a_range():
    items, sums = [1, 1, 1], []

    def move():
        items[0] = 0
        items[2] = 2

    run(lambda: sums.append(sum(map(items.__getitem__, range(3)))), move)
    assert sums == [3]


def holds_map_of_a_method_over_a_range():
    items, sums = (1, 1, 1), []
    run(lambda: sums.append(sum(map(items.__getitem__, range(3)))), lambda: sums.append(3))
    assert sums == [3, 3]


def fails_append_mapped_over_a_range():
    items, lengths = [], []
    run(lambda: list(map(items.append, range(2))), lambda: lengths.append(len(items)))
    assert lengths != [2]


def holds_append_mapped_over_a_range():
    items = []
    run(lambda: list(map(items.append, range(2))), lambda: list(map(items.append, range(2))))
    assert sorted(items) == [0, 0, 1, 1]


def fails_iterator_over_calls_of_pop():
    work, done = [None, 2, 1], []

    def take():
        for item in iter(work.pop, None):
            done.append(item)

    def look():
        done.append(len(work))

    run(take, look)
    assert done.count(1) == 1


def holds_iterator_over_calls_of_pop():
    work, done, lock = [None, None, 2, 1], [], threading.Lock()

    def take():
        for item in iter(work.pop, None):
            done.append(item)

    run(take, take)
    assert sorted(done) == [1, 2]


def fails_replacement_by_a_function_that_counts():
    counter = types.SimpleNamespace(n=0)

    def number(match):
        counter.n += 1
        return str(counter.n)

    run(lambda: re.sub("x", number, "x"), lambda: re.sub("x", number, "x"))
    assert counter.n == 2


def holds_replacement_by_a_function_that_counts():
    counter, lock = types.SimpleNamespace(n=0), threading.Lock()

    def number(match):
        with lock:
            counter.n += 1
            return str(counter.n)

    run(lambda: re.sub("x", number, "x"), lambda: re.sub("x", number, "x"))
    assert counter.n == 2


def fails_replacement_by_a_compiled_pattern():
    counter, pattern = types.SimpleNamespace(n=0), re.compile("x")

    def number(match):
        counter.n += 1
        return str(counter.n)

    run(lambda: pattern.sub(number, "x"), lambda: pattern.sub(number, "x"))
    assert counter.n == 2


def holds_replacement_by_a_compiled_pattern():
    pattern, out = re.compile("x"), []
    run(lambda: out.append(pattern.sub("y", "x")), lambda: out.append(pattern.sub("y", "x")))
    assert out == ["y", "y"]


def fails_replacement_by_a_method_of_c():
    pattern, table, out = re.compile("."), {"a": "1", "b": "2"}, []

    def swap():
        table["a"] = "3"

    replace = lambda match: table.get(match.group())
    run(lambda: out.append(pattern.sub(replace, "ab")), swap)
    assert out == ["12"]


def holds_replacement_by_a_method_of_c():
    pattern, table, out = re.compile("."), {"a": "1", "b": "2"}, []

    def swap():
        table["c"] = "3"

    replace = lambda match: table.get(match.group())
    run(lambda: out.append(pattern.sub(replace, "ab")), swap)
    assert out == ["12"]


def fails_property_of_a_getter_of_c():
    class Account:
        balance = property(operator.attrgetter("_balance"))

        def __init__(self):
            self._balance = 0

        def deposit(self):
            self._balance = self.balance + 1

    account = Account()
    run(account.deposit, account.deposit)
    assert account.balance == 2


def holds_property_of_a_getter_of_c():
    class Account:
        balance = property(operator.attrgetter("_balance"))

        def __init__(self):
            self._balance = 0
            self.lock = threading.Lock()

        def deposit(self):
            with self.lock:
                self._balance = self.balance + 1

    account = Account()
    run(account.deposit, account.deposit)
    assert account.balance == 2


def fails_function_called_by_operator():
    items, seen = [], []
    run(lambda: operator.call(items.append, 1), lambda: seen.append(len(items)))
    assert seen == [0]


def holds_function_called_by_operator():
    items = []
    run(lambda: operator.call(items.append, 1), lambda: operator.call(items.append, 2))
    assert sorted(items) == [1, 2]


def fails_function_called_in_a_context():
    items, seen = [], []
    run(lambda: contextvars.copy_context().run(items.append, 1), lambda: seen.append(len(items)))
    assert seen == [0]


def holds_function_called_in_a_context():
    items = []
    run(*[lambda: contextvars.copy_context().run(items.append, 1)] * 2)
    assert items == [1, 1]


def fails_defaults_from_a_shared_counter():
    identifiers = itertools.count(1)
    first, second = (collections.defaultdict(identifiers.__next__) for _ in range(2))
    run(lambda: first["a"], lambda: second["a"])
    assert (first["a"], second["a"]) == (1, 2)


def holds_defaults_from_a_shared_counter():
    identifiers = itertools.count(1)
    first, second = (collections.defaultdict(identifiers.__next__) for _ in range(2))
    run(lambda: first["a"], lambda: second["a"])
    assert first["a"] + second["a"] == 3


def fails_reduce_with_a_method_of_c():
    table, out = {1: 0}, []

    def write():
        table[1] = 1

    run(lambda: out.append(functools.reduce(lambda total, key: total + table.get(key), (1, 1), 0)), write)
    assert out != [1]


def holds_reduce_with_a_method_of_c():
    table, out = {1: 0}, []

    def write():
        table[2] = 1

    run(lambda: out.append(functools.reduce(lambda total, key: total + table.get(key), (1, 1), 0)), write)
    assert out == [0]


# -- iterators that keep what they were given ----------------------------------------------------------------------------


def _combined(combine):
    items, seen = [1, 2], []

    def write():
        items[0] = 3

    run(lambda: seen.extend(combine(items)), write)
    assert seen[0][0] == 1


def fails_product():
    _combined(itertools.product)


def fails_permutations():
    _combined(itertools.permutations)


def fails_combinations():
    _combined(lambda items: itertools.combinations(items, 1))


def holds_product():
    _holds_combined(itertools.product)


def _holds_combined(combine):
    items, seen, lock = [1, 2], [], threading.Lock()

    def write():
        items.append(3)

    run(locked(lock, lambda: seen.extend(combine(items))), locked(lock, write))
    assert seen[0][0] == 1


def holds_permutations():
    _holds_combined(itertools.permutations)


def holds_combinations():
    _holds_combined(lambda items: itertools.combinations(items, 1))


def fails_two_ends_of_a_tee_over_a_generator():
    def numbers():
        yield 1
        yield 2

    left, right = itertools.tee(numbers())
    taken = []

    def take(end):
        try:
            taken.append(next(end))
        except (RuntimeError, ValueError):
            taken.append(None)

    run(lambda: take(left), lambda: take(right))
    assert taken == [1, 1]


def holds_two_ends_of_a_tee_over_a_generator():
    def numbers():
        yield 1
        yield 2

    left, right = itertools.tee(numbers())
    taken, lock = [], threading.Lock()

    def take(end):
        with lock:
            taken.append(next(end))

    run(lambda: take(left), lambda: take(right))
    assert taken == [1, 1]


# -- views, proxies and streams ------------------------------------------------------------------------------------------


def _through_a_proxy(read):
    table, seen = {"a": 1}, []
    proxy = types.MappingProxyType(table)

    def add():
        table["b"] = 2

    run(lambda: seen.append(read(proxy)), add)
    return seen[0]


def fails_length_of_a_mapping_proxy():
    assert _through_a_proxy(len) == 1


def fails_text_of_a_mapping_proxy():
    assert "b" not in _through_a_proxy(str)


def fails_comparison_with_a_mapping_proxy():
    assert _through_a_proxy(lambda proxy: proxy == {"a": 1})


def fails_union_with_a_mapping_proxy():
    assert len(_through_a_proxy(lambda proxy: proxy | {})) == 1


def holds_length_of_a_mapping_proxy():
    assert _through_a_proxy(len) in (1, 2)


def holds_text_of_a_mapping_proxy():
    assert "a" in _through_a_proxy(str)


def holds_comparison_with_a_mapping_proxy():
    assert not _through_a_proxy(lambda proxy: proxy == {})


def holds_union_with_a_mapping_proxy():
    assert "a" in _through_a_proxy(lambda proxy: proxy | {})


class Node:
    def __init__(self):
        self.n = 0


def fails_attribute_through_a_weak_proxy():
    node = Node()
    proxy = weakref.proxy(node)

    def by_proxy():
        proxy.n += 1

    def by_name():
        node.n += 1

    run(by_proxy, by_name)
    assert node.n == 2


def holds_attribute_through_a_weak_proxy():
    node, lock = Node(), threading.Lock()
    proxy = weakref.proxy(node)

    def by_proxy():
        with lock:
            proxy.n += 1

    def by_name():
        with lock:
            node.n += 1

    run(by_proxy, by_name)
    assert node.n == 2


def fails_rows_of_a_shared_file():
    out, seen = io.StringIO(), []
    writer = csv.writer(out)
    run(lambda: writer.writerow([1, 2]), lambda: seen.append(out.getvalue()))
    assert seen == [""]


def holds_rows_of_a_shared_file():
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="|")
    run(lambda: writer.writerow([1, 2]), lambda: writer.writerow([1, 2]))
    assert out.getvalue() == "1,2|1,2|"


def fails_reading_into_a_shared_buffer():
    data, buffer, seen = io.BytesIO(b"xy"), bytearray(b"ab"), []
    run(lambda: data.readinto(buffer), lambda: seen.append(bytes(buffer)))
    assert seen == [b"ab"]


def holds_reading_into_a_shared_buffer():
    data, buffer, seen = io.BytesIO(b"xy"), bytearray(b"ab"), []
    run(lambda: data.readinto(buffer), lambda: seen.append(bytes(buffer)))
    assert seen[0] in (b"ab", b"xy")


def fails_writing_a_shared_buffer():
    out, buffer = io.BytesIO(), bytearray(b"ab")

    def change():
        buffer[0] = 120

    run(lambda: out.write(buffer), change)
    assert out.getvalue() == b"ab"


def holds_writing_a_shared_buffer():
    out, buffer = io.BytesIO(), bytearray(b"ab")
    run(lambda: out.write(buffer), lambda: out.write(buffer))
    assert out.getvalue() == b"abab"


def fails_writing_shared_lines():
    out, lines = io.StringIO(), ["a"]
    run(lambda: out.writelines(lines), lambda: lines.append("b"))
    assert out.getvalue() == "a"


def holds_writing_shared_lines():
    out, lines, lock = io.StringIO(), ["a"], threading.Lock()
    run(locked(lock, lambda: out.writelines(lines)), locked(lock, lambda: lines.append("b")))
    assert out.getvalue() in ("a", "ab")


def fails_text_written_through_a_wrapper():
    raw, seen = io.BytesIO(), []
    text = io.TextIOWrapper(raw, write_through=True)
    run(lambda: text.write("a"), lambda: seen.append(raw.getvalue()))
    assert seen == [b""]


def holds_text_written_through_a_wrapper():
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, write_through=True)
    run(lambda: text.write("a"), lambda: text.write("b"))
    assert sorted(raw.getvalue()) == [97, 98]


def fails_element_of_a_shared_array():
    hits = array.array("q", [0])

    def hit():
        hits[0] += 1

    run(hit, hit)
    assert hits[0] == 2


def holds_element_of_a_shared_array():
    hits, lock = array.array("q", [0]), threading.Lock()

    def hit():
        with lock:
            hits[0] += 1

    run(hit, hit)
    assert hits[0] == 2


def fails_smallest_of_a_heap():
    heap, taken = [1, 3], []

    def take():
        if heap[0] == 1:
            taken.append(heapq.heappop(heap))

    run(take, take)
    assert taken == [1]


def holds_smallest_of_a_heap():
    heap, taken, lock = [1, 3], [], threading.Lock()

    def take():
        with lock:
            if heap[0] == 1:
                taken.append(heapq.heappop(heap))

    run(take, take)
    assert taken == [1]


# -- code in namespaces --------------------------------------------------------------------------------------------------


def fails_names_of_a_shared_namespace():
    space = {"n": 0}
    run(*[lambda: exec("n = n + 1", {}, space)] * 2)
    assert space["n"] == 2


def holds_names_of_a_shared_namespace():
    space, lock = {"n": 0}, threading.Lock()
    run(*[locked(lock, lambda: exec("n = n + 1", {}, space))] * 2)
    assert space["n"] == 2


# -- generators that end early -------------------------------------------------------------------------------------------


def fails_generator_closed_at_the_end_of_a_loop():
    state = types.SimpleNamespace(open=0)

    def session():
        state.open += 1
        try:
            yield state.open
        finally:
            state.open -= 1

    def use():
        for count in session():
            assert count == 1
            break

    run(use, use)


def holds_generator_closed_at_the_end_of_a_loop():
    lock, state = threading.Lock(), types.SimpleNamespace(open=0)

    def session():
        with lock:
            state.open += 1
            try:
                yield state.open
            finally:
                state.open -= 1

    def use():
        for count in session():
            assert count == 1
            break

    run(use, use)


def holds_generator_forgotten_before_its_end():
    lock = threading.Lock()

    def session():
        with lock:
            yield 1

    def use():
        values = session()
        assert next(values) == 1
        del values

    run(use, use)
