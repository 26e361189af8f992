"""The range of Hounsfield units that a picture shows, from black to white."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """A window as radiologists name it.

    Args:
        level: Hounsfield units shown as middle grey.
        width: Hounsfield units from black to white, above 0.

    Raises:
        ValueError: A width that is not above 0.
    """

    level: float
    width: float

    def __post_init__(self):
        if not self.width > 0:
            raise ValueError(f"Expected a window's width above 0. Received: {self.width}")


LUNG = Window(-600, 1500)
"""What networks are shown; from -1350 to 150 Hounsfield units."""

MEDIASTINUM = Window(40, 400)
BONE = Window(400, 1800)


def to_grey(hounsfield: np.ndarray, window: Window = LUNG) -> np.ndarray:
    """Grey values of Hounsfield units: 255 · (h − level + width / 2) / width, clipped to 0-255 and not rounded.

    Args:
        hounsfield: ``(H, W)`` of any numeric type, finite.
        window: Which units are shown; the lung window by default.

    Returns:
        float32 ``(H, W)``, 0-255.
    """
    low = window.level - window.width / 2
    grey = (np.asarray(hounsfield, np.float32) - np.float32(low)) * np.float32(255 / window.width)
    return np.clip(grey, 0, 255, out=grey)
