"""What an operation of the interpreter, or a call of C code, accesses, for `raddle.check`.

`classify` receives the operands of an instruction before it is executed. It returns the accesses of C code that the
instruction executes; code of Python that it calls is observed by itself. An access is a tuple: the object, its part, the
effect, and a name for reports or None. The part is None for the keys of a container, or for all of an object of unknown
structure; `...` for the values of a container; otherwise the key of an item. The effect is "r" for a read, "w" for a write,
or "c" for a change that commutes with other such changes.

What is not in a table is taken for the worst: a write of every object that the C code can reach from its arguments.
"""

import collections
import functools
import gc
import io
import itertools
import operator
import sys
import types
import weakref

from raddle import _raddle

NULL = object()

_MISSING = object()

#: Values of these types never change, and refer to nothing that does.
ATOMIC = frozenset(
    {
        int,
        float,
        complex,
        bool,
        str,
        bytes,
        type(None),
        type(...),
        type(NotImplemented),
        range,
        types.CodeType,
        types.GenericAlias,
    }
)

_FUNCTIONS = (types.FunctionType,)
_C_FUNCTIONS = (types.BuiltinFunctionType,)
_C_METHODS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)
_VIEWS = (type({}.keys()), type({}.values()), type({}.items()))
_ITERATORS_OF_LISTS = (type(iter([])), type(reversed([])))
_CONTAINERS = (list, dict, set, frozenset, tuple, collections.deque, bytearray)

#: They are no data: C code does not change them, and does not look through them.
_NOT_DATA = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.MappingProxyType,
    property,
    staticmethod,
    classmethod,
    weakref.ref,
)


# -- types ---------------------------------------------------------------------------------------------------------------


def is_plain(cls):
    """Return whether the instances of a class have no state but attributes: no class of C adds one."""
    for base in cls.__mro__:
        if base is object:
            continue
        below = base.__base__
        slots = base.__dict__.get("__slots__", ())
        slots = (slots,) if isinstance(slots, str) else tuple(slots)
        named = sum(name not in ("__dict__", "__weakref__") for name in slots)
        if not base.__flags__ & (1 << 9) or base.__basicsize__ - below.__basicsize__ != 8 * named:
            return False
    return True


_plain = {}


def _is_plain(cls):
    known = _plain.get(cls)
    if known is None:
        known = _plain[cls] = is_plain(cls)
    return known


def _is_primitive(value):
    """Whether the object is one of the toolkit's, whose operations are steps of their own."""
    for cls in type(value).__mro__:
        if cls.__module__.partition(".")[0] == "raddle":
            return True
    return False


# -- effects -------------------------------------------------------------------------------------------------------------


def _read_keys(value, out):
    out.append((value, None, "r", None))


def _read_all(value, out):
    out.append((value, None, "r", None))
    out.append((value, ..., "r", None))


def _write_all(value, out):
    out.append((value, None, "w", None))


_worlds = {}  # one object for each thing outside of Python, by its name


def _world(name, effect, out):
    """Something that is no object of Python, such as the state of a module of C."""
    out.append((_worlds.setdefault(name, name), None, effect, name))


#: Attributes that decide what others mean.
IDENTITY = frozenset({"__class__", "__bases__", "__dict__", "__code__", "__defaults__", "__kwdefaults__"})


def _attribute(value, name, effect, out):
    if effect != "r" and name in IDENTITY:
        _raddle.unseen(f"the assignment of {name}, which changes what other accesses mean")
    if type(name) is str:
        out.append((value, name, effect, "@attribute"))
    elif isinstance(name, str):
        out.append((value, str(name), effect, "@attribute"))


def _attributes(value, effect, out):
    """All attributes of an object: its dictionary as a whole."""
    if isinstance(value, types.ModuleType):
        value = value.__dict__
        _read_all(value, out) if effect == "r" else _write_all(value, out)
    elif isinstance(value, type):
        out.append((value, None, effect, "@attributes"))
    else:
        out.append((value, None, effect, "@attributes"))


def _has_simple_key(container, key):
    """Whether a key differs from others by its hash, so that other items are not concerned."""
    return type(key) is str or type(key) is int


def _index(sequence, key):
    return key + len(sequence) if key < 0 else key


def _read_item(container, key, out):
    if isinstance(container, memoryview):
        container = _behind_memory(container)
    if isinstance(container, dict):
        if _has_simple_key(container, key):
            out.append((container, key, "r", None))
            _read_keys(container, out)
            if dict.__contains__(container, key):
                return
            if isinstance(container, collections.defaultdict):
                _write_all(container, out)
        else:
            _read_all(container, out)
            if isinstance(container, collections.defaultdict):
                _write_all(container, out)
    elif isinstance(container, list) and type(key) is int:
        out.append((container, _index(container, key), "r", None))
        _read_keys(container, out)
    elif isinstance(container, (list, collections.deque, bytearray)):
        _read_all(container, out)
    elif isinstance(container, types.MappingProxyType):
        if type(key) is str:  # of a class
            key = sys.intern(key)
            out.append((key, key, "r", f"class attribute {key}"))
        _read_item(_behind_proxy(container), key, out)
    elif isinstance(container, (tuple, str, bytes)) or _is_plain(type(container)):
        pass
    else:
        _unknown_operation((container, key), out)


def _write_item(container, key, out):
    if isinstance(container, memoryview):
        container = _behind_memory(container)
    if isinstance(container, dict):
        exists = _has_simple_key(container, key) and dict.__contains__(container, key)
        if exists:
            out.append((container, key, "w", None))
            _read_keys(container, out)
            out.append((container, ..., "c", None))
        else:
            if _has_simple_key(container, key):
                out.append((container, key, "w", None))
            _write_all(container, out)
    elif isinstance(container, list) and type(key) is int:
        out.append((container, _index(container, key), "w", None))
        _read_keys(container, out)
        out.append((container, ..., "c", None))
    elif isinstance(container, (list, collections.deque, bytearray)):
        _write_all(container, out)
    elif _is_plain(type(container)):
        pass
    else:
        _unknown_operation((container, key), out)


def _delete_item(container, key, out):
    if isinstance(container, (dict, list, collections.deque, bytearray)):
        if isinstance(container, dict) and _has_simple_key(container, key):
            out.append((container, key, "w", None))
        _write_all(container, out)
    elif not _is_plain(type(container)):
        _unknown_operation((container, key), out)


_MOST = 2000  # objects that are looked at from one operand


def _read_deep(value, out, seen=None):
    """The value, and the containers in it, as `repr` and comparisons read them."""
    if isinstance(value, memoryview):
        value = _behind_memory(value)
    cls = type(value)
    if cls in ATOMIC:
        return
    if isinstance(value, _CONTAINERS):
        seen = set() if seen is None else seen
        if id(value) in seen:
            return
        seen.add(id(value))
        if not isinstance(value, (tuple, frozenset)):
            _read_all(value, out)
        if isinstance(value, bytearray):
            return
        if len(seen) > _MOST or len(value) > _MOST:
            _raddle.unseen(f"an operation on more than {_MOST} containers or items at once")
            return
        items = list(dict.values(value)) + list(dict.keys(value)) if isinstance(value, dict) else _items_of(value)
        for item in items:
            if type(item) not in ATOMIC:
                _read_deep(item, out, seen)
    elif isinstance(value, _VIEWS):
        _read_deep(_behind_view(value), out, seen)
    elif isinstance(value, types.MethodType):
        pass
    elif isinstance(value, _NOT_DATA) or _is_plain(cls) or _is_primitive(value):
        pass
    elif isinstance(value, BaseException):
        _read_deep(value.args, out, seen)
    else:
        _read_keys(value, out)
        if cls.__dictoffset__:
            _attributes(value, "r", out)
            seen = set() if seen is None else seen
            if id(value) not in seen:
                seen.add(id(value))
                for item in gc.get_referents(value):
                    _read_deep(item, out, seen)


def _items_of(value):
    for cls in (list, tuple, set, frozenset, collections.deque):
        if isinstance(value, cls):
            return list(cls.__iter__(value))
    return []


def _behind_view(view):
    for behind in gc.get_referents(view):
        if isinstance(behind, dict):
            return behind
    return {}


def _behind_proxy(proxy):
    return next(iter(gc.get_referents(proxy)), {})


def _read_proxy(proxy, out):
    """All items of a proxy. Whether one of a class is added is not seen."""
    behind = _behind_proxy(proxy)
    if isinstance(behind, dict) and "__module__" in behind:
        _raddle.unseen("a change of the attributes of a class while all of them are read")
    _consume(behind, out)


def _is_iterator_of_c(value):
    cls = type(value)
    return hasattr(cls, "__next__") and not isinstance(cls.__dict__.get("__next__"), types.FunctionType)


def _advance(iterator, out):
    """One item of an iterator, which changes it, and reads what is behind it."""
    cls = type(iterator)
    if cls in _ITERATORS_OF_LISTS:
        _write_all(iterator, out)
        for behind in gc.get_referents(iterator):
            _read_all(behind, out)
    elif isinstance(iterator, types.GeneratorType):
        _write_all(iterator, out)
    elif _is_plain(cls):
        pass  # its code is observed
    else:
        _write_all(iterator, out)
        for behind in gc.get_referents(iterator):
            _look_behind(behind, out, {id(iterator)})
        if isinstance(iterator, _PASSING):
            _pass_items(iterator, out)


#: Iterators that pass the items of others to a function, test their truth, or iterate over them.
_PASSING = (
    map,
    filter,
    itertools.accumulate,
    itertools.chain,
    itertools.dropwhile,
    itertools.filterfalse,
    itertools.groupby,
    itertools.starmap,
    itertools.takewhile,
)

#: They access nothing of another thread with any arguments.
_HARMLESS = (int, float, complex, bool, type, id, callable, ord, chr)


def _pass_items(iterator, out):
    """What becomes of the items that an iterator may take next."""
    functions, items, seen, todo = [], [], {id(iterator)}, list(gc.get_referents(iterator))
    unknown = False
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, _CONTAINERS) or isinstance(value, _VIEWS):
            behind = _behind_view(value) if isinstance(value, _VIEWS) else value
            if isinstance(behind, tuple) and any(map(_is_iterator_of_c, behind)):
                todo += behind
            elif isinstance(behind, dict):
                items += [*dict.keys(behind), *dict.values(behind)][:_MOST]
            else:
                items += _items_of(behind)[:_MOST]
        elif isinstance(value, types.GeneratorType):
            unknown = True
        elif _is_iterator_of_c(value):
            todo += gc.get_referents(value)
        elif callable(value):
            functions.append(value)
        elif type(value) not in ATOMIC:
            unknown = True
    for function in functions:
        if any(function is harmless for harmless in _HARMLESS) or isinstance(function, (types.FunctionType, types.MethodType)):
            continue
        for item in items:
            _call(function, (item,), {}, out)
        if unknown and not isinstance(function, type):
            _raddle.unseen(f"what {getattr(function, '__name__', 'a function of C')} is called with by an iterator")
    if not functions:
        for item in items:
            _read_length(item, out) if isinstance(iterator, (filter, itertools.filterfalse)) else _consume(item, out)


def _look_behind(value, out, seen):
    """What an iterator of C reads, and the iterators that it advances."""
    if type(value) in ATOMIC or id(value) in seen or isinstance(value, _NOT_DATA):
        return
    seen.add(id(value))
    if isinstance(value, _VIEWS):
        _read_all(_behind_view(value), out)
    elif isinstance(value, memoryview):
        _read_all(_behind_memory(value), out)
    elif isinstance(value, (tuple, frozenset)):
        for item in value:
            if _is_iterator_of_c(item):
                _look_behind(item, out, seen)
    elif isinstance(value, _CONTAINERS):
        _read_all(value, out)
    elif _is_iterator_of_c(value):
        _write_all(value, out)
        if not isinstance(value, types.GeneratorType):
            for behind in gc.get_referents(value):
                _look_behind(behind, out, seen)
        if isinstance(value, _PASSING):
            _pass_items(value, out)


def _consume(value, out):
    """Iterating over a value to its end."""
    cls = type(value)
    if cls in ATOMIC or isinstance(value, (tuple, frozenset)):
        return
    if isinstance(value, _VIEWS):
        _read_all(_behind_view(value), out)
    elif isinstance(value, _CONTAINERS):
        _read_all(value, out)
    elif isinstance(value, types.GeneratorType) or _is_iterator_of_c(value):
        _advance(value, out)
    elif isinstance(value, types.MappingProxyType):
        _read_proxy(value, out)
    elif _is_plain(cls) or isinstance(value, _NOT_DATA):
        pass
    else:
        _reach((value,), "r", out)


def _behind_memory(view):
    try:
        return view.obj
    except ValueError:  # released
        return None


def _reach(values, effect, out):
    """Everything that C code can reach from some values."""
    seen, todo = set(), list(values)
    while todo:
        value = todo.pop()
        cls = type(value)
        if cls in ATOMIC or value is NULL or id(value) in seen or isinstance(value, _NOT_DATA):
            continue
        seen.add(id(value))
        if _is_primitive(value) or isinstance(value, _threads()):
            continue
        if isinstance(value, memoryview):
            todo.append(_behind_memory(value))
            continue
        if len(seen) > _MOST:
            _raddle.unseen(f"C code that reaches more than {_MOST} objects")
            return
        if isinstance(value, types.MethodType):
            todo.append(value.__self__)
            continue
        if _is_plain(cls):
            _attributes(value, effect, out)
            todo += gc.get_referents(value)
            continue
        if isinstance(value, (tuple, frozenset)):
            pass
        elif effect == "r":
            _read_all(value, out)
        else:
            _write_all(value, out)
        if cls.__dictoffset__:
            _attributes(value, effect, out)  # of an object of C
        if not isinstance(value, types.GeneratorType):
            todo += gc.get_referents(value)


def _threads():
    return sys.modules["threading"].Thread


def _unknown_operation(values, out):
    _reach(values, "w", out)


# -- calls ---------------------------------------------------------------------------------------------------------------

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
        return _attribute(receiver, args[0], "r", out)
    if name in ("__setattr__", "__delattr__") and args:
        return _attribute(receiver, args[0], "w" if name == "__setattr__" else "d", out)
    if name in ("__reduce_ex__", "__reduce__", "__getstate__"):
        _attributes(receiver, "r", out) if not isinstance(receiver, type) else None
        return _read_deep(receiver, out)
    if isinstance(receiver, type) and owner is not receiver:
        return None if name in _OF_OBJECT or name.startswith("__") else _arguments_of_class_method(receiver, name, args, out)
    if _is_primitive(receiver):
        if name == "wait_for" and args:
            out.append((receiver, None, "r", None))  # C code calls the predicate
        return None
    if isinstance(receiver, dict):
        return _method_of_dict(name, receiver, args, kwargs, out)
    for cls, reading in _READING.items():
        if isinstance(receiver, cls):
            if name == "__init__" and not args:
                return _write_all(receiver, out)
            if name in _LENGTH:
                _read_keys(receiver, out)
            elif name == "__getitem__" and args:
                _read_item(receiver, args[0], out)
            elif name == "__setitem__" and args:
                _write_item(receiver, args[0], out)
            elif name in ("__class_getitem__", "__hash__", "__new__", "__init_subclass__"):
                pass
            elif name in reading:
                _read_all(receiver, out)
                _several(args, _consume, out)
                _several(args, _read_deep, out)
                if name in ("index", "count", "__contains__", "__eq__", "__ne__"):
                    _read_deep(receiver, out)
            else:
                _write_all(receiver, out)
                if name in ("extend", "extendleft", "update", "intersection_update", "difference_update",
                            "symmetric_difference_update", "__iadd__", "__ior__", "__iand__", "__isub__", "__ixor__",
                            "__init__"):  # fmt: skip
                    _several(args, _consume, out)
                elif name in ("sort", "remove"):
                    _read_deep_items(receiver, out)
            return None
    if isinstance(receiver, (str, bytes)):
        given = (*args, *kwargs.values())
        _several(given, _consume, out)
        _several(given, _read_deep, out)
        if name in ("format", "format_map") and ("." in receiver or "[" in receiver):
            _reach(given, "r", out)  # its fields name attributes and items
        return None
    if isinstance(receiver, (tuple, frozenset)):
        _several(args, _read_deep, out)
        return _read_deep(receiver, out)
    if isinstance(receiver, _VIEWS):
        if name in _LENGTH:
            return _read_keys(_behind_view(receiver), out)
        _read_all(_behind_view(receiver), out)
        return _several(args, _consume, out)
    if isinstance(receiver, types.GeneratorType) or _is_iterator_of_c(receiver):
        if name in ("__iter__", "__length_hint__"):
            return None
        return _advance(receiver, out)
    if isinstance(receiver, io.IOBase) or isinstance(receiver, io.TextIOBase):
        return _method_of_file(name, receiver, out)
    if isinstance(receiver, types.MappingProxyType):
        if name in ("get", "__getitem__", "__contains__") and args:
            return _read_item(receiver, args[0], out)
        return _read_proxy(receiver, out)
    if isinstance(receiver, _WITHOUT_STATE):
        return _several((getattr(receiver, "string", None), *args), _read_deep, out)
    if name in _OF_OBJECT and _is_plain(type(receiver)):
        return None
    if _is_plain(type(receiver)) or isinstance(receiver, BaseException):
        if name in ("__repr__", "__str__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
            return None
        if isinstance(receiver, BaseException):
            return None
    if owner is type or isinstance(receiver, type):
        return None
    if isinstance(receiver, types.FunctionType):
        return None
    if isinstance(receiver, functools._lru_cache_wrapper):
        return _write_all(receiver, out)
    _reach((receiver, *args, *kwargs.values()), "w", out)


def _arguments_of_class_method(cls, name, args, out):
    if name in ("from_bytes", "fromhex", "join"):
        _several(args, _read_deep, out)
    if issubclass(cls, dict) and name == "fromkeys":
        _several(args, _consume, out)
    elif cls.__module__ not in ("builtins", "datetime"):
        _several(args, _consume, out)


def _read_deep_items(container, out):
    for item in _items_of(container)[:_MOST]:
        if type(item) not in ATOMIC:
            _read_deep(item, out)


def _method_of_dict(name, receiver, args, kwargs, out):
    if name in _LENGTH or name in ("__class_getitem__", "__hash__"):
        if name not in ("keys", "values", "items"):
            _read_keys(receiver, out)
    elif name in ("get", "__getitem__", "__contains__") and args:
        if name == "__getitem__":
            _read_item(receiver, args[0], out)
        elif _has_simple_key(receiver, args[0]):
            out.append((receiver, args[0], "r", None)) if name == "get" else None
            _read_keys(receiver, out)
        else:
            _read_all(receiver, out)
    elif name == "__setitem__" and args:
        _write_item(receiver, args[0], out)
    elif name == "setdefault" and args and _has_simple_key(receiver, args[0]):
        if dict.__contains__(receiver, args[0]):
            out.append((receiver, args[0], "r", None))
            _read_keys(receiver, out)
        else:
            _write_all(receiver, out)
    elif name in _READING[dict]:
        _read_all(receiver, out)
        _several(args, _consume, out)
        if name in ("__eq__", "__ne__", "__repr__"):
            _read_deep(receiver, out)
            _several(args, _read_deep, out)
    elif name in ("__new__", "__init_subclass__"):
        pass
    else:
        _write_all(receiver, out)
        if name in ("update", "__ior__", "__init__"):
            _several(args, _consume, out)


_STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__", "stdin", "__stdin__")


def _method_of_file(name, receiver, out):
    if any(receiver is getattr(sys, stream, None) for stream in _STREAMS) and not isinstance(receiver, io.StringIO):
        return  # what is printed in which order is no part of the outcome
    _write_all(receiver, out)
    if not isinstance(receiver, (io.StringIO, io.BytesIO)):
        _world("the file system", "w", out)


def _several(values, effect, out):
    for value in values:
        effect(value, out)


#: Objects of these types of C never change.
_WITHOUT_STATE = (
    int,
    float,
    complex,
    slice,
    range,
    type(None),
    types.MappingProxyType,
    type(__import__("re").compile("")),
    type(__import__("re").match("", "")),
    __import__("datetime").date,
    __import__("datetime").time,
    __import__("datetime").timedelta,
    __import__("datetime").tzinfo,
    __import__("decimal").Decimal,
    operator.itemgetter,
    weakref.ref,
    property,
    staticmethod,
    classmethod,
)

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
        _several(args[:1], _read_length, out)
        if name == "iter" and len(args) == 2:
            _call(args[0], (), {}, out)
    elif name in _DEEP:
        _several(args, _read_deep, out)
        if name == "print" and not kwargs.get("file"):
            _attribute(sys, "stdout", "r", out)
        if name == "print" and isinstance(kwargs.get("file", sys.stdout), io.IOBase):
            _method_of_file("write", kwargs.get("file") or sys.stdout, out)
    elif name in _CONSUMING:
        _several(args, _consume, out)
        _several(args, _read_deep, out)
        key = kwargs.get("key")
        if key is not None:
            out.append((key, None, "r", None))  # C code calls it
            _callback(key, args, out)
    elif name in ("next", "anext") and args:
        _advance(args[0], out)
    elif name in ("getattr", "hasattr") and len(args) > 1:
        _attribute(args[0], args[1], "r", out)
    elif name in ("setattr", "delattr") and len(args) > 1:
        _attribute(args[0], args[1], "w" if name == "setattr" else "d", out)
    elif name == "vars" and args:
        if not isinstance(args[0], (type, types.ModuleType)):
            _raddle.own(args[0])
    elif name == "dir" and args:
        _attributes(args[0], "r", out)
    elif name == "open":
        _world("the file system", "w", out)
    elif name in ("vars", "dir"):
        pass
    else:
        _reach((*args, *kwargs.values()), "w", out)


def _read_length(value, out):
    if isinstance(value, _VIEWS):
        _read_keys(_behind_view(value), out)
    elif isinstance(value, _CONTAINERS):
        if not isinstance(value, (tuple, frozenset)):
            _read_keys(value, out)
    elif type(value) in ATOMIC or _is_plain(type(value)) or _is_iterator_of_c(value) or _is_primitive(value):
        pass
    elif isinstance(value, (types.GeneratorType, *_NOT_DATA)):
        pass
    else:
        _read_keys(value, out)


def _callback(function, args, out):
    """C code calls a function with items of its arguments: one of C may do what it does to them."""
    if not isinstance(function, (types.FunctionType, type, types.MethodType)):
        items = [item for arg in args if isinstance(arg, _CONTAINERS) for item in list(arg)[:_MOST]]
        for item in items or [None]:
            _call(function, (item,), {}, out)


#: Modules of C whose functions access nothing but what their arguments are.
_PURE = frozenset(
    """
    math cmath _struct binascii zlib unicodedata _datetime time _statistics _bisect_ _sre _string _locale _abc errno
    _contextvars _typing _opcode _symtable _tokenize _hashlib _md5 _sha1 _sha2 _sha3 _blake2 _uuid _tracemalloc atexit
    faulthandler _signal_ gc sys marshal _codecs _ast _imp _warnings raddle raddle._raddle _weakref posix nt _posixsubprocess_
    _stat itertools _thread
    """.split()
)

#: Modules of C that the explorer cannot follow: their functions wait for, or start, something outside of it.
_OUTSIDE = frozenset(
    """
    _socket select _ctypes _multiprocessing _posixsubprocess _posixshmem signal _asyncio _ssl mmap fcntl termios _sqlite3
    _interpreters _xxsubinterpreters _queue
    """.split()
)


def _function(callable, args, kwargs, out):
    """A function of C in a module."""
    module = getattr(callable, "__module__", None) or "?"
    name = getattr(callable, "__name__", "?")
    if module == "builtins":
        return _builtin(name, args, kwargs, out)
    if module in ("_io", "io"):
        return _world("the file system", "w", out)
    if module in ("_operator", "operator"):
        return _of_operator(name, args, out)
    if module in ("_functools", "functools"):
        if name == "reduce" and len(args) > 1:
            _consume(args[1], out)
            _callback(args[0], args[1:2], out)
        return None
    if module == "_heapq":
        _several(args[:1], _write_all, out)
        return _several(args, _read_deep, out)
    if module == "_bisect":
        _several(args, _read_deep, out)
        return _several(args[:1], _write_all, out) if name.startswith("insort") else None
    if module == "_collections":
        _several(args[:1], _write_all, out)
        return _several(args[1:], _consume, out)
    if module in ("_json", "_pickle", "_csv"):
        return _reach((*args, *kwargs.values()), "w", out)
    if module == "sys" and name == "exit":
        return None
    if module in ("posix", "nt"):
        if name not in ("getpid", "fspath", "urandom", "cpu_count", "getppid", "register_at_fork"):
            _world("the file system", "r" if name == "getcwd" else "w", out)
        if name in ("fork", "forkpty", "waitpid", "read", "system"):
            _raddle.unseen(f"a call of os.{name}")
        return None
    if module in _PURE:
        if name.startswith("set"):
            _world(f"the module {module}", "w", out)
        elif name.startswith("get"):
            _world(f"the module {module}", "r", out)
        given = (*args, *kwargs.values())
        if "into" in name:
            return _reach(given, "w", out)
        _several(given, _read_deep, out)
        return _several(given, _consume, out) if module == "math" else None
    if module in _OUTSIDE:
        _raddle.unseen(f"a call of {module}.{name}")
    elif module.partition(".")[0] not in sys.stdlib_module_names:
        _raddle.unseen(f"a call of {module}.{name}, which is not Python code")
    _world(f"the module {module}", "w", out)
    _reach((*args, *kwargs.values()), "w", out)


def _of_operator(name, args, out):
    if name in ("setitem", "delitem") and len(args) > 1:
        return _write_item(args[0], args[1], out) if name == "setitem" else _delete_item(args[0], args[1], out)
    if name == "getitem" and len(args) > 1:
        return _read_item(args[0], args[1], out)
    if name.startswith("i") and name not in ("index", "indexOf", "invert", "inv", "is_", "is_not"):
        return _in_place(args, out)
    _several(args, _read_deep, out)
    _several(args, _consume, out) if name in ("contains", "countOf", "indexOf") else None


def _in_place(args, out):
    if args and isinstance(args[0], _CONTAINERS) and not isinstance(args[0], (tuple, frozenset)):
        _write_all(args[0], out)
        _several(args[1:], _consume, out)
    else:
        _several(args, _read_deep_operand, out)


#: Types of C whose construction iterates over its arguments.
_COPYING = (list, tuple, set, frozenset, dict, bytearray, bytes, collections.deque)
_CREATING = ("itertools", "builtins", "functools", "_functools", "weakref", "types", "operator", "_operator", "datetime",
             "decimal", "_struct", "_io", "raddle", "raddle._raddle", "collections", "_random", "random", "_weakref",
             "enum", "typing", "_thread", "_contextvars", "re")  # fmt: skip


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
        return _several(args, _read_deep, out)
    if cls is bool:
        return _several(args, _read_length, out)
    if issubclass(cls, _COPYING):
        if not isinstance(init, types.FunctionType) or not args:
            _several(args, _consume, out)
        if cls in (tuple, frozenset, set, list):
            return
        return
    if cls.__module__ in _CREATING:
        # They store their arguments, and create iterators of them.
        return _several(args, _read_length, out)
    if isinstance(init, types.FunctionType) or isinstance(new, types.FunctionType):
        return  # a class of Python over one of C
    _function(cls, args, kwargs, out)


def _call(callable, args, kwargs, out):
    """Calling an object: what C code accesses in it."""
    if isinstance(callable, types.FunctionType):
        return
    if isinstance(callable, types.MethodType):
        return _call(callable.__func__, (callable.__self__, *args), kwargs, out)
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
    if isinstance(callable, _C_METHODS):
        if args:
            return _method(callable.__objclass__, callable.__name__, args[0], args[1:], kwargs, out)
        return
    if isinstance(callable, functools.partial):
        return _call(callable.func, (*callable.args, *args), {**callable.keywords, **kwargs}, out)
    if isinstance(callable, functools._lru_cache_wrapper):
        return _write_all(callable, out)
    if isinstance(callable, operator.attrgetter):
        for names in callable.__reduce__()[1]:
            for name in names.split("."):
                _attribute(args[0], name, "r", out) if args else None
        return
    if isinstance(callable, operator.itemgetter):
        for key in callable.__reduce__()[1]:
            _read_item(args[0], key, out) if args else None
        return
    if isinstance(callable, operator.methodcaller):
        name, *rest = callable.__reduce__()[1] if not isinstance(callable.__reduce__()[0], functools.partial) else [None]
        if name is not None and args:
            method = getattr(args[0], name, None)
            return _call(method, tuple(rest), {}, out)
        return _reach((*args,), "w", out)
    if isinstance(callable, weakref.ref):
        return _dereference(callable)
    if isinstance(callable, (types.MethodType, staticmethod, classmethod)):
        return _call(callable.__func__, args, kwargs, out)
    found = getattr(type(callable), "__call__", None)
    if isinstance(found, types.FunctionType):
        return
    if _is_primitive(callable):
        return
    _reach((callable, *args, *kwargs.values()), "w", out)


# -- instructions --------------------------------------------------------------------------------------------------------



def _dereference(reference):
    if not isinstance(reference(), type):
        _raddle.unseen("when the object of a weak reference ceases to exist")


replacements = {}  # what to call instead of a callable, by its address


def _replaced(operands, out, replaced):
    """Finds the callable among the first two operands, and replaces it if `check` has a stand-in."""
    place = 1 if operands[0] is NULL else 0
    callable = operands[place]
    stand_in = replacements.get(id(callable))
    if stand_in is None and isinstance(callable, types.BuiltinFunctionType):
        stand_in = _stand_in_of_method(callable)
    if stand_in is not None:
        replaced.append((place, stand_in))
        return stand_in, place
    return callable, place


shadow = None  # returns the stand-in of a lock, which `check` sets


def _stand_in_of_method(method):
    receiver = method.__self__
    if shadow is not None and type(receiver) in shadowed:
        return getattr(shadow(receiver), method.__name__)
    return None


shadowed = frozenset()


def _on_call(argument, operands, out, replaced):
    callable, place = _replaced(operands, out, replaced)
    args = operands[place + 1 :]
    if place == 0 and args and args[0] is NULL:
        args = args[1:]
    names = argument if isinstance(argument, tuple) else ()  # of keyword arguments, in 3.12
    split = len(args) - len(names)
    _call_observed(callable, args[:split], dict(zip(names, args[split:])), out)


def _on_call_kw(argument, operands, out, replaced):
    callable, place = _replaced(operands, out, replaced)
    args = operands[place + 1 : -1]
    if place == 0 and args and args[0] is NULL:
        args = args[1:]
    names = operands[-1]
    split = len(args) - len(names)
    _call_observed(callable, args[:split], dict(zip(names, args[split:])), out)


def _on_call_ex(argument, operands, out, replaced):
    callable, place = _replaced(operands, out, replaced)
    rest = [value for value in operands[place + 1 :] if value is not NULL]
    args = rest[0] if rest else ()
    kwargs = rest[1] if len(rest) > 1 else {}
    if not isinstance(args, tuple):
        _consume(args, out)
        args = tuple(args) if isinstance(args, _CONTAINERS) else ()
    if not isinstance(kwargs, dict):
        kwargs = {}
    _call_observed(callable, args, kwargs, out)


def _call_observed(callable, args, kwargs, out):
    _call(callable, tuple(args), kwargs, out)


def _on_with(argument, operands, out, replaced):
    manager = operands[0]
    if type(manager) in shadowed:
        replaced.append((0, shadow(manager)))
        return
    method = getattr(type(manager), "__enter__", None)
    if method is not None and not isinstance(method, types.FunctionType):
        _call(method, (manager,), {}, out)


def _on_exception_in_with(argument, operands, out, replaced):
    _call(operands[0], (None, operands[-1], None), {}, out)


def _read_deep_operand(value, out):
    cls = type(value)
    if cls in ATOMIC:
        return
    if isinstance(value, _CONTAINERS) or isinstance(value, _VIEWS):
        _read_deep(value, out)
    elif _is_plain(cls) or isinstance(value, (*_NOT_DATA, *_WITHOUT_STATE, types.MethodType)) or _is_primitive(value):
        pass
    else:
        _reach((value,), "w", out)


def _on_operands(argument, operands, out, replaced):
    _several(operands, _read_deep_operand, out)


def _on_binary(argument, operands, out, replaced):
    if argument >= 13:
        _in_place(operands, out)
    else:
        _on_operands(argument, operands, out, replaced)


def _on_contains(argument, operands, out, replaced):
    item, container = operands
    if isinstance(container, dict) and _has_simple_key(container, item):
        _read_keys(container, out)
    elif isinstance(container, (set, dict)):
        _read_all(container, out)
    elif _is_plain(type(container)):
        if not hasattr(type(container), "__contains__"):
            _consume(container, out)
    elif isinstance(container, types.MappingProxyType):
        _read_item(container, item, out)
    elif type(container) not in ATOMIC:
        _consume(container, out)
        _read_deep(container, out)
        _read_deep(item, out)


def _on_item(argument, operands, out, replaced):
    container, key = operands
    if not isinstance(container, type):
        _read_item(container, key, out)


def _on_store_item(argument, operands, out, replaced):
    _value, container, key = operands
    _write_item(container, key, out)
    if isinstance(key, slice) and not isinstance(_value, _CONTAINERS):
        _consume(_value, out)


def _on_delete_item(argument, operands, out, replaced):
    _delete_item(operands[0], operands[1], out)


def _on_slice(argument, operands, out, replaced):
    container = operands[0]
    if isinstance(container, (list, collections.deque, bytearray)):
        _read_all(container, out)
    elif type(container) in ATOMIC or isinstance(container, tuple) or _is_plain(type(container)):
        pass
    else:
        _unknown_operation((container,), out)


def _on_store_slice(argument, operands, out, replaced):
    value, container = operands[:2]
    if isinstance(container, (list, bytearray)):
        _write_all(container, out)
        _consume(value, out)
    elif not _is_plain(type(container)):
        _unknown_operation((container, value), out)


def _on_truth(argument, operands, out, replaced):
    _read_length(operands[0], out)


def _on_length(argument, operands, out, replaced):
    _read_length(operands[0], out)


def _on_consume(argument, operands, out, replaced):
    _consume(operands[0], out)


def _on_next(argument, operands, out, replaced):
    _advance(operands[0], out)


def _on_send(argument, operands, out, replaced):
    receiver = operands[0]
    if not isinstance(receiver, types.CoroutineType):
        _advance(receiver, out)


def _on_format(argument, operands, out, replaced):
    _several(operands, _read_deep, out)


def _on_match_class(argument, operands, out, replaced):
    subject, cls, names = operands
    names = tuple(names) + tuple(getattr(cls, "__match_args__", ()))
    for name in names:
        _attribute(subject, name, "r", out)


def _on_match_keys(argument, operands, out, replaced):
    subject, _keys = operands
    _consume(subject, out)


def _on_async(argument, operands, out, replaced):
    _raddle.unseen("an asynchronous function: only threads are explored")


def _on_return(argument, operands, out, replaced):
    """C code receives the value, and may read it: it tests the truth of what a predicate returns, and compares keys."""
    _read_deep(operands[0], out)
    _consume(operands[0], out)


def _on_intrinsic(argument, operands, out, replaced):
    if argument == 5:  # unary plus
        _on_operands(argument, operands, out, replaced)


def _on_identity(argument, operands, out, replaced):
    _raddle.unseen("the assignment of an attribute such as __class__, which changes what other accesses mean")


_HANDLERS = {
    "STORE_IDENTITY": _on_identity,
    "BEFORE_ASYNC_WITH": _on_async,
    "BEFORE_WITH": _on_with,
    "BINARY_OP": _on_binary,
    "BINARY_SLICE": _on_slice,
    "BINARY_SUBSCR": _on_item,
    "CALL": _on_call,
    "CALL_FUNCTION_EX": _on_call_ex,
    "CALL_INTRINSIC_1": _on_intrinsic,
    "CALL_KW": _on_call_kw,
    "COMPARE_OP": _on_operands,
    "CONTAINS_OP": _on_contains,
    "CONVERT_VALUE": _on_format,
    "DELETE_SUBSCR": _on_delete_item,
    "DICT_MERGE": _on_consume,
    "DICT_UPDATE": _on_consume,
    "FORMAT_SIMPLE": _on_format,
    "FORMAT_VALUE": _on_format,
    "FORMAT_WITH_SPEC": _on_format,
    "FOR_ITER": _on_next,
    "GET_AITER": _on_async,
    "GET_ANEXT": _on_async,
    "GET_AWAITABLE": _on_async,
    "GET_ITER": _on_length,
    "GET_LEN": _on_length,
    "GET_YIELD_FROM_ITER": _on_length,
    "LIST_EXTEND": _on_consume,
    "MATCH_CLASS": _on_match_class,
    "MATCH_KEYS": _on_match_keys,
    "POP_JUMP_IF_FALSE": _on_truth,
    "POP_JUMP_IF_TRUE": _on_truth,
    "RETURN_VALUE": _on_return,
    "SEND": _on_send,
    "SET_UPDATE": _on_consume,
    "STORE_SLICE": _on_store_slice,
    "STORE_SUBSCR": _on_store_item,
    "TO_BOOL": _on_truth,
    "UNARY_INVERT": _on_operands,
    "UNARY_NEGATIVE": _on_operands,
    "UNARY_NOT": _on_truth,
    "UNPACK_EX": _on_consume,
    "UNPACK_SEQUENCE": _on_consume,
    "WITH_EXCEPT_START": _on_exception_in_with,
    "YIELD_VALUE": _on_return,
}


def classify(operation, argument, operands):
    """Return what an instruction accesses, and which operands to replace first, or None if nothing."""
    out, replaced = [], []
    operands = [_behind_memory(value) if type(value) is memoryview else value for value in operands]
    _HANDLERS[operation](argument, operands, out, replaced)
    if not out and not replaced:
        return None
    return out, replaced
