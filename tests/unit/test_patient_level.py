"""Patients in place of slices: by hand, by fold and by round, and where both levels are the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from covid_core.errors import StoreError
from covid_core.results.fold_scores import fold_scores
from covid_core.results.metrics import METRICS
from covid_core.results.patient_level import COLUMNS, folds_are_pooled, patient_predictions


def predictions(rows: list[tuple[int, int, str, int, float]], model: str = "VGG16") -> pd.DataFrame:
    """From (round, fold, slice, label, probability)."""
    frame = pd.DataFrame(rows, columns=["round", "fold", "slice", "label", "probability"])
    frame.insert(0, "model", model)
    frame.insert(0, "experiment", "e")
    frame["probability"] = frame["probability"].astype(np.float32)
    return frame.astype({"experiment": "category", "model": "category", "slice": "category"})


KEPT_TOGETHER = [
    (1, 1, "a1", 1, 0.9),
    (1, 1, "a2", 1, 0.3),
    (1, 1, "b1", 0, 0.25),
    (1, 2, "c1", 1, 0.5),
    (1, 2, "c2", 1, 0.25),
    (1, 2, "d1", 0, 0.75),
]
OWNER = {name: name[0] for name in ("a1", "a2", "a3", "b1", "b2", "c1", "c2", "d1")}


def test_a_patient_is_the_mean_of_its_slices_in_its_fold():
    found = patient_predictions(predictions(KEPT_TOGETHER), OWNER, 5)
    assert found.columns.tolist() == COLUMNS
    assert found[["round", "fold", "label"]].values.tolist() == [[1, 1, 1], [1, 1, 0], [1, 2, 1], [1, 2, 0]]
    np.testing.assert_allclose(found["probability"], [0.6, 0.25, 0.375, 0.75], atol=1e-7)
    assert found["slice"].tolist() == [0, 1, 2, 3]
    assert found["folds"].tolist() == [1] * 4
    folds = fold_scores(found)
    assert folds[["tp", "fp", "tn", "fn"]].values.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]]
    assert folds["accuracy"].tolist() == [1, 0]
    assert folds["auc"].tolist() == [1, 0]


def test_patients_spread_over_folds_are_pooled_over_the_round():
    spread = [
        *((1, 1, "a1", 1, 0.9), (1, 1, "b1", 0, 0.2)),
        *((1, 2, "a2", 1, 0.2), (1, 2, "b2", 0, 0.6)),
        *((2, 1, "a1", 1, 0.4), (2, 1, "b2", 0, 0.2)),
        *((2, 2, "a2", 1, 0.4), (2, 2, "b1", 0, 0.3)),
    ]
    found = patient_predictions(predictions(spread), OWNER, 2)
    assert found[["round", "fold", "slice"]].values.tolist() == [[1, 0, 0], [1, 0, 1], [2, 0, 0], [2, 0, 1]]
    np.testing.assert_allclose(found["probability"], [0.55, 0.4, 0.4, 0.25], atol=1e-7)
    assert found["folds"].tolist() == [2] * 4
    assert fold_scores(found)["sensitivity"].tolist() == [1, 0]


def test_rounds_that_are_not_whole_are_left_out_as_soon_as_one_is():
    spread = [(1, 1, "a1", 1, 0.9), (1, 2, "a2", 1, 0.2), (2, 1, "a1", 1, 0.4)]
    assert set(patient_predictions(predictions(spread), OWNER, 2)["round"]) == {1}
    assert set(patient_predictions(predictions(spread), OWNER, 3)["round"]) == {1, 2}


def test_with_one_slice_a_patient_both_levels_are_the_same():
    random = np.random.default_rng(0)
    rows = [
        (r, f, f"{f}-{n}", int(random.integers(2)), float(random.random()))
        for r in (1, 2)
        for f in (1, 2)
        for n in range(30)
    ]
    frame = predictions(rows)
    alone = {name: f"patient of {name}" for name in frame["slice"].cat.categories}
    found = patient_predictions(frame, alone, 2)
    assert not found["mixed"].any()
    left, right = fold_scores(frame), fold_scores(found)
    for column in ("round", "fold", "tp", "fp", "tn", "fn", *METRICS, "auc"):
        np.testing.assert_array_equal(left[column], right[column])


def test_mixed_labels_follow_the_majority_and_are_marked():
    rows = [
        (1, 1, "a1", 1, 0.9),
        (1, 1, "a2", 0, 0.9),
        (1, 1, "a3", 0, 0.9),
        (1, 1, "b1", 1, 0.1),
        (1, 1, "b2", 0, 0.1),
    ]
    found = patient_predictions(predictions(rows), OWNER, 5)
    assert found["label"].tolist() == [0, 1]  # a draw counts as positive
    assert found["mixed"].tolist() == [True, True]


def test_probabilities_stay_in_their_range_and_the_mean_of_all_stays():
    random = np.random.default_rng(1)
    rows = [(1, 1, f"s{n}", n % 2, float(random.random())) for n in range(60)]
    owner = {f"s{n}": f"p{n // 6}" for n in range(60)}  # of equal size
    found = patient_predictions(predictions(rows), owner, 5)
    assert len(found) == 10
    assert found["probability"].mean() == pytest.approx(np.mean([row[-1] for row in rows]), abs=1e-6)
    assert found["probability"].between(0, 1).all()


def test_a_slice_without_a_patient_is_refused():
    with pytest.raises(StoreError, match="none for 1 of them, the first 'd1'"):
        patient_predictions(predictions(KEPT_TOGETHER), {name: "p" for name in OWNER if name != "d1"}, 5)


def test_networks_stay_apart():
    both = pd.concat([predictions(KEPT_TOGETHER), predictions(KEPT_TOGETHER, "VGG19")], ignore_index=True)
    found = patient_predictions(both.astype({"model": "category"}), OWNER, 5)
    assert len(found) == 8
    assert not folds_are_pooled(found)
