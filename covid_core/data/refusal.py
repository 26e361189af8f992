"""Whether a slice is an axial chest CT slice, judged from its picture; a network is asked only if it is.

A few rules of anatomy and imaging, each with one reason. They refuse what they can name: a picture that passes them may
still be unlike all that a network was trained on, which is measured apart (``covid_core.explain.familiarity``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from covid_core.data.chest_measures import ChestMeasures, PictureMeasures, measure_chest, measure_picture, without_frame
from covid_core.data.lungs import find_lungs
from covid_core.data.slices import MIN_CONTRAST, Slice

MOST_COMMON = 0.85
SEAM = 0.40
LUNG_SHARE = (0.02, 0.70)
LEAST_CONTRAST = 0.32
LEAST_SHARPNESS = 0.18
LEAST_VARIATION, MOST_VARIATION = 0.04, 0.42
MOST_ON_MEDIAN_PLANE = 0.40
LOWEST_PLACE = 0.62
DEPTH = (0.42, 1.15)
CUT, FREE_SIDES, CUT_DEPTH = 0.37, 0.05, 0.70
LUNG_HOUNSFIELD = (-1010.0, -200.0)
"""Median of aerated and of ill lung; fat is about -100, water 0."""


class Reason(StrEnum):
    """Why a picture is refused: all there is."""

    EMPTY = "empty"
    DRAWING = "drawing"
    PANEL = "several pictures"
    NO_LUNGS = "no lungs"
    LUNG_AREA = "area of the lungs"
    CONTRAST = "contrast"
    PROJECTION = "X-ray"
    UNIFORM = "gas"
    MIXED = "no air"
    DENSITY = "density"
    MEDIAN_PLANE = "no mediastinum"
    CORONAL = "coronal plane"
    ALONG_BODY = "plane along the body"
    PROPORTIONS = "proportions"


@dataclass(frozen=True)
class Verdict:
    """What was decided about a picture.

    Args:
        reason: Why it is refused; None if it is accepted.
        text: The same as sentences for a user, with what was measured; empty if it is accepted.
    """

    reason: Reason | None = None
    text: str = ""

    @property
    def accepted(self) -> bool:
        """Whether a network may be asked."""
        return self.reason is None


@dataclass(frozen=True)
class _Rule:
    """A reason, when it holds, and what is said then: what was expected, what came."""

    reason: Reason
    holds: Callable[[ChestMeasures], bool]
    text: Callable[[ChestMeasures], str]


def _outside(value: float, bounds: tuple[float, float]) -> bool:
    return not bounds[0] <= value <= bounds[1]


CHEST_RULES: tuple[_Rule, ...] = (
    _Rule(
        Reason.PANEL,
        lambda chest: chest.bodies > 1,
        lambda chest: (
            f"Expected one axial slice. This picture shows {chest.bodies} bodies of about the same size, as where "
            "several slices are put together."
        ),
    ),
    _Rule(
        Reason.LUNG_AREA,
        lambda chest: _outside(chest.share, LUNG_SHARE),
        lambda chest: (
            f"Expected lungs that take {LUNG_SHARE[0]:.0%} to {LUNG_SHARE[1]:.0%} of the body. The dark regions that "
            f"could be lungs take {chest.share:.1%}."
        ),
    ),
    _Rule(
        Reason.CONTRAST,
        lambda chest: chest.contrast < LEAST_CONTRAST,
        lambda chest: (
            f"Expected lungs that differ from tissue by at least {LEAST_CONTRAST:.0%} of the picture's grey values. "
            f"Here it is {chest.contrast:.0%}, as in a photograph or a texture."
        ),
    ),
    _Rule(
        Reason.PROJECTION,
        lambda chest: chest.sharpness < LEAST_SHARPNESS,
        lambda chest: (
            "Expected lungs with a sharp edge: a cross-section changes from lung to tissue by at least "
            f"{LEAST_SHARPNESS:.0%} of their difference a pixel, at 256 pixels a side. Here it is "
            f"{chest.sharpness:.0%}, as in a chest X-ray or in a blurred picture."
        ),
    ),
    _Rule(
        Reason.UNIFORM,
        lambda chest: chest.variation < LEAST_VARIATION,
        lambda chest: (
            f"Expected lungs with vessels in them, which vary by at least {LEAST_VARIATION:.0%} of the difference to "
            f"tissue. The dark regions here vary by {chest.variation:.1%}, like gas in the bowel or a drawing."
        ),
    ),
    _Rule(
        Reason.MIXED,
        lambda chest: chest.variation > MOST_VARIATION,
        lambda chest: (
            f"Expected lungs that are mostly air, which vary by at most {MOST_VARIATION:.0%} of the difference to "
            f"tissue. The dark regions here vary by {chest.variation:.0%}, like fat between organs or a photograph."
        ),
    ),
    _Rule(
        Reason.MEDIAN_PLANE,
        lambda chest: chest.median_plane > MOST_ON_MEDIAN_PLANE,
        lambda chest: (
            f"Expected heart, vessels and spine between the lungs: at most {MOST_ON_MEDIAN_PLANE:.0%} lung along the "
            f"middle of the body. Here it is {chest.median_plane:.0%}, as in a sagittal plane, a picture without a "
            "body, or a slice that lies on its side."
        ),
    ),
    _Rule(
        Reason.CORONAL,
        lambda chest: chest.lowest > LOWEST_PLACE,
        lambda chest: (
            "Expected lungs that reach lowest beside the spine, as in an axial plane. Both reach lowest at "
            f"{chest.lowest:.0%} of their width outwards (expected: at most {LOWEST_PLACE:.0%}), as at the diaphragm "
            "in a coronal plane or a chest X-ray."
        ),
    ),
    _Rule(
        Reason.ALONG_BODY,
        lambda chest: chest.cut > CUT and chest.sides < FREE_SIDES and chest.depth > CUT_DEPTH,
        lambda chest: (
            "Expected a body that ends in front and behind. This one is cut off by at least "
            f"{chest.cut:.0%} of the upper and of the lower border and ends at both sides, as in a sagittal or coronal "
            "plane."
        ),
    ),
    _Rule(
        Reason.PROPORTIONS,
        lambda chest: _outside(chest.depth, DEPTH),
        lambda chest: (
            f"Expected a chest that is {DEPTH[0]:.2f} to {DEPTH[1]:.2f} times as deep as wide, its front or back on "
            f"top. This body has {chest.depth:.2f}."
        ),
    ),
)
"""In this order: the first that holds is the reason."""

ADVICE = "Use a single axial slice of a chest CT; no probability is given for anything else."


def judge_slice(one: Slice) -> Verdict:
    """Judge a slice by its picture, and by its Hounsfield units where it has them.

    Args:
        one: As ``read_slice`` gives it.
    """
    return judge_picture(one.pixels, one.hounsfield)


def judge_picture(pixels: np.ndarray, hounsfield: np.ndarray | None = None) -> Verdict:
    """Judge a picture; the same picture always gets the same verdict.

    Args:
        pixels: Float or uint8 ``(H, W)``, grey values 0-255, at least 16 × 16.
        hounsfield: Float ``(H, W)``, or None where the picture has none.

    Returns:
        Accepted, or the first reason that holds.

    Raises:
        ValueError: Another shape, or NaN.
    """
    if np.ptp(pixels) < MIN_CONTRAST:
        return _refused(Reason.EMPTY, "Expected a slice with dark lungs and bright bone. This one is of one grey.")
    if hounsfield is None:  # a scanner draws no frame
        pixels = without_frame(pixels)
    refused = _judge_file(measure_picture(pixels))
    if refused:
        return refused
    lungs = find_lungs(pixels)
    if not lungs.found:
        return _refused(Reason.NO_LUNGS, f"Expected two lungs. {lungs.reason}")
    chest = measure_chest(pixels, lungs)
    for rule in CHEST_RULES:
        if rule.holds(chest):
            return _refused(rule.reason, rule.text(chest))
    if hounsfield is not None:
        density = float(np.median(hounsfield[lungs.mask]))
        if _outside(density, LUNG_HOUNSFIELD):
            low, high = LUNG_HOUNSFIELD
            return _refused(
                Reason.DENSITY,
                f"Expected lungs of {low:.0f} to {high:.0f} Hounsfield units. What could be lungs here has a median of "
                f"{density:.0f}.",
            )
    return Verdict()


def _judge_file(picture: PictureMeasures) -> Verdict | None:
    """Refusals that need no lungs."""
    if picture.commonest > MOST_COMMON:
        return _refused(
            Reason.DRAWING,
            f"Expected the many grey values of a CT slice. Eight of them make up {picture.commonest:.0%} of this "
            f"picture (expected: at most {MOST_COMMON:.0%}), as in a drawing, a mask or a page of text.",
        )
    if picture.seam > SEAM:
        return _refused(
            Reason.PANEL,
            f"Expected one axial slice. A straight edge runs through {picture.seam:.0%} of this picture (expected: at "
            f"most {SEAM:.0%}), as between several pictures in one, or along the table in a plane along the body.",
        )
    return None


def _refused(reason: Reason, text: str) -> Verdict:
    return Verdict(reason, f"{text} {ADVICE}")
