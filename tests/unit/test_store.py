"""The store: every fold exactly once, whole or not at all, whoever writes, and plain words when it cannot."""

from __future__ import annotations

import math
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import EXPERIMENT, failure, fold_result
from sqlalchemy.pool import NullPool

from covid_core.errors import StoreError
from covid_core.results.metrics import METRICS, counts, scores
from covid_core.results.published import published_rows
from covid_core.results.records import Experiment, Predictions
from covid_core.results.store import ResultsStore

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'new' / 'folder' / 'store.sqlite'}"


@pytest.fixture
def file(url) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def store(url) -> ResultsStore:
    store = ResultsStore(url)
    store.add_experiment(EXPERIMENT)
    return store


# ---------------------------------------------------------------- what goes in comes out


def test_a_new_store_holds_the_published_rows_and_nothing_else(url):
    store = ResultsStore(url)
    expected = published_rows()
    expected.insert(0, "source", "published")
    pd.testing.assert_frame_equal(store.published()[list(expected)], expected)
    assert sorted(store.published()) == sorted(expected)
    for frame in (store.experiments(), store.folds(), store.predictions(), store.history()):
        assert frame.empty
    assert store.revision() == 0


def test_an_empty_frame_has_the_dtypes_of_a_full_one(store):
    empty = [store.folds(), store.predictions(), store.history()]
    store.add_fold(fold_result())
    for before, after in zip(empty, [store.folds(), store.predictions(), store.history()], strict=True):
        assert [str(dtype) for dtype in before.dtypes] == [str(dtype) for dtype in after.dtypes]
        assert list(before) == list(after)


def test_a_fold_comes_back_as_it_was(url, store):
    result = fold_result()
    assert store.add_fold(result) is True
    store = ResultsStore(url)
    row = store.folds().iloc[0]
    for name in ("experiment", "model", "round", "fold", "status", "seed", "auc", "seconds", "images_per_second"):
        assert row[name] == getattr(result, name)
    assert tuple(row[["tp", "fp", "tn", "fn"]]) == result.counts
    assert {name: row[name] for name in METRICS} == pytest.approx(scores(*result.counts))
    assert row["facts"] == '{"backend": "tensorflow", "device": "CPU"}'
    assert pd.isna(row["error"])
    assert (row["dataset"], row["dataset_digest"], row["size"], row["split"]) == ("phantom", "ab" * 32, 64, "slice")
    assert row["protocol"] == '{"epochs": 2, "folds": 5}'

    predictions = store.predictions()
    assert tuple(predictions["slice"]) == result.predictions.slices
    np.testing.assert_array_equal(predictions["label"], result.predictions.labels)
    np.testing.assert_array_equal(predictions["probability"], result.predictions.probabilities)
    assert predictions["probability"].dtype == np.float32
    assert counts(predictions["label"], predictions["probability"]) == result.counts

    history = store.history()
    assert history["epoch"].tolist() == [1, 1, 2, 2]
    assert history["metric"].tolist() == ["loss", "val_loss"] * 2
    np.testing.assert_array_equal(history["value"], [0.7, 0.8, 0.1 + 0.2, math.nan])


def test_curves_of_different_length_simply_end(store):
    store.add_fold(fold_result(history={"loss": [3.0, 2.0, 1.0], "val_loss": [4.0]}))
    history = store.history()
    assert history.groupby("metric")["value"].apply(list).to_dict() == {"loss": [3, 2, 1], "val_loss": [4]}


def test_frames_choose_and_are_sorted_by_key(store):
    other = Experiment("phantom", "cd" * 32, {"size": 32}, {"epochs": 1})
    store.add_experiment(other)
    keys = [("VGG19", 1, 2), ("VGG16", 2, 1), ("VGG16", 1, 10), ("VGG16", 1, 9)]
    store.add_folds([fold_result(*key, experiment=one) for key in keys for one in (EXPERIMENT, other)])
    store.add_fold(failure(model="VGG19", fold=3))
    columns = ["experiment", "model", "round", "fold"]
    for frame in (store.folds(status=None), store.predictions(), store.history()):
        found = frame[columns].astype({"experiment": "str", "model": "str"}).drop_duplicates()
        pd.testing.assert_frame_equal(found, found.sort_values(columns))
    assert len(store.folds()) == 8
    assert len(store.folds(other.id)) == 4
    assert len(store.folds(EXPERIMENT.id, models=["VGG16"])) == 3
    assert len(store.folds(models=[])) == 0
    assert store.folds(status="failed")["fold"].tolist() == [3]
    assert set(store.predictions(other.id)["experiment"]) == {other.id}
    assert set(store.history(EXPERIMENT.id, "VGG19")["model"]) == {"VGG19"}
    assert store.done_keys(EXPERIMENT.id) == set(keys)


def test_the_same_slices_with_other_labels_stay_apart(store):
    """Test sets are shared between networks by content; sharing by path alone would hand out wrong labels."""
    first = fold_result()
    flipped = Predictions(first.predictions.slices, 1 - first.predictions.labels, first.predictions.probabilities)
    second = fold_result(model="VGG19", predictions=flipped, counts=counts(flipped.labels, flipped.probabilities))
    store.add_folds([first, second, replace(first, model="Xception")])
    for result in (first, second):
        np.testing.assert_array_equal(store.predictions(model=result.model)["label"], result.predictions.labels)


def test_a_million_predictions_stay_small_and_quick_to_read(store, file):
    template = fold_result(slices=500)
    store.add_folds([replace(template, model=f"net{m}", round=r + 1) for m in range(40) for r in range(5)])
    frame = store.predictions()
    assert len(frame) == 100_000
    assert file.stat().st_size < 1_500_000  # a million: under 15 MB
    assert frame.memory_usage(deep=True).sum() < 3_500_000


# ---------------------------------------------------------------- exactly once


def test_adding_twice_changes_nothing(store):
    result = fold_result()
    assert store.add_fold(result) is True
    before = store.folds(), store.predictions(), store.history(), store.revision()
    again = fold_result(auc=0.1, seconds=99.0, history={"loss": [9.0]})
    assert store.add_fold(again) is False
    assert store.add_fold(failure()) is False
    after = store.folds(), store.predictions(), store.history(), store.revision()
    for old, new in zip(before[:3], after[:3], strict=True):
        pd.testing.assert_frame_equal(old, new)
    assert before[3] == after[3]


def test_experiments_are_kept_once_under_their_id(store):
    assert store.add_experiment(EXPERIMENT) == EXPERIMENT.id
    assert store.add_experiment(replace(EXPERIMENT, dataset="renamed")) == EXPERIMENT.id
    assert store.experiments()["id"].tolist() == [EXPERIMENT.id]
    assert store.experiments()["dataset"].tolist() == ["phantom"]


def test_a_failed_fold_gives_way(store):
    assert store.add_fold(failure("first")) is True
    assert store.done_keys(EXPERIMENT.id) == set()
    assert store.folds().empty
    row = store.folds(status="failed").iloc[0]
    assert row["error"] == "first"
    assert row[[*METRICS, "auc"]].isna().all()
    assert store.add_fold(failure("second", finished="2026-01-01T00:00:01+00:00")) is True
    assert store.folds(status=None)["error"].tolist() == ["second"]
    assert store.add_fold(fold_result()) is True
    assert store.folds(status=None)["status"].tolist() == ["done"]
    assert len(store.predictions()) == 40


def test_the_same_failure_is_written_once(store):
    assert store.add_fold(failure()) is True
    assert store.add_fold(failure()) is False


def test_the_revision_grows_even_when_the_last_row_is_replaced(store):
    revisions = [store.revision()]
    for result in (failure("a"), failure("b", finished="2026-01-01T00:00:01+00:00"), fold_result()):
        store.add_fold(result)
        revisions.append(store.revision())
    assert revisions == sorted(set(revisions))


def test_a_huge_error_keeps_its_beginning_and_end(store):
    store.add_fold(failure("first line\n" + "x" * 500_000 + "\nlast line"))
    error = store.folds(status=None)["error"].item()
    assert error.startswith("first line")
    assert error.endswith("last line")
    assert len(error) < 25_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "running"}, "done or failed"),
        ({"round": 0}, "from 1"),
        ({"counts": (1, 1, 1, 1)}, "do not fit"),
        ({"counts": (-1, 0, 1, 0), "predictions": None}, "0 or more"),
        ({"counts": (0, 0, 0, 0), "predictions": None}, "at least one tested slice"),
        ({"status": "failed", "predictions": None}, "no counts"),
        ({"experiment": "0" * 16}, "add_experiment"),
        ({"predictions": Predictions(("a",), np.array([1, 0]), np.array([0.5, 0.5]))}, "1 slices"),
        ({"predictions": Predictions(("a",), np.array([2]), np.array([0.5]))}, "labels 0 or 1"),
        ({"predictions": Predictions(("a",), np.array([1]), np.array([math.nan]))}, "probabilities in 0-1"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused_with_all_of_its_batch(store, changes, message):
    with pytest.raises(StoreError, match=message):
        store.add_folds([fold_result(fold=2), replace(fold_result(), **changes)])
    assert store.folds(status=None).empty
    assert store.revision() == 0


# ---------------------------------------------------------------- several processes, and death

PRELUDE = """
import sys
sys.path.insert(0, "tests/unit")
from made_up_results import EXPERIMENT, fold_result
from covid_core.results.store import ResultsStore
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""


def start(script: str, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", PRELUDE + script, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=REPOSITORY, text=True, **pipes)


def run_together(script: str, *arguments: str, processes: int) -> list[str]:
    """Output of several processes that left ``ready()`` at the same moment."""
    children = [start(script, *arguments, str(number)) for number in range(processes)]
    for child in children:
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    outputs = []
    for child in children:
        output, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors
        outputs.append(output)
    return outputs


def test_processes_that_create_the_store_and_write_at_once_keep_each_fold_once(url):
    script = """
ready()
store = ResultsStore(sys.argv[1])
store.add_experiment(EXPERIMENT)
shared = sum(store.add_fold(fold_result(fold=fold)) for fold in range(1, 21))
own = sum(store.add_fold(fold_result(f"net{sys.argv[2]}", fold=fold)) for fold in range(1, 11))
print(shared, own)
"""
    outputs = run_together(script, url, processes=3)
    shared, own = zip(*(map(int, output.split()) for output in outputs), strict=True)
    assert sum(shared) == 20
    assert own == (10, 10, 10)
    store = ResultsStore(url)
    folds = store.folds(status=None)
    assert len(folds) == 50
    assert not folds.duplicated(["experiment", "model", "round", "fold"]).any()
    assert len(store.predictions()) == folds[["tp", "fp", "tn", "fn"]].sum(axis=None) == 50 * 40
    assert len(store.published()) == 40


def test_many_threads_create_at_once(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        for attempt in range(10):
            url = f"sqlite:///{tmp_path / f'{attempt}.sqlite'}"
            stores = list(pool.map(lambda _, url=url: ResultsStore(url), range(8)))
            assert all(len(store.published()) == 40 for store in stores)


def test_creating_waits_for_another_process_in_the_same_file(tmp_path):
    """Switching on the write-ahead log is where SQLite does not wait by itself."""
    path = tmp_path / "store.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE passing (x)")
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(ResultsStore, f"sqlite:///{path}")
        assert not wait([opening], timeout=0.3).done
        other.execute("ROLLBACK")
        assert len(opening.result(timeout=20).published()) == 40
    other.close()


@pytest.mark.parametrize("moment", ["_insert_test_set", "_insert"])
def test_sigkill_leaves_no_half_fold(url, store, moment):
    """Killed between the fold's row and its predictions, and after both but before the commit."""
    script = f"""
import os
from covid_core.results import store as module
original = module.{moment}
store = ResultsStore(sys.argv[1])
store.add_fold(fold_result(fold=1))
def die(*arguments):
    original(*arguments)
    os.kill(os.getpid(), 9)
module.{moment} = die
store.add_fold(fold_result(fold=2))
"""
    child = start(script, url)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL, errors
    assert store.done_keys(EXPERIMENT.id) == {("VGG16", 1, 1)}
    assert len(store.predictions()) == 40
    assert store.add_fold(fold_result(fold=2)) is True
    assert store.done_keys(EXPERIMENT.id) == {("VGG16", 1, 1), ("VGG16", 1, 2)}
    assert len(store.predictions()) == 80


def test_readers_do_not_wait_for_a_writer_and_a_second_writer_is_told(url, store, file):
    store.add_fold(fold_result())
    impatient = ResultsStore(url, busy_seconds=0.05)
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")  # readers get past this with a write-ahead log only
    assert len(impatient.folds()) == 1
    with pytest.raises(StoreError, match="Another process is writing"):
        impatient.add_fold(fold_result(fold=2))
    writer.close()
    assert impatient.add_fold(fold_result(fold=2)) is True


# ---------------------------------------------------------------- databases that are none


@pytest.mark.parametrize(("version", "message"), [("999", "Update the software"), ("0", "Export it as CSV")])
def test_another_version_is_refused_and_left_alone(url, store, file, version, message):
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE store_info SET value = ?", (version,))
    connection.close()
    with pytest.raises(StoreError, match=message):
        ResultsStore(url)
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT value FROM store_info").fetchone() == (version,)
    connection.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "store.sqlite"
    content = b"This is not a database. " * 100
    path.write_bytes(content)
    with pytest.raises(StoreError, match="move it away"):
        ResultsStore(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_damaged_store_is_refused(url, store, file):
    store.add_folds([fold_result(fold=fold) for fold in range(1, 60)])
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        ResultsStore(url).folds()


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="bookmarks"):
        ResultsStore(f"sqlite:///{path}")
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    connection.close()


def test_an_empty_file_becomes_a_store(tmp_path):
    path = tmp_path / "store.sqlite"
    path.touch()
    assert len(ResultsStore(f"sqlite:///{path}").published()) == 40


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="may be read and written"):
        ResultsStore(f"sqlite:///{tmp_path}")


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(StoreError, match="Cannot make the folder"):
        ResultsStore(f"sqlite:///{tmp_path / 'results' / 'store.sqlite'}")


def test_a_store_that_may_only_be_read_can_be_read_and_says_why_it_cannot_be_written(store, file):
    store.add_fold(fold_result())
    readonly = ResultsStore(f"sqlite:///file:{file}?mode=ro&uri=true")
    assert len(readonly.folds()) == 1
    with pytest.raises(StoreError, match="right to write"):
        readonly.add_fold(fold_result(fold=2))


@pytest.mark.parametrize(
    "url",
    ["", "results.sqlite", "nonsense://host/db", "sqlite://", "sqlite:///:memory:", "postgresql+none://u:secret@h/d"],
)
def test_urls_that_cannot_work_are_refused_without_showing_the_password(url):
    with pytest.raises(StoreError, match="Expected") as caught:
        ResultsStore(url)
    assert "secret" not in str(caught.value)


def test_messages_name_the_store(url, store, file):
    file.write_bytes(b"gone" * 2000)
    with pytest.raises(StoreError, match=r"store\.sqlite"):
        store.folds()


def test_no_connection_stays_open(store):
    """A connection kept over a fork, or in another thread, would corrupt or lock the file."""
    assert isinstance(store._database._engine.pool, NullPool)
