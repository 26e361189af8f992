"""Drawing in millimetres on the scanner's matrix.

OpenCV draws antialiased on 8 bits only: a grey level stands for 8 HU, a step that vanishes in the noise.
"""

from __future__ import annotations

import cv2
import numpy as np

from covid_core.data.chest.anatomy import Anatomy
from covid_core.data.chest.exposure import Exposure

MATRIX = 512
STEP = 8.0  # HU for each of the canvas' 256 levels, from -1024


class Canvas:
    """Pictures of one slice that share a geometry: average adult's mm in, pixels of the matrix out."""

    def __init__(self, anatomy: Anatomy, exposure: Exposure, t: float):
        self._anatomy, self._t = anatomy, t
        self._shift = np.asarray(exposure.shift)
        self.per_mm = MATRIX / exposure.field_of_view

    def pixels(self, points: np.ndarray, t: float | np.ndarray | None = None) -> np.ndarray:
        """Fixed-point pixel coordinates, int32 ``(n, 2)`` with 4 fractional bits."""
        return self.table_pixels(self._anatomy.place(points, self._t if t is None else t))

    def table_pixels(self, points: np.ndarray) -> np.ndarray:
        """The same for points that stand on the table already, whatever the patient's shape."""
        return np.round(((points + self._shift) * self.per_mm + (MATRIX - 1) / 2.0) * 16.0).astype(np.int32)

    def fill(self, picture: np.ndarray, outline: np.ndarray, value: int) -> None:
        """Fill an outline in the average adult's mm."""
        cv2.fillPoly(picture, [self.pixels(outline)], value, cv2.LINE_AA, 4)

    def line(
        self, picture: np.ndarray, points: np.ndarray, millimetres: float, value: int, closed: bool = False
    ) -> None:
        """Draw a line of a given thickness."""
        thickness = max(1, round(millimetres * self.per_mm))
        cv2.polylines(picture, [self.pixels(points)], closed, value, thickness, cv2.LINE_AA, 4)


def shade(hounsfield: float) -> int:
    """The canvas' grey level for a density."""
    return int(np.clip(round((hounsfield + 1024.0) / STEP), 0, 255))


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur, ``sigma`` in pixels."""
    return cv2.GaussianBlur(picture, (0, 0), sigma)
