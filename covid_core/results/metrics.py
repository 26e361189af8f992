"""Counts of a confusion matrix to the scores that the study reports."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

METRIC_LABELS = {
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
}
"""The five scores, in the order of columns and pickers, with their names for people."""

METRICS = tuple(METRIC_LABELS)

THRESHOLD = 0.5
"""A slice counts as positive from this probability on."""


def scores(tp: ArrayLike, fp: ArrayLike, tn: ArrayLike, fn: ArrayLike) -> dict[str, float | np.ndarray]:
    """The five scores of one confusion matrix, or of many at once.

    Zero denominators are decided here, once. A network that calls no slice positive although there are positives has
    earned precision 0 (scikit-learn's ``zero_division=0``). Where the test slices themselves leave nothing to measure,
    the score is NaN, which means skip: sensitivity without positives, specificity without negatives, precision and F1
    with no positive, true or called. Zero there would charge the network for a property of the split.

    Args:
        tp: True positives, an integer or an array.
        fp: False positives, of a shape that broadcasts with the others.
        tn: True negatives.
        fn: False negatives.

    Returns:
        One value in 0-1 or NaN for each name in ``METRICS``: floats for scalars, else float64 arrays.

    Raises:
        ValueError: A count is negative or not finite.
    """
    tp, fp, tn, fn = np.broadcast_arrays(*(np.asarray(count, dtype=np.float64) for count in (tp, fp, tn, fn)))
    for name, count in {"tp": tp, "fp": fp, "tn": tn, "fn": fn}.items():
        if not (np.isfinite(count) & (count >= 0)).all():
            raise ValueError(f"Expected counts of 0 or more. Received: {name}={count}. Count with metrics.counts().")
    values = {
        "accuracy": _ratio(tp + tn, tp + fp + tn + fn),
        "sensitivity": _ratio(tp, tp + fn),
        "specificity": _ratio(tn, tn + fp),
        "precision": np.where((tp + fp == 0) & (fn > 0), 0.0, _ratio(tp, tp + fp)),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }
    return {name: values[name] if tp.ndim else float(values[name]) for name in METRICS}


def counts(labels: ArrayLike, probabilities: ArrayLike, threshold: float = THRESHOLD) -> tuple[int, int, int, int]:
    """Confusion matrix of binary predictions.

    Args:
        labels: ``(N,)``, 1 for the positive class and 0 for every other.
        probabilities: ``(N,)`` in 0-1, of the positive class.
        threshold: A slice is called positive at this probability or above.

    Returns:
        ``(tp, fp, tn, fn)``.

    Raises:
        ValueError: Shapes differ, a label is neither 0 nor 1, or a probability is not in 0-1 (a network that diverged
            predicts NaN).
    """
    actual, probability = _checked(labels, probabilities)
    called = probability >= threshold
    return (
        int(np.sum(called & actual)),
        int(np.sum(called & ~actual)),
        int(np.sum(~called & ~actual)),
        int(np.sum(~called & actual)),
    )


def auc(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Area under the ROC curve.

    Args:
        labels: As for ``counts``.
        probabilities: As for ``counts``.

    Returns:
        A value in 0-1; NaN when one of the two classes is absent.

    Raises:
        ValueError: As for ``counts``.
    """
    # Takes a second to import, which pages that only read stored scores need not wait for.
    from sklearn.metrics import roc_auc_score

    actual, probability = _checked(labels, probabilities)
    if actual.all() or not actual.any():
        return float("nan")
    return float(roc_auc_score(actual, probability))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    label, probability = np.asarray(labels), np.asarray(probabilities)
    if label.ndim != 1 or label.shape != probability.shape:
        raise ValueError(
            f"Expected one label and one probability for each slice, both of shape (N,). "
            f"Received: labels {label.shape}, probabilities {probability.shape}."
        )
    if not np.isin(label, (0, 1)).all():
        raise ValueError(
            f"Expected labels 0 and 1. Received: {np.unique(label)[:10]}. Binarise them against the class."
        )
    # A float32 softmax may round to a hair above 1.
    if not ((probability >= 0) & (probability <= 1 + 1e-5)).all():
        raise ValueError(
            f"Expected probabilities in 0-1. Received: values from {probability.min()} to {probability.max()}. "
            "NaN means that training diverged: lower the learning rate."
        )
    return label == 1, probability
