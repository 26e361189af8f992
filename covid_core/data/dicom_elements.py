"""A DICOM file walked element by element; only the tags that are asked for are ever looked at.

A parser that builds the whole data set would hold a patient's name, dates and hospital in memory and could pass them
to a log. Here everything that is not needed is stepped over by its length (PS3.5, chapters 7 and A), sequences of
unknown length by walking them, to a bounded depth.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

from covid_core.errors import SliceError

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = frozenset((IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN))
"""Transfer syntaxes whose pixels are not compressed."""

PIXELS = 0x7FE00010
MAX_ELEMENTS = 200_000
MAX_DEPTH = 16
MAX_INFLATED = 64 * 2**20
"""Largest data set of a deflated file, in bytes."""

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))

Elements = dict[int, "bytes | list[Elements]"]
"""Tag to its value: bytes as stored, or the items of a sequence."""


@dataclass(frozen=True, eq=False)
class DicomParts:
    """What was asked for of a file.

    Args:
        syntax: UID of the transfer syntax.
        elements: The wanted tags.
        pixels: Pixels as stored, where the transfer syntax does not compress them; empty where there are none.
        fragments: Compressed pieces of pixels, the first of which is the table of offsets; empty where there are none.
    """

    syntax: str
    elements: Elements
    pixels: memoryview
    fragments: tuple[bytes, ...]

    @property
    def is_big_endian(self) -> bool:
        """Whether numbers start with their highest byte."""
        return self.syntax == BIG_ENDIAN


def read_parts(data: bytes, wanted: frozenset[int]) -> DicomParts:
    """Walk a file.

    Args:
        data: The whole file.
        wanted: Tags to keep, those within sequences and the sequences themselves included.

    Raises:
        SliceError: A file that stops early, contradicts itself or is made of implausibly many parts.
    """
    try:
        return _read_parts(data, wanted)
    except (struct.error, IndexError) as error:  # an element's head reaches over the end
        raise _truncated() from error


def _read_parts(data: bytes, wanted: frozenset[int]) -> DicomParts:
    start, syntax = 0, None
    if data[128:132] == b"DICM":
        meta = _Walk(data, True, True, frozenset((0x00020010,)))
        elements, start = meta.data_set(132, len(data), 0, group=0x0002)
        syntax = _uid(elements.get(0x00020010))
    if syntax is None:  # files from before there were heads, and those that lost it
        little = not data[start:].startswith(b"\x00\x08")
        syntax = (EXPLICIT if _names_types(data, start) else IMPLICIT) if little else BIG_ENDIAN
    if syntax == DEFLATED:
        data, start = _inflated(data[start:]), 0
    # some files name types although their head denies it; the other way round, each element shows it by itself
    explicit = syntax != IMPLICIT or _names_types(data, start)
    walk = _Walk(data, explicit, syntax != BIG_ENDIAN, wanted)
    elements, _ = walk.data_set(start, len(data), 0)
    return DicomParts(syntax, elements, walk.pixels, tuple(walk.fragments))


def _names_types(data: bytes, start: int) -> bool:
    """Whether the first element has a type where one of the implicit kind would have a length of 16,000 and more."""
    return re.match(rb"[A-Z]{2}", data[start + 4 : start + 6]) is not None


def _uid(value: bytes | list | None) -> str | None:
    if not isinstance(value, bytes):
        return None
    text = value.decode("ascii", "replace").strip(" \0")
    return text if re.fullmatch(r"[0-9.]{1,64}", text) else None


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=-15)
    try:
        inflated = stream.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise damaged("its data set cannot be decompressed") from error
    if stream.unconsumed_tail:
        raise SliceError(
            f"Expected a DICOM file of at most {MAX_INFLATED // 2**20} MiB once it is decompressed. This one is "
            "larger. Export the slice without compression."
        )
    if not stream.eof:
        raise _truncated()
    return inflated


def _truncated() -> SliceError:
    return SliceError(
        "Expected a complete DICOM file. This one stops before its end, perhaps from an interrupted download or copy. "
        "Fetch or export it again."
    )


def damaged(detail: str) -> SliceError:
    """The refusal of a file that contradicts itself."""
    return SliceError(f"Expected a sound DICOM file. This one is damaged: {detail}. Fetch or export it again.")


class _Walk:
    """One pass over a file.

    Args:
        data: The file.
        explicit: Whether elements name the type of their value.
        little: Whether numbers start with their lowest byte.
        wanted: Tags to keep.
    """

    def __init__(self, data: bytes, explicit: bool, little: bool, wanted: frozenset[int]):
        self._data = data
        self._explicit = explicit
        self._order = "<" if little else ">"
        self._wanted = wanted
        self._left = MAX_ELEMENTS
        self.pixels = memoryview(b"")
        self.fragments: list[bytes] = []

    def data_set(self, position: int, end: int, depth: int, group: int | None = None) -> tuple[Elements, int]:
        """The wanted elements from ``position`` to ``end``, to the end of an item, or while in one group."""
        if depth > MAX_DEPTH:
            raise damaged(f"its sequences are nested more than {MAX_DEPTH} deep")
        found: Elements = {}
        while position + 8 <= end:
            self._left -= 1
            if self._left < 0:
                raise damaged(f"it consists of more than {MAX_ELEMENTS:,} elements")
            tag, kind, length, value = self._head(position)
            if group is not None and tag >> 16 != group:
                break
            if tag in (_ITEM_END, _SEQUENCE_END):
                return found, value
            if tag == PIXELS and depth == 0:  # everything wanted stands in front of it, behind it often padding
                self._read_pixels(value, length)
                return found, end
            if length == _UNDEFINED and group is not None:
                raise damaged("its head is not in order")
            if length == _UNDEFINED or (tag in self._wanted and kind == b"SQ"):
                keep = tag in self._wanted
                items, position = self._sequence(value, end, length, kind, depth, keep)
                if keep:
                    found.setdefault(tag, items)
            else:
                position = value + length
                if position > end:
                    raise _truncated()
                if tag in self._wanted:
                    found.setdefault(tag, self._data[value:position])
        return found, position

    def _head(self, position: int) -> tuple[int, bytes | None, int, int]:
        """Tag, type, length of the value, and where it begins."""
        group, element = struct.unpack_from(self._order + "HH", self._data, position)
        tag = group << 16 | element
        kind = self._data[position + 4 : position + 6]
        # delimiters have no type; some writers fall back to none in the middle of a file
        if not self._explicit or group == 0xFFFE or not re.fullmatch(rb"[A-Z]{2}", kind):
            (length,) = struct.unpack_from(self._order + "I", self._data, position + 4)
            return tag, b"SQ" if tag in SEQUENCES else None, length, position + 8
        if kind in _LONG:
            (length,) = struct.unpack_from(self._order + "I", self._data, position + 8)
            return tag, kind, length, position + 12
        (length,) = struct.unpack_from(self._order + "H", self._data, position + 6)
        return tag, kind, length, position + 8

    def _sequence(
        self, position: int, end: int, length: int, kind: bytes | None, depth: int, keep: bool
    ) -> tuple[list[Elements], int]:
        """Items of a sequence and where it ends; items whose length is known are stepped over unless ``keep``."""
        explicit = self._explicit
        if kind == b"UN":  # of unknown type and length: its items name no types, whatever the file does
            self._explicit = False
        stop = end if length == _UNDEFINED else position + length
        if stop > end:
            raise _truncated()
        items: list[Elements] = []
        while position + 8 <= stop:
            self._left -= 1
            if self._left < 0:
                raise damaged(f"it consists of more than {MAX_ELEMENTS:,} elements")
            tag, _, size, value = self._head(position)
            if tag == _SEQUENCE_END:
                position = value
                break
            if tag != _ITEM:
                raise damaged("a sequence holds something that is no item")
            if size != _UNDEFINED and value + size > stop:
                raise _truncated()
            if size == _UNDEFINED or keep:
                item, position = self.data_set(value, stop if size == _UNDEFINED else value + size, depth + 1)
                items.append(item)
            if size != _UNDEFINED:
                position = value + size
        self._explicit = explicit
        return items, position

    def _read_pixels(self, position: int, length: int) -> None:
        """Keep pixels of known length as they are, compressed ones piece by piece."""
        if length != _UNDEFINED:
            if position + length > len(self._data):
                raise _truncated()
            self.pixels = memoryview(self._data)[position : position + length]
            return
        while True:
            tag, _, size, value = self._head(position)
            if tag == _SEQUENCE_END:
                return
            self._left -= 1
            if tag != _ITEM or size == _UNDEFINED or self._left < 0:
                raise damaged("its compressed pixels are not in order")
            if value + size > len(self._data):
                raise _truncated()
            self.fragments.append(self._data[value : value + size])
            position = value + size


SHARED_GROUPS, FRAME_GROUPS = 0x52009229, 0x52009230
MEASURES, PLANE_POSITION, PLANE_ORIENTATION, VALUE_TRANSFORMATION = 0x00289110, 0x00209113, 0x00209116, 0x00289145
SEQUENCES = frozenset((SHARED_GROUPS, FRAME_GROUPS, MEASURES, PLANE_POSITION, PLANE_ORIENTATION, VALUE_TRANSFORMATION))
"""Sequences of multi-frame files that say where each frame lies and what its values mean."""
