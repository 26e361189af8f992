"""Where heat lies, by hand, and the maps that know nothing."""

from __future__ import annotations

import numpy as np
import pytest

from covid_core.explain.controls import GAUSSIAN_WIDTH, centred_map, random_map, shuffled_map
from covid_core.explain.localisation import energy_inside, hottest_iou, points_inside


@pytest.fixture
def lesion():
    mask = np.zeros((20, 30), bool)
    mask[3:8, 5:15] = True
    return mask


def test_energy_by_hand():
    heat = np.array([[4.0, 1.0], [0.0, 3.0]])
    mask = np.array([[True, False], [True, False]])
    assert energy_inside(heat, mask) == 0.5
    assert energy_inside(10 * heat, mask) == 0.5
    assert np.isnan(energy_inside(0 * heat, mask))


def test_pointing_by_hand():
    heat = np.array([[4.0, 1.0], [0.0, 3.0]])
    assert points_inside(heat, np.array([[True, False], [False, False]])) == 1
    assert points_inside(heat, np.array([[False, True], [True, True]])) == 0
    tie = np.array([[4.0, 4.0], [0.0, 3.0]])
    assert points_inside(tie, np.array([[True, False], [False, False]])) == 0.5
    assert np.isnan(points_inside(0 * heat, np.ones((2, 2), bool)))


def test_hottest_iou_by_hand():
    heat = np.array([[9.0, 8.0, 1.0], [7.0, 2.0, 0.0]])
    mask = np.array([[True, False, False], [True, True, False]])
    # the three hottest are 9, 8, 7: two of them in the mask, of four in the union
    assert hottest_iou(heat, mask) == 0.5
    assert np.isnan(hottest_iou(heat, mask & False))
    assert np.isnan(hottest_iou(0 * heat, mask))


def test_the_lesion_itself_is_the_perfect_map_and_its_opposite_the_worst(lesion):
    perfect, worst = lesion.astype(float), (~lesion).astype(float)
    for measure in (energy_inside, points_inside, hottest_iou):
        assert measure(perfect, lesion) == 1
        assert measure(worst, lesion) == 0


def test_overlap_does_not_depend_on_the_order_of_equal_heat(lesion):
    heat = np.zeros(lesion.shape)
    heat[0, 0] = 1
    share = (lesion.sum() - 1) * lesion.sum() / (lesion.size - 1)
    expected = share / (2 * lesion.sum() - share)
    assert hottest_iou(heat, lesion) == pytest.approx(expected)
    assert hottest_iou(heat[:, ::-1], lesion[:, ::-1]) == pytest.approx(expected, rel=0.05)


def test_flat_heat_and_random_heat_find_a_lesion_as_often_as_its_area_says(lesion):
    area, rng = lesion.mean(), np.random.default_rng(0)
    assert energy_inside(np.ones(lesion.shape), lesion) == pytest.approx(area)
    assert points_inside(np.ones(lesion.shape), lesion) == pytest.approx(area)
    energies = [energy_inside(random_map(lesion.shape, rng), lesion) for _ in range(200)]
    assert np.mean(energies) == pytest.approx(area, rel=0.03)


@pytest.mark.parametrize("measure", [energy_inside, points_inside, hottest_iou])
def test_what_does_not_fit_is_refused(measure, lesion):
    heat = np.ones(lesion.shape)
    for wrong in ((heat[:-1], lesion), (heat, lesion.astype(int)), (-heat, lesion), (heat * np.nan, lesion)):
        with pytest.raises(ValueError, match="Expected"):
            measure(*wrong)


def test_the_centred_control_is_a_gaussian_in_the_middle():
    heat = centred_map((101, 61))
    assert heat.shape == (101, 61)
    assert np.unravel_index(heat.argmax(), heat.shape) == (50, 30)
    np.testing.assert_allclose(heat, heat[::-1, ::-1], atol=1e-6)
    one_deviation = round(101 * GAUSSIAN_WIDTH)
    assert heat[50 + one_deviation, 30] == pytest.approx(np.exp(-0.5), rel=0.02)


def test_shuffling_keeps_the_values_and_moves_them():
    raw = np.random.default_rng(1).random((6, 7)).astype(np.float32)
    moved = shuffled_map(raw, np.random.default_rng(2))
    np.testing.assert_array_equal(np.sort(moved.ravel()), np.sort(raw.ravel()))
    assert (moved != raw).mean() > 0.8
    assert moved.dtype == raw.dtype
