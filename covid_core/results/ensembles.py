"""Several networks of one experiment as one: their stored probabilities averaged, or stacked inside the folds.

Nothing is trained again but the stacker, a logistic regression on as many numbers a slice as there are members.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logit

from covid_core.errors import StoreError

WAYS = {"averaged": "Averaged", "stacked": "Stacked"}
"""How members become one probability, with names for people."""

MEANINGS = {
    "averaged": "the mean of the members' probabilities, slice by slice.",
    "stacked": "a logistic regression on the members' log-odds, fitted on the other folds of the same round "
    "and asked about the fold under test. Neither it nor the members that it asks there have seen that fold. But the "
    "members whose answers it was fitted on were trained on its slices, so some of their labels can come back: in a "
    "simulation accuracy was 0.01 to 0.02 too high where there was nothing to learn, and not measurably so where it "
    "was about 0.7 or above 0.9.",
}
"""What each of ``WAYS`` means, for people."""

LONGEST_NAME = 56
"""Characters; ensembles with longer names count their members instead."""

_ROUNDED = 1e-7  # a float32 softmax says 0 and 1, whose log-odds are infinite


@dataclass(frozen=True)
class Ensemble:
    """Networks that answer together.

    Args:
        members: Names of networks, each once.
        way: One of ``WAYS``.

    Raises:
        ValueError: No member, one that stands there twice, or an unknown way.
    """

    members: tuple[str, ...]
    way: str = "averaged"

    def __post_init__(self) -> None:
        if self.way not in WAYS:
            raise ValueError(f"Expected a way out of {', '.join(WAYS)}. Received: {self.way!r}.")
        if not self.members or len(set(self.members)) < len(self.members):
            raise ValueError(f"Expected one network or more, each once. Received: {self.members}.")

    @property
    def name(self) -> str:
        """``EfficientNetB0 + Modified-EfficientNetB0, averaged``; of many members the first and a count."""
        members = " + ".join(self.members)
        if len(members) > LONGEST_NAME:
            members = f"{self.members[0]} + {len(self.members) - 1} others"
        return f"{members}, {self.way}"


def ensemble_predictions(
    predictions: Mapping[str, pd.DataFrame], ensemble: Ensemble, groups: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """What an ensemble says about the test slices of the folds that all its members have.

    Args:
        predictions: Network -> its predictions in one experiment, as ``ResultsStore.predictions`` gives them.
        ensemble: Its members must be among them.
        groups: For stacking, path of a slice -> its patient: slices of patients in the fold under test take no part
            in the fit, wherever they stand. None leaves that to the folds.

    Returns:
        Frame of the same columns, with the ensemble's name as ``model`` and float64 ``probability``. Stacking leaves
        out folds for which there is nothing to fit on.

    Raises:
        StoreError: A member has no predictions, members share no fold or were tested on other slices, or no fold can
            be stacked.
    """
    sides, shared = _side_by_side(predictions, ensemble)
    if ensemble.way == "averaged":
        probability = sides.mean(axis=1)
    else:
        owners = None if groups is None else shared["slice"].astype(str).map(groups).to_numpy()
        probability = stacked(shared["label"], sides, shared["round"], shared["fold"], owners)
        if np.isnan(probability).all():
            raise StoreError(
                f"{' + '.join(ensemble.members)} cannot be stacked: the stacker of a fold is fitted on the other folds "
                f"of its round, with slices of both classes, because the fold under test must take no part. The "
                f"members share {_folds_text(shared)}. Average them, or train further folds."
            )
    found = shared.assign(model=pd.Categorical.from_codes(np.zeros(len(shared), np.int8), [ensemble.name]))
    found["probability"] = probability
    return found[~np.isnan(probability)].reset_index(drop=True)


def stacked(
    labels: np.ndarray, sides: np.ndarray, rounds: np.ndarray, folds: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """Probability of each slice by a logistic regression that has seen the other folds of its round only.

    The members' log-odds are its input (stacked generalisation: Wolpert, Neural Networks 5, 1992), with scikit-learn's
    default penalty of 1 on the squared weights. Its input on the other folds comes from networks that were trained on
    the fold under test: for an estimate without any leak, members would have to be trained anew inside each fold.
    ``benchmarks/stacking.py`` measures what that does to the score: accuracy was 0.013 and 0.023 too high for two pairs
    of learners where there was nothing to learn (95 % interval ± 0.009), and at most 0.005 (± 0.007) too high, no more
    than that of single learners, where they were right in 67 to 95 % of all cases.

    Args:
        labels: ``(n,)``, 1 for the positive class and 0 for every other.
        sides: ``(n, members)`` probabilities in 0-1.
        rounds: ``(n,)``.
        folds: ``(n,)``, within the round.
        groups: ``(n,)`` patients; those of the fold under test are left out of the fit.

    Returns:
        float64 ``(n,)`` in 0-1; NaN for folds whose fit would have no slices, or slices of one class only.
    """
    labels, sides = np.asarray(labels), np.asarray(sides)
    rounds, folds = np.asarray(rounds), np.asarray(folds)
    probability = np.full(len(labels), np.nan)
    for round_ in np.unique(rounds):
        in_round = rounds == round_
        for fold in np.unique(folds[in_round]):
            tested = in_round & (folds == fold)
            fitted = in_round & ~tested
            if groups is not None:
                fitted &= ~np.isin(groups, groups[tested])
            if len(np.unique(labels[fitted])) == 2:
                probability[tested] = fit_stacker(labels[fitted], sides[fitted])(sides[tested])
    return probability


def fit_stacker(labels: np.ndarray, sides: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A logistic regression on the members' log-odds.

    Args:
        labels: ``(n,)``, of both classes.
        sides: ``(n, members)`` probabilities in 0-1.

    Returns:
        A function from such probabilities of other slices to one probability a slice.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import, which plain pages need not wait for

    stacker = LogisticRegression().fit(_log_odds(sides), labels)
    return lambda others: stacker.predict_proba(_log_odds(others))[:, 1]


def _log_odds(sides: np.ndarray) -> np.ndarray:
    return logit(np.clip(np.asarray(sides, np.float64), _ROUNDED, 1 - _ROUNDED))


def _side_by_side(predictions: Mapping[str, pd.DataFrame], ensemble: Ensemble) -> tuple[np.ndarray, pd.DataFrame]:
    """Probabilities ``(n, members)`` and the first member's frame, on the folds that all members have."""
    parts = [predictions.get(member) for member in ensemble.members]
    missing = [member for member, part in zip(ensemble.members, parts, strict=True) if part is None or not len(part)]
    if missing:
        raise StoreError(f"{ensemble.name}: the store has no predictions of {', '.join(missing)} in this experiment.")
    if not all(_same_cases(parts[0], part) for part in parts[1:]):
        parts = [_in_order(part) for part in _on_common_folds(parts)]
    if parts[0].empty:
        raise StoreError(f"{ensemble.name}: expected a fold that all members have. Received none; train one.")
    for member, part in zip(ensemble.members[1:], parts[1:], strict=True):
        if not _same_cases(parts[0], part):
            raise StoreError(
                f"{ensemble.name}: expected members that were tested on the same slices. {ensemble.members[0]} and "
                f"{member} were not. Import results under the experiment that they belong to."
            )
    return np.stack([part["probability"].to_numpy(np.float64) for part in parts], axis=1), parts[0]


def _on_common_folds(parts: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Rows of the rounds and folds that all ``parts`` have."""
    folds = [set(part.groupby(["round", "fold"]).groups) for part in parts]
    common = set.intersection(*folds)
    return [
        part if own == common else part[pd.MultiIndex.from_frame(part[["round", "fold"]]).isin(common)]
        for part, own in zip(parts, folds, strict=True)
    ]


def _in_order(part: pd.DataFrame) -> pd.DataFrame:
    return part.iloc[np.lexsort((part["slice"].astype(str), part["fold"], part["round"]))]


def _same_cases(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether two networks answer about the same slices with the same labels, row by row."""
    if len(first) != len(second):
        return False
    if any((first[name].to_numpy() != second[name].to_numpy()).any() for name in ("round", "fold", "label")):
        return False
    if first["slice"].cat.categories.equals(second["slice"].cat.categories):
        return bool((first["slice"].cat.codes.to_numpy() == second["slice"].cat.codes.to_numpy()).all())
    return bool((first["slice"].astype(str).to_numpy() == second["slice"].astype(str).to_numpy()).all())


def _folds_text(shared: pd.DataFrame) -> str:
    counts = shared.groupby("round")["fold"].nunique()
    return ", ".join(f"{count} fold{'s' if count > 1 else ''} in round {round_}" for round_, count in counts.items())
