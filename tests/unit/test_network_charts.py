"""Charts of one network hold what they are given, and gaps where nothing is defined."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from covid_core.charts.network import MEASURES, by_threshold, precision_recall, reliability_diagram, roc
from covid_core.results.calibration import reliability
from covid_core.results.curves import GRID
from covid_core.results.operating import operating_points, predictive_values

CURVE = pd.DataFrame({"x": GRID, "y": GRID**0.3, "low": GRID**0.4, "high": GRID**0.2})
POINT = pd.DataFrame({"threshold": [0.5], "x": [0.1], "y": [0.8]})


def layers(chart) -> list[pd.DataFrame]:
    json.dumps(chart.to_dict())  # altair checks what it is given only now
    return [pd.DataFrame(layer.data) for layer in chart.layer]


def test_the_roc_curve_begins_at_the_origin_and_the_threshold_lies_on_top():
    chance, band, line, point = layers(roc(CURVE.assign(y=CURVE["y"].clip(lower=0.3)), POINT))
    assert chance[["x", "y"]].to_numpy().tolist() == [[0, 0], [1, 1]]
    assert line[["x", "y"]].to_numpy()[:2].tolist() == [[0, 0], [0, 0.3]]
    assert len(band) == len(line) == len(GRID) + 1
    assert point.to_numpy().tolist() == POINT.to_numpy().tolist()


def test_guessing_has_the_precision_of_the_prevalence():
    chance, *_ = layers(precision_recall(CURVE, 0.3, POINT))
    assert chance["y"].tolist() == [0.3, 0.3]


def test_a_point_that_is_not_defined_is_not_drawn():
    *_, point = layers(precision_recall(CURVE, 0.3, POINT.assign(y=np.nan)))
    assert point.empty


def test_every_measure_has_its_line_and_a_gap_where_nothing_is_called():
    labels = np.arange(40) % 2
    points = operating_points(labels, 0.2 + 0.6 * labels, np.arange(40))
    points = points.join(predictive_values(points, 0.1))
    bands, lines, rule = layers(by_threshold(points, 0.7))
    assert set(lines["measure"]) == {title for title, _ in MEASURES.values()}
    called = lines[lines["measure"] == "Positive predictive value"]
    assert called["threshold"].max() == pytest.approx(0.8)
    assert bands.equals(lines)
    assert rule["threshold"].tolist() == [0.7]


def test_every_bin_is_a_point_beside_the_diagonal():
    random = np.random.default_rng(0)
    answers = pd.DataFrame(
        {"label": random.integers(0, 2, 200), "probability": random.random(200), "group": range(200)}
    )
    diagonal, _, intervals, points = layers(reliability_diagram(reliability(answers), "COVID"))
    assert diagonal["predicted"].tolist() == diagonal["observed"].tolist() == [0, 1]
    assert len(points) == len(intervals) == 10
