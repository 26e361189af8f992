"""Groups that look like one patient: properties, the phantom's truth, the command, and real patients."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, f1_score

from covid_core.data import grouping
from covid_core.data.dataset import load_dataset
from covid_core.data.grouping import group_looks, look_alike_groups
from covid_core.data.groups import Groups, agreement, patients_of_table
from covid_core.data.likeness import CUES, describe, strangers
from covid_core.data.phantom import patient_slices, write_dataset
from covid_core.data.slices import read_slice
from covid_core.data.splits import repeated_folds
from covid_core.errors import DatasetError

PATIENTS, SLICES = 12, 6


@pytest.fixture(scope="module")
def population():
    """Looks and patients of generated slices that no threshold was chosen on."""
    slices = [
        one for number in range(PATIENTS) for one in patient_slices(number, number % 2 == 0, SLICES, 128, seed=31)
    ]
    return [describe(one.pixels) for one in slices], [one.patient for one in slices]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("slices") / "set", patients=6, slices_per_patient=3, size=96, seed=3)


def without_lungs(number):
    """A bright disc: a body with nothing inside."""
    y, x = np.mgrid[:128, :128]
    return describe(np.where((x - 64) ** 2 + (y - 64) ** 2 < (40 + 4 * number) ** 2, 120.0 + 30 * number, 0.0))


def test_generated_patients_are_found(population):
    looks, patients = population
    scores = agreement(patients, group_looks(looks))
    assert scores.f1 > 0.7
    assert scores.rand > 0.65
    assert scores.precision > 0.8


def test_groups_do_not_depend_on_the_order_of_slices(population):
    looks, _ = population
    groups = group_looks(looks)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(looks))
        assert adjusted_rand_score(groups[order], group_looks([looks[at] for at in order])) == 1


def test_groups_are_numbered_as_they_appear(population):
    groups = group_looks(population[0])
    _, first = np.unique(groups, return_index=True)
    assert groups[0] == 0
    assert (np.diff(first) > 0).all()


def test_a_higher_threshold_only_joins(population):
    looks, _ = population
    previous = group_looks(looks, -100.0)
    assert len(set(previous)) == len(looks)
    for threshold in (-1.0, 0.0, 1.0, 100.0):
        groups = group_looks(looks, threshold)
        assert all(len(set(groups[previous == number])) == 1 for number in set(previous))
        previous = groups
    assert set(previous) == {0}


def test_one_slice_and_equal_slices_are_one_group(population):
    looks, _ = population
    assert group_looks(looks[:1]).tolist() == [0]
    assert group_looks(looks[:1] * 5).tolist() == [0] * 5
    assert group_looks([looks[0], looks[-1], looks[0]]).tolist() == [0, 1, 0]


def test_identical_slices_stand_together_among_others(population):
    looks, _ = population
    groups = group_looks([*looks, *looks])
    assert groups[: len(looks)].tolist() == groups[len(looks) :].tolist() == group_looks(looks).tolist()


def test_slices_without_lungs_are_compared_by_what_they_have(population):
    blank = [without_lungs(number) for number in range(4)]
    assert np.isnan(blank[0]["lung outline"]).all()
    groups = group_looks([*population[0], *blank])
    assert not set(groups[-4:]) & set(groups[:-4])
    assert np.isfinite(strangers([*population[0][:3], *blank])).all()
    assert len(group_looks(blank)) == 4


def test_a_look_is_finite_and_has_every_cue(population):
    for look in population[0]:
        assert list(look) == list(CUES)
        assert all(vector.dtype == np.float32 and np.isfinite(vector).all() for vector in look.values())


def test_a_flat_square_correlates_with_nothing():
    flat = np.full((64, 64), 90.0)
    assert np.isnan(describe(flat)["lung pattern"]).all()
    assert group_looks([describe(flat), describe(flat)]).tolist() == [0, 0]


def test_a_cue_that_is_the_same_everywhere_counts_for_nothing(population):
    looks = population[0][:20]
    same = [look | {"size": np.array([1.0, 1.0], np.float32)} for look in looks]  # all are 128 x 128 as it is
    np.testing.assert_array_equal(strangers(looks), strangers(same))


def test_strangers_are_as_many_as_expected_by_chance():
    """Random looks: a pair's tail probability is uniform where cues are independent."""
    rng = np.random.default_rng(0)
    looks = [{cue: rng.random(1).astype(np.float32) for cue in CUES} for _ in range(120)]
    share = 10 ** (strangers(looks) - np.log10(len(looks)))
    for level in (0.01, 0.1, 0.5):
        assert (share <= level).mean() == pytest.approx(level, rel=0.25)


def test_too_many_slices_are_refused(population, monkeypatch):
    monkeypatch.setattr(grouping, "MOST_SLICES", 5)
    with pytest.raises(DatasetError, match="at most 5 slices"):
        group_looks(population[0])


def test_agreement_against_counting_pairs():
    rng = np.random.default_rng(1)
    truth, groups = rng.integers(0, 6, 40), rng.integers(0, 9, 40)
    first, second = np.triu_indices(40, 1)
    same = [labels[first] == labels[second] for labels in (truth, groups)]
    scores = agreement(truth, groups)
    assert scores.precision == pytest.approx((same[0] & same[1]).sum() / same[1].sum())
    assert scores.recall == pytest.approx((same[0] & same[1]).sum() / same[0].sum())
    assert scores.f1 == pytest.approx(f1_score(*same))
    assert scores.rand == adjusted_rand_score(truth, groups)
    assert agreement(truth, range(40)).precision == 1
    assert agreement(range(40), range(40)) == agreement(list("abc"), [3, 1, 2])
    with pytest.raises(ValueError, match="for each of 2"):
        agreement([1, 2], [1])


def test_groups_are_identified_by_who_stands_together_and_not_by_names():
    groups = Groups.named(["b", "a", "b", "c"], "table")
    assert groups.numbers == (0, 1, 0, 2)
    assert groups.count == 3
    assert groups.identity() == Groups.named([7, 1, 7, 0], "table").identity()
    assert groups.identity() != Groups.named(["b", "a", "a", "c"], "table").identity()
    assert groups.identity() != Groups.named(["b", "a", "b", "c"], "likeness").identity()


def test_made_once_and_kept(small, tmp_path, monkeypatch):
    dataset = load_dataset(small)
    seen = []
    first = look_alike_groups(dataset, tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 18) for done in range(1, 19)]
    monkeypatch.setattr(grouping, "describe_dataset", None)
    assert look_alike_groups(dataset, tmp_path) == first
    assert first.origin == "likeness"
    assert len(first.numbers) == 18


def test_folds_by_made_groups_keep_them_apart(small, tmp_path):
    dataset = load_dataset(small)
    groups = np.array(look_alike_groups(dataset, tmp_path).numbers)
    for fold in repeated_folds(dataset.labels, 2, 2, groups=groups):
        assert not set(groups[fold.train]) & set(groups[fold.test])


def test_the_command_writes_a_table_that_everything_reads(small, tmp_path, capsys):
    table = tmp_path / "out" / "groups.csv"
    assert grouping.main([str(small), "--output", str(table)]) == 0
    out = capsys.readouterr().out
    assert "18 slices" in out
    assert "adjusted Rand" not in out  # nobody said who the patients are
    dataset = load_dataset(small, patients=table)
    assert len(dataset.groups) == 18
    assert patients_of_table(table, load_dataset(small)) == dataset.groups
    with table.open() as file:
        assert [row["path"] for row in csv.DictReader(file)] == list(dataset.paths)


def test_the_command_scores_against_a_table_or_the_data_sets_own_patients(small, capsys):
    assert grouping.main([str(small), "--truth", str(small / "manifest.csv")]) == 0
    by_table = capsys.readouterr().out.splitlines()[-2:]
    assert grouping.main([str(small / "manifest.csv")]) == 0
    by_own = capsys.readouterr().out.splitlines()[-2:]
    assert "precision" in by_table[0]
    assert by_table == by_own
    groups = group_looks(grouping.describe_dataset(load_dataset(small)))
    expected = agreement(load_dataset(small / "manifest.csv").groups, groups)
    assert by_own[1].split()[2:] == [
        f"{value:.3f}" for value in (expected.precision, expected.recall, expected.f1, expected.rand)
    ]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("path,patient\nCOVID/absent.png,a\n", "none for 18 of 18"),
        ("file,patient\na.png,a\n", "columns path, patient"),
        ("path,patient\na.png,a\na.png,b\n", "one patient for each slice"),
        ("path,patient\na.png,\n", "Line 2 lacks one"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(small, tmp_path, capsys, rows, reason):
    table = tmp_path / "truth.csv"
    table.write_text(rows)
    assert grouping.main([str(small), "--truth", str(table)]) == grouping.EXIT_USAGE
    out = capsys.readouterr().out
    assert "Refused" in out
    assert reason in out


def test_what_cannot_be_grouped_or_written_is_refused(small, tmp_path, capsys):
    assert grouping.main([str(tmp_path / "absent")]) == grouping.EXIT_USAGE
    assert "not there" in capsys.readouterr().out
    (tmp_path / "file").write_text("")
    assert grouping.main([str(small), "--output", str(tmp_path / "file" / "groups.csv")]) == grouping.EXIT_USAGE
    assert "Name another place" in capsys.readouterr().out
    for label in ("COVID", "non-COVID"):
        (tmp_path / "broken" / label).mkdir(parents=True)
        (tmp_path / "broken" / label / "a.png").write_bytes(b"no picture")
    assert grouping.main([str(tmp_path / "broken")]) == grouping.EXIT_USAGE
    out = capsys.readouterr().out
    assert "2 that cannot be read" in out
    assert "COVID/a.png" in out


def test_a_packed_data_set_is_grouped_too(small, tmp_path):
    from covid_core.data.packed import pack_dataset

    pack_dataset(load_dataset(small), tmp_path / "pack.zip", 64, "area", tmp_path / "cache")
    groups = look_alike_groups(load_dataset(tmp_path / "pack.zip"), tmp_path / "cache")
    assert len(groups.numbers) == 18
    assert groups.count > 1


def test_on_real_patients(shared_data):
    """Slices of one source; python -m benchmarks.grouping prints all scores."""
    table = shared_data / "covid-ct" / "patients.csv"
    if not table.is_file():
        pytest.skip(f"no patients at {table}")
    dataset = load_dataset(shared_data / "covid-ct", patients=table)
    chosen = [at for at, patient in enumerate(dataset.groups) if patient.startswith("N-medpix")]
    looks = [describe(read_slice(dataset.root / dataset.paths[at]).pixels) for at in chosen]
    scores = agreement([dataset.groups[at] for at in chosen], group_looks(looks))
    assert scores.rand > 0.5
