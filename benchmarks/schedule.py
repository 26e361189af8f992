"""Does the learning-rate schedule help? The protocol's warm-up and cosine against a constant rate, on the same folds.

    python -m benchmarks.schedule --dataset path/to/sars-cov-2-ct --folds 1 2 3

The same seeds, folds and number of steps for each schedule; the table shows what the trained networks do on the slices
that were held out. Nothing is stored.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.splits import repeated_folds
from covid_core.models import zoo
from covid_core.training.devices import default_precision, facts
from covid_core.training.fold import FoldTrainer
from covid_core.training.protocol import Protocol


class ConstantRate(FoldTrainer):
    """As the protocol, at its peak rate from the first step to the last."""

    def _learning_rates(self) -> float:
        return self.protocol.learning_rate_of(self.model)


class CosineWithoutWarmUp(FoldTrainer):
    """As the protocol, from the peak rate down to zero at once."""

    def _learning_rates(self) -> keras.optimizers.schedules.LearningRateSchedule:
        steps = self.protocol.epochs * self.steps
        return keras.optimizers.schedules.CosineDecay(self.protocol.learning_rate_of(self.model), steps)


SCHEDULES = {"warm-up, cosine": FoldTrainer, "cosine": CosineWithoutWarmUp, "constant": ConstantRate}


def main() -> None:
    """Trains and prints."""
    options = _options()
    console = Console(soft_wrap=True)
    protocol = Protocol(epochs=options.epochs, rounds=1, size=options.size).with_batch_size(options.batch_size)
    dataset = load_dataset(options.dataset)
    folds = [
        fold for fold in repeated_folds(dataset.labels, 1, protocol.folds, protocol.seed) if fold.fold in options.folds
    ]
    described = ", ".join(facts(default_precision()).values())
    console.print(
        f"{options.network}, {options.size} px, batch {options.batch_size}, {options.epochs} epochs, "
        f"folds {', '.join(map(str, options.folds))} of {protocol.folds}: {described}"
    )
    table = Table("schedule", "held-out loss", "accuracy", "AUC", "accuracy by fold", box=None)
    with tempfile.TemporaryDirectory() as folder:
        pixels = decoded(dataset, options.size, "area", Path(folder))
        for name, kind in SCHEDULES.items():
            trainer = kind(options.network, protocol, len(dataset.classes), len(dataset), default_precision())
            results = []
            for fold in folds:
                results.append(
                    trainer.train(pixels, dataset.labels, dataset.paths, fold, "benchmark", curve_every=options.epochs)
                )
                console.print(f"done {name}, fold {fold.fold}", style="dim")
            accuracies = [result.history["test_accuracy"][-1] for result in results]
            losses = [result.history["test_loss"][-1] for result in results]
            table.add_row(
                name,
                f"{np.mean(losses):.3f}",
                f"{np.mean(accuracies):.4f}",
                f"{np.mean([result.auc for result in results]):.4f}",
                " ".join(f"{value:.4f}" for value in accuracies),
            )
    console.print(table)


def _options() -> argparse.Namespace:
    flags = argparse.ArgumentParser(description="Learning-rate schedules on the same folds.")
    flags.add_argument("--dataset", type=Path, required=True)
    flags.add_argument("--network", default="EfficientNetB0", choices=tuple(zoo.ALL), metavar="NAME")
    flags.add_argument("--size", type=int, default=64)
    flags.add_argument("--batch-size", type=int, default=16)
    flags.add_argument("--epochs", type=int, default=8)
    flags.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3])
    return flags.parse_args()


if __name__ == "__main__":
    main()
