"""Adds results, networks and studies of maps that ``--export`` of another command wrote elsewhere.

python -m covid_core.results FOLDER
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from covid_core.errors import CovidCoreError
from covid_core.models.transport import import_networks
from covid_core.results.exchange import has_folds, import_results, open_store
from covid_core.results.study_exchange import has_studies, import_studies
from covid_core.settings import Settings

EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0 imported, 2 refused."""
    settings = Settings.from_environment()
    flags = argparse.ArgumentParser(
        prog="python -m covid_core.results",
        description="Add exported results and networks; train_all.py then goes on with what is missing.",
    )
    flags.add_argument("folder", type=Path, help="what --export of train_all.py or of a study wrote")
    flags.add_argument("--store", default=settings.store_url, help="SQLAlchemy URL of the results store")
    networks = settings.network_folders[-1]
    flags.add_argument("--networks", type=Path, default=networks, help="folder for trained networks")
    options = flags.parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        store = open_store(options.store, settings.results_folder)
        # a folder with nothing in it is refused as one without folds
        if has_folds(options.folder) or not has_studies(options.folder):
            console.print(f"Folds       {import_results(store, options.folder)} added")
        if has_studies(options.folder):
            console.print(f"Measures    {import_studies(store, options.folder)} added")
        transport = import_networks(options.folder, options.networks)
    except CovidCoreError as error:
        console.print(f"[bold red]Refused:[/] {error}", highlight=False)
        return EXIT_USAGE
    there = f", {len(transport.left)} there already" if transport.left else ""
    console.print(f"Networks    {len(transport.taken)} added{there}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
