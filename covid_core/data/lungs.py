"""Lungs of an axial chest slice by classical image processing: no network, no training data, no Hounsfield units.

Dark regions inside the body, without what is not lung (the trachea, gas and fat of the abdomen), closed over vessels
and over consolidations. Dense consolidation along a whole side of the chest wall looks like muscle and is missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage
from skimage import filters, measure, morphology

WORKING_SIDE = 256
"""Longer side in pixels at which masks are made; all lengths below are pixels at this size."""

SMOOTHING = 0.7  # standard deviation; noise of one pixel must not split a lung
BODY_PART = 0.05  # share of its largest bright region from which another belongs to the body
SMALLEST_SHARE = 0.003  # of the body: what is smaller is no lung
SMALLEST_RATIO = 0.05  # to the largest region
EDGE_CONTACT = 0.25  # share of a region on the body's outline from which it is skin fold or air, not lung
AIR_PERCENTILE = 20  # of the dark pixels
FAT_LEVEL = 0.6  # from air (0) to the threshold (1): a region whose median is brighter is fat or stomach
TRACHEA_SHARE, TRACHEA_OFFSET, TRACHEA_SOLIDITY = 0.02, 0.22, 0.8  # of the body; of its half width; round
GROWTH = 1  # how far a lung may grow to its own edge
CLOSING = 6  # radius of the vessels and lesions that are closed over
LARGEST_HOLE = 0.03  # of the body: the dome of the liver; what is larger is the heart between two lungs that touch
LOBE_SHARE = 0.02  # of the body: smaller regions are not completed to the chest wall
BRIDGE = 3  # radius of what is completed to the chest wall


@dataclass(frozen=True, eq=False)
class Lungs:
    """Both lungs of a slice.

    Args:
        mask: bool ``(H, W)``; all False where none were found.
        body: bool ``(H, W)``: convex outline of the body that they were looked for in; all True where there is none.
        reason: Why none were found; empty where they were.
    """

    mask: np.ndarray
    body: np.ndarray
    reason: str = ""

    @property
    def found(self) -> bool:
        """Whether there is a mask."""
        return not self.reason


def find_lungs(pixels: np.ndarray) -> Lungs:
    """Lung mask of one slice with the patient's front at the top of the picture.

    Args:
        pixels: ``(H, W)``, uint8 or float grey values 0-255, in any window that shows air darker than tissue.

    Returns:
        The mask at the size of the slice, or why there is none.

    Raises:
        ValueError: Another shape, or NaN.
    """
    grey = np.asarray(pixels, np.float32)
    if grey.ndim != 2 or min(grey.shape) < 16:
        raise ValueError(f"Expected a slice (H, W) of at least 16 × 16 pixels. Received: shape {grey.shape}.")
    if not np.isfinite(grey).all():
        raise ValueError("Expected finite grey values 0-255. Received: NaN or infinite values.")
    nothing = np.zeros(grey.shape, bool)
    if np.ptp(grey) < 8:
        return Lungs(nothing, ~nothing, "The slice is of one grey: there is nothing to tell apart.")
    smooth = cv2.GaussianBlur(_at_working_size(grey), (0, 0), SMOOTHING)
    body = _body(smooth)
    # The whole picture's threshold lies between air and tissue unless a crop leaves hardly any air; the body's own
    # lies too high where its lungs are small. The lower one is right in both cases.
    threshold = min(filters.threshold_otsu(smooth), filters.threshold_otsu(smooth[body]))
    lungs = np.zeros_like(body)
    for region in _lung_regions(smooth, body, threshold):
        lungs |= _completed(region, smooth, body)
    outline = _at_size(body, grey.shape)
    if not lungs.any():
        return Lungs(nothing, outline, "No dark region inside the body is large enough to be a lung.")
    lungs |= _towards_chest_wall(lungs, body)
    return Lungs(_at_size(lungs, grey.shape), outline)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Dice coefficient 2 |A ∩ B| / (|A| + |B|) of two masks of one shape; 1 where both are empty."""
    one, other = np.asarray(one, bool), np.asarray(other, bool)
    if one.shape != other.shape:
        raise ValueError(f"Expected two masks of one shape. Received: {one.shape} and {other.shape}.")
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def _at_working_size(grey: np.ndarray) -> np.ndarray:
    scale = WORKING_SIDE / max(grey.shape)
    height, width = (max(16, round(side * scale)) for side in grey.shape)
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _at_size(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    return cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5


def _body(smooth: np.ndarray) -> np.ndarray:
    """Convex hull of the bright regions: it closes the chest even where the picture cuts through its wall.

    Where the wall in front is cut away, it falls into two regions. The table, below the largest one, is none of them.
    """
    labels = measure.label(_opened(smooth > filters.threshold_otsu(smooth), 3))
    regions = measure.regionprops(labels)
    if not regions:
        return np.ones(smooth.shape, bool)
    largest = max(regions, key=lambda region: region.area)
    top, _, bottom, _ = largest.bbox
    parts = [
        region.label
        for region in regions
        if region.area >= BODY_PART * largest.area and top <= region.centroid[0] < bottom
    ]
    return morphology.convex_hull_image(np.isin(labels, parts))


def _lung_regions(smooth: np.ndarray, body: np.ndarray, threshold: float) -> list[np.ndarray]:
    """The dark regions that are lung, bool ``(H, W)`` each."""
    labels = measure.label(_opened((smooth < threshold) & body, 1))
    outline = body & ~ndimage.binary_erosion(body, iterations=2, border_value=1)  # the picture's border is no outline
    inner = [
        region
        for region in measure.regionprops(labels, intensity_image=smooth)
        if (outline & (labels == region.label)).sum() <= EDGE_CONTACT * region.area
    ]
    if not inner:
        return []
    largest = max(inner, key=lambda region: region.area)
    area = body.sum()
    if largest.area < SMALLEST_SHARE * area:
        return []
    air = np.percentile(smooth[smooth < threshold], AIR_PERCENTILE)
    brightest = air + FAT_LEVEL * (threshold - air)
    columns = np.nonzero(body.any(axis=0))[0]
    middle, half_width = columns.mean(), np.ptp(columns) / 2
    kept = []
    for region in inner:
        mask = labels == region.label
        is_small = region.area < max(SMALLEST_SHARE * area, SMALLEST_RATIO * largest.area)
        is_trachea = (
            region.area < TRACHEA_SHARE * area
            and abs(region.centroid[1] - middle) < TRACHEA_OFFSET * half_width
            and region.solidity > TRACHEA_SOLIDITY
        )
        if not (is_small or is_trachea):
            kept.append(mask)
    # In a window that shows lung almost as bright as fat, grey tells nothing: then all regions stay.
    return [mask for mask in kept if np.median(smooth[mask]) <= brightest] or kept


def _completed(region: np.ndarray, smooth: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The region out to halfway between its grey and its surroundings', closed over vessels and lesions."""
    around = _dilated(region, 5) & ~_dilated(region, 2) & body
    if around.any():
        halfway = 0.5 * (np.median(smooth[region]) + np.median(smooth[around]))
        region = region | (_dilated(region, GROWTH) & (smooth < halfway) & body)
    padded = np.pad(region, CLOSING).astype(np.uint8)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _disk(CLOSING))[CLOSING:-CLOSING, CLOSING:-CLOSING] > 0
    return morphology.remove_small_holes(closed, max_size=int(LARGEST_HOLE * body.sum()))


def _towards_chest_wall(lungs: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Consolidations at the back and the side, where the convex chest wall bounds the lung.

    Of what the convex hull of a lung adds, only places behind and beside which there is no more lung: the hollows of
    the heart, the diaphragm and the spine have lung there.
    """
    columns = np.nonzero(body.any(axis=0))[0]
    middle, half_width = columns.mean(), np.ptp(columns) / 2
    added = np.zeros_like(lungs)
    labels = measure.label(lungs)
    for region in measure.regionprops(labels):
        if region.area < LOBE_SHARE * body.sum():
            continue
        mask = labels == region.label
        occupied = np.nonzero(mask.any(axis=0))[0]
        is_both = occupied[0] < middle - 0.3 * half_width and occupied[-1] > middle + 0.3 * half_width
        left = mask & (np.arange(mask.shape[1]) < middle)
        for lung in (left, mask & ~left) if is_both else (mask,):
            lung_behind = np.maximum.accumulate(lung[::-1], axis=0)[::-1]
            is_left = np.nonzero(lung)[1].mean() < middle
            outwards = np.s_[:, ::1] if is_left else np.s_[:, ::-1]
            lung_beside = np.maximum.accumulate(lung[outwards], axis=1)[outwards]
            hollow = morphology.convex_hull_image(lung) & body & ~lung_behind & ~lung_beside
            added |= _opened(hollow | lung, BRIDGE) & hollow
    return added


def _disk(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _opened(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disk(radius)) > 0


def _dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), _disk(radius)) > 0
