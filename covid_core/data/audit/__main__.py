"""What does a data set give away beside the disease?

    python -m covid_core.data.audit path/to/sars-cov-2-ct
    python -m covid_core.data.audit path/to/ct --patients patients.csv --json audit.json --html audit.html

Looks for files that cannot be read, duplicates, classes that can be told from format, size, brightness, border or tiny
thumbnails, and slices of one patient that make scores too good. The exit code is 0 if the data set passes, 1 if there
is a finding that is serious or a warning, 2 if it cannot be audited.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from covid_core.data.audit.export import as_json
from covid_core.data.audit.findings import NOTE, SERIOUS, WARNING, Finding, findings, passes, verdict
from covid_core.data.audit.html import as_html
from covid_core.data.audit.record import Audit
from covid_core.data.audit.run import STAGES, audit
from covid_core.data.audit.tables import CAPTION, CUE_COLUMNS, cue_rows, facts
from covid_core.data.dataset import load_dataset
from covid_core.errors import CovidCoreError, DatasetError

EXIT_FINDINGS, EXIT_USAGE = 1, 2
WIDTH = 180  # of a file or a pipe, which have none: wide enough for the table
_COLOURS = {SERIOUS: "bold red", WARNING: "yellow", NOTE: "blue"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 passes, 1 findings, 2 refused."""
    options = _flags().parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        dataset = load_dataset(options.folder, options.positive, options.patients)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            bars = {stage: progress.add_task(f"{stage:<18}", total=None) for stage in STAGES}
            measured = audit(
                dataset,
                datetime.now(UTC).isoformat(timespec="seconds"),
                options.seed,
                lambda stage, done, total: progress.update(bars[stage], completed=done, total=total),
            )
        found = findings(measured)
        _report(console, measured, found)
        if options.json:
            _write(options.json, as_json(measured))
        if options.html:
            _write(options.html, as_html(measured))
    except CovidCoreError as error:
        console.print(f"[bold red]Refused:[/] {escape(str(error))}")
        return EXIT_USAGE
    return 0 if passes(found) else EXIT_FINDINGS


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(
        prog="python -m covid_core.data.audit",
        description="What does a data set give away beside the disease?",
        epilog="Exit code: 0 passes, 1 has a serious finding or a warning, 2 cannot be audited.",
    )
    flags.add_argument("folder", type=Path, help="folder of class folders, or CSV with path, label and patient")
    flags.add_argument("--positive", default="COVID", help="name of the positive class (default: %(default)s)")
    flags.add_argument("--patients", type=Path, help="CSV with path and patient; guessed where it is absent")
    flags.add_argument("--seed", type=int, default=0, help="of the splits (default: %(default)s)")
    flags.add_argument("--json", type=Path, help="file for all figures; the dashboard shows it")
    flags.add_argument("--html", type=Path, help="file for a report to read and to send")
    return flags


def _report(console: Console, measured: Audit, found: Sequence[Finding]) -> None:
    console.print(f"[bold]Audit of {escape(measured.name)}[/]\n")
    for name, value in facts(measured):
        console.print(f"{name:<26}{escape(value)}")
    table = Table(*CUE_COLUMNS, box=None, padding=(0, 2, 0, 0))
    before = ""
    for row in cue_rows(measured):
        table.add_row("" if row[0] == before else row[0], *row[1:])
        before = row[0]
    console.print()
    console.print(table)
    console.print(f"{CAPTION}\n", style="dim")
    for one in found:
        colour = _COLOURS[one.severity]
        console.print(f"[{colour}]{one.severity:<8}[/] [bold]{one.name}[/]  {escape(one.text)} → {escape(one.advice)}")
    console.print(f"\n[bold {'green' if passes(found) else 'red'}]{escape(verdict(measured, found))}[/]")


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"Expected to write {file}. Received: {error.strerror}. Name another place.") from error


if __name__ == "__main__":
    sys.exit(main())
