"""Random schedules: after how many instructions another thread runs, and which.

Most races need one or two preemptions, at exactly the right instruction. `sequence` therefore first tries every instruction of every thread as
the place of the one preemption, in random order, and mixes in schedules with more of them.
"""

import math

from .runtime import LONGEST_RUN

EARLY_TIMEOUTS = 6
"""The number of timeouts of a task in an execution that may come while other tasks could run."""


class Schedule:
    """What all schedules share: when a timeout may come early."""

    def __init__(self, random, early=0.0):
        self.random, self.early = random, early
        self.timeouts = {}

    def begin(self, execution):
        pass

    def ended(self, execution):
        pass

    def candidates(self, ready, timed):
        """Returns the tasks that may run: those that are ready, and those whose wait times out now."""
        if not ready:
            return timed if self.early else [min(timed, key=lambda task: task.deadline)]
        early = [task for task in timed if self.random.random() < self.early and self.timeouts.get(task, 0) < EARLY_TIMEOUTS]
        for task in early:
            self.timeouts[task] = self.timeouts.get(task, 0) + 1
        return ready + early


class RandomWalk(Schedule):
    """Before each instruction, passes control on with probability `switching`, to any task."""

    def __init__(self, random, switching, early=0.0):
        super().__init__(random, early)
        self.switching = switching

    def choose(self, execution, ready, timed, yields):
        budget = 1 + int(math.log(1.0 - self.random.random()) / math.log(1.0 - self.switching))
        return self.random.choice(self.candidates(ready, timed)), budget


class Priorities(Schedule):
    """Runs the ready task of the highest priority. A task falls to the lowest at its change points, which count its own instructions.

    From the first change point on, control passes before each of the next `window` instructions to a random task.
    """

    def __init__(self, random, points, window=0, early=0.0, first=None):
        super().__init__(random, early)
        self.points = {number: sorted(at) for number, at in points.items()}
        self.window, self.first = window, first
        self.priorities, self.lowest, self.in_window = {}, 0.0, 0

    def _priority(self, task):
        if task.number not in self.priorities:
            self.priorities[task.number] = 2.0 if task.number == self.first else self.random.random() + 0.1
        return self.priorities[task.number]

    def _demote(self, task):
        self.lowest -= 1.0
        self.priorities[task.number] = self.lowest

    def choose(self, execution, ready, timed, yields):
        candidates = self.candidates(ready, timed)
        current = execution.current
        if current in ready:
            at = self.points.get(current.number)
            if at and current.steps >= at[0]:
                at.pop(0)
                self.in_window = self.window
                self._demote(current)
            elif yields or current.steps and execution.decisions and execution.decisions[-1][1] == LONGEST_RUN:
                self._demote(current)
        if self.in_window > 0:
            self.in_window -= 1
            return self.random.choice(candidates), 1
        chosen = max(candidates, key=self._priority)
        at = self.points.get(chosen.number)
        return chosen, at[0] - chosen.steps if at else LONGEST_RUN


class Replay(Schedule):
    """The decisions of an earlier execution."""

    def __init__(self, decisions):
        self.decisions = iter(decisions)

    def choose(self, execution, ready, timed, yields):
        number, budget = next(self.decisions)
        [task] = [task for task in ready + timed if task.number == number]
        return task, budget


class Lengths:
    """The largest number of instructions that each task was seen to execute."""

    def __init__(self):
        self.of = {}

    def learn(self, execution):
        for task in execution.tasks:
            self.of[task.number] = max(self.of.get(task.number, 1), task.steps)

    def anywhere(self, random):
        """Returns a random instruction of a random task. The main task matters less, since much of it runs alone."""
        weights = [1 if number == 0 else 3 for number in self.of]
        [number] = random.choices(list(self.of), weights)
        return number, random.randint(1, self.of[number])


def sequence(random, lengths, times_out):
    """Yields schedules without end. `lengths` learns from their executions; `times_out` says whether the program has timed waits."""
    yield Priorities(random, {}, first=0)
    yield Priorities(random, {})
    sweep, swept = [], {}
    while True:
        early = random.choice([0.0, 0.5, 1.0]) if times_out() else 0.0
        if not sweep:
            swept.clear()
        for number, length in lengths.of.items():
            new = [(number, at) for at in range(swept.get(number, 0) + 1, length + 1)]
            swept[number] = max(length, swept.get(number, 0))
            for one in new:
                sweep.insert(random.randint(0, len(sweep)), one)
        kind = random.random()
        if kind < 0.55 and sweep:
            number, at = sweep.pop()
            # The task of the preemption runs first, so that it gets there.
            yield Priorities(random, {number: [at]}, early=early, first=number if random.random() < 0.7 else None)
        elif kind < 0.75:
            points = {}
            for _ in range(random.choice([2, 2, 3])):
                number, at = lengths.anywhere(random)
                points.setdefault(number, []).append(at)
            yield Priorities(random, points, early=early)
        elif kind < 0.9:
            number, at = lengths.anywhere(random)
            yield Priorities(random, {number: [at]}, window=random.choice([4, 10, 30, 100]), early=early, first=number)
        else:
            yield RandomWalk(random, random.choice([0.01, 0.05, 0.2, 0.5]), early=early)
