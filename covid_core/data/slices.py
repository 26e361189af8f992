"""A file -> one CT slice; every refusal is a ``SliceError`` whose text is fit to be shown to a user."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from covid_core.data.containers import Container, check_complete, describe, open_container, sniff
from covid_core.errors import SliceError

MAX_BYTES = 32 * 2**20
"""Largest file read by default, in bytes; a slice has a few hundred kilobytes."""

MAX_PIXELS = 4096 * 4096
"""Largest picture decoded by default; CT slices have 512 × 512 pixels, rarely 1024 × 1024."""

MIN_SIDE = 32
"""Shortest side in pixels that can show a chest."""

MAX_ASPECT = 3.0
"""Longest side over shortest; the widest slices of the public data sets reach 2.4."""

MIN_CONTRAST = 8
"""Least distance of the darkest from the brightest grey value."""

COLOURED = 24
"""Distance of a pixel's channels (0-255) from which it counts as coloured; JPEG noise of a grey picture stays below."""

COLOUR_WARNING, COLOUR_REFUSAL = 0.0002, 0.10
"""Coloured share of the pixels that are not black: from here an annotation, from here a colour picture."""

SUFFIXES: dict[str, str] = {
    **{".png": "PNG", ".apng": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG"},
    **{".tif": "TIFF", ".tiff": "TIFF", ".dcm": "DICOM", ".dicom": "DICOM", ".nii": "NIfTI", ".nii.gz": "NIfTI"},
}

INTERPOLATIONS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}

# What Pillow raises for files it cannot decode: OSError (UnidentifiedImageError among them), SyntaxError and ValueError
# by its own word; TypeError and OverflowError for a TIFF palette of an odd type; and its guard against decompression
# bombs, which is an error or a warning by the program's filters.
DECODING_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, OverflowError),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


@dataclass(frozen=True, eq=False)
class Slice:
    """One axial CT slice.

    Args:
        pixels: float32 ``(H, W)``, grey values 0-255, black is 0.
        hounsfield: float32 ``(H, W)``, or None for pictures, which do not hold such values.
        spacing: Millimetres between rows and between columns, or None where unknown.
        warnings: What a user should know about how the file was read; sentences.
        name: File name without folders, empty where there is none.
    """

    pixels: np.ndarray
    hounsfield: np.ndarray | None = None
    spacing: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    name: str = ""


def read_slice(
    source: bytes | Path | str | BinaryIO,
    filename: str | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> Slice:
    """Read one slice from a PNG, JPEG or TIFF picture, or from a DICOM file of one frame.

    The content decides about the format, never the name. Size, shape and completeness are checked before pixels are
    decoded. Grey values are taken as stored: colour profiles and gamma are ignored, so that equal channels give
    exactly their common value; differing channels are weighted by ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B).
    Transparent pixels lie on black, EXIF orientation is applied, and of several pages the first is read.

    Grey values of 16 bits are divided by the range that they use: up to 255 they are kept, up to 4095 they are taken
    as the 12 bits of a scanner, else as full 16 bits; each range is mapped to 0-255 without rounding or clipping. A
    fixed range, unlike percentiles, gives neighbouring slices the same brightness.

    Args:
        source: The file's bytes, its path, or an open binary stream, read from where it stands.
        filename: Name for messages; by default the path's or the stream's.
        max_bytes: Largest file.
        max_pixels: Largest width × height.

    Returns:
        The slice; ``warnings`` name everything that was decided on the user's behalf.

    Raises:
        SliceError: The file cannot be read as one CT slice; the text says what was expected, what came, what to do.
    """
    data = _read_bytes(source, max_bytes)
    name = base_name(filename or (source if isinstance(source, str | Path) else getattr(source, "name", "")))
    file_format = _accepted_format(data, name)
    if file_format == "DICOM":
        # builds on this module: imported where it is needed
        from covid_core.data.dicom import read_single

        return read_single(data, name, max_pixels)
    container = open_container(data, file_format)
    check_shape(container.width, container.height, max_pixels)
    check_complete(container)
    pixels, warnings = _decode(container)
    warnings += check_contrast(pixels)
    return Slice(
        pixels=_upright(pixels, container.orientation),
        warnings=(*_container_warnings(container, name), *warnings),
        name=name,
    )


def resize_slice(pixels: np.ndarray, size: int, interpolation: str = "area") -> np.ndarray:
    """Make the square picture that a network takes: the same in training and at inference.

    The picture is stretched to a square, as in the study. ``"area"`` works on each axis by itself: it averages the
    covered area where the axis shrinks, which leaves no aliasing, and interpolates linearly where it grows, where
    an area average would only repeat pixels.

    Args:
        pixels: float or uint8 ``(H, W)``, grey values 0-255.
        size: Side of the result in pixels, 1 or more.
        interpolation: ``"area"``, ``"linear"`` or ``"cubic"``.

    Returns:
        uint8 ``(size, size)``, rounded half to even and clipped to 0-255.

    Raises:
        ValueError: Unknown interpolation, a size below 1, or pixels that are not a picture ``(H, W)``.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"Expected interpolation to be one of {sorted(INTERPOLATIONS)}. Received: {interpolation!r}")
    if size < 1:
        raise ValueError(f"Expected a size of at least 1 pixel. Received: {size}")
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ValueError(f"Expected pixels of shape (H, W). Received: {pixels.shape}")
    resized = np.asarray(pixels, np.float32)
    if interpolation == "area":
        height, width = resized.shape
        resized = cv2.resize(resized, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
        resized = cv2.resize(resized, (size, size), interpolation=cv2.INTER_LINEAR)
    else:
        resized = cv2.resize(resized, (size, size), interpolation=INTERPOLATIONS[interpolation])
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)


def _read_bytes(source: bytes | Path | str | BinaryIO, max_bytes: int) -> bytes:
    """The whole file, or a refusal after one byte more than allowed."""
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source[: max_bytes + 1])
    elif isinstance(source, str | Path):
        try:
            if not Path(source).is_file():  # neither a folder nor a pipe that never ends
                raise SliceError(f"Expected a picture file. There is none at {source}. Check the path.")
            with open(source, "rb") as stream:
                data = stream.read(max_bytes + 1)
        except (OSError, ValueError) as error:  # ValueError: a null byte in the path
            raise SliceError(
                f"Expected a readable picture file. {source} cannot be opened: "
                f"{getattr(error, 'strerror', None) or error}."
            ) from error
    else:
        data = source.read(max_bytes + 1)
        if not isinstance(data, bytes):
            raise TypeError(f"Expected a binary stream. Received one that reads {type(data).__name__}")
    if not data:
        raise SliceError("Expected a picture file. This one is empty (0 bytes). Fetch or export it again.")
    if len(data) > max_bytes:
        raise SliceError(
            f"Expected a file of at most {max_bytes / 2**20:.3g} MiB. This one is larger. "
            "Export the single slice as an 8-bit PNG."
        )
    return data


def base_name(name: str | Path) -> str:
    """File name without folders of either kind of system and without control characters."""
    base = re.split(r"[\\/]", str(name))[-1]
    return "".join(character for character in base if character.isprintable())[:255]


def _named_format(name: str) -> str | None:
    lower = name.lower()
    return next((known for suffix, known in SUFFIXES.items() if lower.endswith(suffix)), None)


def _accepted_format(data: bytes, name: str) -> str:
    """``PNG``, ``JPEG``, ``TIFF`` or ``DICOM`` by content; everything else is refused by what it is."""
    found = sniff(data)
    if found == "NIfTI":
        raise SliceError(
            "Expected a single slice. This is a NIfTI volume of many. Read it with covid_core.data.series.read_files, "
            "upload it on a page, or export one slice as an 8-bit PNG, in a lung window."
        )
    if found is not None:
        return found
    named = _named_format(name)
    despite = f", although its name ends like that of a {named} file" if named else ""
    raise SliceError(
        f"Expected a PNG, JPEG or TIFF picture or a DICOM file. By its content this is {describe(data)}{despite}. "
        "Export the slice as an 8-bit PNG and use that."
    )


def check_shape(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Check that a picture of this size can be one slice.

    Raises:
        SliceError: Too many pixels, too few on a side, or a strip.
    """
    came = f"This picture has {width} × {height}."
    if width * height > max_pixels:
        raise SliceError(
            f"Expected at most {max_pixels:,} pixels, such as {int(max_pixels**0.5)} × {int(max_pixels**0.5)}. "
            f"{came} Export the slice at its own resolution, usually 512 × 512."
        )
    if min(width, height) < MIN_SIDE:
        raise SliceError(
            f"Expected a slice of at least {MIN_SIDE} × {MIN_SIDE} pixels. {came} "
            "Export the slice at its own resolution, usually 512 × 512."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise SliceError(
            f"Expected one axial slice, at most {MAX_ASPECT:g} times as long as wide. {came} "
            "Cut the single slice out of a strip or panel of pictures."
        )


def _decode(container: Container) -> tuple[np.ndarray, list[str]]:
    """Grey values float32 ``(H, W)`` in 0-255, as stored, and warnings."""
    try:
        with Image.open(io.BytesIO(container.pixel_parts), formats=(container.format,)) as picture:
            if picture.size != (container.width, container.height):
                raise SliceError(
                    f"Expected a picture of {container.width} × {container.height} pixels, as the file's header "
                    f"says. Its pixel data has {picture.width} × {picture.height}. Export it again."
                )
            picture.load()
            return _grey_values(picture, container)
    except DECODING_ERRORS as error:
        raise SliceError(
            f"Expected a {container.format} picture that can be decoded. This one is damaged, or of a kind too rare to "
            "be supported. Export it again, as an 8-bit PNG."
        ) from error


def _grey_values(picture: Image.Image, container: Container) -> tuple[np.ndarray, list[str]]:
    """Grey values of a decoded picture of any mode; see ``read_slice`` for the rules."""
    warnings: list[str] = []
    if picture.mode.startswith("I;16"):
        return _from_sixteen_bits(picture, container)
    if picture.mode in ("I", "F"):
        raise SliceError(
            "Expected grey values of 8 or 16 bits without sign. This picture holds signed, 32-bit or fractional "
            "values, perhaps Hounsfield units. Export the slice as an 8-bit PNG, in a lung window."
        )
    if container.bits > 8:
        warnings.append(f"The picture's {container.bits}-bit channels were reduced to 8 bits.")
    if picture.mode == "CMYK":
        warnings.append("The picture is made for print (CMYK); its grey values are approximate.")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if picture.getextrema()[3][0] < 255:
            warnings.append("Transparent parts of the picture are read as black.")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "black"), picture)
    if picture.mode not in ("1", "L"):
        picture = picture.convert("RGB")
        warnings.extend(_judge_colour(np.asarray(picture)))
    grey = np.asarray(picture.convert("L"))
    # libjpeg draws what is missing at the end as flat mid-grey, and Pillow does not pass its warning on.
    if container.format == "JPEG" and np.all(grey[-8:] == 128):
        raise SliceError(
            "Expected a complete JPEG picture. The lower part of this one is flat grey, as where data are missing. "
            "Fetch it again, or export it as an 8-bit PNG."
        )
    return grey.astype(np.float32), warnings


def _judge_colour(rgb: np.ndarray) -> list[str]:
    """Warn of coloured marks on uint8 ``(H, W, 3)`` and refuse a colour picture.

    Measure: the share of pixels whose brightest and darkest channel differ by ``COLOURED`` or more, among those that
    are not nearly black, so that a black border does not dilute it. Each channel is averaged over 3 × 3 pixels
    before, where the noise of a camera or of JPEG cancels and the thinnest line stays.
    """
    if np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 1], rgb[..., 2]):
        return []
    red, green, blue = cv2.split(cv2.blur(rgb, (3, 3)))
    brightest = np.maximum(np.maximum(red, green), blue)
    chroma = brightest - np.minimum(np.minimum(red, green), blue)
    coloured = np.count_nonzero(chroma >= COLOURED)
    share = coloured / max(1, np.count_nonzero(brightest >= COLOURED))
    if share >= COLOUR_REFUSAL:
        raise SliceError(
            f"Expected a grey CT slice. {share:.0%} of this picture is coloured, like a photograph or a map laid over "
            "a scan. Export the slice itself, in grey, as a PNG."
        )
    if share >= COLOUR_WARNING:
        return [
            f"Parts of the picture ({share:.2%}) are coloured, such as arrows or letters. They were turned to grey "
            "and may mislead a network."
        ]
    return []


def _from_sixteen_bits(picture: Image.Image, container: Container) -> tuple[np.ndarray, list[str]]:
    values = np.asarray(picture).astype(np.float32)  # exact
    transparent = picture.info.get("transparency")
    if container.white_is_zero:  # Pillow inverts 8 bits by itself, 16 bits not
        values = (2**container.bits - 1) - values
    grey, white = unwindowed(values)
    warnings = [
        f"The picture holds 16-bit values up to {int(values.max())}; 0 to {white} was read as black to white. "
        "If it looks too dark or flat, export it as an 8-bit PNG, in a lung window."
    ]
    if isinstance(transparent, int):
        grey[values == transparent] = 0
        warnings.append("Transparent parts of the picture are read as black.")
    return grey, warnings


def check_contrast(pixels: np.ndarray) -> list[str]:
    """Check that float32 ``(H, W)`` in 0-255 shows something.

    Returns:
        A warning where there are few grey values, or nothing.

    Raises:
        SliceError: One grey all over.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if high - low < MIN_CONTRAST:
        raise SliceError(
            "Expected a slice with dark lungs and bright bone. This picture shows nothing: its grey values lie "
            f"between {low:.0f} and {high:.0f} of 255. Export the slice again, in a lung window."
        )
    levels = np.count_nonzero(cv2.calcHist([pixels.astype(np.uint8)], [0], None, [256], [0, 256]))
    if levels <= 16:
        return [f"The picture has only {levels} grey values, like a mask or a drawing; a CT slice has many."]
    return []


def unwindowed(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Grey values of integers that are no Hounsfield units and have no window of their own.

    Values up to 255 are kept, up to 4095 they are taken as the 12 bits of a scanner, else as full 16 bits. A fixed
    range, unlike percentiles, gives neighbouring slices the same brightness.

    Args:
        values: ``(H, W)``, 0 to 65535.

    Returns:
        float32 ``(H, W)``, 0-255, neither rounded nor clipped, and the value that was read as white.
    """
    brightest = int(values.max())
    white = next(2**bits - 1 for bits in (8, 12, 16) if brightest < 2**bits)
    return values.astype(np.float32) * np.float32(255 / white), white


def _container_warnings(container: Container, name: str) -> list[str]:
    warnings = []
    if "." in name and _named_format(name) != container.format:
        warnings.append(f"The file's name does not end like a {container.format} file's, but its content is one.")
    if container.has_more:
        warnings.append("The file holds several pages or frames; only the first was read.")
    return warnings


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation, 1-8: where row 0 and column 0 of the stored picture lie in the scene."""
    if orientation >= 5:  # rows are columns
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
