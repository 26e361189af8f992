"""The training page: nothing trained, a campaign half-way, failures."""

from __future__ import annotations

import json

from made_up_campaign import EXPERIMENT, fold_result


def test_nothing_trained_names_the_command(open_page, store):
    app = open_page("training")
    assert "--preset quick" in app.code[0].value
    assert not app.metric


def test_a_campaign_half_way(open_page, full_store):
    app = open_page("training")
    assert {metric.label: metric.value for metric in app.metric} == {
        "Folds done": "4",
        "Failed": "2",
        "Left": "6",
        "Networks": "2",
    }
    rows = app.dataframe[0].value.set_index("network")
    assert rows.index.tolist() == ["EfficientNetB0", "Modified-EfficientNetB0"]
    assert rows["left"].tolist() == [2, 4]
    assert rows.loc["EfficientNetB0", "images_per_second"] == 24.0


def test_equal_failures_are_told_once_with_a_traceback(open_page, full_store):
    app = open_page("training")
    assert len(app.error) == 1
    assert "2 folds" in app.error[0].value
    assert app.code[0].value == "MemoryError: no room for the batch"
    assert "Traceback" in app.code[1].value


def test_hardware_is_counted(open_page, full_store):
    hardware = open_page("training").dataframe[1].value
    assert hardware[["device", "folds"]].to_numpy().tolist() == [["CPU x86_64", 4]]


def test_curves_of_the_chosen_network_quantity_and_folds(open_page, full_store):
    app = open_page("training", network="EfficientNetB0", quantity="Accuracy", folds=["Round 1, fold 2"])
    assert app.multiselect(key="folds").value == ["Round 1, fold 2"]
    spec = json.loads(app.get("vega_lite_chart")[0].proto.spec)
    assert spec["layer"][0]["encoding"]["y"]["title"] == "Accuracy"
    app.multiselect(key="folds").set_value([]).run()
    assert not app.exception
    assert any("Choose one fold" in info.value for info in app.info)


def test_another_network_keeps_what_still_fits(open_page, full_store):
    app = open_page("training", network="EfficientNetB0", folds=["Round 1, fold 3"])
    app.selectbox(key="network").select("Modified-EfficientNetB0").run()
    assert not app.exception
    assert app.multiselect(key="folds").value == ["Round 1, fold 1"]


def test_only_failures_so_far(open_page, store):
    store.add_experiment(EXPERIMENT)
    store.add_fold(fold_result("VGG16", 1, "failed"))
    app = open_page("training")
    assert any("first finished fold" in info.value for info in app.info)
    assert len(app.error) == 1
