"""Drawn axial slices of other parts of the body: none has a lung. Grey values 0-255 in a window of CT."""

from __future__ import annotations

import cv2
import numpy as np

AIR, FAT, WATER, MUSCLE, LIVER, BONE = -1000.0, -100.0, 5.0, 50.0, 60.0, 600.0
WINDOWS = ((-600, 1500), (40, 400), (40, 1000))
HEAD_WINDOWS = ((40, 100), (300, 2000), (40, 400))


def head(rng: np.random.Generator) -> np.ndarray:
    """Skull, brain with its ventricles, in half of the cases the air cells of its base."""
    body = _Body(rng, 0.36 * rng.uniform(0.9, 1.1), 0.44 * rng.uniform(0.95, 1.0))
    body.ellipse((0, 0), (1, 1), MUSCLE)
    body.ellipse((0, 0), (0.93, 0.94), BONE + 400)
    body.ellipse((0, 0), (0.85, 0.88), 35)
    if rng.random() < 0.5:
        for side in (-1, 1):
            body.ellipse((0.15 * side, -0.1), (0.09, 0.3), WATER, 15 * side)
    else:
        for side in (-1, 1):
            body.ellipse((0.5 * side, 0.2), (0.17, 0.13), -700)  # mastoid cells
            body.ellipse((0.22 * side, -0.6), (0.16, 0.2), AIR)  # sinuses
    return body.picture(HEAD_WINDOWS)


def abdomen(rng: np.random.Generator) -> np.ndarray:
    """Liver, spleen, kidneys, spine, and gas in stomach and bowel."""
    body = _trunk(rng)
    body.ellipse((-0.4, -0.1), (0.45, 0.62), LIVER)
    body.ellipse((0.6, 0.2), (0.2, 0.35), LIVER)
    for side in (-1, 1):
        body.ellipse((0.42 * side, 0.42), (0.16, 0.22), 40 + 120 * rng.random())
    body.spine()
    for _ in range(rng.integers(0, 7)):
        place = (rng.uniform(-0.55, 0.7), rng.uniform(-0.75, 0.0))
        body.ellipse(place, (rng.uniform(0.04, 0.2), rng.uniform(0.04, 0.16)), AIR, rng.uniform(0, 180))
    return body.picture(WINDOWS)


def pelvis(rng: np.random.Generator) -> np.ndarray:
    """Iliac bones, sacrum, bladder, and gas in the bowel."""
    body = _trunk(rng)
    for side in (-1, 1):
        body.ellipse((0.62 * side, 0.1), (0.1, 0.5), BONE, 25 * side)
    body.ellipse((0, 0.6), (0.3, 0.2), BONE)
    body.ellipse((0, -0.2), (0.3, 0.3), WATER)
    for _ in range(rng.integers(1, 5)):
        place = (rng.uniform(-0.3, 0.3), rng.uniform(-0.1, 0.4))
        body.ellipse(place, (rng.uniform(0.04, 0.12), rng.uniform(0.04, 0.12)), AIR)
    return body.picture(WINDOWS)


def thigh(rng: np.random.Generator) -> np.ndarray:
    """Both legs: fat, muscle and the shaft of the femur."""
    body = _Body(rng, 0.5, 0.5)
    apart, width = rng.uniform(0.48, 0.56), rng.uniform(0.38, 0.44)
    for side in (-1, 1):
        body.ellipse((apart * side, 0), (width, 0.8), FAT)
        body.ellipse((apart * side, 0), (0.8 * width, 0.64), MUSCLE)
        body.ellipse((apart * side, -0.05), (0.18 * width, 0.14), 1200)
        body.ellipse((apart * side, -0.05), (0.09 * width, 0.07), FAT)
    return body.picture(WINDOWS)


def _trunk(rng: np.random.Generator) -> _Body:
    body = _Body(rng, 0.46, 0.46 * rng.uniform(0.62, 0.85))
    fat = rng.uniform(0.04, 0.2)
    body.ellipse((0, 0), (1, 1), FAT)
    body.ellipse((0, 0), (1 - fat, 1 - fat), MUSCLE)
    body.ellipse((0, -0.05), (0.9 - fat, 0.84 - fat), FAT)
    return body


class _Body:
    """A slice that is painted in Hounsfield units; places and lengths are shares of the body's half axes."""

    def __init__(self, rng: np.random.Generator, half_width: float, half_height: float, side: int = 320):
        self._rng = rng
        self._side = side
        self._half = (half_width * side, half_height * side)
        self._values = np.full((side, side), AIR, np.float32)

    def ellipse(self, centre: tuple[float, float], axes: tuple[float, float], value: float, angle: float = 0.0) -> None:
        """Paint an ellipse, its place and axes a little changed."""
        moved = [place + self._rng.normal(0, 0.01) for place in centre]
        at = tuple(round(self._side / 2 + place * half) for place, half in zip(moved, self._half, strict=True))
        size = tuple(max(1, round(axis * half)) for axis, half in zip(axes, self._half, strict=True))
        cv2.ellipse(self._values, at, size, angle, 0, 360, float(value), -1, cv2.LINE_AA)

    def spine(self) -> None:
        """A vertebra with its canal and its process."""
        self.ellipse((0, 0.5), (0.16, 0.16), BONE)
        self.ellipse((0, 0.72), (0.07, 0.06), WATER)
        self.ellipse((0, 0.82), (0.04, 0.08), BONE)

    def picture(self, windows: tuple[tuple[float, float], ...]) -> np.ndarray:
        """The slice with blur and noise of a scanner, in one of the windows, cut to the body or not."""
        values = cv2.GaussianBlur(self._values, (0, 0), 0.8) + self._rng.normal(0, 15, self._values.shape)
        level, width = windows[self._rng.integers(len(windows))]
        grey = np.clip((values - level + width / 2) / width * 255, 0, 255)
        if self._rng.random() < 0.4:
            grey = grey[np.ix_(*[(self._values > -900).any(axis=axis) for axis in (1, 0)])]
        return grey
