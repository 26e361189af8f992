"""Thresholds and predictive values: against the confusion matrix, Bayes by hand, and new samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from covid_core.results.intervals import Interval
from covid_core.results.metrics import counts, scores
from covid_core.results.operating import THRESHOLDS, operating_points, predictive_values, ratio_interval

ENDS = ("", "_low", "_high")


def said(size=400, seed=0, share=0.5):
    random = np.random.default_rng(seed)
    labels = (random.random(size) < share).astype(np.int8)
    return labels, (1 / (1 + np.exp(-random.normal(2 * labels - 1, 1.5)))).astype(np.float32)


def points_with(tp, fp, tn, fn) -> pd.DataFrame:
    labels = np.repeat([1, 0, 0, 1], [tp, fp, tn, fn])
    probabilities = np.repeat([0.9, 0.9, 0.1, 0.1], [tp, fp, tn, fn])
    return operating_points(labels, probabilities, np.arange(len(labels)), np.array([0.5]))


def test_every_threshold_has_the_confusion_matrix_of_metrics():
    labels, probabilities = said()
    points = operating_points(labels, probabilities, np.arange(len(labels)) // 3)
    assert points["threshold"].tolist() == THRESHOLDS.tolist() == [number / 100 for number in range(101)]
    for row in points.itertuples():
        matrix = counts(labels, probabilities, row.threshold)
        assert (row.tp, row.fp, row.tn, row.fn) == matrix
        measured = scores(*matrix)
        assert (row.sensitivity, row.specificity) == (measured["sensitivity"], measured["specificity"])


def test_a_higher_threshold_never_finds_more():
    points = operating_points(*said(), np.arange(400))
    assert points["sensitivity"].is_monotonic_decreasing
    assert points["specificity"].is_monotonic_increasing
    assert (points["sensitivity"].iloc[0], points["specificity"].iloc[0]) == (1, 0)


def test_slices_of_one_patient_widen_the_intervals_and_move_no_score():
    labels, probabilities = np.repeat([0, 1], 200), np.repeat(np.random.default_rng(0).random(40), 10)
    single = operating_points(labels, probabilities, np.arange(400))
    grouped = operating_points(labels, probabilities, np.arange(400) // 10)
    assert single["sensitivity"].equals(grouped["sensitivity"])
    row = 50
    for name in ("sensitivity", "specificity"):
        single_width, grouped_width = (one[f"{name}_high"][row] - one[f"{name}_low"][row] for one in (single, grouped))
        assert grouped_width > 2.5 * single_width


def test_a_class_that_is_absent_leaves_its_scores_undefined():
    points = operating_points(np.zeros(9), np.linspace(0, 1, 9), np.arange(9))
    assert points["sensitivity"].isna().all()
    assert points["specificity"].notna().all()
    assert predictive_values(points, 0.3).isna().all(axis=None)


class TestPredictiveValues:
    def test_bayes_by_hand(self):
        """90 % sensitive, 95 % specific: of 1,000 with 10 ill, 9 are found and 49.5 others called."""
        found = predictive_values(points_with(90, 5, 95, 10), 0.01).iloc[0]
        assert found["ppv"] == pytest.approx(9 / (9 + 49.5))
        assert found["npv"] == pytest.approx(940.5 / (940.5 + 1))

    @pytest.mark.parametrize("prevalence", [0.02, 0.5, 0.9])
    def test_they_are_the_shares_of_a_sample_with_this_prevalence(self, prevalence):
        labels, probabilities = said(100_000, 3, prevalence)
        tp, fp, tn, fn = counts(labels, probabilities, 0.6)
        balanced = operating_points(*said(100_000, 4), np.arange(100_000), np.array([0.6]))
        found = predictive_values(balanced, prevalence).iloc[0]
        assert found["ppv"] == pytest.approx(tp / (tp + fp), abs=0.01)
        assert found["npv"] == pytest.approx(tn / (tn + fn), abs=0.01)

    def test_nothing_called_is_not_zero_but_undefined(self):
        found = predictive_values(points_with(0, 0, 50, 50), 0.2).iloc[0]
        assert found[["ppv", "ppv_low", "ppv_high"]].isna().all()
        assert found["npv"] == pytest.approx(0.8)  # as before the test
        found = predictive_values(points_with(50, 50, 0, 0), 0.2).iloc[0]
        assert found["ppv"] == pytest.approx(0.2)
        assert found[["npv", "npv_low", "npv_high"]].isna().all()

    def test_no_false_alarm_is_no_certainty(self):
        found = predictive_values(points_with(40, 0, 50, 10), 0.1).iloc[0]
        assert found["ppv"] == found["ppv_high"] == 1
        assert 0.4 < found["ppv_low"] < 0.7

    def test_bounds_hold_the_value_and_rise_with_prevalence(self):
        points = operating_points(*said(), np.arange(400))
        before = None
        for prevalence in (0.005, 0.1, 0.5, 0.995):
            found = predictive_values(points, prevalence)
            for name in ("ppv", "npv"):
                known = found[found[name].notna()]
                value, low, high = (known[f"{name}{end}"] for end in ENDS)
                assert ((low >= 0) & (low <= value + 1e-12) & (value <= high + 1e-12) & (high <= 1)).all()
            if before is not None:
                defined = before["ppv"].notna()
                assert (found["ppv"] >= before["ppv"])[defined].all()
            before = found

    def test_the_intervals_hold_the_truth_on_new_samples(self):
        """Sensitivity 0.95 and specificity 0.9 on 120 slices of each class, at a prevalence of 10 %."""
        random, repeats = np.random.default_rng(5), 400
        found, called = random.binomial(120, 0.95, repeats), random.binomial(120, 0.1, repeats)
        rows = [points_with(tp, fp, 120 - fp, 120 - tp) for tp, fp in zip(found, called, strict=True)]
        values = predictive_values(pd.concat(rows, ignore_index=True), 0.1)
        truth = {"ppv": 0.095 / (0.095 + 0.09), "npv": 0.81 / (0.81 + 0.005)}
        for name, true in truth.items():
            held = ((values[f"{name}_low"] <= true) & (true <= values[f"{name}_high"])).mean()
            assert 0.92 < held < 0.99, name

    @pytest.mark.parametrize("prevalence", [0, 1, -0.1, 1.5, float("nan")])
    def test_a_prevalence_that_leaves_nothing_to_find_out_is_refused(self, prevalence):
        with pytest.raises(ValueError, match="above 0 and below 1"):
            predictive_values(points_with(1, 1, 1, 1), prevalence)


def test_the_ratio_is_the_published_formula():
    """Donner & Zou 2012, equation 9, as it is printed."""
    first, second = Interval(*np.array([[0.8], [0.7], [0.87]])), Interval(*np.array([[0.1], [0.05], [0.19]]))
    ratio, low, high = (float(part[0]) for part in ratio_interval(first, second))
    below, above = 0.19 * (2 * 0.1 - 0.19), 0.05 * (2 * 0.1 - 0.05)
    assert ratio == pytest.approx(8)
    assert low == pytest.approx((0.08 - np.sqrt(0.08**2 - 0.7 * below * (1.6 - 0.7))) / below)
    assert high == pytest.approx((0.08 + np.sqrt(0.08**2 - 0.87 * above * (1.6 - 0.87))) / above)
