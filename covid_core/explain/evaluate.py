"""Can the maps be trusted? Measures maps of trained networks over a data set, beside maps that know nothing.

    python -m covid_core.explain.evaluate --dataset phantom
    python -m covid_core.explain.evaluate --dataset ct --lesions covid --lungs lungs --neighbours 10
    python -m covid_core.explain.evaluate --dataset path/to/sars-cov-2-ct --methods gradcam --limit 200

What is measured goes into the results store at once; the same command goes on where it stopped, and more slices,
methods or seeds add to what is there.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from covid_core.data.annotated import AnnotatedDataset, from_folder, generated, spread
from covid_core.errors import CovidCoreError
from covid_core.explain import verdict
from covid_core.explain.evaluation import JUDGED, MEASURES
from covid_core.explain.method_names import METHODS
from covid_core.models.library import Card, list_networks
from covid_core.results.exchange import open_store
from covid_core.results.intervals import interval_text
from covid_core.results.store import ResultsStore
from covid_core.results.study_exchange import export_studies
from covid_core.settings import Settings

EXIT_USAGE, EXIT_TIME = 2, 3
PHANTOM = "phantom"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 complete, 2 refused, 3 the time limit came first."""
    settings = Settings.from_environment()
    options = _flags(settings).parse_args(arguments)
    # a file or a pipe has no width: wide enough for the tables
    console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 150)
    try:
        dataset = _dataset(options)
        chosen = _networks(options.networks, settings)
        store = open_store(options.store, settings.results_folder)
        positions = spread(dataset, options.limit)
        console.print(
            f"Slices    {len(positions)} of {len(dataset)} of {dataset.name}; lungs {dataset.lungs_are}; "
            f"{'lesions drawn' if dataset.has_lesions else 'no lesions drawn'}; "
            f"every {dataset.groups_are} counts once in an interval"
        )
        ids, complete = _measure(options, dataset, positions, chosen, store, console)
        measures = pd.concat([store.measures(study) for study in ids], ignore_index=True)
        _report(console, measures, [cards[0] for cards in chosen.values()], dataset)
        if options.export:
            files = export_studies(store, options.export, ids)
            console.print(f"Exported  {len(files)} files to {options.export}")
    except CovidCoreError as error:
        console.print(f"[bold red]Refused:[/] {error}")
        return EXIT_USAGE
    if not complete:
        console.print("[yellow]The time limit came first; the same command goes on.[/]")
    return 0 if complete else EXIT_TIME


def _flags(settings: Settings) -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m covid_core.explain.evaluate",
        description="Measure maps of trained networks beside maps that know nothing.",
    )
    flags.add_argument("--dataset", default=PHANTOM, help=f"{PHANTOM}, or a folder or table of slices")
    flags.add_argument("--lesions", type=Path, help="folder with lesion masks under the slices' names, 0 and 255")
    flags.add_argument("--lungs", default="auto", help="the same for lungs, or auto to find them (default)")
    flags.add_argument(
        "--neighbours", type=int, default=1, help="slices in a row that count as one patient where none are known"
    )
    flags.add_argument("--networks", nargs="+", help="trained networks; all by default")
    flags.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    flags.add_argument("--limit", type=int, help="slices, evenly spaced over the data set; all by default")
    flags.add_argument("--seeds", type=int, default=5, help="shuffled maps and networks of random weights")
    flags.add_argument("--time-limit", type=float, help="minutes after which nothing new is begun")
    flags.add_argument("--store", default=settings.store_url, help="SQLAlchemy URL of the results store")
    flags.add_argument("--export", type=Path, help="folder to write the measures to, as CSV")
    return flags


def _dataset(options: argparse.Namespace) -> AnnotatedDataset:
    if options.dataset == PHANTOM:
        return generated()
    lungs = None if options.lungs == "auto" else Path(options.lungs)
    return from_folder(options.dataset, options.lesions, lungs, options.neighbours)


def _networks(names: Sequence[str] | None, settings: Settings) -> dict[str, list[Card]]:
    trained = list_networks(settings.network_folders)
    unknown = [name for name in names or () if name not in trained]
    if unknown or not trained:
        raise CovidCoreError(
            f"Expected trained networks ({', '.join(trained) or 'none here'}). Received: "
            f"{', '.join(unknown) or 'nothing to choose from'}. Train some with train_all.py."
        )
    return {name: cards for name, cards in trained.items() if names is None or name in names}


def _measure(
    options: argparse.Namespace,
    dataset: AnnotatedDataset,
    positions: list[int],
    chosen: dict[str, list[Card]],
    store: ResultsStore,
    console: Console,
) -> tuple[list[str], bool]:
    """Ids of the studies, and whether all is measured."""
    from covid_core.explain.evaluation_run import NetworkEvaluation, study_of  # starts TensorFlow

    started, ids, complete = time.monotonic(), [], True
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        for name, cards in chosen.items():
            card = cards[0]
            folds = [one for one in cards if (one.experiment, one.input_size) == (card.experiment, card.input_size)]
            work = NetworkEvaluation(card, dataset, positions, options.methods, options.seeds, folds)
            study = store.add_study(study_of(card, dataset))
            ids.append(study)
            wanted = {dataset.names[at] for at in positions}
            known = {method: store.measured_slices(study, name, method) & wanted for method in work.methods}
            left = work.total - sum(map(len, known.values()))
            task = progress.add_task(name, total=work.total, completed=work.total - left)
            for piece in work.run(known.__getitem__) if left else ():
                store.add_measures(study, piece.measures)
                left -= piece.slices
                progress.update(task, advance=piece.slices, description=f"{name}, {piece.method}")
                if options.time_limit is not None and time.monotonic() - started > 60 * options.time_limit:
                    complete = not left
                    break
            progress.update(task, description=name)
            if not complete:
                break
            store.finish_study(study, datetime.now(UTC).isoformat(timespec="seconds"))
    return ids, complete


def _report(console: Console, measures: pd.DataFrame, cards: list[Card], dataset: AnnotatedDataset) -> None:
    if measures.empty:
        return
    rows, nulls = verdict.summary(measures), verdict.null_summary(measures)
    nulls = nulls[nulls["measure"].isin(JUDGED)]
    console.print(_table(rows))
    for (subject, method), of in rows.groupby(["subject", "method"], sort=False):
        console.print(f"{subject}, {METHODS[method]}: {verdict.verdict(of)}")
    if len(nulls):
        console.print(
            "\nMaps that know nothing should not beat both controls; the wider of the intervals over seeds and slices:"
        )
        console.print(_null_table(nulls))
        console.print(verdict.null_verdict(nulls))
    _facts(console, measures)
    console.print("\n" + "\n".join(_caveats(cards, dataset)))


def _caveats(cards: Sequence[Card], dataset: AnnotatedDataset) -> list[str]:
    trained = {card.model: (card.dataset, card.input_size) for card in cards}
    return verdict.caveats(trained, dataset.name, dataset.groups_are, bool(dataset.labels.all()))


def _table(rows: pd.DataFrame) -> Table:
    table = Table("network", "method", "measure", "map", "random", "centred", "beats", box=None)
    before = None
    for row in rows.itertuples():
        here = (row.subject, row.method)
        measure = MEASURES[row.measure]
        table.add_row(
            *((row.subject, METHODS[row.method]) if here != before else ("", "")),
            f"{measure.label} {'↑' if measure.better > 0 else '↓'}",
            interval_text(row.mean, row.low, row.high),
            f"{row.random:.3f}",
            f"{row.centred:.3f}",
            row.beats if measure.judged else "not judged",
        )
        before = here
    return table


def _null_table(nulls: pd.DataFrame) -> Table:
    names = ("network", "map", "measure", "seeds", "beating", "mean", "gain on random", "gain on centred", "beats")
    table = Table(*names, box=None)
    for row in nulls.itertuples():
        table.add_row(
            row.subject,
            verdict.NULLS[row.null],
            MEASURES[row.measure].label,
            str(row.seeds),
            str(row.seeds_beating),
            f"{row.mean:.3f}",
            interval_text(row.random_gain, row.random_gain_low, row.random_gain_high, signed=True),
            interval_text(row.centred_gain, row.centred_gain_low, row.centred_gain_high, signed=True),
            row.beats,
        )
    return table


def _facts(console: Console, measures: pd.DataFrame) -> None:
    means = verdict.sanity(measures)
    for row in means.to_dict("records"):
        subject = row.pop("subject")
        facts = ", ".join(f"{name} {value:.3f}" for name, value in row.items() if not np.isnan(value))
        console.print(f"{subject}: mean {facts}")
    for note in verdict.curve_notes(means):
        console.print(f"[yellow]{note}[/]")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(main())
