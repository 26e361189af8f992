"""The leaderboard against plain averages, with published and measured rows side by side."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import EXPERIMENT, failure, fold_result

from covid_core.models import zoo
from covid_core.results.intervals import half_width, mean_interval, round_half_width
from covid_core.results.leaderboard import COLUMNS, leaderboard
from covid_core.results.metrics import METRICS
from covid_core.results.published import published_rows
from covid_core.results.records import Experiment
from covid_core.results.store import ResultsStore

REPOSITORY = Path(__file__).resolve().parents[2]
THREE_FOLDS = Experiment("other set", "cd" * 32, {"size": 96}, {"epochs": 6, "folds": 3})


@pytest.fixture
def store(tmp_path) -> ResultsStore:
    store = ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.add_experiment(EXPERIMENT)
    store.add_experiment(THREE_FOLDS)
    return store


def bare(*key, counts, **changes):
    return replace(fold_result(*key), predictions=None, counts=counts, **changes)


def row_of(table: pd.DataFrame, model: str, source: str = "measured") -> pd.Series:
    rows = table[(table["model"] == model) & (table["source"] == source)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_new_store_shows_the_published_rows(store):
    table = leaderboard(store)
    assert list(table) == COLUMNS
    assert len(table) == 40
    expected = published_rows().sort_values("sensitivity", ascending=False)
    assert table["sensitivity"].tolist() == expected["sensitivity"].tolist()
    assert set(table["source"]) == {"published"}
    assert set(table["folds"]) == {50}
    assert table[["images_per_second", "auc"]].isna().all(axis=None)


def test_published_intervals_are_as_printed_and_cut_at_one(store):
    table = leaderboard(store, "t")
    pd.testing.assert_frame_equal(table, leaderboard(store, "corrected"))
    printed = published_rows().set_index("model").loc[table["model"]].reset_index()
    for metric in METRICS:
        assert table[f"{metric}_pm"].tolist() == printed[f"{metric}_pm"].tolist()
        np.testing.assert_allclose(table[f"{metric}_low"], table[metric] - table[f"{metric}_pm"])
        np.testing.assert_allclose(table[f"{metric}_high"], (table[metric] + table[f"{metric}_pm"]).clip(upper=1))
    assert row_of(table, "DenseNet201", "published")["precision_high"] == 1
    assert row_of(table, "DenseNet201", "published")["precision_pm"] == 0.0087


@pytest.mark.parametrize("method", ["corrected", "t"])
def test_measured_rows_are_means_over_all_folds_with_their_interval(store, method):
    keys = [("VGG16", round_, fold) for round_ in (1, 2) for fold in range(1, 6)]
    store.add_folds([fold_result(*key, auc=key[2] / 10, images_per_second=float(key[1])) for key in keys])
    store.add_fold(failure(model="VGG16", round_=3))
    row = row_of(leaderboard(store, method), "VGG16")
    folds = store.folds()
    for metric in METRICS:
        values = folds[metric].to_numpy()
        interval = mean_interval(values, method, test_share=0.2)
        assert (row[metric], row[f"{metric}_low"], row[f"{metric}_high"]) == pytest.approx(interval)
        assert row[f"{metric}_pm"] == pytest.approx(half_width(values.std(ddof=1), 10, method))
    assert (row["rounds"], row["folds"], row["epochs"], row["size"]) == (2, 10, 2, 64)
    assert (row["dataset"], row["split"], row["experiment"]) == ("phantom", "slice", EXPERIMENT.id)
    assert row["auc"] == pytest.approx(0.3)
    assert row["images_per_second"] == pytest.approx(1.5)


def test_over_round_means(store):
    store.add_folds([fold_result("VGG16", round_, fold) for round_ in (1, 2, 3) for fold in range(1, 6)])
    store.add_folds([fold_result("VGG19", 1, fold) for fold in range(1, 6)])
    table, folds = leaderboard(store, "rounds"), store.folds(models=["VGG16"])
    row = row_of(table, "VGG16")
    for metric in METRICS:
        half = round_half_width(folds[metric], folds["round"], 5)
        assert row[f"{metric}_pm"] == pytest.approx(half)
        assert row[f"{metric}_high"] == pytest.approx(folds[metric].mean() + half)
    assert math.isnan(row_of(table, "VGG19")["accuracy_pm"])  # one round has no spread


def test_the_bootstrap_draws_patients_where_they_are_known(store):
    store.add_folds([fold_result("VGG16", 1, fold) for fold in (1, 2)])
    store.add_fold(fold_result("VGG19", predictions=None))
    patients = {EXPERIMENT.dataset_digest: {f"COVID/slice {n}.png": f"P{n % 8}" for n in range(40)}}
    by_slice, by_patient = leaderboard(store, "groups"), leaderboard(store, "groups", patients)
    rows = [row_of(table, "VGG16") for table in (by_slice, by_patient)]
    assert [row["drawn"] for row in rows] == ["slices", "patients"]
    for metric in METRICS:
        for row in rows:
            assert 0 <= row[f"{metric}_low"] < row[metric] < row[f"{metric}_high"] <= 1
            assert row[f"{metric}_pm"] == pytest.approx((row[f"{metric}_high"] - row[f"{metric}_low"]) / 2)
        assert rows[0][f"{metric}_low"] != rows[1][f"{metric}_low"]
    assert rows[0]["accuracy"] == row_of(leaderboard(store), "VGG16")["accuracy"]
    without = row_of(by_slice, "VGG19")
    assert pd.isna(without["drawn"])
    assert math.isnan(without["accuracy_low"])
    assert by_slice["drawn"].notna().sum() == 1


def test_an_unknown_interval_is_refused(store):
    with pytest.raises(ValueError, match="corrected, t, rounds, groups"):
        leaderboard(store, "jackknife")


def test_the_test_share_follows_from_the_protocol(store):
    results = [fold_result(fold=fold, experiment=THREE_FOLDS) for fold in (1, 2, 3)]
    store.add_folds(results)
    row = row_of(leaderboard(store), "VGG16")
    interval = mean_interval(store.folds()["accuracy"], test_share=1 / 3)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(interval[1:])


def test_experiments_stay_apart(store):
    store.add_folds([fold_result(), fold_result(experiment=THREE_FOLDS)])
    table = leaderboard(store)
    assert len(table) == 42
    assert set(table["experiment"]) == {"published", EXPERIMENT.id, THREE_FOLDS.id}
    assert not table.duplicated(["source", "experiment", "model"]).any()


def test_traits_come_from_the_zoo_and_parameters_from_the_tables(store):
    store.add_folds([fold_result(model) for model in zoo.MODELS])
    table = leaderboard(store)
    for model, spec in zoo.MODELS.items():
        measured, published = row_of(table, model), row_of(table, model, "published")
        assert measured[["backbone", "variant", "family"]].tolist() == [spec.backbone, spec.variant, spec.family]
        assert measured["parameters_millions"] == published["parameters_millions"]


def test_residual_networks_are_a_variant_of_their_family_and_have_no_published_row(store):
    residual = [spec for spec in zoo.ALL.values() if spec.variant == "residual"]
    store.add_folds([fold_result(spec.name) for spec in residual])
    table = leaderboard(store)
    assert len(table) == 40 + 20
    for spec in residual:
        row = row_of(table, spec.name)
        assert row[["backbone", "variant", "family"]].tolist() == [spec.backbone, "residual", spec.family]
        assert math.isnan(row["parameters_millions"])
    assert set(table.loc[table["source"] == "published", "variant"]) == {"base", "modified"}


def test_a_network_from_elsewhere_has_its_row(store):
    store.add_fold(fold_result("My own network"))
    row = row_of(leaderboard(store), "My own network")
    assert row[["backbone", "variant", "family"]].tolist() == ["My own network", "base", "other"]
    assert math.isnan(row["parameters_millions"])


@pytest.mark.parametrize(("size", "epochs", "folds"), [([96, 64], "ten", 1), (None, None, None)])
def test_an_experiment_that_declares_otherwise_still_has_its_row(store, size, epochs, folds):
    odd = Experiment("elsewhere", "ef" * 32, {"size": size}, {"epochs": epochs, "folds": folds})
    store.add_experiment(odd)
    store.add_folds([fold_result(fold=fold, experiment=odd) for fold in (1, 2)])
    row = row_of(leaderboard(store), "VGG16")
    assert row[["size", "epochs"]].isna().all()
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]


def test_one_fold_has_a_mean_and_no_interval(store):
    store.add_fold(bare("VGG16", 1, 1, counts=(8, 1, 9, 2)))
    row = row_of(leaderboard(store), "VGG16")
    assert row["sensitivity"] == 0.8
    assert row[["sensitivity_low", "sensitivity_high", "sensitivity_pm"]].isna().all()


def test_failed_folds_make_no_row(store):
    store.add_fold(failure())
    assert len(leaderboard(store)) == 40


def test_best_first_and_what_cannot_be_ranked_last(store):
    store.add_folds(
        [
            bare("VGG16", 1, 1, counts=(10, 5, 5, 0)),
            bare("VGG19", 1, 1, counts=(10, 0, 10, 0)),
            bare("Xception", 1, 1, counts=(0, 0, 10, 0)),
        ]
    )
    table = leaderboard(store)
    assert table["model"].tolist()[:2] == ["VGG19", "VGG16"]  # equal sensitivity: F1 decides
    assert table["model"].tolist()[-1] == "Xception"
    assert table["sensitivity"].iloc[:-1].is_monotonic_decreasing


def test_dtypes_do_not_depend_on_what_was_measured(store):
    before = leaderboard(store).dtypes
    store.add_fold(fold_result())
    pd.testing.assert_series_equal(before, leaderboard(store).dtypes)


def test_an_unknown_method_is_refused(store):
    store.add_fold(fold_result())
    with pytest.raises(ValueError, match="corrected, t"):
        leaderboard(store, "bootstrap")


def test_two_thousand_folds_are_quick_and_predictions_are_not_read(store, tmp_path):
    template = replace(fold_result(), predictions=None)
    store.add_folds(
        [
            replace(template, model=model, round=round_, fold=fold)
            for model in zoo.MODELS
            for round_ in range(1, 11)
            for fold in range(1, 6)
        ]
    )
    connection = sqlite3.connect(tmp_path / "store.sqlite")
    connection.execute("DROP TABLE predictions")
    connection.execute("DROP TABLE test_sets")
    connection.close()
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        assert len(leaderboard(store)) == 80
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.4  # about 0.05 on an idle core; the guard is against a change of order


def test_the_leaderboard_imports_nothing_slow():
    script = (
        "import sys, covid_core.results.leaderboard, covid_core.results.exchange\n"
        "slow = {'tensorflow', 'keras', 'jax', 'torch', 'sklearn', 'scipy.stats', 'streamlit'} & set(sys.modules)\n"
        "sys.exit(f'imported {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
