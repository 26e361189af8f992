"""How well a linear read-out of a layer's channels separates the classes; imports no deep-learning library.

A linear read-out, or probe (Alain & Bengio, Understanding intermediate layers using linear classifier probes, 2016),
is a linear classifier fitted on what one layer gives, while the network itself stays as it is. Over depth it says where
the classes become linearly separable; not that the network uses what the read-out finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from covid_core.data.sources import Dataset
from covid_core.errors import StudyError
from covid_core.explain.fold_slices import held_out_slices, stratified_sample
from covid_core.models.library import Card
from covid_core.results.metrics import auc, counts
from covid_core.results.readouts import KIND
from covid_core.results.records import Study
from covid_core.results.store import ResultsStore

C = 1.0
"""Inverse strength of the L2 penalty, scikit-learn's default: one for all layers and networks, never tuned."""

MAX_ITERATIONS = 1000

RANDOM_SEED = 1
"""Of the random weights, see ``randomisation.randomise``: the first seed of the evaluation of maps."""


@dataclass(frozen=True)
class ReadoutSettings:
    """Which slices a read-out is fitted on and scored on.

    Args:
        fit: Number of slices that the network was trained on, a sample stratified by class; None for all.
        limit: The same of its held-out slices.
        seed: Of both samples.
    """

    fit: int | None = 600
    limit: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class ReadoutSlices:
    """Positions in the data set, int64, ascending; no slice is in both.

    Args:
        fit: ``(n,)``: the network was trained on them, and so is the read-out.
        held_out: ``(m,)``: neither was.
    """

    fit: np.ndarray
    held_out: np.ndarray


def readout_slices(card: Card, dataset: Dataset, store: ResultsStore, settings: ReadoutSettings) -> ReadoutSlices:
    """The slices for one network: those of its own fold.

    Raises:
        StudyError: The network was trained on another data set, the store does not know its fold, or a number of slices
            does not fit.
    """
    if card.dataset_digest != dataset.digest:
        raise StudyError(
            f"Expected the data set that {card.model} was trained on, {card.dataset} with digest "
            f"{card.dataset_digest[:16]}. Received: {dataset.name}, digest {dataset.digest[:16]}: which of its slices "
            "the network has seen is not known."
        )
    held_out = held_out_slices(card, dataset, store)
    seen = np.setdiff1d(np.arange(len(dataset)), held_out)
    return ReadoutSlices(
        stratified_sample(seen, dataset.labels, settings.fit, settings.seed),
        stratified_sample(held_out, dataset.labels, settings.limit, settings.seed),
    )


def study_of(card: Card, dataset: Dataset, slices: ReadoutSlices, settings: ReadoutSettings) -> Study:
    """The record that the numbers of one network stand under."""
    return Study(
        kind=KIND,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        transform=dataset.transform(card.input_size, card.interpolation),
        networks={card.model: card.provenance | {"dataset": card.dataset}},
        settings={
            "version": 1,
            "features": "channel means",
            "classifier": "logistic regression, L2, on standardised features",
            "C": C,
            "max_iterations": MAX_ITERATIONS,
            "fit": len(slices.fit),
            "held_out": len(slices.held_out),
            "seed": settings.seed,
            "random_seed": RANDOM_SEED,
            "split": card.protocol.get("split"),
        },
    )


def read_out(
    fit: np.ndarray, fit_labels: np.ndarray, held_out: np.ndarray, held_out_labels: np.ndarray
) -> dict[str, float]:
    """Fit a logistic regression on one layer's features and score it on slices that it has not seen.

    Features are standardised by mean and standard deviation of the fitting slices, so that one penalty suits every
    layer: scaling or shifting a channel, as batch normalisation does, leaves the read-out as it is.

    Args:
        fit: Float ``(n, channels)``, finite.
        fit_labels: ``(n,)``: 1 for the positive class, 0 for every other; both present.
        held_out: Float ``(m, channels)``, finite.
        held_out_labels: ``(m,)``.

    Returns:
        ``tp``, ``fp``, ``tn``, ``fn`` at probability 0.5, ``auc`` (NaN where one class is absent) and ``converged``
        (1 or 0).
    """
    # takes a second to import
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    # in float64: scikit-learn would go on in float32, and a channel may vary in its last digits only
    scaler = StandardScaler().fit(np.asarray(fit, np.float64))
    regression = LogisticRegression(C=C, max_iter=MAX_ITERATIONS)  # L2, lbfgs: nothing in it is random
    regression.fit(scaler.transform(np.asarray(fit, np.float64)), fit_labels)
    probabilities = regression.predict_proba(scaler.transform(np.asarray(held_out, np.float64)))[:, 1]
    found = dict(zip(("tp", "fp", "tn", "fn"), map(float, counts(held_out_labels, probabilities)), strict=True))
    converged = float(regression.n_iter_.max() < MAX_ITERATIONS)
    return found | {"auc": auc(held_out_labels, probabilities), "converged": converged}
