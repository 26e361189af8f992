"""Curves and areas against scikit-learn, their bands against SciPy and against new samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn import metrics as reference

from covid_core.results.bootstrap import draw_groups
from covid_core.results.curves import GRID, curves, fold_curves
from covid_core.results.intervals import mean_interval


def said(size=120, seed=0, ties=False, apart=1.5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(size) % 2
    probabilities = norm.cdf(random.normal(apart * (labels - 0.5), 1))
    return labels, np.round(probabilities, 1) if ties else probabilities


def frame(folds=1, size=120, group=1, **settings) -> pd.DataFrame:
    parts = []
    for fold in range(folds):
        labels, probabilities = said(size, fold, **settings)
        numbers = fold * size + np.arange(size)
        parts.append(
            pd.DataFrame(
                {"round": 1, "fold": fold + 1, "label": labels, "probability": probabilities, "group": numbers // group}
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("ties", [False, True])
def test_areas_are_scikit_learns_for_every_drawing(ties):
    labels, probabilities = said(ties=ties)
    weights = np.concatenate([np.ones((1, 120)), draw_groups(120, 25)])
    found = fold_curves(labels, probabilities, weights)
    for row, weight in enumerate(weights):
        area = reference.roc_auc_score(labels, probabilities, sample_weight=weight)
        precision = reference.average_precision_score(labels, probabilities, sample_weight=weight)
        assert (found["auc"][row], found["average_precision"][row]) == pytest.approx((area, precision))


@pytest.mark.parametrize("ties", [False, True])
def test_curves_are_scikit_learns_on_the_grid(ties):
    labels, probabilities = said(ties=ties)
    found = fold_curves(labels, probabilities, np.ones((1, 120)))
    alarms, hits, _ = reference.roc_curve(labels, probabilities, drop_intermediate=False)
    assert found["roc"][0] == pytest.approx(np.interp(GRID, alarms, hits), abs=1e-6)
    precision, recall, _ = reference.precision_recall_curve(labels, probabilities)
    steps = [precision[np.flatnonzero(recall >= value - 1e-9)[-1]] for value in GRID[1:]]
    assert found["precision_recall"][0] == pytest.approx(steps, abs=1e-6)


def test_a_perfect_and_a_useless_ranking():
    labels = np.arange(40) % 2
    perfect = fold_curves(labels, labels * 0.8 + 0.1, np.ones((1, 40)))
    assert perfect["auc"] == perfect["average_precision"] == 1
    assert (perfect["roc"] == 1).all()
    same = fold_curves(labels, np.full(40, 0.5), np.ones((1, 40)))
    assert (same["auc"], same["average_precision"]) == (0.5, 0.5)
    assert same["roc"][0] == pytest.approx(GRID, abs=1e-6)


def test_a_fold_of_one_class_has_no_curve_and_is_left_out():
    answers = frame(3)
    answers.loc[answers["fold"] == 2, "label"] = 1
    for method in ("corrected", "groups"):
        found = curves(answers, method, draws=50)
        whole = curves(answers[answers["fold"] != 2], method, draws=50)
        assert found.auc.mean == pytest.approx(whole.auc.mean)
        assert found.roc["y"].to_numpy() == pytest.approx(whole.roc["y"].to_numpy())
    alone = curves(answers[answers["fold"] == 2], "groups", draws=50)
    assert np.isnan([*alone.auc, *alone.average_precision]).all()
    assert alone.roc["y"].isna().all()


def test_over_folds_the_mean_has_the_corrected_interval():
    answers = frame(5)
    found = curves(answers, "corrected", test_share=0.2)
    areas = [reference.roc_auc_score(part["label"], part["probability"]) for _, part in answers.groupby("fold")]
    assert tuple(found.auc) == pytest.approx(tuple(mean_interval(areas, "corrected", 0.2)))
    assert len(found.roc) == len(GRID)
    assert found.precision_recall["x"].iloc[0] > 0


@pytest.mark.parametrize("method", ["corrected", "groups"])
def test_bands_hold_their_curve_and_stay_inside(method):
    found = curves(frame(4, group=4), method, draws=200)
    for curve in (found.roc, found.precision_recall):
        assert (curve["low"] <= curve["y"] + 0.03).all()  # a middle of draws need not hold the mean at a corner
        assert (curve["y"] <= curve["high"] + 0.03).all()
        assert ((curve["low"] >= 0) & (curve["high"] <= 1)).all()
    assert found.auc.low < found.auc.mean < found.auc.high


def test_one_fold_has_no_band_over_folds():
    found = curves(frame(1), "corrected")
    assert found.roc["y"].notna().all()
    assert found.roc["low"].isna().all()
    assert np.isnan(found.auc.low)


def test_slices_of_one_patient_widen_the_band():
    """Six copies of each slice: as much is known as from the slices alone, if they are drawn together."""
    alone = frame(1)
    copies = alone.loc[np.repeat(alone.index, 6)].reset_index(drop=True)
    together = curves(copies, "groups", draws=300).auc
    single = curves(copies.assign(group=np.arange(len(copies))), "groups", draws=300).auc
    expected = curves(alone, "groups", draws=300).auc
    assert together.high - together.low == pytest.approx(expected.high - expected.low, rel=0.05)
    assert single.high - single.low < 0.6 * (together.high - together.low)


def test_the_bootstrap_holds_the_true_area():
    """Two normal distributions a distance d apart have the area Phi(d / sqrt 2)."""
    truth, held, repeats = norm.cdf(1.5 / np.sqrt(2)), 0, 100
    for seed in range(repeats):
        labels, probabilities = said(120, 1000 + seed)
        answers = pd.DataFrame(
            {"round": 1, "fold": 1, "label": labels, "probability": probabilities, "group": np.arange(120)}
        )
        low, high = curves(answers, "groups", draws=200).auc[1:]
        held += low <= truth <= high
    assert held / repeats > 0.88


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="corrected, groups"):
        curves(frame(1), "t")
