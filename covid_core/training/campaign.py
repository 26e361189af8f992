"""Networks x rounds x folds: what is done, what is left, and the run through it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from covid_core.data.groups import Groups
from covid_core.data.sources import Dataset
from covid_core.data.splits import repeated_folds
from covid_core.errors import DatasetError, LibraryError, ProtocolError
from covid_core.models import library
from covid_core.results.records import Experiment, FoldResult
from covid_core.results.store import ResultsStore
from covid_core.training.deadline import Deadline
from covid_core.training.engines import Engine, LocalEngine
from covid_core.training.protocol import Protocol
from covid_core.training.tasks import Observer, Outcome, Task, Work, failure


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
        backups: Folder for folds in flight, so that a kill costs minutes of a long fold; None for no backups.
        command: The command that repeats this campaign, for the cards.
        groups: What stays together in a split by group; None takes the patients that the data set itself names.

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
    backups: Path | None = None
    command: str = ""
    groups: Groups | None = None

    def __post_init__(self) -> None:
        self.dataset.check_packing(self.protocol.size, self.protocol.interpolation)

    @property
    def experiment(self) -> Experiment:
        """What the campaign's folds are filed under."""
        # the data set's own patients are part of its digest already
        groups = {"groups": self.groups.identity()} if self._is_by_group and self.groups else {}
        return Experiment(
            dataset=self.dataset.name,
            dataset_digest=self.dataset.digest,
            transform=self.dataset.transform(self.protocol.size, self.protocol.interpolation),
            protocol=self.protocol.identity() | groups,
            split=self.protocol.split,
        )

    @property
    def work(self) -> Work:
        """What travels to wherever folds are trained."""
        return Work(
            dataset=self.dataset,
            protocol=self.protocol,
            experiment=self.experiment.id,
            save=self.save,
            precision=self.precision,
            curve_every=self.curve_every,
            backups=self.backups,
            command=self.command,
        )

    @property
    def _is_by_group(self) -> bool:
        return self.protocol.split == "group"

    def tasks(self) -> list[Task]:
        """All folds of all networks: network by network, so that each is built and traced once.

        Raises:
            DatasetError: Split by group without patient ids, or too few slices or patients for the folds.
        """
        groups = None
        if self._is_by_group:
            groups = self.groups.numbers if self.groups else self.dataset.groups
            if groups is None:
                raise DatasetError(
                    "Expected patient ids for a split by group. Received: a data set without them. "
                    "Name a CSV with the columns path and patient, --groups FILE."
                )
        protocol = self.protocol
        unknown = [number for number in self.only_folds if not 1 <= number <= protocol.folds]
        if unknown:
            raise ProtocolError(f"Expected folds from 1 to {protocol.folds}. Received: {unknown}.")
        every = repeated_folds(self.dataset.labels, protocol.rounds, protocol.folds, protocol.seed, groups)
        folds = [fold for fold in every if not self.only_folds or fold.fold in self.only_folds]
        return [Task(model, fold) for model in self.networks for fold in folds]

    def check_unchanged(self) -> None:
        """Refuse to mix two states of a data set: the same campaign must not go on with other files.

        Raises:
            DatasetError: The store holds finished folds of this campaign whose data set of the same name had another
                digest.
        """
        mine = self.experiment
        if self.store.done_keys(mine.id):
            return
        for other in self.store.experiments().itertuples():
            # the id follows from all but the name: a twin differs in the digest alone
            twin = replace(mine, dataset_digest=other.dataset_digest).id
            same = (other.dataset, other.id) == (mine.dataset, twin)
            count = len(self.store.done_keys(other.id)) if same else 0
            if count:
                raise DatasetError(
                    f"Expected the data set {mine.dataset!r} as it was when this campaign began, digest "
                    f"{other.dataset_digest[:16]}, with {count} finished folds. Received: files or labels that "
                    f"differ, digest {mine.dataset_digest[:16]}. Restore them, or begin anew with them, --changed-data."
                )

    def left(self) -> list[Task]:
        """The tasks that the store does not hold as done; failed ones are tried again."""
        done = self.store.done_keys(self.experiment.id)
        return [task for task in self.tasks() if task.key not in done]


def run_campaign(
    campaign: Campaign,
    pixels: np.ndarray,
    observer: Observer,
    engine: Engine | None = None,
    deadline: Deadline | None = None,
) -> int:
    """Trains what is left, network by network, as far as time allows.

    A fold that fails is stored with its traceback, and the rest goes on. Whatever ends the process costs at most the
    folds in flight. Folds may run anywhere; store and networks are written here.

    Args:
        campaign: What to train.
        pixels: uint8 ``(N, size, size, 1)``: the data set's slices, see ``data.cache.decoded``.
        observer: Told of every fold and epoch.
        engine: Where folds run; by default in this process.
        deadline: Which folds may start, and when those in flight are given up; by default all may, and none is.

    Returns:
        The number of folds that failed.

    Raises:
        EngineError: The engine has no place for folds.
    """
    campaign.store.add_experiment(campaign.experiment)
    left = campaign.left()
    if not left:
        return 0
    failures = 0
    # closed at once, whatever happens here: an engine may hold a whole cluster
    outcomes = (engine or LocalEngine()).outcomes(campaign.work, pixels, left, observer, deadline or Deadline())
    with closing(outcomes):
        for task, outcome in outcomes:
            result = _filed(campaign, task, outcome)
            failures += result.status == "failed"
            observer.finished(task, result)
    return failures


def _filed(campaign: Campaign, task: Task, outcome: Outcome) -> FoldResult:
    """Network first: a fold that is stored as done is not trained again."""
    result = outcome.result
    if outcome.network is not None:
        try:
            library.store_network(outcome.network, campaign.output)
        except LibraryError as error:
            result = failure(campaign.work, task, error)
    campaign.store.add_fold(result)
    file = campaign.work.backup_file(task, result.facts.get("precision", ""))
    if file and result.status == "done":
        with suppress(OSError):  # of no use, and in nobody's way
            file.unlink()
    return result
