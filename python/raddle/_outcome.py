"""The outcomes of a check, their reports, and the tokens that replay them."""

import os
import re
from dataclasses import dataclass, field


class CheckFailed(AssertionError):
    """A schedule failed. The text is its report; `outcome` is the `Failed` with all forms of it.

    `filename` and `lineno` name the line of the failure: that of the exception, or one at which a thread is blocked. They are
    None if it is not known.
    """

    def __init__(self, outcome):
        super().__init__(outcome.text)
        self.outcome = outcome
        line = re.search(r", at (.+?):(\d+)(, in .*)?$", outcome.text, re.MULTILINE)
        self.filename, self.lineno = (line[1], int(line[2])) if line else (None, None)


class ReplayError(ValueError):
    """A token cannot be replayed: it is none, or of another program."""


class InconclusiveWarning(UserWarning):
    """Not every schedule was explored, and none that was explored failed."""


class UnsupportedInterpreter(RuntimeError):
    """This interpreter cannot be explored: its instructions or frames are not known."""


@dataclass(frozen=True)
class Exhausted:
    """A schedule of each class of equivalent schedules was run, and none failed."""

    classes: int
    executions: int
    grain: str = "free"

    def __str__(self):
        return f"exhausted at the grain {self.grain!r}: {self.classes} classes of schedules, {self.executions} executions"


@dataclass(frozen=True)
class Failed:
    """A schedule failed. `token` replays it; `text`, `html` and `json` are three forms of its report."""

    kind: str
    title: str
    token: str
    text: str
    executions: int
    preemptions: int
    grain: str = "free"
    html: str = field(default="", repr=False)
    json: str = field(default="", repr=False)

    def __str__(self):
        return self.text


@dataclass(frozen=True)
class Inconclusive:
    """No schedule that was run failed, but there may be others. `reason` states why."""

    reason: str
    executions: int
    grain: str = "free"

    def __str__(self):
        return f"inconclusive after {self.executions} executions: {self.reason}"


_PREFIX = "py1"
_GRAIN_LETTERS = {"free": "f", "gil": "g"}


def token_of(found, grain):
    names = "".join(f"{name:06x}" for name in sorted(found["names"]))
    seed = os.environ.get("PYTHONHASHSEED", "random")
    return f"{_PREFIX}{_GRAIN_LETTERS[grain]}.{seed}.{names}.{found['token']}"


def read_token(token):
    """Return the grain, the hash seed, the names of steps and the schedule of a token."""
    parts = token.strip().split(".", 3) if isinstance(token, str) else ()
    grains = {_PREFIX + letter: grain for grain, letter in _GRAIN_LETTERS.items()}
    if len(parts) != 4 or parts[0] not in grains or not re.fullmatch("([0-9a-f]{6})*", parts[2]):
        raise ReplayError(
            f"{token!r} is no token of raddle.check(): pass one as a report shows it, such as py1f.random..r2oe-0a1b2c3d.17-12.1"
        )
    names = {int(parts[2][at : at + 6], 16) for at in range(0, len(parts[2]), 6)}
    return grains[parts[0]], parts[1], names, parts[3]


def with_hint(error, hash_seed):
    if hash_seed != os.environ.get("PYTHONHASHSEED", "random"):
        return f"{error}; or the order of a set differs: set PYTHONHASHSEED to 0 for both runs"
    return error


#: Lines of the explorer's reports that are about Rust.
_OF_RUST = ("to replay this schedule:", "to step through it:", "  the program depends on something", "  explored threads may")


def _report(found, form, token):
    """A form of the report, in terms of Python."""
    text = found[form].replace(found["token"], token)
    text = text.replace("`Explorer::max_steps`", "the option steps")
    for quote in ('"', '\\"', "&quot;"):
        text = text.replace(quote + " panicked", quote + " raised an exception")
    # The command of the explorer, in the page and in JSON.
    text = re.sub(r'"replay":"RADDLE_REPLAY=[^"]*"', lambda _: f'"replay":"raddle.check(..., replay=\'{token}\')"', text)
    if form == "text":
        text = "\n".join(line for line in text.splitlines() if not line.startswith(_OF_RUST)).rstrip() + "\n"
    return text


def of(found, grain, replay):
    executions = found["executions"]
    unseen = found.get("unseen") or []
    if found["outcome"] == "failed" or found.get("text"):
        token = replay or token_of(found, grain)
        text, html, json = (_report(found, form, token) for form in ("text", "html", "json"))
        if found["kind"] == "not repeatable":
            reason = (
                "after the same choices, the program takes different steps. It must create what its threads share each time, and "
                "depend on nothing that changes from call to call: the real clock, the order of a set of objects, random bytes\n\n"
            )
            return Inconclusive(reason + text, executions, grain)
        if found["kind"] == "too many threads":
            return Inconclusive(
                "more than 128 threads are alive at the same time, which is the limit of the exploration", executions, grain
            )
        if found["kind"] == "blocked outside":
            reason = "a thread waits for something that the exploration does not see, such as input or a lock of C code\n\n"
            return Inconclusive(reason + text, executions, grain)
        text += f"\ngrain {grain}: {_GRAINS[grain]}\nreplay it with raddle.check(..., replay={token!r})\n"
        return Failed(
            kind=found["kind"],
            title=found["title"].replace('" panicked', '" raised an exception'),
            token=token,
            text=text,
            executions=executions,
            preemptions=found["preemptions"],
            grain=grain,
            html=html,
            json=json,
        )
    vanished = found.get("vanished")
    if found["outcome"] == "exhausted" and not unseen and not found.get("grown") and not vanished:
        return Exhausted(found["classes"], executions, grain)
    if unseen:
        reason = "the exploration does not see " + "; ".join(unseen)
    elif found["outcome"] == "exhausted" and vanished and not found.get("grown"):
        reason = (
            f"threads shared {', '.join(vanished[:3])} in an early execution and not later, so the program depends on what an earlier "
            "execution has left, such as an item of a dictionary of a module. It must create what its threads share each time"
        )
    elif replay is not None:
        reason = "the schedule of the token does not fail"
    elif found["outcome"] == "exhausted":
        reason = "the limit of executions or seconds was reached while further steps were found"
    else:
        reason = (
            "there are more schedules than the limits of executions or seconds allow, or a thread polls in a loop. "
            "Raise the limits, make the program smaller, or wait for an event instead of polling"
        )
    return Inconclusive(reason, executions, grain)


_GRAINS = {
    "free": "threads are switched at any instruction, as free-threaded builds and other interpreters may do",
    "gil": "threads are switched only where this version's interpreter lock may be handed over",
}
