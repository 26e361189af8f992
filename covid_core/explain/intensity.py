"""The mean-intensity mask statistic: does the modified network look where the base network looks?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from covid_core.explain.heatmap import colour

MASK_SOURCES = ("base", "modified", "union")
THRESHOLDS = ("heat", "pixel")


@dataclass(frozen=True)
class MaskStatistic:
    """Two maps compared inside one mask; the four means are NaN where the mask is empty.

    Args:
        base_intensity: Mean RGB value (0-255) of the base network's coloured map inside the mask.
        modified_intensity: The same of the modified network's map.
        base_heat: Mean heat (0-1) of the base network inside the mask.
        modified_heat: The same of the modified network.
        mask: bool ``(H, W)``.
        share: Share of the pixels that the mask holds, 0-1.
        mask_from: ``"base"``, ``"modified"`` or ``"union"``.
        threshold_on: ``"heat"`` or ``"pixel"``.
    """

    base_intensity: float
    modified_intensity: float
    base_heat: float
    modified_heat: float
    mask: np.ndarray
    share: float
    mask_from: str
    threshold_on: str


def mask_statistic(
    base_heat: np.ndarray,
    modified_heat: np.ndarray,
    mask_from: str = "base",
    threshold_on: str = "heat",
    colormap: str = "jet",
) -> MaskStatistic:
    """Mean intensity of a base and a modified network's maps inside a mask (Garg et al. 2020, section on Grad-CAM).

    The mask holds the pixels more than one standard deviation (of the population) above the mean of the map. Both
    maps are coloured with jet, and the statistic is the mean over the mask's pixels and over R, G and B. Jet is
    darkest at both of its ends (mean 43) and brightest in the middle (170): a higher value need not mean a hotter map,
    which is why the mean heat stands beside it.

    Args:
        base_heat: Float ``(H, W)`` in 0-1: the base network's normalised map, at the size of the slice.
        modified_heat: The modified network's, or that of any other network on the same backbone.
        mask_from: The map that the mask is taken from: ``"base"`` as published, ``"modified"``, or ``"union"`` of
            the two masks.
        threshold_on: What the mask thresholds: ``"heat"``, or ``"pixel"``: the coloured pixel's mean of R, G and B
            (the publication's wording leaves this open).
        colormap: Colour map of the intensities.

    Returns:
        The statistic. A constant map, all zero or not, has no pixel above its mean: its mask is empty, the share
        is 0 and the means are NaN.

    Raises:
        ValueError: Shapes that differ, values outside 0-1, an unknown option.
    """
    if mask_from not in MASK_SOURCES:
        raise ValueError(f"Expected mask_from in {', '.join(MASK_SOURCES)}. Received: '{mask_from}'.")
    if threshold_on not in THRESHOLDS:
        raise ValueError(f"Expected threshold_on in {', '.join(THRESHOLDS)}. Received: '{threshold_on}'.")
    heat = {"base": _checked(base_heat), "modified": _checked(modified_heat)}
    if heat["base"].shape != heat["modified"].shape:
        raise ValueError(
            f"Expected two maps of one shape. Received: {heat['base'].shape} and {heat['modified'].shape}; "
            "resize both to the slice first."
        )
    intensity = {name: colour(one, colormap).mean(axis=-1, dtype=np.float64) for name, one in heat.items()}
    thresholded = heat if threshold_on == "heat" else intensity
    sources = ("base", "modified") if mask_from == "union" else (mask_from,)
    mask = np.any([above_one_deviation(thresholded[name]) for name in sources], axis=0)
    return MaskStatistic(
        base_intensity=_mean_inside(intensity["base"], mask),
        modified_intensity=_mean_inside(intensity["modified"], mask),
        base_heat=_mean_inside(heat["base"], mask),
        modified_heat=_mean_inside(heat["modified"], mask),
        mask=mask,
        share=float(mask.mean()),
        mask_from=mask_from,
        threshold_on=threshold_on,
    )


def above_one_deviation(values: np.ndarray) -> np.ndarray:
    """Mask of the values more than one standard deviation above their mean; empty for constant values.

    Args:
        values: Float ``(H, W)``.

    Returns:
        bool ``(H, W)``.
    """
    values = np.asarray(values, np.float64)
    return values > values.mean() + values.std()


def _checked(heat: np.ndarray) -> np.ndarray:
    heat = np.asarray(heat, np.float64)
    if heat.ndim != 2 or heat.size == 0:
        raise ValueError(f"Expected a normalised map of shape (H, W). Received: {heat.shape}.")
    if not (heat.min() >= 0 and heat.max() <= 1):  # false for NaN as well
        raise ValueError(
            f"Expected a normalised map in 0-1. Received: {heat.min():g} to {heat.max():g}; use heatmap.normalise."
        )
    return heat


def _mean_inside(values: np.ndarray, mask: np.ndarray) -> float:
    return float(values[mask].mean()) if mask.any() else float("nan")
