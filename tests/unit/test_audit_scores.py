"""Balanced accuracy, AUC and their intervals: the same as scikit-learn's, and right as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from covid_core.data.audit.scores import (
    area_under_curve,
    balanced_accuracy,
    chance_p,
    detectable,
    difference_of_balanced_accuracies,
)

ROUNDS = 400


def clustered(rng: np.random.Generator, shift: float, groups: int = 40, each: int = 5):
    """Scores that share half of their variance within a group; every second group is positive."""
    number = np.repeat(np.arange(groups), each)
    positive = number % 2 == 0
    scores = rng.normal(size=groups)[number] + rng.normal(size=len(number)) + shift * np.sqrt(2) * positive
    return scores, positive, number


def test_values_are_scikit_learns():
    rng = np.random.default_rng(0)
    scores, positive, groups = clustered(rng, 0.7)
    scores = scores.round(1)  # with ties
    said = scores > 0.5
    assert balanced_accuracy(said == positive, positive, groups).value == pytest.approx(
        balanced_accuracy_score(positive, said)
    )
    assert area_under_curve(scores, positive, groups).value == pytest.approx(roc_auc_score(positive, scores))


def test_intervals_hold_the_truth_as_often_as_they_say_though_slices_come_in_groups():
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    shift = 0.8
    sensitivity, specificity = norm.sf(0.5, shift * np.sqrt(2), np.sqrt(2)), norm.cdf(0.5, 0, np.sqrt(2))
    truths = ((sensitivity + specificity) / 2, norm.cdf(shift / np.sqrt(2)))
    held = np.zeros(2)
    for _ in range(ROUNDS):
        scores, positive, groups = clustered(rng, shift)
        estimates = (
            balanced_accuracy((scores > 0.5) == positive, positive, groups),
            area_under_curve(scores, positive, groups),
        )
        held += [one.low <= truth <= one.high for one, truth in zip(estimates, truths, strict=True)]
    # 95 %, with three standard errors of the simulation
    assert (np.abs(held / ROUNDS - 0.95) < 3 * np.sqrt(0.95 * 0.05 / ROUNDS) + 0.01).all(), held / ROUNDS


def test_chance_is_taken_for_something_as_rarely_as_it_should_be():
    rng = np.random.default_rng(2)
    p = np.array([chance_p(*clustered(rng, 0.0)) for _ in range(ROUNDS)])
    for level in (0.05, 0.2, 0.5):
        assert abs((p < level).mean() - level) < 3.5 * np.sqrt(level * (1 - level) / ROUNDS)


def test_detectable_effects_are_detected_four_times_in_five():
    from scipy.special import ndtri

    rng = np.random.default_rng(3)
    alpha, groups = 0.01, 100
    least = detectable(groups, groups, alpha)
    hits = rng.binomial(groups, least, (4000, 2)).mean(axis=1) / groups
    limit = 0.5 + ndtri(1 - alpha) * np.sqrt(2 / groups / 16)
    assert (hits > limit).mean() == pytest.approx(0.8, abs=0.03)


def test_perfect_scores_have_an_interval_as_wide_as_the_groups_are_few():
    positive = np.arange(40) % 2 == 0
    right = np.ones(40, bool)
    many, few = (balanced_accuracy(right, positive, np.arange(40) // size) for size in (1, 10))
    assert many.value == few.value == many.high == 1.0
    assert few.low < many.low < 1.0
    auc = area_under_curve(positive.astype(float), positive, np.arange(40))
    assert auc.value == auc.high == 1.0
    assert 0.7 < auc.low < 1.0


def test_scores_that_say_nothing_are_no_news():
    positive = np.arange(20) % 2 == 0
    assert chance_p(np.full(20, 0.5), positive, np.arange(20)) == 1.0
    assert area_under_curve(np.full(20, 0.5), positive, np.arange(20)).value == 0.5


def test_the_difference_is_that_of_the_two():
    rng = np.random.default_rng(4)
    positive, groups = np.arange(60) % 3 == 0, np.arange(60) // 3
    first, second = rng.random(60) < 0.9, rng.random(60) < 0.5
    gap = difference_of_balanced_accuracies(first, second, positive, groups)
    expected = [balanced_accuracy(one, positive, groups).value for one in (first, second)]
    assert gap.value == pytest.approx(expected[0] - expected[1])
    assert gap.low < gap.value < gap.high
    assert tuple(difference_of_balanced_accuracies(first, first, positive, groups)) == (0, 0, 0)
