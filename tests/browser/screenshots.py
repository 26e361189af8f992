"""Compares a screenshot with its baseline, blind to how another machine draws letters."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

BASELINES = Path(__file__).parent / "baseline"
DIFFERENCES = Path(__file__).parent / "differences"

CELL = 12  # pixels; about a line of text: what rasterisers do differently averages out inside
CELL_TOLERANCE = 14.0  # grey levels of 255
SHARE_TOLERANCE = 0.006  # of all cells; a missing chart or picture is 3 % and more


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Grey levels between two screenshots, averaged over cells.

    Args:
        first: uint8 ``(H, W, 3)``.
        second: The same shape.

    Returns:
        float32 ``(H / CELL, W / CELL)``, the largest of the three colours.
    """
    small = [_cells(picture) for picture in (first, second)]
    return np.abs(small[0] - small[1]).max(axis=2)


def differs(cells: np.ndarray) -> bool:
    """Whether more of the page changed than letters can account for."""
    return float((cells > CELL_TOLERANCE).mean()) > SHARE_TOLERANCE


def check_screenshot(png: bytes, name: str, renew: bool) -> None:
    """Compare with ``baseline/<name>.png``; on failure write both and their difference to ``differences/``."""
    path = BASELINES / f"{name}.png"
    if renew:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png)
        return
    assert path.is_file(), f"no baseline {path.name}; make screenshots writes it"
    now, before = _read(png), _read(path.read_bytes())
    same_size = now.shape == before.shape
    cells = difference(now, before) if same_size else None
    if same_size and not differs(cells):
        return
    DIFFERENCES.mkdir(exist_ok=True)
    (DIFFERENCES / f"{name}-now.png").write_bytes(png)
    (DIFFERENCES / f"{name}-baseline.png").write_bytes(path.read_bytes())
    assert same_size, f"{name}: the size is {now.shape}, the baseline's {before.shape}"
    marked = now.copy()
    mask = np.kron(cells > CELL_TOLERANCE, np.ones((CELL, CELL), bool))[: now.shape[0], : now.shape[1]]
    marked[mask] = (0.4 * marked[mask] + 0.6 * np.array([220, 30, 30])).astype(np.uint8)
    Image.fromarray(marked).save(DIFFERENCES / f"{name}-difference.png")
    share = (cells > CELL_TOLERANCE).mean()
    raise AssertionError(
        f"{name}: {share:.1%} of the page changed, {SHARE_TOLERANCE:.1%} allowed; see {DIFFERENCES}. "
        f"If the change is meant, make screenshots renews the baselines."
    )


def _read(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _cells(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[0] // CELL, picture.shape[1] // CELL
    blurred = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), CELL / 3)
    return cv2.resize(blurred, (width, height), interpolation=cv2.INTER_AREA)
