"""Two heat maps of one slice as numbers: the mask statistic, how far each map spreads, how well the two agree."""

from __future__ import annotations

import numpy as np

from covid_core.explain.agreement import rank_correlation
from covid_core.explain.intensity import MASK_SOURCES, mask_statistic

CONTROLS = ("other_slice_iou", "other_slice_rank_correlation")
"""What ``agreement_with_another_slice`` gives."""


def compare_maps(base_heat: np.ndarray, modified_heat: np.ndarray, threshold_on: str = "heat") -> dict[str, float]:
    """Everything that a study keeps of the maps of a base and a modified network.

    Args:
        base_heat: Float ``(H, W)`` in 0-1: the base network's normalised map, at the size of the slice.
        modified_heat: The modified network's.
        threshold_on: What the masks threshold, see ``intensity.mask_statistic``.

    Returns:
        Measure -> value, NaN where it is not defined. For each ``source`` of ``MASK_SOURCES`` the statistic inside its
        mask: ``<source>_mask_base_intensity``, ``_modified_intensity`` (0-255), ``_base_heat``, ``_modified_heat``
        (0-1) and ``_share`` (of the pixels). For each network ``base_…`` and ``modified_area_over_half`` and
        ``_entropy``, see ``spread``. Of the pair ``mask_iou`` and ``mask_dice`` of the masks from base and from
        modified, ``chance_iou``, and ``rank_correlation``.

    Raises:
        ValueError: As ``mask_statistic``.
    """
    measures: dict[str, float] = {}
    masks = {}
    for source in MASK_SOURCES:
        statistic = mask_statistic(base_heat, modified_heat, source, threshold_on)
        masks[source] = statistic.mask
        for name in ("base_intensity", "modified_intensity", "base_heat", "modified_heat", "share"):
            measures[f"{source}_mask_{name}"] = getattr(statistic, name)
    for name, heat in (("base", base_heat), ("modified", modified_heat)):
        measures[f"{name}_area_over_half"], measures[f"{name}_entropy"] = spread(heat)
    measures["mask_iou"], measures["mask_dice"] = overlap(masks["base"], masks["modified"])
    measures["chance_iou"] = chance_iou(masks["base"].mean(), masks["modified"].mean())
    measures["rank_correlation"] = float(rank_correlation(base_heat[None], modified_heat[None])[0])
    return measures


def agreement_with_another_slice(base_heat: np.ndarray, modified_heat: np.ndarray) -> dict[str, float]:
    """The control of ``mask_iou`` and ``rank_correlation``: the maps of two slices that only share their class.

    Two networks that both look at the middle of every slice agree without having found anything in one.

    Args:
        base_heat: Float ``(H, W)`` in 0-1: the base network's map of one slice.
        modified_heat: The modified network's of another.

    Returns:
        Measure of ``CONTROLS`` -> value.
    """
    masks = mask_statistic(base_heat, modified_heat).mask, mask_statistic(base_heat, modified_heat, "modified").mask
    correlation = float(rank_correlation(base_heat[None], modified_heat[None])[0])
    return dict(zip(CONTROLS, (overlap(*masks)[0], correlation), strict=True))


def spread(heat: np.ndarray) -> tuple[float, float]:
    """How far a map spreads over its slice.

    Args:
        heat: Float ``(H, W)``, >= 0.

    Returns:
        Share of the pixels above half of the map's maximum, 0-1, and the entropy of the heat as a distribution over
        the pixels, ``-sum(p log p) / log(H W)`` with ``p = heat / sum(heat)``: 0 for one hot pixel, 1 for a constant
        map. Both NaN for a map that is zero everywhere.
    """
    heat = np.asarray(heat, np.float64)
    total = heat.sum()
    if total == 0:
        return float("nan"), float("nan")
    share = heat[heat > 0] / total
    return float((heat > heat.max() / 2).mean()), float(-(share * np.log(share)).sum() / np.log(heat.size))


def overlap(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Intersection over union, and Dice, of two masks.

    Args:
        one: bool ``(H, W)``.
        other: bool ``(H, W)``.

    Returns:
        Both in 0-1; NaN where both masks are empty.
    """
    common, union = int((one & other).sum()), int((one | other).sum())
    if not union:
        return float("nan"), float("nan")
    return common / union, 2 * common / (int(one.sum()) + int(other.sum()))


def chance_iou(one: float, other: float) -> float:
    """Intersection over union that two masks of these shares have when one is thrown at random: ab / (a + b - ab)."""
    union = one + other - one * other
    return float(one * other / union) if union else float("nan")
