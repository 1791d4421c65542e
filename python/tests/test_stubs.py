"""Everything public has a docstring, and is in the type stubs with the same parameters."""

import ast
import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest
import raddle

PACKAGE = pathlib.Path(raddle.__file__).parent

#: The modules, each with its public names that the package defines.
MODULES = {
    "raddle": sorted(set(raddle.__all__) - {"__version__"}),
    "raddle.threading": ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore", "Thread", "Timer"],
    "raddle.queue": ["LifoQueue", "PriorityQueue", "Queue", "ShutDown", "SimpleQueue"],
    "raddle.futures": ["Future", "ThreadPoolExecutor", "as_completed", "wait"],
}
NAMES = [(module, name) for module, names in MODULES.items() for name in names]


def stub(module):
    path = PACKAGE.joinpath(*module.split(".")[1:])
    path = path / "__init__.pyi" if path.is_dir() else path.with_suffix(".pyi")
    return ast.parse(path.read_text())


def definitions(body):
    """The classes, functions and imported names of a stub."""
    found = {}
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.setdefault(node.name, node)
        elif isinstance(node, ast.ImportFrom):
            found.update({alias.asname or alias.name: node for alias in node.names})
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
        elif isinstance(node, ast.If):
            found.update(definitions(node.body + node.orelse))
    return found


def in_stub(module, name):
    node = definitions(stub(module).body).get(name)
    if isinstance(node, ast.ImportFrom) and node.module.startswith("raddle"):
        return in_stub(node.module, name)
    return node


def methods(class_):
    """The public methods that the package defines for a class, in any of its bases."""
    found = {}
    for base in reversed(class_.__mro__):
        if base.__module__.partition(".")[0] == "raddle" and base is not class_ or base is class_:
            found.update(vars(base))
    return {name: value for name, value in found.items() if not name.startswith("_") and callable(value)}


def stub_methods(module, name):
    node = in_stub(module, name)
    found = {}
    for base in node.bases:
        base = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(base, ast.Name) and isinstance(in_stub(module, base.id), ast.ClassDef):
            found.update(stub_methods(module, base.id))
    return found | definitions(node.body)


@pytest.mark.parametrize("module, name", NAMES)
def test_public_name_is_documented_and_typed(module, name):
    value = getattr(importlib.import_module(module), name)
    assert inspect.getdoc(value), "no docstring"
    node = in_stub(module, name)
    assert node is not None, "not in the stubs"
    if isinstance(node, ast.ImportFrom) or not inspect.isclass(value):
        return
    typed = stub_methods(module, name)
    derives = any(base.__module__ in ("threading", "concurrent.futures._base", "concurrent.futures.thread") for base in value.__mro__)
    for method, function in methods(value).items():
        assert inspect.getdoc(function), f"{method}: no docstring"
        assert method in typed or derives, f"{method}: not in the stubs"
        if method in typed and isinstance(typed[method], ast.FunctionDef):
            parameters = [p for p in _parameters(function) if p != "self"]
            arguments = [argument.arg for argument in typed[method].args.args if argument.arg != "self"]
            assert not parameters or parameters == arguments, method


def _parameters(function):
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:
        return []


@pytest.mark.parametrize("module", MODULES)
def test_stub_names_nothing_that_is_not_there(module):
    actual = importlib.import_module(module)
    for name, node in definitions(stub(module).body).items():
        if not name.startswith("_") and isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            assert hasattr(actual, name), name
            if isinstance(node, ast.ClassDef) and inspect.isclass(getattr(actual, name)):
                class_ = getattr(actual, name)
                fields = getattr(class_, "__dataclass_fields__", {})
                for member, definition in definitions(node.body).items():
                    if isinstance(definition, ast.FunctionDef):
                        assert hasattr(class_, member) or member in fields, f"{name}.{member}"


def test_py_typed_is_in_the_package():
    assert (PACKAGE / "py.typed").exists()


def test_stubs_are_accepted_by_a_type_checker(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "typed.py"
    program.write_text(
        """\
import raddle
from raddle import futures, queue, threading

jobs: queue.Queue[int] = queue.Queue(maxsize=10)
jobs.put(1, timeout=0.5)
number: int = jobs.get()
lock = threading.Lock()
with lock:
    held: bool = lock.locked()
condition = threading.Condition(lock)
with condition:
    found: int = condition.wait_for(lambda: 1, timeout=1)
with futures.ThreadPoolExecutor(2) as pool:
    result: int = pool.submit(abs, -1).result()
outcome = raddle.outcome_of(lambda: None, executions=10)
if isinstance(outcome, raddle.Failed):
    token: str = outcome.token

@raddle.explore(executions=10)
def test_it(value: int) -> None: ...

@raddle.explore
def test_other() -> None: ...

test_it(1)
test_other()
"""
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
