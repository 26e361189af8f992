"""Heat maps as pictures: ranges, the colour map's facts, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from covid_core.explain import heatmap


def raw_maps(count=3, seed=0):
    return np.random.default_rng(seed).exponential(1, (count, 5, 7)).astype(np.float32)


def test_normalise_divides_each_map_by_its_own_peak():
    raw = raw_maps() * np.array([1, 1000, 1e-6], np.float32)[:, None, None]
    heat = heatmap.normalise(raw)
    assert heat.dtype == np.float32
    assert heat.shape == raw.shape
    np.testing.assert_array_equal(heat.max(axis=(1, 2)), 1)
    for one, single in zip(raw, heat, strict=True):
        np.testing.assert_allclose(single * one.max(), one, rtol=1e-6)
        np.testing.assert_array_equal(heatmap.normalise(one), single)


def test_normalise_keeps_zero_at_zero_and_does_not_care_for_a_factor():
    raw = raw_maps(2)
    raw[0] = 0
    raw[1] += 5  # nowhere without evidence: nothing may be drawn as 0
    heat = heatmap.normalise(raw)
    assert not heat[0].any()
    assert heat[1].min() > 0.3
    tiny = raw[1] * np.float32(1e-36)
    np.testing.assert_allclose(heatmap.normalise(tiny), heat[1], rtol=1e-5)


@pytest.mark.parametrize("bad", [np.full((2, 2), np.nan), np.array([[1.0, -1.0]]), np.zeros(3), np.zeros((0, 3))])
def test_normalise_refuses(bad):
    with pytest.raises(ValueError, match="Expected"):
        heatmap.normalise(bad)


def test_resize_keeps_range_place_and_orientation():
    heat = np.zeros((4, 6), np.float32)
    heat[0, 5] = 1
    large = heatmap.resize_heat(heat, (40, 90))
    assert large.shape == (40, 90)
    assert large.dtype == np.float32
    assert (large.min(), large.max()) == (0, 1)
    assert large[:5, -8:].min() == 1
    assert not large[20:].any()
    assert not large[:, :45].any()
    np.testing.assert_allclose(large.mean(), heat.mean(), rtol=0.5)
    stack = heatmap.resize_heat(np.stack([heat, heat * 0.5]), (40, 90))
    np.testing.assert_allclose(stack, [large, large * 0.5], atol=1e-6)


def test_jet_is_dark_at_both_ends_and_bright_in_the_middle():
    means = heatmap.colour(np.linspace(0, 1, 101)[None]).mean(axis=-1)[0]
    assert round(means[0]) == round(means[-1]) == 43
    np.testing.assert_allclose(means[40:61], 170, atol=1)


def test_colours_are_rgb_with_red_hot_and_blue_cold():
    cold, hot = heatmap.colour(np.array([[0.0, 1.0]]))[0].astype(int)
    assert cold[2] > 100 > cold[0]
    assert hot[0] > 100 > hot[2]


@pytest.mark.parametrize("colormap", heatmap.COLORMAPS)
def test_every_colour_map_clips_and_shows_different_colours(colormap):
    coloured = heatmap.colour(np.array([[-1.0, 0.0, 0.5, 1.0, 2.0]]), colormap)
    assert coloured.dtype == np.uint8
    assert coloured.shape == (1, 5, 3)
    assert (coloured[0, 0] == coloured[0, 1]).all()
    assert (coloured[0, 3] == coloured[0, 4]).all()
    assert len(np.unique(coloured[0], axis=0)) == 3


@pytest.mark.parametrize("bad", [np.array([[np.nan]]), np.zeros(3), np.zeros((2, 2, 3)), np.zeros((0, 2))])
def test_colour_refuses(bad):
    with pytest.raises(ValueError, match="Expected"):
        heatmap.colour(bad)


def test_overlay_runs_from_the_slice_to_the_heat():
    grey = np.random.default_rng(0).integers(0, 256, (8, 10)).astype(np.uint8)
    heat = np.random.default_rng(1).uniform(0, 1, (8, 10))
    np.testing.assert_array_equal(heatmap.overlay(grey, heat, 0.0), np.repeat(grey[..., None], 3, -1))
    np.testing.assert_array_equal(heatmap.overlay(grey, heat, 1.0), heatmap.colour(heat))
    half = heatmap.overlay(grey, heat, 0.5)
    assert half.dtype == np.uint8
    np.testing.assert_allclose(half, (grey[..., None] + heatmap.colour(heat).astype(float)) / 2, atol=0.5)


def test_an_empty_map_does_not_tint_the_slice():
    grey = np.random.default_rng(0).integers(0, 256, (8, 10)).astype(np.uint8)
    np.testing.assert_array_equal(heatmap.overlay(grey, np.zeros((4, 5)), 0.8), np.repeat(grey[..., None], 3, -1))


def test_overlay_resizes_a_coarse_map():
    grey, heat = np.full((8, 10), 90.0), np.eye(4)
    np.testing.assert_array_equal(
        heatmap.overlay(grey, heat), heatmap.overlay(grey, heatmap.resize_heat(heat, (8, 10)))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((4, 4, 3)), np.zeros((4, 4))), "grey slice"),
        ((np.zeros((4, 4)), np.zeros((4, 4)), 1.5), "opacity"),
        ((np.zeros((4, 4)), np.zeros((4, 4)), 0.5, "rainbow"), "'rainbow'"),
    ],
)
def test_overlay_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        heatmap.overlay(*arguments)


def test_colour_bar_is_hot_at_the_top():
    bar = heatmap.colour_bar(64, 3)
    assert bar.shape == (64, 3, 3)
    np.testing.assert_array_equal(bar[[0, -1], 0], heatmap.colour(np.array([[1.0], [0.0]]))[:, 0])
