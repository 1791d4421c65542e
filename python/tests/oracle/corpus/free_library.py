"""The standard library on what threads share: containers, iterators, streams, numbers at random, dates, records, logs, patterns."""

import array
import bisect
import collections
import configparser
import csv
import datetime
import decimal
import fractions
import functools
import graphlib
import heapq
import io
import itertools
import json
import logging
import math
import operator
import pickle
import random
import re
import statistics
import string
import struct
import textwrap
import threading
import time
import types

_pairs = {}


def pair(program):
    _pairs[f"values_{program.__name__}"] = lambda: program(free)
    _pairs[f"serial_{program.__name__}"] = lambda: program(serial)
    return program


def pairs():
    return _pairs


def free(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def serial(*targets):
    lock = threading.Lock()

    def locked(target):
        with lock:
            target()

    free(*[functools.partial(locked, target) for target in targets])


class Counting(logging.Filter):
    count = 0

    def filter(self, record):
        self.count += 1
        record.number = self.count
        return True


@pair
def filter_of_a_logger(run):
    logger, counting = logging.Logger("counted"), Counting()
    logger.addFilter(counting)
    run(lambda: logger.error("a"), lambda: logger.error("b"))
    return counting.count


@pair
def adapter_of_a_logger(run):
    class Numbered(logging.LoggerAdapter):
        number = 0

        def process(self, message, options):
            self.number += 1
            return message, options

    adapter = Numbered(logging.Logger("adapted", logging.CRITICAL), {})
    run(lambda: adapter.critical("a"), lambda: adapter.critical("b"))
    return adapter.number


@pair
def logged_arguments(run):
    items, lines = [1], []

    class Keeping(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    logger = logging.Logger("kept")
    logger.addHandler(Keeping())
    run(lambda: items.append(2), lambda: logger.error("%s", items))
    return lines


@pair
def replaced_text_by_pattern(run):
    template, values, seen = "{a}-{b}", {"a": "1", "b": "1"}, []

    def change():
        values["a"] = values["b"] = "2"

    run(change, lambda: seen.append(re.sub(r"{(\w)}", lambda match: values[match[1]], template)))
    return seen


@pair
def replaced_text_by_format(run):
    values, seen = {"a": 1, "b": 1}, []

    def change():
        values["a"] = values["b"] = 2

    run(change, lambda: seen.append(("{a}{b}".format(**values), "{0[a]}{0[b]}".format(values), "%(a)s%(b)s" % values)))
    return seen


@pair
def templates(run):
    values, seen = {"a": 1}, []

    def change():
        values["a"] = 2
        values["b"] = 3

    run(change, lambda: seen.append(string.Template("$a $b").safe_substitute(values)))
    return seen


@pair
def map_over_a_string(run):
    table, seen = {"a": 1, "b": 2}, []

    def change():
        table["a"] = table["b"] = 0

    run(change, lambda: seen.append(list(map(table.get, "ab"))))
    return seen


@pair
def map_of_two_iterables(run):
    left, right, seen = [1, 2], [1, 2], []

    def change():
        left[0] = 5
        right[1] = 5

    run(change, lambda: seen.append(list(map(operator.add, left, right))))
    return seen


@pair
def setitem_mapped(run):
    tables, seen = [{"a": 0}, {"a": 0}], []
    run(lambda: list(map(operator.setitem, tables, "aa", [1, 2])), lambda: seen.append([table["a"] for table in tables]))
    return seen


@pair
def setattr_mapped(run):
    boxes, seen = [types.SimpleNamespace(a=0) for _ in range(2)], []
    run(lambda: [*itertools.starmap(setattr, [(box, "a", 1) for box in boxes])], lambda: seen.append([box.a for box in boxes]))
    return seen


@pair
def filter_by_membership(run):
    allowed, seen = {1, 2}, []
    run(allowed.clear, lambda: seen.append(list(filter(allowed.__contains__, [1, 2]))))
    return seen


@pair
def iteration_over_calls(run):
    items, seen = [0, 3, 2, 1], []

    def take():
        try:
            seen.extend(iter(items.pop, 0))
        except IndexError:
            seen.append(None)

    run(take, take)
    return sorted(map(str, seen))


@pair
def iteration_over_lines(run):
    stream, seen = io.StringIO("a\nb\nc\n"), []

    def read():
        for line in iter(stream.readline, ""):
            seen.append(line.strip())

    run(read, read)
    return seen


@pair
def shared_lines_of_a_stream(run):
    stream, seen = io.StringIO("a\nb\n"), []

    def read():
        for line in stream:
            seen.append(line.strip())

    run(read, read)
    return seen


@pair
def shared_reader_of_records(run):
    reader, seen = csv.reader(io.StringIO("a,b\n1,2\n")), []

    def read():
        for row in reader:
            seen.append(row[0])

    run(read, read)
    return sorted(seen)


@pair
def shared_writer_of_records(run):
    out = io.StringIO()
    writer, seen = csv.DictWriter(out, ["a", "b"], lineterminator=";"), []
    run(lambda: writer.writerow({"a": 1, "b": 2}), lambda: seen.append(out.getvalue()))
    return seen


@pair
def json_of_a_shared_object(run):
    document, seen = {"a": [1], "b": {}}, []

    def change():
        document["a"].append(2)
        document["b"]["c"] = 3

    run(change, lambda: seen.append(json.dumps(document)))
    return seen


@pair
def json_by_a_default(run):
    class Point:
        def __init__(self):
            self.x = self.y = 0

    point, seen = Point(), []

    def change():
        point.x = 1
        point.y = 1

    run(change, lambda: seen.append(json.dumps([point], default=vars)))
    return seen


@pair
def pickled_state(run):
    class State:
        def __init__(self):
            self.a, self.b = [1], [1]

        def __getstate__(self):
            return {"a": list(self.a), "b": list(self.b)}

    state, seen = State(), []

    def change():
        state.a.append(2)
        state.b.append(2)

    run(change, lambda: seen.append(sorted(state.__getstate__().items())))
    return seen


@pair
def pickled_containers(run):
    data, seen = {"a": [1], "b": (2,)}, []

    def change():
        data["a"].append(2)
        data["b"] = ()

    run(change, lambda: seen.append(pickle.loads(pickle.dumps(data))))
    return seen


@pair
def packed_bytes(run):
    buffer, seen = bytearray(4), []
    run(lambda: struct.pack_into("<HH", buffer, 0, 1, 1), lambda: seen.append(struct.unpack_from("<HH", buffer)))
    return seen


@pair
def packed_by_a_structure(run):
    record, buffer, seen = struct.Struct("<HH"), bytearray(4), []
    run(lambda: record.pack_into(buffer, 0, 1, 1), lambda: seen.append([*record.iter_unpack(buffer)]))
    return seen


@pair
def views_of_memory(run):
    data, seen = bytearray(b"abcd"), []
    left, right = memoryview(data)[:2], memoryview(data)[1:]

    def write():
        left[1] = 120
        right[0] = 121

    run(write, lambda: seen.append((bytes(left), bytes(right), bytes(data))))
    return seen


@pair
def view_cast(run):
    data, seen = bytearray(4), []
    words = memoryview(data).cast("H")

    def write():
        words[0] = 257

    run(write, lambda: seen.append((data[0], data[1])))
    return seen


@pair
def stream_of_bytes(run):
    stream = io.BytesIO(b"abcdef")
    seen, buffer = [], bytearray(2)

    def read():
        stream.readinto(buffer)
        seen.append(bytes(buffer))

    run(read, read)
    return sorted(seen)


@pair
def buffer_of_a_stream(run):
    stream, seen = io.BytesIO(b"ab"), []

    def write():
        with stream.getbuffer() as view:
            view[0] = 120

    run(write, lambda: seen.append(stream.getvalue()))
    return seen


@pair
def print_into_a_stream(run):
    out = io.StringIO()
    run(lambda: print("a", "b", sep="-", file=out), lambda: print("c", "d", sep="-", file=out))
    return out.getvalue()


@pair
def positions_of_a_stream(run):
    stream, seen = io.StringIO("abcdef"), []

    def read(at):
        stream.seek(at)
        seen.append(stream.read(1))

    run(lambda: read(1), lambda: read(4))
    return sorted(seen)


@pair
def products_and_permutations(run):
    items, seen = [1, 2], []

    def change():
        items[0] = 3

    run(change, lambda: seen.append([*itertools.product(items, repeat=1), *itertools.permutations(items, 1)]))
    return seen


@pair
def cycle_over_a_list(run):
    servers, seen = ["a", "b"], []
    turns = itertools.cycle(servers)
    next(turns)
    run(lambda: seen.append(next(turns)), lambda: servers.append("c"), lambda: seen.append(next(turns)))
    return seen


@pair
def groups_of_a_list(run):
    rows, seen = [1, 1, 2], []

    def change():
        rows[1] = 2

    run(change, lambda: seen.append([(key, len(list(group))) for key, group in itertools.groupby(rows)]))
    return seen


@pair
def groups_by_attribute(run):
    rows, seen = [types.SimpleNamespace(kind="a"), types.SimpleNamespace(kind="a")], []

    def change():
        rows[1].kind = "b"

    run(change, lambda: seen.append([key for key, _ in itertools.groupby(rows, operator.attrgetter("kind"))]))
    return seen


@pair
def pairs_of_neighbours(run):
    rows, seen = [1, 2, 3], []

    def change():
        rows[1] = 5
        rows.append(6)

    run(change, lambda: seen.append(list(itertools.pairwise(rows))))
    return seen


@pair
def accumulated_and_compressed(run):
    rows, seen = [1, 1], []

    def change():
        rows[0] = 0

    run(change, lambda: seen.append((list(itertools.accumulate(rows)), list(itertools.compress("ab", rows)))))
    return seen


@pair
def ends_of_a_tee(run):
    def numbers():
        for number in (1, 2):
            yield number

    left, right = itertools.tee(numbers())
    seen = []

    def take(end):
        try:
            seen.append(next(end))
        except (RuntimeError, ValueError) as error:
            seen.append(0)

    run(lambda: take(left), lambda: take(right))
    return sorted(seen)


@pair
def merged_sources(run):
    first, second, seen = [1, 4], [2, 3], []
    run(lambda: first.insert(0, 0), lambda: seen.append(list(heapq.merge(first, second))))
    return seen


@pair
def largest_by_key(run):
    scores, seen = {"a": 1, "b": 2}, []

    def change():
        scores["a"] = 3

    run(change, lambda: seen.append((heapq.nlargest(1, scores, key=scores.get), max(scores, key=scores.__getitem__))))
    return seen


@pair
def heap_replaced(run):
    heap, taken = [1, 2, 3], []
    run(lambda: taken.append(heapq.heapreplace(heap, 5)), lambda: taken.append(heapq.heappushpop(heap, 0)))
    return sorted(taken), heap


@pair
def sorted_insertion(run):
    scores = [1, 5]

    def insert(score):
        at = bisect.bisect(scores, score)
        scores.insert(at, score)

    run(lambda: insert(2), lambda: insert(3))
    return scores


@pair
def sorted_by_two_keys(run):
    rows, seen = [{"n": 1, "t": "b"}, {"n": 2, "t": "a"}], []
    first = rows[0]

    def change():
        first["n"] = 3
        first["t"] = "c"

    run(change, lambda: seen.append([row["t"] for row in sorted(rows, key=operator.itemgetter("n", "t"))]))
    return seen


@pair
def table_of_defaults(run):
    numbers = collections.defaultdict(itertools.count().__next__)
    run(lambda: numbers["a"], lambda: numbers["b"])
    return sorted(numbers.items())


@pair
def counters_added(run):
    total = collections.Counter(a=1)
    extra = collections.Counter(b=1)

    def add():
        nonlocal total
        total = total + extra

    run(add, lambda: total.update(["a"]))
    return sorted(total.items())


@pair
def most_common_words(run):
    words, seen = collections.Counter("aab"), []
    run(lambda: words.update("bbb"), lambda: seen.append(words.most_common(1)[0]))
    return seen


@pair
def deque_as_a_history(run):
    history, seen = collections.deque(maxlen=2), []

    def visit(page):
        history.append(page)
        seen.append(history[-1])

    run(lambda: visit("a"), lambda: visit("b"))
    return list(history), seen


@pair
def deque_rotated(run):
    turns, seen = collections.deque("abc"), []

    def turn():
        seen.append(turns[0])
        turns.rotate(-1)

    run(turn, turn)
    return seen


@pair
def sets_combined(run):
    left, right, seen = {1, 2}, {2, 3}, []

    def move():
        left.discard(1)
        right.add(1)

    run(move, lambda: seen.append((sorted(left | right), sorted(left & right), left <= right)))
    return seen


@pair
def dictionary_merged(run):
    base, extra = {"a": 1}, {"b": 2}

    def merge():
        nonlocal base
        base = {**base, **extra}

    run(merge, lambda: extra.update(c=3), lambda: base.update(d=4))
    return sorted(base)


@pair
def ordered_dictionary_popped(run):
    tasks, done = collections.OrderedDict(a=1, b=2), []

    def work():
        try:
            done.append(tasks.popitem(last=False)[0])
            tasks.move_to_end("b")
        except KeyError:
            done.append("none")

    run(work, work)
    return done


@pair
def array_of_numbers(run):
    numbers, seen = array.array("i", [1, 2]), []

    def change():
        numbers[0] = 5
        numbers.append(3)

    run(change, lambda: seen.append((sum(numbers), len(numbers), numbers.tolist())))
    return seen


@pair
def array_iterated(run):
    numbers, seen = array.array("i", [1, 2]), []

    def read():
        for number in numbers:
            seen.append(number)

    run(numbers.reverse, read, lambda: numbers.append(3))
    return seen


@pair
def array_copied_from_a_list(run):
    numbers, seen = [1, 2], []

    def change():
        numbers[0] = 5
        numbers.append(3)

    run(change, lambda: seen.append(array.array("i", numbers).tolist()))
    return seen


@pair
def read_only_view(run):
    table = {"a": 1}
    view, seen = types.MappingProxyType(table), []

    def change():
        table["b"] = 2
        table["a"] = 3

    run(change, lambda: seen.append((len(view), view["a"], str(view), view == {"a": 1}, view | {})))
    return seen


@pair
def seeded_numbers(run):
    generator, seen = random.Random(1), []
    run(lambda: seen.append(generator.randint(1, 100)), lambda: seen.append(generator.randint(1, 100)))
    return seen


@pair
def rounded_context(run):
    seen = []

    def divide(digits):
        decimal.getcontext().prec = digits
        seen.append(str(decimal.Decimal(1) / 3))

    run(lambda: divide(2), lambda: divide(3))
    return sorted(seen)


@pair
def fractions_added(run):
    total = fractions.Fraction(0)

    def add():
        nonlocal total
        total += fractions.Fraction(1, 2)

    run(add, add)
    return str(total)


@pair
def mean_of_a_list(run):
    values, seen = [1, 2, 3], []

    def change():
        values[0] = 3
        values.append(1)

    run(change, lambda: seen.append((statistics.fmean(values), math.fsum(values), math.prod(values))))
    return seen


@pair
def dates_compared(run):
    shared, seen = {"day": datetime.date(2024, 1, 1)}, []

    def advance():
        shared["day"] += datetime.timedelta(days=1)

    run(advance, advance)
    return shared["day"].isoformat()


@pair
def sleep_by_partial(run):
    log = []

    def early():
        time.sleep(1)
        log.append("early")

    def late():
        functools.partial(time.sleep, 2)()
        log.append("late")

    run(early, late)
    return log


@pair
def configuration_sections(run):
    parser, seen = configparser.ConfigParser(), []
    parser.read_string("[a]\nx = 1\ny = 1\n")

    def change():
        parser["a"]["x"] = "2"
        parser.set("a", "y", "2")

    run(change, lambda: seen.append((parser.get("a", "x"), parser["a"]["y"])))
    return seen


@pair
def graph_sorted(run):
    graph, seen = {"b": {"a"}}, []
    run(lambda: graph["b"].add("c"), lambda: seen.append(sorted(graphlib.TopologicalSorter(graph).static_order())))
    return seen


@pair
def text_joined(run):
    parts, seen = ["a", "b"], []

    def change():
        parts[0] = "x"
        parts.append("c")

    run(change, lambda: seen.append("-".join(parts)))
    return seen


@pair
def text_translated(run):
    table, seen = {97: "1", 98: "1"}, []

    def change():
        table[97] = table[98] = "2"

    run(change, lambda: seen.append("ab".translate(table)))
    return seen


@pair
def bytes_from_numbers(run):
    numbers, seen = [1, 2], []

    def change():
        numbers[0] = 7
        numbers.append(3)

    run(change, lambda: seen.append((bytes(numbers), bytearray(numbers), int.from_bytes(numbers, "big"))))
    return seen


@pair
def unpacked_arguments(run):
    args, options, seen = [1], {"a": 1}, []

    def change():
        args.append(2)
        options["b"] = 2

    run(change, lambda: seen.append((lambda *values, **named: (len(values), len(named)))(*args, **options)))
    return seen


@pair
def extended_slices(run):
    rows, seen = [1, 2, 3, 4], []

    def change():
        rows[::2] = [0, 0]

    run(change, lambda: seen.append((rows[1::-1], rows[-2:], [*rows[:2]])))
    return seen


@pair
def comprehensions(run):
    rows, seen = {"a": [1], "b": [2]}, []

    def change():
        rows["a"].append(3)
        rows["c"] = [4]

    def read():
        try:
            seen.append({key: [value for value in values] for key, values in rows.items()})
        except RuntimeError:
            seen.append("changed")

    run(change, read)
    return seen


@pair
def any_and_all(run):
    flags, seen = [False, True], []

    def change():
        flags[0], flags[1] = True, False

    run(change, lambda: seen.append((any(flags), all(flags), any(not flag for flag in flags))))
    return seen


@pair
def sum_of_a_generator_over_objects(run):
    boxes, seen = [types.SimpleNamespace(n=1), types.SimpleNamespace(n=1)], []

    def move():
        boxes[0].n -= 1
        boxes[1].n += 1

    run(move, lambda: seen.append(sum(box.n for box in boxes)))
    return seen


@pair
def zip_with_strictness(run):
    names, ages, seen = ["a"], [1], []

    def add():
        names.append("b")
        ages.append(2)

    def read():
        try:
            seen.append(list(zip(names, ages, strict=True)))
        except ValueError:
            seen.append("uneven")

    run(add, read)
    return seen


@pair
def enumerate_while_inserting(run):
    rows, seen = ["a", "b"], []
    run(lambda: rows.insert(0, "z"), lambda: seen.append([f"{at}{row}" for at, row in enumerate(rows)]))
    return seen


@pair
def reversed_while_popping(run):
    rows, seen = ["a", "b"], []
    run(rows.pop, lambda: seen.append([*reversed(rows)]))
    return seen


@pair
def views_of_a_dictionary(run):
    table = {"a": 1}
    keys, items, seen = table.keys(), table.items(), []

    def change():
        table["b"] = 2
        table["a"] = 3

    run(change, lambda: seen.append((len(keys), "b" in keys, ("a", 1) in items, sorted(items))))
    return seen


@pair
def expression_evaluated(run):
    space, seen = {"a": 1, "b": 1}, []

    def change():
        space["a"] = 2
        space["b"] = 2

    run(change, lambda: seen.append(eval("[a, b]", {}, space)))
    return seen


@pair
def text_wrapped(run):
    words, seen = ["aa", "bb"], []
    run(lambda: words.append("cc"), lambda: seen.append(textwrap.fill(" ".join(words), 5)))
    return seen
