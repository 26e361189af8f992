"""A dashboard of its own for each test: a store and a folder of networks that nobody else uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up_campaign import CARD_FACTS, EXPERIMENT, fold_result
from streamlit.testing.v1 import AppTest

from covid_core.models.library import Card
from covid_core.results.store import ResultsStore
from covid_core.ui import evidence

APP = Path(__file__).resolve().parents[2] / "app.py"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Points the settings at empty folders under ``tmp_path``, and gives their root."""
    monkeypatch.setenv("COVID_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    monkeypatch.setenv("COVID_NETWORKS", str(tmp_path / "networks"))
    monkeypatch.setenv("COVID_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("COVID_DATA", raising=False)
    return tmp_path


@pytest.fixture
def store(places: Path) -> ResultsStore:
    """The store that the dashboard will open: as on the first start, with published rows only."""
    return ResultsStore(f"sqlite:///{places / 'store.sqlite'}")


@pytest.fixture
def full_store(store: ResultsStore) -> ResultsStore:
    """Two networks: EfficientNetB0 with 3 of 5 folds done, Modified-EfficientNetB0 with 1 done and 2 failed alike."""
    store.add_experiment(EXPERIMENT)
    store.add_folds([fold_result("EfficientNetB0", fold) for fold in (1, 2, 3)])
    store.add_fold(fold_result("Modified-EfficientNetB0", 1))
    store.add_folds([fold_result("Modified-EfficientNetB0", fold, "failed") for fold in (2, 3)])
    return store


@pytest.fixture
def open_page(places: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens a page by name with query parameters, the disclaimer accepted, and checks that nothing was raised.

    The card beside a live map stays empty: measuring would go on behind the tests that follow.
    """
    monkeypatch.setattr(evidence, "_judge", lambda *_: None)

    def open_(name: str, accept: bool = True, **parameters: object) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=120)
        if accept:
            app.session_state["disclaimer_accepted"] = True
        if name != "leaderboard":  # which answers at the root
            app.switch_page(f"pages/{name}.py")
        app.query_params.update(parameters)
        app.run()
        assert not app.exception, [one.value for one in app.exception]
        return app

    return open_


def untrained_network(name: str, folder: Path) -> Card:
    """Stores a network with random weights for 64 px as if it were trained on round 1, fold 1 of ``EXPERIMENT``."""
    import keras

    from covid_core.models.build import build_model
    from covid_core.models.library import save_network

    slices = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 1)).astype(np.uint8)
    keras.utils.set_random_seed(7)
    network = build_model(name, (64, 64, 1))
    # as they are born, networks say 0.5000 to everything
    output = network.get_layer("probabilities")
    output.kernel.assign(1000 * output.kernel)
    return save_network(network, folder, f"{EXPERIMENT.id}-r1-f1", slices, CARD_FACTS)


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNetB0 with two folds and Modified-EfficientNetB0 with one, 64 px, untrained weights."""
    folder = tmp_path_factory.mktemp("networks")
    for name in ("EfficientNetB0", "Modified-EfficientNetB0"):
        card = untrained_network(name, folder)
    other_fold = folder / "EfficientNetB0" / card.path.name.replace("f1", "f2")
    other_fold.write_text((folder / "EfficientNetB0" / card.path.name).read_text().replace('"fold": 1', '"fold": 2'))
    return folder


@pytest.fixture
def trained(places: Path, trained_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes ``trained_folder`` the library of this test's dashboard."""
    monkeypatch.setenv("COVID_NETWORKS", str(trained_folder))
    return trained_folder


@pytest.fixture
def trained_residual(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with Residual-EfficientNetB0 beside them, in a folder of its own."""
    untrained_network("Residual-EfficientNetB0", tmp_path / "residual")
    monkeypatch.setenv("COVID_NETWORKS", os.pathsep.join([str(trained), str(tmp_path / "residual")]))


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A PNG that can be read as a slice, 100 × 80 pixels."""
    import io

    from PIL import Image

    from covid_core.data.phantom import sample_slices

    file = io.BytesIO()
    Image.fromarray(sample_slices(100)[0].pixels[:80]).save(file, "PNG")
    return file.getvalue()
