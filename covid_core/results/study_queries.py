"""How studies and their measures lie in the store."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, func, select

from covid_core.errors import StoreError
from covid_core.results import schema
from covid_core.results.records import Study

KEY = ["subject", "method", "slice", "measure"]
"""Columns that name one measure within a study."""

COLUMNS = [*KEY, "label", "value"]

# each of the three only grows
REVISION = select(
    func.coalesce(func.sum(schema.studies.c.measured), 0)
    + func.count(schema.studies.c.id)
    + func.count(schema.studies.c.finished)
)

_SLICES_A_QUERY = 500


def studies_query(kind: str | None) -> Select:
    """All studies, or those of one kind."""
    query = select(schema.studies).order_by(schema.studies.c.id)
    return query if kind is None else query.where(schema.studies.c.kind == kind)


def measures_query(study_id: str | None, kind: str | None) -> Select:
    """All measures, or those of one study or one kind of study."""
    table = schema.slice_measures.c
    columns = [table.study, *(table[name] for name in COLUMNS)]
    query = select(*columns).order_by(table.study, *(table[name] for name in KEY))
    if study_id is not None:
        query = query.where(table.study == study_id)
    if kind is not None:
        query = query.where(table.study.in_(select(schema.studies.c.id).where(schema.studies.c.kind == kind)))
    return query


def slices_query(study_id: str, subject: str, method: str) -> Select:
    """Slices that have a measure."""
    table = schema.slice_measures.c
    wanted = (table.study == study_id) & (table.subject == subject) & (table.method == method)
    return select(table.slice).where(wanted).distinct()


def insert_study(connection: Connection, study: Study) -> None:
    """``ResultsStore.add_study``."""
    if connection.execute(select(schema.studies.c.id).where(schema.studies.c.id == study.id)).first() is None:
        row = {
            "id": study.id,
            "kind": study.kind,
            "dataset": study.dataset,
            "dataset_digest": study.dataset_digest,
            "transform": _json(study.transform),
            "networks": _json(study.networks),
            "settings": _json(study.settings),
            "finished": study.finished,
            "measured": 0,
        }
        connection.execute(schema.studies.insert().values(row))
    elif study.finished is not None:
        finish(connection, study.id, study.finished)


def finish(connection: Connection, study_id: str, finished: str) -> None:
    """``ResultsStore.finish_study``."""
    studies = schema.studies
    first = func.coalesce(studies.c.finished, finished)
    changed = connection.execute(studies.update().where(studies.c.id == study_id).values(finished=first))
    if not changed.rowcount:
        raise _unknown(study_id)


def checked_measures(measures: pd.DataFrame) -> pd.DataFrame:
    """The columns that the table has, in its dtypes.

    Raises:
        StoreError: As ``ResultsStore.add_measures``.
    """
    missing = [name for name in COLUMNS if name not in measures]
    if missing:
        raise StoreError(f"Expected measures with the columns {', '.join(COLUMNS)}. Received: no {', '.join(missing)}.")
    rows = measures[COLUMNS].astype(dict.fromkeys(KEY, "str"))
    rows["value"] = rows["value"].astype("float64")
    if np.isinf(rows["value"]).any():
        worst = rows[np.isinf(rows["value"])].iloc[0]
        raise StoreError(
            f"Expected finite measures, or NaN. Received: {worst['measure']} of {worst['slice']} infinite."
        )
    if not rows["label"].isin((0, 1)).all():
        raise StoreError("Expected labels 0 or 1 with the measures: 1 is the positive class, 0 every other.")
    if rows.duplicated(KEY).any():
        twice = rows[rows.duplicated(KEY)].iloc[0]
        raise StoreError(f"Expected each measure once. Received: {'/'.join(twice[KEY])} more than once.")
    return rows.astype({"label": "int64"})


def insert_measures(connection: Connection, study_id: str, rows: pd.DataFrame) -> int:
    """``ResultsStore.add_measures`` for rows that were checked."""
    table, studies = schema.slice_measures, schema.studies
    # Changes nothing, but keeps a second writer of this study waiting in databases that let several write.
    held = studies.update().where(studies.c.id == study_id).values(measured=studies.c.measured)
    if not connection.execute(held).rowcount:
        raise _unknown(study_id)
    written = 0
    for part in _parts(rows):
        columns = {name: part[name].tolist() for name in COLUMNS}  # lists: going through a column of texts is slow
        wanted = (table.c.study == study_id) & (table.c.subject == columns["subject"][0])
        wanted &= (table.c.method == columns["method"][0]) & table.c.slice.in_(list(dict.fromkeys(columns["slice"])))
        known = {tuple(row) for row in connection.execute(select(table.c.slice, table.c.measure).where(wanted))}
        keys = zip(columns["slice"], columns["measure"], strict=True)
        rows_of_part = zip(*columns.values(), strict=True)
        new = [_row(study_id, row) for key, row in zip(keys, rows_of_part, strict=True) if key not in known]
        if new:
            connection.execute(table.insert(), new)
        written += len(new)
    connection.execute(held.values(measured=studies.c.measured + written))
    return written


def _parts(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Rows of one subject and method, of so few slices that a database takes all of them in one query."""
    for _, group in rows.groupby(["subject", "method"], sort=False):
        number = pd.factorize(group["slice"])[0] // _SLICES_A_QUERY
        for one in range(number.max() + 1):
            yield group[number == one]


def _row(study_id: str, values: tuple) -> dict[str, Any]:
    row = {"study": study_id, **dict(zip(COLUMNS, values, strict=True))}
    return row | {"value": None if math.isnan(row["value"]) else row["value"]}


def _unknown(study_id: str) -> StoreError:
    return StoreError(
        f"Expected the id of a study in the store. Received: {study_id!r}. Add it with add_study() first."
    )


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)
