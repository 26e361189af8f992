"""The comparison page: published rows, one fold, many folds, missing folds, a broken file."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up_campaign import EXPERIMENT, fold_result

from covid_core.results.comparison import compare_folds, mcnemar
from covid_core.results.exchange import export_results
from covid_core.results.false_positives import FILE, Measured, Rate, write_rates
from covid_core.results.metrics import counts
from covid_core.results.published import published_rows
from covid_core.results.records import Predictions
from covid_core.results.store import ResultsStore

PUBLISHED = "Published, the study"
SKILLS = {"VGG16": 0.9, "Modified-VGG16": 0.6, "ResNet50": 0.85, "Modified-ResNet50": 0.84, "Xception": 0.8}


def trained(model: str, round_: int, fold: int):
    """A fold of 60 slices that all networks share; ``SKILLS`` decides how many a network gets right."""
    labels = (np.arange(60) % 2).astype(np.int8)
    right = np.random.default_rng([round_, fold, sum(map(ord, model))]).random(60) < SKILLS[model]
    probabilities = np.where(right, labels, 1 - labels).astype(np.float32)
    slices = tuple(f"COVID/{fold}-{number}.png" for number in range(60))
    return replace(
        fold_result(model, 1),
        round=round_,
        fold=fold,
        counts=counts(labels, probabilities),
        predictions=Predictions(slices, labels, probabilities),
    )


@pytest.fixture
def campaign(store: ResultsStore) -> ResultsStore:
    """Two rounds of five folds of all networks but one, which has three folds."""
    store.add_experiment(EXPERIMENT)
    keys = [(round_, fold) for round_ in (1, 2) for fold in range(1, 6)]
    for model in SKILLS:
        store.add_folds([trained(model, *key) for key in (keys[:3] if model == "Xception" else keys)])
    return store


COLUMN_OF = {
    "over_folds": "p, corrected t",
    "same_slices": "p, McNemar",
    "readings": "Verdict",
    "false_positives": "McNemar, mid-p, one round",
    "coverage": "Student t over folds",
}


def frame(app, key: str) -> pd.DataFrame:
    """The table that has a column of its own; AppTest does not tell keys of tables."""
    if key == "printed":
        return app.dataframe[0].value
    (found,) = (table.value for table in app.dataframe if COLUMN_OF[key] in table.value)
    return found


def text(app) -> str:
    return " ".join(one.value for kind in (app.info, app.markdown, app.caption) for one in kind)


def test_on_first_start_the_printed_pairs_stand_there_without_a_test(open_page, store):
    app = open_page("comparison")
    assert app.selectbox(key="results").options == [PUBLISHED]
    table = frame(app, "printed")
    assert len(table) == 20
    assert table.loc[0].tolist() == ["DenseNet121", "0.9894 ± 0.0036", "0.9887 ± 0.0084", "+0.0007"]
    assert "no paired test is possible" in text(app)
    rows = published_rows().set_index("model")["sensitivity"]
    higher = sum(rows[name] > rows[f"Modified-{name}"] for name in rows.index[:20])
    lower = sum(rows[name] < rows[f"Modified-{name}"] for name in rows.index[:20])
    assert f"**Base printed higher** in {higher}, **modified** in {lower} of 20" in text(app)
    assert not app.slider  # nothing to test, no region


def test_one_shared_fold_is_no_test_over_folds_but_one_over_slices(open_page, full_store):
    app = open_page("comparison")
    row = frame(app, "over_folds").iloc[0]
    assert row["Pair"] == "EfficientNetB0"
    assert row["Base − modified, 95 %"] == "+0.0000"
    assert row["p, corrected t"] == "–"
    assert row["Remark"] == "only one fold in common; 2 folds of one network left out"
    assert "A single fold does not show how far folds differ" in text(app)
    assert frame(app, "same_slices")["Slices"].tolist() == [10]  # the COVID slices of the fold


def test_pairs_over_all_folds_are_the_cores_comparison(open_page, campaign):
    app = open_page("comparison", metric="Accuracy", region="0.02")
    table = frame(app, "over_folds").set_index("Pair")
    assert table.index.tolist() == ["ResNet50", "VGG16"]
    folds = campaign.folds().pivot(index=["round", "fold"], columns="model", values="accuracy")
    found = compare_folds(folds["VGG16"], folds["Modified-VGG16"], region=0.02)
    row = table.loc["VGG16"]
    assert row["Base − modified, 95 %"] == f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
    assert row["Base better"] == (f"{found.better:.3f}" if found.better <= 0.9995 else "> 0.999")
    assert row["Folds"] == 10
    assert "Remark" not in table
    assert "**base better** by more than 0.02 in 1" in text(app)
    assert app.slider(key="region").value == 0.02
    bars = json.loads(next(c for c in app.get("vega_lite_chart") if "Probability" in c.proto.spec).proto.spec)
    assert bars["encoding"]["color"]["sort"] == ["Base better", "Equivalent", "Modified better"]


def test_slices_of_one_round_are_counted(open_page, campaign):
    row = frame(open_page("comparison", metric="Accuracy"), "same_slices").set_index("Pair").loc["VGG16"]
    sides = [
        campaign.predictions(EXPERIMENT.id, name).query("round == 1").set_index("slice")
        for name in ("VGG16", "Modified-VGG16")
    ]
    right = [(side["probability"] >= 0.5) == (side["label"] == 1) for side in sides]
    only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert (row["Only base right"], row["Only modified right"]) == only
    assert row["Slices"] == 300
    assert mcnemar(*only) < 0.0001
    assert row["p, McNemar"] == "< 0.0001"


def test_two_networks_take_shared_folds_only(open_page, campaign):
    app = open_page("comparison", pairs="Two networks", first="VGG16", second="Xception")
    (row,) = frame(app, "over_folds").to_dict("records")
    assert row["Pair"] == "VGG16 − Xception"
    assert row["Folds"] == 3
    assert "VGG16 better" in row
    assert row["Remark"] == "7 folds of one network left out"
    assert app.query_params == {"pairs": "Two networks", "first": "VGG16", "second": "Xception"}
    app.selectbox(key="second").select("ResNet50").run()
    assert frame(app, "over_folds")["Folds"].tolist() == [10]
    # a network is not compared with itself
    assert "VGG16" not in app.selectbox(key="second").options
    app.selectbox(key="first").select("ResNet50").run()
    assert not app.exception
    assert "ResNet50" not in app.selectbox(key="second").options


def test_one_against_all(open_page, campaign):
    app = open_page("comparison", pairs="One against all others", first="VGG16")
    assert frame(app, "over_folds")["Pair"].tolist() == ["ResNet50", "Xception", "Modified-ResNet50", "Modified-VGG16"]


def test_a_comparison_that_the_results_do_not_hold_says_what_is_missing(open_page, campaign):
    app = open_page("comparison", pairs="Base against residual")
    assert "a base and a residual network of one backbone" in text(app)
    assert not app.dataframe


def test_published_rows_can_be_chosen_beside_measured_ones(open_page, campaign):
    app = open_page("comparison", results=PUBLISHED, pairs="Two networks", first="VGG16", second="Xception")
    assert frame(app, "printed")["VGG16 − Xception"].tolist() == ["-0.0183"]
    assert len(app.selectbox(key="results").options) == 2


def test_there_is_a_csv_to_download(open_page, campaign):
    app = open_page("comparison")
    button = app.get("download_button")[0]
    assert button.proto.label == "Download these comparisons as CSV"


def test_patients_are_drawn_where_they_are_known(open_page, campaign, places):
    assert "Patients are not known" in text(open_page("comparison"))
    export_results(campaign, places / "results" / "mine")
    slices = campaign.predictions()["slice"].astype(str).unique()
    lines = "\n".join(f"{path},P{path.split('-')[1]}" for path in slices)
    (places / "results" / "mine" / "patients.csv").write_text(f"path,patient\n{lines}\n")
    assert "draws patients again" in text(open_page("comparison"))
    app = open_page("leaderboard", interval="Bootstrap", source="Measured")
    assert "Drawn here: patients." in text(app)


def test_the_bootstrap_gives_a_single_fold_an_interval(open_page, full_store):
    app = open_page("leaderboard", interval="Bootstrap", source="Measured")
    assert "Drawn here: slices." in text(app)
    assert app.dataframe[0].value["Sensitivity"].str.contains(" to ").all()
    assert "single fold has no interval" not in text(app)


def test_measured_rates_are_shown_with_their_provenance(open_page, campaign, places):
    assert "Not measured on this installation" in text(open_page("comparison"))
    rates = tuple(
        Rate(kind, what, "naive Bayes", "accuracy", 10, hits, 1000)
        for kind, what, hits in (("test", "uncorrected", 400), ("test", "corrected", 50), ("interval", "t", 600))
    )
    facts = {"command": "python -m x", "finished": "2026-01-02T00", "versions": "v", "slices": 300, "folds": 5}
    (places / "results").mkdir()
    write_rates(places / "results" / FILE, Measured(rates, facts))
    app = open_page("comparison")
    row = frame(app, "false_positives").iloc[0]
    assert row["Paired t-test over folds"] == "40.0 ± 1.5 %"
    assert row["Corrected resampled t-test"] == "5.0 ± 0.7 %"
    assert row["McNemar, mid-p, one round"] == "–"
    assert frame(app, "coverage").iloc[0]["Student t over folds"] == "60.0 ± 1.5 %"
    assert "1000 data sets of 300 cases" in text(app)
    assert "Paired t-test over folds in 40.0 to 40.0 % (10 rounds); Corrected resampled t-test in 5.0 to" in text(app)
    (places / "results" / FILE).write_text("{}")
    app = open_page("comparison")
    assert len(app.error) == 1
    assert "Run it again" in app.error[0].value


def test_readings_of_the_printed_intervals(open_page, store):
    app = open_page("comparison")
    table = frame(app, "readings").set_index("Reading of ±")
    assert table.loc["Student t over the 50 folds", "Verdict"] == "possible"
    assert table.loc["Corrected for shared slices, 50 folds", "Verdict"] == "does not fit"
    assert "No own network has five folds" in text(app)


def test_own_spread_stands_beside_the_readings(open_page, campaign):
    assert "times chance for sensitivity, median of 4" in text(open_page("comparison"))


def test_a_store_that_cannot_be_opened_is_one_plain_message(open_page, places):
    (places / "store.sqlite").write_bytes(b"this is no database, whatever its name says" * 40)
    app = open_page("comparison")
    assert len(app.error) == 1
    assert not app.dataframe
