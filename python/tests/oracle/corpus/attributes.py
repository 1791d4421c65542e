"""Attributes: of instances, classes and slots, with defaults, behind properties and descriptors, and by name."""

import dataclasses
import threading
import types


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Counter:
    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()


def fails_attribute():
    counter = Counter()

    def add():
        counter.value += 1

    run(add, add)
    assert counter.value == 2


def holds_attribute():
    counter = Counter()

    def add():
        with counter.lock:
            counter.value += 1

    run(add, add)
    assert counter.value == 2


class Account:
    def __init__(self):
        self.balance = 100
        self.lock = threading.Lock()

    def withdraw(self, amount):
        if self.balance >= amount:
            self.balance -= amount

    def withdraw_locked(self, amount):
        with self.lock:
            self.withdraw(amount)


def fails_method():
    account = Account()
    run(lambda: account.withdraw(80), lambda: account.withdraw(80))
    assert account.balance == 20


def holds_method():
    account = Account()
    run(lambda: account.withdraw_locked(80), lambda: account.withdraw_locked(80))
    assert account.balance == 20


class Total:
    total = 0
    lock = threading.Lock()


def fails_class_attribute():
    Total.total = 0

    def add():
        Total.total += 1

    run(add, add)
    assert Total.total == 2


def holds_class_attribute():
    Total.total = 0

    def add():
        with Total.lock:
            Total.total += 1

    run(add, add)
    assert Total.total == 2


class Numbered:
    count = 0
    lock = threading.Lock()

    def __init__(self):
        # Read through the instance, stored in the class.
        type(self).count = self.count + 1


class NumberedLocked(Numbered):
    def __init__(self):
        with self.lock:
            super().__init__()


def fails_class_attribute_read_through_instance():
    Numbered.count = 0
    run(Numbered, Numbered)
    assert Numbered.count == 2


def holds_class_attribute_read_through_instance():
    NumberedLocked.count = 0
    run(NumberedLocked, NumberedLocked)
    assert NumberedLocked.count == 2


class WithDefault:
    ready = False
    value = None


def fails_instance_attribute_that_shadows_the_class():
    thing = WithDefault()

    def publish():
        thing.ready = True
        thing.value = 5

    def use():
        if thing.ready:
            assert thing.value == 5

    run(publish, use)


def holds_instance_attribute_that_shadows_the_class():
    thing = WithDefault()

    def publish():
        thing.value = 5
        thing.ready = True

    def use():
        if thing.ready:
            assert thing.value == 5

    run(publish, use)


@dataclasses.dataclass
class Stats:
    hits: int = 0
    names: list = dataclasses.field(default_factory=list)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, compare=False)


def fails_dataclass_default():
    stats = Stats()

    def hit():
        stats.hits += 1

    run(hit, hit)
    assert stats.hits == 2


def holds_dataclass_default():
    stats = Stats()

    def hit():
        with stats.lock:
            stats.hits += 1

    run(hit, hit)
    assert stats.hits == 2


@dataclasses.dataclass
class Point:
    x: int = 0
    y: int = 0


def fails_dataclass_comparison():
    point, seen = Point(), []

    def move():
        point.x = 1
        point.y = 1

    def look():
        seen.append(point == Point(1, 0))

    run(move, look)
    assert seen == [False]


def holds_dataclass_comparison():
    points, seen = [Point()], []

    def move():
        points[0] = Point(1, 1)

    def look():
        seen.append(points[0] == Point(1, 0))

    run(move, look)
    assert seen == [False]


def fails_dataclass_replace():
    points = [Point(0, 0)]

    def right():
        points[0] = dataclasses.replace(points[0], x=1)

    def down():
        points[0] = dataclasses.replace(points[0], y=1)

    run(right, down)
    assert points[0] == Point(1, 1)


def holds_dataclass_replace():
    points, lock = [Point(0, 0)], threading.Lock()

    def right():
        with lock:
            points[0] = dataclasses.replace(points[0], x=1)

    def down():
        with lock:
            points[0] = dataclasses.replace(points[0], y=1)

    run(right, down)
    assert points[0] == Point(1, 1)


class Slotted:
    __slots__ = ("value", "lock")

    def __init__(self):
        self.value = 0
        self.lock = threading.Lock()


def fails_slot():
    slotted = Slotted()

    def add():
        slotted.value = slotted.value + 1

    run(add, add)
    assert slotted.value == 2


def holds_slot():
    slotted = Slotted()

    def add():
        with slotted.lock:
            slotted.value = slotted.value + 1

    run(add, add)
    assert slotted.value == 2


class Thermostat:
    def __init__(self):
        self._degrees = 20
        self.lock = threading.RLock()

    @property
    def degrees(self):
        return self._degrees

    @degrees.setter
    def degrees(self, degrees):
        self._degrees = degrees


def fails_property():
    thermostat = Thermostat()

    def warmer():
        thermostat.degrees += 1

    run(warmer, warmer)
    assert thermostat.degrees == 22


def holds_property():
    thermostat = Thermostat()

    def warmer():
        with thermostat.lock:
            thermostat.degrees += 1

    run(warmer, warmer)
    assert thermostat.degrees == 22


class Logged:
    """A descriptor that keeps its values in the instance's dict."""

    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner=None):
        return instance.__dict__[self.name]

    def __set__(self, instance, value):
        instance.__dict__[self.name] = value


class Shelf:
    books = Logged()

    def __init__(self):
        self.books = 0


def fails_descriptor():
    shelf = Shelf()

    def add():
        shelf.books += 1

    run(add, add)
    assert shelf.books == 2


def holds_descriptor():
    shelf, lock = Shelf(), threading.Lock()

    def add():
        with lock:
            shelf.books += 1

    run(add, add)
    assert shelf.books == 2


class Proxy:
    """Keeps all attributes in another object."""

    def __init__(self, target):
        object.__setattr__(self, "_target", target)

    def __getattr__(self, name):
        return getattr(self._target, name)

    def __setattr__(self, name, value):
        setattr(self._target, name, value)


def fails_proxy():
    counter = Counter()
    proxy = Proxy(counter)

    def add():
        proxy.value += 1

    run(add, add)
    assert counter.value == 2


def holds_proxy():
    counter = Counter()
    proxy = Proxy(counter)

    def add():
        with proxy.lock:
            proxy.value += 1

    run(add, add)
    assert counter.value == 2


def fails_getattr_setattr():
    counter = Counter()

    def add():
        setattr(counter, "value", getattr(counter, "value") + 1)

    run(add, add)
    assert counter.value == 2


def holds_getattr_setattr():
    counter = Counter()

    def add():
        with counter.lock:
            setattr(counter, "value", getattr(counter, "value") + 1)

    run(add, add)
    assert counter.value == 2


def fails_hasattr():
    cache, made = Counter(), []

    def fill():
        if not hasattr(cache, "table"):
            made.append(1)
            cache.table = {}

    run(fill, fill)
    assert len(made) == 1


def holds_hasattr():
    cache, made = Counter(), []

    def fill():
        with cache.lock:
            if not hasattr(cache, "table"):
                made.append(1)
                cache.table = {}

    run(fill, fill)
    assert len(made) == 1


def fails_delattr():
    thing = Counter()

    def clear():
        if hasattr(thing, "value"):
            del thing.value

    run(clear, clear)


def holds_delattr():
    thing = Counter()

    def clear():
        with thing.lock:
            if hasattr(thing, "value"):
                delattr(thing, "value")

    run(clear, clear)


def fails_vars():
    counter = Counter()

    def through_dict():
        vars(counter)["value"] += 1

    def through_attribute():
        counter.value += 1

    run(through_dict, through_attribute)
    assert counter.value == 2


def holds_vars():
    counter = Counter()

    def through_dict():
        with counter.lock:
            vars(counter)["value"] += 1

    def through_attribute():
        with counter.lock:
            counter.value += 1

    run(through_dict, through_attribute)
    assert counter.value == 2


def fails_dict_update():
    counter, seen = Counter(), []

    def through_dict():
        counter.__dict__.update(value=1)

    def look():
        seen.append((counter.value, counter.__dict__.get("value")))

    run(through_dict, look)
    assert seen[0][0] == seen[0][1]


def holds_dict_update():
    counter, seen = Counter(), []

    def through_dict():
        with counter.lock:
            counter.__dict__.update(value=1)

    def look():
        with counter.lock:
            seen.append((counter.value, counter.__dict__.get("value")))

    run(through_dict, look)
    assert seen[0][0] == seen[0][1]


def fails_namespace():
    space = types.SimpleNamespace(n=0)

    def add():
        space.n += 1

    run(add, add)
    assert space.n == 2


def holds_namespace():
    space, lock = types.SimpleNamespace(n=0), threading.Lock()

    def add():
        with lock:
            space.n += 1

    run(add, add)
    assert space.n == 2


def fails_function_attribute():
    def f():
        f.calls += 1

    f.calls = 0
    run(f, f)
    assert f.calls == 2


def holds_function_attribute():
    lock = threading.Lock()

    def f():
        with lock:
            f.calls += 1

    f.calls = 0
    run(f, f)
    assert f.calls == 2
