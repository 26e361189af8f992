"""A NIfTI volume -> axial slices, as radiologists look at them.

The file is read as a stream, a plane at a time, and only the slices that are asked for are kept: neither a volume nor
what a gzip file unpacks to is ever whole in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from covid_core.data.dicom_header import check_axial
from covid_core.data.places import Place
from covid_core.data.slices import MAX_PIXELS, Slice, check_contrast, check_shape
from covid_core.data.window import to_grey
from covid_core.errors import SliceError

if TYPE_CHECKING:
    from nibabel import Nifti1Header

MAX_VOLUME_BYTES = 512 * 2**20
"""Largest volume once it is decompressed; 512 × 512 × 1000 voxels of 16 bits."""

MAX_HEAD_BYTES = 16 * 2**20
"""What may lie in front of the voxels: header and extensions."""

MAX_SIDE = 8192

UNITS_FROM = -500
"""Hounsfield units that some voxel of a chest lies below; a volume without one holds other values."""

UNEQUAL = 1.2
"""Ratio of a slice's two spacings from which it looks stretched."""

AIR = -1024

# What gzip and zlib raise for a damaged or shortened stream.
STREAM_ERRORS = (OSError, EOFError, zlib.error)


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume whose header was judged and whose voxels are still in the file.

    Args:
        data: The whole file.
        name: File name without folders.
        start: Bytes in front of the voxels.
        dtype: Of a voxel as stored.
        shape: Voxels along the three axes as stored, the first the fastest.
        slope: Value = slope · stored + intercept.
        intercept: The same.
        axes: The stored axes that run along the patient's left-right, front-back and feet-head.
        flips: Whether those run to the right, to the front, and to the feet.
        spacing: Millimetres between rows and between columns of an axial slice.
        places: Of all slices, from head to feet.
        warnings: What a reader should know.
    """

    data: bytes
    name: str
    start: int
    dtype: np.dtype
    shape: tuple[int, int, int]
    slope: float
    intercept: float
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    spacing: tuple[float, float]
    places: tuple[Place, ...]
    warnings: tuple[str, ...]

    def read(self, chosen: Sequence[int]) -> list[Slice | None]:
        """The slices at positions ``chosen`` in ``places``; None for one that shows nothing, such as air all over.

        Raises:
            SliceError: A file that stops early or cannot be decompressed.
        """
        return _read(self, chosen)


def open_volume(data: bytes, name: str = "", max_pixels: int = MAX_PIXELS) -> Volume:
    """Read and judge the header of a ``.nii`` or ``.nii.gz`` file; no voxel is decoded.

    Args:
        data: The whole file.
        name: For slices and places.
        max_pixels: Largest width × height of a slice.

    Raises:
        SliceError: A damaged header, a volume that is too large, in colour, oblique, or no volume at all.
    """
    import nibabel  # half a second that other formats need not pay

    try:
        with _stream(data) as stream:
            start = stream.read(540)
    except STREAM_ERRORS as error:
        raise _damaged("it cannot be decompressed") from error
    kind = nibabel.Nifti2Header if start[4:8] in (b"n+2\0", b"ni2\0") else nibabel.Nifti1Header
    try:
        # extensions, which may name a person, lie behind the header and are never read
        header = kind.from_fileobj(io.BytesIO(start[: kind.sizeof_hdr]), check=False)
        dtype, offset = header.get_data_dtype(), int(header["vox_offset"])
        scale, affine = header.get_slope_inter(), np.asarray(header.get_best_affine(), float)
    except (nibabel.spatialimages.HeaderDataError, ValueError, KeyError, OverflowError, TypeError) as error:
        raise _damaged("its header is not valid") from error
    if bytes(header["magic"])[:2] == b"ni":
        raise SliceError(
            "Expected a NIfTI volume in one file. The voxels of this one lie in a second file (.img). Save it as "
            ".nii.gz."
        )
    shape, warnings = _shape(header)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise SliceError(
            "Expected a NIfTI volume of whole or fractional numbers. This one holds colours, complex numbers or the "
            "like. Save the CT volume itself."
        )
    if not header.sizeof_hdr <= offset <= MAX_HEAD_BYTES:
        raise _damaged("it does not say where its voxels begin")
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        affine = np.asarray(header.get_base_affine(), float)
        warnings.append("The volume's orientation is damaged; it was taken as axial.")
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
            affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    elif not int(header["sform_code"]) and not int(header["qform_code"]):
        warnings.append("The volume does not say how it lies in the body; it was taken as axial.")
    orientation = nibabel.io_orientation(affine)
    if np.isnan(orientation).any():
        raise _damaged("its axes do not span a volume")
    axes = tuple(int(np.flatnonzero(orientation[:, 0] == world)[0]) for world in range(3))
    # NIfTI's world points to the patient's right, front and head. On a radiologist's picture columns run to the left
    # and rows to the back; slices run from head to feet: what is stored along the world is turned round.
    flips = tuple(bool(orientation[axis, 1] > 0) for axis in axes)
    warnings += check_axial(np.cross(affine[:3, axes[0]], affine[:3, axes[1]]))
    across, down, through = (float(np.linalg.norm(affine[:3, axis])) for axis in axes)
    check_shape(shape[axes[0]], shape[axes[1]], max_pixels)
    if max(shape[:2]) > MAX_SIDE or shape[0] * shape[1] > max_pixels:
        raise SliceError(
            f"Expected at most {max_pixels:,} voxels in each plane of the volume. This one has {shape[0]} × "
            f"{shape[1]}. Save the chest alone."
        )
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if size > MAX_VOLUME_BYTES:
        raise SliceError(
            f"Expected a volume of at most {MAX_VOLUME_BYTES // 2**20} MiB once it is decompressed. This one has "
            f"{size // 2**20}. Save the chest alone, with 16 bits a voxel."
        )
    if not 1 / UNEQUAL <= across / down <= UNEQUAL:
        warnings.append(
            f"The volume's axial slices have pixels of {across:.3g} × {down:.3g} mm and look stretched; it may have "
            "been acquired in another plane."
        )
    series = "volume " + hashlib.sha256(data).hexdigest()[:16]
    return Volume(
        data=data,
        name=name,
        start=offset,
        dtype=dtype,
        shape=shape,
        slope=1.0 if scale[0] is None else float(scale[0]),
        intercept=0.0 if scale[1] is None else float(scale[1]),
        axes=axes,
        flips=flips,
        spacing=(down, across),
        places=tuple(Place(series, -index * through, index + 1, name, index) for index in range(shape[axes[2]])),
        warnings=tuple(warnings),
    )


def _shape(header: Nifti1Header) -> tuple[tuple[int, int, int], list[str]]:
    """Voxels along the three axes, and a warning where there is more than one volume."""
    count, *sides = (int(side) for side in header["dim"])
    if not 2 <= count <= 7 or min(sides[:count]) < 1:
        raise _damaged("its header states no size")
    sides = [*sides[:count], 1]  # a single slice may come with two axes
    if int(np.prod(sides[4:], dtype=np.int64)) > 1:
        raise SliceError(
            "Expected a NIfTI volume with one value a voxel. This one has more than four axes. Save the CT volume "
            "itself."
        )
    more = len(sides) > 3 and sides[3] > 1
    return tuple(sides[:3]), ["The file holds several volumes, perhaps over time; the first was read."] if more else []


def _read(volume: Volume, chosen: Sequence[int]) -> list[Slice | None]:
    count = volume.shape[volume.axes[2]]
    wanted = [count - 1 - index if volume.flips[2] else index for index in chosen]
    values = _planes(volume, wanted)
    warnings = list(volume.warnings)
    finite = np.isfinite(values)
    if not finite.all():
        warnings.append("Some voxels hold no number; they were read as air.")
        values[~finite] = min(AIR, float(values[finite].min())) if finite.any() else AIR
    low, high = float(values.min()), float(values.max())
    has_units = low <= UNITS_FROM
    if not has_units:
        warnings.append(
            "The volume holds no Hounsfield units: no voxel is as low as lung. Its values from "
            f"{low:.4g} to {high:.4g} were read as black to white, and may look unlike a slice in the lung window."
        )
    slices: list[Slice | None] = []
    for one in values:
        picture = _as_seen(one, volume)
        pixels = to_grey(picture) if has_units else (picture - low) * np.float32(255 / max(high - low, 1e-30))
        try:
            told = check_contrast(pixels)
        except SliceError:  # above the head, below the table
            slices.append(None)
            continue
        slices.append(
            Slice(
                pixels=pixels,
                hounsfield=picture if has_units else None,
                spacing=volume.spacing,
                warnings=(*warnings, *told),
                name=volume.name,
            )
        )
    return slices


def _planes(volume: Volume, wanted: Sequence[int]) -> np.ndarray:
    """float32 ``(wanted, first other axis, second other axis)``: values at indices of the feet-head axis as stored."""
    along, sides = volume.axes[2], volume.shape
    found = np.empty((len(wanted), *(side for axis, side in enumerate(sides) if axis != along)), np.float32)
    size = sides[0] * sides[1] * volume.dtype.itemsize
    places = {index: place for place, index in enumerate(wanted)}
    last = max(wanted) + 1 if along == 2 else sides[2]
    try:
        with _stream(volume.data) as stream:
            _exactly(stream, volume.start)
            for number in range(last):
                plane = _exactly(stream, size)
                if along == 2 and number not in places:
                    continue
                stored = np.frombuffer(plane, volume.dtype).reshape(sides[1], sides[0]).T
                if along == 2:
                    found[places[number]] = _scaled(stored, volume)
                elif along == 1:
                    found[:, :, number] = _scaled(stored[:, wanted].T, volume)
                else:
                    found[:, :, number] = _scaled(stored[wanted], volume)
    except STREAM_ERRORS as error:
        raise _damaged("it cannot be decompressed") from error
    return found


def _scaled(stored: np.ndarray, volume: Volume) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is no number, and is treated as such
        return (stored.astype(np.float64) * volume.slope + volume.intercept).astype(np.float32)


def _as_seen(values: np.ndarray, volume: Volume) -> np.ndarray:
    """float32 ``(rows, columns)`` of a slice whose two axes are still as stored."""
    across, down, _ = volume.axes
    picture = values.T if across < down else values
    if volume.flips[0]:
        picture = picture[:, ::-1]
    if volume.flips[1]:
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


def _stream(data: bytes) -> BinaryIO:
    source = io.BytesIO(data)
    return gzip.GzipFile(fileobj=source) if data.startswith(b"\x1f\x8b") else source


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise SliceError(
            "Expected a complete NIfTI file. This one stops before its end, perhaps from an interrupted download or "
            "copy. Fetch or export it again."
        )
    return data


def _damaged(detail: str) -> SliceError:
    return SliceError(f"Expected a sound NIfTI file. This one is damaged: {detail}. Fetch or export it again.")
