"""Lung masks against the phantom's truth, against drawn masks of real slices, and where there is no lung."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.distance import dice as dice_distance

from covid_core.data.lungs import dice, find_lungs
from covid_core.data.phantom import patient_slices
from covid_core.data.slices import read_slice


@pytest.fixture(scope="module")
def phantoms():
    return [one for number in range(0, 24, 2) for one in patient_slices(number, number % 4 == 0, slices=3, size=192)]


def test_on_generated_slices(phantoms):
    scores = [dice(find_lungs(one.pixels).mask, one.lungs) for one in phantoms]
    assert np.mean(scores) > 0.97
    assert min(scores) > 0.90


def test_lesions_belong_to_the_lung(phantoms):
    covered = [
        (find_lungs(one.pixels).mask & one.lesions).sum() / one.lesions.sum() for one in phantoms if one.lesions.any()
    ]
    assert np.mean(covered) > 0.85


def test_the_trachea_and_the_air_outside_do_not(phantoms):
    for one in phantoms:
        mask = find_lungs(one.pixels).mask
        assert not mask[:3].any()
        assert not mask[-3:].any()
        assert (mask & ~cv2.dilate(one.lungs.astype(np.uint8), np.ones((9, 9))).astype(bool)).mean() < 0.01


@pytest.mark.parametrize("size", [96, 380])
def test_at_other_sizes(size):
    for one in patient_slices(3, False, slices=2, size=size):
        assert dice(find_lungs(one.pixels).mask, one.lungs) > 0.95


def test_in_other_windows_and_shapes():
    one = patient_slices(5, False, slices=1, size=256)[0]
    for pixels in (one.pixels * 0.5 + 100, 255 * (one.pixels / 255.0) ** 0.6, np.clip(one.pixels * 1.6, 0, 255)):
        assert dice(find_lungs(pixels).mask, one.lungs) > 0.95
    wide = cv2.resize(one.pixels, (320, 200), interpolation=cv2.INTER_AREA)
    truth = cv2.resize(one.lungs.astype(np.uint8), (320, 200), interpolation=cv2.INTER_NEAREST) > 0
    assert dice(find_lungs(wide).mask, truth) > 0.95


def test_a_crop_whose_lungs_touch_the_border_keeps_both():
    one = patient_slices(5, False, slices=1, size=256)[0]
    columns, rows = np.nonzero(one.lungs.any(axis=0))[0], np.nonzero(one.lungs.any(axis=1))[0]
    window = np.s_[rows[0] - 8 : rows[-1] + 8, columns[0] + 3 : columns[-1] - 3]
    assert dice(find_lungs(one.pixels[window]).mask, one.lungs[window]) > 0.95


def painted(pixels, depth, radius, grey):
    """A disc where ``depth`` is largest; its mask as well."""
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    y, x = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    disc = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return np.where(disc, grey, pixels), disc


def test_gas_between_the_lungs_is_the_trachea(phantoms):
    for one in phantoms[1::3]:
        middle = np.abs(np.arange(192) - 96) < 12
        rows = np.nonzero(one.lungs.any(axis=1))[0]
        between = ~one.lungs & middle
        between[: rows[0] + 20] = between[rows[-1] - 20 :] = False
        depth = cv2.distanceTransform(between.astype(np.uint8), cv2.DIST_L2, 5)
        pixels, disc = painted(one.pixels, depth, 9, 0)
        assert not find_lungs(pixels).mask[disc].any()


def test_a_solid_lesion_inside_a_lung_belongs_to_it(phantoms):
    for one in phantoms[1::3]:
        pixels, disc = painted(one.pixels, cv2.distanceTransform(one.lungs.astype(np.uint8), cv2.DIST_L2, 5), 9, 200)
        assert find_lungs(pixels).mask[disc].all()


def test_without_lungs_there_is_a_reason_and_an_empty_mask():
    y, x = np.mgrid[:128, :128]
    disc = np.where((x - 64) ** 2 + (y - 64) ** 2 < 50**2, 180.0, 0.0)
    for pixels in (np.full((128, 128), 90.0), disc):
        lungs = find_lungs(pixels)
        assert not lungs.found
        assert lungs.reason.endswith(".")
        assert lungs.mask.shape == pixels.shape
        assert not lungs.mask.any()
    assert find_lungs(patient_slices(5, False, slices=1, size=128)[0].pixels).reason == ""


@pytest.mark.parametrize("pixels", [np.zeros((4, 4)), np.zeros((32, 32, 1)), np.full((32, 32), np.nan)])
def test_what_is_no_slice_is_refused(pixels):
    with pytest.raises(ValueError, match=r"Expected .* Received: "):
        find_lungs(pixels)


def test_dice_equals_scipys():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 20, 30)) > 0.6
    assert dice(one, other) == pytest.approx(1 - dice_distance(one.ravel(), other.ravel()))
    assert dice(one, one) == dice(one & False, one & False) == 1
    assert dice(one, one & False) == 0


def test_on_real_slices(shared_data):
    """Every fourth of 200 slices; on all of them python -m benchmarks.lungs printed a mean of 0.951."""
    folder = shared_data / "covid19-ct-seg"
    if not folder.is_dir():
        pytest.skip(f"no lung masks at {folder}")
    scores = [
        dice(find_lungs(read_slice(file).pixels).mask, read_slice(folder / "lungs" / file.name).pixels > 127)
        for file in sorted((folder / "ct").iterdir())[::4]
    ]
    assert np.mean(scores) > 0.945
    assert np.percentile(scores, 10) > 0.87
