"""One table as a CSV file, or as numbered parts of one that would grow beyond what version control likes."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from covid_core.errors import StoreError

MOST_BYTES = 16 * 2**20

Columns = dict[str, Callable[[str], Any]]
"""Column name -> how a cell is read; a ValueError says what was expected."""


def write_table(path: Path, frame: pd.DataFrame, most_bytes: int | None = None) -> list[Path]:
    """Write ``frame`` to ``path`` or to parts such as ``predictions-1-of-3.csv``; older ones there are replaced.

    Numbers keep every digit. Each file appears whole or not at all.

    Args:
        path: The file, when nothing is cut.
        frame: The rows.
        most_bytes: Size from which they are cut into parts; None for never.

    Returns:
        The files written.

    Raises:
        OSError: They cannot be written.
    """
    texts = _texts(frame, most_bytes)
    names = [path.name]
    if len(texts) > 1:
        names = [f"{path.stem}-{number}-of-{len(texts)}.csv" for number in range(1, len(texts) + 1)]
    for name, text in zip(names, texts, strict=True):
        part = path.with_name(f"{name}.part")
        part.write_bytes(text)
        part.replace(path.with_name(name))
    for old in [path, *_parts(path)]:  # of an earlier export, longer or shorter than this one
        if old.name not in names:
            old.unlink(missing_ok=True)
    return [path.with_name(name) for name in names]


def _texts(frame: pd.DataFrame, most_bytes: int | None) -> list[bytes]:
    """The rows as CSV, halved until each text is small enough; every text has the header."""
    text = frame.to_csv(index=False, lineterminator="\n").encode()
    if most_bytes is None or len(text) <= most_bytes or len(frame) < 2:
        return [text]
    half = len(frame) // 2
    return _texts(frame[:half], most_bytes) + _texts(frame[half:], most_bytes)


def _parts(path: Path) -> dict[Path, tuple[int, int]]:
    """Every part of ``path`` that lies beside it, with its number and their count."""
    found = {}
    for part in path.parent.glob(f"{path.stem}-*.csv"):
        if match := re.fullmatch(rf"{path.stem}-([0-9]+)-of-([0-9]+)\.csv", part.name):
            found[part] = (int(match[1]), int(match[2]))
    return found


def table_files(path: Path) -> list[Path]:
    """What to read for ``path``: itself, or all its parts in their order.

    Raises:
        StoreError: Parts are missing, or stand beside the whole file.
    """
    parts = _parts(path)
    if not parts:
        return [path]
    ordered = sorted(parts, key=parts.get)
    count = parts[ordered[0]][1]
    if path.exists() or [parts[part] for part in ordered] != [(number + 1, count) for number in range(count)]:
        found = ", ".join(part.name for part in [path] * path.exists() + ordered)
        raise StoreError(
            f"Expected {path}, or all parts of it and nothing else. Received: {found}. Copy what is missing, or export "
            f"the results again into an empty folder."
        )
    return ordered


def table_rows(path: Path, columns: Columns) -> Iterator[tuple[Path, int, list]]:
    """File, line number and parsed cells, in the order of ``columns``, of every record of a file and its parts.

    Raises:
        StoreError: A file is missing or is no such table; the message names file, line and column.
    """
    for file in table_files(path):
        for line, cells in _rows_of(file, columns):
            yield file, line, cells


def table_header(path: Path) -> list[str]:
    """Names of the columns of a table, in their order.

    Raises:
        StoreError: As ``table_rows``.
    """
    with _reading(table_files(path)[0]) as reader:
        return next(reader, [])


def _rows_of(path: Path, columns: Columns) -> Iterator[tuple[int, list]]:
    with _reading(path) as reader:
        header = next(reader, [])
        if sorted(header) != sorted(columns):
            raise StoreError(
                f"{path}, line 1: expected the columns {', '.join(columns)}. "
                f"Received: {', '.join(header) or 'an empty file'}."
            )
        order = [header.index(column) for column in columns]
        parsers = list(columns.values())
        for cells in reader:
            if len(cells) != len(header):
                raise StoreError(
                    f"{path}, line {reader.line_num}: expected {len(header)} cells. Received: {len(cells)}."
                )
            try:
                yield reader.line_num, [parse(cells[at]) for parse, at in zip(parsers, order, strict=True)]
            except ValueError:
                raise _wrong_cell(path, reader.line_num, columns, [cells[at] for at in order]) from None


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    """A ``csv.reader`` of a file; what it raises is a ``StoreError``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets put a byte order mark in front
            yield csv.reader(file, strict=True)
    except FileNotFoundError as error:
        raise StoreError(f"Expected the file {path}. It is not there: export the results again.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"Expected a CSV file in UTF-8 at {path}. It cannot be read: {error}.") from error


def _wrong_cell(path: Path, line: int, columns: Columns, cells: list[str]) -> StoreError:
    for (column, parse), text in zip(columns.items(), cells, strict=True):
        try:
            parse(text)
        except ValueError as error:
            return StoreError(f"{path}, line {line}, column {column}: expected {error}. Received: {text[:80]!r}.")
    raise AssertionError("a cell was refused and then accepted")
