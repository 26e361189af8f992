"""What the pages are made of, without a page: texts, labels, counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_up_campaign import CARD_FACTS, EXPERIMENT, fold_result
from streamlit.testing.v1 import AppTest

from covid_core.models.library import Card
from covid_core.results.leaderboard import leaderboard
from covid_core.results.records import Experiment
from covid_core.ui.campaigns import campaign_state, curve_points
from covid_core.ui.errors import plain
from covid_core.ui.networks import card_labels, same_fold
from covid_core.ui.tables import experiment_labels, probability_text, row_labels, score_text, split_text


def card(name: str, **changes: object) -> Card:
    fixed = {"model": "VGG16", "weights": f"{name}.npz", "sha256": "0", "weights_dtype": "float32"}
    return Card(**fixed | CARD_FACTS | {"probability_shift": 0.0, "path": Path("VGG16") / f"{name}.json"} | changes)


def test_names_of_files_are_shown_and_not_rendered():
    assert plain("a_b*c`[x](y)$z$") == r"a\_b\*c\`\[x\](y)\$z\$"


def test_an_error_of_the_core_ends_the_page_and_any_other_passes():
    def page(core: bool) -> None:
        import streamlit as st

        from covid_core.errors import SliceError
        from covid_core.ui.errors import shown_errors

        with shown_errors():
            raise SliceError("Expected *this*.") if core else RuntimeError("a fault")
        st.write("never")

    shown = AppTest.from_function(page, args=(True,)).run()
    assert [error.value for error in shown.error] == [r"Expected \*this\*."]
    assert not shown.markdown
    assert not shown.exception
    assert len(AppTest.from_function(page, args=(False,)).run().exception) == 1


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [(0.99184, 0.0057, "0.9918 ± 0.0057"), (1.0, float("nan"), "1.0000"), (float("nan"), float("nan"), "")],
)
def test_scores_have_a_fixed_width_so_that_they_sort_as_text(mean, half, text):
    assert score_text(mean, half) == text


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1.0, "> 0.9999"), (0.99994, "0.9999"), (0.5, "0.5000"), (0.00006, "0.0001"), (0.0, "< 0.0001")],
)
def test_no_probability_is_shown_as_certain(probability, text):
    assert probability_text(probability) == text


def test_every_row_of_a_leaderboard_has_a_label_of_its_own(full_store):
    twin = Experiment("synthetic slices", "cd" * 32, EXPERIMENT.transform, EXPERIMENT.protocol)
    full_store.add_experiment(twin)
    full_store.add_folds([replace(fold_result("EfficientNetB0", fold), experiment=twin.id) for fold in (1, 2, 3)])
    labels = row_labels(leaderboard(full_store))
    assert labels.is_unique
    assert "EfficientNetB5" in set(labels)
    assert f"EfficientNetB0 · synthetic slices, 64 px, 1 round, 3 folds · {twin.id[:6]}" in set(labels)


def test_experiments_are_told_apart(full_store):
    labels = experiment_labels(full_store.experiments())
    assert labels == {f"synthetic slices · 64 px · 3 epochs · by slice · {EXPERIMENT.id[:6]}": EXPERIMENT.id}
    packed = replace(EXPERIMENT, transform=EXPERIMENT.transform | {"packing": {"codec": "webp", "quality": 90}})
    full_store.add_experiment(packed)
    assert f"synthetic slices · 64 px · 3 epochs · WebP 90 · by slice · {packed.id[:6]}" in experiment_labels(
        full_store.experiments()
    )


def test_a_split_says_what_it_keeps_together(full_store):
    by_patient = replace(EXPERIMENT, split="group")
    guessed = replace(by_patient, protocol=EXPERIMENT.protocol | {"groups": {"origin": "likeness", "digest": "00ff"}})
    for experiment in (by_patient, guessed):
        full_store.add_experiment(experiment)
    labels = experiment_labels(full_store.experiments())
    assert f"synthetic slices · 64 px · 3 epochs · by patient · {by_patient.id[:6]}" in labels
    assert f"synthetic slices · 64 px · 3 epochs · by look-alikes · {guessed.id[:6]}" in labels
    assert (split_text("slice", ""), split_text("group", "elsewhere")) == ("by slice", "by group")


def test_cards_of_one_fold_are_told_apart():
    same = [card("a"), card("b"), card("c", fold=2)]
    labels = card_labels(same)
    assert list(labels.values()) == same
    assert list(labels)[2] == "round 1, fold 2 · 64 px · synthetic slices"


def test_the_partner_of_the_same_fold_is_preferred():
    mine = card("mine", fold=2)
    others = [card("x", experiment="other", fold=2), card("y", fold=1), card("z", fold=2)]
    assert same_fold(mine, others) is others[2]
    assert same_fold(mine, others[:2]) is others[1]
    assert same_fold(mine, []) is None


def test_a_protocol_that_does_not_say_its_folds_leaves_the_rest_unknown(full_store):
    folds = full_store.folds(status=None)
    assert campaign_state(folds, {}).left is None
    assert campaign_state(folds, {"folds": 5}).left == 6


def test_done_failed_and_left_add_up(full_store):
    folds = full_store.folds(status=None)
    state = campaign_state(folds, {"folds": 5})
    assert state.done + state.failed == len(folds)
    assert state.done + state.left == 2 * 5
    assert state.networks["done"].sum() == state.done
    assert sum(len(names) for names in state.failures["folds"]) == state.failed
    assert state.hardware["folds"].sum() == state.done


def test_curves_are_split_into_training_and_test(full_store):
    points = curve_points(full_store.history(EXPERIMENT.id, "EfficientNetB0"), "loss")
    assert set(points["part"]) == {"training", "test"}
    first = points[(points["curve"] == "Round 1, fold 1") & (points["part"] == "training")]
    assert first.sort_values("epoch")["value"].tolist() == [0.7, 0.5, 0.3]
    assert pd.isna(points[points["part"] == "test"]["value"]).any()
