"""Programs that `raddle.check` once called exhausted although they can fail, or failed although they cannot. The oracle found them."""

import abc
import array
import collections
import datetime
import functools
import gc
import io
import itertools
import queue
import sys
import threading
import time
import types
import weakref
from time import sleep

import pytest
from programs import explores

import raddle

pytestmark = explores


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def values_of(program):
    """Return all values that a program returns, which must be explored to the end."""
    values = set()
    outcome = raddle.outcome_of(lambda: values.add(repr(program())), strategy="dpor")
    assert type(outcome) is raddle.Exhausted, str(outcome)
    return values


def fails(program):
    outcome = raddle.outcome_of(program)
    assert isinstance(outcome, raddle.Failed), outcome


class Box:
    """An object with attributes."""

    def __init__(self):
        self.a = 0


SOURCE = """
class Cell:
    n = 0
    def add(self):
        self.n += 1
"""


@pytest.mark.parametrize("time", ["first", "second"])
def test_equal_code_of_another_object_is_observed(time):
    # Code objects compare by value: the second one equals the first.
    space = {}
    exec(compile(SOURCE, "<cell>", "exec"), space)

    def program():
        cell = space["Cell"]()
        run(cell.add, cell.add)
        return cell.n

    assert values_of(program) == {"1", "2"}


def test_code_of_exec_is_observed():
    def program():
        space = {"n": 0}
        run(lambda: exec("n = n + 1", space), lambda: exec("n = n + 1", space))
        return space["n"]

    assert values_of(program) == {"1", "2"}


def test_list_is_seen_empty_while_it_is_sorted():
    def program():
        items, seen = [2, 1], []
        run(lambda: items.sort(key=lambda item: item), lambda: seen.append(len(items)))
        return seen[0]

    assert values_of(program) == {"0", "2"}


def test_generator_is_seen_executing():
    def numbers():
        n = 0
        while True:
            n += 1
            yield n

    def program():
        source, seen = numbers(), []

        def take():
            try:
                seen.append(next(source))
            except ValueError:
                seen.append("executing")

        run(take, take)
        return sorted(map(str, seen))

    assert values_of(program) == {"['1', '2']", "['1', 'executing']"}


def test_other_threads_run_between_the_last_access_of_a_callback_and_its_end():
    def program():
        box, items, seen = Box(), [1, 2], []

        def write():
            box.a = 1
            seen.append(len(items))

        run(lambda: items.sort(key=lambda item: (box.a, item)), write)
        return seen[0]

    assert values_of(program) == {"0", "2"}

    def reads_old_value_and_is_seen_sorting():
        box, items, seen = Box(), [1], []

        def key(item):
            seen.append(box.a)
            return item

        def write():
            box.a = 1
            seen.append(len(items))

        run(lambda: items.sort(key=key), write)
        return seen

    assert "[0, 0]" in values_of(reads_old_value_and_is_seen_sorting)


def test_what_a_predicate_returns_is_read():
    def program():
        ready, items, seen = threading.Condition(), [], []

        def wait():
            with ready:
                ready.wait_for(lambda: items, timeout=1)
                seen.append(len(items))

        def fill():
            items.append(1)
            with ready:
                ready.notify()

        run(wait, fill)
        return seen[0]

    assert values_of(program) == {"0", "1"}


def test_what_a_generator_yields_to_c_code_is_read():
    def program():
        items, seen = [], []
        run(lambda: items.append(1), lambda: seen.append(any(value for value in (items, items))))
        return seen[0]

    assert values_of(program) == {"False", "True"}


@pytest.mark.parametrize("dictionary", [vars, lambda box: box.__dict__])
def test_item_of_the_dictionary_of_an_object_is_its_attribute(dictionary):
    def program():
        box = Box()

        def by_item():
            dictionary(box)["a"] += 1

        def by_attribute():
            box.a += 1

        run(by_item, by_attribute)
        return box.a

    assert values_of(program) == {"1", "2"}


def test_update_of_the_dictionary_of_an_object_changes_its_attributes():
    def program():
        box, seen = Box(), []
        run(lambda: box.__dict__.update(a=1), lambda: seen.append((box.a, box.a)))
        return seen[0]

    assert values_of(program) == {"(0, 0)", "(0, 1)", "(1, 1)"}


def test_new_attribute_is_seen_in_the_dictionary():
    def program():
        box, seen = Box(), []

        def create():
            box.b = 1

        run(create, lambda: seen.append(("b" in vars(box), len(vars(box)))))
        return seen[0]

    assert values_of(program) == {"(False, 1)", "(False, 2)", "(True, 2)"}


def test_deleted_global_is_seen_in_the_dictionary():
    def program():
        global temporary
        temporary, seen = 1, []

        def delete():
            global temporary
            del temporary

        run(delete, lambda: seen.append("temporary" in globals()))
        return seen[0]

    assert values_of(program) == {"False", "True"}


def test_keyword_arguments_of_c_functions_are_accessed():
    def program():
        out = io.StringIO()
        run(lambda: print("a", end="", file=out), lambda: print("b", end="", file=out))
        return out.getvalue()

    assert values_of(program) == {"'ab'", "'ba'"}


@pytest.mark.parametrize(
    "make",
    [
        lambda d: map(list, [d]),
        lambda d: itertools.chain.from_iterable([d]),
        lambda d: itertools.islice(itertools.chain(d, "z"), 2),
    ],
)
def test_items_that_an_iterator_passes_on_are_read(make):
    def program():
        table, seen = {"a": 0}, []

        def write():
            table["b"] = 1

        run(write, lambda: seen.append(list(make(table))))
        return seen[0]

    assert len(values_of(program)) == 2


def test_arguments_that_a_call_unpacks_are_read():
    def program():
        items, counts = [1], []
        run(lambda: items.append(2), lambda: counts.append((lambda *given: len(given))(*items)))
        return counts[0]

    assert values_of(program) == {"1", "2"}


@pytest.mark.parametrize("read", [lambda cls: vars(cls)["n"], lambda cls: cls.__dict__.get("n"), lambda cls: cls().n])
def test_attribute_of_a_class_is_read_by_its_name(read):
    class Shared:
        n = 0

    def program():
        Shared.n, seen = 0, []

        def write():
            Shared.n = 1

        run(write, lambda: seen.append(read(Shared)))
        return seen[0]

    assert values_of(program) == {"0", "1"}


def test_keys_of_a_chain_map_are_read():
    def program():
        first, seen = {}, []
        both = collections.ChainMap(first, {"b": 1})

        def write():
            first["c"] = 1

        run(write, lambda: seen.append(len(list(both))))
        return seen[0]

    assert values_of(program) == {"1", "2"}


def test_attributes_of_an_object_of_c_are_read_by_its_repr():
    def program():
        space, seen = types.SimpleNamespace(a=0), []

        def write():
            space.a = 1

        run(write, lambda: seen.append((repr(space), space == types.SimpleNamespace(a=0))))
        return seen[0]

    assert len(values_of(program)) == 3


def test_memory_behind_a_view_is_accessed():
    def program():
        data, seen = bytearray(b"a"), []
        view = memoryview(data)

        def write():
            view[0] = 98

        run(write, lambda: seen.append(data[0]))
        return seen[0]

    assert values_of(program) == {"97", "98"}


def test_destruction_of_an_object_is_not_passed_over_in_silence():
    class Handle:
        def __init__(self):
            self.used = 0

        def __del__(self):
            log.append("closed")

    log = []

    def program():
        handles = [Handle()]

        def use():
            for handle in list(handles):
                handle.used += 1

        run(handles.clear, use)

    # An exploration keeps the objects that it sees to the end of each execution, so the method runs too late.
    outcome = raddle.outcome_of(program)
    assert type(outcome) is raddle.Inconclusive and "__del__" in outcome.reason


def test_threads_are_counted_from_their_start_to_their_end():
    def program():
        event, counts = threading.Event(), []
        thread = threading.Thread(target=event.wait)
        thread.start()
        counts.append(threading.active_count())
        event.set()
        counts.append(threading.active_count())
        thread.join()
        counts.append(threading.active_count())
        return counts

    assert values_of(program) == {"[2, 1, 1]", "[2, 2, 1]"}


def test_mutex_of_a_queue_is_not_seen_before_its_container():
    def program():
        jobs = queue.Queue()
        jobs.put(1)

        def clear():
            with jobs.mutex:
                if jobs.queue:
                    jobs.queue.popleft()

        run(clear, clear)
        assert not jobs.qsize()

    outcome = raddle.outcome_of(program, executions=300)
    assert type(outcome) is not raddle.Failed, str(outcome)


def test_c_code_goes_on_after_an_exception():
    def program():
        box, items, seen = Box(), [], []

        class Empty:
            def __iter__(self):
                return self

            def __next__(self):
                self.found = box.a
                raise StopIteration

        def read():
            empty = Empty()
            length = len(list(itertools.chain(empty, items)))
            seen.extend((empty.found, length))

        def write():
            box.a = 1
            items.append(1)

        run(read, write)
        return seen

    assert values_of(program) == {"[0, 0]", "[0, 1]", "[1, 0]", "[1, 1]"}


@pytest.mark.skipif(not hasattr(functools, "Placeholder"), reason="functools.Placeholder is of 3.14")
def test_partial_call_has_its_later_arguments_in_their_places():
    def program():
        box = Box()
        set_a = functools.partial(setattr, functools.Placeholder, "a", 1)
        seen = []
        run(lambda: set_a(box), lambda: seen.append(box.a))
        return seen

    assert values_of(program) == {"[0]", "[1]"}


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated late since 3.14")
def test_change_of_the_function_behind_annotations_makes_a_check_inconclusive():
    def program():
        class Annotated:
            a: int

        def change():
            Annotated.__annotate__ = lambda format: {"a": str}

        run(change, lambda: Annotated.__annotations__)

    outcome = raddle.outcome_of(program)
    assert type(outcome) is raddle.Inconclusive and "assignment of" in outcome.reason


@pytest.mark.parametrize("name", ["__value__", "__annotations__"])
def test_attribute_that_is_computed_once_changes_when_it_is_read_first(name):
    if name == "__annotations__" and sys.version_info < (3, 14):
        pytest.skip("annotations are evaluated late since 3.14")
    space = {}
    exec("def alias(value):\n    type Alias = value()\n    return Alias", space)

    values = set()

    def program():
        evaluations = []

        def value():
            evaluations.append(threading.get_ident())

        class Annotated:
            a: value() if sys.version_info >= (3, 14) else 0

        owner = space["alias"](value) if name == "__value__" else Annotated
        run(*[lambda: getattr(owner, name)] * 2)
        values.add(tuple(evaluations))

    assert type(raddle.outcome_of(program, executions=3000)) is not raddle.Failed
    # The second thread evaluates, too, if it begins before the first has finished.
    assert values == {(2,), (3,), (2, 3), (3, 2)}


def test_dates_follow_the_clock_of_the_exploration():
    def program():
        began, seen = datetime.datetime.now(), []

        def look():
            time.sleep(20)
            late = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.datetime(1970, 1, 1)
            seen.append((datetime.datetime.now() - began >= datetime.timedelta(seconds=20), late > datetime.timedelta(0)))

        run(look)
        return seen, datetime.date.today() == began.date(), time.localtime().tm_year == began.year

    assert values_of(program) == {"([(True, True)], True, True)"}


def test_sleep_of_a_partial_function_is_explored():
    nap = functools.partial(sleep, 3600)

    def program():
        names = []

        def late():
            nap()
            names.append("late")

        def later():
            time.sleep(7200)
            names.append("later")

        run(late, later)
        return names

    assert "['late', 'later']" in values_of(program)


def test_sleep_that_c_code_calls_is_not_passed_over_in_silence():
    def program():
        naps = [0]
        run(lambda: list(map(sleep, naps)))

    outcome = raddle.outcome_of(program)
    assert type(outcome) is raddle.Inconclusive and "time.sleep" in outcome.reason


@pytest.mark.parametrize("changes", [False, True])
def test_loop_over_many_items_is_no_poll(changes):
    def program():
        items, sums = list(range(12)), []

        def read():
            total = 0
            for item in items:
                total += item
            sums.append(total)

        def replace():
            items[0] = 1

        run(read, replace if changes else lambda: None)
        return sums

    assert values_of(program) == ({"[66]", "[67]"} if changes else {"[66]"})


def test_loop_that_polls_what_no_other_thread_has_changed_ends():
    def program():
        done = []
        thread = threading.Thread(target=lambda: done.append(1))
        thread.start()
        while not done:
            pass
        thread.join()

    outcome = raddle.outcome_of(program, executions=100)
    assert type(outcome) is raddle.Inconclusive and "polls" in outcome.reason


def test_container_of_c_is_read_by_its_iteration():
    def program():
        numbers, seen = array.array("i", [1, 2]), []

        def read():
            for number in numbers:
                seen.append(number)

        run(numbers.reverse, read)
        return seen

    assert values_of(program) == {"[1, 2]", "[1, 1]", "[2, 1]"}


BEFORE = queue.SimpleQueue()


def test_items_of_a_queue_that_existed_before_are_got():
    def program():
        seen = []
        run(lambda: seen.append(BEFORE.get()), lambda: seen.append(BEFORE.get()))
        return seen

    BEFORE.put(1)
    BEFORE.put(2)
    assert values_of(program) == {"[1, 2]", "[2, 1]"}
    assert BEFORE.qsize() == 2


def test_registration_with_an_abstract_class_is_seen():
    def program(check):
        class Abstract(abc.ABC):
            pass

        class Plain:
            pass

        found = []
        run(lambda: Abstract.register(Plain), lambda: found.append(check(Plain, Abstract)))
        assert found == [True]

    for check in (issubclass, lambda cls, abstract: isinstance(cls(), abstract)):
        fails(lambda check=check: program(check))


def test_arguments_and_notes_of_an_exception_are_seen():
    def program(change, look, expected):
        error, found = ValueError("a"), []
        run(lambda: change(error), lambda: found.append(look(error)))
        assert found == [expected]

    def change(error):
        error.args = ("b",)

    for look in (str, repr, lambda error: f"{error}", lambda error: error.__str__()):
        fails(lambda look=look: program(change, look, look(ValueError("b"))))
    fails(lambda: program(lambda error: error.add_note("b"), lambda error: hasattr(error, "__notes__"), True))


def test_state_of_the_collector_is_seen():
    def program():
        found = []
        try:
            run(gc.enable, lambda: found.append(gc.isenabled()))
        finally:
            gc.disable()
        assert found == [True]

    fails(program)


def test_what_the_interpreter_lists_makes_a_check_inconclusive():
    class Base:
        pass

    def subclasses():
        def derive():
            class Derived(Base):
                pass

            return Derived

        run(derive, lambda: Base.__subclasses__())

    def references():
        base = Base()
        run(lambda: weakref.ref(base), lambda: weakref.getweakrefcount(base))

    for program in (subclasses, references):
        assert isinstance(raddle.outcome_of(program), raddle.Inconclusive)


def test_state_that_an_earlier_execution_left_makes_a_check_inconclusive():
    cache, made = {}, []

    def program():
        made.clear()

        def make():
            if "key" not in cache:
                made.append(1)
                cache["key"] = 1

        run(make, make)
        assert len(made) <= 1

    outcome = raddle.outcome_of(program)
    assert isinstance(outcome, raddle.Inconclusive) and "an earlier execution" in outcome.reason, outcome


def test_more_threads_than_the_limit_make_a_check_inconclusive():
    def program():
        run(*[lambda: None] * 130)

    outcome = raddle.outcome_of(program)
    assert isinstance(outcome, raddle.Inconclusive) and "128" in outcome.reason, outcome


def test_function_that_is_only_suspended_is_refused():
    async def coroutine():
        raise AssertionError

    def generator():
        yield

    class Callable:
        async def __call__(self):
            raise AssertionError

    for function in (coroutine, generator, functools.partial(coroutine), Callable()):
        with pytest.raises(TypeError, match="coroutine or a generator"):
            raddle.outcome_of(function)
