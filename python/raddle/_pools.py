"""Pools under `raddle.check`: those that exist already, and the end of those that a program does not shut down."""

import threading

from raddle import futures

#: Classes whose objects exist already, or are created by the program.
CLASSES = (futures.ThreadPoolExecutor.__base__, futures.ThreadPoolExecutor)


def _initializer_of(pool):
    if hasattr(pool, "_initializer"):
        return pool._initializer, pool._initargs
    context = pool._create_worker_context()  # since 3.14
    return context.initializer, context.initargs


def like(pool):
    """Return what stands for a pool in this execution: the pool itself if the execution has created it."""
    if getattr(pool, "_number", None) is not None:
        return pool
    stand_in = futures.ThreadPoolExecutor(pool._max_workers, pool._thread_name_prefix, *_initializer_of(pool))
    if pool._shutdown:
        stand_in.shutdown(wait=False)
    return stand_in


def begin_execution():
    futures._tasks_of_check.clear()
    futures._threads_of_check.clear()


def run(program):
    """Call the function that is checked, and end its pools as the interpreter would end them."""
    program()
    pools = [tasks for tasks in futures._tasks_of_check if not tasks.is_shut_down()]
    if not pools:
        return
    # Threads that may still submit a call end first, and so do the calls that have been submitted.
    workers = {id(thread) for thread in futures._threads_of_check}
    for thread in list(threading._active.values()):
        if not thread.daemon and thread is not threading._main_thread and id(thread) not in workers:
            thread.join()
    for tasks in pools:
        tasks.wait_until_idle()
    for tasks in pools:
        tasks.shutdown()
