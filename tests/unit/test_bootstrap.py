"""The bootstrap of stored predictions: against SciPy's, and what must hold where slices of a patient are alike."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from covid_core.errors import StoreError
from covid_core.results.bootstrap import (
    bootstrap_change,
    bootstrap_differences,
    bootstrap_scores,
    draw_groups,
    group_counts,
    groups_of,
)
from covid_core.results.metrics import METRICS, counts, scores

PATIENTS, SLICES = 40, 12


def clustered(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and patients: some patients are wrong on most of their slices, others on hardly any."""
    random = np.random.default_rng(seed)
    patients = np.repeat(np.arange(PATIENTS), SLICES)
    labels = (np.arange(PATIENTS) % 2)[patients]
    wrong = random.random(len(labels)) < random.beta(0.3, 1.7, PATIENTS)[patients]
    return labels, np.where(wrong, 1 - labels, labels).astype(float), patients


def width(interval) -> float:
    return interval.high - interval.low


def test_it_is_scipys_bootstrap():
    labels, probabilities, patients = clustered()
    of_patient = group_counts(labels, probabilities, patients)
    found = bootstrap_scores(of_patient, draw_groups(PATIENTS, draws=9000))

    def sensitivity(drawn: np.ndarray, axis: int) -> np.ndarray:
        tp, _, _, fn = np.moveaxis(of_patient[drawn].sum(axis=axis - 1), -1, 0)
        return tp / (tp + fn)

    reference = stats.bootstrap(
        (np.arange(PATIENTS),),
        sensitivity,
        n_resamples=9000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (found["sensitivity"].low, found["sensitivity"].high) == pytest.approx(tuple(reference), abs=0.006)


def test_counts_of_groups_add_up_to_the_confusion_matrix():
    labels, probabilities, patients = clustered()
    of_patient = group_counts(labels, probabilities, patients)
    assert of_patient.shape == (PATIENTS, 4)
    assert tuple(of_patient.sum(axis=0)) == counts(labels, probabilities)
    found = bootstrap_scores(of_patient, draw_groups(PATIENTS, 50))
    assert {metric: found[metric].mean for metric in METRICS} == pytest.approx(scores(*counts(labels, probabilities)))


def test_drawing_patients_is_wider_than_drawing_slices():
    """Slices of one patient are wrong together: whoever draws them one by one sees too many independent cases."""
    labels, probabilities, patients = clustered()
    by_patient = bootstrap_scores(group_counts(labels, probabilities, patients), draw_groups(PATIENTS))
    slices = np.arange(len(labels))
    by_slice = bootstrap_scores(group_counts(labels, probabilities, slices), draw_groups(len(slices)))
    for metric in METRICS:
        assert width(by_patient[metric]) > 1.2 * width(by_slice[metric])
        assert by_patient[metric].mean == by_slice[metric].mean


def test_only_drawing_patients_holds_what_it_promises():
    """Over data sets of new patients, whose expected accuracy is known: 0.3 / 2 of all slices are wrong."""
    held = {"patients": 0, "slices": 0}
    repeats = 250
    weights = {size: draw_groups(size, 500) for size in (PATIENTS, PATIENTS * SLICES)}
    for seed in range(repeats):
        labels, probabilities, patients = clustered(seed)
        for what, groups in (("patients", patients), ("slices", np.arange(len(labels)))):
            of_group = group_counts(labels, probabilities, groups)
            _, low, high = bootstrap_scores(of_group, weights[len(of_group)])["accuracy"]
            held[what] += low <= 1 - 0.15 <= high
    assert held["patients"] / repeats > 0.88  # percentile intervals of 40 patients are a little narrow
    assert held["slices"] / repeats < 0.75


def test_bounds_are_inside_for_any_predictions():
    random = np.random.default_rng(1)
    for _ in range(60):
        size = random.integers(1, 30)
        groups = np.unique(random.integers(0, size, size), return_inverse=True)[1]
        of_group = group_counts(random.integers(0, 2, size), random.random(size), groups)
        for interval in bootstrap_scores(of_group, draw_groups(len(of_group), 100)).values():
            if not math.isnan(interval.low):
                assert 0 <= interval.low <= interval.high <= 1


def test_one_class_alone_leaves_the_other_score_undefined():
    found = bootstrap_scores(group_counts(np.ones(5), np.full(5, 0.9), np.arange(5)), draw_groups(5, 50))
    assert found["sensitivity"] == (1, 1, 1)
    assert all(math.isnan(value) for value in found["specificity"])


def test_draws_repeat_and_are_of_the_right_size():
    assert (draw_groups(7, 20) == draw_groups(7, 20)).all()
    assert (draw_groups(7, 20) != draw_groups(7, 20, seed=1)).any()
    assert (draw_groups(7, 20).sum(axis=1) == 7).all()


class TestDifferences:
    def test_swapping_flips_the_sign(self):
        labels, first, patients = clustered(0)
        second = np.where(np.random.default_rng(2).random(len(labels)) < 0.1, 1 - first, first)
        sides = [group_counts(labels, side, patients) for side in (first, second)]
        weights = draw_groups(PATIENTS, 400)
        there, back = bootstrap_differences(*sides, weights), bootstrap_differences(*sides[::-1], weights)
        for metric in METRICS:
            assert tuple(there[metric]) == pytest.approx((-back[metric].mean, -back[metric].high, -back[metric].low))
            assert -1 <= there[metric].low <= there[metric].mean <= there[metric].high <= 1

    def test_a_network_against_itself_differs_by_nothing(self):
        labels, first, patients = clustered(0)
        side = group_counts(labels, first, patients)
        assert set(bootstrap_differences(side, side, draw_groups(PATIENTS, 50)).values()) == {(0, 0, 0)}

    def test_what_both_share_cancels(self):
        """Both see the same draws: the difference of alike networks is far surer than either score."""
        labels, first, patients = clustered(0)
        second = first.copy()
        second[:3] = 1 - second[:3]
        sides = [group_counts(labels, side, patients) for side in (first, second)]
        weights = draw_groups(PATIENTS, 400)
        difference = bootstrap_differences(*sides, weights)["accuracy"]
        assert width(difference) < width(bootstrap_scores(sides[0], weights)["accuracy"]) / 4


class TestGroups:
    SLICES = pd.Series(["b.png", "a.png", "c.png", "a.png"])

    def test_without_patients_each_slice_stands_for_itself_in_all_rounds(self):
        groups = groups_of(self.SLICES.astype("category"))
        assert groups[1] == groups[3]
        assert sorted(set(groups)) == [0, 1, 2]

    def test_slices_of_one_patient_are_one_group(self):
        groups = groups_of(self.SLICES, {"a.png": "P2", "b.png": "P1", "c.png": "P2", "d.png": "P3"})
        assert groups[0] != groups[1] == groups[2] == groups[3]
        assert set(groups) == {0, 1}

    def test_a_slice_without_a_patient_is_refused(self):
        with pytest.raises(StoreError, match=r"none for 1 of them, the first 'c.png'"):
            groups_of(self.SLICES, {"a.png": "P2", "b.png": "P1"})

    def test_categories_that_nobody_uses_do_not_count(self):
        frame = self.SLICES.astype("category")[:1]
        assert groups_of(frame).tolist() == [0]
        assert groups_of(frame, {"b.png": "P1"}).tolist() == [0]


def test_a_change_between_two_sets_is_as_uncertain_as_both_together():
    labels, probabilities, patients = clustered()
    first = group_counts(labels, probabilities, patients)
    labels, probabilities, patients = clustered(seed=1)
    second = group_counts(labels, probabilities, patients)
    weights = draw_groups(PATIENTS, 4000, seed=0), draw_groups(PATIENTS, 4000, seed=1)
    change = bootstrap_change(first, weights[0], second, weights[1])["accuracy"]
    alone = [
        bootstrap_scores(counts, drawn)["accuracy"] for counts, drawn in zip((first, second), weights, strict=True)
    ]
    assert change.mean == pytest.approx(alone[1].mean - alone[0].mean)
    assert width(change) == pytest.approx(math.hypot(*map(width, alone)), rel=0.08)
    back = bootstrap_change(second, weights[1], first, weights[0])["accuracy"]
    assert (back.mean, back.low, back.high) == pytest.approx((-change.mean, -change.high, -change.low))
