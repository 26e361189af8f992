"""The study's tables and figures from published and from own rows, cell by cell with the printed numbers."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from covid_core.models import zoo
from covid_core.results.leaderboard import leaderboard
from covid_core.results.metrics import METRICS, scores
from covid_core.results.paper_tables import (
    BASE,
    EQUAL,
    OTHER,
    confusion_cells,
    family_best,
    histograms,
    network_table,
    pair_table,
    pooled_cells,
    wins,
)
from covid_core.results.published import TABLE
from covid_core.results.records import Experiment, FoldResult
from covid_core.results.store import ResultsStore

EXPERIMENT = Experiment("own set", "ef" * 32, {"size": 64}, {"epochs": 2, "folds": 5})
VARIANTS = ("base", "modified")


@pytest.fixture(scope="module")
def printed() -> dict[str, dict[str, str]]:
    """The file itself, read without the code under test."""
    with TABLE.open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def counts() -> dict[str, list[tuple[int, int, int, int]]]:
    """Confusion matrices of five made-up folds of every network."""
    random = np.random.default_rng(0)
    drawn = {}
    for name in zoo.MODELS:
        right = random.integers(150, 200, (5, 2))
        drawn[name] = [(int(tp), int(200 - tn), int(tn), int(200 - tp)) for tp, tn in right]
    return drawn


@pytest.fixture(scope="module")
def rows(tmp_path_factory, counts) -> pd.DataFrame:
    store = ResultsStore(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.sqlite'}")
    store.add_experiment(EXPERIMENT)
    store.add_folds(
        [
            FoldResult(EXPERIMENT.id, name, 1, fold, "done", 0, "2026-01-01T00:00:00+00:00", counts=of_fold)
            for name, folds in counts.items()
            for fold, of_fold in enumerate(folds, 1)
        ]
    )
    return leaderboard(store, "t")


@pytest.fixture(scope="module")
def published(rows) -> pd.DataFrame:
    return rows[rows["source"] == "published"]


@pytest.fixture(scope="module")
def own(rows) -> pd.DataFrame:
    return rows[rows["source"] == "measured"]


def own_means(counts, name: str, metric: str) -> np.ndarray:
    return np.array([scores(*of_fold)[metric] for of_fold in counts[name]])


class TestTables1And2:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_every_printed_cell_stands_in_the_table_of_its_head(self, published, printed, variant):
        table = network_table(published, variant)
        expected = [row for row in printed.values() if row["variant"] == variant]
        assert len(table) == len(expected) == 20
        cells = 0
        for row in expected:
            (found,) = table[table["model"] == row["model"]].to_dict("records")
            for column in [*METRICS, *(f"{metric}_pm" for metric in METRICS)]:
                assert found[column] == float(row[column]), (row["model"], column)
                cells += 1
            assert found["parameters_millions"] == float(row["params_millions"])
        assert cells == 200

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_every_own_cell_is_the_mean_of_its_folds(self, own, counts, variant):
        table = network_table(own, variant)
        assert len(table) == 20
        for row in table.to_dict("records"):
            for metric in METRICS:
                values = own_means(counts, row["model"], metric)
                assert row[metric] == pytest.approx(values.mean())
                half = 2.7764451052 * values.std(ddof=1) / np.sqrt(5)  # Student's t with 4 degrees of freedom
                assert row[f"{metric}_pm"] == pytest.approx(half)

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_rows_stand_by_sensitivity_and_by_whatever_is_asked(self, published, variant):
        assert network_table(published, variant)["sensitivity"].is_monotonic_decreasing
        for metric in METRICS:
            assert network_table(published, variant, metric)[metric].is_monotonic_decreasing

    def test_the_best_of_each_column_is_marked(self, published, printed):
        best = {
            metric: network_table(published, "base").set_index("model")[f"{metric}_best"].pipe(lambda at: at.index[at])
            for metric in METRICS
        }
        for metric, models in best.items():
            base = {name: float(row[metric]) for name, row in printed.items() if row["variant"] == "base"}
            assert sorted(models) == sorted(name for name, value in base.items() if value == max(base.values()))
        assert best["sensitivity"].tolist() == ["EfficientNetB5"]
        assert best["precision"].tolist() == ["DenseNet201"]

    def test_equal_best_values_are_all_marked_and_missing_ones_never(self, published):
        table = published.copy()
        table.loc[table["model"].isin(["VGG16", "VGG19"]), "f1"] = 0.9999
        table.loc[table["model"] == "Xception", "f1"] = np.nan
        marked = network_table(table, "base").set_index("model")["f1_best"]
        assert marked.index[marked].tolist() == ["VGG16", "VGG19"]

    def test_without_such_networks_the_table_is_empty(self, published):
        assert network_table(published, "residual").empty


class TestTable3:
    def test_every_cell_is_the_printed_one_and_the_better_is_marked(self, published, printed):
        pairs = pair_table(published)
        assert pairs["backbone"].tolist() == [name for name, row in printed.items() if row["variant"] == "base"]
        for row in pairs.to_dict("records"):
            for metric in METRICS:
                base, modified = (float(printed[f"{head}{row['backbone']}"][metric]) for head in ("", "Modified-"))
                assert (row[f"{metric}_base"], row[f"{metric}_other"]) == (base, modified)
                assert row[f"{metric}_better"] == (BASE if base > modified else OTHER if modified > base else EQUAL)
                for head, side in (("", "base"), ("Modified-", "other")):
                    half = float(printed[f"{head}{row['backbone']}"][f"{metric}_pm"])
                    assert row[f"{metric}_pm_{side}"] == half

    def test_base_wins_16_times_by_sensitivity_and_17_by_f1(self, published):
        counted = wins(pair_table(published)).set_index("metric")
        assert counted.loc["sensitivity"].tolist() == [16, 4, 0]
        assert counted.loc["f1"].tolist() == [17, 3, 0]
        assert (counted.sum(axis=1) == 20).all()

    def test_own_rows_are_counted_alike(self, own, counts):
        counted = wins(pair_table(own)).set_index("metric")
        for metric in METRICS:
            gaps = [
                own_means(counts, name, metric).mean() - own_means(counts, f"Modified-{name}", metric).mean()
                for name in list(zoo.MODELS)[:20]
            ]
            assert counted.loc[metric, BASE] == sum(gap > 1e-12 for gap in gaps)
            assert counted.loc[metric, OTHER] == sum(gap < -1e-12 for gap in gaps)

    def test_half_a_pair_is_no_pair_and_a_missing_score_wins_nothing(self, published):
        table = published[published["model"].isin(["VGG16", "VGG19", "Modified-VGG19"])].copy()
        table.loc[table["model"] == "VGG19", "f1"] = np.nan
        pairs = pair_table(table)
        assert pairs["backbone"].tolist() == ["VGG19"]
        assert wins(pairs).set_index("metric").loc["f1"].tolist() == [0, 0, 0]
        assert wins(pairs).set_index("metric").loc["sensitivity"].tolist() == [0, 1, 0]

    def test_without_pairs_the_columns_stand(self, published):
        empty = pair_table(published, "residual")
        assert empty.empty
        assert "sensitivity_better" in empty
        assert (wins(empty)[["base", "other", "equal"]] == 0).all(axis=None)


class TestFigures2And3:
    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("metric", METRICS)
    def test_the_best_of_each_family_by_increasing_score(self, published, printed, variant, metric):
        best = family_best(published, variant, metric)
        assert sorted(best["family"]) == sorted(zoo.FAMILIES)
        assert best[metric].is_monotonic_increasing
        for row in best.to_dict("records"):
            same = [one for one in printed.values() if (one["variant"], one["family"]) == (variant, row["family"])]
            assert row[metric] == max(float(one[metric]) for one in same)
            assert row["model"] in [one["model"] for one in same]
            low, high = row[metric] - row[f"{metric}_pm"], min(1, row[metric] + row[f"{metric}_pm"])
            assert (row[f"{metric}_low"], row[f"{metric}_high"]) == pytest.approx((low, high))

    def test_the_order_of_the_figures(self, published):
        base, modified = (family_best(published, variant)["model"].tolist() for variant in VARIANTS)
        assert base == ["VGG16", "Xception", "ResNet50", "DenseNet201", "EfficientNetB5"]
        assert modified == [
            f"Modified-{name}" for name in ("VGG19", "InceptionResNetV2", "ResNet50", "DenseNet121", "EfficientNetB5")
        ]

    def test_own_rows_are_chosen_alike(self, own, counts):
        for row in family_best(own, "base").to_dict("records"):
            same = [name for name in list(zoo.MODELS)[:20] if zoo.get(name).family == row["family"]]
            best = max(same, key=lambda name: own_means(counts, name, "sensitivity").mean())
            assert row["sensitivity"] == pytest.approx(own_means(counts, best, "sensitivity").mean())


class TestHistograms:
    @pytest.mark.parametrize("metric", METRICS)
    def test_every_network_is_counted_once_in_the_bin_it_belongs_to(self, published, metric):
        bins = histograms(published, metric)
        assert bins["count"].sum() == 40
        width = bins["to"] - bins["from"]
        assert np.allclose(width, width.iloc[0])
        for row in bins.to_dict("records"):
            group = published[(published["family"] == row["family"]) & (published["variant"] == row["variant"])]
            inside = (group[metric] >= row["from"] - 1e-9) & (group[metric] < row["to"] - 1e-9)
            assert inside.sum() == row["count"]

    def test_one_is_inside_and_a_missing_score_is_not_counted(self):
        scores_ = pd.DataFrame({"family": "VGG", "variant": "base", "f1": [1.0, 0.97, np.nan, 0.0]})
        bins = histograms(scores_, "f1")
        assert bins["count"].sum() == 3
        assert bins["to"].max() == 1
        assert bins["from"].min() == 0

    def test_equal_scores_stand_in_one_bin_and_none_in_none(self):
        same = pd.DataFrame({"family": "VGG", "variant": "base", "f1": [0.9, 0.9]})
        assert histograms(same, "f1").to_dict("records") == [
            {"family": "VGG", "variant": "base", "from": 0.9, "to": 0.901, "count": 2}
        ]
        assert histograms(same.iloc[:0], "f1").empty


class TestConfusion:
    FOLDS = pd.DataFrame([(1, 1, 9, 2, 8, 1), (1, 2, 10, 0, 10, 0)], columns=["round", "fold", "tp", "fp", "tn", "fn"])

    def test_cells_keep_counts_and_sides(self):
        cells = confusion_cells(self.FOLDS)
        first = cells[cells["fold"] == 1]
        assert first[["positive", "called", "slices"]].values.tolist() == [
            [True, True, 9],
            [True, False, 1],
            [False, True, 2],
            [False, False, 8],
        ]
        assert first["share"].tolist() == [0.9, 0.1, 0.2, 0.8]

    def test_pooled_cells_are_the_sum_and_show_its_sensitivity_and_specificity(self):
        cells = pooled_cells(self.FOLDS)
        assert cells["slices"].tolist() == [19, 1, 2, 18]
        expected = scores(19, 2, 18, 1)
        assert cells["share"].iloc[0] == expected["sensitivity"]
        assert cells["share"].iloc[3] == expected["specificity"]

    def test_a_class_without_slices_has_no_share(self):
        cells = confusion_cells(self.FOLDS.assign(fp=0, tn=0))
        assert cells.loc[~cells["positive"], "share"].isna().all()
