"""The leaderboard: empty of measurements, full, filtered, sorted, broken."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from made_up_campaign import EXPERIMENT, fold_result

from covid_core.results.published import XDNN_F1
from covid_core.results.records import Experiment


def table(app) -> pd.DataFrame:
    return app.dataframe[0].value


def chart(app) -> dict:
    return json.loads(app.get("vega_lite_chart")[0].proto.spec)


def test_on_first_start_the_published_rows_stand_there_by_sensitivity(open_page, store):
    app = open_page("leaderboard")
    assert len(table(app)) == 40
    assert table(app).columns[3] == "Sensitivity"
    assert table(app)["Sensitivity"].str[:6].is_monotonic_decreasing
    assert table(app).iloc[0]["Network"] == "EfficientNetB5"
    assert table(app).iloc[0]["Sensitivity"] == "0.9952 ± 0.0035"
    assert any("--preset quick" in info.value for info in app.info)


def test_half_widths_that_reach_above_one_are_as_printed(open_page, store):
    shown = table(open_page("leaderboard")).set_index("Network")["Precision"]
    assert shown["DenseNet201"] == "0.9938 ± 0.0087"


def test_measured_rows_say_size_rounds_and_folds(open_page, full_store):
    app = open_page("leaderboard", source="Measured")
    rows = table(app).set_index("Network")
    assert set(rows.index) == {"EfficientNetB0", "Modified-EfficientNetB0"}
    assert rows.loc["EfficientNetB0", ["Size", "Rounds", "Folds"]].tolist() == [64, 1, 3]
    assert rows.loc["EfficientNetB0", "Sensitivity"] == "0.9000 (0.571 to 1.000)"
    # one fold has a mean and no interval
    assert rows.loc["Modified-EfficientNetB0", "Sensitivity"] == "1.0000"
    assert any("single fold has no interval" in caption.value for caption in app.caption)
    assert not app.info
    assert (
        "EfficientNetB0 · synthetic slices, 64 px, 1 round, 3 folds" in chart(app)["layer"][0]["encoding"]["y"]["sort"]
    )


def test_the_interval_method_changes_measured_intervals_only(open_page, full_store):
    corrected, plain = (
        table(open_page("leaderboard", interval=method)) for method in ("Corrected for shared slices", "Student t")
    )
    by = ["Network", "Source"]
    widths = pd.merge(corrected, plain, on=by, suffixes=("_corrected", "_plain")).set_index(by)
    changed = widths["Sensitivity_corrected"] != widths["Sensitivity_plain"]
    assert widths.index[changed].tolist() == [("EfficientNetB0", "measured")]


def test_a_view_is_in_its_address(open_page, store):
    app = open_page("leaderboard", metric="F1", variant="Modified", family=["VGG", "ResNet"])
    assert set(table(app)["Family"]) == {"VGG", "ResNet"}
    assert set(table(app)["Variant"]) == {"modified"}
    assert table(app).columns[3] == "F1"
    assert app.query_params == {"metric": "F1", "variant": "Modified", "family": ["VGG", "ResNet"]}


def test_residual_networks_are_a_variant_of_their_own(open_page, full_store):
    app = open_page("leaderboard", variant="Residual")
    assert any("No row fits" in info.value for info in app.info)  # the study has none
    full_store.add_folds([fold_result("Residual-ResNet50", fold) for fold in (1, 2)])
    app = open_page("leaderboard", variant="Residual")
    assert table(app)[["Network", "Source", "Variant", "Family"]].values.tolist() == [
        ["Residual-ResNet50", "measured", "residual", "ResNet"]
    ]
    assert chart(app)["layer"][0]["encoding"]["color"]["scale"]["domain"] == ["ResNet"]
    app.selectbox(key="variant").select("Modified").run()
    assert set(table(app)["Variant"]) == {"modified"}


def by_group(store, origin: str, missed: int) -> Experiment:
    """The folds of the full store once more, split by group."""
    protocol = EXPERIMENT.protocol | {"groups": {"origin": origin, "digest": "00ff"}}
    experiment = replace(EXPERIMENT, split="group", protocol=protocol)
    store.add_experiment(experiment)
    folds = [fold_result("EfficientNetB0", fold, counts=(10 - missed, 1, 9, missed)) for fold in (1, 2, 3)]
    store.add_folds([replace(fold, experiment=experiment.id, predictions=None) for fold in folds])
    return experiment


def test_without_both_splits_nothing_is_said_of_a_gap(open_page, full_store):
    app = open_page("leaderboard")
    assert len(app.dataframe) == 1
    assert not any("by slice" in caption.value for caption in app.caption)


def test_both_splits_stand_side_by_side_with_the_gap(open_page, full_store):
    by_group(full_store, "likeness", missed=4)
    app = open_page("leaderboard", source="Measured")
    assert sorted(table(app)["Split"]) == ["by look-alikes", "by slice", "by slice"]
    gaps = app.dataframe[1].value
    assert gaps["Network"].tolist() == ["EfficientNetB0"]
    assert gaps.loc[0, "By slice"].startswith("0.9000 ± ")
    assert gaps.loc[0, "By group"].startswith("0.6000")
    assert gaps.loc[0, "Sensitivity gap"] == pytest.approx(0.3)
    assert gaps.loc[0, ["Groups", "Folds by slice", "Folds by group"]].tolist() == ["by look-alikes", 3, 3]
    assert any(
        "over 1 network sensitivity is 0.3000 higher, accuracy 0.1500 higher by slice" in caption.value
        for caption in app.caption
    )
    assert any(", by look-alikes" in label for label in chart(app)["layer"][0]["encoding"]["y"]["sort"])


def test_the_gap_follows_metric_and_filters(open_page, full_store):
    by_group(full_store, "table", missed=4)
    app = open_page("leaderboard", metric="Specificity")
    assert app.dataframe[1].value.columns[3] == "Specificity gap"
    assert app.dataframe[1].value.loc[0, "Specificity gap"] == pytest.approx(0)
    assert len(open_page("leaderboard", source="Published").dataframe) == 1
    assert len(open_page("leaderboard", variant="Modified").dataframe) == 1


@pytest.mark.parametrize(
    "nonsense", [{"metric": "nonsense"}, {"family": "x"}, {"interval": ""}, {"variant": ["a", "b"]}]
)
def test_parameters_that_mean_nothing_fall_back(open_page, store, nonsense):
    app = open_page("leaderboard", **nonsense)
    assert len(table(app)) == 40
    assert not any(app.query_params.values())


def test_a_choice_comes_back_with_the_reader(open_page, store):
    app = open_page("leaderboard")
    app.selectbox(key="metric").select("Precision").run()
    app.switch_page("pages/training.py").run()
    app.switch_page("pages/leaderboard.py").run()
    assert app.selectbox(key="metric").value == "Precision"
    assert app.query_params == {"metric": "Precision"}


def test_no_family_is_an_empty_state_and_not_an_error(open_page, store):
    app = open_page("leaderboard", variant="Base")
    app.button_group(key="family").set_value([]).run()
    assert not app.exception
    assert any("No row fits" in info.value for info in app.info)
    assert not app.dataframe


def test_the_baseline_of_the_data_set_is_drawn_for_f1_only(open_page, store):
    def rules(app):
        return [layer for layer in chart(app)["layer"] if layer["mark"].get("strokeDash")]

    assert len(rules(open_page("leaderboard", metric="F1"))) == 1
    assert not rules(open_page("leaderboard", metric="Accuracy"))
    assert XDNN_F1 == 0.9731


def test_a_store_that_cannot_be_opened_is_one_plain_message(open_page, places):
    (places / "store.sqlite").write_bytes(b"this is no database, whatever its name says" * 40)
    app = open_page("leaderboard")
    assert len(app.error) == 1
    assert "Expected" in app.error[0].value or "store" in app.error[0].value
    assert not app.dataframe
