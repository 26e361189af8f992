"""From a raw class activation map to a picture: normalise, resize, colour, lay over the slice."""

from __future__ import annotations

import cv2
import numpy as np

# OpenCV's jet is the colour map of the published figures; turbo is its perceptually smoother successor.
COLORMAPS = {
    "jet": cv2.COLORMAP_JET,
    "turbo": cv2.COLORMAP_TURBO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "grey": None,
}


def normalise(raw: np.ndarray) -> np.ndarray:
    """Raw maps as heat: each map divided by its own maximum.

    Zero stays zero (no evidence for the class), which a stretch from minimum to maximum would not keep. Maps of the
    class probability and of its log-odds differ by a factor only and give the same heat.

    Args:
        raw: Float ``(h, w)`` or ``(N, h, w)``, >= 0.

    Returns:
        float32 of the same shape in 0-1, with maximum 1; an all-zero map stays all zero.

    Raises:
        ValueError: Other shapes, NaN, infinite or negative values.
    """
    raw = np.asarray(raw, np.float64)  # float64: the quotient of two very small numbers stays exact
    if raw.ndim not in (2, 3) or raw.size == 0:
        raise ValueError(f"Expected raw maps of shape (h, w) or (N, h, w). Received: {raw.shape}.")
    if not np.isfinite(raw).all() or raw.min() < 0:
        raise ValueError("Expected finite raw maps >= 0. Received: NaN, infinite or negative values.")
    peak = raw.max(axis=(-2, -1), keepdims=True)
    return np.divide(raw, peak, out=np.zeros_like(raw), where=peak > 0).astype(np.float32)


def resize_heat(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Heat at another resolution, bilinear, pixel centres aligned.

    Args:
        heat: Float ``(h, w)`` or ``(N, h, w)``.
        size: ``(H, W)``.

    Returns:
        float32 ``(H, W)`` or ``(N, H, W)``, within the range of the input.
    """
    heat = np.asarray(heat, np.float32)
    if heat.ndim == 3:
        return np.stack([resize_heat(one, size) for one in heat])
    height, width = size
    return cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)


def colour(heat: np.ndarray, colormap: str = "jet") -> np.ndarray:
    """Heat as colours.

    Args:
        heat: Float ``(H, W)`` in 0-1; values beyond are clipped.
        colormap: A name in ``COLORMAPS``.

    Returns:
        uint8 RGB ``(H, W, 3)``.

    Raises:
        ValueError: Another shape, NaN, an unknown colour map.
    """
    heat = np.asarray(heat, np.float32)
    if heat.ndim != 2 or heat.size == 0:
        raise ValueError(f"Expected heat of shape (H, W). Received: {heat.shape}.")
    if np.isnan(heat).any():
        raise ValueError("Expected heat in 0-1. Received: NaN.")
    if colormap not in COLORMAPS:
        raise ValueError(f"Expected a colour map of {', '.join(COLORMAPS)}. Received: '{colormap}'.")
    index = np.round(255 * np.clip(heat, 0, 1)).astype(np.uint8)
    code = COLORMAPS[colormap]
    if code is None:
        return np.repeat(index[..., None], 3, axis=-1)
    return cv2.cvtColor(cv2.applyColorMap(index, code), cv2.COLOR_BGR2RGB)


def overlay(grey: np.ndarray, heat: np.ndarray, opacity: float = 0.4, colormap: str = "jet") -> np.ndarray:
    """Coloured heat over a slice.

    Args:
        grey: ``(H, W)``, uint8 or float grey values 0-255.
        heat: Float ``(h, w)`` in 0-1; resized to the slice where the sizes differ.
        opacity: 0 (slice only) to 1 (heat only).
        colormap: A name in ``COLORMAPS``.

    Returns:
        uint8 RGB ``(H, W, 3)``: (1 - opacity) * slice + opacity * colours. Heat that is zero everywhere leaves the
        slice as it is: a tint would look like a finding.

    Raises:
        ValueError: Other shapes, NaN, opacity outside 0-1, an unknown colour map.
    """
    grey = np.asarray(grey)
    if grey.ndim != 2 or grey.size == 0:
        raise ValueError(f"Expected a grey slice of shape (H, W). Received: {grey.shape}.")
    if not 0 <= opacity <= 1:
        raise ValueError(f"Expected an opacity from 0 to 1. Received: {opacity}.")
    heat = np.asarray(heat, np.float32)
    if not heat.any():
        opacity = 0
    coloured = colour(heat if heat.shape == grey.shape else resize_heat(heat, grey.shape), colormap)
    blend = (1 - opacity) * np.clip(grey, 0, 255).astype(np.float32)[..., None] + opacity * coloured
    return np.round(blend).astype(np.uint8)


def colour_bar(height: int = 256, width: int = 16, colormap: str = "jet") -> np.ndarray:
    """The colour scale as a picture: heat 1 at the top, 0 at the bottom.

    Returns:
        uint8 RGB ``(height, width, 3)``.
    """
    return colour(np.repeat(np.linspace(1, 0, height, dtype=np.float32)[:, None], width, axis=1), colormap)
