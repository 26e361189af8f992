"""Results survive the way through CSV digit by digit, and wrong files are named down to the cell."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import EXPERIMENT, failure, fold_result

from covid_core.errors import StoreError
from covid_core.results import __main__ as import_command
from covid_core.results.exchange import COLUMNS, export_results, import_results, open_store
from covid_core.results.records import Experiment, Predictions
from covid_core.results.store import ResultsStore

OTHER = Experiment(
    'häuser, "quoted"', "cd" * 32, {"size": 32, "scale": 0.1 + 0.2}, {"epochs": 1, "rate": 1e-3}, "group"
)
TRACEBACK = 'Traceback:\n  File "a.py", line 3\r\n\tValueError: "größer", 1,5\n'


@pytest.fixture
def store(tmp_path) -> ResultsStore:
    """Two experiments, two networks, a failure, an unusual number in every column that can hold one."""
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.add_experiment(EXPERIMENT)
    store.add_experiment(OTHER)
    store.add_folds([fold_result(model, 1, fold) for model in ("VGG16", "My own network") for fold in (1, 2, 10)])
    store.add_fold(failure(TRACEBACK, model="VGG19"))
    random = np.random.default_rng(3)
    bits = random.integers(0, np.float32(1).view(np.uint32), 1000, dtype=np.uint32)  # every magnitude down to 1e-45
    hard = Predictions(
        tuple(f'COVID/ä, "{number}".png' for number in range(1000)), np.ones(1000, np.int8), bits.view(np.float32)
    )
    tp = int((hard.probabilities >= 0.5).sum())
    store.add_fold(
        fold_result(
            experiment=OTHER,
            predictions=hard,
            counts=(tp, 0, 0, 1000 - tp),
            auc=math.nan,
            seconds=1 / 3,
            history={"loss": list(random.random(50)), "diverged": [1.0, math.inf, math.nan]},
        )
    )
    return store


@pytest.fixture
def export(store, tmp_path) -> Path:
    export_results(store, tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def empty(tmp_path) -> ResultsStore:
    return ResultsStore(f"sqlite:///{tmp_path / 'empty.sqlite'}")


def everything(store: ResultsStore) -> list[pd.DataFrame]:
    return [store.experiments(), store.folds(status=None), store.predictions(), store.history()]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_round_trip_is_exact(store, export, empty):
    assert import_results(empty, export) == 8
    for before, after in zip(everything(store), everything(empty), strict=True):
        pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_an_export_of_the_import_has_the_same_bytes(store, export, empty, tmp_path):
    import_results(empty, export)
    export_results(empty, tmp_path / "again")
    assert content(tmp_path / "again") == content(export)
    assert sorted(content(export)) == sorted(COLUMNS)


def test_bytes_do_not_depend_on_the_order_of_writing(store, export, empty, tmp_path):
    for experiment in (OTHER, EXPERIMENT):
        empty.add_experiment(experiment)
    empty.add_fold(failure(TRACEBACK, model="VGG19"))
    empty.add_folds([fold_result(model, 1, fold) for fold in (10, 1, 2) for model in ("My own network", "VGG16")])
    for each, folder in ((store, "one"), (empty, "two")):
        export_results(each, tmp_path / folder, EXPERIMENT.id)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_importing_again_adds_nothing(store, export):
    before = store.revision()
    assert import_results(store, export) == 0
    assert store.revision() == before


def test_importing_completes_what_is_there(export, empty):
    empty.add_experiment(EXPERIMENT)
    kept = fold_result("VGG16", 1, 1, auc=0.123)
    empty.add_folds([kept, failure(model="VGG16", fold=2)])
    assert import_results(empty, export) == 7
    folds = empty.folds(EXPERIMENT.id, models=["VGG16"])
    assert folds["auc"].tolist() == [0.123, 0.75, 0.75]


def test_one_experiment_can_be_exported_alone(store, empty, tmp_path):
    export_results(store, tmp_path / "one", OTHER.id)
    import_results(empty, tmp_path / "one")
    assert empty.experiments()["id"].tolist() == [OTHER.id]
    assert len(empty.folds(status=None)) == 1
    assert len(empty.predictions()) == 1000


def test_an_unknown_experiment_is_refused(store, tmp_path):
    with pytest.raises(StoreError, match=EXPERIMENT.id):
        export_results(store, tmp_path / "one", "no such id")
    assert not (tmp_path / "one").exists()


def test_an_empty_store_exports_four_headers_that_import(empty, tmp_path):
    export_results(empty, tmp_path / "none")
    assert [len(text.splitlines()) for text in content(tmp_path / "none").values()] == [1] * 4
    assert import_results(empty, tmp_path / "none") == 0


def test_a_folder_that_cannot_be_written(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can be written"):
        export_results(store, tmp_path / "file" / "export")


def test_a_fold_written_during_the_export_does_not_tear_it(store, tmp_path, empty):
    """The folds are read before the predictions; one that arrives in between must be in both or in neither."""

    class Busy:
        def __init__(self):
            self.late = [fold_result("Xception", 1, 1)]

        def __getattr__(self, name):
            return getattr(store, name)

        def predictions(self, experiment):
            while self.late:
                store.add_fold(self.late.pop())
            return store.predictions(experiment)

    export_results(Busy(), tmp_path / "export")
    assert import_results(empty, tmp_path / "export") == 9


# ---------------------------------------------------------------- wrong files


def edit(path: Path, row: int, column: str, value: str) -> None:
    """Replace one cell; ``row`` counts from 0 below the header."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[row, column] = value
    table.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("name", "column", "value", "message"),
    [
        ("experiments.csv", "id", "", "a text"),
        ("experiments.csv", "protocol", "{", "a JSON object"),
        ("experiments.csv", "transform", "[1]", "a JSON object"),
        ("experiments.csv", "id", "0" * 16, "follows from the other columns"),
        ("folds.csv", "experiment", "0" * 16, "an id from experiments.csv"),
        ("folds.csv", "round", "0", "a whole number from 1"),
        ("folds.csv", "fold", "1.0", "a whole number from 1"),
        ("folds.csv", "seed", "seven", "a whole number from 0"),
        ("folds.csv", "tp", "-1", "a whole number from 0"),
        ("folds.csv", "auc", "1.2", "a number in 0-1"),
        ("folds.csv", "seconds", "", "a number of 0 or more"),
        ("folds.csv", "images_per_second", "fast", "a number"),
        ("folds.csv", "facts", "", "a JSON object"),
        ("predictions.csv", "slice", "", "a text"),
        ("predictions.csv", "label", "2", "0 or 1"),
        ("predictions.csv", "probability", "", "a number in 0-1"),
        ("predictions.csv", "probability", "nan", "a number in 0-1"),
        ("history.csv", "epoch", "0", "a whole number from 1"),
        ("history.csv", "value", "low", "a number"),
    ],
)
def test_a_wrong_cell_is_named_and_nothing_is_imported(export, empty, name, column, value, message):
    edit(export / name, 1, column, value)
    with pytest.raises(StoreError) as caught:
        import_results(empty, export)
    assert f"{name}, line 3, column {column}: expected" in str(caught.value)
    assert message in str(caught.value)
    assert value[:80] in str(caught.value)
    assert empty.folds(status=None).empty
    assert empty.experiments().empty


@pytest.mark.parametrize(
    ("name", "column", "value", "message"),
    [
        ("folds.csv", "status", "running", "folds.csv, line 3: .*done or failed"),
        ("folds.csv", "tn", "999", "folds.csv, line 3: .*do not fit"),
        ("folds.csv", "fold", "1", "folds.csv, line 3: .*twice"),
        ("predictions.csv", "fold", "7", r"predictions.csv, line 3: .*not in folds\.csv"),
        ("history.csv", "model", "Ghost", r"history.csv, line 3: .*not in folds\.csv"),
        ("history.csv", "epoch", "5", "history.csv, line 3, column epoch: expected 1"),
    ],
)
def test_rows_that_do_not_fit_each_other_are_named(export, empty, name, column, value, message):
    edit(export / name, 1, column, value)
    with pytest.raises(StoreError, match=message):
        import_results(empty, export)
    assert empty.folds(status=None).empty


def test_an_experiment_twice_is_named(export, empty):
    path = export / "experiments.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1]]))
    with pytest.raises(StoreError, match=r"experiments\.csv, line 4: .*twice"):
        import_results(empty, export)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: b"", "line 1: expected the columns"),
        (lambda text: text.replace(b"probability", b"p", 1), "line 1: expected the columns .*probability"),
        (lambda text: text.replace(b"\n", b",extra\n", 1), "line 1: expected the columns"),
        (lambda text: text[: len(text) // 2].rsplit(b",", 1)[0], r"line \d+: expected 7 cells. Received: [1-6]"),
        (lambda text: text + b"1,2,3\n", "expected 7 cells. Received: 3"),
        (lambda text: text.replace(b"COVID", b"\xff\xfe", 1), "UTF-8"),
        (lambda text: b"PK\x03\x04\x00\x00\xff" + text, "UTF-8"),
        (lambda text: text + b'a,b,1,1,"open quote', "cannot be read"),
    ],
)
def test_a_file_that_is_not_our_csv_is_named(export, empty, change, message):
    path = export / "predictions.csv"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StoreError, match=message) as caught:
        import_results(empty, export)
    assert "predictions.csv" in str(caught.value)
    assert empty.folds(status=None).empty


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_file_is_named(export, empty, name):
    (export / name).unlink()
    with pytest.raises(StoreError, match=name):
        import_results(empty, export)


def test_a_spreadsheet_may_reorder_columns_and_change_line_ends(store, export, empty):
    for name in COLUMNS:
        table = pd.read_csv(export / name, dtype=str, keep_default_na=False)
        if "error" in table:
            table["error"] = table["error"].str.replace("\r", "")
        table[table.columns[::-1]].to_csv(export / name, index=False, lineterminator="\r\n", encoding="utf-8-sig")
    assert import_results(empty, export) == 8
    pd.testing.assert_frame_equal(store.predictions(), empty.predictions(), check_exact=True)


# ---------------------------------------------------------------- first start


def test_opening_without_a_folder_gives_an_empty_store(tmp_path):
    assert open_store(f"sqlite:///{tmp_path / 'a.sqlite'}", tmp_path / "absent").folds().empty


def test_opening_imports_nested_exports_once(store, tmp_path, monkeypatch):
    export_results(store, tmp_path / "measured" / "first", EXPERIMENT.id)
    export_results(store, tmp_path / "measured" / "deep" / "second", OTHER.id)
    url = f"sqlite:///{tmp_path / 'fresh.sqlite'}"
    fresh = open_store(url, tmp_path / "measured")
    assert len(fresh.folds(status=None)) == 8

    with monkeypatch.context() as patch:
        patch.setattr("covid_core.results.exchange.import_results", lambda *_: pytest.fail("imported again"))
        open_store(url, tmp_path / "measured")

    store.add_fold(fold_result("Xception"))
    export_results(store, tmp_path / "measured" / "first", EXPERIMENT.id)
    assert len(open_store(url, tmp_path / "measured").folds(status=None)) == 9


def test_an_incomplete_export_is_named_at_opening(store, export, tmp_path):
    (export / "history.csv").unlink()
    with pytest.raises(StoreError, match=r"history\.csv"):
        open_store(f"sqlite:///{tmp_path / 'fresh.sqlite'}", export)


def test_a_failure_that_was_repaired_here_is_not_undone_by_an_old_export(export, empty):
    empty.add_experiment(EXPERIMENT)
    empty.add_fold(fold_result("VGG19"))
    import_results(empty, export)
    assert empty.folds(models=["VGG19"])["status"].tolist() == ["done"]


def test_done_folds_without_predictions_round_trip(empty, tmp_path):
    empty.add_experiment(EXPERIMENT)
    empty.add_fold(replace(fold_result(), predictions=None, history={}))
    export_results(empty, tmp_path / "bare")
    fresh = ResultsStore(f"sqlite:///{tmp_path / 'fresh.sqlite'}")
    assert import_results(fresh, tmp_path / "bare") == 1
    pd.testing.assert_frame_equal(fresh.folds(), empty.folds())


def test_long_files_are_cut_and_read_as_one(store, export, empty, tmp_path):
    most = 20_000
    files = export_results(store, tmp_path / "cut", most_bytes=most)
    assert sorted(files) == sorted((tmp_path / "cut").iterdir())
    parts = [path for path in files if path.name.startswith("predictions-")]
    assert len(parts) > 2
    assert all(path.stat().st_size <= most for path in parts)
    whole = (export / "predictions.csv").read_text().splitlines()
    assert [line for part in parts for line in part.read_text().splitlines()[1:]] == whole[1:]
    assert import_results(empty, tmp_path / "cut") == 8
    for before, after in zip(everything(store), everything(empty), strict=True):
        pd.testing.assert_frame_equal(before, after, check_exact=True)


def test_an_export_over_an_older_one_leaves_nothing_of_it(store, export, tmp_path):
    folder = tmp_path / "cut"
    for most in (20_000, 5_000, 10**9):
        files = export_results(store, folder, most_bytes=most)
        assert sorted(files) == sorted(folder.iterdir())
    assert content(folder) == content(export)


@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_lost_part_is_noticed(store, empty, tmp_path, lost):
    export_results(store, tmp_path / "cut", most_bytes=20_000)
    parts = sorted((tmp_path / "cut").glob("predictions-*"))
    parts[lost].unlink()
    with pytest.raises(StoreError, match=r"all parts of it"):
        import_results(empty, tmp_path / "cut")
    assert empty.folds(status=None).empty


def test_parts_beside_a_whole_file_are_refused(store, export, empty, tmp_path):
    export_results(store, tmp_path / "cut", most_bytes=20_000)
    (tmp_path / "cut" / "predictions.csv").write_bytes((export / "predictions.csv").read_bytes())
    with pytest.raises(StoreError, match="nothing else"):
        import_results(empty, tmp_path / "cut")


def test_a_store_opens_with_exports_in_parts_and_reads_them_once(store, tmp_path):
    export_results(store, tmp_path / "results" / "cut", most_bytes=20_000)
    for _ in range(2):
        opened = open_store(f"sqlite:///{tmp_path / 'opened.sqlite'}", tmp_path / "results")
        assert len(opened.folds(status=None)) == 8
        (tmp_path / "results" / "cut" / "folds.csv").touch()


def test_an_experiment_without_folds_travels_too(empty, tmp_path):
    empty.add_experiment(EXPERIMENT)
    export_results(empty, tmp_path / "none", EXPERIMENT.id)
    other = ResultsStore(f"sqlite:///{tmp_path / 'other.sqlite'}")
    assert import_results(other, tmp_path / "none") == 0
    assert other.experiments()["id"].tolist() == [EXPERIMENT.id]


def test_the_command_imports_and_refuses(export, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COVID_RESULTS", str(tmp_path / "measured"))
    monkeypatch.setenv("COVID_NETWORKS", str(tmp_path / "networks"))
    arguments = ["--store", f"sqlite:///{tmp_path / 'new.sqlite'}"]
    assert import_command.main([str(export), *arguments]) == 0
    assert "8 added" in capsys.readouterr().out
    assert import_command.main([str(export), *arguments]) == 0
    assert "0 added" in capsys.readouterr().out
    assert import_command.main([str(tmp_path / "absent"), *arguments]) == import_command.EXIT_USAGE
    assert "Refused" in capsys.readouterr().out
