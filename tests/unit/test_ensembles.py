"""Ensembles: averages by hand, stacking against scikit-learn, and proof that the fold under test takes no part."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from covid_core.errors import StoreError
from covid_core.results.ensembles import WAYS, Ensemble, ensemble_predictions, stacked

PAIR = ("VGG16", "Modified-VGG16")
SLICES = 40


def predictions(model: str, skill: float, rounds: int = 2, folds: int = 5) -> pd.DataFrame:
    """Every fold of a network that is right on its slices as far as ``skill`` goes; labels are shared by all."""
    parts = []
    for round_ in range(1, rounds + 1):
        for fold in range(1, folds + 1):
            labels = np.random.default_rng([round_, fold]).integers(0, 2, SLICES)
            noise = np.random.default_rng([round_, fold, sum(map(ord, model))]).normal(size=SLICES)
            parts.append(
                pd.DataFrame(
                    {
                        "experiment": "e",
                        "model": model,
                        "round": round_,
                        "fold": fold,
                        "slice": [f"COVID/{round_}-{fold}-{number}.png" for number in range(SLICES)],
                        "label": labels.astype(np.int8),
                        "probability": (1 / (1 + np.exp(-(skill * (2 * labels - 1) + noise)))).astype(np.float32),
                    }
                )
            )
    frame = pd.concat(parts, ignore_index=True)
    return frame.astype({"experiment": "category", "model": "category", "slice": "category"})


@pytest.fixture
def known() -> dict[str, pd.DataFrame]:
    return {model: predictions(model, skill) for model, skill in zip((*PAIR, "VGG19"), (1.0, 0.5, 0.8), strict=True)}


def by_slice(frame: pd.DataFrame) -> pd.Series:
    return frame.set_index(["round", "fold", frame["slice"].astype(str)])["probability"].sort_index()


def test_an_average_is_the_mean_slice_by_slice(known):
    found = ensemble_predictions(known, Ensemble((*PAIR, "VGG19")))
    expected = sum(by_slice(part).astype(float) for part in known.values()) / 3
    pd.testing.assert_series_equal(by_slice(found), expected)
    assert found.columns.tolist() == known["VGG16"].columns.tolist()
    assert set(found["model"]) == {"VGG16 + Modified-VGG16 + VGG19, averaged"}
    labels = by_slice(known["VGG16"].assign(probability=known["VGG16"]["label"]))
    pd.testing.assert_series_equal(by_slice(found.assign(probability=found["label"])), labels)


def test_the_average_of_one_network_is_that_network(known):
    found = ensemble_predictions(known, Ensemble(("VGG16",)))
    pd.testing.assert_series_equal(by_slice(found), by_slice(known["VGG16"]).astype(float))


def test_the_order_of_members_does_not_matter(known):
    for way in WAYS:
        there, back = (ensemble_predictions(known, Ensemble(members, way)) for members in (PAIR, PAIR[::-1]))
        np.testing.assert_allclose(by_slice(there), by_slice(back), atol=1e-6)


def test_members_are_matched_by_slice_not_by_place(known):
    shuffled = known | {"Modified-VGG16": known["Modified-VGG16"].sample(frac=1, random_state=1)}
    shuffled_last = known["VGG19"].sample(frac=1, random_state=2)
    other_codes = known["Modified-VGG16"].assign(
        slice=known["Modified-VGG16"]["slice"].cat.reorder_categories(
            known["Modified-VGG16"]["slice"].cat.categories[::-1]
        )
    )
    three = Ensemble((*PAIR, "VGG19"))
    expected = by_slice(ensemble_predictions(known, three))
    for changed in (shuffled, known | {"Modified-VGG16": other_codes}, known | {"VGG19": shuffled_last}):
        pd.testing.assert_series_equal(by_slice(ensemble_predictions(changed, three)), expected)


def test_a_stacker_is_scikit_learns_regression_on_the_other_folds_of_the_round(known):
    found = ensemble_predictions(known, Ensemble(PAIR, "stacked"))
    assert len(found) == len(known["VGG16"])
    sides = np.stack([logit(known[member]["probability"].astype(float)) for member in PAIR], axis=1)
    keys = known["VGG16"]
    for round_, fold in ((1, 1), (2, 4)):
        fitted = (keys["round"] == round_) & (keys["fold"] != fold)
        tested = (keys["round"] == round_) & (keys["fold"] == fold)
        model = LogisticRegression().fit(sides[fitted], keys["label"][fitted])
        expected = pd.Series(model.predict_proba(sides[tested])[:, 1], keys["slice"][tested].astype(str)).sort_index()
        got = found[(found["round"] == round_) & (found["fold"] == fold)].set_index("slice")["probability"]
        np.testing.assert_allclose(got.sort_index(), expected, atol=1e-6)


def test_stacking_one_network_keeps_its_ranking(known):
    found = ensemble_predictions(known, Ensemble(("VGG16",), "stacked"))
    one = found[(found["round"] == 1) & (found["fold"] == 1)].sort_values("slice")
    own = known["VGG16"].query("round == 1 and fold == 1").sort_values("slice")
    assert roc_auc_score(one["label"], one["probability"]) == roc_auc_score(own["label"], own["probability"])


def test_the_fold_under_test_takes_no_part_in_its_fit(known):
    """Its labels turned round change what the other folds of its round say, and nothing about itself."""
    poisoned = {name: part.copy() for name, part in known.items()}
    for part in poisoned.values():
        under_test = (part["round"] == 1) & (part["fold"] == 2)
        part.loc[under_test, "label"] = 1 - part.loc[under_test, "label"]
    before, after = (by_slice(ensemble_predictions(frames, Ensemble(PAIR, "stacked"))) for frames in (known, poisoned))
    np.testing.assert_array_equal(before[1, 2], after[1, 2])
    np.testing.assert_array_equal(before[2], after[2])
    for fold in (1, 3, 4, 5):
        assert (before[1, fold] != after[1, fold]).all()


def test_nor_do_its_probabilities(known):
    poisoned = {name: part.copy() for name, part in known.items()}
    for part in poisoned.values():
        under_test = (part["round"] == 1) & (part["fold"] == 2) & (part["slice"] != "COVID/1-2-0.png")
        part.loc[under_test, "probability"] = np.float32(0.999)
    before, after = (by_slice(ensemble_predictions(frames, Ensemble(PAIR, "stacked"))) for frames in (known, poisoned))
    assert before[1, 2, "COVID/1-2-0.png"] == after[1, 2, "COVID/1-2-0.png"]


def test_no_slice_of_a_patient_under_test_is_fitted_on(known):
    """Slices 0 to 9 of every fold are one patient's: their labels in another fold must not matter to that patient."""
    patients = {name: f"P{name.split('-')[-1][0]}" for name in known["VGG16"]["slice"].cat.categories}
    crossing = {
        name: ("shared" if "-0.png" in name else f"{owner}{name.split('-')[1]}") for name, owner in patients.items()
    }
    poisoned = {name: part.copy() for name, part in known.items()}
    for part in poisoned.values():
        shared = part["slice"].isin([name for name, owner in crossing.items() if owner == "shared"])
        part.loc[shared, "label"] = 1 - part.loc[shared, "label"]
    ensemble = Ensemble(PAIR, "stacked")
    before, after = (by_slice(ensemble_predictions(frames, ensemble, crossing)) for frames in (known, poisoned))
    pd.testing.assert_series_equal(before, after)
    careless = by_slice(ensemble_predictions(poisoned, ensemble))
    assert (careless != after).all()


def test_certain_networks_are_stacked_without_infinities():
    labels = np.tile([0, 1], 20)
    sides = np.stack([labels, labels], axis=1).astype(np.float32)
    found = stacked(labels, sides, np.ones(40), np.repeat([1, 2], 20))
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_array_equal(found >= 0.5, labels == 1)


def test_better_members_weigh_more(known):
    """Of a good network and one that guesses, stacking takes the good one, an average the middle."""
    guessing = predictions("VGG19", 0.0)
    frames = {"VGG16": predictions("VGG16", 1.5), "VGG19": guessing}
    scores = {
        way: roc_auc_score(
            *ensemble_predictions(frames, Ensemble(("VGG16", "VGG19"), way))[["label", "probability"]].T.values
        )
        for way in WAYS
    }
    assert scores["stacked"] > scores["averaged"] + 0.02


def test_only_folds_that_all_members_have(known):
    part = known["VGG19"]
    frames = known | {"VGG19": part[(part["round"] == 1) & (part["fold"] <= 3)]}
    for way in WAYS:
        found = ensemble_predictions(frames, Ensemble(("VGG16", "VGG19"), way))
        assert set(zip(found["round"], found["fold"], strict=True)) == {(1, 1), (1, 2), (1, 3)}


def test_a_single_fold_cannot_be_stacked_and_the_reason_is_said(known):
    frames = {name: part[(part["round"] == 1) & (part["fold"] == 1)] for name, part in known.items()}
    with pytest.raises(StoreError, match=r"cannot be stacked: .*share 1 fold in round 1\. Average"):
        ensemble_predictions(frames, Ensemble(PAIR, "stacked"))
    assert len(ensemble_predictions(frames, Ensemble(PAIR))) == SLICES


def test_rounds_of_a_single_fold_are_left_out_of_stacking(known):
    frames = {name: part[(part["round"] == 1) | (part["fold"] == 1)] for name, part in known.items()}
    assert set(ensemble_predictions(frames, Ensemble(PAIR, "stacked"))["round"]) == {1}
    assert set(ensemble_predictions(frames, Ensemble(PAIR))["round"]) == {1, 2}


@pytest.mark.parametrize("column", ["slice", "label"])
def test_members_of_other_slices_or_labels_are_refused(known, column):
    part = known["Modified-VGG16"].astype({"slice": str})
    part.loc[7, column] = "COVID/elsewhere.png" if column == "slice" else 1 - part.loc[7, "label"]
    with pytest.raises(StoreError, match="VGG16 and Modified-VGG16 were not"):
        ensemble_predictions(known | {"Modified-VGG16": part.astype({"slice": "category"})}, Ensemble(PAIR))


def test_a_missing_slice_is_refused(known):
    with pytest.raises(StoreError, match="tested on the same slices"):
        ensemble_predictions(known | {"Modified-VGG16": known["Modified-VGG16"][:-1]}, Ensemble(PAIR))


def test_members_without_predictions_or_common_folds_are_refused(known):
    with pytest.raises(StoreError, match="no predictions of Xception"):
        ensemble_predictions(known, Ensemble(("VGG16", "Xception")))
    apart = {"VGG16": known["VGG16"].query("round == 1"), "VGG19": known["VGG19"].query("round == 2")}
    with pytest.raises(StoreError, match="expected a fold that all members have"):
        ensemble_predictions(apart, Ensemble(("VGG16", "VGG19")))


def test_names_stay_short_and_nonsense_is_refused():
    assert Ensemble(PAIR).name == "VGG16 + Modified-VGG16, averaged"
    many = Ensemble(tuple(f"EfficientNetB{number}" for number in range(8)), "stacked")
    assert many.name == "EfficientNetB0 + 7 others, stacked"
    for members, way in (((), "averaged"), (("VGG16", "VGG16"), "averaged"), (PAIR, "voted")):
        with pytest.raises(ValueError, match="Expected"):
            Ensemble(members, way)
