"""Means with intervals and the word 'beats', on made-up measures whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from covid_core.explain.verdict import (
    BOTH,
    CENTRED,
    FACTS,
    NEITHER,
    ONLY_RANDOM,
    RANDOM,
    RANDOM_WEIGHTS,
    SHUFFLED,
    UNKNOWN,
    WORSE,
    caveats,
    curve_notes,
    mean_of_groups,
    null_summary,
    null_verdict,
    sanity,
    summary,
    verdict,
)


def measures(values: dict[tuple[str, str], np.ndarray], subject="VGG16") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"subject": subject, "method": method, "slice": f"{at:03d}.png", "measure": measure, "value": value}
            for (method, measure), of in values.items()
            for at, value in enumerate(of)
        ]
    )


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_interval_is_students_over_the_means_of_patients(rng):
    groups = np.repeat(np.arange(6), 4)
    values = rng.normal(size=24) + np.repeat(rng.normal(size=6), 4)
    found = mean_of_groups(values, groups)
    means = values.reshape(6, 4).mean(axis=1)
    low, high = stats.t.interval(0.95, 5, means.mean(), stats.sem(means))
    assert found == pytest.approx((means.mean(), low, high, 6))
    # as if all slices were independent it would be narrower
    alone = mean_of_groups(values, np.arange(24))
    assert alone.high - alone.low < found.high - found.low


def test_few_groups_and_missing_values():
    assert mean_of_groups(np.array([1.0, np.nan, 3.0]), np.array([0, 0, 1])).mean == 2
    one = mean_of_groups(np.array([1.0, 2.0]), np.array([4, 4]))
    assert (one.mean, one.count) == (1.5, 1)
    assert np.isnan(one.low)
    assert np.isnan(mean_of_groups(np.array([np.nan]), np.array([0])).mean)


def test_lower_deletion_is_a_gain_and_pairing_finds_small_ones(rng):
    hard = rng.uniform(0.2, 0.8, 30)  # how easy a slice is hides the difference unless it is paired
    rows = summary(
        measures(
            {
                ("gradcam", "deletion"): hard - 0.05 + rng.normal(0, 0.02, 30),
                (RANDOM, "deletion"): hard,
                (CENTRED, "deletion"): hard - 0.2,
            }
        )
    )
    (row,) = rows.to_dict("records")
    assert row["random_gain"] == pytest.approx(0.05, abs=0.02)
    assert row["random_gain_low"] > 0
    assert row["centred_gain"] == pytest.approx(-0.15, abs=0.02)
    assert row["beats"] == ONLY_RANDOM
    assert row["slices"] == row["groups"] == 30


def test_worse_than_both_is_said(rng):
    control = rng.uniform(0.4, 0.6, 20)
    values = {("gradcam", "deletion"): control + 0.1, (RANDOM, "deletion"): control + rng.normal(0, 0.01, 20)}
    values[(CENTRED, "deletion")] = control + rng.normal(0, 0.01, 20)
    rows = summary(measures(values))
    assert rows["beats"].tolist() == [WORSE]
    assert verdict(rows) == "Worse than both controls by deletion."


def test_higher_insertion_is_a_gain(rng):
    values = rng.uniform(0.4, 0.6, 20)
    rows = summary(
        measures(
            {
                ("gradcam", "insertion"): values + 0.1,
                (RANDOM, "insertion"): values + rng.normal(0, 0.01, 20),
                (CENTRED, "insertion"): values + rng.normal(0, 0.01, 20),
            }
        )
    )
    assert rows["beats"].tolist() == [BOTH]


def test_maps_like_their_controls_beat_nothing_in_nearly_all_worlds(rng):
    """5 % of the intervals miss zero, half of them on the better side: both at once is rarer still."""
    beaten = []
    for _ in range(200):
        values = {(name, "lesion"): rng.uniform(size=15) for name in ("gradcam", RANDOM, CENTRED)}
        beaten += summary(measures(values))["beats"].tolist()
    assert beaten.count(BOTH) <= 6
    assert beaten.count(NEITHER) > 180


def test_controls_are_those_of_the_same_slices(rng):
    control = np.arange(10) / 10
    of_map = np.where(np.arange(10) < 5, np.nan, 0.5)
    (row,) = summary(
        measures({("gradcam", "lungs"): of_map, (RANDOM, "lungs"): control, (CENTRED, "lungs"): control})
    ).to_dict("records")
    assert row["slices"] == 5
    assert row["random"] == pytest.approx(np.mean([0.5, 0.6, 0.7, 0.8, 0.9]))


def test_saliency_is_compared_with_noise_of_pixels(rng):
    values = {
        ("saliency", "lungs"): rng.uniform(0.5, 0.6, 10),
        (RANDOM, "lungs"): np.full(10, 0.9),
        ("control random pixels", "lungs"): np.full(10, 0.3),
        (CENTRED, "lungs"): np.full(10, 0.2),
    }
    assert summary(measures(values))["beats"].tolist() == [BOTH]


def test_groups_come_from_the_facts(rng):
    values = {(name, "lungs"): rng.uniform(size=12) for name in ("gradcam", RANDOM, CENTRED)}
    values[(FACTS, "group")] = np.arange(12) // 4.0
    assert summary(measures(values))["groups"].tolist() == [3]


def test_without_controls_or_with_one_slice_nothing_is_claimed():
    assert summary(measures({("gradcam", "lungs"): np.array([0.4, 0.5])}))["beats"].tolist() == [UNKNOWN]
    one = {(name, "lungs"): np.array([0.5]) for name in ("gradcam", RANDOM, CENTRED)}
    rows = summary(measures(one))
    assert rows["beats"].tolist() == [UNKNOWN]
    assert verdict(rows).startswith("Nothing to judge")


def test_null_maps_are_judged_over_their_seeds(rng):
    values = {(name, "insertion"): rng.uniform(size=8) for name in (RANDOM, CENTRED)}
    for seed in range(1, 6):
        values[(f"{SHUFFLED} {seed}", "insertion")] = values[(RANDOM, "insertion")] + 0.01 * (-1) ** seed
        values[(f"{RANDOM_WEIGHTS} {seed}", "insertion")] = values[(RANDOM, "insertion")] + 2 + 0.01 * seed
    rows = null_summary(measures(values)).set_index("null")
    assert rows["seeds"].tolist() == [5, 5]
    assert rows.loc[SHUFFLED, "beats"] == NEITHER
    gains = 2 + 0.01 * np.arange(1, 6)
    low, _ = stats.t.interval(0.95, 4, gains.mean(), stats.sem(gains))
    assert rows.loc[RANDOM_WEIGHTS, "random_gain_low"] == pytest.approx(low)
    assert rows.loc[RANDOM_WEIGHTS, "beats"] == BOTH


def test_seeds_that_agree_about_few_slices_prove_nothing(rng):
    """All share the same slices and controls: what these happen to give would look certain over the seeds alone."""
    values = {(RANDOM, "insertion"): np.zeros(6), (CENTRED, "insertion"): np.zeros(6)}
    of_slices = np.array([0.5, -0.3, 0.4, -0.2, 0.1, 0.0])
    for seed in range(1, 6):
        values[(f"{SHUFFLED} {seed}", "insertion")] = of_slices + 0.001 * seed
    (row,) = null_summary(measures(values)).to_dict("records")
    low, high = stats.t.interval(0.95, 5, of_slices.mean() + 0.003, stats.sem(of_slices))
    assert (row["random_gain_low"], row["random_gain_high"]) == pytest.approx((low, high))
    assert row["beats"] == NEITHER


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ({"deletion": BOTH, "insertion": BOTH}, "Beats both controls by deletion and insertion."),
        ({"lesion": NEITHER, "overlap": NEITHER}, "Beats neither control by heat in the lesions and lesion IoU."),
        (
            {"deletion": BOTH, "lungs": ONLY_RANDOM, "lesion": NEITHER},
            "Beats both controls by deletion. "
            "Beats random maps, but not a Gaussian in the middle, by heat in the lungs. "
            "No better than either control by heat in the lesions.",
        ),
        ({"drop": BOTH}, "Nothing to judge"),
    ],
)
def test_the_verdict_in_words(beats, expected):
    rows = pd.DataFrame({"measure": list(beats), "beats": list(beats.values())})
    assert verdict(rows).startswith(expected)


def test_a_blurred_slice_that_loses_nothing_is_said():
    values = {(FACTS, "probability"): np.full(4, 0.7), (FACTS, "blurred probability"): np.full(4, 0.98)}
    (note,) = curve_notes(sanity(measures(values)))
    assert note.startswith("VGG16 gives a blurred slice a mean probability of 0.98")
    values[(FACTS, "blurred probability")] = np.full(4, 0.3)
    assert curve_notes(sanity(measures(values))) == []
    assert curve_notes(sanity(measures({("gradcam", "lungs"): np.ones(3)}))) == []


def test_sanity_is_the_mean_over_slices_and_seeds():
    values = {(f"{RANDOM_WEIGHTS} {seed}", "randomised rank"): np.full(2, 0.1 * seed) for seed in (1, 2)}
    assert sanity(measures(values)).to_dict("records") == [{"subject": "VGG16", "randomised rank": pytest.approx(0.15)}]


def test_nothing_measured_gives_empty_tables():
    empty = pd.DataFrame(columns=["subject", "method", "slice", "measure", "value"])
    assert summary(empty).empty
    assert null_summary(empty).empty
    assert null_verdict(null_summary(empty)) == ""


def nulls_of(gains: dict[str, list[float]], measure="insertion") -> pd.DataFrame:
    """Null maps that gain as much on both controls in every one of 12 slices, but for a little noise."""
    rng = np.random.default_rng(0)
    values = {(RANDOM, measure): rng.normal(0, 0.01, 12), (CENTRED, measure): rng.normal(0, 0.01, 12)}
    for null, of_seeds in gains.items():
        for seed, gain in enumerate(of_seeds, 1):
            values[(f"{null} {seed}", measure)] = np.full(12, gain)
    return null_summary(measures(values))


def test_one_seed_decides_nothing_and_its_own_win_is_said():
    rows = nulls_of({RANDOM_WEIGHTS: [0.2]})
    assert rows["beats"].tolist() == [UNKNOWN]
    assert null_verdict(rows) == (
        "In the mean over 1 seed none is shown to beat both controls. 1 of 1 comparisons are undecided: their "
        "intervals leave such a win open, or do not exist. Of single seeds, each over its slices, 1 of 1 are shown to "
        "beat both: Grad-CAM, random weights, by insertion (1 of 1)."
    )


def test_seeds_that_disagree_are_undecided_and_those_that_are_worse_are_not():
    rows = nulls_of({SHUFFLED: [-0.2, -0.21, -0.19], RANDOM_WEIGHTS: [0.3, -0.2, 0.1]})
    assert rows["seeds_beating"].tolist() == [0, 2]
    assert null_verdict(rows) == (
        "In the mean over 3 seeds none is shown to beat both controls. 1 of 2 comparisons are undecided: their "
        "intervals leave such a win open, or do not exist. Of single seeds, each over its slices, 2 of 6 are shown to "
        "beat both: Grad-CAM, random weights, by insertion (2 of 3)."
    )
    assert (
        "0 of 1 comparisons are undecided. Of single seeds, each over its slices, 0 of 3 are shown to beat both."
        in null_verdict(rows[rows["null"] == SHUFFLED])
    )


def test_a_null_map_that_wins_is_named():
    text = null_verdict(nulls_of({RANDOM_WEIGHTS: [0.2, 0.21, 0.19]}))
    assert text.startswith(
        "In the mean over 3 seeds 1 of 1 comparisons beat both controls (VGG16, Grad-CAM, random weights, by insertion)"
    )
    assert null_verdict(nulls_of({RANDOM_WEIGHTS: [0.2, 0.21]}, "drop")) == ""


def test_whether_slices_were_trained_on_is_said_by_network_and_by_name():
    trained = {"VGG16": ("phantom", 64), "Xception": ("other", 64)}
    of_both = caveats(trained, "phantom", "patient", False)[1]
    assert "phantom is the data set of VGG16 by its name: whether its slices were trained on is not known" in of_both
    assert "to the others it is another domain" in of_both
    assert "another domain" not in caveats({"VGG16": ("phantom", 64)}, "phantom", "patient", False)[1]
    assert "third is another domain by its name" in caveats(trained, "third", "patient", False)[1]
