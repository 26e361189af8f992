"""The command that measures familiarity, on a tiny network: held-out slices mostly lie inside, noise lies outside."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from made_up_results import EXPERIMENT, fold_result
from PIL import Image
from tiny import CARD_FACTS, bright_or_dark, tiny_network

from covid_core.data.dataset import load_dataset
from covid_core.explain.familiarity import main, parser
from covid_core.models.familiarity import FEATURES
from covid_core.models.familiarity_files import load_familiarity, path_of
from covid_core.models.library import list_networks, load_network, save_network
from covid_core.results.metrics import counts
from covid_core.results.records import Predictions
from covid_core.results.store import ResultsStore
from covid_core.settings import Settings

SLICES = 200
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def trained(tmp_path, places, monkeypatch):
    """A tiny network whose card names fold 2, its data set, and a store that knows its 50 held-out slices."""
    import keras

    pixels, labels = bright_or_dark(SLICES)
    for number, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = tmp_path / "data" / ("COVID" if label else "non-COVID")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(folder / f"{number}.png")
    dataset = load_dataset(tmp_path / "data")
    store = ResultsStore(f"sqlite:///{places / 'store.sqlite'}")
    store.add_experiment(EXPERIMENT)
    paths, truth = dataset.paths[1::4], dataset.binary_labels[1::4]
    predictions = Predictions(paths, truth, truth.astype(np.float32))
    store.add_fold(fold_result(fold=2, predictions=predictions, counts=counts(truth, predictions.probabilities)))
    monkeypatch.setattr("covid_core.models.build.build_model", tiny_network)
    facts = {"classes": dataset.classes, "dataset_digest": dataset.digest, "experiment": EXPERIMENT.id, "fold": 2}
    keras.utils.set_random_seed(0)
    save_network(tiny_network("VGG16"), places / "networks", "r1-f2", pixels[:4], CARD_FACTS | facts)
    return dataset


def run(dataset, *arguments) -> int:
    return main(["--dataset", str(dataset.root), *arguments])


def test_held_out_slices_lie_inside_and_noise_outside(trained, places, capsys):
    from covid_core.explain.pooled_channels import PooledChannels

    assert run(trained, "--percentile", "98") == 0
    assert "150 training and 50 held-out slices" in capsys.readouterr().out
    (card,) = list_networks([places / "networks"])["VGG16"]
    found, provenance = load_familiarity(card)
    assert (provenance.training, provenance.held_out, provenance.percentile) == (150, 50, 98)
    channels = PooledChannels(load_network(card))
    (layer,) = (layer for layer in channels.layers if layer.name == FEATURES)

    def inside(slices: np.ndarray) -> np.ndarray:
        return found.distances(channels.means(slices, [layer])[layer.number]) <= found.limit

    assert inside(bright_or_dark(100, seed=1)[0]).mean() > 0.9
    rng = np.random.default_rng(0)
    noise = (255 * (rng.random((20, 32, 32, 1)) < 0.5)).astype(np.uint8)
    assert not inside(noise).any()


def test_what_cannot_be_measured_is_refused(trained, places, tmp_path, capsys):
    assert run(trained, "--percentile", "101") == 2
    assert "--percentile from 50 to 100" in capsys.readouterr().out
    assert run(trained, "--networks", "VGG19") == 2
    assert "Received: VGG19" in capsys.readouterr().out
    assert run(trained, "--store", f"sqlite:///{tmp_path / 'other.sqlite'}") == 2
    assert "test slices of round 1, fold 2" in capsys.readouterr().out
    (card,) = list_networks([places / "networks"])["VGG16"]
    assert not path_of(card).exists()


def test_the_shipped_networks_have_the_check():
    for cards in list_networks([REPOSITORY / "trained"]).values():
        for card in cards:
            found, provenance = load_familiarity(card)
            assert provenance.dataset_digest == card.dataset_digest
            assert provenance.held_out == sum(card.counts)
            assert found.means.shape[0] == len(card.classes)
            assert path_of(card).stat().st_size < 2**20


def test_every_command_of_the_readme_is_understood():
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    start = "python -m covid_core.explain.familiarity "
    commands = [line.split("#")[0] for line in readme.splitlines() if line.startswith(start)]
    assert commands
    for command in commands:
        parser(Settings.from_environment()).parse_args(shlex.split(command.removeprefix(start)))
