"""Where the decision appears, as a page draws it: not measured, measured, half measured, and other weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from covid_core.charts.readout import CURVES
from covid_core.results.readouts import KIND, RANDOM, TRAINED, layer_key, readout_table
from covid_core.results.records import Study
from covid_core.results.store import ResultsStore

STUDY = Study(
    kind=KIND,
    dataset="synthetic_slices",
    dataset_digest="ab" * 32,
    transform={"size": 64, "interpolation": "area"},
    networks={"VGG16": {"sha256": "1", "round": 1, "fold": 2}},
    settings={"fit": 300, "held_out": 100, "split": "slice"},
    finished="2026-01-01T00:00:00+00:00",
)
LAYERS = 9


def add(store: ResultsStore, study: Study = STUDY, weights=(TRAINED, RANDOM), top: int = 48) -> None:
    """The trained network finds more positive slices from layer to layer, random weights as many as chance."""
    rows = []
    for kind in weights:
        for number, found in enumerate(np.linspace(20, top if kind == TRAINED else 20, LAYERS).astype(int), start=1):
            values = {"tp": found, "fp": 50 - found, "tn": found, "fn": 50 - found, "auc": found / 50, "converged": 1}
            values |= {"channels": 8, "layers": LAYERS}
            key = {"subject": "VGG16", "method": kind, "slice": layer_key(number, f"block_{number}"), "label": 1}
            rows += [key | {"measure": name, "value": float(value)} for name, value in values.items()]
    store.add_study(study)
    store.add_measures(study.id, pd.DataFrame(rows))


def shown(sha256: str | None = None, **choices: str) -> AppTest:
    def page(sha256: str | None) -> None:
        from covid_core.ui.readout import draw_readout

        draw_readout("VGG16", sha256)

    app = AppTest.from_function(page, args=(sha256,), default_timeout=60)
    app.query_params.update(choices)
    app.run()
    assert not app.exception, [one.value for one in app.exception]
    return app


def chart(app: AppTest) -> dict:
    return json.loads(app.get("vega_lite_chart")[0].proto.spec)


def captions(app: AppTest) -> str:
    return " ".join(one.value for one in app.caption)


def test_nothing_measured_names_the_command(store):
    add(store, replace(STUDY, networks={"VGG19": {"sha256": "1"}}))  # of another network
    app = shown()
    assert "not been measured for VGG16" in app.info[0].value
    assert app.code[0].value == "python -m covid_core.explain.linear_readout --dataset FOLDER --networks VGG16"
    assert not app.get("vega_lite_chart")
    assert not app.caption


def test_the_curves_are_those_of_the_store(store):
    add(store)
    app = shown("1")
    spec = chart(app)
    bands, rule, _, lines, _ = spec["layer"]
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["area", "rule", "text", "line", "point"]
    assert lines["encoding"]["color"]["scale"]["domain"] == list(CURVES)
    assert lines["encoding"]["y"]["scale"]["domain"] == [pytest.approx(0.25), 1]  # a whole step below the lowest bound
    assert lines["encoding"]["x"]["scale"]["domain"] == [1, LAYERS]
    assert (bands["encoding"]["y"]["field"], bands["encoding"]["y2"]["field"]) == ("low", "high")
    assert rule["mark"]["strokeDash"]
    table = readout_table(store, STUDY.id)
    assert table["low"].min() == pytest.approx(0.309, abs=1e-3)
    text = captions(app)
    assert "300 slices of synthetic\\_slices" in text
    assert "100 that it was not" in text
    assert "mean grey value alone" in text
    assert "not the level" in text
    assert "the level is optimistic" in text
    assert "other weights" not in text
    assert "Not finished" not in text
    assert "did not converge" not in text


def test_the_layer_where_the_curves_part_is_named(store):
    add(store)
    assert "From layer 4 (block\\_4) to the last one" in captions(shown())
    add(store, replace(STUDY, settings=STUDY.settings | {"seed": 1}, finished="2026-01-02T00:00:00+00:00"), top=21)
    assert "At the last layer the trained network's interval" in captions(shown())  # the newer study


def test_the_area_under_the_curve_has_no_band(store):
    add(store)
    layers = chart(shown(readout_score="Area under the ROC curve"))["layer"]
    assert layers[3]["encoding"]["y"]["title"].startswith("Area under the ROC curve")
    assert layers[3]["encoding"]["y"]["scale"]["domain"] == [pytest.approx(0.35), 1]
    assert "channels" in json.dumps(layers[4]["encoding"]["tooltip"])
    assert "low" in json.dumps(chart(shown())["layer"][4]["encoding"]["tooltip"])
    assert "low" not in json.dumps(layers[4]["encoding"]["tooltip"])


def test_what_is_missing_or_different_is_said(store):
    add(store, replace(STUDY, finished=None), weights=(TRAINED,))
    text = captions(shown("2"))
    assert "other weights of this network: round 1, fold 2, 64 px" in text
    assert f"Not finished: {LAYERS} layers" in text
    assert "interval of the accuracy" not in text  # nothing is concluded from half a curve
    by_patient = replace(STUDY, networks={"VGG16": {"sha256": "2"}}, settings=STUDY.settings | {"split": "group"})
    add(store, by_patient)
    newer = replace(STUDY, networks={"VGG16": {"sha256": "3"}}, finished="2026-01-02T00:00:00+00:00")
    add(store, newer)
    text = captions(shown("2"))  # those of the page's own weights, although others were measured later
    assert "No patient stands on both sides" in text
    assert "other weights" not in text
