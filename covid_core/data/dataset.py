"""A folder of class folders, a table of paths, or a packed file, as a data set."""

from __future__ import annotations

from pathlib import Path

from covid_core.data.packfile import load_packed
from covid_core.data.sources import Dataset, SourceFile, assemble, file_digest, read_table
from covid_core.errors import DatasetError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


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
    elif root.is_file() and root.suffix.lower() == ".csv":
        folder, rows = root.parent, _rows_of_table(root)
    elif root.is_file() and root.suffix.lower() == ".zip":
        return load_packed(root, positive, patients)
    else:
        raise DatasetError(
            f"Expected a folder with one folder for each class, a CSV file with paths and labels, or a packed data "
            f"set (.zip). Received: {root}, which is {'another kind of file' if root.exists() else 'not there'}."
        )
    files = [SourceFile(path, label, patient, file_digest(folder / path)) for path, label, patient in rows]
    name = root.stem if root.is_file() else root.resolve().name
    return assemble(name, folder, files, positive, patients)


def _rows_of_folder(root: Path) -> list[tuple[str, str, str]]:
    rows = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        pictures = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
        names = (path.name for path in pictures if not path.name.startswith("."))
        rows += [(f"{folder.name}/{name}", folder.name, "") for name in names]
    return rows


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
