"""What an audit looks at in every slice, read once; pixels are let go."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from covid_core.data.containers import open_container, sniff
from covid_core.data.slices import MAX_BYTES, read_slice, resize_slice
from covid_core.data.sources import Dataset
from covid_core.errors import DatasetError, SliceError

COMPARED_SIDE = 64
"""Side in pixels at which slices are compared: enough to tell patients apart, too little to see noise."""

BORDER = 0.04
"""Depth of the border as a share of each side: frames, letters and rulers stand there, lungs do not."""

STRIP = 32
"""Values that each of the four sides of the border is averaged to."""

Observe = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SliceFacts:
    """Facts of ``N`` slices.

    Args:
        paths: As in the data set.
        labels: int64 ``(N,)``, positions in the data set's classes.
        positive: bool ``(N,)``.
        patients: Patient of each, or None where unknown.
        formats: File format and the kind of its pixels, such as ``"PNG RGBA"``.
        sizes: int64 ``(N, 2)``: width and height in pixels.
        brightness: float64 ``(N,)``: mean grey value inside the border, 0-255.
        digests: SHA-256 of shape and decoded grey values, hex.
        compared: uint8 ``(N, COMPARED_SIDE, COMPARED_SIDE)``.
        thumbnails_8: uint8 ``(N, 8, 8)``.
        thumbnails_16: uint8 ``(N, 16, 16)``.
        borders: float32 ``(N, 4 * STRIP)``, grey values 0-255: top, bottom, left, right.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    positive: np.ndarray
    patients: tuple[str, ...] | None
    formats: tuple[str, ...]
    sizes: np.ndarray
    brightness: np.ndarray
    digests: tuple[str, ...]
    compared: np.ndarray
    thumbnails_8: np.ndarray
    thumbnails_16: np.ndarray
    borders: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read as a slice.

    Args:
        path: Relative POSIX path.
        reason: What was expected, what came, what to do.
    """

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class _One:
    format: str
    size: tuple[int, int]
    brightness: float
    digest: str
    compared: np.ndarray
    thumbnails_8: np.ndarray
    thumbnails_16: np.ndarray
    border: np.ndarray


def read_facts(dataset: Dataset, observe: Observe | None = None) -> tuple[SliceFacts, tuple[Unreadable, ...]]:
    """Read every slice of a data set.

    Args:
        dataset: Slices as files.
        observe: Called with (slices done, slices in all).

    Returns:
        The facts of those that can be read, in order, and the files that cannot.

    Raises:
        DatasetError: The data set is packed, or a class has no slice that can be read.
    """
    if dataset.packing is not None:
        raise DatasetError(
            f"Expected a folder or a table of slices. Received: {dataset.root.name}, whose slices are packed: format, "
            "size and border of the files are gone. Audit the folder that it was packed from."
        )

    def read(path: str) -> _One | Unreadable:
        try:
            return _facts_of(dataset.root / path)
        except SliceError as error:
            return Unreadable(path, str(error))

    found: list[_One | Unreadable] = []
    with ThreadPoolExecutor() as pool:
        for done, one in enumerate(pool.map(read, dataset.paths), start=1):
            found.append(one)
            if observe:
                observe(done, len(dataset))
    unreadable = tuple(one for one in found if isinstance(one, Unreadable))
    kept = np.array([not isinstance(one, Unreadable) for one in found], bool)
    _check_classes(dataset, kept, unreadable)
    read_ones = [one for one in found if not isinstance(one, Unreadable)]
    positions = np.flatnonzero(kept)
    facts = SliceFacts(
        paths=tuple(dataset.paths[at] for at in positions),
        labels=dataset.labels[positions],
        positive=dataset.binary_labels[positions] == 1,
        patients=None if dataset.groups is None else tuple(dataset.groups[at] for at in positions),
        formats=tuple(one.format for one in read_ones),
        sizes=np.array([one.size for one in read_ones], np.int64),
        brightness=np.array([one.brightness for one in read_ones]),
        digests=tuple(one.digest for one in read_ones),
        compared=np.stack([one.compared for one in read_ones]),
        thumbnails_8=np.stack([one.thumbnails_8 for one in read_ones]),
        thumbnails_16=np.stack([one.thumbnails_16 for one in read_ones]),
        borders=np.stack([one.border for one in read_ones]),
    )
    return facts, unreadable


def _check_classes(dataset: Dataset, kept: np.ndarray, unreadable: tuple[Unreadable, ...]) -> None:
    for label, name in enumerate(dataset.classes):
        members = np.flatnonzero(dataset.labels == label)
        if not kept[members].any():
            first = next(one for one in unreadable if one.path == dataset.paths[members[0]])
            raise DatasetError(
                f"Expected a slice of class {name} that can be read. Received: none among {len(members)} files. "
                f"The first, {first.path}: {first.reason}"
            )


def _facts_of(file: Path) -> _One:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SliceError(f"Expected a readable file. It cannot be opened: {error.strerror}.") from error
    pixels = read_slice(data, file.name).pixels
    height, width = pixels.shape
    rows, columns = (max(1, round(BORDER * side)) for side in pixels.shape)
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes())
    return _One(
        format=_format(data),
        size=(width, height),
        brightness=float(pixels[rows:-rows, columns:-columns].mean()),
        digest=digest.hexdigest(),
        compared=resize_slice(pixels, COMPARED_SIDE),
        thumbnails_8=resize_slice(pixels, 8),
        thumbnails_16=resize_slice(pixels, 16),
        border=np.concatenate(
            [
                _strip(pixels[:rows]),
                _strip(pixels[-rows:]),
                _strip(pixels[:, :columns].T),
                _strip(pixels[:, -columns:].T),
            ]
        ),
    )


def _format(data: bytes) -> str:
    """Format and pixel mode, by the parts that hold pixels alone."""
    file_format = sniff(data)
    container = open_container(data, file_format)
    with Image.open(io.BytesIO(container.pixel_parts), formats=(file_format,)) as picture:
        return f"{file_format} {picture.mode}"


def _strip(part: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(part), (STRIP, 1), interpolation=cv2.INTER_AREA)[0]
