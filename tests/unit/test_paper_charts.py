"""Charts of the study's figures, and as files."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

from covid_core.charts.files import chart_file
from covid_core.charts.paper import (
    confusion_matrix,
    effect_intervals,
    family_figure,
    family_histograms,
    fold_matrices,
)
from covid_core.results.effects import trait_effects, variant_effects
from covid_core.results.metrics import METRICS
from covid_core.results.paper_tables import confusion_cells, family_best, histograms, pooled_cells
from covid_core.results.published import published_rows

FOLDS = pd.DataFrame([(1, 1, 9, 2, 8, 1), (1, 2, 10, 0, 10, 0)], columns=["round", "fold", "tp", "fp", "tn", "fn"])


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    table = published_rows()
    for metric in METRICS:
        table[f"{metric}_low"] = table[metric] - table[f"{metric}_pm"]
        table[f"{metric}_high"] = (table[metric] + table[f"{metric}_pm"]).clip(upper=1)
    return table


@pytest.fixture(scope="module")
def charts(rows) -> dict:
    effects = pd.concat([variant_effects(rows, "f1"), trait_effects(rows, "f1")])
    return {
        "figure": family_figure(family_best(rows, "modified"), "sensitivity"),
        "histograms": family_histograms(histograms(rows, "sensitivity"), "Sensitivity", "Networks"),
        "pooled": confusion_matrix(pooled_cells(FOLDS), "COVID"),
        "folds": fold_matrices(confusion_cells(FOLDS), "COVID"),
        "effects": effect_intervals(effects, "Change in F1"),
    }


def texts(svg: bytes) -> list[str]:
    return [one.text for one in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def values(spec: dict, layer: int) -> list[dict]:
    return spec["datasets"][(spec["layer"][layer].get("data") or spec["data"])["name"]]


def test_networks_stand_by_increasing_sensitivity_with_all_metrics_inside_the_axis(charts, rows):
    spec = charts["figure"].to_dict()
    points = spec["layer"][1]["encoding"]
    assert points["x"]["sort"] == family_best(rows, "modified")["backbone"].tolist()
    assert points["xOffset"]["sort"][0] == "Sensitivity"
    drawn = values(spec, 1)
    assert len(drawn) == 25
    low, high = points["y"]["scale"]["domain"]
    assert all(low <= one["low"] and one["high"] <= high for one in drawn)


def test_each_family_has_a_panel_on_one_axis(charts):
    panels = charts["histograms"].to_dict()["vconcat"]
    assert [panel["title"]["text"] for panel in panels] == ["EfficientNet", "ResNet", "DenseNet", "Inception", "VGG"]
    assert len({str(panel["encoding"]["x"]["scale"]) for panel in panels}) == 1
    assert len({str(panel["encoding"]["y"]["scale"]) for panel in panels}) == 1


def test_counts_stand_in_the_matrix(charts):
    drawn = texts(chart_file(charts["pooled"], "svg"))
    assert {"19 (95.0%)", "1 (5.0%)", "2 (10.0%)", "18 (90.0%)"} <= set(drawn)
    assert {"9", "2", "8", "1", "10", "0"} <= set(texts(chart_file(charts["folds"], "svg")))


def test_an_effect_without_an_interval_over_families_is_drawn_once(charts):
    drawn = values(charts["effects"].to_dict(), 2)
    dense = [one for one in drawn if one["label"] == "Dense links"]
    assert [one["unit"] for one in dense] == ["Backbones as independent"]
    assert len([one for one in drawn if one["label"] == "Residual links"]) == 2


@pytest.mark.parametrize("name", ["figure", "histograms", "pooled", "folds", "effects"])
def test_every_chart_is_saved_as_svg_and_png(charts, name):
    before = charts[name].to_json()
    svg, png = (chart_file(charts[name], kind) for kind in ("svg", "png"))
    root = ElementTree.fromstring(svg)
    picture = Image.open(io.BytesIO(png))
    assert root.tag.endswith("svg")
    assert picture.width == pytest.approx(2 * float(root.get("width")), abs=2)
    assert picture.width > 1500
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert charts[name].to_json() == before, "the chart on the page must not change"


def test_another_format_is_refused(charts):
    with pytest.raises(ValueError, match=r"svg, png.*'pdf'"):
        chart_file(charts["pooled"], "pdf")
