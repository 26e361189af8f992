"""Which slices of a data set a trained network was kept from, and a fair sample of slices."""

from __future__ import annotations

import numpy as np

from covid_core.data.sources import Dataset
from covid_core.errors import StudyError
from covid_core.models.library import Card
from covid_core.results.store import ResultsStore


def held_out_slices(card: Card, dataset: Dataset, store: ResultsStore, otherwise: str = "") -> np.ndarray:
    """Positions of the test slices of a network's fold; it was trained on all others.

    Args:
        card: The network.
        dataset: The data set that it was trained on.
        store: Knows the predictions of the fold.
        otherwise: What else the user can do if it does not, for the message.

    Returns:
        int64 ``(n,)``, in the order of the predictions.

    Raises:
        StudyError: The store does not know the fold.
    """
    predictions = store.predictions(card.experiment, card.model)
    chosen = predictions[(predictions["round"] == card.round) & (predictions["fold"] == card.fold)]
    if chosen.empty:
        raise StudyError(
            f"Expected the test slices of round {card.round}, fold {card.fold} of {card.model} in the store, to tell "
            "them from what the network was trained on. Received: no predictions of experiment "
            f"{card.experiment}. Import them (python -m covid_core.results FOLDER){otherwise}."
        )
    position = {path: number for number, path in enumerate(dataset.paths)}
    return np.array([position[path] for path in chosen["slice"]], dtype=np.int64)


def stratified_sample(positions: np.ndarray, labels: np.ndarray, limit: int | None, seed: int) -> np.ndarray:
    """A random sample in which every class has its share.

    Args:
        positions: int64 ``(n,)`` to choose from.
        labels: int ``(N,)``, the class at each position of the data set.
        limit: How many; None or ``n`` and more for all.
        seed: Of the sample.

    Returns:
        int64, ascending.

    Raises:
        StudyError: The sample, or what it leaves, would have fewer slices than there are classes.
    """
    positions = np.sort(positions)
    if limit is None or limit >= len(positions):
        return positions
    from sklearn.model_selection import train_test_split  # takes a second to import

    classes = len(np.unique(labels[positions]))
    if limit < classes:
        raise StudyError(f"Expected a limit of one slice a class or more. Received: {limit}.")
    if len(positions) - limit < classes:
        raise StudyError(
            f"Expected a limit of at most {len(positions) - classes} of {len(positions)} slices. Received: {limit}. "
            "Take all of them, without a limit."
        )
    sample, _ = train_test_split(positions, train_size=limit, stratify=labels[positions], random_state=seed)
    return np.sort(sample)
