"""How well slices are grouped into patients, and what thumbnails alone score by slice and by group.

    python -m benchmarks.grouping                                             # generated patients
    python -m benchmarks.grouping --dataset ct --truth patients.csv           # a data set whose patients are known
    python -m benchmarks.grouping --dataset ct --thumbnails [--groups groups.csv]

Patients are cut into two halves. Thresholds are chosen on the first, that of ``covid_core.data.grouping`` stands fixed;
scored is the second.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.neighbors import KNeighborsClassifier

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.grouping import THRESHOLD, group_looks, look_alike_groups
from covid_core.data.groups import Groups, agreement, patients_of_table
from covid_core.data.likeness import describe
from covid_core.data.phantom import patient_slices
from covid_core.data.slices import read_slice
from covid_core.data.sources import Dataset
from covid_core.data.splits import repeated_folds
from covid_core.results import metrics
from covid_core.results.intervals import mean_interval
from covid_core.settings import Settings

THUMBNAIL = 16
THRESHOLDS = np.linspace(-2, 1.5, 15)
FOLDS = 5

Grouper = Callable[[Sequence, float], np.ndarray]


def main() -> None:
    """Measures and prints."""
    flags = argparse.ArgumentParser(description="Grouping against known patients, and thumbnails under both splits.")
    flags.add_argument("--dataset", type=Path, help="as train_all.py takes it; generated patients where left out")
    flags.add_argument("--truth", type=Path, help="CSV with path and patient")
    flags.add_argument("--patients", type=int, default=40, help="generated patients, half of them to choose on")
    flags.add_argument("--slices", type=int, default=8, help="of each generated patient")
    flags.add_argument("--seed", type=int, default=100, help="of the generated population")
    flags.add_argument("--thumbnails", action="store_true", help="nearest neighbours by slice and by group instead")
    flags.add_argument("--groups", type=Path, help="CSV with path and patient for --thumbnails")
    flags.add_argument("--rounds", type=int, default=3, help="of the cross-validation, for --thumbnails")
    options = flags.parse_args()
    if options.dataset is None and (options.truth or options.thumbnails):
        flags.error("expected --dataset with --truth and with --thumbnails")
    console = Console(soft_wrap=True)
    if options.thumbnails:
        _print_thumbnails(console, load_dataset(options.dataset), options)
    else:
        _print_grouping(console, options)


def _print_grouping(console: Console, options: argparse.Namespace) -> None:
    looks, thumbnails, patients = [], [], []
    count, source = _of_dataset(options) if options.dataset else _generated(options)
    for pixels, patient in track(source, "slices", count, console=console, transient=True):
        looks.append(describe(pixels))
        thumbnails.append(cv2.resize(pixels, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel())
        patients.append(patient)
    names = np.unique(patients)
    first = np.isin(patients, np.random.default_rng(0).permutation(names)[: len(names) // 2])
    table = Table(
        *(
            "way",
            "threshold",
            "scored on",
            "slices",
            "patients",
            "groups",
            "precision",
            "recall",
            "F1",
            "adjusted Rand",
        ),
        box=None,
    )

    def add(way: str, group: Grouper, items: Sequence, threshold: float, part: np.ndarray, name: str) -> None:
        groups, truth = group(_part(items, part), threshold), _part(patients, part)
        scores = agreement(truth, groups)
        numbers = (len(truth), len(set(truth)), len(set(groups)))
        values = (scores.precision, scores.recall, scores.f1, scores.rand)
        table.add_row(way, f"{threshold:.2f}", name, *map(str, numbers), *(f"{value:.3f}" for value in values))

    everything = np.ones(len(patients), bool)
    tuned = _best(_by_thumbnail, thumbnails, np.linspace(0.01, 0.6, 60), first, patients)
    for part, name in ((~first, "second half"), (everything, "all")):
        add("each slice alone", lambda items, _: np.arange(len(items)), thumbnails, 0, part, name)
        add("thumbnail correlation", _by_thumbnail, thumbnails, tuned, part, name)
        add("data.grouping", group_looks, looks, THRESHOLD, part, name)
    console.print(table)
    curve = (agreement(_part(patients, first), group_looks(_part(looks, first), at)).f1 for at in THRESHOLDS)
    points = ", ".join(f"{at:+.2f}: {f1:.2f}" for at, f1 in zip(THRESHOLDS, curve, strict=True))
    console.print(f"F1 of data.grouping on the first half by threshold: {points}")


def _print_thumbnails(console: Console, dataset: Dataset, options: argparse.Namespace) -> None:
    settings = Settings.from_environment()
    if options.groups:
        groups, origin = Groups.named(patients_of_table(options.groups, dataset), "table"), options.groups.name
    elif dataset.groups:
        groups, origin = Groups.named(dataset.groups, "table"), "patients of the data set"
    else:
        with console.status("grouping"):
            groups, origin = look_alike_groups(dataset, settings.cache_folder), "slices that look alike"
    console.print(f"{dataset.name}: {len(dataset)} slices, {groups.count} groups ({origin}); nearest neighbour")
    splits = {
        "slice": None,
        "random groups": np.random.default_rng(0).permutation(groups.numbers),  # as large, without likeness
        "group": groups.numbers,
    }
    table = Table("side", "split", *metrics.METRIC_LABELS.values(), "accuracy gap", box=None)
    for side in (8, THUMBNAIL):
        pixels = decoded(dataset, side, "area", settings.cache_folder).reshape(len(dataset), -1).astype(np.float32)
        scores = {name: _nearest(pixels, dataset, names, options.rounds) for name, names in splits.items()}
        for name, values in scores.items():
            gap = values["accuracy"].mean() - scores["slice"]["accuracy"].mean()
            cells = (_interval_text(values[metric]) for metric in metrics.METRIC_LABELS)
            table.add_row(str(side), name, *cells, f"{gap:+.3f}" if name != "slice" else "")
    console.print(table)


def _nearest(pixels: np.ndarray, dataset: Dataset, groups: Sequence[int] | None, rounds: int) -> dict[str, np.ndarray]:
    """Each metric's values over the folds."""
    truth, counts = dataset.binary_labels, []
    for fold in repeated_folds(dataset.labels, rounds, FOLDS, groups=groups):
        nearest = KNeighborsClassifier(1).fit(pixels[fold.train], truth[fold.train])
        counts.append(metrics.counts(truth[fold.test], nearest.predict(pixels[fold.test]).astype(np.float32)))
    return metrics.scores(*np.array(counts).T)


def _interval_text(values: np.ndarray) -> str:
    interval = mean_interval(values, test_share=1 / FOLDS)
    return f"{interval.mean:.3f} ({interval.low:.3f}-{interval.high:.3f})"


def _by_thumbnail(thumbnails: Sequence, threshold: float) -> np.ndarray:
    """Average linkage on 1 - correlation, the textbook way to near-duplicates."""
    distances = np.nan_to_num(pdist(np.stack(thumbnails), "correlation"), nan=2.0).clip(0)
    return fcluster(linkage(distances, "average"), threshold, "distance")


def _best(group: Grouper, items: Sequence, thresholds: np.ndarray, part: np.ndarray, patients: Sequence) -> float:
    items, truth = _part(items, part), _part(patients, part)
    return max(thresholds, key=lambda threshold: agreement(truth, group(items, threshold)).f1)


def _part(items: Sequence, chosen: np.ndarray) -> list:
    return [item for item, is_in in zip(items, chosen, strict=True) if is_in]


def _of_dataset(options: argparse.Namespace) -> tuple[int, Iterator[tuple[np.ndarray, str]]]:
    dataset = load_dataset(options.dataset)
    patients = patients_of_table(options.truth, dataset) if options.truth else dataset.groups
    if patients is None:
        raise SystemExit(f"Expected patients of {dataset.name} to score against. Name a table, --truth FILE.")
    slices = (read_slice(dataset.root / path).pixels for path in dataset.paths)
    return len(dataset), zip(slices, patients, strict=True)


def _generated(options: argparse.Namespace) -> tuple[int, Iterator[tuple[np.ndarray, str]]]:
    slices = (
        (one.pixels, one.patient)
        for number in range(options.patients)
        for one in patient_slices(number, number % 2 == 0, options.slices, size=192, seed=options.seed)
    )
    return options.patients * options.slices, slices


if __name__ == "__main__":
    main()
