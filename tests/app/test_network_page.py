"""The page about one network: nothing measured, folds, external tests, a threshold that moves, mistakes as slices."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_campaign import EXPERIMENT, fold_result

from covid_core.data.dataset import load_dataset
from covid_core.data.phantom import write_dataset
from covid_core.models.library import list_networks
from covid_core.results.external_tests import measures_of, study_of
from covid_core.results.metrics import counts
from covid_core.results.records import Predictions
from covid_core.settings import REPOSITORY
from covid_core.ui import data_folders

RESULTS = f"{EXPERIMENT.dataset} · 64 px · 3 epochs · by slice · {EXPERIMENT.id[:6]}"
CHARTS = 5


def numbers(app) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def charts(app) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]


def texts(app) -> str:
    kinds = (app.caption, app.markdown, app.info, app.warning, app.error, app.success)
    return "\n".join(element.value for kind in kinds for element in kind)


def captions(app) -> list[str]:
    return [caption.value for caption in app.caption]


class TestNothingToShow:
    def test_an_empty_store_names_the_command(self, open_page, store):
        app = open_page("network")
        assert app.selectbox(key="results").options == ["Published, the study"]
        assert len(app.selectbox(key="network").options) == 40
        assert "no answers to single slices" in app.info[0].value
        assert app.code[0].value == "python train_all.py --preset quick"
        assert not charts(app)
        assert not app.metric

    def test_published_rows_have_no_predictions(self, open_page, full_store):
        app = open_page("network", results="Published, the study", network="VGG16")
        assert app.selectbox(key="network").value == "VGG16"
        assert "Choose measured results above" in app.info[0].value
        assert not app.code
        assert not charts(app)

    def test_results_without_predictions_say_so(self, open_page, full_store):
        full_store.add_fold(fold_result("VGG19", 1, predictions=None))
        app = open_page("network", network="VGG19")
        assert "no answers to single slices" in app.info[0].value
        assert not app.metric


class TestFolds:
    def test_every_number_and_every_plot(self, open_page, full_store):
        app = open_page("network")
        assert app.selectbox(key="results").value == RESULTS
        assert app.selectbox(key="network").options == ["EfficientNetB0", "Modified-EfficientNetB0"]
        assert len(charts(app)) == CHARTS
        found = numbers(app)
        assert list(found) == [
            *("Area under the ROC curve", "Average precision", "Brier score", "Calibration error"),
            *("Sensitivity", "Specificity", "Positive predictive value", "Negative predictive value"),
        ]
        # 0, 1 and 2 of 10 missed, 1 of 10 called wrongly, in three folds
        assert (found["Sensitivity"], found["Specificity"]) == ("0.900", "0.900")
        assert float(found["Positive predictive value"]) == pytest.approx(0.09 / 0.18, abs=1e-3)
        assert "100** would show COVID: 90 found, 10 missed. Of the 900 others 90 would be called COVID" in texts(app)
        assert "60 slices of synthetic slices, 50 % COVID; 3 test folds" in texts(app)

    def test_bands_over_folds_or_by_drawing_again(self, open_page, full_store):
        app = open_page("network")
        assert app.button_group(key="band").options == ["Corrected for shared slices", "Bootstrap"]
        before = [metric.delta for metric in app.metric]
        app.button_group(key="band").set_value("Bootstrap").run()
        assert not app.exception
        after = [metric.delta for metric in app.metric]
        assert before[0] != after[0]
        assert before[4:] == after[4:]  # thresholds have Wilson's intervals either way
        assert "slices are drawn again" in texts(app)

    def test_one_fold_has_one_way_to_a_band(self, open_page, full_store):
        app = open_page("network", network="Modified-EfficientNetB0")
        assert "band" not in [group.key for group in app.button_group]
        assert "1 test fold. Bands and intervals hold the middle" in texts(app)
        assert numbers(app)["Sensitivity"] == "1.000"
        assert "None of the 10 COVID slices was called wrongly." in app.success[0].value

    def test_patients_are_drawn_where_they_are_known(self, open_page, full_store, places):
        folder = places / "results" / "mine"
        folder.mkdir(parents=True)
        (folder / "experiments.csv").write_text(f"dataset_digest\n{EXPERIMENT.dataset_digest}\n")
        lines = [f"slice-{fold}-{n}.png,P{fold}{n // 5}" for fold in (1, 2, 3) for n in range(20)]
        (folder / "patients.csv").write_text("path,patient\n" + "\n".join(lines) + "\n")
        app = open_page("network", band="Bootstrap")
        assert "12 patients" in texts(app)
        assert "patients are drawn again" in texts(app)

    def test_folds_of_one_class_only_are_no_crash(self, open_page, full_store):
        labels, probabilities = np.ones(6, np.int8), np.array([0.1, 0.4, 0.6, 0.7, 0.8, 0.9], np.float32)
        predictions = Predictions(tuple(f"{n}.png" for n in range(6)), labels, probabilities)
        full_store.add_fold(fold_result("VGG16", 1, predictions=predictions, counts=(4, 0, 0, 2), auc=float("nan")))
        app = open_page("network", network="VGG16")
        assert numbers(app)["Area under the ROC curve"] == "–"
        assert (numbers(app)["Sensitivity"], numbers(app)["Positive predictive value"]) == ("0.667", "–")
        assert "of one class only" in texts(app)
        app.button_group(key="mistakes").set_value("False alarms").run()
        assert not app.exception
        assert "There are no slices without COVID here." in app.success[0].value


class TestThreshold:
    def test_it_moves_the_four_figures_and_the_charts_and_nothing_else(self, open_page, full_store):
        app = open_page("network")
        before, drawn = numbers(app), charts(app)
        app.slider(key="threshold").set_value(0.85).run()
        assert not app.exception
        after, redrawn = numbers(app), charts(app)
        assert after["Specificity"] == "1.000"  # the false alarms have 0.8
        assert after["Positive predictive value"] == "1.000"
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {"Specificity", "Positive predictive value", "Negative predictive value"}
        assert [one != other for one, other in zip(drawn, redrawn, strict=True)] == [True, True, True, False, False]
        app.slider(key="threshold").set_value(1.0).run()
        assert numbers(app)["Positive predictive value"] == "–"
        assert "Nothing is called" in texts(app)

    def test_prevalence_moves_what_a_call_is_worth_and_no_accuracy(self, open_page, full_store):
        app = open_page("network")
        before = numbers(app)
        app.slider(key="prevalence").set_value(0.5).run()
        after = numbers(app)
        assert {name for name in before if before[name] != after[name]} == {
            "Positive predictive value",
            "Negative predictive value",
        }
        assert after["Positive predictive value"] == "0.900"

    def test_a_view_is_in_its_address_and_nonsense_falls_back(self, open_page, full_store):
        app = open_page("network", threshold="0.85", prevalence="0.3", mistakes="False alarms", band="Bootstrap")
        assert (app.slider(key="threshold").value, app.slider(key="prevalence").value) == (0.85, 0.3)
        assert app.button_group(key="mistakes").value == "False alarms"
        app = open_page("network", threshold="7", prevalence="no", mistakes="x", band="y", network="z", results="r")
        assert (app.slider(key="threshold").value, app.slider(key="prevalence").value) == (0.5, 0.1)
        assert app.selectbox(key="results").value == RESULTS

    def test_it_is_remembered_on_the_way_back_and_a_click_then_counts(self, open_page, full_store):
        app = open_page("network")
        app.slider(key="threshold").set_value(0.85).run()
        app.switch_page("pages/leaderboard.py").run()
        app.switch_page("pages/network.py").run()
        assert app.slider(key="threshold").value == 0.85
        app.slider(key="threshold").set_value(0.3).run()
        assert app.slider(key="threshold").value == 0.3


def test_a_part_of_the_page_that_runs_again_takes_no_click_back():
    """A fragment's next run comes without a new arrival: what the reader has just moved stands."""
    from streamlit.testing.v1 import AppTest

    def page() -> None:
        import streamlit as st

        from covid_core.ui.choices import arrive, slide

        st.session_state.setdefault("remembered", {"far": 0.9})
        if not st.session_state.get("again"):
            arrive("one page")
        st.session_state["again"] = True  # as if a fragment ran: the page did not arrive
        slide("Far", 0.0, 1.0, 0.5, "far")

    app = AppTest.from_function(page).run()
    assert app.slider(key="far").value == 0.9
    app.slider(key="far").set_value(0.2).run()
    assert app.slider(key="far").value == 0.2


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "phantom", patients=6, slices_per_patient=4, size=96)


@pytest.fixture
def tested(store, phantom) -> str:
    """EfficientNetB0 tested on all slices of the phantom, two folds: it misses 3 slices and calls 10 wrongly."""
    dataset = load_dataset(phantom)
    experiment = replace(EXPERIMENT, dataset=dataset.name, dataset_digest=dataset.digest)
    store.add_experiment(experiment)
    labels = dataset.binary_labels
    probabilities = np.where(labels == 1, 0.9, 0.2).astype(np.float32)
    probabilities[np.flatnonzero(labels == 1)[:3]] = [0.3, 0.01, 0.2]
    probabilities[np.flatnonzero(labels == 0)[:10]] = np.linspace(0.6, 0.99, 10)
    for fold in (1, 2):
        half = np.arange(len(dataset)) % 2 == fold - 1
        predictions = Predictions(
            tuple(np.array(dataset.paths)[half].tolist()), labels[half].astype(np.int8), probabilities[half]
        )
        result = fold_result("EfficientNetB0", fold, predictions=predictions)
        matrix = counts(predictions.labels, predictions.probabilities)
        store.add_fold(replace(result, experiment=experiment.id, counts=matrix))
    return experiment.id


@pytest.fixture
def with_data(phantom, monkeypatch) -> Path:
    monkeypatch.setenv("COVID_DATA", str(phantom))
    return phantom


@pytest.fixture
def weights(tested, trained_folder, tmp_path, monkeypatch) -> None:
    """Weights of the first fold of the experiment, and of no other."""
    folder = tmp_path / "own" / "EfficientNetB0"
    shutil.copytree(trained_folder / "EfficientNetB0", folder)
    for card in sorted(folder.glob("*.json")):
        values = json.loads(card.read_text())
        if values["fold"] == 1:
            card.write_text(json.dumps(values | {"experiment": tested}))
        else:
            card.unlink()
    monkeypatch.setenv("COVID_NETWORKS", str(folder.parent))


class TestMistakes:
    def test_the_table_stands_alone_without_the_data_set(self, open_page, tested):
        app = open_page("network")
        rows = app.dataframe[0].value
        assert rows["Probability of COVID"].tolist() == ["0.0100", "0.2000", "0.3000"]
        assert rows.columns.tolist() == ["Slice", "Probability of COVID", "Round", "Fold"]
        assert set(rows["Fold"]) == {1, 2}
        assert any(caption.startswith("3 of 12 COVID slices") for caption in captions(app))
        assert "not on this server" in app.info[0].value
        assert app.code[0].value == "COVID_DATA=FOLDER streamlit run app.py"
        assert not app.get("image")
        app.button_group(key="mistakes").set_value("False alarms").run()
        rows = app.dataframe[0].value
        assert len(rows) == 10
        assert rows["Probability of COVID"].is_monotonic_decreasing

    def test_with_the_data_set_the_slices_stand_there_and_no_map(self, open_page, tested, with_data):
        app = open_page("network")
        assert len(app.get("image")) == 3
        assert any("**0.0100** · " in caption and "fold" in caption for caption in captions(app))
        assert not app.info
        app = open_page("network", mistakes="False alarms")
        assert len(app.get("image")) == 8  # the surest eight of ten

    def test_other_data_is_not_taken_for_it(self, open_page, tested, phantom, tmp_path, monkeypatch):
        other = write_dataset(tmp_path / "other", patients=4, slices_per_patient=2, size=64)
        monkeypatch.setenv("COVID_DATA", f"{tmp_path / 'absent'}:{other}")
        app = open_page("network")
        assert not app.get("image")
        monkeypatch.setenv("COVID_DATA", f"{tmp_path / 'absent'}:{other}:{phantom}")
        assert len(open_page("network").get("image")) == 3

    def test_the_reader_names_the_folder(self, open_page, tested, phantom, tmp_path, monkeypatch):
        monkeypatch.setattr(data_folders, "may_name_folders", lambda: True)
        app = open_page("network")
        assert "name the folder of phantom" in app.info[0].value
        for folder, said in (
            (tmp_path / "nowhere", "which is not there"),
            (write_dataset(tmp_path / "other", patients=2, slices_per_patient=1, size=64), "other files, labels or"),
        ):
            app.text_input[0].set_value(str(folder))
            app.button[0].click().run()
            assert said in app.error[0].value
            assert not app.get("image")
        app.text_input[0].set_value(str(phantom))
        app.button[0].click().run()
        assert not app.exception
        assert not app.error
        assert len(app.get("image")) == 3
        assert str(phantom) not in str(app.query_params)

    def test_a_table_of_patients_in_the_folder_belongs_to_the_data(
        self, open_page, store, phantom, tmp_path, monkeypatch
    ):
        folder = tmp_path / "with-patients"
        shutil.copytree(phantom, folder)
        plain = load_dataset(folder)
        lines = [f"{path},P{number // 4}" for number, path in enumerate(plain.paths)]
        (folder / "patients.csv").write_text("path,patient\n" + "\n".join(lines) + "\n")
        dataset = load_dataset(folder, patients=folder / "patients.csv")
        assert dataset.digest != plain.digest
        positive = np.array(dataset.paths)[dataset.binary_labels == 1]
        experiment = replace(EXPERIMENT, dataset="patients", dataset_digest=dataset.digest)
        store.add_experiment(experiment)
        predictions = Predictions((str(positive[0]),), np.ones(1, np.int8), np.array([0.1], np.float32))
        result = fold_result("VGG16", 1, predictions=predictions, counts=(0, 0, 0, 1))
        store.add_fold(replace(result, experiment=experiment.id))
        monkeypatch.setenv("COVID_DATA", str(folder))
        label = f"patients · 64 px · 3 epochs · by slice · {experiment.id[:6]}"
        assert len(open_page("network", results=label).get("image")) == 1


class TestMaps:
    def test_without_weights_the_page_says_how_to_get_them(self, open_page, tested, with_data):
        app = open_page("network", maps="true")
        assert "Weights of EfficientNetB0" in app.info[0].value
        assert "--save all" in app.code[0].value
        assert len(app.get("image")) == 3

    def test_maps_of_the_folds_whose_weights_are_here(self, open_page, weights, with_data):
        app = open_page("network")
        folds = app.dataframe[0].value["Fold"].tolist()
        assert len(app.get("image")) == 3
        app.toggle(key="maps").set_value(True).run(timeout=120)
        assert not app.exception
        assert len(app.get("image")) == 3 + folds.count(1)
        assert "round 1, fold 2" in app.info[0].value
        assert app.button_group(key="missed_map").value == "non-COVID"  # what the network said
        # untrained weights do not say what the made-up store says they said
        assert "do not give what was stored" in app.warning[0].value
        app.button_group(key="mistakes").set_value("False alarms").run(timeout=120)
        assert not app.exception
        assert app.button_group(key="alarms_map").value == "COVID"
        assert len(app.get("image")) > 8

    def test_damaged_weights_are_named(self, open_page, weights, with_data, tmp_path):
        file = next((tmp_path / "own").glob("*/*.npz"))
        file.write_bytes(file.read_bytes()[:-10])
        app = open_page("network", maps="true")
        assert any("SHA-256" in error.value for error in app.error)


class TestExternal:
    @pytest.fixture
    def elsewhere(self, store, phantom, trained) -> str:
        dataset = load_dataset(phantom)
        (card, *_) = list_networks([trained])["EfficientNetB0"]
        study = store.add_study(study_of(card, dataset))
        probabilities = np.where(dataset.binary_labels == 1, 0.3, 0.9)
        store.add_measures(study, measures_of(card, dataset, probabilities))
        store.finish_study(study, "2026-01-01T00:00:00+00:00")
        return f"External test: {dataset.name} · {len(dataset)} slices"

    def test_an_external_test_is_a_source_of_its_own(self, open_page, elsewhere, with_data):
        app = open_page("network", results=elsewhere)
        assert app.selectbox(key="results").value == elsewhere
        assert numbers(app)["Area under the ROC curve"] == "0.000"
        assert len(charts(app)) == CHARTS
        assert len(app.dataframe[0].value) == 12
        app.toggle(key="maps").set_value(True).run(timeout=120)
        assert not app.exception
        assert len(app.get("image")) == 16


def test_the_shipped_network(open_page, places, monkeypatch):
    """Figures of its card: 243 true and 13 false positives, 233 true negatives, 8 false negatives."""
    monkeypatch.setenv("COVID_RESULTS", str(REPOSITORY / "results" / "measured"))
    app = open_page("network", network="EfficientNetB0")
    found = numbers(app)
    assert found["Area under the ROC curve"] == "0.995"
    assert (found["Sensitivity"], found["Specificity"]) == ("0.968", "0.947")
    assert len(app.dataframe[0].value) == 8


def test_the_shipped_network_on_its_own_data(open_page, places, monkeypatch, shared_data):
    """Its weights give what was stored when its fold was tested, to what rounding them to float16 moves."""
    monkeypatch.setenv("COVID_RESULTS", str(REPOSITORY / "results" / "measured"))
    monkeypatch.setenv("COVID_NETWORKS", str(REPOSITORY / "trained"))
    monkeypatch.setenv("COVID_DATA", str(shared_data / "sars-cov-2-ct"))
    app = open_page("network", network="EfficientNetB0", mistakes="False alarms", maps="true")
    assert len(app.dataframe[0].value) == 13
    assert len(app.get("image")) == 16
    assert not app.warning
    assert not app.info
