"""What a data set is, and how the files that a folder, a table or a manifest lists become one."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from covid_core.errors import DatasetError


@dataclass(frozen=True)
class Packing:
    """What packing a data set into one file fixes about its slices.

    Args:
        size: Side of the square slices in pixels.
        interpolation: How they were resized to it.
        codec: How they are compressed, ``"webp"``.
        quality: Of the codec, 0-100, or ``"lossless"``.
        pixels: First 16 hex digits of the SHA-256 over all slices as they are decoded: two packings are the same if
            networks see the same grey values.
    """

    size: int
    interpolation: str
    codec: str
    quality: int | str
    pixels: str

    def transform(self) -> dict[str, Any]:
        """Its part in an experiment's declared transform, beside size and interpolation."""
        return {"codec": self.codec, "quality": self.quality, "pixels": self.pixels}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled slices on disk; no pixel is held here.

    Args:
        name: Short name for people.
        root: Folder that ``paths`` are relative to, or the packed file that holds the slices under these paths.
        paths: ``N`` relative POSIX paths, sorted within the order of classes.
        labels: int64 ``(N,)``, positions in ``classes``.
        classes: Class names; the positive class is the last.
        groups: Patient of each slice, or None where unknown.
        digest: SHA-256 over paths, labels, patients and file contents, hex.
        warnings: What a user should know, such as identical files in two classes.
        packing: How the slices were packed, or None for files as they are.
    """

    name: str
    root: Path
    paths: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: tuple[str, ...] | None
    digest: str
    warnings: tuple[str, ...]
    packing: Packing | None = None

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

    def transform(self, size: int, interpolation: str) -> dict[str, Any]:
        """How its files become what a network sees, as experiments and studies declare it; JSON-ready.

        Args:
            size: Side of the square slices in pixels.
            interpolation: How they are resized to it.
        """
        packing = {"packing": self.packing.transform()} if self.packing else {}
        return {"size": size, "interpolation": interpolation} | packing

    def check_packing(self, size: int, interpolation: str) -> None:
        """Refuse to make slices of another size or interpolation out of packed ones.

        Raises:
            DatasetError: The slices are packed, and otherwise than this.
        """
        packing = self.packing
        if packing is not None and (packing.size, packing.interpolation) != (size, interpolation):
            raise DatasetError(
                f"Expected slices of {size} px by interpolation {interpolation!r}, as the protocol says. Received: "
                f"{self.root.name}, packed at {packing.size} px by {packing.interpolation!r}. Train with "
                f"--size {packing.size}, or pack the data set again: python -m covid_core.data.packed FOLDER FILE.zip "
                f"--size {size}"
            )


@dataclass(frozen=True)
class SourceFile:
    """One slice of a data set, as its folder, table or manifest names it.

    Args:
        path: Relative POSIX path.
        label: Name of its class.
        patient: Its patient, empty where unknown.
        digest: SHA-256 of the file's content, hex.
    """

    path: str
    label: str
    patient: str
    digest: str


def assemble(
    name: str,
    root: Path,
    files: list[SourceFile],
    positive: str = "COVID",
    patients: str | Path | None = None,
    packing: Packing | None = None,
    warnings: tuple[str, ...] = (),
) -> Dataset:
    """A data set of files that somebody has listed: its order, classes, groups and digest follow from them alone.

    Args:
        name: Short name for people.
        root: Where the slices lie.
        files: In any order.
        positive: See ``load_dataset``.
        patients: See ``load_dataset``.
        packing: See ``Dataset``.
        warnings: What was noticed where the files were listed, before those of ``Dataset``.

    Raises:
        DatasetError: Fewer than two classes, no positive class, or slices without a patient.
    """
    names = sorted({file.label for file in files})
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
    files = sorted(files, key=lambda file: (position[file.label], file.path))
    groups = _groups(files, Path(patients) if patients else None)
    whole = hashlib.sha256()
    for file, group in zip(files, groups or [""] * len(files), strict=True):
        whole.update("\0".join((file.path, file.label, group, file.digest, "")).encode())
    return Dataset(
        name=name,
        root=root,
        paths=tuple(file.path for file in files),
        labels=np.array([position[file.label] for file in files], np.int64),
        classes=classes,
        groups=groups,
        digest=whole.hexdigest(),
        warnings=(*warnings, *_duplicate_warnings(files)),
        packing=packing,
    )


def read_table(table: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells by column of every row of a CSV file.

    Raises:
        DatasetError: It cannot be read, lacks one of ``columns``, or has a row without a value for one of them.
    """
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


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, hex.

    Raises:
        DatasetError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(
            f"Expected a readable file. Received: {path}: {error.strerror}. Restore or remove it."
        ) from error


def _groups(files: list[SourceFile], table: Path | None) -> tuple[str, ...] | None:
    known = {file.path: file.patient for file in files if file.patient}
    if table is not None:
        known = {row["path"]: row["patient"] for _, row in read_table(table, ("path", "patient"))}
    if not known:
        return None
    missing = [file.path for file in files if not known.get(file.path)]
    if missing:
        raise DatasetError(
            f"Expected a patient for every slice. Received: none for {len(missing)} of {len(files)}, "
            f"first {missing[0]!r}."
        )
    return tuple(known[file.path] for file in files)


def _duplicate_warnings(files: list[SourceFile]) -> tuple[str, ...]:
    same: dict[str, list[SourceFile]] = defaultdict(list)
    for file in files:
        same[file.digest].append(file)
    warnings = []
    for twins in (group for group in same.values() if len(group) > 1):
        across = len({file.label for file in twins}) > 1
        where = "in different classes: at least one label is wrong" if across else "in one class"
        warnings.append(f"Identical files {where}: {', '.join(file.path for file in twins)}")
    return tuple(warnings)
