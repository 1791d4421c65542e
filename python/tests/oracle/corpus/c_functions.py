"""Functions written in C that read or change an object that threads share, and such functions as the target of a thread."""

import bisect
import functools
import heapq
import io
import operator
import threading


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def move_between(accounts):
    accounts[0] -= 10
    accounts[1] += 10


def fails_sum():
    accounts, totals = [50, 50], []
    run(lambda: move_between(accounts), lambda: totals.append(sum(accounts)))
    assert totals == [100]


def holds_sum():
    accounts, totals, lock = [50, 50], [], threading.Lock()

    def move():
        with lock:
            move_between(accounts)

    def audit():
        with lock:
            totals.append(sum(accounts))

    run(move, audit)
    assert totals == [100]


def fails_sum_of_view():
    accounts, totals = {0: 50, 1: 50}, []
    run(lambda: move_between(accounts), lambda: totals.append(sum(accounts.values())))
    assert totals == [100]


def holds_sum_of_view():
    accounts, totals, lock = {0: 50, 1: 50}, [], threading.Lock()

    def move():
        with lock:
            move_between(accounts)

    def audit():
        with lock:
            totals.append(sum(accounts.values()))

    run(move, audit)
    assert totals == [100]


def fails_stored_view():
    table, sizes = {"a": 1}, []
    keys = table.keys()

    def add():
        table["b"] = 2
        table["c"] = 3

    run(add, lambda: sizes.append(len(keys)))
    assert sizes[0] != 2


def holds_stored_view():
    table, sizes = {"a": 1}, []
    keys = table.keys()

    def add():
        table.update(b=2, c=3)

    run(add, lambda: sizes.append(len(keys)))
    assert sizes[0] != 2


def fails_sorted():
    scores, best = [5], []

    def add():
        scores.append(9)
        scores.append(7)

    run(add, lambda: best.append(sorted(scores)[-1]))
    assert best == [9]


def holds_sorted():
    scores, best = [9], []

    def add():
        scores.append(5)
        scores.append(7)

    run(add, lambda: best.append(sorted(scores)[-1]))
    assert best == [9]


def fails_max():
    scores, best = [5], []
    run(lambda: scores.append(9), lambda: best.append(max(scores)))
    assert best == [9]


def holds_max():
    scores, best = [9], []
    run(lambda: scores.append(5), lambda: best.append(max(scores)))
    assert best == [9]


def fails_min_of_empty():
    waiting = [3]
    run(waiting.clear, lambda: min(waiting))


def holds_min_of_empty():
    waiting = [3]
    run(waiting.clear, lambda: min(waiting, default=None))


def fails_any():
    flags, seen = [False, True], []

    def swap():
        flags[1] = False
        flags[0] = True

    run(swap, lambda: seen.append(any(flags)))
    assert seen == [True]


def holds_any():
    flags, seen = [False, True], []

    def swap():
        flags[0] = True
        flags[1] = False

    run(swap, lambda: seen.append(any(flags)))
    assert seen == [True]


def fails_join():
    words, lines = ["a"], []

    def write():
        words.append("b")
        words.append("c")

    run(write, lambda: lines.append("".join(words)))
    assert lines[0] != "ab"


def holds_join():
    words, lines = ["a"], []
    run(lambda: words.extend("bc"), lambda: lines.append("".join(words)))
    assert lines[0] != "ab"


def fails_repr():
    config, texts = {"a": 1}, []

    def change():
        config["a"] = 2
        config["a"] = 3

    run(change, lambda: texts.append(f"{config}"))
    assert texts[0] != "{'a': 2}"


def holds_repr():
    config, texts = {"a": 1}, []
    run(lambda: config.update(a=3), lambda: texts.append(f"{config}"))
    assert texts[0] != "{'a': 2}"


def fails_copy_by_constructor():
    source, copies = [1], []

    def grow():
        source.append(2)
        source.append(3)

    run(grow, lambda: copies.append(tuple(source)))
    assert len(copies[0]) != 2


def holds_copy_by_constructor():
    source, copies = [1], []
    run(lambda: source.extend((2, 3)), lambda: copies.append(tuple(source)))
    assert len(copies[0]) != 2


def fails_heapq():
    heap = [1]

    def work():
        if heap:
            heapq.heappop(heap)

    run(work, work)


def holds_heapq():
    heap, lock = [1], threading.Lock()

    def work():
        with lock:
            if heap:
                heapq.heappop(heap)

    run(work, work)


def fails_heapq_smallest():
    heap, first = [3], []
    run(lambda: heapq.heappush(heap, 1), lambda: first.append(heapq.nsmallest(1, heap)[0]))
    assert first == [1]


def holds_heapq_smallest():
    heap, first = [1], []
    run(lambda: heapq.heappush(heap, 3), lambda: first.append(heapq.nsmallest(1, heap)[0]))
    assert first == [1]


def fails_bisect():
    times = [1, 9]

    def book(time):
        place = bisect.bisect(times, time)
        times.insert(place, time)

    run(lambda: book(5), lambda: book(4))
    assert times == sorted(times)


def holds_bisect():
    times = [1, 9]
    run(lambda: bisect.insort(times, 5), lambda: bisect.insort(times, 4))
    assert times == sorted(times)


def fails_string_io():
    out = io.StringIO()

    def write(line):
        out.write(line)
        out.write("\n")

    run(lambda: write("a"), lambda: write("b"))
    assert out.getvalue() in ("a\nb\n", "b\na\n")


def holds_string_io():
    out = io.StringIO()

    def write(line):
        out.write(line + "\n")

    run(lambda: write("a"), lambda: write("b"))
    assert out.getvalue() in ("a\nb\n", "b\na\n")


def fails_string_io_seek():
    file, seen = io.StringIO("ab"), []

    def read(position):
        file.seek(position)
        seen.append(file.read(1))

    run(lambda: read(0), lambda: read(1))
    assert sorted(seen) == ["a", "b"]


def holds_string_io_seek():
    file, seen, lock = io.StringIO("ab"), [], threading.Lock()

    def read(position):
        with lock:
            file.seek(position)
            seen.append(file.read(1))

    run(lambda: read(0), lambda: read(1))
    assert sorted(seen) == ["a", "b"]


def fails_print_to_shared_file():
    out = io.StringIO()
    run(lambda: print("a", "b", file=out), lambda: print("c", file=out))
    assert out.getvalue() == "a b\nc\n"


def holds_print_to_shared_file():
    out = io.StringIO()
    run(lambda: print("a", end="", file=out), lambda: print("c", end="", file=out))
    assert sorted(out.getvalue()) == ["a", "c"]


def fails_reduce():
    values, results = [1, 1], []

    def change():
        values[0] = 2
        values[1] = 2

    run(change, lambda: results.append(functools.reduce(operator.mul, values)))
    assert results[0] in (1, 4)


def holds_reduce():
    values, results = [1, 1], []

    def change():
        values[:] = 2, 2

    run(change, lambda: results.append(functools.reduce(operator.mul, values)))
    assert results[0] in (1, 4)


def fails_operator_module():
    scores = {"x": 0}

    def add():
        operator.setitem(scores, "x", operator.getitem(scores, "x") + 1)

    run(add, add)
    assert scores["x"] == 2


def holds_operator_module():
    scores, lock = {"x": 0}, threading.Lock()

    def add():
        with lock:
            operator.setitem(scores, "x", operator.getitem(scores, "x") + 1)

    run(add, add)
    assert scores["x"] == 2


class Box:
    def __init__(self):
        self.value = 1


def fails_attrgetter():
    box, seen = Box(), []
    value = operator.attrgetter("value")

    def change():
        box.value = 2

    run(change, lambda: seen.append(value(box)))
    assert seen == [2]


def holds_attrgetter():
    box, seen = Box(), []
    value = operator.attrgetter("value")

    def change():
        box.value = 1

    run(change, lambda: seen.append(value(box)))
    assert seen == [1]


def fails_c_function_as_target():
    log = []
    threads = [threading.Thread(target=log.append, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log == [1, 2]


def holds_c_function_as_target():
    log = []
    threads = [threading.Thread(target=log.append, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(log) == [1, 2]


def fails_setattr_as_target():
    box = Box()
    threads = [threading.Thread(target=setattr, args=(box, "value", n)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert box.value == 2


def holds_setattr_as_target():
    box = Box()
    threads = [threading.Thread(target=setattr, args=(box, name, 2)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert box.left == box.right


def fails_partial_of_c_function():
    table = {}
    run(functools.partial(table.update, a=1), functools.partial(table.update, a=2))
    assert table["a"] == 2


def holds_partial_of_c_function():
    table = {}
    run(functools.partial(table.update, a=1), functools.partial(table.update, b=2))
    assert table == {"a": 1, "b": 2}


def fails_exec():
    space = {"n": 0}

    def add():
        exec("n = n + 1", space)

    run(add, add)
    assert space["n"] == 2


def holds_exec():
    space, lock = {"n": 0}, threading.Lock()

    def add():
        with lock:
            exec("n = n + 1", space)

    run(add, add)
    assert space["n"] == 2
