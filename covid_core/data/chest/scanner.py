"""A CT scanner for the generated chest: Hounsfield units on a 512 x 512 matrix, noise, and the lung window.

Everything is drawn on the scanner's own matrix and resampled afterwards, so that a slice is the same at every size.
"""

from __future__ import annotations

import cv2
import numpy as np

from covid_core.data.chest.body import draw_body
from covid_core.data.chest.canvas import MATRIX, Canvas, blur
from covid_core.data.chest.parenchyma import fill_lungs
from covid_core.data.chest.patient import Patient


def scan(patient: Patient, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scan one slice.

    Args:
        patient: Who.
        t: Height, 0 at the apex of the lungs to 1 at their base.

    Returns:
        Grey float32 ``(512, 512)`` in 0-255, lungs and lesions float32 ``(512, 512)`` in 0-1 (share of the pixel).
    """
    exposure = patient.exposure
    canvas = Canvas(patient.anatomy, exposure, t)
    tissue, lungs = draw_body(patient, canvas, t)
    lung, lesions = fill_lungs(patient, canvas, t, lungs)
    hounsfield = tissue + lungs * (lung - tissue)
    hounsfield = blur(hounsfield, 0.75)
    if exposure.sharpness:
        hounsfield += np.float32(exposure.sharpness) * (hounsfield - blur(hounsfield, 1.6))
    hounsfield += _noise(patient, t, lungs)
    low = exposure.level - exposure.window / 2.0
    grey = np.clip((hounsfield - np.float32(low)) * np.float32(255.0 / exposure.window), 0.0, 255.0)
    return grey, lungs, lesions


def _noise(patient: Patient, t: float, lungs: np.ndarray) -> np.ndarray:
    """Grainy noise, stronger where the rays cross more tissue, with faint streaks from side to side."""
    rng = np.random.default_rng([*patient.seed, 4, round(t * 1e6)])
    white = rng.standard_normal((MATRIX, MATRIX), dtype=np.float32)
    # A reconstruction filter passes the middle frequencies: white noise without its slow and its fastest parts.
    grain = blur(white, 0.8) - 0.75 * blur(white, 2.6)
    streaks = cv2.blur(grain, (75, 1)) * np.float32(2.0 + 9.0 * np.exp(-((t / 0.18) ** 2)))
    strength = np.float32(patient.exposure.noise * 3.4) * (1.35 - 0.35 * lungs)
    return strength * (grain + 0.22 * streaks)
