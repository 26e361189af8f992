"""What the printed ± can mean: the spread of folds that each reading needs, against the least that chance gives.

The paper prints a half-width for every mean and calls it a 95 % confidence interval. It states neither formula nor
spread of folds. A reading that multiplies the standard deviation of folds by a known factor can still be tested: test
folds of about 250 slices of a class differ by the draw of their slices alone. Were the network's error on every slice
fixed, a random partition into folds would give the binomial variance (the mean square between parts equals the one
within, as in the analysis of variance). Training adds to it, and so do slices of one patient in one fold, which err
together. A reading that needs much less spread than that does not fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import chdtr, chdtrc, stdtrit  # scipy.stats would take far longer to import

from covid_core.results.intervals import LEVEL, half_width
from covid_core.results.published import STUDY

JUDGED = {"sensitivity": 1252, "specificity": 1229}
"""The two scores that rest on slices of one class, and so on different slices, with their slices in the study's data
set as it is distributed; the other three follow from them."""

FITS, DOUBTFUL, EXCLUDED = "possible", "doubtful", "does not fit"

EXCLUDED_BELOW = 0.01
"""A reading is excluded where chance alone gives as little spread with a smaller probability than this."""

_FOLDS = STUDY.rounds * STUDY.folds
_NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Reading:
    """One thing that a printed ± may be.

    Args:
        name: For people.
        factor: Half-width over the standard deviation of the folds' scores.
        degrees: Degrees of freedom of that standard deviation where chance alone is at work, 0 where chance alone
            gives none: every round tests the same slices, so with fixed errors all round means are equal. None where
            the half-width follows from the mean alone.
        share: Expected variance of the sample over that of independent folds, where chance alone is at work.
    """

    name: str
    factor: float
    degrees: int | None
    share: float = 1.0


def readings() -> tuple[Reading, ...]:
    """What the paper's ± may be, from the smallest factor to the largest."""
    within = STUDY.rounds * (STUDY.folds - 1)  # nothing of the spread is between rounds
    all_folds = {"degrees": within, "share": within / (_FOLDS - 1)}
    found = [
        Reading("Student t over the 50 folds", float(half_width(1.0, _FOLDS, "t")), **all_folds),
        Reading("Corrected for shared slices, 50 folds", float(half_width(1.0, _FOLDS, "corrected")), **all_folds),
        # a round's mean of folds that scatter independently has a fifth of their variance
        Reading(
            "Student t over the 10 round means",
            float(stdtrit(STUDY.rounds - 1, (1 + LEVEL) / 2)) / math.sqrt(_FOLDS),
            0,
        ),
        Reading("Student t over 5 folds of one round", float(half_width(1.0, STUDY.folds, "t")), STUDY.folds - 1),
        Reading("One standard deviation of the 50 folds", 1.0, **all_folds),
        Reading("1.96 standard deviations of the 50 folds", _NORMAL, **all_folds),
        Reading("Binomial, all slices as one test set", _NORMAL / math.sqrt(STUDY.folds), None),
    ]
    return tuple(sorted(found, key=lambda reading: reading.factor))


def chance_deviation(score: np.ndarray, slices: float) -> np.ndarray:
    """Standard deviation of a share over test folds that chance in drawing their slices gives: binomial.

    Args:
        score: Sensitivity or specificity in 0-1, float or array.
        slices: Slices of that class in a test fold.
    """
    return np.sqrt(np.asarray(score) * (1 - np.asarray(score)) / slices)


def implied_spread(published: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The spread of folds that each reading needs of each network, beside the one of chance.

    Args:
        published: As ``published.published_rows`` gives them.
        metric: ``"sensitivity"`` or ``"specificity"``.

    Returns:
        One row a reading and network: ``reading``, ``model``, ``implied`` (standard deviation of the folds' scores),
        ``chance``, ``ratio`` (implied over chance).

    Raises:
        ValueError: Another metric.
    """
    if metric not in JUDGED:
        raise ValueError(f"Expected a metric out of {', '.join(JUDGED)}. Received: {metric!r}.")
    chance = chance_deviation(published[metric].to_numpy(), JUDGED[metric] / STUDY.folds)
    parts = []
    for reading in readings():
        part = pd.DataFrame({"reading": reading.name, "model": published["model"]})
        part["implied"], part["chance"] = published[f"{metric}_pm"] / reading.factor, chance
        parts.append(part.assign(ratio=part["implied"] / part["chance"]))
    return pd.concat(parts, ignore_index=True)


def fitting_readings(published: pd.DataFrame) -> pd.DataFrame:
    """Whether each reading fits the printed half-widths.

    Judged are the median networks of both metrics. Networks that were tested on the same folds share the luck of the
    draw, at worst all of it, so forty of them are taken as one: by chance alone, the squared ratio is distributed as
    ``share * chi2(degrees) / degrees``. The probabilities of ratios as low as the two medians, which rest on different
    slices, are joined by Fisher's method. A reading is excluded below ``EXCLUDED_BELOW``, and doubtful where chance
    alone would give more spread in most cases. The binomial reading needs a ratio of 1 from every network: it is
    excluded where one differs by more than the rounding to four digits.

    Args:
        published: As ``published.published_rows`` gives them.

    Returns:
        One row a reading: ``reading``; for each metric of ``JUDGED`` the medians ``<metric>_implied`` and
        ``<metric>_ratio`` with ``<metric>_ratio_low`` and ``<metric>_ratio_high`` (least and most);
        ``probability`` (as above, 1 where chance alone gives no spread, NaN for the binomial one) and ``verdict``
        (``FITS``, ``DOUBTFUL`` or ``EXCLUDED``).
    """
    spreads = {metric: implied_spread(published, metric) for metric in JUDGED}
    rows = []
    for reading in readings():
        row: dict[str, object] = {"reading": reading.name}
        parts = {metric: spread[spread["reading"] == reading.name] for metric, spread in spreads.items()}
        for metric, part in parts.items():
            row |= {
                f"{metric}_implied": part["implied"].median(),
                f"{metric}_ratio": part["ratio"].median(),
                f"{metric}_ratio_low": part["ratio"].min(),
                f"{metric}_ratio_high": part["ratio"].max(),
            }
        if reading.degrees is None:
            exact = all(_is_one(part, reading.factor) for part in parts.values())
            rows.append(row | {"probability": float("nan"), "verdict": FITS if exact else EXCLUDED})
            continue
        probability = _chance_of(reading, [part["ratio"].median() for part in parts.values()])
        verdict = EXCLUDED if probability < EXCLUDED_BELOW else DOUBTFUL if probability < 0.5 else FITS
        rows.append(row | {"probability": probability, "verdict": verdict})
    return pd.DataFrame(rows)


def measured_spread(folds: pd.DataFrame, metric: str, least: int = STUDY.folds) -> pd.DataFrame:
    """How far the folds of own networks really differ, beside chance.

    Args:
        folds: As ``ResultsStore.folds`` gives them.
        metric: ``"sensitivity"`` or ``"specificity"``.
        least: Networks with fewer folds are left out.

    Returns:
        One row an experiment and network: ``experiment``, ``model``, ``folds``, ``deviation``, ``chance``, ``ratio``;
        NaN where a network makes no errors, or nothing else: chance then gives no spread.

    Raises:
        ValueError: Another metric.
    """
    if metric not in JUDGED:
        raise ValueError(f"Expected a metric out of {', '.join(JUDGED)}. Received: {metric!r}.")
    cells = ["tp", "fn"] if metric == "sensitivity" else ["tn", "fp"]
    rows = []
    for (experiment, model), part in folds.groupby(["experiment", "model"], sort=False):
        if part[metric].count() < least:
            continue
        deviation = float(part[metric].std())
        chance = float(chance_deviation(part[metric].mean(), part[cells].sum(axis=1).mean()))
        ratio = deviation / chance if chance > 0 else float("nan")
        rows.append((experiment, model, len(part), deviation, chance, ratio))
    return pd.DataFrame(rows, columns=["experiment", "model", "folds", "deviation", "chance", "ratio"])


def _chance_of(reading: Reading, ratios: list[float]) -> float:
    if not reading.degrees:
        return 1.0
    degrees = reading.degrees
    single = [chdtr(degrees, degrees * ratio**2 / reading.share) for ratio in ratios]
    return float(chdtrc(2 * len(single), -2 * np.log(single).sum()))


def _is_one(part: pd.DataFrame, factor: float) -> bool:
    rounding = 0.00005 / (factor * part["chance"])
    return bool(((part["ratio"] - 1).abs() <= rounding).all())
