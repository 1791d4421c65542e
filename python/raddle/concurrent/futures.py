"""The names of the standard library's `concurrent.futures`: those of `raddle.futures`."""

import sys as _sys

from raddle import futures as _futures

_sys.modules[__name__] = _futures
