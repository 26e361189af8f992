"""A DICOM file -> slices in Hounsfield units, shown in the lung window.

Stored values are rescaled first (slope · stored + intercept) and windowed then. Whether the result is Hounsfield units
is not taken on trust: a chest holds air, so a slice without a value as low as air or lung has none, whatever its tags
say. What cannot be told is said in the slice's warnings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from covid_core.data.dicom_elements import DicomParts, read_parts
from covid_core.data.dicom_header import WANTED, DicomHeader, Frame, read_header
from covid_core.data.dicom_pixels import LOSSY, check_pixels, stored_values
from covid_core.data.places import Place
from covid_core.data.slices import MAX_PIXELS, Slice, check_contrast, check_shape, unwindowed
from covid_core.data.window import to_grey
from covid_core.errors import SliceError

AIR = -1024
"""Hounsfield units of what a scanner left out of its picture (the padding value)."""

AIR_OR_LUNG = -200
"""Hounsfield units above which nothing in a chest is air or lung; fat lies between -150 and -50."""

LUNG_RANGE, LUNG_SHARE = (-1100, -500), 0.02
"""Hounsfield units of air and aerated lung, and the least share of a chest slice that lies there."""

NO_UNITS = "The file holds no Hounsfield units: {}. Its grey values were read as they are, and may look unlike a slice \
in the lung window."


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A file whose tags were judged and whose pixels are still encoded.

    Args:
        parts: What was kept of the file.
        header: Its tags.
        places: Where each frame lies.
        name: File name without folders.
    """

    parts: DicomParts
    header: DicomHeader
    places: tuple[Place, ...]
    name: str

    def read(self, frame: int = 0) -> Slice:
        """Decode one frame.

        Raises:
            SliceError: Damaged pixels, or a picture that shows nothing.
        """
        return _slice(self, frame)


def open_dicom(data: bytes, name: str = "", max_pixels: int = MAX_PIXELS) -> DicomFile:
    """Read and judge the tags of a file; sizes are checked and no pixel is decoded.

    Args:
        data: The whole file.
        name: For the slices.
        max_pixels: Largest width × height.

    Raises:
        SliceError: A damaged file, or one that is no axial CT slice of the chest by its tags.
    """
    parts = read_parts(data, WANTED)
    header = read_header(parts)
    check_shape(header.columns, header.rows, max_pixels)
    check_pixels(parts, header)
    places = tuple(
        Place(header.series, frame.position, header.number, name, index) for index, frame in enumerate(header.frames)
    )
    return DicomFile(parts, header, places, name)


def read_single(data: bytes, name: str = "", max_pixels: int = MAX_PIXELS) -> Slice:
    """The slice of a file that holds one.

    Raises:
        SliceError: As ``open_dicom`` and ``DicomFile.read``, or a file of several frames.
    """
    file = open_dicom(data, name, max_pixels)
    if len(file.places) > 1:
        raise SliceError(
            f"Expected a single slice. This DICOM file holds {len(file.places)} frames. Read it with "
            "covid_core.data.series.read_files, upload it on a page, or export one slice as an 8-bit PNG, in a lung "
            "window."
        )
    return file.read()


def _slice(file: DicomFile, index: int) -> Slice:
    header, frame = file.header, file.header.frames[index]
    stored = stored_values(file.parts, header, index)
    padded = (stored >= header.padding[0]) & (stored <= header.padding[1]) if header.padding else None
    warnings = list(header.warnings)
    if file.parts.syntax in LOSSY:
        warnings.append("The picture was compressed with losses: its values are not exactly those of the scanner.")
    hounsfield = _hounsfield(stored, padded, header, frame, warnings)
    if hounsfield is None and header.captured:
        raise SliceError(
            "Expected a CT slice as the scanner stored it. By its tags this is a screen capture or a report in the "
            "form of a picture. Choose the files of the CT series itself."
        )
    if hounsfield is None:
        pixels = _without_units(stored, padded, header)
    else:
        pixels = to_grey(hounsfield)
    turned, spacing = frame.orientation, frame.spacing
    if turned is not None:
        pixels, spacing = as_seen(pixels, turned, frame.spacing)
        hounsfield = None if hounsfield is None else as_seen(hounsfield, turned, None)[0]
    warnings += check_contrast(pixels)
    return Slice(pixels=pixels, hounsfield=hounsfield, spacing=spacing, warnings=tuple(warnings), name=file.name)


def as_seen(
    picture: np.ndarray, orientation: tuple[float, ...], spacing: tuple[float, float] | None
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Turn a slice as radiologists look at it: the patient's right at the left of the picture, the front on top.

    Args:
        picture: ``(rows, columns)``.
        orientation: Direction of a row and of a column, towards the patient's left, back and head.
        spacing: Millimetres between rows and between columns.

    Returns:
        The picture and its spacing, by quarter turns and reflections only.
    """
    row, column = orientation[:3], orientation[3:]
    if abs(row[0]) < abs(row[1]):
        picture, row, column = picture.T, column, row
        spacing = spacing[::-1] if spacing else None
    if row[0] < 0:
        picture = picture[:, ::-1]
    if column[1] < 0:
        picture = picture[::-1]
    return np.ascontiguousarray(picture), spacing


def _hounsfield(
    stored: np.ndarray, padded: np.ndarray | None, header: DicomHeader, frame: Frame, warnings: list[str]
) -> np.ndarray | None:
    """float32 ``(H, W)``, or None and a warning where the values are no Hounsfield units."""
    if header.units not in ("", "HU", "US"):  # US is unspecified; some programs write it where nothing was said
        warnings.append(NO_UNITS.format("it says that its values are something else"))
        return None
    values = _rescaled(stored, padded, frame)
    if header.inverted:
        # By the standard this changes how values are shown, not what they are; some writers invert the values too.
        opposite = _rescaled(_opposite(stored, header), padded, frame)
        if _lung_share(opposite) > max(_lung_share(values), LUNG_SHARE):
            warnings.append("The file holds its values inverted; they were turned back.")
            values = opposite
        elif _lung_share(values) < LUNG_SHARE:
            warnings.append(NO_UNITS.format("its values are inverted in a way that it does not state"))
            return None
    if values.min() > AIR_OR_LUNG:
        warnings.append(NO_UNITS.format("no value is as low as that of air or lung"))
        return None
    if frame.slope is None or frame.intercept is None:
        warnings.append(
            "The file does not say how to turn its values into Hounsfield units; they look like such units and were "
            "read as they are."
        )
    return values


def _rescaled(stored: np.ndarray, padded: np.ndarray | None, frame: Frame) -> np.ndarray:
    slope = 1.0 if frame.slope is None else frame.slope
    values = (stored * slope + (frame.intercept or 0.0)).astype(np.float32)
    if padded is not None:
        values[padded] = AIR
    return values


def _lung_share(values: np.ndarray) -> float:
    return float(np.mean((values >= LUNG_RANGE[0]) & (values <= LUNG_RANGE[1])))


def _opposite(stored: np.ndarray, header: DicomHeader) -> np.ndarray:
    """The stored values with white for black, over all bits in use."""
    return ~stored if header.signed else 2**header.stored - 1 - stored


def _without_units(stored: np.ndarray, padded: np.ndarray | None, header: DicomHeader) -> np.ndarray:
    """Grey values float32 ``(H, W)`` of stored values that are no Hounsfield units."""
    shown = stored.astype(np.int64)
    if padded is not None and not padded.all():  # of the remaining, the darkest
        remaining = shown[~padded]
        shown = np.where(padded, remaining.max() if header.inverted else remaining.min(), shown)
    if header.inverted:
        shown = shown.max() - shown
    shown = shown - min(0, int(shown.min()))
    if shown.max() >= 2**16:
        shown = shown * (2**16 - 1) // shown.max()
    return unwindowed(shown)[0]
