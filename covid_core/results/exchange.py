"""Folds leave and enter the store as CSV: four files a folder, readable by anything, fit for version control.

The two long files are cut where they would grow beyond 16 MiB: ``predictions-1-of-3.csv`` and so on. Studies of maps
have files of their own, in the same folder or another: ``study_exchange``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from covid_core.errors import StoreError
from covid_core.results.cells import COLUMNS
from covid_core.results.csv_files import MOST_BYTES, table_files, table_rows, write_table
from covid_core.results.records import Experiment, FoldResult, Predictions
from covid_core.results.store import ResultsStore, check_fold
from covid_core.results.study_exchange import fingerprint_of_studies, import_studies

LONG_FILES = ("predictions.csv", "history.csv")


def export_results(
    store: ResultsStore, folder: Path | str, experiment: str | None = None, most_bytes: int = MOST_BYTES
) -> list[Path]:
    """Write ``experiments.csv``, ``folds.csv``, ``predictions.csv`` and ``history.csv``.

    Numbers keep every digit, and rows their order: the same results give the same bytes. Failed folds are written
    too. Each file appears whole or not at all.

    Args:
        store: Where the results are.
        folder: Made where it is absent; the four files in it are replaced.
        experiment: Only this one; None for all.
        most_bytes: Size from which the files of predictions and of learning curves are cut into parts.

    Returns:
        The files written.

    Raises:
        StoreError: The experiment is unknown, or a file cannot be written.
    """
    frames = _snapshot(store, experiment)
    if experiment is not None and frames["experiments.csv"].empty:
        known = ", ".join(store.experiments()["id"]) or "none"
        raise StoreError(f"Expected the id of an experiment in the store ({known}). Received: {experiment!r}.")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return [
            path
            for name, frame in frames.items()
            for path in write_table(Path(folder) / name, frame, most_bytes if name in LONG_FILES else None)
        ]
    except OSError as error:
        raise StoreError(f"Cannot write results to {folder}: {error}. Name a folder that can be written.") from error


def import_results(store: ResultsStore, folder: Path | str) -> int:
    """Read the four files that ``export_results`` writes, and add what the store does not have.

    Everything is checked before anything is written. Networks outside the zoo are welcome.

    Args:
        store: Where to add them.
        folder: Holds the four files.

    Returns:
        How many folds were added; 0 if all were there.

    Raises:
        StoreError: A file is missing or wrong; the message names file, line and column.
    """
    folder = Path(folder)
    experiments = _experiments(folder)
    results = _results(folder, experiments)
    for experiment in experiments.values():
        store.add_experiment(experiment)
    return store.add_folds(results)


def has_folds(folder: Path | str) -> bool:
    """Whether ``export_results`` wrote into ``folder``."""
    return any((Path(folder) / name).is_file() for name in ("experiments.csv", "folds.csv"))


def open_store(url: str, results_folder: Path | str) -> ResultsStore:
    """The store at ``url``, with the exports under ``results_folder`` in it.

    Args:
        url: As for ``ResultsStore``.
        results_folder: An export of folds, of studies or of both, or folders of exports at any depth; may be absent.
            What is in already costs no more than reading ``folds.csv`` and ``studies.csv``.

    Raises:
        StoreError: The store cannot be opened, or an export is wrong.
    """
    store = ResultsStore(url)
    for file in sorted(Path(results_folder).rglob("folds.csv")):
        fingerprint = _fingerprint(file.parent)
        if not store.has_import(fingerprint):
            import_results(store, file.parent)
            store.note_import(fingerprint)
    for file in sorted(Path(results_folder).rglob("studies.csv")):
        fingerprint = fingerprint_of_studies(file.parent)
        if not store.has_import(fingerprint):
            import_studies(store, file.parent)
            store.note_import(fingerprint)
    return store


def _snapshot(store: ResultsStore, experiment: str | None) -> dict[str, pd.DataFrame]:
    """File name to frame, all of one moment: read again if a campaign has written a fold meanwhile."""
    while True:
        revision = store.revision()
        experiments = store.experiments()
        frames = {
            "experiments.csv": experiments if experiment is None else experiments[experiments["id"] == experiment],
            "folds.csv": store.folds(experiment, status=None),
            "predictions.csv": store.predictions(experiment),
            "history.csv": store.history(experiment),
        }
        if store.revision() == revision:
            return {name: frame[list(COLUMNS[name])] for name, frame in frames.items()}


def _experiments(folder: Path) -> dict[str, Experiment]:
    experiments: dict[str, Experiment] = {}
    for path, line, (id_, dataset, digest, transform, protocol, split) in _rows(folder, "experiments.csv"):
        experiment = Experiment(dataset, digest, transform, protocol, split)
        if experiment.id != id_:
            raise StoreError(
                f"{path}, line {line}, column id: expected {experiment.id}, which follows from the other columns. "
                f"Received: {id_}. Was the line edited? Export the results again."
            )
        if id_ in experiments:
            raise StoreError(f"{path}, line {line}: experiment {id_} stands here twice. Remove one of the lines.")
        experiments[id_] = experiment
    return experiments


def _results(folder: Path, experiments: dict[str, Experiment]) -> list[FoldResult]:
    path = folder / "folds.csv"
    rows: dict[tuple, tuple[int, list]] = {}
    for _, line, cells in _rows(folder, path.name):
        *key, status, seed, tp, fp, tn, fn, auc, seconds, speed, finished, facts, error = cells
        if key[0] not in experiments:
            raise StoreError(
                f"{path}, line {line}, column experiment: expected an id from experiments.csv. Received: {key[0]}."
            )
        if tuple(key) in rows:
            raise StoreError(f"{path}, line {line}: fold {_name(key)} stands here twice. Remove one of the lines.")
        rows[tuple(key)] = line, [status, seed, finished, (tp, fp, tn, fn), auc, seconds, speed, facts, error]
    predictions, histories = _predictions(folder, set(rows)), _histories(folder, set(rows))
    results = []
    for key, (line, (status, seed, finished, counts, auc, seconds, speed, facts, error)) in rows.items():
        result = FoldResult(
            *key,
            status=status,
            seed=seed,
            finished=finished,
            counts=counts,
            auc=auc,
            predictions=predictions.get(key),
            history=histories.get(key, {}),
            seconds=seconds,
            images_per_second=speed,
            facts=facts,
            error=error or None,
        )
        try:
            check_fold(result)
        except StoreError as problem:
            raise StoreError(f"{path}, line {line}: {problem}") from problem
        results.append(result)
    return results


def _predictions(folder: Path, keys: set[tuple]) -> dict[tuple, Predictions]:
    columns: dict[tuple, tuple[list[str], list[int], list[float]]] = {}
    for path, line, (*key, slice_, label, probability) in _rows(folder, "predictions.csv"):
        slices, labels, probabilities = columns.setdefault(_known(path, line, key, keys), ([], [], []))
        slices.append(slice_)
        labels.append(label)
        probabilities.append(probability)
    return {
        key: Predictions(tuple(slices), np.array(labels, np.int8), np.array(probabilities, np.float32))
        for key, (slices, labels, probabilities) in columns.items()
    }


def _histories(folder: Path, keys: set[tuple]) -> dict[tuple, dict[str, list[float]]]:
    histories: dict[tuple, dict[str, list[float]]] = {}
    for path, line, (*key, epoch, metric, value) in _rows(folder, "history.csv"):
        curve = histories.setdefault(_known(path, line, key, keys), {}).setdefault(metric, [])
        if epoch != len(curve) + 1:
            raise StoreError(
                f"{path}, line {line}, column epoch: expected {len(curve) + 1}, the next epoch of {metric} in fold "
                f"{_name(key)}. Received: {epoch}."
            )
        curve.append(value)
    return histories


def _known(path: Path, line: int, key: list, keys: set[tuple]) -> tuple:
    if tuple(key) not in keys:
        raise StoreError(f"{path}, line {line}: fold {_name(key)} is not in folds.csv. Export the results again.")
    return tuple(key)


def _name(key: list) -> str:
    return "/".join(map(str, key))


def _rows(folder: Path, name: str) -> Iterator[tuple[Path, int, list]]:
    return table_rows(folder / name, COLUMNS[name])


def _fingerprint(folder: Path) -> str:
    """Digest of what tells two exports apart, without reading the large files."""
    digest = hashlib.sha256()
    try:
        for name in ("experiments.csv", "folds.csv"):
            digest.update((folder / name).read_bytes())
        for file in (file for name in LONG_FILES for file in table_files(folder / name)):
            digest.update(f"{file.name} {file.stat().st_size}".encode())
    except OSError as error:
        raise StoreError(f"Expected the four files of an export in {folder}: {error}. Export it again.") from error
    return digest.hexdigest()
