"""Slice split against group split: which experiments belong together, and what is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up_results import EXPERIMENT, fold_result

from covid_core.results.leaderboard import leaderboard
from covid_core.results.metrics import METRICS, scores
from covid_core.results.split_gap import COLUMNS, split_gaps
from covid_core.results.store import ResultsStore

PATIENTS = replace(EXPERIMENT, split="group")
LIKENESS = replace(PATIENTS, protocol=EXPERIMENT.protocol | {"groups": {"origin": "likeness", "digest": "12ab"}})


@pytest.fixture
def store(tmp_path) -> ResultsStore:
    return ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")


def add(store, experiment, model="VGG16", counts=((9, 1, 9, 1),)):
    store.add_experiment(experiment)
    for fold, numbers in enumerate(counts, start=1):
        store.add_fold(replace(fold_result(model, 1, fold, experiment), predictions=None, counts=numbers))


def gaps(store):
    return split_gaps(leaderboard(store), store.experiments())


def test_without_both_splits_there_is_no_row_but_every_column(store):
    assert list(gaps(store)) == COLUMNS
    add(store, EXPERIMENT)
    add(store, PATIENTS, "VGG19")
    assert gaps(store).empty


def test_a_gap_is_the_difference_of_the_means_by_every_metric(store):
    add(store, EXPERIMENT, counts=((10, 0, 10, 0), (9, 1, 9, 1)))
    add(store, PATIENTS, counts=((6, 4, 7, 4),))
    (row,) = gaps(store).to_dict("records")
    high, low = (scores(*numbers) for numbers in ((10, 0, 10, 0), (9, 1, 9, 1)))
    group = scores(6, 4, 7, 4)
    for metric in METRICS:
        assert row[f"{metric}_slice"] == pytest.approx((high[metric] + low[metric]) / 2)
        assert row[f"{metric}_group"] == pytest.approx(group[metric])
        assert row[f"{metric}_gap"] == pytest.approx(row[f"{metric}_slice"] - row[f"{metric}_group"])
    assert (row["model"], row["dataset"], row["size"], row["groups"]) == ("VGG16", "phantom", 64, "patients")
    assert (row["folds_slice"], row["folds_group"]) == (2, 1)
    assert (row["experiment_slice"], row["experiment_group"]) == (EXPERIMENT.id, PATIENTS.id)


def test_several_groupings_stand_beside_one_split_by_slice(store):
    add(store, EXPERIMENT)
    add(store, PATIENTS, counts=((5, 1, 9, 5),))
    add(store, LIKENESS, counts=((7, 1, 9, 3),))
    table = gaps(store)
    assert table["groups"].tolist() == ["patients", "likeness"]  # the largest gap first
    assert table["sensitivity_gap"].tolist() == pytest.approx([0.4, 0.2])


@pytest.mark.parametrize(
    "other",
    [
        replace(PATIENTS, dataset_digest="ef" * 32),
        replace(PATIENTS, transform={"size": 96}),
        replace(PATIENTS, protocol={"epochs": 3, "folds": 5}),
    ],
)
def test_what_differs_in_more_than_the_split_is_not_compared(store, other):
    add(store, EXPERIMENT)
    add(store, other)
    assert gaps(store).empty
