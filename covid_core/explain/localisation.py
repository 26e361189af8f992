"""Where the heat of one map lies, measured against a mask of the lungs or of a lesion."""

from __future__ import annotations

import numpy as np


def energy_inside(heat: np.ndarray, mask: np.ndarray) -> float:
    """Share of the heat inside a mask: the energy-based pointing game of Wang et al., Score-CAM, 2020.

    Args:
        heat: Float ``(H, W)``, >= 0, any scale.
        mask: bool ``(H, W)``.

    Returns:
        0-1; NaN where there is no heat.
    """
    heat, mask = _checked(heat, mask)
    total = heat.sum()
    return float(heat[mask].sum() / total) if total > 0 else float("nan")


def points_inside(heat: np.ndarray, mask: np.ndarray) -> float:
    """Whether the hottest pixel lies in the mask: the pointing game of Zhang et al., 2018, without its tolerance.

    Args:
        heat: Float ``(H, W)``, >= 0.
        mask: bool ``(H, W)``.

    Returns:
        1 or 0; the share inside where several pixels are the hottest; NaN where there is no heat.
    """
    heat, mask = _checked(heat, mask)
    peak = heat.max()
    return float(mask[heat == peak].mean()) if peak > 0 else float("nan")


def hottest_iou(heat: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of the mask and the hottest pixels, as many as the mask has.

    As many as the mask has: no threshold has to be chosen, and the scale of the heat does not count. Pixels that tie at
    the edge of the choice count by their share.

    Args:
        heat: Float ``(H, W)``, >= 0.
        mask: bool ``(H, W)``.

    Returns:
        0-1; NaN where there is no heat or no mask.
    """
    heat, mask = _checked(heat, mask)
    count = int(mask.sum())
    if count == 0 or not heat.max() > 0:
        return float("nan")
    level = np.partition(heat.ravel(), heat.size - count)[heat.size - count]
    above, at = heat > level, heat == level
    shared = mask[above].sum() + (count - above.sum()) * mask[at].mean()
    return float(shared / (2 * count - shared))


def _checked(heat: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    heat, mask = np.asarray(heat, np.float64), np.asarray(mask)
    if heat.ndim != 2 or heat.shape != mask.shape or mask.dtype != bool:
        raise ValueError(
            f"Expected heat (H, W) and a bool mask of its shape. Received: {heat.shape}, {mask.shape} {mask.dtype}."
        )
    if not (np.isfinite(heat).all() and heat.min() >= 0):
        raise ValueError("Expected finite heat >= 0. Received: NaN, infinite or negative values.")
    return heat, mask
