"""The rules of the extension for frequent operations, compared with the table in Python, of which they are an excerpt."""

import collections
import functools
import importlib
import itertools
import random
import sys
import threading
import types

import pytest

import raddle
from oracle import corpus
from programs import explores
from raddle import _effects, _raddle, _replaced, _touches
from raddle import queue as our_queue

pytestmark = explores


class Plain:
    def __init__(self):
        self.attribute = []

    def method(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


class Slots:
    __slots__ = ("one",)


class List(list):
    pass


class Dict(dict):
    pass


class Iterator:
    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


class Metaclass(type):
    def __next__(cls):
        raise StopIteration


class OfMetaclass(metaclass=Metaclass):
    pass


def function():
    pass


def generator():
    yield []


def values():
    """Operands of all kinds, new ones each time."""
    shared, mapping = [1, "two", [3]], {"key": [], 7: "seven", (1, 2): {}}
    exhausted = iter([1])
    next(exhausted)
    next(exhausted, None)
    advanced = iter(mapping.items())
    next(advanced)
    pairs = enumerate([iter(shared), shared])
    next(pairs)
    return [
        0, 1, 7, -1, 2**70, True, None, ..., 1.5, 2j, "", "key", "a", b"b", bytearray(b"c"), range(3), slice(1), [], [1, "a"], [0] * 101, (0,) * 101, shared, [[]], (),
        (1, "a"), (shared, iter(shared)), (Plain(), Iterator()), (generator(),), {}, mapping, globals(), vars(Plain()), set(),
        {1, "a"}, frozenset({1}), collections.deque([1]), collections.OrderedDict(key=1), collections.defaultdict(list),
        collections.Counter("a"), Plain(), Slots(), List([1]), Dict(key=1), Iterator(), OfMetaclass(), iter(shared), exhausted,
        reversed(shared), iter(List([1])), iter(()), iter((shared, iter(shared))), iter("ab"), iter("ä€"), iter(b"ab"),
        iter(range(2)), iter(range(2**70, 2**70 + 2)), iter(mapping), iter(mapping.values()), iter(mapping.items()), advanced,
        iter(vars(Plain())), iter(globals()), iter({1}), iter(collections.deque([1])), enumerate(shared), pairs,
        zip(shared, mapping), zip(iter(shared), generator()), map(str, shared), filter(None, shared), itertools.count(),
        itertools.chain(shared, mapping), generator(), mapping.keys(), mapping.values(), mapping.items(), memoryview(b"a"),
        memoryview(bytearray(b"a")), function, lambda: None, Plain().method, Plain, list, int, Metaclass, OfMetaclass, len, isinstance,
        print, range, Plain.method, list.append, dict.get, set.add, shared.append, "".join, sys, types.SimpleNamespace(),
        functools.partial(len, shared), ValueError("a", shared), _raddle.Lock(), _raddle.Event(), our_queue.Queue(),
        _raddle.Lock().acquire, _raddle.Lock.acquire, _raddle.Condition().wait_for, _raddle.Lock().__exit__, threading.Thread(),
        threading.local(), property(), random.Random(1), object(),
    ]  # fmt: skip


ONE = """
BEFORE_WITH DICT_MERGE FOR_ITER FORMAT_SIMPLE GET_ITER GET_LEN LIST_EXTEND LOAD_SPECIAL RETURN_VALUE TO_BOOL UNARY_NEGATIVE
UNARY_NOT UNPACK_SEQUENCE YIELD_VALUE
""".split()
TWO = ["BINARY_OP", "BINARY_SUBSCR", "COMPARE_OP", "CONTAINS_OP", "DELETE_SUBSCR"]


@pytest.fixture
def compare(monkeypatch):
    """Compares rules and table, and returns whether the rules applied."""
    raddle.outcome_of(lambda: None)
    monkeypatch.setattr(_touches, "shadowed", frozenset(_replaced.SHADOWED))
    monkeypatch.setattr(_raddle, "unseen", lambda what: None)
    applied = set()

    def compare(operation, argument, *operands):
        by_rules, by_table = _raddle.classified(operation, argument, list(operands), _effects.NULL)
        shown = [type(operand).__name__ for operand in operands]
        assert by_rules is None or by_rules == by_table, (operation, argument, shown)
        if by_rules is not None:
            applied.add((operation, *(operand if callable(operand) else type(operand) for operand in operands)))

    compare.applied = applied
    return compare


def test_rules_find_what_the_table_finds_for_one_operand(compare):
    for operation in ONE:
        for value in values():
            compare(operation, False, value)
            compare(operation, True, value)
    for applied in [
        ("FOR_ITER", type(iter(range(1)))),
        ("FOR_ITER", type(iter([]))),
        ("FOR_ITER", type(iter(()))),
        ("FOR_ITER", type(iter({}.items()))),
        ("TO_BOOL", list),
        ("GET_ITER", dict),
        ("DICT_MERGE", dict),
        ("UNPACK_SEQUENCE", tuple),
        ("BEFORE_WITH", _raddle.Lock),
        ("RETURN_VALUE", Plain),
    ]:
        assert applied in compare.applied


def test_rules_find_what_the_table_finds_for_two_operands(compare):
    chosen = random.Random(1)
    for operation in TWO:
        for first in values():
            for second in [*values()[:18], *chosen.sample(values(), 15)]:
                compare(operation, 0, first, second)
                compare(operation, 0, second, first)
                if operation == "BINARY_OP":
                    compare(operation, 13, first, second)
    assert {("BINARY_SUBSCR", list, int), ("BINARY_SUBSCR", dict, str), ("CONTAINS_OP", str, dict)} <= compare.applied


def test_rules_find_what_the_table_finds_for_a_store_of_an_item(compare):
    for value in [1, [], iter([1])]:
        for container in values():
            for key in values()[:20]:
                compare("STORE_SUBSCR", 0, value, container, key)
    assert {("STORE_SUBSCR", int, list, int), ("STORE_SUBSCR", list, dict, str)} <= compare.applied


def callables():
    rules = _touches.rules()
    found = [rules["get"], *filter(callable, values())]
    for key in ("quiet", "changing", "methods", "views", "toolkit"):
        found += rules[key]
    lock, numbers = _raddle.Lock(), [1]
    return [*found, lock.acquire, lock.release, lock.__exit__, lock.__reduce_ex__, numbers.append, numbers.__len__]


def test_rules_find_what_the_table_finds_for_a_call(compare):
    null, chosen = _effects.NULL, random.Random(1)
    receivers = values()
    for callable in callables():
        for value in receivers:
            compare("CALL", 1, callable, null, value)
            compare("CALL", 1, callable, value, chosen.choice(receivers))
        for value in chosen.sample(receivers, 10):
            compare("CALL", 1, null, callable, value)
            compare("CALL", 0, callable, value)
            compare("CALL", 2, callable, null, value, chosen.choice(receivers))
            compare("CALL_KW", 1, callable, null, value, ("timeout",))
            compare("CALL_KW", 1, callable, value, chosen.choice(receivers), ("timeout",))
        compare("CALL", 0, callable, null)
        compare("CALL", 0, null, callable)
    lock = _raddle.Lock()
    for operation, *operands in [
        ("CALL", range, null, 3),
        ("CALL", list.append, [], 1),
        ("CALL", dict.get, {}, "key"),
        ("CALL", _raddle.Lock.acquire, lock),
        ("CALL_KW", _raddle.Lock, null, ()),
        ("CALL_KW", lock.acquire, null, 1, ("timeout",)),
    ]:
        by_rules, by_table = _raddle.classified(operation, 1, operands, null)
        assert by_rules == by_table


def test_rules_find_what_the_table_finds_for_a_call_with_unpacked_arguments(compare):
    null, chosen = _effects.NULL, random.Random(1)
    for callable in [function, Plain, Plain().method, len, list, print, _raddle.Lock().acquire, functools.partial(len)]:
        for args in values():
            kwargs = chosen.choice([{}, {"key": []}, Dict(key=1), null])
            compare("CALL_FUNCTION_EX", 1, callable, null, args, kwargs)
    assert ("CALL_FUNCTION_EX", function, object, tuple, dict) in compare.applied


def _verdicts():
    """What is found about some programs of the oracle: the kind, the executions, the classes or the token."""
    found = []
    for family in corpus.FAMILIES:
        programs = corpus.programs(importlib.import_module(f"oracle.corpus.{family}"))
        for name in sorted(programs)[::12]:
            outcome = raddle.outcome_of(programs[name][0], executions=200)
            classes, token = getattr(outcome, "classes", None), getattr(outcome, "token", None)
            found.append((name, type(outcome).__name__, outcome.executions, classes, token))
    return found


def test_programs_have_the_same_outcomes_and_tokens_with_the_rules_as_without(monkeypatch):
    with_rules = _verdicts()
    table = {key: value if callable(value) else [] for key, value in _touches.rules().items()}
    monkeypatch.setattr(_touches, "rules", lambda: {**table, "length": None})
    assert _verdicts() == with_rules
