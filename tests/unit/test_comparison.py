"""Two maps as numbers: known truths, invariances, and the statistic that the live page shows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import f1_score, jaccard_score

from covid_core.explain.comparison import (
    agreement_with_another_slice,
    chance_iou,
    compare_maps,
    overlap,
    spread,
)
from covid_core.explain.intensity import MASK_SOURCES, mask_statistic


def blob(y: float, x: float, width: float, size: int = 48) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2)).astype(np.float32)


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return rng.random((40, 50)).astype(np.float32), rng.random((40, 50)).astype(np.float32)


@pytest.mark.parametrize("threshold", ["heat", "pixel"])
def test_it_holds_the_mask_statistic_of_every_source(maps, threshold):
    measures = compare_maps(*maps, threshold)
    for source in MASK_SOURCES:
        live = mask_statistic(*maps, source, threshold)
        assert measures[f"{source}_mask_base_intensity"] == live.base_intensity
        assert measures[f"{source}_mask_modified_intensity"] == live.modified_intensity
        assert measures[f"{source}_mask_base_heat"] == live.base_heat
        assert measures[f"{source}_mask_modified_heat"] == live.modified_heat
        assert measures[f"{source}_mask_share"] == live.share


def test_a_map_agrees_with_itself_and_swapping_swaps():
    one, other = blob(10, 10, 6), blob(30, 35, 9)
    same = compare_maps(one, one)
    assert same["mask_iou"] == same["mask_dice"] == 1
    assert same["rank_correlation"] == pytest.approx(1)
    there, back = compare_maps(one, other), compare_maps(other, one)
    for name in ("mask_iou", "mask_dice", "chance_iou", "rank_correlation"):
        assert there[name] == pytest.approx(back[name])
    assert there["base_entropy"] == back["modified_entropy"]
    assert there["base_mask_base_heat"] == back["modified_mask_modified_heat"]


def test_maps_at_different_places_do_not_overlap():
    measures = compare_maps(blob(8, 8, 4), blob(38, 38, 4))
    assert measures["mask_iou"] == measures["mask_dice"] == 0
    assert measures["rank_correlation"] < 0
    assert measures["base_mask_base_intensity"] > measures["base_mask_modified_intensity"]


def test_an_empty_map_is_nan_where_nothing_is_defined_and_a_number_elsewhere():
    measures = compare_maps(np.zeros((20, 20)), blob(10, 10, 3, 20))
    undefined = {name for name, value in measures.items() if math.isnan(value)}
    means = ("base_intensity", "modified_intensity", "base_heat", "modified_heat")
    assert undefined == {
        *(f"base_mask_{name}" for name in means),
        *("base_area_over_half", "base_entropy", "rank_correlation"),
    }
    assert measures["mask_iou"] == 0
    both = compare_maps(np.zeros((20, 20)), np.zeros((20, 20)))
    assert math.isnan(both["mask_iou"])
    assert math.isnan(both["chance_iou"])


class TestSpread:
    def test_the_ends_of_the_scale(self):
        hot = np.zeros((16, 16))
        hot[3, 4] = 1
        assert spread(hot) == (1 / 256, 0.0)
        area, high = spread(np.full((16, 16), 0.3))
        assert area == 1
        assert high == pytest.approx(1)

    def test_a_wider_blob_spreads_further(self):
        areas, entropies = zip(*(spread(blob(24, 24, width)) for width in (2, 4, 8, 16)), strict=True)
        assert list(areas) == sorted(set(areas))
        assert list(entropies) == sorted(set(entropies))

    def test_a_gaussian_has_the_area_that_follows_from_its_width(self):
        assert spread(blob(100, 100, 20, 200))[0] == pytest.approx(2 * math.log(2) * math.pi * 20**2 / 200**2, rel=0.01)

    def test_the_entropy_is_scipys_and_does_not_depend_on_the_scale(self, maps):
        expected = entropy(maps[0].ravel().astype(float), base=maps[0].size)
        assert spread(maps[0])[1] == pytest.approx(expected)
        assert spread(maps[0] * np.float32(0.01)) == pytest.approx(spread(maps[0]))


def test_overlap_is_scikit_learns(maps):
    one, other = maps[0] > 0.7, maps[1] > 0.4
    iou, dice = overlap(one, other)
    assert iou == pytest.approx(jaccard_score(one.ravel(), other.ravel()))
    assert dice == pytest.approx(f1_score(one.ravel(), other.ravel()))


def test_chance_is_what_random_masks_give():
    rng = np.random.default_rng(1)
    found = [overlap(rng.random((100, 100)) < 0.3, rng.random((100, 100)) < 0.15)[0] for _ in range(50)]
    assert chance_iou(0.3, 0.15) == pytest.approx(np.mean(found), abs=0.003)


def test_the_control_is_the_same_measure_on_two_slices(maps):
    control, measures = agreement_with_another_slice(*maps), compare_maps(*maps)
    assert control["other_slice_iou"] == measures["mask_iou"]
    assert control["other_slice_rank_correlation"] == measures["rank_correlation"]
