"""What the tables say about measures whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from covid_core.results.map_studies import (
    KIND,
    RANDOM_KIND,
    agreement_table,
    intensity_table,
    overlap_beyond_control,
    spread_table,
    study_groups,
    wide_measures,
)
from covid_core.results.published import MEAN_INTENSITIES
from covid_core.results.records import Study
from covid_core.results.store import ResultsStore

MEASURES = (
    *(f"{mask}_mask_{name}" for mask in ("base", "modified", "union") for name in ("base_heat", "modified_heat")),
    *(
        f"{mask}_mask_{name}"
        for mask in ("base", "modified", "union")
        for name in ("base_intensity", "modified_intensity")
    ),
    *(f"{variant}_{name}" for variant in ("base", "modified") for name in ("area_over_half", "entropy")),
    *("mask_iou", "chance_iou", "other_slice_iou", "rank_correlation", "other_slice_rank_correlation"),
)


def study(backbone: str, **changes) -> Study:
    networks = {f"Modified-{backbone}": {"sha256": "2"}, backbone: {"sha256": "1"}}
    return replace(Study(KIND, "phantom", "ab", {"size": 64}, networks, {"target": "own"}), **changes)


def rows(backbone: str, slices: int = 60, seed: int = 0, **shifts: float) -> pd.DataFrame:
    """Normal values around 0.5, each measure shifted by what is asked for."""
    rng = np.random.default_rng(seed)
    values = {name: 0.5 + shifts.get(name, 0.0) + 0.05 * rng.standard_normal(slices) for name in MEASURES}
    table = pd.DataFrame(values).assign(slice=[f"{n}.png" for n in range(slices)], label=np.arange(slices) % 2)
    long = table.melt(["slice", "label"], var_name="measure")
    return long.assign(subject=f"{backbone} / Modified-{backbone}", method="gradcam")


@pytest.fixture
def store(tmp_path) -> ResultsStore:
    return ResultsStore(f"sqlite:///{tmp_path / 'store.sqlite'}")


def add(store: ResultsStore, one: Study, measures: pd.DataFrame) -> None:
    store.add_study(one)
    store.add_measures(one.id, measures)


def wide(*parts: pd.DataFrame) -> pd.DataFrame:
    tables = []
    for part in parts:
        table = part.pivot(index=["slice", "label"], columns="measure", values="value").reset_index()
        tables.append(table.assign(backbone=part["subject"].iloc[0].split(" / ")[0]))
    return pd.concat(tables, ignore_index=True)


def test_backbones_of_one_setting_stand_in_one_group_in_the_zoos_order(store):
    add(store, study("VGG16"), rows("VGG16"))
    add(store, study("DenseNet201"), rows("DenseNet201"))
    add(store, study("VGG16", settings={"target": "positive"}), rows("VGG16"))
    add(store, study("ResNet50", kind=RANDOM_KIND), rows("ResNet50", 100))
    add(store, study("ResNet50", kind="evaluation"), rows("ResNet50"))
    store.add_study(study("VGG19"))  # begun, nothing measured
    groups = study_groups(store)
    assert [group["backbone"].tolist() for group in groups] == [["DenseNet201", "VGG16"], ["VGG16"], ["ResNet50"]]
    assert groups[2]["kind"].tolist() == [RANDOM_KIND]
    table = wide_measures(store, groups[0])
    assert table["backbone"].unique().tolist() == ["DenseNet201", "VGG16"]
    assert len(table) == 120
    assert set(MEASURES) < set(table)
    assert study_groups(ResultsStore("sqlite:///" + str(store._database.place).split("///")[1] + ".empty")) == []


def test_of_a_pair_studied_twice_the_last_finished_stands(store):
    networks = {"VGG16": {"sha256": "9"}, "Modified-VGG16": {"sha256": "8"}}
    older = study("VGG16", finished="2026-01-01T00:00:00+00:00")
    newer = study("VGG16", networks=networks, finished="2026-02-01T00:00:00+00:00")
    running = study("VGG16", networks={"VGG16": {"sha256": "7"}, "Modified-VGG16": {"sha256": "6"}})
    for one in (newer, running, older):
        add(store, one, rows("VGG16"))
    assert study_groups(store)[0]["id"].tolist() == [newer.id]


def test_intensities_are_paired_and_corrected_over_backbones():
    measures = wide(
        rows("VGG16", seed=1, base_mask_base_intensity=0.2),
        rows("Xception", seed=2),
        rows("EfficientNetB0", seed=3, base_mask_base_intensity=-0.02),
    )
    table = intensity_table(measures).set_index("backbone")
    for backbone, slices in measures.groupby("backbone"):
        test = stats.ttest_rel(slices["base_mask_base_intensity"], slices["base_mask_modified_intensity"])
        low, high = test.confidence_interval(0.95)
        assert table.loc[backbone, ["low", "high", "p_t"]].tolist() == pytest.approx([low, high, test.pvalue])
    assert table["difference"].to_numpy() == pytest.approx((table["base"] - table["modified"]).to_numpy())
    assert table.loc["VGG16", "p_t_holm"] == pytest.approx(3 * table.loc["VGG16", "p_t"])
    assert (table["p_t_holm"] >= table["p_t"]).all()
    assert table.loc["VGG16", "low"] > 0
    assert table.loc["VGG16", ["published_base", "published_modified"]].tolist() == list(MEAN_INTENSITIES["VGG16"])
    assert table.loc["EfficientNetB0", ["published_base", "published_difference"]].isna().all()


def test_only_the_published_statistic_stands_beside_published_values():
    measures = wide(rows("VGG16"))
    for mask, value in (("base", "heat"), ("modified", "intensity"), ("union", "intensity")):
        assert intensity_table(measures, mask, value)["published_base"].isna().all()


def test_empty_maps_and_masks_are_counted():
    measures = wide(rows("VGG16", 10))
    measures.loc[:2, "base_mask_base_intensity"] = np.nan
    measures.loc[:1, ["base_entropy", "base_area_over_half"]] = np.nan
    measures.loc[4, "modified_entropy"] = np.nan
    row = intensity_table(measures).iloc[0]
    assert row[["slices", "without_mask", "empty_base", "empty_modified"]].tolist() == [7, 3, 2, 1]


def test_spread_is_positive_minus_negative_for_each_network():
    measures = wide(rows("VGG16"), rows("Xception", seed=5))
    positive = measures["label"] == 1
    localised = positive & (measures["backbone"] == "VGG16")
    measures.loc[localised, "base_area_over_half"] -= 0.3
    table = spread_table(measures).set_index(["network", "measure"])
    row = table.loc[("VGG16", "area_over_half")]
    assert row["high"] < 0
    assert row["difference"] == pytest.approx(-0.3, abs=0.05)
    assert (row["positive_slices"], row["negative_slices"]) == (30, 30)
    assert row["p_t_holm"] == pytest.approx(4 * row["p_t"])
    others = table.drop(index=("VGG16", "area_over_half"))
    assert others["difference"].abs().max() < 0.06
    assert len(table) == 8


def test_agreement_has_every_measure_with_its_interval():
    measures = wide(rows("VGG16", mask_iou=0.3))
    measures.loc[0, "rank_correlation"] = np.nan
    table = agreement_table(measures).set_index("measure")
    assert table.loc["mask_iou", "low"] > table.loc["chance_iou", "high"]
    assert table.loc["rank_correlation", "slices"] == 59
    assert (table["low"] < table["mean"]).all()
    assert (table["mean"] < table["high"]).all()


def test_overlap_counts_where_it_exceeds_that_of_two_slices():
    measures = wide(rows("VGG16", mask_iou=0.1), rows("Xception", seed=4))
    table = overlap_beyond_control(measures).set_index("backbone")
    assert table.loc["VGG16", "low"] > 0
    assert table.loc["VGG16", "difference"] == pytest.approx(0.1, abs=0.03)
    assert table.loc["Xception", "low"] < 0 < table.loc["Xception", "high"]
    assert table.loc["VGG16", "p_t_holm"] == pytest.approx(2 * table.loc["VGG16", "p_t"])
