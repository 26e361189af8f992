"""Tests on slices from elsewhere: what is stored, what is refused, and the scores against scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference
from tiny import CARD_FACTS, bright_or_dark, bright_or_dark_dataset, tiny_network

from covid_core.errors import ModelError, StudyError
from covid_core.models.library import Card
from covid_core.results import external
from covid_core.results.external_tests import KIND, answers, external_table, measures_of, study_of
from covid_core.results.store import ResultsStore
from covid_core.results.study_exchange import export_studies, import_studies

SLICES = 40


@pytest.fixture
def card(tmp_path):
    facts = CARD_FACTS | {"counts": (45, 5, 40, 10), "auc": 0.9, "protocol": {"split": "slice"}}
    return Card(
        model="VGG16",
        weights="w.npz",
        sha256="a" * 64,
        weights_dtype="float32",
        probability_shift=0.0,
        path=tmp_path / "VGG16" / "one.json",
        **facts,
    )


@pytest.fixture
def dataset(tmp_path):
    labels = np.arange(SLICES) % 2
    groups = tuple(f"p{number // 4}" for number in range(SLICES))
    return replace(bright_or_dark_dataset(tmp_path, labels, groups), digest="f" * 64)


@pytest.fixture
def store(tmp_path):
    return ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")


@pytest.fixture
def probabilities():
    return np.random.default_rng(0).uniform(0, 1, SLICES).astype(np.float32)


def add(store, card, dataset, probabilities):
    study_id = store.add_study(study_of(card, dataset))
    store.add_measures(study_id, measures_of(card, dataset, probabilities))
    store.finish_study(study_id, "2026-01-01T00:00:00+00:00")
    return study_id


def test_scores_elsewhere_are_scikit_learns_and_the_own_ones_the_cards(store, card, dataset, probabilities):
    add(store, card, dataset, probabilities)
    row = external_table(store).iloc[0]
    labels, called = dataset.binary_labels, probabilities >= 0.5
    assert row["accuracy"] == pytest.approx(reference.accuracy_score(labels, called))
    assert row["sensitivity"] == pytest.approx(reference.recall_score(labels, called))
    assert row["specificity"] == pytest.approx(reference.recall_score(labels, called, pos_label=0))
    assert row["precision"] == pytest.approx(reference.precision_score(labels, called))
    assert row["f1"] == pytest.approx(reference.f1_score(labels, called))
    assert row["auc"] == pytest.approx(reference.roc_auc_score(labels, probabilities))
    assert (row["accuracy_own"], row["sensitivity_own"], row["auc_own"]) == (0.85, 45 / 55, 0.9)
    assert row["accuracy_change"] == pytest.approx(row["accuracy"] - 0.85)
    assert row["accuracy_change_low"] < row["accuracy_change"] < row["accuracy_change_high"]
    assert row["accuracy_own_low"] < 0.85 < row["accuracy_own_high"]
    assert (row["slices"], row["positives"], row["patients"], row["prevalence"]) == (40, 20, 10, 0.5)
    assert (row["network"], row["round"], row["fold"], row["own_slices"], row["split"]) == ("VGG16", 1, 1, 100, "slice")


def test_patients_widen_the_interval_where_their_slices_share_their_fate(store, card, dataset):
    right = np.repeat(np.arange(10) % 2 == 0, 4)  # every patient is known wholly or not at all
    probabilities = np.where(right == (dataset.binary_labels == 1), 0.9, 0.1)
    add(store, card, dataset, probabilities)
    add(store, card, replace(dataset, groups=None, digest="e" * 64), probabilities)
    table = external_table(store)
    assert table["patients"].isna().sum() == 1
    widths = (table["accuracy_high"] - table["accuracy_low"]).where(table["patients"].notna())
    others = (table["accuracy_high"] - table["accuracy_low"]).where(table["patients"].isna())
    assert widths.max() > 1.5 * others.max()


def test_one_class_alone_leaves_undefined_what_is_undefined(store, card, dataset, probabilities):
    only = replace(dataset, labels=np.ones(SLICES, np.int64))
    add(store, card, only, probabilities)
    row = external_table(store).iloc[0]
    assert np.isnan(row[["specificity", "specificity_change", "auc"]].astype(float)).all()
    assert 0 <= row["sensitivity"] <= 1


def test_unfinished_tests_are_not_shown(store, card, dataset):
    store.add_study(study_of(card, dataset))
    assert external_table(store).empty


def test_answers_survive_export_and_import(store, card, dataset, probabilities, tmp_path):
    study_id = add(store, card, dataset, probabilities)
    export_studies(store, tmp_path / "out", study_id)
    other = ResultsStore(f"sqlite:///{tmp_path / 'other.sqlite'}")
    import_studies(other, tmp_path / "out")
    assert external_table(other).equals(external_table(store))
    told = answers(other, study_id).set_index("slice").loc[list(dataset.paths)]
    np.testing.assert_allclose(told["probability"], probabilities)
    assert told["patient"].nunique() == 10


def test_the_own_data_set_and_another_positive_class_are_refused(card, dataset):
    with pytest.raises(StudyError, match="was trained on"):
        study_of(replace(card, dataset_digest=dataset.digest), dataset)
    with pytest.raises(StudyError, match="positive class 'COVID'"):
        study_of(replace(card, classes=("other", "COVID")), dataset)


def test_probabilities_are_the_networks_and_nan_is_refused(card, monkeypatch):
    network = tiny_network("VGG16")
    monkeypatch.setattr(external, "load_network", lambda _: network)
    pixels, _ = bright_or_dark(35)
    seen = []
    told = external.probabilities_of(card, pixels, seen.append)
    np.testing.assert_allclose(told, network.predict(pixels, verbose=0)[:, -1], atol=1e-6)
    assert seen == [32, 35]
    network.get_layer("probabilities").bias.assign([np.nan, np.nan])
    with pytest.raises(ModelError, match="NaN or infinite"):
        external.probabilities_of(card, pixels)


@pytest.fixture
def command(tmp_path, monkeypatch, card):
    """The command over a folder of a few slices, with a network that always says the same."""
    from covid_core.data.phantom import write_dataset

    asked = []
    monkeypatch.setenv("COVID_RESULTS", str(tmp_path / "none"))
    monkeypatch.setenv("COVID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(external, "list_networks", lambda _: {"VGG16": [replace(card, classes=("non-COVID", "COVID"))]})
    monkeypatch.setattr(
        external, "probabilities_of", lambda one, pixels, _: asked.append(one) or np.full(len(pixels), 0.75)
    )
    folder = write_dataset(tmp_path / "slices", patients=6, slices_per_patient=2, size=64)
    flags = ["--dataset", str(folder / "manifest.csv"), "--store", f"sqlite:///{tmp_path / 'command.sqlite'}"]
    return flags, asked


def test_the_command_asks_once_prints_and_exports(command, capsys, tmp_path):
    flags, asked = command
    export = tmp_path / "export"
    assert external.main([*flags, "--export", str(export)]) == 0
    out = capsys.readouterr().out
    assert "12 slices, 6 patients, prevalence 0.5" in out
    assert "0.850" in out  # the card's own accuracy
    assert external.main(flags) == 0
    assert len(asked) == 1
    assert {file.name for file in Path(export).iterdir()} == {"measures.csv", "studies.csv"}
    assert set(ResultsStore(flags[-1]).studies()["kind"]) == {KIND}


def test_the_command_says_what_is_wrong(command, capsys, monkeypatch):
    flags, asked = command
    assert external.main([*flags, "--networks", "LeNet"]) == external.EXIT_USAGE
    assert "Received: LeNet" in capsys.readouterr().out
    assert external.main([*flags, "--positive", "flu"]) == external.EXIT_USAGE
    monkeypatch.setattr(external, "list_networks", lambda _: {})
    assert external.main(flags) == external.EXIT_USAGE
    assert "Train them" in capsys.readouterr().out
    assert not asked
