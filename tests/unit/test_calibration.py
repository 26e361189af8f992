"""Calibration against scikit-learn, and what right and overconfident probabilities look like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from covid_core.results.calibration import (
    alike_answers,
    brier,
    brier_of_prevalence,
    calibration_error,
    chance_error,
    reliability,
)
from covid_core.results.intervals import share_interval


def answers(size=1000, sharpen=1.0, seed=0) -> pd.DataFrame:
    """Labels drawn from the probabilities, which are then overstated by ``sharpen``."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, size)
    labels = (random.random(size) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    said = 1 / (1 + np.exp(-sharpen * logits))
    return pd.DataFrame(
        {"round": 1, "fold": 1 + np.arange(size) % 5, "label": labels, "probability": said, "group": np.arange(size)}
    )


@pytest.mark.parametrize("bins", [5, 10])
def test_the_diagram_is_scikit_learns(bins):
    rows = answers()
    table = reliability(rows, bins)
    observed, predicted = calibration_curve(rows["label"], rows["probability"], n_bins=bins, strategy="quantile")
    assert table["observed"].to_numpy() == pytest.approx(observed)
    assert table["predicted"].to_numpy() == pytest.approx(predicted)
    assert table["slices"].sum() == len(rows)
    assert table["slices"].max() - table["slices"].min() <= 1


def test_one_probability_that_fills_several_bins_is_one_row():
    rows = answers().assign(probability=lambda frame: frame["probability"].where(frame.index % 2 == 0, 1.0))
    table = reliability(rows)
    observed, predicted = calibration_curve(rows["label"], rows["probability"], n_bins=10, strategy="quantile")
    assert len(table) == len(observed) < 10
    assert table["predicted"].to_numpy() == pytest.approx(predicted)


def test_single_slices_have_wilsons_interval_and_patients_a_wider_one():
    rows = answers(200)
    row = reliability(rows, 4).iloc[1]
    assert (row["low"], row["high"]) == pytest.approx(share_interval(round(row["observed"] * 50), 50)[1:])
    copies = rows.loc[np.repeat(rows.index, 6)]
    wide = reliability(copies, 4).iloc[1]
    single = reliability(copies.assign(group=np.arange(len(copies))), 4).iloc[1]
    assert wide["observed"] == single["observed"]
    assert wide["high"] - wide["low"] > 2 * (single["high"] - single["low"])


def test_right_probabilities_show_the_error_of_chance_and_overstated_ones_more():
    right, overstated = answers(), answers(sharpen=4)
    by_chance = chance_error(right["probability"].to_numpy())
    assert calibration_error(reliability(right)) < 1.7 * by_chance
    assert calibration_error(reliability(overstated)) > 4 * by_chance
    repeated = [calibration_error(reliability(answers(seed=seed))) for seed in range(30)]
    assert np.mean(repeated) == pytest.approx(by_chance, rel=0.2)


def test_more_slices_leave_less_to_chance():
    few, many = (chance_error(answers(size)["probability"].to_numpy()) for size in (100, 10_000))
    assert many < few / 5
    assert chance_error(np.array([0.0, 1.0, 1.0])) == 0


def test_the_brier_score_is_scikit_learns_averaged_over_folds():
    rows = answers(400)
    expected = [brier_score_loss(part["label"], part["probability"]) for _, part in rows.groupby("fold")]
    for method in ("corrected", "groups"):
        found = brier(rows, method, draws=100)
        assert found.mean == pytest.approx(np.mean(expected))
        assert 0 <= found.low < found.mean < found.high <= 1


def test_the_prevalence_for_everyone_is_what_has_to_be_beaten():
    rows = answers(400)
    constant = rows.assign(probability=rows["label"].mean())
    assert brier_of_prevalence(rows["label"]) == pytest.approx(brier_score_loss(rows["label"], constant["probability"]))
    assert brier(rows, "groups", draws=20).mean < brier_of_prevalence(rows["label"])


def test_alike_answers_are_the_nearest_ones_and_no_tie_is_broken():
    rows = answers(500)
    for probability in (0.0, 0.31, 1.0):
        alike = alike_answers(rows, probability, 40)
        order = (rows["probability"] - probability).abs().sort_values().index[:40]
        nearest = rows.loc[order]
        assert alike.slices == 40
        assert (alike.lowest, alike.highest) == (nearest["probability"].min(), nearest["probability"].max())
        assert alike.positives == nearest["label"].sum()
        assert alike.share == pytest.approx(share_interval(alike.positives, 40))
    tied = rows.assign(probability=0.9)
    assert alike_answers(tied, 0.2, 40).slices == 500
    assert alike_answers(rows.head(7), 0.5, 40).slices == 7


def test_right_probabilities_are_borne_out_by_alike_answers():
    rows = answers(20_000)
    for probability in (0.1, 0.5, 0.9):
        alike = alike_answers(rows, probability, 500)
        assert alike.share.low < probability < alike.share.high
    wrong = alike_answers(answers(20_000, sharpen=4), 0.99, 500)
    assert wrong.share.high < 0.95
