"""Channel statistics against NumPy, and the orders and curves made of them."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import tiny_network

from covid_core.errors import ModelError
from covid_core.explain.activation_statistics import (
    channel_difference,
    channel_order,
    channel_statistics,
    statistics_over_depth,
)
from covid_core.explain.activations import ActivationProbe


@pytest.fixture
def maps():
    maps = np.random.default_rng(0).normal(3, 2, (6, 5, 4)).astype(np.float32)
    maps[..., 2] = 0
    return maps


def test_numbers_are_numpys(maps):
    statistics = channel_statistics(maps)
    np.testing.assert_allclose(statistics.mean, maps.mean(axis=(0, 1), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(statistics.variance, maps.var(axis=(0, 1), dtype=np.float64), rtol=1e-5, atol=1e-12)
    np.testing.assert_array_equal(statistics.low, maps.min(axis=(0, 1)))
    np.testing.assert_array_equal(statistics.high, maps.max(axis=(0, 1)))
    assert statistics.dead.tolist() == [False, False, True, False]


def test_a_variance_far_from_zero_is_not_lost():
    maps = (1000 + np.random.default_rng(0).normal(0, 0.1, (64, 64, 2))).astype(np.float32)
    np.testing.assert_allclose(channel_statistics(maps).variance, maps.astype(float).var(axis=(0, 1)), rtol=1e-3)


def test_dead_means_the_same_value_everywhere_whatever_it_is(maps):
    maps[..., 1] = 7.5
    assert channel_statistics(maps).dead.tolist() == [False, True, True, False]
    assert channel_statistics(np.zeros((3, 3, 2))).dead.all()
    single = channel_statistics(np.zeros((1, 1, 2)))
    assert single.single
    assert not single.dead.any()


@pytest.mark.parametrize(("by", "key"), [("mean", np.mean), ("variance", np.var)])
def test_the_largest_comes_first(maps, by, key):
    values = [key(maps[..., channel]) for channel in channel_order(channel_statistics(maps), by)]
    assert values == sorted(values, reverse=True)


def test_by_index_and_ties_keep_the_index():
    statistics = channel_statistics(np.zeros((3, 3, 4)))
    for by in ("index", "mean", "variance"):
        assert channel_order(statistics, by).tolist() == [0, 1, 2, 3]


def test_the_channel_that_changed_comes_first(maps):
    other = maps.copy()
    other[2, 2, 3] += 5
    difference = channel_difference(maps, other)
    np.testing.assert_allclose(difference, [0, 0, 0, 5 / 30], rtol=1e-6)
    assert channel_order(channel_statistics(maps), "difference", difference)[0] == 3


def test_what_has_no_order_is_refused(maps):
    statistics = channel_statistics(maps)
    for by in ("colour", "difference"):
        with pytest.raises(ModelError, match="Expected one of the orders"):
            channel_order(statistics, by)
    with pytest.raises(ModelError, match="Expected maps"):
        channel_difference(maps, maps[:2])
    with pytest.raises(ModelError, match="Expected maps"):
        channel_statistics(maps[0])


def test_over_depth_every_layer_with_maps_is_summed_up():
    probe = ActivationProbe(tiny_network("VGG16"))
    pixels = np.random.default_rng(1).uniform(0, 255, (32, 32))
    frame = statistics_over_depth(probe, pixels)
    assert frame["name"].tolist() == ["slice", "conv", "bn", "relu"]
    for row in frame.itertuples():
        of = probe.maps(pixels, row.number)
        np.testing.assert_allclose([row.mean, row.variance], [of.mean(), of.var()], rtol=1e-4)
        assert row.dead_share == row.dead / row.channels
    assert frame["dead"].iloc[0] == 0
    flat = statistics_over_depth(probe, np.zeros((32, 32)))
    assert flat["dead"].iloc[0] == 1
