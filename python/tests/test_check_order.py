"""`raddle.check` on sets of objects, whose order depends on addresses unless their class has a hash of its own."""

import queue
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from programs import explores

import raddle

pytestmark = explores


class Plain:
    pass


class Named:
    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return self.name == other.name


def found_of(program):
    """What is found of a program, each execution of which creates objects at other addresses."""
    before, count = [], iter(range(10**6))

    def moved():
        before.append([Plain() for _ in range(next(count) % 7)])
        thread = threading.Thread(target=int)
        thread.start()
        program()
        thread.join()

    return raddle.outcome_of(moved, strategy="dpor")


@pytest.mark.parametrize(
    "create",
    [
        lambda: threading.Lock(),
        lambda: threading.RLock(),
        lambda: threading.Condition(),
        lambda: threading.Event(),
        lambda: threading.Semaphore(),
        lambda: threading.BoundedSemaphore(),
        lambda: threading.Thread(),
        lambda: queue.Queue(),
        lambda: queue.SimpleQueue(),
        lambda: Future(),
        lambda: ThreadPoolExecutor(1),
    ],
)
def test_sets_of_objects_of_the_toolkit_have_one_order(create):
    orders = set()

    def program():
        objects = [create() for _ in range(6)]
        orders.add(tuple(objects.index(item) for item in set(objects)))

    found = found_of(program)
    assert isinstance(found, raddle.Exhausted), found
    assert len(orders) == 1


def test_objects_of_several_threads_have_hashes_that_do_not_depend_on_the_schedule():
    hashes = set()

    def program():
        created = [None, None]

        def create(number):
            created[number] = threading.Lock()

        threads = [threading.Thread(target=create, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        hashes.add(tuple(map(hash, created)))

    assert isinstance(raddle.outcome_of(program, strategy="depth"), raddle.Exhausted)
    assert len(hashes) == 1 and len(set(*hashes)) == 2


def loop(items):
    for _ in items:
        pass


@pytest.mark.parametrize(
    "iterate",
    [
        loop,
        lambda items: list(items),
        lambda items: [*items],
        lambda items: (lambda *all: None)(*items),
        lambda items: [].extend(items),
        lambda items: {item: 0 for item in items},
        lambda items: next(iter(items)),
        lambda items: items.pop(),
        lambda items: sorted(items, key=lambda item: 0),
        lambda items: list(enumerate(items)),
        lambda items: list(zip(items, items)),
        lambda items: list(map(type, items)),
        lambda items: loop({(item, 1) for item in items}),
        lambda items: loop(frozenset(items)),
        lambda items: loop(weakref.WeakSet(items)),
        lambda items: loop({item.__repr__ for item in items} | {item.__str__ for item in items}),
    ],
)
def test_order_of_a_set_of_other_objects_makes_a_check_inconclusive(iterate):
    found = found_of(lambda: iterate({Plain(), Plain(), Plain()}))
    assert isinstance(found, raddle.Inconclusive), found
    assert "the order of a set of objects of the class Plain" in found.reason or "method" in found.reason, found.reason


def test_order_by_addresses_makes_a_check_inconclusive():
    def program():
        locks = [threading.Lock(), threading.Lock()]
        for lock in sorted(locks, key=id):
            with lock:
                pass

    found = found_of(program)
    assert isinstance(found, raddle.Inconclusive) and "by id()" in found.reason, found


@pytest.mark.parametrize(
    "use",
    [
        lambda: loop({1, 2, "text", None, (3, 4)}),
        lambda: loop({Named("a"), Named("b")}),
        lambda: loop({Plain()}),
        lambda: loop({Plain, Named, int}),
        lambda: len({Plain(), Plain()}),
        lambda: {Plain(), Plain()}.update({Plain()}),
        lambda: Plain() in {Plain(), Plain()},
        lambda: loop({Plain(): 1, Plain(): 2}),
        lambda: sorted([2, 1], key=abs),
    ],
)
def test_sets_whose_order_does_not_matter_or_is_known_do_not_make_a_check_inconclusive(use):
    assert isinstance(found_of(use), raddle.Exhausted)
