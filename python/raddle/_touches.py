"""What an operation of the interpreter, or a call of C code, accesses, for `raddle.check`.

`classify` receives the operands of an instruction before it is executed. It returns the accesses of C code that the
instruction executes; code of Python that it calls is observed by itself. An access is a tuple: the object, its part, the
effect, and a name for reports or None. The part is None for the keys of a container, or for all of an object of unknown
structure; `...` for the values of a container; otherwise the key of an item. The effect is "r" for a read, "w" for a write,
or "c" for a change that commutes with other such changes.

What is not in a table is taken for the worst: a write of every object that the C code can reach from its arguments.
"""

import collections
import datetime
import functools
import gc
import types

from raddle import _order, _raddle
from raddle._effects import (
    ATOMIC,
    CONTAINERS,
    GENERATORS,
    NULL,
    advance,
    attribute,
    behind_memory,
    consume,
    delete_item,
    has_simple_key,
    is_plain,
    read_all,
    read_deep,
    read_deep_operand,
    read_item,
    read_keys,
    read_length,
    unknown_operation,
    write_all,
    write_item,
)
from raddle._calls import call, in_place, several

replacements = {}  # what to call instead of a callable, by its address


def _replaced(operands, out, replaced):
    """Finds the callable among the first two operands, and replaces it if `check` has a stand-in."""
    place = 1 if operands[0] is NULL else 0
    callable = operands[place]
    stand_in = _stand_in(callable)
    if stand_in is not None:
        replaced.append((place, stand_in))
        return stand_in, place
    return callable, place


def _stand_in(callable):
    """Returns what `check` calls instead of a callable, or None."""
    found = replacements.get(id(callable))
    if found is None and isinstance(callable, types.BuiltinFunctionType):
        found = _stand_in_of_method(callable)
    elif found is None and type(callable) is functools.partial:
        function = _stand_in(callable.func)
        if function is not None:
            found = functools.partial(function, *callable.args, **callable.keywords)
    return found


shadow = None  # returns the stand-in of a lock, which `check` sets


def _stand_in_of_method(method):
    receiver = method.__self__
    if shadow is not None and type(receiver) in shadowed:
        return getattr(shadow(receiver), method.__name__)
    if shadow is not None and isinstance(receiver, type) and issubclass(receiver, datetime.date):
        return dates(receiver, method.__name__)
    return None


dates = None  # returns the stand-in of a method that reads the clock, which `check` sets


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
        _order.iterates(args)
        consume(args, out)
        args = tuple(args) if isinstance(args, CONTAINERS) else ()
    if not isinstance(kwargs, dict):
        kwargs = {}
    _call_observed(callable, args, kwargs, out)


def _call_observed(callable, args, kwargs, out):
    call(callable, tuple(args), kwargs, out)


def _on_with(argument, operands, out, replaced):
    manager = operands[0]
    if type(manager) in shadowed:
        replaced.append((0, shadow(manager)))
        return
    method = getattr(type(manager), "__enter__", None)
    if method is not None and not isinstance(method, types.FunctionType):
        call(method, (manager,), {}, out)


def _on_special(argument, operands, out, replaced):
    """A method of a context manager is loaded, to be called by an instruction of its own."""
    manager = operands[0]
    if type(manager) in shadowed:
        replaced.append((0, shadow(manager)))


def _on_exception_in_with(argument, operands, out, replaced):
    method, *self = operands[: len(operands) - 3]
    self = [value for value in self if value is not NULL]  # since 3.14
    call(method, (*self, None, operands[-1], None), {}, out)


def _on_operands(argument, operands, out, replaced):
    several(operands, read_deep_operand, out)


def _on_binary(argument, operands, out, replaced):
    if argument >= 13:
        in_place(operands, out)
    else:
        _on_operands(argument, operands, out, replaced)


def _on_contains(argument, operands, out, replaced):
    item, container = operands
    if isinstance(container, dict) and has_simple_key(container, item):
        read_keys(container, out)
    elif isinstance(container, (set, dict)):
        read_all(container, out)
    elif is_plain(type(container)):
        if not hasattr(type(container), "__contains__"):
            consume(container, out)
    elif isinstance(container, types.MappingProxyType):
        read_item(container, item, out)
    elif type(container) not in ATOMIC:
        consume(container, out)
        read_deep(container, out)
        read_deep(item, out)


def _on_item(argument, operands, out, replaced):
    container, key = operands
    if not isinstance(container, type):
        read_item(container, key, out)


def _on_store_item(argument, operands, out, replaced):
    _value, container, key = operands
    write_item(container, key, out)
    if isinstance(key, slice) and not isinstance(_value, CONTAINERS):
        consume(_value, out)


def _on_delete_item(argument, operands, out, replaced):
    delete_item(operands[0], operands[1], out)


def _on_slice(argument, operands, out, replaced):
    container = operands[0]
    if isinstance(container, (list, collections.deque, bytearray)):
        read_all(container, out)
    elif type(container) in ATOMIC or isinstance(container, tuple) or is_plain(type(container)):
        pass
    else:
        unknown_operation((container,), out)


def _on_store_slice(argument, operands, out, replaced):
    value, container = operands[:2]
    if isinstance(container, (list, bytearray)):
        write_all(container, out)
        consume(value, out)
    elif not is_plain(type(container)):
        unknown_operation((container, value), out)


def _on_truth(argument, operands, out, replaced):
    read_length(operands[0], out)


def _on_length(argument, operands, out, replaced):
    read_length(operands[0], out)


def _on_iter(argument, operands, out, replaced):
    _order.iterates(operands[0])
    read_length(operands[0], out)


def _on_unpack(argument, operands, out, replaced):
    _order.iterates(operands[0])
    consume(operands[0], out)


def _on_consume(argument, operands, out, replaced):
    consume(operands[0], out)


def _on_next(is_private, operands, out, replaced):
    advance(operands[0], out, is_private)


def _on_send(argument, operands, out, replaced):
    advance(operands[0], out)


def _on_format(argument, operands, out, replaced):
    several(operands, read_deep, out)


def _on_match_class(argument, operands, out, replaced):
    subject, cls, names = operands
    names = tuple(names) + tuple(getattr(cls, "__match_args__", ()))
    for name in names:
        attribute(subject, name, "r", out)


def _on_match_keys(argument, operands, out, replaced):
    subject, _keys = operands
    consume(subject, out)


def _on_async(argument, operands, out, replaced):
    _raddle.unseen("an asynchronous function: only threads are explored")


def _on_await(argument, operands, out, replaced):
    """A coroutine that another one awaits is like a generator. What else is awaited belongs to an event loop."""
    if not isinstance(operands[0], GENERATORS):
        _on_async(argument, operands, out, replaced)


def _on_return(argument, operands, out, replaced):
    """C code receives the value, and may read it: it tests the truth of what a predicate returns, and compares keys."""
    read_deep(operands[0], out)
    consume(operands[0], out)


def _on_intrinsic(argument, operands, out, replaced):
    if argument == 5:  # unary plus
        _on_operands(argument, operands, out, replaced)


def _on_identity(name, operands, out, replaced):
    attribute(operands[0], name, "w", out)


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
    "GET_AWAITABLE": _on_await,
    "GET_ITER": _on_iter,
    "GET_LEN": _on_length,
    "GET_YIELD_FROM_ITER": _on_iter,
    "LIST_EXTEND": _on_unpack,
    "LOAD_SPECIAL": _on_special,
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
    "UNPACK_EX": _on_unpack,
    "UNPACK_SEQUENCE": _on_unpack,
    "WITH_EXCEPT_START": _on_exception_in_with,
    "YIELD_VALUE": _on_return,
}


def classify(operation, argument, operands):
    """Return what an instruction accesses, and which operands to replace first, or None if nothing."""
    out, replaced = [], []
    operands = [behind_memory(value) if type(value) is memoryview else value for value in operands]
    _HANDLERS[operation](argument, operands, out, replaced)
    if not out and not replaced:
        return None
    return out, replaced


# -- rules of the extension ----------------------------------------------------------------------------------------------


def _methods_of_toolkit(classes):
    """The methods of C whose call on an object of the toolkit is a step of its own, and accesses nothing else."""
    for cls in classes:
        for name, method in vars(cls).items():
            is_operation = name == "__exit__" or not name.startswith("__") and name != "wait_for"
            if is_operation and isinstance(method, types.MethodDescriptorType):
                yield method


def rules():
    """Return the types and callables to which the rules of the extension apply, which find what `classify` finds."""
    from raddle import futures, queue, threading

    modules = (_raddle, threading, queue, futures)
    classes = [cls for module in modules for cls in vars(module).values() if isinstance(cls, type)]
    toolkit = [cls for cls in classes if cls.__module__.startswith("raddle") and not issubclass(cls, BaseException)]
    return {
        "lists": [list],
        "dicts": [dict],
        "collections": [set, collections.deque, bytearray],
        "constants": [tuple, frozenset],
        "counters": [type(iter(range(1)))],
        "iterators": [
            enumerate,
            zip,
            *(type(iter(kind)) for kind in ([], (), "", b"", {}, {}.values(), {}.items(), set(), collections.deque())),
            type(reversed([])),
        ],
        "toolkit": toolkit,
        "methods": list(_methods_of_toolkit(toolkit)),
        "quiet": [
            abs, bool, bytearray, callable, chr, collections.deque, complex, dict, divmod, enumerate, float, frozenset, hash, hex,
            id, int, isinstance, issubclass, len, list, max, min, object, oct, ord, pow, range, repr, reversed, round, set, sorted,
            str, sum, tuple, zip,
            *(method for cls in (str, bytes, int, float) for method in vars(cls).values()
              if isinstance(method, types.MethodDescriptorType) and not method.__name__.startswith("__")),
        ],
        "views": [dict.keys, dict.values, dict.items],
        "get": dict.get,
        "changing": [
            list.append, list.clear, list.insert, list.pop, list.reverse, dict.clear, dict.pop, dict.popitem, set.add, set.clear,
            set.discard, collections.deque.append, collections.deque.appendleft, collections.deque.clear,
            collections.deque.pop, collections.deque.popleft, collections.deque.rotate,
        ],
        "length": len,
        "referents": gc.get_referents,
    }  # fmt: skip
