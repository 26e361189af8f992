"""Slices that are one picture, or nearly one, or look like neighbours in one patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NEAR = 0.995
"""Correlation of two aligned slices from which they count as one picture. Copies of real and of generated slices that
were compressed, made smaller, cut by up to 6 % or made brighter reach 0.997 and more; slices of different patients stay
below 0.99."""

CANDIDATE = 0.8
"""Correlation before alignment from which a pair is aligned at all; a copy cut by 4 % keeps more than this."""

CANDIDATES = 4
"""Slices of its own class, and of others, that each slice is aligned with: its most similar ones. Of copies that were
cut by 2 % at two sides all stand among them, of those cut by 4 % nine in ten, of those cut by 6 % half."""

STRANGERS = 0.99
"""Share of slices that may look like no slice of another class where patients are guessed: see ``likeness_limit``."""

LEAST_LIKENESS = 0.9
"""Slices that correlate less are not taken for one patient, however unlike the classes are."""

_COARSE = 16  # side in pixels of the comparison of all with all
_BLOCK = 512  # slices compared with all others at once: 512 x 50,000 float32 take 100 MB
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
_BLUR = 3  # pixels; without it, a shift by half a pixel alone costs a copy up to 0.05 of its correlation
_LEAST_OVERLAP = 0.5  # share of the picture that both show after the alignment
_WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


class Pairs(NamedTuple):
    """Pairs of slices.

    Args:
        first: int64 ``(P,)``, positions.
        second: The same, each behind ``first``.
        similarity: float64 ``(P,)``, correlations from -1 to 1.
    """

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray

    def at_least(self, limit: float) -> Pairs:
        """Those of at least this similarity."""
        kept = self.similarity >= limit
        return Pairs(self.first[kept], self.second[kept], self.similarity[kept])


def identical(values: Sequence[str]) -> Pairs:
    """Pairs of equal values, each with the first one of its kind."""
    first_of: dict[str, int] = {}
    pairs = [(first_of.setdefault(value, at), at) for at, value in enumerate(values)]
    return _pairs([(first, second, 1.0) for first, second in pairs if first != second])


def similar(pictures: np.ndarray, labels: np.ndarray, observe: Callable[[int, int], None] | None = None) -> Pairs:
    """Each slice's most similar ones, in its own class and in others, by correlation of their aligned pictures.

    Candidates come from the correlation of all with all at 16 × 16 pixels. Each is aligned by an affine transform that
    maximises the correlation (Evangelidis & Psarakis, Parametric Image Alignment Using Enhanced Correlation
    Coefficient Maximization, 2008), so that cutting, scaling and brightness do not hide a copy.

    Args:
        pictures: uint8 ``(N, side, side)``.
        labels: int ``(N,)``, classes.
        observe: Called with (pairs done, pairs in all).

    Returns:
        Pairs with the correlation where both pictures overlap; those that cannot be aligned are left out.
    """
    chosen = sorted(_candidates(pictures, labels))

    def align(pair: tuple[int, int]) -> float:
        return _aligned_correlation(pictures[pair[0]], pictures[pair[1]])

    found = []
    with ThreadPoolExecutor() as pool:
        for done, (pair, value) in enumerate(zip(chosen, pool.map(align, chosen), strict=True), start=1):
            if np.isfinite(value):
                found.append((*pair, value))
            if observe:
                observe(done, len(chosen))
    return _pairs(found)


def likeness_limit(pairs: Pairs, labels: np.ndarray) -> float:
    """Similarity from which two slices are taken for one patient, where nobody says which are.

    A patient has one class. How alike slices of different patients can be is therefore seen between the classes: the
    limit is what ``STRANGERS`` of the slices do not reach with any slice of another class.

    Args:
        pairs: As ``similar`` gives them.
        labels: int ``(N,)``, classes.
    """
    across = labels[pairs.first] != labels[pairs.second]
    best = np.zeros(len(labels))
    for end in (pairs.first, pairs.second):
        np.maximum.at(best, end[across], pairs.similarity[across])
    return float(np.clip(np.quantile(best, STRANGERS), LEAST_LIKENESS, NEAR))


def components(count: int, *links: Pairs) -> np.ndarray:
    """Numbers int64 ``(count,)``: slices that are linked, directly or through others, have one number."""
    first = np.concatenate([one.first for one in links])
    second = np.concatenate([one.second for one in links])
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _candidates(pictures: np.ndarray, labels: np.ndarray) -> set[tuple[int, int]]:
    small = np.stack([cv2.resize(one, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for one in pictures])
    vectors = small.reshape(len(small), -1).astype(np.float32)
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    chosen: set[tuple[int, int]] = set()
    for start in range(0, len(vectors), _BLOCK):
        correlation = vectors[start : start + _BLOCK] @ vectors.T
        for row, values in enumerate(correlation, start=start):
            values[row] = -1.0
            own = labels == labels[row]
            for side in (own, ~own):
                where = np.flatnonzero(side & (values >= CANDIDATE))
                best = where[np.argsort(-values[where], kind="stable")[:CANDIDATES]]
                chosen |= {(min(row, int(at)), max(row, int(at))) for at in best}
    return chosen


def _aligned_correlation(first: np.ndarray, second: np.ndarray) -> float:
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(first, second, start, cv2.MOTION_AFFINE, _STEPS, None, _BLUR)
    except cv2.error:  # they have too little in common for the iteration to end anywhere
        return float("nan")
    seen = cv2.warpAffine(np.full_like(second, 255), warp, first.shape[::-1], flags=_WARP) == 255
    if seen.mean() < _LEAST_OVERLAP:
        return float("nan")
    fixed, moved = (cv2.GaussianBlur(one, (_BLUR, _BLUR), 0).astype(np.float32) for one in (first, second))
    moved = cv2.warpAffine(moved, warp, first.shape[::-1], flags=_WARP)[seen]
    deviations = [values - values.mean() for values in (fixed[seen], moved)]
    norm = float(np.linalg.norm(deviations[0]) * np.linalg.norm(deviations[1]))
    return float(deviations[0] @ deviations[1]) / norm if norm else float("nan")


def _pairs(rows: list[tuple[int, int, float]]) -> Pairs:
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Pairs(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2])
