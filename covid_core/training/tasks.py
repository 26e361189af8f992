"""One network on one fold, wherever it runs: what that takes, who watches, and what comes out."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Protocol as Interface

import numpy as np

from covid_core.data.sources import Dataset
from covid_core.data.splits import Fold
from covid_core.errors import TimeLimitError
from covid_core.models.library import PackedNetwork, pack_network
from covid_core.results import metrics
from covid_core.results.records import FoldResult
from covid_core.training.protocol import Protocol

if TYPE_CHECKING:
    import keras

    from covid_core.training.fold import FoldTrainer, OnEpoch

logger = logging.getLogger(__name__)

SAVE_CHOICES = ("first", "all", "none")


@dataclass(frozen=True, eq=False)
class Task:
    """One network to train and test on one fold."""

    model: str
    fold: Fold

    @property
    def key(self) -> tuple[str, int, int]:
        """As ``ResultsStore.done_keys`` names it: network, round, fold."""
        return (self.model, self.fold.round, self.fold.fold)


class Observer(Interface):
    """What a campaign tells while it runs; the command line draws a bar from it.

    Several folds may be under way at once. A fold that lost its worker starts again, from epoch 1.
    """

    def started(self, task: Task) -> None:
        """A fold begins."""

    def epoch(self, task: Task, number: int, values: dict[str, float]) -> None:
        """An epoch of it has ended."""

    def finished(self, task: Task, result: FoldResult) -> None:
        """The fold is stored, done or failed."""


@dataclass(frozen=True, eq=False)
class Work:
    """What all tasks of a campaign have in common: plain data that may travel to another machine.

    Args:
        dataset: What to train on; its files are not read.
        protocol: How to train.
        experiment: Id that results are filed under.
        save: Which networks come back with their result: one of ``SAVE_CHOICES``.
        precision: Keras dtype policy; None chooses by the device on which a fold runs.
        curve_every: Epochs between two tests for the learning curve, 0 for none.
        backups: Folder for folds in flight; None for no backups.
        command: The command that repeats the campaign, for the cards.
    """

    dataset: Dataset
    protocol: Protocol
    experiment: str
    save: str
    precision: str | None
    curve_every: int
    backups: Path | None
    command: str

    def backup_file(self, task: Task, precision: str) -> Path | None:
        """Where a fold in flight is saved between its epochs; None for nowhere."""
        model, round, fold = task.key
        return self.backups and self.backups / f"{self.experiment}-{model}-r{round}-f{fold}-{precision}.npz"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a task: its result or the record of its failure, and its network if that is to be kept."""

    result: FoldResult
    network: PackedNetwork | None = None


class TaskRunner:
    """Runs tasks one after another in this process; while the network stays the same it is traced once.

    Args:
        work: What the tasks have in common.
        pixels: uint8 ``(N, size, size, 1)``: the data set's slices; may be read-only.
    """

    def __init__(self, work: Work, pixels: np.ndarray):
        from covid_core.training import backup, devices, fold  # Keras: only who trains pays for it

        self._backup = backup
        self._devices = devices
        self._fold = fold
        self._work = work
        self._pixels = pixels
        self._trainer: FoldTrainer | None = None

    def run(self, task: Task, on_epoch: OnEpoch, should_stop: Callable[[], bool] | None = None) -> Outcome:
        """Trains and tests. Whatever goes wrong becomes a failed result with its traceback.

        Args:
            task: The network and the fold.
            on_epoch: Called with the epoch's number from 1 and its curve values.
            should_stop: Asked before every batch; once it says yes, the fold is given up.

        Raises:
            TimeLimitError: ``should_stop`` said yes.
        """
        work = self._work
        network = None
        try:
            trainer = self._trainer_of(task.model)
            file = work.backup_file(task, trainer.precision)
            result = trainer.train(
                self._pixels,
                work.dataset.labels,
                work.dataset.paths,
                task.fold,
                work.experiment,
                work.curve_every,
                on_epoch,
                self._backup.Backup(file) if file else None,
                should_stop,
            )
            if _kept(work.save, task):
                network = self._packed(trainer.network, task, result)
        except TimeLimitError:
            raise
        except Exception as error:
            # whatever fails in one fold must not cost the others
            logger.debug("fold failed", exc_info=True)
            return Outcome(failure(work, task, error))
        return Outcome(result, network)

    def _trainer_of(self, model: str) -> FoldTrainer:
        if self._trainer is None or self._trainer.model != model:
            work = self._work
            precision = work.precision or self._devices.default_precision()
            self._trainer = self._fold.FoldTrainer(
                model, work.protocol, len(work.dataset.classes), len(work.dataset), precision
            )
        return self._trainer

    def _packed(self, network: keras.Model, task: Task, result: FoldResult) -> PackedNetwork:
        protocol, dataset, fold = self._work.protocol, self._work.dataset, task.fold
        return pack_network(
            network,
            f"{self._work.experiment}-r{fold.round}-f{fold.fold}",
            np.asarray(self._pixels[fold.test]),
            {
                "input_size": protocol.size,
                "interpolation": protocol.interpolation,
                "classes": dataset.classes,
                "dataset": dataset.name,
                "dataset_digest": dataset.digest,
                "experiment": self._work.experiment,
                "protocol": asdict(protocol),
                "round": fold.round,
                "fold": fold.fold,
                "counts": result.counts,
                "scores": metrics.scores(*result.counts),
                "auc": result.auc,
                "date": result.finished,
                "command": self._work.command,
                "facts": result.facts,
            },
        )


def failure(work: Work, task: Task, error: Exception) -> FoldResult:
    """The record of a task that ended with ``error``."""
    return FoldResult(
        experiment=work.experiment,
        model=task.model,
        round=task.fold.round,
        fold=task.fold.fold,
        status="failed",
        seed=work.protocol.fold_seed(task.model, task.fold.round, task.fold.fold),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        error="".join(traceback.format_exception(error)),
    )


def _kept(save: str, task: Task) -> bool:
    return save == "all" or (save == "first" and (task.fold.round, task.fold.fold) == (1, 1))
