"""Queues: what subclasses and users of the standard library's attributes find, and that no item is lost."""

import collections
import gc
import heapq
import os
import queue
import threading
import weakref

import pytest

import raddle
import raddle.queue

LIMIT = 60  # seconds after which a test has failed


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


@pytest.fixture(autouse=True)
def python_runs(request):
    """Fails a test whose threads still run at its end."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_names_are_those_of_the_standard_library():
    assert set(queue.__all__) <= set(raddle.queue.__all__)
    assert set(threading.__all__) <= set(dir(raddle.threading))
    assert raddle.queue.Empty is queue.Empty and raddle.queue.Full is queue.Full


@pytest.mark.parametrize("name", ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
def test_objects_have_the_attributes_of_the_standard_library(name):
    theirs, ours = getattr(queue, name)(), getattr(raddle.queue, name)()
    missing = {name for name in dir(theirs) if name[:2] != "__" and not hasattr(ours, name)}
    assert not missing


def test_subclass_with_its_own_arguments():
    class Named(raddle.Queue):
        def __init__(self, name, *, size):
            super().__init__(size)
            self.name = name

    named = Named("jobs", size=1)
    named.put(1)
    assert (named.name, named.maxsize, named.full(), named._kind) == ("jobs", 1, True, "fifo")


def test_subclass_that_orders_its_items():
    class Unique(raddle.Queue):
        def _init(self, maxsize):
            self.queue = set()

        def _put(self, item):
            self.queue.add(item)

        def _get(self):
            return self.queue.pop()

    unique = Unique()
    for item in (1, 1, 2):
        unique.put(item)
    assert unique.qsize() == 2
    assert {unique.get(), unique.get()} == {1, 2}


def test_hooks_of_a_mixin_are_used():
    class Reversed:
        def _get(self):
            return self.queue.pop()

    class Both(Reversed, raddle.Queue):
        pass

    both = Both()
    both.put(1)
    both.put(2)
    assert both.get() == 2


def test_subclass_of_a_lifo_queue_stays_lifo():
    class Stack(raddle.LifoQueue):
        pass

    stack = Stack()
    stack.put(1)
    stack.put(2)
    assert (stack._kind, stack.get()) == ("lifo", 2)


@pytest.mark.parametrize("kind", [raddle.Queue, raddle.LifoQueue, raddle.PriorityQueue])
def test_container_and_mutex_are_visible(kind):
    jobs = kind(3)
    expected = collections.deque() if kind is raddle.Queue else []
    for item in (2, 1, 3):
        jobs.put(item)
        heapq.heappush(expected, item) if kind is raddle.PriorityQueue else expected.append(item)
    jobs.get()
    jobs.put(2)
    with jobs.mutex:
        assert sorted(jobs.queue) == ([1, 2, 2] if kind is raddle.LifoQueue else [2, 2, 3] if kind is not raddle.Queue else [1, 2, 3])
    assert (jobs.qsize(), jobs.unfinished_tasks, jobs.full()) == (3, 4, True)
    for _ in range(4):
        jobs.task_done()
    jobs.join()


def test_order_is_kept_when_the_mutex_becomes_visible():
    for kind, expected in ((raddle.Queue, [1, 2, 3, 4]), (raddle.LifoQueue, [4, 3, 2, 1]), (raddle.PriorityQueue, [1, 2, 3, 4])):
        jobs = kind()
        for item in (1, 2, 3):
            jobs.put(item)
        assert list(jobs.queue) == [1, 2, 3]
        jobs.put(4)
        assert [jobs.get() for _ in range(4)] == expected


def test_tasks_that_are_done_in_advance_are_counted():
    jobs = raddle.Queue()
    for item in (1, 2):
        jobs.put(item)
    jobs.task_done()
    assert (len(jobs.queue), jobs.unfinished_tasks) == (2, 1)
    jobs.task_done()
    jobs.join()
    with pytest.raises(ValueError):
        jobs.task_done()


def test_threads_that_wait_continue_when_the_mutex_becomes_visible():
    jobs, got = raddle.Queue(1), raddle.SimpleQueue()
    getter = in_thread(lambda: got.put(jobs.get()))
    joined = raddle.Event()
    while not jobs.mutex:  # becomes visible, whether the getter waits already or not
        pass
    jobs.put("item")
    assert got.get(timeout=LIMIT) == "item"
    joiner = in_thread(lambda: (jobs.join(), joined.set()))
    jobs.task_done()
    assert joined.wait(LIMIT)
    getter.join(LIMIT)
    joiner.join(LIMIT)


def test_items_survive_the_moment_at_which_the_mutex_becomes_visible():
    for _ in range(50):
        jobs, taken = raddle.Queue(4), collections.Counter()

        def produce(first):
            for item in range(first, first + 50):
                jobs.put(item)

        def consume():
            for _ in range(50):
                taken[jobs.get()] += 1
                jobs.task_done()

        threads = [in_thread(produce, 0), in_thread(produce, 50), in_thread(consume), in_thread(consume)]
        jobs.not_empty  # becomes visible
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        jobs.join()
        assert sorted(taken.elements()) == list(range(100))


@pytest.mark.parametrize(
    ("items", "kind"),
    [
        ([3, 1, 2.5, True, -1], "priority"),
        (["b", "a", "\U0001f600", "\uffff", ""], "priority"),
        ([b"b", b"a", b""], "priority"),
        ([(2, "b", (1,)), (1, "z", (0,)), (1, "a", (5,))], "priority"),
        ([2**60 + 1, 2**60, 0], "general"),
        ([(1, None), (0, None)], "general"),
        ([1, (2,)][:1] + [0], "priority"),
        ([(1, 2), (1,), (0, 5, 7)], "general"),
        (["\ud800", "a"], "general"),
        ([[2], [1]], "general"),
    ],
)
def test_items_of_a_priority_queue_are_ordered_as_python_orders_them(items, kind):
    jobs = raddle.PriorityQueue()
    for item in items:
        jobs.put(item)
    assert ("mutex" in jobs.__dict__) == (kind == "general")
    got = [jobs.get() for _ in items]
    assert got == sorted(items) and {id(item) for item in got} == {id(item) for item in items}


def test_incomparable_items_are_refused_as_by_the_standard_library():
    for first, second in [(1, "a"), ((1, 2), (1, "a")), (object(), object())]:
        errors = []
        for kind in (raddle.PriorityQueue, queue.PriorityQueue):
            jobs = kind()
            jobs.put(first)
            with pytest.raises(TypeError) as error:
                jobs.put(second)
            errors.append(str(error.value))
            assert jobs.get() is first
        assert errors[0] == errors[1]


def test_comparison_may_use_the_queue_by_itself():
    """Python's comparison runs while no lock of the queue is held that its thread cannot acquire again."""
    seen = raddle.SimpleQueue()

    class Job:
        def __init__(self, rank):
            self.rank = rank

        def __lt__(self, other):
            in_thread(seen.put, 1).join(LIMIT)
            return self.rank < other.rank

    jobs = raddle.PriorityQueue()
    jobs.put(0)
    jobs.get()
    for rank in (2, 1):
        jobs.put(Job(rank))
    assert jobs.get().rank == 1 and not seen.empty()


def test_method_of_a_subclass_is_called_by_its_siblings():
    class Logged(raddle.Queue):
        def put(self, item, block=True, timeout=None):
            super().put((item, block), block, timeout)

        def get(self, block=True, timeout=None):
            return *super().get(block, timeout), block

    jobs = Logged()
    jobs.put_nowait(1)
    assert jobs.get_nowait() == (1, False, False)


@pytest.mark.parametrize("kind", [raddle.Queue, raddle.LifoQueue, raddle.PriorityQueue])
def test_higher_limit_admits_a_waiting_put(kind):
    jobs = kind(1)
    jobs.put(1)
    putter = in_thread(jobs.put, 2)
    jobs.maxsize = 0
    putter.join(LIMIT)
    assert not putter.is_alive() and jobs.qsize() == 2 and not jobs.full()
    assert "mutex" not in jobs.__dict__


def test_limit_can_be_assigned():
    jobs = raddle.Queue(1)
    jobs.put(1)
    jobs.maxsize = 2
    jobs.put(2, block=False)
    with pytest.raises(queue.Full):
        jobs.put(3, block=False)
    assert [jobs.get(), jobs.get()] == [1, 2]


@pytest.mark.parametrize("kind", [raddle.Queue, raddle.LifoQueue, raddle.PriorityQueue])
def test_shutdown(kind):
    jobs = kind()
    jobs.put(1)
    jobs.shutdown()
    assert jobs.is_shutdown
    with pytest.raises(raddle.queue.ShutDown):
        jobs.put(2)
    assert jobs.get() == 1
    with pytest.raises(raddle.queue.ShutDown):
        jobs.get()
    jobs.task_done()
    jobs.join()


@pytest.mark.parametrize("kind", [raddle.Queue, raddle.PriorityQueue])
def test_immediate_shutdown_ends_waits_and_counts_items_as_done(kind):
    jobs, errors = kind(1), raddle.SimpleQueue()

    def put():
        try:
            jobs.put(2)
        except raddle.queue.ShutDown as error:
            errors.put(error)

    jobs.put(1)
    putter = in_thread(put)
    jobs.shutdown(immediate=True)
    errors.get(timeout=LIMIT)
    jobs.join()
    assert jobs.empty()
    putter.join(LIMIT)


def test_items_are_released():
    class Item:
        pass

    for kind in (raddle.Queue, raddle.LifoQueue, raddle.SimpleQueue):
        item = Item()
        alive = weakref.ref(item)
        jobs = kind()
        jobs.put(item)
        del item
        gc.collect()
        assert alive() is not None
        del jobs
        gc.collect()
        assert alive() is None, kind


def test_destructor_can_put():
    """An item's destructor runs while another item is got, put or dropped by the queue."""
    finished = raddle.SimpleQueue()

    class Item:
        def __del__(self):
            finished.put(1)

    jobs = raddle.Queue()
    for _ in range(10):
        jobs.put(Item())
        jobs.get()
    jobs.put(Item())
    jobs.shutdown(immediate=True)
    gc.collect()
    assert finished.qsize() == 11


def test_wrong_arguments():
    jobs = raddle.Queue(1)
    with pytest.raises(ValueError):
        jobs.get(timeout=-1)
    with pytest.raises(ValueError):
        jobs.put(1, timeout=-1)
    with pytest.raises(ValueError):
        jobs.task_done()
    assert jobs.empty()
    assert raddle.Queue[int].__origin__ is raddle.Queue


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_child_of_a_fork_can_use_what_it_inherited():
    jobs, lock = raddle.Queue(), raddle.Lock()
    jobs.put("inherited")
    lock.acquire()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            lock._at_fork_reinit()
            thread = threading.Thread(target=lambda: jobs.put("new"))
            with lock:
                thread.start()
                got = [jobs.get(timeout=LIMIT), jobs.get(timeout=LIMIT)]
            thread.join()
            status = int(got != ["inherited", "new"])
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert not lock.acquire(blocking=False)
