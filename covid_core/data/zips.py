"""A ZIP file -> its members, read in memory one at a time and within bounds; nothing is written to disk."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from covid_core.archive import ARCHIVE_ERRORS
from covid_core.data.slices import MAX_BYTES, base_name
from covid_core.errors import SliceError

MAX_MEMBERS = 3000
"""Files in an archive; a scan has hundreds of slices, a study several scans."""

MAX_TOTAL_BYTES = 2**30
"""What all members may unpack to together; 2000 slices of 512 × 512."""

MAX_RATIO = 200
"""What a member may unpack to, over what it takes in the archive: empty slices reach 100, bombs 1000."""

SMALL = 2**20
"""Bytes up to which a member may be compressed as well as it likes."""

IGNORED = frozenset(("dicomdir", "thumbs.db", "desktop.ini"))
"""What systems and viewers leave beside slices, in lower case; so do names that begin with a dot."""


@dataclass(frozen=True, eq=False)
class Member:
    """A file in an archive.

    Args:
        name: Its name without folders.
        load: Unpacks it.
    """

    name: str
    load: Callable[[], bytes]


def is_zip(data: bytes) -> bool:
    """Whether these bytes begin like a ZIP file, one without members included."""
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def open_zip(data: bytes, max_member_bytes: int = MAX_BYTES) -> list[Member]:
    """The members that may be slices, in the archive's order; nothing is unpacked yet.

    Folders are left out and paths are dropped: a member's name is for reading, never for writing.

    Args:
        data: The whole archive.
        max_member_bytes: Largest member, unpacked.

    Raises:
        SliceError: A damaged archive, one of too many or too large members, or an encrypted one.
    """
    # Each entry of the table of contents begins with this mark: counted before zipfile makes an object of each.
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:
        raise SliceError(f"Expected a ZIP file of at most {MAX_MEMBERS:,} files. This one has more. Pack one series.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))  # in memory: there is no file to close
        infos = [info for info in archive.infolist() if not info.is_dir() and not _is_ignored(info.filename)]
    except ARCHIVE_ERRORS as error:
        raise _damaged() from error
    if not infos:
        raise SliceError("Expected a ZIP file of slices. This one holds no files. Pack the files of one series.")
    if any(info.flag_bits & 0x41 for info in infos):  # encrypted, by either method
        raise SliceError("Expected a ZIP file without a password. This one is encrypted. Pack the files without one.")
    total = sum(info.file_size for info in infos)
    if total > MAX_TOTAL_BYTES:
        raise SliceError(
            f"Expected a ZIP file that unpacks to at most {MAX_TOTAL_BYTES // 2**20:,} MiB. This one states "
            f"{total // 2**20:,}. Pack one series."
        )
    return [Member(base_name(info.filename), _loader(archive, info, max_member_bytes)) for info in infos]


def _loader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> Callable[[], bytes]:
    def load() -> bytes:
        if info.file_size > most:
            raise SliceError(
                f"Expected files of at most {most / 2**20:.3g} MiB in the ZIP file. This one unpacks to "
                f"{info.file_size / 2**20:.3g}."
            )
        if info.file_size > max(SMALL, MAX_RATIO * info.compress_size):
            raise SliceError(
                "Expected slices in the ZIP file. This file unpacks to more than "
                f"{MAX_RATIO} times its size, as slices do not."
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # other methods unpack in steps whose size nobody bounds
            raise SliceError(
                "Expected a ZIP file packed by the usual method (Deflate). This one uses another. Pack it again."
            )
        try:
            with archive.open(info) as stream:
                content = stream.read(most + 1)  # never more than the table of contents states
        except (*ARCHIVE_ERRORS, NotImplementedError, zlib.error) as error:
            raise _damaged() from error
        if is_zip(content):
            raise SliceError(
                "Expected slices in the ZIP file. This file is an archive in the archive. Unpack it and pack its "
                "files themselves."
            )
        return content

    return load


def _is_ignored(path: str) -> bool:
    *folders, name = path.replace("\\", "/").split("/")
    return name.lower() in IGNORED or name.startswith(".") or "__MACOSX" in folders


def _damaged() -> SliceError:
    return SliceError("Expected a sound ZIP file. This one is damaged or incomplete. Fetch it or pack it again.")
