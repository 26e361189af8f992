"""A network's answers out of the store, and that its measures are those of its answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_results import EXPERIMENT, fold_result
from sklearn.metrics import brier_score_loss, roc_auc_score
from tiny import CARD_FACTS, bright_or_dark_dataset

from covid_core.errors import StoreError
from covid_core.models.library import Card
from covid_core.results.external_tests import measures_of, study_of
from covid_core.results.metrics import counts
from covid_core.results.network_answers import external_answers, fold_answers, measured
from covid_core.results.store import ResultsStore


@pytest.fixture
def store(tmp_path):
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.add_experiment(EXPERIMENT)
    store.add_folds([fold_result(round_=round_, fold=fold) for round_ in (1, 2) for fold in (1, 2, 3)])
    store.add_fold(fold_result("VGG19"))
    return store


def test_all_folds_of_one_network_and_nothing_of_another(store):
    answers = fold_answers(store, EXPERIMENT.id, "VGG16")
    assert len(answers.rows) == 6 * 40
    assert answers.folds == 6
    assert answers.test_share == 0.2
    assert (answers.dataset, answers.dataset_digest) == ("phantom", "ab" * 32)
    # every fold of the made-up store tests the same 40 slices: each is one group, however often it was asked
    assert not answers.patients
    assert answers.rows.groupby("slice", observed=True)["group"].nunique().eq(1).all()
    assert answers.rows["group"].nunique() == 40


def test_patients_are_groups_where_they_are_known(store):
    of_slice = {f"COVID/slice {number}.png": f"P{number // 8}" for number in range(40)}
    answers = fold_answers(store, EXPERIMENT.id, "VGG16", {EXPERIMENT.dataset_digest: of_slice})
    assert answers.patients
    assert answers.rows["group"].nunique() == 5
    with pytest.raises(StoreError, match="patient for every"):
        fold_answers(store, EXPERIMENT.id, "VGG16", {EXPERIMENT.dataset_digest: {"other.png": "P1"}})


def test_no_predictions_are_no_rows(store):
    store.add_fold(fold_result("ResNet50", predictions=None))
    answers = fold_answers(store, EXPERIMENT.id, "ResNet50")
    assert answers.rows.empty
    assert answers.folds == 0


@pytest.mark.parametrize("patients", [True, False])
def test_an_external_test_is_one_fold_of_its_weights(store, tmp_path, patients):
    labels = np.arange(40) % 2
    groups = tuple(f"p{number // 4}" for number in range(40)) if patients else None
    dataset = replace(bright_or_dark_dataset(tmp_path, labels, groups), digest="f" * 64)
    facts = CARD_FACTS | {"round": 2, "fold": 3}
    card = Card("VGG16", "w.npz", "a" * 64, "float32", 0.0, path=Path("VGG16/one.json"), **facts)
    probabilities = np.random.default_rng(0).random(40).astype(np.float32)
    study = store.add_study(study_of(card, dataset))
    store.add_measures(study, measures_of(card, dataset, probabilities))
    store.finish_study(study, "2026-01-01T00:00:00+00:00")
    answers = external_answers(store, study)
    assert answers.patients is patients
    assert answers.rows["group"].nunique() == (10 if patients else 40)
    assert set(zip(answers.rows["round"], answers.rows["fold"], strict=True)) == {(2, 3)}
    assert answers.dataset_digest == "f" * 64
    said = dict(zip(answers.rows["slice"], answers.rows["probability"], strict=True))
    assert [said[path] for path in dataset.paths] == pytest.approx(probabilities.tolist())
    found = measured(answers, "groups")
    assert found.curves.auc.mean == pytest.approx(roc_auc_score(labels, probabilities))


@pytest.mark.parametrize("method", ["corrected", "groups"])
def test_measures_are_those_of_the_answers(store, method):
    answers = fold_answers(store, EXPERIMENT.id, "VGG16")
    found = measured(answers, method)
    folds = [part for _, part in answers.rows.groupby(["round", "fold"])]
    assert found.curves.auc.mean == pytest.approx(np.mean([roc_auc_score(f["label"], f["probability"]) for f in folds]))
    assert found.brier.mean == pytest.approx(np.mean([brier_score_loss(f["label"], f["probability"]) for f in folds]))
    row = found.points.loc[found.points["threshold"] == 0.5].iloc[0]
    assert tuple(row[["tp", "fp", "tn", "fn"]]) == counts(answers.rows["label"], answers.rows["probability"])
    assert found.reliability["slices"].sum() == len(answers.rows)
    share = answers.rows["label"].mean()
    assert found.constant_brier == pytest.approx(share * (1 - share))
    assert found.chance_error > 0
