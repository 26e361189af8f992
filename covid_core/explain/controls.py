"""Maps that know nothing: what a heat map has to beat before it means anything."""

from __future__ import annotations

import numpy as np

GAUSSIAN_WIDTH = 0.25
"""Standard deviation of the centred control as a share of the slice's sides."""


def random_map(grid: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Uniform random heat on the places that a method's raw maps have.

    On the same places it becomes as smooth as the map that it is compared with: noise of single pixels would destroy a
    slice in another way than a map with a few large places.

    Args:
        grid: ``(h, w)``.
        rng: Source of the numbers.

    Returns:
        float32 ``(h, w)`` in 0-1.
    """
    return rng.random(grid, np.float32)


def centred_map(grid: tuple[int, int]) -> np.ndarray:
    """A Gaussian in the middle of the slice: what an eye drawn to the middle would mark, whatever the slice shows.

    Args:
        grid: ``(h, w)``.

    Returns:
        float32 ``(h, w)`` in 0-1, standard deviation ``GAUSSIAN_WIDTH`` of each side.
    """
    down, across = (
        np.exp(-0.5 * (((np.arange(side) + 0.5) / side - 0.5) / GAUSSIAN_WIDTH) ** 2).astype(np.float32)
        for side in grid
    )
    return down[:, None] * across


def shuffled_map(raw: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A raw map whose places have changed places: the same values, in nobody's order.

    Args:
        raw: ``(h, w)``.
        rng: Source of the order.

    Returns:
        The same dtype and shape.
    """
    return rng.permutation(np.asarray(raw).ravel()).reshape(np.shape(raw))
