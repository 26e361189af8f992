"""Tables of the results store.

A million predictions stay small because networks of one experiment share their test folds: the slices and labels of a
test fold are kept once, under the digest of their content, and a fold keeps four bytes a slice.

Version 2 added ``studies`` and ``slice_measures`` to version 1, and changed nothing else.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from covid_core.results.metrics import METRICS

VERSION = 2
"""Raised whenever a table below changes; a store remembers the version that created it."""

OLDEST_VERSION = 1
"""Stores from this version on become stores of ``VERSION`` by the tables that they lack."""

metadata = MetaData()

store_info = Table(
    "store_info",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String(64), nullable=False),
)

published = Table(
    "published",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("source", String(32), nullable=False),
    Column("model", String(64), nullable=False, unique=True),
    Column("backbone", String(64), nullable=False),
    Column("variant", String(32), nullable=False),
    Column("family", String(32), nullable=False),
    Column("parameters_millions", Float(53), nullable=False),
    *(Column(f"{metric}{suffix}", Float(53), nullable=False) for metric in METRICS for suffix in ("", "_pm")),
)

experiments = Table(
    "experiments",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("dataset", String(255), nullable=False),
    Column("dataset_digest", String(64), nullable=False),
    Column("transform", Text, nullable=False),  # JSON
    Column("protocol", Text, nullable=False),  # JSON
    Column("split", String(32), nullable=False),
)

folds = Table(
    "folds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("experiment", ForeignKey(experiments.c.id), nullable=False),
    Column("model", String(64), nullable=False),
    Column("round", Integer, nullable=False),
    Column("fold", Integer, nullable=False),
    Column("status", String(8), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("tp", Integer, nullable=False),
    Column("fp", Integer, nullable=False),
    Column("tn", Integer, nullable=False),
    Column("fn", Integer, nullable=False),
    Column("auc", Float(53)),  # NULL is NaN
    Column("seconds", Float(53), nullable=False),
    Column("images_per_second", Float(53), nullable=False),
    Column("finished", String(40), nullable=False),
    Column("facts", Text, nullable=False),  # JSON
    Column("error", Text),
    UniqueConstraint("experiment", "model", "round", "fold"),
    # Numbers are never given twice, so the highest one tells whether anything was added.
    sqlite_autoincrement=True,
)

test_sets = Table(
    "test_sets",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("slices", Text, nullable=False),  # JSON list of paths
    Column("labels", LargeBinary, nullable=False),  # int8 (N,)
)

predictions = Table(
    "predictions",
    metadata,
    Column("fold_id", ForeignKey(folds.c.id, ondelete="CASCADE"), primary_key=True),
    Column("test_set", ForeignKey(test_sets.c.digest), nullable=False),
    Column("probabilities", LargeBinary, nullable=False),  # little-endian float32 (N,)
)

histories = Table(
    "histories",
    metadata,
    Column("fold_id", ForeignKey(folds.c.id, ondelete="CASCADE"), primary_key=True),
    Column("curves", Text, nullable=False),  # JSON: metric -> one number an epoch
)

imports = Table(
    "imports",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
)

studies = Table(
    "studies",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("dataset", String(255), nullable=False),
    Column("dataset_digest", String(64), nullable=False),
    Column("transform", Text, nullable=False),  # JSON
    Column("networks", Text, nullable=False),  # JSON: network -> what its weights are
    Column("settings", Text, nullable=False),  # JSON
    Column("finished", String(40)),  # NULL: slices are missing
    Column("measured", Integer, nullable=False),  # rows in slice_measures, counted as they are written
)

slice_measures = Table(
    "slice_measures",
    metadata,
    Column("study", ForeignKey(studies.c.id, ondelete="CASCADE"), primary_key=True),
    Column("subject", String(160), primary_key=True),
    Column("method", String(32), primary_key=True),
    Column("slice", String(512), primary_key=True),
    Column("measure", String(64), primary_key=True),
    Column("label", Integer, nullable=False),
    Column("value", Float(53)),  # NULL is NaN
    sqlite_with_rowid=False,  # the key is most of a row: kept once, not a second time in an index
)
