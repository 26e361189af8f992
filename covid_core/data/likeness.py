"""How alike slices are: lungs laid over each other, their pattern, and the look that scanner and file leave.

No cue alone tells patients apart. Each is turned into the share of all pairs that are at least as alike by it, which
needs no scale and no weights; shares are joined by Fisher's method.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.special import gammaincc

from covid_core.data.lungs import find_lungs

SIDE = 48
"""Side in pixels to which the box around the lungs is resized: lungs of two slices then lie over each other."""

BLOCK = 8  # side in pixels of the squares in which patterns are correlated
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)  # of the grey values
DIGITS = 6  # of a distance: differences below come from the order of sums

CUES = {
    "size": "chebyshev",
    "grey values": "cityblock",
    "darkest": "cityblock",
    "brightest": "cityblock",
    "borders": "cityblock",
    "noise": "cityblock",
    "lung grey": "cityblock",
    "lung noise": "cityblock",
    "lung outline": "overlap",
    "lung pattern": "correlation",
}
"""What is compared, and by which distance."""

Look = dict[str, np.ndarray]
"""One slice: a float32 vector for each of ``CUES``, NaN where it is not defined."""


def describe(pixels: np.ndarray) -> Look:
    """What is compared of one slice.

    Args:
        pixels: ``(H, W)``, grey values 0-255, 16 × 16 pixels or more, as stored: resizing changes noise and size.

    Returns:
        ``size``: logarithms of height and width. ``grey values``: their percentiles; ``darkest`` and ``brightest``:
        the 1st and the 95th. ``borders``: mean grey along the four. ``noise``: log(1 + median of the absolute
        difference to the picture blurred by one pixel). ``lung grey`` (median) and ``lung noise``: inside the lungs.
        ``lung outline``: mask in its own box, 0 or 1. ``lung pattern``: grey values there, each square of 8 × 8 with
        mean 0 and length 1. The last four are NaN where no lungs are found.
    """
    grey = np.asarray(pixels, np.float32)
    percentiles = np.percentile(grey, PERCENTILES)
    roughness = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.0))
    borders = [border.mean() for border in (grey[0], grey[-1], grey[:, 0], grey[:, -1])]
    look = {
        "size": np.log(grey.shape),
        "grey values": percentiles,
        "darkest": percentiles[PERCENTILES.index(1)],
        "brightest": percentiles[PERCENTILES.index(95)],
        "borders": borders,
        "noise": np.log1p(np.median(roughness)),
    } | _lung_look(grey, roughness)
    return {cue: np.atleast_1d(np.asarray(look[cue], np.float32)).ravel() for cue in CUES}


def strangers(looks: Sequence[Look]) -> np.ndarray:
    """How many other slices are expected to be as like a slice as this one, if likeness were chance: for every pair.

    For each cue, the share p of all pairs that are at least as alike. Under chance, -2 Σ ln p follows chi-squared with
    two degrees of freedom a cue (Fisher 1925); its tail times the number of slices is the number of false alarms of
    Desolneux, Moisan and Morel (Meaningful alignments, International Journal of Computer Vision 40, 2000). Cues are not
    independent, so the number is a score with a natural scale and no count.

    A cue in which all pairs are equal says nothing and is left out, as is a cue that one of the two slices lacks.

    Args:
        looks: ``N`` slices.

    Returns:
        float64 ``(N (N - 1) / 2,)``: log10 of that number, lower for pairs that are more alike, in the order of
        ``scipy.spatial.distance.pdist``.
    """
    pairs = len(looks) * (len(looks) - 1) // 2
    evidence, cues = np.zeros(pairs), np.zeros(pairs, np.int8)
    for cue, metric in CUES.items():
        distances = np.round(_distances(np.stack([look[cue] for look in looks]), metric), DIGITS)
        known = ~np.isnan(distances)
        ordered = np.sort(distances[known])
        if not len(ordered) or ordered[0] == ordered[-1]:
            continue
        share = np.searchsorted(ordered, distances[known], side="right") / len(ordered)
        evidence[known] -= np.log(share)
        cues += known
    tail = np.where(cues > 0, gammaincc(np.maximum(cues, 1), evidence), 1.0)
    return np.log10(tail) + np.log10(len(looks))


def _lung_look(grey: np.ndarray, roughness: np.ndarray) -> dict[str, np.ndarray]:
    lungs = find_lungs(grey)
    if not lungs.found:
        nothing = np.full((SIDE, SIDE), np.nan)
        return {"lung grey": np.nan, "lung noise": np.nan, "lung outline": nothing, "lung pattern": nothing}
    rows, columns = (np.nonzero(lungs.mask.any(axis=axis))[0] for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return {
        "lung grey": np.median(grey[lungs.mask]),
        "lung noise": np.log1p(np.median(roughness[lungs.mask])),
        "lung outline": _resized(lungs.mask[box].astype(np.float32)) >= 0.5,
        "lung pattern": _normalised(_resized(grey[box])),
    }


def _resized(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _normalised(picture: np.ndarray) -> np.ndarray:
    """float32 ``(squares, BLOCK²)``: of mean 0 and length 1; of one grey, all 0."""
    squares = picture.reshape(SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK * BLOCK)
    squares = squares - squares.mean(axis=1, keepdims=True)
    length = np.linalg.norm(squares, axis=1, keepdims=True)
    return np.divide(squares, length, out=np.zeros_like(squares), where=length > 1e-3)


def _distances(vectors: np.ndarray, metric: str) -> np.ndarray:
    """float64 ``(N (N - 1) / 2,)``; NaN where one of the two is."""
    if metric not in ("overlap", "correlation"):
        return pdist(vectors, metric)
    products = squareform(vectors @ vectors.T, checks=False)
    if metric == "correlation":  # mean over the squares
        return 1 - products / (SIDE // BLOCK) ** 2
    sizes = vectors.sum(axis=1)
    return 1 - products / (squareform(sizes[:, None] + sizes, checks=False) - products)  # intersection over union
