"""One generated patient: all that stays the same from slice to slice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from covid_core.data.chest.anatomy import Anatomy
from covid_core.data.chest.canvas import MATRIX
from covid_core.data.chest.exposure import Exposure
from covid_core.data.chest.lesions import Focus
from covid_core.data.chest.vessels import Vessels


class Texture:
    """Smooth noise in three dimensions, mean 0 and deviation 1 on its grid: slices a little apart look alike."""

    def __init__(self, rng: np.random.Generator, planes: int, grid: int):
        self._volume = rng.standard_normal((planes, grid, grid), dtype=np.float32)

    def at(self, t: float, size: int) -> np.ndarray:
        """float32 ``(size, size)`` at height ``t``."""
        place = float(np.clip(t, 0.0, 1.0)) * (len(self._volume) - 1)
        low = min(int(place), len(self._volume) - 2)
        part = place - low
        plane = (1.0 - part) * self._volume[low] + part * self._volume[low + 1]
        plane *= np.float32(1.0 / np.hypot(1.0 - part, part))  # a mean of two planes varies less than either
        return cv2.resize(plane, (size, size), interpolation=cv2.INTER_CUBIC)


@dataclass(frozen=True, eq=False)
class Patient:
    """All that stays the same from slice to slice.

    Args:
        anatomy: Shape.
        exposure: Scanner.
        vessels: Of both lungs.
        foci: Disease; empty for a negative patient.
        seed: Of textures and noise.
    """

    anatomy: Anatomy
    exposure: Exposure
    vessels: Vessels
    foci: tuple[Focus, ...]
    seed: tuple[int, ...]

    @cached_property
    def coarse(self) -> Texture:
        """Perfusion and ragged borders, grains of about 2 cm."""
        return Texture(np.random.default_rng([*self.seed, 1]), planes=24, grid=18)

    @cached_property
    def fine(self) -> Texture:
        """Grains of about 5 mm."""
        return Texture(np.random.default_rng([*self.seed, 2]), planes=48, grid=64)

    @cached_property
    def lobules(self) -> np.ndarray:
        """float64 ``(n, 4)``: seeds of the secondary pulmonary lobules, x and y in pixels and two phases of drift."""
        rng = np.random.default_rng([*self.seed, 3])
        pitch = 8.5 / self.exposure.field_of_view * MATRIX
        grid = np.stack(np.meshgrid(np.arange(0, MATRIX, pitch), np.arange(0, MATRIX, pitch)), axis=-1).reshape(-1, 2)
        jitter = rng.uniform(-0.48, 0.48, size=grid.shape) * pitch
        return np.column_stack([grid + jitter, rng.uniform(0.0, 2.0 * np.pi, size=grid.shape)])
