"""How networks are trained and tested; the one home of defaults."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from covid_core.data.augmentation import Augmentation
from covid_core.errors import ProtocolError
from covid_core.models import zoo

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Keras dtype policies that keep weights in float32; only the arithmetic may be shorter."""


@dataclass(frozen=True)
class Protocol:
    """One way to train and test every network.

    The defaults are the study's where it states them (epochs, rounds, folds, size, kinds of augmentation). It is
    silent on optimiser, learning rate, batch size and dropout; those are this project's.

    Args:
        epochs: Passes over the training slices.
        rounds: Repetitions of the cross-validation.
        folds: Parts of one cross-validation.
        size: Side of the square slices in pixels.
        interpolation: How slices are resized, see ``data.slices.resize_slice``.
        batch_size: Slices a step.
        backbone_batch_sizes: Exceptions by backbone. At 380 px and 32 slices a step, the activations that the backward
            pass of EfficientNetB6 and B7 reads would take 19 and 25 GiB in bfloat16; with these those of every network
            stay below 16 GiB, so that a GPU of 24 should hold them with weights and workspace. Computed, not tried.
        learning_rate: Peak rate of Adam; after a linear warm-up it falls to zero along a half cosine.
        warmup_epochs: Length of the warm-up.
        family_learning_rates: Exceptions by family. VGG has no normalisation layers: from scratch it does not learn
            at the others' rate.
        dropout: Rate in the modified and residual heads.
        augmentation: Random changes of training slices.
        split: ``"slice"`` as in the study, or ``"group"``: no patient on both sides of a fold.
        seed: Root of every random choice.

    Raises:
        ProtocolError: A value outside its range.
    """

    epochs: int = 25
    rounds: int = 10
    folds: int = 5
    size: int = 380
    interpolation: str = "area"
    batch_size: int = 32
    backbone_batch_sizes: dict[str, int] = field(default_factory=lambda: {"EfficientNetB6": 16, "EfficientNetB7": 16})
    learning_rate: float = 1e-3
    warmup_epochs: float = 1.0
    family_learning_rates: dict[str, float] = field(default_factory=lambda: {"VGG": 1e-4})
    dropout: float = 0.3
    augmentation: Augmentation = field(default_factory=Augmentation)
    split: str = "slice"
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {"epochs": 1, "rounds": 1, "folds": 2, "size": 32, "batch_size": 1, "seed": 0}
        for name, least in limits.items():
            value = getattr(self, name)
            if int(value) != value or value < least:
                raise ProtocolError(f"Expected {name} to be a whole number of at least {least}. Received: {value}.")
        for backbone, slices in self.backbone_batch_sizes.items():
            if int(slices) != slices or slices < 1:
                raise ProtocolError(
                    f"Expected the batch size of {backbone} to be a whole number of at least 1. Received: {slices}."
                )
        if not 0 < self.learning_rate <= 1:
            raise ProtocolError(f"Expected a learning rate above 0 and up to 1. Received: {self.learning_rate}.")
        if not 0 <= self.dropout < 1:
            raise ProtocolError(f"Expected a dropout rate from 0 to below 1. Received: {self.dropout}.")
        if self.split not in ("slice", "group"):
            raise ProtocolError(f"Expected split to be 'slice' or 'group'. Received: {self.split!r}.")

    def batch_size_of(self, model: str) -> int:
        """Slices a step for one network of the zoo."""
        return self.backbone_batch_sizes.get(zoo.get(model).backbone, self.batch_size)

    def with_batch_size(self, slices: int) -> Protocol:
        """The same protocol with one batch size for every network."""
        return replace(self, batch_size=slices, backbone_batch_sizes={})

    def learning_rate_of(self, model: str) -> float:
        """Peak learning rate for one network of the zoo."""
        return self.family_learning_rates.get(zoo.get(model).family, self.learning_rate)

    def with_learning_rate(self, rate: float) -> Protocol:
        """The same protocol with one rate for every network."""
        return replace(self, learning_rate=rate, family_learning_rates={})

    def fold_seed(self, model: str, round: int, fold: int) -> int:
        """Seed of one fold's weights, order and augmentation; independent of what was trained before it."""
        entropy = [self.seed, zlib.crc32(model.encode()), round, fold]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)

    def identity(self) -> dict[str, Any]:
        """What makes folds comparable, as JSON-ready values: all but the number of rounds, which may grow, and what
        the experiment states elsewhere (size and interpolation in its transform, the split)."""
        values = asdict(self)
        for name in ("rounds", "size", "interpolation", "split"):
            del values[name]
        if not self.backbone_batch_sizes:
            del values["backbone_batch_sizes"]  # as experiments were named before there were exceptions
        return values


@dataclass(frozen=True)
class Preset:
    """A protocol with the networks it is meant for.

    Args:
        protocol: The protocol.
        networks: Patterns as ``select_networks`` takes them.
        phantom: Parameters of the generated data set that is used when none is given; None if one must be given.
        summary: One line for the command-line help.
    """

    protocol: Protocol
    networks: tuple[str, ...]
    phantom: dict[str, int] | None
    summary: str


PRESETS = MappingProxyType(
    {
        "paper": Preset(
            protocol=Protocol(),
            networks=("*",),
            phantom=None,
            summary="the study: 40 networks, 380 px, 25 epochs, 10 rounds of 5 folds",
        ),
        "quick": Preset(
            protocol=Protocol(epochs=4, rounds=1, folds=3, size=64).with_batch_size(16),
            networks=("EfficientNetB0", "Modified-EfficientNetB0"),
            phantom={"patients": 24, "slices_per_patient": 8, "size": 128, "seed": 0},
            summary="a trial: generated slices, two small networks, 64 px, 4 epochs, 3 folds; too short to learn",
        ),
    }
)
