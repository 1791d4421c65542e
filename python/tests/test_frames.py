"""raddle.check reads the frames of each version of the interpreter as they are, and leaves them whole."""

import ast
import contextlib
import contextvars
import ctypes
import dataclasses
import dis
import gc
import inspect
import io
import json
import os
import queue
import statistics
import sys
import textwrap
import threading
import types

import pytest
from programs import execute, explores

import raddle
from raddle import _instructions

pytestmark = explores

since_314 = pytest.mark.skipif(sys.version_info < (3, 14), reason="of CPython 3.14")

lock, rlock, items = threading.Lock(), threading.RLock(), queue.SimpleQueue()


def run(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def with_statement():
    with lock, rlock:
        pass


def methods():
    mine = lock
    mine.acquire()
    mine.release()
    items.put(1)
    items.get()


def exception_in_with():
    try:
        with rlock:
            raise LookupError
    except LookupError:
        pass


def argument(mine=None):
    if mine is None:
        return argument(lock)
    with mine:
        return mine.locked()


def conditions():
    with threading.Condition(lock) as held:
        assert held


@pytest.mark.parametrize("function", [with_statement, methods, exception_in_with, argument, conditions])
def test_objects_that_are_replaced_on_the_stack_keep_their_references(function):
    def references():
        gc.collect()
        return [sys.getrefcount(value) for value in (lock, rlock, items)]

    raddle.outcome_of(lambda: run(function, function), executions=3)
    before = references()
    raddle.outcome_of(lambda: run(function, function), executions=100)
    # A thread of the explorer may have a few more or less for a while.
    assert all(abs(now - then) < 20 for now, then in zip(references(), before))


def _depths_at_instructions(function):
    """Runs a function. Returns the depths of the stack at its instructions and at those of what it calls, in two ways.

    First those that `_instructions` computes, then the interpreter's own.
    """
    word = ctypes.sizeof(ctypes.c_void_p)
    found = {}

    def on_instruction(code, offset):
        # The frame is the third word after the header of the frame object, and has its stack pointer as its ninth word.
        frame = ctypes.c_void_p.from_address(id(sys._getframe(1)) + 3 * word).value
        top = ctypes.c_void_p.from_address(frame + 8 * word).value
        found.setdefault(code, {})[offset] = (top - frame) // word - 10 - _instructions._slots(code)

    monitoring = sys.monitoring
    monitoring.use_tool_id(4, "depths")
    try:
        monitoring.register_callback(4, monitoring.events.INSTRUCTION, on_instruction)
        monitoring.set_events(4, monitoring.events.INSTRUCTION)
        try:
            function()
        finally:
            monitoring.set_events(4, 0)
    finally:
        monitoring.free_tool_id(4)
    computed = {}
    for code, offsets in found.items():
        depths = _instructions.depths(code, list(dis.get_instructions(code)))
        computed[code] = {offset: depths[offset] for offset in offsets}
    return computed, found


def _every_construct(a=5, b=2):
    class Manager:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return exception[0] is not None

    values = {"x": [1, 2, 3], **{"y": [4]}}
    for key, (first, *rest) in values.items():
        values[key][0] += first
        with Manager() as manager, Manager():
            rest.append(manager)
            raise LookupError
        try:
            del values[key][:1]
            int(key)
        except (KeyError, ValueError) as error:
            assert str(error) and f"{error!r:>{a}}"
        finally:
            values[key][1:] = rest[0:1]
    match values:
        case {"x": [*_], "y": found} if found:
            a, b = b, a
    while a := a - 1:
        if a == 1 or b is None:
            continue
    total = sum(number if number > 1 else -number for number in [*range(b), *rest[:0]])
    print(*[], sep="", end="", **{})
    result = lambda: (total, a, not b, ~b, a in (b, a), a < b < 9)  # noqa: E731
    return result()


def _library():
    """Code of the standard library of many kinds."""
    inspect.signature(dataclasses.make_dataclass("Point", ["x", ("y", int, 0)], order=True))
    textwrap.fill(inspect.getdoc(json), 30)
    json.JSONDecoder().decode(json.dumps({"a": [1.5, None, {"b": "c"}]}, indent=1))
    ast.unparse(ast.parse(inspect.getsource(_every_construct)))
    list(statistics.quantiles(range(9)))
    contextlib.ExitStack().__enter__().close()
    with contextlib.suppress(LookupError), contextlib.closing(io.StringIO()):
        raise KeyError
    run(lambda: None)


@since_314
@pytest.mark.parametrize("function", [_every_construct, _library])
def test_depths_of_the_stack_are_the_interpreters_own(function):
    computed, found = _depths_at_instructions(function)
    assert computed == found
    assert sum(map(len, found.values())) > 250


def test_every_code_of_the_standard_library_has_depths():
    def codes(code):
        yield code
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                yield from codes(constant)

    for module in (threading, queue, inspect, textwrap, dis, os):
        for code in codes(compile(inspect.getsource(module), module.__file__, "exec")):
            instructions = list(dis.get_instructions(code))
            depth = _instructions.depths(code, instructions)
            assert max(depth.values()) <= code.co_stacksize, code
            for instruction in instructions:
                if instruction.offset in depth:
                    _instructions._row(instruction, depth[instruction.offset], 0, ())


#: Races in syntax of 3.14, each with the statement that reads.
OF_314 = {
    "template": 'text = t"{counter.value}"; read = text.values[0]',
    "format of a template": 'text = t"{1:{counter.value}}"; read = int(text.interpolations[0].format_spec)',
    "annotations": "def function(a: counter.value): pass\n    read = function.__annotations__['a']",
    "all": "read = counter.value if all(counter.value >= 0 for _ in (1,)) else 0",
}


@since_314
@pytest.mark.parametrize("name", OF_314)
def test_race_in_new_syntax_is_found(name):
    space = {}
    source = f"def increment(counter):\n    {OF_314[name]}\n    counter.value = read + 1\n"
    exec(compile(source, __file__, "exec"), space)

    def program():
        counter = types.SimpleNamespace(value=0)
        run(*[lambda: space["increment"](counter)] * 2)
        assert counter.value == 2

    assert isinstance(raddle.outcome_of(program), raddle.Failed)


class Database:
    def __init__(self):
        self.value = 0

    def update(self):
        value = self.value
        self.value = value + 1


def lost_update():
    database = Database()
    run(database.update, database.update)
    assert database.value == 2


#: A schedule of `lost_update`, as a report of 3.13 shows it.
TOKEN = "py1f.0.9d1d19.r2oe-091dff68.11-2.1"


def test_token_of_another_version_is_replayed():
    outcome = raddle.outcome_of(lost_update, replay=TOKEN)
    assert isinstance(outcome, raddle.Failed) and outcome.title == 'thread "MainThread" raised an exception'


variable = contextvars.ContextVar("variable", default="of no context")


def contexts(**arguments):
    """Returns what a thread finds in a variable, whose value in the calling thread is "of the caller"."""
    found = []

    def program():
        variable.set("of the caller")
        thread = threading.Thread(target=lambda: found.append(variable.get()), **arguments)
        thread.start()
        thread.join()

    return program, found


def test_thread_of_a_check_has_the_context_that_it_has_without_one():
    choices = [{}]
    if sys.version_info >= (3, 14):
        given = contextvars.copy_context()
        given.run(variable.set, "of a given context")
        choices.append({"context": given})
    for arguments in choices:
        program, found = contexts(**arguments)
        contextvars.copy_context().run(program)
        assert isinstance(raddle.outcome_of(program), raddle.Exhausted)
        assert set(found) == {found[0]} and found[0] != "of the caller"


@since_314
def test_thread_of_a_check_inherits_the_context_if_all_threads_do(program):
    path = program("""
        import contextvars, threading
        import raddle
        variable = contextvars.ContextVar("variable")
        found = set()
        def explored():
            variable.set("inherited")
            thread = threading.Thread(target=lambda: found.add(variable.get("absent")))
            thread.start()
            thread.join()
        print(type(raddle.outcome_of(explored)).__name__, *found)""")
    assert execute("-X", "thread_inherit_context=1", path) == (0, "Exhausted inherited\n", "")
    assert execute("-X", "thread_inherit_context=0", path) == (0, "Exhausted absent\n", "")
