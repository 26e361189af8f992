"""Measures the heat maps of base and modified networks over a whole data set.

python -m covid_core.explain.study --dataset FOLDER
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.sources import Dataset
from covid_core.errors import CovidCoreError, StudyError
from covid_core.explain.intensity import THRESHOLDS
from covid_core.explain.map_pairs import (
    SLICES,
    TARGETS,
    MapPair,
    RandomWeights,
    StudySettings,
    study_of,
    study_slices,
    trained_pairs,
)
from covid_core.explain.study_tables import print_tables
from covid_core.models import zoo
from covid_core.models.library import list_networks
from covid_core.results.exchange import open_store
from covid_core.results.map_studies import study_groups, wide_measures
from covid_core.results.published import MEAN_INTENSITIES
from covid_core.results.store import ResultsStore
from covid_core.results.study_exchange import export_studies
from covid_core.settings import Settings
from covid_core.training.selection import select_networks

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 measured, 2 refused, 130 stopped by the user."""
    settings = Settings.from_environment()
    options = parser(settings).parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        _run(options, settings, console)
    except CovidCoreError as error:
        console.print("[bold red]Refused:[/]", end=" ")
        console.print(str(error), highlight=False, markup=False)
        return EXIT_USAGE
    except KeyboardInterrupt:
        console.print("[yellow]Stopped.[/] Finished batches are stored; the same command goes on.")
        return EXIT_INTERRUPTED
    return 0


def parser(settings: Settings) -> argparse.ArgumentParser:
    """The flags; their defaults are those of ``StudySettings`` and ``RandomWeights``."""
    defaults, random = StudySettings(), RandomWeights()
    published = ", ".join(MEAN_INTENSITIES)
    flags = argparse.ArgumentParser(
        prog="python -m covid_core.explain.study",
        description="Measure the heat maps of base and modified networks over a data set. A study that is stopped "
        "goes on with the same command.",
    )
    add = flags.add_argument
    add("--dataset", required=True, type=Path, help="folder of class folders, CSV file, or packed file")
    add("--positive", default="COVID", help="name of the positive class (default: %(default)s)")
    add(
        "--networks",
        nargs="+",
        metavar="NAME",
        help="names, families or patterns; both networks of each backbone are taken (default: every pair that is "
        f"trained here; with --random-weights the published ones: {published})",
    )
    add("--slices", choices=SLICES, default=defaults.slices, help="the test slices of each pair's fold, or all")
    add("--limit", type=int, help="measure a random sample of so many slices, stratified by class")
    add("--seed", type=int, default=defaults.seed, help="of sample and order (default: %(default)s)")
    add(
        "--target",
        choices=TARGETS,
        default=defaults.target,
        help="class that a slice's map explains (default: %(default)s)",
    )
    add("--threshold", choices=THRESHOLDS, default=defaults.threshold_on, help="what the mask thresholds")
    add("--random-weights", action="store_true", help="measure pairs that are not trained too, marked as random")
    add("--size", type=int, default=random.size, help="pixels for random weights (default: %(default)s)")
    add("--store", default=settings.store_url, help="SQLAlchemy URL of the results store")
    add("--export", type=Path, help="write this command's studies as CSV into this folder")
    return flags


@dataclass(frozen=True)
class _Plan:
    """One pair's study: what stands in the store about it, and which slices it takes."""

    pair: MapPair
    study_id: str
    positions: np.ndarray


def _run(options: argparse.Namespace, places: Settings, console: Console) -> None:
    if options.limit is not None and options.limit < 1:
        raise StudyError(f"Expected a limit of 1 or more. Received: {options.limit}.")
    settings = StudySettings(options.slices, options.limit, options.seed, options.target, options.threshold)
    pairs = _pairs(options, places)
    store = open_store(options.store, places.results_folder)
    dataset = load_dataset(options.dataset, options.positive)
    for warning in dataset.warnings:
        console.print(f"[yellow]Warning:[/] {warning}", highlight=False)
    plans = []
    for pair in pairs:
        positions = study_slices(pair, dataset, store, settings)
        plans.append(_Plan(pair, store.add_study(study_of(pair, dataset, settings)), positions))
    console.print(f"Data set    {dataset.name}: {len(dataset)} slices, digest {dataset.digest[:16]}")
    for plan in plans:
        console.print(
            f"Study       {plan.study_id}: {plan.pair.subject}, {len(plan.positions)} slices, {plan.pair.size} px"
        )
    with _progress(console) as progress:
        for plan in plans:
            _measure(plan, dataset, settings, store, places, progress)
            store.finish_study(plan.study_id, datetime.now(UTC).isoformat(timespec="seconds"))
    ids = {plan.study_id for plan in plans}
    for group in study_groups(store):
        if ids & set(group["id"]):
            print_tables(console, group, wide_measures(store, group))
    if options.export:
        for file in export_studies(store, options.export, ids):
            console.print(f"Exported    {file} ({file.stat().st_size / 2**10:.0f} KiB)")


def _measure(
    plan: _Plan,
    dataset: Dataset,
    settings: StudySettings,
    store: ResultsStore,
    places: Settings,
    progress: Progress,
) -> None:
    bar = progress.add_task(f"{plan.pair.subject}: slices", total=len(plan.positions))
    pixels = decoded(dataset, plan.pair.size, plan.pair.interpolation, places.cache_folder)
    for done in _steps(plan, dataset, pixels, settings, store):
        progress.update(bar, completed=done)


def _steps(
    plan: _Plan, dataset: Dataset, pixels: np.ndarray, settings: StudySettings, store: ResultsStore
) -> Iterator[int]:
    from covid_core.explain.study_run import measure_pair  # starts TensorFlow

    return measure_pair(plan.pair, plan.study_id, dataset, pixels, plan.positions, settings, store)


def _pairs(options: argparse.Namespace, places: Settings) -> list[MapPair]:
    patterns = options.networks or (list(MEAN_INTENSITIES) if options.random_weights else None)
    backbones = None
    if patterns is not None:
        backbones = list(dict.fromkeys(zoo.get(name).backbone for name in select_networks(patterns)))
    pairs = {pair.backbone: pair for pair in trained_pairs(list_networks(places.network_folders), backbones)}
    missing = [backbone for backbone in backbones or () if backbone not in pairs]
    if options.random_weights:
        weights = RandomWeights(options.size)
        return [pairs.get(backbone, MapPair(backbone, weights)) for backbone in backbones or pairs]
    if missing or not pairs:
        names = " ".join(f"{name} Modified-{name}" for name in missing[:3] or ["EfficientNetB0"])
        raise StudyError(
            f"Expected base and modified networks trained on the same fold. Received: none"
            f"{' for ' + ', '.join(missing) if missing else ''}. Train them (python train_all.py --networks {names} "
            "--rounds 1 --only-fold 1 --dataset FOLDER), or look at random weights, --random-weights."
        )
    return list(pairs.values())


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console, refresh_per_second=2)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
