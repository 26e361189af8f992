"""What tells an axial chest slice from other pictures, as measures of the picture and of the lungs found in it.

Every measure names a property of the body, of computed tomography or of a picture file, not of a data set:

- A slice is a cross-section: lung and tissue meet at the pleura within a voxel or two. In a projection (chest X-ray)
  the lung's depth falls to nothing towards its edge, so its outline is a slope.
- Aerated lung has a tenth to a third of the density of tissue, and vessels and airways cross it (Fleischner Society:
  Hansell et al., Radiology 246, 2008). Gas in the bowel, a cavity of a drawing and air outside are uniform.
- Between the lungs lies the mediastinum; apart from the thin anterior and posterior junction lines (ibid.) the median
  plane holds no lung. A parasagittal plane shows one lung, in the middle.
- In an axial plane each lung comes furthest back beside the spine and furthest to the front behind the sternum. In a
  coronal plane its lowest point is the lateral costophrenic angle, at its outer side (ibid.).
- The body ends in front and behind, not at head and feet: planes along the body are cut off at top and bottom.
- An adult chest is wider than it is deep (thoracic index), and one body is one piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage
from skimage import filters

from covid_core.data.lungs import Lungs

WORKING_SIDE = 256
"""Longer side in pixels at which lungs and body are measured."""

SEAM_SIDE = 512
"""Longer side in pixels from which a picture is reduced before seams are sought."""

SEAM_LENGTH = 192
"""Pixels of a seam's length from which it counts in full. Within one pixel an arc looks straight over a share of the
picture that grows as the root of the number of pixels falls, so shorter seams count less."""

COMMONEST = 8
"""Grey values that a drawing consists of."""

SMOOTHING = 0.7  # standard deviation in pixels: single noisy pixels are no edge
MIDDLE = 0.05  # half the width of the median strip, of the body's half width
NEAR_MIDDLE = 0.15  # how far the mediastinum may lie from the lungs' middle, of their common width
LOWEST = 0.06  # part of a lung's height that counts as its lowest
SMALLEST_SIDE = 0.1  # of all lung: what is smaller is no lung with a costophrenic angle
SEAM_STEP = 10  # grey values over two pixels that count as an edge
SEAM_SURROUNDINGS = 15  # columns that a seam is compared with
SEAM_MARGIN = 0.12  # of the picture: frames and borders are no seams
WHITE, MOST_FRAME = 240, 0.06  # grey value of a frame, and its width, of the picture's side
BODY_SHARE = 0.4  # of the largest piece of tissue, from which another is a body and no arm


@dataclass(frozen=True)
class PictureMeasures:
    """What is measured without lungs.

    Args:
        commonest: Share of the pixels that have one of the ``COMMONEST`` most frequent grey values.
        seam: Share of the picture's height or width over which a straight edge runs through it, above its surroundings;
            less in small pictures.
    """

    commonest: float
    seam: float


@dataclass(frozen=True)
class ChestMeasures:
    """What is measured of lungs that were found.

    Args:
        share: Lung of the body's area.
        contrast: Median of tissue minus median of lung, of the picture's range of grey values.
        sharpness: Median gradient at the lungs' edge a pixel at ``WORKING_SIDE``, of the difference of tissue and lung.
        variation: Standard deviation inside the lungs, of the same difference.
        median_plane: Share of lung in a strip along the body's middle, between the lungs' first and last row.
        lowest: Where a lung reaches lowest, from 0 at its inner edge to 1 at its outer one; the smaller of both lungs.
        depth: Height of the body over its width in the picture.
        cut: Share of the picture's upper and lower border that the body covers, the smaller of both.
        sides: Share of its left and right border that the body covers, the larger of both.
        bodies: Pieces of tissue, lungs included, that are nearly as large as the largest.
    """

    share: float
    contrast: float
    sharpness: float
    variation: float
    median_plane: float
    lowest: float
    depth: float
    cut: float
    sides: float
    bodies: int


def measure_picture(pixels: np.ndarray) -> PictureMeasures:
    """Measures of any picture.

    Args:
        pixels: Float or uint8 ``(H, W)``, grey values 0-255.
    """
    counts = np.sort(np.bincount(np.clip(pixels, 0, 255).astype(np.uint8).ravel(), minlength=256))
    reduced = _reduced(np.asarray(pixels, np.float32), SEAM_SIDE)
    return PictureMeasures(
        commonest=float(counts[-COMMONEST:].sum() / pixels.size),
        seam=max(_seam(reduced), _seam(reduced.T)),
    )


def measure_chest(pixels: np.ndarray, lungs: Lungs) -> ChestMeasures:
    """Measures of a slice in which lungs were found.

    Args:
        pixels: Float or uint8 ``(H, W)``, grey values 0-255.
        lungs: As ``find_lungs`` gives them for it; found.
    """
    grey = cv2.GaussianBlur(_resized(np.asarray(pixels, np.float32), WORKING_SIDE), (0, 0), SMOOTHING)
    lung, body = (_resized(mask.astype(np.float32), WORKING_SIDE) >= 0.5 for mask in (lungs.mask, lungs.body))
    rows, columns = _extent(body.any(axis=1)), _extent(body.any(axis=0))
    tissue, inside = body & ~_dilated(lung, 3), _eroded(lung, 2)
    low, high = np.percentile(grey, [0.5, 99.5])
    levels = [float(np.median(grey[part])) if part.any() else low for part in (tissue, lung)]
    difference = max(1.0, levels[0] - levels[1])
    pieces = _pieces(grey, lung)
    solid = pieces[0]
    return ChestMeasures(
        share=float(lung.sum() / max(1, body.sum())),
        contrast=float((levels[0] - levels[1]) / max(1.0, high - low)),
        sharpness=float(_edge_gradient(grey, lung) / difference),
        variation=float(grey[inside].std() / difference) if inside.any() else 0.0,
        median_plane=_median_share(lung, columns),
        lowest=_lowest_place(lung),
        depth=(rows[1] - rows[0]) / max(1, columns[1] - columns[0]),
        cut=float(min(solid[:3].mean(), solid[-3:].mean())),
        sides=float(max(solid[:, :3].mean(), solid[:, -3:].mean())),
        bodies=sum(bool(piece.sum() >= BODY_SHARE * solid.sum()) for piece in pieces),
    )


def without_frame(pixels: np.ndarray) -> np.ndarray:
    """The picture without a white frame, as figures of papers have: its bright and uniform outer rows and columns.

    Args:
        pixels: ``(H, W)``, grey values 0-255.
    """
    most = [int(MOST_FRAME * side) for side in pixels.shape]

    def width(lines: np.ndarray, most: int) -> int:
        frame = (lines.min(axis=1) >= WHITE)[:most]
        return int(np.nonzero(frame)[0].max(initial=-1)) + 1

    top, bottom = width(pixels, most[0]), width(pixels[::-1], most[0])
    left, right = width(pixels.T, most[1]), width(pixels.T[::-1], most[1])
    return pixels[top : pixels.shape[0] - bottom, left : pixels.shape[1] - right]


def _seam(picture: np.ndarray) -> float:
    """Of all columns away from the border, the one where most rows have an edge, above the median of its neighbours."""
    edge = (np.abs(picture[:, 2:] - picture[:, :-2]) > SEAM_STEP).mean(axis=0)
    above = edge - ndimage.median_filter(edge, size=SEAM_SURROUNDINGS)
    margin = int(SEAM_MARGIN * len(above))
    scale = min(1.0, len(picture) / SEAM_LENGTH) ** 0.5
    return float(scale * above[margin : len(above) - margin].max(initial=0.0))


def _edge_gradient(grey: np.ndarray, lung: np.ndarray) -> float:
    """Median over the lungs' outline of the steepest gradient within two pixels."""
    gradient = np.hypot(ndimage.sobel(grey, axis=0), ndimage.sobel(grey, axis=1)) / 8
    outline = lung & ~_eroded(lung, 1)
    return float(np.median(ndimage.maximum_filter(gradient, 5)[outline])) if outline.any() else 0.0


def _median_share(lung: np.ndarray, columns: tuple[int, int]) -> float:
    first, last = _extent(lung.any(axis=1))
    middle, half_width = (columns[0] + columns[1] - 1) / 2, (columns[1] - columns[0]) / 2
    strip = np.abs(np.arange(lung.shape[1]) - middle) < max(1.0, MIDDLE * half_width)
    return float(lung[first:last][:, strip].mean()) if last > first and strip.any() else 0.0


def _lowest_place(lung: np.ndarray) -> float:
    """See ``ChestMeasures.lowest``; 0 where there is no lung at all."""
    first, last = _extent(lung.any(axis=0))
    middle = (first + last - 1) / 2
    places = np.arange(lung.shape[1])
    heights = ndimage.uniform_filter1d(lung.sum(axis=0).astype(np.float64), 5)
    # the column with least lung, the nearer to the middle where several have as little
    near = places[np.abs(places - middle) <= NEAR_MIDDLE * (last - first)]
    if not len(near):
        return 0.0
    between = near[np.argmin(heights[near] + 0.02 * np.abs(near - middle))]
    lowest = []
    for side, is_left in ((lung & (places < between), True), (lung & (places > between), False)):
        if side.sum() < max(1.0, SMALLEST_SIDE * lung.sum()):
            continue
        top, bottom = _extent(side.any(axis=1))
        left, right = _extent(side.any(axis=0))
        deep = max(2, int(LOWEST * (bottom - top)))
        place = (np.nonzero(side[bottom - deep : bottom])[1].mean() - left) / max(1, right - 1 - left)
        lowest.append(1 - place if is_left else place)
    return float(min(lowest, default=0.0))


def _pieces(grey: np.ndarray, lung: np.ndarray) -> list[np.ndarray]:
    """Connected tissue with the lungs in it, the largest piece first: the body, and arms, table or other bodies."""
    filled = ndimage.binary_fill_holes((grey > filters.threshold_otsu(grey)) | lung)
    opened = cv2.morphologyEx(filled.astype(np.uint8), cv2.MORPH_OPEN, _disk(3))
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(opened)
    order = 1 + np.argsort(-statistics[1:, cv2.CC_STAT_AREA])
    return [labels == label for label in order] or [opened > 0]


def _extent(occupied: np.ndarray) -> tuple[int, int]:
    """First place and the one behind the last."""
    places = np.nonzero(occupied)[0]
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)


def _reduced(picture: np.ndarray, side: int) -> np.ndarray:
    return picture if max(picture.shape) <= side else _resized(picture, side)


def _resized(picture: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(picture.shape)
    height, width = (max(16, round(length * scale)) for length in picture.shape)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), _disk(radius)) > 0


def _eroded(mask: np.ndarray, radius: int) -> np.ndarray:
    """Without a rim; the picture's border is none."""
    return cv2.erode(mask.astype(np.uint8), _disk(radius)) > 0
