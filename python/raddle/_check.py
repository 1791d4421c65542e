"""`raddle.check`: runs ordinary Python code under every schedule that matters.

While a check runs, the names of `threading`, `queue` and `time` are the toolkit's and the explorer's. A name that a program
imported before is replaced when it is called, and a lock that it made before is replaced by a stand-in when it is used.
"""

import functools
import gc
import inspect
import os
import random
import sys
import types
import warnings
import _thread

from raddle import _effects, _instructions, _observing, _outcome, _raddle, _replaced, _settings, _touches
from raddle import _condition, _general, _observed  # noqa: F401 - loaded before a check begins
from raddle._outcome import CheckFailed, Failed, Inconclusive, InconclusiveWarning, ReplayError, UnsupportedInterpreter

# -- the interpreter -----------------------------------------------------------------------------------------------------


def _probe_frame(first, second):
    third = second
    # Variables, of which the last has no value yet, and what is on the stack when the probe is called.
    answer = first, second, _raddle.probe(6), id(sys._getframe().f_code), id(globals())
    return *answer[2:], [id(first), id(second), id(third), 0, id(first), id(second)]


@functools.cache
def _verify_interpreter():
    """Raise UnsupportedInterpreter unless the layout of frames is as it should be."""
    version = sys.version_info[:2]
    name = f"{sys.implementation.name} {version[0]}.{version[1]}"
    if sys.implementation.name != "cpython" or version not in _instructions.VERSIONS:
        *others, last = (f"{major}.{minor}" for major, minor in _instructions.VERSIONS)
        known = f"{', '.join(others)} and {last}"
        raise UnsupportedInterpreter(
            f"raddle.check() cannot explore under {name}: it reads the frames of CPython {known}. "
            "Run the check with one of these; raddle's locks, queues and watch work with this version, too."
        )
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise UnsupportedInterpreter("raddle.check() needs the interpreter lock: run it with python -X gil=1")
    found, code, module, slots = _probe_frame(object(), object())
    if found is None or tuple(found) != (code, module, slots):
        raise UnsupportedInterpreter(
            f"raddle.check() does not know the layout of the frames of this build of {name}. "
            "Run the check with a build from python.org; raddle's locks, queues and watch work with this one, too."
        )


# -- check ---------------------------------------------------------------------------------------------------------------


def _tables(originals):
    return {
        "classify": _classify,
        "shadow": _replaced.shadows,
        "null": _effects.NULL,
        "disable": sys.monitoring.DISABLE,
        "method": types.MethodType,
        "local": _thread._local,
        "is_plain": _effects.is_plain,
        "rules": _touches.rules(),
        "atomic": list(_effects.ATOMIC),
        "shadowed": list(_touches.shadowed),
        "replaced": originals,
        "property": [property],
        "member": [types.MemberDescriptorType],
        "getset": [types.GetSetDescriptorType],
        "outside": [
            _observing.HERE,
            _observing.STDLIB,
            *(packages + name for packages in _observing.PACKAGES for name in _observing.QUIET),
        ],
    }


def _classify(operation, argument, operands):
    try:
        return _touches.classify(operation, argument, operands)
    except Exception as error:  # a defect of this package must not become one of the program
        _raddle.unseen(f"the operands of {operation}: {type(error).__name__}: {error}")
        return None


#: Functions whose call runs none of their code.
_SUSPENDED = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def outcome_of(
    function,
    *,
    executions=20_000,
    seconds=60.0,
    strategy="portfolio",
    grain="free",
    time="explored",
    seed=0,
    steps=20_000,
    replay=None,
    survey=False,
    shrink=True,
):
    """Run a function under the schedules that matter, and return an `Exhausted`, a `Failed` or an `Inconclusive`.

    The arguments are those of `check`.
    """
    executions = _settings.overrides.get("executions", executions)
    replay = _settings.overrides.get("replay", replay)
    _verify_interpreter()
    if not callable(function):
        raise TypeError(f"raddle.check() needs a function without arguments, not {function!r}")
    if any(is_of_kind(function) or is_of_kind(type(function).__call__) for is_of_kind in _SUSPENDED):
        raise TypeError(
            f"raddle.check() calls {function!r}, which would only create a coroutine or a generator: pass a function that runs it"
        )
    for name, value in (("executions", executions), ("seed", seed), ("steps", steps)):
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise ValueError(f"{name} must be an integer from 0 on, not {value!r}")
    if not float(seconds) >= 0:
        raise ValueError(f"seconds must be a number from 0 on, not {seconds!r}")
    if _raddle.ident():
        raise RuntimeError("raddle.check() was called by a program that is being checked: call it outside")
    settings = {
        "strategy": strategy,
        "executions": executions,
        "seconds": float(seconds),
        "steps": steps,
        "seed": seed,
        "time": time,
        "grain": grain,
        "shrink": shrink,
        "survey": survey,
        "independent": True,
        "replay": None,
        "names": set(),
    }
    hash_seed = None
    if replay is not None:
        settings["grain"], hash_seed, settings["names"], settings["replay"] = _outcome.read_token(replay)
    found = _explored(function, settings, hash_seed)
    return _outcome.of(found, settings["grain"], replay)


def _explored(function, settings, hash_seed):
    state = random.getstate()
    collects = gc.isenabled()
    gc.disable()
    gc.freeze()  # what is garbage already is collected after the check
    # The explorer would read them, too.
    environment = {name: os.environ.pop(name) for name in ("RADDLE_REPLAY", "RADDLE_REPORT") if name in os.environ}
    try:
        with _replaced.Replaced() as originals:
            _raddle.set_tables(_tables(originals))
            _observing.begin()
            try:
                program = functools.partial(_replaced.shadows.pools.run, function)
                found = _raddle.explore(program, _replaced.begin_execution, settings)
            except ValueError as error:
                if settings["replay"] is None:
                    raise
                raise ReplayError(_outcome.with_hint(str(error), hash_seed)) from None
            finally:
                _observing.end()
        if settings["replay"] is not None and _outcome.OTHER_PROGRAM in found.get("text", ""):
            raise ReplayError(_outcome.with_hint(f"the token {_outcome.OTHER_PROGRAM}", hash_seed))
        return found
    finally:
        os.environ.update(environment)
        gc.unfreeze()
        if collects:
            gc.enable()
        _replaced.shadows.known.clear()
        random.setstate(state)


_outcome.OTHER_PROGRAM = "is of another program, or the program has changed since it was made"


def check(function, *, exhaust=False, **options):
    """Run a function, which starts threads, under every schedule that matters.

    The function takes no arguments, is called often, and must create what its threads share. Ordinary code is explored:
    `threading`, `queue`, `concurrent.futures` and `time.sleep` need no replacement. Time is virtual.

    Raise `CheckFailed` with a report if a schedule fails: if an exception leaves a thread, or threads block forever. Otherwise
    return `Exhausted`, or `Inconclusive` after an `InconclusiveWarning`; with exhaust=True, raise `CheckFailed` for that, too.

    executions, seconds: limits of the exploration.
    strategy: "portfolio", "dpor", "surw", "pos", "pct", "random" or "depth".
    grain: "free" switches threads at any instruction, "gil" only where the interpreter lock can be handed over.
    time: "explored" lets timeouts expire at any time, "quiescent" only when no thread can proceed.
    seed: of the random strategies.
    steps: an execution of so many steps is a livelock.
    replay: the token of a report, whose schedule is run instead.
    """
    outcome = outcome_of(function, **options)
    if isinstance(outcome, Failed):
        raise CheckFailed(outcome)
    if isinstance(outcome, Inconclusive):
        if exhaust:
            raise CheckFailed(
                Failed(
                    kind="inconclusive",
                    title="not exhausted",
                    token="",
                    text=str(outcome),
                    executions=outcome.executions,
                    preemptions=0,
                    grain=outcome.grain,
                )
            )
        warnings.warn(str(outcome), InconclusiveWarning, stacklevel=2)
    return outcome


def explore(function=None, **options):
    """Turn a test into one that is run under every schedule that matters: `@raddle.explore` or `@raddle.explore(...)`.

    The options are those of `check`. The test may have arguments, such as fixtures.
    """
    if function is None:
        return functools.partial(explore, **options)

    @functools.wraps(function)
    def explored(*args, **kwargs):
        check(functools.partial(function, *args, **kwargs) if args or kwargs else function, **options)

    explored.__raddle__ = options
    return explored


def touch(value, write=True):
    """State that the calling line reads or changes an object in a way that cannot be seen, in C code for example.

    Outside a check, do nothing.
    """
    _raddle.touch(value, write)
