"""A folder of class folders, a table of paths, or a packed file, as a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from covid_core.data.packfile import load_packed
from covid_core.data.sources import Dataset, SourceFile, assemble, file_digest, read_table
from covid_core.errors import DatasetError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")

SYSTEM_FILES = ("thumbs.db", "desktop.ini")
"""What a system leaves in folders that it has shown."""


def load_dataset(root: str | Path, positive: str = "COVID", patients: str | Path | None = None) -> Dataset:
    """Lists and checks a data set.

    Args:
        root: Folder with two or more class folders of PNG, JPEG or TIFF slices (the Kaggle download as it is), a
            CSV file with the columns ``path``, ``label`` and optionally ``patient``, paths relative to the file, or a
            file that ``data.packed`` made of one of these.
        positive: Name of the positive class, in any case.
        patients: CSV with the columns ``path`` and ``patient`` for a data set that has no patient ids itself.

    Raises:
        DatasetError: Nothing there, fewer than two classes, no positive class, or a file or table that is not readable.
    """
    root = Path(root)
    if root.is_dir():
        folder, rows = root, _rows_of_folder(root)
        warnings = _left_out(root, rows)
    elif root.is_file() and root.suffix.lower() == ".csv":
        folder, rows, warnings = root.parent, _rows_of_table(root), ()
    elif root.is_file() and root.suffix.lower() == ".zip":
        return load_packed(root, positive, patients)
    else:
        raise DatasetError(
            f"Expected a folder with one folder for each class, a CSV file with paths and labels, or a packed data "
            f"set (.zip). Received: {root}, which is {'another kind of file' if root.exists() else 'not there'}."
        )
    files = [SourceFile(path, label, patient, file_digest(folder / path)) for path, label, patient in rows]
    name = root.stem if root.is_file() else root.resolve().name
    return assemble(name, folder, files, positive, patients, warnings=warnings)


def _rows_of_folder(root: Path) -> list[tuple[str, str, str]]:
    pictures = (path for path in _visible(root) if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    return [(f"{path.parent.name}/{path.name}", path.parent.name, "") for path in pictures]


def _left_out(root: Path, rows: list[tuple[str, str, str]]) -> tuple[str, ...]:
    """A warning of what lies beside the slices of classes and is none, as an export in another format would."""
    classes = {label for _, label, _ in rows}
    others = sorted(
        path.relative_to(root).as_posix()
        for path in _visible(root)
        if path.parent.name in classes and (path.is_dir() or path.suffix.lower() not in PICTURE_SUFFIXES)
    )
    if not others:
        return ()
    count = f"{len(others)} files or folders" if len(others) > 1 else "1 file or folder"
    return (
        f"Left out of the class folders: {count}, first {others[0]!r}. Slices are read from "
        f"{', '.join(PICTURE_SUFFIXES)}; convert what belongs to the data set.",
    )


def _visible(root: Path) -> Iterator[Path]:
    """What the class folders hold; names that begin with a dot belong to the system."""
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        yield from (
            path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower() not in SYSTEM_FILES
        )


def _rows_of_table(table: Path) -> list[tuple[str, str, str]]:
    rows = []
    for number, row in read_table(table, ("path", "label")):
        path = Path(row["path"])
        if path.is_absolute() or ".." in path.parts:
            raise DatasetError(
                f"Expected a path below the table's folder in {table.name}, line {number}. Received: {row['path']!r}."
            )
        rows.append((path.as_posix(), row["label"], row.get("patient") or ""))
    paths = [path for path, _, _ in rows]
    twice = next((path for path in paths if paths.count(path) > 1), None) if len(set(paths)) < len(paths) else None
    if twice:
        raise DatasetError(f"Expected each path once in {table.name}. Received: {twice!r} more than once.")
    return rows
