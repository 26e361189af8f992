"""The whole training path under each backend of Keras, and its networks in TensorFlow."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_network

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.phantom import write_dataset
from covid_core.models import build, library
from covid_core.results.store import ResultsStore

HERE = Path(__file__).parent
FLAGS = ["--networks", "VGG16", "--size", "32", "--epochs", "3", "--rounds", "1", "--folds", "2", "--only-fold", "1"]


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "phantom", patients=8, slices_per_patient=3, size=64)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_trained_under_any_backend_it_gives_the_same_probabilities_in_tensorflow(
    backend, slices, tmp_path, monkeypatch
):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; requirements-backends.txt names the version")
    store, networks = f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path / "networks"
    places = ["--dataset", str(slices), "--store", store, "--output", str(networks), "--batch-size", "4"]
    trained = subprocess.run(
        [sys.executable, HERE / "train_under_backend.py", *FLAGS, *places],
        env=os.environ
        | {
            "KERAS_BACKEND": backend,
            "PYTHONPATH": f"{HERE.parents[1]}:{HERE}",
            "COVID_CACHE": str(tmp_path / "cache"),
            "COVID_RESULTS": str(tmp_path / "no results"),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert trained.returncode == 0, trained.stdout + trained.stderr
    (fold,) = ResultsStore(store).folds().itertuples()
    assert f'"backend": "{backend}"' in fold.facts
    assert ("tensorflow" in fold.facts) == (backend == "tensorflow")

    monkeypatch.setattr(build, "build_model", tiny_network)
    (card,) = library.list_networks([networks])["VGG16"]
    dataset = load_dataset(slices)
    pixels = dict(zip(dataset.paths, decoded(dataset, 32, "area", tmp_path / "cache"), strict=True))
    predictions = ResultsStore(store).predictions()
    shown = library.load_network(card).predict(np.stack([pixels[path] for path in predictions["slice"]]), verbose=0)
    # the weights are stored in halves; the card says by how much that moved a probability
    np.testing.assert_allclose(shown[:, 1], predictions["probability"], atol=1e-4 + card.probability_shift)
