"""Sets whose order depends on addresses, which differ from execution to execution.

The hash of an object is derived from its address unless its class has one of its own. Threads, and the objects of the toolkit, have
numbers instead while a check runs. With other objects, the order of a set is neither repeated nor explored, so a program that
iterates over it cannot be exhausted.
"""

import itertools
import types
import weakref

from raddle import _raddle

_MOST = 100  # items that are looked at


def depends_on_addresses(value):
    """Return whether the hash of an object depends on an address that may be another one in the next execution."""
    cls = type(value)
    if cls in (tuple, frozenset):
        return any(depends_on_addresses(item) for item in itertools.islice(value, _MOST))
    if cls is types.MethodType:
        return depends_on_addresses(value.__self__)
    if isinstance(value, types.FunctionType):
        return "<locals>" in value.__qualname__  # others are created once
    if isinstance(value, weakref.ref):
        referent = value()
        return referent is not None and depends_on_addresses(referent)
    return cls.__hash__ is object.__hash__ and not isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType))


def iterates(container):
    """An instruction iterates over an object, and the order of the items decides what it does."""
    if not isinstance(container, (set, frozenset)) or len(container) < 2:
        return
    for item in itertools.islice(container, _MOST):
        if depends_on_addresses(item):
            _raddle.unseen(
                f"the order of a set of objects of the class {type(item).__qualname__}, which depends on their addresses: "
                "use the keys of a dict instead, or give the class a __hash__"
            )
            return


def orders(key):
    """Items are ordered by what a function returns for them."""
    if key is id:
        _raddle.unseen("the order of objects by id(), which depends on their addresses: give them numbers of their own")
