"""Results leave and enter the store as CSV: four files a folder, readable by anything, fit for version control."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from covid_core.errors import StoreError
from covid_core.results.records import Experiment, FoldResult, Predictions
from covid_core.results.store import KEY, ResultsStore, check_fold


def export_results(store: ResultsStore, folder: Path | str, experiment: str | None = None) -> list[Path]:
    """Write ``experiments.csv``, ``folds.csv``, ``predictions.csv`` and ``history.csv``.

    Numbers keep every digit, and rows their order: the same results give the same bytes. Failed folds are written
    too. Each file appears whole or not at all.

    Args:
        store: Where the results are.
        folder: Made where it is absent; the four files in it are replaced.
        experiment: Only this one; None for all.

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
        return [_write(Path(folder) / name, frame) for name, frame in frames.items()]
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


def open_store(url: str, results_folder: Path | str) -> ResultsStore:
    """The store at ``url``, with the exports under ``results_folder`` in it.

    Args:
        url: As for ``ResultsStore``.
        results_folder: An export, or folders of exports at any depth; may be absent. What is in already costs no more
            than reading ``folds.csv``.

    Raises:
        StoreError: The store cannot be opened, or an export is wrong.
    """
    store = ResultsStore(url)
    for file in sorted(Path(results_folder).rglob("folds.csv")):
        fingerprint = _fingerprint(file.parent)
        if not store.has_import(fingerprint):
            import_results(store, file.parent)
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


def _write(path: Path, frame: pd.DataFrame) -> Path:
    part = path.with_name(f"{path.name}.part")
    frame.to_csv(part, index=False, lineterminator="\n", encoding="utf-8")
    return part.replace(path)


def _experiments(folder: Path) -> dict[str, Experiment]:
    path = folder / "experiments.csv"
    experiments: dict[str, Experiment] = {}
    for line, (id_, dataset, digest, transform, protocol, split) in _rows(path):
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
    for line, (*key, status, seed, tp, fp, tn, fn, auc, seconds, speed, finished, facts, error) in _rows(path):
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
    path = folder / "predictions.csv"
    columns: dict[tuple, tuple[list[str], list[int], list[float]]] = {}
    for line, (*key, slice_, label, probability) in _rows(path):
        slices, labels, probabilities = columns.setdefault(_known(path, line, key, keys), ([], [], []))
        slices.append(slice_)
        labels.append(label)
        probabilities.append(probability)
    return {
        key: Predictions(tuple(slices), np.array(labels, np.int8), np.array(probabilities, np.float32))
        for key, (slices, labels, probabilities) in columns.items()
    }


def _histories(folder: Path, keys: set[tuple]) -> dict[tuple, dict[str, list[float]]]:
    path = folder / "history.csv"
    histories: dict[tuple, dict[str, list[float]]] = {}
    for line, (*key, epoch, metric, value) in _rows(path):
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


def _rows(path: Path) -> Iterator[tuple[int, list]]:
    """Line number and parsed cells, in the order of ``COLUMNS``, of every record of a file."""
    columns = COLUMNS[path.name]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets put a byte order mark in front
            reader = csv.reader(file, strict=True)
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
    except FileNotFoundError as error:
        raise StoreError(f"Expected the file {path}. It is not there: export the results again.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"Expected a CSV file in UTF-8 at {path}. It cannot be read: {error}.") from error


def _wrong_cell(path: Path, line: int, columns: dict[str, Callable], cells: list[str]) -> StoreError:
    for (column, parse), text in zip(columns.items(), cells, strict=True):
        try:
            parse(text)
        except ValueError as error:
            return StoreError(f"{path}, line {line}, column {column}: expected {error}. Received: {text[:80]!r}.")
    raise AssertionError("a cell was refused and then accepted")


def _text(text: str) -> str:
    if not text:
        raise ValueError("a text")
    return text


def _from(lowest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= lowest):
            raise ValueError(f"a whole number from {lowest}")
        return int(text)

    return parse


def _label(text: str) -> int:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return int(text)


def _float(text: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise ValueError("a number, or nothing for NaN") from None


def _amount(text: str) -> float:
    value = _float(text)
    if not 0 <= value < math.inf:
        raise ValueError("a number of 0 or more")
    return value


def _share(text: str) -> float:
    value = _float(text)
    if not (0 <= value <= 1 + 1e-5):  # float32 rounding
        raise ValueError("a number in 0-1")
    return value


def _share_or_nan(text: str) -> float:
    return _share(text) if text else math.nan


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("a JSON object")
    return value


def _fingerprint(folder: Path) -> str:
    """Digest of what tells two exports apart, without reading the large files."""
    digest = hashlib.sha256()
    try:
        for name in ("experiments.csv", "folds.csv"):
            digest.update((folder / name).read_bytes())
        for name in ("predictions.csv", "history.csv"):
            digest.update(f"{name} {(folder / name).stat().st_size}".encode())
    except OSError as error:
        raise StoreError(f"Expected the four files of an export in {folder}: {error}. Export it again.") from error
    return digest.hexdigest()


_FOLD = dict(zip(KEY, (_text, _text, _from(1), _from(1)), strict=True))

COLUMNS: dict[str, dict[str, Callable[[str], Any]]] = {
    "experiments.csv": {
        "id": _text,
        "dataset": str,
        "dataset_digest": _text,
        "transform": _object,
        "protocol": _object,
        "split": _text,
    },
    "folds.csv": {
        **_FOLD,
        "status": _text,
        "seed": _from(0),
        **dict.fromkeys(("tp", "fp", "tn", "fn"), _from(0)),
        "auc": _share_or_nan,
        "seconds": _amount,
        "images_per_second": _amount,
        "finished": _text,
        "facts": _object,
        "error": str,
    },
    "predictions.csv": {**_FOLD, "slice": _text, "label": _label, "probability": _share},
    "history.csv": {**_FOLD, "epoch": _from(1), "metric": _text, "value": _float},
}
"""The columns of each file, and how a cell is read."""
