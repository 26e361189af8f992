"""Every fold ever trained and every slice ever measured, in one database that several processes may write at once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, func, inspect, select

from covid_core.errors import StoreError
from covid_core.results import schema, study_queries
from covid_core.results.database import Database
from covid_core.results.metrics import METRICS, scores
from covid_core.results.published import published_rows
from covid_core.results.records import Experiment, FoldResult, Predictions, Study

DEFAULT_URL = "sqlite:///results/store.sqlite"
STATUSES = ("done", "failed")
KEY = ["experiment", "model", "round", "fold"]
"""Columns that name one fold; every frame starts with them and is sorted by them."""


class ResultsStore:
    """Experiments, folds, predictions, learning curves, studies of maps and the published rows.

    A store of version 1 becomes one of version 2 when it is opened.

    Args:
        url: SQLAlchemy URL. A SQLite file and its folder are made where they are absent; other databases must exist,
            be empty, and have their driver installed.
        busy_seconds: How long to wait for another process that is writing to a SQLite file.

    Raises:
        StoreError: The database cannot be opened, is no results store, or was made by another version of this
            software. Every method raises it as well when reading or writing fails.
    """

    def __init__(self, url: str = DEFAULT_URL, busy_seconds: float = 30.0):
        self._database = Database(url, busy_seconds)
        if not self._is_store():
            self._database.use_write_ahead_log()
            self._database.write(_create)
            self._is_store()

    def add_experiment(self, experiment: Experiment) -> str:
        """Remember ``experiment``; nothing happens if it is known.

        Returns:
            Its id.
        """
        row = {
            "id": experiment.id,
            "dataset": experiment.dataset,
            "dataset_digest": experiment.dataset_digest,
            "transform": _json(experiment.transform),
            "protocol": _json(experiment.protocol),
            "split": experiment.split,
        }

        def write(connection: Connection) -> None:
            known = select(schema.experiments.c.id).where(schema.experiments.c.id == experiment.id)
            if connection.execute(known).first() is None:
                connection.execute(schema.experiments.insert().values(row))

        self._database.write(write)
        return experiment.id

    def add_fold(self, result: FoldResult) -> bool:
        """Write one fold with its predictions and learning curve, all or nothing.

        A fold that is done stays as it is; one that failed gives way to the new result, unless that is the same
        failure again.

        Returns:
            Whether the result was written.

        Raises:
            StoreError: The result contradicts itself, or its experiment is unknown.
        """
        return self.add_folds([result]) == 1

    def add_folds(self, results: Iterable[FoldResult]) -> int:
        """``add_fold`` for many, in one transaction: if one is refused, none is written.

        Returns:
            How many were written.
        """
        results = list(results)
        for result in results:
            check_fold(result)
        return self._database.write(lambda connection: sum(_insert(connection, result) for result in results))

    def note_import(self, fingerprint: str) -> None:
        """Remember that results with this ``fingerprint`` are in."""

        def write(connection: Connection) -> None:
            if connection.execute(_import(fingerprint)).first() is None:
                connection.execute(schema.imports.insert().values(fingerprint=fingerprint))

        self._database.write(write)

    def has_import(self, fingerprint: str) -> bool:
        """Whether ``note_import`` was called with this ``fingerprint``."""
        return bool(self._database.rows(_import(fingerprint)))

    def revision(self) -> int:
        """A number that grows with every fold written: cheap to ask, fit as a cache key."""
        return self._database.rows(select(func.coalesce(func.max(schema.folds.c.id), 0)))[0][0]

    def done_keys(self, experiment_id: str) -> set[tuple[str, int, int]]:
        """``(model, round, fold)`` of every finished fold of an experiment."""
        folds = schema.folds.c
        wanted = (folds.experiment == experiment_id) & (folds.status == "done")
        return {tuple(row) for row in self._database.rows(select(folds.model, folds.round, folds.fold).where(wanted))}

    def experiments(self) -> pd.DataFrame:
        """One row an experiment, sorted by ``id``.

        Returns:
            ``id``, ``dataset``, ``dataset_digest``, ``transform`` and ``protocol`` (JSON), ``split``.
        """
        return self._database.frame(select(schema.experiments).order_by(schema.experiments.c.id))

    def folds(
        self, experiment: str | None = None, models: Iterable[str] | None = None, status: str | None = "done"
    ) -> pd.DataFrame:
        """One row a fold, without predictions and learning curve, sorted by its key.

        Args:
            experiment: Only this one; None for all.
            models: Only these; None for all.
            status: ``"done"``, ``"failed"``, or None for both.

        Returns:
            ``experiment``, ``model``, ``round``, ``fold``, ``status``, ``seed``, ``tp``, ``fp``, ``tn``, ``fn``, the
            five ``METRICS`` (NaN where a fold failed), ``auc``, ``seconds``, ``images_per_second``, ``finished``,
            ``facts`` (JSON), ``error``, and of the experiment ``dataset``, ``dataset_digest``, ``size`` (pixels,
            nullable), ``transform`` and ``protocol`` (JSON), ``split``.
        """
        folds, experiments = schema.folds.c, schema.experiments.c
        columns = [column for column in folds if column is not folds.id]
        described = [column for column in experiments if column is not experiments.id]
        query = _of_fold(select(*columns, *described).select_from(schema.folds.join(schema.experiments)), experiment)
        if models is not None:
            query = query.where(folds.model.in_(list(models)))
        if status is not None:
            query = query.where(folds.status == status)
        frame = self._database.frame(query)
        at = frame.columns.get_loc("auc")
        measured = scores(frame["tp"], frame["fp"], frame["tn"], frame["fn"])
        for offset, metric in enumerate(METRICS):
            frame.insert(at + offset, metric, measured[metric])
        sizes = {text: whole_number(json.loads(text).get("size")) for text in frame["transform"].unique()}
        frame.insert(frame.columns.get_loc("transform"), "size", frame["transform"].map(sizes).astype("Int64"))
        return frame

    def predictions(self, experiment: str | None = None, model: str | Collection[str] | None = None) -> pd.DataFrame:
        """One row a test prediction, in the order of the folds' keys and of each test fold.

        Args:
            experiment: Only this one; None for all.
            model: Only this one, or only these; None for all. Several at once are read faster than one by one.

        Returns:
            ``experiment``, ``model``, ``round``, ``fold``, ``slice``, ``label`` (int8), ``probability`` (float32).
            The texts are categorical, which keeps a million rows within tens of megabytes.
        """
        joined = select(*_KEY_COLUMNS, schema.predictions.c.test_set, schema.predictions.c.probabilities).select_from(
            schema.folds.join(schema.predictions)
        )
        query = _of_fold(joined, experiment, model)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
            digests = select(query.subquery().c.test_set)
            used = select(schema.test_sets).where(schema.test_sets.c.digest.in_(digests))
            sets = connection.execute(used.order_by(schema.test_sets.c.digest)).all()
        number: dict[str, int] = {}
        codes, labels = {}, {}
        for test_set in sets:
            codes[test_set.digest] = np.array(
                [number.setdefault(path, len(number)) for path in json.loads(test_set.slices)], dtype=np.int32
            )
            labels[test_set.digest] = np.frombuffer(test_set.labels, dtype=np.int8)
        lengths = [len(codes[row.test_set]) for row in rows]
        probabilities = np.frombuffer(b"".join(row.probabilities for row in rows), dtype="<f4")
        slices = np.concatenate([codes[row.test_set] for row in rows] or [np.empty(0, np.int32)])
        return pd.DataFrame(
            {
                "experiment": _repeated_text([row.experiment for row in rows], lengths),
                "model": _repeated_text([row.model for row in rows], lengths),
                "round": np.repeat(np.array([row.round for row in rows], dtype=np.int64), lengths),
                "fold": np.repeat(np.array([row.fold for row in rows], dtype=np.int64), lengths),
                "slice": pd.Categorical.from_codes(slices, pd.Index(list(number), dtype="str")),
                "label": np.concatenate([labels[row.test_set] for row in rows] or [np.empty(0, np.int8)]),
                "probability": probabilities.astype(np.float32),
            }
        )

    def history(self, experiment: str | None = None, model: str | None = None) -> pd.DataFrame:
        """Learning curves, one row a number.

        Args:
            experiment: Only this one; None for all.
            model: Only this one; None for all.

        Returns:
            ``experiment``, ``model``, ``round``, ``fold``, ``epoch`` (from 1), ``metric``, ``value`` (NaN where
            training diverged), sorted in this order of columns.
        """
        joined = select(*_KEY_COLUMNS, schema.histories.c.curves).select_from(schema.folds.join(schema.histories))
        rows = [
            (*key, epoch, metric, value)
            for *key, curves in self._database.rows(_of_fold(joined, experiment, model))
            for epoch, values in _by_epoch(json.loads(curves))
            for metric, value in values
        ]
        frame = pd.DataFrame(rows, columns=[*KEY, "epoch", "metric", "value"])
        return frame.astype(
            {"experiment": "str", "model": "str", "round": int, "fold": int, "epoch": int, "metric": "str"}
            | {"value": float}
        )

    def add_study(self, study: Study) -> str:
        """Remember ``study``; of one that is known, only the time when it was finished is taken over if it has none.

        Returns:
            Its id.
        """
        self._database.write(lambda connection: study_queries.insert_study(connection, study))
        return study.id

    def finish_study(self, study_id: str, finished: str) -> None:
        """Note that all slices of a study are measured; the first time noted stays.

        Raises:
            StoreError: The study is unknown.
        """
        self._database.write(lambda connection: study_queries.finish(connection, study_id, finished))

    def add_measures(self, study_id: str, measures: pd.DataFrame) -> int:
        """Write measures of slices, all or nothing; those that are there already stay as they are.

        Args:
            study_id: ``Study.id``; the study must be in the store.
            measures: Columns ``subject`` (a network, or a pair such as ``"VGG16 / Modified-VGG16"``), ``method``
                (``"gradcam"``, …), ``slice`` (path in the data set), ``label`` (1 for the positive class, 0 for every
                other), ``measure`` (name) and ``value`` (float; NaN where it is not defined); others are ignored.

        Returns:
            How many rows were written.

        Raises:
            StoreError: The study is unknown, a column is missing, an infinite value, or a row that stands there twice.
        """
        rows = study_queries.checked_measures(measures)
        return self._database.write(lambda connection: study_queries.insert_measures(connection, study_id, rows))

    def studies(self, kind: str | None = None) -> pd.DataFrame:
        """One row a study, sorted by ``id``.

        Args:
            kind: Only this one; None for all.

        Returns:
            ``id``, ``kind``, ``dataset``, ``dataset_digest``, ``transform``, ``networks`` and ``settings`` (JSON),
            ``finished`` (missing as long as slices are), ``measured`` (number of measures).
        """
        return self._database.frame(study_queries.studies_query(kind))

    def measures(self, study_id: str | None = None, kind: str | None = None) -> pd.DataFrame:
        """One row a measure of a slice, sorted by the columns in their order.

        Args:
            study_id: Only this study; None for all.
            kind: Only studies of this kind; None for all.

        Returns:
            ``study``, ``subject``, ``method``, ``slice``, ``measure``, ``label`` (0 or 1), ``value`` (NaN where it is
            not defined).
        """
        return self._database.frame(study_queries.measures_query(study_id, kind))

    def measured_slices(self, study_id: str, subject: str, method: str) -> set[str]:
        """Slices of which a study has a measure: what a study that was stopped need not do again."""
        rows = self._database.rows(study_queries.slices_query(study_id, subject, method))
        return {row.slice for row in rows}

    def studies_revision(self) -> int:
        """A number that changes with everything written about studies: cheap to ask, fit as a cache key."""
        return self._database.rows(study_queries.REVISION)[0][0]

    def published(self) -> pd.DataFrame:
        """The published rows as ``published.published_rows`` gives them, after a column ``source``: ``"published"``."""
        frame = self._database.frame(select(schema.published).order_by(schema.published.c.position))
        return frame.drop(columns="position")

    def _is_store(self) -> bool:
        """Whether the store exists and is of this version; False for an empty database.

        Raises:
            StoreError: It holds something else, or another version.
        """
        place = self._database.place
        with self._database.reading() as connection:
            tables = inspect(connection).get_table_names()
            if not tables:
                return False
            if schema.store_info.name not in tables:
                raise StoreError(
                    f"Expected a results store or an empty database at {place}. Received: a database with other "
                    f"tables ({', '.join(sorted(tables)[:5])}). Name another file or database."
                )
            query = select(schema.store_info.c.value).where(schema.store_info.c.name == "version")
            version = int(connection.execute(query).scalar_one())
        if version > schema.VERSION:
            raise StoreError(
                f"The results store at {place} was made by a newer version of this software (store version "
                f"{version}; this one reads {schema.VERSION}). Update the software, or name another store."
            )
        if version < schema.OLDEST_VERSION:
            raise StoreError(
                f"The results store at {place} has version {version}; this software reads {schema.VERSION}. "
                "Export it as CSV with the version that made it, and import the CSV into a new store."
            )
        if version < schema.VERSION:
            self._database.write(_upgrade)
        return True


_KEY_COLUMNS = tuple(schema.folds.c[name] for name in KEY)


def _create(connection: Connection) -> None:
    """Tables, version and published rows in an empty database, unless another process was faster."""
    if inspect(connection).has_table(schema.store_info.name):
        return
    schema.metadata.create_all(connection)
    connection.execute(schema.store_info.insert().values(name="version", value=str(schema.VERSION)))
    rows = published_rows().assign(source="published").rename_axis("position").reset_index()
    connection.execute(schema.published.insert(), rows.to_dict("records"))


def _upgrade(connection: Connection) -> None:
    """The tables that an older store lacks, and the version, unless another process was faster."""
    schema.metadata.create_all(connection)
    info = schema.store_info
    connection.execute(info.update().where(info.c.name == "version").values(value=str(schema.VERSION)))


def _of_fold(query: Select, experiment: str | None, model: str | Collection[str] | None = None) -> Select:
    if experiment is not None:
        query = query.where(schema.folds.c.experiment == experiment)
    if model is not None:
        query = query.where(schema.folds.c.model.in_([model] if isinstance(model, str) else list(model)))
    return query.order_by(*_KEY_COLUMNS)


def _import(fingerprint: str) -> Select:
    return select(schema.imports.c.fingerprint).where(schema.imports.c.fingerprint == fingerprint)


def whole_number(value: Any) -> int | None:
    """``value`` if it is one: experiments imported from elsewhere may declare something else, or nothing."""
    return value if isinstance(value, int) else None


def check_fold(result: FoldResult) -> None:
    """Refuse what would make every later average wrong.

    Raises:
        StoreError: Status, round, fold, counts and predictions do not fit together.
    """
    name = "/".join(map(str, result.key))
    if result.status not in STATUSES:
        raise StoreError(f"Fold {name}: expected status {' or '.join(STATUSES)}. Received: {result.status!r}.")
    if result.round < 1 or result.fold < 1:
        raise StoreError(f"Fold {name}: expected a round and a fold counted from 1.")
    if min(result.counts) < 0:
        raise StoreError(f"Fold {name}: expected counts of 0 or more. Received: {result.counts}.")
    tp, fp, tn, fn = result.counts
    if result.status == "done" and tp + fp + tn + fn == 0:
        raise StoreError(f"Fold {name}: expected at least one tested slice in a fold that is done.")
    if result.status == "failed" and any(result.counts):
        raise StoreError(f"Fold {name}: expected no counts in a fold that failed. Received: {result.counts}.")
    if result.predictions is None:
        return
    slices, labels, probabilities = _arrays(result.predictions)
    if not len(slices) == len(labels) == len(probabilities):
        raise StoreError(
            f"Fold {name}: expected one slice, label and probability a prediction. Received: {len(slices)} slices, "
            f"{len(labels)} labels, {len(probabilities)} probabilities."
        )
    # A float32 softmax may round to a hair above 1.
    if not (np.isin(labels, (0, 1)) & (probabilities >= 0) & (probabilities <= 1 + 1e-5)).all():
        raise StoreError(f"Fold {name}: expected labels 0 or 1 and probabilities in 0-1.")
    if (tp + fn, fp + tn) != (int((labels == 1).sum()), int((labels == 0).sum())):
        raise StoreError(
            f"Fold {name}: counts {result.counts} (tp, fp, tn, fn) do not fit its {int((labels == 1).sum())} positive "
            f"and {int((labels == 0).sum())} negative predictions."
        )


def _arrays(predictions: Predictions) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Slices, int8 labels and little-endian float32 probabilities."""
    return (
        tuple(predictions.slices),
        np.asarray(predictions.labels, dtype=np.int8),
        np.asarray(predictions.probabilities, dtype="<f4"),
    )


def _insert(connection: Connection, result: FoldResult) -> bool:
    table = schema.folds
    experiment, model, round_, fold = result.key
    key = (table.c.experiment == experiment) & (table.c.model == model)
    key &= (table.c.round == round_) & (table.c.fold == fold)
    known = connection.execute(select(table.c.id, table.c.status, table.c.finished).where(key)).first()
    if known is not None and (known.status == "done" or (result.status, result.finished) == known[1:]):
        return False
    if known is not None:
        connection.execute(table.delete().where(table.c.id == known.id))
    row = {
        **dict(zip(KEY, result.key, strict=True)),
        "status": result.status,
        "seed": int(result.seed),
        **dict(zip(("tp", "fp", "tn", "fn"), map(int, result.counts), strict=True)),
        "auc": None if math.isnan(result.auc) else float(result.auc),
        "seconds": float(result.seconds),
        "images_per_second": float(result.images_per_second),
        "finished": result.finished,
        "facts": _json(result.facts),
        "error": _shortened(result.error),
    }
    fold_id = connection.execute(table.insert().values(row)).inserted_primary_key[0]
    if result.history:
        curves = {metric: [float(value) for value in values] for metric, values in result.history.items()}
        connection.execute(schema.histories.insert().values(fold_id=fold_id, curves=_json(curves)))
    if result.predictions is not None:
        slices, labels, probabilities = _arrays(result.predictions)
        digest = _insert_test_set(connection, slices, labels)
        values = {"fold_id": fold_id, "test_set": digest, "probabilities": probabilities.tobytes()}
        connection.execute(schema.predictions.insert().values(values))
    return True


def _insert_test_set(connection: Connection, slices: tuple[str, ...], labels: np.ndarray) -> str:
    text = json.dumps(slices)
    digest = hashlib.sha256(text.encode() + labels.tobytes()).hexdigest()
    known = select(schema.test_sets.c.digest).where(schema.test_sets.c.digest == digest)
    if connection.execute(known).first() is None:
        row = {"digest": digest, "slices": text, "labels": labels.tobytes()}
        connection.execute(schema.test_sets.insert().values(row))
    return digest


def _shortened(error: str | None, half: int = 10_000) -> str | None:
    """Compilers put whole programs into their messages; beginning and end say what happened."""
    if error is None or len(error) <= 2 * half:
        return error
    return f"{error[:half]}\n[...]\n{error[-half:]}"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


def _by_epoch(curves: dict[str, list[float]]) -> Iterator[tuple[int, list[tuple[str, float]]]]:
    """Epoch and its ``(metric, value)`` pairs; a curve that is shorter than others simply ends."""
    for epoch in range(max(map(len, curves.values()), default=0)):
        yield epoch + 1, [(metric, curves[metric][epoch]) for metric in sorted(curves) if epoch < len(curves[metric])]


def _repeated_text(values: list[str], lengths: list[int]) -> pd.Categorical:
    categories = sorted(set(values))
    code = {text: position for position, text in enumerate(categories)}
    codes = np.repeat(np.array([code[value] for value in values], dtype=np.int32), lengths)
    return pd.Categorical.from_codes(codes, pd.Index(categories, dtype="str"))
