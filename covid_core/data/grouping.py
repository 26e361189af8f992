"""Slices -> groups that look like one patient, for data sets that do not say who their patients are.

    python -m covid_core.data.grouping DATASET --output groups.csv
    python -m covid_core.data.grouping DATASET --truth patients.csv

A group is a guess: the same patient on two scanners falls apart, and two patients of one scanner with alike chests may
be joined. Likeness is relative to the other slices, so a data set of a single patient is cut up too.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy.cluster.hierarchy import fcluster, linkage

from covid_core.data.cache import refuse_unreadable
from covid_core.data.dataset import load_dataset
from covid_core.data.groups import Groups, agreement, patients_of_table
from covid_core.data.likeness import CUES, Look, describe, strangers
from covid_core.data.sources import Dataset
from covid_core.data.stored import stored_slices
from covid_core.errors import CovidCoreError, DatasetError, SliceError

THRESHOLD = 0.0
"""Groups are joined while their pairs have, on average of the logarithms, at most 10 ** THRESHOLD strangers as alike.

One stranger is where likeness stops to mean anything; on half of the patients of COVID-CT it is the best of fifteen
thresholds (``benchmarks.grouping``), too. Generated patients are found better with a higher one.
"""

VERSION = 1
"""Raised when the same slices give other groups."""

MOST_SLICES = 6_000
"""All pairs are compared: about 65 bytes each at the peak, 1.2 GB for so many slices."""

EXIT_USAGE = 2


def group_looks(looks: Sequence[Look], threshold: float = THRESHOLD) -> np.ndarray:
    """Groups of slices that look like one patient: average linkage on ``likeness.strangers``.

    The order of the slices makes no difference, and identical slices stand together.

    Args:
        looks: ``N`` slices, one or more.
        threshold: Mean log10 number of strangers up to which two groups are joined; lower gives smaller groups.

    Returns:
        int64 ``(N,)``: numbers of groups from 0, in the order of first appearance.

    Raises:
        DatasetError: More than ``MOST_SLICES``.
    """
    if len(looks) > MOST_SLICES:
        raise DatasetError(
            f"Expected at most {MOST_SLICES:,} slices, of which all pairs are compared. Received: {len(looks):,}. "
            f"Group parts of the data set, or name patients in a table, --groups FILE."
        )
    digests = [hashlib.sha256(b"".join(look[cue].tobytes() for cue in CUES)).digest() for look in looks]
    # sorted: groups follow from the slices alone, whatever their order
    distinct = dict(sorted(zip(digests, looks, strict=True), key=lambda pair: pair[0]))
    if len(distinct) == 1:
        return np.zeros(len(looks), np.int64)
    numbers = strangers(list(distinct.values()))
    lowest = numbers.min()
    tree = linkage(numbers - lowest, method="average")
    cluster = dict(zip(distinct, fcluster(tree, threshold - lowest, criterion="distance"), strict=True))
    return np.array(Groups.named((cluster[digest] for digest in digests), "likeness").numbers, np.int64)


def describe_dataset(dataset: Dataset, observe: Callable[[int, int], None] | None = None) -> list[Look]:
    """What is compared of each slice of a data set; slices are read one by one and not kept.

    Args:
        dataset: The data set.
        observe: Called with (slices done, slices in all).

    Raises:
        DatasetError: Files that cannot be read, named.
    """
    looks, failures = [], []
    with stored_slices(dataset) as read, ThreadPoolExecutor(os.cpu_count()) as pool:

        def look(position: int) -> Look | str:
            try:
                return describe(read(position))
            except SliceError as error:
                return f"{dataset.paths[position]}: {error}"

        for done, outcome in enumerate(pool.map(look, range(len(dataset))), start=1):
            (failures if isinstance(outcome, str) else looks).append(outcome)
            if observe:
                observe(done, len(dataset))
    refuse_unreadable(failures, len(dataset))
    return looks


def look_alike_groups(
    dataset: Dataset, folder: str | Path, observe: Callable[[int, int], None] | None = None
) -> Groups:
    """Groups of a data set's slices; made on the first call and kept in ``folder``.

    Args:
        dataset: The data set.
        folder: Where the table lies; made if absent.
        observe: Called with (slices done, slices in all) while slices are read.

    Raises:
        DatasetError: Slices that cannot be read, or too many.
    """
    packed = f"-packed-{dataset.packing.pixels}" if dataset.packing else ""
    table = Path(folder) / f"{dataset.digest[:16]}-groups-{VERSION}{packed}.csv"
    if not table.is_file():
        write_groups(table, dataset, group_looks(describe_dataset(dataset, observe)))
    return Groups.named(patients_of_table(table, dataset), "likeness")


def write_groups(table: Path, dataset: Dataset, groups: Sequence[int]) -> None:
    """Write a CSV file with the columns ``path`` and ``patient``, as everything here reads it; whole or not at all.

    Raises:
        DatasetError: It cannot be written.
    """
    partial = table.with_name(f".{table.name}.{os.getpid()}.partial")
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(("path", "patient"))
                rows = zip(dataset.paths, groups, strict=True)
                writer.writerows((path, f"group-{number + 1:04d}") for path, number in rows)
            partial.replace(table)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"Expected to write {table}. Received: {error.strerror}. Name another place.") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 grouped, 2 refused."""
    flags = argparse.ArgumentParser(
        prog="python -m covid_core.data.grouping", description="Group slices that look like one patient."
    )
    flags.add_argument("dataset", type=Path, help="folder of class folders, CSV with path and label, or packed .zip")
    flags.add_argument("--output", type=Path, help="CSV to write, with the columns path and patient")
    flags.add_argument("--truth", type=Path, help="CSV with path and patient to score the groups against")
    flags.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        help="log10 of the strangers as much alike up to which groups are joined (default: %(default)g)",
    )
    flags.add_argument("--positive", default="COVID", help="name of the positive class (default: %(default)s)")
    options = flags.parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        _run(options, console)
    except CovidCoreError as error:
        console.print(f"[bold red]Refused:[/] {error}", highlight=False)
        return EXIT_USAGE
    return 0


def _run(options: argparse.Namespace, console: Console) -> None:
    dataset = load_dataset(options.dataset, options.positive)
    # before the work: a table that does not fit is refused at once
    truth = patients_of_table(options.truth, dataset) if options.truth else dataset.groups
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("slices", total=len(dataset))
        looks = describe_dataset(dataset, lambda done, _: progress.update(bar, completed=done))
    with console.status("comparing all pairs"):
        groups = group_looks(looks, options.threshold)
    sizes = sorted(Counter(groups.tolist()).values(), reverse=True)
    without = sum(bool(np.isnan(look["lung grey"]).any()) for look in looks)
    mixed = sum(len(set(dataset.labels[groups == number].tolist())) > 1 for number in set(groups.tolist()))
    console.print(f"Data set    {dataset.name}: {len(dataset)} slices, no lungs found in {without}")
    console.print(
        f"Groups      {len(sizes)}, of {np.median(sizes):g} slices in the median, the largest of {sizes[0]}; "
        f"{sizes.count(1)} of a single slice, {mixed} with slices of several classes"
    )
    if truth is not None:
        scores = agreement(truth, groups)
        table = Table("patients", "groups", "precision", "recall", "F1", "adjusted Rand", box=None)
        values = (scores.precision, scores.recall, scores.f1, scores.rand)
        table.add_row(str(len(set(truth))), str(len(sizes)), *(f"{value:.3f}" for value in values))
        console.print(table)
    if options.output:
        write_groups(options.output, dataset, groups.tolist())
        console.print(f"Written to  {options.output}")


if __name__ == "__main__":
    sys.exit(main())
