"""Whose slices are whose, for predictions in the store: the CSV that training takes, beside the exported results."""

from __future__ import annotations

from pathlib import Path

from covid_core.data.sources import read_table
from covid_core.errors import DatasetError, StoreError

FILE = "patients.csv"


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
    patients: dict[str, dict[str, str]] = {}
    for file in sorted(Path(results_folder).rglob(FILE)):
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
