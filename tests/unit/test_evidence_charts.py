"""The chart of gains: every map and control a point, intervals only where there are some."""

from __future__ import annotations

import numpy as np
import pandas as pd

from covid_core.charts.evidence import CONTROL_COLOURS, gains
from covid_core.explain.verdict import CONTROLS


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"label": label, "control": control, "gain": 0.1, "low": low, "high": 0.2}
            for label, low in (("VGG16 · Grad-CAM", 0.0), ("VGG16 · Score-CAM", np.nan))
            for control in CONTROL_COLOURS
        ]
    )


def test_controls_are_those_of_the_verdict():
    assert list(CONTROL_COLOURS) == list(CONTROLS.values())


def test_labels_keep_their_order_and_zero_is_drawn():
    chart = gains(rows(), "Gain").to_dict()
    zero, intervals, points = chart["layer"]
    assert points["encoding"]["y"]["sort"] == ["VGG16 · Grad-CAM", "VGG16 · Score-CAM"]
    assert zero["mark"]["type"] == "rule"
    assert "isValid" in intervals["transform"][0]["filter"]
    assert points["encoding"]["x"]["title"] == "Gain"


def test_rows_without_a_gain_are_left_out():
    chart = gains(rows().assign(gain=[0.1, np.nan, 0.1, 0.1]), "Gain").to_dict()
    sizes = {len(data) for name, data in chart["datasets"].items()}
    assert 3 in sizes
    assert 4 not in sizes
