"""What a network says when the places that a map calls important are taken away, or are all that is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from covid_core.explain.heatmap import normalise

Predict = Callable[[np.ndarray], np.ndarray]
"""float32 slices ``(N, H, W)``, grey 0-255, to the probability of the class that is explained, ``(N,)``."""

STEPS = 8
BLUR = 1 / 16
"""Standard deviation of the blurred baseline as a share of the longer side: lungs stay, their texture goes."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Deletion and insertion (Petsiuk et al., RISE, 2018) of a batch.

    Args:
        shares: float64 ``(steps + 1,)``, 0 to 1: share of the pixels that are replaced.
        deletion: float64 ``(N, steps + 1)``: probability when the hottest pixels are replaced by the baseline.
        insertion: float64 ``(N, steps + 1)``: probability when the baseline's hottest pixels are replaced by the slice.
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_area(self) -> np.ndarray:
        """float64 ``(N,)``, 0-1: area under the deletion curve; the lower, the better the map."""
        return np.trapezoid(self.deletion, self.shares, axis=1)

    @property
    def insertion_area(self) -> np.ndarray:
        """float64 ``(N,)``, 0-1: area under the insertion curve; the higher, the better the map."""
        return np.trapezoid(self.insertion, self.shares, axis=1)


def blurred(slices: np.ndarray, blur: float = BLUR) -> np.ndarray:
    """The baseline that deletes without an edge, which a network could take for a finding.

    Args:
        slices: Float ``(N, H, W)``.
        blur: As ``BLUR``.

    Returns:
        float32 ``(N, H, W)``.
    """
    sigma = blur * max(slices.shape[1:])
    return np.stack([cv2.GaussianBlur(np.asarray(one, np.float32), (0, 0), sigma) for one in slices])


def perturbation_curves(
    predict: Predict,
    slices: np.ndarray,
    heat: np.ndarray,
    steps: int = STEPS,
    ties: np.ndarray | None = None,
    baseline: np.ndarray | None = None,
) -> Curves:
    """Deletion and insertion curves, hottest pixels first.

    Args:
        predict: See ``Predict``; called once for each slice, with 2 (steps - 1) pictures.
        slices: Float or uint8 ``(N, H, W)``, grey 0-255.
        heat: Float ``(N, H, W)``, any scale: only its order counts.
        steps: Parts that the pixels are replaced in, 2 or more.
        ties: Float ``(N, H, W)``: order of pixels of equal heat, such as the zeros of a map; row by row where it is
            left out, which would favour whatever stands at the bottom.
        baseline: float32 ``(N, H, W)``; ``blurred(slices)`` by default.

    Raises:
        ValueError: Shapes that differ, NaN, or fewer than two steps.
    """
    slices = np.asarray(slices, np.float32)
    heat = np.asarray(heat, np.float32)
    if slices.ndim != 3 or heat.shape != slices.shape:
        raise ValueError(f"Expected slices and heat of one shape (N, H, W). Received: {slices.shape}, {heat.shape}.")
    if not np.isfinite(heat).all():
        raise ValueError("Expected finite heat. Received: NaN or infinite values.")
    if steps < 2:
        raise ValueError(f"Expected two steps or more. Received: steps={steps}.")
    baseline = blurred(slices) if baseline is None else baseline
    ties = np.zeros_like(heat) if ties is None else ties
    shares = np.linspace(0, 1, steps + 1)
    counts = np.round(shares[1:-1] * heat[0].size).astype(int)
    curves = np.empty((2, len(slices), steps + 1))
    whole, gone = predict(slices), predict(baseline)
    curves[0, :, 0], curves[0, :, -1] = whole, gone
    curves[1, :, 0], curves[1, :, -1] = gone, whole
    for at, (slice_, base) in enumerate(zip(slices, baseline, strict=True)):
        rank = np.empty(heat[at].size, int)
        rank[np.lexsort((-ties[at].ravel(), -heat[at].ravel()))] = np.arange(rank.size)
        replaced = rank.reshape(slice_.shape) < counts[:, None, None]  # (steps - 1, H, W)
        pictures = np.concatenate([np.where(replaced, base, slice_), np.where(replaced, slice_, base)])
        curves[:, at, 1:-1] = predict(pictures).reshape(2, -1)
    return Curves(shares, curves[0], curves[1])


def drop_and_increase(predict: Predict, slices: np.ndarray, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop and increase of confidence when only what is hot is shown (Chattopadhay et al., Grad-CAM++, 2018).

    Y is the probability of the slice and O that of the slice times the heat: the drop is max(0, Y - O) / Y, the
    increase whether O > Y. A map that is hot everywhere changes nothing: both favour wide maps, and say nothing alone.

    Args:
        predict: See ``Predict``.
        slices: Float or uint8 ``(N, H, W)``, grey 0-255.
        heat: Float ``(N, H, W)``, >= 0; each map is divided by its maximum.

    Returns:
        float64 ``(N,)`` in 0-1 (their mean is the average drop; in print it is given in per cent), and float64 ``(N,)``
        of 0 and 1.
    """
    slices = np.asarray(slices, np.float32)
    whole = np.asarray(predict(slices), np.float64)
    shown = np.asarray(predict(slices * normalise(heat)), np.float64)
    drop = np.divide(np.maximum(whole - shown, 0), whole, out=np.zeros_like(whole), where=whole > 0)
    return drop, (shown > whole).astype(np.float64)
