"""Is a map any good? Every measure of raw maps, beside the same measures of maps that know nothing."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from covid_core.explain.heatmap import normalise, resize_heat
from covid_core.explain.localisation import energy_inside, hottest_iou, points_inside
from covid_core.explain.perturbation import STEPS, Predict, blurred, drop_and_increase, perturbation_curves

KIND = "evaluation"
"""Of studies in the store that hold these measures."""


@dataclass(frozen=True)
class Measure:
    """One number about a map.

    Args:
        name: In the store.
        label: For people.
        better: 1 if higher is better, -1 if lower is.
        judged: Whether a map has to beat its controls by it; the others favour wide maps whatever they mark.
        meaning: One sentence.
    """

    name: str
    label: str
    better: int
    judged: bool
    meaning: str


MEASURES = {
    one.name: one
    for one in (
        Measure(
            *("deletion", "Deletion", -1, True),
            "Area under the probability while the hottest pixels give way to a blurred slice; lower is better.",
        ),
        Measure(
            *("insertion", "Insertion", 1, True),
            "Area under the probability while the hottest pixels come back into a blurred slice; higher is better.",
        ),
        Measure(
            *("drop", "Average drop", -1, False),
            "Share of the probability that is lost when the slice is multiplied by the heat; favours wide maps.",
        ),
        Measure(
            *("increase", "Increase", 1, False),
            "Share of slices whose probability grows when the slice is multiplied by the heat; favours wide maps.",
        ),
        Measure(*("lungs", "Heat in the lungs", 1, True), "Share of the heat that lies inside the lungs."),
        Measure(*("lesion", "Heat in the lesions", 1, True), "Share of the heat that lies inside the drawn lesions."),
        Measure(
            *("pointing", "Pointing game", 1, True), "Share of slices whose hottest pixel lies inside a drawn lesion."
        ),
        Measure(
            *("overlap", "Lesion IoU", 1, True),
            "Intersection over union of the lesions and as many of the hottest pixels.",
        ),
    )
}
"""By name, in the order of tables."""

JUDGED = tuple(name for name, one in MEASURES.items() if one.judged)
"""Names of those by which a map has to beat its controls."""

EMPTY = "empty"
"""Measure that is 1 for a map without any heat, for which the others are not defined, and 0 else."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Slices that one network is asked about, all for the same class.

    Args:
        names: ``N`` names.
        inputs: float32 ``(N, S, S)``, grey 0-255, as the network sees them.
        lungs: bool ``(H, W)`` each, at the slice's own size, or None.
        lesions: The same.
        predict: Probability of the class that is explained.
    """

    names: Sequence[str]
    inputs: np.ndarray
    lungs: Sequence[np.ndarray | None]
    lesions: Sequence[np.ndarray | None]
    predict: Predict


def measure_maps(batch: Batch, raw: np.ndarray, steps: int = STEPS) -> dict[str, np.ndarray]:
    """All measures of one map a slice.

    Args:
        batch: The slices.
        raw: Float ``(N, h, w)``, >= 0, of any resolution: resized to the network's input for what the network says,
            and to each mask for where the heat lies.
        steps: See ``perturbation_curves``.

    Returns:
        Each of ``MEASURES`` and ``EMPTY``, float64 ``(N,)``: NaN for a map without heat, for measures of the lungs
        where there is no mask, and for measures of lesions where there are none.
    """
    heat = normalise(raw)
    result = {name: np.full(len(raw), np.nan) for name in MEASURES}
    hot = np.flatnonzero(heat.any(axis=(1, 2)))
    result[EMPTY] = np.ones(len(raw))
    result[EMPTY][hot] = 0
    if hot.size == 0:
        return result
    inputs = batch.inputs[hot]
    at_input = resize_heat(heat[hot], inputs.shape[1:])
    ties = np.stack([tie_breaker(batch.names[at], heat.shape[1:], inputs.shape[1:]) for at in hot])
    curves = perturbation_curves(batch.predict, inputs, at_input, steps, ties, blurred(inputs))
    result["deletion"][hot], result["insertion"][hot] = curves.deletion_area, curves.insertion_area
    result["drop"][hot], result["increase"][hot] = drop_and_increase(batch.predict, inputs, at_input)
    for at in hot:
        lungs, lesions = batch.lungs[at], batch.lesions[at]
        if lungs is not None:
            result["lungs"][at] = energy_inside(resize_heat(heat[at], lungs.shape), lungs)
        if lesions is not None and lesions.any():
            on_slice = resize_heat(heat[at], lesions.shape)
            result["lesion"][at] = energy_inside(on_slice, lesions)
            result["pointing"][at] = points_inside(on_slice, lesions)
            result["overlap"][at] = hottest_iou(on_slice, lesions)
    return result


def stream(name: str, *numbers: int) -> np.random.Generator:
    """Random numbers of a slice's own: whatever else is measured, and in whatever order, they stay the same.

    Args:
        name: Of the slice.
        numbers: What tells apart the uses, such as a seed; 0 or more.
    """
    return np.random.default_rng([zlib.crc32(name.encode()), *numbers])


def tie_breaker(name: str, grid: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """An order for pixels of equal heat, as coarse as the map: zeros are then replaced like those of a random map."""
    return resize_heat(stream(name, 0).random(grid, np.float32), shape)
