"""Small programs as people write them, in pairs: `fails_…` can fail under some schedule, and `holds_…`, the same program repaired, cannot.

A program is a function without arguments in a module that imports only the standard library. Each module is a family.

Programs in `free` families return what their threads observed instead: each is a function of `run`, which runs its threads. `values_…`
runs them freely, and `serial_…` under a lock, one after the other.
"""

import pathlib

FAMILIES = sorted(path.stem for path in pathlib.Path(__file__).parent.glob("*.py") if path.stem != "__init__")

STARTING = "for thread in threads:\n        thread.start()"
"""How the programs start their threads. With `reversed(threads)`, a program that can fail still can."""


def source(family):
    """Returns the source of a family and the name of its file."""
    path = pathlib.Path(__file__).parent / f"{family}.py"
    return path.read_text(), str(path)


def programs(module):
    """Returns the programs of a loaded family by name, each with whether it can fail, or None if it returns values."""
    if "pairs" in vars(module):
        return {name: (function, None) for name, function in module.pairs().items()}
    return {
        name: (function, name.startswith("fails_"))
        for name, function in vars(module).items()
        if name.startswith(("fails_", "holds_")) and callable(function)
    }
