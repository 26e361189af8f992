"""Differences of means: against textbook and SciPy values, their coverage, and where nothing is defined."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from covid_core.results.differences import group_difference, holm, paired_difference
from covid_core.results.intervals import mean_with_interval

# Student's sleep data (1908): extra hours of sleep of ten patients under two drugs, as R prints them.
FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_pairs_are_what_r_says_of_students_sleep_data():
    result = paired_difference(FIRST, SECOND)
    assert result.difference == pytest.approx(-1.58)
    assert (result.low, result.high) == pytest.approx((-2.4598858, -0.7001142))
    assert result.p_t == pytest.approx(0.002833, abs=5e-7)
    assert result.counts == (10, 10)


def test_groups_are_what_r_says_of_students_sleep_data():
    result = group_difference(FIRST, SECOND)
    assert (result.low, result.high) == pytest.approx((-3.3654832, 0.2054832))
    assert result.p_t == pytest.approx(0.07939, abs=5e-6)
    assert result.p_rank == pytest.approx(stats.mannwhitneyu(FIRST, SECOND).pvalue)


def test_signed_ranks_are_the_exact_enumeration():
    differences = np.array([1.1, -0.4, 2.3, 3.6, 0.9, 5.0, -1.7])
    ranks = stats.rankdata(np.abs(differences))
    statistic = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    sums = [np.dot(ranks, signs) for signs in itertools.product((0, 1), repeat=len(ranks))]
    exact = 2 * np.mean(np.array(sums) <= statistic)
    assert paired_difference(differences, np.zeros(7)).p_rank == pytest.approx(exact)


def test_a_pair_with_a_nan_does_not_count():
    holes = paired_difference([*FIRST, math.nan, 5.0], [*SECOND, 1.0, math.nan])
    assert holes == paired_difference(FIRST, SECOND)
    assert group_difference([*FIRST, math.nan], SECOND) == group_difference(FIRST, SECOND)


def test_swapping_changes_the_sign_only():
    there, back = paired_difference(FIRST, SECOND), paired_difference(SECOND, FIRST)
    assert there.difference == -back.difference
    assert (there.low, there.p_t, there.p_rank) == pytest.approx((-back.high, back.p_t, back.p_rank))


@pytest.mark.parametrize("function", [paired_difference, group_difference])
@pytest.mark.parametrize("values", [([], []), ([1.0], [2.0])])
def test_too_few_values_have_no_interval_and_no_test(function, values):
    result = function(*values)
    assert math.isnan(result.low)
    assert math.isnan(result.p_t)
    assert result.difference == -1 if values[0] else math.isnan(result.difference)


def test_no_difference_at_all_is_no_test():
    same = paired_difference(FIRST, FIRST)
    assert same.difference == 0
    assert math.isnan(same.p_t)
    assert math.isnan(same.p_rank)
    constant = paired_difference(np.ones(5), np.zeros(5))
    assert math.isnan(constant.p_t)
    assert constant.p_rank == pytest.approx(2 / 2**5)
    assert math.isnan(group_difference([1, 1], [1, 1]).p_t)


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        shift = paired_difference(rng.normal(3, 2, 12), rng.normal(1, 1, 12))
        groups = group_difference(rng.normal(3, 2, 12), rng.normal(1, 1, 9))
        _, low, high = mean_with_interval(rng.normal(5, 3, 8))
        inside.append((shift.low < 2 < shift.high, groups.low < 2 < groups.high, low < 5 < high))
    assert np.mean(inside, axis=0) == pytest.approx([0.95] * 3, abs=0.03)


def test_a_mean_without_spread_or_values():
    assert mean_with_interval([2.0, math.nan])[0] == 2
    assert math.isnan(mean_with_interval([2.0])[1])
    assert math.isnan(mean_with_interval([math.nan])[0])


class TestHolm:
    def test_it_is_rs_p_adjust(self):
        assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
        assert holm([0.04, 0.001, 0.6, 0.03]) == pytest.approx([0.09, 0.004, 0.6, 0.09])

    def test_it_is_the_closed_test_of_bonferroni(self):
        """A hypothesis falls where every intersection that holds it falls at Bonferroni's level; another definition."""
        rng = np.random.default_rng(2)
        for _ in range(20):
            p_values = rng.random(5) ** 3
            closed = []
            for one in range(5):
                sets = [s for r in range(1, 6) for s in itertools.combinations(range(5), r) if one in s]
                closed.append(max(min(1, len(s) * min(p_values[list(s)])) for s in sets))
            assert holm(p_values) == pytest.approx(closed)

    def test_what_is_no_test_does_not_count(self):
        np.testing.assert_allclose(holm([0.01, math.nan, 0.02]), [0.02, math.nan, 0.02])
        assert holm([]).size == 0
        assert holm([0.9, 0.8]).tolist() == [1, 1]
