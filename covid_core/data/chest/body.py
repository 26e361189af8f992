"""Everything around the lungs: table, skin, muscle, bone, mediastinum, diaphragm; and the room left for the lungs."""

from __future__ import annotations

import cv2
import numpy as np

from covid_core.data.chest.anatomy import Anatomy, ellipse
from covid_core.data.chest.canvas import MATRIX, STEP, Canvas, blur, shade
from covid_core.data.chest.patient import Patient

AIR, FAT, FLUID, MUSCLE, BLOOD, LIVER, CARTILAGE, MARROW, BONE = -1000, -100, 10, 50, 45, 60, 110, 230, 750  # HU
TURN = np.linspace(0.0, 2.0 * np.pi, 180, endpoint=False)


def draw_body(patient: Patient, canvas: Canvas, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Everything but the inside of the lungs, float32 HU, and the lungs' share of each pixel."""
    anatomy = patient.anatomy
    body = np.zeros((MATRIX, MATRIX), np.uint8)
    _draw_table(body, canvas, anatomy.place(anatomy.skin(0.5, TURN), 0.5)[:, 1].max())
    canvas.fill(body, anatomy.skin(t, TURN), shade(20))
    canvas.fill(body, anatomy.skin(t, TURN, inwards=2.0), shade(FAT))
    _draw_chest_wall(body, anatomy, canvas, t)
    cavity = anatomy.cavity(t, TURN)
    canvas.fill(body, cavity, shade(FAT))

    lungs = np.zeros((MATRIX, MATRIX), np.uint8)
    canvas.fill(lungs, cavity, 255)
    within = lungs.copy()
    blood = BLOOD + patient.exposure.contrast
    organs = [(anatomy.mediastinum(t), FAT + 70), *_great_vessels(t, anatomy.heart, blood)]
    organs += [(dome, LIVER) for dome in (anatomy.dome(t, -1), anatomy.dome(t, 1)) if dome is not None]
    chest = body.copy()
    for outline, hounsfield in organs:
        canvas.fill(chest, outline, shade(hounsfield))
        canvas.fill(lungs, outline, 0)
    body = cv2.copyTo(chest, within, body)  # organs end at the rib cage
    canvas.fill(body, anatomy.spine(), shade(MUSCLE))
    canvas.fill(lungs, anatomy.spine(), 0)
    _draw_stomach(body, anatomy, canvas, t)
    _draw_spine(body, anatomy, canvas, t)
    _draw_ribs(body, anatomy, canvas, t)
    _draw_airways(body, canvas, t)

    # The pleura spans the clefts between the organs: rounded corners, then the thin septum in front again.
    share = blur(lungs.astype(np.float32) / np.float32(255.0), 1.7 * canvas.per_mm)
    share = np.clip((share - 0.5) * np.float32(3.2) + 0.5, 0.0, 1.0)
    if 0.2 < t < 0.72:
        septum = np.full((MATRIX, MATRIX), 255, np.uint8)
        bend = 3.0 * np.sin(anatomy.phases[2])
        canvas.line(septum, np.array([[bend, -110], [bend + 1, -90], [2, -74], [0, -60]]), 2.0, 0)
        share *= septum.astype(np.float32) / np.float32(255.0)
    hounsfield = body.astype(np.float32) * np.float32(STEP) - np.float32(1024.0)
    return np.maximum(hounsfield, -1000.0), share


def _draw_table(body: np.ndarray, canvas: Canvas, back: float) -> None:
    """The cushion and the shell of a curved table top, from ``back`` mm below the middle."""
    x = np.linspace(-260.0, 260.0, 60)
    for depth, thickness, hounsfield in ((4.0, 3, -800), (9.0, 3, -600), (24.0, 2, -760)):
        points = canvas.table_pixels(np.column_stack([x, back + depth - 7e-4 * x**2]))
        cv2.polylines(body, [points], False, shade(hounsfield), thickness, cv2.LINE_AA, 4)


def _draw_chest_wall(body: np.ndarray, anatomy: Anatomy, canvas: Canvas, t: float) -> None:
    """Intercostal, pectoral and back muscles, and the shoulder blades."""
    canvas.fill(body, anatomy.cavity(t, TURN, 9.0 + 0.25 * anatomy.muscle), shade(MUSCLE))
    canvas.fill(body, anatomy.cavity(t, TURN, 8.0), shade(FAT))  # between the ribs
    canvas.fill(body, anatomy.cavity(t, TURN, 3.5), shade(MUSCLE))
    bulk = anatomy.muscle
    for side in (-1, 1):
        front = np.linspace(np.deg2rad(28), np.deg2rad(74), 24)
        back = np.linspace(np.deg2rad(-8), np.deg2rad(78), 36)
        chest = bulk * np.clip(1.25 - abs(t - 0.3) / 0.55, 0.0, 1.0)
        bands = (
            (-front, chest * np.sin(np.linspace(0, np.pi, 24)) ** 0.6),  # pectoralis
            (back, 0.9 * bulk * np.sin(np.linspace(0, np.pi, 36)) ** 0.5),  # latissimus, serratus
        )
        for angles, thickness in bands:
            turned = angles if side > 0 else np.pi - angles
            outer = anatomy.cavity(t, turned, 10.0 + thickness)
            inner = anatomy.cavity(t, turned, 10.0)
            canvas.fill(body, np.vstack([outer, inner[::-1]]), shade(MUSCLE))
        canvas.fill(body, ellipse(side * 23, 109, 20, 14, side * 12), shade(MUSCLE))  # erector spinae
        if t < 0.55:
            angles = np.linspace(np.deg2rad(12), np.deg2rad(58), 14)
            turned = angles if side > 0 else np.pi - angles
            size = np.sqrt(1.0 - t / 0.55)
            blade = anatomy.cavity(t, turned, 16.0 + 0.5 * bulk + 8.0 * size * np.cos(np.linspace(0, np.pi, 14)))
            half = 7 - int(6 * size)
            blade = blade[half : 14 - half]
            if len(blade) > 1:
                canvas.line(body, blade, 12.0 + bulk * size, shade(MUSCLE))
                canvas.line(body, blade, 5.0, shade(BONE))
                canvas.line(body, blade, 1.6, shade(MARROW))


def _great_vessels(t: float, heart: float, blood: float) -> list[tuple[np.ndarray, float]]:
    """Outlines and densities of the blood inside the mediastinum."""
    found: list[tuple[np.ndarray, float]] = []
    if t < 0.22:  # the branches of the arch
        spread = 1.0 + (0.22 - t) * 2.0
        found += [
            (ellipse(x * spread, y, r, r), blood)
            for x, y, r in ((-20, -18, 7.5), (-6, -26, 6), (14, -12, 5), (24, 2, 5.5))
        ]
    if 0.2 <= t < 0.34:  # the arch itself, a sausage from the front right to the back left
        found.append((ellipse(10, 4, 40, 15, 52), blood))
    if 0.32 <= t < 0.72:
        found.append((ellipse(-10 - 6 * (t - 0.3), -38, 17, 17), blood))  # ascending aorta
    if t >= 0.3:
        found.append((ellipse(24 - 14 * max(t - 0.6, 0), 44 + 4 * t, 13, 13), blood))  # descending aorta
    if 0.2 <= t < 0.7:
        found.append((ellipse(-30, -20, 8.5, 10), blood))  # superior vena cava
    if 0.45 <= t < 0.6:
        found.append((ellipse(18, -34, 15, 19, 20), blood))  # pulmonary trunk
        found.append((ellipse(-6, -12, 38, 10, -8), blood))  # right pulmonary artery
    if t >= 0.58:
        grow = heart * min((t - 0.5) / 0.2, 1.0)
        found.append((ellipse(20, -26, 52 * grow, 44 * min((t - 0.5) / 0.18, 1.0), 24), blood))
        if t < 0.78:
            found.append((ellipse(2, 8, 36 * heart, 17, 3), blood))  # left atrium
    return found


def _draw_stomach(body: np.ndarray, anatomy: Anatomy, canvas: Canvas, t: float) -> None:
    """Gas under the left dome."""
    room = t - anatomy.domes[1] - 0.03
    if room > 0:
        size = np.sqrt(room / 0.15)
        canvas.fill(body, ellipse(64, -24, 30 * size, 18 * size, 10), shade(-960))


def _draw_spine(body: np.ndarray, anatomy: Anatomy, canvas: Canvas, t: float) -> None:
    phase = ((t * anatomy.height + anatomy.rib_offset) / 24.0) % 1.0
    disc = phase < 0.2
    wide = 15.0 + 3.5 * t
    for side in (-1, 1):
        if 0.3 < phase < 0.75:  # pedicle and transverse process
            arm = np.array([[side * 12, 78], [side * 22, 86], [side * 35, 94]])
            canvas.line(body, arm, 9.0, shade(BONE))
            canvas.line(body, arm, 4.0, shade(MARROW))
        else:  # facet joint
            canvas.fill(body, ellipse(side * 14, 92, 6, 5), shade(BONE))
    canvas.fill(body, ellipse(0, 62, wide + 1.5, 15.5), shade(BONE if not disc else 140))
    canvas.fill(body, ellipse(0, 61.5, wide, 14), shade(MARROW - 20 if not disc else 90))
    arch = np.array([[-13, 82], [-9, 94], [0, 99], [9, 94], [13, 82]])
    canvas.line(body, arch, 6.0, shade(BONE))
    canvas.line(body, arch, 2.0, shade(MARROW))
    canvas.line(body, np.array([[0, 99], [1.5, 110 + 7 * phase]]), 6.5, shade(BONE))
    canvas.line(body, np.array([[0, 101], [1.5, 107 + 7 * phase]]), 2.5, shade(MARROW))
    canvas.fill(body, ellipse(0, 85, 9.5, 8), shade(FLUID))


def _draw_ribs(body: np.ndarray, anatomy: Anatomy, canvas: Canvas, t: float) -> None:
    """Ribs slope from the spine down to the front, so that a slice cuts several of them, each somewhere else."""
    turn = np.linspace(0.0, 1.0, 240)  # from the spine to the sternum
    height = t * anatomy.height
    for side in (-1, 1):
        angles = np.pi / 2 - side * (0.24 + turn * (np.pi - 0.52))
        level = height + side * anatomy.lean * anatomy.height * np.sin(turn * np.pi)
        for rib in range(-6, 12):
            centre = rib * 27.0 - anatomy.rib_offset + 118.0 * turn**0.9
            away = (centre - level) / 5.6
            inside = np.flatnonzero(np.abs(away) < 1.0)
            if len(inside) < 4:
                continue
            half = np.sqrt(1.0 - away[inside] ** 2)
            place = angles[inside]
            front = turn[inside].mean() > 0.86
            for scale, hounsfield in ((1.0, CARTILAGE if front else BONE), (0.55, 80 if front else MARROW)):
                outer = anatomy.cavity(t, place, 5.6 + 4.4 * scale * half)
                inner = anatomy.cavity(t, place, 5.6 - 4.4 * scale * half)
                canvas.fill(body, np.vstack([outer, inner[::-1]]), shade(hounsfield))
    if 0.08 < t < 0.8:
        y = anatomy.cavity(t, np.array([-np.pi / 2]))[0, 1] - 8.5
        wide = 17.0 + 14.0 * np.exp(-(((t - 0.14) / 0.1) ** 2))
        canvas.fill(body, ellipse(0, y, wide, 6.5), shade(BONE))
        canvas.fill(body, ellipse(0, y, wide - 2.2, 4.4), shade(MARROW - 70))


def _draw_airways(body: np.ndarray, canvas: Canvas, t: float) -> None:
    if t < 0.44:
        tubes = [(-2.0, 9.0 + 10.0 * t, 8.3 + 4.0 * max(t - 0.34, 0) / 0.1, 9.0, 0.0)]
    elif t < 0.6:
        way = (t - 0.44) / 0.16
        tubes = [
            (-11.0 - 21.0 * way, 12.0 + 3.0 * way, 9.5 - 2.5 * way, 7.0, -15.0),
            (11.0 + 21.0 * way, 13.0 + 5.0 * way, 9.5 - 3.0 * way, 6.0, 18.0),
        ]
    else:
        tubes = []
    for x, y, half_width, half_height, degrees in tubes:
        canvas.fill(body, ellipse(x, y, half_width + 1.8, half_height + 1.8, degrees), shade(MUSCLE))
        canvas.fill(body, ellipse(x, y, half_width, half_height, degrees), shade(AIR))
    canvas.fill(body, ellipse(2, 34, 6.5, 4.5), shade(MUSCLE))  # oesophagus
