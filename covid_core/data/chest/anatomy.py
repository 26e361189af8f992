"""The shape of one generated chest: outlines at any height, in millimetres, different for every patient.

Coordinates: x grows towards the patient's left (right in the picture), y towards the back (down in the picture);
the height ``t`` runs from 0 at the apex of the lungs to 1 at the base. Tables hold an average adult, by level of the
textbook cross sections: thoracic inlet, aortic arch, carina, pulmonary trunk, four chambers, dome of the liver.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline, pchip_interpolate

CAVITY_LEVELS = (0.0, 0.1, 0.25, 0.4, 0.6, 0.8, 1.0)
CAVITY_HALF_WIDTH = (58.0, 86.0, 110.0, 122.0, 129.0, 132.0, 132.0)
CAVITY_HALF_DEPTH = (50.0, 68.0, 84.0, 92.0, 97.0, 99.0, 99.0)
CAVITY_CENTRE_Y = (20.0, 12.0, 4.0, 1.0, 0.0, 0.0, 0.0)

MEDIASTINUM_LEVELS = (0.08, 0.28, 0.42, 0.52, 0.65, 0.8, 0.97)
MEDIASTINUM_ROWS = (-104.0, -84.0, -62.0, -36.0, -10.0, 14.0, 34.0, 50.0, 64.0)
# Half-widths of the mediastinum at those levels (rows) and heights y (columns); the right side's, then the left's.
MEDIASTINUM_RIGHT = (
    (12, 16, 26, 33, 31, 25, 20, 18, 17),
    (6, 3, 12, 29, 33, 23, 15, 15, 17),
    (6, 3, 13, 33, 38, 31, 17, 15, 17),
    (7, 3, 14, 36, 42, 37, 19, 15, 17),
    (8, 4, 24, 43, 48, 37, 17, 14, 17),
    (12, 9, 36, 51, 50, 33, 15, 13, 17),
    (18, 16, 38, 46, 42, 27, 14, 13, 17),
)
MEDIASTINUM_LEFT = (
    (12, 16, 25, 29, 28, 26, 23, 19, 17),
    (6, 3, 12, 25, 31, 37, 37, 24, 17),
    (6, 3, 17, 35, 35, 31, 36, 30, 17),
    (7, 3, 23, 43, 45, 38, 36, 31, 17),
    (8, 6, 42, 58, 58, 43, 36, 31, 17),
    (14, 18, 63, 80, 76, 50, 36, 31, 17),
    (22, 30, 66, 80, 74, 46, 35, 30, 17),
)


@dataclass(frozen=True)
class Anatomy:
    """One patient's chest.

    Args:
        width: Factor on all x of the average adult.
        depth: Factor on all y.
        height: Apex to base of the lungs, mm.
        heart: Factor on the width of the mediastinum.
        muscle: Thickness of the muscle outside the ribs, mm.
        fat: Thickness of the fat under the skin, mm.
        breasts: Height of the breasts above the chest wall, mm; 0 for none.
        squareness: Exponent of the cavity's superellipse; 2 is an ellipse.
        lean: How much higher the slice plane cuts the patient's right than the left, in units of ``t``.
        roll: Rotation of the patient in the slice plane, radians.
        domes: Heights ``t`` at which the right and the left dome of the diaphragm appear.
        rib_offset: Phase of the ribs and vertebrae along the chest, mm.
        waves: float64 ``(n, 3)`` wave vectors of the smooth distortion that makes a body less than regular, 1/mm.
        phases: float64 ``(n,)``.
        pushes: float64 ``(n, 2)`` amplitudes in x and y, mm.
    """

    width: float
    depth: float
    height: float
    heart: float
    muscle: float
    fat: float
    breasts: float
    squareness: float
    lean: float
    roll: float
    domes: tuple[float, float]
    rib_offset: float
    waves: np.ndarray
    phases: np.ndarray
    pushes: np.ndarray

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Anatomy:
        """A random adult."""
        size = rng.normal(1.0, 0.05)
        count = 8
        directions = rng.normal(size=(count, 3)) * (1.0, 1.0, 0.6)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        wavelengths = rng.uniform(110.0, 300.0, size=(count, 1))
        return cls(
            width=size * rng.normal(1.0, 0.04),
            depth=size * rng.normal(1.02, 0.06),
            height=size * rng.uniform(225.0, 285.0),
            heart=float(np.clip(rng.normal(1.0, 0.1), 0.82, 1.3)),
            muscle=rng.uniform(8.0, 16.0),
            fat=rng.uniform(6.0, 26.0),
            breasts=rng.uniform(8.0, 22.0) if rng.random() < 0.4 else 0.0,
            squareness=rng.uniform(2.1, 2.55),
            lean=rng.normal(0.0, 0.025),
            roll=np.deg2rad(rng.normal(0.0, 3.5)),
            domes=(rng.uniform(0.8, 0.9), rng.uniform(0.86, 0.97)),
            rib_offset=rng.uniform(0.0, 24.0),
            waves=2.0 * np.pi * directions / wavelengths,
            phases=rng.uniform(0.0, 2.0 * np.pi, size=count),
            pushes=rng.normal(0.0, 1.7, size=(count, 2)),
        )

    def place(self, points: np.ndarray, t: float | np.ndarray) -> np.ndarray:
        """From the average adult to this patient on the table.

        Args:
            points: float ``(n, 2)``, mm.
            t: Their height, one number or ``(n,)``.

        Returns:
            float64 ``(n, 2)``, mm: scaled, smoothly distorted, rotated.
        """
        points = np.asarray(points, dtype=np.float64)
        z = np.broadcast_to(np.asarray(t, dtype=np.float64) * self.height, points.shape[:1])
        waves = np.sin(np.column_stack([points, z]) @ self.waves.T + self.phases)
        moved = points * (self.width, self.depth) + waves @ self.pushes
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return moved @ np.array([[cos, sin], [-sin, cos]])

    def cavity(self, t: float, angles: np.ndarray, outwards: float | np.ndarray = 0.0) -> np.ndarray:
        """The inner face of the rib cage, or a curve that runs ``outwards`` mm outside it.

        Args:
            t: Height.
            angles: ``(n,)`` in radians, 0 to the patient's left, pi / 2 to the back.
            outwards: One number or ``(n,)``.

        Returns:
            float64 ``(n, 2)``, mm, in the average adult's coordinates.
        """
        cos, sin = np.cos(angles), np.sin(angles)
        level = np.clip(t + self.lean * cos, 0.0, 1.0)
        half_width = np.interp(level, CAVITY_LEVELS, CAVITY_HALF_WIDTH) + outwards
        half_depth = np.interp(level, CAVITY_LEVELS, CAVITY_HALF_DEPTH) + outwards
        # The apices are rounder than the base.
        power = 2.0 / (2.0 + (self.squareness - 2.0) * np.clip(3.0 * level - 0.3, -0.4, 1.0))
        x = half_width * np.sign(cos) * np.abs(cos) ** power
        y = half_depth * np.sign(sin) * np.abs(sin) ** power
        # The sternum and the spine press the ring in; the ribs bulge backwards beside the spine.
        y = np.where(sin < 0, y + 11.0 * np.minimum(3.0 * level, 1.0) * np.exp(-((x / 34.0) ** 2)), y)
        y = np.where(
            sin > 0, y - 12.0 * np.exp(-((x / 26.0) ** 2)) + 3.0 * np.exp(-(((np.abs(x) - 62) / 30.0) ** 2)), y
        )
        return np.column_stack([x, y + np.interp(level, CAVITY_LEVELS, CAVITY_CENTRE_Y)])

    def skin(self, t: float, angles: np.ndarray, inwards: float = 0.0) -> np.ndarray:
        """The outline of the body, or a curve ``inwards`` mm below it: ``(n, 2)``, mm, average adult's coordinates."""
        cos, sin = np.cos(angles), np.sin(angles)
        shoulders = np.exp(-((t / 0.22) ** 2))
        half_width = np.interp(max(t, 0.35), CAVITY_LEVELS, CAVITY_HALF_WIDTH) + 12.0 + self.muscle + self.fat
        half_width += 26.0 * shoulders
        half_depth = np.interp(max(t, 0.25), CAVITY_LEVELS, CAVITY_HALF_DEPTH) + 12.0 + self.muscle + 0.7 * self.fat
        x = (half_width - inwards) * np.sign(cos) * np.abs(cos) ** 0.82
        y = (half_depth - inwards) * np.sign(sin) * np.abs(sin) ** 0.82
        swell = self.breasts * np.exp(-(((t - 0.55) / 0.22) ** 2))
        front = np.exp(-(((np.abs(x) - 80.0) / 46.0) ** 2)) * (sin < 0)
        groove = np.exp(-((x / 16.0) ** 2)) * (sin > 0)
        # Lying on the table flattens the back; the spinous processes stand in a groove.
        back = np.where(y > 0, 16.0 + 0.94 * y, y)
        return np.column_stack([x, np.where(sin > 0, back, y) - swell * front - 7.0 * groove])

    def mediastinum(self, t: float) -> np.ndarray:
        """Everything between the lungs, from the sternum to the spine: ``(n, 2)``, mm, average adult's coordinates."""
        level = float(np.clip(t, MEDIASTINUM_LEVELS[0], MEDIASTINUM_LEVELS[-1]))
        right = pchip_interpolate(MEDIASTINUM_LEVELS, np.asarray(MEDIASTINUM_RIGHT, float), level)
        left = pchip_interpolate(MEDIASTINUM_LEVELS, np.asarray(MEDIASTINUM_LEFT, float), level)
        # Only the heart's part grows with the heart, not the spine's.
        growth = 1.0 + (self.heart - 1.0) * np.interp(
            MEDIASTINUM_ROWS, (-90.0, -50.0, 20.0, 50.0), (0.0, 1.0, 1.0, 0.0)
        )
        rows = np.asarray(MEDIASTINUM_ROWS)
        corners = np.vstack([np.column_stack([left * growth, rows]), np.column_stack([-right * growth, rows])[::-1]])
        return smooth_outline(corners)

    def spine(self) -> np.ndarray:
        """The vertebral column with the muscle beside it, as it presses into the lungs: ``(n, 2)``, mm."""
        corners = [(0, 45), (14, 47), (23, 57), (27, 72), (36, 86), (50, 106), (0, 125)]
        corners += [(-x, y) for x, y in corners[-2:0:-1]]
        return smooth_outline(np.asarray(corners, dtype=np.float64))

    def dome(self, t: float, side: int) -> np.ndarray | None:
        """The cut through a dome of the diaphragm, liver (``side`` -1) or stomach and spleen (1); None above it."""
        start = self.domes[0 if side < 0 else 1]
        if t <= start:
            return None
        share = np.sqrt((t - start) / (1.12 - start))
        angles = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
        radius = share * (
            1.0 + 0.05 * np.sin(2.0 * angles + self.phases[0]) + 0.03 * np.sin(3.0 * angles + self.phases[1])
        )
        centre, axes = ((-66.0, -14.0), (76.0, 78.0)) if side < 0 else ((62.0, -6.0), (68.0, 74.0))
        return np.column_stack(
            [centre[0] + axes[0] * radius * np.cos(angles), centre[1] + axes[1] * radius * np.sin(angles)]
        )


def smooth_outline(corners: np.ndarray, samples: int = 160) -> np.ndarray:
    """A closed cubic spline through ``corners`` ``(n, 2)``, as ``(samples, 2)`` points."""
    closed = np.vstack([corners, corners[:1]])
    steps = np.sqrt(np.linalg.norm(np.diff(closed, axis=0), axis=1))  # centripetal: no loops at uneven corners
    along = np.concatenate([[0.0], np.cumsum(steps)])
    return CubicSpline(along, closed, bc_type="periodic")(np.linspace(0.0, along[-1], samples, endpoint=False))


def ellipse(x: float, y: float, half_width: float, half_height: float, degrees: float = 0.0) -> np.ndarray:
    """``(40, 2)`` points on an ellipse."""
    angles = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    u, v = half_width * np.cos(angles), half_height * np.sin(angles)
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.column_stack([x + u * cos - v * sin, y + u * sin + v * cos])
