"""Networks x rounds x folds: what is done, what is left, and the run through it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Protocol as Interface

import numpy as np

from covid_core.data.dataset import Dataset
from covid_core.data.splits import Fold, repeated_folds
from covid_core.errors import DatasetError, ProtocolError, StoreError, TimeLimitError
from covid_core.models import library
from covid_core.results import metrics
from covid_core.results.records import Experiment, FoldResult
from covid_core.results.store import ResultsStore
from covid_core.training.protocol import Protocol

if TYPE_CHECKING:
    import keras

    from covid_core.training.deadline import Deadline

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
    """What a campaign tells while it runs; the command line draws a bar from it."""

    def started(self, task: Task) -> None:
        """A fold begins."""

    def epoch(self, task: Task, number: int, values: dict[str, float]) -> None:
        """An epoch of it has ended."""

    def finished(self, task: Task, result: FoldResult) -> None:
        """The fold is stored, done or failed."""


@dataclass(frozen=True, eq=False)
class Campaign:
    """Everything that a run through networks x rounds x folds needs.

    Args:
        networks: Names from the zoo.
        protocol: How to train.
        dataset: What to train on.
        store: Where results go, each as soon as its fold is finished.
        output: Folder for trained networks.
        only_folds: Folds of each round to train; empty for all.
        save: Which networks are kept there: ``"first"`` (round 1, fold 1), ``"all"`` or ``"none"``.
        precision: Keras dtype policy; None chooses by the device.
        curve_every: Epochs between two tests for the learning curve, 0 for none.
        command: The command that repeats this campaign, for the cards.

    Raises:
        DatasetError: The data set is packed at another size or interpolation than the protocol's.
    """

    networks: Sequence[str]
    protocol: Protocol
    dataset: Dataset
    store: ResultsStore
    output: Path
    only_folds: tuple[int, ...] = ()
    save: str = "first"
    precision: str | None = None
    curve_every: int = 5
    command: str = ""

    def __post_init__(self) -> None:
        self.dataset.check_packing(self.protocol.size, self.protocol.interpolation)

    @property
    def experiment(self) -> Experiment:
        """What the campaign's folds are filed under."""
        packing = self.dataset.packing
        return Experiment(
            dataset=self.dataset.name,
            dataset_digest=self.dataset.digest,
            transform=self.protocol.transform() | ({"packing": packing.transform()} if packing else {}),
            protocol=self.protocol.identity(),
            split=self.protocol.split,
        )

    def tasks(self) -> list[Task]:
        """All folds of all networks: network by network, so that each is built and traced once.

        Raises:
            DatasetError: Split by group without patient ids, or too few slices or patients for the folds.
        """
        groups = self.dataset.groups if self.protocol.split == "group" else None
        if self.protocol.split == "group" and groups is None:
            raise DatasetError(
                "Expected patient ids for a split by group. Received: a data set without them. "
                "Name a CSV with the columns path and patient, --patients FILE."
            )
        protocol = self.protocol
        unknown = [number for number in self.only_folds if not 1 <= number <= protocol.folds]
        if unknown:
            raise ProtocolError(f"Expected folds from 1 to {protocol.folds}. Received: {unknown}.")
        every = repeated_folds(self.dataset.labels, protocol.rounds, protocol.folds, protocol.seed, groups)
        folds = [fold for fold in every if not self.only_folds or fold.fold in self.only_folds]
        return [Task(model, fold) for model in self.networks for fold in folds]

    def left(self) -> list[Task]:
        """The tasks that the store does not hold as done; failed ones are tried again."""
        done = self.store.done_keys(self.experiment.id)
        return [task for task in self.tasks() if task.key not in done]


def run_campaign(campaign: Campaign, pixels: np.ndarray, observer: Observer, deadline: Deadline | None = None) -> int:
    """Trains what is left, network by network, as far as time allows.

    A fold that fails is stored with its traceback, and the rest goes on. Whatever ends the process costs at most the
    fold in flight.

    Args:
        campaign: What to train.
        pixels: uint8 ``(N, size, size, 1)``: the data set's slices, see ``data.cache.decoded``.
        observer: Told of every fold and epoch.
        deadline: Which folds may start, and when the one in flight is given up; by default all may, and none is.

    Returns:
        The number of folds that failed.
    """
    campaign.store.add_experiment(campaign.experiment)
    failures = 0
    for model, tasks in _by_network(campaign.left()):
        failures += _run_network(campaign, model, tasks, pixels, observer, deadline)
    return failures


def _by_network(tasks: Iterable[Task]) -> list[tuple[str, list[Task]]]:
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.model, []).append(task)
    return list(groups.items())


def _run_network(
    campaign: Campaign,
    model: str,
    tasks: list[Task],
    pixels: np.ndarray,
    observer: Observer,
    deadline: Deadline | None,
) -> int:
    from covid_core.training.fold import FoldTrainer, default_precision  # Keras: only who trains pays for it

    protocol, dataset = campaign.protocol, campaign.dataset
    precision = campaign.precision or default_precision()
    trainer = FoldTrainer(model, protocol, len(dataset.classes), len(dataset), precision)
    failures = 0
    for task in deadline.admitted(tasks) if deadline else tasks:
        observer.started(task)
        try:
            result = trainer.train(
                pixels,
                dataset.labels,
                dataset.paths,
                task.fold,
                campaign.experiment.id,
                campaign.curve_every,
                _epochs_of(task, observer),
                deadline.passed if deadline else None,
            )
            if _kept(campaign.save, task):
                _keep(campaign, trainer.network, task, result, pixels)
        except StoreError:
            raise
        except TimeLimitError as stop:
            logger.warning("%s, round %d, fold %d is given up: %s", *task.key, stop)
            break
        except Exception as error:
            # whatever fails in one fold must not cost the others
            logger.debug("fold failed", exc_info=True)
            failures += 1
            result = _failure(campaign, task, error)
        campaign.store.add_fold(result)
        observer.finished(task, result)
    return failures


def _epochs_of(task: Task, observer: Observer) -> Callable[[int, dict[str, float]], None]:
    return lambda number, values: observer.epoch(task, number, values)


def _failure(campaign: Campaign, task: Task, error: Exception) -> FoldResult:
    return FoldResult(
        experiment=campaign.experiment.id,
        model=task.model,
        round=task.fold.round,
        fold=task.fold.fold,
        status="failed",
        seed=campaign.protocol.fold_seed(task.model, task.fold.round, task.fold.fold),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        error="".join(traceback.format_exception(error)),
    )


def _kept(save: str, task: Task) -> bool:
    return save == "all" or (save == "first" and (task.fold.round, task.fold.fold) == (1, 1))


def _keep(campaign: Campaign, network: keras.Model, task: Task, result: FoldResult, pixels: np.ndarray) -> None:
    protocol, dataset = campaign.protocol, campaign.dataset
    library.save_network(
        network,
        campaign.output,
        f"{campaign.experiment.id}-r{task.fold.round}-f{task.fold.fold}",
        np.asarray(pixels[task.fold.test]),
        {
            "input_size": protocol.size,
            "interpolation": protocol.interpolation,
            "classes": dataset.classes,
            "dataset": dataset.name,
            "dataset_digest": dataset.digest,
            "experiment": campaign.experiment.id,
            "protocol": asdict(protocol),
            "round": task.fold.round,
            "fold": task.fold.fold,
            "counts": result.counts,
            "scores": metrics.scores(*result.counts),
            "auc": result.auc,
            "date": result.finished,
            "command": campaign.command,
            "facts": result.facts,
        },
    )
