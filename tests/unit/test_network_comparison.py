"""Comparisons of two networks against SciPy, baycomp and hand computation, and what must hold for any scores."""

from __future__ import annotations

import math

import baycomp
import numpy as np
import pandas as pd
import pytest
from baycomp.single import Posterior
from scipy import stats

from covid_core.results.comparison import compare_folds, compare_slices, mcnemar

RANDOM = np.random.default_rng(5)
FIRST = RANDOM.normal(0.95, 0.02, 50).clip(0, 1)
SECOND = (FIRST - RANDOM.normal(0.004, 0.01, 50)).clip(0, 1)
NUMBERS = ("difference", "low", "high", "p_value", "better", "equivalent", "worse")


def test_the_corrected_test_is_the_paired_one_with_a_larger_variance():
    found, plain = compare_folds(FIRST, SECOND), stats.ttest_rel(FIRST, SECOND)
    assert found.p_uncorrected == pytest.approx(plain.pvalue)
    statistic = plain.statistic / math.sqrt(1 + 50 * 0.25)  # 1/n + 1/4 in place of 1/n
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(statistic), 49))
    assert found.p_value > found.p_uncorrected


def test_by_hand():
    """Differences 0.1, 0.2, 0.3 of three folds: mean 0.2, deviation 0.1, variance factor 1/3 + 1/2, two degrees."""
    found = compare_folds([0.9, 0.9, 0.9], [0.8, 0.7, 0.6], test_share=1 / 3, region=0.05)
    half = 4.302653 * 0.1 * math.sqrt(5 / 6)
    assert (found.difference, found.low, found.high) == pytest.approx((0.2, 0.2 - half, 0.2 + half))
    statistic = 0.2 / (0.1 * math.sqrt(5 / 6))
    # Student's distribution with two degrees of freedom has a closed form
    assert found.p_value == pytest.approx(1 - statistic / math.sqrt(2 + statistic**2))
    assert found.means == pytest.approx((0.9, 0.7))


@pytest.mark.parametrize("region", [0.001, 0.01, 0.05])
def test_probabilities_are_baycomps(region):
    found = compare_folds(FIRST, SECOND, region=region)
    left, rope, right = baycomp.two_on_single(SECOND, FIRST, region, runs=10)  # baycomp takes second minus first
    assert (found.worse, found.equivalent, found.better) == pytest.approx((left, rope, right))


def test_without_a_region_one_is_better_as_in_baycomp():
    found = compare_folds(FIRST, SECOND, region=0)
    assert (found.worse, found.better) == pytest.approx(baycomp.two_on_single(SECOND, FIRST, 0, runs=10))
    assert found.equivalent == pytest.approx(0)
    # the two tests are one distribution seen twice
    assert found.worse == pytest.approx(found.p_value / 2)


def test_with_missing_folds_the_share_is_still_that_of_the_protocol():
    """baycomp would take three folds for a three-fold cross-validation; its distribution with the right variance."""
    found = compare_folds(FIRST[:3], SECOND[:3], test_share=0.2, region=0.01)
    differences = FIRST[:3] - SECOND[:3]
    posterior = Posterior(differences.mean(), differences.var(ddof=1) * (1 / 3 + 1 / 4), 2, 0.01)
    assert (found.worse, found.equivalent, found.better) == pytest.approx(posterior.probs())
    assert baycomp.two_on_single(SECOND[:3], FIRST[:3], 0.01)[1] < found.equivalent  # it takes 1/2 for 1/4


def test_the_interval_excludes_zero_exactly_where_the_test_rejects():
    random = np.random.default_rng(1)
    rejected = []
    for _ in range(200):
        first = random.uniform(0.5, 1, 10)
        found = compare_folds(first, (first + random.normal(0.05, 0.1, 10)).clip(0, 1))
        rejected.append(found.p_value < 0.05)
        assert rejected[-1] == (not found.low <= 0 <= found.high)
    assert 0 < np.mean(rejected) < 1


def test_swapping_the_networks_flips_the_sign_and_nothing_else():
    there, back = compare_folds(FIRST, SECOND), compare_folds(SECOND, FIRST)
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert (there.better, there.equivalent, there.worse) == pytest.approx((back.worse, back.equivalent, back.better))
    assert (there.p_value, there.p_uncorrected) == pytest.approx((back.p_value, back.p_uncorrected))
    assert there.means == back.means[::-1]


def test_all_is_in_range_for_any_scores():
    random = np.random.default_rng(2)
    for _ in range(300):
        first, second = random.beta(*random.uniform(0.05, 3, 2), (2, random.integers(2, 12)))
        found = compare_folds(first, second, test_share=random.uniform(0.05, 0.5), region=random.uniform(0, 0.2))
        assert -1 <= found.low <= found.difference <= found.high <= 1
        shares = (found.better, found.equivalent, found.worse)
        assert all(-1e-12 <= share <= 1 for share in shares)
        assert sum(shares) == pytest.approx(1)
        for p_value in (found.p_value, found.p_uncorrected):
            assert math.isnan(p_value) or 0 <= p_value <= 1


def test_a_network_against_itself():
    found = compare_folds(FIRST, FIRST)
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert (found.better, found.equivalent, found.worse) == (0, 1, 0)
    assert math.isnan(found.p_value)
    assert "same difference" in found.reason


def test_one_difference_in_every_fold_is_no_test_whatever_rounding_says():
    found = compare_folds([0.7, 0.8, 0.9], [0.6, 0.7, 0.8])
    assert math.isnan(found.p_value)
    assert found.better == 1
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(("scores", "reason"), [([], "no fold"), ([0.9], "one fold"), ([0.9, math.nan], "one fold")])
def test_fewer_than_two_folds_are_no_test_and_say_why(scores, reason):
    found = compare_folds(scores, np.full(len(scores), 0.8))
    assert reason in found.reason
    assert all(math.isnan(getattr(found, name)) for name in NUMBERS if name != "difference")
    assert math.isnan(found.difference) if not scores else found.difference == pytest.approx(0.1)


def test_a_fold_without_a_score_does_not_count():
    holes = compare_folds([*FIRST, math.nan, 0.5], [*SECOND, 0.9, math.nan])
    assert holes == compare_folds(FIRST, SECOND)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.9, 0.8], [0.9]), "one score a fold"),
        (([[0.9]], [[0.9]]), "one score a fold"),
        (([90.0, 91.0], [0.9, 0.9]), "0-1"),
        (([0.9, 0.8], [0.9, 0.7], 0.2, -0.01), "region"),
        (([0.9, 0.8], [0.9, 0.7], 0.2, math.nan), "region"),
        (([0.9, 0.8], [0.9, 0.7], 1.0), "test_share"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        compare_folds(*arguments)


class TestMcNemar:
    @pytest.mark.parametrize(("only_first", "only_second"), [(0, 3), (8, 3), (12, 12), (40, 61)])
    def test_the_exact_form_is_the_binomial_test(self, only_first, only_second):
        binomial = stats.binomtest(only_first, only_first + only_second).pvalue
        assert mcnemar(only_first, only_second, exact=True) == pytest.approx(binomial)
        assert mcnemar(only_first, only_second) <= mcnemar(only_first, only_second, exact=True)

    def test_mid_p_by_hand(self):
        """One of five: the tails hold 1 + 5 of 32 outcomes each, the observed one is taken at half, on both sides."""
        assert mcnemar(1, 4) == pytest.approx(2 * (1 + 5 / 2) / 32)
        assert mcnemar(1, 4, exact=True) == pytest.approx(2 * (1 + 5) / 32)

    def test_for_many_slices_it_is_the_textbooks_chi_square(self):
        statistic = (460 - 540) ** 2 / (460 + 540)
        assert mcnemar(460, 540) == pytest.approx(stats.chi2.sf(statistic, 1), rel=0.01)

    def test_networks_that_never_differ_and_that_differ_evenly(self):
        assert mcnemar(0, 0) == 1
        assert mcnemar(7, 7) == 1

    def test_swapping_changes_nothing(self):
        assert mcnemar(3, 9) == mcnemar(9, 3)

    def test_slices_are_counted_at_one_half(self):
        labels = [1, 1, 1, 0, 0, 0]
        found = compare_slices(labels, [0.5, 0.9, 0.1, 0.1, 0.5, 0.2], [0.49, 0.2, 0.8, 0.3, 0.4, 0.6])
        #                       right/wrong twice, wrong/right, both right, wrong/right, right/wrong
        assert (found.slices, found.only_first, found.only_second) == (6, 3, 2)
        assert found.p_value == pytest.approx(mcnemar(3, 2))

    def test_no_slice_is_no_test(self):
        assert math.isnan(compare_slices([], [], []).p_value)

    def test_shapes_that_differ_are_refused(self):
        with pytest.raises(ValueError, match="a slice"):
            compare_slices([1, 0], [0.5, 0.5], [0.5])

    def test_its_level_holds_where_slices_are_independent(self):
        """Mid-p keeps close to 5 %; the exact form stays well below it."""
        random = np.random.default_rng(3)
        differing = random.binomial(1000, 0.03, 4000)
        first = random.binomial(differing, 0.5)
        middle, exact = (
            np.mean([mcnemar(a, n - a, form) < 0.05 for a, n in zip(first, differing, strict=True)])
            for form in (False, True)
        )
        assert 0.035 < middle < 0.06
        assert exact < middle


def test_the_posterior_holds_what_it_promises():
    """Where the model is true (equicorrelated folds), a claim made with 95 % is right in 95 of 100 cases."""
    random, right = np.random.default_rng(4), []
    covariance = np.full((10, 10), 0.2) + 0.8 * np.eye(10)
    for truth in random.normal(0, 0.05, 1500):
        differences = random.multivariate_normal(np.full(10, truth), 0.02**2 * covariance)
        found = compare_folds(0.5 + differences / 2, 0.5 - differences / 2, region=0)
        right.append(found.low <= truth <= found.high)
    assert np.mean(right) == pytest.approx(0.95, abs=0.02)


def test_numbers_of_pandas_are_welcome():
    assert compare_folds(pd.Series(FIRST), pd.Series(SECOND)) == compare_folds(FIRST, SECOND)
