"""Scores against scikit-learn, zero denominators, and refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sklearn.metrics as reference

from covid_core.results.metrics import METRIC_LABELS, METRICS, auc, counts, scores


def predictions_with(tp, fp, tn, fn):
    """Labels and calls that have this confusion matrix."""
    return np.repeat([1, 0, 0, 1], [tp, fp, tn, fn]), np.repeat([1, 1, 0, 0], [tp, fp, tn, fn])


@pytest.mark.parametrize("matrix", [m for m in itertools.product(range(3), repeat=4) if sum(m)])
def test_scores_agree_with_scikit_learn(matrix):
    tp, fp, _, fn = matrix
    labels, called = predictions_with(*matrix)
    missed_all = 0.0 if fn else np.nan
    expected = {
        "accuracy": reference.accuracy_score(labels, called),
        "sensitivity": reference.recall_score(labels, called, zero_division=np.nan),
        "specificity": reference.recall_score(labels, called, pos_label=0, zero_division=np.nan),
        "precision": reference.precision_score(labels, called, zero_division=missed_all),
        "f1": reference.f1_score(labels, called, zero_division=np.nan) if tp + fp + fn else np.nan,
    }
    assert scores(*matrix) == pytest.approx(expected, nan_ok=True)


def test_a_network_that_finds_nothing_earns_zero():
    assert scores(0, 0, 9, 3) == {"accuracy": 0.75, "sensitivity": 0, "specificity": 1, "precision": 0, "f1": 0}


def test_a_fold_without_positives_measures_only_the_negatives():
    measured = scores(0, 0, 5, 0)
    assert measured["accuracy"] == measured["specificity"] == 1
    assert all(math.isnan(measured[name]) for name in ("sensitivity", "precision", "f1"))


def test_nothing_tested_is_nan_everywhere():
    assert all(math.isnan(value) for value in scores(0, 0, 0, 0).values())


def test_scalars_give_floats_and_arrays_give_arrays_of_the_same_values():
    matrices = np.random.default_rng(0).integers(0, 4, size=(50, 4))
    batch = scores(*matrices.T)
    assert list(batch) == list(METRICS) == list(METRIC_LABELS)
    for row, matrix in enumerate(matrices):
        single = scores(*matrix)
        assert all(type(value) is float for value in single.values())
        assert single == pytest.approx({name: values[row] for name, values in batch.items()}, nan_ok=True)


def test_scores_broadcast():
    assert scores(np.array([1, 2]), 0, 1, 0)["accuracy"].tolist() == [1, 1]


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
def test_counts_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="fp="):
        scores(1, wrong, 1, 1)


def test_counts_agree_with_scikit_learn():
    random = np.random.default_rng(1)
    labels, probabilities = random.integers(0, 2, 500), random.random(500, dtype=np.float32)
    for threshold in (0.0, 0.3, 0.5, 1.0):
        tn, fp, fn, tp = reference.confusion_matrix(labels, probabilities >= threshold).ravel()
        assert counts(labels, probabilities, threshold) == (tp, fp, tn, fn)


def test_one_half_counts_as_positive():
    assert counts([1, 0], [0.5, 0.5]) == (1, 1, 0, 0)
    assert counts([1, 0], [np.nextafter(0.5, 0)] * 2) == (0, 0, 1, 1)


def test_counts_invert_to_the_same_matrix():
    for matrix in itertools.product(range(3), repeat=4):
        assert counts(*predictions_with(*matrix)) == matrix


def test_auc_agrees_with_scikit_learn_and_with_its_meaning():
    random = np.random.default_rng(2)
    labels, probabilities = random.integers(0, 2, 60), random.integers(0, 9, 60) / 8  # with ties
    positive, negative = probabilities[labels == 1][:, None], probabilities[labels == 0]
    meaning = np.mean((positive > negative) + (positive == negative) / 2)
    assert auc(labels, probabilities) == pytest.approx(meaning)
    assert auc(labels, probabilities) == pytest.approx(reference.roc_auc_score(labels, probabilities))


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], []])
def test_auc_of_one_class_is_nan(labels):
    assert math.isnan(auc(labels, np.zeros(len(labels))))


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([1, 0], [0.5], "shape"),
        ([[1]], [[0.5]], "shape"),
        ([2, 0], [0.5, 0.5], "labels 0 and 1"),
        ([1, 0], [0.5, math.nan], "diverged"),
        ([1, 0], [0.5, 1.5], "0-1"),
        ([1, 0], [-0.1, 0.5], "0-1"),
    ],
)
@pytest.mark.parametrize("measure", [counts, auc])
def test_predictions_that_make_no_sense_are_refused(measure, labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        measure(labels, probabilities)
