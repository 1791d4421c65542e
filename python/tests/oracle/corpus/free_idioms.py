"""Idioms of real programs: check and act, lazy creation, caches, registries, limits, accounts, pools of resources, observers."""

import collections
import contextlib
import functools
import heapq
import itertools
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


class Singleton:
    _instance = None
    created = 0

    def __new__(cls):
        if cls._instance is None:
            cls.created += 1
            cls._instance = super().__new__(cls)
        return cls._instance


@pair
def singleton_by_new(run):
    Singleton._instance, Singleton.created = None, 0
    seen = []
    run(lambda: seen.append(Singleton()), lambda: seen.append(Singleton()))
    return Singleton.created, seen[0] is seen[1]


class SingletonMeta(type):
    instances = {}

    def __call__(cls, *args):
        if cls not in cls.instances:
            cls.instances[cls] = super().__call__(*args)
        return cls.instances[cls]


class Settings(metaclass=SingletonMeta):
    def __init__(self):
        self.values = {}


@pair
def singleton_by_metaclass(run):
    SingletonMeta.instances.clear()
    seen = []
    run(lambda: seen.append(Settings()), lambda: seen.append(Settings()))
    return seen[0] is seen[1]


class Borg:
    shared = {}

    def __init__(self):
        self.__dict__ = self.shared


@pair
def lazy_property(run):
    class Report:
        built = 0

        @property
        def data(self):
            if not hasattr(self, "_data"):
                self.built += 1
                self._data = [1, 2]
            return self._data

    report, seen = Report(), []
    run(lambda: seen.append(report.data), lambda: seen.append(report.data))
    return report.built, seen[0] is seen[1]


@pair
def double_checked_locking_without_second_check(run):
    lock, cache = threading.Lock(), {}

    def get():
        if "config" not in cache:
            with lock:
                cache["config"] = object()
        return cache["config"]

    seen = []
    run(lambda: seen.append(get()), lambda: seen.append(get()))
    return seen[0] is seen[1]


@pair
def publication_before_initialization(run):
    registry, seen = {}, []

    class Service:
        def __init__(self):
            registry["service"] = self
            self.ready = True

    def look():
        service = registry.get("service")
        seen.append(service and getattr(service, "ready", False))

    run(Service, look)
    return seen


@pair
def memoized_by_hand(run):
    calls, cache = [], {}

    def square(n):
        if n in cache:
            return cache[n]
        calls.append(n)
        cache[n] = n * n
        return cache[n]

    run(lambda: square(3), lambda: square(3))
    return calls


@pair
def memoized_by_decorator(run):
    calls = []

    def memoize(function):
        function.results = {}

        @functools.wraps(function)
        def wrapper(*args):
            try:
                return function.results[args]
            except KeyError:
                result = function.results[args] = function(*args)
                return result

        return wrapper

    @memoize
    def load(key):
        calls.append(key)
        return key

    run(lambda: load("a"), lambda: load("a"))
    return calls


@pair
def least_recently_used(run):
    cache = collections.OrderedDict.fromkeys("ab", 0)

    def get(key):
        try:
            cache.move_to_end(key)
        except KeyError:
            cache[key] = 1
        if len(cache) > 2:
            cache.popitem(last=False)

    run(lambda: get("a"), lambda: get("c"))
    return list(cache)


@pair
def cache_with_expiry(run):
    cache, loads = {}, []

    def get():
        now = time.monotonic()
        entry = cache.get("k")
        if entry is None or entry[1] <= now:
            loads.append(1)
            cache["k"] = entry = ("v", now + 60)
        return entry[0]

    run(get, get)
    return len(loads)


@pair
def transfer_between_accounts(run):
    class Account:
        def __init__(self, balance):
            self.balance = balance

        def withdraw(self, amount):
            if self.balance < amount:
                raise ValueError("insufficient funds")
            self.balance -= amount

        def deposit(self, amount):
            self.balance += amount

    checking, savings = Account(10), Account(0)

    def transfer(amount):
        try:
            checking.withdraw(amount)
        except ValueError:
            return
        savings.deposit(amount)

    run(lambda: transfer(7), lambda: transfer(7))
    return checking.balance, savings.balance


@pair
def audit_while_money_moves(run):
    accounts, seen = {"a": 5, "b": 5}, []

    def move():
        accounts["a"] -= 1
        accounts["b"] += 1

    run(move, lambda: seen.append(sum(accounts.values())))
    return seen


@pair
def last_ticket(run):
    stock = types.SimpleNamespace(tickets=1, sold=[])

    def buy(name):
        if stock.tickets > 0:
            stock.sold.append(name)
            stock.tickets = stock.tickets - 1

    run(lambda: buy("a"), lambda: buy("b"))
    return stock.tickets, sorted(stock.sold)


@pair
def seat_reservation(run):
    seats = [None, None]

    def reserve(name):
        for index, owner in enumerate(seats):
            if owner is None:
                seats[index] = name
                break

    run(lambda: reserve("a"), lambda: reserve("b"))
    return sorted(map(str, seats))


@pair
def unique_identifiers(run):
    class Ids:
        next = 1

        @classmethod
        def allot(cls):
            new = cls.next
            cls.next = new + 1
            return new

    seen = []
    run(lambda: seen.append(Ids.allot()), lambda: seen.append(Ids.allot()))
    return sorted(seen)


@pair
def identifiers_from_the_length(run):
    users = {}

    def register(name):
        users[len(users) + 1] = name

    run(lambda: register("a"), lambda: register("b"))
    return sorted(users)


@pair
def registration_of_handlers(run):
    handlers, calls = [], []

    def subscribe():
        handlers.append(lambda: calls.append("new"))

    def publish():
        for handler in handlers:
            handler()

    handlers.append(lambda: calls.append("old"))
    run(subscribe, publish)
    return calls


@pair
def observer_that_removes_itself(run):
    observers, calls = [], []

    def once():
        calls.append("once")
        observers.remove(once)

    observers += [once, lambda: calls.append("always")]

    def publish():
        for observer in list(observers):
            try:
                observer()
            except ValueError:
                calls.append("gone")

    run(publish, publish)
    return sorted(calls)


@pair
def plugin_registry_by_decorator(run):
    registry = {}

    def plugin(function):
        if function.__name__ in registry:
            raise ValueError(function.__name__)
        registry[function.__name__] = function
        return function

    def define():
        try:

            @plugin
            def export():
                pass
        except ValueError:
            registry["duplicate"] = None

    run(define, define)
    return sorted(registry)


@pair
def pool_of_connections(run):
    free_connections, made, errors = ["c1"], itertools.count(2), []

    @contextlib.contextmanager
    def connection():
        if free_connections:
            taken = free_connections.pop()
        else:
            taken = f"c{next(made)}"
        try:
            yield taken
        finally:
            free_connections.append(taken)

    def use():
        try:
            with connection():
                pass
        except IndexError:
            errors.append("empty")

    run(use, use)
    return sorted(free_connections), errors


@pair
def token_bucket(run):
    class Bucket:
        def __init__(self):
            self.tokens = 1

        def allow(self):
            if self.tokens >= 1:
                self.tokens -= 1
                return True
            return False

    bucket, allowed = Bucket(), []
    run(lambda: allowed.append(bucket.allow()), lambda: allowed.append(bucket.allow()))
    return bucket.tokens, sorted(allowed)


@pair
def sliding_window_of_calls(run):
    calls, accepted = collections.deque(), []

    def attempt():
        if len(calls) < 1:
            calls.append("call")
            accepted.append(True)
        else:
            accepted.append(False)

    run(attempt, attempt)
    return sorted(accepted)


@pair
def circuit_breaker(run):
    breaker = types.SimpleNamespace(failures=0, state="closed")

    def fail():
        breaker.failures += 1
        if breaker.failures >= 2:
            breaker.state = "open"

    run(fail, fail)
    return breaker.failures, breaker.state


@pair
def state_machine(run):
    class Door:
        state = "closed"

        def handle(self, event):
            match (self.state, event):
                case ("closed", "lock"):
                    self.state = "locked"
                case ("closed", "open"):
                    self.state = "open"
                case ("locked" | "open", _):
                    self.state += "!"

    door = Door()
    run(lambda: door.handle("lock"), lambda: door.handle("open"))
    return door.state


@pair
def statistics_of_two_fields(run):
    stats, seen = types.SimpleNamespace(count=0, total=0), []

    def add():
        stats.count += 1
        stats.total += 10

    def mean():
        seen.append(stats.total / stats.count if stats.count else 0)

    run(add, mean)
    return seen


@pair
def running_maximum(run):
    best = {"score": 0}

    def offer(score):
        if score > best["score"]:
            best["score"] = score

    run(lambda: offer(5), lambda: offer(9))
    return best


@pair
def histogram_by_setdefault(run):
    words = {}

    def count(word):
        words.setdefault(word, 0)
        words[word] += 1

    run(lambda: count("a"), lambda: count("a"))
    return words


@pair
def grouping_by_get(run):
    groups = {}

    def add(key, value):
        group = groups.get(key)
        if group is None:
            group = groups[key] = []
        group.append(value)

    run(lambda: add("k", 1), lambda: add("k", 2))
    return {key: sorted(values) for key, values in groups.items()}


@pair
def grouping_by_defaultdict(run):
    groups = collections.defaultdict(list)
    run(
        lambda: groups["k"].append(1),
        lambda: groups["k"].append(2),
    )
    return sorted(groups["k"])


@pair
def linked_list(run):
    class Node:
        def __init__(self, value, next=None):
            self.value, self.next = value, next

    class Stack:
        head = None

        def push(self, value):
            self.head = Node(value, self.head)

        def __iter__(self):
            node = self.head
            while node is not None:
                yield node.value
                node = node.next

    stack = Stack()
    run(lambda: stack.push(1), lambda: stack.push(2))
    return sorted(stack)


@pair
def ring_buffer(run):
    class Ring:
        def __init__(self):
            self.slots, self.head, self.size = [None, None], 0, 0

        def put(self, item):
            if self.size == len(self.slots):
                return False
            self.slots[(self.head + self.size) % len(self.slots)] = item
            self.size += 1
            return True

    ring = Ring()
    run(lambda: ring.put("a"), lambda: ring.put("b"))
    return ring.size, sorted(map(str, ring.slots))


@pair
def binary_tree(run):
    def insert(tree, value):
        while tree:
            side = "left" if value < tree["value"] else "right"
            if side not in tree:
                tree[side] = {"value": value}
                return
            tree = tree[side]

    root = {"value": 5}
    run(lambda: insert(root, 1), lambda: insert(root, 2))
    return root


@pair
def scheduler_by_heap(run):
    tasks, done = [(1, "a"), (2, "b")], []

    def work():
        while tasks:
            try:
                done.append(heapq.heappop(tasks)[1])
            except IndexError:
                done.append("none")

    run(work, work)
    return sorted(done)


@pair
def inventory_by_counter(run):
    stock, orders = collections.Counter(apple=1), []

    def order(fruit):
        if stock[fruit] > 0:
            stock[fruit] -= 1
            orders.append(fruit)

    run(lambda: order("apple"), lambda: order("apple"))
    return stock["apple"], len(orders)


@pair
def undo_history(run):
    document = types.SimpleNamespace(text="a", history=[])

    def append(text):
        document.history.append(document.text)
        document.text += text

    run(lambda: append("x"), lambda: append("y"))
    return len(document.text), sorted(document.history)


@pair
def progress_by_fraction(run):
    progress, reports = {"done": 0, "total": 2}, []

    def work():
        progress["done"] += 1
        reports.append(f"{progress['done']}/{progress['total']}")

    run(work, work)
    return sorted(reports)


@pair
def flag_and_value(run):
    shared, seen = types.SimpleNamespace(ready=False, value=None), []

    def write():
        shared.ready = True
        shared.value = 42

    def read():
        if shared.ready:
            seen.append(shared.value)

    run(write, read)
    return seen


@pair
def dekker_with_flags(run):
    wants, inside = [False, False], []

    def enter(me):
        wants[me] = True
        if not wants[1 - me]:
            inside.append(me)
        wants[me] = False

    run(lambda: enter(0), lambda: enter(1))
    return sorted(inside)


@pair
def reader_sees_half_of_a_swap(run):
    pair_of_values, seen = [1, 2], []

    def swap():
        pair_of_values[0], pair_of_values[1] = pair_of_values[1], pair_of_values[0]

    run(swap, lambda: seen.append(tuple(pair_of_values)))
    return seen


@pair
def configuration_reloaded(run):
    config, seen = {"host": "a", "port": 1}, []

    def reload():
        config.clear()
        config.update(host="b", port=2)

    def connect():
        try:
            seen.append(f"{config['host']}:{config['port']}")
        except KeyError as error:
            seen.append(error.args[0])

    run(reload, connect)
    return seen


@pair
def snapshot_of_attributes(run):
    class Vector:
        def __init__(self):
            self.x = self.y = 0

        def move(self, by):
            self.x += by
            self.y += by

        def __iter__(self):
            return iter((self.x, self.y))

    vector, seen = Vector(), []

    def look():
        x, y = vector
        seen.append((x, y))

    run(lambda: vector.move(1), look)
    return seen


@pair
def walrus_over_a_shared_list(run):
    jobs, done = [1, 2], []

    def work():
        while (job := jobs.pop() if jobs else None) is not None:
            done.append(job)

    def guarded():
        try:
            work()
        except IndexError:
            done.append(0)

    run(guarded, guarded)
    return sorted(done)


@pair
def batches_by_slice(run):
    rows, batches = [1, 2, 3], []

    def flush():
        batches.append(rows[:2])
        del rows[:2]

    run(flush, flush)
    return sorted(batches), rows


@pair
def buffer_swapped_out(run):
    log = types.SimpleNamespace(buffer=[], written=[])

    def write():
        log.buffer.append("line")

    def flush():
        pending, log.buffer = log.buffer, []
        log.written.extend(pending)

    run(write, flush)
    return log.buffer, log.written


@pair
def context_manager_of_a_class(run):
    class Depth:
        current = deepest = 0

        def __enter__(self):
            self.current += 1
            self.deepest = max(self.deepest, self.current)
            return self

        def __exit__(self, *exception):
            self.current -= 1

    depth = Depth()

    def use():
        with depth:
            pass

    run(use, use)
    return depth.current, depth.deepest


@pair
def retry_counter(run):
    attempts = collections.defaultdict(int)

    def fetch():
        for _ in range(2):
            attempts["url"] += 1
            if attempts["url"] > 2:
                return

    run(fetch, fetch)
    return attempts["url"]


@pair
def event_sourcing(run):
    events, versions = [], []

    def save(expected):
        if len(events) != expected:
            versions.append("conflict")
            return
        events.append(expected)
        versions.append("ok")

    run(lambda: save(0), lambda: save(0))
    return sorted(versions), events


@pair
def parallel_sum(run):
    total = 0

    def add(numbers):
        nonlocal total
        for number in numbers:
            total += number

    run(lambda: add([1]), lambda: add([2]))
    return total


@pair
def word_count_by_items(run):
    counts, totals = {"a": 1}, []

    def report():
        try:
            totals.append(sum(count for _, count in counts.items()))
        except RuntimeError as error:
            totals.append("changed")

    def add():
        counts["b"] = 1

    run(report, add)
    return totals


@pair
def removal_while_iterating(run):
    sessions, alive = {"a": 1, "b": 0}, []

    def sweep():
        for name in list(sessions):
            try:
                if not sessions[name]:
                    del sessions[name]
            except KeyError:
                alive.append("twice")

    run(sweep, sweep)
    return sorted(sessions), alive


@pair
def find_then_remove(run):
    items, errors = ["x", "y"], []

    def drop():
        if "x" in items:
            try:
                items.remove("x")
            except ValueError:
                errors.append(1)

    run(drop, drop)
    return items, errors


@pair
def index_then_replace(run):
    items = ["a", "b"]

    def replace():
        items[items.index("b")] = "c"

    def insert():
        items.insert(0, "z")

    run(replace, insert)
    return items
