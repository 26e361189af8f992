"""The mask statistic: against its definition written out, and where it is not defined."""

from __future__ import annotations

import numpy as np
import pytest

from covid_core.explain.heatmap import colour
from covid_core.explain.intensity import MASK_SOURCES, THRESHOLDS, mask_statistic


def heat_map(seed, shape=(20, 30)):
    heat = np.random.default_rng(seed).uniform(0, 1, shape) ** 3
    return heat / heat.max()


def written_out(base, modified, mask_from, threshold_on):
    """Pixel by pixel, as the text says it."""
    heat = {"base": base, "modified": modified}
    levels = {name: (one if threshold_on == "heat" else colour(one).mean(axis=-1)) for name, one in heat.items()}
    inside = {"base": [], "modified": []}
    sources = ["base", "modified"] if mask_from == "union" else [mask_from]
    limits = {name: np.mean(levels[name]) + np.std(levels[name]) for name in sources}
    for row, column in np.ndindex(base.shape):
        if any(levels[name][row, column] > limits[name] for name in sources):
            for name, one in heat.items():
                inside[name].append((colour(one)[row, column].mean(), one[row, column]))
    return np.mean(inside["base"], axis=0), np.mean(inside["modified"], axis=0), len(inside["base"]) / base.size


@pytest.mark.parametrize("threshold_on", THRESHOLDS)
@pytest.mark.parametrize("mask_from", MASK_SOURCES)
def test_equals_the_definition_written_out(mask_from, threshold_on):
    base, modified = heat_map(0), heat_map(1)
    got = mask_statistic(base, modified, mask_from, threshold_on)
    (base_intensity, base_heat), (modified_intensity, modified_heat), share = written_out(
        base, modified, mask_from, threshold_on
    )
    np.testing.assert_allclose(
        [got.base_intensity, got.modified_intensity, got.base_heat, got.modified_heat, got.share],
        [base_intensity, modified_intensity, base_heat, modified_heat, share],
    )
    assert got.mask.dtype == bool
    assert got.mask.shape == base.shape
    assert (got.mask_from, got.threshold_on) == (mask_from, threshold_on)
    assert 0 < got.share < 0.5


def test_equal_maps_give_equal_means_and_every_mask_is_the_same():
    heat = heat_map(2)
    masks = []
    for mask_from in MASK_SOURCES:
        statistic = mask_statistic(heat, heat, mask_from)
        assert statistic.base_intensity == statistic.modified_intensity
        assert statistic.base_heat == statistic.modified_heat > heat.mean() + heat.std()
        masks.append(statistic.mask)
    assert all((mask == masks[0]).all() for mask in masks)


def test_swapping_the_maps_swaps_the_means():
    base, modified = heat_map(3), heat_map(4)
    one, other = mask_statistic(base, modified, "base"), mask_statistic(modified, base, "modified")
    assert (one.base_intensity, one.modified_intensity) == (other.modified_intensity, other.base_intensity)
    union = mask_statistic(base, modified, "union")
    np.testing.assert_array_equal(union.mask, one.mask | mask_statistic(base, modified, "modified").mask)


def test_a_hotter_map_can_have_the_lower_intensity():
    """Jet is brightest in the middle, the reason why the mean heat stands beside the published statistic."""
    base, modified = np.zeros((10, 10)), np.zeros((10, 10))
    base[4:6, 4:6], modified[4:6, 4:6] = 1.0, 0.5
    statistic = mask_statistic(base, modified)
    assert statistic.share == 0.04
    assert statistic.base_heat == 1.0 > statistic.modified_heat == 0.5
    assert round(statistic.base_intensity) == 43
    assert statistic.modified_intensity == pytest.approx(170, abs=1)


@pytest.mark.parametrize("level", [0.0, 0.1, 1 / 3, 1.0])
@pytest.mark.parametrize("mask_from", MASK_SOURCES)
@pytest.mark.parametrize("threshold_on", THRESHOLDS)
def test_constant_maps_have_an_empty_mask_and_no_mean(level, mask_from, threshold_on):
    heat = np.full((37, 41), level, np.float32)
    statistic = mask_statistic(heat, heat, mask_from, threshold_on)
    assert not statistic.mask.any()
    assert statistic.share == 0
    means = [statistic.base_intensity, statistic.modified_intensity, statistic.base_heat, statistic.modified_heat]
    assert np.isnan(means).all()


def test_an_all_zero_modified_map_is_measured_inside_the_base_mask():
    statistic = mask_statistic(heat_map(5), np.zeros((20, 30)))
    assert statistic.modified_heat == 0
    assert round(statistic.modified_intensity) == 43
    assert statistic.share > 0


@pytest.mark.parametrize(
    ("base", "modified", "options", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 3)), {}, "one shape"),
        (np.zeros((2, 2, 3)), np.zeros((2, 2)), {}, r"\(H, W\)"),
        (np.full((2, 2), 1.5), np.zeros((2, 2)), {}, "normalise"),
        (np.zeros((2, 2)), np.full((2, 2), np.nan), {}, "0-1"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {"mask_from": "both"}, "'both'"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {"threshold_on": "red"}, "'red'"),
    ],
)
def test_refuses(base, modified, options, message):
    with pytest.raises(ValueError, match=message):
        mask_statistic(base, modified, **options)
