"""Tables of many pairs: shared folds only, identical slices only, Holm over the rows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up_results import EXPERIMENT, fold_result

from covid_core.errors import StoreError
from covid_core.models import zoo
from covid_core.results.bootstrap import draw_groups
from covid_core.results.comparison import compare_folds, mcnemar
from covid_core.results.differences import holm
from covid_core.results.metrics import counts
from covid_core.results.pairs import FOLD_COLUMNS, SLICE_COLUMNS, compare_pairs, compare_predictions, variant_pairs
from covid_core.results.records import Predictions
from covid_core.results.store import ResultsStore

PAIR = ("VGG16", "Modified-VGG16")


def trained(model: str, round_: int, fold: int, skill: float, order=slice(None)):
    """A fold of 40 slices that all networks share; ``skill`` decides how many a network gets right."""
    shared = np.random.default_rng([round_, fold])
    labels = shared.integers(0, 2, 40).astype(np.int8)
    own = np.random.default_rng([round_, fold, sum(map(ord, model))])
    right = own.random(40) < skill
    probabilities = np.where(right, labels, 1 - labels).astype(np.float32)
    slices = tuple(f"COVID/{round_}-{fold}-{number}.png" for number in range(40))
    predictions = Predictions(tuple(np.array(slices)[order]), labels[order], probabilities[order])
    return fold_result(model, round_, fold, counts=counts(labels, probabilities), predictions=predictions)


@pytest.fixture
def store(tmp_path):
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.add_experiment(EXPERIMENT)
    keys = [(round_, fold) for round_ in (1, 2) for fold in range(1, 6)]
    store.add_folds([trained("VGG16", *key, 0.9) for key in keys])
    store.add_folds([trained("Modified-VGG16", *key, 0.6) for key in keys])
    store.add_folds([trained("VGG19", *key, 0.75) for key in keys[:3]])
    store.add_folds([trained("Modified-VGG19", *key, 0.8) for key in keys[2:8]])
    return store


def predictions_of(store):
    return lambda model: store.predictions(EXPERIMENT.id, model)


def test_pairs_are_those_that_were_measured_in_the_zoos_order():
    models = ["Modified-VGG16", "VGG16", "VGG19", "ResNet50", "Modified-ResNet50", "Residual-VGG16"]
    assert variant_pairs(models) == [("ResNet50", "Modified-ResNet50"), PAIR]
    assert variant_pairs(models, "residual") == [("VGG16", "Residual-VGG16")]
    assert len(variant_pairs(zoo.MODELS)) == 20


def test_a_row_is_the_comparison_of_the_shared_folds(store):
    folds = store.folds(EXPERIMENT.id)
    table = compare_pairs(folds, [PAIR, ("VGG16", "VGG19")], "accuracy", 0.2, 0.02)
    assert table.columns.tolist() == FOLD_COLUMNS
    of = {model: part.set_index(["round", "fold"])["accuracy"] for model, part in folds.groupby("model")}
    found = compare_folds(of["VGG16"], of["Modified-VGG16"], 0.2, 0.02)
    row = table.iloc[0]
    assert (row["difference"], row["low"], row["p_value"]) == (found.difference, found.low, found.p_value)
    assert (row["better"], row["equivalent"], row["worse"]) == (found.better, found.equivalent, found.worse)
    assert row[["folds", "rounds", "left_out"]].tolist() == [10, 2, 0]
    row = table.iloc[1]
    assert row[["folds", "rounds", "left_out"]].tolist() == [3, 1, 7]
    assert row["first_mean"] == pytest.approx(of["VGG16"][:3].mean())
    np.testing.assert_allclose(table["p_holm"], holm(table["p_value"]))


def test_the_order_of_folds_in_the_frame_does_not_matter(store):
    folds = store.folds(EXPERIMENT.id)
    shuffled = folds.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(*(compare_pairs(frame, [PAIR], "f1", 0.2) for frame in (folds, shuffled)))


def test_one_shared_fold_is_no_test_and_neither_is_none(store):
    folds = store.folds(EXPERIMENT.id)
    table = compare_pairs(folds, [("VGG19", "Modified-VGG19"), ("VGG16", "Xception"), PAIR], "accuracy", 0.2)
    assert table["folds"].tolist() == [1, 0, 10]
    assert [bool(reason) for reason in table["reason"]] == [True, True, False]
    assert table["p_value"].isna().tolist() == [True, True, False]
    assert table["p_holm"][2] == table["p_value"][2]  # what is no test is not corrected for


def test_no_pair_is_an_empty_table(store):
    assert compare_pairs(store.folds(), [], "accuracy", 0.2).columns.tolist() == FOLD_COLUMNS
    assert compare_predictions(predictions_of(store), [], "accuracy").columns.tolist() == SLICE_COLUMNS


def test_mcnemar_asks_the_slices_that_the_metric_is_about(store):
    of_round = [
        part[part["round"] == 1].sort_values("slice").reset_index(drop=True)
        for part in map(predictions_of(store), PAIR)
    ]
    for metric, asked in (("accuracy", (0, 1)), ("sensitivity", (1,)), ("specificity", (0,)), ("f1", (0, 1))):
        (row,) = compare_predictions(predictions_of(store), [PAIR], metric).itertuples()
        right = [(part["probability"] >= 0.5) == (part["label"] == 1) for part in of_round]
        judged = of_round[0]["label"].isin(asked)
        assert row.slices == judged.sum()
        assert row.only_first == (right[0] & ~right[1] & judged).sum()
        assert row.only_second == (right[1] & ~right[0] & judged).sum()
        assert row.p_value == mcnemar(row.only_first, row.only_second) == row.p_holm
        assert (row.round, row.folds, row.drawn) == (1, 5, "slices")
        assert row.low < row.difference < row.high
        if metric != "f1":  # on one round the pooled difference is that of the slices where they differ
            assert row.difference == pytest.approx((row.only_first - row.only_second) / row.slices)


def test_the_round_is_the_first_with_most_shared_folds(store):
    (row,) = compare_predictions(predictions_of(store), [("VGG16", "Modified-VGG19")], "accuracy").itertuples()
    assert (row.round, row.folds) == (1, 3)  # three in either round
    (row,) = compare_predictions(predictions_of(store), [("VGG19", "Modified-VGG19")], "accuracy").itertuples()
    assert (row.round, row.folds, row.slices) == (1, 1, 40)  # one fold is enough for slices


def test_known_patients_are_drawn(store):
    slices = store.predictions()["slice"].astype(str).unique()
    patients = {path: path.split("-")[1] for path in slices}  # all slices of a fold are one patient's
    (by_slice,), (by_patient,) = (
        compare_predictions(predictions_of(store), [PAIR], "accuracy", of).itertuples() for of in (None, patients)
    )
    assert (by_slice.drawn, by_patient.drawn) == ("slices", "patients")
    assert by_slice.difference == by_patient.difference
    assert by_slice.low != by_patient.low
    assert draw_groups(5).shape[1] == 5


def test_predictions_in_another_order_are_matched_by_slice(store):
    store.add_folds([trained("Xception", 1, fold, 0.7) for fold in (1, 2)])
    store.add_folds([trained("Modified-Xception", 1, fold, 0.75, np.arange(40)[::-1]) for fold in (1, 2)])
    store.add_folds([trained("ResNet50", 1, 1, 0.75)])
    (row,) = compare_predictions(predictions_of(store), [("Xception", "Modified-Xception")], "accuracy").itertuples()
    scores = store.folds(models=["Xception", "Modified-Xception"]).groupby("model")["accuracy"].mean()
    assert row.difference == pytest.approx(scores["Xception"] - scores["Modified-Xception"])


def test_other_slices_in_the_same_fold_are_refused(store):
    moved = trained("Xception", 1, 1, 0.7)
    slices = ("COVID/elsewhere.png", *moved.predictions.slices[1:])
    store.add_fold(replace(moved, predictions=replace(moved.predictions, slices=slices)))
    with pytest.raises(StoreError, match=r"VGG16 and Xception to be tested on the same slices in round 1"):
        compare_predictions(predictions_of(store), [("VGG16", "Xception")], "accuracy")


def test_networks_without_predictions_have_no_row(store):
    store.add_fold(replace(trained("Xception", 1, 1, 0.7), predictions=None))
    assert compare_predictions(predictions_of(store), [("VGG16", "Xception")], "accuracy").empty
    table = compare_pairs(store.folds(), [("VGG16", "Xception")], "accuracy", 0.2)
    assert table["folds"].tolist() == [1]


def test_holm_runs_over_all_rows(store):
    pairs = [PAIR, ("VGG16", "VGG19"), ("Modified-VGG16", "VGG19")]
    table = compare_predictions(predictions_of(store), pairs, "accuracy")
    np.testing.assert_allclose(table["p_holm"], holm(table["p_value"]))
    assert table["p_holm"].ge(table["p_value"]).all()


def test_a_metric_that_a_fold_does_not_have_leaves_the_fold_out(store):
    labels = np.zeros(40, np.int8)
    for model in PAIR:
        probabilities = np.full(40, 0.1, np.float32)
        predictions = Predictions(tuple(f"c/{n}.png" for n in range(40)), labels, probabilities)
        store.add_fold(fold_result(model, 3, 1, counts=(0, 0, 40, 0), auc=math.nan, predictions=predictions))
    by_metric = {
        metric: compare_pairs(store.folds(), [PAIR], metric, 0.2)["folds"][0] for metric in ("sensitivity", "accuracy")
    }
    assert by_metric == {"sensitivity": 10, "accuracy": 11}
