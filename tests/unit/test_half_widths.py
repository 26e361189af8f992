"""Readings of the printed half-widths: what chance gives by real partition, and half-widths whose making is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from covid_core.results.half_widths import (
    DOUBTFUL,
    EXCLUDED,
    FITS,
    JUDGED,
    chance_deviation,
    fitting_readings,
    implied_spread,
    measured_spread,
    readings,
)
from covid_core.results.intervals import half_width
from covid_core.results.published import published_rows

T50, ROUNDS = "Student t over the 50 folds", "Student t over the 10 round means"
CORRECTED, BINOMIAL = "Corrected for shared slices, 50 folds", "Binomial, all slices as one test set"
ONE_ROUND = "Student t over 5 folds of one round"


def partitioned(random: np.random.Generator, right: np.ndarray, rounds: int, folds: int = 5) -> np.ndarray:
    """Scores ``(rounds, folds)`` of random partitions of slices whose outcome is fixed."""
    return np.array([[part.mean() for part in np.array_split(random.permutation(right), folds)] for _ in range(rounds)])


def verdicts(rows: pd.DataFrame) -> dict[str, str]:
    return dict(fitting_readings(rows).set_index("reading")["verdict"])


def printed(of_folds, seed: int = 0, extra: float = 0.0) -> pd.DataFrame:
    """Forty rows whose half-widths are ``of_folds`` of really partitioned slices; ``extra`` is what training adds."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(40):
        row = {"model": f"network {number}"}
        for metric, slices in JUDGED.items():
            right = np.arange(slices) >= round(slices * random.uniform(0.01, 0.03))
            scores = partitioned(random, right, 10)
            scores = (scores + random.normal(0, extra, scores.shape)).clip(0, 1)
            row |= {metric: scores.mean(), f"{metric}_pm": round(float(of_folds(scores)), 4)}
        rows.append(row)
    return pd.DataFrame(rows)


def test_chance_is_what_a_random_partition_gives():
    random = np.random.default_rng(0)
    right = np.arange(1250) >= 25
    scores = partitioned(random, right, 400)
    assert np.sqrt(scores.var(axis=1, ddof=1).mean()) == pytest.approx(chance_deviation(0.98, 250), rel=0.02)
    # fixed errors: every round has the same mean, and fifty folds scatter by 40/49 of it
    fifty = scores.reshape(-1, 50).var(axis=1, ddof=1).mean()
    expected = next(reading.share for reading in readings() if reading.name == T50)
    assert fifty / chance_deviation(0.98, 250) ** 2 == pytest.approx(expected, rel=0.03)
    assert expected == pytest.approx(40 / 49)


@pytest.mark.parametrize(
    ("reading", "of_folds"),
    [
        (T50, lambda scores: half_width(scores.std(ddof=1), 50, "t")),
        (CORRECTED, lambda scores: half_width(scores.std(ddof=1), 50, "corrected")),
        (ONE_ROUND, lambda scores: half_width(scores[0].std(ddof=1), 5, "t")),
    ],
)
def test_the_true_reading_is_never_excluded_even_with_no_more_spread_than_chance(reading, of_folds):
    for seed in range(5):
        assert verdicts(printed(of_folds, seed))[reading] != EXCLUDED
    # training adds to the spread: then it fits
    assert verdicts(printed(of_folds, extra=0.02))[reading] == FITS


def test_readings_that_need_too_little_spread_are_excluded():
    found = verdicts(printed(lambda scores: half_width(scores.std(ddof=1), 50, "t"), extra=0.01))
    assert found[CORRECTED] == EXCLUDED
    assert found["1.96 standard deviations of the 50 folds"] == EXCLUDED
    assert found[T50] == FITS


def test_round_means_have_no_least_spread():
    assert verdicts(printed(lambda scores: 0.0001))[ROUNDS] == FITS


def test_binomial_half_widths_are_recognised_and_others_are_not():
    rows = printed(lambda scores: 1.0)
    for metric, slices in JUDGED.items():
        rows[f"{metric}_pm"] = (1.959964 * np.sqrt(rows[metric] * (1 - rows[metric]) / slices)).round(4)
    assert verdicts(rows)[BINOMIAL] == FITS
    rows.loc[7, "specificity_pm"] += 0.0002
    assert verdicts(rows)[BINOMIAL] == EXCLUDED


def test_what_the_printed_rows_say():
    found = fitting_readings(published_rows()).set_index("reading")
    assert found["verdict"].to_dict() == {
        T50: FITS,
        ROUNDS: FITS,
        ONE_ROUND: DOUBTFUL,
        CORRECTED: EXCLUDED,
        BINOMIAL: EXCLUDED,
        "One standard deviation of the 50 folds": EXCLUDED,
        "1.96 standard deviations of the 50 folds": EXCLUDED,
    }
    assert found.loc[T50, "probability"] == pytest.approx(1)
    assert math.isnan(found.loc[BINOMIAL, "probability"])


def test_implied_spread_by_hand():
    spread = implied_spread(published_rows(), "sensitivity").set_index(["reading", "model"])
    row = spread.loc[(T50, "EfficientNetB5")]  # 0.9952 ± 0.0035
    assert row["implied"] == pytest.approx(0.0035 * math.sqrt(50) / 2.00958, rel=1e-4)
    assert row["chance"] == pytest.approx(math.sqrt(0.9952 * 0.0048 / 250.4))
    # rounding to four digits moves no reading by more than this share
    assert 0.00005 / published_rows()["sensitivity_pm"].min() < 0.025


@pytest.mark.parametrize("function", [implied_spread, measured_spread])
def test_scores_of_both_classes_are_refused(function):
    with pytest.raises(ValueError, match="sensitivity, specificity"):
        function(pd.DataFrame(), "f1")


def test_own_folds():
    folds = pd.DataFrame(
        [("e", "A", 1, fold, tp, 0, 100, 100 - tp, tp / 100, 1.0) for fold, tp in enumerate([90, 92, 94, 96, 98], 1)]
        + [("e", "B", 1, 1, 90, 0, 100, 10, 0.9, 1.0)],
        columns=["experiment", "model", "round", "fold", "tp", "fp", "tn", "fn", "sensitivity", "specificity"],
    )
    (row,) = measured_spread(folds, "sensitivity").itertuples()
    assert (row.model, row.folds) == ("A", 5)
    assert row.ratio == pytest.approx(math.sqrt(0.001) / math.sqrt(0.94 * 0.06 / 100))
    assert math.isnan(measured_spread(folds, "specificity")["ratio"][0])  # no error anywhere
