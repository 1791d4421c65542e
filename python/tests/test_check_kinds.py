"""What raddle.check sees: one test for each kind of access that it must not miss, each with its repaired form."""

import array
import dataclasses
import functools
import itertools
import logging
import os
import struct
import sys
import threading
import types

import pytest
from programs import explores

import raddle

pytestmark = explores

shared_global = 0


def run(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails(program):
    outcome = raddle.outcome_of(program, executions=5000, seconds=20)
    assert isinstance(outcome, raddle.Failed), outcome


def holds(program):
    outcome = raddle.outcome_of(program, executions=20000, seconds=30)
    assert isinstance(outcome, raddle.Exhausted), outcome


@dataclasses.dataclass
class Defaulted:
    value: int = 0


class Slotted:
    __slots__ = ("value",)

    def __init__(self):
        self.value = 0


class Computed:
    def __init__(self):
        self.hidden = 0

    @property
    def value(self):
        return self.hidden

    @value.setter
    def value(self, value):
        self.hidden = value


class OfClass:
    value = 0


def by_attribute(target):
    def add():
        target.value += 1

    return add


def by_name(target):
    def add():
        setattr(target, "value", getattr(target, "value") + 1)

    return add


def by_dictionary(target):
    def add():
        vars(target)["value"] = target.__dict__["value"] + 1

    return add


@pytest.mark.parametrize("make", [Defaulted, Slotted, Computed, lambda: types.SimpleNamespace(value=0)])
@pytest.mark.parametrize("first", [by_attribute, by_name])
def test_attributes_of_all_kinds_are_seen(make, first):
    def program():
        target = make()
        run(first(target), by_attribute(target))
        assert target.value == 2

    fails(program)


def test_an_item_of_the_dictionary_is_the_attribute():
    def program():
        target = Defaulted()
        run(by_dictionary(target), by_attribute(target))
        assert target.value == 2

    fails(program)


def test_class_attribute_is_the_same_through_an_instance():
    def program():
        OfClass.value = 0

        def add():
            OfClass.value = OfClass().value + 1

        run(add, add)
        assert OfClass.value == 2

    fails(program)


@pytest.mark.parametrize("name", ["count", "\ud800"])
def test_attribute_of_a_class_under_a_computed_name_is_seen(name):
    def program():
        class Settings:
            pass

        setattr(Settings, name, 0)

        def add():
            computed = "".join([name[:2], name[2:]])
            setattr(Settings, computed, getattr(Settings, name) + 1)

        run(add, add)
        assert getattr(Settings, name) == 2

    fails(program)


def test_attribute_of_a_module_is_its_global():
    module = sys.modules[__name__]

    def program():
        global shared_global
        shared_global = 0

        def plainly():
            global shared_global
            shared_global += 1

        def through_module():
            module.shared_global += 1

        run(plainly, through_module)
        assert shared_global == 2

    fails(program)


def test_variable_of_a_closure_is_seen():
    def program():
        count = 0

        def add():
            nonlocal count
            count += 1

        run(add, add)
        assert count == 2

    fails(program)


def test_new_key_changes_the_order_of_all():
    def program():
        items = {}
        run(lambda: items.setdefault("a", 1), lambda: items.setdefault("b", 1))
        assert list(items) == ["a", "b"]

    fails(program)


def test_replaced_values_of_different_keys_are_independent():
    def program():
        items = {"a": 0, "b": 0}

        def put(key):
            items[key] = 1

        run(lambda: put("a"), lambda: put("b"))
        assert items == {"a": 1, "b": 1}

    outcome = raddle.outcome_of(program, strategy="dpor")
    assert isinstance(outcome, raddle.Exhausted) and outcome.classes == 1


@pytest.mark.parametrize(
    "look",
    [
        lambda items: len(items) == 1,
        lambda items: bool(items[1:]) is False,
        lambda items: [*items] == [0],
        lambda items: sum(items) == 0,
        lambda items: sorted(items) == [0],
        lambda items: items == [0],
        lambda items: 1 not in items,
        lambda items: [item for item in items] == [0],
        lambda items: str(items) == "[0]",
        lambda items: f"{items}" == "[0]",
        lambda items: (lambda *given: given)(*items) == (0,),
    ],
)
def test_each_look_at_a_list_is_seen(look):
    def program():
        items, seen = [0], []
        run(lambda: items.append(1), lambda: seen.append(look(items)))
        assert seen == [True]

    fails(program)


def test_shared_iterators_are_changed_by_each_item():
    def program():
        numbers, got = enumerate([5, 6]), []

        def take():
            got.append(next(numbers))

        run(take, take)
        assert got == [(0, 5), (1, 6)]

    fails(program)


def test_generator_that_two_threads_resume_is_seen():
    def program():
        def numbers():
            yield 1
            yield 2

        generator = numbers()
        run(lambda: next(generator), lambda: next(generator))

    fails(program)  # ValueError: generator already executing


def test_list_is_empty_for_others_while_it_is_sorted():
    def program():
        items, seen = [2, 1], []
        run(lambda: items.sort(key=lambda item: item), lambda: seen.append(len(items)))
        assert seen == [2]

    fails(program)


def test_c_function_as_target_is_seen():
    def program():
        items = []
        run(functools.partial(items.append, 1), functools.partial(items.append, 2))
        assert items == [1, 2]

    fails(program)


def test_unknown_c_code_changes_what_it_reaches():
    def program():
        numbers, seen = array.array("i", [0]), []
        run(lambda: numbers.append(1), lambda: seen.append(len(numbers)))
        assert seen == [1]

    fails(program)


@pytest.mark.parametrize(
    "look",
    [
        lambda data: struct.unpack_from("i", data)[0],
        lambda data: int.from_bytes(data, "little"),
        lambda data: bytes(data)[0],
        lambda data: memoryview(data)[0],
        lambda data: b"%b" % data and data[0],
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        lambda data: struct.pack_into("i", data, 0, 1),
        lambda data: memoryview(data).__setitem__(0, 1),
        lambda data: data.__setitem__(0, 1),
    ],
)
def test_buffers_are_seen_through_c_functions(look, change):
    def program():
        data, seen = bytearray(4), []
        run(lambda: change(data), lambda: seen.append(look(data)))
        assert seen == [1]

    fails(program)


def test_fields_of_a_format_are_read():
    def program():
        target, seen = Defaulted(), []
        run(lambda: setattr(target, "value", 1), lambda: seen.append("{0.value}".format(target)))
        assert seen == ["1"]

    fails(program)


def test_environment_is_seen():
    def program():
        os.environ["RADDLE_TEST"] = "0"

        def add():
            os.environ["RADDLE_TEST"] = str(int(os.environ["RADDLE_TEST"]) + 1)

        run(add, add)
        assert os.environ["RADDLE_TEST"] == "2"

    fails(program)


def test_working_directory_is_seen():
    before = os.getcwd()

    def program():
        os.chdir("/")
        seen = []
        run(lambda: os.chdir("/tmp"), lambda: seen.append(os.getcwd()))
        assert seen == ["/tmp"]

    try:
        fails(program)
    finally:
        os.chdir(before)


def test_change_of_a_class_makes_a_check_inconclusive():
    def program():
        class Other:
            pass

        target, seen = OfClass(), []
        run(lambda: setattr(target, "__class__", Other), lambda: seen.append(isinstance(target, Other)))

    assert isinstance(raddle.outcome_of(program), raddle.Inconclusive)


def test_change_of_a_logger_makes_a_check_inconclusive_and_a_message_does_not():
    logger = logging.getLogger("raddle.test")

    def changing():
        seen = []
        run(lambda: logger.setLevel(logging.ERROR), lambda: seen.append(logger.isEnabledFor(logging.INFO)))

    def logging_only():
        run(lambda: logger.debug("one"), lambda: logger.debug("two"))

    assert isinstance(raddle.outcome_of(changing), raddle.Inconclusive)
    holds(logging_only)


def test_function_cache_is_seen():
    def program():
        calls = []

        @functools.lru_cache
        def compute(number):
            calls.append(number)
            return number

        run(lambda: compute(1), lambda: compute(1))
        assert calls == [1]

    fails(program)


def test_c_code_of_another_package_makes_a_check_inconclusive():
    import socket

    def program():
        def use():
            socket.gethostname()

        run(use, use)

    outcome = raddle.outcome_of(program)
    assert isinstance(outcome, raddle.Inconclusive) and "gethostname" in outcome.reason


def test_set_of_objects_makes_a_check_inconclusive_rather_than_wrong():
    class Item:
        pass

    def program():
        lock = threading.Lock()
        locks = {Item(): threading.Lock() for _ in range(8)}

        def use():
            for item in {*locks}:
                with locks[item], lock:
                    pass

        run(use)

    assert not isinstance(raddle.outcome_of(program, seconds=5), raddle.Failed)


def test_locked_programs_are_exhausted():
    def program():
        items, count, lock = [], itertools.count(), threading.Lock()

        def add():
            with lock:
                items.append(next(count))

        run(add, add)
        assert items == [0, 1]

    holds(program)


def test_timeouts_expire_and_the_clock_is_past_them():
    import time

    def program():
        event = threading.Event()
        end = time.monotonic() + 1.0
        assert not event.wait(1.0)
        assert end - time.monotonic() < 0

    holds(program)


def test_daemon_thread_that_waits_is_no_failure():
    def program():
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    holds(program)


def test_coarse_grain_finds_fewer_failures():
    class Counter:
        value = 0

        def pause(self):
            pass

    def plain():
        counter = Counter()

        def add():
            counter.value = counter.value + 1

        run(add, add)
        assert counter.value == 2

    def with_call():
        counter = Counter()

        def add():
            value = counter.value
            counter.pause()
            counter.value = value + 1

        run(add, add)
        assert counter.value == 2

    assert isinstance(raddle.outcome_of(plain, grain="gil"), raddle.Exhausted)
    outcome = raddle.outcome_of(with_call, grain="gil")
    assert isinstance(outcome, raddle.Failed) and "grain gil" in outcome.text
    assert isinstance(raddle.outcome_of(with_call, replay=outcome.token), raddle.Failed)
    fails(plain)


def test_finalizers_make_a_check_inconclusive():
    ended = []

    class Connection:
        def __del__(self):
            ended.append(self)

    def program():
        connection = Connection()
        run(lambda: connection, lambda: connection)

    outcome = raddle.outcome_of(program)
    assert isinstance(outcome, raddle.Inconclusive) and "__del__" in outcome.reason


def test_race_in_a_pool_of_threads_of_multiprocessing_is_found():
    def program():
        from multiprocessing.pool import ThreadPool

        found = []
        with ThreadPool(2) as pool:
            pool.map(lambda number: found.append(number), [1, 2])
        assert found == [1, 2]

    outcome = raddle.outcome_of(program)
    assert isinstance(outcome, raddle.Failed) and outcome.kind == "panic", outcome
    again = raddle.outcome_of(program, replay=outcome.token)
    assert isinstance(again, raddle.Failed) and again.token == outcome.token


def test_inconclusive_outcome_counts_all_executions():
    numbers = itertools.count()

    def program():  # each execution has a further key, so that exploring begins again and again
        results = {}
        key = next(numbers)

        def store():
            results[key] = threading.current_thread()

        run(store, store)

    outcome = raddle.outcome_of(program, executions=100)
    assert isinstance(outcome, raddle.Inconclusive) and outcome.executions == 100, outcome
