"""Conditions, events and barriers: lost wake-ups, notifications that come too early, too few or to the wrong waiter."""

import threading


def run(*targets):
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fails_notify_before_wait():
    ready = threading.Condition()

    def wait():
        with ready:
            ready.wait()

    def notify():
        with ready:
            ready.notify()

    run(wait, notify)


def holds_notify_before_wait():
    ready, state = threading.Condition(), []

    def wait():
        with ready:
            while not state:
                ready.wait()

    def notify():
        with ready:
            state.append(1)
            ready.notify()

    run(wait, notify)


def fails_state_set_outside_the_lock():
    ready, state = threading.Condition(), [False]

    def wait():
        if not state[0]:
            with ready:
                ready.wait()

    def notify():
        state[0] = True
        with ready:
            ready.notify()

    run(wait, notify)


def holds_wait_for():
    ready, state = threading.Condition(), [False]

    def wait():
        with ready:
            ready.wait_for(lambda: state[0])

    def notify():
        with ready:
            state[0] = True
            ready.notify()

    run(wait, notify)


def fails_if_instead_of_while():
    ready, items, got = threading.Condition(), [], []

    def consume():
        with ready:
            if not items:
                ready.wait()
            got.append(items.pop())

    def produce():
        with ready:
            items.append(1)
            ready.notify_all()

    def steal():
        with ready:
            if items:
                items.pop()

    run(consume, produce, steal)


def holds_while_instead_of_if():
    ready, items, got = threading.Condition(), [], []

    def consume():
        with ready:
            while not items:
                ready.wait()
            got.append(items.pop())

    def produce():
        with ready:
            items.extend((1, 2))
            ready.notify_all()

    def steal():
        with ready:
            if items:
                items.pop()

    run(consume, produce, steal)
    assert got


def fails_notify_one_of_two():
    ready, state = threading.Condition(), []

    def wait():
        with ready:
            while not state:
                ready.wait()

    def notify():
        with ready:
            state.append(1)
            ready.notify()

    run(wait, wait, notify)


def holds_notify_all():
    ready, state = threading.Condition(), []

    def wait():
        with ready:
            while not state:
                ready.wait()

    def notify():
        with ready:
            state.append(1)
            ready.notify_all()

    run(wait, wait, notify)


class Slot:
    """A buffer of one item with one condition for producers and consumers."""

    def __init__(self, everybody):
        self.changed, self.item, self.everybody = threading.Condition(), None, everybody

    def _notify(self):
        if self.everybody:
            self.changed.notify_all()
        else:
            self.changed.notify()

    def put(self, item):
        with self.changed:
            while self.item is not None:
                self.changed.wait()
            self.item = item
            self._notify()

    def get(self):
        with self.changed:
            while self.item is None:
                self.changed.wait()
            item, self.item = self.item, None
            self._notify()
            return item


def use_slot(everybody):
    slot = Slot(everybody)

    def produce():
        slot.put(1)
        slot.put(2)

    run(slot.get, slot.get, produce)


def fails_wrong_waiter_notified():
    use_slot(False)


def holds_every_waiter_notified():
    use_slot(True)


def fails_notify_without_lock():
    ready, started = threading.Condition(), []

    def notify():
        started.append(1)
        ready.notify()

    run(notify)


def holds_notify_with_lock():
    ready = threading.Condition()

    def notify():
        with ready:
            ready.notify()

    run(notify)


def fails_timed_wait_taken_for_success():
    ready, state, seen = threading.Condition(), [], []

    def wait():
        with ready:
            if not state:
                ready.wait(timeout=5)
            seen.append(state[0])

    def notify():
        with ready:
            state.append(1)
            ready.notify()

    run(wait, notify)


def holds_timed_wait_checked():
    ready, state, seen = threading.Condition(), [], []

    def wait():
        with ready:
            if ready.wait_for(lambda: state, timeout=5):
                seen.append(state[0])

    def notify():
        with ready:
            state.append(1)
            ready.notify()

    run(wait, notify)


def fails_event_cleared_after_set():
    go = threading.Event()
    state = [False]

    def wait():
        if not state[0]:
            go.clear()
            go.wait()

    def start():
        state[0] = True
        go.set()

    run(wait, start)


def holds_event_cleared_before():
    go = threading.Event()
    state = [False]

    def wait():
        go.wait()
        assert state[0]

    def start():
        state[0] = True
        go.set()

    run(wait, start)


def fails_event_set_too_early():
    done, result = threading.Event(), []

    def compute():
        done.set()
        result.append(1)

    def use():
        done.wait()
        assert result

    run(compute, use)


def holds_event_set_last():
    done, result = threading.Event(), []

    def compute():
        result.append(1)
        done.set()

    def use():
        done.wait()
        assert result

    run(compute, use)


def fails_event_is_set():
    stop, work = threading.Event(), []

    def loop():
        if not stop.is_set():
            assert not work

    def end():
        work.append(1)
        stop.set()

    run(loop, end)


def holds_event_is_set():
    stop, work = threading.Event(), []

    def loop():
        if stop.is_set():
            assert work

    def end():
        work.append(1)
        stop.set()

    run(loop, end)


def fails_event_wait_times_out():
    ready, value = threading.Event(), {}

    def load():
        value["x"] = 1
        ready.set()

    def use():
        ready.wait(0.5)
        assert value["x"] == 1

    run(load, use)


def holds_event_wait_checked():
    ready, value = threading.Event(), {}

    def load():
        value["x"] = 1
        ready.set()

    def use():
        if ready.wait(0.5):
            assert value["x"] == 1

    run(load, use)


def fails_two_events_crosswise():
    left, right = threading.Event(), threading.Event()

    def one():
        left.wait()
        right.set()

    def two():
        right.wait()
        left.set()

    run(one, two)


def holds_two_events_in_turn():
    left, right = threading.Event(), threading.Event()

    def one():
        left.set()
        right.wait()

    def two():
        left.wait()
        right.set()

    run(one, two)


def fails_barrier_of_too_many():
    barrier = threading.Barrier(3)
    run(barrier.wait, barrier.wait)


def holds_barrier():
    barrier, ready = threading.Barrier(2), []

    def work():
        ready.append(1)
        barrier.wait()
        assert len(ready) == 2

    run(work, work)


def fails_work_before_barrier():
    barrier, parts = threading.Barrier(2), {}

    def work(name, other):
        parts[name] = 1
        assert other in parts
        barrier.wait()

    run(lambda: work("a", "b"), lambda: work("b", "a"))


def holds_work_after_barrier():
    barrier, parts = threading.Barrier(2), {}

    def work(name, other):
        parts[name] = 1
        barrier.wait()
        assert other in parts

    run(lambda: work("a", "b"), lambda: work("b", "a"))


def fails_barrier_that_times_out():
    barrier = threading.Barrier(2, timeout=1)
    run(barrier.wait, barrier.wait)


def holds_broken_barrier_handled():
    barrier, broken = threading.Barrier(2, timeout=1), []

    def work():
        try:
            barrier.wait()
        except threading.BrokenBarrierError:
            broken.append(1)

    run(work, work)
    assert len(broken) in (0, 1, 2)


def fails_barrier_leader():
    barrier, totals = threading.Barrier(2), []
    parts = [0, 0]

    def work(index):
        if barrier.wait() == 0:
            totals.append(sum(parts))
        parts[index] = 1

    run(lambda: work(0), lambda: work(1))
    assert totals == [0]


def holds_barrier_leader():
    barrier, totals = threading.Barrier(2), []
    parts = [0, 0]

    def work(index):
        parts[index] = 1
        if barrier.wait() == 0:
            totals.append(sum(parts))

    run(lambda: work(0), lambda: work(1))
    assert totals == [2]


def fails_barrier_action():
    log = []
    barrier = threading.Barrier(2, action=lambda: log.append("both"))

    def work(name):
        barrier.wait()
        log.append(name)

    run(lambda: work("a"), lambda: work("b"))
    assert log == ["both", "a", "b"]


def holds_barrier_action():
    log = []
    barrier = threading.Barrier(2, action=lambda: log.append("both"))

    def work(name):
        barrier.wait()
        log.append(name)

    run(lambda: work("a"), lambda: work("b"))
    assert log[0] == "both"


def fails_hand_made_latch():
    count, done = [2], threading.Event()

    def work():
        count[0] -= 1
        if count[0] == 0:
            done.set()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    done.wait()


def holds_hand_made_latch():
    count, done, lock = [2], threading.Event(), threading.Lock()

    def work():
        with lock:
            count[0] -= 1
            last = count[0] == 0
        if last:
            done.set()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    done.wait()
