"""Studies of maps leave and enter the store as CSV: ``studies.csv`` and ``measures.csv``.

They may lie beside the four files of folds or alone. The long one is cut into parts as those are. It has one row a
slice and a column for each measure: ``nan`` where a measure is not defined, nothing where it was not taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from covid_core.errors import StoreError
from covid_core.results.cells import MEASURED_SLICE, STUDY, measure
from covid_core.results.csv_files import MOST_BYTES, table_files, table_header, table_rows, write_table
from covid_core.results.records import Study
from covid_core.results.store import ResultsStore


def export_studies(
    store: ResultsStore, folder: Path | str, study_id: str | Collection[str] | None = None, most_bytes: int = MOST_BYTES
) -> list[Path]:
    """Write ``studies.csv`` and ``measures.csv``.

    Numbers keep every digit, and rows their order: the same results give the same bytes.

    Args:
        store: Where the studies are.
        folder: Made where it is absent; the two files in it are replaced, others stay.
        study_id: Only this one, or these; None for all.
        most_bytes: Size from which the file of measures is cut into parts.

    Returns:
        The files written.

    Raises:
        StoreError: The study is unknown, or a file cannot be written.
    """
    ids = [study_id] if isinstance(study_id, str) else study_id
    studies, measures = _snapshot(store, ids)
    missing = sorted(set(ids or ()) - set(studies["id"]))
    if missing:
        known = ", ".join(store.studies()["id"]) or "none"
        raise StoreError(f"Expected the id of a study in the store ({known}). Received: {', '.join(missing)}.")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            *write_table(folder / "studies.csv", studies[list(STUDY)]),
            *write_table(folder / "measures.csv", _wide(measures), most_bytes),
        ]
    except OSError as error:
        raise StoreError(f"Cannot write studies to {folder}: {error}. Name a folder that can be written.") from error


def import_studies(store: ResultsStore, folder: Path | str) -> int:
    """Read what ``export_studies`` writes, and add what the store does not have.

    Everything is checked before anything is written; a study is written in one transaction.

    Args:
        store: Where to add them.
        folder: Holds the two files.

    Returns:
        How many measures were added; 0 if all were there.

    Raises:
        StoreError: A file is missing or wrong; the message names file, line and column.
    """
    folder = Path(folder)
    studies = _studies(folder)
    measures = _measures(folder, set(studies))
    added = 0
    for study in studies.values():
        store.add_study(Study(**{**vars(study), "finished": None}))
        if study.id in measures:
            added += store.add_measures(study.id, measures[study.id])
        if study.finished:  # only now: a study counts as finished when its measures are in
            store.finish_study(study.id, study.finished)
    return added


def has_studies(folder: Path | str) -> bool:
    """Whether ``export_studies`` wrote into ``folder``."""
    return (Path(folder) / "studies.csv").is_file()


def fingerprint_of_studies(folder: Path) -> str:
    """Digest of what tells two exports apart, without reading the long file.

    Raises:
        StoreError: A file is missing.
    """
    digest = hashlib.sha256()
    try:
        digest.update((folder / "studies.csv").read_bytes())
        for file in table_files(folder / "measures.csv"):
            digest.update(f"{file.name} {file.stat().st_size}".encode())
    except OSError as error:
        raise StoreError(f"Expected studies.csv and measures.csv in {folder}: {error}. Export them again.") from error
    return digest.hexdigest()


def _snapshot(store: ResultsStore, ids: Collection[str] | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both frames of one moment: read again if something was measured meanwhile."""
    while True:
        revision = store.studies_revision()
        studies = store.studies()
        if ids is not None:
            studies = studies[studies["id"].isin(ids)]
        parts = [store.measures(study) for study in studies["id"]] or [store.measures("")]
        if store.studies_revision() == revision:
            return studies, pd.concat(parts, ignore_index=True)


def _studies(folder: Path) -> dict[str, Study]:
    studies: dict[str, Study] = {}
    rows = table_rows(folder / "studies.csv", STUDY)
    for path, line, (id_, *fields, finished) in rows:
        study = Study(*fields, finished=finished or None)
        if study.id != id_:
            raise StoreError(
                f"{path}, line {line}, column id: expected {study.id}, which follows from the other columns. "
                f"Received: {id_}. Was the line edited? Export the studies again."
            )
        if id_ in studies:
            raise StoreError(f"{path}, line {line}: study {id_} stands here twice. Remove one of the lines.")
        studies[id_] = study
    return studies


def _wide(measures: pd.DataFrame) -> pd.DataFrame:
    """One row a slice, all cells texts."""
    texts = measures.assign(value=[repr(value) for value in measures["value"].tolist()])
    table = texts.pivot(index=list(MEASURED_SLICE), columns="measure", values="value").fillna("")
    return table.rename_axis(columns=None).reset_index()


def _measures(folder: Path, known: set[str]) -> dict[str, pd.DataFrame]:
    """Study -> its measures as ``ResultsStore.add_measures`` takes them."""
    path = folder / "measures.csv"
    names = [name for name in table_header(path) if name not in MEASURED_SLICE]
    seen: set[tuple[str, ...]] = set()
    rows = []
    for file, line, cells in table_rows(path, MEASURED_SLICE | dict.fromkeys(names, measure)):
        study, *key = cells[: len(MEASURED_SLICE) - 1]
        if study not in known:
            raise StoreError(f"{file}, line {line}, column study: expected an id from studies.csv. Received: {study}.")
        if (study, *key) in seen:
            raise StoreError(f"{file}, line {line}: {' / '.join(key)} stands here twice. Remove one of the lines.")
        seen.add((study, *key))
        rows.append(cells)
    # as objects: a column of floats would turn what was not taken into NaN
    table = pd.DataFrame(rows, columns=[*MEASURED_SLICE, *names], dtype=object)
    long = table.melt(list(MEASURED_SLICE), var_name="measure")
    taken = long[[value is not None for value in long["value"]]]
    return {str(study): group for study, group in taken.groupby("study")}
