"""Runs CPython's own tests of `threading`, `queue` and `concurrent.futures`, unmodified, with this package's names in their place.

    python tests/cpython.py          # of the interpreter that runs it; more arguments select tests by parts of their names

The interpreter ships the tests. Before they are imported, this package's classes and functions are put into the modules of the
standard library, also in the programs that the tests start. A test that is expected to fail is listed in EXPECTED with the reason,
and one that is listed and passes is an error too. A test that is not run is listed in LEFT_OUT with the reason.
"""

import importlib
import importlib.util
import sys
import unittest

#: Tests that fail, and why.
EXPECTED = {
    "test_queue.CSimpleQueueTest.test_simplequeue_sizeof": "since 3.15, it adds up the fields of the standard library's structure",
    "test_threading.MiscTestCase.test__all__": "compares the names of the modules in which the classes are defined",
    "test_threading.ThreadTests.test_disallow_instantiation": "before 3.13, Lock is a function; here it is the class of its locks",
    "test_threading.ThreadTests.test_import_from_another_thread": "the program must import threading itself, not with the swap",
    "test_threading.ThreadTests.test_lazy_import": "the same, and without the folder of installed packages",
}

#: Parts of the names of tests that are not run, and why.
LEFT_OUT = {
    "ProcessPool": "ProcessPoolExecutor is the standard library's own",
    "test_hang_global_shutdown_lock": "starts fifty process pools",
}

#: What replaces the names, in this process and in the programs that the tests start.
SWAP = """
import queue, threading
import raddle.queue, raddle.threading
for _name in ("Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier", "Timer", "Thread"):
    setattr(threading, _name, getattr(raddle.threading, _name))
for _name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "ShutDown"):
    setattr(queue, _name, getattr(raddle.queue, _name))
"""

#: The same for futures, whose modules import `logging`, which flushes the standard streams before the interpreter ends.
SWAP_FUTURES = """
import concurrent.futures, concurrent.futures._base, concurrent.futures.thread, raddle.futures
for _name in ("Future", "wait", "as_completed"):
    setattr(concurrent.futures, _name, getattr(raddle.futures, _name))
    setattr(concurrent.futures._base, _name, getattr(raddle.futures, _name))
concurrent.futures.ThreadPoolExecutor = concurrent.futures.thread.ThreadPoolExecutor = raddle.futures.ThreadPoolExecutor
"""


def lock_tests():
    """The classes of `test.lock_tests`, each with the type that it tests."""
    import raddle.threading as t
    from test import lock_tests as tests

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


def queue_tests():
    """The classes of `test.test_queue`, on this package's queues."""
    import raddle.queue
    from test import test_queue as tests

    for class_ in list(vars(tests).values()):
        # Each class exists for the standard library's queues in C and in Python.
        if isinstance(class_, type) and issubclass(class_, unittest.TestCase) and class_.__name__.startswith("C"):
            class_.queue = raddle.queue
            yield class_


def classes_of(*names):
    """The classes of test modules that use the names of the standard library's modules."""
    for name in names:
        module = importlib.import_module(name)
        for class_ in list(vars(module).values()):
            if isinstance(class_, type) and issubclass(class_, unittest.TestCase) and class_.__module__ == name:
                yield class_


def futures_modules():
    if importlib.util.find_spec("test.test_concurrent_futures") is None:
        return []
    parts = ("future", "thread_pool", "wait", "as_completed", "init", "shutdown")
    if importlib.util.find_spec("test.test_concurrent_futures").submodule_search_locations is None:
        return ["test.test_concurrent_futures"]
    return [f"test.test_concurrent_futures.test_{part}" for part in parts]


def swap():
    exec(SWAP + SWAP_FUTURES, {})
    from test.support import script_helper

    started = script_helper.run_python_until_end

    def run_python_until_end(*args, **env):
        args = list(args)
        if "-c" in args:
            program = args.index("-c") + 1
            code = SWAP + SWAP_FUTURES if "concurrent" in args[program] else SWAP
            # In front of the program, on its first line, so that line numbers stay.
            args[program] = f"exec({code!r}, {{}});" + ("" if args[program][:1] in "\n" else "\n") + args[program]
        return started(*args, **env)

    script_helper.run_python_until_end = run_python_until_end


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def name_of(test):
    return test.id().removeprefix("__main__.").removeprefix("test.")


def main(selected):
    swap()
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    version = ".".join(map(str, sys.version_info[:3]))
    files = [
        ("lock_tests", lock_tests()),
        ("test_queue", queue_tests()),
        ("test_threading", classes_of("test.test_threading")),
        ("test_threading_local", classes_of("test.test_threading_local")),
        ("test_concurrent_futures", classes_of(*futures_modules())),
    ]
    surprises, everything = [], set()
    for file, classes in files:
        tests = [test for class_ in classes for test in flatten(load(class_))]
        if selected:
            tests = [test for test in tests if any(part in test.id() for part in selected)]
        if not tests:
            print(f"Python {version}, {file}: not there")
            continue
        left = [test for test in tests if any(part in test.id() for part in LEFT_OUT)]
        suite = unittest.TestSuite(test for test in tests if test not in left)
        everything.update(name_of(test) for test in suite)
        result = run(suite, selected)
        failed = failures(result)
        for name in sorted(failed - set(EXPECTED)):
            # Some of these tests measure times: as CPython's own runner does, another run decides.
            again = [test for class_ in {type(test) for test in tests} for test in load(class_) if name_of(test) == name]
            if again and not failures(run(unittest.TestSuite(again), selected)):
                failed.remove(name)
                print(f"Python {version}, {file}: passed when it was run again: {name}")
        passed = result.testsRun - len(failed) - len(result.skipped)
        print(
            f"Python {version}, {file}: {passed} passed, {len(failed)} failed, "
            f"{len(result.skipped)} skipped, {len(left)} left out",
            flush=True,
        )
        surprises += [(name, "failed") for name in sorted(failed - set(EXPECTED))]
        surprises += [(name, "passed") for name in sorted(everything & set(EXPECTED) - failed) if name in map(name_of, tests)]
    for name, what in surprises:
        print("unexpected:", name, what)
    return 1 if surprises else 0


def run(suite, selected):
    # What a test prints is shown if it fails.
    return unittest.TextTestRunner(verbosity=2 if selected else 1, buffer=True).run(suite)


def failures(result):
    return {name_of(getattr(test, "test_case", test)) for test, _ in result.failures + result.errors}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
