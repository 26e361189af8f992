"""Computed rows of the leaderboard: the same numbers as a network stored with these predictions would have."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from covid_core.results.computed import Request, computed_rows
from covid_core.results.ensembles import Ensemble
from covid_core.results.intervals import METHODS, mean_interval
from covid_core.results.leaderboard import COLUMNS, leaderboard
from covid_core.results.metrics import METRICS, auc, counts
from covid_core.results.patients import Grouping
from covid_core.results.records import Experiment, FoldResult, Predictions
from covid_core.results.store import ResultsStore

BY_SLICE = Experiment("set", "ab" * 32, {"size": 64}, {"epochs": 2, "folds": 5})
BY_GROUP = replace(BY_SLICE, split="group")
PAIR = ("VGG16", "Modified-VGG16")
PATIENTS, EACH = 30, 4


def truth(patient: int) -> int:
    return patient % 2


def slices_of(round_: int, fold: int, by_group: bool) -> list[int]:
    """Numbers of the slices of a fold; slice n is of patient n // EACH."""
    random = np.random.default_rng(round_)
    owners = random.permutation(PATIENTS) % 5
    places = owners[np.arange(PATIENTS * EACH) // EACH] if by_group else random.permutation(PATIENTS * EACH) % 5
    return np.flatnonzero(places == fold - 1).tolist()


def fold_of(model: str, round_: int, fold: int, experiment: Experiment = BY_SLICE, probabilities=None) -> FoldResult:
    numbers = slices_of(round_, fold, experiment.split == "group")
    labels = np.array([truth(number // EACH) for number in numbers], np.int8)
    if probabilities is None:
        random = np.random.default_rng([round_, fold, sum(map(ord, model))])
        probabilities = np.clip(0.5 + (labels - 0.5) * 0.4 + random.normal(0, 0.3, len(labels)), 0, 1)
    probabilities = np.asarray(probabilities, np.float32)
    return FoldResult(
        experiment=experiment.id,
        model=model,
        round=round_,
        fold=fold,
        status="done",
        seed=0,
        finished="2026-01-02T03:04:05+00:00",
        counts=counts(labels, probabilities),
        auc=auc(labels, probabilities),
        predictions=Predictions(tuple(f"{number}.png" for number in numbers), labels, probabilities),
    )


def grouping(level: str = "patient") -> dict[str, Grouping]:
    of_slice = {f"{number}.png": f"P{number // EACH}" for number in range(PATIENTS * EACH)}
    return {BY_SLICE.dataset_digest: Grouping(level, of_slice)}


@pytest.fixture
def store(tmp_path) -> ResultsStore:
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.add_experiment(BY_SLICE)
    keys = [(round_, fold) for round_ in (1, 2) for fold in range(1, 6)]
    store.add_folds([fold_of(model, *key) for model in PAIR for key in keys])
    return store


@pytest.fixture
def by_group(store) -> ResultsStore:
    store.add_experiment(BY_GROUP)
    store.add_folds([fold_of("VGG16", round_, fold, BY_GROUP) for round_ in (1, 2) for fold in range(1, 6)])
    return store


def test_nothing_asked_is_nothing_computed(store):
    found = computed_rows(store, Request())
    assert found.rows.empty
    assert found.rows.columns.tolist() == COLUMNS
    assert found.refused == found.remarks == ()


@pytest.mark.parametrize("method", METHODS)
def test_an_average_has_the_row_of_a_network_with_these_predictions(store, method):
    """The mean, written into the store as if trained, gets the same scores, intervals, counts and AUC."""
    sides = [store.predictions(model=member) for member in PAIR]
    for (round_, fold), part in sides[0].groupby(["round", "fold"]):
        mean = (part["probability"].astype(float) + sides[1].loc[part.index, "probability"]) / 2
        store.add_fold(fold_of("Mean", round_, fold, probabilities=mean.to_numpy()))
    patients = {digest: known.of_slice for digest, known in grouping().items()}
    expected = leaderboard(store, method, patients).set_index("model").loc["Mean"]
    (found,) = computed_rows(store, Request(("averaged",)), method, grouping()).rows.to_dict("records")
    ends = ("", "_low", "_high", "_pm")
    same = ["source", "experiment", "dataset", "size", "split", "groups", "rounds", "folds", "epochs", "level", "cases"]
    for column in [*same, *(f"{metric}{end}" for metric in METRICS for end in ends), "auc"]:
        assert found[column] == pytest.approx(expected[column], abs=1e-6, nan_ok=True), column
    assert found["drawn"] == "patients" if method == "groups" else pd.isna(found["drawn"])


def test_an_ensemble_says_who_is_in_it(store):
    (row,) = computed_rows(store, Request(("averaged",))).rows.to_dict("records")
    assert row["model"] == "VGG16 + Modified-VGG16, averaged"
    assert (row["ensemble"], row["members"]) == ("averaged", "VGG16 + Modified-VGG16")
    assert (row["backbone"], row["variant"], row["family"]) == ("VGG16", "mixed", "VGG")
    parameters = store.published().set_index("model")["parameters_millions"]
    assert row["parameters_millions"] == pytest.approx(parameters[list(PAIR)].sum())
    store.add_folds([fold_of("Mine", 1, fold) for fold in (1, 2, 3)])
    (row,) = computed_rows(store, Request(ensembles=(Ensemble(("VGG16", "Mine"), "stacked"),))).rows.to_dict("records")
    assert (row["family"], row["variant"], row["folds"]) == ("mixed", "base", 3)
    assert math.isnan(row["parameters_millions"])


def test_pairs_and_own_ensembles_stand_once(store):
    request = Request(("averaged", "stacked"), (Ensemble(PAIR), Ensemble(PAIR[::-1])))
    names = computed_rows(store, request).rows["model"].tolist()
    assert sorted(names) == [
        "Modified-VGG16 + VGG16, averaged",
        "VGG16 + Modified-VGG16, averaged",
        "VGG16 + Modified-VGG16, stacked",
    ]


def test_an_ensemble_whose_members_never_met_is_refused_by_name(store):
    found = computed_rows(store, Request(ensembles=(Ensemble(("VGG16", "Xception")),)))
    assert found.rows.empty
    assert found.refused == ("VGG16 + Xception, averaged: no experiment has folds of all of VGG16, Xception.",)


def test_what_cannot_be_stacked_says_why_and_the_rest_is_there(tmp_path):
    store = ResultsStore(f"sqlite:///{tmp_path / 'one.sqlite'}")
    store.add_experiment(BY_SLICE)
    store.add_folds([fold_of(model, 1, 1) for model in PAIR])
    found = computed_rows(store, Request(("averaged", "stacked")))
    assert found.rows["ensemble"].tolist() == ["averaged"]
    assert ["cannot be stacked" in reason for reason in found.refused] == [True]


def test_by_group_a_patient_is_a_case_of_its_fold(by_group):
    found = computed_rows(by_group, Request(by_patient=True), groupings=grouping())
    row = found.rows[found.rows["split"] == "group"].iloc[0]
    assert (row["level"], row["cases"], row["rounds"], row["folds"]) == ("patient", PATIENTS, 2, 10)
    predicted = by_group.predictions(BY_GROUP.id)
    predicted["patient"] = predicted["slice"].astype(str).map(grouping()[BY_SLICE.dataset_digest].of_slice)
    cases = predicted.groupby(["round", "fold", "patient"])[["label", "probability"]].mean().reset_index()
    cases["right"] = (cases["probability"] >= 0.5) == (cases["label"] == 1)
    interval = mean_interval(cases.groupby(["round", "fold"])["right"].mean())
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == pytest.approx(interval)


def test_by_slice_rounds_are_pooled_and_the_leak_is_said(by_group):
    for method, has_interval in (("corrected", False), ("t", True), ("rounds", True), ("groups", True)):
        found = computed_rows(by_group, Request(by_patient=True), method, grouping())
        rows = found.rows[found.rows["split"] == "slice"]
        assert set(rows["model"]) == set(PAIR)
        assert (rows[["cases", "rounds", "folds"]] == [PATIENTS, 2, 10]).all(axis=None)
        assert rows["accuracy_low"].notna().all() == has_interval
        assert any("too good" in remark for remark in found.remarks)
        assert any("pooled" in remark for remark in found.remarks)
        assert set(rows["drawn"].dropna()) == ({"patients"} if method == "groups" else set())


def test_one_slice_a_patient_changes_nothing_and_leaks_nothing(store):
    alone = {BY_SLICE.dataset_digest: Grouping("patient", {f"{n}.png": str(n) for n in range(PATIENTS * EACH)})}
    found = computed_rows(store, Request(by_patient=True), groupings=alone)
    assert found.remarks == ()
    by_slice = leaderboard(store).set_index(["source", "model"])
    for row in found.rows.to_dict("records"):
        assert row["level"] == "patient"
        expected = by_slice.loc[("measured", row["model"])]
        for column in ("rounds", "folds", "cases", *METRICS, *(f"{metric}_low" for metric in METRICS), "auc"):
            assert row[column] == pytest.approx(expected[column]), column


def test_groups_that_stand_in_for_patients_are_called_groups(store):
    found = computed_rows(store, Request(by_patient=True), "groups", grouping("group"))
    assert set(found.rows["level"]) == {"group"}
    assert set(found.rows["drawn"]) == {"groups"}
    assert found.remarks[0] == "Groups stand in for the patients of set, which are not known."
    # and do not make a bootstrap by slice one by patient
    (row,) = computed_rows(store, Request(("averaged",)), "groups", grouping("group")).rows.to_dict("records")
    assert row["drawn"] == "slices"


def test_ensembles_are_judged_by_patient_as_well(store):
    found = computed_rows(store, Request(("averaged",), by_patient=True), groupings=grouping())
    assert found.rows[["level", "ensemble"]].value_counts().to_dict() == {
        ("slice", "averaged"): 1,
        ("patient", "averaged"): 1,
        ("patient", ""): 2,
    }
    assert not found.rows.duplicated(["experiment", "model", "level"]).any()


def test_unknown_patients_and_missing_predictions_are_named(store):
    found = computed_rows(store, Request(by_patient=True))
    assert "Patients of set are not known" in found.refused[0]
    assert "groups.csv" in found.refused[0]
    store.add_fold(replace(fold_of("VGG19", 1, 1), predictions=None))
    found = computed_rows(store, Request(by_patient=True), groupings=grouping())
    assert found.refused == ("The store has no predictions of VGG19 on set.",)


def test_rows_fit_under_those_of_the_leaderboard(store):
    computed = computed_rows(store, Request(("averaged", "stacked"), by_patient=True), groupings=grouping()).rows
    table = leaderboard(store)
    joined = pd.concat([table, computed], ignore_index=True)
    pd.testing.assert_series_equal(joined.dtypes, table.dtypes)


def test_an_unknown_interval_is_refused(store):
    with pytest.raises(ValueError, match="corrected, t, rounds, groups"):
        computed_rows(store, Request(), "jackknife")
