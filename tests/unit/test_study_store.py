"""Measures of slices in the store: each exactly once, a batch whole or not at all, and older stores are taken along."""

from __future__ import annotations

import json
import math
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import EXPERIMENT, fold_result
from made_up_studies import PAIR, STUDY, measures

from covid_core.errors import StoreError
from covid_core.results.store import ResultsStore

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = ["subject", "method", "slice", "measure"]


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


@pytest.fixture
def store(url) -> ResultsStore:
    return ResultsStore(url)


def test_a_study_and_its_measures_come_back_as_they_were(url, store):
    assert store.add_study(STUDY) == STUDY.id
    rows = measures()
    assert store.add_measures(STUDY.id, rows) == 12
    back = ResultsStore(url).measures()
    expected = rows.sort_values(KEY, ignore_index=True).assign(study=STUDY.id)
    pd.testing.assert_frame_equal(back, expected[list(back)], check_exact=True, check_dtype=False)
    assert back["value"].isna().sum() == 1
    study = store.studies().iloc[0]
    assert (study["id"], study["kind"], study["dataset"]) == (STUDY.id, "mask-statistic", "phantom")
    assert json.loads(study["networks"]) == STUDY.networks
    assert pd.isna(study["finished"])
    assert study["measured"] == 12


def test_an_empty_frame_has_the_dtypes_of_a_full_one(store):
    empty = store.studies(), store.measures()
    store.add_study(replace(STUDY, finished="2026-01-01T00:00:00+00:00"))
    store.add_measures(STUDY.id, measures())
    for before, after in zip(empty, (store.studies(), store.measures()), strict=True):
        assert before.empty
        assert before.dtypes.tolist() == after.dtypes.tolist()
        assert list(before) == list(after)


def test_frames_choose(store):
    other = replace(STUDY, kind="evaluation")
    for study in (STUDY, other):
        store.add_study(study)
    store.add_measures(STUDY.id, measures())
    store.add_measures(other.id, measures(2, "VGG16"))
    assert set(store.measures(other.id)["subject"]) == {"VGG16"}
    assert set(store.measures(kind="mask-statistic")["study"]) == {STUDY.id}
    assert store.measures(STUDY.id, "evaluation").empty
    assert store.studies("evaluation")["id"].tolist() == [other.id]
    assert store.measured_slices(STUDY.id, PAIR, "gradcam") == set(measures()["slice"])
    assert store.measured_slices(STUDY.id, PAIR, "saliency") == set()


@pytest.mark.parametrize(
    "change", [{"kind": "b"}, {"dataset_digest": "c"}, {"transform": {}}, {"networks": {}}, {"settings": {}}]
)
def test_what_decides_the_numbers_decides_the_id(change):
    assert replace(STUDY, **change).id != STUDY.id
    assert replace(STUDY, dataset="renamed", finished="now").id == STUDY.id


def test_adding_again_changes_nothing_and_completes_what_is_there(store):
    store.add_study(STUDY)
    store.add_measures(STUDY.id, measures(3))
    before = store.measures()
    revision = store.studies_revision()
    assert store.add_measures(STUDY.id, measures(3).assign(value=9.0)) == 0
    store.add_study(STUDY)
    assert store.studies_revision() == revision
    pd.testing.assert_frame_equal(store.measures(), before)
    assert store.add_measures(STUDY.id, measures(6).assign(value=9.0)) == 6
    assert store.studies()["measured"].item() == len(store.measures()) == 12


def test_many_slices_go_in_at_once(store):
    """More than fit into one query's parameters."""
    store.add_study(STUDY)
    assert store.add_measures(STUDY.id, measures(1201)) == 2402
    assert store.add_measures(STUDY.id, measures(1202)) == 2
    assert len(store.measured_slices(STUDY.id, PAIR, "gradcam")) == 1202


def test_twenty_thousand_measures_stay_small(store, tmp_path):
    """497 slices of one pair with 40 measures."""
    store.add_study(STUDY)
    rows = pd.concat(
        [measures(497).replace({"measure": {"iou": f"m{n}", "base_intensity": f"n{n}"}}) for n in range(20)]
    )
    store.add_measures(STUDY.id, rows)
    assert (tmp_path / "store.sqlite").stat().st_size < 2_600_000


def test_a_study_is_finished_once(store):
    store.add_study(STUDY)
    revision = store.studies_revision()
    store.finish_study(STUDY.id, "2026-01-01T00:00:00+00:00")
    assert store.studies_revision() > revision
    store.finish_study(STUDY.id, "2027-01-01T00:00:00+00:00")
    store.add_study(replace(STUDY, finished="2028-01-01T00:00:00+00:00"))
    assert store.studies()["finished"].tolist() == ["2026-01-01T00:00:00+00:00"]
    with pytest.raises(StoreError, match="add_study"):
        store.finish_study("unknown", "2026-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="label"), "no label"),
        (lambda rows: rows.assign(value=math.inf), "infinite"),
        (lambda rows: rows.assign(label=2), "labels 0 or 1"),
        (lambda rows: pd.concat([rows, rows]), "more than once"),
    ],
)
def test_measures_that_cannot_be_are_refused_with_all_of_their_batch(store, change, message):
    store.add_study(STUDY)
    with pytest.raises(StoreError, match=message):
        store.add_measures(STUDY.id, change(measures()))
    assert store.measures().empty


def test_measures_of_an_unknown_study_are_refused(store):
    with pytest.raises(StoreError, match="add_study"):
        store.add_measures(STUDY.id, measures())
    assert store.measures().empty


def test_threads_that_write_one_study_keep_each_measure_once(url, store):
    store.add_study(STUDY)
    batches = [measures(20, first=first) for first in range(0, 60, 10)] * 3
    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(lambda rows: ResultsStore(url).add_measures(STUDY.id, rows), batches))
    assert sum(written) == len(store.measures()) == store.studies()["measured"].item() == 140


def test_sigkill_leaves_no_half_batch(url, store):
    script = """
import os, sys
sys.path.insert(0, "tests/unit")
from made_up_studies import STUDY, measures
from covid_core.results import study_queries
from covid_core.results.store import ResultsStore
store = ResultsStore(sys.argv[1])
store.add_study(STUDY)
store.add_measures(STUDY.id, measures(3))
original = study_queries.insert_measures
def die(*arguments):
    original(*arguments)
    os.kill(os.getpid(), 9)
study_queries.insert_measures = die
store.add_measures(STUDY.id, measures(6))
"""
    died = subprocess.run(
        [sys.executable, "-c", script, url], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(store.measures()) == 6
    assert store.add_measures(STUDY.id, measures(6)) == 6


# ---------------------------------------------------------------- stores of version 1


def as_version_1(url: str) -> None:
    """What the software before studies left behind: the same tables without the two, and its version."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("DROP TABLE slice_measures")
        connection.execute("DROP TABLE studies")
        connection.execute("UPDATE store_info SET value = '1' WHERE name = 'version'")
    connection.close()


def version(url: str) -> str:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    (value,) = connection.execute("SELECT value FROM store_info WHERE name = 'version'").fetchone()
    connection.close()
    return value


@pytest.fixture
def old(url, store) -> ResultsStore:
    store.add_experiment(EXPERIMENT)
    store.add_folds([fold_result(fold=fold) for fold in (1, 2)])
    as_version_1(url)
    return store


def test_an_older_store_gets_the_tables_and_keeps_what_it_has(url, old):
    before = old.folds(), old.predictions(), old.history(), old.published(), old.revision()
    new = ResultsStore(url)
    assert version(url) == "2"
    for earlier, later in zip(
        before[:4], (new.folds(), new.predictions(), new.history(), new.published()), strict=True
    ):
        pd.testing.assert_frame_equal(earlier, later)
    assert new.revision() == before[4]
    new.add_study(STUDY)
    assert new.add_measures(STUDY.id, measures()) == 12
    assert len(ResultsStore(url).measures()) == 12


def test_an_upgrade_that_dies_leaves_the_older_store(url, old):
    script = """
import os, sys
from covid_core.results import store
original = store._upgrade
def die(connection):
    original(connection)
    os.kill(os.getpid(), 9)
store._upgrade = die
store.ResultsStore(sys.argv[1])
"""
    died = subprocess.run(
        [sys.executable, "-c", script, url], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert version(url) == "1"
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert not tables & {"studies", "slice_measures"}
    assert len(ResultsStore(url).folds()) == 2


def test_many_threads_upgrade_at_once(url, old):
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: ResultsStore(url), range(8)))
    assert all(len(one.folds()) == 2 and one.measures().empty for one in stores)
    assert version(url) == "2"


def test_an_older_store_that_may_only_be_read_says_so(url, old):
    file = url.removeprefix("sqlite:///")
    with pytest.raises(StoreError, match="right to write"):
        ResultsStore(f"sqlite:///file:{file}?mode=ro&uri=true")
    assert version(url) == "1"


def test_the_values_keep_every_bit(store):
    bits = np.random.default_rng(1).integers(1, np.float64(1e300).view(np.int64), 500).view(np.float64)
    store.add_study(STUDY)
    rows = measures(250).assign(value=bits)
    store.add_measures(STUDY.id, rows)
    back = store.measures().set_index(KEY)["value"]
    assert (back.loc[list(rows[KEY].itertuples(index=False, name=None))].to_numpy() == bits).all()
