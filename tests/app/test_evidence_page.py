"""Can the maps be trusted?: nothing measured, measured, filtered; the methods page; the card beside a live map."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from covid_core.explain import verdict
from covid_core.explain.evaluation import MEASURES
from covid_core.explain.live import LiveEvidence
from covid_core.explain.method_names import METHODS
from covid_core.results.intervals import interval_text
from covid_core.results.records import Study
from covid_core.results.store import ResultsStore
from covid_core.ui import map_evidence
from covid_core.ui.background import Job
from covid_core.ui.errors import plain
from covid_core.ui.evidence import sentences

COMMAND = "python -m covid_core.explain.evaluate --dataset phantom"


def study(network: str, **changes) -> Study:
    made = Study(
        kind="evaluation",
        dataset="phantom",
        dataset_digest="ab",
        transform={"size": 64, "interpolation": "area"},
        networks={network: {"sha256": "1", "dataset": "synthetic slices"}},
        settings={"lesions": True, "lungs": "drawn", "groups": "patient"},
        finished="2026-01-01T00:00:00+00:00",
    )
    return replace(made, **changes)


def add(store: ResultsStore, one: Study, good: bool, slices: int = 16, seeds: int = 5, seed: int = 0) -> None:
    """A network whose Grad-CAM is better than its controls by everything, or by nothing."""
    (network,) = one.networks
    rng = np.random.default_rng(seed)
    rows = []

    def put(method: str, measure: str, values: np.ndarray) -> None:
        rows.extend(
            {"subject": network, "method": method, "slice": f"{at}.png", "label": 1, "measure": measure, "value": value}
            for at, value in enumerate(values)
        )

    put(verdict.FACTS, "group", np.arange(slices) // 2.0)
    put(verdict.FACTS, "probability", np.full(slices, 0.9))
    put(verdict.FACTS, "blurred probability", np.full(slices, 0.4))
    for name, measure in MEASURES.items():
        control = rng.uniform(0.4, 0.6, slices)
        put(verdict.RANDOM, name, control)
        put(verdict.RANDOM_PIXELS, name, control)
        put(verdict.CENTRED, name, control)
        gain = 0.2 * measure.better if good else 0.0
        put("gradcam", name, control + gain + rng.normal(0, 0.01, slices))
        put("saliency", name, control + rng.normal(0, 0.1, slices))
        for number in range(1, seeds + 1):
            for null in verdict.NULLS:
                put(f"{null} {number}", name, control + rng.normal(0, 0.05, slices))
    for number in range(1, seeds + 1):
        put(f"{verdict.RANDOM_WEIGHTS} {number}", "randomised rank", rng.normal(0, 0.1, slices))
    store.add_study(one)
    store.add_measures(one.id, pd.DataFrame(rows))


@pytest.fixture
def measured(store: ResultsStore) -> ResultsStore:
    add(store, study("EfficientNetB0"), good=True)
    add(store, study("VGG16"), good=False, seed=1)
    return store


def frame(app, key: str) -> pd.DataFrame:
    return app.dataframe[["overview", "numbers", "nulls", "sanity"].index(key)].value


def text(app) -> str:
    return " ".join(one.value for kind in (app.markdown, app.caption, app.info, app.warning) for one in kind)


def test_nothing_measured_names_the_command(open_page, store):
    app = open_page("evidence")
    assert app.code[0].value == COMMAND
    assert "No maps have been measured" in app.info[0].value
    assert not app.dataframe


def test_the_overview_says_who_beats_what(open_page, measured):
    app = open_page("evidence")
    overview = frame(app, "overview")
    assert overview[["Network", "Method"]].values.tolist() == [
        ["EfficientNetB0", "Grad-CAM"],
        ["EfficientNetB0", "SmoothGrad"],
        ["VGG16", "Grad-CAM"],
        ["VGG16", "SmoothGrad"],
    ]
    judged = [one.label for one in MEASURES.values() if one.judged]
    assert overview.columns[2:].tolist() == judged
    assert (overview.loc[0, judged] == "both").all()
    assert "both" not in set(overview.loc[2, judged])
    assert "EfficientNetB0, Grad-CAM**: Beats both controls by deletion, insertion" in text(app)
    assert "trained on synthetic slices at 64 px" in text(app)
    assert "another domain" in text(app)


def test_numbers_are_those_of_the_core(open_page, measured):
    app = open_page("evidence", measure="Lesion IoU")
    rows = verdict.summary(measured.measures(kind="evaluation"))
    wanted = rows[
        (rows["measure"] == "overlap") & (rows["subject"] == "EfficientNetB0") & (rows["method"] == "gradcam")
    ]
    row = frame(app, "numbers").iloc[0]
    assert row["Map"] == interval_text(*wanted[["mean", "low", "high"]].iloc[0])
    assert row["Better than"] == "both"
    assert row[["Slices", "Counted"]].tolist() == [16, 8]


def test_what_is_not_judged_says_so(open_page, measured):
    app = open_page("evidence", measure="Average drop")
    assert set(frame(app, "numbers")["Better than"]) == {"not judged"}


def test_null_maps_stand_there_with_their_seeds(open_page, measured):
    app = open_page("evidence")
    nulls = frame(app, "nulls")
    assert set(nulls["Map"]) == set(verdict.NULLS.values())
    assert set(nulls["Seeds"]) == {5}
    assert plain(verdict.null_verdict(verdict.null_summary(measured.measures(kind="evaluation")))) in text(app)


def test_with_one_seed_nothing_is_said_to_be_shown(open_page, store):
    add(store, study("VGG16"), good=False, seeds=1)
    app = open_page("evidence")
    assert set(frame(app, "nulls")["Beats"]) == {"—"}
    assert "In the mean over 1 seed none is shown to beat both controls. 12 of 12 comparisons are undecided" in text(
        app
    )
    assert "does not win" not in text(app)


def test_choices_are_in_the_address_and_nonsense_falls_back(open_page, measured):
    app = open_page("evidence", networks="VGG16", methods="SmoothGrad", measure="Insertion")
    assert frame(app, "overview")[["Network", "Method"]].values.tolist() == [["VGG16", "SmoothGrad"]]
    app = open_page("evidence", networks="LeNet", measure="x", data="y")
    assert len(frame(app, "overview")) == 4


def test_no_network_is_an_empty_state(open_page, measured):
    app = open_page("evidence")
    app.button_group(key="networks").set_value([]).run()
    assert not app.exception
    assert any("Nothing is measured for these choices" in info.value for info in app.info)


def test_data_sets_stand_apart_and_a_retrained_network_counts_once(open_page, measured):
    add(measured, study("EfficientNetB0", networks={"EfficientNetB0": {"sha256": "2", "dataset": "x"}}), True, slices=4)
    other = study("VGG16", dataset="other/ct", dataset_digest="cd")
    add(measured, other, good=False)
    one_more = measured.measures(other.id).query("method == 'gradcam'").head(1).assign(slice="one more.png")
    measured.add_measures(other.id, one_more)
    app = open_page("evidence")
    assert app.selectbox(key="data").options == ["other/ct · lesions drawn", "phantom · lesions drawn"] or set(
        app.selectbox(key="data").options
    ) == {"other/ct · lesions drawn", "phantom · lesions drawn"}
    app = open_page("evidence", data="phantom · lesions drawn")
    assert set(frame(app, "numbers")["Slices"]) == {16}
    app = open_page("evidence", data="other/ct · lesions drawn")
    assert any("Not every map of VGG16" in warning.value for warning in app.warning)


def test_without_seeds_the_page_says_how_to_get_them(open_page, store):
    add(store, study("VGG16"), good=False, seeds=0)
    assert any("--seeds 5" in info.value for info in open_page("evidence").info)


def test_summaries_are_made_once_for_each_state_of_the_store(measured, monkeypatch):
    made = []
    summary = verdict.summary
    monkeypatch.setattr(verdict, "summary", lambda measures: made.append(len(measures)) or summary(measures))
    (studies,) = map_evidence.evaluations().values()
    first = map_evidence.summaries(studies)[0]
    pd.testing.assert_frame_equal(map_evidence.summaries(studies)[0], first)
    assert len(made) == 1
    rows = pd.DataFrame([{"subject": "VGG16", "method": "gradcam", "slice": "more.png", "label": 1,
                          "measure": "deletion", "value": 0.5}])  # fmt: skip
    measured.add_measures(study("VGG16").id, rows)
    map_evidence.summaries(studies)
    assert made == [made[0], made[0] + 1]
    assert len(map_evidence.summaries(studies.iloc[:1])[0]) < len(first)


# ---- the methods page ----


def test_methods_need_a_trained_network(open_page):
    app = open_page("methods", network="VGG16")
    assert "VGG16 has no trained weights" in app.info[0].value
    assert not app.get("image")
    app.toggle(key="random").set_value(True).run(timeout=120)
    assert any("choose a trained network" in info.value for info in app.info)


@pytest.mark.slow
def test_four_methods_side_by_side(open_page, trained):
    app = open_page("methods")
    assert [
        element.value.strip("*") for element in app.markdown if element.value.strip("*") in METHODS.values()
    ] == list(METHODS.values())
    assert len(app.get("image")) == 4
    table = app.table[0].value
    assert table.index.tolist() == table.columns.tolist() == list(METHODS.values())
    assert set(np.diag(table)) <= {"+1.00", "—"}


def test_maps_that_failed_are_made_the_next_time(monkeypatch):
    from covid_core.ui import method_maps

    outcomes = [MemoryError(), CancelledError(), {"gradcam": np.ones((2, 2))}]

    def maps(*_: object) -> dict:
        if isinstance(outcomes[0], Exception):
            raise outcomes.pop(0)
        return outcomes[0]

    monkeypatch.setattr(method_maps, "_maps", maps)
    monkeypatch.setattr(method_maps, "model_of", lambda network: None)
    monkeypatch.setattr(method_maps.st, "session_state", {})
    network, chosen = (
        SimpleNamespace(key="n", spec=SimpleNamespace(name="VGG16")),
        SimpleNamespace(digest="d", uploaded=False),
    )
    jobs = []
    for _ in range(4):
        jobs.append(method_maps.job(network, chosen, 1))
        assert jobs[-1].wait(10)
    assert jobs[2].result() == outcomes[0]
    assert jobs[3] is jobs[2]  # what went well is kept


def test_maps_dropped_by_the_page_before_are_made_after_all(open_page, trained, monkeypatch):
    """The page takes the job while it waits for its turn, and only then does it turn out that everybody had left it."""
    from covid_core.ui import method_maps

    dropped = []
    make = method_maps.job

    def job(*choices: object) -> Job:
        if dropped:
            return make(*choices)
        turn = threading.Lock()
        with turn:
            dropped.append(Job("work", dict, turn))
            with dropped[0]:
                pass
        assert dropped[0].wait(10)
        return dropped[0]

    monkeypatch.setattr(method_maps, "job", job)
    monkeypatch.setattr(method_maps, "_maps", lambda *_: {name: np.eye(2, dtype=np.float32) for name in METHODS})
    assert len(open_page("methods").get("image")) == 4


def test_likeness_to_random_weights_is_given_as_numbers_without_a_judgement():
    measured = LiveEvidence({"lungs": 0.5}, {}, {}, 0.9, 0.1, np.nan, "", 0.0, 0.0)
    said = {
        sentences(replace(measured, random_rank=rank, random_ssim=0.25))[-1].replace(f"{rank:+.2f}", "…")
        for rank in (-0.9, 0.0, 0.49, 0.51, 0.9)
    }
    assert len(said) == 1
    assert "SSIM 0.25" in said.pop()


# ---- the workbench ----


def test_random_weights_are_asked_at_the_layer_whatever_keras_calls_it_in_the_second_copy(monkeypatch):
    """Keras numbers layers that nobody named by what their thread built before."""
    import keras

    from covid_core.ui import workbench

    def unnamed(card: object) -> keras.Model:
        inputs = keras.Input((16, 16, 1))
        x = keras.layers.Conv2D(3, 3, strides=2)(inputs)
        x = keras.layers.Conv2D(4, 3)(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))

    def maps() -> list[tuple[int, ...]]:
        bench = workbench.Workbench(SimpleNamespace(card=None), unnamed(None))
        seen = np.arange(256, dtype=np.float32).reshape(16, 16)
        return [bench.random_map(layer, seen, 1).shape for layer in ("conv2d", "conv2d_1")]

    monkeypatch.setattr(workbench, "load_network", unnamed)
    job = Job("build", maps, threading.Lock())  # a thread in which nothing was built before
    assert job.wait(60)
    assert job.result() == [(7, 7), (5, 5)]


# ---- the card ----


def card_page() -> None:
    """A page with nothing but the card."""
    import numpy as np
    import streamlit as st

    from covid_core.ui.background import start_tensorflow
    from covid_core.ui.evidence import evidence_card
    from covid_core.ui.networks import ChosenNetwork, trained_networks
    from covid_core.ui.slices import pick_slice

    start_tensorflow()
    from covid_core.models import zoo

    chosen = pick_slice()
    name = "EfficientNetB0"
    cards = trained_networks().get(name, [])
    network = ChosenNetwork(zoo.get(name), cards[0] if cards else None)
    raw = np.zeros((2, 2)) if st.checkbox("empty") else np.array([[1.0, 0.2], [0.0, 0.4]])
    evidence_card(network, chosen, "top_activation", 1, raw)


@pytest.fixture
def card(places):
    return AppTest.from_function(card_page, default_timeout=120)


def when_done(app):
    """The page once this session's work is done, however it ended."""
    app.run()
    if "Measuring" in text(app):
        assert all(job.wait(120) for job, _ in app.session_state["evidence_jobs"].values())
        app.run()
    assert not app.exception
    return app


@pytest.mark.slow
def test_the_card_is_filled_later_and_stays_in_its_session(card, trained):
    app = card.run()
    assert not app.exception
    assert not app.table
    assert "Measuring the map against 5 random maps" in text(app)
    app = when_done(app)
    assert app.table[0].value.index.tolist() == ["Deletion ↓", "Insertion ↑", "Heat in the lungs ↑"]
    assert "Sanity check" in text(app) or "empty map: no comparison" in text(app)
    assert "of the heat lies inside the lungs" in text(app)
    slices = app.selectbox[0].options
    app.selectbox[0].select(slices[1]).run()
    assert not app.table
    app.selectbox[0].select(slices[0]).run()
    assert app.table  # not measured again
    other = AppTest.from_function(card_page, default_timeout=120).run()
    assert not other.table


def test_the_card_says_why_there_is_nothing_to_measure(card, trained, monkeypatch, tmp_path):
    app = card.run()
    app.checkbox[0].check().run()
    assert "The map is empty" in text(app)
    monkeypatch.setenv("COVID_NETWORKS", str(tmp_path / "none"))
    assert "Random weights" in text(card.run())


def test_the_card_says_that_measuring_failed_and_measures_anew_the_next_time(card, trained, monkeypatch, caplog):
    from covid_core.errors import LibraryError
    from covid_core.ui import evidence, workbench

    turn = threading.Lock()  # not the server's: another test's work may have it
    monkeypatch.setattr(workbench, "turn", lambda: turn)
    faults = [LibraryError("Expected *weights*."), MemoryError("out of memory")]

    def judge(*_: object) -> None:
        if faults:
            raise faults[0]

    monkeypatch.setattr(evidence, "_judge", judge)

    app = when_done(card)
    assert [error.value for error in app.error] == [r"Expected \*weights\*."]
    faults.pop(0)
    app = when_done(app)
    assert ["could not be measured" in error.value for error in app.error] == [True]
    assert "out of memory" not in app.error[0].value
    assert "out of memory" in caplog.text
    faults.pop(0)
    app = when_done(app)
    assert not app.error


def test_work_that_nobody_asks_for_any_more_is_given_up_and_begun_anew_for_who_comes_back(card, trained, monkeypatch):
    from covid_core.ui import evidence, workbench

    turn = threading.Lock()
    monkeypatch.setattr(workbench, "turn", lambda: turn)
    with turn:
        app = card.run()
        ((job, reader),) = app.session_state["evidence_jobs"].values()
        assert not reader.left()
        monkeypatch.setattr(evidence, "PATIENCE_SECONDS", -1.0)
        assert reader.left()
    assert job.wait(60)
    assert job.result() is None
    monkeypatch.setattr(evidence, "PATIENCE_SECONDS", 100.0)
    assert when_done(app.run()).table
