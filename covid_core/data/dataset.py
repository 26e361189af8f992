"""A folder of class folders, or a table of paths, as a data set."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from covid_core.errors import DatasetError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled slices on disk; no pixel is held here.

    Args:
        name: Short name for people.
        root: Folder that ``paths`` are relative to.
        paths: ``N`` relative POSIX paths, sorted within the order of classes.
        labels: int64 ``(N,)``, positions in ``classes``.
        classes: Class names; the positive class is the last.
        groups: Patient of each slice, or None where unknown.
        digest: SHA-256 over paths, labels, patients and file contents, hex.
        warnings: What a user should know, such as identical files in two classes.
    """

    name: str
    root: Path
    paths: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None
    digest: str
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def positive(self) -> int:
        """Position of the positive class."""
        return len(self.classes) - 1

    @property
    def binary_labels(self) -> np.ndarray:
        """int8 ``(N,)``: 1 for the positive class, 0 for every other."""
        return (self.labels == self.positive).astype(np.int8)


def load_dataset(root: str | Path, positive: str = "COVID", patients: str | Path | None = None) -> Dataset:
    """Lists and checks a data set.

    Args:
        root: Folder with two or more class folders of PNG, JPEG or TIFF slices (the Kaggle download as it is), or a
            CSV file with the columns ``path``, ``label`` and optionally ``patient``, paths relative to the file.
        positive: Name of the positive class, in any case.
        patients: CSV with the columns ``path`` and ``patient`` for a folder that has no patient ids itself.

    Raises:
        DatasetError: Nothing there, fewer than two classes, no positive class, or a file or table that is not readable.
    """
    root = Path(root)
    if root.is_dir():
        folder, rows = root, _rows_of_folder(root)
    elif root.is_file() and root.suffix.lower() == ".csv":
        folder, rows = root.parent, _rows_of_table(root)
    else:
        raise DatasetError(
            f"Expected a folder with one folder for each class, or a CSV file with paths and labels. "
            f"Received: {root}, which is {'another kind of file' if root.exists() else 'not there'}."
        )
    names = sorted({label for _, label, _ in rows})
    if len(names) < 2:
        raise DatasetError(
            f"Expected two classes or more in {root}. Received: {f'only {names[0]!r}' if names else 'no slices'}. "
            f"Put the slices of each class into a folder of its own, such as COVID and non-COVID."
        )
    last = [name for name in names if name.lower() == positive.lower()]
    if not last:
        raise DatasetError(
            f"Expected a class named {positive!r}. Received: {', '.join(names)}. "
            f"Name the positive class, --positive NAME."
        )
    classes = (*(name for name in names if name != last[0]), last[0])
    position = {name: number for number, name in enumerate(classes)}
    rows.sort(key=lambda row: (position[row[1]], row[0]))
    groups = _groups(rows, Path(patients) if patients else None)
    digests = [_file_digest(folder / path) for path, _, _ in rows]
    whole = hashlib.sha256()
    for (path, label, _), group, digest in zip(rows, groups or [""] * len(rows), digests, strict=True):
        whole.update("\0".join((path, label, group, digest, "")).encode())
    return Dataset(
        name=root.stem if root.is_file() else root.resolve().name,
        root=folder,
        paths=tuple(path for path, _, _ in rows),
        labels=np.array([position[label] for _, label, _ in rows], np.int64),
        classes=classes,
        groups=groups,
        digest=whole.hexdigest(),
        warnings=_duplicate_warnings(rows, digests),
    )


def _rows_of_folder(root: Path) -> list[tuple[str, str, str]]:
    rows = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        pictures = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
        names = (path.name for path in pictures if not path.name.startswith("."))
        rows += [(f"{folder.name}/{name}", folder.name, "") for name in names]
    return rows


def _rows_of_table(table: Path) -> list[tuple[str, str, str]]:
    rows = []
    for number, row in _read_csv(table, ("path", "label")):
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


def _groups(rows: list[tuple[str, str, str]], table: Path | None) -> tuple[str, ...] | None:
    known = {path: patient for path, _, patient in rows if patient}
    if table is not None:
        known = {row["path"]: row["patient"] for _, row in _read_csv(table, ("path", "patient"))}
    if not known:
        return None
    missing = [path for path, _, _ in rows if not known.get(path)]
    if missing:
        raise DatasetError(
            f"Expected a patient for every slice. Received: none for {len(missing)} of {len(rows)}, "
            f"first {missing[0]!r}."
        )
    return tuple(known[path] for path, _, _ in rows)


def _read_csv(table: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            if not set(columns) <= set(header):
                raise DatasetError(
                    f"Expected the columns {', '.join(columns)} in {table}. Received: {', '.join(header)}."
                )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"Expected a readable CSV file in UTF-8. Received: {table}: {error}") from error
    short = next((number for number, row in rows if not all(row[column] for column in columns)), None)
    if short is not None:
        raise DatasetError(f"Expected a value for each of {', '.join(columns)} in {table}. Line {short} lacks one.")
    return rows


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(
            f"Expected a readable file. Received: {path}: {error.strerror}. Restore or remove it."
        ) from error


def _duplicate_warnings(rows: list[tuple[str, str, str]], digests: list[str]) -> tuple[str, ...]:
    same: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for row, digest in zip(rows, digests, strict=True):
        same[digest].append(row)
    warnings = []
    for twins in (group for group in same.values() if len(group) > 1):
        across = len({label for _, label, _ in twins}) > 1
        where = "in different classes: at least one label is wrong" if across else "in one class"
        warnings.append(f"Identical files {where}: {', '.join(path for path, _, _ in twins)}")
    return tuple(warnings)
