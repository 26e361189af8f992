"""The inside of the lungs: parenchyma, fissures, vessels, bronchi and disease."""

from __future__ import annotations

import cv2
import numpy as np

from covid_core.data.chest.anatomy import Anatomy
from covid_core.data.chest.body import BLOOD
from covid_core.data.chest.canvas import MATRIX, Canvas, blur
from covid_core.data.chest.lesions import densities
from covid_core.data.chest.patient import Patient


def fill_lungs(patient: Patient, canvas: Canvas, t: float, lungs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inside of the lungs, float32 HU, and the lesions' share of each pixel."""
    exposure = patient.exposure
    # Smooth parts at half the resolution, a quarter of the time.
    half = MATRIX // 2
    coarse, fine = patient.coarse.at(t, half), patient.fine.at(t, half)
    axis = (np.arange(half, dtype=np.float32) * 2.0 + 0.5 - (MATRIX - 1) / 2.0) / np.float32(canvas.per_mm)
    x, y = axis[None, :], axis[:, None]
    lung = np.float32(exposure.parenchyma) + np.float32(exposure.gravity / 160.0) * y + 11.0 * coarse + 7.0 * fine
    if exposure.dependency:
        # The seam lies where lung ends below: lung here, none a centimetre further back.
        share = lungs[::2, ::2]
        lag = round(11.0 * canvas.per_mm / 2.0)
        below = np.zeros_like(share)
        below[:-lag] = share[lag:]
        seam = blur((share - below).clip(0.0, 1.0), 1.5 * canvas.per_mm)
        lung += np.float32(exposure.dependency) * seam * np.clip((y - 25.0) / 40.0, 0.0, 1.0)
    left, top = exposure.shift
    ragged = coarse + 0.6 * fine
    disease = densities(patient.foci, patient.anatomy, t, x - np.float32(left), y - np.float32(top), ragged)
    haze, paving, solid = (disease.get(kind) for kind in ("ground glass", "crazy paving", "consolidation"))
    if haze is not None:
        lung += haze * (np.float32(-530.0) + 45.0 * fine + 40.0 * coarse - lung)
    if paving is not None:
        lung += paving * (np.float32(-570.0) + 35.0 * fine + 30.0 * coarse - lung)
    if solid is not None:
        lung += np.minimum(2.2 * solid, 1.0) * np.maximum(np.float32(-520.0) + 40.0 * fine - lung, 0.0)
    lung = _double(lung)

    _draw_fissures(lung, patient.anatomy, canvas, t)
    if paving is not None:
        lung += _double(paving * (190.0 + 60.0 * fine)) * _septa(patient, t)
    blood, walls, lumens = _draw_bronchovascular(patient, canvas, t)
    lung += blood * (np.float32(BLOOD + 0.5 * exposure.contrast) - lung)
    lung += walls * (np.float32(-330.0) - lung)
    if solid is not None:
        core = np.clip(2.2 * solid - 0.9, 0.0, 1.0)
        lung += _double(core) * (_double(-25.0 + 30.0 * fine) - lung)
    lung += lumens * (np.float32(-940.0) - lung)
    if not disease:
        return lung, np.zeros_like(lungs)
    extent = np.maximum.reduce(list(disease.values()))
    return lung, _double(np.clip((extent - 0.3) * 5.0, 0.0, 1.0)) * lungs


def _double(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (MATRIX, MATRIX), interpolation=cv2.INTER_LINEAR)


def _septa(patient: Patient, t: float) -> np.ndarray:
    """Thickened septa between the secondary lobules: borders of Voronoi cells that drift with the height."""
    lobules = patient.lobules
    drift = 0.004 * MATRIX * np.sin(lobules[:, 2:] + 26.0 * t)
    seeds = np.round(lobules[:, :2] + drift).astype(int)
    seeds = seeds[((seeds >= 0) & (seeds < MATRIX)).all(axis=1)]
    field = np.ones((MATRIX, MATRIX), np.uint8)
    field[seeds[:, 1], seeds[:, 0]] = 0
    _, cells = cv2.distanceTransformWithLabels(field, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    border = np.zeros((MATRIX, MATRIX), np.float32)
    border[:, :-1] += cells[:, :-1] != cells[:, 1:]
    border[:-1] += cells[:-1] != cells[1:]
    return np.minimum(blur(np.minimum(border, 1.0), 0.8) * 1.7, 1.0)


def _draw_fissures(lung: np.ndarray, anatomy: Anatomy, canvas: Canvas, t: float) -> None:
    """The oblique fissures, hair lines that wander from the back at the top to the front at the base."""
    if not 0.3 < t < 0.92:
        return
    line = np.zeros((MATRIX, MATRIX), np.uint8)
    across = np.linspace(0.0, 1.0, 30)
    for side in (-1, 1):
        middle = np.interp(t, (0.3, 0.92), (52.0, -52.0)) + 6.0 * side
        bow = 10.0 * np.sin(across * 2.6 + anatomy.phases[3]) + 12.0 * (across - 0.5)
        canvas.line(line, np.column_stack([side * (28.0 + 104.0 * across), middle - bow]), 0.8, 120)
    lung += line.astype(np.float32) * np.float32(130.0 / 255.0)


def _draw_bronchovascular(patient: Patient, canvas: Canvas, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares of blood, bronchial wall and bronchial air at each pixel of the lungs, float32 ``(512, 512)``, 0-1."""
    half = patient.exposure.thickness / 2.0 / patient.anatomy.height
    pieces = patient.vessels.slab(t - half, t + half)
    pictures = [np.zeros((MATRIX, MATRIX), np.uint8) for _ in range(3)]
    blood, walls, lumens = pictures
    starts = canvas.pixels(pieces.starts[:, :2], pieces.starts[:, 2])
    ends = canvas.pixels(pieces.ends[:, :2], pieces.ends[:, 2])
    widths = 2.0 * pieces.radii * canvas.per_mm
    for index in np.argsort(widths):  # thick ones last: they cover the thin ones
        width = widths[index]
        start, end = starts[index], ends[index]
        if width > 5.0:  # a bronchus runs beside each larger artery
            aside = np.round(np.array([0.8, -0.6]) * width * 0.95 * 16.0).astype(np.int32)
            air = max(1, round(0.62 * width))
            cv2.line(walls, start + aside, end + aside, 255, air + max(2, round(1.5 * canvas.per_mm)), cv2.LINE_AA, 4)
            cv2.line(lumens, start + aside, end + aside, 255, air, cv2.LINE_AA, 4)
        level = int(np.clip(255.0 * width / 2.6, 80.0, 255.0))
        cv2.line(blood, start, end, level, max(1, round(width)), cv2.LINE_AA, 4)
    return tuple(picture.astype(np.float32) * np.float32(1.0 / 255.0) for picture in pictures)
