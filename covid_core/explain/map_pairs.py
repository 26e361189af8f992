"""Which networks a study of maps compares, and on which slices; imports no deep-learning library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from covid_core.data.sources import Dataset
from covid_core.explain.fold_slices import held_out_slices, stratified_sample
from covid_core.models import zoo
from covid_core.models.library import Card
from covid_core.results.map_studies import KIND, RANDOM_KIND
from covid_core.results.records import Study
from covid_core.results.store import ResultsStore

SLICES = ("held-out", "all")
TARGETS = ("own", "positive")


@dataclass(frozen=True)
class RandomWeights:
    """What stands in for the two cards of a pair that is not trained.

    Args:
        size: Side of the square slices in pixels.
        seed: Of the weights.
        interpolation: How slices are resized.
    """

    size: int = 128
    seed: int = 0
    interpolation: str = "area"


@dataclass(frozen=True)
class MapPair:
    """A base network and the modified one on the same backbone.

    Args:
        backbone: Name of the backbone.
        weights: Cards of base and modified, trained on the same fold, or ``RandomWeights``.
    """

    backbone: str
    weights: tuple[Card, Card] | RandomWeights

    @property
    def names(self) -> tuple[str, str]:
        """Of base and modified."""
        return self.backbone, f"Modified-{self.backbone}"

    @property
    def trained(self) -> bool:
        """Whether the weights were learned."""
        return not isinstance(self.weights, RandomWeights)

    @property
    def subject(self) -> str:
        """The pair's name in the store; random weights are part of it."""
        return " / ".join(self.names) + ("" if self.trained else " (random weights)")

    @property
    def size(self) -> int:
        """Side of the square slices in pixels."""
        return self.weights[0].input_size if self.trained else self.weights.size

    @property
    def interpolation(self) -> str:
        """How slices are resized."""
        return self.weights[0].interpolation if self.trained else self.weights.interpolation

    def identity(self) -> dict[str, Any]:
        """What the weights are, JSON-ready."""
        if not self.trained:
            return {name: {"random_seed": self.weights.seed} for name in self.names}
        return {card.model: card.provenance for card in self.weights}


def trained_pairs(trained: Mapping[str, Sequence[Card]], backbones: Sequence[str] | None = None) -> list[MapPair]:
    """The pairs whose two networks were trained on the same fold, one a backbone.

    Args:
        trained: Network -> its cards, as ``library.list_networks`` gives them.
        backbones: Only these, in this order; None for all of the zoo.
    """
    names = dict.fromkeys(spec.backbone for spec in zoo.MODELS.values()) if backbones is None else backbones
    found = []
    for backbone in names:
        partners = {_fold(card): card for card in reversed(trained.get(f"Modified-{backbone}", []))}
        both = [(card, partners[_fold(card)]) for card in trained.get(backbone, []) if _fold(card) in partners]
        if both:
            found.append(MapPair(backbone, both[0]))
    return found


@dataclass(frozen=True)
class StudySettings:
    """Everything but networks and slices that decides a study's numbers.

    Args:
        slices: ``"held-out"``: the test slices of the fold that the pair was trained on; ``"all"``: every slice, those
            included that the networks were trained on.
        limit: Measure a random sample of so many, stratified by class; None for every one.
        seed: Of sample and order.
        target: The class that a map explains: each slice's ``"own"`` as labelled, or the ``"positive"`` one for all.
            Where a network is sure that a slice is negative, the map of the positive class is often empty.
        threshold_on: What the mask thresholds, see ``intensity.mask_statistic``.
        batch_size: Slices in one pass, written at once.
    """

    slices: str = "held-out"
    limit: int | None = None
    seed: int = 0
    target: str = "own"
    threshold_on: str = "heat"
    batch_size: int = 32

    def identity(self) -> dict[str, Any]:
        """JSON-ready. The batch is part of it: it decides the last digits, and the control's pairs of slices."""
        return asdict(self) | {"method": "gradcam", "score": "margin", "layer": "pooled", "colormap": "jet"}


def study_of(pair: MapPair, dataset: Dataset, settings: StudySettings) -> Study:
    """The record that the measures of ``pair`` stand under."""
    return Study(
        kind=KIND if pair.trained else RANDOM_KIND,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        transform=dataset.transform(pair.size, pair.interpolation),
        networks=pair.identity(),
        settings=settings.identity(),
    )


def study_slices(pair: MapPair, dataset: Dataset, store: ResultsStore, settings: StudySettings) -> np.ndarray:
    """Positions of the slices to measure, in random order, so that a study that was stopped has seen a fair sample.

    A data set that the pair was not trained on is held out as a whole.

    Args:
        pair: The networks.
        dataset: The data set.
        store: Knows the test slices of the pair's fold.
        settings: Which slices, how many, and the seed.

    Returns:
        int64 ``(n,)``.

    Raises:
        StudyError: The store does not know the fold, or the limit does not fit their number.
    """
    positions = np.arange(len(dataset))
    if settings.slices == "held-out" and pair.trained and pair.weights[0].dataset_digest == dataset.digest:
        positions = held_out_slices(pair.weights[0], dataset, store, ", or measure every slice, --slices all")
    sample = stratified_sample(positions, dataset.labels, settings.limit, settings.seed)
    return np.random.default_rng(settings.seed).permutation(sample)


def _fold(card: Card) -> tuple[str, int, int]:
    return card.experiment, card.round, card.fold
