"""Repeated, stratified k-fold cross-validation, by slice or by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from covid_core.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Fold:
    """One split of the data set.

    Args:
        round: Round of the repetition, from 1.
        fold: Fold in the round, from 1.
        train: int64 positions of the training slices, ascending.
        test: int64 positions of the test slices, ascending.
    """

    round: int
    fold: int
    train: np.ndarray
    test: np.ndarray


def repeated_folds(
    labels: np.ndarray, rounds: int = 10, folds: int = 5, seed: int = 0, groups: Sequence[str] | None = None
) -> Iterator[Fold]:
    """Folds of ``rounds`` independent cross-validations; the test sets of one round add up to the data set.

    Args:
        labels: int ``(N,)``, the classes to stratify by.
        rounds: Number of rounds; a round's folds do not depend on how many rounds follow.
        folds: Folds a round.
        seed: Root of the shuffling.
        groups: Patient of each slice; none then stands on both sides of a fold.

    Raises:
        DatasetError: A class has fewer slices, or fewer groups hold it, than there are folds.
    """
    # scikit-learn takes about a second to import, and pages that list data sets do not need it
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = np.asarray(labels)
    names = np.arange(len(labels)) if groups is None else np.asarray(groups)
    if len(names) != len(labels):
        raise DatasetError(f"Expected a patient for each of the {len(labels)} slices. Received: {len(names)} patients.")
    for label in np.unique(labels):
        members = len(np.unique(names[labels == label]))
        if members < folds:
            what = "slices" if groups is None else "patients"
            raise DatasetError(
                f"Expected at least {folds} {what} of each class for {folds} folds. "
                f"Received: {members} of class {label}. Use fewer folds or more data."
            )
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    for round_number in range(1, rounds + 1):
        state = int(np.random.SeedSequence([seed, round_number]).generate_state(1)[0])
        kfold = splitter(n_splits=folds, shuffle=True, random_state=state)
        parts = kfold.split(np.zeros(len(labels)), labels, None if groups is None else names)
        for number, (train, test) in enumerate(parts, start=1):
            yield Fold(round_number, number, np.sort(train), np.sort(test))
