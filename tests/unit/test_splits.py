import numpy as np
import pytest

from covid_core.data.splits import repeated_folds
from covid_core.errors import DatasetError

LABELS = np.array([0] * 47 + [1] * 53)
PATIENTS = [f"patient {number // 5}" for number in range(100)]


def test_test_sets_of_a_round_add_up_to_the_data_set():
    folds = list(repeated_folds(LABELS, rounds=3, folds=5))
    assert [(fold.round, fold.fold) for fold in folds] == [(r, f) for r in (1, 2, 3) for f in range(1, 6)]
    for number in (1, 2, 3):
        tested = np.concatenate([fold.test for fold in folds if fold.round == number])
        assert sorted(tested) == list(range(100))
    for fold in folds:
        assert sorted([*fold.train, *fold.test]) == list(range(100))


def test_folds_keep_the_share_of_classes():
    for fold in repeated_folds(LABELS, rounds=1, folds=5):
        assert abs(LABELS[fold.test].mean() - LABELS.mean()) < 0.05


def test_seed_reproduces_and_rounds_differ():
    first = [fold.test.tolist() for fold in repeated_folds(LABELS, 2, 5, seed=3)]
    again = [fold.test.tolist() for fold in repeated_folds(LABELS, 2, 5, seed=3)]
    other = [fold.test.tolist() for fold in repeated_folds(LABELS, 2, 5, seed=4)]
    assert first == again
    assert first != other
    assert first[:5] != first[5:]


def test_a_round_does_not_depend_on_how_many_follow():
    few = [fold.test.tolist() for fold in repeated_folds(LABELS, 1, 5)]
    many = [fold.test.tolist() for fold in repeated_folds(LABELS, 4, 5)]
    assert many[:5] == few


def test_no_patient_stands_on_both_sides():
    labels = np.array([int(patient.split()[1]) % 2 for patient in PATIENTS])
    for fold in repeated_folds(labels, 2, 5, groups=PATIENTS):
        assert not {PATIENTS[i] for i in fold.train} & {PATIENTS[i] for i in fold.test}


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        ([0, 0, 0, 0, 0, 0, 1, 1], None, "at least 5 slices"),
        ([0] * 10 + [1] * 10, ["a"] * 10 + list("bcdefghijk"), "at least 5 patients"),
        ([0, 1], ["a"], "patient for each"),
    ],
)
def test_too_few_to_split_is_refused(labels, groups, message):
    with pytest.raises(DatasetError, match=message):
        list(repeated_folds(np.array(labels), 1, 5, groups=groups))
