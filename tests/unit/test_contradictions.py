"""What is said of the tables is computed from them: it changes with them, and agrees with the printed file."""

from __future__ import annotations

import pandas as pd
import pytest

from covid_core.results.contradictions import above_one, contradictions, implied_accuracy
from covid_core.results.published import TABLE, published_rows


@pytest.fixture
def published() -> pd.DataFrame:
    return published_rows()


def found(published: pd.DataFrame, words: str):
    (one,) = [one for one in contradictions(published) if words in one.text]
    return one


def changed(published: pd.DataFrame, model: str, **values: float) -> pd.DataFrame:
    published = published.set_index("model")
    for column, value in values.items():
        published.loc[model, column] = value
    return published.reset_index()


def test_every_statement_is_contradicted_by_the_printed_tables(published):
    assert len(contradictions(published)) == 11
    assert all(one.contradicted for one in contradictions(published))


def test_a_borrowed_half_width_in_the_abstract(published):
    assert found(published, "± 0.0020").tables == "± 0.0035; ± 0.0020 stands beside its F1."
    assert not found(changed(published, "EfficientNetB5", sensitivity_pm=0.0020), "± 0.0020").contradicted


def test_section_311_prints_b4_for_b5(published):
    one = found(published, "are those of EfficientNetB4")
    assert "F1 0.9909, accuracy 0.9911, sensitivity 0.9890" in one.text
    assert one.tables == "EfficientNetB5: F1 0.9931, accuracy 0.9931, sensitivity 0.9952."
    same = changed(published, "EfficientNetB5", f1=0.9909, accuracy=0.9911, sensitivity=0.9890)
    assert not found(same, "are those of EfficientNetB4").contradicted


def test_base_wins_by_every_metric(published):
    rows = pd.read_csv(TABLE)
    one = found(published, "16 of 20")
    for metric in ("sensitivity", "accuracy", "specificity", "precision", "f1"):
        wide = rows.pivot(index="backbone", columns="variant", values=metric)
        base = int((wide["base"] > wide["modified"]).sum())
        assert f"{'F1' if metric == 'f1' else metric} {base} to {20 - base}" in one.tables


def test_intervals_above_one(published):
    rows = pd.read_csv(TABLE)
    table = above_one(published)
    for metric in ("accuracy", "sensitivity", "specificity", "precision", "f1"):
        expected = rows.loc[(rows[metric] + rows[f"{metric}_pm"]).round(4) > 1, "model"]
        assert sorted(table.loc[table["metric"] == metric, "model"]) == sorted(expected)
    assert table["high"].max() == 1.0025
    assert found(published, "95 % confidence").tables.startswith("3 of 200 intervals")
    narrow = published.assign(**{column: 0.0 for column in published if column.endswith("_pm")})
    assert not found(narrow, "95 % confidence").contradicted
    assert above_one(narrow).empty


def test_numbers_of_other_networks(published):
    assert found(published, "precision of 0.9883").tables == "0.9938; 0.9883 stands beside ResNet50."
    assert not found(changed(published, "DenseNet201", precision=0.9883), "precision of 0.9883").contradicted
    assert "sensitivity ± 0.0057" in found(published, "intervals of Xception").text
    assert "sensitivity ± 0.0036" in found(published, "intervals of Xception").tables


def test_efficientnets_among_the_best(published):
    rows = pd.read_csv(TABLE)
    for variant, claimed in (("base", "7 of the 11"), ("modified", "8 of the 11")):
        best = rows[rows["variant"] == variant].nlargest(11, "sensitivity", keep="first")
        count = int((best["family"] == "EfficientNet").sum())
        assert found(published, claimed).tables == f"They hold {count}."
        assert f"{count}" not in claimed.split()[0]
    ranks = found(published, "second and fourth").tables
    assert "EfficientNetB7 is number 2" in ranks
    assert "EfficientNetB0 is number 17" in ranks
    swapped = changed(published, "EfficientNetB6", sensitivity=0.9945)
    swapped = changed(swapped, "EfficientNetB0", sensitivity=0.9920)
    assert "EfficientNetB0 is number 4" in found(swapped, "second and fourth").tables


def test_the_better_vgg(published):
    assert "higher sensitivity (0.9669 against 0.9601)" in found(published, "in every metric").tables
    assert not found(changed(published, "Modified-VGG19", sensitivity=0.95), "in every metric").contradicted


def test_one_accuracy_does_not_follow_from_its_sensitivity_and_specificity(published):
    table = implied_accuracy(published).set_index("model")
    assert table.index[0] == "Modified-VGG19"
    assert table["difference"].abs().gt(0.001).sum() == 1
    assert table.loc["Modified-VGG19", "implied"] == pytest.approx((1252 * 0.9669 + 1229 * 0.8671) / 2481)
    assert "Modified-VGG19 has 0.9150 in place of 0.9175" in found(published, "weighted by").tables
    assert not found(changed(published, "Modified-VGG19", accuracy=0.9175), "weighted by").contradicted
