"""Groups of slices that stay together in a fold: where they come from, what identifies them, how well they fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covid_core.data.sources import Dataset, read_table
from covid_core.errors import DatasetError

ORIGINS = {"table": "from a table", "likeness": "of slices that look alike"}
"""Where groups come from that are no part of their data set, in words."""


@dataclass(frozen=True)
class Groups:
    """A group for each slice of a data set, beside the patients that the data set itself may name.

    Args:
        numbers: One for each slice, in the data set's order, counted from 0 in the order of first appearance: what a
            group is called makes no difference.
        origin: One of ``ORIGINS``.
    """

    numbers: tuple[int, ...]
    origin: str

    @classmethod
    def named(cls, names: Iterable[object], origin: str) -> Groups:
        """Groups by any names, one for each slice."""
        number: dict[object, int] = {}
        return cls(tuple(number.setdefault(name, len(number)) for name in names), origin)

    @property
    def count(self) -> int:
        """How many groups."""
        return len(set(self.numbers))

    def identity(self) -> dict[str, Any]:
        """Their part in an experiment's identity: where they come from, and which slices stand together."""
        digest = hashlib.sha256(json.dumps(self.numbers).encode()).hexdigest()
        return {"origin": self.origin, "digest": digest[:16]}


@dataclass(frozen=True)
class Agreement:
    """How well groups fit the truth.

    Args:
        precision: Share of the pairs in one group that are pairs of one patient; 1 where no pair is grouped.
        recall: Share of the pairs of one patient that are in one group; 1 where no patient has a pair.
        f1: Their harmonic mean.
        rand: Adjusted Rand index (Hubert and Arabie 1985): 0 for chance, 1 for the truth.
    """

    precision: float
    recall: float
    f1: float
    rand: float


def agreement(truth: Sequence, groups: Sequence) -> Agreement:
    """Compare two groupings of the same slices.

    Args:
        truth: Patient of each slice.
        groups: Group of each slice.

    Raises:
        ValueError: They are not equally long.
    """
    from sklearn.metrics import adjusted_rand_score  # takes a second to import
    from sklearn.metrics.cluster import pair_confusion_matrix

    if len(truth) != len(groups):
        raise ValueError(f"Expected a group for each of {len(truth)} slices. Received: {len(groups)} groups.")
    (_, false), (missed, true) = pair_confusion_matrix(truth, groups).astype(float).tolist()
    precision = true / (true + false) if true + false else 1.0
    recall = true / (true + missed) if true + missed else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Agreement(precision, recall, f1, float(adjusted_rand_score(truth, groups)))


def patients_of_table(table: str | Path, dataset: Dataset) -> tuple[str, ...]:
    """Patient of each slice of a data set, by a CSV file with the columns ``path`` and ``patient``.

    Rows of other slices are welcome: one table may serve a data set and its parts.

    Raises:
        DatasetError: The table cannot be read, leaves a slice out, or gives it to two patients.
    """
    table = Path(table)
    patients: dict[str, str] = {}
    for number, row in read_table(table, ("path", "patient")):
        if patients.setdefault(row["path"], row["patient"]) != row["patient"]:
            raise DatasetError(
                f"Expected one patient for each slice in {table.name}. Received: {row['path']!r} with "
                f"{patients[row['path']]!r} and, in line {number}, with {row['patient']!r}."
            )
    missing = [path for path in dataset.paths if path not in patients]
    if missing:
        raise DatasetError(
            f"Expected a patient for every slice of {dataset.name} in {table.name}. Received: none for "
            f"{len(missing)} of {len(dataset)}, first {missing[0]!r}."
        )
    return tuple(patients[path] for path in dataset.paths)
