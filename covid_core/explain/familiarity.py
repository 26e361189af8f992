"""Measures how far from a network's training slices held-out ones lie: what lies further is unlike them.

    python -m covid_core.explain.familiarity --dataset path/to/sars-cov-2-ct
    python -m covid_core.explain.familiarity --dataset path/to/sars-cov-2-ct --networks EfficientNetB0 --percentile 99.5

Fitted on the slices that a network was trained on; the limit is a percentile of the distances of its held-out fold. The
result is written beside the network's card, where pages find it: they warn of a slice beyond the limit. They do not
refuse it, because chest slices of other hospitals lie beyond it too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.sources import Dataset
from covid_core.errors import CovidCoreError, StudyError
from covid_core.explain.fold_slices import held_out_slices
from covid_core.models.familiarity import COMPONENTS, FEATURES, PERCENTILE, fit_familiarity
from covid_core.models.familiarity_files import Provenance, save_familiarity
from covid_core.models.library import Card, list_networks, load_network
from covid_core.results.exchange import open_store
from covid_core.settings import Settings

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 done, 2 refused, 130 stopped by the user."""
    settings = Settings.from_environment()
    options = parser(settings).parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False)
    try:
        _run(options, settings, console)
    except CovidCoreError as error:
        console.print("[bold red]Refused:[/]", end=" ")
        console.print(str(error), markup=False)
        return EXIT_USAGE
    except KeyboardInterrupt:
        console.print("[yellow]Stopped.[/] Networks that were finished keep their files.")
        return EXIT_INTERRUPTED
    return 0


def parser(settings: Settings) -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="python -m covid_core.explain.familiarity",
        description="Measure how far from a network's training slices held-out ones lie; pages warn of what lies "
        "further.",
    )
    add = flags.add_argument
    add("--dataset", required=True, type=Path, help="folder of class folders, CSV file, or packed file")
    add("--positive", default="COVID", help="name of the positive class (default: %(default)s)")
    add("--networks", nargs="+", metavar="NAME", help="trained networks; all that were trained on the data set")
    add("--percentile", type=float, default=PERCENTILE, help="of held-out slices within (default: %(default)s)")
    add("--components", type=int, default=COMPONENTS, help="directions kept at most (default: %(default)s)")
    add("--store", default=settings.store_url, help="SQLAlchemy URL of the results store, which knows the folds")
    return flags


def _run(options: argparse.Namespace, places: Settings, console: Console) -> None:
    if not 50 <= options.percentile <= 100 or options.components < 1:
        raise StudyError(
            f"Expected --percentile from 50 to 100 and --components from 1. Received: {options.percentile} and "
            f"{options.components}."
        )
    store = open_store(options.store, places.results_folder)
    dataset = load_dataset(options.dataset, options.positive)
    for card in _cards(options.networks, dataset, places):
        held_out = held_out_slices(card, dataset, store)
        console.print(f"{card.key}: {len(dataset) - len(held_out)} training and {len(held_out)} held-out slices …")
        _measure(card, dataset, held_out, options, places, console)


def _cards(names: Sequence[str] | None, dataset: Dataset, places: Settings) -> list[Card]:
    """Every fold's card of the chosen networks that was trained on the data set."""
    trained = [
        card
        for cards in list_networks(places.network_folders).values()
        for card in cards
        if card.dataset_digest == dataset.digest
    ]
    chosen = [card for card in trained if names is None or card.model in names]
    unknown = sorted(set(names or ()) - {card.model for card in chosen})
    if unknown or not chosen:
        raise StudyError(
            f"Expected networks that were trained on {dataset.name} "
            f"({', '.join(sorted({card.model for card in trained})) or 'none here'}). "
            f"Received: {', '.join(unknown) or 'none'}. Name others, or train them with train_all.py."
        )
    return chosen


def _measure(
    card: Card,
    dataset: Dataset,
    held_out: np.ndarray,
    options: argparse.Namespace,
    places: Settings,
    console: Console,
) -> None:
    from covid_core.explain.pooled_channels import PooledChannels  # starts TensorFlow

    pixels = decoded(dataset, card.input_size, card.interpolation, places.cache_folder)
    channels = PooledChannels(load_network(card))
    (layer,) = (layer for layer in channels.layers if layer.name == FEATURES)
    features = channels.means(np.asarray(pixels), [layer])[layer.number]
    training = np.setdiff1d(np.arange(len(dataset)), held_out)
    found = fit_familiarity(
        features[training], dataset.labels[training], features[held_out], options.components, options.percentile
    )
    provenance = Provenance(len(training), len(held_out), options.percentile, dataset.digest)
    path = save_familiarity(card, found, provenance)
    distances = found.distances(features[held_out])
    console.print(
        f"  {len(found.components)} of {found.means.shape[1]} directions; held-out slices lie at "
        f"{np.median(distances):.2f} in the middle, {options.percentile:g} % within {found.limit:.2f}"
    )
    console.print(f"  Written     {path} ({path.stat().st_size / 2**10:.0f} KiB)")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
