"""When a run has to end: which folds may still start, and when one in flight is stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from covid_core.training.tasks import Outcome, Task


class Deadline:
    """A time limit of one run.

    Args:
        seconds: From ``began`` on; infinite for no limit.
        expected: Seconds that a fold takes by earlier runs, None where unknown.
        began: When the run began, on ``clock``; by default now.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        expected: Callable[[Task], float | None] = lambda task: None,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._seconds = seconds
        self._expected = expected
        self._clock = clock
        self._end = (clock() if began is None else began) + seconds
        self._began: dict[tuple[str, int, int], float] = {}
        self._taken: dict[str, float] = {}

    def passed(self) -> bool:
        """Whether the time is up: asked between batches by whatever trains a fold."""
        return self._clock() >= self._end

    def admits(self, task: Task) -> bool:
        """Whether a fold may start; if so, its time runs from now.

        A fold takes as long as the last one of its network that this run has finished, with everything around it;
        before the first, as long as ``expected`` says. Of a network that nobody has timed, a fold starts while half
        of the limit is left.
        """
        expected = self._taken.get(task.model) or self._expected(task)
        if self._end - self._clock() < (self._seconds / 2 if expected is None else expected):
            return False
        self._began[task.key] = self._clock()
        return True

    def finished(self, task: Task, outcome: Outcome) -> None:
        """A fold that was admitted is stored; one that failed tells nothing of the next."""
        seconds = self._clock() - self._began.pop(task.key)
        if outcome.result.status == "done":
            self._taken[task.model] = seconds
