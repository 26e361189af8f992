"""Charts say what the frame says: order, axis, intervals; outlines lie on the mask's edge."""

from __future__ import annotations

import json

import altair as alt
import numpy as np
import pandas as pd
import pytest

from covid_core import charts
from covid_core.models.zoo import FAMILIES
from covid_core.results.published import published_rows


def rows(values: list[float], half: float = 0.01) -> pd.DataFrame:
    score = pd.Series(values)
    return pd.DataFrame(
        {
            "label": [f"network {n}" for n in range(len(values))],
            "family": "VGG",
            "source": "published",
            "f1": score,
            "f1_low": (score - half).clip(0, 1),
            "f1_high": (score + half).clip(0, 1),
        }
    )


def values_of(spec: dict, layer: int) -> list[dict]:
    data = spec["layer"][layer].get("data") or spec["data"]
    return data["values"] if "values" in data else spec["datasets"][data["name"]]


@pytest.mark.parametrize(
    ("lowest", "start"),
    [(0.97, 0.96), (0.9799, 0.96), (0.98, 0.97), (0.005, 0.0), (0.0, 0.0), (1.0, 0.99), (0.29, 0.28)],
)
def test_the_axis_starts_one_whole_step_below(lowest, start):
    assert charts.axis_start(lowest) == pytest.approx(start)


def test_nothing_is_drawn_left_of_the_axis():
    assert all(0 <= charts.axis_start(lowest) <= lowest for lowest in np.linspace(0, 1, 1001))


def test_bars_stand_in_order_and_inside_the_axis():
    spec = charts.score_bars(rows([0.95, 0.99, 0.97]), "f1", "F1").to_dict()
    bars = spec["layer"][0]["encoding"]
    assert bars["y"]["sort"] == ["network 1", "network 2", "network 0"]
    low, high = bars["x"]["scale"]["domain"]
    assert low == pytest.approx(0.93)
    assert high >= 1.0
    assert bars["x2"]["datum"] == low
    assert "starts at 0.93" in bars["x"]["title"]
    assert spec["layer"][1]["encoding"]["x"]["field"] == "f1_low"
    assert spec["layer"][1]["encoding"]["x2"]["field"] == "f1_high"


def test_what_is_sent_is_the_chart_without_altairs_sizes_whatever_its_settings():
    """Streamlit exchanges altair's transformer of data, for all threads, while it draws another chart."""
    drawn = charts.score_bars(rows([0.95, 0.99]), "f1", "F1", reference=(0.9, "baseline"))
    valid = drawn.to_dict()  # against Vega-Lite's schema
    with alt.data_transformers.disable_max_rows(), alt.data_transformers.enable("csv"):
        sent = charts.unvalidated(drawn)
    assert valid.pop("config")
    assert sent == valid
    assert len(values_of(sent, 0)) == 2
    json.dumps(sent, allow_nan=False)


def test_long_names_take_two_lines_and_others_one():
    short, long = rows([0.95, 0.99]), rows([0.95, 0.99])
    long["label"] = [f"EfficientNetB{n} pair, averaged · sars-cov-2-ct, 128 px, 1 round, 1 fold" for n in (0, 1)]
    specs = [charts.score_bars(frame, "f1", "F1").to_dict() for frame in (short, long)]
    axes = [spec["layer"][0]["encoding"]["y"]["axis"] for spec in specs]
    assert ["labelExpr" in axis for axis in axes] == [False, True]
    assert specs[0]["height"]["step"] < specs[1]["height"]["step"]


def test_every_published_row_is_drawn():
    table = published_rows().assign(source="published")
    table["label"] = table["model"]
    table["f1_low"], table["f1_high"] = table["f1"] - table["f1_pm"], table["f1"] + table["f1_pm"]
    spec = charts.score_bars(table, "f1", "F1").to_dict()
    assert len(values_of(spec, 0)) == 40
    low, high = spec["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert low <= table["f1_low"].min()
    assert high >= table["f1_high"].max()


def test_a_row_without_a_value_is_left_out_and_one_without_an_interval_stands():
    table = rows([0.9, 0.8, float("nan")])
    table.loc[0, ["f1_low", "f1_high"]] = np.nan
    spec = charts.score_bars(table, "f1", "F1").to_dict()
    assert sorted(row["label"] for row in values_of(spec, 0)) == ["network 0", "network 1"]
    assert "isValid" in str(spec["layer"][1]["transform"])


def test_no_row_gives_an_empty_chart():
    assert charts.score_bars(rows([float("nan")]), "f1", "F1").to_dict()["layer"]


def test_the_reference_is_a_rule_within_the_axis():
    spec = charts.score_bars(rows([0.99]), "f1", "F1", reference=(0.9, "baseline")).to_dict()
    assert spec["layer"][2]["mark"]["strokeDash"]
    assert values_of(spec, 3)[0] == {"value": 0.9, "text": "baseline 0.9000"}
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"][0] < 0.9


def test_every_family_has_a_colour_of_its_own():
    colours = [charts.FAMILY_COLOURS[family] for family in FAMILIES]
    assert len(set(colours)) == len(FAMILIES)


def test_a_family_from_elsewhere_is_drawn_too():
    table = rows([0.9]).assign(family="other")
    domain = charts.score_bars(table, "f1", "F1").to_dict()["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert domain == ["other"]


def test_learning_curves_pass_over_epochs_without_a_value():
    points = pd.DataFrame(
        {"curve": "a", "part": "test", "epoch": [1, 2, 3], "value": [0.5, float("nan"), 0.7]},
    )
    spec = charts.learning_curves(points, "Loss").to_dict()
    assert [row["epoch"] for row in values_of(spec, 0)] == [1, 3]
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [1, 3]


def test_the_colour_bar_goes_through_the_given_colours():
    colours = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0]], np.uint8)
    spec = charts.colour_bar(colours, "heat").to_dict()["layer"][0]
    stops = [(stop["offset"], stop["color"]) for stop in spec["mark"]["color"]["stops"]]
    assert stops == [(0, "#0000ff"), (0.5, "#00ff00"), (1, "#ff0000")]
    assert spec["encoding"]["x"]["title"] == "heat"


def test_vector_bars_keep_the_order_of_the_units():
    spec = charts.vector_bars(np.float32([0.1, 0.9]), ["b", "a"], "Probability").to_dict()
    assert [row["unit"] for row in spec["datasets"][spec["data"]["name"]]] == ["b", "a"]
    assert spec["encoding"]["x"]["sort"] is None


class TestOutline:
    def test_it_lies_inside_the_mask_and_on_its_edge(self):
        mask = np.zeros((100, 120), bool)
        mask[20:60, 30:90] = True
        drawn = (charts.outlined(np.zeros((100, 120, 3), np.uint8), mask) == 255).all(-1)
        assert (drawn <= mask).all()
        assert drawn[20, 30:90].all()
        assert drawn[20:60, 89].all()
        assert not drawn[25:55, 35:85].any()

    def test_the_border_of_the_picture_is_an_edge(self):
        drawn = charts.outlined(np.zeros((50, 50, 3), np.uint8), np.ones((50, 50), bool), (1, 2, 3))
        assert (drawn[0] == (1, 2, 3)).all()
        assert not drawn[10:40, 10:40].any()

    def test_without_a_mask_the_picture_stays(self):
        image = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
        kept = image.copy()
        assert (charts.outlined(image, np.zeros((40, 30), bool)) == kept).all()
        charts.outlined(image, np.ones((40, 30), bool))
        assert (image == kept).all(), "the picture that was handed in must not change"

    def test_shapes_must_belong_together(self):
        with pytest.raises(ValueError, match="Received"):
            charts.outlined(np.zeros((40, 30, 3), np.uint8), np.zeros((30, 40), bool))
