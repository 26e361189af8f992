"""Scores of many folds at once: what the store keeps of the same predictions, and scikit-learn's AUC."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up_results import EXPERIMENT, fold_result
from sklearn.metrics import roc_auc_score

from covid_core.results.fold_scores import fold_scores
from covid_core.results.metrics import METRICS, auc
from covid_core.results.store import KEY, ResultsStore


@pytest.fixture
def store(tmp_path):
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.add_experiment(EXPERIMENT)
    store.add_folds([fold_result(model, 1, fold) for model in ("VGG16", "VGG19") for fold in (1, 2, 3)])
    return store


def test_they_are_what_the_store_has_of_these_predictions(store):
    found, stored = fold_scores(store.predictions()), store.folds()
    for column in (*KEY, "tp", "fp", "tn", "fn"):
        assert found[column].tolist() == stored[column].tolist()
    for metric in METRICS:
        np.testing.assert_array_equal(found[metric], stored[metric])


def test_auc_is_scikit_learns_with_ties_and_without(store):
    predictions = store.predictions()
    for digits in (7, 1):  # one digit: many slices tie
        rounded = predictions.assign(probability=predictions["probability"].round(digits))
        found = fold_scores(rounded).set_index(["model", "fold"])["auc"]
        for key, part in rounded.groupby(["model", "fold"], observed=True):
            assert found[key] == pytest.approx(roc_auc_score(part["label"], part["probability"]))
            assert found[key] == pytest.approx(auc(part["label"], part["probability"]))


def test_one_class_alone_has_no_auc(store):
    predictions = store.predictions()
    (value,) = fold_scores(predictions[(predictions["label"] == 1)].query("model == 'VGG16' and fold == 1"))["auc"]
    assert math.isnan(value)
