"""A fold that was killed goes on from its last epoch, and ends as if nothing had happened."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tiny import bright_or_dark, tiny_network

from covid_core.data.splits import repeated_folds
from covid_core.errors import ProtocolError
from covid_core.training import fold as fold_module
from covid_core.training.backup import Backup
from covid_core.training.fold import FoldTrainer
from covid_core.training.protocol import Protocol

PROTOCOL = Protocol(epochs=5, rounds=1, folds=3, size=32, batch_size=8, learning_rate=0.02)
PIXELS, LABELS = bright_or_dark()
NAMES = tuple(f"slice {number}" for number in range(len(LABELS)))
FOLD = list(repeated_folds(LABELS, 1, 3))[1]


class KilledError(Exception):
    pass


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(fold_module, "build_model", tiny_network)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "epochs" / "fold.npz"


def train(backup=None, on_epoch=None, protocol=PROTOCOL, curve_every=2):
    trainer = FoldTrainer("ResNet50", protocol, 2, len(LABELS))
    return trainer.train(PIXELS, LABELS, NAMES, FOLD, "experiment", curve_every, on_epoch, backup)


@pytest.fixture(scope="module")
def undisturbed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_module, "build_model", tiny_network)
        return train()


def kill_in(epoch):
    """Raises when an epoch's values are told, which is before they are saved: epoch 3 leaves a backup of epoch 2."""

    def on_epoch(number, values):
        if number == epoch:
            raise KilledError

    return on_epoch


@pytest.mark.parametrize("epoch", [1, 3, 5])
@pytest.mark.slow
def test_a_fold_killed_and_continued_equals_an_undisturbed_one(file, epoch, undisturbed):
    with pytest.raises(KilledError):
        train(Backup(file, 0), kill_in(epoch))
    assert file.is_file() == (epoch > 1)
    told = []
    continued = train(Backup(file, 0), lambda number, values: told.append(number))
    assert told == list(range(epoch, 6))
    np.testing.assert_array_equal(continued.predictions.probabilities, undisturbed.predictions.probabilities)
    np.testing.assert_array_equal(continued.history["loss"], undisturbed.history["loss"])
    np.testing.assert_array_equal(continued.history["test_loss"], undisturbed.history["test_loss"])


def test_a_kill_after_the_last_epoch_leaves_only_the_test_to_do(file, undisturbed):
    train(Backup(file, 0))
    told = []
    continued = train(Backup(file, 0), lambda number, values: told.append(number))
    assert told == []
    np.testing.assert_array_equal(continued.predictions.probabilities, undisturbed.predictions.probabilities)


def test_short_epochs_are_not_saved_one_by_one(file):
    with pytest.raises(KilledError):
        train(Backup(file), kill_in(5))
    assert not file.exists()


@pytest.mark.parametrize("damage", [b"", None])
@pytest.mark.slow
def test_a_damaged_backup_is_as_good_as_none(file, damage, caplog):
    with pytest.raises(KilledError):
        train(Backup(file, 0), kill_in(4))
    file.write_bytes(file.read_bytes()[:-200] if damage is None else damage)
    told = []
    train(Backup(file, 0), lambda number, values: told.append(number))
    assert told == [1, 2, 3, 4, 5]
    assert "starting the fold again" in caplog.text


def test_a_backup_with_other_curves_or_shapes_is_not_used(file, caplog):
    with pytest.raises(KilledError):
        train(Backup(file, 0), kill_in(4))
    variables = [keras.Variable(np.zeros(3, np.float32))]
    assert Backup(file).restore(variables, ["loss"]) is None
    assert variables[0].numpy().tolist() == [0, 0, 0]
    told = []
    train(Backup(file, 0), lambda number, values: told.append(number), curve_every=0)
    assert told == [1, 2, 3, 4, 5]
    assert "another training" in caplog.text


def test_nothing_in_a_backup_is_executed(file):
    file.parent.mkdir()
    np.savez(file, v0=np.array([{"a": 1}], dtype=object), progress="{}")
    assert Backup(file).restore([keras.Variable(0.0)], []) is None


def test_a_disk_that_cannot_be_written_costs_the_backup_and_not_the_fold(tmp_path, caplog):
    (tmp_path / "a file").write_text("where the folder should be")
    result = train(Backup(tmp_path / "a file" / "fold.npz", 0))
    assert result.status == "done"
    assert "goes on without a backup" in caplog.text


def test_a_diverged_fold_leaves_no_backup(file, monkeypatch):
    with pytest.raises(KilledError):
        train(Backup(file, 0), kill_in(3))

    def broken(self, variables, curves):
        for variable in variables:
            if variable.name == "kernel":
                variable.assign(variable * np.nan)

    monkeypatch.setattr(Backup, "restore", broken)
    with pytest.raises(ProtocolError, match="finite loss"):
        train(Backup(file, 0))
    assert not file.exists()
