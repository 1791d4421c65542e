"""Objects that are made once, on demand: lazily, by double-checked locking, as singletons."""

import threading


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Connection:
    def __init__(self):
        self.open = False
        self.user = None

    def connect(self):
        self.user = "root"
        self.open = True


class Singleton:
    instance = None
    lock = threading.Lock()
    made = 0

    @classmethod
    def get(cls):
        if cls.instance is None:
            cls.made += 1
            cls.instance = object()
        return cls.instance

    @classmethod
    def get_locked(cls):
        with cls.lock:
            return cls.get()


def fails_singleton():
    Singleton.instance, Singleton.made = None, 0
    seen = []
    run(lambda: seen.append(Singleton.get()), lambda: seen.append(Singleton.get()))
    assert seen[0] is seen[1]


def holds_singleton():
    Singleton.instance, Singleton.made = None, 0
    seen = []
    run(lambda: seen.append(Singleton.get_locked()), lambda: seen.append(Singleton.get_locked()))
    assert seen[0] is seen[1]


class Unique:
    """A singleton by `__new__`."""

    _it = None
    _lock = threading.Lock()
    checked = False

    def __new__(cls):
        if cls._it is None:
            if cls.checked:
                with cls._lock:
                    if cls._it is None:
                        cls._it = super().__new__(cls)
            else:
                cls._it = super().__new__(cls)
        return cls._it


def fails_singleton_by_new():
    Unique._it, Unique.checked = None, False
    seen = []
    run(lambda: seen.append(Unique()), lambda: seen.append(Unique()))
    assert len(set(seen)) == 1


def holds_singleton_by_new():
    Unique._it, Unique.checked = None, True
    seen = []
    run(lambda: seen.append(Unique()), lambda: seen.append(Unique()))
    assert len(set(seen)) == 1


class Pool:
    def __init__(self):
        self.connection = None
        self.lock = threading.Lock()

    def published_early(self):
        if self.connection is None:
            with self.lock:
                if self.connection is None:
                    self.connection = Connection()
                    self.connection.connect()
        return self.connection

    def published_late(self):
        if self.connection is None:
            with self.lock:
                if self.connection is None:
                    connection = Connection()
                    connection.connect()
                    self.connection = connection
        return self.connection


def fails_double_checked():
    pool = Pool()

    def use():
        assert pool.published_early().open

    run(use, use)


def holds_double_checked():
    pool = Pool()

    def use():
        assert pool.published_late().open

    run(use, use)


def fails_checked_once():
    lock, made = threading.Lock(), []
    value = None

    def get():
        nonlocal value
        if value is None:
            with lock:
                made.append(1)
                value = 7
        return value

    run(get, get)
    assert len(made) == 1


def holds_checked_once():
    lock, made = threading.Lock(), []
    value = None

    def get():
        nonlocal value
        if value is None:
            with lock:
                if value is None:
                    made.append(1)
                    value = 7
        return value

    run(get, get)
    assert len(made) == 1


class Lazy:
    """A property that is computed at its first use and kept in the instance."""

    def __init__(self, guard):
        self.guard, self.computed = guard, 0

    @property
    def value(self):
        if self.guard:
            with self.guard:
                return self._compute()
        return self._compute()

    def _compute(self):
        if not hasattr(self, "_value"):
            self.computed += 1
            self._value = 42
        return self._value


def fails_lazy_property():
    lazy = Lazy(None)
    run(lambda: lazy.value, lambda: lazy.value)
    assert lazy.computed == 1


def holds_lazy_property():
    lazy = Lazy(threading.Lock())
    run(lambda: lazy.value, lambda: lazy.value)
    assert lazy.computed == 1


class Table:
    """Falls back on loading when an attribute is missing."""

    def __init__(self):
        self.loads = 0

    def __getattr__(self, name):
        if name != "rows":
            raise AttributeError(name)
        self.loads += 1
        self.rows = [1]
        return self.rows


def fails_getattr_fallback():
    table = Table()
    run(lambda: table.rows.append(2), lambda: table.rows.append(3))
    assert len(table.rows) == 3


def holds_getattr_fallback():
    table = Table()
    table.rows.append(1)
    run(lambda: table.rows.append(2), lambda: table.rows.append(3))
    assert len(table.rows) == 4


def fails_publication_of_self():
    listeners, seen = [], []

    class Listener:
        def __init__(self):
            listeners.append(self)
            self.name = "listener"

    def notify():
        for listener in list(listeners):
            seen.append(listener.name)

    run(Listener, notify)


def holds_publication_of_self():
    listeners, seen = [], []

    class Listener:
        def __init__(self):
            self.name = "listener"
            listeners.append(self)

    def notify():
        for listener in list(listeners):
            seen.append(listener.name)

    run(Listener, notify)


def fails_flag_and_value():
    result = {}

    def compute():
        result["done"] = True
        result["value"] = 3

    def use():
        if result.get("done"):
            assert result["value"] == 3

    run(compute, use)


def holds_flag_and_value():
    result = {}

    def compute():
        result["value"] = 3
        result["done"] = True

    def use():
        if result.get("done"):
            assert result["value"] == 3

    run(compute, use)


def fails_unique_name():
    files = {"a": 1}

    def create():
        name, number = "a", 0
        while name in files:
            number += 1
            name = f"a{number}"
        files[name] = files.get(name, 0) + 1

    run(create, create)
    assert len(files) == 3


def holds_unique_name():
    files, lock = {"a": 1}, threading.Lock()

    def create():
        name, number = "a", 0
        with lock:
            while name in files:
                number += 1
                name = f"a{number}"
            files[name] = 1

    run(create, create)
    assert len(files) == 3


def fails_reference_count():
    class Handle:
        references, closed = 2, 0

        def release(self):
            self.references -= 1
            if self.references == 0:
                self.closed += 1

    handle = Handle()
    run(handle.release, handle.release)
    assert handle.closed == 1


def holds_reference_count():
    class Handle:
        references, closed = 2, 0
        lock = threading.Lock()

        def release(self):
            with self.lock:
                self.references -= 1
                if self.references == 0:
                    self.closed += 1

    handle = Handle()
    run(handle.release, handle.release)
    assert handle.closed == 1


def fails_bank_transfer():
    accounts = {"a": 10, "b": 0}

    def transfer():
        amount = accounts["a"]
        accounts["a"] -= amount
        accounts["b"] += amount

    run(transfer, transfer)
    assert accounts == {"a": 0, "b": 10}


def holds_bank_transfer():
    accounts, lock = {"a": 10, "b": 0}, threading.Lock()

    def transfer():
        with lock:
            amount = accounts["a"]
            accounts["a"] -= amount
            accounts["b"] += amount

    run(transfer, transfer)
    assert accounts == {"a": 0, "b": 10}
