"""ZIP files whose members are stored as they are: the same content gives the same bytes, whenever it is written."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

# What zipfile raises for damage of any kind: RuntimeError for encryption and for compression that is not built in,
# ValueError for names that are no UTF-8.
ARCHIVE_ERRORS = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error)

_MOMENT = (1980, 1, 1, 0, 0, 0)  # ZIP's first


def write_archive(file: BinaryIO | Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Writes ``members``, each a name and its content, in their order.

    Raises:
        OSError: The file cannot be written.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, _MOMENT)
            info.create_system, info.external_attr = 3, 0o644 << 16  # as on Unix, wherever it is written
            archive.writestr(info, data)


def is_stored(member: zipfile.ZipInfo) -> bool:
    """Whether a member takes as many bytes when it is read as it takes in the file: no bomb."""
    return member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size
