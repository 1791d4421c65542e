"""Types of `raddle.futures`."""

import concurrent.futures as _futures
from collections.abc import Iterable, Iterator
from concurrent.futures import (
    ALL_COMPLETED as ALL_COMPLETED,
    FIRST_COMPLETED as FIRST_COMPLETED,
    FIRST_EXCEPTION as FIRST_EXCEPTION,
    BrokenExecutor as BrokenExecutor,
    CancelledError as CancelledError,
    Executor as Executor,
    InvalidStateError as InvalidStateError,
    ProcessPoolExecutor as ProcessPoolExecutor,
    TimeoutError as TimeoutError,
)
import sys
from typing import NamedTuple, TypeVar

if sys.version_info >= (3, 14):
    from concurrent.futures import InterpreterPoolExecutor as InterpreterPoolExecutor

_T = TypeVar("_T")

class Future(_futures.Future[_T]): ...
class ThreadPoolExecutor(_futures.ThreadPoolExecutor): ...

def wait(
    fs: Iterable[_futures.Future[_T]], timeout: float | None = None, return_when: str = "ALL_COMPLETED"
) -> _futures._base.DoneAndNotDoneFutures[_T]: ...
def as_completed(fs: Iterable[_futures.Future[_T]], timeout: float | None = None) -> Iterator[_futures.Future[_T]]: ...
