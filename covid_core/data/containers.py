"""What a picture file declares about itself, read before any pixel is decoded.

PNG, JPEG and TIFF files are walked here part by part, for three reasons: size and completeness are known before
memory is spent on pixels; Pillow then receives only the parts that hold pixels, so that text, colour-profile and
EXIF blocks, the usual carriers of decompression bombs, never reach a parser; and a file that stops early is refused,
where decoders fill the rest with black or grey. All offsets below follow the PNG (RFC 2083), JPEG (ITU T.81) and
TIFF 6.0 specifications.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

from covid_core.errors import SliceError

MAX_PARTS = 20_000
"""Chunks, segments or values of one tag; a slice has dozens, a file made to keep us busy has millions."""

MAX_SCANS = 100
"""Scans of a progressive JPEG; encoders write about ten, and each costs a pass over all pixels."""

FOREIGN_FORMATS: tuple[tuple[bytes, str], ...] = (
    (rb"GIF8[79]a", "a GIF picture"),
    (rb"BM.{4}\0{4}", "a BMP picture"),
    (rb"RIFF.{4}WEBP", "a WebP picture"),
    (rb"\0\0\0\x0cjP|\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (rb".{4}ftyp", "a HEIC or AVIF picture or a video"),
    (rb"%PDF", "a PDF document"),
    (rb"PK\x03\x04", "a ZIP archive or an Office document"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"(?i)<svg", "an SVG drawing"),
    (rb"(?i)<!doctype html|<html", "a web page"),
    (rb"<\?xml", "an XML file"),
)
"""How other files begin (regular expressions), for a message that names them."""


@dataclass(frozen=True)
class Container:
    """A picture file's own account of itself.

    Args:
        format: ``"PNG"``, ``"JPEG"`` or ``"TIFF"``.
        width: Pixels in a stored row, before the orientation is applied.
        height: Stored rows.
        bits: Bits a sample.
        orientation: EXIF orientation, 1-8; 1 where none is declared.
        has_more: Whether further pages or frames follow the first.
        white_is_zero: Whether a TIFF stores its grey values inverted.
        pixel_parts: The file reduced to the parts that hold the first picture's pixels.
    """

    format: str
    width: int
    height: int
    bits: int
    orientation: int
    has_more: bool
    white_is_zero: bool
    pixel_parts: bytes


def sniff(data: bytes) -> str | None:
    """Format by content: ``PNG``, ``JPEG``, ``TIFF``, ``DICOM``, ``NIfTI``, or None for anything else."""
    if data.startswith(PNG_SIGNATURE):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] in TIFF_HEADERS:
        return "TIFF"
    # Part 10 files carry DICM after a preamble; older ones start with an element of group 0008, little or big endian.
    if data[128:132] == b"DICM" or re.match(rb"\x08\x00[\x00-\x20]\x00|\x00\x08\x00[\x00-\x20]", data):
        return "DICOM"
    if _is_nifti(_gunzip_start(data) if data.startswith(b"\x1f\x8b") else data):
        return "NIfTI"
    return None


def describe(data: bytes) -> str:
    """In a few words what a file of no known picture format seems to be."""
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")  # a byte order mark may open a text
    for pattern, description in FOREIGN_FORMATS:
        if re.match(pattern, start, re.DOTALL):
            return description
    # Control characters other than white space do not occur in text.
    if not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", data[:512]):
        return "a text file"
    return "a file of another kind"


def open_container(data: bytes, file_format: str) -> Container:
    """Walk a PNG, JPEG or TIFF file without decoding pixels.

    Args:
        data: The whole file.
        file_format: What ``sniff`` said.

    Returns:
        The container; its ``pixel_parts`` hold no metadata and no second picture.

    Raises:
        SliceError: A file that stops early, contradicts itself, or consists of implausibly many parts.
    """
    return {"PNG": _open_png, "JPEG": _open_jpeg, "TIFF": _open_tiff}[file_format](data)


def check_complete(container: Container) -> None:
    """Check that all rows are there; costs time in proportion to the picture, so call it after the size is checked.

    Raises:
        SliceError: Pixel data that ends before the last row, which decoders would fill with black.
    """
    if container.format == "PNG":
        _check_png_rows(container)
    elif container.format == "TIFF":
        _check_tiff_strips(container)


def _truncated(what: str) -> SliceError:
    return SliceError(
        f"Expected a complete {what} file. This one stops before its end, perhaps from an interrupted download "
        "or copy. Fetch or export it again."
    )


def _damaged(what: str, detail: str) -> SliceError:
    return SliceError(f"Expected a sound {what} file. This one is damaged: {detail}. Fetch or export it again.")


def _gunzip_start(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(data[:4096], 600)
    except zlib.error:
        return b""


def _is_nifti(data: bytes) -> bool:
    return data[344:348] in (b"n+1\0", b"ni1\0") or data[4:8] in (b"n+2\0", b"ni2\0")


# ---------------------------------------------------------------------------------------------------------------- PNG

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _open_png(data: bytes) -> Container:
    chunks: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    orientation, position = 1, len(PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, end = data[position + 4 : position + 8], position + 8 + length
        if end + 4 > len(data):
            raise _truncated("PNG")
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT"):
            body = data[position + 8 : end]
            if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[end : end + 4], "big"):
                raise _damaged("PNG", "a checksum does not agree with the data")
            if kind == b"IDAT":
                pixels.append(body)
            else:
                chunks.setdefault(kind, body)
        elif kind == b"eXIf":
            orientation = _exif_orientation(data[position + 8 : end])
        elif kind == b"acTL":
            chunks[kind] = b""
        elif kind == b"IEND":
            break
        position = end + 4
    else:
        raise _damaged("PNG", f"it consists of more than {MAX_PARTS} parts")
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13 or not pixels:
        raise _damaged("PNG", "it has no header or no pixels")
    width, height, bits, colour_type = struct.unpack(">IIBB", header[:10])
    if colour_type not in PNG_CHANNELS or bits not in (1, 2, 4, 8, 16) or header[12] > 1:
        raise _damaged("PNG", "its header is not valid")
    if colour_type == 3 and b"PLTE" not in chunks:
        raise _damaged("PNG", "its colours come from a palette that is missing")
    kept = [(kind, chunks[kind]) for kind in (b"IHDR", b"PLTE", b"tRNS") if kind in chunks]
    kept += [(b"IDAT", b"".join(pixels)), (b"IEND", b"")]
    return Container(
        format="PNG",
        width=width,
        height=height,
        bits=bits,
        orientation=orientation,
        has_more=b"acTL" in chunks,
        white_is_zero=False,
        pixel_parts=PNG_SIGNATURE + b"".join(_png_chunk(kind, body) for kind, body in kept),
    )


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return len(body).to_bytes(4, "big") + kind + body + checksum.to_bytes(4, "big")


def _check_png_rows(container: Container) -> None:
    data = container.pixel_parts
    header = data[16:29]
    row_bits = container.bits * PNG_CHANNELS[header[9]]
    passes = ADAM7 if header[12] else ((0, 0, 1, 1),)
    expected = 0
    for x, y, step_x, step_y in passes:
        columns = -(-(container.width - x) // step_x)
        rows = -(-(container.height - y) // step_y)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * row_bits + 7) // 8)  # a filter byte opens each row
    start = len(PNG_SIGNATURE)
    while data[start + 4 : start + 8] != b"IDAT":
        start += 12 + int.from_bytes(data[start : start + 4], "big")
    stream = zlib.decompressobj()
    compressed = data[start + 8 : -16]  # up to the checksum and the closing chunk
    try:
        while expected > 0:
            rows = stream.decompress(compressed, min(expected, 1 << 20))
            if not rows:
                raise _truncated("PNG")
            compressed = stream.unconsumed_tail
            expected -= len(rows)
    except zlib.error as error:
        raise _damaged("PNG", "its pixels cannot be decompressed") from error


# --------------------------------------------------------------------------------------------------------------- JPEG

JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_KEPT = JPEG_FRAMES | {0xC4, 0xDA, 0xDB, 0xDD, 0xE0, 0xEE}  # tables, scans, and the colour hints JFIF and Adobe
JPEG_FILL = re.compile(rb"\xff+")  # any number may precede a marker
JPEG_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # neither a stuffed byte nor a restart marker


def _open_jpeg(data: bytes) -> Container:
    kept = [data[:2]]
    frame = b""
    orientation, has_more, scans, position = 1, False, 0, 2
    for _ in range(MAX_PARTS):
        fill = JPEG_FILL.match(data, position)
        if fill is None and position < len(data):
            raise _damaged("JPEG", "a segment does not end where it says")
        position = fill.end() - 1 if fill else position
        marker = data[position + 1] if position + 1 < len(data) else None
        if marker == 0xD9:
            break
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker is None or end > len(data):
            raise _truncated("JPEG")
        body = data[position + 4 : end]
        if marker in JPEG_FRAMES:
            if frame or len(body) < 6:
                raise _damaged("JPEG", "it holds more than one frame header, or a broken one")
            frame = body
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(body[6:])
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            has_more = True
        elif marker == 0xDA:
            scans += 1
            stop = JPEG_END_OF_SCAN.search(data, end)
            if stop is None:
                raise _truncated("JPEG")
            end = stop.start()
        if marker in JPEG_KEPT:
            kept.append(data[position:end])
        position = end
    else:
        raise _damaged("JPEG", f"it consists of more than {MAX_PARTS} parts")
    if not frame or not scans:
        raise _truncated("JPEG")
    if scans > MAX_SCANS:
        raise _damaged("JPEG", f"it draws its picture in more than {MAX_SCANS} passes")
    bits, height, width = struct.unpack(">BHH", frame[:5])
    return Container(
        format="JPEG",
        width=width,
        height=height,
        bits=bits,
        orientation=orientation,
        has_more=has_more,
        white_is_zero=False,
        pixel_parts=b"".join(kept) + b"\xff\xd9",
    )


# --------------------------------------------------------------------------------------------------------------- TIFF

TIFF_HEADERS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
TIFF_ERRORS = (struct.error, OverflowError)  # an offset outside the file, and one beyond all files
TIFF_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
WIDTH, HEIGHT, BITS, PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION, SAMPLES = 256, 257, 258, 262, 273, 274, 277
ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
COMPRESSION, FILL_ORDER, PREDICTOR, COLOUR_MAP, INK_SET = 259, 266, 317, 320, 332
TIFF_SINGLE = frozenset(
    [
        *(WIDTH, HEIGHT, PHOTOMETRIC, ORIENTATION, SAMPLES, ROWS_PER_STRIP, PLANAR, TILE_WIDTH, TILE_HEIGHT),
        *(COMPRESSION, FILL_ORDER, PREDICTOR, INK_SET),
    ]
)
"""Tags that hold one value; Pillow warns on the console where one claims more."""

TIFF_KEPT = TIFF_SINGLE - {ORIENTATION} | {
    *(BITS, STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS, COLOUR_MAP),
    *(338, 339, 347, 529, 530, 531, 532),  # extra samples, sample format, JPEG tables, YCbCr
}
TIFF_COMPRESSIONS = frozenset((1, 5, 7, 8, 32946, 32773, 34925, 50000))
"""None, LZW, JPEG, Deflate (two numbers), PackBits, LZMA, Zstandard. Fax codes hold no grey values, and their decoder
passes damage over in silence; the rest is not in use for pictures of this kind."""


@dataclass(frozen=True)
class _Directory:
    """Tags of one TIFF image file directory: raw 12- or 20-byte entries and the bytes of their values."""

    order: str
    big: bool
    entries: dict[int, tuple[bytes, bytes]]
    next_offset: int

    def integers(self, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        """Unsigned values of a tag; ``default`` where it is absent or of another type."""
        entry, value = self.entries.get(tag, (b"", b""))
        kind = TIFF_INTEGERS.get(struct.unpack_from(self.order + "H", entry, 2)[0]) if entry else None
        if kind is None or not value:
            return default
        return struct.unpack(f"{self.order}{len(value) // struct.calcsize(kind)}{kind}", value)


def _read_directory(data: bytes, tags: frozenset[int] | set[int]) -> _Directory:
    """Read the first directory, keeping ``tags`` only; one of ``TIFF_ERRORS`` where it leaves the file."""
    order, big = TIFF_HEADERS[data[:4]]
    number, entry_size, inline = ("Q", 20, 8) if big else ("I", 12, 4)
    (offset,) = struct.unpack_from(order + number, data, 8 if big else 4)
    count_kind = "Q" if big else "H"
    (count,) = struct.unpack_from(order + count_kind, data, offset)
    first = offset + struct.calcsize(count_kind)
    entries: dict[int, tuple[bytes, bytes]] = {}
    for index in range(min(count, 0xFFFF)):
        entry = data[first + index * entry_size : first + (index + 1) * entry_size]
        tag, kind, values = struct.unpack_from(order + "HH" + number, entry)
        if tag not in tags or tag in entries:
            continue
        size = values * TIFF_SIZES.get(kind, 1)
        if values > (1 if tag in TIFF_SINGLE else 10 * MAX_PARTS):
            raise _damaged("TIFF", "a tag claims implausibly many values")
        start = 0 if size <= inline else struct.unpack_from(order + number, entry, entry_size - inline)[0]
        value = entry[entry_size - inline :][:size] if size <= inline else data[start : start + size]
        if len(value) != size:
            raise _truncated("TIFF")
        entries[tag] = (entry, value)
    (next_offset,) = struct.unpack_from(order + number, data, first + count * entry_size)
    return _Directory(order, big, entries, next_offset)


def _open_tiff(data: bytes) -> Container:
    try:
        directory = _read_directory(data, TIFF_KEPT | {ORIENTATION})
    except TIFF_ERRORS as error:
        raise _truncated("TIFF") from error
    (width, *_), (height, *_) = directory.integers(WIDTH, (0,)), directory.integers(HEIGHT, (0,))
    if not width or not height:
        raise _damaged("TIFF", "its header states no size")
    if directory.integers(COMPRESSION, (1,))[0] not in TIFF_COMPRESSIONS:
        raise SliceError(
            "Expected a TIFF picture that is not compressed, or by LZW, Deflate, PackBits, JPEG, LZMA or Zstandard. "
            "This one uses another method. Export it as an 8-bit PNG."
        )
    offsets, counts = _strips(directory)
    if len(offsets) != len(counts):
        raise _damaged("TIFF", "its lists of where pixels lie do not agree")
    if any(start + count > len(data) for start, count in zip(offsets, counts, strict=True)):
        raise _truncated("TIFF")
    orientation = directory.integers(ORIENTATION, (1,))[0]
    return Container(
        format="TIFF",
        width=width,
        height=height,
        bits=max(directory.integers(BITS, (1,))),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        has_more=directory.next_offset != 0,
        white_is_zero=directory.integers(PHOTOMETRIC, (0,))[0] == 0,
        pixel_parts=_with_directory(data, directory),
    )


def _strips(directory: _Directory) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Offsets and byte counts of the strips, or of the tiles."""
    tags = (TILE_OFFSETS, TILE_COUNTS) if TILE_OFFSETS in directory.entries else (STRIP_OFFSETS, STRIP_COUNTS)
    return directory.integers(tags[0], ()), directory.integers(tags[1], ())


def _with_directory(data: bytes, directory: _Directory) -> bytes:
    """The same file, its header pointing to a directory at the end that holds the pixel tags and no next page."""
    number, count_kind, place = ("Q", "Q", 8) if directory.big else ("I", "H", 4)
    kept = [entry for tag, (entry, _) in sorted(directory.entries.items()) if tag in TIFF_KEPT]
    padding = b"\0" * (len(data) % 2)  # a directory begins on a word boundary
    header = data[:place] + struct.pack(directory.order + number, len(data) + len(padding))
    tail = struct.pack(directory.order + count_kind, len(kept)) + b"".join(kept)
    return header + data[len(header) :] + padding + tail + struct.pack(directory.order + number, 0)


def _check_tiff_strips(container: Container) -> None:
    directory = _read_directory(container.pixel_parts, TIFF_KEPT)
    width, height = container.width, container.height
    if TILE_OFFSETS in directory.entries:
        tile_width, tile_height = directory.integers(TILE_WIDTH, (0,))[0], directory.integers(TILE_HEIGHT, (0,))[0]
        # A tile may reach over the edge, but one much larger than the picture only costs memory.
        if not 0 < tile_width <= 2 * width + 256 or not 0 < tile_height <= 2 * height + 256:
            raise _damaged("TIFF", f"its tiles of {tile_width} × {tile_height} pixels do not fit the picture")
        expected = -(-width // tile_width) * -(-height // tile_height)
    else:
        rows = min(directory.integers(ROWS_PER_STRIP, (height,))[0], height)
        expected = -(-height // rows) if rows else 0
    planes = directory.integers(SAMPLES, (1,))[0] if directory.integers(PLANAR, (1,))[0] == 2 else 1
    offsets, counts = _strips(directory)
    if not expected or len(offsets) < expected * planes or 0 in offsets:
        raise _truncated("TIFF")
    bits = min(directory.integers(BITS, (1,))) * directory.integers(SAMPLES, (1,))[0]
    if directory.integers(COMPRESSION, (1,))[0] == 1 and 8 * sum(counts) < width * height * bits:
        raise _truncated("TIFF")


def _exif_orientation(data: bytes) -> int:
    """Orientation from an EXIF block, which is a small TIFF file; 1 where it is absent or cannot be read."""
    if data[:4] not in TIFF_HEADERS:
        return 1
    try:
        orientation = _read_directory(data, {ORIENTATION}).integers(ORIENTATION, (1,))[0]
    except (*TIFF_ERRORS, SliceError):
        return 1
    return orientation if 1 <= orientation <= 8 else 1
