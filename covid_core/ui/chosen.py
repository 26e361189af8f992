"""A slice that was chosen, and the series that it stands in: what pages hand to networks and charts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ChosenSeries:
    """Slices of one scan, or a single one, in their order.

    Args:
        pixels: float32 ``(H, W)`` each, grey values 0-255; sizes may differ.
        digest: SHA-256 over shapes and pixels, hex: names the series in the session's caches.
        hounsfield: int16 ``(H, W)`` each, or None for slices without such units; empty where none has them. For
            looking only: networks are asked about ``pixels``.
    """

    pixels: tuple[np.ndarray, ...]
    digest: str
    hounsfield: tuple[np.ndarray | None, ...] = ()


@dataclass(frozen=True, eq=False)
class ChosenSlice:
    """What the reader looks at.

    Args:
        title: A caption.
        name: Tells it from the other slices that can be picked.
        uploaded: Whether it is the reader's own; generated otherwise.
        series: The slices that it was picked from, at least itself.
        position: Its place among them, from 0.
        is_chest: Whether it is out of a data set of chest slices, and need not be judged.
    """

    title: str
    name: str
    uploaded: bool
    series: ChosenSeries
    position: int = 0
    is_chest: bool = False

    @property
    def pixels(self) -> np.ndarray:
        """float32 ``(H, W)``, grey values 0-255."""
        return self.series.pixels[self.position]

    @property
    def hounsfield(self) -> np.ndarray | None:
        """int16 ``(H, W)``, or None where the slice has no Hounsfield units."""
        return self.series.hounsfield[self.position] if self.series.hounsfield else None

    @property
    def digest(self) -> str:
        """SHA-256 of shape and pixels, hex."""
        return _digest([self.pixels])


def as_chosen(pixels: np.ndarray, title: str, uploaded: bool) -> ChosenSlice:
    """A single slice as one that was chosen.

    Args:
        pixels: ``(H, W)``, grey values 0-255, of any numeric type.
        title: A caption.
        uploaded: Whether it is the reader's own.
    """
    return ChosenSlice(title, title, uploaded, chosen_series([pixels]))


def chosen_series(pixels: Sequence[np.ndarray], hounsfield: Sequence[np.ndarray | None] = ()) -> ChosenSeries:
    """Slices as a series.

    Args:
        pixels: ``(H, W)`` each, grey values 0-255, of any numeric type.
        hounsfield: As in ``ChosenSeries``.
    """
    pixels = tuple(np.asarray(one, np.float32) for one in pixels)
    return ChosenSeries(pixels, _digest(pixels), tuple(hounsfield))


def _digest(pixels: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for one in pixels:
        digest.update(repr(one.shape).encode() + np.ascontiguousarray(one).tobytes())
    return digest.hexdigest()
