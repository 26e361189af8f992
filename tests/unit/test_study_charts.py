"""Charts of studies draw what the tables say, published hollow and measured filled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from covid_core.charts.studies import agreements, differences, intensity_dumbbells, spread_boxes


def data(spec: dict) -> list[list[dict]]:
    return list(spec["datasets"].values())


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": ["VGG16 · measured", "VGG16 · published"],
            "source": ["measured", "published"],
            "base": [120.0, 123.1306],
            "modified": [90.0, 78.5967],
            "difference": [30.0, 44.5339],
            "low": [25.0, np.nan],
            "high": [35.0, np.nan],
        }
    )


def test_dumbbells_join_base_and_modified():
    spec = intensity_dumbbells(rows(), "Mean").to_dict()
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rule", "point", "point"]
    assert [layer["mark"].get("filled") for layer in spec["layer"]] == [None, False, True]
    points = next(table for table in data(spec) if "network" in table[0])
    assert {(row["label"], row["network"], row["mean"]) for row in points} == {
        ("VGG16 · measured", "base", 120.0),
        ("VGG16 · measured", "modified", 90.0),
        ("VGG16 · published", "base", 123.1306),
        ("VGG16 · published", "modified", 78.5967),
    }
    assert spec["layer"][1]["encoding"]["y"]["sort"] == ["VGG16 · measured", "VGG16 · published"]


def test_differences_have_a_zero_line_and_intervals_where_there_are_some():
    spec = differences(rows(), "Difference").to_dict()
    zero, bars, hollow, filled = spec["layer"]
    assert zero["encoding"]["x"]["field"] == "zero"
    assert "isValid" in str(bars["transform"])
    assert "published" in str(hollow["transform"])
    assert "measured" in str(filled["transform"])
    assert differences(rows().assign(difference=np.nan), "none").to_dict()["layer"]


def test_boxes_name_both_classes():
    table = pd.DataFrame(
        {"network": "VGG16", "positive": [True, False], "q05": 0.1, "q25": 0.2, "q50": 0.3, "q75": 0.4, "q95": 0.5}
    )
    spec = spread_boxes(table, "Area", "COVID").to_dict()
    assert spec["layer"][1]["encoding"]["color"]["scale"]["domain"] == ["COVID", "not COVID"]
    assert {row["group"] for row in data(spec)[0]} == {"COVID", "not COVID"}


def test_agreement_keeps_its_controls_in_order_and_goes_below_zero_only_where_needed():
    table = pd.DataFrame({"what": ["maps", "other slice"], "mean": [0.5, 0.1], "low": [0.4, -0.2], "high": [0.6, 0.3]})
    table["backbone"] = "VGG16"
    spec = agreements(table, "Rank correlation").to_dict()
    assert spec["layer"][1]["encoding"]["x"]["scale"]["domain"] == [-0.2, 1]
    assert spec["layer"][1]["encoding"]["color"]["sort"] == ["maps", "other slice"]
    spec = agreements(table[:1], "IoU").to_dict()
    assert spec["layer"][1]["encoding"]["x"]["scale"]["domain"] == [0.0, 1]
