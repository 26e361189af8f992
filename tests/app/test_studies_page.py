"""Map studies: nothing measured, trained and random pairs, and numbers that are those of the tables."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from covid_core.results.map_studies import (
    KIND,
    RANDOM_KIND,
    agreement_table,
    intensity_table,
    study_groups,
    wide_measures,
)
from covid_core.results.published import MEAN_INTENSITIES
from covid_core.results.records import Study
from covid_core.results.store import ResultsStore

SETTINGS = {"slices": "held-out", "target": "own", "threshold_on": "heat", "limit": None}
FINISHED = "2026-01-01T00:00:00+00:00"


def study(backbone: str, **changes) -> Study:
    networks = {backbone: {"sha256": "1"}, f"Modified-{backbone}": {"sha256": "2"}}
    transform = {"size": 64, "interpolation": "area"}
    return replace(Study(KIND, "synthetic slices", "ab", transform, networks, SETTINGS, FINISHED), **changes)


def add(store: ResultsStore, one: Study, backbone: str, seed: int = 0, empty: int = 0) -> None:
    rng = np.random.default_rng(seed)
    measures = {
        f"{mask}_mask_{variant}_{name}": scale * rng.random(60)
        for mask in ("base", "modified", "union")
        for variant in ("base", "modified")
        for name, scale in (("intensity", 255), ("heat", 1))
    }
    for variant in ("base", "modified"):
        for name in ("area_over_half", "entropy"):
            measures[f"{variant}_{name}"] = rng.random(60)
    for name in ("mask_iou", "chance_iou", "other_slice_iou", "rank_correlation", "other_slice_rank_correlation"):
        measures[name] = rng.random(60)
    table = pd.DataFrame(measures).assign(slice=[f"{n}.png" for n in range(60)], label=np.arange(60) % 3 == 0)
    table.iloc[:empty, :12] = np.nan
    long = table.astype({"label": int}).melt(["slice", "label"], var_name="measure")
    store.add_study(one)
    store.add_measures(one.id, long.assign(subject=f"{backbone} / Modified-{backbone}", method="gradcam"))


@pytest.fixture
def measured(store: ResultsStore) -> ResultsStore:
    """Two trained pairs, one of them published and with three slices without a mask, and a random one."""
    add(store, study("VGG16"), "VGG16", 1, empty=3)
    add(store, study("EfficientNetB0"), "EfficientNetB0", 2)
    add(store, study("Xception", kind=RANDOM_KIND), "Xception", 3)
    return store


def chart(app, number: int) -> dict:
    return json.loads(app.get("vega_lite_chart")[number].proto.spec)


def texts(app) -> str:
    return " ".join(one.value for one in [*app.caption, *app.markdown, *app.info, *app.warning])


def test_nothing_measured_names_the_command(open_page, store):
    app = open_page("studies")
    assert "No heat maps have been measured" in app.info[0].value
    assert "covid_core.explain.study --dataset" in app.code[0].value
    assert not app.dataframe


def test_measured_pairs_stand_beside_the_published_means(open_page, measured):
    app = open_page("studies")
    assert not app.warning
    shown = app.dataframe[0].value.set_index("Backbone")
    expected = intensity_table(wide_measures(measured, study_groups(measured)[0])).set_index("backbone")
    assert list(shown.index) == ["EfficientNetB0", "VGG16"]
    for backbone in shown.index:
        assert shown.loc[backbone, "Base"] == f"{expected.loc[backbone, 'base']:.2f}"
        assert shown.loc[backbone, "Slices"] == expected.loc[backbone, "slices"]
    assert shown.loc["VGG16", "Published"] == "123.13 / 78.60"
    assert shown.loc["EfficientNetB0", "Published"] == "–"
    assert "3 maps have no such pixel" in texts(app)
    order = chart(app, 0)["layer"][0]["encoding"]["y"]["sort"]
    assert order == [
        "EfficientNetB0 · measured",
        "VGG16 · measured",
        *(f"{name} · published" for name in MEAN_INTENSITIES),
    ]
    assert [metric.value for metric in app.metric] == ["2", "60", "20", "none"]


def test_other_masks_have_no_published_rows(open_page, measured):
    app = open_page("studies", mask="Both", value="Heat")
    assert "Published" not in app.dataframe[0].value
    assert not any("published" in label for label in chart(app, 0)["layer"][0]["encoding"]["y"]["sort"])
    expected = intensity_table(wide_measures(measured, study_groups(measured)[0]), "union", "heat")
    assert app.dataframe[0].value["Base"].tolist() == [f"{value:.4f}" for value in expected["base"]]


def test_one_class_can_be_looked_at_alone(open_page, measured):
    app = open_page("studies", slices="COVID")
    measures = wide_measures(measured, study_groups(measured)[0])
    expected = intensity_table(measures[measures["label"] == 1])
    assert app.dataframe[0].value["Slices"].tolist() == expected["slices"].tolist() == [20, 19]
    assert not any("published" in label for label in chart(app, 0)["layer"][0]["encoding"]["y"]["sort"])


def test_random_weights_say_so(open_page, measured):
    app = open_page("studies")
    options = app.selectbox(key="study").options
    assert len(options) == 2
    app.selectbox(key="study").select(options[1]).run()
    assert options[1].startswith("random weights")
    assert "nothing was learned" in app.warning[0].value
    assert app.dataframe[0].value["Backbone"].tolist() == ["Xception"]


def test_a_study_under_way_says_so(open_page, store):
    add(store, study("VGG16", finished=None), "VGG16")
    app = open_page("studies")
    assert "Still being measured" in app.info[0].value
    assert "VGG16" in app.info[0].value


def test_the_agreement_is_drawn_with_its_controls(open_page, measured):
    app = open_page("studies")
    spec = chart(app, 4)
    assert spec["layer"][0]["encoding"]["color"]["sort"] == [
        "IoU of the masks",
        "Of masks thrown at random",
        "With another slice of the class",
    ]
    rows = next(iter(spec["datasets"].values())) if "datasets" in spec else None
    table = agreement_table(wide_measures(measured, study_groups(measured)[0]))
    assert rows is None or len(rows) == 6
    assert len(table) == 10


def test_the_measure_of_spread_can_be_chosen(open_page, measured):
    area, entropy = (
        open_page("studies", spread=name).dataframe[1].value for name in ("Area over half maximum", "Entropy")
    )
    assert area["Network"].tolist() == entropy["Network"].tolist()
    assert area["Positive"].tolist() != entropy["Positive"].tolist()
    assert len(area) == 4


def test_a_view_is_in_its_address_and_nonsense_falls_back(open_page, measured):
    assert open_page("studies", mask="Both").query_params == {"mask": "Both"}
    app = open_page("studies", mask="nonsense", study="none")
    assert "Published" in app.dataframe[0].value


def test_the_shipped_study_is_there_at_first_start(open_page, places, monkeypatch):
    monkeypatch.delenv("COVID_RESULTS")
    app = open_page("studies")
    assert "EfficientNetB0" in app.dataframe[0].value["Backbone"].tolist()
    assert not app.warning
