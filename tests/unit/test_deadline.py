"""Which folds may start, by a clock that only moves when told to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from covid_core.training.campaign import Task
from covid_core.training.deadline import Deadline

FOLD = SimpleNamespace(round=1, fold=1)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def run(deadline, clock, tasks):
    """Models that were admitted; each task is (model, seconds that it takes)."""
    times = dict(enumerate(tasks))
    admitted = []
    for task in deadline.admitted(Task(model, SimpleNamespace(index=index)) for index, (model, _) in times.items()):
        admitted.append(task.model)
        clock.now += times[task.fold.index][1]
    return admitted


def test_without_a_limit_everything_starts(clock):
    deadline = Deadline(clock=clock)
    assert run(deadline, clock, [("A", 1e9), ("B", 1e9)]) == ["A", "B"]
    assert not deadline.passed()


def test_a_network_that_nobody_timed_starts_while_half_of_the_limit_is_left(clock):
    assert run(Deadline(100, clock=clock), clock, [("A", 50), ("B", 1), ("C", 1)]) == ["A", "B"]


def test_folds_of_this_run_tell_how_long_the_next_takes(clock):
    assert run(Deadline(100, clock=clock), clock, [("A", 30)] * 5) == ["A"] * 3
    # the last one counts: the first compiles
    assert run(Deadline(100, clock=clock), clock, [("A", 45), ("A", 20), ("A", 20), ("A", 20)]) == ["A"] * 3


def test_earlier_runs_tell_how_long_the_first_takes(clock):
    known = {"slow": 90.0, "fast": 10.0}
    deadline = Deadline(100, lambda task: known.get(task.model), clock=clock)
    assert run(deadline, clock, [("slow", 80), ("slow", 80), ("fast", 10), ("fast", 5), ("fast", 5)]) == [
        *("slow", "fast", "fast", "fast")
    ]


def test_the_limit_counts_from_when_the_run_began(clock):
    deadline = Deadline(100, began=clock.now - 60, clock=clock)
    assert run(deadline, clock, [("A", 1)]) == []
    clock.now += 39
    assert not deadline.passed()
    clock.now += 1
    assert deadline.passed()
