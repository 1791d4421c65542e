"""Objects of every kind: descriptors, metaclasses, enumerations, data classes, special methods, attributes by name, modules, closures."""

import abc
import collections
import contextlib
import contextvars
import copy
import dataclasses
import enum
import functools
import operator
import sys
import threading
import types
import typing
import weakref

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


@pair
def enum_member_with_attributes(run):
    class Color(enum.Enum):
        RED = 1
        BLUE = 2

    Color.RED.hits = 0

    def hit():
        Color.RED.hits += 1
        Color(1).hits += 1

    run(hit, hit)
    return Color.RED.hits


@pair
def flags_of_an_object(run):
    class Access(enum.Flag):
        NONE = 0
        READ = 1
        WRITE = 2

    file = types.SimpleNamespace(access=Access.NONE)

    def allow(access):
        file.access |= access

    run(lambda: allow(Access.READ), lambda: allow(Access.WRITE))
    return file.access.value


@pair
def named_tuple_replaced(run):
    class Point(typing.NamedTuple):
        x: int = 0
        y: int = 0

    shared = types.SimpleNamespace(point=Point())

    def move(**by):
        shared.point = shared.point._replace(**by)

    run(lambda: move(x=1), lambda: move(y=1))
    return tuple(shared.point)


@pair
def frozen_dataclass_replaced(run):
    @dataclasses.dataclass(frozen=True)
    class State:
        a: int = 0
        b: int = 0

    state = [State()]

    def change(**fields):
        state[0] = dataclasses.replace(state[0], **fields)

    run(lambda: change(a=1), lambda: change(b=1))
    return dataclasses.astuple(state[0])


@pair
def dataclass_with_slots(run):
    @dataclasses.dataclass(slots=True)
    class Hits:
        count: int = 0
        names: list = dataclasses.field(default_factory=list)

    hits = Hits()

    def hit(name):
        hits.count += 1
        hits.names = [*hits.names, name]

    run(lambda: hit("a"), lambda: hit("b"))
    return hits.count, sorted(hits.names)


@pair
def dataclass_compared(run):
    @dataclasses.dataclass
    class Pair:
        a: int = 0
        b: int = 0

    value, seen = Pair(), []

    def change():
        value.a = 1
        value.b = 1

    run(change, lambda: seen.append((value == Pair(), value == Pair(1, 1))))
    return seen


@pair
def dataclass_as_dict(run):
    @dataclasses.dataclass
    class Pair:
        a: int = 0
        b: list = dataclasses.field(default_factory=lambda: [0])

    value, seen = Pair(), []

    def change():
        value.a = 1
        value.b[0] = 1

    run(change, lambda: seen.append(dataclasses.asdict(value)))
    return seen


@pair
def validated_descriptor(run):
    class Positive:
        def __set_name__(self, owner, name):
            self.name = "_" + name

        def __get__(self, instance, owner=None):
            return getattr(instance, self.name, 0)

        def __set__(self, instance, value):
            if value < 0:
                raise ValueError
            setattr(instance, self.name, value)

    class Account:
        balance = Positive()

    account, errors = Account(), []
    account.balance = 1

    def withdraw():
        try:
            account.balance -= 1
        except ValueError:
            errors.append("negative")

    run(withdraw, withdraw)
    return account.balance, errors


@pair
def descriptor_with_weak_keys(run):
    class Attribute:
        def __init__(self):
            self.values = {}

        def __get__(self, instance, owner=None):
            return self.values.get(id(instance), 0)

        def __set__(self, instance, value):
            self.values[id(instance)] = value

    class Item:
        size = Attribute()

    item = Item()

    def grow():
        item.size += 1

    run(grow, grow)
    return item.size


@pair
def slots_of_two_classes(run):
    class Base:
        __slots__ = ("a",)

    class Derived(Base):
        __slots__ = ("b",)

    value = Derived()
    value.a = value.b = 0

    def first():
        value.a += 1
        value.b = value.a

    def second():
        value.a += 1
        value.a, value.b = value.b, value.a

    run(first, second)
    return value.a, value.b


@pair
def deleted_slot(run):
    class Box:
        __slots__ = ("item",)

    box, seen = Box(), []
    box.item = 1

    def take():
        try:
            item = box.item
            del box.item
            seen.append(item)
        except AttributeError:
            seen.append(None)

    run(take, take)
    return sorted(map(str, seen))


@pair
def attributes_by_getattr_of_the_class(run):
    class Config:
        defaults = {"a": 1}

        def __getattr__(self, name):
            value = self.defaults[name]
            setattr(self, name, value + 1)
            return value

    config, seen = Config(), []
    run(lambda: seen.append(config.a), lambda: seen.append(config.a))
    return sorted(seen)


@pair
def attributes_that_log_their_changes(run):
    class Logged:
        def __init__(self):
            object.__setattr__(self, "log", [])
            self.value = 0

        def __setattr__(self, name, value):
            self.log.append((name, value))
            super().__setattr__(name, value)

    logged = Logged()

    def add():
        logged.value += 1

    run(add, add)
    return logged.value, len(logged.log)


@pair
def attribute_deleted_by_name(run):
    class Bag:
        pass

    bag, errors = Bag(), []
    bag.key = 1

    def drop():
        if hasattr(bag, "key"):
            try:
                delattr(bag, "key")
            except AttributeError:
                errors.append("key")

    run(drop, drop)
    return errors


@pair
def all_attributes_listed(run):
    class Bag:
        pass

    bag, seen = Bag(), []

    def fill():
        bag.b = 1
        bag.a = 2

    run(fill, lambda: seen.append((list(vars(bag)), len(bag.__dict__))))
    return seen


@pair
def attribute_of_a_function(run):
    def count():
        count.calls += 1

    count.calls = 0
    run(count, count)
    return count.calls


@pair
def default_argument_as_state(run):
    def count(state={"n": 0}):
        state["n"] += 1
        return state

    count()["n"] = 0
    run(count, count)
    return count()["n"]


@pair
def nested_closures(run):
    def make():
        total = 0

        def outer():
            def add():
                nonlocal total
                total += 1

            add()

        return outer, lambda: total

    add, read = make()
    run(add, add)
    return read()


@pair
def closure_of_a_loop(run):
    callbacks, seen = [], []
    for index in range(2):
        callbacks.append(lambda: seen.append(index))

    def move():
        nonlocal index
        index = 7

    run(callbacks[0], move)
    return seen


@pair
def class_attribute_through_instances(run):
    class Shared:
        count = 0

        def add(self):
            self.__class__.count += 1

    first, second = Shared(), Shared()
    run(first.add, second.add)
    return Shared.count


@pair
def class_attribute_hidden_by_an_instance(run):
    class Shared:
        value = 0

    shared, seen = Shared(), []

    def hide():
        shared.value = 1
        Shared.value = 2

    def show():
        seen.append((shared.value, Shared.value))
        del shared.value

    def guarded():
        try:
            show()
        except AttributeError:
            seen.append("absent")

    run(hide, guarded)
    return seen


@pair
def class_attribute_inherited(run):
    class Base:
        names = []
        count = 0

    class Derived(Base):
        pass

    def base():
        Base.count += 1
        Base.names.append("b")

    def derived():
        Derived.count += 1
        Derived.names.append("d")

    run(base, derived)
    return Base.count, Derived.count, sorted(Base.names)


@pair
def class_property(run):
    class Meta(type):
        total = 0

        @property
        def count(cls):
            return cls.total

        @count.setter
        def count(cls, value):
            cls.total = value

    class Counter(metaclass=Meta):
        pass

    def add():
        Counter.count += 1

    run(add, add)
    return Counter.count


@pair
def class_method_and_static_method(run):
    class Registry:
        names = ()

        @classmethod
        def add(cls, name):
            cls.names = (*cls.names, cls.clean(name))

        @staticmethod
        def clean(name):
            return name.strip()

    run(lambda: Registry.add(" a"), lambda: Registry.add("b "))
    return sorted(Registry.names)


@pair
def method_replaced(run):
    class Greeter:
        def greet(self):
            return "hello"

    greeter, seen = Greeter(), []

    def replace():
        greeter.greet = lambda: "instance"
        Greeter.greet = lambda self: "class"

    run(replace, lambda: seen.append((greeter.greet(), Greeter().greet())))
    return seen


@pair
def subclass_registered(run):
    class Base:
        known = []

        def __init_subclass__(cls, **options):
            if cls.__name__ not in Base.known:
                Base.known = Base.known + [cls.__name__]

    run(lambda: type("A", (Base,), {}), lambda: type("B", (Base,), {}))
    return sorted(Base.known)


@pair
def item_access_in_python(run):
    class Matrix:
        def __init__(self):
            self.cells = {}

        def __getitem__(self, at):
            return self.cells.get(at, 0)

        def __setitem__(self, at, value):
            self.cells[at] = value

    matrix = Matrix()

    def add():
        matrix[0, 1] += 1

    run(add, add)
    return matrix[0, 1]


@pair
def equality_in_python(run):
    class Key:
        def __init__(self, name):
            self.name = name

        def __eq__(self, other):
            return self.name == other.name

        def __hash__(self):
            return hash(self.name)

    key, other, seen = Key("a"), Key("b"), []

    def rename():
        key.name = "b"

    run(rename, lambda: seen.append((key == other, key in [other], key in {other: 1})))
    return seen


@pair
def comparison_while_sorting(run):
    @functools.total_ordering
    class Version:
        def __init__(self, number):
            self.number = number

        def __eq__(self, other):
            return self.number == other.number

        def __lt__(self, other):
            return self.number < other.number

    versions, seen = [Version(1), Version(2)], []
    first = versions[0]

    def publish():
        first.number = 3

    run(publish, lambda: seen.append([version.number for version in sorted(versions)]))
    return seen


@pair
def truth_in_python(run):
    class Box:
        def __init__(self):
            self.items = []

        def __bool__(self):
            return bool(self.items)

        def __len__(self):
            return len(self.items)

    box, seen = Box(), []

    def fill():
        box.items.append(1)

    run(fill, lambda: seen.append((not box, len(box))))
    return seen


@pair
def text_in_python(run):
    class User:
        def __init__(self):
            self.first, self.last = "a", "b"

        def __str__(self):
            return f"{self.first} {self.last}"

        def __format__(self, spec):
            return str(self)[: int(spec or 9)]

    user, seen = User(), []

    def rename():
        user.first = "x"
        user.last = "y"

    run(rename, lambda: seen.append(f"{user} {user!s} {user:1}"))
    return seen


@pair
def arithmetic_in_python(run):
    class Money:
        def __init__(self, amount):
            self.amount = amount

        def __iadd__(self, other):
            self.amount += other
            return self

        def __neg__(self):
            return Money(-self.amount)

    wallet = Money(0)

    def earn():
        nonlocal wallet
        wallet += 1

    run(earn, earn)
    return wallet.amount, (-wallet).amount


@pair
def matching_of_attributes(run):
    class Event:
        __match_args__ = ("kind", "value")

        def __init__(self, kind, value):
            self.kind, self.value = kind, value

    event, seen = Event("a", 1), []

    def change():
        event.kind = "b"
        event.value = 2

    def look():
        match event:
            case Event("a", value):
                seen.append(("a", value))
            case Event(kind="b", value=value):
                seen.append(("b", value))

    run(change, look)
    return seen


@pair
def matching_of_mappings_and_sequences(run):
    message, seen = {"kind": "a", "data": [1, 2]}, []

    def change():
        message["data"].append(3)
        message["kind"] = "b"

    def look():
        match message:
            case {"kind": "a", "data": [first, second]}:
                seen.append("two")
            case {"kind": kind, "data": [first, *rest], **others}:
                seen.append((kind, len(rest)))

    run(change, look)
    return seen


@pair
def module_attribute(run):
    module = types.ModuleType("settings")
    module.level = 0

    def raise_level():
        module.level += 1
        setattr(module, "level", module.__dict__["level"] + 1)

    run(raise_level, raise_level)
    return module.level


@pair
def module_of_the_program(run):
    module = sys.modules.get(__name__) or types.ModuleType(__name__)
    module.hits = 0

    def hit():
        module.hits += 1

    run(hit, hit)
    return module.hits


@pair
def global_created_and_deleted(run):
    seen = []

    def create():
        globals()["created"] = 1

    def use():
        global created
        try:
            seen.append(created)
            del created
        except NameError:
            seen.append("absent")

    globals().pop("created", None)
    run(create, use)
    return seen, "created" in globals()


@pair
def names_by_eval(run):
    space = {"x": 1, "y": 1}
    seen = []

    def change():
        exec("x = 2; y = 2", space)

    run(change, lambda: seen.append(eval("(x, y)", space)))
    return seen


@pair
def context_variables_of_threads(run):
    request, seen = contextvars.ContextVar("request", default=0), []

    def handle(number):
        request.set(request.get() + number)
        seen.append(request.get())

    run(lambda: handle(1), lambda: handle(2))
    return sorted(seen), request.get()


@pair
def context_shared_by_threads(run):
    request, context, seen = contextvars.ContextVar("request", default=0), contextvars.copy_context(), []

    def handle():
        try:
            context.run(lambda: request.set(request.get() + 1))
        except RuntimeError:
            seen.append("entered")

    run(handle, handle)
    return context.get(request), seen


@pair
def values_of_threads(run):
    class Mine(threading.local):
        count = 0

        def __init__(self):
            self.names = []

    mine, seen = Mine(), []

    def work(name):
        mine.count += 1
        mine.names.append(name)
        seen.append((mine.count, mine.names))

    run(lambda: work("a"), lambda: work("b"))
    return sorted(seen), mine.count


LOCAL = threading.local()


@pair
def values_of_threads_in_a_module(run):
    seen = []

    def work():
        LOCAL.count = getattr(LOCAL, "count", 0) + 1
        seen.append(LOCAL.count)

    run(work, work)
    return seen


@pair
def stack_of_contexts(run):
    log = []

    @contextlib.contextmanager
    def step(name):
        log.append(name)
        yield
        log.append(name.upper())

    def work(name):
        with contextlib.ExitStack() as stack:
            stack.enter_context(step(name))
            stack.callback(log.append, name * 2)

    run(lambda: work("a"), lambda: work("b"))
    return "".join(log)


@pair
def partial_functions(run):
    totals = {"n": 0}

    def add(target, amount, *, key):
        target[key] = target[key] + amount

    run(functools.partial(add, totals, 1, key="n"), functools.partial(add, totals, amount=2, key="n"))
    return totals["n"]


@pair
def partial_of_c(run):
    items, seen = [], []
    run(functools.partial(items.append, 1), functools.partial(operator.iadd, items, [2]), lambda: seen.append(len(items)))
    return sorted(items), seen


@pair
def bound_methods_of_c_as_targets(run):
    items, table, chosen = [3], {"a": 1}, set()
    run(items.pop, table.clear, lambda: chosen.update(map(str, [*items, *table])))
    return sorted(chosen)


@pair
def copy_of_an_object(run):
    class Tree:
        def __init__(self):
            self.left, self.right = [1], [2]

    tree, seen = Tree(), []

    def change():
        tree.left = [3]
        tree.right.append(4)

    run(change, lambda: seen.append((copy.copy(tree).left, copy.deepcopy(tree).right)))
    return seen


@pair
def copy_by_special_methods(run):
    class Box:
        def __init__(self, items):
            self.items = items

        def __copy__(self):
            return Box(list(self.items))

        def __deepcopy__(self, memo):
            return Box(copy.deepcopy(self.items, memo))

    box, seen = Box([1]), []
    run(lambda: box.items.append(2), lambda: seen.append((len(copy.copy(box).items), len(copy.deepcopy(box).items))))
    return seen


@pair
def abstract_class(run):
    class Shape(abc.ABC):
        sides = 0

        @property
        @abc.abstractmethod
        def area(self): ...

    class Square(Shape):
        def __init__(self):
            self.side = 1

        @property
        def area(self):
            return self.side * self.side

    square, seen = Square(), []

    def grow():
        square.side = 3

    run(grow, lambda: seen.append(square.area))
    return seen


@pair
def exception_with_data(run):
    class Failures(Exception):
        count = 0

    failures = Failures("first")

    def fail(name):
        failures.count += 1
        failures.args = (*failures.args, name)
        failures.add_note(name)

    run(lambda: fail("a"), lambda: fail("b"))
    return failures.count, len(failures.args), len(failures.__notes__)


@pair
def simple_namespace(run):
    space, seen = types.SimpleNamespace(), []

    def define():
        space.a = 1
        space.b = 2

    run(define, lambda: seen.append((repr(space), vars(space).get("b"))))
    return seen


@pair
def cached_property(run):
    class Data:
        loads = 0

        @functools.cached_property
        def rows(self):
            self.loads += 1
            return [self.loads]

    data, seen = Data(), []
    run(lambda: seen.append(data.rows), lambda: seen.append(data.rows))
    return data.loads, seen[0] is seen[1]


@pair
def cached_property_invalidated(run):
    class Data:
        source = 1

        @functools.cached_property
        def double(self):
            return self.source * 2

        def set(self, value):
            self.source = value
            self.__dict__.pop("double", None)

    data, seen = Data(), []
    run(lambda: data.set(2), lambda: seen.append(data.double))
    return data.double, seen


@pair
def single_dispatch(run):
    @functools.singledispatch
    def show(value):
        return "any"

    seen = []

    def register():
        show.register(int, lambda value: "int")

    run(register, lambda: seen.append(show(1)))
    return seen


@pair
def cached_function(run):
    calls = []

    @functools.lru_cache(maxsize=1)
    def load(key):
        calls.append(key)
        return key

    run(lambda: load(1), lambda: (load(1), load.cache_clear(), load(1)))
    return len(calls), load.cache_info().currsize


@pair
def cached_method(run):
    class Store:
        loads = 0

        @functools.cache
        def get(self, key):
            self.loads += 1
            return key

    store = Store()
    run(lambda: store.get(1), lambda: store.get(1))
    return store.loads


@pair
def names_of_threads(run):
    seen = []

    def rename():
        threading.main_thread().name = "main"

    def read():
        seen.append(threading.main_thread().name)

    threading.main_thread().name = "MainThread"
    run(rename, read)
    return seen


@pair
def attribute_of_a_thread(run):
    class Worker(threading.Thread):
        result = None

        def run(self):
            self.result = 1

    worker, seen = Worker(), []
    run(worker.run, lambda: seen.append(worker.result))
    return seen


@pair
def nested_objects_by_getter(run):
    class Node:
        def __init__(self, child=None):
            self.child, self.value = child, 0

    root = Node(Node())
    getter, seen = operator.attrgetter("child.value", "value"), []

    def change():
        root.child.value = 1
        root.value = 1

    run(change, lambda: seen.append(getter(root)))
    return seen


@pair
def method_called_by_name(run):
    items, seen = [1], []
    run(lambda: operator.methodcaller("append", 2)(items), lambda: seen.append(operator.methodcaller("count", 2)(items)))
    return seen


@pair
def user_collections(run):
    class Names(collections.UserList):
        def add(self, name):
            if name not in self:
                self.append(name)

    names = Names()
    run(lambda: names.add("a"), lambda: names.add("a"))
    return list(names)


@pair
def chain_of_maps(run):
    base, local, seen = {"a": 1}, {}, []
    chain = collections.ChainMap(local, base)

    def change():
        base["a"] = 2
        chain["b"] = 3

    run(change, lambda: seen.append((chain["a"], len(chain), chain.get("b"))))
    return seen


@pair
def dictionary_with_missing(run):
    class Tree(dict):
        def __missing__(self, key):
            value = self[key] = Tree()
            return value

    tree = Tree()

    def grow(leaf):
        tree["root"][leaf] = 1

    run(lambda: grow("a"), lambda: grow("b"))
    return sorted(tree["root"])


@pair
def generic_class(run):
    T = typing.TypeVar("T")

    class Box(typing.Generic[T]):
        def __init__(self):
            self.items: list[T] = []

        def put(self, item: T) -> int:
            self.items = [*self.items, item]
            return len(self.items)

    box = Box[int]()
    run(lambda: box.put(1), lambda: box.put(2))
    return len(box.items)


@pair
def weak_set_of_listeners(run):
    class Listener:
        pass

    listeners, kept, seen = weakref.WeakSet(), [Listener(), Listener()], []
    listeners.add(kept[0])
    run(lambda: listeners.add(kept[1]), lambda: seen.append(len(listeners)))
    return seen


@pair
def class_body_with_shared_names(run):
    fields, seen = ["a"], []

    def define():
        class Row:
            columns = list(fields)
            count = len(fields)

        seen.append((Row.columns, Row.count))

    run(lambda: fields.append("b"), define)
    return seen


@pair
def special_method_replaced(run):
    class Box:
        def __len__(self):
            return 1

    box, seen = Box(), []

    def replace():
        Box.__len__ = lambda self: 2

    run(replace, lambda: seen.append(len(box)))
    return seen


@pair
def class_of_an_object_replaced(run):
    class Open:
        name = "open"

    class Closed:
        name = "closed"

    door, seen = Open(), []

    def close():
        door.__class__ = Closed

    run(close, lambda: seen.append(door.name))
    return seen


@pair
def coroutine_run_by_hand(run):
    state = types.SimpleNamespace(n=0)

    async def child():
        state.n += 1

    async def task():
        await child()
        state.n += 1

    def drive():
        try:
            task().send(None)
        except StopIteration:
            pass

    run(drive, drive)
    return state.n
