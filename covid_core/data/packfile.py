"""Reads a packed data set: one ZIP file with a manifest and every slice as WebP, made by ``data.packed``.

    manifest.json    name, size, interpolation, codec, quality; path, label, patient and checksums of each slice
    000000.webp …    the slices in the manifest's order

Members are stored, not compressed again. The file may come from anywhere: names, counts and sizes are checked before
anything is decoded, and no path in it ever names a place on this machine.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from covid_core.archive import ARCHIVE_ERRORS, is_stored
from covid_core.data.slices import DECODING_ERRORS, INTERPOLATIONS
from covid_core.data.sources import Dataset, Packing, SourceFile, assemble
from covid_core.errors import DatasetError, SliceError

FORMAT = 1
MANIFEST = "manifest.json"
CODEC = "webp"
LOSSLESS = "lossless"

MAX_BYTES = 2**30
"""Largest file read; the default limit of packing is 45 MiB."""

MAX_MANIFEST_BYTES = 64 * 2**20
MAX_SLICES = 100_000
MAX_SIZE = 2048
"""Largest side of a packed slice in pixels."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SLICE_KEYS = {"path", "label", "patient", "source", "pixels"}


@dataclass(frozen=True, eq=False)
class Pack:
    """An open packed data set.

    Args:
        path: Of the file.
        name: Short name of the data set, for people.
        packing: What the packing fixes.
        files: The slices as their sources were named, with the digests of the source files.
        pixel_digests: SHA-256 of each slice as it is decoded, hex.
        archive: The open file.
    """

    path: Path
    name: str
    packing: Packing
    files: tuple[SourceFile, ...]
    pixel_digests: tuple[str, ...]
    archive: zipfile.ZipFile

    def pixels(self, number: int) -> np.ndarray:
        """uint8 ``(size, size)``, grey values 0-255: one slice, by its number in the manifest. Safe in threads.

        Raises:
            SliceError: It is damaged, or not what the manifest says.
        """
        size = self.packing.size
        data = _member(self, number)
        shape = webp_shape(data)
        if shape != (size, size):
            came = "another kind of file" if shape is None else f"{shape[0]} × {shape[1]} pixels"
            raise SliceError(
                f"Expected a WebP picture of {size} × {size} pixels. Received: {came}. {_again(self.path)}"
            )
        try:
            grey = decode_webp(data)
        except DECODING_ERRORS as error:
            raise SliceError(f"Expected a WebP picture. It cannot be decoded: {error}. {_again(self.path)}") from error
        if pixel_digest(grey) != self.pixel_digests[number]:
            raise SliceError(
                f"Expected grey values with the manifest's checksum. Received others: the slice was exchanged, or this "
                f"WebP decoder differs from the one that packed it. {_again(self.path)}"
            )
        return grey


def load_packed(path: str | Path, positive: str = "COVID", patients: str | Path | None = None) -> Dataset:
    """A packed file as a data set with the digest of its source files; see ``dataset.load_dataset``.

    Raises:
        DatasetError: The file is damaged, or no packed data set; the text names the part.
    """
    with open_pack(path) as pack:
        for number in range(len(pack.files)):
            try:
                _member(pack, number)
            except SliceError as error:
                raise DatasetError(f"{pack.path.name}, slice {pack.files[number].path}: {error}") from error
        return assemble(pack.name, pack.path, list(pack.files), positive, patients, pack.packing)


@contextmanager
def open_pack(path: str | Path) -> Iterator[Pack]:
    """Opens a packed data set; its manifest and the names and sizes of its members are checked, its slices not yet.

    Raises:
        DatasetError: See ``load_packed``.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DatasetError(
                f"Expected a packed data set of at most {MAX_BYTES >> 20} MiB. Received: {path}, larger."
            )
        archive = zipfile.ZipFile(path)
    except ARCHIVE_ERRORS as error:
        raise DatasetError(
            f"Expected a packed data set. Received: {path}, which is damaged or no ZIP file: {error}. {_again(path)}"
        ) from error
    with archive:
        manifest = _manifest(path, archive)
        yield _checked(path, archive, manifest)


@contextmanager
def packed_slices(dataset: Dataset) -> Iterator[Callable[[int], np.ndarray]]:
    """A function from a position in a packed ``dataset`` to its uint8 ``(size, size)`` pixels.

    Raises:
        DatasetError: The file is not the one that the data set was loaded from.
    """
    with open_pack(dataset.root) as pack:
        number = {file.path: number for number, file in enumerate(pack.files)}
        if pack.packing != dataset.packing or set(number) != set(dataset.paths):
            raise DatasetError(f"Expected {pack.path} as it was before. It was exchanged meanwhile. Start again.")
        yield lambda position: pack.pixels(number[dataset.paths[position]])


def member_name(number: int) -> str:
    """Name of a slice inside the file."""
    return f"{number:06d}.{CODEC}"


def decode_webp(data: bytes) -> np.ndarray:
    """uint8 ``(H, W)``: grey values of a WebP picture.

    WebP has no grey pictures: lossy ones hold brightness in 219 steps and no colour, and their channels may differ by
    1 after decoding. Brightness is taken in the same way here and when a pack is made.
    """
    with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
        return np.asarray(picture.convert("L"))


def pixel_digest(pixels: np.ndarray) -> str:
    """SHA-256 of uint8 pixels, row by row, hex."""
    return hashlib.sha256(np.ascontiguousarray(pixels, np.uint8).tobytes()).hexdigest()


def webp_shape(data: bytes) -> tuple[int, int] | None:
    """Width and height of a plain lossy or lossless WebP picture, from its header; None for everything else.

    Animations and extended files are not taken: their decoders reserve memory for a canvas of any size at once.
    """
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    if data[12:16] == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF  # the upper bits ask for scaling
    if data[12:16] == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    members = archive.infolist()
    if not members or members[0].filename != MANIFEST:
        raise DatasetError(
            f"Expected a packed data set, which begins with {MANIFEST}. Received: {path}, another kind of ZIP file. "
            f"Unpack it and name the folder, or pack that: python -m covid_core.data.packed FOLDER FILE.zip"
        )
    if len(members) > MAX_SLICES + 1:
        raise DatasetError(f"Expected at most {MAX_SLICES:,} slices. Received: {path} with {len(members) - 1:,}.")
    for member in members:
        if not is_stored(member):
            raise _wrong(path, f"{member.filename!r} to be stored as it is", "a compressed one")
    if members[0].file_size > MAX_MANIFEST_BYTES:
        raise _wrong(path, f"a manifest of at most {MAX_MANIFEST_BYTES >> 20} MiB", "a larger one")
    try:
        manifest = json.loads(archive.read(members[0]).decode("utf-8"))
    except (*ARCHIVE_ERRORS, RecursionError) as error:
        raise _wrong(path, f"{MANIFEST} to be JSON", f"{type(error).__name__}: {error}") from error
    if not isinstance(manifest, dict):
        raise _wrong(path, f"{MANIFEST} to be an object", type(manifest).__name__)
    return manifest


def _checked(path: Path, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> Pack:
    if manifest.get("format") != FORMAT:
        raise DatasetError(
            f"Expected a packed data set of format {FORMAT}. Received: {path} of format {manifest.get('format')!r}. "
            f"Pack it again with this software, or update it."
        )
    size, quality, slices = manifest.get("size"), manifest.get("quality"), manifest.get("slices")
    checks = {
        "name": _is_text(manifest.get("name")) and _is_inside(manifest["name"]) and "/" not in manifest["name"],
        "size": _is_whole(size, 1, MAX_SIZE),
        "interpolation": isinstance(manifest.get("interpolation"), str) and manifest["interpolation"] in INTERPOLATIONS,
        "codec": manifest.get("codec") == CODEC,
        "quality": quality == LOSSLESS or _is_whole(quality, 0, 100),
        "slices": isinstance(slices, list) and 1 <= len(slices) <= MAX_SLICES,
    }
    for name, right in checks.items():
        if not right:
            raise _wrong(path, f"a usable {name} in {MANIFEST}", repr(manifest.get(name))[:80])
    for number, row in enumerate(slices):
        _check_slice(path, number, row)
    paths = [row["path"] for row in slices]
    if len(set(paths)) < len(paths):
        raise _wrong(path, "each path once", f"{len(paths) - len(set(paths))} more than once")
    expected = [MANIFEST, *(member_name(number) for number in range(len(slices)))]
    found = [member.filename for member in archive.infolist()]
    if found != expected:
        odd = sorted(set(found) ^ set(expected))[:3] or "another order"
        raise _wrong(path, f"{MANIFEST} and {len(slices)} numbered slices", f"{len(found) - 1} members; at odds: {odd}")
    largest = 4 * size * size + 2**16  # more than any coding of so many pixels takes
    big = next((member.filename for member in archive.infolist()[1:] if member.file_size > largest), None)
    if big:
        raise _wrong(path, f"slices of at most {largest:,} bytes", f"a larger one, {big}")
    pixel_digests = tuple(row["pixels"] for row in slices)
    whole = hashlib.sha256("".join(sorted(f"{row['path']}\0{row['pixels']}\0" for row in slices)).encode())
    packing = Packing(size, manifest["interpolation"], CODEC, quality, whole.hexdigest()[:16])
    files = tuple(SourceFile(row["path"], row["label"], row["patient"], row["source"]) for row in slices)
    return Pack(path, manifest["name"], packing, files, pixel_digests, archive)


def _check_slice(path: Path, number: int, row: Any) -> None:
    right = (
        isinstance(row, dict)
        and row.keys() == _SLICE_KEYS
        and all(isinstance(value, str) for value in row.values())
        and _is_text(row["path"])
        and _is_inside(row["path"])
        and _is_text(row["label"])
        and (not row["patient"] or _is_text(row["patient"]))
        and all(_DIGEST.fullmatch(row[name]) for name in ("source", "pixels"))
    )
    if not right:
        raise _wrong(
            path,
            f"slice {number} with a path below the data set's folder, a label, a patient or nothing, and two checksums",
            repr(row)[:200],
        )


def _member(pack: Pack, number: int) -> bytes:
    try:
        return pack.archive.read(member_name(number))
    except ARCHIVE_ERRORS as error:
        raise SliceError(f"Expected it whole. It is damaged: {error}. {_again(pack.path)}") from error


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 1024 and value.isprintable()


def _is_whole(value: Any, lowest: int, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _is_inside(path: str) -> bool:
    """Whether a path stays below the folder that it is joined to, on every system."""
    plain = PurePosixPath(path).as_posix() == path and "\\" not in path
    return plain and not path.startswith("/") and not PureWindowsPath(path).drive and ".." not in path.split("/")


def _wrong(path: Path, expected: str, received: str) -> DatasetError:
    return DatasetError(f"{path.name}: expected {expected}. Received: {received}. {_again(path)}")


def _again(path: Path) -> str:
    return f"Copy {path.name} again, or pack the data set again: python -m covid_core.data.packed FOLDER {path.name}"
