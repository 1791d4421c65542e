"""The accesses that operations of C make, by the types of their operands."""

import collections
import dis
import functools
import gc
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
C_METHODS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)
VIEWS = (type({}.keys()), type({}.values()), type({}.items()))
_ITERATORS_OF_LISTS = (type(iter([])), type(reversed([])))
CONTAINERS = (list, dict, set, frozenset, tuple, collections.deque, bytearray)

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


#: Objects of these types of C never change.
WITHOUT_STATE = (
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


# -- types ---------------------------------------------------------------------------------------------------------------


def _has_only_attributes(cls):
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


def is_plain(cls):
    """Return whether the instances of a class have no state but attributes: no class of C adds one."""
    known = _plain.get(cls)
    if known is None:
        known = _plain[cls] = _has_only_attributes(cls)
    return known


def is_primitive(value):
    """Whether the object is one of the toolkit's, whose operations are steps of their own."""
    for cls in type(value).__mro__:
        if cls.__module__.partition(".")[0] == "raddle":
            return True
    return False


# -- effects -------------------------------------------------------------------------------------------------------------


def read_keys(value, out):
    out.append((value, None, "r", None))


def read_all(value, out):
    out.append((value, None, "r", None))
    out.append((value, ..., "r", None))


def write_all(value, out):
    out.append((value, None, "w", None))


_worlds = {}  # one object for each thing outside of Python, by its name


def world(name, effect, out):
    """Something that is no object of Python, such as the state of a module of C."""
    out.append((_worlds.setdefault(name, name), None, effect, name))


#: Attributes that decide what others mean.
IDENTITY = frozenset({"__annotate__", "__bases__", "__class__", "__code__", "__defaults__", "__dict__", "__kwdefaults__"})

#: Attributes that C code computes and keeps when they are read first. `__annotations__` is one since 3.14.
COMPUTED = frozenset({"__annotations__", "__bound__", "__constraints__", "__default__", "__value__"})


#: Attributes with such names that no operation looks up by itself.
_ORDINARY = frozenset(
    """
    __doc__ __module__ __name__ __qualname__ __annotations__ __wrapped__ __slots__ __match_args__ __all__ __file__ __path__
    __notes__ __cause__ __context__ __traceback__ __suppress_context__ __type_params__ __abstractmethods__ __isabstractmethod__
    __slotnames__ __firstlineno__ __static_attributes__ __orig_bases__ __orig_class__ __parameters__ __dataclass_fields__
    __dataclass_params__
    """.split()
)


def is_special(name):
    """Whether operations look an attribute of a class up by themselves, as `len` does `__len__`."""
    return name.startswith("__") and name.endswith("__") and name not in _ORDINARY


def attribute(value, name, effect, out):
    if effect != "r" and isinstance(value, type) and isinstance(name, str) and is_special(name):
        _raddle.unseen(f"the assignment of {name} of a class, which operations look up by themselves", True)
    if effect != "r" and name in IDENTITY:
        _raddle.unseen(f"the assignment of {name}, which changes what other accesses mean", True)
    if effect == "r" and name in COMPUTED:
        effect = "w"
    if isinstance(name, str):
        # One object for each name: it stands for the attribute of all classes.
        out.append((value, sys.intern(str.__str__(name)), effect, "@attribute"))


def attributes(value, effect, out):
    """All attributes of an object: its dictionary as a whole."""
    if isinstance(value, types.ModuleType):
        value = value.__dict__
        read_all(value, out) if effect == "r" else write_all(value, out)
    elif isinstance(value, type):
        out.append((value, None, effect, "@attributes"))
    else:
        out.append((value, None, effect, "@attributes"))


def has_simple_key(container, key):
    """Whether a key differs from others by its hash, so that other items are not concerned."""
    return type(key) is str or type(key) is int


def _index(sequence, key):
    return key + len(sequence) if key < 0 else key


def read_item(container, key, out):
    if isinstance(container, memoryview):
        container = behind_memory(container)
    if isinstance(container, dict):
        if has_simple_key(container, key):
            out.append((container, key, "r", None))
            read_keys(container, out)
            if dict.__contains__(container, key):
                return
            _create_default(container, out)
        else:
            read_all(container, out)
            _create_default(container, out)
    elif isinstance(container, list) and type(key) is int:
        out.append((container, _index(container, key), "r", None))
        read_keys(container, out)
    elif isinstance(container, (list, collections.deque, bytearray)):
        read_all(container, out)
    elif isinstance(container, types.MappingProxyType):
        if type(key) is str:  # of a class
            key = sys.intern(key)
            out.append((key, key, "r", f"class attribute {key}"))
        read_item(_behind_proxy(container), key, out)
    elif isinstance(container, (tuple, str, bytes)) or is_plain(type(container)):
        pass
    else:
        unknown_operation((container, key), out)


def _create_default(container, out):
    if isinstance(container, collections.defaultdict):
        write_all(container, out)
        if container.default_factory is not None:
            _calls.call(container.default_factory, (), {}, out)


def write_item(container, key, out):
    if isinstance(container, memoryview):
        container = behind_memory(container)
    if isinstance(container, dict):
        exists = has_simple_key(container, key) and dict.__contains__(container, key)
        if exists:
            out.append((container, key, "w", None))
            read_keys(container, out)
            out.append((container, ..., "c", None))
        else:
            if has_simple_key(container, key):
                out.append((container, key, "w", None))
            write_all(container, out)
    elif isinstance(container, list) and type(key) is int:
        out.append((container, _index(container, key), "w", None))
        read_keys(container, out)
        out.append((container, ..., "c", None))
    elif isinstance(container, (list, collections.deque, bytearray)):
        write_all(container, out)
    elif is_plain(type(container)):
        pass
    else:
        unknown_operation((container, key), out)


def delete_item(container, key, out):
    if isinstance(container, (dict, list, collections.deque, bytearray)):
        if isinstance(container, dict) and has_simple_key(container, key):
            out.append((container, key, "w", None))
        write_all(container, out)
    elif not is_plain(type(container)):
        unknown_operation((container, key), out)


MOST = 2000  # objects that are looked at from one operand


def read_deep(value, out, seen=None):
    """The value, and the containers in it, as `repr` and comparisons read them."""
    if isinstance(value, memoryview):
        value = behind_memory(value)
    cls = type(value)
    if cls in ATOMIC:
        return
    if isinstance(value, CONTAINERS):
        seen = set() if seen is None else seen
        if id(value) in seen:
            return
        seen.add(id(value))
        if not isinstance(value, (tuple, frozenset)):
            read_all(value, out)
        if isinstance(value, bytearray):
            return
        if len(seen) > MOST or len(value) > MOST:
            _raddle.unseen(f"an operation on more than {MOST} containers or items at once")
            return
        items = list(dict.values(value)) + list(dict.keys(value)) if isinstance(value, dict) else items_of(value)
        for item in items:
            if type(item) not in ATOMIC:
                read_deep(item, out, seen)
    elif isinstance(value, VIEWS):
        read_deep(behind_view(value), out, seen)
    elif isinstance(value, types.MappingProxyType):
        read_proxy(value, out)
        read_deep(_behind_proxy(value), out, seen)
    elif isinstance(value, types.MethodType):
        pass
    elif isinstance(value, _NOT_DATA) or is_plain(cls) or is_primitive(value):
        pass
    elif isinstance(value, BaseException):
        attribute(value, "args", "r", out)
        read_deep(value.args, out, seen)
    else:
        read_keys(value, out)
        if cls.__dictoffset__:
            attributes(value, "r", out)
            seen = set() if seen is None else seen
            if id(value) not in seen:
                seen.add(id(value))
                for item in gc.get_referents(value):
                    read_deep(item, out, seen)


def items_of(value):
    for cls in (list, tuple, set, frozenset, collections.deque):
        if isinstance(value, cls):
            return list(cls.__iter__(value))
    return []


def behind_view(view):
    for behind in gc.get_referents(view):
        if isinstance(behind, dict):
            return behind
    return {}


def _behind_proxy(proxy):
    return next(iter(gc.get_referents(proxy)), {})


def read_proxy(proxy, out):
    """All items of a proxy, which may be the attributes of a class."""
    behind = _behind_proxy(proxy)
    if isinstance(behind, dict) and "__module__" in behind:
        out.append((type, ..., "r", "class attributes"))
    consume(behind, out)


def is_iterator_of_c(value):
    cls = type(value)
    return hasattr(cls, "__next__") and not isinstance(cls.__dict__.get("__next__"), types.FunctionType)


GENERATORS = (types.GeneratorType, types.CoroutineType)


class _Generator:
    """Stands for a generator. What is accessed is kept to the end of the execution, but a generator that ends early is closed
    when the program forgets it."""

    def __init__(self):
        self.thread, self.generator = _raddle.ident(), None


_Generator.__name__ = "generator"
generators = {}  # the weak references to generators, and what stands for them, by their addresses


def _change_generator(generator, out):
    known = generators.get(id(generator))
    if known is None:
        address = id(generator)
        known = generators[address] = (weakref.ref(generator, lambda _: generators.pop(address, None)), _Generator())
    stands_for_it = known[1]
    if stands_for_it.thread != _raddle.ident():
        stands_for_it.generator = generator
        if _has_blocks(generator.gi_code if isinstance(generator, types.GeneratorType) else generator.cr_code):
            _raddle.unseen("when a generator that several threads use is closed")
    write_all(stands_for_it, out)


@functools.cache
def _has_blocks(code):
    """Whether a generator does something when it is closed. The first block of each raises RuntimeError for StopIteration."""
    return len({entry.target for entry in dis._parse_exception_table(code)}) > 1


def advance(iterator, out, is_private=False):
    """One item of an iterator, which changes it, and reads what is behind it. A private one is known to the calling frame only."""
    cls = type(iterator)
    if cls in _ITERATORS_OF_LISTS:
        if not is_private:
            write_all(iterator, out)
        for behind in gc.get_referents(iterator):
            read_all(behind, out)
    elif isinstance(iterator, GENERATORS):
        if not is_private:
            _change_generator(iterator, out)
    elif is_plain(cls):
        pass  # its code is observed
    else:
        if not is_private:
            write_all(iterator, out)
        for behind in gc.get_referents(iterator):
            _look_behind(behind, out, {id(iterator)})
        if isinstance(iterator, _PASSING):
            _pass_items(iterator, out)
        elif isinstance(iterator, _CALLING):
            _call_behind(iterator, out)


#: The iterators that `iter(function, sentinel)` creates.
_CALLING = type(iter(int, 0))


def _call_behind(iterator, out):
    for behind in gc.get_referents(iterator):
        if isinstance(behind, (types.BuiltinFunctionType, types.MethodWrapperType, functools.partial)):
            _calls.call(behind, (), {}, out)


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

#: What several iterators take from, such as the two of `itertools.tee`.
_BUFFERS = tuple(type(part) for part in gc.get_referents(itertools.tee([1])[0]) if not isinstance(part, type))

#: They access nothing of another thread with any arguments.
_HARMLESS = (int, float, complex, bool, type, id, callable, ord, chr, hash, abs, round)


def _pass_items(iterator, out):
    """What becomes of the items that an iterator may take next."""
    functions, items, seen, todo = [], [], {id(iterator)}, list(gc.get_referents(iterator))
    unknown = False
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, CONTAINERS) or isinstance(value, VIEWS):
            behind = behind_view(value) if isinstance(value, VIEWS) else value
            if isinstance(behind, tuple) and any(map(is_iterator_of_c, behind)):
                todo += behind
            elif isinstance(behind, dict):
                items += [*dict.keys(behind), *dict.values(behind)][:MOST]
            else:
                items += items_of(behind)[:MOST]
        elif isinstance(value, types.GeneratorType):
            unknown = True
        elif is_iterator_of_c(value):
            todo += gc.get_referents(value)
        elif callable(value):
            functions.append(value)
        elif hasattr(type(value), "__next__"):
            unknown = True
        elif type(value) not in ATOMIC:
            items.append(value)
    for function in functions:
        if any(function is harmless for harmless in _HARMLESS) or isinstance(function, (types.FunctionType, types.MethodType)):
            continue
        for item in items or [None]:  # those of a range or a string are not listed
            _calls.call(function, (item,), {}, out)
        if unknown and not isinstance(function, type):
            _raddle.unseen(f"what {getattr(function, '__name__', 'a function of C')} is called with by an iterator")
    if not functions:
        for item in items:
            read_length(item, out) if isinstance(iterator, (filter, itertools.filterfalse)) else consume(item, out)


def _look_behind(value, out, seen):
    """What an iterator of C reads, and the iterators that it advances."""
    if type(value) in ATOMIC or id(value) in seen or isinstance(value, _NOT_DATA):
        return
    seen.add(id(value))
    if isinstance(value, VIEWS):
        read_all(behind_view(value), out)
    elif isinstance(value, memoryview):
        read_all(behind_memory(value), out)
    elif isinstance(value, (tuple, frozenset)):
        for item in value:
            if is_iterator_of_c(item):
                _look_behind(item, out, seen)
    elif isinstance(value, CONTAINERS):
        read_all(value, out)
    elif isinstance(value, GENERATORS):
        _change_generator(value, out)
    elif is_iterator_of_c(value):
        write_all(value, out)
        for behind in gc.get_referents(value):
            _look_behind(behind, out, seen)
        if isinstance(value, _PASSING):
            _pass_items(value, out)
        elif isinstance(value, _CALLING):
            _call_behind(value, out)
    elif isinstance(value, _BUFFERS):
        write_all(value, out)
        for behind in gc.get_referents(value):
            _look_behind(behind, out, seen)
    elif not is_plain(type(value)) and not is_primitive(value) and not callable(value):
        read_all(value, out)  # a container of C, such as an array


def consume(value, out):
    """Iterating over a value to its end."""
    cls = type(value)
    if cls in ATOMIC or isinstance(value, (tuple, frozenset)):
        return
    if isinstance(value, VIEWS):
        read_all(behind_view(value), out)
    elif isinstance(value, CONTAINERS):
        read_all(value, out)
    elif isinstance(value, types.GeneratorType) or is_iterator_of_c(value):
        advance(value, out)
    elif isinstance(value, types.MappingProxyType):
        read_proxy(value, out)
    elif is_plain(cls) or isinstance(value, _NOT_DATA):
        pass
    else:
        reach((value,), "r", out)


def behind_memory(view):
    try:
        return view.obj
    except ValueError:  # released
        return None


def reach(values, effect, out):
    """Everything that C code can reach from some values."""
    seen, todo = set(), list(values)
    while todo:
        value = todo.pop()
        cls = type(value)
        if cls in ATOMIC or value is NULL or id(value) in seen:
            continue
        if cls is types.BuiltinFunctionType:
            todo.append(value.__self__)  # C code may call it
        if isinstance(value, _NOT_DATA):
            continue
        seen.add(id(value))
        if is_primitive(value) or isinstance(value, _threads()):
            continue
        if isinstance(value, memoryview):
            todo.append(behind_memory(value))
            continue
        if len(seen) > MOST:
            _raddle.unseen(f"C code that reaches more than {MOST} objects")
            return
        if isinstance(value, types.MethodType):
            todo.append(value.__self__)
            continue
        if is_plain(cls):
            attributes(value, effect, out)
            todo += gc.get_referents(value)
            continue
        if isinstance(value, GENERATORS):
            _change_generator(value, out)
            continue
        if isinstance(value, (tuple, frozenset)):
            pass
        elif effect == "r":
            read_all(value, out)
        else:
            write_all(value, out)
        if cls.__dictoffset__:
            attributes(value, effect, out)  # of an object of C
        todo += gc.get_referents(value)


def _threads():
    return sys.modules["threading"].Thread


def unknown_operation(values, out):
    reach(values, "w", out)


def read_length(value, out):
    if isinstance(value, VIEWS):
        read_keys(behind_view(value), out)
    elif isinstance(value, types.MappingProxyType):
        read_proxy(value, out)
    elif isinstance(value, CONTAINERS):
        if not isinstance(value, (tuple, frozenset)):
            read_keys(value, out)
    elif type(value) in ATOMIC or is_plain(type(value)) or is_iterator_of_c(value) or is_primitive(value):
        pass
    elif isinstance(value, (types.GeneratorType, *_NOT_DATA)):
        pass
    else:
        read_keys(value, out)


def read_deep_operand(value, out):
    cls = type(value)
    if cls in ATOMIC:
        return
    if isinstance(value, CONTAINERS) or isinstance(value, VIEWS) or isinstance(value, types.MappingProxyType):
        read_deep(value, out)
    elif is_plain(cls) or isinstance(value, (*_NOT_DATA, *WITHOUT_STATE, types.MethodType)) or is_primitive(value):
        pass
    else:
        reach((value,), "w", out)


def dereference(reference):
    if not isinstance(reference(), type):
        _raddle.unseen("when the object of a weak reference ceases to exist")


from raddle import _calls  # noqa: E402 - what an iterator takes may be called, and a call may take what an iterator has
