"""Effects of families and traits: known ones are found, and what cannot be told is not told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from covid_core.models import zoo
from covid_core.results.effects import (
    BOTH,
    EFFECT_COLUMNS,
    UNITS,
    backbones,
    trait_effects,
    traits_by_family,
    variant_effects,
)
from covid_core.results.published import published_rows


def made_up(score, noise: float = 0.0, seed: int = 0, variants=("base", "modified")) -> pd.DataFrame:
    """Rows of all networks; ``score`` gives a network's value."""
    random = np.random.default_rng(seed)
    specs = [spec for spec in zoo.ALL.values() if spec.variant in variants]
    values = [score(spec) + noise * random.normal() for spec in specs]
    columns = {name: [getattr(spec, name) for spec in specs] for name in ("backbone", "variant", "family")}
    return pd.DataFrame({"model": [spec.name for spec in specs], **columns, "f1": values})


def effect_of(effects: pd.DataFrame, name: str) -> pd.Series:
    (row,) = effects[effects["name"] == name].to_dict("records")
    return pd.Series(row)


def test_a_backbone_is_one_observation_whatever_its_heads():
    table = backbones(published_rows(), "f1")
    assert len(table) == 20
    row = table.set_index("backbone").loc["VGG16"]
    assert row["value"] == pytest.approx((0.9659 + 0.9287) / 2)
    assert row["log2_parameters"] == pytest.approx(np.log2(14.7))
    assert not row[list(zoo.TRAITS)].any()
    assert backbones(published_rows(), "f1", "modified").set_index("backbone").loc["VGG16", "value"] == 0.9287


def test_half_pairs_strangers_and_missing_scores_are_left_out():
    rows = published_rows()
    rows = rows[rows["model"] != "Modified-VGG16"]
    rows.loc[rows["model"] == "Xception", "f1"] = np.nan
    stranger = rows.iloc[:1].assign(model="Stranger", backbone="Stranger")
    names = backbones(pd.concat([rows, stranger]), "f1")["backbone"].tolist()
    assert len(names) == 18
    assert not {"VGG16", "Xception", "Stranger"} & set(names)


@pytest.mark.parametrize("trait", zoo.TRAITS)
def test_a_trait_that_alone_makes_the_score_is_found(trait):
    effects = trait_effects(made_up(lambda spec: 0.8 + 0.1 * getattr(spec, trait), noise=0.001), "f1")
    row = effect_of(effects, trait)
    has = sum(getattr(spec, trait) for spec in zoo.MODELS.values()) // 2
    assert row["effect"] == pytest.approx(0.1, abs=0.002)
    assert row["low_backbone"] < 0.1 < row["high_backbone"]
    assert (row["with"], row["without"]) == (has, 20 - has)


def test_doubling_the_parameters_is_told_from_the_family_that_grows_with_them():
    size = published_rows().set_index("model")["parameters_millions"]
    rows = made_up(lambda spec: 0.5 + 0.01 * np.log2(size[spec.backbone]) - 0.2 * (spec.family == "VGG"), noise=1e-5)
    effects = trait_effects(rows, "f1")
    assert effect_of(effects, "size_within")["effect"] == pytest.approx(0.01, abs=1e-4)
    assert abs(effect_of(effects, "size")["effect"] - 0.01) > 1e-3


def test_the_head_is_a_paired_difference():
    rows = published_rows()
    (row,) = variant_effects(rows, "sensitivity").to_dict("records")
    wide = rows.pivot(index="backbone", columns="variant", values="sensitivity")
    expected = stats.ttest_rel(wide["modified"], wide["base"])
    interval = expected.confidence_interval()
    assert row["with"] == 20
    assert row["degrees_backbone"] == pytest.approx(19)
    assert (row["effect"], row["low_backbone"], row["high_backbone"]) == pytest.approx(
        ((wide["modified"] - wide["base"]).mean(), interval.low, interval.high)
    )
    assert row["low_family"] < row["low_backbone"]


def test_every_head_beside_the_base_is_an_effect():
    rows = made_up(lambda spec: 0.9 + 0.01 * (spec.variant == "residual"), variants=zoo.VARIANTS)
    effects = variant_effects(rows, "f1")
    assert effects["name"].tolist() == ["modified", "residual"]
    assert effects["effect"].tolist() == pytest.approx([0, 0.01])
    assert variant_effects(rows[rows["variant"] == "modified"], "f1").empty


def test_what_one_family_alone_has_gets_no_interval_over_families():
    effects = trait_effects(published_rows(), "sensitivity").set_index("name")
    known = effects["low_family"].notna()
    assert set(effects.index[known]) == {"residual_links", "depthwise", "size", "size_within"}
    assert effects["low_backbone"].notna().all()
    assert (effects.loc[known, "degrees_family"] < 4).all()


def test_traits_that_are_a_familys_name_say_so():
    effects = trait_effects(published_rows(), "sensitivity").set_index("name")
    assert effects["same_as"].to_dict() == dict.fromkeys(effects.index, "") | {
        "pointwise": "all but VGG",
        "dense_links": "DenseNet",
    }
    assert effects.loc["pointwise", "effect"] == pytest.approx(-effects.loc["VGG", "effect"])
    traits = effects.loc[list(zoo.TRAITS), "follows"]
    assert traits.between(0, 1).all()
    x = backbones(published_rows(), "f1")[list(zoo.TRAITS)].astype(float)
    inflation = np.linalg.inv(x.corr().to_numpy()).diagonal()  # the variance inflation factors, another way
    np.testing.assert_allclose(1 / (1 - traits.to_numpy()), inflation)


def test_leaving_a_family_out_shows_what_the_effect_rests_on():
    rows = made_up(lambda spec: 0.9 - 0.3 * (spec.family == "VGG"))
    row = effect_of(trait_effects(rows, "f1"), "residual_links")
    assert row["effect"] == pytest.approx(0.1)
    assert row["least"] == pytest.approx(0)  # without VGG nothing is left of it
    assert row["most"] > 0.1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_backbones_give_no_number_and_no_error(count):
    rows = published_rows().groupby("variant").head(count)
    effects = trait_effects(rows, "f1")
    assert list(effects) == EFFECT_COLUMNS
    assert effects[[f"low_{unit}" for unit in UNITS]].isna().all(axis=None)
    assert len(variant_effects(rows, "f1")) == (count > 0)


def test_which_family_has_which_trait():
    counts = traits_by_family()
    assert counts["backbones"].tolist() == [8, 4, 3, 3, 2]
    assert counts.loc["Inception"].tolist() == [3, 2, 1, 3, 0, 2]
    assert not counts.loc["VGG", list(zoo.TRAITS)].any()
    assert backbones(published_rows(), "f1", BOTH)[list(zoo.TRAITS)].sum().tolist() == counts.sum().tolist()[1:]
