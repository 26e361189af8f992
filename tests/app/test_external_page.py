"""The page of external tests: nothing tested, a fall, several folds of one network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from covid_core.data.sources import Dataset
from covid_core.models.library import Card
from covid_core.results.external_tests import measures_of, study_of
from covid_core.results.metrics import METRICS
from covid_core.settings import REPOSITORY


def card(fold: int = 1) -> Card:
    return Card(
        **{"model": "EfficientNetB0", "weights": "w.npz", "sha256": f"{fold}" * 64, "weights_dtype": "float32"},
        **{"probability_shift": 0.0, "input_size": 128, "interpolation": "area", "classes": ("non-COVID", "COVID")},
        **{"dataset": "home", "dataset_digest": "h" * 64, "experiment": "e" * 16, "protocol": {"split": "slice"}},
        **{"round": 1, "fold": fold, "counts": (48, 2, 48, 2), "scores": {}, "auc": 0.99, "date": "", "command": ""},
        **{"facts": {}, "path": Path("EfficientNetB0/one.json")},
    )


def elsewhere() -> Dataset:
    paths = tuple(f"{number}.png" for number in range(40))
    patients = tuple(f"p{number // 2}" for number in range(40))
    labels = np.repeat([0, 1], 20)
    return Dataset("other hospital", Path("."), paths, labels, ("non-COVID", "COVID"), patients, "d" * 64, ())


def add(store, one: Card, dataset: Dataset, probabilities) -> None:
    study_id = store.add_study(study_of(one, dataset))
    store.add_measures(study_id, measures_of(one, dataset, probabilities))
    store.finish_study(study_id, "2026-01-01T00:00:00+00:00")


def test_nothing_tested_names_the_command(open_page, store):
    app = open_page("external")
    assert app.code[0].value.startswith("python -m covid_core.results.external --dataset FOLDER")
    assert not app.dataframe


def test_a_fall_is_said_as_plainly_as_the_score(open_page, store):
    add(store, card(), elsewhere(), np.full(40, 0.9))  # everything is called COVID
    app = open_page("external")
    (said,) = [one.value for one in app.error]
    assert "accuracy falls from 0.960 to **0.500** (-0.460" in said
    assert "Of 100 slices without COVID it calls 100 COVID; of 100 with COVID it misses 0." in said
    assert "not shown to be better than always naming the larger class (0.500)" in said
    assert [metric.value for metric in app.metric] == ["40", "20", "0.500", "0.500"]
    scores = app.dataframe[0].value
    assert len(scores) == len(METRICS) + 1
    assert scores.loc[scores["Score"] == "Specificity", "Elsewhere"].iloc[0] == "0.000 (0.000 to 0.000)"


def test_a_network_that_holds_up_is_not_painted_red(open_page, store):
    right = np.repeat([0.1, 0.9], 20)
    add(store, card(), elsewhere(), right)
    app = open_page("external")
    assert not app.error
    assert any("better than always naming the larger class" in one.value for one in app.info)


def test_folds_of_one_network_are_told_apart_and_choices_stand_in_the_address(open_page, store):
    rng = np.random.default_rng(0)
    for fold in (1, 2):
        add(store, card(fold), elsewhere(), rng.uniform(0, 1, 40))
    add(store, card(), replace(elsewhere(), name="third", digest="t" * 64, groups=None), rng.uniform(0, 1, 40))
    app = open_page("external", data="other hospital · 40 slices of 20 patients", metric="Specificity")
    names = app.dataframe[0].value["Network"].unique().tolist()
    assert names == ["EfficientNetB0 · round 1, fold 1", "EfficientNetB0 · round 1, fold 2"]
    assert app.subheader[0].value == "Specificity on the own fold and elsewhere"
    app = open_page("external", data="nonsense", of="nonsense")
    assert app.selectbox(key="data").value in ("third · 40 slices", "other hospital · 40 slices of 20 patients")


@pytest.fixture
def shipped(monkeypatch):
    monkeypatch.setenv("COVID_RESULTS", str(REPOSITORY / "results" / "measured"))


def test_the_shipped_networks_fall(open_page, places, shipped):
    """Figures that `python -m covid_core.results.external` printed for the shipped pair."""
    app = open_page("external")
    said = " ".join(one.value for one in app.error)
    assert "**EfficientNetB0**: accuracy falls from 0.958 to **0.554**" in said
    scores = app.dataframe[0].value
    assert isinstance(scores, pd.DataFrame)
    assert set(scores["Network"]) == {"EfficientNetB0", "Modified-EfficientNetB0"}
