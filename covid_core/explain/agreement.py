"""How much maps of the same slices resemble each other: two networks, two seeds, the folds of one architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from covid_core.explain.heatmap import normalise, resize_heat

SSIM_SIDE = 64
"""Side at which two maps are compared: the window of SSIM has 7 pixels, some maps have 4 places a side."""


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each pair of maps.

    Args:
        one: Float ``(N, h, w)``.
        other: The same shape.

    Returns:
        float64 ``(N,)`` in -1 to 1; NaN where a map is constant.
    """
    one, other = np.asarray(one), np.asarray(other)
    if one.ndim != 3 or one.shape != other.shape:
        raise ValueError(f"Expected two batches of maps (N, h, w) of one shape. Received: {one.shape}, {other.shape}.")
    return np.array(
        [
            spearmanr(a, b, axis=None).statistic if np.ptp(a) > 0 and np.ptp(b) > 0 else np.nan
            for a, b in zip(one, other, strict=True)
        ]
    )


def similarity(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Structural similarity (SSIM, Wang et al. 2004) of each pair of normalised maps.

    Args:
        one: Float ``(N, h, w)``, >= 0, any scale.
        other: The same shape.

    Returns:
        float64 ``(N,)``, 1 for equal maps; NaN where a map is empty.
    """
    heats = [resize_heat(normalise(maps), (SSIM_SIDE, SSIM_SIDE)) for maps in (one, other)]
    return np.array(
        [
            structural_similarity(a, b, data_range=1.0) if a.any() and b.any() else np.nan
            for a, b in zip(*heats, strict=True)
        ]
    )


@dataclass(frozen=True, eq=False)
class Stability:
    """The maps of several networks, such as the folds of one architecture, on the same slices.

    Args:
        mean: float32 ``(N, h, w)``: mean of the normalised maps.
        deviation: float32 ``(N, h, w)``: their sample standard deviation.
        rank_correlation: float64 ``(N,)``: mean over all pairs of networks; NaN where a map of each pair is constant.
    """

    mean: np.ndarray
    deviation: np.ndarray
    rank_correlation: np.ndarray


def stability(maps: Sequence[np.ndarray]) -> Stability:
    """Mean map, deviation and mean pairwise rank correlation of two or more networks.

    Args:
        maps: For each network float ``(N, h, w)``, >= 0, raw or normalised.

    Raises:
        ValueError: Fewer than two networks, or shapes that differ.
    """
    if len(maps) < 2 or len({np.shape(one) for one in maps}) > 1:
        raise ValueError(
            f"Expected maps of two networks or more, all of one shape. Received: {[np.shape(one) for one in maps]}."
        )
    heats = np.stack([normalise(one) for one in maps])
    pairs = np.stack([rank_correlation(one, other) for one, other in combinations(heats, 2)])
    known = ~np.isnan(pairs)
    count = known.sum(axis=0)
    total = np.where(known, pairs, 0).sum(axis=0)
    correlation = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return Stability(heats.mean(axis=0), heats.std(axis=0, ddof=1), correlation)
