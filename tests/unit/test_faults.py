"""What goes wrong around a campaign: kills at any moment, full disks, data that changed. No finished fold is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_network

import train_all
from covid_core.data.phantom import write_dataset
from covid_core.models import build, library
from covid_core.results.store import ResultsStore
from covid_core.training import fold as fold_module

HERE = Path(__file__).parent
KILLS = int(os.environ.get("COVID_TEST_KILLS", "3"))
"""COVID_TEST_KILLS=20 pytest tests/unit/test_faults.py is the thorough run."""

COLUMNS = ["model", "round", "fold", "status", "seed", "tp", "fp", "tn", "fn"]


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "slices", patients=8, slices_per_patient=3, size=64)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(fold_module, "build_model", tiny_network)
    monkeypatch.setattr(build, "build_model", tiny_network)


def flags(slices, *more):
    small = ["--size", "32", "--epochs", "2", "--rounds", "1", "--folds", "2", "--batch-size", "4", "--save", "all"]
    return ["--dataset", str(slices), "--networks", "VGG16", "ResNet50", *small, *more]


def table(store=None):
    folds = ResultsStore(store or os.environ["COVID_STORE"]).folds(status=None)
    return folds[COLUMNS].sort_values(["model", "round", "fold"], ignore_index=True)


@contextmanager
def small_disk(folder: Path, kibibytes: int):
    """A file system of its own, of a given size; needs the right to mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a file system of limited size cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free))
    return filler


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(places, slices, tiny):
    command = [sys.executable, str(HERE / "train_under_backend.py"), *flags(slices)]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": f"{HERE.parents[1]}:{HERE}"}
    undisturbed = f"sqlite:///{places / 'undisturbed.sqlite'}"
    began = time.monotonic()
    other = {"COVID_STORE": undisturbed, "COVID_NETWORKS": str(places / "others")}
    subprocess.run(command, env=environment | other, check=True, capture_output=True, timeout=300)
    whole = time.monotonic() - began
    moments, finished = random.Random(0), 0
    for _ in range(KILLS):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0, whole))
        process.kill()
        process.wait()
        if (places / "store.sqlite").exists():
            store = ResultsStore(os.environ["COVID_STORE"])
            assert len(store.folds()) >= finished
            finished = len(store.folds())
            # every fold is there with all of its predictions, and every card with weights that it vouches for
            assert len(store.predictions()) == 12 * finished
        for cards in library.list_networks([places / "networks"]).values():
            for card in cards:
                library.load_network(card)
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    assert table().equals(table(undisturbed))
    probabilities = [
        ResultsStore(url).predictions().sort_values(["model", "round", "fold", "slice"])["probability"]
        for url in (os.environ["COVID_STORE"], undisturbed)
    ]
    np.testing.assert_allclose(*probabilities, atol=1e-6)
    assert len(library.list_networks([places / "networks"])) == 2


@pytest.mark.slow
def test_a_full_disk_for_networks_fails_the_fold_and_the_same_command_repairs_it(places, slices, tiny, capsys):
    with small_disk(places / "small", 64) as small:
        filler = fill(small)
        assert train_all.main(flags(slices, "--output", str(small))) == train_all.EXIT_FAILED_FOLDS
        assert "No space left" in capsys.readouterr().out
        assert set(table()["status"]) == {"failed"}
        assert library.list_networks([small]) == {}
        filler.unlink()
        assert train_all.main(flags(slices, "--output", str(small))) == 0
        assert table()["status"].tolist() == ["done"] * 4
        assert {name: len(cards) for name, cards in library.list_networks([small]).items()} == {
            "ResNet50": 2,
            "VGG16": 2,
        }


@pytest.mark.slow
def test_a_full_disk_for_the_store_is_told_and_loses_no_finished_fold(places, slices, tiny, capsys, monkeypatch):
    with small_disk(places / "small", 2048) as small:
        monkeypatch.setenv("COVID_STORE", f"sqlite:///{small / 'store.sqlite'}")
        assert train_all.main(flags(slices, "--networks", "VGG16")) == 0
        before = table()
        filler = fill(small)
        capsys.readouterr()
        assert train_all.main(flags(slices)) == train_all.EXIT_USAGE
        out = capsys.readouterr().out
        assert "Refused" in out
        assert "full" in out
        filler.unlink()
        assert table().equals(before)
        assert train_all.main(flags(slices)) == 0
        assert len(table()) == 4


def test_a_data_set_that_changed_is_refused_with_the_way_out(places, slices, tiny, capsys, tmp_path):
    copy = tmp_path / "again" / "slices"
    shutil.copytree(slices, copy)
    assert train_all.main(flags(copy, "--networks", "VGG16")) == 0
    picture = next((copy / "COVID").iterdir())
    picture.unlink()
    capsys.readouterr()
    assert train_all.main(flags(copy)) == train_all.EXIT_USAGE
    out = capsys.readouterr().out
    assert "with 2 finished folds" in out
    assert "--changed-data" in out
    assert len(table()) == 2
    # another protocol is another campaign, and whoever means it can begin anew
    assert train_all.main([*flags(copy, "--networks", "VGG16"), "--seed", "1", "--only-fold", "1"]) == 0
    assert train_all.main([*flags(copy, "--networks", "VGG16"), "--changed-data", "--only-fold", "1"]) == 0
    assert len(table()) == 4
