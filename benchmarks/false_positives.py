"""How often each test errs, by real resampling: two equally good learners, really cross-validated.

    python -m benchmarks.false_positives --datasets 2000 --jobs 2 --to results/measured/false-positives.json

Every data set is drawn anew. Its features are noisy copies of one hidden severity and come in two blocks of equal
making; one learner sees the first block, the other the second. Swapping the blocks changes nothing about how data come
about, so both learners have the same expected score at any training size, without any formula's model of how scores of
folds depend on each other. On a single data set one block is luckier, and every fold of every round sees that luck:
that is what the tests have to cope with. The share of data sets on which a test finds a difference at 5 % is its
false-positive rate. The same runs say how often each 95 % interval of one learner's score holds its expected value,
taken as the mean over all data sets.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy
import sklearn
from rich.console import Console
from rich.table import Table
from sklearn.base import ClassifierMixin
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from covid_core.data.splits import repeated_folds
from covid_core.results.bootstrap import DRAWS, bootstrap_scores, draw_groups, group_counts
from covid_core.results.comparison import REGION, compare_folds, compare_slices
from covid_core.results.false_positives import INTERVALS, TESTS, Measured, Rate, write_rates
from covid_core.results.intervals import FOLD_METHODS, Interval, bounds, mean_interval, round_half_width
from covid_core.results.metrics import counts, scores
from covid_core.results.pairs import CLASSES

LEARNERS: dict[str, Callable[[], ClassifierMixin]] = {
    "naive Bayes": GaussianNB,
    "15 nearest neighbours": partial(KNeighborsClassifier, 15),
    "decision tree": partial(DecisionTreeClassifier, max_depth=4, random_state=0),
}
METRICS = ("sensitivity", "accuracy")
SLICES, FEATURES, SIGNAL = 300, 4, 1.8
LEVEL = 0.05


@dataclass(frozen=True)
class Design:
    """One kind of data set and of cross-validation.

    Args:
        slices: Cases of a data set, half of them positive.
        features: Features in each of the two blocks.
        rounds: Rounds of cross-validation.
        folds: Folds a round.
        draws: Of the bootstrap.
    """

    slices: int = SLICES
    features: int = FEATURES
    rounds: int = 10
    folds: int = 5
    draws: int = DRAWS


@dataclass(frozen=True)
class Outcome:
    """What one data set gave.

    Args:
        differs: ``(test, metric, rounds)`` -> whether the test called a difference.
        intervals: ``(interval, metric, rounds)`` -> interval of the first learner's score.
    """

    differs: dict[tuple[str, str, int], bool]
    intervals: dict[tuple[str, str, int], Interval]


def main() -> None:
    """Measures, prints, and writes where ``--to`` says."""
    flags = argparse.ArgumentParser(description="False-positive rates of the tests that compare two networks.")
    flags.add_argument("--datasets", type=int, default=2000, help="independent data sets a learner")
    flags.add_argument("--rounds", type=int, default=10, help="rounds of cross-validation; one round is judged as well")
    flags.add_argument("--folds", type=int, default=5)
    flags.add_argument("--learners", nargs="+", choices=LEARNERS, default=list(LEARNERS))
    flags.add_argument("--jobs", type=int, default=1, help="processes")
    flags.add_argument(
        "--to", type=Path, help="JSON file for the rates; the dashboard shows the one in results/measured"
    )
    options = flags.parse_args()
    design, started = Design(rounds=options.rounds, folds=options.folds), time.time()
    rates = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for learner in options.learners:
            outcomes = pool.map(partial(outcome, learner, design), range(options.datasets), chunksize=10)
            rates += rates_of(learner, outcomes)
    console = Console(soft_wrap=True)
    for kind, names in (("test", TESTS), ("interval", INTERVALS)):
        console.print(_table(kind, names, rates))
    if options.to:
        provenance = {
            "command": f"python -m benchmarks.false_positives --datasets {options.datasets} --rounds {options.rounds} "
            f"--folds {options.folds}",
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
            "minutes": round((time.time() - started) / 60, 1),
            "versions": f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
            f"scikit-learn {sklearn.__version__}",
            "slices": design.slices,
            "features": design.features,
            "signal": SIGNAL,
            "folds": design.folds,
            "region": REGION,
        }
        write_rates(options.to, Measured(tuple(rates), provenance))
        console.print(f"Written: {options.to}")


def data_set(design: Design, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One data set.

    Returns:
        float64 ``(slices, 2, features)``, the two blocks, and int ``(slices,)`` labels.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(design.slices) % 2
    # a hard case is hard in both blocks, as a slice is for two networks
    severity = labels * SIGNAL + random.normal(0, 0.5, design.slices)
    noise = random.normal(0, 1, (design.slices, 2, design.features))
    return severity[:, None, None] + noise, labels


def outcome(learner: str, design: Design, seed: int) -> Outcome:
    """Cross-validate both learners on the data set of ``seed``, over one round and over all, and ask every test.

    Args:
        learner: One of ``LEARNERS``.
        design: Of data and cross-validation.
        seed: Of data and folds.
    """
    blocks, labels = data_set(design, seed)
    of_round, per_fold = [], []
    folds = list(repeated_folds(labels, design.rounds, design.folds, seed))
    probabilities = np.zeros((design.rounds, 2, len(labels)))
    for fold in folds:
        row = {}
        for side in (0, 1):
            fitted = LEARNERS[learner]().fit(blocks[fold.train, side], labels[fold.train])
            predicted = fitted.predict_proba(blocks[fold.test, side])[:, 1]
            probabilities[fold.round - 1, side, fold.test] = predicted
            row[side] = scores(*counts(labels[fold.test], predicted))
        of_round.append(fold.round)
        per_fold.append(row)
    differs, intervals = {}, {}
    weights = draw_groups(len(labels), design.draws, seed)
    cases = np.arange(len(labels))
    for rounds in sorted({1, design.rounds}):
        used = [position for position, number in enumerate(of_round) if number <= rounds]
        pooled = sum(group_counts(labels, probabilities[number, 0], cases) for number in range(rounds))
        drawn = bootstrap_scores(pooled, weights)
        for metric in METRICS:
            first, second = (np.array([per_fold[at][side][metric] for at in used]) for side in (0, 1))
            found = compare_folds(first, second, 1 / design.folds)
            differs |= {
                ("uncorrected", metric, rounds): found.p_uncorrected < LEVEL,
                ("corrected", metric, rounds): found.p_value < LEVEL,
                ("bayesian", metric, rounds): max(found.better, found.worse) > 1 - LEVEL,
            }
            if rounds == 1:
                asked = np.isin(labels, CLASSES.get(metric, (0, 1)))
                test = compare_slices(labels[asked], *probabilities[0][:, asked])
                differs["mcnemar", metric, rounds] = test.p_value < LEVEL
            for method in FOLD_METHODS:
                intervals[method, metric, rounds] = mean_interval(first, method, 1 / design.folds)
            if rounds > 1:
                half = round_half_width(first, np.array(of_round)[used], design.folds)
                intervals["rounds", metric, rounds] = bounds(first.mean(), half)
            intervals["groups", metric, rounds] = drawn[metric]
    return Outcome(differs, intervals)


def rates_of(learner: str, outcomes: Iterable[Outcome]) -> list[Rate]:
    """Count what the tests and intervals of many data sets did."""
    differs, intervals = defaultdict(list), defaultdict(list)
    for one in outcomes:
        for key, called in one.differs.items():
            differs[key].append(called)
        for key, interval in one.intervals.items():
            intervals[key].append(interval)
    rates = [
        Rate("test", what, learner, metric, rounds, int(np.sum(called)), len(called))
        for (what, metric, rounds), called in differs.items()
    ]
    for (what, metric, rounds), found in intervals.items():
        truth = np.mean([interval.mean for interval in found])
        held = sum(interval.low <= truth <= interval.high for interval in found)
        rates.append(Rate("interval", what, learner, metric, rounds, int(held), len(found)))
    return rates


def _table(kind: str, names: dict[str, str], rates: list[Rate]) -> Table:
    title = "Called a difference where none is" if kind == "test" else "95 % intervals that hold the expected score"
    table = Table("learner", "metric", "rounds", *names.values(), title=title, box=None)
    cells = {(rate.learner, rate.metric, rate.rounds, rate.what): rate for rate in rates if rate.kind == kind}
    for row in dict.fromkeys(key[:3] for key in cells):
        of_row = [cells.get((*row, what)) for what in names]
        table.add_row(*map(str, row), *(f"{rate.share:.1%} ± {rate.error:.1%}" if rate else "" for rate in of_row))
    return table


if __name__ == "__main__":
    main()
