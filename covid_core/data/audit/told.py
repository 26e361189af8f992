"""How well a label can be told from each cue: simple classifiers, cross-validated by slice and by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from covid_core.data.audit.cues import CUES, NEAREST, Cue, classifier
from covid_core.data.audit.facts import SliceFacts
from covid_core.data.audit.scores import (
    Estimate,
    area_under_curve,
    balanced_accuracy,
    chance_p,
    difference_of_balanced_accuracies,
)
from covid_core.data.splits import Fold, repeated_folds

FOLDS = 5

ROUNDS, MANY = 3, 500
"""Rounds of cross-validation, whose scores are averaged, in sets below ``MANY`` slices; one is enough for larger sets.
In small ones a tree's score depends on the split: the same 60 slices had p-values from 0.0002 to 0.45."""

SCREEN = 0.01
"""p-value of scores taken as independent below which labels are permuted to judge them."""

CERTAIN = 1e-10
"""The same from which nothing is permuted: with twice the usual scatter it would still be below 0.001."""

PERMUTATIONS = 20
"""Label permutations; only the spread of their normal scores is used, so that few are enough."""

SLICE, GROUP = "slice", "group"


@dataclass(frozen=True)
class Told:
    """How well one classifier tells the label from one cue under one split.

    Args:
        cue: Name of the cue.
        classifier: Name of the classifier.
        split: ``"slice"`` or ``"group"``.
        balanced_accuracy: On slices that were held out; chance is 0.5.
        auc: Area under the ROC curve; chance is 0.5.
        p: That the classifier knows nothing of the label, one-sided: see ``tell``.
        constant: Whether the cue is the same in every slice, so that there is nothing to tell.
    """

    cue: str
    classifier: str
    split: str
    balanced_accuracy: Estimate
    auc: Estimate
    p: float
    constant: bool = False


@dataclass(frozen=True)
class Gap:
    """How much better one classifier seems to be when slices of one group stand on both sides of the split.

    Args:
        cue: Name of the cue.
        classifier: Name of the classifier.
        difference: Balanced accuracy by slice less that by group.
    """

    cue: str
    classifier: str
    difference: Estimate


def tell(
    facts: SliceFacts, groups: np.ndarray, seed: int = 0, observe: Callable[[int, int], None] | None = None
) -> tuple[tuple[Told, ...], tuple[Gap, ...]]:
    """Try every cue under every split that the data set has room for.

    Args:
        facts: Of ``N`` slices, two of each class or more.
        groups: int64 ``(N,)``, numbers of patients.
        seed: Of the splits.
        observe: Called with (classifiers done, classifiers in all).

    Returns:
        What was told, and the gap between both splits for each classifier. By group only where a group has more than
        one slice and each class has two groups or more. p-values are Mann–Whitney's. Folds share training slices, so
        that scores scatter more than independent ones would (Noirhomme et al., Biased binomial assessment of
        cross-validated estimation of classification accuracies, NeuroImage: Clinical 4, 2014): where a p-value would
        make a finding, it is corrected for the scatter that permuted labels show.
    """
    splits = _splits(facts.positive, groups, seed)
    held_against_chance = GROUP if GROUP in splits else SLICE
    tries = [(cue, name, split) for cue in CUES for name in cue.classifiers for split in splits]
    told: list[Told] = []
    right: dict[tuple[str, str, str], np.ndarray] = {}
    for done, (cue, name, split) in enumerate(tries, start=1):
        features = cue.features(facts)
        constant = bool((features == features[0]).all())
        scores = np.full(len(facts), 0.5) if constant else _held_out(features, facts.positive, splits[split], name)
        right[cue.name, name, split] = (scores > 0.5) == facts.positive
        judged = _judge(cue, name, split, scores, facts.positive, groups, constant)
        would_be_found = CERTAIN < judged.p < SCREEN and judged.balanced_accuracy.value >= cue.least_effect
        if would_be_found and split == held_against_chance:
            judged = replace(judged, p=_honest_p(judged, features, facts.positive, groups, splits[split], seed))
        told.append(judged)
        if observe:
            observe(done, len(tries))
    gaps = [
        Gap(
            cue.name,
            name,
            difference_of_balanced_accuracies(
                right[cue.name, name, SLICE], right[cue.name, name, GROUP], facts.positive, groups
            ),
        )
        for cue in CUES
        for name in cue.classifiers
        if GROUP in splits
    ]
    return tuple(told), tuple(gaps)


def recognition_gap(facts: SliceFacts, chosen: np.ndarray, groups: np.ndarray, seed: int = 0) -> Estimate | None:
    """What a nearest neighbour on 16 × 16 thumbnails gains from having seen other slices of a group.

    Args:
        facts: Of ``N`` slices.
        chosen: int64 ``(n,)``, positions of the slices to use.
        groups: int64 ``(N,)``, numbers of patients.
        seed: Of the splits.

    Returns:
        Balanced accuracy by slice less that by group; None where the splits cannot be made.
    """
    positive, groups = facts.positive[chosen], groups[chosen]
    splits = _splits(positive, groups, seed)
    if GROUP not in splits:
        return None
    features = facts.thumbnails_16[chosen].reshape(len(chosen), -1).astype(np.float32)
    by_slice, by_group = (
        (_held_out(features, positive, splits[split], NEAREST) > 0.5) == positive for split in (SLICE, GROUP)
    )
    return difference_of_balanced_accuracies(by_slice, by_group, positive, groups)


def _splits(positive: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, list[Fold]]:
    def folds_for(names: np.ndarray) -> int:
        return min(FOLDS, *(len(np.unique(names[side])) for side in (positive, ~positive)))

    labels, splits = positive.astype(np.int64), {}
    rounds = ROUNDS if len(labels) < MANY else 1
    by_slice, by_group = folds_for(np.arange(len(labels))), folds_for(groups)
    if by_slice >= 2:
        splits[SLICE] = list(repeated_folds(labels, rounds, by_slice, seed))
    if by_group >= 2 and len(np.unique(groups)) < len(groups):
        splits[GROUP] = list(repeated_folds(labels, rounds, by_group, seed, groups.astype(str)))
    return splits


def _held_out(features: np.ndarray, positive: np.ndarray, folds: Sequence[Fold], name: str) -> np.ndarray:
    """Probability of the positive class, float64 ``(N,)``, of each slice by classifiers that have not seen it."""
    scores = np.zeros(len(positive))
    for fold in folds:
        if len(np.unique(positive[fold.train])) < 2:
            scores[fold.test] += 0.5  # one large group holds all of a class: nothing can be learned without it
            continue
        fitted = classifier(name).fit(features[fold.train], positive[fold.train])
        scores[fold.test] += fitted.predict_proba(features[fold.test])[:, 1]
    return scores / max(fold.round for fold in folds)


def _honest_p(
    judged: Told, features: np.ndarray, positive: np.ndarray, groups: np.ndarray, folds: Sequence[Fold], seed: int
) -> float:
    """The p-value for scores that scatter as much as those do whose labels were shuffled between the groups."""
    rng = np.random.default_rng(seed)
    numbers = np.unique(groups, return_inverse=True)[1]
    label_of_group = np.bincount(numbers, positive) > np.bincount(numbers) / 2
    first_round = [fold for fold in folds if fold.round == 1]  # one round scatters a little more than the mean of all
    by_chance = []
    for _ in range(PERMUTATIONS):
        shuffled = rng.permutation(label_of_group)[numbers]
        by_chance.append(chance_p(_held_out(features, shuffled, first_round, judged.classifier), shuffled, groups))
    spread = np.std(-ndtri(np.clip(by_chance, 1e-9, 1 - 1e-3)), ddof=1)  # 1 if scores were independent
    return float(ndtr(ndtri(max(judged.p, 1e-300)) / max(1.0, spread)))


def _judge(
    cue: Cue,
    name: str,
    split: str,
    scores: np.ndarray,
    positive: np.ndarray,
    groups: np.ndarray,
    constant: bool,
) -> Told:
    if constant:
        chance = Estimate(0.5, 0.5, 0.5)
        return Told(cue.name, name, split, chance, chance, 1.0, True)
    return Told(
        cue.name,
        name,
        split,
        balanced_accuracy((scores > 0.5) == positive, positive, groups),
        area_under_curve(scores, positive, groups),
        chance_p(scores, positive, groups),
    )
