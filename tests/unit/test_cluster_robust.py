"""The clustered interval against Student, Welch and a plain computation of CR2, and how often it holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import fractional_matrix_power

from covid_core.models import zoo
from covid_core.results.cluster_robust import coefficient

BASES = [spec for spec in zoo.MODELS.values() if spec.variant == "base"]
FAMILIES = np.array([spec.family for spec in BASES])


def design(trait: str) -> np.ndarray:
    return np.column_stack([np.ones(20), [getattr(spec, trait) for spec in BASES]])


def test_a_mean_of_independent_values_has_students_interval():
    values = np.random.default_rng(0).normal(size=12)
    found = coefficient(values, np.ones((12, 1)), np.arange(12))
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert found == pytest.approx((values.mean(), low, high, 11))


def test_a_difference_of_two_groups_has_welchs_standard_error():
    random = np.random.default_rng(1)
    first, second = random.normal(size=7), random.normal(1, 3, size=5)
    group = np.repeat([0.0, 1.0], [7, 5])
    found = coefficient(np.concatenate([first, second]), np.column_stack([np.ones(12), group]), np.arange(12))
    welch = stats.ttest_ind(second, first, equal_var=False).confidence_interval()
    error = (welch.high - welch.low) / 2 / stats.t.ppf(0.975, stats.ttest_ind(second, first, equal_var=False).df)
    assert found.value == pytest.approx(second.mean() - first.mean())
    assert (found.high - found.low) / 2 / stats.t.ppf(0.975, found.degrees) == pytest.approx(error)


def test_equal_groups_of_independent_values_have_all_degrees_of_freedom():
    x = np.column_stack([np.ones(20), np.repeat([0.0, 1.0], 10)])
    found = coefficient(np.random.default_rng(2).normal(size=20), x, np.arange(20))
    assert found.degrees == pytest.approx(18)


@pytest.mark.parametrize("trait", ["residual_links", "depthwise"])
def test_the_variance_is_cr2_as_it_is_written_down(trait):
    """V = (X'X)^-1 (sum of X_g' A_g e_g e_g' A_g' X_g) (X'X)^-1 with A_g = (I - H_gg)^-1/2."""
    x, values = design(trait), np.random.default_rng(3).normal(size=20)
    inverse = np.linalg.inv(x.T @ x)
    hat = x @ inverse @ x.T
    residual = values - hat @ values
    meat = np.zeros((2, 2))
    for family in np.unique(FAMILIES):
        at = np.flatnonzero(family == FAMILIES)
        adjusted = np.real(fractional_matrix_power(np.eye(len(at)) - hat[np.ix_(at, at)], -0.5))
        score = x[at].T @ adjusted @ residual[at]
        meat += np.outer(score, score)
    found = coefficient(values, x, FAMILIES)
    half = stats.t.ppf(0.975, found.degrees) * math.sqrt((inverse @ meat @ inverse)[1, 1])
    assert found.high - found.value == pytest.approx(half)
    assert 1 < found.degrees < 4


def test_the_variance_is_unbiased_for_independent_values():
    """What CR2 is made for; the plain sandwich would be 40 % too small here."""
    x, random = design("residual_links"), np.random.default_rng(4)
    found = [coefficient(random.normal(size=20), x, FAMILIES) for _ in range(800)]
    variances = [((one.high - one.value) / stats.t.ppf(0.975, one.degrees)) ** 2 for one in found]
    truth = np.linalg.inv(x.T @ x)[1, 1]
    assert np.mean(variances) == pytest.approx(truth, rel=4 * np.std(variances) / np.mean(variances) / math.sqrt(800))


def coverage(trait: str, clusters: np.ndarray, family_deviation: float, draws: int = 300) -> float:
    """Share of 95 % intervals that hold a known effect of 1 when families differ by chance."""
    random, x = np.random.default_rng(5), design(trait)
    names, number = np.unique(FAMILIES, return_inverse=True)
    held = 0
    for _ in range(draws):
        of_family = random.normal(0, family_deviation, len(names)) if family_deviation else np.zeros(len(names))
        found = coefficient(x[:, 1] + of_family[number] + random.normal(size=20), x, clusters)
        held += found.low <= 1 <= found.high
    return held / draws


def test_independent_backbones_are_covered_either_way():
    assert coverage("residual_links", np.arange(20), 0) == pytest.approx(0.95, abs=0.05)
    assert coverage("residual_links", FAMILIES, 0) == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("trait", ["residual_links", "depthwise"])
def test_alike_families_are_covered_only_where_they_are_the_clusters(trait):
    assert coverage(trait, np.arange(20), 2) < 0.8
    assert coverage(trait, FAMILIES, 2) > 0.88


@pytest.mark.parametrize("trait", ["pointwise", "dense_links", "inception_blocks"])
def test_a_trait_of_one_family_has_no_interval_over_families(trait):
    found = coefficient(np.random.default_rng(6).normal(size=20), design(trait), FAMILIES)
    assert math.isfinite(found.value)
    assert all(math.isnan(part) for part in found[1:])


def test_what_the_other_columns_determine_has_no_coefficient():
    ones = np.ones((5, 2))
    assert all(math.isnan(part) for part in coefficient(np.arange(5.0), ones, np.arange(5)))
    assert all(math.isnan(part) for part in coefficient([1.0], np.ones((1, 2)), [0]))


def test_a_single_value_has_no_interval():
    found = coefficient([0.5], np.ones((1, 1)), ["one"])
    assert found.value == 0.5
    assert math.isnan(found.low)
