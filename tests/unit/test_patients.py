"""Patients of stored predictions: the file beside an export, and what is wrong with it."""

from __future__ import annotations

import pytest
from made_up_results import EXPERIMENT, fold_result

from covid_core.errors import StoreError
from covid_core.results.exchange import export_results
from covid_core.results.patients import Grouping, known_groupings, known_patients, write_grouping
from covid_core.results.store import ResultsStore


@pytest.fixture
def results(tmp_path):
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.add_experiment(EXPERIMENT)
    store.add_fold(fold_result())
    export_results(store, tmp_path / "results" / "mine")
    return tmp_path / "results"


def test_a_file_counts_for_the_data_sets_of_the_export_beside_it(results):
    (results / "mine" / "patients.csv").write_text("path,label,patient\nCOVID/1.png,COVID,P1\nCOVID/2.png,COVID,P2\n")
    assert known_patients(results) == {EXPERIMENT.dataset_digest: {"COVID/1.png": "P1", "COVID/2.png": "P2"}}


def test_nothing_is_known_without_the_file_the_export_or_the_folder(results):
    assert known_patients(results) == {}
    (results / "patients.csv").write_text("path,patient\nCOVID/1.png,P1\n")
    assert known_patients(results) == {}
    assert known_patients(results / "absent") == {}


@pytest.mark.parametrize("text", ["path,person\na.png,P1\n", "path,patient\na.png,\n", ""])
def test_a_file_that_is_no_such_table_is_refused(results, text):
    (results / "mine" / "patients.csv").write_text(text)
    with pytest.raises(StoreError, match=r"patients\.csv"):
        known_patients(results)


def test_groups_stand_in_where_patients_are_not_known(results):
    table = "path,patient\nCOVID/1.png,{}\n"
    (results / "mine" / "groups.csv").write_text(table.format("group-1"))
    digest = EXPERIMENT.dataset_digest
    assert known_patients(results) == {}
    assert known_groupings(results) == {digest: Grouping("group", {"COVID/1.png": "group-1"})}
    (results / "mine" / "patients.csv").write_text(table.format("P1"))
    assert known_groupings(results) == {digest: Grouping("patient", {"COVID/1.png": "P1"})}


def test_broken_groups_are_refused(results):
    (results / "mine" / "groups.csv").write_text("path,person\na.png,P1\n")
    with pytest.raises(StoreError, match=r"groups\.csv"):
        known_groupings(results)


@pytest.mark.parametrize("level", ["patient", "group"])
def test_what_is_written_is_read_again(results, level):
    grouping = Grouping(level, {"COVID/a, b.png": 'P "1"', "COVID/2.png": "P2"})
    assert write_grouping(results / "mine", grouping).name == f"{level}s.csv"
    assert known_groupings(results) == {EXPERIMENT.dataset_digest: grouping}
