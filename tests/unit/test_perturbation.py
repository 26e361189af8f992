"""Deletion, insertion, drop and increase on models whose answers can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import auc

from covid_core.explain.perturbation import blurred, drop_and_increase, perturbation_curves

SIZE = 8


def linear_model(weights):
    """Probability = share of the weighted grey that is there: what each pixel adds is known exactly."""
    return lambda slices: (np.asarray(slices, np.float64) * weights).sum(axis=(1, 2)) / (255 * weights.sum())


@pytest.fixture
def weights():
    return np.random.default_rng(0).random((SIZE, SIZE)) ** 4


@pytest.fixture
def white():
    return np.full((3, SIZE, SIZE), 255, np.float32)


def black(slices):
    return np.zeros(np.shape(slices), np.float32)


def test_curves_by_hand():
    """Four pixels of weight 8, 4, 2 and 1; the perfect map takes them in this order."""
    weights = np.array([[8.0, 1.0], [2.0, 4.0]])
    white = np.full((1, 2, 2), 255.0)
    curves = perturbation_curves(linear_model(weights), white, weights[None], steps=4, baseline=black(white))
    np.testing.assert_allclose(curves.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curves.deletion[0] * 15, [15, 7, 3, 1, 0])
    np.testing.assert_allclose(curves.insertion[0] * 15, [0, 8, 12, 14, 15])
    # trapezoids of a quarter each
    assert curves.deletion_area[0] == pytest.approx((7.5 + 7 + 3 + 1) / 15 / 4)
    assert curves.insertion_area[0] == pytest.approx(1 - curves.deletion_area[0])


def test_areas_equal_scikit_learns(weights, white):
    heat = np.random.default_rng(1).random(white.shape)
    curves = perturbation_curves(linear_model(weights), white, heat, baseline=black(white))
    for at in range(len(white)):
        assert curves.deletion_area[at] == pytest.approx(auc(curves.shares, curves.deletion[at]))
        assert curves.insertion_area[at] == pytest.approx(auc(curves.shares, curves.insertion[at]))


def test_curves_begin_and_end_with_slice_and_baseline(weights, white):
    predict = linear_model(weights)
    baseline = 0.25 * white
    curves = perturbation_curves(predict, white, np.random.default_rng(2).random(white.shape), baseline=baseline)
    np.testing.assert_allclose(curves.deletion[:, [0, -1]], [[1, 0.25]] * 3)
    np.testing.assert_allclose(curves.insertion[:, [0, -1]], [[0.25, 1]] * 3)


def test_the_perfect_map_beats_random_ones_and_the_reversed_map_loses(weights, white):
    predict, rng = linear_model(weights), np.random.default_rng(3)

    def areas(heat):
        curves = perturbation_curves(predict, white, heat, baseline=black(white))
        return curves.deletion_area, curves.insertion_area

    perfect = areas(np.repeat(weights[None], 3, axis=0))
    reversed_ = areas(np.repeat(-weights[None], 3, axis=0))
    for _ in range(10):
        random = areas(rng.random(white.shape))
        assert (perfect[0] < random[0]).all()
        assert (perfect[1] > random[1]).all()
        assert (reversed_[0] > random[0]).all()
        assert (reversed_[1] < random[1]).all()


def test_only_the_order_of_the_heat_counts(weights, white):
    heat = np.random.default_rng(4).random(white.shape)
    predict = linear_model(weights)
    one, other = (perturbation_curves(predict, white, of) for of in (heat, 1000 * heat**3))
    np.testing.assert_array_equal(one.deletion, other.deletion)


def test_equal_heat_goes_in_the_order_of_the_ties(weights, white):
    predict = linear_model(weights)
    ties = np.repeat(weights[None], 3, axis=0)
    flat = np.zeros(white.shape)
    by_ties = perturbation_curves(predict, white, flat, ties=ties, baseline=black(white))
    by_heat = perturbation_curves(predict, white, ties, baseline=black(white))
    np.testing.assert_allclose(by_ties.deletion, by_heat.deletion)
    # but heat comes first
    heated = perturbation_curves(predict, white, -ties, ties=ties, baseline=black(white))
    assert (heated.deletion_area > by_heat.deletion_area).all()


def test_the_blurred_baseline_keeps_the_mean_and_loses_the_texture():
    noise = np.random.default_rng(5).uniform(0, 255, (2, 64, 64)).astype(np.float32)
    soft = blurred(noise)
    np.testing.assert_allclose(soft.mean(axis=(1, 2)), noise.mean(axis=(1, 2)), rtol=0.02)
    assert soft.std() < 0.2 * noise.std()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heat": np.zeros((3, SIZE, SIZE + 1))}, "one shape"),
        ({"heat": np.full((3, SIZE, SIZE), np.nan)}, "finite heat"),
        ({"steps": 1}, "two steps"),
    ],
)
def test_what_does_not_fit_is_refused(weights, white, change, message):
    arguments = {"heat": np.ones(white.shape), "steps": 4} | change
    with pytest.raises(ValueError, match=message):
        perturbation_curves(linear_model(weights), white, **arguments)


def test_drop_and_increase_by_hand():
    """Y is 0.5 and 0.8; the first map keeps a fifth of it, the second makes it more."""

    def predict(slices):
        level = np.asarray(slices).mean(axis=(1, 2)) / 255
        return np.where(level < 0.3, 0.1, np.where(level > 0.9, [0.5, 0.8][: len(level)], 0.9))

    white = np.full((2, 4, 4), 255.0)
    heat = np.zeros((2, 4, 4))
    heat[0, 0, 0] = 7.0
    heat[1, :2] = 1.0
    drop, increase = drop_and_increase(predict, white, heat)
    np.testing.assert_allclose(drop, [0.8, 0.0])
    np.testing.assert_allclose(increase, [0.0, 1.0])


def test_a_map_that_is_hot_everywhere_drops_nothing(weights, white):
    drop, increase = drop_and_increase(linear_model(weights), white, np.full(white.shape, 3.0))
    assert not drop.any()
    assert not increase.any()
