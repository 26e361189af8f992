"""How often each test calls one of two equally good learners better: what ``benchmarks.false_positives`` measured."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from covid_core.errors import StoreError

FILE = "false-positives.json"

TESTS = {
    "uncorrected": "Paired t-test over folds",
    "corrected": "Corrected resampled t-test",
    "bayesian": "Bayesian t-test, 95 %",
    "mcnemar": "McNemar, mid-p, one round",
}
"""Tests with their names for people."""

INTERVALS = {
    "t": "Student t over folds",
    "corrected": "Corrected for shared slices",
    "rounds": "Student t over round means",
    "groups": "Bootstrap of the predictions",
}
"""Intervals of one learner's score, as ``intervals.METHODS`` knows them."""


@dataclass(frozen=True)
class Rate:
    """A share of data sets.

    Args:
        kind: ``"test"``: that called a difference where none is; ``"interval"``: whose 95 % interval held the truth.
        what: One of ``TESTS`` or ``INTERVALS``.
        learner: Name of the learner.
        metric: One of ``metrics.METRICS``.
        rounds: Rounds of cross-validation.
        hits: Data sets of that share.
        datasets: All of them.
    """

    kind: str
    what: str
    learner: str
    metric: str
    rounds: int
    hits: int
    datasets: int

    @property
    def share(self) -> float:
        """In 0-1."""
        return self.hits / self.datasets

    @property
    def error(self) -> float:
        """Monte-Carlo standard error of the share."""
        return math.sqrt(self.share * (1 - self.share) / self.datasets)


@dataclass(frozen=True)
class Measured:
    """All rates of one run and how they came about.

    Args:
        rates: The shares.
        provenance: Command, versions, time, sizes: texts and numbers, for people.
    """

    rates: tuple[Rate, ...]
    provenance: dict[str, str | int | float]


def write_rates(file: Path, measured: Measured) -> None:
    """Write a run as JSON, whole or not at all."""
    part = file.with_name(f"{file.name}.part")
    content = {"provenance": measured.provenance, "rates": [asdict(rate) for rate in measured.rates]}
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(file)


def read_rates(results_folder: Path | str) -> Measured | None:
    """What was measured, or None where nothing was.

    Args:
        results_folder: Holds ``FILE``, or not.

    Raises:
        StoreError: The file is there and is no such table.
    """
    file = Path(results_folder) / FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        rates = tuple(Rate(**{field.name: row[field.name] for field in fields(Rate)}) for row in content["rates"])
        provenance = dict(content["provenance"])
        if not rates or not all(0 <= rate.hits <= rate.datasets and rate.datasets > 0 for rate in rates):
            raise ValueError("a share outside 0-1")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"Expected the rates that `python -m benchmarks.false_positives` writes at {file}. They cannot be read: "
            f"{type(error).__name__}, {error}. Run it again."
        ) from error
    return Measured(rates, provenance)
