"""The accesses that a call of a function or method of C makes."""

import collections
import functools
import io
import itertools
import operator
import sys
import threading
import types
import weakref

from raddle import _order, _raddle
from raddle._effects import (
    ATOMIC,
    CONTAINERS,
    C_METHODS,
    GENERATORS,
    MOST,
    VIEWS,
    WITHOUT_STATE,
    advance,
    attribute,
    attributes,
    behind_view,
    consume,
    delete_item,
    dereference,
    has_simple_key,
    is_iterator_of_c,
    is_plain,
    is_primitive,
    items_of,
    reach,
    read_all,
    read_deep,
    read_deep_operand,
    read_item,
    read_keys,
    read_length,
    read_proxy,
    world,
    write_all,
    write_item,
)

#: Methods of C that read their object, by its type. All others write it.
_READING = {
    list: {"index", "count", "copy", "__contains__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__repr__",
           "__add__", "__mul__", "__rmul__"},
    dict: {"copy", "__eq__", "__ne__", "__repr__", "__or__", "__ror__"},
    set: {"union", "intersection", "difference", "symmetric_difference", "issubset", "issuperset", "isdisjoint", "copy",
          "__contains__", "__eq__", "__ne__", "__repr__", "__or__", "__and__", "__sub__", "__xor__", "__le__", "__lt__",
          "__ge__", "__gt__", "__ror__", "__rand__", "__rsub__", "__rxor__"},
    collections.deque: {"index", "count", "copy", "__copy__", "__contains__", "__eq__", "__ne__", "__repr__", "__add__",
                        "__getitem__"},
    bytearray: set(dir(bytes)) - {"__init__", "__new__"},
}  # fmt: skip

#: Methods that read the length or create an iterator or a view.
_LENGTH = frozenset({"__len__", "__iter__", "__reversed__", "keys", "values", "items", "__sizeof__", "__length_hint__"})

#: Methods of every object that access nothing, or what a subclass defines in Python.
_OF_OBJECT = frozenset(
    """
    __init__ __new__ __hash__ __init_subclass__ __subclasshook__ __dir__ __format__ __class_getitem__ __sizeof__
    __instancecheck__ __subclasscheck__ mro __subclasses__ __prepare__ with_traceback add_note __enter__ __exit__
    """.split()
)


def _method(owner, name, receiver, args, kwargs, out):
    """A method of C, called on `receiver`, which is an instance of `owner` or of a subclass."""
    if name in ("__getattribute__", "__getattr__") and args:
        return attribute(receiver, args[0], "r", out)
    if name in ("__setattr__", "__delattr__") and args:
        return attribute(receiver, args[0], "w" if name == "__setattr__" else "d", out)
    if name in ("__reduce_ex__", "__reduce__", "__getstate__"):
        attributes(receiver, "r", out) if not isinstance(receiver, type) else None
        return read_deep(receiver, out)
    if name == "__subclasses__":
        return _raddle.unseen("which subclasses a class has at the moment")
    if isinstance(receiver, type) and owner is not receiver:
        return None if name in _OF_OBJECT or name.startswith("__") else _arguments_of_class_method(receiver, name, args, out)
    if is_primitive(receiver):
        if name == "wait_for" and args:
            out.append((receiver, None, "r", None))  # C code calls the predicate
        return None
    if isinstance(receiver, dict):
        return _method_of_dict(name, receiver, args, kwargs, out)
    for cls, reading in _READING.items():
        if isinstance(receiver, cls):
            if name == "__init__" and not args:
                return write_all(receiver, out)
            if name in ("__iter__", "pop"):
                _order.iterates(receiver)
            if name in _LENGTH:
                read_keys(receiver, out)
            elif name == "__getitem__" and args:
                read_item(receiver, args[0], out)
            elif name == "__setitem__" and args:
                write_item(receiver, args[0], out)
            elif name in ("__class_getitem__", "__hash__", "__new__", "__init_subclass__"):
                pass
            elif name in reading:
                read_all(receiver, out)
                several(args, consume, out)
                several(args, read_deep, out)
                if name in ("index", "count", "__contains__", "__eq__", "__ne__"):
                    read_deep(receiver, out)
            else:
                write_all(receiver, out)
                if name in ("extend", "extendleft", "update", "intersection_update", "difference_update",
                            "symmetric_difference_update", "__iadd__", "__ior__", "__iand__", "__isub__", "__ixor__",
                            "__init__"):  # fmt: skip
                    several(args, consume, out)
                    if not isinstance(receiver, set):
                        several(args, lambda arg, out: _order.iterates(arg), out)
                elif name in ("sort", "remove"):
                    _order.orders(kwargs.get("key"))
                    _read_deep_items(receiver, out)
                    _callback(kwargs.get("key"), (receiver,), out)
            return None
    if isinstance(receiver, (str, bytes)):
        given = (*args, *kwargs.values())
        several(given, consume, out)
        several(given, read_deep, out)
        if name in ("format", "format_map") and ("." in receiver or "[" in receiver):
            reach(given, "r", out)  # its fields name attributes and items
        return None
    if isinstance(receiver, (tuple, frozenset)):
        several(args, read_deep, out)
        return read_deep(receiver, out)
    if isinstance(receiver, VIEWS):
        if name in _LENGTH:
            return read_keys(behind_view(receiver), out)
        read_all(behind_view(receiver), out)
        return several(args, consume, out)
    if isinstance(receiver, io.IOBase):
        return _method_of_file(name, receiver, args, out)
    if isinstance(receiver, GENERATORS) or is_iterator_of_c(receiver):
        if name in ("__iter__", "__length_hint__"):
            return None
        return advance(receiver, out)
    if isinstance(receiver, types.MappingProxyType):
        if name in ("get", "__getitem__", "__contains__") and args:
            return read_item(receiver, args[0], out)
        return read_proxy(receiver, out)
    if isinstance(receiver, WITHOUT_STATE):
        if name in ("sub", "subn"):
            _callback(args[0] if args else kwargs.get("repl"), (None,), out)
        return several((getattr(receiver, "string", None), *args), read_deep, out)
    if name in _OF_OBJECT and is_plain(type(receiver)):
        return None
    if isinstance(receiver, BaseException):
        return _method_of_exception(name, receiver, out)
    if is_plain(type(receiver)):
        if name in ("__repr__", "__str__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
            return None
    if owner is type or isinstance(receiver, type):
        return None
    if isinstance(receiver, types.FunctionType):
        return None
    if isinstance(receiver, functools._lru_cache_wrapper):
        return write_all(receiver, out)
    reach((receiver, *args, *kwargs.values()), "w", out)


def _method_of_exception(name, receiver, out):
    if name in ("__str__", "__repr__", "__reduce__", "__reduce_ex__", "__format__"):
        read_deep(receiver, out)
    elif name == "add_note":
        attribute(receiver, "__notes__", "w", out)
    elif name == "with_traceback":
        attribute(receiver, "__traceback__", "w", out)
    elif name in ("__init__", "__setstate__"):
        attribute(receiver, "args", "w", out)


def _arguments_of_class_method(cls, name, args, out):
    if name in ("from_bytes", "fromhex", "join"):
        several(args, read_deep, out)
    if issubclass(cls, dict) and name == "fromkeys":
        several(args, consume, out)
    elif cls.__module__ not in ("builtins", "datetime"):
        several(args, consume, out)


def _read_deep_items(container, out):
    for item in items_of(container)[:MOST]:
        if type(item) not in ATOMIC:
            read_deep(item, out)


def _method_of_dict(name, receiver, args, kwargs, out):
    if name in _LENGTH or name in ("__class_getitem__", "__hash__"):
        if name not in ("keys", "values", "items"):
            read_keys(receiver, out)
    elif name in ("get", "__getitem__", "__contains__") and args:
        if name == "__getitem__":
            read_item(receiver, args[0], out)
        elif has_simple_key(receiver, args[0]):
            out.append((receiver, args[0], "r", None)) if name == "get" else None
            read_keys(receiver, out)
        else:
            read_all(receiver, out)
    elif name == "__setitem__" and args:
        write_item(receiver, args[0], out)
    elif name == "setdefault" and args and has_simple_key(receiver, args[0]):
        if dict.__contains__(receiver, args[0]):
            out.append((receiver, args[0], "r", None))
            read_keys(receiver, out)
        else:
            write_all(receiver, out)
    elif name in _READING[dict]:
        read_all(receiver, out)
        several(args, consume, out)
        if name in ("__eq__", "__ne__", "__repr__"):
            read_deep(receiver, out)
            several(args, read_deep, out)
    elif name in ("__new__", "__init_subclass__"):
        pass
    else:
        write_all(receiver, out)
        if name in ("update", "__ior__", "__init__"):
            several(args, consume, out)


_STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__", "stdin", "__stdin__")


def _method_of_file(name, receiver, args, out):
    if "into" in name:
        reach(args, "w", out)
    several(args, read_deep, out)
    several(args, consume, out)
    if any(receiver is getattr(sys, stream, None) for stream in _STREAMS) and not isinstance(receiver, io.StringIO):
        return  # what is printed in which order is no part of the outcome
    if isinstance(receiver, (io.StringIO, io.BytesIO)):
        write_all(receiver, out)
    else:
        reach((receiver,), "w", out)  # it may be a layer over others
        world("the file system", "w", out)


def several(values, effect, out):
    for value in values:
        effect(value, out)


_NOTHING = frozenset(
    """
    isinstance issubclass id callable hash chr ord abs bin hex oct round divmod pow globals locals exec eval compile
    __import__ __build_class__ breakpoint input open_code
    """.split()
)

_DEEP = frozenset({"repr", "ascii", "format", "print"})
_CONSUMING = frozenset({"sum", "sorted", "any", "all", "min", "max"})


def _builtin(name, args, kwargs, out):
    if name in _NOTHING:
        return
    if name == "len" or name in ("iter", "aiter", "reversed"):
        several(args[:1], read_length, out)
        _order.iterates(args[0] if name == "iter" and args else None)
        if name == "iter" and len(args) == 2:
            call(args[0], (), {}, out)
    elif name in _DEEP:
        several(args, read_deep, out)
        if name == "print" and not kwargs.get("file"):
            attribute(sys, "stdout", "r", out)
        if name == "print" and isinstance(kwargs.get("file", sys.stdout), io.IOBase):
            _method_of_file("write", kwargs.get("file") or sys.stdout, (), out)
    elif name in _CONSUMING:
        several(args, consume, out)
        several(args, read_deep, out)
        key = kwargs.get("key")
        if key is not None:
            _order.orders(key)
            _order.iterates(args[0] if args else None)  # of equal ones, the first is taken
            out.append((key, None, "r", None))  # C code calls it
            _callback(key, args if len(args) == 1 else (args,), out)
    elif name in ("next", "anext") and args:
        advance(args[0], out)
    elif name in ("getattr", "hasattr") and len(args) > 1:
        attribute(args[0], args[1], "r", out)
    elif name in ("setattr", "delattr") and len(args) > 1:
        attribute(args[0], args[1], "w" if name == "setattr" else "d", out)
    elif name == "vars" and args:
        if not isinstance(args[0], (type, types.ModuleType)):
            _raddle.own(args[0])
    elif name == "dir" and args:
        attributes(args[0], "r", out)
    elif name == "open":
        world("the file system", "w", out)
    elif name in ("vars", "dir"):
        pass
    else:
        reach((*args, *kwargs.values()), "w", out)


def _callback(function, args, out):
    """C code calls a function with items of its arguments: one of C may do what it does to them."""
    if function is None or isinstance(function, (types.FunctionType, type, types.MethodType)):
        return
    for arg in args:
        items = (
            items_of(arg)
            if isinstance(arg, CONTAINERS) and not isinstance(arg, dict)
            else list(arg)
            if isinstance(arg, dict)
            else []
        )
        for item in items[:MOST] or [None]:
            call(function, (item,), {}, out)


#: Modules of C whose functions access nothing but what their arguments are.
_PURE = frozenset(
    """
    math cmath _struct binascii zlib unicodedata _datetime time _statistics _bisect_ _sre _string _locale _abc errno
    _contextvars _typing _opcode _symtable _tokenize _hashlib _md5 _sha1 _sha2 _sha3 _blake2 _uuid _tracemalloc atexit
    faulthandler _signal_ gc sys marshal _codecs _ast _imp _warnings raddle raddle._raddle _weakref posix nt _posixsubprocess_
    _stat itertools _thread
    """.split()
)

_OF_CLOCK = ("sleep", "time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns")

#: Functions of them that read or change a state of the interpreter.
_STATE = {
    ("_abc", "_abc_register"): ("the registrations of abstract classes", "w"),
    ("_abc", "_abc_instancecheck"): ("the registrations of abstract classes", "r"),
    ("_abc", "_abc_subclasscheck"): ("the registrations of abstract classes", "r"),
    ("_abc", "get_cache_token"): ("the registrations of abstract classes", "r"),
    ("_abc", "_reset_registry"): ("the registrations of abstract classes", "w"),
    ("gc", "enable"): ("the garbage collector", "w"),
    ("gc", "disable"): ("the garbage collector", "w"),
    ("gc", "isenabled"): ("the garbage collector", "r"),
}

#: Modules of C that the explorer cannot follow: their functions wait for, or start, something outside of it.
_OUTSIDE = frozenset(
    """
    _socket select _ctypes _multiprocessing _posixsubprocess _posixshmem signal _asyncio _ssl mmap fcntl termios _sqlite3
    _interpreters _interpqueues _interpchannels _xxsubinterpreters _queue
    """.split()
)


def _function(callable, args, kwargs, out):
    """A function of C in a module."""
    module = getattr(callable, "__module__", None) or "?"
    name = getattr(callable, "__name__", "?")
    if module == "builtins":
        return _builtin(name, args, kwargs, out)
    if module in ("_io", "io"):
        return world("the file system", "w", out)
    if module in ("_operator", "operator"):
        return _of_operator(name, args, out)
    if module in ("_functools", "functools"):
        if name == "reduce" and len(args) > 1:
            consume(args[1], out)
            _callback(args[0], args[1:2], out)
        return None
    if module == "_heapq":
        several(args[:1], write_all, out)
        return several(args, read_deep, out)
    if module == "_bisect":
        several(args, read_deep, out)
        _callback(kwargs.get("key"), args[:2], out)
        return several(args[:1], write_all, out) if name.startswith("insort") else None
    if module == "_collections":
        several(args[:1], write_all, out)
        return several(args[1:], consume, out)
    if module in ("_json", "_pickle", "_csv"):
        return reach((*args, *kwargs.values()), "w", out)
    if module == "sys" and name == "exit":
        return None
    if module in ("posix", "nt"):
        if name not in ("getpid", "fspath", "urandom", "cpu_count", "getppid", "register_at_fork"):
            world("the file system", "r" if name == "getcwd" else "w", out)
        if name in ("fork", "forkpty", "waitpid", "read", "system"):
            _raddle.unseen(f"a call of os.{name}")
        return None
    if (module, name) in _STATE:
        world(*_STATE[module, name], out)
    if module in _PURE:
        if module == "_weakref" and name in ("getweakrefcount", "getweakrefs"):
            _raddle.unseen("which weak references an object has at the moment")
        if module == "time" and name in _OF_CLOCK:  # a direct call has a stand-in
            _raddle.unseen(f"a call of time.{name} by C code")
        if module == "_weakref" and name == "proxy":
            _raddle.unseen("what is accessed through a weak proxy")
        if name.startswith("set"):
            world(f"the module {module}", "w", out)
        elif name.startswith("get"):
            world(f"the module {module}", "r", out)
        given = (*args, *kwargs.values())
        if "into" in name:
            return reach(given, "w", out)
        several(given, read_deep, out)
        return several(given, consume, out) if module == "math" else None
    if module in _OUTSIDE:
        _raddle.unseen(f"a call of {module}.{name}")
    elif module.partition(".")[0] not in sys.stdlib_module_names:
        _raddle.unseen(f"a call of {module}.{name}, which is not Python code")
    world(f"the module {module}", "w", out)
    reach((*args, *kwargs.values()), "w", out)


def _of_operator(name, args, out):
    if name in ("setitem", "delitem") and len(args) > 1:
        return write_item(args[0], args[1], out) if name == "setitem" else delete_item(args[0], args[1], out)
    if name == "getitem" and len(args) > 1:
        return read_item(args[0], args[1], out)
    if name in ("setitem", "delitem", "getitem"):  # called by C code, with arguments that are not known
        return reach(args, "w", out)
    if name == "call" and args:
        return call(args[0], args[1:], {}, out)
    if name.startswith("i") and name not in ("index", "indexOf", "invert", "inv", "is_", "is_not"):
        return in_place(args, out)
    several(args, read_deep, out)
    several(args, consume, out) if name in ("contains", "countOf", "indexOf") else None


def in_place(args, out):
    if args and isinstance(args[0], CONTAINERS) and not isinstance(args[0], (tuple, frozenset)):
        write_all(args[0], out)
        several(args[1:], consume, out)
    else:
        several(args, read_deep_operand, out)


#: Types of C whose construction iterates over its arguments.
_COPYING = (list, tuple, set, frozenset, dict, bytearray, bytes, collections.deque)
_CREATING = ("itertools", "builtins", "functools", "_functools", "weakref", "types", "operator", "_operator", "datetime",
             "decimal", "_struct", "_io", "raddle", "raddle._raddle", "collections", "_random", "random", "_weakref",
             "enum", "typing", "_thread", "_contextvars", "re")  # fmt: skip


def _is_of_registry(value):
    """Whether weak references of the standard library are to such an object, until the end of the process."""
    logging = sys.modules.get("logging")
    return isinstance(value, (type, threading.Thread)) or logging is not None and isinstance(value, logging.Handler)


#: Some of them have iterated over their arguments when they are created.
_ITERATING = (itertools.product, itertools.permutations, itertools.combinations, itertools.combinations_with_replacement,
              types.SimpleNamespace)  # fmt: skip


def _construct(cls, args, kwargs, out):
    if cls is type or cls.__module__.partition(".")[0] == "raddle":
        return
    if isinstance(getattr(cls, "__del__", None), types.FunctionType):
        # What is accessed is kept alive to the end of the execution.
        _raddle.unseen(f"when {cls.__qualname__}.__del__ is called")
        return
    new, init = cls.__new__, cls.__init__
    if isinstance(init, types.FunctionType) and new is object.__new__ or (new is object.__new__ and init is object.__init__):
        if type(cls) is type:
            _raddle.set_harmless(cls)
        return
    if issubclass(cls, BaseException) or issubclass(cls, type):
        return
    if cls in (str, bytes, int, float, complex) or issubclass(cls, (str, int, float)):
        several(args, consume, out) if cls is bytes else None
        return several(args, read_deep, out)
    if cls is bool:
        return several(args, read_length, out)
    if issubclass(cls, _COPYING):
        if not isinstance(init, types.FunctionType) or not args:
            several(args, consume, out)
            if not issubclass(cls, (set, frozenset)):
                _order.iterates(args[0] if args else None)
        return
    if cls.__module__ in _CREATING:
        if cls in _ITERATING:
            for arg in args:
                _order.iterates(arg)
            return several((*args, *kwargs.values()), consume, out)
        if cls is weakref.ref or issubclass(cls, weakref.ref):
            if args[1:] and args[1] is not None and not _is_of_registry(args[0]):
                _raddle.unseen("when the callback of a weak reference is called")
            return None
        # They store their arguments, and create iterators of them.
        for arg in args:
            _order.iterates(arg)
        return several(args, read_length, out)
    if isinstance(init, types.FunctionType) or isinstance(new, types.FunctionType):
        return  # a class of Python over one of C
    _function(cls, args, kwargs, out)


def _attributes_of_attributes(value, names, out):
    """What `value.first.second` reads."""
    for place, name in enumerate(names):
        attribute(value, name, "r", out)
        known = value.__dict__ if is_plain(type(value)) and hasattr(value, "__dict__") else {}
        if name not in known or isinstance(type(value).__dict__.get(name), property):
            if place + 1 < len(names):
                reach((value,), "r", out)
            return
        value = known[name]


#: Stands in a partial call for an argument that is given later, since 3.14.
_PLACEHOLDER = getattr(functools, "Placeholder", object())


def _filled(stored, given):
    """The arguments of a function that a partial call stores, with those that it is given."""
    given = iter(given)
    return (*(next(given, value) if value is _PLACEHOLDER else value for value in stored), *given)


def call(callable, args, kwargs, out):
    """Calling an object: what C code accesses in it."""
    if isinstance(callable, types.FunctionType):
        return
    if isinstance(callable, types.MethodType):
        return call(callable.__func__, (callable.__self__, *args), kwargs, out)
    if isinstance(callable, type):
        meta_call = type(callable).__call__
        if isinstance(meta_call, types.FunctionType):
            return
        return _construct(callable, args, kwargs, out)
    if isinstance(callable, types.BuiltinFunctionType):
        receiver = callable.__self__
        if receiver is None or isinstance(receiver, types.ModuleType):
            return _function(callable, args, kwargs, out)
        return _method(type(receiver), callable.__name__, receiver, args, kwargs, out)
    if isinstance(callable, types.MethodWrapperType):
        return _method(type(callable.__self__), callable.__name__, callable.__self__, args, kwargs, out)
    if isinstance(callable, C_METHODS):
        if args:
            return _method(callable.__objclass__, callable.__name__, args[0], args[1:], kwargs, out)
        return
    if isinstance(callable, functools.partial):
        return call(callable.func, _filled(callable.args, args), {**callable.keywords, **kwargs}, out)
    if isinstance(callable, functools._lru_cache_wrapper):
        return write_all(callable, out)
    if isinstance(callable, operator.attrgetter):
        for names in callable.__reduce__()[1] if args else ():
            _attributes_of_attributes(args[0], names.split("."), out)
        return
    if isinstance(callable, operator.itemgetter):
        for key in callable.__reduce__()[1]:
            read_item(args[0], key, out) if args else None
        return
    if isinstance(callable, operator.methodcaller):
        name, *rest = callable.__reduce__()[1] if not isinstance(callable.__reduce__()[0], functools.partial) else [None]
        if name is not None and args:
            method = getattr(args[0], name, None)
            return call(method, tuple(rest), {}, out)
        return reach((*args,), "w", out)
    if isinstance(callable, weakref.ref):
        return dereference(callable)
    if isinstance(callable, (types.MethodType, staticmethod, classmethod)):
        return call(callable.__func__, args, kwargs, out)
    found = getattr(type(callable), "__call__", None)
    if isinstance(found, types.FunctionType):
        return
    if is_primitive(callable):
        return
    reach((callable, *args, *kwargs.values()), "w", out)
