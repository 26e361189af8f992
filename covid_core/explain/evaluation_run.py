"""Every measure of one network's maps over a data set: what is done, what is left, one piece after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from covid_core.data.annotated import AnnotatedDataset
from covid_core.data.slices import resize_slice
from covid_core.explain import methods, perturbation, verdict
from covid_core.explain.agreement import rank_correlation, similarity, stability
from covid_core.explain.controls import centred_map, random_map, shuffled_map
from covid_core.explain.evaluation import KIND, Batch, measure_maps, stream
from covid_core.explain.forward import Forward
from covid_core.explain.gradcam import GradCam
from covid_core.explain.method_names import METHODS, PIXEL_METHODS
from covid_core.explain.randomisation import randomise
from covid_core.models.library import Card, load_network
from covid_core.results.records import Study

CHUNK = 8
CONTROL_DRAWS = 2
"""Random maps a slice and resolution, whose measures are averaged."""

MOST_SEEDS_TRIED = 40
RANK, SSIM, FOLD_RANK = "randomised rank", "randomised ssim", "fold rank"
"""Likeness of the trained network's map to that of random weights, and of the folds' maps to each other."""


@dataclass(frozen=True)
class Piece:
    """One finished piece of work.

    Args:
        method: In the store.
        slices: How many were measured.
        measures: As ``ResultsStore.add_measures`` takes them.
    """

    method: str
    slices: int
    measures: pd.DataFrame


def study_of(card: Card, dataset: AnnotatedDataset) -> Study:
    """What the measures of one network on one data set belong together under.

    Methods, slices and seeds are no part of it: more of them add to what is there.
    """
    return Study(
        kind=KIND,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        transform={"size": card.input_size, "interpolation": card.interpolation},
        networks={card.model: card.provenance | {"dataset": card.dataset}},
        settings={
            "version": 1,
            "class": "the slice's own",
            "steps": perturbation.STEPS,
            "blur": perturbation.BLUR,
            "control_draws": CONTROL_DRAWS,
            "scorecam_channels": methods.SCORECAM_CHANNELS,
            "smoothgrad_samples": methods.SMOOTHGRAD_SAMPLES,
            "smoothgrad_noise": methods.SMOOTHGRAD_NOISE,
            "lungs": dataset.lungs_are,
            "lesions": dataset.has_lesions,
            "groups": dataset.groups_are,
        },
    )


class NetworkEvaluation:
    """The work on one network.

    Args:
        card: Its trained weights.
        dataset: The slices.
        positions: Those to measure.
        names: Methods out of ``METHODS``.
        seeds: How many shuffled maps and networks of random weights; 0 for none.
        folds: Cards of the same architecture, this one among them, whose maps are compared with each other.
        load: Card to network; the library's way by default.
    """

    # of the trained network, set by ``run``
    _forward: Forward
    _cam: GradCam
    _grid: tuple[int, int]
    _makers: dict[str, methods.Method]

    def __init__(
        self,
        card: Card,
        dataset: AnnotatedDataset,
        positions: Sequence[int],
        names: Sequence[str],
        seeds: int,
        folds: Sequence[Card] = (),
        load: Callable[[Card], Any] = load_network,
    ):
        self._card, self._dataset, self._load, self._folds = card, dataset, load, list(folds)
        # one class a chunk, slices of one volume next to each other
        by_label = [[at for at in positions if dataset.labels[at] == label] for label in (1, 0)]
        self._chunks = [part[start : start + CHUNK] for part in by_label for start in range(0, len(part), CHUNK)]
        self._seeds = range(1, seeds + 1)
        controls = [verdict.RANDOM, verdict.CENTRED]
        controls += [verdict.RANDOM_PIXELS] * any(name in PIXEL_METHODS for name in names)
        shuffled = [f"{verdict.SHUFFLED} {seed}" for seed in self._seeds]
        self._of_trained = [verdict.FACTS, *controls, *names, *shuffled]
        self._of_random = [f"{verdict.RANDOM_WEIGHTS} {seed}" for seed in self._seeds]
        self._of_folds = [verdict.FOLDS] if len(self._folds) > 1 else []

    @property
    def methods(self) -> list[str]:
        """All that is measured, as the store names it."""
        return [*self._of_trained, *self._of_random, *self._of_folds]

    @property
    def total(self) -> int:
        """Slices times methods."""
        return sum(map(len, self._chunks)) * len(self.methods)

    def run(self, done: Callable[[str], set[str]]) -> Iterator[Piece]:
        """Does what is missing; each piece is complete when it is yielded, and may be the last.

        Args:
            done: Method to the names of slices that are measured already.

        Raises:
            LibraryError: Weights that are missing or damaged.
            ModelError: A network that gives NaN.
            SliceError: A slice that cannot be read.
        """
        known = {method: done(method) for method in self.methods}
        todo = {
            method: [[at for at in chunk if self._dataset.names[at] not in known[method]] for chunk in self._chunks]
            for method in self.methods
        }
        model = self._load(self._card)
        self._forward = Forward(model)
        self._cam = GradCam(model)
        self._grid = tuple(model.get_layer(self._cam.layer).output.shape[1:3])
        self._makers = {
            name: methods.make_method(name, model, cam=self._cam) for name in METHODS if any(todo.get(name, ()))
        }
        for number, _ in enumerate(self._chunks):
            for method in self._of_trained:
                if todo[method][number]:
                    yield self._piece(method, todo[method][number])
        yield from self._random_weights(todo)
        of_folds = [chunk for chunk in todo.get(verdict.FOLDS, ()) if chunk]
        cams = [GradCam(self._load(card)) for card in self._folds] if of_folds else []
        for chunk in of_folds:
            yield self._fold_piece(cams, chunk)

    def _random_weights(self, todo: dict[str, list[list[int]]]) -> Iterator[Piece]:
        if not any(any(todo[method]) for method in self._of_random):
            return
        model = self._load(self._card)  # a copy of its own: its weights are drawn anew
        cam = GradCam(model)
        drawn = 0
        for method in self._of_random:
            drawn = self._draw_until_maps(model, cam, drawn + 1)
            for chunk in todo[method]:
                if not chunk:
                    continue
                batch, class_index = self._batch(chunk)
                raw, _ = cam(batch.inputs[..., None], class_index)
                trained, _ = self._cam(batch.inputs[..., None], class_index)
                alike = {RANK: rank_correlation(raw, trained), SSIM: similarity(raw, trained)}
                yield self._as_piece(method, chunk, measure_maps(batch, raw) | alike)

    def _draw_until_maps(self, model: Any, cam: GradCam, seed: int) -> int:
        """Random weights often speak against a class everywhere; an empty map would prove nothing."""
        # always the same slices: the seeds must not depend on how many slices this run measures
        labels = self._dataset.labels
        batch, class_index = self._batch(np.flatnonzero(labels == labels.max())[:4].tolist())
        for tried in range(seed, seed + MOST_SEEDS_TRIED):
            randomise(model, tried)
            if cam(batch.inputs[..., None], class_index)[0].any():
                return tried
        return tried

    def _piece(self, method: str, chunk: list[int]) -> Piece:
        batch, class_index = self._batch(chunk)
        if method == verdict.FACTS:
            return self._as_piece(method, chunk, self._facts(batch, chunk))
        if method == verdict.RANDOM or method == verdict.RANDOM_PIXELS:
            grid = batch.inputs.shape[1:] if method == verdict.RANDOM_PIXELS else self._grid
            draws = [
                measure_maps(batch, np.stack([random_map(grid, stream(name, 1, draw, *grid)) for name in batch.names]))
                for draw in range(CONTROL_DRAWS)
            ]
            return self._as_piece(
                method, chunk, {name: np.mean([one[name] for one in draws], axis=0) for name in draws[0]}
            )
        return self._as_piece(method, chunk, measure_maps(batch, self._maps(method, batch, class_index)))

    def _maps(self, method: str, batch: Batch, class_index: int) -> np.ndarray:
        if method == verdict.CENTRED:
            return np.repeat(centred_map(batch.inputs.shape[1:])[None], len(batch.inputs), axis=0)
        if method in METHODS:
            return self._makers[method](batch.inputs[..., None], class_index)
        seed = int(method.removeprefix(verdict.SHUFFLED))
        raw, _ = self._cam(batch.inputs[..., None], class_index)
        return np.stack([shuffled_map(one, stream(name, 2, seed)) for one, name in zip(raw, batch.names, strict=True)])

    def _facts(self, batch: Batch, chunk: list[int]) -> dict[str, np.ndarray]:
        return {
            "group": self._dataset.groups[chunk].astype(float),
            "probability": batch.predict(batch.inputs).astype(float),
            "blurred probability": batch.predict(perturbation.blurred(batch.inputs)).astype(float),
            "lung area": np.array([np.nan if mask is None else mask.mean() for mask in batch.lungs]),
            "lesion area": np.array([np.nan if mask is None else mask.mean() for mask in batch.lesions]),
        }

    def _fold_piece(self, cams: Sequence[GradCam], chunk: list[int]) -> Piece:
        batch, class_index = self._batch(chunk)
        maps = [cam(batch.inputs[..., None], class_index)[0] for cam in cams]
        return self._as_piece(verdict.FOLDS, chunk, {FOLD_RANK: stability(maps).rank_correlation})

    def _batch(self, chunk: list[int]) -> tuple[Batch, int]:
        slices = [self._dataset.read(at) for at in chunk]
        card = self._card
        inputs = np.stack([resize_slice(one.pixels, card.input_size, card.interpolation) for one in slices])
        class_index = len(card.classes) - 1 if self._dataset.labels[chunk[0]] == 1 else 0
        batch = Batch(
            names=[self._dataset.names[at] for at in chunk],
            inputs=inputs.astype(np.float32),
            lungs=[one.lungs for one in slices],
            lesions=[one.lesions for one in slices],
            predict=lambda pictures: self._forward(np.asarray(pictures)[..., None])[:, class_index],
        )
        return batch, class_index

    def _as_piece(self, method: str, chunk: list[int], values: dict[str, np.ndarray]) -> Piece:
        frame = pd.DataFrame(values)
        frame["slice"] = [self._dataset.names[at] for at in chunk]
        frame["label"] = self._dataset.labels[chunk]
        long = frame.melt(id_vars=["slice", "label"], var_name="measure", value_name="value")
        return Piece(method, len(chunk), long.assign(subject=self._card.model, method=method))
