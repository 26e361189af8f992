"""Kinds and strengths of the random changes of training slices; the layers themselves are in ``augment``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training slices; the study names their kinds, not their strength.

    Args:
        rotation: Largest turn to either side, in degrees.
        shear: Largest shear along each axis, as a share of the side.
        skew: Largest shift of a corner (perspective), as a share of the side.
        flip: Mirror left and right, in half of the slices.
        noise: Standard deviation of Gaussian noise, as a share of the grey range.
    """

    rotation: float = 10.0
    shear: float = 0.05
    skew: float = 0.1
    flip: bool = True
    noise: float = 0.01
