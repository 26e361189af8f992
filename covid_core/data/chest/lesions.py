"""COVID-19 pneumonia: where its foci sit in the lungs and how dense they are in a slice.

Peripheral and posterior predominance, ground glass, consolidation and crazy paving as radiologists describe them
(Simpson et al., Radiology: Cardiothoracic Imaging 2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from covid_core.data.chest.anatomy import Anatomy

KINDS = ("ground glass", "consolidation", "crazy paving")


@dataclass(frozen=True)
class Focus:
    """One patch of disease: a ragged ellipsoid along the pleura.

    Args:
        kind: One of ``KINDS``.
        angle: Where on the rib cage, radians, as in ``Anatomy.cavity``.
        depth: Distance of the centre from the pleura, mm.
        t: Height of the centre.
        along: Half-axis along the pleura, mm.
        across: Half-axis from the pleura inwards, mm.
        reach: Half-axis along the chest, in units of ``t``.
        strength: Peak density, 0-1.
    """

    kind: str
    angle: float
    depth: float
    t: float
    along: float
    across: float
    reach: float
    strength: float


def sample_foci(kind: str, rng: np.random.Generator) -> tuple[Focus, ...]:
    """The foci of one patient, mostly of ``kind``.

    A column of overlapping foci runs down the back of the lungs from apex to base, so that every slice shows disease;
    further foci lie scattered, more of them in severe cases.
    """
    severity = rng.uniform(0.0, 1.0)
    heights = np.arange(-0.02, 1.06, 0.12) + rng.uniform(-0.02, 0.02)
    sides = rng.permutation(np.arange(len(heights)) % 2)
    column = [_focus(kind, rng, float(t), int(side), severity, 0.2) for t, side in zip(heights, sides, strict=True)]
    extra = [
        _focus(kind, rng, rng.uniform(0.1, 1.0), int(rng.integers(2)), severity, rng.uniform(0.05, 0.16))
        for _ in range(rng.poisson(2.0 + 12.0 * severity))
    ]
    return tuple(column + extra)


def _focus(kind: str, rng: np.random.Generator, t: float, side: int, severity: float, reach: float) -> Focus:
    # Angles from the back's middle outwards; few foci lie in front.
    from_back = float(np.clip(rng.gamma(5.0, 0.14), 0.42, 2.3))
    angle = np.pi / 2 + (from_back if side == 0 else -from_back)
    grow = rng.uniform(0.8, 1.25) * (1.0 + 0.5 * severity)
    across = 13.0 * grow
    return Focus(
        kind=kind if rng.random() < 0.7 else KINDS[0],
        angle=angle,
        depth=across * rng.uniform(0.25, 0.85),
        t=t,
        along=20.0 * grow * rng.uniform(0.8, 1.4),
        across=across,
        reach=reach,
        strength=rng.uniform(0.75, 1.0),
    )


def densities(
    foci: tuple[Focus, ...], anatomy: Anatomy, t: float, x: np.ndarray, y: np.ndarray, ragged: np.ndarray
) -> dict[str, np.ndarray]:
    """How much of each kind of disease is at each point of a slice.

    Args:
        foci: From ``sample_foci``.
        anatomy: Places them.
        t: Height of the slice.
        x: float32 ``(H, W)``, mm, on the table.
        y: float32 ``(H, W)``, mm.
        ragged: float32 ``(H, W)``, smooth noise of deviation 1 that frays the borders.

    Returns:
        ``KINDS`` -> float32 ``(H, W)`` in 0-1; only kinds that are present.
    """
    found: dict[str, np.ndarray] = {}
    for focus in foci:
        rise = ((t - focus.t) / focus.reach) ** 2
        if rise >= 1.0:
            continue
        pleura = anatomy.cavity(t, np.array([focus.angle - 0.05, focus.angle, focus.angle + 0.05]))
        before, centre, after = anatomy.place(pleura, t)
        tangent = (after - before) / np.linalg.norm(after - before)
        inwards = np.array([-tangent[1], tangent[0]])  # angles run clockwise in the picture: inside is on this hand
        middle = centre + focus.depth * inwards
        dx, dy = x - np.float32(middle[0]), y - np.float32(middle[1])
        u = (dx * np.float32(tangent[0]) + dy * np.float32(tangent[1])) / np.float32(focus.along)
        v = (dx * np.float32(inwards[0]) + dy * np.float32(inwards[1])) / np.float32(focus.across)
        field = 1.0 - np.sqrt(u * u + v * v + np.float32(rise)) + np.float32(0.24) * ragged
        density = np.clip(field / 0.42, 0.0, 1.0)
        density *= density * (3.0 - 2.0 * density) * np.float32(focus.strength)
        found[focus.kind] = np.maximum(found[focus.kind], density) if focus.kind in found else density
    return found
