"""Where in a network does the decision appear? Reads the classes out of every layer, beside random weights.

    python -m covid_core.explain.linear_readout --dataset path/to/sars-cov-2-ct
    python -m covid_core.explain.linear_readout --dataset path/to/sars-cov-2-ct --networks EfficientNetB0 --fit 1000

Each layer goes into the results store as soon as it is read out; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.sources import Dataset
from covid_core.errors import CovidCoreError, StudyError
from covid_core.explain.readout import ReadoutSettings, ReadoutSlices, readout_slices, study_of
from covid_core.models.library import Card, list_networks
from covid_core.results.exchange import open_store
from covid_core.results.intervals import interval_text
from covid_core.results.readouts import KIND, WEIGHTS, measured_layers, parts_from, readout_table
from covid_core.results.store import ResultsStore
from covid_core.results.study_exchange import export_studies
from covid_core.settings import Settings

EXIT_USAGE, EXIT_TIME, EXIT_INTERRUPTED = 2, 3, 130
PRINTED_LAYERS = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 complete, 2 refused, 3 the time limit came first, 130 stopped
    by the user."""
    settings = Settings.from_environment()
    options = parser(settings).parse_args(arguments)
    # a file or a pipe has no width: wide enough for the tables
    console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 150)
    try:
        complete = _run(options, settings, console)
    except CovidCoreError as error:
        console.print("[bold red]Refused:[/]", end=" ")
        console.print(str(error), markup=False)
        return EXIT_USAGE
    except KeyboardInterrupt:
        console.print("[yellow]Stopped.[/] Finished layers are stored; the same command goes on.")
        return EXIT_INTERRUPTED
    if not complete:
        console.print("[yellow]The time limit came first; the same command goes on.[/]")
    return 0 if complete else EXIT_TIME


def parser(settings: Settings) -> argparse.ArgumentParser:
    """The flags; their defaults are those of ``ReadoutSettings``."""
    defaults = ReadoutSettings()
    flags = argparse.ArgumentParser(
        prog="python -m covid_core.explain.linear_readout",
        description="Fit a linear read-out of every layer's pooled channels on slices that a network was trained on, "
        "and score it on the held-out slices of its fold; the same with random weights. A command that is stopped goes "
        "on when it is given again.",
    )
    add = flags.add_argument
    add("--dataset", required=True, type=Path, help="folder of class folders, CSV file, or packed file")
    add("--positive", default="COVID", help="name of the positive class (default: %(default)s)")
    add("--networks", nargs="+", metavar="NAME", help="trained networks; all that were trained on the data set")
    add(
        "--fit",
        type=int,
        default=defaults.fit,
        help="slices to fit on, a sample of those trained on, stratified by class; 0 for all (default: %(default)s)",
    )
    add("--limit", type=int, default=defaults.limit, help="the same of held-out slices to score on; all by default")
    add("--seed", type=int, default=defaults.seed, help="of both samples (default: %(default)s)")
    add("--time-limit", type=float, help="minutes after which no further layer is begun")
    add("--store", default=settings.store_url, help="SQLAlchemy URL of the results store")
    add("--export", type=Path, help="write this command's studies as CSV into this folder")
    return flags


@dataclass(frozen=True)
class _Plan:
    """One network's study: its slices, and what it is called in the store."""

    card: Card
    slices: ReadoutSlices
    study_id: str


def _run(options: argparse.Namespace, places: Settings, console: Console) -> bool:
    """Whether all is measured."""
    started, minutes = time.monotonic(), options.time_limit

    def late() -> bool:
        return minutes is not None and time.monotonic() - started > 60 * minutes

    if options.fit < 0 or (options.limit is not None and options.limit < 1):
        raise StudyError(f"Expected --fit from 0 and --limit from 1. Received: {options.fit} and {options.limit}.")
    settings = ReadoutSettings(options.fit or None, options.limit, options.seed)
    store = open_store(options.store, places.results_folder)
    dataset = load_dataset(options.dataset, options.positive)
    for warning in dataset.warnings:
        console.print(f"[yellow]Warning:[/] {warning}")
    plans = []
    for card in _cards(options.networks, dataset, places):
        slices = readout_slices(card, dataset, store, settings)
        plans.append(_Plan(card, slices, store.add_study(study_of(card, dataset, slices, settings))))
    console.print(f"Data set    {dataset.name}: {len(dataset)} slices, digest {dataset.digest[:16]}")
    for plan in plans:
        console.print(
            f"Read-out    {plan.study_id}: {plan.card.key}, fitted on {len(plan.slices.fit)} slices, scored on "
            f"{len(plan.slices.held_out)}, {plan.card.input_size} px"
        )
    complete = _measure_all(plans, dataset, store, places, console, late)
    finished = _finished(store)
    for plan in plans:
        _print_curve(console, readout_table(store, plan.study_id), plan.study_id in finished)
    if options.export:
        for file in export_studies(store, options.export, {plan.study_id for plan in plans}):
            console.print(f"Exported    {file} ({file.stat().st_size / 2**10:.0f} KiB)")
    return complete


def _cards(names: Sequence[str] | None, dataset: Dataset, places: Settings) -> list[Card]:
    """The first fold's card of each network."""
    trained = {
        name: next((card for card in cards if card.dataset_digest == dataset.digest), cards[0])
        for name, cards in list_networks(places.network_folders).items()
    }
    unknown = [name for name in names or () if name not in trained]
    # a network that is named is not left out silently: readout_slices says why it cannot be measured
    chosen = [
        card
        for name, card in trained.items()
        if (name in names if names is not None else card.dataset_digest == dataset.digest)
    ]
    if unknown or not chosen:
        raise StudyError(
            f"Expected networks that were trained on {dataset.name} (trained here: {', '.join(trained) or 'none'}). "
            f"Received: {', '.join(unknown) or 'none'}. Train them: python train_all.py --networks EfficientNetB0 "
            "--rounds 1 --only-fold 1 --dataset FOLDER"
        )
    return chosen


def _finished(store: ResultsStore) -> set[str]:
    """Ids of the studies of which nothing is missing."""
    return set(store.studies(KIND).dropna(subset="finished")["id"])


def _measure_all(
    plans: Sequence[_Plan],
    dataset: Dataset,
    store: ResultsStore,
    places: Settings,
    console: Console,
    late: Callable[[], bool],
) -> bool:
    """Whether all layers of all networks are measured."""
    finished = _finished(store)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, refresh_per_second=2) as progress:
        for plan in plans:
            if plan.study_id in finished:
                continue
            if not _measure(plan, dataset, store, places, progress, late):
                return False
            store.finish_study(plan.study_id, datetime.now(UTC).isoformat(timespec="seconds"))
            finished.add(plan.study_id)
            if late():
                break
    return finished.issuperset(plan.study_id for plan in plans)


def _measure(
    plan: _Plan,
    dataset: Dataset,
    store: ResultsStore,
    places: Settings,
    progress: Progress,
    late: Callable[[], bool],
) -> bool:
    """Whether all layers of the network are measured."""
    from covid_core.explain.readout_run import read_network  # starts TensorFlow

    card = plan.card
    pixels = decoded(dataset, card.input_size, card.interpolation, places.cache_folder)
    known = {weights: measured_layers(store, plan.study_id, card.model, weights) for weights in WEIGHTS}
    done = sum(map(len, known.values()))
    bar = progress.add_task(card.model, total=None)
    for step in read_network(card, pixels, dataset.binary_labels, plan.slices, known):
        if step.measures is not None:
            store.add_measures(plan.study_id, step.measures)
            done += 1
        progress.update(bar, total=step.total, completed=done, description=f"{card.model}: {step.text}")
        # not before a layer is stored: a command that stores nothing would never come to an end
        if step.measures is not None and late():
            return done == step.total
    progress.update(bar, description=card.model)
    return True


def _print_curve(console: Console, table: pd.DataFrame, finished: bool) -> None:
    """Some layers of one network, evenly spread over its depth, the first and the last among them."""
    if table.empty:
        return
    network, slices = table["network"].iloc[0], int(table["slices"].max())
    layers = table.drop_duplicates("number")[["number", "layer"]].sort_values("number")
    shown = layers.iloc[np.unique(np.linspace(0, len(layers) - 1, PRINTED_LAYERS).round().astype(int))]
    by_layer = table.set_index(["weights", "number"])
    printed = Table(
        "layer", "name", "accuracy, trained", "AUC", "accuracy, random weights", "AUC", title=network, box=None
    )
    for number, name in shown.itertuples(index=False):
        cells = []
        for weights in WEIGHTS:
            row = by_layer.loc[(weights, number)] if (weights, number) in by_layer.index else None
            cells += ["–", "–"] if row is None else [interval_text(*row[["accuracy", "low", "high"]]), f"{row.auc:.3f}"]
        printed.add_row(str(number), name, *cells)
    console.print(printed)
    console.print(
        f"{network}: naming the larger class is right for {table['majority'].max():.3f} of {slices} held-out slices."
    )
    if finished:  # nothing is concluded from half a curve
        apart = parts_from(table)
        console.print(
            "At the last layer the trained network's interval does not lie above that of random weights."
            if apart is None
            else f"From layer {apart} on the trained network's interval stays above that of random weights."
        )
    if not table["converged"].all():
        count = int((~table["converged"]).sum())
        console.print(f"[yellow]{count} of {len(table)} read-outs did not converge.[/]")
    console.print(
        "Read the shape over depth, not the level: where folds split slices, neighbouring slices of one patient stand "
        "on both sides, and intervals treat slices as independent."
    )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
