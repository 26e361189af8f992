from dataclasses import replace

import numpy as np
import pytest
from tiny import bright_or_dark, tiny_network

from covid_core.data.augmentation import Augmentation
from covid_core.data.splits import repeated_folds
from covid_core.errors import ProtocolError, TimeLimitError
from covid_core.results import metrics
from covid_core.training import fold as fold_module
from covid_core.training.batches import Batches
from covid_core.training.fold import FoldTrainer
from covid_core.training.protocol import Protocol

PROTOCOL = Protocol(epochs=6, rounds=1, folds=3, size=32, batch_size=8, learning_rate=0.02)
PIXELS, LABELS = bright_or_dark()
NAMES = tuple(f"slice {number}" for number in range(len(LABELS)))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(fold_module, "build_model", tiny_network)


def trained(fold_number, trainer=None, protocol=PROTOCOL):
    fold = list(repeated_folds(LABELS, 1, protocol.folds))[fold_number - 1]
    trainer = trainer or FoldTrainer("ResNet50", protocol, 2, len(LABELS))
    return trainer.train(PIXELS, LABELS, NAMES, fold, "experiment", curve_every=2), fold


def test_a_fold_learns_and_says_what_it_did():
    epochs = []
    fold = next(repeated_folds(LABELS, 1, 3))
    trainer = FoldTrainer("ResNet50", PROTOCOL, 2, len(LABELS))
    result = trainer.train(PIXELS, LABELS, NAMES, fold, "e", 2, lambda number, values: epochs.append(number))
    assert result.key == ("e", "ResNet50", 1, 1)
    assert result.status == "done"
    assert result.seed == PROTOCOL.fold_seed("ResNet50", 1, 1)
    assert epochs == [1, 2, 3, 4, 5, 6]
    assert metrics.scores(*result.counts)["accuracy"] > 0.9
    assert result.auc > 0.95
    assert result.predictions.slices == tuple(NAMES[i] for i in fold.test)
    assert result.predictions.labels.tolist() == LABELS[fold.test].tolist()
    assert result.counts == metrics.counts(result.predictions.labels, result.predictions.probabilities)
    assert result.history["loss"][-1] < result.history["loss"][0]
    assert np.isfinite(result.history["test_accuracy"]).tolist() == [False, True] * 3
    assert result.history["test_accuracy"][-1] == metrics.scores(*result.counts)["accuracy"]
    assert result.facts["backend"] in ("tensorflow", "jax", "torch")
    assert result.images_per_second > 0


@pytest.mark.slow
def test_a_stopped_fold_leaves_no_trace_in_the_next():
    trainer = FoldTrainer("ResNet50", PROTOCOL, 2, len(LABELS))
    fold = next(repeated_folds(LABELS, 1, 3))
    asked = []

    def after_two_epochs_and_a_batch():
        asked.append(trainer.steps)
        return len(asked) > 2 * trainer.steps + 1

    with pytest.raises(TimeLimitError, match="after 2 of them"):
        trainer.train(PIXELS, LABELS, NAMES, fold, "e", 2, should_stop=after_two_epochs_and_a_batch)
    assert len(asked) == 2 * trainer.steps + 2
    after, _ = trained(2, trainer)
    alone, _ = trained(2)
    np.testing.assert_array_equal(after.predictions.probabilities, alone.predictions.probabilities)


def test_a_fold_trained_after_another_equals_the_fold_trained_alone():
    trainer = FoldTrainer("ResNet50", PROTOCOL, 2, len(LABELS))
    trained(1, trainer)
    after, _ = trained(2, trainer)
    alone, _ = trained(2)
    np.testing.assert_array_equal(after.predictions.probabilities, alone.predictions.probabilities)
    assert after.history["loss"] == alone.history["loss"]


def test_a_second_fold_does_not_make_tensorflow_forget_the_traced_step(monkeypatch):
    tf = pytest.importorskip("tensorflow")
    trainer = FoldTrainer("ResNet50", PROTOCOL, 2, len(LABELS))
    trained(1, trainer)

    def forgets(*arguments):
        raise AssertionError("clears the caches of every tf.function")

    monkeypatch.setattr(tf.random, "set_seed", forgets)
    trained(2, trainer)


def test_the_kept_network_gives_the_stored_probabilities():
    trainer = FoldTrainer("ResNet50", PROTOCOL, 2, len(LABELS))
    result, fold = trained(3, trainer)
    probabilities = trainer.network.predict(PIXELS[fold.test], verbose=0)[:, 1]
    np.testing.assert_allclose(probabilities, result.predictions.probabilities, atol=1e-6)


def test_every_step_sees_whole_batches_and_each_slice_at_most_once_an_epoch():
    batches = Batches(np.arange(20)[:, None], np.arange(20), np.arange(3, 20), 5, seed=0)
    first = np.concatenate([batches[i][1] for i in range(len(batches))])
    batches.on_epoch_end()
    second = np.concatenate([batches[i][1] for i in range(len(batches))])
    assert len(batches) == 3
    for epoch in (first, second):
        assert len(set(epoch)) == 15
        assert set(epoch) <= set(range(3, 20))
    assert first.tolist() != second.tolist()


def test_augmentation_changes_training_and_nothing_else():
    strong = replace(PROTOCOL, augmentation=Augmentation(rotation=90, noise=0.5))
    none = replace(PROTOCOL, augmentation=Augmentation(0, 0, 0, False, 0))
    with_it = FoldTrainer("ResNet50", strong, 2, len(LABELS))
    result, fold = trained(1, with_it, strong)
    without, _ = trained(1, protocol=none)
    assert result.history["loss"] != without.history["loss"]
    first, second = (with_it._probabilities(PIXELS[fold.test]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_diverged_fold_is_an_error_with_advice():
    wild = replace(PROTOCOL, learning_rate=1.0)
    pixels = PIXELS.copy()
    trainer = FoldTrainer("ResNet50", wild, 2, len(LABELS))
    trainer.trainer
    trainer._start_from = lambda seed: (
        trainer._trainer.get_layer("ResNet50")
        .get_layer("conv")
        .kernel.assign(np.full((3, 3, 1, 8), np.nan, np.float32))
    )
    with pytest.raises(ProtocolError, match="lower learning rate"):
        trainer.train(pixels, LABELS, NAMES, next(repeated_folds(LABELS, 1, 3)), "e")
