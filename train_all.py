"""Trains networks under repeated cross-validation: flags -> Protocol -> campaign; progress; exit code."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from covid_core.data.cache import decoded
from covid_core.data.dataset import load_dataset
from covid_core.data.groups import ORIGINS, Groups, patients_of_table
from covid_core.data.sources import Dataset
from covid_core.errors import CovidCoreError, EngineError
from covid_core.models.transport import LARGEST_MIB, export_networks
from covid_core.results import metrics
from covid_core.results.exchange import export_results, open_store
from covid_core.results.patients import Grouping, write_grouping
from covid_core.results.records import FoldResult
from covid_core.settings import Settings
from covid_core.training.campaign import Campaign, run_campaign
from covid_core.training.deadline import Deadline
from covid_core.training.engines import Engine, LocalEngine, RayEngine
from covid_core.training.estimate import Estimate, estimate, expected_seconds
from covid_core.training.protocol import PRECISIONS, PRESETS, Preset, Protocol
from covid_core.training.selection import select_networks
from covid_core.training.tasks import SAVE_CHOICES, Task

EXIT_FAILED_FOLDS = 1
EXIT_USAGE = 2
EXIT_TIME_LIMIT = 3
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 all done, 1 folds failed, 2 refused, 3 folds are left because
    the time limit was reached, 130 interrupted."""
    began = time.monotonic()
    settings = Settings.from_environment()
    options = parser(settings).parse_args(arguments)
    # compiled once for all folds, runs and processes of this machine; read by JAX when it starts
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(settings.cache_folder / "jax"))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    console = Console(soft_wrap=True)  # a log file keeps whole lines
    try:
        return _run(options, settings, console, began)
    except CovidCoreError as error:
        console.print(f"[bold red]Refused:[/] {error}", highlight=False)
        return EXIT_USAGE
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished folds are stored; the same command goes on with what is left.")
        return EXIT_INTERRUPTED


def parser(settings: Settings) -> argparse.ArgumentParser:
    """The flags; their help reads the defaults from the protocol."""
    paper = PRESETS["paper"].protocol
    presets = "; ".join(f"{name}: {preset.summary}" for name, preset in PRESETS.items())
    flags = argparse.ArgumentParser(description="Train networks under repeated cross-validation into a results store.")
    add = flags.add_argument
    add("--preset", choices=tuple(PRESETS), default="paper", help=f"start from ({presets}); default: paper")
    add("--networks", nargs="+", metavar="PATTERN", help="names, families (VGG), variants (residual) or globs")
    add(
        "--dataset",
        type=Path,
        help="folder of class folders, CSV with path, label and optionally patient, or packed .zip",
    )
    add("--positive", default="COVID", help="name of the positive class, in any case (default: %(default)s)")
    add("--patients", type=Path, help="CSV with path and patient, for a data set without patients")
    add("--changed-data", action="store_true", help="begin anew although the store knows the data set with other files")
    add(
        "--split",
        choices=("slice", "group"),
        help=f"what stays together in a fold (paper: {paper.split}); groups are those of --groups, else the data set's "
        "patients, else slices that look alike",
    )
    add("--groups", type=Path, help="CSV with path and patient, as data.grouping writes it, to split by")
    add("--rounds", type=int, help=f"repetitions of the cross-validation (paper: {paper.rounds})")
    add("--folds", type=int, help=f"folds a round (paper: {paper.folds})")
    add("--epochs", type=int, help=f"passes over the training slices (paper: {paper.epochs})")
    add("--size", type=int, help=f"side of the square slices in pixels (paper: {paper.size})")
    smaller = ", ".join(f"{backbone} {slices}" for backbone, slices in paper.backbone_batch_sizes.items())
    add("--batch-size", type=int, help=f"slices a step for every network (paper: {paper.batch_size}; {smaller})")
    rates = ", ".join(f"{family} {rate:g}" for family, rate in paper.family_learning_rates.items())
    add("--learning-rate", type=float, help=f"peak rate for every network (paper: {paper.learning_rate:g}; {rates})")
    add("--seed", type=int, help=f"root of every random choice (paper: {paper.seed})")
    add("--only-fold", type=int, nargs="+", metavar="FOLD", help="train these folds of each round only")
    add(
        "--precision", choices=PRECISIONS, help="of the arithmetic (default: mixed_bfloat16 on a GPU, float32 on a CPU)"
    )
    add(
        "--curve-every",
        type=int,
        default=5,
        help="epochs between two tests for the curve, 0: none (default: %(default)s)",
    )
    add("--save", choices=SAVE_CHOICES, default="first", help="networks to keep: of round 1, fold 1; all; none")
    add("--store", default=settings.store_url, help="SQLAlchemy URL of the results store")
    add("--output", type=Path, default=settings.network_folders[-1], help="folder for trained networks")
    add("--export", type=Path, help="write the experiment's results as CSV into this folder at the end")
    add(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where folds run: one by one in this process, or on Ray",
    )
    add("--address", help="of a running Ray cluster, host:port or auto; without it one is started on this machine")
    add("--gpus-per-fold", type=float, help="with Ray, 0.25 trains four folds on a GPU (default: 1, without GPUs 0)")
    add(
        "--cpus-per-fold",
        type=int,
        help="with Ray, cores and threads of a fold (default: as large a share as of the GPUs; without GPUs all cores)",
    )
    add("--export-networks", action="store_true", help="write the experiment's kept networks there too, in parts")
    add("--largest-mib", type=float, default=LARGEST_MIB, help="leave larger weights out of it (default: %(default)g)")
    add(
        "--time-limit", type=float, metavar="MINUTES", help="start no fold that would end later, and stop one in flight"
    )
    add("--dry-run", action="store_true", help="list the folds and an estimate, train nothing")
    return flags


def _run(options: argparse.Namespace, settings: Settings, console: Console, began: float) -> int:
    preset = PRESETS[options.preset]
    protocol = _protocol(options, preset)
    _check_options(options, protocol)
    networks = select_networks(options.networks or preset.networks)
    engine = _engine(options)
    store = open_store(options.store, settings.results_folder)
    dataset = _dataset(options, preset, settings)
    for warning in dataset.warnings:
        console.print(f"[yellow]Warning:[/] {warning}", highlight=False)
    groups = _groups(options, protocol, dataset, settings, console)
    campaign = Campaign(
        networks=networks,
        protocol=protocol,
        dataset=dataset,
        store=store,
        output=options.output,
        only_folds=tuple(options.only_fold or ()),
        save=options.save,
        precision=options.precision,
        curve_every=options.curve_every,
        backups=settings.cache_folder / "epochs",
        command=_command(options),
        groups=groups,
    )
    if not options.changed_data:
        campaign.check_unchanged()
    left = campaign.left()
    _print_plan(console, campaign, left, options.dry_run)
    if options.dry_run:
        return 0
    failures = []
    if left:
        with _progress(console) as progress:
            bar = progress.add_task("decoding", total=len(dataset))
            pixels = decoded(
                dataset,
                protocol.size,
                protocol.interpolation,
                settings.cache_folder,
                lambda done, _: progress.update(bar, completed=done),
            )
            progress.remove_task(bar)
            observer = _Bars(progress, left, protocol.epochs)
            run_campaign(campaign, pixels, observer, engine, _deadline(options, campaign, began))
            failures = observer.failures
    _print_scores(console, campaign)
    if options.export:
        _export(options, campaign, console)
    if failures:
        _print_failures(console, failures)
        return EXIT_FAILED_FOLDS
    left = campaign.left()
    if left:
        count = "1 fold is" if len(left) == 1 else f"{len(left)} folds are"
        console.print(f"[yellow]Time limit:[/] {count} left; the same command goes on.")
        return EXIT_TIME_LIMIT
    return 0


def _check_options(options: argparse.Namespace, protocol: Protocol) -> None:
    if options.time_limit is not None and not options.time_limit > 0:
        raise CovidCoreError(f"Expected a time limit above 0 minutes. Received: {options.time_limit:g}.")
    if options.export_networks and not options.export:
        raise CovidCoreError("Expected a folder for the networks. Received none. Name it, --export FOLDER.")
    if options.groups and protocol.split != "group":
        raise CovidCoreError("Expected --split group with --groups. Received: a split by slice. Add it, or drop it.")


def _deadline(options: argparse.Namespace, campaign: Campaign, began: float) -> Deadline | None:
    if options.time_limit is None:
        return None
    from covid_core.training.devices import device  # Keras: needed now anyway

    return Deadline(options.time_limit * 60, expected_seconds(campaign, device()), began)


def _grouping(campaign: Campaign) -> Grouping | None:
    """Whose slices are whose, for scores by patient: as the data set names them, else as the split groups them."""
    dataset = campaign.dataset
    if dataset.groups is not None:
        return Grouping("patient", dict(zip(dataset.paths, dataset.groups, strict=True)))
    if campaign.groups is None:
        return None
    names = (f"group-{number + 1:04d}" for number in campaign.groups.numbers)
    return Grouping("group", dict(zip(dataset.paths, names, strict=True)))


def _export(options: argparse.Namespace, campaign: Campaign, console: Console) -> None:
    files = export_results(campaign.store, options.export, campaign.experiment.id)
    if grouping := _grouping(campaign):
        files.append(write_grouping(options.export, grouping))
    if options.export_networks:
        limit = int(options.largest_mib * 2**20)
        transport = export_networks(options.output, campaign.experiment.id, options.export, limit)
        files += transport.files
        if transport.left:
            names = ", ".join(f"{card.model} r{card.round} f{card.fold}" for card in transport.left)
            console.print(f"[yellow]Not exported:[/] {names}: larger than {options.largest_mib:g} MiB (--largest-mib)")
    size = sum(file.stat().st_size for file in files) / 2**20
    console.print(f"Exported to {options.export}: {len(files)} files, {size:.1f} MiB")


def _protocol(options: argparse.Namespace, preset: Preset) -> Protocol:
    names = ("rounds", "folds", "epochs", "size", "seed", "split")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    protocol = replace(preset.protocol, **given)
    if options.batch_size is not None:
        protocol = protocol.with_batch_size(options.batch_size)
    return protocol if options.learning_rate is None else protocol.with_learning_rate(options.learning_rate)


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "ray":
        return RayEngine(options.address, options.gpus_per_fold, options.cpus_per_fold)
    for name in ("address", "gpus_per_fold", "cpus_per_fold"):
        if getattr(options, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise EngineError(f"Expected --engine ray with {flag}. Received: --engine local. Add it, or drop {flag}.")
    return LocalEngine()


def _dataset(options: argparse.Namespace, preset: Preset, settings: Settings) -> Dataset:
    if options.dataset:
        return load_dataset(options.dataset, options.positive, options.patients)
    if preset.phantom is None:
        raise CovidCoreError(
            f"Expected a data set for the preset {options.preset!r}. Received none. Name a folder with one folder for "
            f"each class, --dataset FOLDER, or try the generated slices of --preset quick."
        )
    from covid_core.data.phantom import write_dataset  # needed for generated slices only

    table = "-".join(str(value) for value in preset.phantom.values())
    root = write_dataset(settings.cache_folder / f"phantom-{table}", **preset.phantom)
    return replace(load_dataset(root / "manifest.csv", options.positive), name="phantom")


def _groups(
    options: argparse.Namespace, protocol: Protocol, dataset: Dataset, settings: Settings, console: Console
) -> Groups | None:
    """What a split by group keeps together beside the data set's own patients."""
    if options.groups:
        return Groups.named(patients_of_table(options.groups, dataset), "table")
    if protocol.split != "group" or dataset.groups is not None:
        return None
    from covid_core.data.grouping import look_alike_groups  # needed for data sets without patients only

    with _progress(console) as progress:
        bar = progress.add_task("grouping", total=len(dataset))
        return look_alike_groups(dataset, settings.cache_folder, lambda done, _: progress.update(bar, completed=done))


def _command(options: argparse.Namespace) -> str:
    """The command that trains the same networks again, without this machine's paths."""
    words = ["python", "train_all.py", "--preset", options.preset]
    if options.networks:
        words += ["--networks", *options.networks]
    if options.dataset:
        words += ["--dataset", f"path/to/{options.dataset.resolve().name}"]
    if options.positive != "COVID":
        words += ["--positive", options.positive]
    if options.patients:
        words += ["--patients", f"path/to/{options.patients.name}"]
    if options.groups:
        words += ["--groups", f"path/to/{options.groups.name}"]
    for name in ("split", "rounds", "folds", "epochs", "size", "batch_size", "learning_rate", "seed", "precision"):
        value = getattr(options, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    if options.only_fold:
        words += ["--only-fold", *map(str, options.only_fold)]
    return shlex.join(words)


def _print_plan(console: Console, campaign: Campaign, left: list[Task], listed: bool) -> None:
    dataset, protocol = campaign.dataset, campaign.protocol
    total = len(campaign.tasks())
    shares = Counter(dataset.labels.tolist())
    classes = ", ".join(f"{shares[number]} {name}" for number, name in enumerate(dataset.classes))
    console.print(f"Data set    {dataset.name}: {len(dataset)} slices ({classes}), digest {dataset.digest[:16]}")
    if dataset.packing:
        console.print(
            f"Packed      {dataset.root.name}: WebP, quality {dataset.packing.quality}, {dataset.packing.pixels}"
        )
    console.print(
        f"Protocol    {protocol.size} px, {protocol.epochs} epochs, {protocol.rounds} x {protocol.folds} folds by "
        f"{protocol.split}, batch {_batch_sizes(campaign)}, seed {protocol.seed}"
    )
    if protocol.split == "group":
        console.print(f"Groups      {_origin(campaign)}")
    console.print(f"Experiment  {campaign.experiment.id}")
    console.print(f"Folds       {total} in all, {total - len(left)} done, {len(left)} left")
    guess = estimate(left, campaign)
    console.print(f"Estimate    {_sentence(guess)}")
    if listed:
        table = Table("network", "round", "fold", "train", "test", "state", box=None)
        waiting = {task.key for task in left}
        for task in campaign.tasks():
            state = "left" if task.key in waiting else "done"
            fold = task.fold
            table.add_row(task.model, *map(str, (fold.round, fold.fold, len(fold.train), len(fold.test))), state)
        console.print(table)
        console.print("Files were listed, not opened: the run begins by reading every slice, and names bad ones.")


def _origin(campaign: Campaign) -> str:
    """How many groups a split by group keeps together, and where they come from."""
    groups, patients = campaign.groups, campaign.dataset.groups
    if groups is None:
        return f"{len(set(patients))} patients of the data set" if patients else "none"
    guess = ": a guess, not patients (--groups FILE names them)" if groups.origin == "likeness" else ""
    return f"{groups.count} {ORIGINS[groups.origin]}{guess}"


def _batch_sizes(campaign: Campaign) -> str:
    """The batch size, with the networks that have one of their own."""
    protocol = campaign.protocol
    own = {name: protocol.batch_size_of(name) for name in campaign.networks}
    exceptions = [f"{name} {slices}" for name, slices in own.items() if slices != protocol.batch_size]
    return f"{protocol.batch_size} ({', '.join(exceptions)})" if exceptions else str(protocol.batch_size)


def _sentence(guess: Estimate) -> str:
    work = f"{guess.images:,} training slices to pass through the networks"
    names = ", ".join(guess.unknown[:3]) + (f" and {len(guess.unknown) - 3} more" if len(guess.unknown) > 3 else "")
    if guess.unknown and guess.seconds:
        return f"{work}; {_duration(guess.seconds)} plus {names}, which no stored fold has timed yet"
    if guess.unknown:
        return f"{work}; the time shows when a first fold of {names} is stored"
    return f"{work}; {_duration(guess.seconds)} at the speed of earlier folds, and up to a minute a network to trace it"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console, refresh_per_second=2)


class _Bars:
    """Draws what a campaign tells: one bar over all epochs of all folds, one line for each finished fold."""

    def __init__(self, progress: Progress, left: list[Task], epochs: int):
        self.failures: list[FoldResult] = []
        self._progress = progress
        self._epochs = epochs
        self._finished = 0
        self._running: dict[tuple[str, int, int], int] = {}  # epochs done of each fold under way
        self._bar = progress.add_task("epochs", total=len(left) * epochs)

    def started(self, task: Task) -> None:
        self._running[task.key] = 0
        self._show(task, "building")

    def epoch(self, task: Task, number: int, values: dict[str, float]) -> None:
        self._running[task.key] = number
        self._show(task, f"loss {values['loss']:.3f}, accuracy {values['accuracy']:.3f}")
        if not self._progress.console.is_terminal:  # a log file shows no bar: a line an epoch instead
            shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items() if value == value)
            self._progress.console.print(
                f"        {_name(task)}  epoch {number}/{self._epochs}  {shown}", highlight=False
            )

    def finished(self, task: Task, result: FoldResult) -> None:
        self._running.pop(task.key, None)
        self._finished += 1
        self._advance()
        if result.status == "failed":
            self.failures.append(result)
            reason = (result.error or "").strip().splitlines()[-1]
            self._progress.console.print(f"[red]failed[/] {_name(task)}  {reason}", highlight=False)
            return
        scores = "  ".join(f"{key} {value:.4f}" for key, value in metrics.scores(*result.counts).items())
        speed = f"{result.seconds:.0f} s  {result.images_per_second:.1f} images/s"
        self._progress.console.print(f"[green]done[/]   {_name(task)}  {scores}  {speed}", highlight=False)

    def _show(self, task: Task, state: str) -> None:
        others = f" (+{len(self._running) - 1})" if len(self._running) > 1 else ""
        text = f"{task.model} r{task.fold.round} f{task.fold.fold}: {state}{others}"
        self._progress.update(self._bar, description=text)
        self._advance()

    def _advance(self) -> None:
        done = self._finished * self._epochs + sum(self._running.values())
        self._progress.update(self._bar, completed=done)


def _name(task: Task) -> str:
    return f"{task.model}  round {task.fold.round}  fold {task.fold.fold}"


def _print_scores(console: Console, campaign: Campaign) -> None:
    folds = campaign.store.folds(experiment=campaign.experiment.id, status="done")
    folds = folds[folds["model"].isin(campaign.networks)]
    if folds.empty:
        return
    table = Table("network", "folds", *metrics.METRIC_LABELS.values(), title="Mean over folds", box=None)
    for model, rows in folds.groupby("model", sort=False):
        means = (f"{rows[name].mean():.4f}" for name in metrics.METRICS)
        table.add_row(str(model), str(len(rows)), *means)
    console.print(table)


def _print_failures(console: Console, failures: list[FoldResult]) -> None:
    groups: dict[str, list[FoldResult]] = {}
    for result in failures:
        groups.setdefault((result.error or "").strip().splitlines()[-1], []).append(result)
    count = f"{len(failures)} fold{'s' if len(failures) > 1 else ''}"
    console.print(f"[bold red]{count} failed[/]; the same command tries again.")
    for reason, results in groups.items():
        folds = ", ".join(f"{result.model} r{result.round} f{result.fold}" for result in results)
        console.print(f"  {reason}\n    {folds}", highlight=False)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
