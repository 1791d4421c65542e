"""Types of `raddle.concurrent`."""

from raddle.concurrent import futures as futures
