"""Studies survive the way through CSV bit by bit, beside folds or alone, and wrong files are named down to the cell."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from made_up_results import EXPERIMENT, fold_result
from made_up_studies import PAIR, STUDY, measures

from covid_core.errors import StoreError
from covid_core.results import __main__ as import_command
from covid_core.results.exchange import export_results, import_results, open_store
from covid_core.results.store import ResultsStore
from covid_core.results.study_exchange import export_studies, import_studies

DONE = replace(STUDY, finished="2026-01-01T00:00:00+00:00")
OTHER = replace(STUDY, kind='häuser, "quoted"', settings={"rate": 0.1 + 0.2})


@pytest.fixture
def store(tmp_path) -> ResultsStore:
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.add_study(DONE)
    store.add_study(OTHER)
    store.add_measures(DONE.id, measures(40))
    store.add_measures(OTHER.id, measures(5, subject='VGG16, "ä"', method="saliency", seed=1))
    return store


@pytest.fixture
def export(store, tmp_path):
    export_studies(store, tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def empty(tmp_path) -> ResultsStore:
    return ResultsStore(f"sqlite:///{tmp_path / 'empty.sqlite'}")


def same(one: ResultsStore, other: ResultsStore) -> None:
    pd.testing.assert_frame_equal(one.studies(), other.studies())
    pd.testing.assert_frame_equal(one.measures(), other.measures(), check_exact=True)


def test_the_round_trip_is_exact_and_gives_the_same_bytes(store, export, empty, tmp_path):
    assert import_studies(empty, export) == 90
    same(store, empty)
    export_studies(empty, tmp_path / "again")
    for file in export.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
    assert import_studies(empty, export) == 0


def test_what_was_not_taken_is_told_from_what_is_not_defined(store, empty, tmp_path):
    rows = measures(3)
    store.add_measures(OTHER.id, rows[~((rows["slice"].str.endswith("1.png")) & (rows["measure"] == "iou"))])
    export_studies(store, tmp_path / "export", OTHER.id)
    cells = pd.read_csv(tmp_path / "export" / "measures.csv", dtype=str, keep_default_na=False)
    cells = cells[cells["subject"] == PAIR].set_index("slice")["iou"]
    assert cells["non-COVID/slice 0.png"] == "nan"
    assert cells["COVID/slice 1.png"] == ""
    import_studies(empty, tmp_path / "export")
    pd.testing.assert_frame_equal(empty.measures(), store.measures(OTHER.id), check_exact=True)


def test_one_study_can_be_exported_alone(store, empty, tmp_path):
    export_studies(store, tmp_path / "one", OTHER.id)
    assert import_studies(empty, tmp_path / "one") == 10
    assert empty.studies()["id"].tolist() == [OTHER.id]
    export_studies(store, tmp_path / "both", [DONE.id, OTHER.id])
    assert import_studies(empty, tmp_path / "both") == 80
    with pytest.raises(StoreError, match=DONE.id):
        export_studies(store, tmp_path / "none", "no such id")
    assert not (tmp_path / "none").exists()


def test_an_import_completes_a_study_and_finishes_it(export, empty):
    empty.add_study(STUDY)
    empty.add_measures(STUDY.id, measures(2).assign(value=9.0))
    assert import_studies(empty, export) == 86
    kept = empty.measures(STUDY.id)
    assert (kept["value"] == 9.0).sum() == 4
    assert empty.studies().set_index("id").loc[DONE.id, "finished"] == DONE.finished


def test_a_long_file_is_cut_and_read_as_one(store, empty, tmp_path):
    files = export_studies(store, tmp_path / "cut", most_bytes=2000)
    assert len(files) > 3
    assert sorted(files) == sorted((tmp_path / "cut").iterdir())
    import_studies(empty, tmp_path / "cut")
    same(store, empty)


def test_folds_without_studies_and_studies_without_folds_both_load_at_opening(store, export, tmp_path):
    store.add_experiment(EXPERIMENT)
    store.add_fold(fold_result())
    results = tmp_path / "results"
    export_results(store, results / "folds")
    export_studies(store, results / "studies" / "deep", DONE.id)
    export_results(store, results / "both")
    export_studies(store, results / "both", OTHER.id)
    url = f"sqlite:///{tmp_path / 'fresh.sqlite'}"
    fresh = open_store(url, results)
    assert len(fresh.folds()) == 1
    same(store, fresh)


def test_opening_reads_an_export_once_and_a_changed_one_again(store, tmp_path, monkeypatch):
    results, url = tmp_path / "results", f"sqlite:///{tmp_path / 'fresh.sqlite'}"
    export_studies(store, results, DONE.id)
    open_store(url, results)
    with monkeypatch.context() as patch:
        patch.setattr("covid_core.results.exchange.import_studies", lambda *_: pytest.fail("imported again"))
        open_store(url, results)
    store.add_measures(DONE.id, measures(41))
    export_studies(store, results, DONE.id)
    assert len(open_store(url, results).measures()) == 82


@pytest.mark.parametrize(
    ("name", "column", "value", "message"),
    [
        ("studies.csv", "kind", "", "a text"),
        ("studies.csv", "settings", "[]", "a JSON object"),
        ("studies.csv", "kind", "other", "follows from the other columns"),
        ("measures.csv", "study", "0" * 16, "an id from studies.csv"),
        ("measures.csv", "label", "2", "0 or 1"),
        ("measures.csv", "iou", "high", "a number"),
        ("measures.csv", "iou", "inf", "a finite number"),
        ("measures.csv", "slice", "COVID/slice 1.png", "stands here twice"),
    ],
)
def test_a_wrong_cell_is_named_and_nothing_is_imported(export, empty, name, column, value, message):
    table = pd.read_csv(export / name, dtype=str, keep_default_na=False)
    table.loc[1, column] = value
    table.to_csv(export / name, index=False)
    with pytest.raises(StoreError, match=message) as caught:
        import_studies(empty, export)
    assert f"{name}, line 3" in str(caught.value)
    assert empty.studies().empty


@pytest.mark.parametrize("name", ["studies.csv", "measures.csv"])
def test_a_missing_file_is_named(export, empty, name, tmp_path):
    (export / name).unlink()
    with pytest.raises(StoreError, match=name):
        import_studies(empty, export)
    if name == "measures.csv":
        with pytest.raises(StoreError, match=name):
            open_store(f"sqlite:///{tmp_path / 'fresh.sqlite'}", export)


def test_measures_written_during_the_export_do_not_tear_it(store, tmp_path, empty):
    class Busy:
        def __init__(self):
            self.late = [replace(STUDY, kind="late")]

        def __getattr__(self, name):
            return getattr(store, name)

        def measures(self, study_id):
            while self.late:
                study = self.late.pop()
                store.add_study(study)
                store.add_measures(study.id, measures(1, PAIR))
            return store.measures(study_id)

    export_studies(Busy(), tmp_path / "busy")
    assert import_studies(empty, tmp_path / "busy") == 92


def test_the_command_imports_what_is_there(store, export, places, capsys):
    arguments = ["--store", f"sqlite:///{places / 'new.sqlite'}"]
    assert import_command.main([str(export), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "Measures    90 added" in printed
    assert "Folds" not in printed
    store.add_experiment(EXPERIMENT)
    store.add_fold(fold_result())
    export_results(store, export)
    assert import_command.main([str(export), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "Folds       1 added" in printed
    assert "Measures    0 added" in printed


def test_an_export_of_folds_alone_has_no_file_of_studies(store, tmp_path, empty):
    export_results(store, tmp_path / "folds")
    assert not (tmp_path / "folds" / "studies.csv").exists()
    assert import_results(empty, tmp_path / "folds") == 0
