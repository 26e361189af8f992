"""Which folds may start, by a clock that only moves when told to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from covid_core.training.deadline import Deadline
from covid_core.training.tasks import Outcome, Task


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


DONE, FAILED = (Outcome(SimpleNamespace(status=status)) for status in ("done", "failed"))


def run(deadline, clock, tasks, outcome=DONE):
    """Models that were admitted; each task is (model, seconds that it takes)."""
    admitted = []
    for number, (model, seconds) in enumerate(tasks, start=1):
        task = Task(model, SimpleNamespace(round=1, fold=number))
        if deadline.admits(task):
            admitted.append(model)
            clock.now += seconds
            deadline.finished(task, outcome)
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


def test_a_fold_that_failed_at_once_does_not_tell_that_the_next_is_quick(clock):
    assert run(Deadline(100, clock=clock), clock, [("A", 1), ("A", 60), ("A", 1)], FAILED) == ["A", "A"]


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
