"""Charts of external tests hold every network and every slice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from covid_core.charts.external import falls, probability_histogram


def rows(chart) -> list[pd.DataFrame]:
    return [pd.DataFrame(layer.data) for layer in chart.layer]


def test_every_slice_is_counted_once_also_at_both_ends():
    probability = np.array([0.0, 0.04, 0.5, 0.97, 1.0, 1.0 + 1e-6])
    answers = pd.DataFrame({"label": [0, 0, 0, 1, 1, 1], "probability": probability})
    counts = rows(probability_histogram(answers, "COVID"))[0]
    assert counts["slices"].sum() == 6
    assert counts.groupby("group")["share"].sum().tolist() == pytest.approx([1, 1])
    assert counts["to"].max() == pytest.approx(1)
    assert counts.loc[counts["group"] == "COVID", "slices"].tolist() == [3]


def test_a_fall_is_drawn_from_the_own_fold_to_elsewhere():
    table = pd.DataFrame(
        {"label": ["A", "B"], "own": [0.9, np.nan], "own_low": [0.8, np.nan], "own_high": [0.95, np.nan]}
        | {"there": [0.5, 0.6], "low": [0.4, 0.5], "high": [0.6, 0.7]}
    )
    joined, _, points, chance = rows(falls(table, "Accuracy", 0.55))
    assert joined["label"].tolist() == ["A"]
    assert sorted(points["score"]) == [0.5, 0.6, 0.9]
    assert chance["score"].tolist() == [0.55]
    assert len(falls(table, "Accuracy").layer) == 3
