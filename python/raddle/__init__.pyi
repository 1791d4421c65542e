"""Types of `raddle`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, TypeAlias, TypedDict, overload

from typing_extensions import Unpack

from raddle.futures import (
    Future as Future,
    ThreadPoolExecutor as ThreadPoolExecutor,
    as_completed as as_completed,
    wait as wait,
)
from raddle.queue import (
    LifoQueue as LifoQueue,
    PriorityQueue as PriorityQueue,
    Queue as Queue,
    SimpleQueue as SimpleQueue,
)
from raddle.threading import (
    Barrier as Barrier,
    BoundedSemaphore as BoundedSemaphore,
    Condition as Condition,
    Event as Event,
    Lock as Lock,
    RLock as RLock,
    Semaphore as Semaphore,
    Thread as Thread,
    Timer as Timer,
)

__version__: str
__all__: list[str]

_P = ParamSpec("_P")

class _Options(TypedDict, total=False):
    executions: int
    seconds: float
    strategy: Literal["portfolio", "dpor", "surw", "pos", "pct", "random", "depth"]
    grain: Literal["free", "gil"]
    time: Literal["explored", "quiescent"]
    seed: int
    steps: int
    replay: str | None
    survey: bool
    shrink: bool

class _CheckOptions(_Options, total=False):
    exhaust: bool

@dataclass(frozen=True)
class Exhausted:
    classes: int
    executions: int
    grain: str = "free"

@dataclass(frozen=True)
class Failed:
    kind: str
    title: str
    token: str
    text: str
    executions: int
    preemptions: int
    grain: str = "free"
    html: str = ""
    json: str = ""

@dataclass(frozen=True)
class Inconclusive:
    reason: str
    executions: int
    grain: str = "free"

_Outcome: TypeAlias = Exhausted | Failed | Inconclusive

class CheckFailed(AssertionError):
    outcome: Failed
    def __init__(self, outcome: Failed) -> None: ...

class InconclusiveWarning(UserWarning): ...
class ReplayError(ValueError): ...
class UnsupportedInterpreter(RuntimeError): ...

def check(function: Callable[[], object], **options: Unpack[_CheckOptions]) -> Exhausted | Inconclusive: ...
def outcome_of(function: Callable[[], object], **options: Unpack[_Options]) -> _Outcome: ...
@overload
def explore(function: Callable[_P, object], /, **options: Unpack[_CheckOptions]) -> Callable[_P, None]: ...
@overload
def explore(
    function: None = None, **options: Unpack[_CheckOptions]
) -> Callable[[Callable[_P, object]], Callable[_P, None]]: ...
def touch(value: object, write: bool = True) -> None: ...
def install() -> None: ...
def uninstall() -> None: ...
