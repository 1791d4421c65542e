"""Runs CPython's own tests of `threading` and `queue`, unmodified, with this package's names in their place.

    python tests/cpython.py          # of the interpreter that runs it

A test that is expected to fail is listed in EXPECTED with the reason; one that is listed and passes is an error too.
"""

import importlib
import sys
import unittest

import raddle.queue
import raddle.threading

#: Tests that fail, and why.
EXPECTED = {
    "EventTests.test_at_fork_reinit": "uses the private attribute Event._cond; a native event has no condition",
}


def lock_tests(tests):
    """The classes of `test.lock_tests`, each with the type that it tests."""
    t = raddle.threading
    for base, name, type_ in [
        ("LockTests", "locktype", t.Lock),
        ("RLockTests", "locktype", t.RLock),
        ("EventTests", "eventtype", t.Event),
        ("ConditionTests", "condtype", t.Condition),
        ("SemaphoreTests", "semtype", t.Semaphore),
        ("BoundedSemaphoreTests", "semtype", t.BoundedSemaphore),
        ("BarrierTests", "barriertype", t.Barrier),
    ]:
        # A type is no function that becomes a method; Python's own tests use staticmethod for the same reason.
        body = {name: staticmethod(type_)}
        if base == "ConditionTests":  # as in test_threading: with each lock
            body["condtype"] = staticmethod(lambda lock=None: t.Condition(lock))
        yield type(base, (getattr(tests, base), unittest.TestCase), body)


def queue_tests(tests):
    """The classes of `test.test_queue`, on this package's queues."""
    for class_ in list(vars(tests).values()):
        # Each class exists for the standard library's queues in C and in Python.
        if isinstance(class_, type) and issubclass(class_, unittest.TestCase) and class_.__name__.startswith("C"):
            class_.queue = raddle.queue
            yield class_


def main():
    suite = unittest.TestSuite()
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    modules = [("test.lock_tests", lock_tests), ("test.test_queue", queue_tests)]
    for module, classes in modules:
        for class_ in classes(importlib.import_module(module)):
            suite.addTests(load(class_))
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    failed = {test.id().removeprefix("__main__."): text for test, text in result.failures + result.errors}
    surprises = set(failed) ^ set(EXPECTED)
    version = ".".join(map(str, sys.version_info[:3]))
    passed = result.testsRun - len(failed) - len(result.skipped)
    print(f"Python {version}: {result.testsRun} tests, {passed} passed, {len(failed)} failed, {len(result.skipped)} skipped")
    for name in sorted(surprises):
        print("unexpected:", name, "failed" if name in failed else "passed")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
