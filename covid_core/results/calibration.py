"""Whether a network's probabilities mean what they say: of the slices with 0.8, are eight in ten positive?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from covid_core.results.clusters import grouped_share
from covid_core.results.intervals import LEVEL, Interval
from covid_core.results.resampling import DRAWS, averaged

BINS = 10
CHANCE_DRAWS = 200
ALIKE = 50


@dataclass(frozen=True)
class Alike:
    """What was so where a network said nearly the same.

    Args:
        lowest: Of the probabilities looked at, and ...
        highest: ... the highest.
        slices: How many they are.
        positives: How many of them are positive.
        share: The share of positive ones with its interval, as ``clusters.grouped_share`` gives it.
    """

    lowest: float
    highest: float
    slices: int
    positives: int
    share: Interval


def alike_answers(answers: pd.DataFrame, probability: float, slices: int = ALIKE, level: float = LEVEL) -> Alike:
    """The slices whose probability was nearest to a given one, and how many of them were positive.

    Args:
        answers: As for ``reliability``, at least one row.
        probability: Of the positive class, 0-1.
        slices: How many to look at; more where several are as near as the last, fewer where there are no more.
        level: Confidence level.
    """
    said = answers["probability"].to_numpy(np.float64)
    distance = np.abs(said - probability)
    farthest = np.sort(distance)[min(slices, len(distance)) - 1]
    near = answers[distance <= farthest]
    of_group = near.groupby("group")["label"]
    share = grouped_share(of_group.sum().to_numpy(), of_group.size().to_numpy(), level)
    lowest, highest = near["probability"].min(), near["probability"].max()
    positives = int(near["label"].sum())
    return Alike(float(lowest), float(highest), len(near), positives, Interval(*map(float, share)))


def reliability(answers: pd.DataFrame, bins: int = BINS, level: float = LEVEL) -> pd.DataFrame:
    """What is said beside what is so, over bins of about as many predictions each, all folds pooled.

    Args:
        answers: Columns ``label``, ``probability`` and ``group``, see ``resampling.averaged``.
        bins: How many; fewer come back where one probability fills several of them.
        level: Confidence level.

    Returns:
        One row a bin, by rising probability: ``predicted`` (mean probability), ``observed`` (share of positive
        slices) with ``low`` and ``high`` as ``clusters.grouped_share`` gives them, ``slices``.
    """
    number = _bins(answers["probability"].to_numpy(), bins)
    rows = []
    for _, part in answers.groupby(number):
        of_group = part.groupby("group")["label"]
        observed, low, high = grouped_share(of_group.sum().to_numpy(), of_group.size().to_numpy(), level)
        rows.append((part["probability"].mean(), float(observed), float(low), float(high), len(part)))
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "slices"])


def calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error: mean distance of what is said and what is so, bins weighted by their slices.

    Naeini, Cooper & Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015; here with
    bins of equal count.

    Args:
        table: As ``reliability`` gives it.
    """
    return float(np.average((table["predicted"] - table["observed"]).abs(), weights=table["slices"]))


def chance_error(probabilities: np.ndarray, bins: int = BINS, draws: int = CHANCE_DRAWS, seed: int = 0) -> float:
    """The calibration error that probabilities have on average if each is right, because slices are few.

    Args:
        probabilities: ``(n,)`` in 0-1.
        bins: As for ``reliability``.
        draws: How often labels are drawn from the probabilities.
        seed: Of the draws.
    """
    probabilities = np.clip(np.asarray(probabilities, np.float64), 0, 1)
    number = np.unique(_bins(probabilities, bins), return_inverse=True)[1]
    labels = np.random.default_rng(seed).random((draws, len(probabilities))) < probabilities
    apart = np.stack([np.bincount(number, weights=probabilities - drawn) for drawn in labels])
    return float(np.abs(apart).sum(axis=1).mean() / len(probabilities))


def brier(answers: pd.DataFrame, method: str, test_share: float = 0.2, draws: int = DRAWS) -> Interval:
    """Brier score: mean squared distance of probability and label, averaged over the folds; 0 is perfect.

    Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78, 1950, in the form
    with values from 0 to 1.

    Args:
        answers: As ``resampling.averaged`` takes them.
        method: As for ``resampling.averaged``.
        test_share: As for ``resampling.averaged``.
        draws: As for ``resampling.averaged``.
    """
    return Interval(*map(float, averaged(answers, _brier, method, test_share, draws)["brier"]))


def brier_of_prevalence(labels: np.ndarray) -> float:
    """Brier score of giving every slice the share of positive ones: what a score has to stay below."""
    share = float(np.mean(labels))
    return share * (1 - share)


def _brier(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    squares = (probabilities.astype(np.float64) - labels) ** 2
    total = weights.sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"brier": np.clip(weights @ squares / total, 0, 1)}


def _bins(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Number of each prediction's bin: scikit-learn's ``calibration_curve`` with ``strategy="quantile"``."""
    edges = np.quantile(probabilities, np.linspace(0, 1, bins + 1))
    return np.searchsorted(edges[1:-1], probabilities)
