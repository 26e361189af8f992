"""Every reason for which a picture is refused, each with a test that fails without its rule; and that slices pass."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from covid_core.data import refusal
from covid_core.data.chest_measures import without_frame
from covid_core.data.phantom import patient_slices, sample_slices
from covid_core.data.refusal import ADVICE, CHEST_RULES, Reason, judge_picture, judge_slice
from covid_core.data.slices import Slice, read_slice


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    """One generated slice, float32 (256, 256)."""
    return patient_slices(5, False, slices=1, size=256)[0].pixels.astype(np.float32)


def drawing() -> np.ndarray:
    picture = np.full((200, 260), 230.0)
    cv2.ellipse(picture, (80, 100), (40, 70), 0, 0, 360, 30.0, -1)
    cv2.ellipse(picture, (180, 100), (40, 70), 0, 0, 360, 30.0, -1)
    return picture


def figure(body: np.ndarray, lungs: np.ndarray, texture: float = 25.0) -> np.ndarray:
    """A cross-section out of two masks: air, noisy tissue, and lungs with a texture of vessels."""
    rng = np.random.default_rng(0)
    vessels = cv2.GaussianBlur(rng.normal(size=body.shape), (0, 0), 2)
    picture = np.where(body, 210 + rng.normal(0, 14, body.shape), 6 + rng.normal(0, 3, body.shape))
    picture = np.where(lungs, 60 + texture * vessels / vessels.std(), picture)
    return cv2.GaussianBlur(np.clip(picture, 0, 255), (0, 0), 0.7)


def ellipses(shape: tuple[int, int], *places: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of ellipses: column and row of the middle, half width and half height of each."""
    mask = np.zeros(shape, np.uint8)
    for x, y, half_width, half_height in places:
        cv2.ellipse(mask, (x, y), (half_width, half_height), 0, 0, 360, 1, -1)
    return mask > 0


def polygons(shape: tuple[int, int], *corners: list[tuple[int, int]]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.array(one, np.int32) for one in corners], 1)
    return mask > 0


SHAPE = (240, 300)
BODY = ellipses(SHAPE, (150, 120, 135, 100))
LUNGS = ellipses(SHAPE, (90, 120, 45, 65), (210, 120, 45, 65))


def two_bodies() -> np.ndarray:
    """Two whole slices, one above the other."""
    return np.vstack([figure(BODY, LUNGS)] * 2)


def cut_slices() -> np.ndarray:
    """Two slices cut to the lungs, side by side with a gap."""
    cut = figure(BODY, LUNGS)[50:190, 40:260]
    return np.hstack([cut, np.full((140, 6), 5.0), cut])


def soft_noise() -> np.ndarray:
    picture = cv2.GaussianBlur(np.random.default_rng(3).normal(size=(220, 300)), (0, 0), 3)
    low, high = np.percentile(picture, [1, 99])
    return np.clip((picture - low) / (high - low) * 255, 0, 255)


def projection() -> np.ndarray:
    """Lungs whose depth falls to nothing towards their edge, as an X-ray sums it up."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    depth = sum(np.clip(1 - ((x - at) / 55) ** 2 - ((y - 120) / 80) ** 2, 0, None) for at in (88, 212))
    return np.where(BODY, 220 - 170 * depth**0.7, 5) + np.random.default_rng(0).normal(0, 4, SHAPE)


def coronal() -> np.ndarray:
    """Lungs that are narrow on top and end in costophrenic angles at the sides."""
    left = [(110, 30), (130, 60), (130, 150), (90, 165), (45, 215), (60, 100)]
    right = [(300 - x, y) for x, y in left]
    return figure(BODY | ellipses(SHAPE, (150, 130, 130, 108)), polygons(SHAPE, left, right))


def cut_off() -> np.ndarray:
    """A body that goes on above and below, with air at its sides."""
    body = np.zeros(SHAPE, bool)
    body[:, 20:280] = True
    return figure(body, LUNGS)


PICTURES = {
    Reason.EMPTY: lambda: np.full((64, 64), 90.0),
    Reason.DRAWING: lambda: drawing(),
    Reason.NO_LUNGS: lambda: figure(BODY, LUNGS & False),
    Reason.LUNG_AREA: lambda: figure(BODY, ellipses(SHAPE, (90, 120, 10, 13))),
    Reason.CONTRAST: lambda: soft_noise(),
    Reason.PROJECTION: lambda: projection(),
    Reason.UNIFORM: lambda: figure(BODY, LUNGS, texture=1.0),
    Reason.MIXED: lambda: figure(BODY, LUNGS, texture=110.0),
    Reason.MEDIAN_PLANE: lambda: figure(BODY, ellipses(SHAPE, (150, 120, 70, 70))),
    Reason.CORONAL: lambda: coronal(),
    Reason.ALONG_BODY: lambda: cut_off(),
    Reason.PROPORTIONS: lambda: cv2.resize(figure(BODY, LUNGS), (200, 300)),
}


@pytest.mark.parametrize("reason", PICTURES, ids=str)
def test_each_reason_has_its_picture(reason):
    assert judge_picture(PICTURES[reason]()).reason is reason


@pytest.mark.parametrize("pixels", [two_bodies(), cut_slices()], ids=["two bodies", "cut to the lungs"])
def test_several_slices_are_a_panel(pixels):
    assert judge_picture(pixels).reason is Reason.PANEL


def test_the_figure_that_they_are_drawn_with_passes():
    assert judge_picture(figure(BODY, LUNGS)).text == ""


@pytest.mark.parametrize("rule", CHEST_RULES, ids=lambda rule: str(rule.reason))
def test_without_a_rule_its_picture_is_not_refused_for_that_reason(rule, monkeypatch):
    pixels = two_bodies() if rule.reason is Reason.PANEL else PICTURES[rule.reason]()
    monkeypatch.setattr(refusal, "CHEST_RULES", tuple(one for one in CHEST_RULES if one is not rule))
    assert judge_picture(pixels).reason is not rule.reason


def test_a_white_frame_is_no_part_of_the_slice():
    picture = figure(BODY, LUNGS)
    framed = np.pad(np.pad(picture, 4, constant_values=0), 6, constant_values=255)
    assert judge_picture(framed).text == ""
    assert np.array_equal(without_frame(framed), np.pad(picture, 4, constant_values=0))
    assert np.array_equal(without_frame(picture), picture)


def test_every_reason_is_tested():
    assert {*PICTURES, Reason.PANEL, Reason.DENSITY} == set(Reason)


def test_generated_slices_of_many_patients_pass():
    verdicts = {
        (number, round(one.position, 2)): judge_picture(one.pixels)
        for number in range(24)
        for one in patient_slices(number, number % 2 == 0, slices=3, size=192)
    }
    assert {place: verdict.text for place, verdict in verdicts.items() if not verdict.accepted} == {}
    assert all(judge_picture(one.pixels).accepted for one in sample_slices())


@pytest.mark.parametrize("change", ["mirrored", "turned by 10 degrees", "smaller", "as a JPEG", "stretched", "darker"])
def test_what_leaves_a_slice_a_slice_passes(chest, change):
    turn = cv2.getRotationMatrix2D((128, 128), 10, 1)
    pixels = {
        "mirrored": lambda: chest[:, ::-1],
        "turned by 10 degrees": lambda: cv2.warpAffine(chest, turn, (256, 256)),
        "smaller": lambda: cv2.resize(chest, (128, 128), interpolation=cv2.INTER_AREA),
        "as a JPEG": lambda: cv2.imdecode(cv2.imencode(".jpg", chest, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0),
        "stretched": lambda: cv2.resize(chest, (380, 300)),
        "darker": lambda: chest * 0.7,
    }[change]()
    assert judge_picture(np.ascontiguousarray(pixels)).text == ""


def test_hounsfield_units_tell_lung_from_fat(chest):
    hounsfield = chest / 255 * 1500 - 1350
    assert judge_picture(chest, hounsfield).accepted
    assert judge_picture(chest, hounsfield + 900).reason is Reason.DENSITY
    assert judge_slice(Slice(chest, hounsfield + 900)).reason is Reason.DENSITY


def test_refusals_say_what_was_expected_and_what_to_do():
    for pixels in (two_bodies(), cut_slices(), *(make() for make in PICTURES.values())):
        text = judge_picture(pixels).text
        assert text.startswith("Expected ")
        assert text.endswith(ADVICE)


def test_the_same_picture_gets_the_same_verdict(chest):
    assert judge_picture(chest) == judge_picture(chest.copy())
    assert judge_picture(chest.astype(np.uint8)) == judge_picture(chest.astype(np.uint8).astype(np.float32))


@pytest.mark.parametrize("folder", ["sars-cov-2-ct", "covid-ct"])
def test_real_slices_are_rarely_refused(shared_data, folder):
    files = [file for name in ("COVID", "non-COVID") for file in sorted((shared_data / folder / name).glob("*.png"))]
    sample = files[:: len(files) // 60]
    refused = [file.name for file in sample if not judge_picture(read_slice(file).pixels).accepted]
    assert len(refused) <= 0.05 * len(sample), refused
