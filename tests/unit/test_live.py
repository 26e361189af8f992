"""The measures beside a live map: the true map of a model that sees one place, and where there is nothing to say."""

from __future__ import annotations

import numpy as np
import pytest

from covid_core.data.lungs import Lungs, find_lungs
from covid_core.data.phantom import patient_slices
from covid_core.explain.live import DRAWS, SHOWN, judge

SIZE = 64


@pytest.fixture
def slice_():
    return patient_slices(2, True, 1, SIZE)[0]


@pytest.fixture
def predict(slice_):
    """Sees how much of the lesion's texture is there."""
    whole = slice_.pixels.astype(float)

    def of(pictures):
        difference = np.abs(np.asarray(pictures, float) - whole)[:, slice_.lesions].mean(axis=1)
        return np.exp(-difference / 5)

    return of


def true_map(slice_):
    return slice_.lesions.reshape(8, 8, 8, 8).mean(axis=(1, 3))


def test_the_true_map_is_better_than_every_control(slice_, predict):
    found = judge("a", slice_.pixels, true_map(slice_), predict, find_lungs(slice_.pixels))
    assert set(found.of_map) == set(found.of_random) == set(found.of_centred) == set(SHOWN)
    assert len(found.of_random["deletion"]) == DRAWS
    assert found.of_map["deletion"] < min(*found.of_random["deletion"], found.of_centred["deletion"])
    assert found.of_map["insertion"] > max(*found.of_random["insertion"], found.of_centred["insertion"])
    assert found.of_map["lungs"] > max(found.of_random["lungs"])
    assert found.probability == 1
    assert found.blurred_probability < 0.5
    assert found.lung_share == pytest.approx(slice_.lungs.mean(), rel=0.1)


def test_likeness_to_random_weights_is_that_of_the_maps(slice_, predict):
    raw, lungs = true_map(slice_), find_lungs(slice_.pixels)
    same = judge("a", slice_.pixels, raw, predict, lungs, 3 * raw)
    assert same.random_rank == pytest.approx(1)
    assert same.random_ssim == pytest.approx(1)
    empty = judge("a", slice_.pixels, raw, predict, lungs, 0 * raw)
    assert np.isnan(empty.random_rank)
    assert np.isnan(empty.random_ssim)


def test_without_lungs_the_reason_stays(slice_, predict):
    nothing = Lungs(slice_.lungs & False, slice_.lungs | True, "No dark region.")
    found = judge("a", slice_.pixels, true_map(slice_), predict, nothing)
    assert found.lungs_reason == "No dark region."
    assert np.isnan(found.lung_share)
    assert np.isnan(found.of_map["lungs"])
    assert not np.isnan(found.of_map["deletion"])


def test_it_stops_when_nobody_wants_to_know(slice_, predict):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 2

    assert judge("a", slice_.pixels, true_map(slice_), predict, find_lungs(slice_.pixels), None, cancelled) is None
    assert len(asked) == 3
