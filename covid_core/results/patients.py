"""Whose slices are whose, for predictions in the store: the CSV that training takes, beside the exported results.

Where patients are not known, a CSV of groups that are taken for patients can stand there, as
``python -m covid_core.data.grouping`` writes it; it serves scores by patient, which then say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from covid_core.data.sources import read_table
from covid_core.errors import DatasetError, StoreError
from covid_core.results.csv_files import write_table

FILE = "patients.csv"
GROUPS_FILE = "groups.csv"


@dataclass(frozen=True)
class Grouping:
    """Which slices of a data set are taken for one patient's.

    Args:
        level: ``"patient"`` where patients are known, ``"group"`` where they are guessed or otherwise listed.
        of_slice: Path of a slice -> its patient or group.
    """

    level: str
    of_slice: Mapping[str, str]


def known_groupings(results_folder: Path | str) -> dict[str, Grouping]:
    """Patients of every data set that a ``patients.csv`` stands for; else its groups, where a ``groups.csv`` does.

    Args:
        results_folder: As for ``known_patients``; both files have the columns ``path`` and ``patient``.

    Returns:
        Digest of the data set -> its grouping.

    Raises:
        StoreError: A file cannot be read or lacks a column.
    """
    return {
        digest: Grouping(level, of_slice)
        for level, file in (("group", GROUPS_FILE), ("patient", FILE))
        for digest, of_slice in _tables(results_folder, file).items()
    }


def write_grouping(folder: Path | str, grouping: Grouping) -> Path:
    """Write the file that ``known_groupings`` reads, beside an export.

    Returns:
        The file written.

    Raises:
        StoreError: It cannot be written.
    """
    path = Path(folder) / (FILE if grouping.level == "patient" else GROUPS_FILE)
    frame = pd.DataFrame({"path": list(grouping.of_slice), "patient": list(grouping.of_slice.values())})
    try:
        return write_table(path, frame)[0]
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error}. Name a folder that can be written.") from error


def known_patients(results_folder: Path | str) -> dict[str, dict[str, str]]:
    """Patients of every data set that a ``patients.csv`` stands for.

    Such a file has the columns ``path`` and ``patient``, like the one for ``train_all.py --patients`` and the manifest
    of a generated data set. It counts for the data sets of the ``experiments.csv`` that lies beside it.

    Args:
        results_folder: Exports at any depth; may be absent.

    Returns:
        Digest of the data set -> path of a slice -> its patient.

    Raises:
        StoreError: A file cannot be read or lacks a column.
    """
    return _tables(results_folder, FILE)


def _tables(results_folder: Path | str, name: str) -> dict[str, dict[str, str]]:
    patients: dict[str, dict[str, str]] = {}
    for file in sorted(Path(results_folder).rglob(name)):
        experiments = file.with_name("experiments.csv")
        if not experiments.is_file():
            continue
        try:
            of_slice = {row["path"]: row["patient"] for _, row in read_table(file, ("path", "patient"))}
            digests = {row["dataset_digest"] for _, row in read_table(experiments, ("dataset_digest",))}
        except DatasetError as error:
            raise StoreError(str(error)) from error
        patients |= dict.fromkeys(digests, of_slice)
    return patients
