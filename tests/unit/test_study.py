"""The study's command: which pairs, which slices, the same table after a kill, and random weights that say so."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_results import EXPERIMENT, fold_result
from PIL import Image
from tiny import CARD_FACTS, bright_or_dark, bright_or_dark_dataset, tiny_network

from covid_core.data.dataset import load_dataset
from covid_core.errors import StudyError
from covid_core.explain import study, study_run
from covid_core.explain.comparison import compare_maps
from covid_core.explain.map_pairs import (
    MapPair,
    RandomWeights,
    StudySettings,
    study_of,
    study_slices,
    trained_pairs,
)
from covid_core.models.library import Card, save_network
from covid_core.results.map_studies import KIND, RANDOM_KIND, intensity_table, study_groups, wide_measures
from covid_core.results.metrics import counts
from covid_core.results.published import MEAN_INTENSITIES
from covid_core.results.records import Predictions
from covid_core.results.store import ResultsStore
from covid_core.results.study_exchange import import_studies
from covid_core.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
SLICES = 80


def card(model: str, round_=1, fold=1, experiment="e" * 16, **changes) -> Card:
    facts = CARD_FACTS | {"experiment": experiment, "round": round_, "fold": fold} | changes
    weights = {"weights": "w.npz", "sha256": f"{model} {fold}", "weights_dtype": "float32", "probability_shift": 0.0}
    return Card(model=model, path=Path(model) / f"r{round_}-f{fold}.json", **weights, **facts)


@pytest.fixture
def dataset(tmp_path):
    """80 small pictures in two class folders; the positive ones are brighter."""
    pixels, labels = bright_or_dark(SLICES)
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = tmp_path / "data" / ("COVID" if label else "non-COVID")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(folder / f"{number}.png")
    return load_dataset(tmp_path / "data")


@pytest.fixture
def store(places) -> ResultsStore:
    return ResultsStore(f"sqlite:///{places / 'store.sqlite'}")


# ---------------------------------------------------------------- pairs and slices


def test_a_pair_is_two_networks_of_one_fold():
    trained = {
        "VGG16": [card("VGG16", fold=1), card("VGG16", fold=2), card("VGG16", fold=3)],
        "Modified-VGG16": [card("Modified-VGG16", fold=3), card("Modified-VGG16", fold=2)],
        "VGG19": [card("VGG19")],
        "Modified-VGG19": [card("Modified-VGG19", experiment="f" * 16)],
        "DenseNet201": [card("DenseNet201")],
        "Modified-DenseNet201": [card("Modified-DenseNet201")],
    }
    pairs = trained_pairs(trained)
    assert [pair.subject for pair in pairs] == ["DenseNet201 / Modified-DenseNet201", "VGG16 / Modified-VGG16"]
    assert [one.fold for one in pairs[1].weights] == [2, 2]
    assert [pair.backbone for pair in trained_pairs(trained, ["VGG16", "VGG19"])] == ["VGG16"]


def test_random_weights_are_part_of_name_kind_and_identity(dataset):
    random, trained = MapPair("VGG16", RandomWeights(64)), MapPair("VGG16", (card("VGG16"), card("Modified-VGG16")))
    assert "random weights" in random.subject
    assert "random" not in trained.subject
    settings = StudySettings()
    kinds = [study_of(pair, dataset, settings).kind for pair in (random, trained)]
    assert kinds == [RANDOM_KIND, KIND]
    ids = {study_of(random, dataset, replace(settings, **change)).id for change in ({}, {"limit": 3}, {"seed": 1})}
    ids |= {study_of(MapPair("VGG16", RandomWeights(64, seed)), dataset, settings).id for seed in (1, 2)}
    assert len(ids) == 5


@pytest.fixture
def pair(dataset) -> MapPair:
    facts = {"dataset_digest": dataset.digest, "experiment": EXPERIMENT.id, "round_": 1, "fold": 2}
    return MapPair("VGG16", (card("VGG16", **facts), card("Modified-VGG16", **facts)))


@pytest.fixture
def test_paths(dataset, store) -> set[str]:
    """The store knows two folds of the network; the second held these out."""
    store.add_experiment(EXPERIMENT)
    for fold, chosen in ((1, slice(0, None, 4)), (2, slice(1, None, 4))):
        paths, labels = dataset.paths[chosen], dataset.binary_labels[chosen]
        predictions = Predictions(paths, labels, labels.astype(np.float32))
        store.add_fold(
            fold_result(fold=fold, predictions=predictions, counts=counts(labels, predictions.probabilities))
        )
    return set(dataset.paths[1::4])


def test_by_default_only_what_the_networks_were_not_trained_on_is_measured(pair, dataset, store, test_paths):
    positions = study_slices(pair, dataset, store, StudySettings())
    assert {dataset.paths[position] for position in positions} == test_paths
    assert len(positions) == len(test_paths)
    everything = study_slices(pair, dataset, store, StudySettings(slices="all"))
    assert sorted(everything) == list(range(SLICES))
    stranger = replace(dataset, digest="another")
    assert len(study_slices(pair, stranger, store, StudySettings())) == SLICES


def test_a_fold_that_the_store_does_not_know_is_no_reason_to_measure_training_slices(pair, dataset, store):
    with pytest.raises(StudyError, match="--slices all"):
        study_slices(pair, dataset, store, StudySettings())


def test_a_sample_is_stratified_and_the_same_again(pair, dataset, store, test_paths):
    settings = StudySettings(limit=8)
    sample = study_slices(pair, dataset, store, settings)
    assert {dataset.paths[position] for position in sample} < test_paths
    assert dataset.binary_labels[sample].sum() == 4
    assert sample.tolist() == study_slices(pair, dataset, store, settings).tolist()
    assert sample.tolist() != study_slices(pair, dataset, store, replace(settings, seed=1)).tolist()
    assert len(study_slices(pair, dataset, store, StudySettings(limit=1000))) == len(test_paths)
    with pytest.raises(StudyError, match="one slice a class"):
        study_slices(pair, dataset, store, StudySettings(limit=1))


# ---------------------------------------------------------------- the command


def test_without_a_trained_pair_the_command_says_what_to_do(dataset, places, capsys):
    assert study.main(["--dataset", str(dataset.root)]) == study.EXIT_USAGE
    printed = capsys.readouterr().out
    assert "train_all.py" in printed
    assert "--random-weights" in printed
    assert study.main(["--dataset", str(dataset.root), "--networks", "VGG"]) == study.EXIT_USAGE
    assert "none for VGG16, VGG19" in capsys.readouterr().out
    assert study.main(["--dataset", str(dataset.root), "--limit", "0"]) == study.EXIT_USAGE


DIES = """
import os, sys
sys.path.insert(0, "tests/unit")
from tiny import tiny_network
from covid_core.explain import study, study_run
from covid_core.results.store import ResultsStore
from covid_core.results.study_exchange import import_studies
from covid_core.settings import Settings
study_run.build_model = tiny_network
left = int(sys.argv[1])
original = ResultsStore.add_measures
def add_measures(self, *arguments):
    global left
    if left == 0:
        os.kill(os.getpid(), 9)
    left -= 1
    return original(self, *arguments)
ResultsStore.add_measures = add_measures
sys.exit(study.main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_killed_and_started_again_it_gives_the_same_table(dataset, places, monkeypatch, capsys):
    monkeypatch.setattr(study_run, "build_model", tiny_network)
    whole, killed = (f"sqlite:///{places / name}.sqlite" for name in ("whole", "killed"))
    flags = ["--dataset", str(dataset.root), "--random-weights", "--networks", "VGG16", "--size", "32", "--store"]
    command = [sys.executable, "-c", DIES, "2", *flags, killed]
    died = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert died.returncode == -signal.SIGKILL, died.stdout + died.stderr
    store = ResultsStore(killed)
    assert store.measures()["slice"].nunique() == 64
    assert store.studies()["finished"].isna().all()

    tables = []
    for url in (whole, killed):
        assert study.main([*flags, url]) == 0
        printed = capsys.readouterr().out
        tables.append(printed[printed.index("Random weights:") :])
    assert tables[0] == tables[1]
    expected = ResultsStore(whole).measures()
    assert expected["slice"].nunique() == SLICES
    pd.testing.assert_frame_equal(store.measures(), expected, check_exact=True)
    assert store.studies()["finished"].notna().all()

    monkeypatch.setattr(study_run, "GradCam", lambda *_: pytest.fail("measured again"))
    assert study.main([*flags, killed]) == 0


@pytest.fixture
def trained(dataset, places, store, test_paths, monkeypatch) -> list[Card]:
    """A pair of tiny networks trained on nothing, whose cards name the second fold of the store."""
    monkeypatch.setattr("covid_core.models.build.build_model", tiny_network)
    import keras

    facts = CARD_FACTS | {
        "classes": dataset.classes,
        "dataset_digest": dataset.digest,
        "experiment": EXPERIMENT.id,
        "fold": 2,
    }
    cards = []
    for seed, name in enumerate(("VGG16", "Modified-VGG16")):
        keras.utils.set_random_seed(seed)
        cards.append(save_network(tiny_network(name), places / "networks", "r1-f2", bright_or_dark(4)[0], facts))
    return cards


def test_it_measures_the_maps_of_the_held_out_slices(trained, dataset, store, places, test_paths, capsys):
    flags = ["--dataset", str(dataset.root), "--export", str(places / "export")]
    assert study.main(flags) == 0
    printed = capsys.readouterr().out
    assert "VGG16" in printed
    assert "123.13 / 78.60" in printed
    assert "Random" not in printed
    (group,) = study_groups(store)
    measures = wide_measures(store, group)
    assert set(measures["slice"]) == test_paths
    assert intensity_table(measures)["slices"].item() + intensity_table(measures)["without_mask"].item() == 20

    from covid_core.explain.gradcam import GradCam
    from covid_core.explain.heatmap import normalise, resize_heat
    from covid_core.models.library import load_network

    assert measures["other_slice_iou"].notna().all()
    cams = [GradCam(load_network(one)) for one in trained]
    for label in (0, 1):
        row = measures[measures["label"] == label].iloc[3]
        picture = np.asarray(Image.open(dataset.root / row["slice"]))[None, ..., None]
        results = [cam(picture, class_index=label) for cam in cams]  # the slice's own class
        expected = compare_maps(*(resize_heat(normalise(maps), (32, 32))[0] for maps, _ in results))
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), name
        probabilities = [predicted[0, 1] for _, predicted in results]
        assert row[["base_probability", "modified_probability"]].tolist() == pytest.approx(probabilities, rel=1e-4)

    fresh = ResultsStore(f"sqlite:///{places / 'fresh.sqlite'}")
    assert import_studies(fresh, places / "export") > 0
    pd.testing.assert_frame_equal(fresh.measures(), store.measures(), check_exact=True)
    assert study.main([*flags, "--target", "positive"]) == 0
    assert len(study_groups(store)) == 2


def test_the_control_is_another_slice_of_the_class_in_the_batch():
    others = study_run._others(np.array([1, 0, 1, 1, 2, 0]))
    assert others == [2, 5, 3, 0, None, 1]


def test_classes_of_another_data_set_cannot_be_explained_as_own(trained, dataset, store, monkeypatch, capsys):
    other = replace(bright_or_dark_dataset(dataset.root, dataset.labels), paths=dataset.paths)
    monkeypatch.setattr(study, "load_dataset", lambda *_: other)
    assert study.main(["--dataset", str(dataset.root)]) == study.EXIT_USAGE
    assert "--target positive" in capsys.readouterr().out
    assert study.main(["--dataset", str(dataset.root), "--target", "positive", "--limit", "10"]) == 0


def test_every_study_command_of_the_readme_is_understood():
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    start = "python -m covid_core.explain.study "
    commands = [line.split("#")[0] for line in readme.splitlines() if line.startswith(start)]
    assert len(commands) >= 2
    for command in commands:
        study.parser(Settings.from_environment()).parse_args(shlex.split(command.removeprefix(start)))


@pytest.mark.slow
def test_the_published_pairs_can_be_measured_before_they_are_trained(dataset, store, capsys):
    flags = ["--dataset", str(dataset.root), "--random-weights", "--size", "76", "--limit", "4"]
    assert study.main(flags) == 0
    assert "Random weights" in capsys.readouterr().out
    (group,) = study_groups(store)
    assert set(group["backbone"]) == set(MEAN_INTENSITIES)
    assert set(group["kind"]) == {RANDOM_KIND}
    measures = wide_measures(store, group)
    assert len(measures) == 20
    assert set(store.measures()["subject"].str.endswith("(random weights)")) == {True}
    assert np.isfinite(measures[["base_probability", "modified_probability"]]).all(axis=None)
    table = intensity_table(measures)
    assert table["published_base"].notna().all()
    assert ((table["base"] > 0) & (table["base"] < 255)).all()
