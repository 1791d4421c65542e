"""Random programs from a seed. Each returns what its threads observed, and the final state of what they share."""

import random
import re

from .facets import FACETS, SYNCHRONIZATION

IMPORTS = """import array
import bisect
import collections
import concurrent.futures
import contextlib
import copy
import dataclasses
import functools
import heapq
import io
import itertools
import json
import operator
import queue
import threading
import time
import types
import weakref
from concurrent.futures import ThreadPoolExecutor
"""

RUN = {
    "threads": """
    threads = [threading.Thread(target=body) for body in (BODIES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""",
    "main takes part": """
    first, *rest = [BODIES]
    threads = [threading.Thread(target=body) for body in rest]
    for thread in threads:
        thread.start()
    first()
    for thread in threads:
        thread.join()
""",
    "subclass": """
    class Worker(threading.Thread):
        def __init__(self, body):
            super().__init__()
            self.body = body

        def run(self):
            self.body()

    threads = [Worker(body) for body in (BODIES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""",
    "pool": """
    with ThreadPoolExecutor(COUNT) as executor:
        for body in (BODIES):
            executor.submit(body)
""",
}


def _indented(text, by):
    return "".join(f"{' ' * by}{line}\n" if line else "\n" for line in text.splitlines())


def _statement(choose, facets):
    facet = choose.choice(facets)
    line = choose.choice(facet.lines())
    line = re.sub(r"\bN\b", lambda _: str(choose.randint(1, 3)), line)
    shape = choose.random()
    compound = line.split()[0] in ("for", "if", "with") or ";" in line
    if shape < 0.12:
        return f"with {choose.choice(['mutex', 'mutex', 'other'])}:\n" + _indented(line, 4)
    if shape < 0.18 and not compound:
        return f"for _ in range(2): {line}\n"
    if shape < 0.24 and not compound:
        return f"if not see: pass\nelse: {line}\n" if choose.random() < 0.3 else f"try: {line}\nexcept (LookupError, ValueError): note('caught')\n"
    return line + "\n"


def _body(number, statements, names):
    text = f"def body_{number}():\n"
    if names["global"]:
        text += "    global g, h\n"
    if names["nonlocal"]:
        text += f"    nonlocal {', '.join(names['nonlocal'])}\n"
    text += f"    see = note = observed[{number}].append\n    try:\n"
    text += _indented("".join(statements), 8)
    text += "    except Exception as error:\n        note(type(error).__name__)\n"
    return _indented(text, 4)


def program(seed):
    """Returns the source of the program of `seed`, a module with a function `program`, and the names of its facets."""
    choose = random.Random(seed)
    count = 3 if choose.random() < 0.2 else 2
    facets = [choose.choice(FACETS + SYNCHRONIZATION * 2)]
    if choose.random() < 0.35:
        other = choose.choice(FACETS)
        if not _shared_names(other) & _shared_names(facets[0]):
            facets.append(other)
    names = {"global": any(facet.name == "globals" for facet in facets), "nonlocal": []}
    stored = {"list": "l", "subclass of list": "l", "dict": "d", "subclass of dict": "d", "OrderedDict": "d", "defaultdict": "d", "Counter": "d",
              "UserDict": "d", "set": "s", "bytearray": "y", "closures": "n", "comparisons of a class": "u"}  # fmt: skip
    names["nonlocal"] = sorted({stored[facet.name] for facet in facets if facet.name in stored})
    text = IMPORTS
    for facet in facets:
        text += "\n" + facet.definitions
    text += "\n\ndef program():\n"
    for facet in facets:
        text += _indented(facet.setup, 4)
    text += f"    observed = [[] for _ in range({count})]\n    mutex, other = threading.Lock(), threading.Lock()\n\n"
    for number in range(count):
        statements = [_statement(choose, facets) for _ in range(choose.randint(1, 3 if count == 2 else 2))]
        text += _body(number, statements, names) + "\n"
    bodies = ", ".join(f"body_{number}" for number in range(count))
    run = choose.choice(["threads", "threads", "main takes part", "subclass", "pool"])
    text += RUN[run].replace("(BODIES)", f"({bodies})").replace("[BODIES]", f"[{bodies}]").replace("COUNT", str(count)).lstrip("\n")
    text += f"    return repr((observed, {', '.join(facet.state for facet in facets)}))\n"
    return text, [facet.name for facet in facets] + [run]


def _shared_names(facet):
    """The variables of `program` that a facet assigns."""
    names = set()
    for line in facet.setup.replace("\n", ";").split(";"):
        target = line.strip().partition("=")[0]
        names |= {name.strip() for name in target.removeprefix("global").split(",") if name.strip().isidentifier()}
    return names
