"""Intervals against scipy.stats, and what must hold for any fold scores."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from covid_core.results.intervals import (
    FOLD_METHODS,
    MEANINGS,
    METHODS,
    bounds,
    half_width,
    mean_interval,
    round_half_width,
)

FOLDS = np.random.default_rng(0).uniform(0.4, 0.6, size=50)


def test_t_agrees_with_scipy():
    for level in (0.9, 0.95, 0.99):
        low, high = stats.t.interval(level, len(FOLDS) - 1, FOLDS.mean(), stats.sem(FOLDS))
        assert mean_interval(FOLDS, "t", level=level) == pytest.approx((FOLDS.mean(), low, high))


def test_corrected_follows_nadeau_and_bengio():
    for folds, share in ((5, 0.2), (10, 0.1)):
        values = FOLDS[:folds]
        variance = (1 / folds + share / (1 - share)) * values.var(ddof=1)
        half = stats.t.ppf(0.975, folds - 1) * math.sqrt(variance)
        interval = mean_interval(values, "corrected", test_share=share)
        assert interval.high - interval.mean == pytest.approx(half)
        assert interval.mean - interval.low == pytest.approx(half)


def test_corrected_does_not_shrink_to_nothing_with_more_rounds():
    """Repeating the cross-validation adds no data, so the interval must not vanish as Student's does."""
    many = np.tile(FOLDS, 200)
    plain, corrected = (mean_interval(many, method) for method in ("t", "corrected"))
    assert plain.high - plain.low < 0.01
    assert corrected.high - corrected.low > 0.1


def test_corrected_is_the_default():
    assert next(iter(METHODS)) == "corrected"
    assert mean_interval(FOLDS) == mean_interval(FOLDS, "corrected")


@pytest.mark.parametrize("method", FOLD_METHODS)
def test_bounds_are_ordered_and_inside(method):
    random = np.random.default_rng(1)
    for _ in range(200):
        values = random.beta(*random.uniform(0.2, 5, 2), size=random.integers(2, 12))
        mean, low, high = mean_interval(values, method)
        assert 0 <= low <= mean <= high <= 1


def test_a_perfect_network_has_a_point_interval():
    assert mean_interval([1.0] * 5) == (1, 1, 1)


def test_an_interval_that_reaches_above_one_is_cut_and_keeps_its_lower_bound():
    interval = mean_interval([0.95, 1.0, 1.0], "t")
    assert interval.high == 1
    assert interval.mean - interval.low == pytest.approx(half_width(np.std([0.95, 1, 1], ddof=1), 3, "t"))


@pytest.mark.parametrize("values", [[0.9], [0.9, math.nan]])
def test_one_fold_has_a_mean_and_no_interval(values):
    mean, low, high = mean_interval(values)
    assert mean == 0.9
    assert math.isnan(low)
    assert math.isnan(high)


def test_no_fold_has_nothing():
    assert all(math.isnan(value) for value in mean_interval([]))


def test_nan_is_skipped():
    assert mean_interval([0.8, math.nan, 0.9]) == mean_interval([0.8, 0.9])


def test_a_batch_is_its_rows():
    values = FOLDS.reshape(10, 5).copy()
    values[3, 2] = math.nan
    values[4] = math.nan
    batch = mean_interval(values)
    for row in range(10):
        expected = mean_interval(values[row])
        assert [part[row] for part in batch] == pytest.approx(list(expected), nan_ok=True)


def test_columns_of_a_frame_give_the_same_as_one_by_one():
    frame = pd.DataFrame({"model": np.repeat(list("abcde"), 10), "score": FOLDS})
    groups = frame.groupby("model")["score"]
    _, low, high = bounds(groups.mean(), half_width(groups.std(), groups.count()))
    for row, (_, values) in enumerate(groups):
        assert (low[row], high[row]) == pytest.approx(mean_interval(values)[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "bootstrap"}, "corrected, t"),
        ({"level": 95}, "level"),
        ({"test_share": 0}, "test_share"),
        ({"test_share": 1}, "test_share"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(FOLDS, **arguments)


@pytest.mark.parametrize("values", [[0.5, 1.1], [-0.1, 0.5], [95.0, 96.0]])
def test_percentages_are_refused(values):
    with pytest.raises(ValueError, match="0-1"):
        mean_interval(values)


def test_every_way_has_a_sentence():
    assert list(MEANINGS) == list(METHODS)
    assert all(text.endswith(".") and len(text) > 80 for text in MEANINGS.values())


class TestRoundMeans:
    ROUNDS = np.repeat([1, 2, 3], 5)

    def test_it_is_scipys_t_over_the_means(self):
        scores = FOLDS[:15]
        means = scores.reshape(3, 5).mean(axis=1)
        low, high = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
        assert round_half_width(scores, self.ROUNDS, 5) == pytest.approx((high - low) / 2)

    def test_the_order_does_not_matter(self):
        shuffled = np.random.default_rng(2).permutation(15)
        assert round_half_width(FOLDS[shuffled], self.ROUNDS[shuffled], 5) == pytest.approx(
            round_half_width(FOLDS[:15], self.ROUNDS, 5)
        )

    def test_rounds_that_are_not_whole_do_not_count(self):
        """A mean of two folds scatters more than one of five."""
        scores, rounds = [*FOLDS[:15], 0.0, 1.0], [*self.ROUNDS, 4, 4]
        assert round_half_width(scores, rounds, 5) == round_half_width(FOLDS[:15], self.ROUNDS, 5)
        assert math.isnan(round_half_width(FOLDS[:8], self.ROUNDS[:8], 5))

    def test_a_fold_without_a_score_is_skipped(self):
        scores = FOLDS[:15].copy()
        scores[3] = math.nan
        means = [np.nanmean(scores[:5]), scores[5:10].mean(), scores[10:].mean()]
        expected = stats.t.ppf(0.975, 2) * stats.sem(means)
        assert round_half_width(scores, self.ROUNDS, 5) == pytest.approx(expected)
