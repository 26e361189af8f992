"""What a DICOM file says of its picture: the few tags that are needed, typed, and refusals that follow from them.

Messages name what the standard defines (a modality, a plane), never the text of a tag, which may hold anything.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from covid_core.data.dicom_elements import (
    FRAME_GROUPS,
    MEASURES,
    PLANE_ORIENTATION,
    PLANE_POSITION,
    SEQUENCES,
    SHARED_GROUPS,
    VALUE_TRANSFORMATION,
    DicomParts,
    Elements,
    damaged,
)
from covid_core.data.places import UNNAMED
from covid_core.errors import SliceError

IMAGE_TYPE, SOP_CLASS, MODALITY, BODY_PART = 0x00080008, 0x00080016, 0x00080060, 0x00180015
SERIES, NUMBER, POSITION, ORIENTATION = 0x0020000E, 0x00200013, 0x00200032, 0x00200037
SAMPLES, PHOTOMETRIC, FRAMES = 0x00280002, 0x00280004, 0x00280008
ROWS, COLUMNS, SPACING = 0x00280010, 0x00280011, 0x00280030
ALLOCATED, STORED, HIGH_BIT, SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
PADDING, PADDING_LIMIT, BURNED_IN = 0x00280120, 0x00280121, 0x00280301
INTERCEPT, SLOPE, RESCALE_TYPE = 0x00281052, 0x00281053, 0x00281054

WANTED = SEQUENCES | {
    *(IMAGE_TYPE, SOP_CLASS, MODALITY, BODY_PART, SERIES, NUMBER, POSITION, ORIENTATION),
    *(SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS, SPACING, ALLOCATED, STORED, HIGH_BIT, SIGNED),
    *(PADDING, PADDING_LIMIT, BURNED_IN, INTERCEPT, SLOPE, RESCALE_TYPE),
}
"""Everything that is read of a file beside its pixels."""

MODALITIES = {
    **{"MR": "magnetic resonance", "CR": "an X-ray picture", "DX": "an X-ray picture", "RG": "an X-ray picture"},
    **{"RF": "fluoroscopy", "XA": "angiography", "MG": "mammography", "PT": "positron emission tomography"},
    **{"NM": "nuclear medicine", "US": "ultrasound", "IO": "a dental X-ray picture", "PX": "a dental X-ray picture"},
    **{"ES": "endoscopy", "XC": "a photograph", "GM": "microscopy", "SM": "microscopy", "OP": "eye photography"},
    **{"OCT": "optical coherence tomography", "OPT": "optical coherence tomography", "SC": "a screen capture"},
    **{"OT": "a picture of another kind", "SEG": "a segmentation", "SR": "a report", "DOC": "a document"},
    **{"RTSTRUCT": "a plan of contours", "RTDOSE": "a dose", "RTPLAN": "a treatment plan", "PR": "a display setting"},
}
"""The standard's codes, in words."""

CT_CLASSES = frozenset(("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"))
OTHER_CLASSES = {
    **{"1.2.840.10008.5.1.4.1.1.4": "MR", "1.2.840.10008.5.1.4.1.1.4.1": "MR", "1.2.840.10008.5.1.4.1.1.1": "CR"},
    **{"1.2.840.10008.5.1.4.1.1.1.1": "DX", "1.2.840.10008.5.1.4.1.1.128": "PT", "1.2.840.10008.5.1.4.1.1.20": "NM"},
    **{"1.2.840.10008.5.1.4.1.1.6.1": "US", "1.2.840.10008.5.1.4.1.1.12.1": "XA"},
}
"""Kinds of objects whose modality is known where the tag itself is missing."""

CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary capture and, with a dot behind it, its relatives: screenshots, dose reports, scanned paper. Some programs
write slices of CT like this too, which then have Hounsfield units."""

CHEST_WORDS = ("CHEST", "THORA", "TORAX", "LUNG", "PULM", "MEDIAST", "TRUNK", "TORSO", "BODY", "BRUST", "POITRINE")
"""One of them is in every name of a body part that holds the lungs; the abdomen may be named beside it."""

SCOUTS = frozenset(("LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "SCANOGRAM", "SURVIEW"))

MOST_FRAMES = 4000
OBLIQUE = 30.0
"""Degrees from the axial plane from which a slice is refused; a tilted gantry reaches 30 at most."""

TILTED = 10.0
"""Degrees from which a reader is told."""

_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True)
class Frame:
    """One picture of a file.

    Args:
        position: Millimetres towards the head along the normal, or None.
        orientation: Direction of a row and of a column, unit vectors towards the patient's left, back and head, or
            None.
        spacing: Millimetres between rows and between columns, or None.
        slope: Of the rescale to Hounsfield units, or None where it is not stated.
        intercept: The same.
    """

    position: float | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    slope: float | None
    intercept: float | None


@dataclass(frozen=True)
class DicomHeader:
    """What is known before a pixel is decoded.

    Args:
        rows: Of each frame.
        columns: The same.
        allocated: Bits that a pixel takes.
        stored: Bits of them in use.
        high_bit: The highest bit in use.
        signed: Whether values have a sign.
        inverted: MONOCHROME1: low values are meant to be bright.
        padding: Lowest and highest stored value that stand for no picture, or None.
        captured: Whether the file is a secondary capture.
        units: What rescaled values are: ``"HU"``, ``""`` where it is not said, or something else.
        series: Digest of the series' UID and the slices' plane, ``UNNAMED`` where there is no UID.
        number: The slice's number, or None.
        frames: One or more.
        warnings: What a reader should know.
    """

    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    inverted: bool
    padding: tuple[int, int] | None
    captured: bool
    units: str
    series: str
    number: int | None
    frames: tuple[Frame, ...]
    warnings: tuple[str, ...]


def read_header(parts: DicomParts) -> DicomHeader:
    """Read and judge the tags of a file.

    Raises:
        SliceError: No grey picture, not CT, not the chest, not an axial plane, a localiser, or tags that contradict
            each other.
    """
    tags = _Tags(parts.elements, ">" if parts.is_big_endian else "<")
    warnings = [*_judge_kind(tags), *_judge_body_part(tags)]
    rows, columns = tags.integer(ROWS), tags.integer(COLUMNS)
    if not rows or not columns or (not len(parts.pixels) and len(parts.fragments) < 2):
        raise SliceError(
            "Expected a DICOM file with a picture. This one holds none, like a directory, a report or a plan. Choose "
            "the files of the CT series itself, or export them again."
        )
    if tags.integer(SAMPLES, 1) != 1 or tags.text(PHOTOMETRIC) not in (*_PHOTOMETRIC, ""):
        raise SliceError(
            "Expected a grey CT slice. The picture in this DICOM file is in colour, like a screenshot or a fused "
            "picture. Choose the files of the CT series itself."
        )
    allocated = tags.integer(ALLOCATED, 16)
    stored = tags.integer(STORED, allocated)
    high_bit = tags.integer(HIGH_BIT, stored - 1)
    if allocated not in (8, 16, 32) or not 2 <= stored <= high_bit + 1 <= allocated:
        raise damaged(f"it states {stored} bits a pixel, up to bit {high_bit}, in {allocated}")
    signed = tags.integer(SIGNED, 0) == 1
    frames = _frames(tags, warnings)
    warnings += _judge_plane(frames)
    if tags.text(BURNED_IN) == "YES":
        warnings.append(
            "The file says that text is burned into its picture, perhaps a name. It was not removed, and it may "
            "mislead a network."
        )
    return DicomHeader(
        rows=rows,
        columns=columns,
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=signed,
        inverted=tags.text(PHOTOMETRIC) == "MONOCHROME1",
        padding=_padding(tags, signed),
        captured=f"{tags.text(SOP_CLASS)}.".startswith(f"{CAPTURES}."),
        units=tags.text(RESCALE_TYPE),
        series=_series(tags, frames[0].orientation),
        number=_whole(tags.numbers(NUMBER)),
        frames=frames,
        warnings=tuple(warnings),
    )


def normal_of(orientation: tuple[float, ...]) -> np.ndarray:
    """Unit vector across a slice, float64 ``(3,)``, whichever way its rows run: it points to the head."""
    normal = np.cross(orientation[:3], orientation[3:])
    return -normal if normal[2] < 0 else normal


def check_axial(normal: np.ndarray) -> list[str]:
    """Judge the plane of a slice or volume by its normal, patient's left, back, head (signs do not matter).

    Returns:
        A warning of a tilted slice, or nothing.

    Raises:
        SliceError: Not an axial plane.
    """
    left, back, head = np.abs(normal) / np.linalg.norm(normal)
    angle = math.degrees(math.acos(min(1.0, head)))
    if angle > OBLIQUE:
        plane = "oblique"
        if max(left, back) > math.cos(math.radians(OBLIQUE)):
            plane = "sagittal" if left > back else "coronal"
        raise SliceError(
            f"Expected an axial slice, across the body. By its orientation this one is {plane}. Choose the axial "
            "series of the scan."
        )
    if angle > TILTED:
        return [f"The slice is tilted by {angle:.0f}° from the axial plane."]
    return []


@dataclass(frozen=True)
class _Tags:
    """Typed access to the wanted elements; what cannot be read as its type counts as missing."""

    elements: Elements
    order: str

    def items(self, tag: int) -> list[_Tags]:
        value = self.elements.get(tag)
        return [_Tags(one, self.order) for one in value] if isinstance(value, list) else []

    def raw(self, tag: int) -> bytes:
        value = self.elements.get(tag)
        return value if isinstance(value, bytes) else b""

    def text(self, tag: int) -> str:
        """Capitals, without blanks around; empty where missing."""
        return self.raw(tag)[:256].decode("ascii", "replace").strip(" \0").upper()

    def integer(self, tag: int, default: int = 0) -> int:
        value = self.raw(tag)
        return int.from_bytes(value[:2], "little" if self.order == "<" else "big") if len(value) >= 2 else default

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Decimal or integer strings, all of them finite, or none."""
        try:
            values = tuple(float(part) for part in self.raw(tag)[:256].decode("ascii").strip(" \0").split("\\"))
        except ValueError:  # UnicodeDecodeError among them
            return ()
        return values if all(math.isfinite(value) and abs(value) < 1e9 for value in values) else ()


def _judge_kind(tags: _Tags) -> list[str]:
    modality, sop_class = tags.text(MODALITY), tags.text(SOP_CLASS)
    named = modality or OTHER_CLASSES.get(sop_class, "")
    if named not in ("", "CT"):
        what = MODALITIES.get(named, "another kind of picture")
        raise SliceError(
            f"Expected a CT slice. By its tags this DICOM file is {what}. Choose the CT series of the scan."
        )
    if SCOUTS & {part.strip() for part in tags.text(IMAGE_TYPE).split("\\")}:
        raise SliceError(
            "Expected an axial CT slice. By its tags this is a localiser, the overview that a scan is planned on. "
            "Choose the files of the CT series itself."
        )
    if not modality and sop_class not in CT_CLASSES:
        return ["The file does not say what kind of scanner it comes from; it was read as CT."]
    return []


def _judge_body_part(tags: _Tags) -> list[str]:
    part = "".join(character for character in tags.text(BODY_PART) if character.isalpha())
    if part and not any(word in part for word in CHEST_WORDS):
        raise SliceError(
            "Expected a slice of the chest. By its tags this DICOM file shows another part of the body. Choose the "
            "chest series of the scan."
        )
    return []


def _judge_plane(frames: tuple[Frame, ...]) -> list[str]:
    orientations = {frame.orientation for frame in frames}
    if None in orientations:
        warning = "The file does not say how the slice lies in the body; it was taken as axial."
        return [warning, *_judge_planes(orientations - {None})]
    return _judge_planes(orientations)


def _judge_planes(orientations: set[tuple[float, ...]]) -> list[str]:
    return sorted({warning for one in orientations for warning in check_axial(normal_of(one))})


def _frames(tags: _Tags, warnings: list[str]) -> tuple[Frame, ...]:
    count = _whole(tags.numbers(FRAMES)) or 1
    if not 1 <= count <= MOST_FRAMES:
        raise SliceError(f"Expected a DICOM file of at most {MOST_FRAMES} frames. This one states {count}.")
    shared, own = tags.items(SHARED_GROUPS), tags.items(FRAME_GROUPS)
    frames = tuple(_frame([*own[index : index + 1], *shared[:1], tags]) for index in range(count))
    if any(frame.spacing is None for frame in frames):
        warnings.append("The file does not say how large its pixels are.")
    return frames


def _frame(layers: list[_Tags]) -> Frame:
    """One frame from the tags that hold for it: its own first, those of all frames next, the file's last."""
    orientation = _unit_vectors(_numbers(layers, PLANE_ORIENTATION, ORIENTATION, 6))
    corner = _numbers(layers, PLANE_POSITION, POSITION, 3)
    spacing = _numbers(layers, MEASURES, SPACING, 2)
    slope = _numbers(layers, VALUE_TRANSFORMATION, SLOPE, 1)
    intercept = _numbers(layers, VALUE_TRANSFORMATION, INTERCEPT, 1)
    return Frame(
        position=float(np.dot(normal_of(orientation), corner)) if orientation and corner else None,
        orientation=orientation,
        spacing=spacing if spacing and min(spacing) > 0 else None,
        slope=slope[0] if slope and slope[0] else None,  # 0 would leave no picture
        intercept=intercept[0] if intercept else None,
    )


def _numbers(layers: list[_Tags], sequence: int, tag: int, count: int) -> tuple[float, ...] | None:
    """``count`` numbers from the first layer that has them, directly or in the one item of a sequence."""
    for layer in layers:
        for place in (*layer.items(sequence)[:1], layer):
            values = place.numbers(tag)
            if len(values) >= count:
                return values[:count]
    return None


def _unit_vectors(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """The directions of a row and of a column, or None where they are no two directions at right angles."""
    if values is None:
        return None
    row, column = np.array(values[:3]), np.array(values[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.9 or max(lengths) > 1.1 or abs(np.dot(row, column)) > 0.05:
        return None
    return tuple(float(value) for value in (*row / lengths[0], *column / lengths[1]))


def _whole(values: tuple[float, ...]) -> int | None:
    return int(values[0]) if values and values[0] == int(values[0]) else None


def _padding(tags: _Tags, signed: bool) -> tuple[int, int] | None:
    limits = [tags.integer(tag, -1) for tag in (PADDING, PADDING_LIMIT) if len(tags.raw(tag)) >= 2]
    if not limits or not tags.raw(PADDING):
        return None
    if signed:
        limits = [value - 2**16 if value >= 2**15 else value for value in limits]
    return min(limits), max(limits)


def _series(tags: _Tags, orientation: tuple[float, ...] | None) -> str:
    """Digest that tells series apart and cannot be turned back into the UID."""
    uid = tags.text(SERIES)
    if not uid:
        return UNNAMED
    plane = [round(float(value), 1) + 0.0 for value in normal_of(orientation)] if orientation else None
    return hashlib.sha256(f"{uid} {plane}".encode()).hexdigest()[:16]
