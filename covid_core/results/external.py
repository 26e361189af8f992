"""How does a trained network do on slices from elsewhere?

    python -m covid_core.results.external --dataset path/to/other/ct
    python -m covid_core.results.external --dataset path/to/other/ct --patients patients.csv --networks EfficientNetB0

Every trained network is asked about every slice; its scores stand beside those on its own held-out fold. A network
goes into the results store as soon as it is done; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.errors import CovidCoreError, ModelError, StudyError
from covid_core.models.library import Card, list_networks, load_network
from covid_core.results.exchange import open_store
from covid_core.results.external_tests import KIND, external_table, measures_of, study_of
from covid_core.results.intervals import interval_text
from covid_core.results.metrics import METRIC_LABELS, METRICS
from covid_core.results.study_exchange import export_studies
from covid_core.settings import Settings

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
BATCH_SIZE = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 complete, 2 refused, 130 stopped by the user."""
    settings = Settings.from_environment()
    options = parser(settings).parse_args(arguments)
    # a file or a pipe has no width: wide enough for the table
    console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 150)
    try:
        _run(options, settings, console)
    except CovidCoreError as error:
        console.print("[bold red]Refused:[/]", end=" ")
        console.print(str(error), markup=False)
        return EXIT_USAGE
    except KeyboardInterrupt:
        console.print("[yellow]Stopped.[/] Finished networks are stored; the same command goes on.")
        return EXIT_INTERRUPTED
    return 0


def parser(settings: Settings) -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="python -m covid_core.results.external",
        description="Ask trained networks about the slices of a data set that they were not trained on, and set their "
        "scores beside those on their own held-out fold.",
    )
    add = flags.add_argument
    add("--dataset", required=True, type=Path, help="folder of class folders, CSV file, or packed file")
    add("--positive", default="COVID", help="name of the positive class (default: %(default)s)")
    add("--patients", type=Path, help="CSV with path and patient: intervals then draw patients, not slices")
    add("--networks", nargs="+", metavar="NAME", help="names of trained networks; all by default")
    add("--store", default=settings.store_url, help="SQLAlchemy URL of the results store")
    add("--export", type=Path, help="write this command's tests as CSV into this folder")
    return flags


def probabilities_of(card: Card, pixels: np.ndarray, observe: Callable[[int], None] | None = None) -> np.ndarray:
    """A network's probabilities of the positive class.

    Args:
        card: The network.
        pixels: uint8 ``(N, size, size, 1)`` at its input size.
        observe: Called with the number of slices done.

    Returns:
        float32 ``(N,)`` in 0-1.

    Raises:
        LibraryError: Weights that are missing or damaged.
        ModelError: A probability that is not finite.
    """
    network = load_network(card)
    parts = []
    for start in range(0, len(pixels), BATCH_SIZE):
        parts.append(np.asarray(network.predict_on_batch(pixels[start : start + BATCH_SIZE]), np.float32)[:, -1])
        if observe:
            observe(min(start + BATCH_SIZE, len(pixels)))
    probabilities = np.concatenate(parts)
    if not np.isfinite(probabilities).all():
        raise ModelError(
            f"Expected finite probabilities. Received: NaN or infinite ones from {card.key}. Leave this network out, "
            "--networks, or train it again."
        )
    return probabilities


def _run(options: argparse.Namespace, places: Settings, console: Console) -> None:
    store = open_store(options.store, places.results_folder)
    dataset = load_dataset(options.dataset, options.positive, options.patients)
    for warning in dataset.warnings:
        console.print(f"[yellow]Warning:[/] {warning}")
    cards = _cards(options.networks, places)
    # before the work: a network that does not fit is refused at once
    planned = {store.add_study(study_of(card, dataset)): card for card in cards}
    finished = set(store.studies(KIND).dropna(subset="finished")["id"])
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for study_id, card in planned.items():
            if study_id in finished:
                continue
            bar = progress.add_task(card.key, total=len(dataset))
            pixels = decoded(dataset, card.input_size, card.interpolation, places.cache_folder)
            told = probabilities_of(card, pixels, lambda done, bar=bar: progress.update(bar, completed=done))
            store.add_measures(study_id, measures_of(card, dataset, told))
            store.finish_study(study_id, datetime.now(UTC).isoformat(timespec="seconds"))
    table = external_table(store)
    _report(console, table[table["study"].isin(planned)])
    if options.export:
        for file in export_studies(store, options.export, set(planned)):
            console.print(f"Exported    {file} ({file.stat().st_size / 2**10:.0f} KiB)")


def _cards(names: Sequence[str] | None, places: Settings) -> list[Card]:
    trained = list_networks(places.network_folders)
    unknown = [name for name in names or () if name not in trained]
    if unknown or not trained:
        raise StudyError(
            f"Expected trained networks (here: {', '.join(trained) or 'none'}). Received: "
            f"{', '.join(unknown) or 'none'}. Train them: python train_all.py --networks EfficientNetB0 --rounds 1 "
            "--only-fold 1 --dataset FOLDER"
        )
    return [card for name in names or trained for card in trained[name]]


def _report(console: Console, table: pd.DataFrame) -> None:
    for dataset, rows in table.groupby("dataset"):
        one = rows.iloc[0]
        patients = "patients not known" if one.isna()["patients"] else f"{one['patients']} patients"
        console.print(
            f"Data set    {dataset}: {one['slices']} slices, {patients}, prevalence {one['prevalence']:.3f}; always "
            f"naming the larger class is right for {one['majority']:.3f}"
        )
        printed = Table("network", "round, fold", "score", "own fold", "here", "here − own", box=None)
        for row in rows.to_dict("records"):
            names = [row["network"], f"{row['round']}, {row['fold']}"]
            for metric in METRICS:
                cells = [
                    interval_text(*(row[f"{metric}{part}{end}"] for end in ("", "_low", "_high")), signed=signed)
                    for part, signed in (("_own", False), ("", False), ("_change", True))
                ]
                printed.add_row(*names, METRIC_LABELS[metric], *cells)
                names = ["", ""]
            printed.add_row("", "", "AUC", f"{row['auc_own']:.3f}", f"{row['auc']:.3f}", "")
        console.print(printed)
    console.print(
        "In brackets 95 % intervals: other slices of the same two sources, the same weights. A third source can give "
        "anything."
    )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
