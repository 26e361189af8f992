"""The stored values of one frame of a DICOM file, decoded if they are compressed.

A compressed frame states its own size; it is compared with the tags before a decoder sees it, since a decoder believes
the frame. JPEG of all kinds is decoded by the libraries that imagecodecs packs (libjpeg-turbo, CharLS, OpenJPEG), run
lengths by pydicom. GDCM, which pydicom would call for JPEG, ends the whole process at some damaged frames.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from covid_core.data.dicom_elements import NATIVE, DicomParts, damaged
from covid_core.data.dicom_header import DicomHeader
from covid_core.errors import SliceError

_JPEG, _RLE = "1.2.840.10008.1.2.4.{}", "1.2.840.10008.1.2.5"

LOSSY = frozenset(_JPEG.format(number) for number in (50, 51, 81, 91, 203))
"""Transfer syntaxes that may change values."""

# What imagecodecs (the first three) and pydicom raise for a frame that they cannot decode.
DECODER_ERRORS = (
    *(RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, OSError, OverflowError, EOFError),
    *(struct.error, MemoryError),
)

MOST_TILES = 4096
"""Of a JPEG 2000 picture; scanners write one or a few dozen, and each costs memory of its own."""

_JPEG_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xF7))  # baseline, extended, progressive, lossless, JPEG-LS
_JPEG_SEGMENTS = frozenset((0xC4, 0xDB, 0xDD, 0xF8, 0xFE, *range(0xE0, 0xF0)))  # tables, comments, applications


def check_pixels(parts: DicomParts, header: DicomHeader) -> None:
    """Check that the pixels of all frames are there and of a kind that can be decoded; decodes nothing.

    Raises:
        SliceError: Unknown compression, or fewer pixels than the tags promise.
    """
    if parts.syntax in NATIVE:
        expected = header.rows * header.columns * header.allocated // 8 * len(header.frames)
        if len(parts.pixels) < expected:
            raise SliceError(
                f"Expected {expected:,} bytes of pixels, as the DICOM file's tags say. It holds {len(parts.pixels):,}. "
                "Fetch or export it again."
            )
    elif parts.syntax not in _COMPRESSIONS:
        raise SliceError(
            "Expected a DICOM file that is not compressed, or by JPEG, JPEG-LS, JPEG 2000 or run lengths. This one "
            "uses another method. Export it without compression."
        )
    elif len(parts.fragments) <= len(header.frames):
        raise damaged("it holds fewer compressed pictures than its tags say")


def stored_values(parts: DicomParts, header: DicomHeader, frame: int) -> np.ndarray:
    """Decode one frame.

    Args:
        parts: The file.
        header: Its tags.
        frame: Which, from 0.

    Returns:
        int32 ``(rows, columns)``, as stored: before the rescale, without the bits that are not in use.

    Raises:
        SliceError: Damaged pixels, or a compressed frame that is not what the tags say.
    """
    if parts.syntax in NATIVE:
        size = header.rows * header.columns * header.allocated // 8
        order = ">" if parts.is_big_endian else "<"
        values = np.frombuffer(parts.pixels[frame * size :][:size], f"{order}u{header.allocated // 8}")
        values = values.reshape(header.rows, header.columns).astype(np.int64) >> (header.high_bit + 1 - header.stored)
    else:
        values = _decoded(_compressed_frame(parts, header, frame), parts.syntax, header).astype(np.int64)
    values &= 2**header.stored - 1  # old scanners put overlays into the bits above
    if header.signed:  # the highest bit in use carries the sign
        values = np.where(values >= 2 ** (header.stored - 1), values - 2**header.stored, values)
    if header.stored > 31 and np.abs(values).max() >= 2**31:
        raise damaged("its values do not fit into 32 bits")
    return values.astype(np.int32)


def _compressed_frame(parts: DicomParts, header: DicomHeader, frame: int) -> bytes:
    """The pieces that make up one frame, joined."""
    table, *pieces = parts.fragments
    count = len(header.frames)
    if count == 1:
        return b"".join(pieces)
    if len(pieces) == count:
        return pieces[frame]
    starts, offset = [], 0
    for piece in pieces:
        starts.append(offset)
        offset += 8 + len(piece)
    if len(table) != 4 * count:
        raise damaged("it does not say where its compressed pictures begin")
    offsets = [*struct.unpack(f"<{count}I", table), offset]
    chosen = [one for start, one in zip(starts, pieces, strict=True) if offsets[frame] <= start < offsets[frame + 1]]
    return b"".join(chosen)


def _decoded(data: bytes, syntax: str, header: DicomHeader) -> np.ndarray:
    """Unsigned values of one compressed frame, ``(rows, columns)``."""
    stated_size, decode = _COMPRESSIONS[syntax]
    try:
        stated = stated_size(data, header)
    except struct.error:  # the head reaches over the end
        stated = None
    if stated != (header.rows, header.columns):
        raise SliceError(
            f"Expected a picture of {header.columns} × {header.rows} pixels, as the DICOM file's tags say. Its "
            "compressed pixels are of another size or kind. Export it again, without compression."
        )
    try:
        values = decode(data, header)
    except DECODER_ERRORS as error:
        raise SliceError(
            "Expected a compressed DICOM picture that can be decoded. This one is damaged, or of a kind too rare to be "
            "supported. Export it again, without compression."
        ) from error
    if values.shape != (header.rows, header.columns) or values.dtype.kind not in "iu":
        raise damaged("its compressed pixels are not what their own head says")
    return values.view(f"u{values.dtype.itemsize}")


def _jpeg(data: bytes, header: DicomHeader) -> np.ndarray:
    import imagecodecs  # a tenth of a second that files without compression need not pay

    return imagecodecs.jpeg8_decode(data)


def _jpeg_ls(data: bytes, header: DicomHeader) -> np.ndarray:
    import imagecodecs

    return imagecodecs.jpegls_decode(data)


def _jpeg_2000(data: bytes, header: DicomHeader) -> np.ndarray:
    import imagecodecs

    return imagecodecs.jpeg2k_decode(data)


def _run_lengths(data: bytes, header: DicomHeader) -> np.ndarray:
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder

    values, _ = get_decoder(_RLE).as_array(
        encapsulate([data]),
        index=0,
        raw=True,
        number_of_frames=1,
        rows=header.rows,
        columns=header.columns,
        samples_per_pixel=1,
        bits_allocated=header.allocated,
        bits_stored=header.stored,
        pixel_representation=int(header.signed),
        photometric_interpretation="MONOCHROME2",
        pixel_keyword="PixelData",
    )
    return values


def _jpeg_size(data: bytes, header: DicomHeader) -> tuple[int, int] | None:
    """Rows and columns by the frame header of JPEG or JPEG-LS (ITU T.81 and T.87), if there is one grey component.

    Whatever a decoder may read in another way than this walk does, such as bytes between segments, gives None.
    """
    position = 2
    while data[:2] == b"\xff\xd8" and data[position : position + 1] == b"\xff":
        marker = data[position + 1]
        if marker == 0xFF:  # fill
            position += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # these stand alone
            position += 2
        elif marker in _JPEG_FRAMES:
            bits, rows, columns, components = struct.unpack_from(">BHHB", data, position + 4)
            return (rows, columns) if components == 1 and bits <= header.allocated else None
        elif marker in _JPEG_SEGMENTS:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
        else:
            return None
    return None


def _jpeg_2000_size(data: bytes, header: DicomHeader) -> tuple[int, int] | None:
    """Rows and columns by the SIZ segment of JPEG 2000 (ITU T.800), if there is one component in few tiles."""
    start = _code_stream(data)
    if data[start : start + 4] != b"\xff\x4f\xff\x51":
        return None
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6I", data, start + 8)
    components, bits, step_x, step_y = struct.unpack_from(">HBBB", data, start + 40)
    rows, columns = bottom - top, right - left
    one = components == 1 and (bits & 127) + 1 <= header.allocated and (step_x, step_y) == (1, 1)
    few = tile_width and tile_height and (rows // tile_height + 2) * (columns // tile_width + 2) <= MOST_TILES
    return (rows, columns) if one and few else None


def _code_stream(data: bytes) -> int:
    """Where the code stream begins: at once, as the standard wants it, or in a box of the JP2 file format."""
    position = 0
    if data[4:8] == b"jP  ":
        while data[position + 4 : position + 8] != b"jp2c":
            (length,) = struct.unpack_from(">I", data, position)
            if length < 8:  # to the end, of 64 bits, or none
                return len(data)
            position += length
        (length,) = struct.unpack_from(">I", data, position)
        position += 16 if length == 1 else 8
    return position


def _run_lengths_size(data: bytes, header: DicomHeader) -> tuple[int, int] | None:
    """Rows and columns of the tags, if each byte plane is written out in exactly as many bytes (PS3.5, annex G)."""
    if len(data) < 64:
        return None
    count, *offsets = struct.unpack_from("<16I", data)
    if count != header.allocated // 8:
        return None
    ends = [*offsets[1:count], len(data)]
    for start, end in zip(offsets[:count], ends, strict=True):
        if not 64 <= start <= end <= len(data):
            return None
        written, expected = 0, header.rows * header.columns
        while start < end and written < expected:
            head = data[start]
            start += 2 + head if head < 128 else 2 - (head == 128)
            written += 1 + head if head < 128 else (257 - head if head > 128 else 0)
        if written != expected or end - start > 1:  # one byte may pad to an even length
            return None
    return header.rows, header.columns


_COMPRESSIONS: Mapping[str, tuple[Callable, Callable]] = MappingProxyType(
    {
        **{_JPEG.format(number): (_jpeg_size, _jpeg) for number in (50, 51, 57, 70)},
        **{_JPEG.format(number): (_jpeg_size, _jpeg_ls) for number in (80, 81)},
        **{_JPEG.format(number): (_jpeg_2000_size, _jpeg_2000) for number in (90, 91, 201, 202, 203)},
        _RLE: (_run_lengths_size, _run_lengths),
    }
)
"""Transfer syntaxes that can be decoded: JPEG with and without losses, JPEG-LS, JPEG 2000 with its high-throughput
kind, run lengths. Each with what reads a frame's own head, and what decodes it."""
