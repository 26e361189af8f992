"""Intervals of grouped shares: SciPy's Wilson where slices are independent, and what they hold where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from covid_core.results.clusters import grouped_share

PATIENTS, SLICES = 40, 12


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (243, 251)])
def test_single_slices_have_scipys_wilson_interval(hits, count):
    share, low, high = grouped_share(np.arange(count) < hits, np.ones(count))
    expected = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert (share, low, high) == pytest.approx((hits / count, expected.low, expected.high), abs=1e-12)


def test_many_shares_are_computed_at_once():
    random = np.random.default_rng(0)
    counts = random.integers(0, 6, (30, 7))
    hits = random.binomial(counts, 0.6)
    together = grouped_share(hits, counts)
    for column in range(7):
        alone = grouped_share(hits[:, column], counts[:, column])
        assert [part[column] for part in together] == pytest.approx(list(map(float, alone)))


def test_groups_that_are_all_alike_count_once():
    """Ten answers to each of 30 slices, all the same: as sure as 30 slices, but for the t quantile of few groups."""
    hits = np.repeat([10, 0], [20, 10])
    share, low, high = grouped_share(hits, np.full(30, 10))
    alone = grouped_share(hits > 0, np.ones(30))
    assert share == alone.mean
    assert low < alone.low
    assert high - low == pytest.approx(alone.high - alone.low, rel=0.06)


def test_a_perfect_score_is_not_surer_than_its_groups():
    few = grouped_share(np.full(5, 100), np.full(5, 100))
    many = grouped_share(np.full(500, 1), np.full(500, 1))
    assert few.mean == few.high == many.high == 1
    assert few.low < 0.6 < 0.99 < many.low


def test_what_cannot_be_known():
    assert all(np.isnan(part) for part in grouped_share(np.zeros(3), np.zeros(3)))
    assert tuple(grouped_share([7], [9])) == pytest.approx((7 / 9, 0, 1))
    assert all(np.isnan(part).all() for part in grouped_share(np.zeros((0, 4)), np.zeros((0, 4))))


def test_bounds_hold_the_share_and_stay_inside():
    random = np.random.default_rng(1)
    for _ in range(300):
        counts = random.integers(0, 9, random.integers(1, 12))
        share, low, high = grouped_share(random.binomial(counts, random.choice([0, 0.02, 0.5, 1])), counts)
        if counts.any():
            assert 0 <= low <= share <= high <= 1


def test_only_the_grouped_interval_holds_what_it_promises():
    """Patients whose slices are wrong together: how often the 95 % interval holds the expected share."""
    random, repeats, held = np.random.default_rng(2), 600, {"grouped": 0, "single": 0}
    for _ in range(repeats):
        hits = random.binomial(SLICES, random.beta(4, 1, PATIENTS))
        single = np.arange(PATIENTS * SLICES) < hits.sum()
        for name, (_, low, high) in {
            "grouped": grouped_share(hits, np.full(PATIENTS, SLICES)),
            "single": grouped_share(single, np.ones(len(single))),
        }.items():
            held[name] += low <= 0.8 <= high
    assert 0.92 < held["grouped"] / repeats <= 0.98
    assert held["single"] / repeats < 0.8


@pytest.mark.parametrize(("hits", "counts"), [([2], [1]), ([-1], [1]), ([1, 1], [1]), (1, 1)])
def test_counts_that_make_no_sense_are_refused(hits, counts):
    with pytest.raises(ValueError, match="Expected as many hits"):
        grouped_share(hits, counts)
