"""The published tables: complete, consistent with the zoo, and printed values spot-checked."""

from __future__ import annotations

import pandas as pd
import pytest

from covid_core.models import zoo
from covid_core.results.metrics import METRICS
from covid_core.results.published import STUDY, XDNN_F1, published_rows


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return published_rows()


def test_rows_are_the_zoo(rows):
    traits = ["backbone", "variant", "family"]
    listed = {row["model"]: [row[trait] for trait in traits] for _, row in rows.iterrows()}
    assert list(listed) == list(zoo.MODELS)
    assert listed == {name: [getattr(spec, trait) for trait in traits] for name, spec in zoo.MODELS.items()}


def test_every_value_is_there_and_possible(rows):
    assert not rows.isna().any(axis=None)
    means = rows[list(METRICS)]
    halves = rows[[f"{metric}_pm" for metric in METRICS]]
    assert means.gt(0.8).all(axis=None)
    assert means.lt(1).all(axis=None)
    assert halves.gt(0.001).all(axis=None)
    assert halves.lt(0.03).all(axis=None)
    assert rows["parameters_millions"].between(4, 65).all()


def test_f1_follows_from_printed_precision_and_sensitivity(rows):
    """A column that slipped would show: F1 is their harmonic mean, up to rounding and averaging over folds."""
    harmonic = 2 / (1 / rows["precision"] + 1 / rows["sensitivity"])
    assert (rows["f1"] - harmonic).abs().max() < 0.0015


def test_spot_checks(rows):
    rows = rows.set_index("model")
    assert rows.loc["EfficientNetB5", ["sensitivity", "sensitivity_pm", "f1"]].tolist() == [0.9952, 0.0035, 0.9931]
    assert rows.loc["DenseNet201", "precision"] == 0.9938
    assert rows.loc["Modified-VGG19", "specificity_pm"] == 0.0236
    assert rows["sensitivity"].idxmax() == "EfficientNetB5"


def test_base_beats_modified_as_often_as_the_tables_say(rows):
    values = rows.pivot(index="backbone", columns="variant")
    assert (values["sensitivity"]["base"] > values["sensitivity"]["modified"]).sum() == 16
    assert (values["f1"]["base"] > values["f1"]["modified"]).sum() == 17


def test_printed_intervals_are_kept_even_above_one(rows):
    assert (rows["precision"] + rows["precision_pm"]).max() == pytest.approx(1.0025)
    assert (rows["specificity"] + rows["specificity_pm"]).max() == pytest.approx(1.0020)


def test_study_and_reference():
    assert (STUDY.rounds, STUDY.folds, STUDY.epochs, STUDY.size) == (10, 5, 25, 380)
    assert XDNN_F1 == 0.9731
