"""Do files whose names follow each other look alike? Series of one patient are usually numbered through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from covid_core.data.audit.copies import Pairs

SHUFFLES = 199
"""Random orders that the order of names is compared with; none of them may give neighbours that look as alike."""

LEAST_GAIN = 0.05
"""Correlation by which neighbours have to be more alike than slices in random order, for the order to mean anything."""

STRANGERS = 0.95
"""Share of neighbours in random order that look less alike than what is taken for one patient."""


class Order(NamedTuple):
    """What the order of names says.

    Args:
        neighbours: Mean correlation of slices whose names follow each other, at 16 × 16 pixels; None where there are
            no such slices.
        shuffled: The same in random order.
        pairs: Those of them that look like one patient; empty where the order means nothing.
    """

    neighbours: float | None
    shuffled: float | None
    pairs: Pairs


def name_order(paths: Sequence[str], labels: np.ndarray, thumbnails: np.ndarray, seed: int = 0) -> Order:
    """Compare slices that follow each other by name with slices in random order, within each class.

    Numbers in names are read as numbers: slice 10 stands behind slice 9.

    Args:
        paths: Relative POSIX paths, ``N``.
        labels: int ``(N,)``, classes.
        thumbnails: uint8 ``(N, 16, 16)``.
        seed: Of the random orders.
    """
    vectors = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    classes = [
        np.array(sorted(np.flatnonzero(labels == label), key=lambda at: _natural(paths[at])))
        for label in np.unique(labels)
    ]
    first, second = _neighbours(classes)
    if not len(first):
        return Order(None, None, Pairs(first, second, np.zeros(0)))
    alike = _correlation(vectors, first, second)
    rng = np.random.default_rng(seed)
    shuffles = [_correlation(vectors, *_neighbours([rng.permutation(one) for one in classes])) for _ in range(SHUFFLES)]
    means = np.array([one.mean() for one in shuffles])
    in_order = alike.mean() > max(means.max(), means.mean() + LEAST_GAIN)
    limit = float(np.quantile(np.concatenate(shuffles), STRANGERS)) if in_order else np.inf
    pairs = Pairs(np.minimum(first, second), np.maximum(first, second), alike.astype(np.float64))
    return Order(float(alike.mean()), float(means.mean()), pairs.at_least(limit))


def _neighbours(classes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    first = np.concatenate([one[:-1] for one in classes]).astype(np.int64)
    return first, np.concatenate([one[1:] for one in classes]).astype(np.int64)


def _correlation(vectors: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", vectors[first], vectors[second])


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"([0-9]+)", name)]
