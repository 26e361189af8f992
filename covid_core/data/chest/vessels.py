"""Pulmonary vessels: a branching tree in three dimensions, so that neighbouring slices cut the same branches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from covid_core.data.chest.anatomy import CAVITY_HALF_DEPTH, CAVITY_HALF_WIDTH, CAVITY_LEVELS, Anatomy

TIP_RADIUS, MURRAY = 0.32, 2.5  # mm, exponent
HILA = ((38.0, 2.0, 0.5), (34.0, 16.0, 0.6))  # artery and vein: distance from the middle, y, height


@dataclass(frozen=True)
class Vessels:
    """Straight pieces of vessel in the average adult's coordinates.

    Args:
        starts: float64 ``(n, 3)``: x and y in mm, and the height ``t``.
        ends: float64 ``(n, 3)``.
        radii: float64 ``(n,)``, mm.
    """

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray

    def slab(self, low: float, high: float) -> Vessels:
        """The parts of all pieces between two heights."""
        rise = self.ends[:, 2] - self.starts[:, 2]
        safe = np.where(np.abs(rise) < 1e-9, 1e-9, rise)
        cuts = np.sort(np.column_stack([(low - self.starts[:, 2]) / safe, (high - self.starts[:, 2]) / safe]), axis=1)
        first, last = np.clip(cuts[:, 0], 0.0, 1.0), np.clip(cuts[:, 1], 0.0, 1.0)
        hit = (np.maximum(self.starts[:, 2], self.ends[:, 2]) >= low) & (
            np.minimum(self.starts[:, 2], self.ends[:, 2]) <= high
        )
        along = self.ends - self.starts
        starts = self.starts + first[:, None] * along
        ends = self.starts + last[:, None] * along
        return Vessels(starts[hit], ends[hit], self.radii[hit])


def grow_vessels(anatomy: Anatomy, rng: np.random.Generator, tips: int = 2200) -> Vessels:
    """Grow the vessels of both lungs from the hila.

    Points are scattered in the lung and joined one by one, nearest to the hilum first, to the node that keeps both
    the new piece and the way back to the hilum short: the balanced spanning tree of Cuntz et al., PLoS Comput. Biol.
    2010, "One rule to grow them all". Radii follow Murray's law: a parent's radius to the power ``MURRAY`` is the sum
    of its children's, plus a tip of its own; 3 in Murray's derivation, here a little less.

    Args:
        anatomy: Gives the height.
        rng: Source of the tips.
        tips: Scattered points in each lung.
    """
    trees = [_grow(side, anatomy.height, rng, tips) for side in (-1, 1)]
    return Vessels(*(np.concatenate(parts) for parts in zip(*trees, strict=True)))


def _grow(side: int, height: float, rng: np.random.Generator, tips: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    roots = np.array([(side * x, y, t * height) for x, y, t in HILA])
    targets = _scatter(side, height, rng, tips)
    nearest = np.min(np.linalg.norm(targets[:, None] - roots[None], axis=2), axis=1)
    nodes = np.vstack([roots, targets[np.argsort(nearest)]])
    parents = np.full(len(nodes), -1)
    paths = np.zeros(len(nodes))
    grown = len(roots)
    while grown < len(nodes):
        # Neighbours in the queue lie apart in the lung, so a few at a time give nearly the same tree, and sooner.
        batch = slice(grown, min(grown + 1 + grown // 24, len(nodes)))
        lengths = cdist(nodes[batch], nodes[:grown])
        parents[batch] = np.argmin(lengths + 0.45 * paths[:grown], axis=1)
        paths[batch] = paths[parents[batch]] + lengths[np.arange(len(lengths)), parents[batch]]
        grown = batch.stop

    flows = np.full(len(nodes), TIP_RADIUS**MURRAY)
    for index in range(len(nodes) - 1, len(roots) - 1, -1):  # children stand behind their parents
        flows[parents[index]] += flows[index]
    children = np.arange(len(roots), len(nodes))
    # One step of relaxation takes the kinks out of the branches.
    sums, counts = np.zeros_like(nodes), np.zeros(len(nodes))
    np.add.at(sums, parents[children], nodes[children])
    np.add.at(counts, parents[children], 1)
    inner = children[counts[children] > 0]
    middle = 0.5 * (nodes[parents[inner]] + sums[inner] / counts[inner, None])
    nodes[inner] += 0.5 * (middle - nodes[inner])

    nodes[:, 2] /= height
    return nodes[parents[children]], nodes[children], flows[children] ** (1.0 / MURRAY)


def _scatter(side: int, height: float, rng: np.random.Generator, count: int) -> np.ndarray:
    """``(count, 3)`` points, mm, evenly in one half of the rib cage, clear of its wall and of the mediastinum."""
    found = np.empty((0, 3))
    while len(found) < count:
        points = rng.uniform((0.0, -100.0, 0.02), (132.0, 100.0, 1.0), size=(4 * count, 3))
        half_width = np.interp(points[:, 2], CAVITY_LEVELS, CAVITY_HALF_WIDTH) - 5.0
        half_depth = np.interp(points[:, 2], CAVITY_LEVELS, CAVITY_HALF_DEPTH) - 5.0
        inside = (points[:, 0] / half_width) ** 2 + (points[:, 1] / half_depth) ** 2 < 1.0
        found = np.vstack([found, points[inside & (points[:, 0] > 22.0)]])
    return found[:count] * (side, 1.0, height)
