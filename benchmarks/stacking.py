"""What the leak of stacking inside the folds does to its score, by real cross-validation.

    python -m benchmarks.stacking --datasets 100

A stacker of a fold is fitted on what networks said about the other folds, and those networks were trained on the fold
under test (``covid_core.results.ensembles``). Whether its score is too good shows on data that nobody has seen: of
every data set, drawn anew, two learners are really cross-validated and stacked, and the same stacker with the same two
learners of each fold is asked about fresh cases as well. The mean difference of the two accuracies is the optimism,
with its standard error over data sets; averages and single learners, which cannot leak, are measured beside it. One
kind of data has no signal at all: there, whatever is above 0.5 is leak.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from functools import partial

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from covid_core.data.splits import repeated_folds
from covid_core.results.ensembles import fit_stacker, stacked

FRESH, FEATURES, FOLDS = 4000, 8, 5
KINDS = {"strong signal": 3.3, "weak signal": 1.2, "no signal": 0.0}
LEARNERS = {
    "naive Bayes": GaussianNB,
    "forest": partial(RandomForestClassifier, 30, max_depth=5, random_state=0),
    "1 neighbour": partial(KNeighborsClassifier, 1),
}
PAIRS = (("naive Bayes", "forest"), ("forest", "1 neighbour"))


def main() -> None:
    """Measures and prints."""
    flags = argparse.ArgumentParser(description="Optimism of stacking inside the folds.")
    flags.add_argument("--datasets", type=int, default=100, help="independent data sets of each kind")
    flags.add_argument("--slices", type=int, default=200, help="cases of a data set, half of them positive")
    options = flags.parse_args()
    console = Console(soft_wrap=True)
    table = Table("data", "learners", "what", "accuracy by folds", "on fresh cases", "optimism", box=None)
    for kind, signal in KINDS.items():
        found = defaultdict(list)
        for seed in track(range(options.datasets), kind, console=console, transient=True):
            for what, pair in _accuracies(seed, signal, options.slices).items():
                found[what].append(pair)
        for (pair, what), values in found.items():
            by_folds, fresh = np.array(values).T
            optimism = by_folds - fresh
            error = optimism.std(ddof=1) / np.sqrt(len(optimism))
            means = (f"{side.mean():.4f}" for side in (by_folds, fresh))
            table.add_row(kind, " + ".join(pair), what, *means, f"{optimism.mean():+.4f} ± {1.96 * error:.4f}")
    console.print(table)


def _accuracies(seed: int, signal: float, slices: int) -> dict[tuple[tuple[str, ...], str], tuple[float, float]]:
    """Accuracy by folds and on fresh cases of each pair of learners, stacked, averaged, and of its first alone."""
    random = np.random.default_rng(seed)
    cases, labels = _drawn(random, slices, signal)
    fresh, truth = _drawn(random, FRESH, signal)
    folds = np.zeros(slices, int)
    said = {name: np.zeros(slices) for name in LEARNERS}
    said_fresh = {name: np.zeros((FOLDS, FRESH)) for name in LEARNERS}
    for fold in repeated_folds(labels, 1, FOLDS, seed):
        folds[fold.test] = fold.fold
        for name, make in LEARNERS.items():
            learner = make().fit(cases[fold.train], labels[fold.train])
            said[name][fold.test] = learner.predict_proba(cases[fold.test])[:, 1]
            said_fresh[name][fold.fold - 1] = learner.predict_proba(fresh)[:, 1]
    found = {}
    for pair in PAIRS:
        sides = np.stack([said[name] for name in pair], axis=1)
        sides_fresh = np.stack([said_fresh[name] for name in pair], axis=2)  # (folds, fresh, members)
        together = stacked(labels, sides, np.ones(slices), folds)
        apart = np.stack(
            [
                fit_stacker(labels[folds != fold], sides[folds != fold])(sides_fresh[fold - 1])
                for fold in range(1, FOLDS + 1)
            ]
        )
        found[pair, "stacked"] = _right(together, labels), _right(apart, truth)
        found[pair, "averaged"] = _right(sides.mean(axis=1), labels), _right(sides_fresh.mean(axis=2), truth)
        found[pair, pair[0]] = _right(sides[:, 0], labels), _right(sides_fresh[:, :, 0], truth)
    return found


def _drawn(random: np.random.Generator, count: int, signal: float) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % 2
    return random.normal(size=(count, FEATURES)) + signal * labels[:, None] / np.sqrt(FEATURES), labels


def _right(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(((probabilities >= 0.5) == (labels == 1)).mean())


if __name__ == "__main__":
    main()
